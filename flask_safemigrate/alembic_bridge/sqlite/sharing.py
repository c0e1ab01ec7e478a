"""Lets whatever else of this process connects to the file of a run join its transaction."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import unquote

from sqlalchemy import Connection, Engine, Pool, event

from flask_safemigrate.alembic_bridge import audit
from flask_safemigrate.alembic_bridge.sqlite.literals import is_read
from flask_safemigrate.alembic_bridge.sqlite.second import (
    SecondConnection,
    SharedConnection,
    verb_of,
)
from flask_safemigrate.errors import MigrationFailed
from flask_safemigrate.names import MEMORY

HINT = "use op.get_bind(), which sees what the revisions before have done"

#: Runs that are going on.
_going_on: list[Sharing] = []
#: Arguments of the driver that are about how a connection behaves.
_OF_CONNECTIONS = ("autocommit", "cached_statements", "detect_types", "isolation_level")
#: Drivers of the sqlite3 kind: pysqlite3, sqlcipher3, aiosqlite.
_SQLITE = re.compile(r"sqlite|sqlcipher")
#: What Python 3.12 and later say of a thread that starts; before, those of a revision are known
#: by its code, which runs in them.
_STARTS = ("_thread.start_new_thread", "_thread.start_joinable_thread")
_HEARD = ("sqlite3.connect", *_STARTS)


def is_second(connection: Connection) -> bool:
    """Whether a connection speaks through that of a run."""
    return speaks_for_another(connection.connection)


def speaks_for_another(fairy: Any) -> bool:
    """Whether what a pool has handed out speaks through the connection of a run."""
    return isinstance(fairy.dbapi_connection, SecondConnection)


def is_of_run(driver: Any) -> bool:
    """Whether a connection of the driver's is that of a run, or of its ``env.py``."""
    return any(sharing.has(driver) for sharing in _going_on)


def is_stood_for(dialect: Any, places: Any) -> bool:
    """Whether a run stands in for what is to be connected to, so that nothing real is reached.

    :param places: what the driver is given, as in SQLAlchemy's ``do_connect``.
    """
    return any(each.stand_in(dialect, places) is not None for each in _going_on)


class _Place(NamedTuple):
    """A database whose connection is shared.

    :param files: of the database, and of the one that it is a copy of.
    :param drivers: the run's connection and that of ``env.py``.
    :param tried: whether it stands for a real one, which must not be opened.
    :param scratch: whether it does so in memory.
    """

    shared: SharedConnection
    files: frozenset[str]
    drivers: tuple[Any, Any]
    tried: bool
    scratch: bool


class Sharing:
    """The second connections of one run, over all its databases.

    Connections of the threads that revisions start join it too; those of threads that were there
    before, such as an application's own, stay apart.

    :param folder: where the migrations are.
    :param outside: the bind key of a connection to a database whose own revisions are still to
        run, None for others.
    """

    def __init__(
        self, folder: Path, outside: Callable[[Connection], str | None] = lambda connection: None
    ) -> None:
        self._folder = folder.resolve()
        self._of_others = outside
        self._script = self._folder
        self._shared: list[_Place] = []
        self._handed_out: dict[int, tuple[SharedConnection, weakref.ref[Any], Any]] = {}
        self._found: list[weakref.ref[Any]] = []
        self._stand_ins: dict[int, tuple[SharedConnection, Any]] = {}
        self._revision: str | None = None
        self._stopped: MigrationFailed | None = None
        self._thread = threading.get_ident()
        self._process = os.getpid()
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._listeners: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
            (Engine, "do_connect", self._connect),
            (Pool, "checkout", self._checkout),
            (Pool, "checkin", self._checkin),
            (Engine, "before_execute", self._before_execute),
            (Engine, "before_cursor_execute", self._before_statement),
            (Engine, "after_cursor_execute", self._after_statement),
            (Engine, "commit", self._before_end),
            (Engine, "rollback", self._before_end),
        )

    def begin(
        self, connection: Connection, given: Connection, level: str | None
    ) -> SharedConnection:
        """Share the connection of a run from now on, until its transaction ends.

        :param given: the connection of ``env.py``; where the run is on a copy, it leads to what
            was copied.
        :param level: the driver's ``isolation_level`` before the run.
        """
        if not self._shared:
            audit.listen(_HEARD, self.hear)
            _going_on.append(self)
            for target, name, listener in self._listeners:
                # Before those that look what a revision reaches: this never leads outside.
                event.listen(target, name, listener, insert=True)
        shared = SharedConnection(connection, level)
        real = given.connection.driver_connection
        drivers = (shared.driver, real)
        files = frozenset(file for file in map(file_of, drivers) if file)
        tried = shared.driver is not real
        scratch = tried and file_of(shared.driver) == ""
        self._shared.append(_Place(shared, files, drivers, tried, scratch))
        return shared

    def end(self) -> None:
        """Give every pool its own connections back."""
        if not self._shared:
            return
        audit.leave(_HEARD, self.hear)
        _going_on.remove(self)
        for target, name, listener in self._listeners:
            event.remove(target, name, listener)
        for each in self._shared:
            self._end(each.shared)
        self._shared.clear()

    def _end(self, shared: SharedConnection) -> None:
        shared.end()
        for owner, reference, record in tuple(self._handed_out.values()):
            if owner is shared:
                fairy = reference()
                if fairy is not None and self._is_stand_in(fairy.dbapi_connection):
                    fairy.invalidate()
                _give_back(fairy)
                self._give_back(record)
        for reference in self._found:
            _give_back(reference())

    @property
    def running(self) -> str | None:
        """The revision whose code runs."""
        return self._revision

    @contextlib.contextmanager
    def revision(self, revision: str, path: str) -> Iterator[None]:
        """Run a revision inside.

        :param path: its file.
        :raises MigrationFailed: it has opened the file in a way that cannot be served, or has
            left the transaction of a second connection open.
        """
        self._revision, self._stopped = revision, None
        self._script = Path(path).resolve().parent
        try:
            yield
            if self._stopped is None:
                self._must_be_settled(revision)
        finally:
            self._revision = None
            # A revision may have caught it, and gone on as if there were no such file.
            if self._stopped is not None:
                raise self._stopped

    def _must_be_settled(self, revision: str) -> None:
        for each in self._shared:
            each.shared.enforce_again()
            if each.shared.writer is not None:
                raise MigrationFailed(
                    f"Revision '{revision}' has written through a second connection (a session"
                    " or an engine) and has not committed it.",
                    revision=revision,
                    hint="call commit() on it before the revision ends, or use op.get_bind()",
                )

    # ------------------------------------------------------------ whose connection it is

    def _is_ours(self) -> bool:
        """Whether this thread runs the revisions, or was started by one."""
        if os.getpid() != self._process:
            # The child of a fork has the parent's connection, and must not use it
            # (https://sqlite.org/howtocorrupt.html, section 2.6).
            if self._revision is not None:
                self.stop("connects to the database in a forked process", HINT)
            return False
        if threading.get_ident() == self._thread:
            return True
        if threading.current_thread() in self._threads:
            return True
        return self._revision is not None and self._place() is not None

    def _of_file(self, file: str) -> SharedConnection | None:
        for place in self._shared:
            if place.shared.active and any(_same_file(file, each) for each in place.files):
                return place.shared
        return None

    def _of(self, dbapi: Any) -> SharedConnection | None:
        """The shared connection that one of the driver's has to speak through."""
        for place in self._shared:
            if place.shared.active and any(dbapi is each for each in place.drivers):
                return place.shared
        if id(dbapi) in self._stand_ins:
            return self._stand_ins[id(dbapi)][0]
        file = file_of(dbapi)
        if file == "" and self._revision is not None:
            return self._scratch()
        return self._of_file(file) if file else None

    def has(self, driver: Any) -> bool:
        """Whether it is the run's own connection to one of the databases."""
        return any(driver is each for place in self._shared for each in place.drivers)

    def _place(self) -> tuple[str, int] | None:
        """The innermost line of a migration file that is running in this thread."""
        for frame, line in traceback.walk_stack(None):
            path = Path(frame.f_code.co_filename)
            if path.name != "env.py" and path.suffix == ".py":
                path = path.resolve()
                for folder in (self._folder, self._script):
                    if path.is_relative_to(folder):
                        return str(path.relative_to(folder.parent)), line
        return None

    def stop(self, what: str, hint: str) -> NoReturn:
        """Stop the revision, also where it catches the error.

        :param what: what it does, behind its name.
        :raises MigrationFailed: always.
        """
        place = self._place()
        where = f' in "{place[0]}", line {place[1]},' if place is not None else ""
        self._stopped = MigrationFailed(
            f"Revision '{self._revision}'{where} {what}.", revision=self._revision, hint=hint
        )
        raise self._stopped

    # ------------------------------------------------------------ what pools and engines say

    def _checkout(self, dbapi: Any, record: Any, fairy: Any) -> None:
        if not self._is_ours():
            return
        shared = self._of(dbapi)
        if shared is None:
            return
        if "aiosqlite" in type(dbapi).__module__:
            self.stop("connects to the database by an asynchronous engine", HINT)
        second = SecondConnection(shared, dbapi)
        fairy.dbapi_connection = second
        # A pool of one connection has the run's own, or that of env.py, in its record.
        if not self.has(dbapi):
            record.dbapi_connection = second
        self._handed_out[id(record)] = shared, weakref.ref(fairy), record

    def _checkin(self, _dbapi: Any, record: Any) -> None:
        self._give_back(record)

    def _give_back(self, record: Any) -> None:
        self._handed_out.pop(id(record), None)
        if self._is_stand_in(record.dbapi_connection):
            # It leads to no database; the pool opens one of its own the next time.
            record.invalidate()
        _give_back(record)

    def stand_in(self, dialect: Any, places: Any) -> SharedConnection | None:
        """What a revision is to reach in place of a database that is not to be touched."""
        if self._revision is None or dialect.name != "sqlite" or dialect.is_async or not places:
            return None
        if not any(place.tried for place in self._shared) or not self._is_ours():
            return None
        file = named_file(places[0])
        shared = self._of_file(file) if file else self._scratch()
        return shared if shared is not None and self._is_tried(shared) else None

    def _connect(self, dialect: Any, _record: Any, places: Any, arguments: Any) -> Any:
        """Open nothing where a real database is not to be touched."""
        shared = self.stand_in(dialect, places)
        if shared is None:
            return None
        kept = {name: arguments[name] for name in _OF_CONNECTIONS if name in arguments}
        dbapi = dialect.loaded_dbapi.connect(MEMORY, check_same_thread=False, **kept)
        self._stand_ins[id(dbapi)] = shared, dbapi
        return dbapi

    def _scratch(self) -> SharedConnection | None:
        """The scratch database; its address says no more than that it is in memory."""
        return next((each.shared for each in self._shared if each.scratch), None)

    def _is_tried(self, shared: SharedConnection) -> bool:
        return any(each.tried and each.shared is shared for each in self._shared)

    def _is_stand_in(self, dbapi: Any) -> bool:
        own = dbapi.spare if isinstance(dbapi, SecondConnection) else dbapi
        return id(own) in self._stand_ins

    def _before_execute(self, connection: Any, *_rest: Any) -> None:
        """Let a connection join that was handed out before the run began, as to a session."""
        shared = self._outside(connection)
        if shared is not None:
            fairy = connection.connection
            dbapi = fairy.dbapi_connection
            if dbapi.in_transaction:
                dbapi.rollback()  # what it has read is from before the run
            fairy.dbapi_connection = SecondConnection(shared, dbapi)
            self._found.append(weakref.ref(fairy))

    def _before_statement(
        self, connection: Any, _cursor: Any, statement: str, *_rest: Any
    ) -> None:
        if self._outside(connection) is not None:
            self.stop("works on a connection to the database from before the run", HINT)
        if self._revision is None or is_read(statement) or connection.dialect.name != "sqlite":
            return
        if any(connection is each.shared.connection for each in self._shared):
            return
        if not is_second(connection) and self._is_ours():
            bind = self._of_others(connection)
            if bind is not None:
                # It would be committed by itself, and stay when the run is undone.
                self.stop(
                    f"writes to {f'bind {bind!r}' if bind else 'the default database'}, whose"
                    " own revisions run later",
                    "let a revision of that database write to it, by op.get_bind()",
                )

    def _outside(self, connection: Any) -> SharedConnection | None:
        """What a connection should speak through and does not."""
        dbapi = connection.connection.dbapi_connection
        if self._revision is None or isinstance(dbapi, SecondConnection):
            return None
        if any(dbapi is each.shared.driver for each in self._shared) or not self._is_ours():
            return None
        return self._of(dbapi)

    def _after_statement(self, connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if self._revision is None or verb_of(statement)[0] != "ATTACH" or not self._is_ours():
            return
        dbapi = connection.connection.dbapi_connection
        if isinstance(dbapi, sqlite3.Connection):
            _main, *attached = [row[2] for row in dbapi.execute("PRAGMA database_list")]
            if any(self._of_file(file) is not None for file in attached if file):
                self.stop("attaches the database to another connection", HINT)

    def _before_end(self, connection: Any) -> None:
        """The run's transaction ends; a second user of its connection must not do that."""
        for shared in [each.shared for each in self._shared if each.shared.active]:
            if connection is shared.connection:
                if self._revision is None:
                    self._end(shared)
            elif (
                self._revision is not None
                and connection.connection.dbapi_connection is shared.driver
            ):
                self.stop("connects by an engine that has but one connection", HINT)

    def hear(self, name: str, arguments: tuple[Any, ...]) -> None:
        if self._revision is None:
            return
        if name in _STARTS:
            thread = getattr(arguments[0], "__self__", None)
            if isinstance(thread, threading.Thread) and self._is_ours():
                self._threads.add(thread)
            return
        file = named_file(arguments[0])
        if not file or self._of_file(file) is None or not self._is_ours():
            return
        if any(
            frame.f_globals.get("__name__", "").startswith("sqlalchemy.pool")
            for frame, _ in traceback.walk_stack(None)
        ):
            return
        self.stop("opens the database by itself (sqlite3.connect)", HINT)


def _give_back(holder: Any) -> None:
    """Let what a pool has handed out, or keeps, have its own connection again."""
    if holder is not None and isinstance(holder.dbapi_connection, SecondConnection):
        holder.dbapi_connection.enforce_again()
        holder.dbapi_connection = holder.dbapi_connection.spare


def file_of(dbapi: Any) -> str | None:
    """The file of a driver's connection, "" for one in memory, None where it is no SQLite."""
    try:
        if not isinstance(dbapi, sqlite3.Connection) and not _SQLITE.search(
            type(dbapi).__module__
        ):
            return None
        cursor = dbapi.cursor()
        cursor.execute("PRAGMA database_list")
        rows = cursor.fetchall()
    except Exception:
        return None
    return next((os.fsdecode(row[2] or "") for row in rows if row[0] == 0), "")


def named_file(database: Any) -> str:
    """The file that ``sqlite3.connect`` is asked for, "" for none."""
    try:
        name = os.fsdecode(database)
    except TypeError:
        return ""
    if name.startswith("file:"):
        name = name[5:].partition("#")[0].partition("?")[0]
        if name.startswith("//"):
            name = "/" + name[2:].partition("/")[2]
        name = unquote(name)
    return "" if name == MEMORY else name


def _same_file(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return bool(one and other) and os.path.samefile(one, other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
