"""Which of the two kinds of lock a server's database gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Held, Say, Target
from flask_safemigrate.backends.lease import LeaseTerms, hold_lease
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.session_lock import Key, SessionLock, hold


@contextmanager
def hold_either(
    how: str,
    session: SessionLock[Key],
    lease: LeaseTerms,
    reason: Callable[[Connection], str],
    target: Target,
    seconds: float,
    say: Say,
    *,
    where: str,
) -> Iterator[Held]:
    """Hold the lock of a session, or a row where that does not reach every process.

    :param how: ``auto``, ``session`` or ``lease``.
    :param reason: why a session's lock would not keep everybody out, "" where it would.
    :param where: how messages name the database.
    :raises LockTimeout: another process held the lock for longer.
    :raises DatabaseUnavailable: the server cannot be reached.
    :raises LockLost: the lock was lost before the end of the block.
    """
    why = "SAFEMIGRATE_LOCK asks for it" if how == "lease" else ""
    with ExitStack() as stack:
        connection: Connection | None = None
        if how == "auto":
            try:
                own = own_connection(target.engine, lease.defaults, autocommit=True)
                connection = stack.enter_context(own)
                why = reason(connection)
            except SQLAlchemyError as error:
                raise lease.unavailable(error, target) from error
        if why:
            stack.close()
            held = hold_lease(lease, target, seconds, say, where=where, why=why)
        else:
            held = hold(
                session,
                target,
                seconds,
                say,
                where=where,
                defaults=lease.defaults,
                connection=connection,
            )
        yield stack.enter_context(held)
