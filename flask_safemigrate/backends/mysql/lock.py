"""One process at a time on a MariaDB or MySQL database."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, text

from flask_safemigrate.backends.contract import Held, Say, Target
from flask_safemigrate.backends.driver_errors import error_number
from flask_safemigrate.backends.lease import LeaseTerms
from flask_safemigrate.backends.lock_choice import hold_either
from flask_safemigrate.backends.mysql.address import address_of, connect_defaults
from flask_safemigrate.backends.mysql.explain import unavailable
from flask_safemigrate.backends.session_lock import (
    Holder,
    SessionLock,
    process_of,
    session_name,
)

_WEEK = 7 * 24 * 60 * 60
_POLL_SECONDS = 0.2
_ANSWER_SECONDS = 20

#: MariaDB since 11.6: another session has changed the row since this transaction began to read.
_RECORD_CHANGED = 1020

# Without the PROCESS privilege a user sees its own sessions only, which is what a second deploy
# of the same application is. The attributes are there where performance_schema is on.
_HOLDER = text("""
    SELECT id AS id, user AS user, host AS host, time AS time
    FROM information_schema.processlist WHERE id = is_used_lock(:name)
""")
_ATTRIBUTE = text("""
    SELECT attr_value FROM performance_schema.session_account_connect_attrs
    WHERE processlist_id = :id AND attr_name = 'program_name'
""")


def lock_name(database: str, version_table: str) -> str:
    """Return the name for ``GET_LOCK``, the same in every process.

    Names are the whole server's and end at 64 characters, so database and version table are
    hashed; two applications on one server do not wait for each other.
    https://dev.mysql.com/doc/refman/8.4/en/locking-functions.html
    """
    digest = hashlib.sha256(f"{database}\0{version_table}".encode()).hexdigest()
    return f"safemigrate:{digest[:40]}"


def _prepare(connection: Connection, target: Target) -> str:
    # The holder says nothing for as long as the migration runs.
    connection.execute(text(f"SET SESSION wait_timeout = {_WEEK}"))
    database = connection.execute(text("SELECT database()")).scalar()
    return lock_name(target.version_schema or str(database), target.version_table)


def _attempt(connection: Connection, name: str, at_most: float) -> bool:
    # MySQL takes whole seconds; waiting in the server keeps the order of arrival.
    whole = int(at_most)
    found = connection.execute(
        text("SELECT get_lock(:name, :seconds)"), {"name": name, "seconds": whole}
    )
    if found.scalar():
        return True
    time.sleep(0 if whole else min(at_most, _POLL_SECONDS))
    return False


def _holder(connection: Connection, name: str) -> Holder | None:
    row = connection.execute(_HOLDER, {"name": name}).first()
    if row is None:
        id_ = connection.execute(text("SELECT is_used_lock(:name)"), {"name": name}).scalar()
        return Holder(f"the lock is held by connection {id_}", _look_at(id_)) if id_ else None
    who = ""
    if connection.execute(text("SELECT @@performance_schema")).scalar():
        found = connection.execute(_ATTRIBUTE, {"id": row.id}).scalar()
        who = process_of(str(found))
    who = who or f'user "{row.user}" from {row.host}'
    # The holder's connection has been idle since it got the lock.
    words = f"the lock is held by {who} (connection {row.id}) since {row.time} s"
    return Holder(words, _look_at(row.id))


def _look_at(session: int) -> str:
    return (
        f"see what it does: SELECT * FROM information_schema.processlist WHERE id = {session}; "
        f"end it: KILL {session};"
    )


def _held(connection: Connection, name: str) -> bool:
    found = connection.execute(
        text("SELECT is_used_lock(:name) = connection_id()"), {"name": name}
    )
    return bool(found.scalar())


def _release(connection: Connection, name: str) -> bool:
    released = connection.execute(text("SELECT release_lock(:name)"), {"name": name})
    return bool(released.scalar())


_LOCK = SessionLock(_prepare, _attempt, _holder, _held, _release, unavailable)


def in_cluster(connection: Connection) -> bool:
    """Tell whether the server is a node of a Galera cluster.

    Of a cluster of one node too: while a deploy runs, a second one may join.
    https://mariadb.com/kb/en/galera-cluster-system-variables/#wsrep_on
    """
    row = connection.execute(text("SHOW VARIABLES LIKE 'wsrep_on'")).first()
    return row is not None and str(row[1]).upper() == "ON"


def _not_ours_alone(connection: Connection) -> str:
    if not in_cluster(connection):
        return ""
    row = connection.execute(text("SHOW STATUS LIKE 'wsrep_cluster_size'")).first()
    size = row[1] if row is not None else "?"
    return f"the server is one of {size} in a Galera cluster, and GET_LOCK reaches that one only"


def _lease_key(connection: Connection, target: Target) -> str:
    return target.version_table


def _passing(error: BaseException) -> bool:
    # Lock wait timeout and deadlock; a node that was second says deadlock.
    return error_number(error) in (_RECORD_CHANGED, 1205, 1213)


def _defaults(target: Target) -> Mapping[str, Any]:
    defaults = connect_defaults(target.engine, answer_seconds=_ANSWER_SECONDS)
    if target.engine.dialect.driver == "pymysql":
        defaults["program_name"] = session_name()
    return defaults


def lease_terms(target: Target) -> LeaseTerms:
    """Return how a row is kept here."""
    clock = "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) / 1e6"
    # Every revision is committed by then, and a transaction would see the row as it was before the
    # last renewal: https://mariadb.com/kb/en/innodb-system-variables/#innodb_snapshot_isolation
    return LeaseTerms(
        clock, _lease_key, _passing, unavailable, _defaults(target), proof=lambda _: "after"
    )


def lock(
    target: Target, seconds: float, say: Say, how: str = "auto"
) -> AbstractContextManager[Held]:
    """Hold a ``GET_LOCK`` on a connection of its own.

    The server gives it back when that connection ends, so a killed process blocks nobody. It
    reaches one server only: on a Galera cluster each node grants it (tried, MariaDB 10.11), so
    there a row that is renewed takes its place.

    :param seconds: how long to wait at most.
    :param how: ``auto``, ``session`` or ``lease``.
    :raises LockTimeout: another process held the lock for longer.
    :raises DatabaseUnavailable: the server cannot be reached.
    :raises LockLost: the lock was lost before the end of the block.
    """
    where = address_of(target.engine.url).location
    terms = lease_terms(target)
    return hold_either(how, _LOCK, terms, _not_ours_alone, target, seconds, say, where=where)
