"""Facts of a MariaDB or MySQL database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.journal import JOURNAL, journal_query, journal_rows
from flask_safemigrate.backends.mysql.address import address_of, connect_defaults
from flask_safemigrate.backends.mysql.explain import explain
from flask_safemigrate.backends.mysql.lock import in_cluster
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.own_tables import OWN_TABLES, PROGRESS_TABLE
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.state import DatabaseState, ProgressRow, Table

ANSWER_SECONDS = 60

_FACTS = text("""
    SELECT database() AS name, version() AS version,
        @@global.read_only AS read_only, @@global.innodb_read_only AS innodb_read_only
""")

# MariaDB lists sequences beside tables; SYSTEM VERSIONED is its word for a table with history.
_TABLES = text("""
    SELECT table_schema AS place, table_name AS name, table_rows AS estimate,
        coalesce(data_length, 0) + coalesce(index_length, 0) AS size
    FROM information_schema.tables
    WHERE (table_schema = database() OR table_schema = :schema)
        AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    ORDER BY table_name
""")

_PROGRESS = text(f"""
    SELECT revision, direction, position, kind, state, statement, started, host
    FROM {PROGRESS_TABLE} ORDER BY revision, direction, position
""")


def quoted(name: str) -> str:
    """Return an identifier as MariaDB and MySQL read it back unchanged."""
    return "`" + name.replace("`", "``") + "`"


def _read(connection: Connection, target: Target) -> DatabaseState:
    # A reader that waits behind a running ALTER would hang as long as that does.
    connection.execute(text("SET SESSION lock_wait_timeout = 5"))
    if in_cluster(connection):
        # What another node has committed may not have come here yet.
        connection.execute(text("SET SESSION wsrep_sync_wait = 1"))
    connection.execute(text("SET SESSION TRANSACTION READ ONLY"))
    connection.commit()
    facts = connection.execute(_FACTS).one()
    rows = connection.execute(_TABLES, {"schema": target.version_schema}).all()
    places = {(row.place, row.name) for row in rows}
    version = (target.version_schema or facts.name, target.version_table)
    journals = [p for p in ((version[0], JOURNAL), (facts.name, JOURNAL)) if p in places]
    versions = journal = None
    if version in places:
        table = ".".join(map(quoted, version))
        versions = connection.execute(plain(f"SELECT version_num FROM {table} ORDER BY 1"))
    if journals:
        journal = connection.execute(plain(journal_query(".".join(map(quoted, journals[0])))))
    own = [row for row in rows if row.place == facts.name]
    done: tuple[ProgressRow, ...] = ()
    if (facts.name, PROGRESS_TABLE) in places:
        done = tuple(ProgressRow(*row) for row in connection.execute(_PROGRESS))
    tables = tuple(
        Table(row.name, None if row.estimate is None else int(row.estimate), exact=False)
        for row in own
        if (row.place, row.name) != version and row.name not in OWN_TABLES
    )
    address = address_of(target.engine.url)
    return DatabaseState(
        bind=target.bind,
        dialect="mariadb" if "mariadb" in facts.version.lower() else "mysql",
        location=f"{address.server}/{facts.name}",
        name=facts.name,
        read_only=_on(facts.read_only) or _on(facts.innodb_read_only),
        size=int(sum(row.size for row in own)),
        server=facts.version,
        tables=tables,
        version_table=target.version_table,
        version_rows=None if versions is None else tuple(versions.scalars()),
        leftovers=tuple(t for t in tables if t.name.startswith("_alembic_tmp_")),
        journal=() if journal is None else journal_rows(journal),
        progress=done,
    )


def _on(value: Any) -> bool:
    # MariaDB 12 made read_only a word with several degrees of ON.
    return str(value).upper() not in ("0", "OFF")


def read(target: Target) -> DatabaseState:
    """Read the facts of a database in one read-only transaction of its own connection.

    ``tables`` are those of the URL's database, with the server's estimate of their rows.
    """
    try:
        defaults = connect_defaults(target.engine, answer_seconds=ANSWER_SECONDS)
        with own_connection(target.engine, defaults) as connection:
            return _read(connection, target)
    except SQLAlchemyError as error:
        cause: BaseException = error
    except OSError as error:  # some drivers let the socket's error through
        cause = error
    address = address_of(target.engine.url)
    unreachable = explain(cause, target)
    return DatabaseState(
        bind=target.bind,
        dialect=target.engine.dialect.name,
        location=address.location,
        name=address.name,
        exists=unreachable.kind != "missing database",
        version_table=target.version_table,
        unreachable=unreachable,
    )
