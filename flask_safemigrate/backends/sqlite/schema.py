"""Read the whole schema of an SQLite database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, MutableMapping
from typing import Any

from sqlalchemy import Connection

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.sqlite import files
from flask_safemigrate.backends.sqlite.spatialite import kept_by_spatialite
from flask_safemigrate.ddl import questions
from flask_safemigrate.ddl.create_table import CreateTable, read_create_table
from flask_safemigrate.ddl.references import CreateIndex, read_index
from flask_safemigrate.ddl.tokens import DDLError
from flask_safemigrate.facts.schema import (
    Check,
    Column,
    ForeignKey,
    Index,
    Schema,
    Table,
    Trigger,
    View,
)

Known = MutableMapping[Any, Any]

# SQLite takes at least 999 parameters (https://www.sqlite.org/limits.html).
_AT_ONCE = 500


def read_schema(target: Target, schemas: Collection[str] = ()) -> Schema:
    """Read the schema of a database by a connection of its own that changes nothing.

    :param schemas: not read: they are other files.
    :raises sqlite3.Error: the driver's own.
    """
    file = files.find(target)
    with files.in_memory(target) if file is None else files.reading(file) as connection:
        return _read(connection, {})


def schema_on(connection: Connection, known: Known) -> Schema:
    """Read the schema that an open connection sees.

    :param known: what earlier calls found; only tables whose text is new are asked for.
    """
    return _read(connection.connection.driver_connection, known)


def _read(connection: Any, known: Known) -> Schema:
    rows = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master "
        r"WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name"
    ).fetchall()
    kept = kept_by_spatialite(name for kind, name, *_ in rows if kind in ("table", "view"))
    rows = [row for row in rows if row[1] not in kept and row[2] not in kept]
    tables = {name: sql or "" for kind, name, _, sql in rows if kind == "table"}
    virtual = {n for n, sql in tables.items() if sql[:14].upper() == "CREATE VIRTUAL"}
    if virtual:
        # Tables in which a virtual table keeps its data come and go with it.
        listed = connection.execute("PRAGMA table_list").fetchall()
        for shadow in (row[1] for row in listed if row[2] == "shadow"):
            tables.pop(shadow, None)
    indexes: dict[str, dict[str, str]] = {}
    for kind, name, table, sql in rows:
        if kind == "index":
            indexes.setdefault(table.lower(), {})[name] = sql or ""
    keys = {
        name: (sql, *sorted(indexes.get(name.lower(), {}).items())) for name, sql in tables.items()
    }
    new = [name for name in tables if keys[name] not in known and name not in virtual]
    for table in _tables(connection, new, tables, indexes):
        known[keys[table.name]] = table
    return Schema(
        "sqlite",
        tuple(
            Table(name, options=(sql,)) if name in virtual else known[keys[name]]
            for name, sql in tables.items()
        ),
        tuple(View(name, sql) for kind, name, _, sql in rows if kind == "view"),
        tuple(Trigger(name, table, sql) for kind, name, table, sql in rows if kind == "trigger"),
    )


def _asked(connection: Any, query: str, names: list[str]) -> Iterator[Any]:
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        yield from connection.execute(query.format(marks), some)


def _tables(
    connection: Any,
    names: list[str],
    texts: dict[str, str],
    indexes: dict[str, dict[str, str]],
) -> Iterable[Table]:
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for name, *row in _asked(
        connection,
        'SELECT m.name, x.name, x.type, x."notnull", x.dflt_value, x.pk, x.hidden '
        "FROM sqlite_master m JOIN pragma_table_xinfo(m.name) x "
        "WHERE m.type = 'table' AND m.name IN ({}) ORDER BY m.name, x.cid",
        names,
    ):
        columns[name].append(row)
    parts: dict[str, dict[str, list[Any]]] = {name: {} for name in names}
    for name, index, *row in _asked(
        connection,
        'SELECT m.name, l.name, l."unique", l.origin, l.partial, x.name, x."desc", x.coll '
        "FROM sqlite_master m JOIN pragma_index_list(m.name) l JOIN pragma_index_xinfo(l.name) x "
        "WHERE m.type = 'table' AND x.key AND m.name IN ({}) ORDER BY m.name, l.seq, x.seqno",
        names,
    ):
        parts[name].setdefault(index, []).append(row)
    keys: dict[str, dict[int, list[Any]]] = {name: {} for name in names}
    for name, number, *row in _asked(
        connection,
        'SELECT m.name, f.id, f."table", f."from", f."to", f.on_update, f.on_delete '
        "FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f "
        "WHERE m.type = 'table' AND m.name IN ({}) ORDER BY m.name, f.id, f.seq",
        names,
    ):
        keys[name].setdefault(number, []).append(row)
    for name in names:
        yield _table(
            name,
            columns[name],
            parts[name],
            keys[name],
            _text(texts[name]),
            indexes.get(name.lower(), {}),
        )


def _text(sql: str) -> CreateTable | None:
    try:
        return read_create_table(sql)
    except DDLError:
        return None


def _table(
    name: str,
    columns: list[Any],
    parts: dict[str, list[Any]],
    keys: dict[int, list[Any]],
    text: CreateTable | None,
    indexes: dict[str, str],
) -> Table:
    primary = sorted((row[4], row[0]) for row in columns if row[4])
    options: list[str] = []
    checks: list[Check] = []
    if text is not None:
        options += [option.name for option in text.options]
        if questions.has_autoincrement(text):
            options.append("AUTOINCREMENT")
        for found in questions.constraints_of_kind(text, "CHECK"):
            if found.expression is not None:
                label = found.name.value if found.name is not None else ""
                checks.append(Check(label, found.expression.of(text.sql)))
    return Table(
        name,
        tuple(_column(row, text) for row in columns if row[5] != 1),
        tuple(column for _, column in primary),
        tuple(
            _index(index, rows, indexes.get(index, ""))
            for index, rows in parts.items()
            if rows[0][1] != "pk"
        ),
        tuple(_foreign_key(rows) for rows in keys.values()),
        tuple(checks),
        tuple(options),
    )


def _column(row: Any, text: CreateTable | None) -> Column:
    name, declared, not_null, default, _, hidden = row
    written = questions.find_column(text, name) if text is not None else None
    generated = collation = ""
    if written is not None and text is not None:
        clauses = written.of_kind("GENERATED")
        if clauses and clauses[-1].expression is not None:
            generated = clauses[-1].expression.of(text.sql)
        collation = questions.collation_of(written) or ""
    if hidden and not generated:
        generated = "..."
    return Column(name, declared, not not_null, default, generated, collation=collation)


def _index(name: str, rows: list[Any], sql: str) -> Index:
    unique, origin, partial = rows[0][:3]
    # The name SQLite gives to the index of a UNIQUE constraint says nothing to anyone.
    name = "" if origin == "u" else name
    columns = tuple(
        (part[3] or "")
        + (" DESC" if part[4] else "")
        + (f" COLLATE {part[5]}" if part[5] not in (None, "BINARY") and origin == "c" else "")
        for part in rows
    )
    if all(part[3] for part in rows) and not partial:
        return Index(name, columns, bool(unique), plain=not any(part[4] for part in rows))
    try:
        read: CreateIndex | None = read_index(sql)
    except DDLError:
        read = None
    if read is None:
        return Index(name, (sql,), bool(unique), plain=False)
    return Index(
        name,
        tuple(part.span.of(sql) for part in read.parts),
        bool(unique),
        read.where.of(sql) if read.where is not None else "",
        plain=False,
    )


def _foreign_key(rows: list[Any]) -> ForeignKey:
    table, _, _, on_update, on_delete = rows[0]
    actions = [
        f"ON {verb} {what}"
        for verb, what in (("DELETE", on_delete), ("UPDATE", on_update))
        if what != "NO ACTION"
    ]
    referred = tuple(row[2] for row in rows if row[2] is not None)
    return ForeignKey("", tuple(row[1] for row in rows), table, referred, " ".join(actions))
