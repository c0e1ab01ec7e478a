"""How PostgreSQL's own programs are found and reach the database."""

from __future__ import annotations

import re
import secrets
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.own_connection import own_connection, parameters_of
from flask_safemigrate.backends.postgresql.address import address_of, connect_defaults
from flask_safemigrate.backends.postgresql.explain import unavailable
from flask_safemigrate.backends.postgresql.lock import not_ours_alone
from flask_safemigrate.backends.tools import (
    Running,
    find_tool,
    output_of,
    private_folder,
)
from flask_safemigrate.errors import ProgramUnfit, SnapshotFailed

# Parameters of a connection that the programs get in another way, or must not get: secrets,
# because a command line can be read by everybody, and what chooses a server, because one was
# chosen. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_NOT_HANDED_ON = frozenset(
    (
        "password",
        "passfile",
        "sslpassword",
        "oauth_client_secret",
        "scram_client_key",
        "scram_server_key",
        "sslkeylogfile",
        "service",
        "servicefile",
        "dbname",
        "client_encoding",
        "application_name",
        "fallback_application_name",
        "replication",
        "load_balance_hosts",
        "tty",
    )
)
# psycopg2 tells these though nobody set them, and an older program may not know the word.
_DEFAULTS = {
    "sslmode": "prefer",
    "sslnegotiation": "postgres",
    "sslcompression": "0",
    "sslcertmode": "allow",
    "sslsni": "1",
    "ssl_min_protocol_version": "TLSv1.2",
    "channel_binding": "prefer",
    "gssencmode": "prefer",
    "gssdelegation": "0",
    "krbsrvname": "postgres",
    "target_session_attrs": "any",
}

# By these the programs prove that they reached the server, database and role that the
# application's connection reached; all are the same in every session.
_IDENTITY = (
    ("database", "current_database()::text"),
    ("role", "current_user::text"),
    ("server", "extract(epoch FROM pg_postmaster_start_time())::text"),
)
_SYSTEM = ("system", "(SELECT system_identifier::text FROM pg_control_system())")

# Words of our own in the errors of psql.
_OURS = re.compile(r'"safemigrate: (.*)"')


class Server(NamedTuple):
    """What the programs need to reach the database.

    :param conninfo: the parameters of the connection, without a secret.
    :param major: major version of the server.
    :param role: what ``SET ROLE`` gave the application's connection, "" for none.
    :param identity: expressions and what they are there.
    """

    conninfo: str
    password: str
    major: int
    role: str
    identity: tuple[tuple[str, str, str], ...]

    @property
    def environment(self) -> Mapping[str, str]:
        """What the programs get besides."""
        return {"PGPASSWORD": self.password} if self.password else {}

    @property
    def secrets(self) -> tuple[str, ...]:
        """Words that must not be shown."""
        return (self.password,)

    @property
    def proof(self) -> str:
        """SQL that fails where it is run anywhere else, or as anybody else."""
        role = f"SET ROLE {quoted(self.role)};\n" if self.role else ""
        return role + "".join(
            fail_unless(
                f"({expression}) IS NOT DISTINCT FROM {literal(value)}",
                f"psql reached {word} {{}} instead of {value}",
                expression,
            )
            for word, expression, value in self.identity
        )


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Return a text as an SQL literal, whatever standard_conforming_strings says."""
    return " E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def fail_unless(condition: str, words: str, found: str = "''") -> str:
    """Return a statement that raises an error with these words, without PL/pgSQL.

    :param words: ``{}`` stands for the text of the expression ``found``.
    """
    # A constant would be converted, and fail, before the condition is looked at.
    found = f"({found}) || left(current_database()::text, 0)"
    before, _, after = words.partition("{}")
    said = f"{literal('safemigrate: ' + before)} || coalesce({found}, '') || {literal(after)}"
    return f"SELECT CASE WHEN {condition} THEN 0 ELSE ({said})::integer END;\n"


def server_of(connection: Connection, target: Target) -> Server:
    """Ask a connection where it leads, as whom, and what the programs need to get there too.

    :param connection: from :func:`connected`.
    :raises SnapshotFailed: a pooler stands before the server.
    """
    _refuse_pooler(connection, target)
    parameters, password = _parameters(connection, target)
    facts = connection.execute(
        text("SELECT current_database() AS name, current_user AS role, session_user AS login")
    ).one()
    number = connection.execute(text("SHOW server_version_num")).scalar()
    handed = {
        word: str(value)
        for word, value in parameters.items()
        if word not in _NOT_HANDED_ON and value not in (None, "", _DEFAULTS.get(word))
    }
    handed |= {"dbname": facts.name, "application_name": "flask-safemigrate"}
    conninfo = " ".join(f"{word}={_value(value)}" for word, value in handed.items())
    return Server(
        conninfo,
        password,
        int(str(number)) // 10000,
        facts.role if facts.role != facts.login else "",
        tuple(_identity(connection)),
    )


def _value(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _identity(connection: Connection) -> Iterator[tuple[str, str, str]]:
    for word, expression in (*_IDENTITY, _SYSTEM):
        # Some hosts keep pg_control_system() to themselves.
        with suppress(SQLAlchemyError):
            value = connection.exec_driver_sql(f"SELECT {expression}").scalar()
            yield word, expression, str(value)


def _parameters(connection: Connection, target: Target) -> tuple[Mapping[str, Any], str]:
    """What the connection was made with, by the driver's own account, and the password.

    libpq takes a part from the environment, a service or a file of passwords; it tells what
    came of that.
    """
    driver: Any = connection.connection.driver_connection
    info: Any = getattr(driver, "info", None)
    if hasattr(info, "get_parameters"):  # psycopg
        found = dict(info.get_parameters())
    elif hasattr(info, "dsn_parameters"):  # psycopg2
        found = dict(info.dsn_parameters)
    else:
        return _of_pg8000(parameters_of(connection), target)
    found |= {"host": info.host, "port": str(info.port), "user": info.user}
    with suppress(Exception):  # an old libpq does not know it
        # One of the addresses that the name stands for, which may be different servers.
        found["hostaddr"] = getattr(info, "hostaddr", "") or found.get("hostaddr", "")
    if found["host"].startswith(("/", "@")):
        found.pop("hostaddr", None)
    return found, str(info.password or "")


def _of_pg8000(given: Mapping[str, Any], target: Target) -> tuple[Mapping[str, Any], str]:
    url = target.engine.url
    address = address_of(url)
    found = {
        "host": given.get("unix_sock") or given.get("host") or address.host,
        "port": given.get("port") or address.port,
        "user": given.get("user") or address.user,
    }
    if given.get("unix_sock"):
        # The driver wants the socket's own path, libpq the folder.
        folder, _, name = str(given["unix_sock"]).rpartition("/.s.PGSQL.")
        found |= {"host": folder or given["unix_sock"], "port": name or found["port"]}
    context = given.get("ssl_context")
    if context is False:
        found["sslmode"] = "disable"
    elif isinstance(context, ssl.SSLContext):
        verifies = context.verify_mode == ssl.CERT_REQUIRED
        names = "verify-full" if context.check_hostname else "verify-ca"
        found["sslmode"] = names if verifies else "require"
    elif context:
        found["sslmode"] = "require"
    return found, str(given.get("password") or url.password or "")


@contextmanager
def trusted(server: Server, connection: Connection) -> Iterator[Server]:
    """Give the authorities in a driver's own TLS context to the programs, in a file."""
    context = parameters_of(connection).get("ssl_context")
    if "sslmode='verify-" not in server.conninfo or not isinstance(context, ssl.SSLContext):
        yield server
        return
    pems = map(ssl.DER_cert_to_PEM_cert, context.get_ca_certs(binary_form=True))
    with private_folder() as folder:
        authorities = Path(folder) / "authorities.pem"
        authorities.write_text("".join(pems), encoding="ascii")
        more = f" sslrootcert={_value(str(authorities))}"
        yield server._replace(conninfo=server.conninfo + more)


def _refuse_pooler(connection: Connection, target: Target) -> None:
    """Stop where another session would get what the programs set.

    :raises SnapshotFailed: a pooler hands one backend to several clients.
    """
    why = not_ours_alone(connection)
    if not why or _keeps_sessions(connection, target):
        return
    raise SnapshotFailed(
        f'pg_dump and psql must not work on "{address_of(target.engine.url).location}": {why}. '
        "What they set, an empty search path among it, would stay on connections that the "
        "application gets next.",
        hint="run this command with the address of the server itself in the URL, not that of "
        "the pooler; or go without: flask db deploy --no-snapshot",
    )


def _keeps_sessions(connection: Connection, target: Target) -> bool:
    """Whether a pooler leaves each client its own backend, as in session mode.

    It does not say which mode it is in. Two clients that ask in turn, each several times and
    not always in the same order, are answered by two backends then.
    """
    asked = text("SELECT pg_backend_pid()")
    try:
        defaults = connect_defaults(target.engine, pooled=True)
        with own_connection(target.engine, defaults, autocommit=True) as other:
            mine: set[Any] = set()
            theirs: set[Any] = set()
            for _ in range(8):
                order = [(connection, mine), (other, theirs)]
                if secrets.randbelow(2):
                    order.reverse()
                for session, backends in order:
                    backends.add(session.execute(asked).scalar())
    except SQLAlchemyError:
        return False
    return len(mine) == len(theirs) == 1 and not mine & theirs


@contextmanager
def connected(target: Target) -> Iterator[Connection]:
    defaults = connect_defaults(target.engine, lasting=True, pooled=True)
    try:
        with own_connection(target.engine, defaults, autocommit=True) as connection:
            yield connection
    except SQLAlchemyError as error:
        found = unavailable(error, target)
        raise SnapshotFailed(found.message, hint=found.hint) from error


def version_of(path: str) -> tuple[int, int]:
    """Return the version of one of the programs, zeros where it does not say."""
    found = re.search(r"(\d+)(?:\.(\d+))?", output_of([path, "--version"]))
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def tool_path(name: str, oldest: int = 0, *, because: str = "") -> str:
    """Find one of the programs.

    :param oldest: the major version that it must have at least.
    :param because: what needs that version.
    :raises ProgramUnfit: it is missing, or older.
    """
    package = f"postgresql-client-{oldest}" if oldest else "postgresql-client"
    path = find_tool((name,), package=package)
    if oldest:
        major, _ = version_of(path)
        if 0 < major < oldest:
            because = because or f"the server is PostgreSQL {oldest}"
            raise ProgramUnfit(
                f'"{path}" is version {major}, but {because}; '
                f"{name} cannot work with what is newer than itself.",
                hint=f"apt install {package}, and put its folder first in PATH",
            )
    return path


def failed(tool: str, program: Running, target: Target) -> SnapshotFailed:
    where = address_of(target.engine.url).location
    complaint = program.complaint()
    ours = _OURS.search(complaint)
    if ours:
        return SnapshotFailed(
            f'"{where}" was left as it is: {ours[1]}.',
            hint="what is named there is not what the application is connected to; a service, a "
            "pooler or a name that stands for several servers leads the programs elsewhere"
            if "reached" in ours[1]
            else "let a superuser restore it, or let the owners drop what is named",
        )
    if "snapshot" in complaint and "SET TRANSACTION SNAPSHOT" in complaint:
        return SnapshotFailed(
            f'{tool} reached another server or database than the application\'s "{where}": '
            f"{complaint}",
            hint="name one server in the URL, not a name that stands for several",
        )
    return SnapshotFailed(
        f'{tool} failed for database "{where}": {complaint}', hint=_cure(complaint, target)
    )


def _cure(complaint: str, target: Target) -> str | None:
    user = quoted(address_of(target.engine.url).user)
    admin = "as an administrator: "
    if "lock timeout" in complaint:
        return (
            "end the sessions that hold locks: SELECT pid, application_name, state, query FROM "
            "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();"
        )
    denied = re.search(r"permission denied for (table|sequence|schema) (\S+)", complaint)
    if denied:
        right = "USAGE" if denied[1] == "schema" else "SELECT"
        name = denied[2] if denied[2].startswith('"') else quoted(denied[2])
        return f"{admin}GRANT {right} ON {denied[1].upper()} {name} TO {user};"
    sequence = re.search(r'failed to get data for sequence "([^"]+)"', complaint)
    if sequence:
        return f"{admin}GRANT SELECT ON SEQUENCE {quoted(sequence[1])} TO {user};"
    if re.search("permission denied|must be owner|must be member|must be able to SET", complaint):
        return "use a role that owns every object of the database, or is a member of its owners"
    if "No space left" in complaint:
        return "df -h; or name another folder in SAFEMIGRATE_SNAPSHOTS"
    return None
