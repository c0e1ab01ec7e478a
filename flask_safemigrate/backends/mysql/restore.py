"""Putting a dump back into a MariaDB or MySQL database."""

from __future__ import annotations

import contextlib
import gzip
import re
import secrets as random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends import scratch_names
from flask_safemigrate.backends.contract import Say, Target
from flask_safemigrate.backends.driver_errors import error_number
from flask_safemigrate.backends.mysql.address import address_of
from flask_safemigrate.backends.mysql.explain import explain
from flask_safemigrate.backends.mysql.programs import (
    SURROUNDINGS,
    Program,
    Server,
    connected,
    failed,
    led,
    server_of,
    tool_path,
)
from flask_safemigrate.backends.mysql.quoting import quoted
from flask_safemigrate.backends.mysql.snapshot import (
    BEFORE_DEFINER,
    DEFINER,
    Dump,
    inspect,
    lines_of,
    refuse_without_privileges,
    wrong_kind,
)
from flask_safemigrate.backends.mysql.unfinished import RESTORE, marked
from flask_safemigrate.backends.mysql.wipe import (
    drop_all,
    drop_statements,
    unmarked_if_unchanged,
)
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.backends.tools import (
    news,
    output_of,
    running,
)
from flask_safemigrate.errors import HalfApplied, SafeMigrateError, SnapshotFailed
from flask_safemigrate.outcome import Progress

_WEEK = 7 * 24 * 60 * 60


def contents(target: Target) -> tuple[str, ...]:
    """Return what :func:`put_back` would drop."""
    with connected(target) as connection:
        dropped = drop_statements(connection)
    return tuple(each.removeprefix("DROP ").replace("IF EXISTS ", "") for each in dropped)


def put_back(target: Target, path: Path, say: Say) -> None:
    """Replace the content of the database by that of a dump.

    The server commits every statement, so this cannot be undone by it. The dump is therefore
    first loaded into a scratch database; only when that went through is the real one emptied
    and loaded. A user who may not create databases has to do without this rehearsal: then at
    least each kind of thing that the dump makes is made and dropped once before that. While the
    database is not whole, a mark in it says so.

    What others defined is made as this user's where it may not set definers.

    :raises SnapshotFailed: the dump is damaged, cannot be loaded, or a program is missing; the
        database is as it was.
    :raises HalfApplied: loading into the real database failed; it is incomplete.
    """
    with contextlib.ExitStack() as stack:
        try:
            # Held open: whoever removes the file meanwhile does not take it away from us.
            file = stack.enter_context(path.open("rb"))
        except OSError as error:
            raise SnapshotFailed(
                f'The snapshot "{path}" cannot be read: {error.strerror or error}.',
                hint="flask db snapshots lists the others",
            ) from error
        dump = inspect(path, file)
        connection = stack.enter_context(connected(target))
        # It says nothing for as long as the rehearsal takes.
        connection.execute(text(f"SET SESSION wait_timeout = {_WEEK}"))
        server = server_of(connection, target)
        if dump.by_mariadb and dump.generated and not server.mariadb:
            raise wrong_kind(path.name)
        client = tool_path(server, "mariadb", "mysql")
        refuse_without_privileges(
            connection, target, "Nothing was dropped: the snapshot cannot be put back"
        )
        program = stack.enter_context(led(client, server))
        replaced = definers_to_replace(connection, dump.definers)
        if replaced:
            names = ", ".join(sorted(each.decode(errors="replace") for each in replaced))
            text_ = f"what is defined by {names} becomes this user's, who may not set definers"
            say(Progress("restoring", path.name, text_, bind=target.bind))
        tell = news(say, "restoring", path, target.bind)
        load = Load(program, server, target, file, tell, replaced)
        if not _rehearse(connection, target, load):
            _try_kinds(connection, target, dump)
            text_ = "not rehearsed: the user may not create a scratch database"
            say(Progress("restoring", path.name, text_, bind=target.bind))
        before = drop_statements(connection)
        name = path.name.partition(".")[0]
        emptied = False
        try:
            with marked(connection, RESTORE, name):
                with unmarked_if_unchanged(connection):
                    drop_all(connection)
                emptied = True
                load(server.database)
        except (SafeMigrateError, SQLAlchemyError, OSError, KeyboardInterrupt) as error:
            if not emptied and _same(connection, before):
                raise _kept(target, error) from error
            raise _half(target, name, error) from error


def _same(connection: Connection, before: tuple[str, ...]) -> bool:
    """Tell whether not even the first object was dropped."""
    try:
        return bool(before) and drop_statements(connection) == before
    except SQLAlchemyError:
        return False


def _rehearse(connection: Connection, target: Target, load: Load) -> bool:
    """Load the dump into a scratch database; False where this user may not make one.

    :raises SnapshotFailed: it cannot be loaded.
    """
    for old in scratch_names.stale(connection.execute(text("SHOW DATABASES")).scalars()):
        with contextlib.suppress(SQLAlchemyError):
            connection.execute(plain(f"DROP DATABASE IF EXISTS {quoted(old)}"))
    name = scratch_names.new_name()
    charset, collation = connection.execute(
        text("SELECT @@character_set_database, @@collation_database")
    ).one()
    try:
        connection.execute(
            plain(f"CREATE DATABASE {quoted(name)} CHARACTER SET {charset} COLLATE {collation}")
        )
    except SQLAlchemyError as error:
        if explain(error, target).kind != "missing privilege":
            raise
        return False
    try:
        load(name)
    finally:
        connection.execute(plain(f"DROP DATABASE {quoted(name)}"))
    return True


def definers_to_replace(connection: Connection, definers: frozenset[bytes]) -> frozenset[bytes]:
    """Those of these definers that this user may not name, found by making a view of each."""
    name = quoted(f"safemigrate_try_{random.token_hex(4)}")
    refused = set()
    for definer in definers:
        account = definer.decode(errors="surrogateescape")
        try:
            connection.execute(
                plain(f"CREATE DEFINER={account} SQL SECURITY INVOKER VIEW {name} AS SELECT 1")
            )
            connection.execute(plain(f"DROP VIEW {name}"))
        except (SQLAlchemyError, UnicodeError):
            refused.add(definer)
            with contextlib.suppress(SQLAlchemyError):
                connection.execute(plain(f"DROP VIEW IF EXISTS {name}"))
    return frozenset(refused)


_TRIED = {
    "SQL SECURITY": ("VIEW {0} AS SELECT 1", "VIEW {0}"),
    "FUNCTION": ("FUNCTION {0}() RETURNS INTEGER DETERMINISTIC RETURN 1", "FUNCTION {0}"),
    "PROCEDURE": ("PROCEDURE {0}() BEGIN END", "PROCEDURE {0}"),
    "EVENT": ("EVENT {0} ON SCHEDULE EVERY 1 DAY DISABLE DO DO 0", "EVENT {0}"),
}
_TRIGGER = "CREATE TRIGGER {0} BEFORE INSERT ON {0} FOR EACH ROW SET NEW.id = NEW.id"


def _try_kinds(connection: Connection, target: Target, dump: Dump) -> None:
    """Make and drop one of each kind of thing that a dump makes, before anything else goes.

    :raises SnapshotFailed: this user may not make one of them; the database is as it was.
    """
    name = quoted(f"safemigrate_try_{random.token_hex(4)}")
    wanted = [_TRIED[kind] for kind in sorted(dump.kinds) if kind in _TRIED]
    tries = [(f"CREATE {make.format(name)}", drop.format(name)) for make, drop in wanted]
    tables = [f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, n INTEGER, INDEX (n))"]
    tables += [f"ALTER TABLE {name} ADD FOREIGN KEY (n) REFERENCES {name} (id)"]
    tables += [f"INSERT INTO {name} VALUES (1, 1)", f"LOCK TABLES {name} WRITE", "UNLOCK TABLES"]
    if "TRIGGER" in dump.kinds:
        tables.append(_TRIGGER.format(name))
    left = f"TABLE {name}"
    try:
        for statement in tables:
            connection.execute(plain(statement))
        connection.execute(plain(f"DROP {left}"))
        for statement, left in tries:
            connection.execute(plain(statement))
            connection.execute(plain(f"DROP {left}"))
    except SQLAlchemyError as error:
        with contextlib.suppress(SQLAlchemyError):
            connection.execute(plain(f"DROP {left.replace(name, 'IF EXISTS ' + name)}"))
        found = explain(error, target)
        logged = "1419" in str(getattr(error, "orig", error))
        raise SnapshotFailed(
            "The snapshot cannot be put back by this user, so nothing was dropped: "
            f"{found.message}",
            hint="as an administrator: SET GLOBAL log_bin_trust_function_creators = ON;"
            if logged
            else found.hint,
        ) from error


class Load(NamedTuple):
    """Loads the dump into a database of that name.

    :param replaced: definers that become the present user.
    :raises SnapshotFailed: the client ended with an error.
    """

    program: Program
    server: Server
    target: Target
    file: IO[bytes]
    tell: Callable[[int], Any]
    replaced: frozenset[bytes]

    def __call__(self, database: str) -> None:
        client = self.program.start[0]
        confines = self.program.mariadb and "--sandbox" in output_of([client, "--help"])
        command = [
            *self.program.start,
            "--batch",
            # Otherwise the client turns \\r\\n inside triggers and routines into \\n.
            "--binary-mode",
            # MariaDB's takes the comments out of them otherwise.
            "--comments",
            *(["--sandbox"] if confines else []),
            "--default-character-set=utf8mb4",
            "--max-allowed-packet=1G",
            f"--database={database}",
        ]
        with running(
            command,
            environment=SURROUNDINGS,
            secrets=self.server.secrets,
            stdin=subprocess.PIPE,
            pass_fds=self.program.pass_fds,
        ) as program:
            assert program.process.stdin is not None
            done = 0
            broken = False
            self.file.seek(0)
            try:
                program.process.stdin.write(self.server.proof(database).encode())
                with gzip.open(self.file, "rb") as content:
                    previous = b""
                    for begins, piece in lines_of(content):
                        line = piece
                        if begins:
                            line = self._understood(piece, previous, confines)
                            previous = piece
                        program.process.stdin.write(line)
                        done += len(piece)
                        self.tell(done)
                program.process.stdin.close()
            except BrokenPipeError:
                broken = True
            if program.process.wait() or broken:
                raise failed(client, program, self.target)

    def _understood(self, line: bytes, previous: bytes, confines: bool) -> bytes:
        """The line as this client and user can use it."""
        if not confines and _SANDBOX.match(line):
            return b""
        found = DEFINER.match(line) if self.replaced and BEFORE_DEFINER.match(previous) else None
        if found and found[2] in self.replaced:
            return found[1] + b"CURRENT_USER" + line[found.end() :]
        return line


# The first line of MariaDB's dumps, which its older clients and MySQL's take for a command.
# https://mariadb.org/mariadb-dump-file-compatibility-change/
_SANDBOX = re.compile(rb"/\*M?!999999\\- enable the sandbox mode \*/")


def _kept(target: Target, error: BaseException) -> BaseException:
    """The error to raise where nothing was dropped."""
    if not isinstance(error, SQLAlchemyError) or error_number(error) != _DEFINER:
        return error
    return SnapshotFailed(
        f"Nothing was dropped, for this user may not replace what others defined: "
        f"{explain(error, target).message}",
        hint="let a user restore it who may (MySQL: GRANT SYSTEM_USER ON *.*), or let its owner "
        "drop it first",
    )


# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
_DEFINER = 1227


def _half(target: Target, snapshot: str, error: BaseException) -> HalfApplied:
    address = address_of(target.engine.url)
    why = error.message if isinstance(error, SafeMigrateError) else str(error)
    if isinstance(error, SQLAlchemyError):
        why = explain(error, target).message
    return HalfApplied(
        f'The snapshot "{snapshot}" was put back into "{address.location}" only in part, and what '
        f"was there before is gone: {why}",
        hint=f"flask db restore {snapshot}  # when that is mended; every command stops until then",
    )
