"""What the doctor asks of a PostgreSQL database besides its tables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.postgresql.address import connect_defaults
from flask_safemigrate.backends.postgresql.read import limit_waits, quoted, version_name
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.facts.examination import (
    Examination,
    Idle,
    Lacking,
    LateSequence,
    OtherVersionTable,
    UnusedType,
)
from flask_safemigrate.names import OWN_TABLES

_QUERY_WIDTH = 80

# As the tables of a state are called.
_PLAIN = """CASE WHEN pg_table_is_visible(c.oid) THEN c.relname::text ELSE
    (SELECT nspname FROM pg_namespace WHERE oid = c.relnamespace) || '.' || c.relname END"""

_MINE = """
    c.relnamespace = ANY (
        SELECT oid FROM pg_namespace WHERE nspname = ANY (current_schemas(false)))
    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass
        AND e.objid = c.oid AND e.deptype = 'e')
"""

# Since version 15 nobody but the owner of the database may create in "public".
_SCHEMA = text("""
    SELECT current_user AS username, current_database() AS database, current_schema() AS name,
        has_schema_privilege(current_schema(), 'CREATE') AS creates,
        current_setting('search_path') AS path
""")

_NOT_OWNED = text(f"""
    SELECT c.oid::regclass::text AS name, pg_get_userbyid(c.relowner) AS owner, {_PLAIN} AS plain
    FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND {_MINE}
        AND NOT pg_has_role(c.relowner, 'USAGE')
    ORDER BY 1
""")

_WRITES_VERSION = text("""
    SELECT v.oid::text AS name, current_user AS username
    FROM (SELECT to_regclass(:used) AS oid) v
    WHERE v.oid IS NOT NULL AND NOT (has_table_privilege(v.oid, 'INSERT')
        AND has_table_privilege(v.oid, 'UPDATE') AND has_table_privilege(v.oid, 'DELETE'))
""")

_IDLE = text(f"""
    SELECT a.pid, a.usename AS username, a.application_name AS application,
        coalesce(host(a.client_addr), 'this machine') AS client,
        floor(extract(epoch FROM clock_timestamp() - a.state_change))::int AS seconds, a.query,
        array_agg(DISTINCT {_PLAIN}) AS tables
    FROM pg_stat_activity a
        JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'relation' AND l.granted
        JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p') AND {_MINE}
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (a.state LIKE 'idle in transaction%' OR a.state IS NULL)
    GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY seconds DESC NULLS LAST
""")

_UNUSED_TYPES = text("""
    SELECT format('%I.%I', n.nspname, t.typname) AS name, t.typname AS plain
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE t.typtype = 'e' AND n.nspname = ANY (current_schemas(false))
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_type'::regclass
            AND d.refobjid IN (t.oid, t.typarray) AND d.deptype IN ('n', 'a'))
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass
            AND d.objid = t.oid AND d.deptype = 'e')
    ORDER BY 1
""")

_VERSION_TABLES = text("""
    SELECT n.nspname AS schema, c.oid, n.nspname = ANY (current_schemas(false)) AS visible,
        has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS readable
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = :name AND c.relkind IN ('r', 'p')
        AND c.oid IS DISTINCT FROM to_regclass(:used)::oid
    ORDER BY array_position(current_schemas(false), n.nspname) NULLS LAST, n.nspname
""")

# Only where an index gives the highest value without reading the table.
_SEQUENCES = text(f"""
    SELECT s.oid::regclass::text AS name, c.oid::regclass::text AS "table", {_PLAIN} AS plain,
        quote_ident(a.attname) AS "column", a.attname AS column_name, q.start_value,
        q.increment_by, q.last_value
    FROM pg_class s
        JOIN pg_namespace n ON n.oid = s.relnamespace
        JOIN pg_sequences q ON q.schemaname = n.nspname AND q.sequencename = s.relname
        JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid
            AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
        JOIN pg_class c ON c.oid = d.refobjid
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
    WHERE s.relkind = 'S' AND q.increment_by > 0 AND {_MINE}
        AND has_table_privilege(c.oid, 'SELECT')
        AND EXISTS (SELECT FROM pg_index i
            WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum AND i.indpred IS NULL)
        AND (q.last_value IS NOT NULL OR has_sequence_privilege(s.oid, 'USAGE'))
    ORDER BY 1
""")


def examine(target: Target, *, thorough: bool) -> Examination:
    """Ask in one read-only transaction; what this user may not ask stays unknown.

    :param thorough: ask the tables themselves too.
    :raises SQLAlchemyError: the server cannot be reached.
    """
    with own_connection(target.engine, connect_defaults(target.engine)) as connection:
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        limit_waits(connection, lock=2, statement=10)
        sequences = tuple(_late_sequences(connection)) if thorough else ()
        return Examination(
            user=str(connection.execute(text("SELECT current_user")).scalar()),
            lacking=tuple(_lacking(connection, target)),
            idle=tuple(map(_session, _asked(connection, _IDLE))),
            version_tables=tuple(_other_version_tables(connection, target)),
            unused_types=tuple(
                UnusedType(row.name, row.plain) for row in _asked(connection, _UNUSED_TYPES)
            ),
            late_sequences=sequences,
        )


def _asked(connection: Connection, query: TextClause, **values: Any) -> list[Row[Any]]:
    """The answer of one query; a failure does not end the transaction."""
    with contextlib.suppress(SQLAlchemyError), connection.begin_nested():
        return list(connection.execute(query, values))
    return []


def _lacking(connection: Connection, target: Target) -> Iterator[Lacking]:
    for row in _asked(connection, _SCHEMA):
        if row.name is None:
            yield Lacking(
                f"create tables: no schema of the search path ({row.path}) is there",
                f"CREATE SCHEMA {quoted(row.username)} AUTHORIZATION {quoted(row.username)};",
            )
        elif not row.creates:
            yield Lacking(
                f'create anything in schema "{row.name}"',
                f"GRANT CREATE ON SCHEMA {quoted(row.name)} TO {quoted(row.username)};",
            )
    for row in _asked(connection, _SCHEMA):
        for table in _asked(connection, _NOT_OWNED):
            yield Lacking(
                f'change table "{table.name}", which belongs to "{table.owner}"',
                f"ALTER TABLE {table.name} OWNER TO {quoted(row.username)};",
                table.plain,
            )
    yield from _version_table(connection, target)


def _version_table(connection: Connection, target: Target) -> Iterator[Lacking]:
    for row in _asked(connection, _WRITES_VERSION, used=version_name(target)):
        yield Lacking(
            f'write to "{target.version_table}"',
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {row.name} TO {quoted(row.username)};",
        )


def _session(row: Row[Any]) -> Idle:
    program = f' ("{row.application}")' if row.application else ""
    query = " ".join((row.query or "").split())
    if len(query) > _QUERY_WIDTH:
        query = query[: _QUERY_WIDTH - 3] + "..."
    tables = tuple(t for t in row.tables if t.rpartition(".")[2] not in OWN_TABLES)
    who = f'user "{row.username}"{program} from {row.client}'
    return Idle(row.pid, who, row.seconds, query, tables)


def _other_version_tables(connection: Connection, target: Target) -> Iterator[OtherVersionTable]:
    for row in _asked(
        connection, _VERSION_TABLES, name=target.version_table, used=version_name(target)
    ):
        rows: tuple[str, ...] | None = None
        if row.readable:
            table = f"{quoted(row.schema)}.{quoted(target.version_table)}"
            found = _asked(connection, plain(f"SELECT version_num FROM {table} ORDER BY 1"))
            rows = tuple(each[0] for each in found)
        # Where the application names the schema, the search path does not count.
        yield OtherVersionTable(row.schema, rows, row.visible and not target.version_schema)


def _late_sequences(connection: Connection) -> Iterator[LateSequence]:
    for row in _asked(connection, _SEQUENCES):
        if row.table.rpartition(".")[2] in OWN_TABLES:
            continue
        found = _asked(connection, plain(f"SELECT max({row.column}) AS value FROM {row.table}"))
        highest = found[0].value if found else None
        following = (
            row.start_value if row.last_value is None else row.last_value + row.increment_by
        )
        if highest is not None and highest >= following:
            yield LateSequence(row.name, row.plain, row.table, row.column_name, following, highest)
