"""Where an SQLite database is, and connections to it that are our own."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from sqlalchemy import Engine

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.sqlite import holders
from flask_safemigrate.names import MEMORY

_JOURNAL_HEADER = bytes.fromhex("d9d505f920a163d7")
#: Seconds that one of our statements waits for another connection's lock.
BUSY_SECONDS = 5.0
_TRUE = ("1", "true", "yes", "on", "y", "t")
# Arguments of the driver, which SQLAlchemy takes out of the query part of the URL.
_DRIVER_ARGUMENTS = (
    "uri",
    "timeout",
    "isolation_level",
    "detect_types",
    "check_same_thread",
    "cached_statements",
    "kdf_iter",
    "cipher",
    "cipher_page_size",
    "cipher_use_hmac",
)


class DatabaseFile(NamedTuple):
    """An SQLite database that is a file.

    :param path: absolute, symbolic links resolved, as SQLite itself does to find the journal.
    :param parameters: what the application's ``file:`` URI says, such as ``nolock`` or ``vfs``.
    """

    path: Path
    engine: Engine
    parameters: Mapping[str, str] = {}

    @property
    def companion_wal(self) -> Path:
        """The write-ahead log."""
        return self.path.with_name(self.path.name + "-wal")

    @property
    def companion_journal(self) -> Path:
        """The rollback journal."""
        return self.path.with_name(self.path.name + "-journal")

    @property
    def size(self) -> int:
        """Bytes of the database and its write-ahead log; 0 where there is no file."""
        return _size(self.path) + _size(self.companion_wal)

    @property
    def encrypted(self) -> bool:
        """Whether the application reads it through SQLCipher."""
        return self.engine.dialect.driver == "pysqlcipher"

    @property
    def read_only_by_url(self) -> bool:
        """Whether the application's own URI forbids to write."""
        return self.parameters.get("mode") == "ro" or _is_true(self.parameters.get("immutable"))

    @property
    def read_only(self) -> bool:
        """Whether this process could not change it: file, folder or the application's own URI."""
        if self.read_only_by_url:
            return True
        writable = os.access(self.path.parent, os.W_OK)
        return not writable or (self.path.exists() and not os.access(self.path, os.W_OK))


def _is_true(value: str | None) -> bool:
    return (value or "").strip().lower() in _TRUE


def driver_of(engine: Engine) -> Any:
    """The module that connects: the application's, or the standard library's for async URLs."""
    return sqlite3 if engine.dialect.is_async else engine.dialect.dbapi


def find(target: Target) -> DatabaseFile | None:
    """Find the file of a database; None where it lives in memory.

    A URL that names no file may still have one, if the application gave ``creator=`` to its
    engine: so the engine itself is asked then.

    :raises sqlite3.Error: the engine of such a database cannot connect.
    """
    url = target.engine.url
    database = url.database or MEMORY
    query = {k: v if isinstance(v, str) else v[-1] for k, v in url.query.items()}
    parameters: dict[str, str] = {}
    if _is_true(query.get("uri")) and database.startswith("file:"):
        parameters = {k: v for k, v in query.items() if k not in _DRIVER_ARGUMENTS}
        database = database.removeprefix("file:").partition("?")[0].partition("#")[0]
        if database.startswith("//"):
            database = "/" + database[2:].partition("/")[2]
        database = unquote(database, errors="surrogateescape") or MEMORY
    if database != MEMORY and parameters.get("mode") != "memory":
        return DatabaseFile(_real(database), target.engine, parameters)
    with in_memory(target) as connection:
        listed = {row[1]: row[2] for row in connection.execute("PRAGMA database_list")}
    return DatabaseFile(_real(listed["main"]), target.engine) if listed["main"] else None


def _real(database: str) -> Path:
    # Path.resolve() raises on a loop of links, which is for the reader of the state to report.
    return Path(os.path.realpath(database))


@contextlib.contextmanager
def in_memory(target: Target) -> Iterator[Any]:
    """Yield the driver's connection of the application's own engine.

    Nothing else can see a database in memory.
    """
    pooled = target.engine.raw_connection()
    try:
        yield pooled.driver_connection
    finally:
        pooled.close()


def uri_of(path: Path, parameters: Mapping[str, str]) -> str:
    """Return the ``file:`` URI of a path (https://www.sqlite.org/uri.html)."""
    query = "&".join(f"{quote(k)}={quote(v)}" for k, v in parameters.items())
    return f"{path.as_uri()}?{query}"


def connect(file: DatabaseFile, mode: str, *, timeout: float | None = None, **more: str) -> Any:
    """Open a connection of our own in the driver's autocommit mode.

    :param mode: ``ro``, ``rw`` or ``rwc``, as in an SQLite URI.
    :param timeout: seconds to wait for a lock, :data:`BUSY_SECONDS` unless given.
    :raises sqlite3.Error: the driver's own.
    """
    kept = {k: v for k, v in file.parameters.items() if k not in ("mode", "cache")}
    connection = driver_of(file.engine).connect(
        uri_of(file.path, {**kept, "mode": mode, **more}),
        uri=True,
        timeout=BUSY_SECONDS if timeout is None else timeout,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        if file.encrypted:
            set_key = file.engine.dialect.on_connect_url(file.engine.url)
            if set_key is not None:
                set_key(connection)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def reading(file: DatabaseFile) -> Iterator[Any]:
    """Yield a connection that reads the file, changes nothing in it and leaves nothing beside it.

    Where we may write, the connection is opened for writing and told not to: a read-only one
    leaves ``-wal`` and ``-shm`` behind on a database in WAL mode, and cannot roll back what a
    killed writer left in a journal (https://www.sqlite.org/wal.html#read_only_databases). Where
    a log is there already, it is the other way round: the last writer to close writes the log
    into the file, a reader does not. In a read-only folder a WAL database without a log is read
    as immutable.

    :raises sqlite3.Error: the driver's own.
    """
    connection = connect(file, "ro" if file.read_only or _size(file.companion_wal) else "rw")
    try:
        try:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("PRAGMA schema_version").fetchone()
        except driver_of(file.engine).OperationalError:
            unfinished = (file.companion_wal, file.companion_journal)
            if not file.read_only or any(map(_size, unfinished)):
                raise
            connection.close()
            connection = connect(file, "ro", immutable="1")
            connection.execute("PRAGMA schema_version").fetchone()
        yield connection
    finally:
        connection.close()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def left_behind(file: DatabaseFile) -> str:
    """Say which file a process that died has left beside the database.

    ``journal`` where a change is to be undone (its header is valid and nobody writes), ``log``
    where the last commits are in a write-ahead log that nobody has open, "" for none.
    https://www.sqlite.org/fileformat.html#the_rollback_journal
    """
    if _size(file.companion_journal) and not holders.writers_of(file.path):
        with contextlib.suppress(OSError), file.companion_journal.open("rb") as journal:
            if journal.read(len(_JOURNAL_HEADER)) == _JOURNAL_HEADER:
                return "journal"
    return "log" if _size(file.companion_wal) and not holders.in_use(file.path) else ""


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
