"""How the programs of MariaDB and MySQL are found and reach the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.mysql.address import address_of, connect_defaults
from flask_safemigrate.backends.mysql.explain import unavailable
from flask_safemigrate.backends.own_connection import own_connection, parameters_of
from flask_safemigrate.backends.private import create
from flask_safemigrate.backends.tools import (
    Running,
    find_tool,
    private_folder,
)
from flask_safemigrate.errors import SnapshotFailed

# Names of the drivers' parameters that stand for options of the programs.
_OPTIONS = {
    "host": "host",
    "port": "port",
    "user": "user",
    "password": "password",
    "passwd": "password",
    "unix_socket": "socket",
    "ssl_ca": "ssl-ca",
    "ssl_capath": "ssl-capath",
    "ssl_cert": "ssl-cert",
    "ssl_key": "ssl-key",
    "ssl_cipher": "ssl-cipher",
}


_C_DRIVERS = ("mysqldb", "mariadbconnector")


class Server(NamedTuple):
    """What the programs need to reach the database.

    :param options: text of an option file.
    """

    options: str
    secrets: tuple[str, ...]
    database: str
    mariadb: bool


def _option(name: str, value: object) -> str:
    # https://mariadb.com/kb/en/configuring-mariadb-with-option-files/#option-file-syntax
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name}="{escaped}"\n'


def _option_file(parameters: Mapping[str, Any], driver: str) -> str:
    lines = []
    included = parameters.get("read_default_file")
    if included:
        lines.append(f"!include {included}\n")
    lines.append("[client]\n")
    encryption = parameters.get("ssl")
    flat = dict(parameters)
    if isinstance(encryption, Mapping):
        flat |= {f"ssl_{word}": value for word, value in encryption.items()}
    lines += [
        _option(option, flat[word])
        for word, option in _OPTIONS.items()
        if flat.get(word) not in (None, "")
    ]
    # "localhost" means the socket to the programs and to drivers that share their C library,
    # but TCP to drivers in Python.
    if driver not in _C_DRIVERS and not flat.get("unix_socket"):
        lines.append("protocol=tcp\n")
    return "".join(lines)


def server_of(connection: Connection, target: Target) -> Server:
    url = target.engine.url
    address = address_of(url)
    parameters: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "password": url.password,
        "unix_socket": address.socket,
    }
    parameters |= parameters_of(connection)
    facts = connection.execute(text("SELECT database() AS name, version() AS version")).one()
    secret = parameters.get("password") or parameters.get("passwd") or ""
    return Server(
        _option_file(parameters, target.engine.dialect.driver),
        (str(secret),),
        facts.name,
        "mariadb" in facts.version.lower(),
    )


@contextmanager
def connected(target: Target) -> Iterator[Connection]:
    defaults = connect_defaults(target.engine)
    try:
        with own_connection(target.engine, defaults, autocommit=True) as connection:
            yield connection
    except SQLAlchemyError as error:
        found = unavailable(error, target)
        raise SnapshotFailed(found.message, hint=found.hint) from error


@contextmanager
def option_path(server: Server) -> Iterator[str]:
    with private_folder() as folder:
        path = folder / "client.cnf"
        create(path)
        path.write_text(server.options, encoding="utf-8")
        yield str(path)


def tool_path(server: Server, ours: str, theirs: str) -> str:
    names = (ours, theirs) if server.mariadb else (theirs, ours)
    package = "mariadb-client" if server.mariadb else "mysql-client"
    return find_tool(names, package=package)


def failed(tool: str, program: Running, target: Target) -> SnapshotFailed:
    where = address_of(target.engine.url).location
    complaint = program.complaint() or "it ended early"
    user = address_of(target.engine.url).user
    hint = None
    if "ccess denied" in complaint:
        hint = (
            f"as an administrator: GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON "
            f"`{address_of(target.engine.url).name}`.* TO '{user}'@'%';"
        )
    return SnapshotFailed(
        f'{Path(tool).name} failed for database "{where}": {complaint}', hint=hint
    )
