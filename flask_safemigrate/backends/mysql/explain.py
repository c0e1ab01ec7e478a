"""Why a MariaDB or MySQL database cannot be reached."""

from __future__ import annotations

import re
import socket

from flask_safemigrate.backends.address import worded
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.driver_errors import error_number, system_error, text_of
from flask_safemigrate.backends.mysql.address import address_of
from flask_safemigrate.backends.setup_errors import explain_setup
from flask_safemigrate.errors import DatabaseUnavailable
from flask_safemigrate.facts.database import Unreachable

# https://mariadb.com/kb/en/mariadb-error-code-reference/
_NUMBERS = {
    1040: "too many connections",
    1203: "too many connections",
    1226: "too many connections",
    1045: "wrong password",
    1698: "wrong password",
    1251: "wrong password",
    1820: "wrong password",  # the password has expired
    1862: "wrong password",
    3118: "wrong password",  # the account is locked; 4151 says so on MariaDB
    4151: "wrong password",
    3955: "wrong password",  # too many failed logins
    1049: "missing database",
    1044: "missing privilege",
    1142: "missing privilege",
    1143: "missing privilege",
    1227: "missing privilege",
    1370: "missing privilege",
    1130: "host not admitted",
    1129: "host blocked",
    1053: "server down",
    3032: "offline",
    # What the plugin for replication says while a member cannot take part.
    3100: "cluster",
    3101: "cluster",
    1047: "cluster",
    1927: "server down",
    2002: "server down",
    2003: "server down",
    2006: "server down",
    2013: "server down",
    2026: "server down",  # TLS ended in the middle; while connecting it is a fault of TLS
    4031: "server down",
    2005: "host unknown",
    1205: "locked",
    1290: "read-only",
    1792: "read-only",
    1836: "read-only",
    126: "damaged",
    127: "damaged",
    145: "damaged",
    1033: "damaged",
    1034: "damaged",
    1194: "damaged",
    1195: "damaged",
    1877: "damaged",
    1932: "damaged",
}


def _kind(error: BaseException) -> str:
    system = system_error(error)
    # Drivers say 2003 for both; the socket's own error knows which.
    if isinstance(system, socket.gaierror):
        return "host unknown"
    number = error_number(error)
    if number in _NUMBERS:
        return _NUMBERS[number]
    return "server down" if system is not None else "unknown"


# Where the server is, our message says itself.
_NOISE = re.compile(r"^Can't connect to .*?\((.*)\)$")


# Of this error the server names the account, of others only where the user came from.
_ACCESS_DENIED = 1044
_ACCOUNT = re.compile(r"'[^']*'@'[^']*'")

_ADMIN = "as an administrator: "

# What others know it by, the message and the hint.
_WORDS = {
    "server down": (
        "server down",
        'The MariaDB/MySQL server at "{server}" does not answer (database "{name}"). {text}',
        "mariadb-admin {options} ping",
    ),
    "server down here": (
        "server down",
        'The MariaDB/MySQL server at "{server}" does not answer (database "{name}"). {text}',
        "systemctl status mariadb",
    ),
    "offline": (
        "starting",
        'The MariaDB/MySQL server at "{server}" is offline for applications (database "{name}"). '
        "{text}",
        _ADMIN + "SELECT @@offline_mode; SELECT member_state FROM "
        "performance_schema.replication_group_members;",
    ),
    "cluster": (
        "starting",
        'The cluster of the MariaDB/MySQL server at "{server}" takes no part in transactions now '
        '(database "{name}"). {text}',
        _ADMIN + "SHOW STATUS LIKE 'wsrep_%'; SELECT * FROM "
        "performance_schema.replication_group_members;",
    ),
    "host unknown": (
        "host unknown",
        'The host "{host}" of database "{name}" is unknown to this machine.',
        "correct the host in SQLALCHEMY_DATABASE_URI, then: getent hosts {host}",
    ),
    "wrong password": (
        "wrong password",
        'The MariaDB/MySQL server at "{server}" refuses user "{user}" or its password '
        '(database "{name}"). {text}',
        "correct it in SQLALCHEMY_DATABASE_URI (percent-encode special characters); "
        "try it with: mariadb {options} {name}",
    ),
    "missing database": (
        "missing database",
        'There is no database "{name}" on the MariaDB/MySQL server at "{server}".',
        'mariadb {options} -e "CREATE DATABASE \\`{name}\\` CHARACTER SET utf8mb4"',
    ),
    "missing privilege": (
        "missing privilege",
        'User "{user}" lacks a privilege on database "{location}". {text}',
        _ADMIN + "GRANT ALL ON `{name}`.* TO '{user}'@'%';",
    ),
    "host not admitted": (
        "missing privilege",
        'The MariaDB/MySQL server at "{server}" admits no user from this machine '
        '(database "{name}"). {text}',
        _ADMIN + "CREATE USER '{user}'@'%' IDENTIFIED BY '...'; "
        "GRANT ALL ON `{name}`.* TO '{user}'@'%';",
    ),
    "host blocked": (
        "missing privilege",
        'The MariaDB/MySQL server at "{server}" has blocked this machine after too many failed '
        'connections (database "{name}"). {text}',
        _ADMIN + "FLUSH HOSTS;",
    ),
    "too many connections": (
        "too many connections",
        'The MariaDB/MySQL server at "{server}" has no connection left for user "{user}" and '
        'database "{name}". {text}',
        _ADMIN + "SHOW FULL PROCESSLIST; SHOW VARIABLES LIKE 'max_%connections';",
    ),
    "read-only": (
        "read-only",
        'Database "{location}" takes no changes. {text}',
        "connect to the primary server; SELECT @@read_only, @@innodb_read_only; "
        "tells which one this is",
    ),
    "locked": (
        "locked",
        'Another session locks what is needed in database "{location}". {text}',
        "SHOW FULL PROCESSLIST; SELECT * FROM information_schema.innodb_trx;",
    ),
    "damaged": (
        "damaged",
        'Database "{location}" is damaged. {text}',
        "mariadb-check {options} {name}",
    ),
    "unknown": (
        "unknown",
        'Database "{location}" could not be used as "{user}": {text}',
        "mariadb {options} {name}",
    ),
}


def explain(error: BaseException, target: Target) -> Unreachable:
    """Say why a driver's error means that the database cannot be reached."""
    address = address_of(target.engine.url)
    text = _NOISE.sub(r"\1", text_of(error))
    if found := explain_setup(error, target, address, text):
        return found
    kind = _kind(error)
    if kind == "server down" and address.local:
        kind = "server down here"
    found = worded(_WORDS, kind, address, text)
    account = _ACCOUNT.search(text) if error_number(error) == _ACCESS_DENIED else None
    if account is None:
        return found
    return found._replace(hint=found.hint.replace(f"'{address.user}'@'%'", account[0]))


def unavailable(error: BaseException, target: Target) -> DatabaseUnavailable:
    """Return the same as an exception."""
    found = explain(error, target)
    return DatabaseUnavailable(found.message, kind=found.kind, hint=found.hint)
