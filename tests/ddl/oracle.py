"""What a CREATE TABLE says, told twice: by SQLite's pragmas, and by our reading of the text."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from flask_safemigrate.ddl import questions
from flask_safemigrate.ddl.create_table import Column, Constraint, CreateTable, read_create_table
from flask_safemigrate.ddl.cursor import KeyPart
from flask_safemigrate.ddl.tokens import fold, quote, same_name

AFFINITIES = {"INT": "INTEGER", "TEXT": "TEXT", "NUM": "NUMERIC", "REAL": "REAL", "": "BLOB"}


@dataclass(frozen=True)
class ColumnFacts:
    name: str
    type: str
    not_null: bool
    default: str | None
    key_place: int
    hidden: int
    affinity: str


@dataclass(frozen=True)
class Facts:
    """Everything about a table that SQLite reports, in a form that two readings can be compared
    by. Indexes: origin and (column, descending, collation) of each part."""

    name: str
    columns: tuple[ColumnFacts, ...]
    indexes: tuple[tuple[str, tuple[tuple[str, bool, str], ...]], ...]
    foreign_keys: tuple[tuple[str, str, str, tuple[tuple[str, str | None], ...]], ...]
    without_rowid: bool
    strict: bool
    rowid_alias: str | None
    autoincrement: bool


def connect() -> sqlite3.Connection:
    """A database in memory that knows a few more collations."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for name in ("odd", "select", "x y"):
        connection.create_collation(name, lambda one, other: (one > other) - (one < other))
    return connection


def facts_of_sqlite(sql: str) -> Facts:
    """Create the table in an empty database and ask.

    :raises sqlite3.Error: SQLite refuses the text.
    """
    connection = connect()
    try:
        connection.execute(sql)
        return ask(connection)
    finally:
        connection.close()


def stored_text(sql: str) -> str:
    """The text that SQLite keeps of a CREATE TABLE."""
    connection = connect()
    try:
        connection.execute(sql)
        return _tables(connection)[0][1]
    finally:
        connection.close()


def altered(sql: str, statement: str) -> str | None:
    """The text that SQLite itself makes of a table by an ALTER TABLE; None where it refuses."""
    connection = connect()
    try:
        connection.execute(sql)
        connection.execute(statement)
        return _tables(connection)[0][1]
    except sqlite3.Error:
        return None
    finally:
        connection.close()


def _tables(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT name, sql FROM (SELECT * FROM sqlite_master UNION ALL SELECT * FROM"
        " sqlite_temp_master) WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    ).fetchall()


def ask(connection: sqlite3.Connection, name: str | None = None) -> Facts:
    """The facts of the only table of a database, or of the one named."""
    name = _tables(connection)[0][0] if name is None else name
    told = quote(name)
    listed = connection.execute(f"PRAGMA table_list({told})").fetchone()
    without_rowid, strict = bool(listed[4]), bool(listed[5])
    rows = connection.execute(f"PRAGMA table_xinfo({told})").fetchall()
    connection.execute(f"CREATE TEMP TABLE affinities_of AS SELECT * FROM {told}")
    affinities = [
        AFFINITIES[row[2]] for row in connection.execute("PRAGMA temp.table_xinfo(affinities_of)")
    ]
    connection.execute("DROP TABLE temp.affinities_of")
    columns = tuple(
        ColumnFacts(row[1], row[2], bool(row[3]), row[4], row[5], row[6], affinity)
        for row, affinity in zip(rows, affinities, strict=True)
    )
    indexes = [
        (
            origin,
            tuple(
                (column, bool(descending), collation)
                for _, _, column, descending, collation, key in connection.execute(
                    f"PRAGMA index_xinfo({quote(index)})"
                )
                if key
            ),
        )
        for _, index, _, origin, _ in connection.execute(f"PRAGMA index_list({told})")
        if origin in ("u", "pk")
    ]
    keys: dict[int, tuple[str, str, str, list[tuple[str, str | None]]]] = {}
    for row in connection.execute(f"PRAGMA foreign_key_list({told})"):
        key = keys.setdefault(row[0], (row[2], row[5], row[6], []))
        key[3].append((row[3], row[4]))
    in_key = [column.name for column in columns if column.key_place]
    has_key_index = any(origin == "pk" for origin, _ in indexes)
    return Facts(
        name=name,
        columns=columns,
        indexes=tuple(sorted(indexes)),
        foreign_keys=tuple((*keys[at][:3], tuple(keys[at][3])) for at in sorted(keys)),
        without_rowid=without_rowid,
        strict=strict,
        rowid_alias=in_key[0] if in_key and not without_rowid and not has_key_index else None,
        autoincrement=bool(
            connection.execute(
                "SELECT 1 FROM (SELECT * FROM sqlite_master UNION ALL SELECT * FROM"
                " sqlite_temp_master) WHERE name = 'sqlite_sequence'"
            ).fetchone()
        ),
    )


def facts_of_text(sql: str) -> Facts:
    """The same, read from the text alone."""
    return facts_of_table(read_create_table(sql))


def facts_of_table(table: CreateTable) -> Facts:
    """The same of what was read, or of a changed copy of it."""
    return Facts(
        name=table.name.value,
        columns=tuple(_column(table, column) for column in table.columns),
        indexes=tuple(sorted(_indexes(table))),
        foreign_keys=tuple(reversed([_foreign_key(table, key) for key in _foreign_keys(table)])),
        without_rowid=table.without_rowid,
        strict=table.strict,
        rowid_alias=questions.rowid_alias(table),
        autoincrement=questions.has_autoincrement(table),
    )


def _column(table: CreateTable, column: Column) -> ColumnFacts:
    name = column.name.value
    key = [fold(part) for part, _, _ in _key_parts(table)]
    in_key = fold(name) in key
    is_alias = questions.rowid_alias(table) == name
    # https://sqlite.org/withoutrowid.html, stricttables.html: there a primary key means NOT NULL.
    implied = in_key and (table.without_rowid or (table.strict and not is_alias))
    hidden = 0
    if questions.is_generated(column):
        hidden = 3 if questions.is_stored(column) else 2
    return ColumnFacts(
        name=name,
        type=column.type,
        not_null=questions.is_not_null(column) or implied,
        default=_default_of(table, column),
        # The pragma counts no further than there are columns, though a key may list one twice.
        key_place=min(key.index(fold(name)), len(table.columns)) + 1 if in_key else 0,
        hidden=hidden,
        affinity=questions.affinity_of(table, column),
    )


def _default_of(table: CreateTable, column: Column) -> str | None:
    """The default as SQLite reports it: outer parentheses taken off, the last one of several."""
    defaults = column.of_kind("DEFAULT")
    if not defaults or defaults[-1].value is None:
        return None
    text = defaults[-1].value.of(table.sql)
    return (text[1:-1] if text.startswith("(") else text).strip(" \t\n\v\f\r")


def _key_collation(table: CreateTable, part: KeyPart) -> str:
    """The collation that a part of a key sorts by: its own, else its column's, else BINARY."""
    if part.collation is not None:
        return part.collation.value
    column = questions.find_column(table, part.column.value) if part.column is not None else None
    return (questions.collation_of(column) if column is not None else None) or "BINARY"


def _parts(table: CreateTable, key: Constraint) -> tuple[tuple[str, bool, str], ...]:
    if not key.parts:
        column = questions.find_column(table, key.column or "")
        assert column is not None
        collation = questions.collation_of(column) or "BINARY"
        return ((column.name.value, key.order == "DESC", collation),)
    parts = []
    for part in key.parts:
        assert part.column is not None
        column = questions.find_column(table, part.column.value)
        assert column is not None, "SQLite would refuse a key over an unknown column"
        collation = _key_collation(table, part)
        parts.append((column.name.value, part.order == "DESC", collation))
    return tuple(parts)


def _key_parts(table: CreateTable) -> tuple[tuple[str, bool, str], ...]:
    key = questions.primary_key(table)
    if key is None:
        return ()
    return _distinct(_parts(table, key)) if table.without_rowid else _parts(table, key)


def _distinct(parts: tuple[tuple[str, bool, str], ...]) -> tuple[tuple[str, bool, str], ...]:
    kept: list[tuple[str, bool, str]] = []
    for part in parts:
        if not any(part[0] == known[0] and same_name(part[2], known[2]) for known in kept):
            kept.append(part)
    return tuple(kept)


def _with_own_collation(
    table: CreateTable, parts: tuple[tuple[str, bool, str], ...]
) -> tuple[tuple[str, bool, str], ...]:
    ((name, descending, _),) = parts
    column = questions.find_column(table, name)
    assert column is not None
    return ((name, descending, questions.collation_of(column) or "BINARY"),)


def _indexes(table: CreateTable) -> list[tuple[str, tuple[tuple[str, bool, str], ...]]]:
    """SQLite makes one index of keys over the same columns and collations: the first, which
    becomes the primary key's if one of them is."""
    keys = [
        ("pk" if key.kind == "PRIMARY KEY" else "u", _parts(table, key))
        for key in table.all_constraints
        if key.kind in ("PRIMARY KEY", "UNIQUE")
    ]
    if questions.rowid_alias(table._replace(options=())) is not None:
        alias = next(parts for origin, parts in keys if origin == "pk")
        keys = [key for key in keys if key[0] != "pk"]
        if table.without_rowid:
            # What would have been the rowid gets its index last, in the column's own collation.
            keys.append(("pk", _with_own_collation(table, alias)))
    found: dict[tuple[tuple[str, str], ...], tuple[str, tuple[tuple[str, bool, str], ...]]] = {}
    for origin, parts in keys:
        identity = tuple((name, fold(collation)) for name, _, collation in parts)
        if identity not in found:
            found[identity] = (origin, parts)
        elif origin == "pk":
            found[identity] = ("pk", found[identity][1])
    return [
        (origin, _distinct(parts) if origin == "pk" and table.without_rowid else parts)
        for origin, parts in found.values()
    ]


def _foreign_keys(table: CreateTable) -> list[Constraint]:
    return [key for key in table.all_constraints if key.kind == "FOREIGN KEY"]


def _foreign_key(
    table: CreateTable, key: Constraint
) -> tuple[str, str, str, tuple[tuple[str, str | None], ...]]:
    target = key.references
    assert target is not None
    columns = []
    for name in key.column_names:
        column = questions.find_column(table, name)
        assert column is not None
        columns.append(column.name.value)
    to = [name.value for name in target.columns] or [None] * len(columns)
    return (
        target.table.value,
        target.on_update,
        target.on_delete,
        tuple(zip(columns, to, strict=True)),
    )
