"""Facts of a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.address import Address
from flask_safemigrate.backends.contract import Target, TooOld
from flask_safemigrate.backends.journal import journal_query, journal_rows
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.own_tables import NotOurs, prove_own
from flask_safemigrate.backends.postgresql.address import address_of, connect_defaults
from flask_safemigrate.backends.postgresql.explain import explain
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.facts.database import DatabaseState, InvalidIndex, Table, Unreachable
from flask_safemigrate.names import JOURNAL, LEFTOVER, OWN_TABLES

#: Major version. Older ones have passed their end of life, and scratch databases need it.
OLDEST = 13

# pg8000 sets default_transaction_read_only for the session, so the value it had before counts, and
# what it came from is looked up.
_FACTS = text(f"""
    SELECT current_database() AS name, current_setting('server_version') AS version,
        pg_database_size(current_database()) AS size,
        pg_is_in_recovery() AS replica, d.reset_val = 'on' AS read_only,
        CASE d.source WHEN 'session' THEN (
            SELECT concat_ws(' ',
                CASE WHEN s.setdatabase <> 0 THEN 'database' END,
                CASE WHEN s.setrole <> 0 THEN 'user' END)
            FROM pg_db_role_setting s, unnest(s.setconfig) AS setting
            WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database
                    WHERE datname = current_database()))
                AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
                AND setting LIKE 'default_transaction_read_only=%'
            ORDER BY s.setrole = 0, s.setdatabase = 0 LIMIT 1
        ) ELSE d.source END AS read_only_by,
        current_user AS username, current_setting('search_path') = '' AS nowhere,
        to_regclass(:version_table)::oid AS version_oid,
        to_regclass(:version_table)::text AS version_name,
        coalesce(to_regclass(:beside), to_regclass('{JOURNAL}'))::oid AS journal_oid,
        coalesce(to_regclass(:beside), to_regclass('{JOURNAL}'))::text AS journal_name
    FROM pg_settings d WHERE d.name = 'default_transaction_read_only'
""")

# A partition's rows are its parent's. Tables of an extension are not the application's. A model
# may map a view or a foreign table. Alembic's version table has one column.
_TABLES = text("""
    SELECT c.oid, CASE WHEN pg_table_is_visible(c.oid) THEN c.relname
            ELSE n.nspname || '.' || c.relname END AS name,
        CASE WHEN c.relkind = 'p' THEN (
            SELECT CASE WHEN min(leaf.reltuples) < 0 THEN -1 ELSE sum(leaf.reltuples) END
            FROM pg_partition_tree(c.oid) t JOIN pg_class leaf ON leaf.oid = t.relid
            WHERE t.isleaf AND leaf.relkind <> 'p'
        ) ELSE c.reltuples END AS rows,
        c.relkind NOT IN ('r', 'p') AS is_view,
        c.relkind = 'r' AND c.relnatts = 1 AND EXISTS (
            SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'version_num'
        ) AS is_version
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
        AND n.nspname = ANY (current_schemas(false))
        AND NOT EXISTS (
            SELECT FROM pg_depend d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
        )
    ORDER BY name
""")


# Not those that are being built at this moment. Those of partitioned tables are invalid until
# every partition has one, and are left alone.
_INVALID_INDEXES = text("""
    SELECT format('%I.%I', n.nspname, c.relname) AS name, i.indrelid::regclass::text AS table,
        pg_get_indexdef(i.indexrelid) AS definition
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname = ANY (current_schemas(false))
        AND NOT EXISTS (
            SELECT FROM pg_locks l WHERE l.relation = i.indrelid AND l.granted
                AND l.mode = 'ShareUpdateExclusiveLock'
        )
    ORDER BY name
""")


# Who could have made a table of ours is this user, a superuser, or who the database or the schema
# belongs to. A trigger may also be there by a superuser's will, as for replication. What pg_depend
# names are functions that are no part of the server.
_STRANGE = text("""
    WITH mine AS (
        SELECT c.oid, c.oid::regclass::text AS name, c.relkind, c.relrowsecurity, c.relhassubclass,
            o.rolname AS owner, o.rolname = current_user OR o.rolsuper OR c.relowner = n.nspowner
            OR EXISTS (SELECT FROM pg_database d
                WHERE d.datname = current_database() AND d.datdba = c.relowner)
            OR (NOT me.rolsuper AND pg_has_role(c.relowner, 'MEMBER')) AS trusted
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_roles o ON o.oid = c.relowner
            JOIN pg_roles me ON me.rolname = current_user
        WHERE c.relname = ANY (:names) AND c.relkind NOT IN ('i', 'I', 'c', 't')
            AND n.nspname = ANY (current_schemas(false) || CAST(:schemas AS name[]))
    ), told AS (
        SELECT name, owner, CASE
            WHEN NOT trusted THEN format('belongs to role "%s"', owner)
            WHEN relkind <> 'r' OR relhassubclass THEN 'is no plain table'
            WHEN relrowsecurity THEN 'has row security'
            WHEN EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = mine.oid)
                THEN (SELECT format('has the rule "%s"', min(r.rulename::text))
                    FROM pg_rewrite r WHERE r.ev_class = mine.oid)
            WHEN EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                    WHERE a.attrelid = mine.oid AND a.attnum > 0 AND t.oid >= 16384)
                THEN 'has a column of a type that is no part of the server'
            WHEN EXISTS (SELECT FROM pg_depend d
                    WHERE d.refclassid = 'pg_proc'::regclass AND (
                        d.classid = 'pg_attrdef'::regclass
                        AND d.objid IN (SELECT oid FROM pg_attrdef WHERE adrelid = mine.oid)
                        OR d.classid = 'pg_constraint'::regclass
                        AND d.objid IN (SELECT oid FROM pg_constraint WHERE conrelid = mine.oid)
                        OR d.classid = 'pg_class'::regclass
                        AND d.objid IN (SELECT indexrelid FROM pg_index WHERE indrelid = mine.oid)
                    ))
                THEN 'calls a function that is no part of the server'
            ELSE (
                SELECT format('has the trigger "%s"', min(t.tgname::text)) FROM pg_trigger t
                    JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_roles f ON f.oid = p.proowner
                WHERE t.tgrelid = mine.oid AND NOT t.tgisinternal AND NOT f.rolsuper
                    AND f.rolname <> current_user
                HAVING count(*) > 0
            ) END AS what
        FROM mine
    )
    SELECT name, owner, what FROM told WHERE what IS NOT NULL ORDER BY name
""")


def quoted(name: str) -> str:
    """Return an identifier as PostgreSQL reads it back unchanged."""
    return '"' + name.replace('"', '""') + '"'


def version_name(target: Target) -> str:
    """Return the version table as it stands in a statement."""
    schema = f"{quoted(target.version_schema)}." if target.version_schema else ""
    return schema + quoted(target.version_table)


def _tables(rows: Sequence[Row[Any]], without: set[int]) -> tuple[Table, ...]:
    return tuple(
        Table(row.name, None if row.rows is None or row.rows < 0 else int(row.rows), exact=False)
        for row in rows
        if row.oid not in without
        and not row.is_view
        and not row.is_version
        and row.name.rpartition(".")[2] not in OWN_TABLES
    )


# Where the setting comes from, as pg_settings calls it, and what takes it back.
_WRITABLE_AGAIN = {
    "database": 'ALTER DATABASE "{name}" RESET default_transaction_read_only;',
    "user": 'ALTER ROLE "{user}" RESET default_transaction_read_only;',
    "database user": 'ALTER ROLE "{user}" IN DATABASE "{name}" '
    "RESET default_transaction_read_only;",
    "configuration file": "ALTER SYSTEM RESET default_transaction_read_only; "
    "SELECT pg_reload_conf();  # and take it out of postgresql.conf",
}


def _refuses(facts: Row[Any], address: Address) -> Unreachable | None:
    location = f"{address.server}/{facts.name}"
    if facts.replica:
        return Unreachable(
            "replica",
            f'Database "{location}" is on a standby server, a copy of another one that takes no '
            "changes of its own.",
            "name the primary server in SQLALCHEMY_DATABASE_URI; its address: "
            "SELECT conninfo FROM pg_stat_wal_receiver;",
        )
    if not facts.read_only:
        return None
    origin = facts.read_only_by
    why = f"for the {origin}" if origin in _WRITABLE_AGAIN else "by the way this client connects"
    again = _WRITABLE_AGAIN.get(
        origin,
        "take default_transaction_read_only out of the URL, the engine's connect_args or the "
        "variable PGOPTIONS",
    )
    return Unreachable(
        "read-only",
        f'Database "{location}" can be read, but not written: default_transaction_read_only is '
        f"on {why}.",
        again.format(name=facts.name, user=facts.username),
    )


def _too_old(connection: Connection, target: Target) -> None:
    """Stop at a server that knows too little to be asked anything else.

    :raises TooOld: it is older than :data:`OLDEST`.
    """
    number = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    if number < OLDEST * 10_000:
        version = connection.execute(text("SHOW server_version")).scalar_one()
        raise TooOld(
            Unreachable(
                "too old",
                f'PostgreSQL at "{address_of(target.engine.url).server}" is version '
                f"{version.split()[0]}; {OLDEST} is the oldest that is served.",
                f"upgrade the server to PostgreSQL {OLDEST} or later (pg_upgrade)",
            )
        )


# pg_dump and others set it so for their session; a pooler hands that session to the next client.
_SEARCH_PATH = text("""
    SELECT reset_val FROM pg_settings
    WHERE name = 'search_path' AND source = 'session' AND reset_val NOT IN ('', '""')
""")


class NoSearchPath(Exception):
    """No table can be found by its name."""

    def __init__(self, reason: Unreachable) -> None:
        super().__init__(reason.message)
        self.reason = reason


def _prove_search_path(connection: Connection, target: Target) -> None:
    """Stop where the empty search path is another session's leaving, so that all looks gone.

    :raises NoSearchPath: it is.
    """
    usual = connection.execute(_SEARCH_PATH).scalar()
    if usual is not None:
        where = address_of(target.engine.url).location
        raise NoSearchPath(
            Unreachable(
                "unknown",
                f'The search path of the connection to "{where}" is empty, though its user has '
                f"'{usual}': a pooler gave it a session in which a program such as pg_dump or a "
                "listener of the application has emptied it, and no table can be found there.",
                "let the pooler close its connections (PgBouncer: RECONNECT), and name the "
                "server itself for pg_dump and migrations",
            )
        )


def limit_waits(connection: Connection, *, lock: int, statement: int) -> None:
    """Let the open transaction wait no longer.

    :param lock: seconds for a lock.
    :param statement: seconds for a whole statement.
    """
    limits = "SELECT set_config('lock_timeout', :lock, true), "
    limits += "set_config('statement_timeout', :statement, true)"
    connection.execute(text(limits), {"lock": f"{lock}s", "statement": f"{statement}s"})


def _read(connection: Connection, target: Target) -> DatabaseState:
    _too_old(connection, target)
    # A reader that waits behind a queued ALTER would hang as long as that does.
    limit_waits(connection, lock=5, statement=60)
    beside = f"{quoted(target.version_schema)}." if target.version_schema else ""
    facts = connection.execute(
        _FACTS,
        {"version_table": version_name(target), "beside": f"{beside}{JOURNAL}"},
    ).one()
    if facts.nowhere:
        _prove_search_path(connection, target)
    tables = connection.execute(_TABLES).all()
    address = address_of(target.engine.url)
    schemas = [target.version_schema] if target.version_schema else []
    if schemas or any(row.name.rpartition(".")[2] in OWN_TABLES for row in tables):
        strange = connection.execute(
            _STRANGE, {"names": sorted(OWN_TABLES), "schemas": schemas}
        ).all()
        first = strange[0].name if strange else ""
        prove_own(
            f"{address.server}/{facts.name}",
            [(row.name, row.what) for row in strange],
            f"look at it with \\d+ {first}, then drop it or what is wrong with it; or, if it is "
            f"right, ALTER TABLE {first} OWNER TO {quoted(facts.username)};",
        )
    invalid = [
        InvalidIndex(row.name, row.table, row.definition)
        for row in connection.execute(_INVALID_INDEXES)
    ]
    versions = journal = None
    if facts.version_oid is not None:
        versions = connection.execute(
            plain(f"SELECT version_num FROM {facts.version_name} ORDER BY 1")
        ).scalars()
    if facts.journal_oid is not None:
        journal = connection.execute(plain(journal_query(facts.journal_name)))
    found = _tables(tables, {facts.version_oid, facts.journal_oid})
    return DatabaseState(
        bind=target.bind,
        dialect="postgresql",
        location=f"{address.server}/{facts.name}",
        name=facts.name,
        read_only=facts.replica or facts.read_only,
        refuses=_refuses(facts, address),
        size=facts.size,
        server=facts.version.split()[0],
        tables=found,
        version_table=target.version_table,
        version_rows=None if versions is None else tuple(versions),
        views=tuple(row.name for row in tables if row.is_view),
        other_versions=tuple(
            row.name for row in tables if row.is_version and row.oid != facts.version_oid
        ),
        leftovers=tuple(t for t in found if LEFTOVER in t.name),
        journal=() if journal is None else journal_rows(journal),
        invalid_indexes=tuple(invalid),
    )


def read(target: Target) -> DatabaseState:
    """Read the facts of a database in one read-only transaction of its own connection.

    ``tables`` are those of the search path, with PostgreSQL's estimate of their rows.
    """
    try:
        with own_connection(target.engine, connect_defaults(target.engine)) as connection:
            connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            return _read(connection, target)
    except (TooOld, NotOurs, NoSearchPath) as stop:
        unreachable = stop.reason
    except (SQLAlchemyError, OSError) as error:  # some drivers let the socket's error through
        unreachable = explain(error, target)
    address = address_of(target.engine.url)
    return DatabaseState(
        bind=target.bind,
        dialect="postgresql",
        location=address.location,
        name=address.name,
        exists=unreachable.kind != "missing database",
        version_table=target.version_table,
        unreachable=unreachable,
    )
