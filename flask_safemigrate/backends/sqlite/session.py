"""The connection that migrates; one file has one writer, whose wait is bounded as it begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from flask_safemigrate.backends.contract import Say, SessionOptions, Target


def session_of(connection: Connection) -> int:
    """There are no sessions."""
    return 0


def prepare(
    connection: Connection, target: Target, options: SessionOptions, say: Say
) -> Callable[[], None]:
    """Nothing is to be set: the transaction has its lock from the first moment."""
    return lambda: None


@contextmanager
def outside(
    connection: Connection, target: Target, options: SessionOptions, say: Say
) -> Iterator[None]:
    """Nothing runs outside of the transaction."""
    yield


def busy(error: BaseException) -> bool:
    """An SQLite transaction that has begun to write is never made to wait."""
    return False


def blockers(connection: Connection, session: int) -> str:
    """Nobody."""
    return ""
