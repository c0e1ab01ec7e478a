"""States for the tables of cases: a good project, and what is different in a case."""

from __future__ import annotations

from typing import Any

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.facts.database import DatabaseState, Table
from flask_safemigrate.facts.history import History, Revision
from flask_safemigrate.facts.project import ProjectState
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Finding

PROJECT = ProjectState(
    "shop",
    "/shop/migrations",
    models={"": ("users", "orders")},
    locations=("/shop/migrations/versions",),
)


def revision(id: str, *parents: str, **more: Any) -> Revision:
    return Revision(id, parents, **{"message": f"make {id}", "path": f"/v/{id}_make.py", **more})


def history(*revisions: Revision) -> History:
    return History(revisions)


LINE = history(revision("a1"), revision("b2", "a1"), revision("c3", "b2"))


def database(*names: str, bind: str = "", **more: Any) -> DatabaseState:
    """Tables are written ``users`` or, with rows, ``users:37``."""
    found = []
    for text in names:
        name, _, count = text.partition(":")
        found.append(Table(name, int(count) if count else None))
    location = f"/shop/{bind or 'app'}.db"
    state = DatabaseState(bind, "sqlite", location, f"{bind or 'app'}.db", tables=tuple(found))
    return state._replace(**more)


def at(*rows: str, **more: Any) -> DatabaseState:
    """The good database, at these revisions."""
    return database("users:37", "orders:1200", version_rows=rows, **more)


def state(*databases: DatabaseState, found: History = LINE, **project: Any) -> State:
    return State(PROJECT._replace(**project), found, databases or (at("c3"),))


def findings(code: str, of: State, command: str = "doctor") -> list[Finding]:
    return [finding for finding in run_checks(of, command=command) if finding.code == code]


def assert_finds(code: str, of: State, *parts: str) -> Finding:
    """The check finds exactly one thing, whose message or hint holds every part."""
    found = findings(code, of)
    assert len(found) == 1, [f.message for f in run_checks(of)]
    for part in parts:
        assert part in found[0].message or part in found[0].hint, (found[0].message, found[0].hint)
    assert found[0].message.endswith((".", "?"))
    assert found[0].where
    return found[0]
