"""Which setting of MariaDB or MySQL has stopped a revision, and whose it is."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.driver_errors import error_number
from flask_safemigrate.backends.mysql.address import connect_defaults
from flask_safemigrate.backends.own_connection import own_connection

#: Error number -> the setting that is behind it, and what it should be for a migration.
#: https://mariadb.com/kb/en/mariadb-error-code-reference/
_LIMITS = {
    1969: ("max_statement_time", "0"),
    3024: ("max_execution_time", "0"),
    4031: ("wait_timeout", "28800"),
    1153: ("max_allowed_packet", "1073741824"),
    1175: ("sql_safe_updates", "0"),
    1104: ("sql_big_selects", "1"),
}


def remedy(error: BaseException, target: Target) -> str | None:
    """Return what to do about a limit that a revision has met, None where it has met none."""
    found = _LIMITS.get(error_number(error))
    if found is None:
        return None
    setting, value = found
    is_value = ""
    defaults = connect_defaults(target.engine, answer_seconds=10)
    with (
        suppress(SQLAlchemyError, OSError),
        own_connection(target.engine, defaults, autocommit=True) as connection,
    ):
        here, everywhere = connection.execute(
            text(f"SELECT @@session.{setting}, @@global.{setting}")
        ).one()
        whose = "the server's" if here == everywhere else "the session's, set by the application"
        is_value = f", here {here}, which is {whose}"
    if setting == "max_allowed_packet":
        return f"SET GLOBAL {setting} = {value};  # as an administrator; the limit is it{is_value}"
    return f'op.execute("SET SESSION {setting} = {value}")  # the limit is {setting}{is_value}'
