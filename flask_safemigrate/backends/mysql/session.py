"""The session that migrates: how long it waits for locks, and who keeps it waiting."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Say, SessionOptions, Target
from flask_safemigrate.backends.driver_errors import error_number
from flask_safemigrate.backends.mysql.address import connect_defaults
from flask_safemigrate.backends.mysql.lock import in_cluster
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.outcome import Progress

_LOCK_WAIT_TIMEOUT = 1205
_QUERY_WIDTH = 120
_PAUSE_SECONDS = 1.0
_DAY = 24 * 60 * 60

_SETTINGS = ("lock_wait_timeout", "innodb_lock_wait_timeout")

# https://mariadb.com/kb/en/metadata-lock-info-plugin/, which must be installed.
_HOLDERS = text("""
    SELECT DISTINCT p.id AS id, p.user AS user, p.host AS host, p.time AS seconds,
        coalesce(p.info, '') AS query, m.table_name AS name
    FROM information_schema.metadata_lock_info m JOIN information_schema.processlist p
        ON p.id = m.thread_id
    WHERE m.table_schema = database() AND p.id NOT IN (:session, connection_id())
    ORDER BY p.id
""")

# Without the plugin: whoever has a transaction open, or runs a statement, in this database.
_CANDIDATES = text("""
    SELECT p.id AS id, p.user AS user, p.host AS host, coalesce(
            timestampdiff(second, t.trx_started, now()), p.time) AS seconds,
        coalesce(p.info, '') AS query, '' AS name
    FROM information_schema.processlist p
        LEFT JOIN information_schema.innodb_trx t ON t.trx_mysql_thread_id = p.id
    WHERE p.db = database() AND p.id NOT IN (:session, connection_id())
        AND (t.trx_id IS NOT NULL OR p.command = 'Query')
    ORDER BY seconds DESC
""")


def session_of(connection: Connection) -> int:
    """Return the number of a session on the server."""
    return int(connection.execute(text("SELECT connection_id()")).scalar_one())


def prepare(
    connection: Connection, target: Target, options: SessionOptions, say: Say
) -> Callable[[], None]:
    """Bound the wait for locks, and try a statement again that waited for too long.

    A statement that waits for a table's metadata lock stands before every reader that comes
    after it: https://mariadb.com/kb/en/metadata-locking/. One that timed out has done nothing,
    so it alone is tried again, for as long as the options allow.

    :return: undoes it.
    """
    undo: list[Callable[[], None]] = []
    _no_idle_limits(connection, undo)
    if in_cluster(connection):
        # What another node has done before must be seen here.
        _set(connection, "wsrep_sync_wait", 7, undo)
    if options.lock_timeout:
        for name in _SETTINGS:
            _set(connection, name, max(1, math.ceil(options.lock_timeout)), undo)
        undo.append(_retrying(connection, target, options, say))

    def undo_all() -> None:
        while undo:
            with suppress(SQLAlchemyError):
                undo.pop()()

    return undo_all


#: Seconds after which the server ends a session that says nothing, 0 for never; the last three
#: are MariaDB's. A revision may compute for long between two statements.
#: https://mariadb.com/kb/en/transaction-timeouts/
_IDLE = {
    "wait_timeout": _DAY,
    "idle_transaction_timeout": 0,
    "idle_write_transaction_timeout": 0,
    "idle_readonly_transaction_timeout": 0,
}


def _no_idle_limits(connection: Connection, undo: list[Callable[[], None]]) -> None:
    names = ", ".join(f"'{name}'" for name in _IDLE)
    shown = connection.exec_driver_sql(
        f"SHOW SESSION VARIABLES WHERE variable_name IN ({names})"
    ).all()
    for name, value in shown:
        wanted, before = _IDLE[str(name).lower()], int(value)
        if before < wanted or (before and not wanted):
            _set(connection, name, wanted, undo)


def _set(connection: Connection, name: str, value: int, undo: list[Callable[[], None]]) -> None:
    before = int(connection.exec_driver_sql(f"SELECT @@session.{name}").scalar_one())
    connection.exec_driver_sql(f"SET SESSION {name} = {value}")
    undo.append(lambda: _restore(connection, name, before))


def _restore(connection: Connection, name: str, value: int) -> None:
    connection.exec_driver_sql(f"SET SESSION {name} = {value}")


def _retrying(
    connection: Connection, target: Target, options: SessionOptions, say: Say
) -> Callable[[], None]:
    session = session_of(connection)
    driver = connection.connection.driver_connection

    def execute(cursor: Any, statement: str, *rest: Any) -> bool | None:
        *parameters, context = rest
        # The event is the engine's, and the application may use the engine meanwhile.
        if context is None or context.root_connection.connection.driver_connection is not driver:
            return None
        started = time.monotonic()
        while True:
            try:
                # Empty ones too: they undo the doubling of percent signs.
                cursor.execute(statement, *parameters)
            except Exception as error:
                waited = time.monotonic() - started
                if error_number(error) != _LOCK_WAIT_TIMEOUT or waited >= options.patience:
                    raise
                words = look_at_blockers(target, session) or "another session has a lock"
                text_ = f"{words} ({waited:.0f} of {options.patience:.0f} s)"
                say(Progress("waiting", "lock", text_, waited, target.bind))
                time.sleep(min(_PAUSE_SECONDS, options.patience - waited))
            else:
                return True

    events = ("do_execute", "do_execute_no_params")
    for name in events:
        event.listen(connection.engine, name, execute)

    def stop() -> None:
        for name in events:
            event.remove(connection.engine, name, execute)

    return stop


def look_at_blockers(target: Target, session: int) -> str:
    """Say who keeps a session waiting, by a connection of its own; "" where that is unknown."""
    defaults = connect_defaults(target.engine, answer_seconds=10)
    with (
        suppress(SQLAlchemyError, OSError),
        own_connection(target.engine, defaults, autocommit=True) as connection,
    ):
        return blockers(connection, session)
    return ""


@contextmanager
def outside(
    connection: Connection, target: Target, options: SessionOptions, say: Say
) -> Iterator[None]:
    """Surround what a revision runs outside of any transaction; here nothing runs in one."""
    yield


def busy(error: BaseException) -> bool:
    """Whether an error means no more than that another session had a lock for too long."""
    return error_number(error) == _LOCK_WAIT_TIMEOUT


def blockers(connection: Connection, session: int) -> str:
    """Say who has the locks that a session waits for, or may have them.

    The server tells exactly only with its plugin ``metadata_lock_info``. Otherwise these are the
    sessions with an open transaction or a running statement in the same database.

    :param connection: another one than the session's own.
    """
    rows: list[Any] = []
    exact = False
    with suppress(SQLAlchemyError):
        rows = list(connection.execute(_HOLDERS, {"session": session}))
        exact = bool(rows)
    if not exact:
        with suppress(SQLAlchemyError):
            rows = list(connection.execute(_CANDIDATES, {"session": session}))
    if not rows:
        return ""
    told = "; ".join(_blocker(row) for row in rows[:3])
    tables = sorted({row.name for row in rows if row.name})
    if exact:
        return f"{', '.join(f'`{t}`' for t in tables)} is locked by {told}"
    return f"a table is locked, perhaps by {told}"


def _blocker(row: Any) -> str:
    query = " ".join(str(row.query).split())
    if len(query) > _QUERY_WIDTH:
        query = query[: _QUERY_WIDTH - 3] + "..."
    doing = query or "an open transaction, idle"
    return f'connection {row.id}, user "{row.user}" from {row.host}, for {row.seconds} s: {doing}'
