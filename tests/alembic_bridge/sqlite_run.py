"""Runs the bodies of revisions on an SQLite file through the engine, and reads the file."""

from __future__ import annotations

import linecache
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any, NoReturn

import sqlalchemy as sa
from alembic import op
from alembic.migration import MigrationContext
from sqlalchemy import event

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.errors import MigrationFailed
from flask_safemigrate.outcome import TableWork


@dataclass(frozen=True)
class Done:
    """What a run left: the engine's report."""

    work: tuple[TableWork, ...]
    script: tuple[str, ...]
    proven: tuple[str, ...]
    named: frozenset[str]

    def way(self, table: str) -> str:
        return next(each.way for each in self.work if each.table == table)


def seed(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.executescript(script)


def compiled(body: str) -> CodeType:
    """A revision body that tracebacks, and whoever looks at frames, find the source of."""
    file = f"<revision {hash(body)}>"
    linecache.cache[file] = len(body), None, body.splitlines(keepends=True), file
    return compile(body, file, "exec")


def _refuse(what: str, hint: str) -> NoReturn:
    raise MigrationFailed(f"The revision {what}.", revision=None, hint=hint)


def upgrade(
    path: Path,
    *bodies: str,
    foreign_keys: bool = False,
    options: sqlite.EngineOptions | None = None,
    context_options: dict[str, Any] | None = None,
    defensive: bool = False,
    names: dict[str, Any] | None = None,
) -> Done:
    """Run revision bodies, "r1" first, in one transaction; commit, or undo and raise.

    :param names: what the bodies find besides ``op`` and ``sa``.
    """
    engine = sa.create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")
        if foreign_keys:
            connection.execute("PRAGMA foreign_keys=ON")
        if defensive:
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)

    connection = engine.connect()
    connection.begin()
    driver: Any = connection.connection.driver_connection
    driver.isolation_level = None
    driver.execute("BEGIN IMMEDIATE")
    context = MigrationContext.configure(connection, opts=context_options or {})
    impl = sqlite.install(context, options or sqlite.EngineOptions())
    operations = sqlite.operations(context)
    operations._install_proxy()
    undo = sqlite.serve_raw_calls(connection, _refuse, "")
    try:
        for number, body in enumerate(bodies, 1):
            impl.revision = f"r{number}"
            impl.run(partial(exec, compiled(body), {"sa": sa, "op": op, **(names or {})}))
        impl.flush()
        proven = impl.prove()
        done = Done(impl.work, impl.script, proven, frozenset(impl.named))
        driver.execute("COMMIT")
        return done
    finally:
        if driver.in_transaction:
            driver.execute("ROLLBACK")
        undo()
        operations._remove_proxy()
        impl.detach()
        connection.close()
        engine.dispose()


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


Value = tuple[str, Any]


def rows(db: sqlite3.Connection, table: str) -> dict[Any, dict[str, Value]]:
    """All rows with the storage class of every value, by rowid (or by number without)."""
    columns = [row[1] for row in db.execute(f"PRAGMA table_xinfo({quote(table)})")]
    listed = ", ".join(f"typeof({quote(c)}), {quote(c)}" for c in columns)
    try:
        found = db.execute(f"SELECT oid, {listed} FROM {quote(table)}").fetchall()
    except sqlite3.OperationalError:
        found = db.execute(f"SELECT NULL, {listed} FROM {quote(table)}").fetchall()
    return {
        (number if row[0] is None else row[0]): {
            column: (row[1 + 2 * place], row[2 + 2 * place])
            for place, column in enumerate(columns)
        }
        for number, row in enumerate(found)
    }


def dump(path: Path) -> dict[str, Any]:
    """Everything that can be read from the file."""
    with closing(sqlite3.connect(path)) as db:
        db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        master = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        tables = [
            name
            for kind, name, _, sql in master
            if kind == "table" and not (sql or "").upper().startswith("CREATE VIRTUAL")
        ]
        return {
            "master": sorted(master, key=repr),
            "rows": {name: rows(db, name) for name in tables},
            "settings": {
                name: db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("user_version", "application_id", "journal_mode", "auto_vacuum")
            },
            "check": db.execute("PRAGMA integrity_check").fetchall(),
            "orphans": db.execute("PRAGMA foreign_key_check").fetchall(),
        }


def probe(path: Path, copy: Path, statements: Iterable[str]) -> Any:
    """Run statements on a copy with foreign keys on: the last one's rows, or an error's class."""
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(copy)) as other:
        other.execute("PRAGMA synchronous=OFF")
        db.backup(other)
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA foreign_keys=ON")
        result: Any = None
        try:
            for statement in statements:
                result = db.execute(statement).fetchall()
        except sqlite3.Error as error:
            return type(error).__name__
        return result
