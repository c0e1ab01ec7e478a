"""Why a driver cannot even ask the server: parameters it does not know, packages, TLS."""

from __future__ import annotations

import re
import shlex
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flask_safemigrate.backends.address import Address
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.driver_errors import (
    NotConnected,
    driver_error,
    error_number,
    errors_behind,
)
from flask_safemigrate.facts.database import Unreachable

# A driver's own name where SQLAlchemy has another one for it.
_NAMES = {
    "mysqldb": "mysqlclient",
    "mysqlconnector": "mysql-connector-python",
    "mariadbconnector": "mariadb",
}

# What drivers and libpq say of a parameter's name, and of its value.
_UNKNOWN_NAMES = tuple(
    re.compile(pattern)
    for pattern in (
        r"unexpected keyword argument '([^']+)'",
        r"'([^']+)' is an invalid keyword argument",
        r"Unsupported argument '([^']+)'",
        r'invalid connection option "([^"]+)"',
    )
)
# PgBouncer's words; it stands between the driver and the server.
_NOT_PASSED_ON = re.compile(r"unsupported startup parameter(?: in options)?: (\S+)", re.IGNORECASE)
_BAD_VALUES = tuple(
    re.compile(pattern)
    for pattern in (
        r"invalid (\w+) value: ",
        r"bad value for (\w+)",
        r'for connection option "(\w+)"',
        r"[Uu]nknown (ssl_mode) specification",
        r'invalid value for parameter "(\w+)"',
        r'unrecognized configuration parameter "([\w.]+)"',
        r"invalid (port) number",
        r"could not match \d+ (port) numbers",
        # Of a character set, MariaDB's library, mysql-connector and the server in this order.
        r"Can't initialize (character set)",
        r"(Character set) '[^']*' unsupported",
        r"Unknown (character set|collation)",
        r"Unknown (system variable)",
        r"(Variable) '[^']*' can't be set to the value",
    )
)

_SETUPS = ("init_command", "sql_mode", "options")

_NEEDS_PACKAGE = re.compile(r"'([\w.-]+)' package is required")

# https://mariadb.com/docs/server/reference/error-codes, and 2026 of the client library.
_TLS_NUMBERS = (2026, 3159)
_TLS_TEXTS = re.compile(
    r"SSL error|does not support SSL|refuses SSL|SSL is required|requires? secure connection"
    r"|(?:root )?certificate file|CA Certificate:|private key file|server certificate"
    r"|certificate verify|tlsv1 alert|sslv3 alert",
    re.IGNORECASE,
)
# The other side is gone; that it spoke TLS is no reason.
_ENDED = re.compile(r"SYSCALL|unexpected(ly)? eof|closed unexpectedly|EOF detected", re.IGNORECASE)
_TLS_WORDS = ("ssl", "tls")
_TLS_FILES = re.compile(r'file "([^"]+)"')

# The word of each driver for what other clients call otherwise; psycopg2 speaks as psycopg does.
_ENCRYPT = {
    "psycopg": "sslmode=require",
    "pymysql": "ssl_ca=/path/of/the/ca.pem",
    "mysqldb": "ssl_mode=REQUIRED",
    "mysqlconnector": "ssl_ca=/path/of/the/ca.pem",
    "mariadbconnector": "ssl=true",
}
_OWN_WORDS = {
    ("psycopg", "charset"): "client_encoding=utf8",
    ("psycopg", "schema"): "options=-csearch_path%3DNAME",
    ("psycopg", "currentschema"): "options=-csearch_path%3DNAME",
    ("psycopg", "timeout"): "connect_timeout=10",
    ("mysqlconnector", "connect_timeout"): "connection_timeout=10",
}
# pg8000 takes what is no text, which a URL cannot hold.
_OWN_ARGUMENTS = {"connect_timeout": '"timeout": 10', "ssl": '"ssl_context": True'}


def explain_setup(
    error: BaseException, target: Target, address: Address, text: str
) -> Unreachable | None:
    """Say why the driver gave up before, or instead of, asking for the database.

    :param text: what the driver says, without the password.
    :return: None where the server has the word.
    """
    # A revision's statement may name a parameter or a character set that is unknown, too.
    if not isinstance(error, NotConnected) and getattr(error, "statement", None) is not None:
        return None
    return (
        _missing_package(error, target, address)
        or _tls(error, target, address, text)
        or _misconfigured(error, target, address, text)
    )


def _missing_package(error: BaseException, target: Target, address: Address) -> Unreachable | None:
    cause = driver_error(error)
    found = _NEEDS_PACKAGE.search(str(cause))
    name = found[1] if found else getattr(cause, "name", "")
    if not found and not isinstance(cause, ModuleNotFoundError):
        return None
    if not name:
        return None
    driver = _driver(target)
    return Unreachable(
        "missing package",
        f'The driver {driver} needs the package "{name}" to log in to "{address.server}" as '
        f'"{address.user}" (database "{address.name}"), and it is not installed here.',
        f"pip install {name}",
    )


def _misconfigured(
    error: BaseException, target: Target, address: Address, text: str
) -> Unreachable | None:
    for pattern in _UNKNOWN_NAMES:
        if found := pattern.search(text):
            return _unknown_parameter(found[1], target, address)
    if found := _NOT_PASSED_ON.search(text):
        name = found[1] if found[1] in target.engine.url.query else "options"
        place = _place(target, name)
        return Unreachable(
            "misconfigured",
            f'The pooler at "{address.server}" does not pass on "{found[1]}" (database '
            f'"{address.name}"), which stands in {place}.',
            f'take "{name}" out of {place}, or set ignore_startup_parameters = {found[1]} in '
            "pgbouncer.ini",
        )
    for pattern in _BAD_VALUES:
        if found := pattern.search(text):
            query = target.engine.url.query
            name = found[1].lower().replace("character set", "charset")
            if name not in query:
                # It stands within another one, which a session is set up with.
                name = next((each for each in _SETUPS if each in query), name)
            place = _place(target, name if name in query else "")
            return Unreachable(
                "misconfigured",
                f'The {_called(target)} cannot use what {place} says of "{name}" (database '
                f'"{address.location}"): {text}',
                f'correct "{name}" in {place}',
            )
    cause = driver_error(error)
    if not isinstance(error, NotConnected) or isinstance(cause, OSError):
        return None
    if isinstance(cause, UnicodeEncodeError):
        # Its text shows the character and its place in the password.
        return Unreachable(
            "misconfigured",
            f"The {_called(target)} cannot send the user name or the password of "
            f"{_place(target)}: it knows no character outside of {cause.encoding} (database "
            f'"{address.location}").',
            "choose a password of ASCII characters, or a driver that sends UTF-8, such as "
            "mysqlclient with mysql+mysqldb://... in the URL",
        )
    if not isinstance(cause, (TypeError, AttributeError, ValueError, LookupError)):
        return None
    given = [name for name in target.engine.url.query if name not in ("host", "port", "user")]
    if len(given) > 1 and target.engine.url.query.get("charset") == "utf8mb4":
        # Flask-SQLAlchemy writes it into the URL; who is to correct the URL has not.
        given.remove("charset")
    given = given or list(_named_by_hand(error.parameters))
    names = ", ".join(f'"{name}"' for name in given)
    place = _place(target, given[0] if given else "")
    hint = f"correct them in {place}" if len(given) > 1 else f"correct it in {place}"
    if len(given) == 1 and (own := _own_word(target, given[0])):
        hint = own
    if not given:
        hint = f'correct {place}, or what listens for the engine\'s "connect" event'
    return Unreachable(
        "misconfigured",
        f'The {_called(target)} cannot connect to "{address.location}"'
        f"{f' with {names}' if names else ''}: {type(cause).__name__}: {text}",
        hint,
    )


def _unknown_parameter(name: str, target: Target, address: Address) -> Unreachable:
    place = _place(target, name)
    own = _own_word(target, name)
    return Unreachable(
        "misconfigured",
        f'The {_called(target)} does not know "{name}", which stands in {place} (database '
        f'"{address.location}").',
        own or f'take "{name}" out of {place}',
    )


def _own_word(target: Target, name: str) -> str:
    """What to write instead of another client's word; "" where nothing corresponds."""
    place = _place(target, name)
    driver = (
        "psycopg" if target.engine.dialect.driver == "psycopg2" else target.engine.dialect.driver
    )
    plain = name.lower().replace("-", "_")
    encrypts = plain.startswith(_TLS_WORDS) or plain == "usessl"
    if driver == "pg8000":
        word = _OWN_ARGUMENTS.get("ssl" if encrypts else plain, "")
        return (
            f'take "{name}" out of {place} and set SQLALCHEMY_ENGINE_OPTIONS = '
            f'{{"connect_args": {{{word}}}}}'
            if word
            else ""
        )
    if (driver, plain) == ("mariadbconnector", "charset"):
        # Flask-SQLAlchemy hands it over with every mysql:// URL.
        return f"write mariadb+mariadbconnector://... in {place}"
    word = _ENCRYPT.get(driver, "") if encrypts else _OWN_WORDS.get((driver, plain), "")
    if not word or word.partition("=")[0] == name:
        return ""
    return f'write {word} instead of "{name}" in {place}'


def _tls(error: BaseException, target: Target, address: Address, text: str) -> Unreachable | None:
    if _ENDED.search(text):
        return None
    missing = _missing_file(error, target, text)
    ended = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
    broken = any(
        isinstance(e, ssl.SSLError) and not isinstance(e, ended) for e in errors_behind(error)
    )
    if not (missing or broken or error_number(error) in _TLS_NUMBERS or _TLS_TEXTS.search(text)):
        return None
    kind = (
        "PostgreSQL" if target.engine.dialect.name == "postgresql" else "the MariaDB/MySQL server"
    )
    message = f'TLS with {kind} at "{address.server}" fails (database "{address.name}"). {text}'
    if missing and missing not in text:
        message = f"{message.rstrip('.')}: {missing}"
    return Unreachable("tls", message, _tls_hint(target, address, text, missing))


def _tls_hint(target: Target, address: Address, text: str, missing: str) -> str:
    word = _ENCRYPT.get(_words_of(target), "")
    if missing:
        return f"correct the path in {_place(target, 'ssl')}; ls -l {shlex.quote(missing)}"
    if re.search(r"(does not|doesn't) support|refuses SSL", text):
        return f"switch TLS on at the server, or take it out of {_place(target, 'ssl')}"
    if re.search(r"insecure transport|secure connection|SSL is required", text):
        return f"add {word or 'the driver parameter for TLS'} to {_place(target)}"
    protocol = "postgres" if target.engine.dialect.name == "postgresql" else "mysql"
    host, port = address.host.split(",")[0], address.port.split(",")[0]
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return (
        f"see the server's certificate: openssl s_client -starttls {protocol} -connect "
        f"{shlex.quote(where)} </dev/null | openssl x509 -noout -subject -issuer -dates "
        "-ext subjectAltName"
    )


def _missing_file(error: BaseException, target: Target, text: str) -> str:
    """The path of a certificate or key that cannot be read, "" where that is not the reason."""
    found = _TLS_FILES.search(text)
    if found and re.search(r"certificate|private key", text):
        return found[1]
    cause = driver_error(error)
    parameters = error.parameters if isinstance(error, NotConnected) else {}
    missing = (FileNotFoundError, PermissionError, IsADirectoryError)
    raised = isinstance(error, NotConnected) and isinstance(cause, missing)
    if not raised and not (
        re.search(r"SSL|TLS|Certificate", text)
        and re.search(r"No such file|Permission denied|Is a directory", text)
    ):
        return ""
    paths = list(_tls_paths({**target.engine.url.query, **parameters}))
    return next((path for path in paths if not Path(path).is_file()), paths[0] if paths else "")


def _tls_paths(parameters: Mapping[str, Any]) -> Iterator[str]:
    for name, value in parameters.items():
        if not name.startswith(_TLS_WORDS):
            continue
        if isinstance(value, Mapping):
            yield from (each for each in value.values() if isinstance(each, str))
        elif isinstance(value, str) and "/" in value:
            yield value


def _named_by_hand(parameters: Mapping[str, Any]) -> Iterator[str]:
    """The parameters that are neither the address nor ours."""
    usual = ("host", "port", "user", "username", "passwd", "password", "db", "database", "dbname")
    ours = ("client_flag", "connect_timeout", "read_timeout", "timeout", "program_name")
    return (name for name in parameters if name not in (*usual, *ours))


def _driver(target: Target) -> str:
    name = target.engine.dialect.driver
    return _NAMES.get(name, name)


def _words_of(target: Target) -> str:
    """The driver whose parameters these are."""
    name = target.engine.dialect.driver
    return "psycopg" if name == "psycopg2" else name


def _called(target: Target) -> str:
    return f"driver {_driver(target)}"


def _place(target: Target, name: str = "") -> str:
    """Where the application says how to connect.

    :param name: of a parameter that is asked for; one that the URL has not is handed over.
    """
    query = target.engine.url.query
    within = not name or name in query or any(n.startswith(name) for n in query)
    if not within:
        return "connect_args of SQLALCHEMY_ENGINE_OPTIONS"
    if target.bind:
        return f"SQLALCHEMY_BINDS[{target.bind!r}]"
    return "SQLALCHEMY_DATABASE_URI"
