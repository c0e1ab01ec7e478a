"""A second connection to the database of a run, made of the run's own.

A run holds one transaction from its first revision to its last. Another connection to the file
would see it as it was before the run, and could write nothing. So what the pool of any engine of
this process hands out for that file is a stand-in: its statements run on the run's connection,
and its transaction is a savepoint in that of the run.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, OperationalError

from flask_safemigrate.alembic_bridge.sqlite.literals import is_read
from flask_safemigrate.alembic_bridge.sqlite.raw import statements_of

SAVEPOINT = "safemigrate_second"

#: Seconds that one thread waits for the transaction of another: the driver's own default
#: (https://docs.python.org/3/library/sqlite3.html#sqlite3.connect, timeout).
_PATIENCE = 5.0

_VERB = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(\w+)(?:\s+(\w+))?", re.DOTALL)
#: Before these the driver begins a transaction by itself
#: (https://docs.python.org/3/library/sqlite3.html#transaction-control).
_BEGINS = frozenset(("INSERT", "UPDATE", "DELETE", "REPLACE"))
_SAVEPOINT_NAME = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:SAVEPOINT|RELEASE(?:\s+SAVEPOINT)?)\s+(.+?)[\s;]*\Z",
    re.IGNORECASE | re.DOTALL,
)
_SETTING = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*PRAGMA\s+(?:\w+\s*\.\s*)?(\w+)\s*[=(]", re.IGNORECASE | re.DOTALL
)
_ON = re.compile(r"\b(?:1|on|yes|true)\b", re.IGNORECASE)
#: Settings that a connection has for itself (https://sqlite.org/pragma.html); those of a second
#: one end with it.
_OWN_SETTINGS = frozenset(
    (
        "analysis_limit",
        "automatic_index",
        "busy_timeout",
        "cache_size",
        "cache_spill",
        "case_sensitive_like",
        "cell_size_check",
        "checkpoint_fullfsync",
        "count_changes",
        "defer_foreign_keys",
        "full_column_names",
        "fullfsync",
        "hard_heap_limit",
        "ignore_check_constraints",
        "legacy_alter_table",
        "locking_mode",
        "mmap_size",
        "query_only",
        "read_uncommitted",
        "recursive_triggers",
        "reverse_unordered_selects",
        "secure_delete",
        "short_column_names",
        "soft_heap_limit",
        "synchronous",
        "temp_store",
        "threads",
        "trusted_schema",
        "wal_autocheckpoint",
    )
)


def verb_of(statement: str) -> tuple[str, str]:
    """The first two words of a statement in upper case, "" where there is none."""
    found = _VERB.match(statement)
    return (found[1].upper(), (found[2] or "").upper()) if found else ("", "")


class SharedConnection:
    """The run's connection, while others of the process may speak through it.

    :param connection: the run's; its transaction is open.
    :param level: the driver's ``isolation_level`` before the run set it.
    :ivar unenforced: whether a second connection has switched foreign keys off.
    :ivar writer: the second connection that has written and not committed yet.
    """

    def __init__(self, connection: Connection, level: str | None) -> None:
        self.connection = connection
        self.driver: Any = connection.connection.driver_connection
        self.level = level
        self.writer: SecondConnection | None = None
        self.unenforced = False
        self.active = True
        self.turns = threading.Condition()
        self._speaking: int | None = None
        event.listen(connection, "before_cursor_execute", self._before_own)

    def end(self) -> None:
        """The run is over; nothing speaks through its connection any more."""
        if self.active:
            self.active = False
            self.writer = None
            event.remove(self.connection, "before_cursor_execute", self._before_own)

    @property
    def errors(self) -> Any:
        """The module that has the driver's exceptions."""
        return self.connection.dialect.loaded_dbapi

    def locked(self) -> Exception:
        """What SQLite says to a connection while another one writes, and why it is so here."""
        error: Exception = self.errors.OperationalError(
            "database is locked: a second connection (a session or an engine) has written and"
            " has not committed"
        )
        return error

    def must_be_free(self, what: str) -> None:
        """Refuse what the run's connection cannot do while a second one writes.

        :raises sqlalchemy.exc.OperationalError: one writes, as SQLite would say it.
        """
        if self.writer is not None and self._speaking != threading.get_ident():
            raise OperationalError(what, None, self.locked())

    def _before_own(self, _c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if self.writer is not None and not is_read(statement):
            self.must_be_free(statement)

    def enforce_again(self) -> None:
        """Enforce foreign keys where a second connection has switched that off."""
        if self.unenforced and self.active:
            self.unenforced = False
            self.run("PRAGMA foreign_keys=ON")

    def run(self, statement: str, rows: list[Any] | None = None) -> Any:
        """Run a statement as one of the run's own, so that everything that listens hears it.

        :raises Exception: the driver's own error.
        """
        with self.turns:
            outer, self._speaking = self._speaking, threading.get_ident()
            try:
                return self.connection.exec_driver_sql(statement, rows)
            except DBAPIError as error:
                if error.orig is None:
                    raise
                raise error.orig from error
            finally:
                self._speaking = outer


class SecondConnection:
    """Stands in for a connection of the driver.

    :param spare: the connection that it stands in for, which stays as it is.
    """

    def __init__(self, shared: SharedConnection, spare: Any) -> None:
        own = spare is shared.driver
        self.spare = spare
        self.row_factory = None if own else spare.row_factory
        self._shared = shared
        self._level = shared.level if own else spare.isolation_level
        self._autocommit = -1 if own else getattr(spare, "autocommit", -1)
        self._begun = False
        self._writes = False
        self._outermost = ""
        self._unenforced = False
        self.thread = threading.get_ident()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shared.driver, name)

    def __enter__(self) -> SecondConnection:
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.rollback()

    def __del__(self) -> None:
        # Nobody can commit it any more; a connection that is given up is rolled back, too.
        with contextlib.suppress(Exception):
            self.rollback()
            self.enforce_again()

    # ------------------------------------------------------------ statements

    def cursor(self, *_factory: Any) -> SecondCursor:
        """A cursor; factories are for the driver's own connections."""
        return SecondCursor(self)

    def execute(self, statement: str, parameters: Any = ()) -> SecondCursor:
        return self.cursor().execute(statement, parameters)

    def executemany(self, statement: str, rows: Iterable[Any]) -> SecondCursor:
        return self.cursor().executemany(statement, rows)

    def executescript(self, script: str) -> SecondCursor:
        return self.cursor().executescript(script)

    def run(self, statement: str, rows: list[Any] | None) -> Any:
        """Run a statement; its result, None where there is nothing to run."""
        shared = self._shared
        if not shared.active:
            raise shared.errors.ProgrammingError("the run that this connection belongs to is over")
        with shared.turns:
            return self._run(statement, rows)

    def _run(self, statement: str, rows: list[Any] | None) -> Any:
        verb, second = verb_of(statement)
        error = self._shared.errors.OperationalError
        if verb == "BEGIN":
            if self._begun:
                raise error("cannot start a transaction within a transaction")
            self._begun = True
            if second in ("IMMEDIATE", "EXCLUSIVE"):
                self._claim()
            return None
        if verb in ("COMMIT", "END"):
            if not self._begun:
                raise error("cannot commit - no transaction is active")
            self.commit()
            return None
        if verb == "ROLLBACK" and not re.search(r"\bTO\b", statement, re.IGNORECASE):
            if not self._begun:
                raise error("cannot rollback - no transaction is active")
            self.rollback()
            return None
        if verb == "PRAGMA":
            setting = _SETTING.match(statement)
            if setting and setting[1].lower() == "foreign_keys":
                return self._enforce(statement)
            if setting and setting[1].lower() in _OWN_SETTINGS:
                return None
        name = _SAVEPOINT_NAME.match(statement) if verb in ("SAVEPOINT", "RELEASE") else None
        if verb == "SAVEPOINT" and name and not self._begun:
            self._begun, self._outermost = True, name[1].lower()
        elif not self._begun and self._begins(verb):
            self._begun = True
        if not is_read(statement):
            if self._begun:
                self._claim()
            else:
                self._wait()
        result = self._shared.run(statement, rows)
        if verb == "RELEASE" and name and name[1].lower() == self._outermost:
            self.commit()
        return result

    def _enforce(self, statement: str) -> None:
        """Let foreign keys be off for all as long as they are for this one.

        That they are on is said by listeners of the application, for each connection.
        """
        shared = self._shared
        was = shared.run("PRAGMA foreign_keys").scalar()
        if not self._unenforced:
            if was and not _ON.search(statement):
                shared.run(statement)
                self._unenforced = shared.unenforced = True
        elif _ON.search(statement):
            self.enforce_again()

    def enforce_again(self) -> None:
        """End what it has switched off."""
        if self._unenforced:
            self._unenforced = False
            self._shared.enforce_again()

    def _begins(self, verb: str) -> bool:
        if self._autocommit in (True, False):
            return self._autocommit is False
        return self._level is not None and verb in _BEGINS

    @contextlib.contextmanager
    def as_written(self) -> Iterator[None]:
        """Begin no transaction but by BEGIN."""
        level, autocommit = self._level, self._autocommit
        self._level, self._autocommit = None, -1
        try:
            yield
        finally:
            self._level, self._autocommit = level, autocommit

    # ------------------------------------------------------------ its transaction

    def _wait(self) -> None:
        """Let another thread's transaction end.

        :raises Exception: it does not, or it is one of this thread, which cannot go on then.
        """
        started = time.monotonic()
        while (writer := self._shared.writer) is not None and writer is not self:
            left = started + _PATIENCE - time.monotonic()
            if writer.thread == threading.get_ident() or left <= 0:
                raise self._shared.locked()
            self._shared.turns.wait(left)

    def _claim(self) -> None:
        if self._writes:
            return
        self._wait()
        self._shared.run(f"SAVEPOINT {SAVEPOINT}")
        self._shared.writer, self._writes = self, True
        self.thread = threading.get_ident()

    def _end(self, *statements: str) -> None:
        writes, self._writes = self._writes, False
        self._begun, self._outermost = False, ""
        if writes and self._shared.active:
            with self._shared.turns:
                try:
                    for statement in statements:
                        self._shared.run(statement)
                finally:
                    self._shared.writer = None
                    self._shared.turns.notify_all()

    def commit(self) -> None:
        """Keep what it has written, as part of the run's transaction."""
        self._end(f"RELEASE {SAVEPOINT}")

    def rollback(self) -> None:
        """Undo what it has written, and nothing else."""
        self._end(f"ROLLBACK TO {SAVEPOINT}", f"RELEASE {SAVEPOINT}")

    def close(self) -> None:
        """Close the connection that it stands in for."""
        self.rollback()
        if self.spare is not self._shared.driver:
            self.spare.close()

    @property
    def in_transaction(self) -> bool:
        return self._begun

    @property
    def isolation_level(self) -> str | None:
        return self._level

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        if level is None:
            self.commit()
        self._level = level

    @property
    def text_factory(self) -> Any:
        return self._shared.driver.text_factory

    @text_factory.setter
    def text_factory(self, factory: Any) -> None:
        raise self._shared.errors.NotSupportedError(
            "text_factory cannot change during a run; CAST(... AS BLOB) gives bytes"
        )

    @property
    def autocommit(self) -> Any:
        return self._autocommit

    @autocommit.setter
    def autocommit(self, value: Any) -> None:
        if value is True:
            self.commit()
        self._autocommit = value


class SecondCursor:
    """Stands in for a cursor of the driver."""

    def __init__(self, connection: SecondConnection) -> None:
        self.connection = connection
        self.arraysize = 1
        self.row_factory = connection.row_factory
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self._rows: Any = None

    def execute(self, statement: str, parameters: Any = ()) -> SecondCursor:
        rows = [_row(parameters)] if parameters else None
        return self._take(self.connection.run(statement, rows))

    def executemany(self, statement: str, rows: Iterable[Any]) -> SecondCursor:
        if listed := [_row(each) for each in rows]:
            self._take(self.connection.run(statement, listed))
        return self

    def executescript(self, script: str) -> SecondCursor:
        """Commit, then run one statement after the other, as the driver does.

        https://docs.python.org/3/library/sqlite3.html#sqlite3.Cursor.executescript
        """
        self.connection.commit()
        with self.connection.as_written():
            return self._script(script)

    def _script(self, script: str) -> SecondCursor:
        for statement in statements_of(script):
            if verb_of(statement)[0]:
                self.execute(statement)
        return self

    def _take(self, result: Any) -> SecondCursor:
        self.description, self._rows, self.rowcount = None, None, -1
        if result is not None:
            real = result.context.cursor
            self.rowcount, self.lastrowid = real.rowcount, real.lastrowid
            if result.returns_rows:
                self._rows, self.description = real, real.description
                if self.row_factory is not None:
                    real.row_factory = self.row_factory
        return self

    def fetchone(self) -> Any:
        return self._rows.fetchone() if self._rows is not None else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        wanted = self.arraysize if size is None else size
        return list(self._rows.fetchmany(wanted)) if self._rows is not None else []

    def fetchall(self) -> list[Any]:
        return list(self._rows.fetchall()) if self._rows is not None else []

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows if self._rows is not None else ())

    def __next__(self) -> Any:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def setinputsizes(self, *_sizes: Any) -> None:
        """Without effect, as in the driver."""

    def setoutputsize(self, *_size: Any) -> None:
        """Without effect, as in the driver."""

    def close(self) -> None:
        if self._rows is not None:
            self._rows.close()
            self._rows = None


def _row(parameters: Any) -> Any:
    return dict(parameters) if isinstance(parameters, Mapping) else tuple(parameters)
