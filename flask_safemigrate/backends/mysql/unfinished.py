"""The mark of a database that is being emptied or filled, which a kill leaves behind.

MariaDB and MySQL commit every statement, so nothing but such a mark tells a database that lost
its tables in the middle of that from one that never had any.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

from sqlalchemy import Connection, text

from flask_safemigrate.backends.mysql.quoting import quoted
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.facts.database import Unreachable
from flask_safemigrate.names import UNFINISHED_TABLE

_TABLE = quoted(UNFINISHED_TABLE)
RESTORE, RESET = "restore", "reset"


@contextmanager
def marked(connection: Connection, command: str, subject: str) -> Iterator[None]:
    """Mark the connection's database for the length of the block; an error leaves the mark.

    :param command: :data:`RESTORE` or :data:`RESET`.
    :param subject: id of the snapshot.
    """
    width = "VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL"
    connection.execute(
        plain(
            f"CREATE TABLE IF NOT EXISTS {_TABLE} (command {width}, subject {width}, "
            f"started {width}, host {width}, pid INTEGER NOT NULL)"
        )
    )
    # No DELETE, for which some servers want a condition on a key:
    # https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html#sysvar_sql_safe_updates
    connection.execute(plain(f"TRUNCATE TABLE {_TABLE}"))
    connection.execute(
        text(f"INSERT INTO {_TABLE} VALUES (:command, :subject, :started, :host, :pid)"),
        {
            "command": command,
            "subject": subject[:255],
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "host": socket.gethostname()[:255],
            "pid": os.getpid(),
        },
    )
    yield
    unmark(connection)


def unmark(connection: Connection) -> None:
    """Take the mark away."""
    connection.execute(plain(f"DROP TABLE IF EXISTS {_TABLE}"))


def unfinished(connection: Connection, location: str) -> Unreachable:
    """Say what was not finished in a database that is marked."""
    row = connection.execute(
        text(f"SELECT command, subject, started, host, pid FROM {_TABLE} LIMIT 1")
    ).first()
    since = f"since {row.started}, by process {row.pid} on host {row.host}" if row else ""
    if row is not None and row.command == RESET:
        return Unreachable(
            "half emptied",
            f'Database "{location}" is being emptied by a reset, or was when the reset was '
            f"stopped ({since}); a part of its tables is gone.",
            "flask db reset  # when no reset is running any more",
        )
    subject = row.subject if row is not None else ""
    return Unreachable(
        "half restored",
        f'Snapshot "{subject}" is being put back into database "{location}", or was when that '
        f"was stopped ({since}); the database holds a part of it and nothing else.",
        f"flask db restore {subject}".rstrip() + "  # when no restore is running any more",
    )
