"""Workflow commands, read back as the runner of GitHub Actions reads them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given

from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Outcome, Status
from flask_safemigrate.report.documents import github
from flask_safemigrate.report.wording import clean
from tests.report.outcomes import anything, outcomes
from tests.report.pages import doctored
from tests.report.test_json import EVERY

ROOT = Path("/shop")


def read(line: str) -> tuple[str, dict[str, str], str]:
    """Command, properties and message, as the runner's ActionCommand.TryParseV2 takes them."""
    found = re.fullmatch(r"::(\w+) ([^:]*(?:%3A[^:]*)*)::(.*)", line)
    assert found, line
    properties = {}
    for pair in found[2].split(","):
        key, _, value = pair.partition("=")
        for mark, character in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n")):
            value = value.replace(mark, character)
        properties[key] = value.replace("%25", "%")
    text = found[3].replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
    return found[1], properties, text


def test_findings_become_annotations() -> None:
    outcome = doctored(5)
    *lines, counted = github.text(outcome, ROOT).splitlines()
    assert len(lines) == len(outcome.findings)
    assert read(lines[0]) == (
        "error",
        {"file": "migrations/versions/odd.py", "line": "12", "title": "SM201 revision-syntax"},
        "Revision file \"odd.py\", line 12, is no valid Python: '(' was never closed.\n"
        "Hint: mend odd.py, then flask db doctor",
    )
    down = next(line for line in lines if "SM501" in line)
    assert read(down)[1]["file"] == "migrations/env.py"
    assert {read(line)[0] for line in lines} == {"error", "warning"}
    assert counted.startswith("3 errors, 1 warning.")


@pytest.mark.parametrize(
    ("severity", "command"),
    [(Severity.ERROR, "error"), (Severity.WARNING, "warning"), (Severity.INFO, "notice")],
)
def test_escaping(severity: Severity, command: str) -> None:
    finding = Finding(
        "SM201", severity, "50 % of a: b,\r\nc", "w", "x\ny %0A", file="/shop/a,b:c%.py", line=3
    )
    (line, _) = github.text(doctored(5)._replace(findings=(finding,)), ROOT).splitlines()
    assert line == (
        f"::{command} file=a%2Cb%3Ac%25.py,line=3,title=SM201 revision-syntax"
        "::50 %25 of a: b,%0Ac%0AHint: x%0Ay %250A"
    )


def test_no_finding() -> None:
    assert github.text(Outcome("doctor", Status.DONE), ROOT) == "No problems found.\n"


def test_what_stopped_the_doctor_is_an_error() -> None:
    stopped = Outcome("doctor", Status.USAGE, error="Wrong.", hint="mend it")
    assert github.text(stopped, ROOT) == "::error title=flask db doctor::Wrong.%0AHint: mend it\n"


@EVERY
@given(outcomes(anything))
def test_nothing_that_a_finding_says_becomes_a_command(outcome: Outcome) -> None:
    outcome = outcome._replace(error="")
    lines = github.text(outcome, ROOT).split("\n")
    assert len(lines) == len(outcome.findings) + 2
    for line, finding in zip(lines, outcome.findings, strict=False):
        message = f"{finding.message}\nHint: {finding.hint}" if finding.hint else finding.message
        assert read(line)[2] == clean(message)
