"""Dumps of a PostgreSQL database, by pg_dump."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from flask_safemigrate.backends.contract import Say, Target
from flask_safemigrate.backends.postgresql.others import Others, others_in
from flask_safemigrate.backends.postgresql.programs import (
    Server,
    connected,
    failed,
    quoted,
    server_of,
    tool_path,
    trusted,
    version_of,
)
from flask_safemigrate.backends.postgresql.wipe import LOCK_SECONDS
from flask_safemigrate.backends.tools import (
    new_file,
    news,
    running,
)
from flask_safemigrate.errors import ProgramUnfit, SnapshotFailed
from flask_safemigrate.names import LOCK_TABLE
from flask_safemigrate.outcome import Progress

# The first release whose pg_restore knows a version of the format.
# https://github.com/postgres/postgres/blob/master/src/bin/pg_dump/pg_backup_archiver.h
_FIRST_TO_READ = {"1.15": 16, "1.16": 17}


def needs(target: Target) -> int | None:
    """Return the bytes that the tables take now; a compressed dump takes less."""
    query = (
        "SELECT sum(pg_table_size(c.oid)) FROM pg_class c JOIN pg_namespace n "
        "ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' "
        "AND n.nspname <> 'information_schema'"
    )
    try:
        with connected(target) as connection:
            return int(connection.execute(text(query)).scalar() or 0)
    except SnapshotFailed:
        return None


def programs(server_major: int) -> str:
    """Return the path of pg_dump, if all that it takes to put its dump back is here too.

    :raises ProgramUnfit: a program is missing or too old.
    """
    dump = tool_path("pg_dump", server_major)
    major, _ = version_of(dump)
    tool_path("pg_restore", major, because=f'"{dump}" is version {major}')
    tool_path("psql")
    return dump


def foresee(target: Target) -> None:
    """Find what would keep a snapshot from being taken and put back here.

    :raises SnapshotFailed: a program is missing or too old, a pooler stands before the server,
        something hangs on what other roles own, or this user may change the rows of that.
    """
    with connected(target) as connection:
        programs(server_of(connection, target).major)
        _prove_it_could_come_back(others_in(connection, target.version_table))


def take(target: Target, path: Path, say: Say) -> None:
    """Write a dump in pg_dump's custom format, compressed, of one moment of the database.

    The moment is one that a connection of the application's own has exported, which no other
    server or database knows: pg_dump fails where it is led elsewhere.
    https://www.postgresql.org/docs/current/app-pgdump.html

    :raises SnapshotFailed: pg_dump is missing, older than the server, or fails; or what it
        writes could not be put back by this user with these programs.
    """
    with connected(target) as connection:
        server = server_of(connection, target)
        dump = programs(server.major)
        others = others_in(connection, target.version_table)
        _tell(others, target, path, say)
        moment = exported(connection)
        tell = news(say, "dumping", path, target.bind)
        with trusted(server, connection) as server, new_file(path):
            command = [
                dump,
                f"--dbname={server.conninfo}",
                "--format=custom",
                "--no-password",
                "--no-subscriptions",
                f"--exclude-table=*.{LOCK_TABLE}",
                *(f"--exclude-table={name}" for name in others.unreadable),
                f"--lock-wait-timeout={LOCK_SECONDS}s",
                f"--snapshot={moment}",
                *([f"--role={server.role}"] if server.role else []),
                f"--file={path}",
            ]
            _run(command, server, target, path, tell)


def _run(
    command: list[str], server: Server, target: Target, path: Path, tell: Callable[[int], Any]
) -> None:
    environment, secrets = server.environment, server.secrets
    with running(command, environment=environment, secrets=secrets) as program:
        while True:
            try:
                code = program.process.wait(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                tell(path.stat().st_size)
        if code:
            raise failed("pg_dump", program, target)


def exported(connection: Connection) -> str:
    """Open a transaction and return the name under which others may see what it sees."""
    connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    # It says nothing until the dump is done.
    connection.exec_driver_sql(
        "SELECT set_config(name, '0', true) FROM pg_settings "
        "WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')"
    )
    return str(connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar())


def _tell(others: Others, target: Target, path: Path, say: Say) -> None:
    """Say what a restore by this user will leave alone.

    :raises SnapshotFailed: something of it would not survive a restore.
    """
    _prove_it_could_come_back(others)
    names = [f"{o.type} {o.identity} of {o.owner}" for o in others.objects]
    if names:
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if names[5:] else "")
        text_ = f"not this user's, so a restore leaves them as they are: {shown}"
        say(Progress("dumping", path.name, text_, bind=target.bind))


def _prove_it_could_come_back(others: Others) -> None:
    """Stop where what a revision may change would stay changed after a restore."""
    why = list(others.hanging)
    if others.changeable:
        named = ", ".join(others.changeable[:5])
        more = f" and {len(others.changeable) - 5} more" if others.changeable[5:] else ""
        why.append(f"it may change the rows of {named}{more}, and not make it anew")
    if why:
        raise SnapshotFailed(
            "A snapshot could not be put back by this user: "
            f"{'; '.join(why[:5])}{' and more' if why[5:] else ''}.",
            hint="use a role that is a member of all owners, or give the objects to one: "
            f"ALTER TABLE ... OWNER TO {quoted(others.user)};",
        )


def check(path: Path) -> None:
    """Prove that a dump can be read from its first byte to its last.

    :raises ProgramUnfit: pg_restore is missing or too old to tell.
    :raises SnapshotFailed: it cannot.
    """
    tool = tool_path("pg_restore")
    command = [tool, "--file=-", str(path)]
    with running(command, environment={}, secrets=()) as restore:
        if restore.process.wait():
            raise unreadable(path, restore.complaint(), tool)


def unreadable(path: Path, complaint: str, tool: str) -> SnapshotFailed:
    """Say why pg_restore could not read a dump."""
    newer = re.search(r"unsupported version \((\d+\.\d+)", complaint)
    if newer:
        first = _FIRST_TO_READ.get(newer[1])
        package = f"postgresql-client-{first}" if first else "the newest postgresql-client"
        return ProgramUnfit(
            f'"{tool}" is version {version_of(tool)[0]}, which is too old to read the snapshot '
            f'"{path}": {complaint}',
            hint=f"apt install {package}{', or later' if first else ''}, and put its folder first "
            "in PATH; the snapshot itself may be whole",
        )
    if "compression" in complaint and "support" in complaint:
        return ProgramUnfit(
            f'"{tool}" cannot read the snapshot "{path}": {complaint}',
            hint="use the pg_restore that belongs to the pg_dump which wrote it",
        )
    return SnapshotFailed(
        f'The snapshot "{path}" is damaged: {complaint}',
        hint="flask db snapshots lists the others",
    )
