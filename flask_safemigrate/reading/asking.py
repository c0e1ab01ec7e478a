"""Asking the rows of a database, in transactions that can write nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.facts.database import DatabaseState

_SECONDS = 5  # that a question may take


def counted_rows(
    target: Target, found: DatabaseState, most: int = 100_000
) -> Mapping[str, int | None]:
    """The numbers of rows of its tables.

    :param most: up to which they are counted, for what the server knows may be old.
    """
    rows = {table.name: table.rows for table in found.tables}
    if not rows:
        return rows
    dialect = "sqlite" if target.engine.dialect.name == "sqlite" else found.dialect
    with asking(target, dialect) as ask:
        for name, estimate in rows.items():
            if ask is None or (estimate is not None and estimate > most):
                continue
            quoted = target.engine.dialect.identifier_preparer.quote(name)
            answer = ask(f"SELECT count(*) FROM (SELECT 1 AS one FROM {quoted} LIMIT {most}) AS t")
            if answer:
                rows[name] = int(answer[0][0])
    return rows


def time_zone(target: Target) -> str:
    with asking(target, "postgresql") as ask:
        answer = ask("SHOW TimeZone") if ask is not None else None
    return str(answer[0][0]) if answer else ""


@contextlib.contextmanager
def asking(target: Target | None, dialect: str) -> Iterator[Any]:
    """A function that asks the database, which answers None where it cannot or takes too long.

    In a transaction that can write nothing, each question with a limit of time.
    """
    if target is None:
        yield None
        return
    with _connection(target, dialect) as connection:
        escaped = connection.dialect.paramstyle in ("format", "pyformat")

        def ask(sql: str) -> list[Any] | None:
            try:
                return list(connection.exec_driver_sql(sql.replace("%", "%%") if escaped else sql))
            except sa.exc.SQLAlchemyError:
                connection.rollback()
                _limit(connection, dialect)
                return None

        _limit(connection, dialect)
        yield ask


@contextlib.contextmanager
def _connection(target: Target, dialect: str) -> Iterator[sa.Connection]:
    from flask_safemigrate.backends.own_connection import own_connection

    if dialect == "sqlite":
        with target.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only = ON")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("PRAGMA query_only = OFF")
                connection.rollback()
        return
    if dialect == "postgresql":
        from flask_safemigrate.backends.postgresql import address as postgresql

        defaults = postgresql.connect_defaults(target.engine)
    else:
        from flask_safemigrate.backends.mysql import address as mysql

        defaults = mysql.connect_defaults(target.engine)
    with own_connection(target.engine, defaults) as connection:
        yield connection


def _limit(connection: sa.Connection, dialect: str) -> None:
    if dialect == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{_SECONDS}s'")
        connection.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
    elif dialect == "mariadb":
        connection.exec_driver_sql(f"SET SESSION max_statement_time = {_SECONDS}")
        connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
        connection.commit()
    elif dialect == "mysql":
        connection.exec_driver_sql(f"SET SESSION max_execution_time = {_SECONDS * 1000}")
        connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
        connection.commit()
