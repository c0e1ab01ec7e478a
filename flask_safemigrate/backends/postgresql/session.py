"""The session that migrates: how long it waits for locks, and who keeps it waiting."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Say, SessionOptions, Target
from flask_safemigrate.backends.driver_errors import sqlstate
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.postgresql.address import connect_defaults
from flask_safemigrate.backends.postgresql.lock import not_ours_alone
from flask_safemigrate.backends.postgresql.read import quoted
from flask_safemigrate.backends.session_lock import process_of
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.outcome import Progress

# https://www.postgresql.org/docs/current/runtime-config-client.html
_QUERY_WIDTH = 120
_POLL_SECONDS = 0.2

_CONCURRENTLY = re.compile(r"\bCONCURRENTLY\b", re.IGNORECASE)
_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_BUILDS_INDEX = re.compile(
    rf"\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?({_NAME})\s+ON"
    rf"\s+(?:ONLY\s+)?((?:{_NAME}\s*\.\s*)?{_NAME})",
    re.IGNORECASE,
)

_INVALID = text("""
    SELECT n.nspname AS schema, c.relname AS name
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE i.indrelid = to_regclass(:table) AND c.relname = :name AND NOT i.indisvalid
        AND c.relkind = 'i'
""")

# An index that is being built is invalid too; its builder holds this lock.
_BUILDING = text("""
    SELECT count(*) FROM pg_locks
    WHERE relation = to_regclass(:table) AND granted AND pid <> pg_backend_pid()
        AND mode = 'ShareUpdateExclusiveLock'
""")

_BLOCKERS = text("""
    SELECT a.pid, a.application_name AS session, a.usename AS username, a.state AS state,
        coalesce(host(a.client_addr), 'local') AS client,
        regexp_replace(a.query, '\\s+', ' ', 'g') AS query,
        extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.query_start))::bigint
            AS seconds,
        (
            SELECT relation::regclass::text FROM pg_locks
            WHERE pid = :session AND NOT granted AND relation IS NOT NULL LIMIT 1
        ) AS waited_for
    FROM (SELECT DISTINCT unnest(pg_blocking_pids(:session)) AS pid) b
        JOIN pg_stat_activity a USING (pid)
    ORDER BY a.pid
""")


def transaction_of(connection: Connection) -> str:
    """Return the number of the open transaction, "" where it commits every statement."""
    if _autocommit(connection):
        return ""
    return str(connection.scalar(text("SELECT txid_current()")))


def was_committed(target: Target, transaction: str) -> bool:
    """Whether a transaction was committed; no, where the server cannot be asked.

    https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
    """
    defaults = connect_defaults(target.engine)
    with (
        suppress(SQLAlchemyError, OSError),
        own_connection(target.engine, defaults, autocommit=True) as connection,
    ):
        status = text("SELECT txid_status(CAST(:number AS bigint))")
        return bool(connection.scalar(status, {"number": transaction}) == "committed")
    return False


_END_WAITING = text("""
    SELECT pg_cancel_backend(:waiting)
    WHERE CAST(:holder AS integer) = ANY (pg_blocking_pids(CAST(:waiting AS integer)))
""")


def session_of(connection: Connection) -> int:
    """Return the number of a session on the server."""
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def _settings(connection: Connection, options: SessionOptions) -> list[tuple[str, str]]:
    settings = []
    if options.lock_timeout:
        settings.append(("lock_timeout", f"{round(options.lock_timeout * 1000)}ms"))
    if options.statement_timeout:
        settings.append(("statement_timeout", f"{round(options.statement_timeout * 1000)}ms"))
    # A revision may compute for long between two statements, and nobody is helped by its end.
    settings.append(("idle_in_transaction_session_timeout", "0"))
    version = connection.dialect.server_version_info or (0,)
    if version >= (14,):
        # A server notices only here that a client has gone while it waits for a lock or works.
        settings.append(("client_connection_check_interval", "1s"))
    settings += [("tcp_keepalives_idle", "20"), ("tcp_keepalives_interval", "10")]
    return settings


def _autocommit(connection: Connection) -> bool:
    driver: Any = connection.connection.driver_connection
    found = getattr(driver, "autocommit", None)
    if isinstance(found, bool):
        return found
    return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"


def prepare(
    connection: Connection, target: Target, options: SessionOptions, say: Say
) -> Callable[[], None]:
    """Bound the wait for locks in this transaction and in those that follow on the connection.

    A statement that waits for a table's lock stands before every reader that comes after it, so
    it must not wait for long: https://www.postgresql.org/docs/current/explicit-locking.html

    :return: undoes it; here there is nothing to undo, for the settings end with the transaction.
    """
    settings = _settings(connection, options)

    def apply(opened: Connection) -> None:
        if not _autocommit(opened):
            for name, value in settings:
                opened.exec_driver_sql(f"SET LOCAL {name} = '{value}'")

    apply(connection)
    event.listen(connection, "begin", apply)
    return lambda: None


@contextmanager
def outside(
    connection: Connection, target: Target, options: SessionOptions, say: Say
) -> Iterator[None]:
    """Surround what a revision runs outside of any transaction.

    ``CREATE INDEX CONCURRENTLY`` waits for older transactions and blocks nobody meanwhile, so it
    may wait for as long as it takes. What an earlier one left behind invalid is dropped first:
    it would be in the way or, with ``IF NOT EXISTS``, taken for the index.
    https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
    """
    # A pooler gives a setting of the session to whoever comes next.
    pooled = bool(not_ours_alone(connection))
    settings = [] if pooled else _settings(connection, options)

    def before(opened: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if opened.info.get("safemigrate_inside"):
            return
        waits = bool(_CONCURRENTLY.search(statement))
        for name, value in settings:
            bounded = name in ("lock_timeout", "statement_timeout")
            _quietly(opened, f"SET {name} = '{'0' if waits and bounded else value}'")
        if built := _BUILDS_INDEX.match(statement):
            opened.info["safemigrate_inside"] = True
            try:
                _wait_for_builder(opened, built[2], options.patience)
                _drop_invalid(opened, built[2], built[1], target, say)
            finally:
                del opened.info["safemigrate_inside"]

    event.listen(connection, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", before)
        for name, _ in settings:
            _quietly(connection, f"RESET {name}")


def _quietly(connection: Connection, statement: str) -> None:
    """Run a statement that no listener hears of: it is not the revision's."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
    finally:
        cursor.close()


def _wait_for_builder(connection: Connection, table: str, patience: float) -> None:
    """Wait for whoever builds an index on the table now, such as the backend of a killed run."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if not connection.execute(_BUILDING, {"table": table}).scalar():
            return
        time.sleep(_POLL_SECONDS)


def _drop_invalid(connection: Connection, table: str, name: str, target: Target, say: Say) -> None:
    plain_name = name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
    for row in connection.execute(_INVALID, {"table": table, "name": plain_name}).all():
        full = f"{quoted(row.schema)}.{quoted(row.name)}"
        words = f"index {full}, which an earlier build left invalid, is dropped first"
        say(Progress("table", table, words, bind=target.bind))
        connection.execute(plain(f"DROP INDEX CONCURRENTLY IF EXISTS {full}"))


def end_waiting(connection: Connection, waiting: int, holder: int) -> bool:
    """End the statement of a session if it waits for another; whether it did."""
    return bool(connection.scalar(_END_WAITING, {"waiting": waiting, "holder": holder}))


def busy(error: BaseException) -> bool:
    """Whether an error means no more than that another session had a lock for too long."""
    # Lock timeout, deadlock.
    return sqlstate(error) in ("55P03", "40P01")


def blockers(connection: Connection, session: int) -> str:
    """Say what a session waits for and who has it, "" where it does not wait.

    :param connection: another one than the session's own.
    """
    rows = connection.execute(_BLOCKERS, {"session": session}).all()
    if not rows:
        return ""
    table = rows[0].waited_for
    what = f'table "{table}"' if table else "what is needed"
    return f"{what} is locked by {'; '.join(_blocker(row) for row in rows)}"


def _blocker(row: Any) -> str:
    who = process_of(row.session) or f'user "{row.username}" from {row.client}'
    if row.session and not process_of(row.session):
        who += f' ("{row.session}")'
    age = "" if row.seconds is None else f" for {row.seconds} s"
    query = row.query or ""
    if len(query) > _QUERY_WIDTH:
        query = query[: _QUERY_WIDTH - 3] + "..."
    return f"backend {row.pid}, {who}, {row.state or 'state unknown'}{age}: {query}"
