"""Dumps of a MariaDB or MySQL database, by its own programs."""

from __future__ import annotations

import gzip
import re
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from sqlalchemy import Connection, text

from flask_safemigrate.backends.contract import Say, Target
from flask_safemigrate.backends.mysql import privileges
from flask_safemigrate.backends.mysql.address import address_of
from flask_safemigrate.backends.mysql.programs import (
    SURROUNDINGS,
    Server,
    connected,
    failed,
    is_mariadbs,
    led,
    prove,
    server_of,
    tool_path,
)
from flask_safemigrate.backends.mysql.quoting import quoted
from flask_safemigrate.backends.tools import (
    Running,
    new_file,
    news,
    running,
)
from flask_safemigrate.errors import ProgramUnfit, SnapshotFailed
from flask_safemigrate.names import LOCK_TABLE, UNFINISHED_TABLE
from flask_safemigrate.outcome import Progress

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


_GENERATED = text("""
    SELECT count(*) FROM information_schema.columns
    WHERE table_schema = database() AND extra LIKE '%GENERATED%' AND extra NOT LIKE 'DEFAULT%'
""")
# What a restore by this user may have to make as its own.
_OF_OTHERS = text("""
    SELECT concat('view ', table_name, ' of ', definer) FROM information_schema.views
    WHERE table_schema = database() AND definer <> current_user()
    UNION ALL SELECT concat('trigger ', trigger_name, ' of ', definer)
    FROM information_schema.triggers
    WHERE trigger_schema = database() AND definer <> current_user()
    UNION ALL SELECT concat(lower(routine_type), ' ', routine_name, ' of ', definer)
    FROM information_schema.routines
    WHERE routine_schema = database() AND definer <> current_user()
    UNION ALL SELECT concat('event ', event_name, ' of ', definer)
    FROM information_schema.events
    WHERE event_schema = database() AND definer <> current_user()
""")


def foresee(target: Target) -> None:
    """Find what would keep a snapshot from being taken and put back here.

    :raises SnapshotFailed: a program is missing, or of the wrong kind, or a privilege is missing.
    """
    with connected(target) as connection:
        _programs(connection, server_of(connection, target))
        refuse_without_privileges(connection, target, "A snapshot could not be put back")


def refuse_without_privileges(connection: Connection, target: Target, what: str) -> None:
    """Stop where this user may not do what replaces the content of the database by a dump.

    :raises SnapshotFailed: it lacks a privilege; nothing was changed.
    """
    missing = ", ".join(privileges.to_restore(connection))
    if not missing:
        return
    address = address_of(target.engine.url)
    blind = (
        " Triggers are not even seen without that privilege, and would go with their tables."
        if "TRIGGER" in missing
        else ""
    )
    name, _, host = str(connection.scalar(text("SELECT current_user()"))).rpartition("@")
    raise SnapshotFailed(
        f'{what} by user "{address.user}", who may not use {missing} in database '
        f'"{address.location}".{blind}',
        hint=f"as an administrator: GRANT {missing} ON {quoted(address.name)}.* TO "
        f"'{name}'@'{host}';",
    )


def _programs(connection: Connection, server: Server) -> tuple[str, str]:
    """Return the paths of the programs that write a dump and that load it."""
    dump = tool_path(server, "mariadb-dump", "mysqldump")
    client = tool_path(server, "mariadb", "mysql")
    if not server.mariadb and is_mariadbs(dump) and connection.execute(_GENERATED).scalar():
        raise wrong_kind(dump)
    return dump, client


def take(target: Target, path: Path, say: Say) -> None:
    """Write a compressed SQL dump of one moment of the database.

    Tables of engines without transactions are locked meanwhile.
    https://mariadb.com/kb/en/mariadb-dump/

    :raises SnapshotFailed: the program is missing or fails, or what it writes could not be put
        back by this user.
    """
    write(target, path, say)


def write(target: Target, path: Path, say: Say, *, rows: bool = True, events: bool = True) -> None:
    """Write a dump, with or without the rows and the events of the database.

    :raises SnapshotFailed: as of :func:`take`.
    """
    with connected(target) as connection:
        server = server_of(connection, target)
        locks = bool(connection.execute(_NOT_TRANSACTIONAL).scalar())
        history = bool(connection.execute(_VERSIONED).scalar())
        others = list(connection.execute(_OF_OTHERS).scalars())
        dump, client = _programs(connection, server)
        refuse_without_privileges(connection, target, "A snapshot could not be put back")
    if others:
        shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if others[5:] else "")
        text_ = f"a user who may not set definers gets these back as its own, if at all: {shown}"
        say(Progress("dumping", path.name, text_, bind=target.bind))
    prove(client, server, target)
    with led(dump, server) as program, new_file(path):
        command = [
            *program.start,
            "--lock-tables" if locks and rows else "--single-transaction",
            "--quick",
            "--routines",
            "--triggers",
            *(["--events"] if events else []),
            *([] if rows else ["--no-data"]),
            "--hex-blob",
            "--no-tablespaces",
            "--default-character-set=utf8mb4",
            *(f"--ignore-table={server.database}.{own}" for own in (LOCK_TABLE, UNFINISHED_TABLE)),
            "--max-allowed-packet=1G",
            *(["--dump-history"] if history and rows else []),
            *([] if program.mariadb else ["--set-gtid-purged=OFF"]),
            "--",
            server.database,
        ]
        with running(
            command,
            environment=SURROUNDINGS,
            secrets=server.secrets,
            stdout=subprocess.PIPE,
            pass_fds=program.pass_fds,
        ) as running_:
            tail = _compress(running_, path, news(say, "dumping", path, target.bind))
            if running_.process.wait() or _TRAILER not in tail:
                raise failed(dump, running_, target)


def wrong_kind(dump: str) -> ProgramUnfit:
    """Say why MariaDB's program does not do for a MySQL server."""
    return ProgramUnfit(
        f"\"{dump}\" is MariaDB's, and the database is MySQL's and has generated columns: it "
        "writes their values down, which MySQL does not take back.",
        hint="install MySQL's own mysqldump and mysql (mysql-client or mysql-community-client, "
        "https://dev.mysql.com/downloads/), and put their folder first in PATH; or go without: "
        "--no-snapshot",
    )


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


class Dump(NamedTuple):
    """What a dump holds.

    :param definers: as they are written, in bytes of SQL.
    :param kinds: of stored programs and views, such as ``TRIGGER``.
    :param by_mariadb: whether MariaDB's program wrote it.
    :param generated: whether a table has generated columns.
    """

    definers: frozenset[bytes]
    kinds: frozenset[str]
    by_mariadb: bool
    generated: bool


_ACCOUNT = rb"`(?:[^`]|``)*`(?:@`(?:[^`]|``)*`)?"
#: The lines in which a definer stands, and what stands in the line before.
DEFINER = re.compile(
    rb"((?:/\*!\d+ )?CREATE(?:\*/ /\*!\d+)? DEFINER=|/\*!\d+ DEFINER=)(" + _ACCOUNT + rb")"
)
BEFORE_DEFINER = re.compile(rb"DELIMITER |/\*!\d+ CREATE ALGORITHM=|/\*!\d+ SET time_zone +=")
_KIND = re.compile(rb"\b(TRIGGER|FUNCTION|PROCEDURE|EVENT|PACKAGE|SQL SECURITY)\b")


def lines_of(file: IO[bytes] | gzip.GzipFile) -> Iterator[tuple[bool, bytes]]:
    """Give the lines of a dump, long ones in pieces, with whether each begins a line."""
    begins = True
    while piece := file.readline(CHUNK):
        yield begins, piece
        begins = piece.endswith(b"\n")


def inspect(path: Path, file: IO[bytes]) -> Dump:
    """Read a dump to its end, and tell what it holds.

    :param file: the compressed file.
    :raises SnapshotFailed: it is damaged.
    """
    definers: set[bytes] = set()
    kinds: set[str] = set()
    by_mariadb = generated = False
    head = b""
    tail = previous = b""
    file.seek(0)
    try:
        with gzip.open(file, "rb") as content:
            for begins, piece in lines_of(content):
                if begins:
                    head = head if len(head) > 500 else head + piece[:500]
                    found = DEFINER.match(piece) if BEFORE_DEFINER.match(previous) else None
                    if found:
                        definers.add(found[2])
                        kind = _KIND.search(piece, found.end())
                        kinds.add(kind[1].decode() if kind else "")
                    generated = generated or (
                        piece.startswith(b"  ") and b" GENERATED ALWAYS AS " in piece
                    )
                    previous = piece
                tail = (tail + piece[-200:])[-200:]
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    if _TRAILER not in tail:
        raise _damaged(path, "its end is missing")
    by_mariadb = b"-- MariaDB dump" in head
    return Dump(frozenset(definers), frozenset(kinds), by_mariadb, generated)


def check(path: Path) -> None:
    """Prove that a dump decompresses to its last line, which says that it is complete.

    :raises SnapshotFailed: it does not.
    """
    try:
        with path.open("rb") as file:
            inspect(path, file)
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error


def _damaged(path: Path, why: str) -> SnapshotFailed:
    return SnapshotFailed(
        f'The snapshot "{path}" is damaged: {why}', hint="flask db snapshots lists the others"
    )
