"""Where a PostgreSQL database is."""

from __future__ import annotations

import os
import re
import shlex
import socket
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from flask_safemigrate.backends.address import Address
from flask_safemigrate.backends.own_connection import Defaults

CONNECT_SECONDS = 10

#: Seconds and counts, under libpq's names; after a minute a server is given up.
_KEEPALIVES = {"idle": 20, "interval": 10, "count": 4}
_OPTIONS = {"idle": "TCP_KEEPIDLE", "interval": "TCP_KEEPINTVL", "count": "TCP_KEEPCNT"}

#: libpq looks here for its socket when nobody names a host; Debian's path.
_SOCKET = "/var/run/postgresql"

_HOST_AND_PORT = re.compile(r"([^/:]+):(\d+)")

#: Parameters without which PostgreSQL's own programs would reach the server another way.
_SETTINGS = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "channel_binding": "PGCHANNELBINDING",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}


def address_of(url: URL) -> Address:
    """Return the address in a URL, completed as libpq does it.

    https://www.postgresql.org/docs/current/libpq-envars.html
    """

    def one(key: str) -> str:
        value = url.query.get(key, "")
        return value if isinstance(value, str) else ",".join(value)

    def listed(key: str, default: str) -> list[str]:
        return (one(key) or default).split(",")

    user = url.username or one("user") or os.environ.get("PGUSER") or os.environ.get("USER", "")
    hosts = url.host.split(",") if url.host else listed("host", os.environ.get("PGHOST", _SOCKET))
    ports = [str(url.port)] if url.port else listed("port", os.environ.get("PGPORT", "5432"))
    if len(ports) != len(hosts):
        ports = ports[:1] * len(hosts)
    # Each of several hosts may bring its port along.
    # https://docs.sqlalchemy.org/en/20/dialects/postgresql.html#specifying-multiple-fallback-hosts
    pairs = [_HOST_AND_PORT.fullmatch(host) for host in hosts]
    ports = [pair[2] if pair else port for pair, port in zip(pairs, ports, strict=True)]
    hosts = [pair[1] if pair else host for pair, host in zip(pairs, hosts, strict=True)]
    host, port = ",".join(hosts), ",".join(ports)
    name = url.database or one("dbname") or os.environ.get("PGDATABASE") or user
    settings = "".join(f"{v}={shlex.quote(one(k))} " for k, v in _SETTINGS.items() if one(k))
    options = f"-h {shlex.quote(host)} -p {shlex.quote(port)} -U {shlex.quote(user)}"
    return Address(host, port, name, user, options, settings=settings)


def connect_defaults(
    engine: Engine, *, lasting: bool = False, pooled: bool = False
) -> Mapping[str, Any]:
    """Return parameters that bound the time to connect.

    :param lasting: for a connection that stays open while it says nothing: let the operating
        system notice within a minute that the server has gone.
    :param pooled: for one that a pooler may give another backend, to which a statement that was
        prepared on the first is unknown.
    """
    if engine.dialect.driver == "pg8000":
        return Defaults({"timeout": CONNECT_SECONDS}, _connected_by_pg8000)
    if engine.dialect.driver not in ("psycopg", "psycopg2"):
        return {}
    defaults: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
    if lasting:
        defaults |= {f"keepalives_{name}": value for name, value in _KEEPALIVES.items()}
    if pooled and engine.dialect.driver == "psycopg":
        defaults["prepare_threshold"] = None
    return defaults


def _connected_by_pg8000(connection: Any, given: Mapping[str, Any]) -> None:
    """Let statements take their time: its one timeout is for connecting and for every answer.

    It knows no word for how soon a server that is gone is noticed, either.
    """
    if "timeout" in given:
        return
    opened: socket.socket = connection._usock
    opened.settimeout(None)
    if opened.family in (socket.AF_INET, socket.AF_INET6):
        for name, value in _KEEPALIVES.items():
            option = getattr(socket, _OPTIONS[name], None)
            if option is not None:
                opened.setsockopt(socket.IPPROTO_TCP, option, value)
