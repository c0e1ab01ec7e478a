"""How the programs of MariaDB and MySQL are found and reach the database."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sqlalchemy import URL, Connection
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.mysql.address import address_of, connect_defaults
from flask_safemigrate.backends.mysql.explain import unavailable
from flask_safemigrate.backends.mysql.quoting import quoted
from flask_safemigrate.backends.own_connection import own_connection, parameters_of
from flask_safemigrate.backends.tools import (
    Running,
    find_tool,
    nameless,
    output_of,
    running,
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
# The same in an option file that the application's driver reads.
_WORDS = {option: word for word, option in _OPTIONS.items() if word != "passwd"}

_C_DRIVERS = ("mysqldb", "mariadbconnector")
# The drivers' words for option files and the groups that are read in them.
_FILES = {
    "pymysql": ("read_default_file", "read_default_group"),
    "mysqldb": ("read_default_file", "read_default_group"),
    "mysqlconnector": ("option_files", "option_groups"),
    "mariadbconnector": ("default_file", "default_group"),
}
# What the C library of these takes from the environment where nobody says it.
_ENVIRONMENT = {
    "port": "MYSQL_TCP_PORT",
    "password": "MYSQL_PWD",
    "unix_socket": "MYSQL_UNIX_PORT",
}

#: How much of the server's certificate a driver looks at.
Trust = Literal["", "off", "any", "chain", "name"]


class Server(NamedTuple):
    """What the programs need to reach the database.

    :param parameters: by the names of the drivers.
    :param authorities: certificates of a driver's own TLS context, in PEM.
    :param identity: of the server and the user, as :data:`IDENTITY` tells it.
    """

    parameters: Mapping[str, Any]
    driver: str
    trust: Trust
    authorities: str
    database: str
    mariadb: bool
    identity: str

    @property
    def secrets(self) -> tuple[str, ...]:
        """Words that must not be shown."""
        found = self.parameters.get("password") or self.parameters.get("passwd") or ""
        return (str(found),)

    def proof(self, database: str) -> str:
        """SQL that fails where it is run anywhere else, or as anybody else."""
        words = f"safemigrate: reached another server, user or database than {database}"
        return (
            f"SET @safemigrate = IF(CAST({IDENTITY} AS BINARY) = {_bytes(self.identity)} AND "
            f"CAST(database() AS BINARY) = {_bytes(database)}, 'DO 0', "
            f"CAST({_bytes(words)} AS CHAR CHARACTER SET utf8mb4));\n"
            "PREPARE safemigrate FROM @safemigrate;\nEXECUTE safemigrate;\n"
            "DEALLOCATE PREPARE safemigrate;\n"
        )


# The same in every session, and not the same on two servers.
IDENTITY = (
    "concat_ws('|', @@hostname, @@port, @@server_id, @@datadir, @@pid_file, "
    "substring_index(current_user(), '@', 1))"
)


def _bytes(value: str) -> str:
    """Return a text as bytes in SQL, whatever ``sql_mode`` and collations say."""
    return f"x'{value.encode().hex()}'"


def _option(name: str, value: object) -> str:
    # https://mariadb.com/kb/en/configuring-mariadb-with-option-files/#option-file-syntax
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name}="{escaped}"\n'


def option_file(server: Server, *, mariadb_program: bool, authorities: str = "") -> str:
    """Return the text of an option file.

    :param authorities: path of a file with :attr:`Server.authorities`.
    """
    given = {**server.parameters, **({"ssl_ca": authorities} if authorities else {})}
    lines = ["[client]\n"]
    lines += [
        _option(option, given[word])
        for word, option in _OPTIONS.items()
        if given.get(word) not in (None, "")
    ]
    # "localhost" means the socket to the programs and to drivers that share their C library,
    # but TCP to drivers in Python.
    if server.driver not in _C_DRIVERS and not given.get("unix_socket"):
        lines.append("protocol=tcp\n")
    if mariadb_program:
        # It can look at the whole certificate or at nothing of it.
        lines += {
            "": [],
            "off": ["skip-ssl\n"],
            "any": ["ssl\n", "skip-ssl-verify-server-cert\n"],
            "chain": ["ssl\n", "ssl-verify-server-cert\n"],
            "name": ["ssl\n", "ssl-verify-server-cert\n"],
        }[server.trust]
        if server.trust == "" and server.driver not in _C_DRIVERS:
            lines.append("skip-ssl-verify-server-cert\n")
    elif server.trust:
        mode = {
            "off": "DISABLED",
            "any": "REQUIRED",
            "chain": "VERIFY_CA",
            "name": "VERIFY_IDENTITY",
        }[server.trust]
        lines.append(f"ssl-mode={mode}\n")
    return "".join(lines)


def _included(driver: str, parameters: Mapping[str, Any]) -> Mapping[str, str]:
    """What option files that the application's driver reads say about the connection.

    Not the files themselves: the programs would also heed what they have for them, such as another
    host.
    """
    file_word, group_word = _FILES.get(driver, _FILES["pymysql"])
    groups = _each(parameters.get(group_word))
    if driver in _C_DRIVERS or not groups:
        groups = ["client", *groups]
    if driver == "mysqlconnector" and group_word not in parameters:
        groups.append("connector_python")
    found: dict[str, str] = {}
    for path in _each(parameters.get(file_word)):
        reader = ConfigParser(strict=False, allow_no_value=True, interpolation=None)
        with suppress(ConfigError, OSError, UnicodeDecodeError):
            lines = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
            reader.read_string("\n".join(line for line in lines if not line.startswith("!")))
        for section in filter(reader.has_section, groups):
            for option, value in reader.items(section):
                word = _WORDS.get(option.replace("_", "-"))
                if word and value:
                    found[word] = value.strip().strip("'\"")
    return found


def _each(value: object) -> list[str]:
    """The values of a parameter that may be one or several."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return [str(each) for each in values if each]


def _is_true(value: object) -> bool:
    return str(value).strip().lower() in ("1", "true", "yes", "on")


def trust_of(flat: Mapping[str, Any], driver: str) -> Trust:
    """Return how much of the certificate a driver looks at, by its own parameters.

    :param flat: the parameters, those of a dictionary ``ssl`` as ``ssl_...`` among them.
    """
    mode = str(flat.get("ssl_mode") or "").upper()
    context = flat.get("ssl")
    if _is_true(flat.get("ssl_disabled")) or mode == "DISABLED":
        return "off"
    if isinstance(context, ssl.SSLContext):
        verifies = context.verify_mode == ssl.CERT_REQUIRED
        return "any" if not verifies else "name" if context.check_hostname else "chain"
    has_authority = any(flat.get(word) for word in ("ssl_ca", "ssl_capath"))
    as_mapping = isinstance(context, Mapping) and bool(context)
    # PyMySQL looks at all of it when a dictionary names an authority, unless told not to.
    by_default = driver == "pymysql" and as_mapping and has_authority
    wanted = flat.get("ssl_verify_mode")
    chain = (
        _is_true(flat.get("ssl_verify_cert"))
        or (by_default if wanted is None else _is_true(wanted) or str(wanted) == "required")
        or mode == "VERIFY_CA"
    )
    checked = flat.get("ssl_check_hostname")
    name = (
        _is_true(flat.get("ssl_verify_identity"))
        or mode == "VERIFY_IDENTITY"
        or (chain and driver == "mariadbconnector")
        or (has_authority and (by_default if checked is None else _is_true(checked)))
    )
    if name or chain:
        return "name" if name else "chain"
    encrypts = as_mapping or mode == "REQUIRED" or has_authority or flat.get("ssl_cert")
    return "any" if encrypts else ""


def _told(url: URL, driver: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a driver knows of the connection, by its own parameters' names.

    :param given: what its ``connect()`` was called with.
    """
    address = address_of(url)
    named = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password,
        "unix_socket": address.socket,
    }
    found: dict[str, Any] = {"host": address.host, "port": address.port}
    if driver in _C_DRIVERS:
        words = _ENVIRONMENT if "passwd" not in given else {**_ENVIRONMENT, "password": ""}
        found |= {word: os.environ[name] for word, name in words.items() if name in os.environ}
    found |= {word: value for word, value in named.items() if value}
    return {**found, **_included(driver, given), **given}


def server_of(connection: Connection, target: Target) -> Server:
    url = target.engine.url
    driver = target.engine.dialect.driver
    parameters = _told(url, driver, parameters_of(connection))
    encryption = parameters.get("ssl")
    authorities = ""
    if isinstance(encryption, Mapping):
        parameters |= {f"ssl_{word}": value for word, value in encryption.items()}
    elif isinstance(encryption, ssl.SSLContext):
        found = encryption.get_ca_certs(binary_form=True)
        authorities = "".join(map(ssl.DER_cert_to_PEM_cert, found))
    facts = connection.exec_driver_sql(
        f"SELECT database() AS name, version() AS version, {IDENTITY} AS identity"
    ).one()
    return Server(
        parameters,
        driver,
        trust_of(parameters, driver),
        authorities,
        facts.name,
        "mariadb" in facts.version.lower(),
        str(facts.identity),
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


class Program(NamedTuple):
    """A program with the option file that leads it to the database.

    :param start: its path and the option that names the file.
    :param pass_fds: the descriptors that it must inherit.
    """

    start: tuple[str, ...]
    pass_fds: tuple[int, ...]
    mariadb: bool


# MySQL's programs read a file of logins whatever else they are told, and after all else.
# https://dev.mysql.com/doc/refman/8.4/en/option-file-options.html
SURROUNDINGS = {"MYSQL_TEST_LOGIN_FILE": "/dev/null"}


@contextmanager
def led(path: str, server: Server) -> Iterator[Program]:
    """Give a program what it needs to reach the database, and nothing that leads it elsewhere."""
    mariadb = is_mariadbs(path)
    with nameless(server.authorities) as (authorities, first):
        text_ = option_file(
            server,
            mariadb_program=mariadb,
            authorities=authorities[0] if server.authorities else "",
        )
        with nameless(text_) as (options, second):
            yield Program((path, f"--defaults-file={options[0]}"), (*first, *second), mariadb)


def is_mariadbs(path: str) -> bool:
    """Whether one of the programs is MariaDB's, whatever its name says."""
    return "MariaDB" in output_of([path, "--version"])


def tool_path(server: Server, ours: str, theirs: str) -> str:
    """Find a program, the server's own kind first."""
    if server.mariadb:
        return find_tool((ours, theirs), package="mariadb-client")
    return find_tool(
        (theirs, ours), package="mysql-client", fits=lambda path: not is_mariadbs(path)
    )


def prove(client: str, server: Server, target: Target) -> None:
    """Let the client show that it reaches the server, database and user of the application.

    :raises SnapshotFailed: it does not.
    """
    with led(client, server) as program:
        command = [
            *program.start,
            "--batch",
            f"--database={server.database}",
            f"--execute={server.proof(server.database)}",
        ]
        with running(
            command, environment=SURROUNDINGS, secrets=server.secrets, pass_fds=program.pass_fds
        ) as asked:
            if asked.process.wait():
                raise failed(client, asked, target)


def failed(tool: str, program: Running, target: Target) -> SnapshotFailed:
    where = address_of(target.engine.url).location
    complaint = program.complaint() or "it ended early"
    if "safemigrate: reached" in complaint:
        return SnapshotFailed(
            f"{Path(tool).name} reached another server, user or database than the application's "
            f'"{where}"; nothing was done there.',
            hint="name one server in the URL, not a name that stands for several",
        )
    return SnapshotFailed(
        f'{Path(tool).name} failed for database "{where}": {complaint}',
        hint=_cure(complaint, target),
    )


def _cure(complaint: str, target: Target) -> str | None:
    address = address_of(target.engine.url)
    # The server names the account with its host, which a GRANT must name too.
    account = re.search(r"(?:for user|command denied to user) ('[^']*'@'[^']*')", complaint)
    to = account[1] if account else f"'{address.user}'@'%'"
    if "1227" in complaint or "DEFINER" in complaint:
        return (
            "let a user do it who may set definers (MariaDB: GRANT SET USER ON *.*; MySQL: GRANT "
            "SET_ANY_DEFINER ON *.*), or give the object to this user"
        )
    if "SHOW CREATE" in complaint or "mysql.proc" in complaint:
        return (
            f"as an administrator: GRANT SELECT ON mysql.proc TO {to};  # MySQL: GRANT "
            f"SHOW_ROUTINE ON *.* TO {to};"
        )
    if "ccess denied" in complaint or "command denied" in complaint:
        return (
            "as an administrator: GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON "
            f"{quoted(address.name)}.* TO {to};"
        )
    return None
