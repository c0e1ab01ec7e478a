"""Dumps of a MariaDB or MySQL database, by its own programs."""

from __future__ import annotations

import gzip
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text

from flask_safemigrate.backends.contract import Say, Target
from flask_safemigrate.backends.mysql.programs import (
    connected,
    failed,
    option_path,
    server_of,
    tool_path,
)
from flask_safemigrate.backends.own_tables import LOCK_TABLE
from flask_safemigrate.backends.tools import (
    Running,
    new_file,
    news,
    output_of,
    running,
)
from flask_safemigrate.errors import SnapshotFailed

CHUNK = 1 << 20
_TRAILER = b"-- Dump completed"
# On 29 MB of rows level 3 took half of level 6's time for a file one ninth larger.
_LEVEL = 3


def needs(target: Target) -> int | None:
    """Return the bytes of the tables' rows now; a compressed dump takes less."""
    query = (
        "SELECT coalesce(sum(data_length), 0) FROM information_schema.tables "
        "WHERE table_schema = database()"
    )
    try:
        with connected(target) as connection:
            return int(connection.execute(text(query)).scalar() or 0)
    except SnapshotFailed:
        return None


# --single-transaction sees one moment of tables whose engine has transactions, of others not.
_NOT_TRANSACTIONAL = text("""
    SELECT count(*) FROM information_schema.tables t
    LEFT JOIN information_schema.engines e ON e.engine = t.engine
    WHERE t.table_schema = database() AND t.table_type <> 'VIEW'
        AND coalesce(e.transactions, 'NO') <> 'YES'
""")
_VERSIONED = text("""
    SELECT count(*) FROM information_schema.tables
    WHERE table_schema = database() AND table_type = 'SYSTEM VERSIONED'
""")


def take(target: Target, path: Path, say: Say) -> None:
    """Write a compressed SQL dump of one moment of the database.

    Tables of engines without transactions are locked meanwhile.
    https://mariadb.com/kb/en/mariadb-dump/

    :raises SnapshotFailed: the program is missing or fails.
    """
    with connected(target) as connection:
        server = server_of(connection, target)
        locks = bool(connection.execute(_NOT_TRANSACTIONAL).scalar())
        history = bool(connection.execute(_VERSIONED).scalar())
    dump = tool_path(server, "mariadb-dump", "mysqldump")
    with option_path(server) as options, new_file(path):
        command = [
            dump,
            f"--defaults-file={options}",
            "--lock-tables" if locks else "--single-transaction",
            "--quick",
            "--routines",
            "--triggers",
            "--events",
            "--hex-blob",
            "--no-tablespaces",
            "--default-character-set=utf8mb4",
            f"--ignore-table={server.database}.{LOCK_TABLE}",
            "--max-allowed-packet=1G",
            *(["--dump-history"] if history else []),
            *([] if "MariaDB" in output_of([dump, "--version"]) else ["--set-gtid-purged=OFF"]),
            "--",
            server.database,
        ]
        with running(
            command, environment={}, secrets=server.secrets, stdout=subprocess.PIPE
        ) as program:
            tail = _compress(program, path, news(say, "dumping", path, target.bind))
            if program.process.wait() or _TRAILER not in tail:
                raise failed(dump, program, target)


def _compress(program: Running, path: Path, tell: Callable[[int], Any]) -> bytes:
    """Write what a program prints to a compressed file; return the end of it."""
    assert program.process.stdout is not None
    tail = b""
    with gzip.open(path, "wb", compresslevel=_LEVEL) as file:
        while chunk := program.process.stdout.read(CHUNK):
            file.write(chunk)
            tail = (tail + chunk)[-200:]
            tell(path.stat().st_size)
    return tail


def check(path: Path) -> None:
    """Prove that a dump decompresses to its last line, which says that it is complete.

    :raises SnapshotFailed: it does not.
    """
    tail = b""
    try:
        with gzip.open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                tail = (tail + chunk)[-200:]
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    if _TRAILER not in tail:
        raise _damaged(path, "its end is missing")


def _damaged(path: Path, why: str) -> SnapshotFailed:
    return SnapshotFailed(
        f'The snapshot "{path}" is damaged: {why}', hint="flask db snapshots lists the others"
    )
