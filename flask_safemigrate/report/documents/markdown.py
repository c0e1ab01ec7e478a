"""Findings as a table in Markdown, for the comment on a pull request.

Source of the rules: GitHub Flavored Markdown Spec, "Tables (extension)", "Autolinks (extension)"
and "Entity and numeric character references", which cannot stand for what makes structure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from flask_safemigrate.findings import Finding
from flask_safemigrate.outcome import Outcome
from flask_safemigrate.report.documents.places import relative, source
from flask_safemigrate.report.findings import verdict
from flask_safemigrate.report.wording import clean

#: By which a later run finds the comment of an earlier one.
MARK = "<!-- flask-safemigrate -->"

#: A comment on GitHub takes 65,536 characters.
_MOST = 60_000
_LONGEST = 3_000  # characters of one cell

#: What Markdown may take for structure, beside the dot of ``www.`` that makes a link.
_SPECIAL = re.compile(r"[^\w .,;()'/+=?%\"-]|_|(?<=www)\.", re.IGNORECASE)
#: What would call a person or name another issue once it is rendered.
_CALLING = re.compile(r"(?<=@)(?=\w)|(?<=#)(?=\d)")


def text(outcome: Outcome, root: Path) -> str:
    """Return a table with one row a finding, worst first, and a line that counts them.

    :param root: the folder that file names begin at, that of the repository.
    """
    return "".join(f"{line}\n" for line in _lines(outcome, root))


def _lines(outcome: Outcome, root: Path) -> Iterator[str]:
    yield MARK
    yield f"### flask db {outcome.command}"
    yield ""
    if outcome.error:
        yield f"**Error:** {_prose(outcome.error)}" + (
            f"<br>Hint: {_code(outcome.hint)}" if outcome.hint else ""
        )
    else:
        yield _prose(verdict(outcome.findings).plain)
    for note in outcome.notes:
        yield ""
        yield f"*Note:* {_prose(note)}"
    if outcome.findings:
        yield ""
        yield "| Code | Severity | Where | What | Hint |"
        yield "| --- | --- | --- | --- | --- |"
        yield from _rows(outcome, root)


def _rows(outcome: Outcome, root: Path) -> Iterator[str]:
    length = 0
    for at, finding in enumerate(outcome.findings):
        row = _row(finding, outcome, root)
        length += len(row)
        if length > _MOST:
            yield ""
            yield f"{len(outcome.findings) - at} more are not shown."
            return
        yield row


def _row(finding: Finding, outcome: Outcome, root: Path) -> str:
    where = ""
    if file := source(finding, outcome):
        where = relative(file, root) + (f":{finding.line}" if finding.line else "")
    cells = (
        finding.code,
        finding.severity.word,
        _code(where),
        _prose(finding.message),
        _code(finding.hint),
    )
    return f"| {' | '.join(cells)} |"


def _prose(told: str) -> str:
    """Text of others as text and nothing else."""
    # A space of no width keeps a name from being one.
    return "<br>".join(map(_escaped, _CALLING.sub("\u200b", _short(told)).split("\n")))


def _code(told: str) -> str:
    """Text of others as code, its lines and their indents kept."""
    if not told.strip():
        return ""
    lines = (
        "&nbsp;" * (len(line) - len(line.lstrip(" "))) + _escaped(line.lstrip(" "))
        for line in _short(told).split("\n")
    )
    return f"<code>{'<br>'.join(lines)}</code>"


def _short(told: str) -> str:
    shown = clean(told).strip("\n")
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "\u2026"


def _escaped(line: str) -> str:
    return _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", line)
