"""Emptying a MariaDB or MySQL database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.driver_errors import text_of
from flask_safemigrate.backends.mysql.address import address_of, connect_defaults
from flask_safemigrate.backends.mysql.explain import unavailable
from flask_safemigrate.backends.mysql.quoting import quoted
from flask_safemigrate.backends.mysql.unfinished import RESET, marked, unmark
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.reach import numbered
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.errors import SafeMigrateError
from flask_safemigrate.names import LOCK_TABLE, UNFINISHED_TABLE

LOCK_SECONDS = 10

# Views first, for they hang on tables and routines; what another user defined before all else of
# its kind, and routines and events before tables: where this user may not drop it, nothing is
# gone yet. Triggers go with their tables.
_OBJECTS = text("""
    SELECT CASE t.table_type WHEN 'VIEW' THEN 1 WHEN 'SEQUENCE' THEN 5 ELSE 4 END AS position,
        coalesce(v.definer = current_user(), TRUE) AS ours,
        CASE t.table_type WHEN 'VIEW' THEN 'VIEW' WHEN 'SEQUENCE' THEN 'SEQUENCE' ELSE 'TABLE' END
            AS kind,
        t.table_name AS name
    FROM information_schema.tables t LEFT JOIN information_schema.views v
        ON v.table_schema = t.table_schema AND v.table_name = t.table_name
    WHERE t.table_schema = database() AND t.table_name NOT IN (:lock_table, :unfinished)
    UNION ALL SELECT 2, definer = current_user(), routine_type, routine_name
    FROM information_schema.routines
    WHERE routine_schema = database() AND routine_type <> 'PACKAGE BODY'
    UNION ALL SELECT 3, definer = current_user(), 'EVENT', event_name
    FROM information_schema.events WHERE event_schema = database()
    ORDER BY 2, 1, 4
""")


def drop_statements(connection: Connection) -> tuple[str, ...]:
    """Return the statements that empty the connection's database, in order.

    They need ``foreign_key_checks`` off. The table of locks stays: whoever empties the database
    holds one.
    """
    return tuple(
        f"DROP {row.kind} IF EXISTS {quoted(row.name)}"
        for row in connection.execute(
            _OBJECTS, {"lock_table": LOCK_TABLE, "unfinished": UNFINISHED_TABLE}
        )
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
            f"The database is not empty: {numbered(len(rest), 'object')} left.",
            hint=f"find out why this fails: {rest[0]};",
        )


@contextmanager
def unmarked_if_unchanged(connection: Connection) -> Iterator[None]:
    """Take the mark away where the block fails and not even the first object was dropped."""
    before = drop_statements(connection)
    try:
        yield
    except BaseException:
        with suppress(SQLAlchemyError):
            if before and drop_statements(connection) == before:
                unmark(connection)
        raise


def drop_everything(target: Target) -> None:
    """Drop every object of the URL's database, and the version table if that is in another one.

    Each object goes for good at once, for the server commits every ``DROP``; run it again after
    a failure.

    :raises SafeMigrateError: an object could not be dropped.
    :raises DatabaseUnavailable: the server cannot be reached, a privilege is missing or another
        session kept a lock.
    """
    try:
        with (
            own_connection(
                target.engine, connect_defaults(target.engine), autocommit=True
            ) as connection,
            marked(connection, RESET, ""),
        ):
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
            f'"{where}" could not be emptied: {text_of(error).rstrip(". ")}. '
            "Some of its objects may be gone already.",
            hint="run the command again",
        ) from error
