"""What commands did goes to the logger ``flask_safemigrate``, with its facts as fields."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.support.projects import ProjectFactory

FIRST = ("a1", "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))")
HOOK = """
@migrate.on_deploy
def roles():
    return "3 roles"
"""


@pytest.fixture(autouse=True)
def listening(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    # Flask-Migrate's own commands, in other tests of this process, disable every logger there is.
    monkeypatch.setattr(logging.getLogger("flask_safemigrate"), "disabled", False)
    caplog.set_level(logging.INFO, "flask_safemigrate")


def told(caplog: pytest.LogCaptureFixture, *fields: str) -> list[tuple[Any, ...]]:
    ours = [vars(each) for each in caplog.records if each.name == "flask_safemigrate"]
    caplog.clear()
    return [(each["event"], *(each.get(field) for field in fields)) for each in ours]


def test_what_was_done(project: ProjectFactory, caplog: pytest.LogCaptureFixture) -> None:
    p = project(revisions=[FIRST], after=HOOK)
    app = p.app()
    assert p.invoke("db", "deploy", app=app).exit_code == 0
    assert told(caplog, "revision", "hook", "result", "exit_code") == [
        ("revision", "a1", None, None, None),
        ("hook", None, "roles", "3 roles", None),
        ("result", None, None, None, 0),
    ]
    p.revision("a2", "op.drop_table('t')\n1 / 0")
    assert p.invoke("db", "deploy", app=app).exit_code == 1
    assert caplog.records[-1].levelno == logging.ERROR
    assert "ZeroDivisionError" in vars(caplog.records[-1])["error"]
    assert told(caplog, "status") == [("result", "failed")]
    assert p.invoke("db", "snapshot", app=app).exit_code == 0
    assert p.invoke("db", "restore", "--yes", app=app).exit_code == 0
    assert told(caplog, "command") == [
        ("snapshot", None),
        ("result", "snapshot"),
        ("restored", None),
        ("snapshot", None),
        ("result", "restore"),
    ]


def test_what_only_looks_writes_nothing(
    project: ProjectFactory, caplog: pytest.LogCaptureFixture
) -> None:
    p = project(revisions=[FIRST])
    for command in (["status"], ["safe-upgrade", "--dry-run"], ["snapshots"]):
        assert p.invoke("db", *command).exit_code == 0
    assert [event for event, *_ in told(caplog)] == ["result"]


def test_nothing_is_shown_without_a_handler(project: ProjectFactory) -> None:
    p = project(revisions=[("a1", "1 / 0")])
    done = p.db("safe-upgrade", "--yes")
    assert done.returncode == 1
    assert done.stderr.count("ZeroDivisionError") == 1
