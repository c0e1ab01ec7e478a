"""One process at a time on a PostgreSQL database."""

from __future__ import annotations

import hashlib
import random
import time
from contextlib import AbstractContextManager
from typing import Any, Literal

from sqlalchemy import Connection, text

from flask_safemigrate.backends.contract import Held, Say, Target
from flask_safemigrate.backends.driver_errors import sqlstate
from flask_safemigrate.backends.lease import LeaseTerms
from flask_safemigrate.backends.lock_choice import hold_either
from flask_safemigrate.backends.postgresql.address import address_of, connect_defaults
from flask_safemigrate.backends.postgresql.explain import unavailable
from flask_safemigrate.backends.session_lock import (
    Holder,
    SessionLock,
    process_of,
    session_name,
)

_POLL_SECONDS = 0.2

# pg_locks shows the two halves of a 64-bit key as classid and objid, with objsubid 1:
# https://www.postgresql.org/docs/current/view-pg-locks.html
_HOLDER = text("""
    SELECT a.pid, a.application_name AS session, a.usename AS username,
        coalesce(host(a.client_addr), 'local') AS client,
        extract(epoch FROM clock_timestamp() - a.query_start)::bigint AS seconds
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (l.classid::bigint << 32 | l.objid::bigint) = :key
""")


def lock_key(database: str, schema: str, version_table: str) -> int:
    """Return the signed 64-bit key of an advisory lock, the same in every process.

    It hangs on the version table, because that is what two deploys of one application share;
    two applications in one database do not wait for each other.
    """
    what = "\0".join(("safemigrate", database, schema, version_table))
    return int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big", signed=True)


def _prepare(connection: Connection, target: Target) -> int:
    name = session_name()
    connection.execute(text("SELECT set_config('application_name', :name, false)"), {"name": name})
    facts = connection.execute(
        text(
            "SELECT current_database() AS database, coalesce(current_schema(), '') AS schema, "
            "current_setting('server_version_num')::int AS version"
        )
    ).one()
    if facts.version >= 140000:
        # The holder says nothing for as long as the migration runs.
        connection.execute(text("SET idle_session_timeout = 0"))
    return lock_key(facts.database, target.version_schema or facts.schema, target.version_table)


def _attempt(connection: Connection, key: int, at_most: float) -> bool:
    # Asking again instead of waiting in the server: a waiting statement keeps a snapshot, and
    # CREATE INDEX CONCURRENTLY of the holder would wait for that: a deadlock.
    found = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key})
    if found.scalar():
        return True
    time.sleep(min(at_most, _POLL_SECONDS * random.uniform(0.5, 1.5)))
    return False


def _holder(connection: Connection, key: int) -> Holder | None:
    row = connection.execute(_HOLDER, {"key": key}).first()
    if row is None:
        return None
    who = process_of(row.session) or f'user "{row.username}" from {row.client}'
    # The server hides the times of other users' sessions.
    since = "" if row.seconds is None else f" since {row.seconds} s"
    return Holder(
        f"the lock is held by {who} (backend {row.pid}){since}",
        f"see what it does: SELECT * FROM pg_stat_activity WHERE pid = {row.pid}; "
        f"end it: SELECT pg_terminate_backend({row.pid});",
    )


def _held(connection: Connection, key: int) -> bool:
    found = connection.execute(
        text("""
            SELECT count(*) FROM pg_locks
            WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid = pg_backend_pid()
                AND (classid::bigint << 32 | objid::bigint) = :key
        """),
        {"key": key},
    )
    return bool(found.scalar())


def _release(connection: Connection, key: int) -> bool:
    released = connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
    return bool(released.scalar())


def _note(connection: Connection, revision: str) -> None:
    name = session_name(revision)
    connection.execute(text("SELECT set_config('application_name', :name, false)"), {"name": name})


_LOCK = SessionLock(_prepare, _attempt, _holder, _held, _release, unavailable, _note)


def greeted_by(connection: Connection) -> int | None:
    """Return the backend that the server named when the connection was made, None if unknown."""
    driver: Any = connection.connection.driver_connection
    if hasattr(driver, "info") and hasattr(driver.info, "backend_pid"):  # psycopg, psycopg2
        return int(driver.info.backend_pid)
    key = getattr(driver, "_backend_key_data", None)  # pg8000
    return int.from_bytes(key[:4], "big", signed=True) if key else None


def not_ours_alone(connection: Connection) -> str:
    """Say why a lock of this session would not keep others out, "" where it would.

    A pooler such as PgBouncer greets its clients with a process number that it makes up, for it
    has no backend for them yet. In session mode a lock would hold there, but which mode it is in
    it does not say.
    https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP

    :param connection: in autocommit, so that each statement is a transaction.
    """
    version = str(connection.execute(text("SELECT version()")).scalar())
    if "CockroachDB" in version:
        return "CockroachDB has no lock that a session keeps on all nodes"
    backends = {
        connection.execute(text("SELECT pg_backend_pid()")).scalar(),
        connection.execute(text("SELECT pg_backend_pid()")).scalar(),
    }
    if len(backends) > 1:
        return "a pooler stands before the server and changes the backend between transactions"
    greeted = greeted_by(connection)
    if greeted is not None and greeted not in backends:
        return (
            f"a pooler stands before the server (backend {backends.pop()} answers, the "
            f"connection was greeted as {greeted})"
        )
    return ""


def _lease_key(connection: Connection, target: Target) -> str:
    schema = connection.execute(text("SELECT coalesce(current_schema(), '')")).scalar()
    return f"{target.version_schema or schema}.{target.version_table}"


def _passing(error: BaseException) -> bool:
    # Serialization failure and deadlock.
    return sqlstate(error) in ("40001", "40P01")


def lease_terms(target: Target) -> LeaseTerms:
    """Return how a row is kept here."""
    defaults = connect_defaults(target.engine, lasting=True, pooled=True)
    clock = "extract(epoch FROM clock_timestamp())::float8"
    return LeaseTerms(clock, _lease_key, _passing, unavailable, defaults, proof=_proof)


def _proof(connection: Connection) -> Literal["inside", "beside"]:
    # https://www.postgresql.org/docs/current/transaction-iso.html: the others cannot lock a row
    # that was changed since they began.
    level = connection.execute(text("SHOW transaction_isolation")).scalar()
    return "inside" if level in ("read committed", "read uncommitted") else "beside"


def lock(
    target: Target, seconds: float, say: Say, how: str = "auto"
) -> AbstractContextManager[Held]:
    """Hold a session-level advisory lock on a connection of its own.

    The server gives it back when that connection ends, so a killed process blocks nobody.
    Behind a pooler, and on CockroachDB, a row that is renewed takes its place.

    :param seconds: how long to wait at most.
    :param how: ``auto``, ``session`` or ``lease``.
    :raises LockTimeout: another process held the lock for longer.
    :raises DatabaseUnavailable: the server cannot be reached.
    :raises LockLost: the lock was lost before the end of the block.
    """
    where = address_of(target.engine.url).location
    terms = lease_terms(target)
    return hold_either(how, _LOCK, terms, not_ours_alone, target, seconds, say, where=where)
