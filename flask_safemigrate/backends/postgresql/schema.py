"""Read the whole schema of a PostgreSQL database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, text

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.postgresql.address import connect_defaults
from flask_safemigrate.backends.postgresql.read import limit_waits, quoted
from flask_safemigrate.facts.schema import (
    Check,
    Column,
    Enumeration,
    ForeignKey,
    Index,
    Schema,
    Table,
    Trigger,
    View,
)

# Tables of the search path and of the schemas that are asked for besides, none of an extension's,
# named as they are seen from the search path.
_SCHEMAS = """
    SELECT oid FROM pg_namespace
    WHERE nspname = ANY (current_schemas(false) || CAST(:schemas AS name[]))
"""
_OURS = f"""
    c.relnamespace = ANY ({_SCHEMAS})
    AND NOT c.relispartition
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
        AND d.objid = c.oid AND d.deptype = 'e')
"""

_COLUMNS = text(f"""
    SELECT c.oid::regclass::text AS "table", a.attname AS name,
        format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable,
        pg_get_expr(d.adbin, d.adrelid) AS "default", a.attidentity <> '' AS identity,
        a.attgenerated <> '' AS generated,
        CASE WHEN a.attcollation <> t.typcollation THEN co.collname ELSE '' END AS collation
    FROM pg_class c
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        LEFT JOIN pg_collation co ON co.oid = a.attcollation
    WHERE c.relkind IN ('r', 'p') AND {_OURS}
    ORDER BY c.relname, a.attnum
""")

_CONSTRAINTS = text(f"""
    SELECT c.oid::regclass::text AS "table", k.conname AS name, k.contype::text AS kind,
        CASE WHEN k.contype = 'c' THEN pg_get_expr(k.conbin, k.conrelid) END AS expression,
        CASE WHEN k.confrelid <> 0 THEN k.confrelid::regclass::text END AS referred_table,
        pg_get_constraintdef(k.oid) AS definition,
        ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(num, place)
            JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num
            ORDER BY u.place) AS columns,
        ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(num, place)
            JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num
            ORDER BY u.place) AS referred
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE k.contype IN ('p', 'f', 'c', 'x') AND c.relkind IN ('r', 'p') AND {_OURS}
    ORDER BY k.conname
""")

_INDEXES = text(f"""
    SELECT c.oid::regclass::text AS "table", i.relname AS name, x.indisunique AS "unique",
        m.amname AS method, pg_get_expr(x.indpred, x.indrelid) AS "where",
        ARRAY(SELECT pg_get_indexdef(x.indexrelid, n, true) ||
            CASE x.indoption[n - 1] & 3
                WHEN 1 THEN ' DESC NULLS LAST' WHEN 2 THEN ' NULLS FIRST' WHEN 3 THEN ' DESC'
                ELSE '' END
            FROM generate_series(1, x.indnkeyatts) n) AS columns,
        0 = ANY (x.indkey) AS expressions
    FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
        JOIN pg_am m ON m.oid = i.relam
    WHERE NOT x.indisprimary AND c.relkind IN ('r', 'p') AND {_OURS}
        AND (NOT x.indisexclusion OR x.indisunique)
        AND (x.indisvalid OR i.relkind = 'I')
    ORDER BY i.relname
""")

_VIEWS = text(f"""
    SELECT c.oid::regclass::text AS name, pg_get_viewdef(c.oid) AS definition
    FROM pg_class c WHERE c.relkind IN ('v', 'm') AND {_OURS} ORDER BY c.relname
""")

_TRIGGERS = text(f"""
    SELECT c.oid::regclass::text AS "table", t.tgname AS name,
        pg_get_triggerdef(t.oid, true) AS definition
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND {_OURS} ORDER BY t.tgname
""")

_ENUMERATIONS = text(f"""
    SELECT CASE WHEN pg_type_is_visible(t.oid) THEN t.typname::text
            ELSE t.typnamespace::regnamespace::text || '.' || t.typname END AS name,
        array_agg(e.enumlabel::text ORDER BY e.enumsortorder) AS labels
    FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
    WHERE t.typnamespace = ANY ({_SCHEMAS})
    GROUP BY t.oid ORDER BY t.typname
""")

# Those that somebody made: of the rest the names are the server's.
_MADE_SCHEMAS = """
    SELECT nspname::text FROM pg_namespace n
    WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
        AND nspname <> ALL (current_schemas(false))
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass
            AND d.objid = n.oid AND d.deptype = 'e')
    ORDER BY nspname
"""


def read_schema(target: Target, schemas: Collection[str] = ()) -> Schema:
    """Read the schema of a database in one read-only transaction of its own connection.

    :param schemas: schemas outside of the search path that are read too.
    :raises SQLAlchemyError: it cannot be read.
    """
    with own_connection(target.engine, connect_defaults(target.engine)) as connection:
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        limit_waits(connection, lock=5, statement=60)
        return _schema(connection, schemas)


def schema_on(connection: Connection, known: object) -> Schema:
    """Read the schema of a scratch database, all of its schemas included, in seven statements."""
    return _schema(connection, list(connection.execute(text(_MADE_SCHEMAS)).scalars()))


def _schema(connection: Connection, schemas: Collection[str]) -> Schema:
    asked = {"schemas": list(schemas)}

    def grouped(query: Any) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = defaultdict(list)
        for row in connection.execute(query, asked):
            found[_unquoted(row.table)].append(row)
        return found

    columns, constraints = grouped(_COLUMNS), grouped(_CONSTRAINTS)
    indexes, triggers = grouped(_INDEXES), grouped(_TRIGGERS)
    return Schema(
        "postgresql",
        tuple(
            _table(name, rows, constraints[name], indexes[name]) for name, rows in columns.items()
        ),
        tuple(View(_unquoted(r.name), r.definition) for r in connection.execute(_VIEWS, asked)),
        tuple(
            Trigger(r.name, name, r.definition) for name, rows in triggers.items() for r in rows
        ),
        tuple(
            Enumeration(r.name, tuple(r.labels)) for r in connection.execute(_ENUMERATIONS, asked)
        ),
    )


_SETTINGS = """
    SELECT name || '=' || setting FROM pg_settings
    WHERE name IN ('search_path', 'server_encoding', 'lc_collate', 'default_tablespace',
        'default_table_access_method', 'default_toast_compression', 'quote_all_identifiers')
    ORDER BY name
"""


def settings_of(target: Target) -> tuple[str, ...]:
    """Return the settings of the application's sessions that say what its statements make.

    :raises SQLAlchemyError: they cannot be read.
    """
    with own_connection(target.engine, connect_defaults(target.engine)) as connection:
        return tuple(connection.execute(text(_SETTINGS)).scalars())


_EXTENSIONS = """
    SELECT e.extname::text AS name, n.nspname::text AS schema FROM pg_extension e
    JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql' ORDER BY e.oid
"""
_DOMAINS = """
    SELECT t.oid::regtype::text AS name, format_type(t.typbasetype, t.typtypmod) AS base
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE t.typtype = 'd' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass
            AND d.objid = t.oid AND d.deptype = 'e')
    ORDER BY t.oid
"""


def prelude(connection: Connection) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return statements that make what tables of a scratch database stand on.

    :return: its schemas and extensions; its types.
    """
    schemas = connection.execute(text(_MADE_SCHEMAS)).scalars()
    stands = [f"CREATE SCHEMA IF NOT EXISTS {quoted(name)}" for name in schemas]
    stands += [
        f"CREATE EXTENSION IF NOT EXISTS {quoted(row.name)} SCHEMA {quoted(row.schema)} CASCADE"
        for row in connection.execute(text(_EXTENSIONS))
    ]
    types = [
        "CREATE TYPE {} AS ENUM ({})".format(
            ".".join(map(quoted, each.name.split("."))),
            ", ".join("'" + label.replace("'", "''") + "'" for label in each.labels),
        )
        for each in schema_on(connection, {}).enumerations
    ]
    types += [
        f"CREATE DOMAIN {row.name} AS {row.base}" for row in connection.execute(text(_DOMAINS))
    ]
    return tuple(stands), tuple(types)


def _unquoted(name: str) -> str:
    if name.startswith('"') and name.endswith('"') and '"' not in name[1:-1].replace('""', ""):
        return name[1:-1].replace('""', '"')
    return name


def _table(name: str, columns: list[Any], constraints: list[Any], indexes: list[Any]) -> Table:
    return Table(
        name,
        tuple(_column(row) for row in columns if row.name is not None),
        next((tuple(row.columns) for row in constraints if row.kind == "p"), ()),
        tuple(_index(row) for row in indexes),
        tuple(_foreign_key(row) for row in constraints if row.kind == "f"),
        tuple(
            Check(row.name, row.expression or row.definition)
            for row in constraints
            if row.kind in ("c", "x")
        ),
    )


def _column(row: Any) -> Column:
    serial = (row.default or "").startswith("nextval(")
    return Column(
        row.name,
        row.type,
        row.nullable,
        None if row.generated or serial else row.default,
        row.default if row.generated else "",
        row.identity or serial,
        row.collation or "",
    )


def _index(row: Any) -> Index:
    plain = not row.expressions and row.where is None and row.method == "btree"
    columns = tuple(_unquoted(column) for column in row.columns)
    if not plain and row.method != "btree":
        columns = (f"USING {row.method} {columns[0]}", *columns[1:])
    return Index(row.name, columns, row.unique, row.where or "", plain)


def _foreign_key(row: Any) -> ForeignKey:
    _, _, after = row.definition.partition(") REFERENCES ")
    actions = after[after.rfind(")") + 1 :] if "SET NULL (" not in after else after
    return ForeignKey(
        row.name,
        tuple(row.columns),
        _unquoted(row.referred_table),
        tuple(row.referred),
        actions.replace("NOT VALID", "").strip(),
    )
