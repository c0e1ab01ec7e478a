"""What a run is given, and where it is while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from alembic.config import Config
from sqlalchemy import Connection

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.alembic_bridge.witness import Witness
from flask_safemigrate.errors import Blocked, SafeMigrateError
from flask_safemigrate.facts.database import ProgressRow
from flask_safemigrate.outcome import Effect, Progress, Snapshot
from flask_safemigrate.plan import Plan

if TYPE_CHECKING:
    from flask_safemigrate.alembic_bridge.resume import Catalogue

Say = Callable[[Progress], None]


class Guard(Protocol):
    """What surrounds the revisions of one database, inside its transaction."""

    @property
    def transactional_ddl(self) -> bool:
        """Whether a failure leaves nothing behind."""

    def begin(self) -> Snapshot | None:
        """Before the first statement: take the snapshot, note what is there."""

    def next(self, revision: str) -> None:
        """Before each revision: see whether the lock is still held."""

    def outside(self) -> AbstractContextManager[None]:
        """Surround what a revision runs outside of the transaction."""

    def is_ours(self, connection: Connection) -> bool:
        """Whether we opened it ourselves, and not the application or a revision."""

    def heard_beside(self, connection: Connection, said: str) -> None:
        """The revision is about to say something on another connection."""

    @property
    def waits_for_itself(self) -> str:
        """What it said there and could never end, "" where there was no such thing."""

    def blocked(self, error: BaseException, revision: str) -> Blocked | None:
        """Who had a lock for too long, None where the error means something else."""

    def again(self) -> None:
        """After a transaction was proven and committed: note what is there for the next."""

    def is_open(self) -> bool:
        """Whether the transaction that was begun last is the one that is open; yes, where
        nothing tells transactions apart."""

    def begun(self) -> None:
        """After a transaction was cut: note the one that is open now."""

    def was_committed(self) -> bool:
        """Whether the transaction that was begun last has been committed."""

    def committed(self) -> None:
        """After the last commit."""

    def end(self) -> None:
        """Leave the connection as it was; safe to call again."""

    def finish(self, written: frozenset[str]) -> tuple[str, ...]:
        """After the last statement: prove that nothing else changed; says what was proven."""


class Tracer(Protocol):
    """Tells what the statements on a copy do to the tables that it begins with."""

    def before(self, statement: str, parameters: Any) -> str:
        """Look before a statement; returns what is to be run in its place."""

    def after(self) -> tuple[tuple[Effect, ...], str]:
        """Look after it: what it did, and by which algorithm."""

    def failed(self) -> None:
        """It failed, and :meth:`after` is not called."""


class Databases(Protocol):
    """What is asked about the database of a bind key, from outside of the run."""

    def bind_of(self, connection: Connection) -> str:
        """The bind whose database a connection of ``env.py`` leads to."""

    def version_table(self, bind: str) -> str:
        """The name of the table that is taken for the one of the versions."""

    def explain(self, bind: str, error: BaseException) -> SafeMigrateError | None:
        """What an error of the driver outside the revisions means, None for any other error."""

    def remedy(self, bind: str, error: BaseException) -> str | None:
        """What to do about an error of a revision, None where nothing particular is known."""

    def heads_now(self, bind: str) -> tuple[str, ...] | None:
        """What the version table names, None where that cannot be told."""

    def catalogue_of(self, bind: str) -> Catalogue | None:
        """What it takes to go on with a revision that was stopped; None where a failure leaves
        nothing behind."""

    def progress_of(self, bind: str) -> tuple[ProgressRow, ...]:
        """What a half applied revision has done."""

    def way_back(self, bind: str) -> str:
        """Id of the snapshot from before that revision, "" where there is none."""

    def note(self, bind: str, kind: str, subject: str, **more: object) -> None:
        """Write a line into the journal of a database.

        :raises SafeMigrateError: it cannot be written.
        """


class Run(NamedTuple):
    """What to run and where.

    :param plans: one for each bind, empty ones included.
    :param sources: revision id -> path of its file, for the journal.
    :param keep_journal: whether every revision leaves a line in the database.
    :param environment: what that line says of where it ran.
    :param patience: seconds to wait for other writers.
    :param rehearse: connections to copies by bind key; nothing real is touched.
    :param tracer_of: traces the statements on a copy, None where nothing is to be traced.
    :param ancestors: revisions that these revisions stand on, themselves included.
    """

    config: Config
    direction: str
    revision: str
    plans: Mapping[str, Plan]
    databases: Databases
    guard_of: Callable[[str, Connection], Guard]
    options: sqlite.EngineOptions
    say: Say
    sources: Mapping[str, str] = {}
    checksum: Callable[[str], str] = lambda path: ""
    keep_journal: bool = True
    environment: str = ""
    patience: float = 60.0
    rehearse: Callable[[str], Connection] | None = None
    tracer_of: Callable[[str, Connection], Tracer | None] = lambda bind, connection: None
    ancestors: Callable[[tuple[str, ...]], frozenset[str]] = lambda heads: frozenset()


@dataclass
class Position:
    """Where the run is, for the message when it fails.

    :ivar leaked: the revision that ended the transaction by itself.
    :ivar leaked_at: where it did so, in words, as far as that was heard.
    :ivar rolled_back: where a revision rolled it back, in words; None where none did.
    :ivar uncommitted: what has run to its end in the transaction that is open.
    :ivar witness: knows whether anything was committed to an SQLite file.
    :ivar cut: the last revision with an ``autocommit_block``, at which the transaction was cut.
    :ivar cutting: whether a transaction is being ended on purpose.
    :ivar outside: whether an ``autocommit_block`` is open, where every statement is committed.
    :ivar statements: what the running revision has run so far that changes something.
    :ivar stays: those of them that are committed, though the revision is not recorded.
    :ivar beside: what was committed on other connections, each with its line.
    :ivar opened: each says what a revision wrote to a file that it opened by itself, "" for
        nothing.
    :ivar mark: notes what of the running revision stays, or will once the transaction is cut.
    :ivar asked_beside: what was said last on such a connection, with its line; "" where the run's
        own has spoken since.
    """

    bind: str = ""
    revision: str | None = None
    guard: Guard | None = None
    begun: Guard | None = None
    committed: set[str] = field(default_factory=set)
    leaked: str | None = None
    leaked_at: str = ""
    rolled_back: str | None = None
    witness: Witness | None = None
    running: bool = False
    cut: str | None = None
    cutting: bool = False
    outside: bool = False
    uncommitted: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    opened: list[Callable[[], str]] = field(default_factory=list)
    asked_beside: str = ""
    note: Callable[[], None] = lambda: None
    mark: Callable[[], None] = lambda: None

    def settle(self) -> None:
        """What has run is about to be committed together with the row that says so."""
        self.leaked, self.leaked_at = None, ""
        for each in (
            self.statements,
            self.stays,
            self.beside,
            self.opened,
            self.uncommitted,
        ):
            each.clear()


def is_untouched(position: Position) -> bool:
    """Whether it is certain that the SQLite file is as it was before the run."""
    return position.witness is not None and position.witness.saw_nothing()


def directory_of(run: Run) -> Path:
    """The migrations folder."""
    return Path(run.config.get_main_option("script_location") or ".")
