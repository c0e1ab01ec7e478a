"""How PostgreSQL's own programs are found and reach the database."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.own_connection import own_connection, parameters_of
from flask_safemigrate.backends.postgresql.address import address_of, connect_defaults
from flask_safemigrate.backends.postgresql.explain import unavailable
from flask_safemigrate.backends.tools import (
    Running,
    find_tool,
    output_of,
)
from flask_safemigrate.errors import SnapshotFailed

# https://www.postgresql.org/docs/current/libpq-envars.html; the last two are pg8000's words.
_VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "options": "PGOPTIONS",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslsni": "PGSSLSNI",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "channel_binding": "PGCHANNELBINDING",
    "require_auth": "PGREQUIREAUTH",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "database": "PGDATABASE",
    "unix_sock": "PGHOST",
}


class Server(NamedTuple):
    """What the programs need to reach the database.

    :param major: major version of the server.
    """

    environment: Mapping[str, str]
    secrets: tuple[str, ...]
    major: int


def server_of(connection: Connection, target: Target) -> Server:
    url = target.engine.url
    address = address_of(url)
    parameters: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "dbname": address.name,
        "user": address.user,
        "password": url.password,
    }
    parameters |= parameters_of(connection)
    environment = {
        variable: str(parameters[word])
        for word, variable in _VARIABLES.items()
        if parameters.get(word) not in (None, "")
    }
    # A service file must not lead the programs elsewhere than the connection went.
    environment["PGDATABASE"] = str(connection.execute(text("SELECT current_database()")).scalar())
    environment["PGAPPNAME"] = "flask-safemigrate"
    number = connection.execute(text("SHOW server_version_num")).scalar()
    secret = environment.get("PGPASSWORD", "")
    return Server(environment, (secret,), int(str(number)) // 10000)


@contextmanager
def connected(target: Target) -> Iterator[Connection]:
    defaults = connect_defaults(target.engine)
    try:
        with own_connection(target.engine, defaults, autocommit=True) as connection:
            yield connection
    except SQLAlchemyError as error:
        found = unavailable(error, target)
        raise SnapshotFailed(found.message, hint=found.hint) from error


def tool_path(name: str, server_major: int = 0) -> str:
    """Find one of the programs that is not older than the server."""
    package = f"postgresql-client-{server_major}" if server_major else "postgresql-client"
    path = find_tool((name,), package=package)
    if server_major:
        found = re.search(r"(\d+)(\.\d+)?", output_of([path, "--version"]))
        if found and int(found[1]) < server_major:
            raise SnapshotFailed(
                f'"{path}" is version {found[1]}, but the server is PostgreSQL {server_major}; '
                f"{name} cannot dump a newer server.",
                hint=f"apt install {package}, and put its folder first in PATH",
            )
    return path


def failed(tool: str, program: Running, target: Target) -> SnapshotFailed:
    where = address_of(target.engine.url).location
    complaint = program.complaint()
    hint = None
    if "lock timeout" in complaint:
        hint = (
            "end the sessions that hold locks: SELECT pid, application_name, state, query FROM "
            "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();"
        )
    elif "permission denied" in complaint or "must be owner" in complaint:
        hint = "use a role that owns every object of the database"
    elif "No space left" in complaint:
        hint = "df -h; or name another folder in SAFEMIGRATE_SNAPSHOTS"
    return SnapshotFailed(f'{tool} failed for database "{where}": {complaint}', hint=hint)
