"""Real PostgreSQL and MariaDB/MySQL servers, and databases of one test's own on them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

DIALECTS = {
    "postgresql": (
        "SAFEMIGRATE_TEST_POSTGRESQL_URL",
        "postgresql+psycopg://postgres@127.0.0.1:5432/test",
    ),
    "mysql": (
        "SAFEMIGRATE_TEST_MYSQL_URL",
        "mysql+pymysql://root@127.0.0.1:3306/test",
    ),
}


@dataclass(frozen=True)
class Server:
    """A server to test against: its URL, and why it cannot be reached ('' when it can)."""

    dialect: str
    variable: str
    url: URL
    problem: str

    @property
    def reachable(self) -> bool:
        return not self.problem


def find_server(dialect: str) -> Server:
    """Connect once to the server that the environment (or the default) names."""
    variable, default = DIALECTS[dialect]
    url = make_url(os.environ.get(variable, default))
    try:
        _run(url, "SELECT 1")
    except (SQLAlchemyError, ImportError) as error:
        return Server(dialect, variable, url, str(error).splitlines()[0])
    return Server(dialect, variable, url, "")


@dataclass
class Databases:
    """Creates databases on demand and drops every one of them in `close`."""

    require: Callable[[str], Server]
    _made: list[tuple[Server, str]] = field(default_factory=list)

    def create(self, dialect: str) -> str:
        """Create an empty database on the `dialect` server; return its URL, password included.

        Skips the test when the server is not reachable (fails it when CI=true).
        """
        server = self.require(dialect)
        name = f"sm_{secrets.token_hex(6)}"
        _run(server.url, f"CREATE DATABASE {name}")
        self._made.append((server, name))
        return server.url.set(database=name).render_as_string(hide_password=False)

    def close(self) -> None:
        while self._made:
            server, name = self._made.pop()
            # FORCE ends sessions of killed test processes; MariaDB needs no such word.
            force = " WITH (FORCE)" if server.dialect == "postgresql" else ""
            _run(server.url, f"DROP DATABASE IF EXISTS {name}{force}")


def dialect_of(url: URL | str) -> str:
    """The one of DIALECTS, or "sqlite", that a URL is of; MariaDB's name counts as MySQL's."""
    name = make_url(url).get_backend_name()
    return "mysql" if name == "mariadb" else name


def session_setting(url: URL, name: str, value: str) -> dict[str, Any]:
    """The driver's arguments that begin each session with a setting of PostgreSQL's."""
    if url.get_driver_name() == "pg8000":
        return {"startup_params": {name: value}}
    return {"options": f"-c {name}={value}"}


def _run(url: URL, statement: str) -> None:
    # pg8000's one timeout is for every answer too.
    word = "timeout" if url.get_driver_name() == "pg8000" else "connect_timeout"
    engine = create_engine(url, isolation_level="AUTOCOMMIT", connect_args={word: 30})
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()
