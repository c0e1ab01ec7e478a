"""How often one upgrade reads its database, connects to it and speaks to it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pytest
from sqlalchemy import Engine, event

from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.outcome import Status
from tests.support.projects import ProjectFactory


@dataclass
class _Counted:
    """What was done while it was looked at."""

    reads: int = 0
    connections: int = 0
    statements: int = 0


@contextlib.contextmanager
def _counting(read: Callable[[Target], Any]) -> Iterator[_Counted]:
    """Count the calls of a function, and what every engine connects to and says."""
    counted = _Counted()
    code = read.__code__  # type: ignore[attr-defined]

    def called(frame: FrameType, what: str, argument: object) -> None:
        counted.reads += what == "call" and frame.f_code is code

    def connected(*arguments: object) -> None:
        counted.connections += 1

    def said(*arguments: object) -> None:
        counted.statements += 1

    event.listen(Engine, "do_connect", connected)
    event.listen(Engine, "before_cursor_execute", said)
    sys.setprofile(called)
    try:
        yield counted
    finally:
        sys.setprofile(None)
        event.remove(Engine, "before_cursor_execute", said)
        event.remove(Engine, "do_connect", connected)


@pytest.mark.parametrize(
    ("dialect", "most"),
    # Of these are 3, and a connection with 4, to see whether a table is large.
    [("sqlite", _Counted(3, 1, 39)), ("postgresql", _Counted(2, 5, 60))],
)
def test_an_upgrade_reads_and_asks_no_more_than_it_must(
    project: ProjectFactory,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    dialect: str,
    most: _Counted,
) -> None:
    url = None if dialect == "sqlite" else request.getfixturevalue(f"{dialect}_url")
    p = project(
        url=url,
        revisions=[
            ("r1", 'op.create_table("pet", sa.Column("id", sa.Integer(), primary_key=True))'),
            ("r2", 'op.add_column("pet", sa.Column("name", sa.String(20)))'),
        ],
    )
    monkeypatch.chdir(p.path)
    app = p.app()
    with app.app_context():
        migrate = app.extensions["safemigrate"]
        assert migrate.upgrade("r1").status is Status.DONE
        engine = app.extensions["sqlalchemy"].engine
        engine.dispose()
        with _counting(backend_for(engine).read) as counted:
            outcome = migrate.upgrade()
        assert outcome.status is Status.DONE
        assert bool(outcome.applied[0].snapshot) is (dialect == "sqlite")
    assert counted.reads <= most.reads
    assert counted.connections <= most.connections
    assert counted.statements <= most.statements
