"""What a command did: plain data, the same for the terminal, JSON and Python."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from flask_safemigrate import errors
from flask_safemigrate.facts.database import UNFINISHED_KINDS, DatabaseState, Table
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Finding
from flask_safemigrate.plan import Plan


class Status(Enum):
    """How a command ended."""

    DONE = "done"
    NOTHING_TO_DO = "nothing to do"
    FAILED = "failed"
    USAGE = "usage"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    NEEDS_PERSON = "needs a person"


def exit_code(status: Status) -> int:
    """Return the process exit code of a status; the one place that knows them."""
    return {
        Status.DONE: 0,
        Status.NOTHING_TO_DO: 0,
        Status.FAILED: 1,
        Status.USAGE: 2,
        Status.REFUSED: 3,
        Status.UNAVAILABLE: 4,
        Status.NEEDS_PERSON: 5,
    }[status]


def status_of(error: errors.SafeMigrateError) -> Status:
    """Return the status that an error stands for."""
    if isinstance(error, errors.UsageError):
        return Status.USAGE
    if isinstance(error, errors.DatabaseUnavailable):
        return status_away(error.kind)
    if isinstance(error, errors.Refused):
        return Status.REFUSED
    if isinstance(error, errors.LockTimeout):
        return Status.UNAVAILABLE
    if isinstance(error, errors.HalfApplied):
        return Status.NEEDS_PERSON
    return Status.FAILED


def status_away(*kinds: str) -> Status:
    """Return the status of a command whose databases cannot be reached for these reasons.

    What is wrong in the application's own configuration, no waiting and no server cures; nor
    does it end what was left half done.
    """
    if set(kinds) & set(UNFINISHED_KINDS):
        return Status.NEEDS_PERSON
    if "own table" in kinds:
        return Status.REFUSED
    return Status.USAGE if "misconfigured" in kinds else Status.UNAVAILABLE


#: Stages that a :class:`Progress` may name.
STAGES = (
    "waiting",  # for the database or for the lock; text says for whom
    "locked",
    "dumping",  # a snapshot is being written
    "snapshot",  # a snapshot was taken
    "revision",  # a revision starts
    "applied",  # a revision has run
    "table",  # a table was changed
    "verifying",
    "committed",
    "hook",  # a hook starts
    "hooked",  # a hook has run
    "restoring",
)


class Progress(NamedTuple):
    """A piece of news while a command runs.

    :param stage: one of :data:`STAGES`.
    :param subject: revision id, table, path or name that it is about.
    :param text: a short sentence for the reader.
    :param seconds: how long it took, None for what has just begun.
    :param done: how many of ``total`` steps are done.
    """

    stage: str
    subject: str = ""
    text: str = ""
    seconds: float | None = None
    bind: str = ""
    done: int = 0
    total: int = 0


class Snapshot(NamedTuple):
    """A copy of a database.

    :param id: name of the snapshot, sortable by time.
    :param path: the file.
    :param size: bytes.
    :param checksum: SHA-256 of the file, hexadecimal.
    :param revisions: what the version table named.
    :param created: UTC, ISO 8601.
    :param why: the command that took it.
    """

    id: str
    path: str
    bind: str
    dialect: str
    database: str
    revisions: tuple[str, ...]
    size: int
    checksum: str
    created: str
    why: str
    app: str = ""


class AppliedRevision(NamedTuple):
    """A revision that ran.

    :param seconds: wall time of its own code; changes that were put off are in the tables' times.
    """

    id: str
    message: str
    seconds: float


class TableWork(NamedTuple):
    """What was done to one table.

    :param way: ``native``, ``schema edit``, ``in place``, ``rebuild``, ``create`` or ``drop``.
    :param reason: why this way and no cheaper one.
    :param seconds: wall time.
    :param rows: rows that were written, 0 where no row was.
    :param statements: the SQL that ran, in order.
    """

    table: str
    way: str
    reason: str
    seconds: float
    rows: int = 0
    statements: tuple[str, ...] = ()
    revisions: tuple[str, ...] = ()


class Effect(NamedTuple):
    """What a statement of a rehearsal on a server does to a table that was there before.

    :param lock: the strongest lock that is had on it then, in the server's words, "" for none.
    :param waits: who waits for that lock: ``nobody``, ``writers`` or ``readers and writers``.
    :param held: a statement before has taken the lock already, for the whole transaction.
    :param rewritten: the server writes all of the table anew.
    :param read: it reads all of the table.
    :param rows: of the table in the application's database, about; None where unknown.
    :param size: of it with its indexes there, in bytes; None where unknown.
    """

    table: str
    lock: str = ""
    waits: str = "nobody"
    held: bool = False
    rewritten: bool = False
    read: bool = False
    rows: int | None = None
    size: int | None = None


class Traced(NamedTuple):
    """A statement of a rehearsal on a server.

    :param line: of the revision's file, None where it comes from elsewhere.
    :param seconds: wall time in the scratch database.
    :param algorithm: with which MariaDB or MySQL alters the table, "" where none is chosen.
    """

    revision: str
    line: int | None
    statement: str
    seconds: float
    effects: tuple[Effect, ...] = ()
    algorithm: str = ""


class Disk(NamedTuple):
    """What the rewritten tables of a run need on the disk of the server, beside what is there.

    :param needed: bytes, of the tables with their indexes; None where a size is unknown.
    :param free: bytes, None where the server does not run on this machine.
    """

    needed: int | None
    free: int | None


class Applied(NamedTuple):
    """What a run did to one database.

    :param verified: what was proven before COMMIT, one sentence each.
    :param warned: what was found there and not refused, one sentence each.
    :param script: every statement that changed something, in order, where they are known (SQLite).
    :param rows: of a rehearsal: whether the copy had the rows.
    :param traced: the statements of a rehearsal on a server, in order.
    :param disk: of a rehearsal on a server that rewrites tables.
    """

    bind: str
    location: str
    start: tuple[str, ...]
    target: tuple[str, ...]
    revisions: tuple[AppliedRevision, ...]
    seconds: float
    verified: tuple[str, ...] = ()
    tables: tuple[TableWork, ...] = ()
    snapshot: Snapshot | None = None
    direction: str = "upgrade"
    script: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    rows: bool = True
    traced: tuple[Traced, ...] = ()
    disk: Disk | None = None


class Cured(NamedTuple):
    """A revision file with the cures of its hazards.

    :param codes: of what is cured.
    :param diff: what changes in the file.
    """

    path: str
    codes: tuple[str, ...]
    diff: str


class HookRun(NamedTuple):
    """A hook of the application that ran.

    :param ended: ``done`` or ``failed``.
    :param result: what it returned, as text, or its error; "" where it returned None.
    """

    name: str
    seconds: float
    ended: str = "done"
    result: str = ""


class HookPlan(NamedTuple):
    """A hook that a deploy would run.

    :param once: it runs once per database.
    :param ran: it is one of these and has run before, so that it would not run again.
    """

    name: str
    once: bool
    ran: bool


class Doomed(NamedTuple):
    """What a reset would remove from one database."""

    bind: str
    name: str
    location: str
    size: int | None
    tables: tuple[Table, ...]


class Outcome(NamedTuple):
    """What a command found, planned and did.

    :param command: name of the command.
    :param error: message of what stopped it, "" where nothing did.
    :param notes: sentences for the reader that belong to no other field.
    :param dry_run: it was only rehearsed; what was applied, was applied to a copy.
    :param planned_hooks: the deploy hooks, of a dry run.
    :param cured: the revision files that ``lint --fix`` changes.
    :param script: the SQL of the plans as Alembic prints it, where that was asked for and no copy
        of the database can be made to try them on.
    """

    command: str
    status: Status
    databases: tuple[DatabaseState, ...] = ()
    state: State | None = None
    findings: tuple[Finding, ...] = ()
    plans: tuple[Plan, ...] = ()
    applied: tuple[Applied, ...] = ()
    hooks: tuple[HookRun, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    repairs: tuple[str, ...] = ()
    doomed: tuple[Doomed, ...] = ()
    seconds: float = 0.0
    error: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()
    dry_run: bool = False
    planned_hooks: tuple[HookPlan, ...] = ()
    script: str = ""
    cured: tuple[Cured, ...] = ()
