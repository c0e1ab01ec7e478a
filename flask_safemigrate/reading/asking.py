"""Asking the rows of a database, in transactions that can write nothing."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.driver_errors import error_number, sqlstate, text_of
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
def asking(target: Target | None, dialect: str) -> Iterator[Asking | None]:
    """Who asks the database, None where none is to be asked.

    In a transaction that can write nothing, each question with a limit of time.
    """
    if target is None:
        yield None
        return
    with _connection(target, dialect) as connection:
        _limit(connection, dialect)
        yield Asking(connection, dialect)


class Asking:
    """Asks a database."""

    def __init__(self, connection: sa.Connection, dialect: str) -> None:
        self.connection, self.dialect = connection, dialect
        self._escapes = connection.dialect.paramstyle in ("format", "pyformat")

    def __call__(self, sql: str) -> list[Any] | None:
        """What it answers; None where it cannot or takes too long."""
        try:
            result = self._run(sql)
            return list(result) if result.returns_rows else []
        except sa.exc.SQLAlchemyError:
            self._begin_again()
            return None

    def refusal(self, sql: str) -> str:
        """What it says against a text; "" where it takes it, or refuses it for other reasons."""
        try:
            self._run(sql)
        except sa.exc.DBAPIError as error:
            self._begin_again()
            return text_of(error) if _is_of_text(error, self.dialect) else ""
        except sa.exc.SQLAlchemyError:
            self._begin_again()
        return ""

    def _run(self, sql: str) -> sa.CursorResult[Any]:
        return self.connection.exec_driver_sql(sql.replace("%", "%%") if self._escapes else sql)

    def _begin_again(self) -> None:
        self.connection.rollback()
        _limit(self.connection, self.dialect)


#: What MariaDB and MySQL call errors of a text, and not of rows, rights or the moment: names
#: (1052, 1054, 1109, 1146, 1305), its form (1064, 1136, 1241) and functions (1582).
_OF_TEXT = frozenset({1052, 1054, 1064, 1109, 1136, 1146, 1241, 1305, 1582})
_SQLITE = re.compile(
    r"near \"|unrecognized token|incomplete input|no such (column|table|function|index)|ambiguous "
    r"column|table \S+ has no column|\d+ values for|[Cc]annot (add|drop)|sub-select returns|wrong "
    r"number of arguments|error in (index|view|trigger)"
)


def _is_of_text(error: BaseException, dialect: str) -> bool:
    """Whether an error is about what a text says."""
    if dialect == "postgresql":
        code = sqlstate(error)
        # Of rights, or of a type that nobody can tell.
        return code[:2] in ("22", "42") and code not in ("42501", "42P18")
    if dialect == "sqlite":
        return _SQLITE.match(text_of(error)) is not None
    return error_number(error) in _OF_TEXT


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
