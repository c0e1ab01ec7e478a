"""The databases of one application, by bind key."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Backend, Held, Target
from flask_safemigrate.databases import addresses
from flask_safemigrate.databases.snapshots import Snapshots
from flask_safemigrate.databases.stopping import Stopping
from flask_safemigrate.errors import (
    DatabaseUnavailable,
    Interrupted,
    LockTimeout,
    SafeMigrateError,
    UsageError,
)
from flask_safemigrate.facts.database import DatabaseState, ProgressRow, Table
from flask_safemigrate.names import JOURNAL
from flask_safemigrate.workflows.requests import Say


class Databases:
    """Reads and locks every database that ``env.py`` migrates and we serve.

    :ivar targets: by bind key; "" is the default database.
    :ivar held: the locks that are held, by bind key.
    :ivar latest: each as it was read last, by bind key.
    """

    def __init__(
        self, targets: Mapping[str, Target], snapshots: Snapshots, stopping: Stopping, lock: str
    ) -> None:
        self.targets = targets
        self.snapshots = snapshots
        self.held: dict[str, Held] = {}
        self.latest: dict[str, DatabaseState] = {}
        self._stopping = stopping
        self._lock = lock

    def backend(self, bind: str) -> Backend:
        """The verbs of a database's dialect."""
        return backend_for(self.targets[bind].engine)

    def read(self, bind: str) -> DatabaseState:
        """Read a database."""
        self.latest[bind] = self.backend(bind).read(self.targets[bind])
        return self.latest[bind]

    def known(self, bind: str) -> DatabaseState:
        """A database as it was read last."""
        return self.latest.get(bind) or self.read(bind)

    @contextlib.contextmanager
    def lock(self, binds: Sequence[str], wait: float, say: Say) -> Iterator[None]:
        """Keep every other process of ours away from these databases.

        :param wait: seconds.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._stopping.raising())
            try:
                for bind in sorted(binds):
                    held = self.backend(bind).lock(self.targets[bind], wait, say, self._lock)
                    self.held[bind] = stack.enter_context(held)
                    stack.callback(self.held.pop, bind)
            except KeyboardInterrupt as stop:
                raise Interrupted(
                    f"Stopped by {str(stop) or 'Ctrl-C'} while waiting; nothing was changed."
                ) from stop
            yield

    @contextlib.contextmanager
    def without_empty_files(self) -> Iterator[None]:
        """Take back the empty file that connecting to a new SQLite database makes."""
        states = [self.known(bind) for bind in self.targets]
        paths = [Path(s.location) for s in states if s.dialect == "sqlite" and not s.exists]
        try:
            yield
        finally:
            for path in paths:
                if path.is_file() and path.stat().st_size == 0:
                    path.unlink()

    def bind_of(self, connection: Connection) -> str:
        """The bind whose database a connection of ``env.py`` leads to."""
        for bind, target in self.targets.items():
            if connection.engine is target.engine:
                return bind
        backend = backend_for(connection.engine)
        theirs = backend.read(Target("", connection.engine)).location
        for bind in self.targets:
            if self.backend(bind) is backend and self.known(bind).location == theirs:
                return bind
        raise UsageError(
            f"env.py migrates {addresses.shown(connection.engine.url)}, which "
            "is no database of the application.",
            hint='use current_app.extensions["migrate"].db.engine in env.py, as the template '
            "of Flask-Migrate does",
        )

    def version_table(self, bind: str) -> str:
        """The name of the table that is taken for the one of the versions."""
        return self.targets[bind].version_table

    def explain(self, bind: str, error: BaseException) -> SafeMigrateError | None:
        """What an error of the driver says about the database, None for any other error."""
        target = self.targets.get(bind)
        driver = target.engine.dialect.loaded_dbapi if target is not None else None
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if target is None or driver is None or not isinstance(cause, driver.Error):
            return None
        reason = self.backend(bind).explain(error, target)
        if reason.kind == "locked":
            return LockTimeout(reason.message, hint=reason.hint)
        if reason.kind == "unknown":
            return None
        return DatabaseUnavailable(reason.message, kind=reason.kind, hint=reason.hint)

    def remedy(self, bind: str, error: BaseException) -> str | None:
        """What to do about an error of a revision, None where nothing particular is known."""
        target = self.targets.get(bind)
        return self.backend(bind).remedy(error, target) if target is not None else None

    def heads_now(self, bind: str) -> tuple[str, ...] | None:
        """What the version table names, None where that cannot be told."""
        state = self.read(bind)
        return None if state.unreachable is not None else state.version_rows or ()

    def catalogue_of(self, bind: str) -> Any:
        """What it takes to go on with a revision that was stopped; None where a failure leaves
        nothing behind."""
        return self.backend(bind).catalogue

    def progress_of(self, bind: str) -> tuple[ProgressRow, ...]:
        """What a half applied revision has done."""
        return self.read(bind).progress

    def way_back(self, bind: str) -> str:
        """Id of the snapshot from before that revision, "" where there is none."""
        return self.snapshots.way_back(self.read(bind))

    def note(self, bind: str, kind: str, subject: str, **more: object) -> None:
        """Write a line into the journal of a database.

        :raises SafeMigrateError: it cannot be written.
        """
        from flask_safemigrate.alembic_bridge import journal

        row = {"kind": kind, "subject": subject[:255], "finished": journal.now(), **more}
        target = self.targets[bind]
        try:
            with target.engine.begin() as connection:
                journal.write(connection, [row])
        except sa.exc.DBAPIError as error:
            what = "The deploy" if kind == "deploy" else f'Hook "{subject}"'
            reason = self.backend(bind).explain(error, target)
            raise SafeMigrateError(
                f'{what} is done, but cannot be noted in table "{JOURNAL}": {reason.message}',
                hint=reason.hint,
            ) from error

    def count_rows(self, bind: str) -> tuple[Table, ...]:
        """Every table with its exact number of rows."""
        state = self.known(bind)
        if not state.exists:
            return ()
        with self.targets[bind].engine.connect() as connection:
            return tuple(
                Table(table.name, _count(connection, table.name)) for table in state.tables
            )

    def drop_everything(self, bind: str) -> None:
        """Remove every object of a database."""
        if not self.read(bind).exists:
            return
        target = self.targets[bind]
        target.engine.dispose()
        self.backend(bind).drop_everything(target)


def _count(connection: Connection, table: str) -> int | None:
    """The rows of a table; None for one that cannot be read, as a virtual one without content."""
    name = connection.dialect.identifier_preparer.quote(table)
    try:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() or 0)
    except DBAPIError:
        connection.rollback()
        return None
