"""An extension in memory and an application that has it, for tests of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import click
from flask import Flask, g
from flask.cli import with_appcontext

from flask_safemigrate import SafeMigrate
from flask_safemigrate.cli import commands
from flask_safemigrate.facts.database import DatabaseState, Table
from flask_safemigrate.facts.history import History, Revision
from flask_safemigrate.facts.project import ProjectState
from flask_safemigrate.facts.state import State
from flask_safemigrate.outcome import (
    Applied,
    AppliedRevision,
    Doomed,
    Outcome,
    Progress,
    Snapshot,
    Status,
    TableWork,
)
from flask_safemigrate.plan import Plan
from flask_safemigrate.workflows.requests import require_known

REVISIONS = (
    Revision("a1", (), message="create tables", created="2024-01-02 10:00:00", tables=("user",)),
    Revision("b2", ("a1",), message="add column", created="2024-01-03 10:00:00"),
)
DATABASE = DatabaseState(
    "",
    "sqlite",
    "/srv/shop/instance/app.db",
    "app.db",
    size=1_400_000,
    server="3.40.1",
    tables=(Table("user", 52_000),),
    version_rows=("a1",),
)
STATE = State(ProjectState("shop", "/srv/shop/migrations"), History(REVISIONS), (DATABASE,))
PLAN = Plan("", DATABASE.location, ("a1",), ("b2",), (REVISIONS[1],))
SNAPSHOT = Snapshot(
    "20240506T101112-a1",
    "/srv/shop/instance/.safemigrate/20240506T101112-a1.db",
    "",
    "sqlite",
    "app.db",
    ("a1",),
    1_400_000,
    "ab" * 32,
    "2024-05-06T10:11:12Z",
    "safe-upgrade",
)
WORK = Applied(
    "",
    DATABASE.location,
    ("a1",),
    ("b2",),
    (AppliedRevision("b2", "add column", 0.02),),
    3.4,
    ("alembic_version is b2",),
    (TableWork("user", "rebuild", "UNIQUE (email)", 3.2, 52_000, ("CREATE TABLE x (a)",)),),
    SNAPSHOT,
)


def looked(command: str, **fields: Any) -> Outcome:
    """An outcome as it is when nothing has been changed yet."""
    return Outcome(command, Status.DONE, databases=(DATABASE,), state=STATE, **fields)


@dataclass
class FakeMigrate:
    """Answers what `SafeMigrate` does with `outcome`, asking first where it is given `confirm`."""

    outcome: Outcome = field(default_factory=lambda: looked("status"))
    asks: Outcome | None = None
    news: tuple[Progress, ...] = ()
    raises: BaseException | None = None
    during: Callable[[], None] | None = None
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    changed: bool = False

    def _answer(self, name: str, arguments: dict[str, Any]) -> Outcome:
        confirm, say = arguments.pop("confirm", None), arguments.pop("say", None)
        self.calls.append((name, arguments))
        if self.during:
            self.during()
        if self.raises:
            raise self.raises
        if self.asks and confirm is not None and not confirm(self.asks):
            return self.asks._replace(status=Status.FAILED, error="Nothing was changed.")
        for news in self.news:
            say(news)
        self.changed = True
        return self.outcome

    def __getattr__(self, name: str) -> Any:
        """A method that takes what the one of `SafeMigrate` takes, and nothing else."""
        signature = inspect.signature(getattr(SafeMigrate, name))

        def method(**arguments: Any) -> Outcome:
            bound = signature.bind(self, **arguments)
            require_known(name, bound.arguments.get("options", {}))
            return self._answer(name, arguments)

        return method


def make_app(migrate: Any) -> Flask:
    """An application whose `db` group takes -d and -x, as Flask-Migrate's does."""
    app = Flask("shop")
    if migrate is not None:
        app.extensions["safemigrate"] = migrate

    @app.cli.group()
    @click.option("-d", "--directory", default=None)
    @click.option("-x", "--x-arg", multiple=True)
    @with_appcontext
    def db(directory: str | None, x_arg: tuple[str, ...]) -> None:
        g.directory = directory
        g.x_arg = x_arg

    for command in commands():
        db.add_command(command)
    return app


def create_upgrade() -> Flask:
    """For `flask --app tests.cli.fake:create_upgrade`: an upgrade that has one thing to do."""
    plan = looked("safe-upgrade", plans=(PLAN,))
    news = (
        Progress("revision", "b2", "add column", done=0, total=1),
        Progress("applied", "b2", "add column", 0.02, done=1, total=1),
        Progress("committed", DATABASE.location),
    )
    done = plan._replace(applied=(WORK,))
    return make_app(FakeMigrate(outcome=done, asks=plan, news=news))


def create_reset() -> Flask:
    """For `flask --app tests.cli.fake:create_reset`: a reset of one database."""
    doomed = Doomed("", "app.db", DATABASE.location, DATABASE.size, DATABASE.tables)
    asked = looked("reset", doomed=(doomed,))
    return make_app(FakeMigrate(outcome=asked._replace(applied=(WORK,)), asks=asked))
