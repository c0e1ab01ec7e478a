"""Prove that an SQLite database is whole and that a migration touched only what it named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from flask_safemigrate.backends.reach import numbered, reached_from
from flask_safemigrate.backends.sqlite.files import quoted
from flask_safemigrate.checks.unusable import remedy, told
from flask_safemigrate.errors import VerificationFailed

#: Bytes up to which a database is small enough to count all its rows twice: some 0.05 s each.
COUNTED_BYTES = 64 * 1024 * 1024


class Watch(NamedTuple):
    """What there was before.

    :param objects: (kind, name) of every table and view, without the tables in which SQLite knows
        that a virtual one keeps its data.
    :param virtual: virtual tables, in lower case.
    :param texts: of every object of the schema.
    :param rows: rows of every table, None in a database that is too big to count.
    :param reach: to which other tables a write to a table may lead.
    """

    objects: frozenset[tuple[str, str]]
    virtual: frozenset[str]
    texts: tuple[str, ...]
    rows: Mapping[str, int] | None
    reach: Mapping[str, frozenset[str]]


def whole(connection: Connection) -> tuple[str, ...]:
    """Prove that every page, row and index entry is what SQLite wrote (integrity_check).

    Reads the whole database.

    :raises VerificationFailed: naming the first fault.
    """
    found = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check(3)")]
    # An application may have set text_factory to bytes.
    answers = [each.decode() if isinstance(each, bytes) else str(each) for each in found]
    if answers != ["ok"]:
        raise VerificationFailed(
            f"The database is damaged: {'; '.join(answers)}.", hint="flask db restore"
        )
    return ("the whole database passes SQLite's integrity_check",)


def begin_watch(connection: Connection) -> Watch:
    """Note which tables and views exist and, in a small database, how many rows they have."""
    virtual = _virtual(connection)
    objects = _objects(connection, virtual)
    size = int(
        connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        * connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    )
    if size > COUNTED_BYTES:
        return Watch(objects, virtual, _texts(connection), None, {})
    tables = [table for table in _tables(objects) if table.lower() not in virtual]
    return Watch(
        objects,
        virtual,
        _texts(connection),
        _count(connection, tables),
        _reach(connection, objects, virtual),
    )


def finish_watch(connection: Connection, watch: Watch, touched: frozenset[str]) -> tuple[str, ...]:
    """Prove that what the migration did not name is still there.

    Every table and view must exist unless it is named, or keeps the data of a virtual table that
    is. (Indexes and triggers go with their table or by a statement that names them, so they need
    no proof.) In a database of at most
    :data:`COUNTED_BYTES`, every table that the migration could not write to must have as many
    rows as before; triggers and foreign key actions of named tables write to other tables, so
    those are left out. In a bigger one rows are not counted: SQLite changes a table only through
    a statement, and the engine proves the tables that it changed itself.

    A function that is not SQLite's own may write to any table (``AddGeometryColumn()``): what the
    migration has called answers for the rest.

    :param touched: tables and views that the migration's own statements name; upper and lower
        case are the same. Functions that they call in a SELECT have ``()`` behind them.
    What it made or named must be readable and writable, and what writes to that: SQLite takes a
    DEFAULT that calls a function which does not exist, and refuses every row afterwards.

    :raises VerificationFailed: naming what is gone or cannot be used.
    """
    named = {name.lower() for name in touched}
    virtual = _virtual(connection)
    now = _objects(connection, virtual)
    known = {table.lower() for table in _tables(watch.objects)}
    kept = {each for table in named & watch.virtual for each in _keeps(table, known)}
    calls = frozenset(name for name in named if name.endswith("()"))
    gone = sorted(
        f"{kind} {quoted(name)}"
        for kind, name in watch.objects - now
        if name.lower() not in named | kept
    )
    if gone and not _are_foreign(connection, calls):
        raise VerificationFailed(
            f"The migration does not name these, but they are gone: {', '.join(gone)}.",
            hint="name them in the migration, if it is meant to drop them",
        )
    proven = ["every table and view that the migration does not name is still there"]
    reach = _reach(connection, now, virtual)
    _prove_usable(connection, watch, now, named, reach)
    proven.append("what it makes or names can be read and written")
    if watch.rows is not None:
        reached = reached_from(named, watch.reach, reach)
        there = set(_tables(now))
        before = {t: n for t, n in watch.rows.items() if t in there and t.lower() not in reached}
        after = _count(connection, before)
        changed = [
            f"{quoted(table)} has {numbered(after[table], 'row')}, had {rows}"
            for table, rows in before.items()
            if after[table] != rows
        ]
        if changed and not _are_foreign(connection, calls):
            raise VerificationFailed(
                f"The migration does not write to these, but: {', '.join(changed)}.",
                hint="run the statement by op.execute(), not on the driver's connection, and so"
                " that it names the table",
            )
        if before:
            proven.append(
                f"{numbered(len(before), 'table')} without a write: as many rows as before"
            )
    return tuple(proven)


def _objects(connection: Connection, virtual: frozenset[str]) -> frozenset[tuple[str, str]]:
    rows = connection.exec_driver_sql(
        "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') "
        r"AND name NOT LIKE 'sqlite\_%' ESCAPE '\'"
    )
    shadows: set[str] = set()
    if virtual:
        # They come and go with their virtual table, and no statement may name them
        # (https://sqlite.org/vtab.html#xshadowname). SQLite before 3.37 answers with no row.
        listed = connection.exec_driver_sql("PRAGMA main.table_list")
        shadows = {str(row[1]) for row in listed if row[2] == "shadow"}
    return frozenset((str(kind), str(name)) for kind, name in rows if name not in shadows)


def _are_foreign(connection: Connection, calls: frozenset[str]) -> bool:
    """Whether one of these functions is an extension's or the application's."""
    if not calls:
        return False
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT lower(name) FROM pragma_function_list WHERE NOT builtin"
    )
    return not calls.isdisjoint(f"{name}()" for (name,) in rows)


def _texts(connection: Connection) -> tuple[str, ...]:
    rows = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    return tuple(str(sql) for (sql,) in rows)


def _prove_usable(
    connection: Connection,
    watch: Watch,
    now: frozenset[tuple[str, str]],
    named: set[str],
    reach: Mapping[str, frozenset[str]],
) -> None:
    """Prove that a statement of every kind compiles for what the migration made or changed.

    :raises VerificationFailed: one does not, for want of something that the migration has used.
    """
    # What reads SQLite's DDL is only needed where something was done.
    from flask_safemigrate.backends.sqlite.usable import unusable

    touched = named | {name.lower() for _, name in now - watch.objects}
    writers = {table for table, others in reach.items() if others & touched}
    for fault in unusable(connection.exec_driver_sql, touched | writers):
        # What the schema lacked before is no fault of the migration.
        if _mentions(_texts(connection), fault.lacks) > _mentions(watch.texts, fault.lacks):
            raise VerificationFailed(
                f"After this migration {told(fault)}.", hint=remedy(fault), words=(fault.lacks,)
            )


def _mentions(texts: Iterable[str], word: str) -> int:
    whole = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
    return sum(len(whole.findall(text)) for text in texts)


def _tables(objects: Iterable[tuple[str, str]]) -> list[str]:
    return sorted(name for kind, name in objects if kind == "table")


def _count(connection: Connection, tables: Iterable[str]) -> dict[str, int]:
    return {
        table: int(
            connection.exec_driver_sql(f"SELECT count(*) FROM {quoted(table)}").scalar_one()
        )
        for table in tables
    }


def _virtual(connection: Connection) -> frozenset[str]:
    rows = connection.exec_driver_sql(
        "SELECT lower(name) FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL%'"
    )
    return frozenset(str(name) for (name,) in rows)


def _keeps(virtual: str, tables: Iterable[str]) -> list[str]:
    """Where a virtual table keeps its data, as far as its module does not say.

    Every one known calls them after itself.
    """
    return [table for table in tables if table.startswith(f"{virtual}_")]


def _reach(
    connection: Connection, objects: Iterable[tuple[str, str]], virtual: Iterable[str]
) -> dict[str, frozenset[str]]:
    """To which tables a write to a table may lead, in lower case.

    Foreign keys with an action lead to the child. A trigger may write to any table that its text
    mentions; whether it does is not asked. A virtual table writes to those that begin with its
    name.
    """
    tables = {table.lower() for table in _tables(objects)}
    reach: dict[str, set[str]] = {}
    for child, parent in connection.exec_driver_sql(
        'SELECT lower(m.name), lower(f."table") '
        "FROM sqlite_master m, pragma_foreign_key_list(m.name) f "
        "WHERE m.type = 'table' AND NOT (f.on_delete IN ('NO ACTION', 'RESTRICT') "
        "AND f.on_update IN ('NO ACTION', 'RESTRICT'))"
    ):
        reach.setdefault(parent, set()).add(child)
    # A trigger of a view has the view's name here.
    for table, sql in connection.exec_driver_sql(
        "SELECT lower(tbl_name), lower(sql) FROM sqlite_master WHERE type = 'trigger'"
    ):
        reach.setdefault(table, set()).update(other for other in tables if other in sql)
    for name in virtual:
        reach.setdefault(name, set()).update(_keeps(name, tables))
    return {table: frozenset(others) for table, others in reach.items()}
