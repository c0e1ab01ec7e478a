"""What every dialect's folder offers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Engine

from flask_safemigrate.facts.database import DatabaseState, Unreachable
from flask_safemigrate.facts.examination import Examination
from flask_safemigrate.facts.schema import Schema
from flask_safemigrate.outcome import Effect, Progress

Say = Callable[[Progress], None]


class Target(NamedTuple):
    """One database of the application.

    :param bind: bind key, "" for the default database.
    :param engine: the application's engine for it.
    :param configured: the SQLite path as the application wrote it, if that was relative.
    """

    bind: str
    engine: Engine
    version_table: str = "alembic_version"
    version_schema: str | None = None
    configured: str = ""


class SessionOptions(NamedTuple):
    """How the session that migrates waits.

    :param lock_timeout: seconds that a statement waits for a lock, 0 for no limit.
    :param statement_timeout: seconds that a statement may take, 0 for the server's own limit.
    :param patience: seconds after which trying again has no end but failure.
    """

    lock_timeout: float = 5.0
    statement_timeout: float = 0.0
    patience: float = 60.0


class TooOld(Exception):
    """The server is too old to be asked anything."""

    def __init__(self, reason: Unreachable) -> None:
        super().__init__(reason.message)
        self.reason = reason


class Prepare(Protocol):
    """Set up the session that migrates; returns what undoes it."""

    def __call__(
        self, connection: Connection, target: Target, options: SessionOptions, say: Say
    ) -> Callable[[], None]: ...


class Examine(Protocol):
    """Ask what the doctor wants to know besides; raises what the driver raises.

    :param thorough: ask also what takes reading all of the database.
    """

    def __call__(self, target: Target, *, thorough: bool) -> Examination: ...


class Outside(Protocol):
    """Surround what a revision runs outside of any transaction."""

    def __call__(
        self, connection: Connection, target: Target, options: SessionOptions, say: Say
    ) -> AbstractContextManager[None]: ...


class Held(Protocol):
    """A lock that is held."""

    def note(self, revision: str) -> None:
        """Let those who wait see which revision runs."""

    def check(self) -> None:
        """Stop early where the loss of the lock is known already; asks nobody.

        :raises LockLost: it is.
        """

    def prove(self, connection: Connection) -> None:
        """Prove that the lock is still held, before the connection's transaction is committed.

        :raises LockLost: it is not.
        """

    def let_go(self) -> None:
        """Keep nothing any more that was to last until that commit."""


class Lock(Protocol):
    """Hold the lock of a database and version table for the length of the block.

    :param seconds: how long to wait at most; who holds it is told meanwhile.
    :param how: ``session`` for a lock of the server's session, ``lease`` for a row that is
        renewed, ``auto`` for a row where a session's lock would not reach every process.
    :raises LockTimeout: the time is up.
    :raises DatabaseUnavailable: the server cannot be reached.
    :raises LockLost: at the end of the block, the lock is not ours any more.
    """

    def __call__(
        self, target: Target, seconds: float, say: Say, how: str = "auto"
    ) -> AbstractContextManager[Held]: ...


class Tracer(Protocol):
    """Tells what the statements on a scratch database do to the tables that it begins with."""

    def before(self, statement: str, parameters: Any) -> str:
        """Look before a statement; returns what is to be run in its place."""

    def after(self) -> tuple[tuple[Effect, ...], str]:
        """Look after it: what it did, and by which algorithm."""

    def failed(self) -> None:
        """It failed, and :meth:`after` is not called."""


class Room(NamedTuple):
    """What the tables of a database take.

    :param tables: by name as :class:`Effect` has it: about how many rows, and bytes with indexes.
    :param free: bytes that are free on the server's disk, None where that cannot be known.
    """

    tables: Mapping[str, tuple[int | None, int | None]]
    free: int | None


class Backend(NamedTuple):
    """The verbs of one dialect.

    :param read: facts of the database, by a connection of its own that changes nothing and
        creates nothing; what cannot be reached is told in ``unreachable``, never raised.
    :param examine: what the doctor asks besides, by such a connection too.
    :param explain: why a driver's error means that the database cannot be reached.
    :param lock: keep every other process of ours away.
    :param suffix: ending of snapshot files, such as ``.db``.
    :param needs: bytes of disk that a snapshot would take, None where unknown.
    :param take: write a consistent copy of the database to the path (which does not exist yet).
        :raises SnapshotFailed: a tool is missing or the copy failed; no file is left.
    :param foresee: find what would keep ``take`` from writing what ``put_back`` can use, without
        writing anything. :raises SnapshotFailed: there is something.
    :param check: prove that a snapshot file is whole.
        :raises SnapshotFailed: it is not.
    :param put_back: replace the content of the database by that of the file.
        :raises SnapshotFailed: the database is as it was.
    :param contents: what ``put_back`` would remove from a database, a word each; nothing where
        it is empty. :raises SnapshotFailed: it cannot be asked.
    :param drop_everything: remove every object of the database in one go: tables, views,
        types, sequences, the version table. The database itself stays.
    :param begin_watch: what :attr:`finish_watch` must know of the time before; called inside
        the upgrade's transaction before its first statement.
    :param finish_watch: prove, inside the same transaction, that no table which the migration
        itself did not write to (second set: their names) has lost or gained rows; returns what
        was proven, one sentence each. :raises VerificationFailed: it has.
    :param whole: prove that the database is sound by reading all of it; returns what was proven.
        :raises VerificationFailed: it is not.
    :param prepare: bound how long the session that migrates waits for locks.
    :param outside: the same for a block outside of any transaction.
    :param session_of: number of a connection's session on the server.
    :param busy: whether an error means no more than that another session had a lock too long.
    :param blockers: what a session waits for and who has it, asked by another connection.
    :param remedy: what to do about an error of a revision, None where nothing is known.
    :param transaction_of: what tells the open transaction from others, "" where nothing does.
    :param was_committed: whether the transaction of that name was committed.
    :param number_of: the same without asking, None where the driver does not know it.
    :param end_waiting: end the statement of one session if it waits for another; whether it did.
    :param transactional_ddl: whether a failed upgrade leaves nothing behind.
    :param catalogue: what it takes to go on with a revision that was stopped half-way, where
        that can happen; functions of these names: ``alembic_bridge.resume.Catalogue``.
    :param read_schema: the whole schema, with further schemas of these names, by a connection of
        its own that changes nothing; raises what the driver raises.
    :param schema_on: the whole schema as an open connection sees it; the second argument, an
        empty dictionary at first, keeps what need not be read again.
    :param scratch: an empty database of our own for the length of the block.
        :raises Refused: there can be none.
    :param copy: fill a scratch database with what the database has, with its rows if the third
        argument says so. :raises SafeMigrateError: it cannot be copied, or the copy would reach
        outside of itself.
    :param tracer: of a scratch database that is filled.
    :param room: what the tables take.
    :param prelude: statements that make what the tables of a scratch database stand on: its
        schemas and extensions; its types.
    :param settings_of: settings of the application's sessions on which it depends what a statement
        makes, such as an invisible primary key.
    """

    dialects: tuple[str, ...]
    read: Callable[[Target], DatabaseState]
    examine: Examine
    explain: Callable[[BaseException, Target], Unreachable]
    lock: Lock
    suffix: str
    needs: Callable[[Target], int | None]
    take: Callable[[Target, Path, Say], None]
    check: Callable[[Path], None]
    put_back: Callable[[Target, Path, Say], None]
    contents: Callable[[Target], tuple[str, ...]]
    drop_everything: Callable[[Target], None]
    begin_watch: Callable[[Connection], Any]
    finish_watch: Callable[[Connection, Any, frozenset[str]], tuple[str, ...]]
    transactional_ddl: bool
    read_schema: Callable[[Target, Collection[str]], Schema]
    schema_on: Callable[[Connection, dict[Any, Any]], Schema]
    scratch: Callable[[Target], AbstractContextManager[Connection]]
    # Where there are no sessions, as on SQLite: nothing to set, nobody to wait for.
    prepare: Prepare = lambda connection, target, options, say: lambda: None
    outside: Outside = lambda connection, target, options, say: nullcontext()
    session_of: Callable[[Connection], int] = lambda connection: 0
    busy: Callable[[BaseException], bool] = lambda error: False
    blockers: Callable[[Connection, int], str] = lambda connection, session: ""
    prelude: Callable[[Connection], tuple[tuple[str, ...], tuple[str, ...]]] = lambda connection: (
        (),
        (),
    )
    foresee: Callable[[Target], None] = lambda target: None
    settings_of: Callable[[Target], tuple[str, ...]] = lambda target: ()
    whole: Callable[[Connection], tuple[str, ...]] = lambda connection: ()
    catalogue: Any = None
    copy: Callable[[Target, Connection, bool, Say], None] | None = None
    tracer: Callable[[Connection], Tracer] | None = None
    room: Callable[[Target], Room] | None = None
    remedy: Callable[[BaseException, Target], str | None] = lambda error, target: None
    was_committed: Callable[[Target, str], bool] = lambda target, transaction: False
    transaction_of: Callable[[Connection], str] = lambda connection: ""
    number_of: Callable[[Connection], int | None] = lambda connection: None
    end_waiting: Callable[[Connection, int, int], bool] = lambda connection, waiting, holder: False
