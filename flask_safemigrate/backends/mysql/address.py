"""Where a MariaDB or MySQL database is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from flask_safemigrate.backends.address import Address

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


def connect_defaults(engine: Engine, *, answer_seconds: int | None = None) -> Mapping[str, Any]:
    """Return parameters that bound the time to connect.

    :param answer_seconds: how long any answer may take. PyMySQL's ``connect_timeout`` ends
        with the TCP connection, so a server that accepts and says nothing is waited for forever.
    """
    driver = engine.dialect.driver
    defaults: dict[str, Any] = {}
    if driver in _TIMEOUTS:
        defaults[_TIMEOUTS[driver]] = CONNECT_SECONDS
    if answer_seconds is not None and driver == "pymysql":
        defaults["read_timeout"] = answer_seconds
    return defaults
