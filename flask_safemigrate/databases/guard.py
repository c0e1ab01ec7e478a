"""What surrounds the revisions of one database."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Backend, Held, Say, SessionOptions, Target
from flask_safemigrate.backends.own_connection import is_own
from flask_safemigrate.backends.watching import Watcher
from flask_safemigrate.errors import Blocked
from flask_safemigrate.outcome import Snapshot


@dataclass
class Guard:
    """The snapshot, the session's limits, the lock and the proof of one run.

    :param take: takes the snapshot, None where none is wanted.
    :param held: the lock, None for a rehearsal.
    :param watches: look who keeps the session waiting; in a rehearsal nobody does.
    """

    backend: Backend
    target: Target
    connection: Connection
    options: SessionOptions
    say: Say
    take: Callable[[], Snapshot] | None
    held: Held | None
    watches: bool = True
    baseline: Any = None
    transaction: str = ""
    watcher: Watcher | None = None
    undo: Callable[[], None] = field(default=lambda: None)

    @property
    def transactional_ddl(self) -> bool:
        """Whether a failure leaves nothing behind."""
        return self.backend.transactional_ddl

    def begin(self) -> Snapshot | None:
        """Before the first statement: take the snapshot, note what is there."""
        snapshot = self.take() if self.take is not None else None
        backend, connection = self.backend, self.connection
        if self.watches and connection.dialect.name != "sqlite":
            session = backend.session_of(connection)
            self.watcher = Watcher(self.target, session, backend.blockers, backend.end_waiting)
        self.undo = backend.prepare(connection, self.target, self.options, self.say)
        self.baseline = backend.begin_watch(connection)
        self.begun()
        return snapshot

    def next(self, revision: str) -> None:
        """Before each revision.

        :raises LockLost: somebody else has the lock now, as far as is known here.
        """
        if self.held is not None:
            self.held.check()
            self.held.note(revision)

    def outside(self) -> contextlib.AbstractContextManager[None]:
        """Surround what a revision runs outside of the transaction."""
        return self.backend.outside(self.connection, self.target, self.options, self.say)

    def finish(self, written: frozenset[str]) -> tuple[str, ...]:
        """After the last statement: prove that nothing else changed, and that the lock is ours."""
        proven = self.backend.finish_watch(self.connection, self.baseline, written)
        if self.held is not None:
            self.held.prove(self.connection)
        return proven

    def again(self) -> None:
        """After a transaction was proven and committed: note what is there for the next."""
        self.committed()
        self.baseline = self.backend.begin_watch(self.connection)
        self.begun()

    def begun(self) -> None:
        """Note the transaction that is open."""
        self.transaction = self.backend.transaction_of(self.connection)

    def is_open(self) -> bool:
        """Whether the transaction that was begun last is the one that is open."""
        if self.transaction:
            # One that an error has aborted answers nothing; the revision's end meets that.
            with contextlib.suppress(SQLAlchemyError, OSError):
                return self.backend.transaction_of(self.connection) == self.transaction
        return True

    def was_committed(self) -> bool:
        """Whether the transaction that was begun last has been committed."""
        return bool(self.transaction) and self.backend.was_committed(self.target, self.transaction)

    def committed(self) -> None:
        """After the last commit."""
        if self.held is not None:
            self.held.let_go()

    def end(self) -> None:
        """Leave the connection as it was; safe to call again."""
        if self.watcher is not None:
            self.watcher.stop()
        self.undo()
        self.undo = lambda: None

    def is_ours(self, connection: Connection) -> bool:
        """Whether we opened it ourselves, and not the application or a revision."""
        return is_own(connection)

    def heard_beside(self, connection: Connection, said: str) -> None:
        """Watch whether it waits for the migration, which waits for it."""
        number = self.backend.number_of(connection)
        if self.watcher is not None:
            self.watcher.other = None if number is None else (number, said)

    @property
    def waits_for_itself(self) -> str:
        """What was said on another connection and waited for the migration's own."""
        return self.watcher.ended if self.watcher is not None else ""

    def blocked(self, error: BaseException, revision: str) -> Blocked | None:
        """Say who had a lock for too long, None where the error means something else."""
        if not self.backend.busy(error):
            return None
        who = self.watcher.latest if self.watcher is not None else ""
        return Blocked(
            f"Revision '{revision}' did not get a lock in {self.options.lock_timeout:g} s: "
            f"{who or 'another session had it'}.",
            hint="end that session or its transaction, or wait longer with --lock-wait SECONDS",
        )
