"""Seeing who keeps a session waiting, while it waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.own_connection import own_connection

_POLL_SECONDS = 0.5


class Watcher:
    """A thread that asks every half second; it opens no connection for a shorter run.

    Once the server has ended the statement that waited, it does not say any more for whom.

    :param look: what a session waits for, in words; "" where it does not wait.
    :param end_waiting: end a session's statement if it waits for the other session.
    :ivar other: number of a session that this process itself waits for now, and what it said.
    :ivar ended: what it said, where it waited for the session that is watched, and never would
        have come to an end.
    """

    def __init__(
        self,
        target: Target,
        session: int,
        look: Callable[[Connection, int], str],
        end_waiting: Callable[[Connection, int, int], bool],
    ) -> None:
        self.latest = ""
        self.other: tuple[int, str] | None = None
        self.ended = ""
        self._end_waiting = end_waiting
        self._target = target
        self._session = session
        self._look = look
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="safemigrate-watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._done.wait(_POLL_SECONDS):
            with suppress(SQLAlchemyError, OSError):
                own = own_connection(self._target.engine, {}, autocommit=True)
                with own as connection:
                    while not self._done.is_set():
                        self.latest = self._look(connection, self._session) or self.latest
                        self._end_other(connection)
                        self._done.wait(_POLL_SECONDS)

    def _end_other(self, connection: Connection) -> None:
        other = self.other
        if other is not None and self._end_waiting(connection, other[0], self._session):
            self.other, self.ended = None, other[1]

    def stop(self) -> None:
        """End the thread."""
        self._done.set()
        self._thread.join(5)
