"""The table ``safemigrate_journal``: what our commands did to this database."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from importlib.metadata import version

import sqlalchemy as sa
from sqlalchemy import Connection

from flask_safemigrate.names import JOURNAL


@functools.cache
def _table(dialect: str) -> sa.Table:
    """The table as a dialect has it.

    TEXT of MariaDB and MySQL ends at 64 kB, which first revisions of large schemas pass, and a
    database may have a character set that does not hold what a comment says.
    """
    long: sa.types.TypeEngine[str] = sa.Text()
    if dialect in ("mysql", "mariadb"):
        # Its dialect takes SQLAlchemy longer to import than a short command has.
        from sqlalchemy.dialects.mysql import MEDIUMTEXT

        long = MEDIUMTEXT(charset="utf8mb4")
    return sa.Table(
        JOURNAL,
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("direction", sa.String(16), nullable=False, default=""),
        sa.Column("started", sa.String(40), nullable=False),
        sa.Column("finished", sa.String(40), nullable=False, default=""),
        sa.Column("checksum", sa.String(64), nullable=False, default=""),
        sa.Column("source", long),
        sa.Column("environment", sa.String(64), nullable=False, default=""),
        sa.Column("host", sa.String(255), nullable=False, default=""),
        sa.Column("pid", sa.Integer),
        sa.Column("tool", sa.String(32), nullable=False, default=""),
        sa.Column("seconds", sa.Float),
        sa.Column("result", long),
    )


def now() -> str:
    """The time as the journal writes it: UTC, ISO 8601, milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def make(connection: Connection) -> None:
    """Make the table where it is missing. A server without transactional DDL commits."""
    _table(connection.dialect.name).create(connection, checkfirst=True)


def write(connection: Connection, rows: Iterable[Mapping[str, object]]) -> None:
    """Append rows; the table is made where it is missing. Commits nothing."""
    about = {
        "host": socket.gethostname()[:255],
        "pid": os.getpid(),
        "tool": version("flask-safemigrate"),
    }
    values = [{**about, **row} for row in rows]
    if not values:
        return
    _table(connection.dialect.name).create(connection, checkfirst=True)
    if any(row.get("result") for row in values):
        _add_result(connection)
    _leave_out_what_is_too_long(connection, values)
    known = _known(connection, [str(row.get("checksum")) for row in values if row.get("source")])
    for row in values:
        if row.get("checksum") in known:
            row["source"] = None
    connection.execute(_table(connection.dialect.name).insert(), values)


#: Bytes that MEDIUMTEXT holds.
_LONGEST = 2**24 - 1


def _leave_out_what_is_too_long(
    connection: Connection, values: Iterable[dict[str, object]]
) -> None:
    """Keep the checksum alone of a text that MariaDB or MySQL would not take."""
    if connection.dialect.name not in ("mysql", "mariadb"):
        return
    sizes = {id(row): len(str(row.get("source") or "").encode()) for row in values}
    if max(sizes.values()) < 100_000:
        return
    packet = int(connection.scalar(sa.text("SELECT @@max_allowed_packet")) or 0)
    for row in values:
        # Escaping may double it, and the rest of the row has to go in, too.
        if 2 * sizes[id(row)] + 10_000 > packet or sizes[id(row)] > _LONGEST:
            row["source"] = None


def _known(connection: Connection, checksums: list[str]) -> frozenset[str]:
    """Checksums of the texts that the journal has already."""
    if not checksums:
        return frozenset()
    table = _table(connection.dialect.name)
    column = table.c.checksum
    query = sa.select(column).where(table.c.source.is_not(None)).distinct()
    if len(checksums) <= 500:
        query = query.where(column.in_(checksums))
    return frozenset(connection.execute(query).scalars())


def _add_result(connection: Connection) -> None:
    """Give the column to a journal that was made before there was one."""
    if all(column["name"] != "result" for column in sa.inspect(connection).get_columns(JOURNAL)):
        connection.execute(sa.text(f"ALTER TABLE {JOURNAL} ADD COLUMN result TEXT"))
