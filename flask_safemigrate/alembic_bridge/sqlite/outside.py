"""Statements of revisions that SQLite does not take inside of a transaction."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from sqlalchemy import Connection, Engine, StaticPool, event

from flask_safemigrate.alembic_bridge.sqlite.second import verb_of
from flask_safemigrate.alter.enforcement import Enforcement, TooLate
from flask_safemigrate.errors import SafeMigrateError

_SAVEPOINT = "safemigrate_begin"
_BEFORE = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_SETTING = re.compile(
    rf"{_BEFORE}PRAGMA\s+(?:\w+\s*\.\s*)?(\w+)\s*(?:[=(]\s*['\"]?([\w-]+)['\"]?\s*\)?\s*)?;?\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
#: Settings that SQLite refuses to change in a transaction or leaves as they are, without a word
#: (https://sqlite.org/pragma.html).
_SETTINGS = ("journal_mode", "synchronous", "auto_vacuum", "page_size", "encoding", "temp_store")
_BACK = re.compile(r"\bTO\b", re.IGNORECASE)


class Outside:
    """Keeps for after COMMIT what has to run outside of a transaction; makes BEGIN a savepoint.

    :param running: whether a revision's code runs.
    :param applied: how much the engine has done, as a number that grows.
    :param stop: raises an error that says what the revision does, with a hint.
    :ivar kept: revision and statement, in order.
    """

    def __init__(
        self,
        connection: Connection,
        enforcement: Enforcement,
        running: Callable[[], str | None],
        applied: Callable[[], int],
        stop: Callable[[str, str], NoReturn],
    ) -> None:
        self.kept: list[tuple[str, str]] = []
        self._detached: list[str] = []
        self._connection = connection
        self._driver: Any = connection.connection.driver_connection
        self._enforcement = enforcement
        self._running = running
        self._applied = applied
        self._stop = stop
        self._begun: tuple[str, int] | None = None
        event.listen(connection, "before_cursor_execute", self._replaced, retval=True)

    def detach(self) -> None:
        """Stop listening."""
        event.remove(self._connection, "before_cursor_execute", self._replaced)

    def leave(self) -> None:
        """Detach what was to be detached, once the transaction is over."""
        for statement in self._detached:
            # The pool may have closed the connection by now.
            with contextlib.suppress(Exception):
                self._driver.execute(statement)

    def _replaced(
        self, _c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: Any
    ) -> tuple[str, Any]:
        revision = self._running()
        if revision is None:
            return statement, parameters
        other = self._other(revision, statement)
        return (statement, parameters) if other is None else (other, ())

    def _other(self, revision: str, statement: str) -> str | None:
        """What is to be run in place of a statement, None for itself."""
        verb, _ = verb_of(statement)
        if verb == "PRAGMA":
            try:
                return self._enforcement.hear(statement) or self._pragma(revision, statement)
            except TooLate:
                self._stop(
                    "switches foreign keys off in the transaction that all revisions share, where"
                    " that has no effect, and no revision's text says beforehand that it comes",
                    'write op.execute("PRAGMA foreign_keys=OFF") in the revision itself',
                )
        if verb == "VACUUM":
            return self._keep(revision, statement)
        if verb == "DETACH":
            # A database that the transaction has used is locked until its end.
            self._detached.append(statement)
            return "-- after COMMIT: DETACH"
        if verb in ("BEGIN", "COMMIT", "END", "ROLLBACK"):
            return self._transaction(revision, verb, statement)
        return None

    def _keep(self, revision: str, statement: str, answer: str = "") -> str:
        self.kept.append((revision, statement.strip().rstrip(";")))
        shown = " ".join(statement.split()).replace("--", "")
        return answer or f"-- after COMMIT: {shown}"

    def _pragma(self, revision: str, statement: str) -> str | None:
        found = _SETTING.match(statement)
        if found is None:
            return None
        name, value = found[1].lower(), found[2]
        if name == "wal_checkpoint":
            answer = "SELECT 0 AS busy, 0 AS log, 0 AS checkpointed"
            return self._keep(revision, statement, answer)
        if name not in _SETTINGS or value is None:
            return None
        if name != "journal_mode":
            return self._keep(revision, statement)
        now = str(self._driver.execute("PRAGMA journal_mode").fetchone()[0])
        if now.lower() in (value.lower(), "memory"):
            return None
        return self._keep(revision, statement, f"SELECT '{value.lower()}' AS journal_mode")

    def _transaction(self, revision: str, verb: str, statement: str) -> str | None:
        """A transaction of the revision's own is a part of the run's."""
        if self._begun is not None and self._begun[0] != revision:
            # The one before has left it to Alembic to commit.
            self._driver.execute(f"RELEASE {_SAVEPOINT}")
            self._begun = None
        if verb == "BEGIN":
            if self._begun is not None:
                return None
            self._begun = revision, self._applied()
            return f"SAVEPOINT {_SAVEPOINT}"
        if verb == "ROLLBACK" and (self._begun is None or _BACK.search(statement)):
            return None
        if self._begun is None:
            # Of a transaction that Alembic or the driver has begun.
            return "-- at the end of the run: COMMIT"
        _, applied = self._begun
        if verb == "ROLLBACK":
            if self._applied() != applied:
                self._stop(
                    "says ROLLBACK, which would undo operations that came after its BEGIN",
                    "take both out; a revision that fails is undone as a whole",
                )
            self._driver.execute(f"ROLLBACK TO {_SAVEPOINT}")
        self._begun = None
        return f"RELEASE {_SAVEPOINT}"


def run_kept(engine: Engine, location: str, kept: Sequence[tuple[str, str]], wait: float) -> None:
    """Run what was kept for after COMMIT.

    :param kept: revision and statement.
    :param wait: seconds to wait for other connections.
    :raises SafeMigrateError: one failed; the migration itself is committed.
    """
    if not isinstance(engine.pool, StaticPool):
        # Idle connections keep SQLite from leaving the WAL mode.
        engine.dispose()
    pooled = engine.raw_connection()
    driver: Any = pooled.driver_connection
    level, driver.isolation_level = driver.isolation_level, None
    try:
        driver.execute(f"PRAGMA busy_timeout = {int(wait * 1000)}")
        for revision, statement in kept:
            try:
                driver.execute(statement).fetchall()
            except engine.dialect.loaded_dbapi.Error as error:
                raise SafeMigrateError(
                    f"{location} is migrated, but {statement} of revision '{revision}', which"
                    f" SQLite takes after COMMIT alone, failed: {error}.",
                    hint=f"sqlite3 {shlex.quote(location)} {shlex.quote(statement)}",
                ) from error
    finally:
        driver.isolation_level = level
        pooled.invalidate()
