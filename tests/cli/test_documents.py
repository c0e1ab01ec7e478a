"""`doctor --format` and `--output`."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Outcome, Status
from tests.cli.conftest import Run
from tests.cli.fake import FakeMigrate, looked

FINDING = Finding(
    "SM112",
    Severity.ERROR,
    "env.py cannot be used.",
    "/srv/shop/migrations/env.py:7",
    "mend it, then `flask db doctor`",
    file="/srv/shop/migrations/env.py",
    line=7,
)
FOUND = looked("doctor", findings=(FINDING,))._replace(status=Status.REFUSED)


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)


def test_sarif(run: Run) -> None:
    result = run(FakeMigrate(outcome=FOUND), "doctor", "--format", "sarif")
    assert result.exit_code == 3
    (found,) = json.loads(result.stdout)["runs"][0]["results"]
    assert found["ruleId"] == "SM112"
    assert result.stderr == ""


def test_github(run: Run) -> None:
    result = run(FakeMigrate(outcome=FOUND), "doctor", "--format", "github")
    assert result.exit_code == 3
    assert result.stdout.splitlines() == [
        "::error file=/srv/shop/migrations/env.py,line=7,title=SM112 env-broken"
        "::env.py cannot be used.%0AHint: mend it, then `flask db doctor`",
        "1 error.",
    ]


def test_html(run: Run) -> None:
    result = run(FakeMigrate(outcome=FOUND), "doctor", "--format", "html")
    assert result.exit_code == 3
    assert "env.py cannot be used." in "".join(ElementTree.fromstring(result.stdout).itertext())


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("workspace", "shop/migrations/env.py"),
        ("git", "migrations/env.py"),
        ("nothing", "env.py"),
    ],
)
def test_files_are_named_from_the_repository(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str, expected: str
) -> None:
    folder = tmp_path / "shop" / "migrations"
    folder.mkdir(parents=True)
    if place == "workspace":
        monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    elif place == "git":
        (tmp_path / "shop" / ".git").mkdir()
    monkeypatch.chdir(folder)
    finding = FINDING._replace(file=str(folder / "env.py"))
    outcome = FOUND._replace(findings=(finding,))
    result = run(FakeMigrate(outcome=outcome), "doctor", "--format", "github")
    assert f" file={expected},line=7," in result.stdout


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (("-o", "r.html"), "<!DOCTYPE html>"),
        (("-o", "r.HTM"), "<!DOCTYPE html>"),
        (("-o", "r.sarif"), '{\n  "$schema"'),
        (("-o", "r.json"), '{\n  "schema"'),
        (("--output", "r.json", "--format", "sarif"), '{\n  "$schema"'),
        (("--output", "r.txt", "--format", "github"), "::error "),
    ],
)
def test_output_writes_a_file_and_shows_the_text(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], start: str
) -> None:
    result = run(FakeMigrate(outcome=FOUND), "doctor", *arguments)
    assert result.exit_code == 3
    (file,) = tmp_path.iterdir()
    assert file.read_text(encoding="utf-8").startswith(start)
    assert "SM112 error  env.py cannot be used." in result.stdout


def test_output_without_a_known_ending_needs_a_format(run: Run, tmp_path: Path) -> None:
    migrate = FakeMigrate(outcome=FOUND)
    result = run(migrate, "doctor", "--output", "report.txt")
    assert result.exit_code == 2
    assert 'Nothing says what is to be written to "report.txt".' in result.stderr
    assert "Hint: name it .html, .sarif or .json" in result.stderr
    assert not migrate.calls
    assert not list(tmp_path.iterdir())


def test_output_that_cannot_be_written(run: Run) -> None:
    result = run(FakeMigrate(outcome=FOUND), "doctor", "--output", "no/where/r.html")
    assert result.exit_code == 2
    assert '"no/where/r.html" cannot be written: No such file' in result.stderr


@pytest.mark.parametrize("form", ["sarif", "github", "html"])
def test_only_the_doctor_has_it(run: Run, form: str) -> None:
    result = run(FakeMigrate(), "status", "--format", form)
    assert result.exit_code == 2
    assert f"'{form}' is not" in result.stderr


@pytest.mark.parametrize("form", ["sarif", "github", "html"])
def test_what_stopped_it_is_in_the_document_and_on_standard_error(run: Run, form: str) -> None:
    stopped = Outcome("doctor", Status.USAGE, error="There is no check 'X'.", hint="SM301")
    result = run(FakeMigrate(outcome=stopped), "doctor", "--format", form)
    assert result.exit_code == 2
    assert "There is no check" in result.stdout
    assert "Error: There is no check 'X'." in result.stderr


@pytest.mark.parametrize("form", ["sarif", "github", "html"])
def test_a_crash_leaves_a_document(run: Run, form: str) -> None:
    migrate = FakeMigrate(raises=RuntimeError("odd"), during=lambda: print("noise"))  # noqa: T201
    result = run(migrate, "doctor", "--format", form)
    assert isinstance(result.exception, RuntimeError)
    assert "RuntimeError: odd" in result.stdout
    assert "noise" not in result.stdout


@pytest.mark.parametrize(("text", "lines"), [("sm209", 1), ("several-heads", 1), ("SM2", 5)])
def test_explain_needs_no_application(run: Run, text: str, lines: int) -> None:
    result = run(None, "doctor", "--explain", text)
    assert result.exit_code == 0
    first, *rest = result.stdout.splitlines()
    assert first == ("SM209 several-heads" if lines == 1 else "SM2xx history")
    assert len(rest) > lines
    noted = json.loads(run(None, "doctor", "--explain", text, "--format", "json").stdout)["notes"]
    assert len(noted) >= lines
    assert any(note.startswith("SM209 several-heads: The history") for note in noted)


def test_explain_an_unknown_code(run: Run) -> None:
    result = run(None, "doctor", "--explain", "SM2099")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Did you mean SM209 (several-heads)?" in result.stderr
