"""What a statement does to the tables of a PostgreSQL database: locks, rewrites, scans."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from flask_safemigrate.backends.contract import Room, Target
from flask_safemigrate.backends.local import is_running_here, room_in
from flask_safemigrate.backends.postgresql.programs import connected
from flask_safemigrate.outcome import Effect

#: From the weakest to the strongest, with who waits for whoever holds it.
#: https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
_MODES = {
    "AccessShareLock": ("ACCESS SHARE", "nobody"),
    "RowShareLock": ("ROW SHARE", "nobody"),
    "RowExclusiveLock": ("ROW EXCLUSIVE", "nobody"),
    "ShareUpdateExclusiveLock": ("SHARE UPDATE EXCLUSIVE", "nobody"),
    "ShareLock": ("SHARE", "writers"),
    "ShareRowExclusiveLock": ("SHARE ROW EXCLUSIVE", "writers"),
    "ExclusiveLock": ("EXCLUSIVE", "writers"),
    "AccessExclusiveLock": ("ACCESS EXCLUSIVE", "readers and writers"),
}
_RANK = {mode: rank for rank, mode in enumerate(_MODES)}
_USER = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_NAME = "CASE WHEN pg_table_is_visible(c.oid) THEN '' ELSE n.nspname || '.' END || c.relname"
_TABLES = f"""
    SELECT c.oid::bigint, {_NAME} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' AND {_USER}
"""
_INDEXES = """
    SELECT i.indexrelid::bigint, i.indrelid::bigint, c.relname
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
"""
# The number of scans is that of the transaction that is open, as it is counted by this session.
_STATE = """
    SELECT c.oid::bigint, pg_relation_filenode(c.oid)::bigint,
        pg_stat_get_xact_numscans(c.oid)::bigint
    FROM pg_class c WHERE c.relkind IN ('r', 'm') AND c.oid >= 16384
"""
_LOCKS = """
    SELECT relation::bigint, mode FROM pg_locks
    WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted
"""
# Statements that the server refuses in a transaction; what they lock is gone when they are done.
_CONCURRENTLY = re.compile(r"\bCONCURRENTLY\b", re.IGNORECASE)
_BUILDS = re.compile(r"\s*(?:CREATE|REINDEX)\b", re.IGNORECASE)
_IN_TRANSACTION = re.compile(r"\s*(?:ALTER\s+TABLE|CREATE|DROP|UPDATE|DELETE|INSERT)\b", re.I)
_NEVER = re.compile(r"\s*(?:CREATE|DROP)\s+(?:DATABASE|TABLESPACE|SUBSCRIPTION)\b", re.IGNORECASE)
# It gives a table a new file too, with nothing in it.
_EMPTIES = re.compile(r"\s*TRUNCATE\b", re.IGNORECASE)
_WORDS = re.compile(r'"((?:[^"]|"")+)"|([^\W\d][\w$]*)')


class _Seen(NamedTuple):
    """The state of the tables at a moment.

    :param held: modes by table.
    :param files: the file of a table, by table.
    :param scans: how often it was read in this transaction, by table.
    """

    held: Mapping[int, frozenset[str]]
    files: Mapping[int, int | None]
    scans: Mapping[int, int]


class Tracer:
    """Looks at the tables that were there when it was made, before and after each statement.

    A statement outside of any transaction gets one, where the server allows it, so that its locks
    are there to be seen when it is done.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tables = {int(oid): str(name) for oid, name in self._ask(_TABLES)}
        self._begun = False
        self._statement = ""
        self._seen = _Seen({}, {}, {})

    def _ask(self, *statements: str) -> list[Any]:
        """Ask by the driver, so that nobody hears of it."""
        with closing(self._connection.connection.cursor()) as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def _look(self) -> _Seen:
        held: dict[int, set[str]] = {}
        for oid, mode in self._ask(_LOCKS):
            if oid in self._tables:
                held.setdefault(oid, set()).add(mode)
        state = [row for row in self._ask(_STATE) if row[0] in self._tables]
        return _Seen(
            {oid: frozenset(modes) for oid, modes in held.items()},
            {oid: file for oid, file, _ in state},
            {oid: scans or 0 for oid, _, scans in state},
        )

    def before(self, statement: str, parameters: Any) -> str:
        driver: Any = self._connection.connection.driver_connection
        self._statement, self._begun = statement, False
        alone = _CONCURRENTLY.search(statement) or _NEVER.match(statement)
        if driver.autocommit and _IN_TRANSACTION.match(statement) and not alone:
            self._ask("BEGIN")
            self._begun = True
        self._seen = self._look()
        return statement

    def after(self) -> tuple[tuple[Effect, ...], str]:
        before, now = self._seen, self._look()
        self._end("COMMIT")
        found = {}
        named = self._named()
        for oid, name in self._tables.items():
            held, had = now.held.get(oid, frozenset()), before.held.get(oid, frozenset())
            mode = max(held, key=_RANK.__getitem__, default="")
            lock, waits = _MODES.get(mode, ("", "nobody"))
            is_there = oid in now.files
            rewritten = is_there and now.files[oid] != before.files.get(oid)
            rewritten = rewritten and not _EMPTIES.match(self._statement)
            read = rewritten or now.scans.get(oid, 0) > before.scans.get(oid, 0)
            if held - had or rewritten or read or (held and oid in named):
                found[oid] = Effect(name, lock, waits, mode in had, rewritten, read)
        if _CONCURRENTLY.search(self._statement):
            lock, waits = _MODES["ShareUpdateExclusiveLock"]
            builds = _BUILDS.match(self._statement) is not None
            for oid in named:
                found[oid] = Effect(self._tables[oid], lock, waits, read=builds)
        return tuple(found.values()), ""

    def _named(self) -> list[int]:
        """The tables that a statement names, or whose indexes it names."""
        words = {
            quoted.replace('""', '"') if quoted else word.lower()
            for quoted, word in _WORDS.findall(self._statement)
        }
        indexes = {table for _, table, name in self._ask(_INDEXES) if name in words}
        return [
            oid
            for oid, name in self._tables.items()
            if name.rpartition(".")[2] in words or oid in indexes
        ]

    def failed(self) -> None:
        self._end("ROLLBACK")

    def _end(self, how: str) -> None:
        if self._begun:
            self._begun = False
            self._ask(how)


_SIZES = text(f"""
    SELECT {_NAME}, CASE WHEN c.reltuples < 0 THEN NULL ELSE c.reltuples::bigint END,
        pg_total_relation_size(c.oid)::bigint
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND {_USER}
""")


def room(target: Target) -> Room:
    """Ask what the tables take, and what is free where the server runs on this machine."""
    with connected(target) as connection:
        tables = {name: (rows, size) for name, rows, size in connection.execute(_SIZES)}
        here = connection.execute(
            text(
                "SELECT pg_backend_pid(), CASE WHEN pg_has_role(current_user, "
                "'pg_read_all_settings', 'USAGE') THEN current_setting('data_directory') END, "
                "inet_server_addr() IS NULL OR host(inet_server_addr()) IN ('127.0.0.1', '::1')"
            )
        ).one()
    backend, folder, near = here
    is_here = near and folder and is_running_here(int(backend), ("postgres", "postmaster"))
    return Room(tables, room_in(folder) if is_here else None)
