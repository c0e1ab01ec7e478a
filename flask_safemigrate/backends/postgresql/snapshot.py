"""Dumps of a PostgreSQL database, by pg_dump."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sqlalchemy import text

from flask_safemigrate.backends.contract import Say, Target
from flask_safemigrate.backends.own_tables import LOCK_TABLE
from flask_safemigrate.backends.postgresql.programs import (
    connected,
    failed,
    server_of,
    tool_path,
)
from flask_safemigrate.backends.postgresql.wipe import LOCK_SECONDS
from flask_safemigrate.backends.tools import (
    new_file,
    news,
    running,
)
from flask_safemigrate.errors import SnapshotFailed


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


def take(target: Target, path: Path, say: Say) -> None:
    """Write a dump in pg_dump's custom format, compressed, of one moment of the database.

    https://www.postgresql.org/docs/current/app-pgdump.html

    :raises SnapshotFailed: pg_dump is missing, older than the server, or fails.
    """
    with connected(target) as connection:
        server = server_of(connection, target)
    command = [
        tool_path("pg_dump", server.major),
        "--format=custom",
        "--no-password",
        "--no-subscriptions",
        f"--exclude-table=*.{LOCK_TABLE}",
        f"--lock-wait-timeout={LOCK_SECONDS}s",
        f"--file={path}",
    ]
    tell = news(say, "dumping", path, target.bind)
    with (
        new_file(path),
        running(command, environment=server.environment, secrets=server.secrets) as dump,
    ):
        while True:
            try:
                code = dump.process.wait(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                tell(path.stat().st_size)
        if code:
            raise failed("pg_dump", dump, target)


def check(path: Path) -> None:
    """Prove that a dump can be read from its first byte to its last.

    :raises SnapshotFailed: it cannot, or pg_restore is missing.
    """
    command = [tool_path("pg_restore"), "--file=-", str(path)]
    with running(command, environment={}, secrets=()) as restore:
        if restore.process.wait():
            raise SnapshotFailed(
                f'The snapshot "{path}" is damaged: {restore.complaint()}',
                hint="flask db snapshots lists the others",
            )
