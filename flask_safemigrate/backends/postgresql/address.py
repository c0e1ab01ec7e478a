"""Where a PostgreSQL database is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from flask_safemigrate.backends.address import Address

CONNECT_SECONDS = 10

#: libpq looks here for its socket when nobody names a host; Debian's path.
_SOCKET = "/var/run/postgresql"


def address_of(url: URL) -> Address:
    """Return the address in a URL, completed as libpq does it.

    https://www.postgresql.org/docs/current/libpq-envars.html
    """

    def one(key: str) -> str:
        value = url.query.get(key, "")
        return value if isinstance(value, str) else ",".join(value)

    user = url.username or one("user") or os.environ.get("PGUSER") or os.environ.get("USER", "")
    host = url.host or one("host") or os.environ.get("PGHOST") or _SOCKET
    port = str(url.port or one("port") or os.environ.get("PGPORT") or 5432)
    name = url.database or one("dbname") or os.environ.get("PGDATABASE") or user
    return Address(host, port, name, user, f"-h {host} -p {port} -U {user}")


def connect_defaults(engine: Engine, *, lasting: bool = False) -> Mapping[str, Any]:
    """Return parameters that bound the time to connect.

    :param lasting: for a connection that stays open while it says nothing: let the operating
        system notice within a minute that the server has gone.
    """
    if engine.dialect.driver not in ("psycopg", "psycopg2"):
        # pg8000 has one timeout for connecting and for every statement.
        return {} if lasting or engine.dialect.driver != "pg8000" else {"timeout": 60}
    defaults: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
    if lasting:
        defaults |= {"keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 4}
    return defaults
