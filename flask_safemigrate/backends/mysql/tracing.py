"""By which algorithm MariaDB and MySQL alter a table, and who waits meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from flask_safemigrate.backends.contract import Room, Target
from flask_safemigrate.backends.driver_errors import error_number
from flask_safemigrate.backends.local import is_running_here, room_in
from flask_safemigrate.backends.mysql.programs import connected
from flask_safemigrate.outcome import Effect

_NAME = r"(?:`(?:[^`]|``)+`|[\w$]+)"
_ALTERS = re.compile(
    rf"\s*ALTER\s+(?:ONLINE\s+)?(?:IGNORE\s+)?TABLE\s+(?:IF\s+EXISTS\s+)?({_NAME})\s+", re.I
)
_INDEXES = re.compile(
    rf"\s*(?:CREATE\s+(?:OR\s+REPLACE\s+)?(?:UNIQUE\s+|FULLTEXT\s+|SPATIAL\s+)?|DROP\s+)INDEX\b"
    rf".*?\bON\s+({_NAME})",
    re.IGNORECASE | re.DOTALL,
)
_CREATES = re.compile(r"\s*CREATE\b", re.IGNORECASE)
# MariaDB lets nobody choose in DROP INDEX.
_DROPS = re.compile(rf"\A\s*DROP\s+INDEX\s+({_NAME})\s+ON\s+({_NAME})\Z", re.IGNORECASE)
_DROPS_INDEX = re.compile(r"\s*(?:ALTER\s.*\s)?DROP\s+(?:INDEX|KEY)\b", re.IGNORECASE | re.DOTALL)
_CHOSEN = re.compile(r"\b(?:ALGORITHM|LOCK)\s*=", re.IGNORECASE)
#: "Not supported", which is said of an algorithm or of a lock.
#: https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
_REFUSED = (1845, 1846)


class _Way(NamedTuple):
    """A way to alter a table, from the one that disturbs least on.

    :param of: whose it is, "" for both.
    """

    algorithm: str
    lock: str
    waits: str
    of: str = ""


# NOCOPY is INPLACE that builds no more than indexes: https://mariadb.com/kb/en/alter-table/
_WAYS = (
    _Way("INSTANT", "", "nobody"),
    _Way("NOCOPY", "NONE", "nobody", "mariadb"),
    _Way("NOCOPY", "SHARED", "writers", "mariadb"),
    _Way("INPLACE", "NONE", "nobody"),
    _Way("INPLACE", "SHARED", "writers"),
    _Way("COPY", "NONE", "nobody", "mariadb"),
)
_COPY = _Way("COPY", "SHARED", "writers")


class Tracer:
    """Tries the ways to alter a table, the best one first, and so finds the one that it gets."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._mariadb = bool(getattr(connection.dialect, "is_mariadb", False))
        with self._cursor() as cursor:
            cursor.execute("SHOW TABLES")
            self._tables = {str(row[0]) for row in cursor.fetchall()}
        self._table = ""
        self._way: _Way | None = None
        self._drops = False
        self._space: tuple[Any, ...] | None = None

    def _cursor(self) -> Any:
        """A cursor of the driver, so that nobody hears of what it says."""
        return closing(self._connection.connection.cursor())

    def before(self, statement: str, parameters: Any) -> str:
        match = _ALTERS.match(statement) or _INDEXES.match(statement)
        name = match[1] if match else ""
        self._table = name[1:-1].replace("``", "`") if name.startswith("`") else name
        self._way, self._drops = None, _DROPS_INDEX.match(statement) is not None
        if match is None or self._table not in self._tables or _CHOSEN.search(statement):
            self._table = ""
            return statement
        self._space = self._identity()
        for way in self._ways():
            said = self._try(statement, parameters, way, comma=not _CREATES.match(statement))
            if said is None:
                self._way = way
                # It is done.
                return "DO 0"
            if said not in _REFUSED:
                # What is wrong with it has nothing to do with the way.
                return statement
        self._way = _COPY
        return statement

    def _ways(self) -> Iterator[_Way]:
        mine = "mariadb" if self._mariadb else "mysql"
        return (way for way in _WAYS if way.of in ("", mine))

    def _try(self, statement: str, parameters: Any, way: _Way, *, comma: bool) -> int | None:
        """Run a statement in one way only; the number of the error, None where it worked."""
        between = ", " if comma else " "
        lock = f"{between}LOCK={way.lock}" if way.lock else ""
        plain = _DROPS.sub(r"ALTER TABLE \2 DROP INDEX \1", statement.rstrip().rstrip(";"))
        chosen = f"{plain}{between}ALGORITHM={way.algorithm}{lock}"
        driver = self._connection.dialect.loaded_dbapi
        try:
            with self._cursor() as cursor:
                cursor.execute(chosen, parameters)
        except driver.Error as error:
            return error_number(error) or 0
        return None

    def _identity(self) -> tuple[Any, ...] | None:
        """What changes when InnoDB builds a table anew; None for who may not ask."""
        known = "innodb_sys_tables" if self._mariadb else "innodb_tables"
        with suppress(Exception), self._cursor() as cursor:
            cursor.execute("SELECT DATABASE()")
            (database,) = cursor.fetchone()
            cursor.execute(
                f"SELECT table_id FROM information_schema.{known} WHERE name = "
                f"'{database}/{_file_name(self._table)}'"
            )
            return tuple(cursor.fetchone() or ()) or None
        return None

    def after(self) -> tuple[tuple[Effect, ...], str]:
        way, self._way = self._way, None
        if way is None:
            return (), ""
        before, now = self._space, self._identity()
        anew = before is not None and now is not None and before != now
        rewritten = way.algorithm == "COPY" or (way.algorithm == "INPLACE" and anew)
        if self._mariadb and way.algorithm == "INPLACE":
            rewritten = True
        read = rewritten or not (way.algorithm == "INSTANT" or self._drops)
        return (Effect(self._table, way.lock, way.waits, False, rewritten, read),), way.algorithm

    def failed(self) -> None:
        self._way = None


def _file_name(table: str) -> str:
    """A table's name as InnoDB keeps it.

    https://dev.mysql.com/doc/refman/8.4/en/identifier-mapping.html
    """
    plain = re.compile(r"[A-Za-z0-9_]")
    return "".join(c if plain.match(c) else f"@{ord(c):04x}" for c in table)


_SIZES = text("""
    SELECT table_name AS name, table_rows AS number,
        coalesce(data_length, 0) + coalesce(index_length, 0) AS size
    FROM information_schema.tables WHERE table_schema = database() AND table_type <> 'VIEW'
""")


def room(target: Target) -> Room:
    """Ask what the tables take, and what is free where the server runs on this machine."""
    with connected(target) as connection:
        tables = {
            str(name): (None if rows is None else int(rows), int(size))
            for name, rows, size in connection.execute(_SIZES)
        }
        folder, file = connection.execute(text("SELECT @@datadir, @@pid_file")).one()
    process = 0
    with suppress(OSError, ValueError):
        process = int((Path(str(folder)) / str(file)).read_text(encoding="ascii"))
    is_here = bool(process) and is_running_here(process, ("mysqld", "mariadbd"))
    return Room(tables, room_in(str(folder)) if is_here else None)
