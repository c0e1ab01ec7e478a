"""An outcome as one page that needs nothing else: no scripts, fonts or pictures from anywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from flask_safemigrate.checks.catalogue import CATALOGUE
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.history import History
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Outcome
from flask_safemigrate.report.databases import facts, place_of, product
from flask_safemigrate.report.documents.places import relative
from flask_safemigrate.report.page.picture import anchors, picture
from flask_safemigrate.report.wording import clean, count

_CHECKS = {check.code: check for check in CATALOGUE}
_CODE = re.compile(
    r"`(?P<quoted>[^`\n]+)`"
    r"|(?P<command>\bflask (?:db|safemigrate) [a-z][a-z-]*"
    r"(?: (?:--?[a-z][a-z-]*(?:=\S+)?|SM\d+|[A-Z]{2,}|heads?|base|\"[^\"]*\"))*)"
)


def page(outcome: Outcome, root: Path, made: datetime) -> str:
    """Return the page; well-formed XML too.

    :param root: the folder of the repository, from which files are named.
    :param made: when, with its time zone.
    """
    state = outcome.state
    history = state.history if state else History()
    names = anchors(history)
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=f"Migrations of {state.project.app}" if state else f"flask db {outcome.command}",
            made=made.strftime("%Y-%m-%d %H:%M %Z"),
            folder=relative(state.project.directory, root) if state else "",
            counts=_counts(outcome),
            error=outcome.error,
            hint=outcome.hint,
            notes=outcome.notes,
            databases=[_database(d, history, names) for d in outcome.databases],
            findings=_findings(outcome.findings, root),
            repairs=outcome.repairs,
            ignored=_ignored(state),
            version=version("flask-safemigrate"),
            **picture(history, outcome.databases, names),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("flask_safemigrate", "report/page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _with_code
    return environment


def _shown(value: object) -> object:
    """Take out what no document may hold and passwords; escaping is Jinja's part."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _with_code(text: str) -> Markup:
    """Return escaped text in which commands and what stands in backquotes are code."""
    parts, end = [], 0
    text = clean(text)
    for found in _CODE.finditer(text):
        parts += [escape(text[end : found.start()]), Markup("<code>")]
        parts += [escape(found["quoted"] or found["command"]), Markup("</code>")]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def _worst_first(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda f: (-f.severity, f.code, f.bind or "", f.where))


def _counts(outcome: Outcome) -> list[tuple[str, str]]:
    found = [
        (severity.word, count(number, severity.word, "infos" * (severity is Severity.INFO)))
        for severity in sorted(Severity, reverse=True)
        if (number := sum(f.severity is severity for f in outcome.findings))
    ]
    if outcome.error:
        return [("error", outcome.status.value), *found]
    return found or [("good", "No problems found")]


def _findings(found: Sequence[Finding], root: Path) -> list[dict[str, Any]]:
    """Worst first; each code is explained once."""
    told: set[str] = set()
    shown = []
    for finding in _worst_first(found):
        shown.append({**_finding(finding, root), "again": finding.code in told})
        told.add(finding.code)
    return shown


def _finding(finding: Finding, root: Path) -> dict[str, Any]:
    check = _CHECKS.get(finding.code)
    return {
        "word": finding.severity.word,
        "code": finding.code,
        "name": check.name if check else "",
        "message": finding.message,
        "where": relative(finding.where, root) if finding.file else finding.where,
        "hint": finding.hint,
        "repair": finding.repair,
        "sections": check.sections if check else (),
    }


def _database(database: DatabaseState, history: History, names: dict[str, str]) -> dict[str, Any]:
    why = database.unreachable
    if why is not None:
        state, told = "error", f"{why.kind}: {why.message}"
    else:
        state, told = place_of(database, history)
    return {
        "label": database.label,
        "product": product(database),
        "location": database.location,
        "facts": "" if why else ", ".join(facts(database)),
        "state": state,
        "place": told,
        "share": _share(database, history),
        "links": [(row, names.get(row)) for row in database.version_rows or ()],
    }


def _share(database: DatabaseState, history: History) -> str:
    """How much of the history is applied, in per cent; "" where that is unknown."""
    if database.unreachable or not history.by_id:
        return ""
    applied = history.ancestors(database.version_rows or ())
    return f"{100 * len(applied) / len(history.by_id):.1f}"


def _ignored(state: State | None) -> list[dict[str, str]]:
    return [
        {"code": i.code, "reason": i.reason, "count": count(i.findings, "finding")}
        for i in (state.ignored if state else ())
    ]
