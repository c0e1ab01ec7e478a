"""Findings as workflow commands, which GitHub Actions shows as annotations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flask_safemigrate.checks.catalogue import CATALOGUE
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Outcome
from flask_safemigrate.report.documents.places import relative, source
from flask_safemigrate.report.findings import verdict
from flask_safemigrate.report.wording import clean

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
_NAMES = {check.code: check.name for check in CATALOGUE}

# github.com/actions/toolkit, packages/core/src/command.ts: escapeData and escapeProperty.
_IN_TEXT = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTY = {**_IN_TEXT, ":": "%3A", ",": "%2C"}


def text(outcome: Outcome, root: Path) -> str:
    """Return one workflow command a finding, worst first, and a line that counts them.

    :param root: the folder that file names begin at, that of the repository.
    """
    return "".join(f"{line}\n" for line in _lines(outcome, root))


def _lines(outcome: Outcome, root: Path) -> Iterator[str]:
    for finding in outcome.findings:
        yield _annotation(finding, outcome, root)
    if outcome.error:
        title = f"flask db {outcome.command}"
        yield _command("error", {"title": title}, _with_hint(outcome.error, outcome.hint))
    else:
        yield verdict(outcome.findings).plain


def _annotation(finding: Finding, outcome: Outcome, root: Path) -> str:
    properties = {}
    if file := source(finding, outcome):
        properties = {"file": relative(file, root), "line": str(finding.line or 1)}
    properties["title"] = f"{finding.code} {_NAMES.get(finding.code, '')}".strip()
    message = _with_hint(finding.message, finding.hint)
    return _command(_COMMANDS[finding.severity], properties, message)


def _with_hint(message: str, hint: str) -> str:
    return f"{message}\nHint: {hint}" if hint else message


def _command(name: str, properties: dict[str, str], message: str) -> str:
    told = ",".join(f"{key}={_escaped(v, _IN_PROPERTY)}" for key, v in properties.items())
    return f"::{name} {told}::{_escaped(message, _IN_TEXT)}"


def _escaped(value: str, characters: dict[str, str]) -> str:
    return "".join(characters.get(character, character) for character in clean(value))
