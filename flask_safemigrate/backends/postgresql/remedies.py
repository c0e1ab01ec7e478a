"""What of PostgreSQL has stopped a revision: a setting and whose it is, or a session."""

from __future__ import annotations

import shlex
from contextlib import suppress

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.driver_errors import driver_error, sqlstate
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.postgresql.address import connect_defaults

#: SQLSTATE, a word of the message, and the setting that is behind it.
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
_TIMEOUTS = (
    ("57014", "statement timeout", "statement_timeout"),
    ("25P03", "", "idle_in_transaction_session_timeout"),
    ("25P04", "", "transaction_timeout"),
    ("57P05", "", "idle_session_timeout"),
)

_SOURCE = text("SELECT source FROM pg_settings WHERE name = :name")
_SOURCES = {
    "user": "ALTER ROLE ... SET",
    "database": "ALTER DATABASE ... SET",
    "database user": "ALTER ROLE ... IN DATABASE ... SET",
    "configuration file": "the server's configuration",
    "client": "the connection's options",
    "command line": "the server's command line",
}
#: SQLSTATE, a word of the message, and what has ended the statement or the connection.
_ENDED = (
    ("57014", "user request", "look who has ended the statement, as by pg_cancel_backend()"),
    (
        "57P01",
        "",
        "look into the server's log: pg_terminate_backend() or a shutdown ended it",
    ),
    ("57P02", "", "look into the server's log: another of its processes has crashed"),
)


def remedy(error: BaseException, target: Target) -> str | None:
    """Return what to do about what stopped a revision from outside, None where nothing did."""
    code, said = sqlstate(error), str(driver_error(error))
    for state, word, ended in _ENDED:
        if code == state and word in said:
            return f"{ended}; nothing of the revision is known to be wrong"
    for state, word, setting in _TIMEOUTS:
        if code == state and word in said:
            return _of_timeout(setting, target)
    return None


def _of_timeout(setting: str, target: Target) -> str:
    source = ""
    defaults = connect_defaults(target.engine)
    with (
        suppress(SQLAlchemyError, OSError),
        own_connection(target.engine, defaults, autocommit=True) as connection,
    ):
        found = str(connection.scalar(_SOURCE, {"name": setting}) or "")
        source = f", which comes from {_SOURCES.get(found, found)}"
    if setting == "statement_timeout":
        way = 'app.config["SAFEMIGRATE_STATEMENT_TIMEOUT"] = 600  # seconds, for the migration'
    else:
        way = f"PGOPTIONS={shlex.quote(f'-c {setting}=0')} flask db safe-upgrade"
    return f"{way}; the limit is {setting}{source}"
