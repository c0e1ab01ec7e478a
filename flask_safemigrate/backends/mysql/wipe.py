"""Emptying a MariaDB or MySQL database."""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.driver_errors import text_of
from flask_safemigrate.backends.mysql.address import address_of, connect_defaults
from flask_safemigrate.backends.mysql.explain import unavailable
from flask_safemigrate.backends.mysql.read import quoted
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.own_tables import LOCK_TABLE
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.errors import SafeMigrateError

LOCK_SECONDS = 10

# Views first, for they hang on tables and routines. Triggers go with their tables.
_OBJECTS = text("""
    SELECT CASE table_type WHEN 'VIEW' THEN 1 WHEN 'SEQUENCE' THEN 3 ELSE 2 END AS position,
        CASE table_type WHEN 'VIEW' THEN 'VIEW' WHEN 'SEQUENCE' THEN 'SEQUENCE' ELSE 'TABLE' END
            AS kind,
        table_name AS name
    FROM information_schema.tables
    WHERE table_schema = database() AND table_name <> :lock_table
    UNION ALL SELECT 4, routine_type, routine_name
    FROM information_schema.routines
    WHERE routine_schema = database() AND routine_type <> 'PACKAGE BODY'
    UNION ALL SELECT 5, 'EVENT', event_name
    FROM information_schema.events WHERE event_schema = database()
    ORDER BY 1, 3
""")


def drop_statements(connection: Connection) -> tuple[str, ...]:
    """Return the statements that empty the connection's database, in order.

    They need ``foreign_key_checks`` off. The table of locks stays: whoever empties the database
    holds one.
    """
    return tuple(
        f"DROP {row.kind} IF EXISTS {quoted(row.name)}"
        for row in connection.execute(_OBJECTS, {"lock_table": LOCK_TABLE})
    )


def drop_all(connection: Connection) -> None:
    """Empty the connection's database.

    :raises SafeMigrateError: something is left.
    """
    connection.execute(text(f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}"))
    connection.execute(text("SET SESSION foreign_key_checks = 0"))
    for statement in drop_statements(connection):
        connection.execute(plain(statement))
    rest = drop_statements(connection)
    if rest:
        raise SafeMigrateError(
            f"The database is not empty: {len(rest)} objects are left.",
            hint=f"find out why this fails: {rest[0]};",
        )


def drop_everything(target: Target) -> None:
    """Drop every object of the URL's database, and the version table if that is in another one.

    Each object goes for good at once, for the server commits every ``DROP``; run it again after
    a failure.

    :raises SafeMigrateError: an object could not be dropped.
    :raises DatabaseUnavailable: the server cannot be reached, a privilege is missing or another
        session kept a lock.
    """
    try:
        with own_connection(
            target.engine, connect_defaults(target.engine), autocommit=True
        ) as connection:
            drop_all(connection)
            if target.version_schema:
                table = f"{quoted(target.version_schema)}.{quoted(target.version_table)}"
                connection.execute(plain(f"DROP TABLE IF EXISTS {table}"))
    except SQLAlchemyError as error:
        refusal = unavailable(error, target)
        if refusal.kind != "unknown":
            raise refusal from error
        where = address_of(target.engine.url).location
        raise SafeMigrateError(
            f'"{where}" could not be emptied: {text_of(error)} '
            "Some of its objects may be gone already.",
            hint="run the command again",
        ) from error
