"""Where a MariaDB or MySQL database is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from flask_safemigrate.backends.address import Address
from flask_safemigrate.backends.own_connection import Defaults

CONNECT_SECONDS = 10

#: Parameters that the servers' own programs have by the same name.
_TLS = ("ssl_ca", "ssl_cert", "ssl_key")

# Each driver has its own word for the seconds that connecting may take.
_TIMEOUTS = {
    "pymysql": "connect_timeout",
    "mysqldb": "connect_timeout",
    "mariadbconnector": "connect_timeout",
    "mysqlconnector": "connection_timeout",
}


def address_of(url: URL) -> Address:
    """Return the address in a URL, completed as the drivers do it."""

    def one(key: str) -> str:
        value = url.query.get(key, "")
        return value if isinstance(value, str) else value[0]

    host, port, user = url.host or "localhost", str(url.port or 3306), url.username or ""
    socket = one("unix_socket")
    where = f"-S {shlex.quote(socket)}" if socket else f"-h {shlex.quote(host)} -P {port}"
    tls = "".join(f" --{k.replace('_', '-')}={shlex.quote(one(k))}" for k in _TLS if one(k))
    return Address(
        host, port, url.database or "", user, f"{where} -u {shlex.quote(user)}{tls} -p", socket
    )


def connect_defaults(engine: Engine, *, answer_seconds: int | None = None) -> Defaults:
    """Return parameters that bound the time to connect.

    :param answer_seconds: how long any answer may take afterwards, with PyMySQL.
    """
    driver = engine.dialect.driver
    defaults: dict[str, Any] = {}
    if driver in _TIMEOUTS:
        defaults[_TIMEOUTS[driver]] = CONNECT_SECONDS
    if driver != "pymysql":
        return Defaults(defaults)
    # Its connect_timeout ends with the TCP connection; what the server says first is waited for
    # as long as for any answer.
    defaults["read_timeout"] = CONNECT_SECONDS

    def connected(connection: Any, given: Mapping[str, Any]) -> None:
        if "read_timeout" not in given:
            connection._read_timeout = answer_seconds
            # Older releases look at the socket's only.
            if connection._sock is not None:
                connection._sock.settimeout(answer_seconds)

    return Defaults(defaults, connected)
