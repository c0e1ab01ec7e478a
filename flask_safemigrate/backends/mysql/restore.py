"""Putting a dump back into a MariaDB or MySQL database."""

from __future__ import annotations

import gzip
import secrets as random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Say, Target
from flask_safemigrate.backends.mysql.address import address_of
from flask_safemigrate.backends.mysql.explain import explain
from flask_safemigrate.backends.mysql.programs import (
    Server,
    connected,
    failed,
    option_path,
    server_of,
    tool_path,
)
from flask_safemigrate.backends.mysql.read import quoted
from flask_safemigrate.backends.mysql.snapshot import CHUNK, check
from flask_safemigrate.backends.mysql.wipe import drop_all, drop_statements
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.backends.tools import (
    news,
    running,
)
from flask_safemigrate.errors import HalfApplied, SafeMigrateError
from flask_safemigrate.outcome import Progress

_WEEK = 7 * 24 * 60 * 60


def put_back(target: Target, path: Path, say: Say) -> None:
    """Replace the content of the database by that of a dump.

    The server commits every statement, so this cannot be undone by it. The dump is therefore
    first loaded into a scratch database; only when that went through is the real one emptied
    and loaded. A user who may not create databases has to do without this rehearsal.

    :raises SnapshotFailed: the dump is damaged, cannot be loaded, or a program is missing; the
        database is as it was.
    :raises HalfApplied: loading into the real database failed; it is incomplete.
    """
    check(path)
    with connected(target) as connection:
        # It says nothing for as long as the rehearsal takes.
        connection.execute(text(f"SET SESSION wait_timeout = {_WEEK}"))
        server = server_of(connection, target)
        client = tool_path(server, "mariadb", "mysql")
        with option_path(server) as options:
            start = [client, f"--defaults-file={options}"]
            load = _Load(start, server, target, path, news(say, "restoring", path, target.bind))
            try:
                _rehearse(connection, load)
            except SQLAlchemyError as error:
                if explain(error, target).kind != "missing privilege":
                    raise
                text_ = "not rehearsed: the user may not create a scratch database"
                say(Progress("restoring", path.name, text_, bind=target.bind))
            before = drop_statements(connection)
            emptied = False
            try:
                drop_all(connection)
                emptied = True
                load(server.database)
            except (SafeMigrateError, SQLAlchemyError, OSError, KeyboardInterrupt) as error:
                if not emptied and _same(connection, before):
                    raise
                raise _half(target, path, client, error) from error


def _same(connection: Connection, before: tuple[str, ...]) -> bool:
    """Tell whether not even the first object was dropped."""
    try:
        return bool(before) and drop_statements(connection) == before
    except SQLAlchemyError:
        return False


def _rehearse(connection: Connection, load: _Load) -> None:
    name = f"{load.server.database[:40]}_safemigrate_{random.token_hex(4)}"
    charset, collation = connection.execute(
        text("SELECT @@character_set_database, @@collation_database")
    ).one()
    connection.execute(
        plain(f"CREATE DATABASE {quoted(name)} CHARACTER SET {charset} COLLATE {collation}")
    )
    try:
        load(name)
    finally:
        connection.execute(plain(f"DROP DATABASE {quoted(name)}"))


class _Load(NamedTuple):
    """Loads the dump into a database of that name.

    :raises SnapshotFailed: the client ended with an error.
    """

    start: list[str]
    server: Server
    target: Target
    path: Path
    tell: Callable[[int], Any]

    def __call__(self, database: str) -> None:
        command = [
            *self.start,
            "--batch",
            # Otherwise the client turns \\r\\n inside triggers and routines into \\n.
            "--binary-mode",
            "--default-character-set=utf8mb4",
            "--max-allowed-packet=1G",
            f"--database={database}",
        ]
        with running(
            command, environment={}, secrets=self.server.secrets, stdin=subprocess.PIPE
        ) as program:
            assert program.process.stdin is not None
            done = 0
            broken = False
            try:
                with gzip.open(self.path, "rb") as file:
                    while chunk := file.read(CHUNK):
                        program.process.stdin.write(chunk)
                        done += len(chunk)
                        self.tell(done)
                program.process.stdin.close()
            except BrokenPipeError:
                broken = True
            if program.process.wait() or broken:
                raise failed(command[0], program, self.target)


def _half(target: Target, path: Path, client: str, error: BaseException) -> HalfApplied:
    address = address_of(target.engine.url)
    why = error.message if isinstance(error, SafeMigrateError) else str(error)
    if isinstance(error, SQLAlchemyError):
        why = explain(error, target).message
    return HalfApplied(
        f'The snapshot "{path}" was put back into "{address.location}" only in part, and what '
        f"was there before is gone: {why}",
        hint=f"gunzip -c {path} | {Path(client).name} --binary-mode {address.options} "
        f"{address.name}",
    )
