"""A lock that a server keeps for a session: asking for it, telling who has it, losing it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Held, Say, Target
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.errors import DatabaseUnavailable, LockLost, LockTimeout
from flask_safemigrate.outcome import Progress

NEWS_SECONDS = 1.0

Key = TypeVar("Key", int, str)


class Holder(NamedTuple):
    """Who has the lock.

    :param words: a part of a sentence, "the lock is held by ...".
    :param hint: how to look at the holder, and how to end it.
    """

    words: str
    hint: str


@dataclass(frozen=True)
class SessionLock(Generic[Key]):
    """How one dialect does it.

    :param prepare: make the session last; return the lock's key.
    :param attempt: take the lock; may wait for it at most the given seconds.
    :param holder: None where nobody has it any more.
    :param held: whether this session has it.
    :param release: give it back; false where this session did not have it.
    :param note: let others see which revision is running.
    :param unavailable: what a driver's error means.
    """

    prepare: Callable[[Connection, Target], Key]
    attempt: Callable[[Connection, Key, float], bool]
    holder: Callable[[Connection, Key], Holder | None]
    held: Callable[[Connection, Key], bool]
    release: Callable[[Connection, Key], bool]
    unavailable: Callable[[BaseException, Target], DatabaseUnavailable]
    note: Callable[[Connection, str], None] = lambda connection, revision: None


def session_name(revision: str = "") -> str:
    """Return how this process names its session on a server: program, host, process id, revision.

    63 bytes is what PostgreSQL keeps of ``application_name``; the process id must survive.
    """
    host = socket.gethostname().encode("ascii", "replace").decode().split(".")[0]
    return f"flask-safemigrate {host[:36]} {os.getpid()} {revision}".strip()


def process_of(session: str) -> str:
    """Return what a person reads of a session's name, "" where it is not one of ours."""
    words = session.split(" ")
    if len(words) not in (3, 4) or words[0] != "flask-safemigrate":
        return ""
    running = f", which runs revision '{words[3]}'" if len(words) == 4 else ""
    return f'process {words[2]} on host "{words[1]}"{running}'


def lock_lost(where: str, why: str, *, at_end: bool = False) -> LockLost:
    """Return the error of a block that cannot show any more that it held the lock.

    :param at_end: the block has come to its end.
    """
    rest = (
        "Another process may have worked at the same time; the work itself may be finished."
        if at_end
        else "Another process may be at work, so this one stopped."
    )
    return LockLost(
        f'The lock on "{where}" was lost while the work was going on: {why}. {rest}',
        hint="flask db status shows where the database is; then run the command again",
    )


@dataclass(frozen=True)
class _SessionHeld(Generic[Key]):
    """The lock of an open connection."""

    lock: SessionLock[Key]
    connection: Connection
    key: Key
    where: str

    def note(self, revision: str) -> None:
        with suppress(SQLAlchemyError, OSError):
            self.lock.note(self.connection, revision)

    def check(self) -> None:
        """The server alone knows; it is asked once, by :meth:`prove`."""

    def prove(self, connection: Connection) -> None:
        try:
            kept = self.lock.held(self.connection, self.key)
        except (SQLAlchemyError, OSError):
            kept = False
        if not kept:
            raise lock_lost(self.where, "the connection that held it broke")

    def let_go(self) -> None:
        """The lock is the session's, not a transaction's."""


@contextmanager
def hold(
    lock: SessionLock[Key],
    target: Target,
    seconds: float,
    say: Say,
    *,
    where: str,
    defaults: Mapping[str, Any],
    connection: Connection | None = None,
) -> Iterator[Held]:
    """Hold the lock for the length of the block, on a connection that nobody else uses.

    :param where: how messages name the database.
    :param defaults: for :func:`own_connection`.
    :param connection: an open one from there, in autocommit; None opens one.
    :raises LockTimeout: another session held the lock for longer.
    :raises DatabaseUnavailable: the server cannot be reached.
    :raises LockLost: the lock's connection broke before the end of the block.
    """
    with ExitStack() as stack:
        try:
            if connection is None:
                own = own_connection(target.engine, defaults, autocommit=True)
                connection = stack.enter_context(own)
            key = lock.prepare(connection, target)
            wait(
                lambda at_most: lock.attempt(connection, key, at_most),
                lambda: lock.holder(connection, key),
                seconds,
                say,
                where=where,
                bind=target.bind,
            )
        except SQLAlchemyError as error:
            raise lock.unavailable(error, target) from error
        yield _SessionHeld(lock, connection, key, where)
        try:
            kept = lock.release(connection, key)
        except (SQLAlchemyError, OSError):
            # pg8000 lets the socket's own error through.
            kept = False
        if not kept:
            raise lock_lost(where, "the connection that held it broke", at_end=True)


def wait(
    attempt: Callable[[float], bool],
    holder: Callable[[], Holder | None],
    seconds: float,
    say: Say,
    *,
    where: str,
    bind: str,
) -> None:
    """Try at least once; tell who is waited for every second.

    :param attempt: may wait at most the given seconds.
    :raises LockTimeout: it did not succeed in time.
    """
    start = time.monotonic()
    told = float("-inf")
    while True:
        left = seconds - (time.monotonic() - start)
        if attempt(max(0.0, min(left, NEWS_SECONDS))):
            return
        now = time.monotonic()
        if now - start >= seconds:
            raise _time_is_up(holder(), seconds, where)
        if now - told >= NEWS_SECONDS:
            told = now
            found = holder()
            if found:
                text = f"{found.words} ({now - start:.0f} of {seconds:.0f} s)"
                say(Progress("waiting", "lock", text, now - start, bind))


def _time_is_up(holder: Holder | None, seconds: float, where: str) -> LockTimeout:
    return LockTimeout(
        f'Another process works on database "{where}" and did not finish in {seconds:g} s: '
        f"{holder.words if holder else 'the lock was given back just now'}.",
        hint="wait longer with --lock-wait SECONDS; "
        + (holder.hint if holder else "run the command again"),
    )
