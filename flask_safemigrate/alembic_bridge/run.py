"""Running the revisions of a plan, proving the result, then letting ``env.py`` commit."""

from __future__ import annotations

import contextlib
import functools
import re
import sys
import time
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from alembic.config import Config
from alembic.runtime.migration import MigrationStep
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, event

from flask_safemigrate.alembic_bridge import journal, sqlite
from flask_safemigrate.alembic_bridge.environment import Block, Stage, run_environment
from flask_safemigrate.alembic_bridge.failure import half_applied, migration_failed
from flask_safemigrate.ddl.references import statement_targets
from flask_safemigrate.errors import (
    Blocked,
    DatabaseUnavailable,
    HalfApplied,
    Interrupted,
    LockLost,
    LockTimeout,
    MigrationFailed,
    Refused,
    SafeMigrateError,
    UsageError,
    VerificationFailed,
)
from flask_safemigrate.outcome import Applied, AppliedRevision, Progress, Snapshot, TableWork
from flask_safemigrate.plan import Plan
from flask_safemigrate.state import ProgressRow, Revision

if TYPE_CHECKING:
    from flask_safemigrate.alembic_bridge.resume import Catalogue, Recorder

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

    def outside(self) -> contextlib.AbstractContextManager[None]:
        """Surround what a revision runs outside of the transaction."""

    def blocked(self, error: BaseException, revision: str) -> Blocked | None:
        """Who had a lock for too long, None where the error means something else."""

    def end(self) -> None:
        """Leave the connection as it was; safe to call again."""

    def finish(self, written: frozenset[str]) -> tuple[str, ...]:
        """After the last statement: prove that nothing else changed; says what was proven."""


@dataclass(frozen=True)
class Run:
    """What to run and where.

    :param plans: one for each bind, empty ones included.
    :param sources: revision id -> path of its file, for the journal.
    :param keep_journal: whether every revision leaves a line in the database.
    :param patience: seconds to wait for other writers.
    :param explain: what an error of the driver outside the revisions means for the database of
        a bind key, None where it means nothing special.
    :param rehearse: connections to copies by bind key; nothing real is touched.
    :param heads_now: what the version table of a bind key names when looked at from outside the
        run, None where that cannot be told.
    :param ancestors: revisions that these revisions stand on, themselves included.
    :param catalogue_of: for a bind key, what it takes to go on with a revision that was stopped;
        None where a failure leaves nothing behind.
    :param progress_of: what a half applied revision has done, looked at from outside the run.
    :param way_back: id of the snapshot from before that revision, "" where there is none.
    """

    config: Config
    direction: str
    revision: str
    plans: Mapping[str, Plan]
    bind_of: Callable[[Connection], str]
    guard_of: Callable[[str, Connection], Guard]
    options: sqlite.EngineOptions
    say: Say
    sources: Mapping[str, str] = field(default_factory=dict)
    checksum: Callable[[str], str] = lambda path: ""
    keep_journal: bool = True
    environment: str = ""
    patience: float = 60.0
    explain: Callable[[str, BaseException], SafeMigrateError | None] = lambda bind, error: None
    rehearse: Callable[[str], Connection] | None = None
    heads_now: Callable[[str], tuple[str, ...] | None] = lambda bind: None
    ancestors: Callable[[tuple[str, ...]], frozenset[str]] = lambda heads: frozenset()
    catalogue_of: Callable[[str], Catalogue | None] = lambda bind: None
    progress_of: Callable[[str], tuple[ProgressRow, ...]] = lambda bind: ()
    way_back: Callable[[str], str] = lambda bind: ""


@dataclass
class _Position:
    """Where the run is, for the message when it fails.

    :ivar leaked: the revision that ended the transaction by itself.
    :ivar cut: the last revision with an ``autocommit_block``, at which the transaction was cut.
    :ivar cutting: whether a transaction is being ended on purpose.
    :ivar statements: what the running revision has run so far that changes something.
    :ivar stays: those of them that are committed, though the revision is not recorded.
    """

    bind: str = ""
    revision: str | None = None
    guard: Guard | None = None
    begun: Guard | None = None
    committed: set[str] = field(default_factory=set)
    leaked: str | None = None
    running: bool = False
    cut: str | None = None
    cutting: bool = False
    statements: list[str] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    note: Callable[[], None] = lambda: None
    committed_revisions: int = 0


def _note_commit(position: _Position, bind: str, *_: Any) -> None:
    position.committed.add(bind)


@contextlib.contextmanager
def _listening(stage: Stage, position: _Position, written: set[str]) -> Iterator[None]:
    """Note the tables that revisions write to, and keep them from ending the transaction.

    On SQLite it is refused. A server's revision may have to (``ALTER TYPE ... ADD VALUE``); there
    it is remembered, because a failure leaves behind what was before it.
    """
    connection, impl = stage.connection, stage.context.impl
    dialect = connection.dialect.name
    written.add(stage.context.version_table)

    def ends(how: str) -> None:
        if not position.running or position.cutting:
            return
        position.leaked = position.revision
        if dialect == "sqlite":
            position.running, position.leaked = False, None
            raise MigrationFailed(
                f"Revision '{position.revision}' calls for {how}, but all revisions share one "
                "transaction.",
                revision=position.revision,
                hint="take it out of the revision; on SQLite nothing needs it",
            )

    def on_statement(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        # What is known to be about the version table need not be read.
        if journal.PROGRESS in statement or getattr(impl, "bookkeeping", False):
            return
        if ending := _ENDS.match(statement):
            ends(ending[1].upper())
        written.update(_named_by(dialect, statement))

    def after_statement(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        # What asks first whether it is done already can be run again.
        if journal.PROGRESS in statement:
            return
        if position.running and not (_READS.match(statement) or _ASKS_FIRST.search(statement)):
            position.statements.append(statement)

    def on_commit(_c: Any) -> None:
        ends("COMMIT")

    def on_rollback(_c: Any) -> None:
        if sys.exc_info()[0] is None:
            ends("ROLLBACK")

    listeners: tuple[tuple[str, Callable[..., None]], ...] = (
        ("before_cursor_execute", on_statement),
        ("after_cursor_execute", after_statement),
        ("commit", on_commit),
        ("rollback", on_rollback),
    )
    for name, listener in listeners:
        event.listen(connection, name, listener)
    try:
        yield
    finally:
        position.running = False
        for name, listener in listeners:
            event.remove(connection, name, listener)


def _still_begun(stage: Stage, position: _Position) -> None:
    """Notice a transaction that was ended behind SQLAlchemy's back, as executescript() does.

    https://docs.python.org/3/library/sqlite3.html#sqlite3.Cursor.executescript
    """
    driver = stage.connection.connection.driver_connection
    if getattr(driver, "in_transaction", True) is False:
        position.leaked = position.revision
        raise MigrationFailed(
            f"Revision '{position.revision}' ended the transaction that all revisions share.",
            revision=position.revision,
            hint="use op.execute(), one statement a call, not executescript() or commit()",
        )


_ENDS = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(COMMIT|END|ROLLBACK(?!\s+TO\b|\s+TRANSACTION\s+TO\b)|ABORT)\b"
    r"(?!\s+PREPARED)",
    re.IGNORECASE | re.DOTALL,
)
_NAME = re.compile(r'"((?:[^"]|"")+)"|`((?:[^`]|``)+)`|([^\W\d][\w$]*)')
_ASKS_FIRST = re.compile(r"\bIF\s+(?:NOT\s+)?EXISTS\b", re.IGNORECASE)
_READS = re.compile(r"\s*(?:SELECT|SHOW|EXPLAIN|SET|VALUES|SAVEPOINT|RELEASE)\b", re.IGNORECASE)


def _named_by(dialect: str, statement: str) -> Iterable[str]:
    """Tables that a statement may write to.

    SQLite's statements are read. Those of a server have a grammar of their own, with statements
    inside others (``WITH x AS (DELETE ...)``, ``DO $$ ... $$``): there every name counts, which
    watches too little rather than to stop an upgrade that did nothing wrong.
    """
    if dialect == "sqlite":
        kind, tables = statement_targets(statement)
        if kind != "other":
            return () if kind in ("select", "pragma") else tables
    if _READS.match(statement):
        return ()
    return (quoted or ticked or word for quoted, ticked, word in _NAME.findall(statement))


def _text(path: str) -> str:
    # As Python reads it: a comment may declare another encoding than UTF-8.
    with tokenize.open(path) as file:
        return file.read()


def _journal_row(run: Run, step: Any, started: str, seconds: float) -> dict[str, object]:
    path = run.sources.get(step.revision.revision, "")
    return {
        "kind": "revision",
        "subject": step.revision.revision,
        "direction": run.direction,
        "started": started,
        "finished": journal.now(),
        "checksum": run.checksum(path) if path else "",
        "source": _text(path) if path else None,
        "environment": "",
        "seconds": round(seconds, 4),
    }


def _clean_heads(run: Run, stage: Stage, plan: Plan) -> None:
    """Delete rows of the version table that stand below one that the plan leaves there.

    Alembic leaves such a row when it goes down across a merge with ``depends_on``, and then
    refuses its own table ("overlaps with other requested revisions").
    """
    below = set(stage.context.get_current_heads()) - set(plan.target)
    for revision in below & run.ancestors(plan.target):
        table = stage.context._version
        stage.context.impl._exec(table.delete().where(table.c.version_num == revision))


def _verify_heads(stage: Stage, plan: Plan) -> str:
    found = tuple(sorted(stage.context.get_current_heads()))
    wanted = tuple(sorted(plan.target))
    if found != wanted:
        raise VerificationFailed(
            f'"{stage.context.version_table}" of {plan.location} names '
            f"{', '.join(found) or 'nothing'} instead of {', '.join(wanted) or 'nothing'}.",
            hint="flask db doctor",
        )
    return f'"{stage.context.version_table}" names {", ".join(wanted) or "no revision"}'


def _import_revisions(run: Run, script: ScriptDirectory) -> None:
    """Import every revision file, as Alembic does once ``env.py`` has configured it.

    :raises Refused: one cannot be imported.
    """
    try:
        script.get_heads()
    except (Exception, SystemExit) as error:
        failed = migration_failed(error, revision=None, directory=_directory(run))
        raise Refused(
            failed.message.replace("The migration environment failed", "A revision file fails"),
            hint="mend the file, then run the command again",
        ) from error


def _directory(run: Run) -> Path:
    return Path(run.config.get_main_option("script_location") or ".")


@contextlib.contextmanager
def _recording(run: Run, stage: Stage) -> Iterator[Recorder | None]:
    """Write down every statement, where the server commits those that change the schema."""
    catalogue = run.catalogue_of(stage.bind) if run.rehearse is None else None
    if catalogue is None:
        yield None
        return
    from flask_safemigrate.alembic_bridge.resume import Recorder

    # Nothing needs a block without transaction there, and the record needs one.
    setattr(stage.context, "autocommit_block", contextlib.nullcontext)  # noqa: B010
    recorder = Recorder(
        stage.connection, catalogue, run.direction, run.patience, run.say, stage.bind
    )
    with recorder.listening():
        yield recorder


def _steps_of(run: Run, script: ScriptDirectory, steps: Iterable[Revision]) -> Iterator[Any]:
    make = (
        MigrationStep.upgrade_from_script
        if run.direction == "upgrade"
        else MigrationStep.downgrade_from_script
    )
    for step in steps:
        yield make(script.revision_map, script.get_revision(step.id))


def run_plans(run: Run) -> tuple[Applied, ...]:
    """Run every plan through the project's ``env.py``.

    :raises MigrationFailed: a revision failed and the database is as it was.
    :raises HalfApplied: a revision failed on a server that commits every DDL statement.
    :raises VerificationFailed: the result is not what it should be, and was undone.
    :raises Refused: a database is no longer where the plan starts.
    """
    script = ScriptDirectory.from_config(run.config)
    position = _Position()
    done: dict[str, Applied] = {}

    def steps(stage: Stage, heads: tuple[str, ...]) -> Iterator[Any]:
        plan = run.plans.get(stage.bind)
        position.bind, position.revision = stage.bind, None
        if plan is None or plan.empty:
            return
        if set(heads) != set(plan.start):
            raise Refused(
                f"{plan.location} is at {', '.join(heads) or 'base'} now, and no longer at "
                f"{', '.join(plan.start) or 'base'}: something else migrates it.",
                hint="run the command again",
            )
        _import_revisions(run, script)
        begun = time.perf_counter()
        guard = position.begun = run.guard_of(stage.bind, stage.connection)
        snapshot = guard.begin()
        position.guard = guard
        impl = stage.context.impl
        engine = impl if isinstance(impl, sqlite.LosslessSQLiteImpl) else None
        written: set[str] = set()
        revisions: list[AppliedRevision] = []
        rows: list[dict[str, object]] = []

        def note(step: Any, started: str, clock: float) -> None:
            seconds = time.perf_counter() - clock
            revision = step.revision
            revisions.append(
                AppliedRevision(revision.revision, (revision.doc or "").strip(), seconds)
            )
            if run.keep_journal:
                rows.append(_journal_row(run, step, started, seconds))
            if recorder is not None:
                recorder.finish(revision.revision)
            # On SQLite a statement of ours would end the putting off of table changes.
            if engine is None and rows:
                journal.write(stage.connection, rows)
                rows.clear()

        with (
            _listening(stage, position, written),
            _recording(run, stage) as recorder,
        ):
            order: Sequence[Revision] = plan.steps
            if recorder is not None:
                order = recorder.begin(order, run.ancestors(heads))
                if run.keep_journal:
                    journal.make(stage.connection)
            for step in _steps_of(run, script, order):
                revision = step.revision.revision
                if recorder is not None:
                    step.migration_fn = recorder.watch(revision, step.migration_fn)
                position.revision = revision
                guard.next(revision)
                if engine is not None:
                    engine.revision = revision
                news = Progress(
                    "revision",
                    revision,
                    (step.revision.doc or "").strip(),
                    bind=stage.bind,
                    done=len(revisions),
                    total=len(plan.steps),
                )
                run.say(news)
                position.note = functools.partial(note, step, journal.now(), time.perf_counter())
                position.running = True
                position.statements.clear()
                yield step
                position.running = False
                if recorder is not None:
                    recorder.settled()
                _still_begun(stage, position)
                if position.cut == revision and guard.transactional_ddl:
                    # What it did outside of the transaction stays, so the row that says so must.
                    position.statements.clear()
                    with stage.context.autocommit_block():
                        pass
                seconds = revisions[-1].seconds
                run.say(replace(news, stage="applied", seconds=seconds, done=len(revisions)))
                position.committed_revisions += 1
            tables: tuple[TableWork, ...] = ()
            proven: list[str] = []
            if engine is not None:
                engine.flush()
                tables = engine.work
                written |= engine.named
                for work in tables:
                    written.add(work.table)
                    for statement in work.statements:
                        written.update(statement_targets(statement)[1])
                    run.say(Progress("table", work.table, work.way, work.seconds, bind=stage.bind))
            position.revision = None
            run.say(Progress("verifying", plan.location, bind=stage.bind))
            _clean_heads(run, stage, plan)
            proven.append(_verify_heads(stage, plan))
            if engine is not None:
                proven.extend(engine.prove())
            proven.extend(guard.finish(frozenset(written)))
            if recorder is not None:
                proven.extend(recorder.end(keep=run.keep_journal))
            if rows:
                journal.write(stage.connection, rows)
        seen = functools.partial(_note_commit, position, stage.bind)
        event.listen(stage.connection, "commit", seen)
        done[stage.bind] = Applied(
            bind=stage.bind,
            location=plan.location,
            start=plan.start,
            target=plan.target,
            revisions=tuple(revisions),
            seconds=time.perf_counter() - begun,
            verified=tuple(proven),
            tables=tables,
            snapshot=snapshot,
            direction=run.direction,
            script=engine.script if engine is not None else (),
        )

    def bind_of(connection: Connection) -> str:
        position.bind = run.bind_of(connection)
        return position.bind

    def waiting(bind: str, seconds: float) -> None:
        where = run.plans[bind].location if bind in run.plans else ""
        run.say(Progress("waiting", where, "another program writes to it", seconds, bind=bind))

    @contextlib.contextmanager
    def outside(block: Block) -> Iterator[None]:
        position.cut = position.revision
        position.cutting = True
        position.stays[:] = position.statements
        with block():
            position.cutting = False
            try:
                with contextlib.ExitStack() as stack:
                    if position.running and position.guard is not None:
                        stack.enter_context(position.guard.outside())
                    yield
            finally:
                position.stays[:] = position.statements
                position.cutting = True
        position.cutting = False

    def ended() -> None:
        if position.begun is not None:
            position.begun.end()

    try:
        run_environment(
            run.config,
            script,
            steps,
            bind_of=bind_of,
            destination=run.revision,
            options=run.options,
            patience=run.patience,
            waiting=waiting,
            applied=lambda: position.note(),
            outside=outside,
            ended=ended,
            connect=run.rehearse,
        )
    except BaseException as error:
        raise _described(error, position, run) from error
    missing = [p.location for b, p in run.plans.items() if not p.empty and b not in done]
    if missing:
        raise UsageError(
            f"env.py did not migrate {', '.join(missing)}.",
            hint='its "run_migrations_online" must call context.run_migrations() for every bind',
        )
    for bind in done if run.rehearse is None else ():
        if bind not in position.committed:
            _prove_committed(run, bind)
        run.say(Progress("committed", done[bind].location, bind=bind))
    return tuple(done.values())


def _prove_committed(run: Run, bind: str) -> None:
    """Look whether the database has what ran, where nobody was seen to commit it.

    ``env.py`` that runs a statement before ``context.configure`` begins a transaction by it,
    which Alembic then takes for one that ``env.py`` itself ends.
    """
    plan = run.plans[bind]
    now = run.heads_now(bind)
    if now is None or set(now) != set(plan.target):
        raise UsageError(
            f"env.py did not commit: {_where_it_is(plan, now)}. It runs statements on the "
            "connection before context.configure(), and so begins a transaction that it never "
            "ends.",
            hint="write connection.commit() in env.py before context.configure(...)",
        )


def _where_it_is(plan: Plan, now: tuple[str, ...] | None) -> str:
    if now is None:
        return f"{plan.location} cannot be looked at now"
    if set(now) == set(plan.start):
        return f"{plan.location} is as it was"
    if set(now) == set(plan.target):
        return f"{plan.location} was finished before that and is at {', '.join(now) or 'base'}"
    return f"{plan.location} is at {', '.join(now) or 'base'}"


def _aftermath(run: Run, position: _Position) -> str:
    """Where every database is now, by looking."""
    plans = [plan for plan in run.plans.values() if not plan.empty]
    now = {plan.bind: run.heads_now(plan.bind) for plan in plans}
    said = "; ".join(_where_it_is(plan, now[plan.bind]) for plan in plans)
    heads = [now[plan.bind] for plan in plans]
    undone = all(
        h is not None and set(h) == set(p.start) for h, p in zip(heads, plans, strict=True)
    )
    if position.leaked is not None:
        return (
            f"Revision '{position.leaked}' ended the transaction by itself, so what was done "
            f"before that stayed; by its version table {said}. Restore the snapshot, or look "
            "what is there."
        )
    return f"Everything was undone; {said}." if undone else f"{said}."


def _partly_outside(what: str, position: _Position, run: Run) -> HalfApplied:
    """A revision failed, and what it did before and inside its ``autocommit_block`` stays."""
    listed = "\n".join(f"  {' '.join(statement.split())[:200]}" for statement in position.stays)
    plan = run.plans[position.bind]
    return HalfApplied(
        f"{what}\n{_where_it_is(plan, run.heads_now(position.bind))}. Revision "
        f"'{position.cut}' cuts the transaction by autocommit_block(), so this of it is "
        f"in:\n{listed}",
        hint="undo these statements by hand, or let the revision ask first (IF NOT EXISTS, "
        "if_not_exists=True); then run the command again. One block a revision, and nothing "
        "else in it, avoids this",
    )


def _in_part(run: Run, position: _Position, told: SafeMigrateError) -> HalfApplied | None:
    """What is in, where a server has kept a part; None where everything is as it was."""
    plans = [plan for plan in run.plans.values() if not plan.empty]
    in_pieces = run.rehearse is None and any(run.catalogue_of(plan.bind) for plan in plans)
    if position.guard is None or not in_pieces:
        return None
    now = {plan.bind: run.heads_now(plan.bind) for plan in plans}
    left = {plan.bind: [r for r in run.progress_of(plan.bind) if r.changes] for plan in plans}
    moved = any(at is None or set(at) != set(run.plans[bind].start) for bind, at in now.items())
    if not moved and not any(left.values()):
        return None
    places = {plan.bind: _where_it_is(plan, now[plan.bind]) for plan in plans}
    ways_back = {plan.bind: run.way_back(plan.bind) for plan in plans}
    return half_applied(told, plans, places, left, ways_back)


def _described(error: BaseException, position: _Position, run: Run) -> SafeMigrateError:
    """Say what stopped the run, and what it left behind."""
    in_pieces = position.guard is not None and not position.guard.transactional_ddl
    if isinstance(error, KeyboardInterrupt):
        told: SafeMigrateError = Interrupted(f"Stopped by {str(error) or 'Ctrl-C'}.")
    elif isinstance(error, SafeMigrateError):
        told = error
    else:
        told = _of_failure(error, position, run)
    clean = isinstance(told, Blocked) and not position.statements
    early = position.revision is None and isinstance(told, (Refused, LockTimeout))
    if not clean and not early and not isinstance(told, LockLost):
        in_part = _in_part(run, position, told)
        if in_part is not None:
            return in_part
    if position.stays and not in_pieces:
        return _partly_outside(told.message, position, run)
    if isinstance(told, (DatabaseUnavailable, LockTimeout, Refused, UsageError)):
        return told
    told.message = f"{told.message}\n{_aftermath(run, position)}"
    if isinstance(told, Interrupted):
        told.hint = "flask db safe-upgrade" if run.direction == "upgrade" else None
    return told


def _of_failure(error: BaseException, position: _Position, run: Run) -> SafeMigrateError:
    if position.guard is not None and position.revision is not None:
        blocked = position.guard.blocked(error, position.revision)
        if blocked is not None:
            return blocked
    if position.revision is None and isinstance(error, Exception):
        known = run.explain(position.bind, error)
        if known is not None:
            return known
        if isinstance(error, CommandError):
            return UsageError(str(error), hint="flask db doctor")
    return migration_failed(error, revision=position.revision, directory=_directory(run))
