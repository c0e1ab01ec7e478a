"""Why a PostgreSQL database cannot be reached."""

from __future__ import annotations

import re
import socket

from flask_safemigrate.backends.address import worded
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.driver_errors import sqlstate, system_error, text_of
from flask_safemigrate.backends.postgresql.address import address_of
from flask_safemigrate.backends.setup_errors import explain_setup
from flask_safemigrate.errors import DatabaseUnavailable
from flask_safemigrate.facts.database import Unreachable

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_CODES = {
    "25006": "read-only",
    "28000": "not admitted",
    "26000": "prepared elsewhere",
    "28P01": "wrong password",
    "3D000": "missing database",
    "42501": "missing privilege",
    "53300": "too many connections",
    "55P03": "locked",
    "57014": "locked",
    "57P01": "server down",
    "57P02": "server down",
    "57P03": "starting",
    "XX001": "damaged",
    "XX002": "damaged",
}

# libpq hands no SQLSTATE out while it connects, so there is only its text. The first match counts.
_TEXTS = (
    # PgBouncer's own words, which it gives the class of a broken connection.
    (r"not allowed in statement pooling mode", "pooled by statement"),
    (r"no such database", "missing database"),
    (r"no such user", "not admitted"),
    (r"query_wait_timeout|no more connections allowed", "too many connections"),
    (r"password authentication failed|no password supplied", "wrong password"),
    (r"no pg_hba\.conf entry|pg_hba\.conf rejects", "not in pg_hba.conf"),
    (r"role .* does not exist", "not admitted"),
    (r"authentication failed|is not permitted to log in", "not admitted"),
    (r"database .* does not exist", "missing database"),
    (r"permission denied for database", "may not connect"),
    (r"too many connections for role", "too many of the role"),
    (r"too many connections for database", "too many of the database"),
    (r"too many clients|too many connections|remaining connection slots", "too many connections"),
    (r"database system is|not yet accepting connections", "starting"),
    (r"could not translate host name|failed to resolve host|name or service not", "host unknown"),
    (
        r"refused|no such file|timeout|timed out|unreachable|no route"
        # The last ones are pg8000's.
        r"|closed the connection|server closed|could not connect"
        r"|^network error$|^connection is closed$",
        "server down",
    ),
)

# What libpq and psycopg put around the reason; where the server is, our message says itself.
_NOISE = re.compile(
    r"^(connection (failed|is bad): )?(connection to server .*? failed: )?((FATAL|ERROR): +)?"
    r"|\s*Is the server running .*\?$"
)


def _kind(error: BaseException, text: str) -> str:
    code = sqlstate(error)
    # One code for three limits, and one class for all that a pooler says; only the text tells.
    if code and code != "53300" and not code.startswith("08"):
        owned = code == "42501" and "must be owner" in text
        return "not the owner" if owned else _CODES.get(code, "unknown")
    system = system_error(error)
    # pg8000 speaks of its timeout in every text.
    if isinstance(system, socket.gaierror):
        return "host unknown"
    for pattern, kind in _TEXTS:
        if re.search(pattern, text, re.IGNORECASE):
            return kind
    if code:
        return _CODES.get(code, "server down")
    return "server down" if system is not None else "unknown"


# What others know it by, the message and the hint.
_WORDS = {
    "server down": (
        "server down",
        'PostgreSQL at "{server}" does not answer (database "{name}"). {text}',
        "pg_isready -h {host} -p {port}",
    ),
    "server down here": (
        "server down",
        'PostgreSQL at "{server}" does not answer (database "{name}"). {text}',
        "systemctl status postgresql",
    ),
    "host unknown": (
        "host unknown",
        'The host "{host}" of database "{name}" is unknown to this machine.',
        "correct the host in SQLALCHEMY_DATABASE_URI, then: getent hosts {host}",
    ),
    "wrong password": (
        "wrong password",
        'PostgreSQL at "{server}" refuses the password of user "{user}" (database "{name}").',
        "correct it in SQLALCHEMY_DATABASE_URI (percent-encode special characters); "
        "try it with: {settings}psql {options} -W {name}",
    ),
    "not admitted": (
        "wrong password",
        'PostgreSQL at "{server}" does not let user "{user}" in (database "{name}"). {text}',
        "as a superuser: createuser --login --pwprompt -h {host} -p {port} {user}",
    ),
    "not in pg_hba.conf": (
        "missing privilege",
        'PostgreSQL at "{server}" admits no connection of user "{user}" to database "{name}" '
        "from this machine. {text}",
        "add a line for it to pg_hba.conf, then: SELECT pg_reload_conf();  "
        "if the server wants encryption, add ?sslmode=require to the URL",
    ),
    "missing database": (
        "missing database",
        'There is no database "{name}" on PostgreSQL at "{server}".',
        "{settings}createdb {options} {name}",
    ),
    "missing privilege": (
        "missing privilege",
        'User "{user}" lacks a privilege in database "{location}". {text}',
        "as an administrator, grant the privilege that the message names",
    ),
    "not the owner": (
        "missing privilege",
        'User "{user}" lacks a privilege in database "{location}". {text}',
        'as an administrator, make "{user}" the owner of what the message names, or a member of '
        "the role that owns it",
    ),
    "may not connect": (
        "missing privilege",
        'User "{user}" may not connect to database "{location}". {text}',
        'as an administrator: GRANT CONNECT ON DATABASE "{name}" TO "{user}";',
    ),
    "too many connections": (
        "too many connections",
        'PostgreSQL at "{server}" has no connection left for user "{user}" and database '
        '"{name}". {text}',
        "SELECT usename, application_name, count(*) FROM pg_stat_activity GROUP BY 1, 2;",
    ),
    "too many of the role": (
        "too many connections",
        'User "{user}" has as many connections to PostgreSQL at "{server}" as its role may have '
        '(database "{name}"). {text}',
        'ALTER ROLE "{user}" CONNECTION LIMIT -1;  # or end some: SELECT pid, application_name '
        "FROM pg_stat_activity WHERE usename = '{user}';",
    ),
    "too many of the database": (
        "too many connections",
        'Database "{name}" on PostgreSQL at "{server}" has as many connections as it may have. '
        "{text}",
        'ALTER DATABASE "{name}" CONNECTION LIMIT -1;  # or end some: SELECT pid, '
        "application_name FROM pg_stat_activity WHERE datname = '{name}';",
    ),
    "starting": (
        "starting",
        'PostgreSQL at "{server}" is not ready yet (database "{name}"). {text}',
        "flask db deploy --wait 60",
    ),
    "pooled by statement": (
        "misconfigured",
        'The pooler at "{server}" is in statement mode, which allows no transaction (database '
        '"{name}"). {text}',
        "name the address of PostgreSQL itself in SQLALCHEMY_DATABASE_URI, or set pool_mode = "
        "transaction in pgbouncer.ini",
    ),
    "prepared elsewhere": (
        "misconfigured",
        'The pooler at "{server}" hands out connections by transaction, and the driver prepares '
        'statements on one that it does not keep (database "{name}"). {text}',
        "name the address of PostgreSQL itself in SQLALCHEMY_DATABASE_URI; or take "
        "postgresql+psycopg://... there, and SQLALCHEMY_ENGINE_OPTIONS = "
        '{"connect_args": {"prepare_threshold": None}}',
    ),
    "read-only": (
        "read-only",
        'Database "{location}" takes no changes. {text}',
        "connect to the primary server; SELECT pg_is_in_recovery(); tells which one this is",
    ),
    "locked": (
        "locked",
        'Another session locks what is needed in database "{location}". {text}',
        "SELECT pid, usename, application_name, state, query FROM pg_stat_activity "
        "WHERE pid IN (SELECT unnest(pg_blocking_pids(pid)) FROM pg_stat_activity) "
        "OR state = 'idle in transaction';",
    ),
    "damaged": (
        "damaged",
        'Database "{location}" is damaged. {text}',
        "copy the server's data directory first, then restore the last backup",
    ),
    "unknown": (
        "unknown",
        'Database "{location}" could not be used as "{user}": {text}',
        "{settings}psql {options} {name}",
    ),
}


def explain(error: BaseException, target: Target) -> Unreachable:
    """Say why a driver's error means that the database cannot be reached."""
    address = address_of(target.engine.url)
    text = text_of(error)
    if found := explain_setup(error, target, address, _NOISE.sub("", text)):
        return found
    kind = _kind(error, text)
    if kind == "server down" and address.local:
        kind = "server down here"
    return worded(_WORDS, kind, address, _NOISE.sub("", text))


def unavailable(error: BaseException, target: Target) -> DatabaseUnavailable:
    """Return the same as an exception."""
    found = explain(error, target)
    return DatabaseUnavailable(found.message, kind=found.kind, hint=found.hint)
