"""What of MariaDB or MySQL has stopped a revision: a setting and whose it is, or a session."""

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
#: Error number -> what has ended the statement or the connection, which is not the revision.
_ENDED = {
    1317: "look who has ended the statement, as by KILL QUERY",
    **dict.fromkeys(
        (1053, 1927, 2006, 2013, 2055),
        "look into the server's log: the connection was ended, by KILL, by a restart or by a time "
        "limit between here and there",
    ),
}


def remedy(error: BaseException, target: Target) -> str | None:
    """Return what to do about what stopped a revision from outside, None where nothing did."""
    ended = _ENDED.get(error_number(error))
    if ended is not None:
        return f"{ended}; nothing of the revision is known to be wrong"
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
