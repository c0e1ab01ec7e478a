"""Running the revisions of a plan, proving the result, then letting ``env.py`` commit."""

from __future__ import annotations

import contextlib
import functools
import re
import time
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.runtime.migration import MigrationStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event

from flask_safemigrate.alembic_bridge import journal, sqlite
from flask_safemigrate.alembic_bridge.aftermath import described, half_applied_row, where_it_is
from flask_safemigrate.alembic_bridge.confinement import Confinement, confined, of_our_own
from flask_safemigrate.alembic_bridge.environment import (
    Autocommit,
    Stage,
    end_transaction,
    run_environment,
)
from flask_safemigrate.alembic_bridge.failure import migration_failed
from flask_safemigrate.alembic_bridge.listening import (
    kept_together,
    listening,
    still_begun,
    watched,
)
from flask_safemigrate.alembic_bridge.run_record import Guard, Position, Run, directory_of
from flask_safemigrate.alembic_bridge.traced import tracing
from flask_safemigrate.ddl.references import statement_targets
from flask_safemigrate.errors import (
    Refused,
    UsageError,
    VerificationFailed,
)
from flask_safemigrate.facts.history import Revision
from flask_safemigrate.outcome import Applied, AppliedRevision, Progress, TableWork
from flask_safemigrate.plan import Plan

if TYPE_CHECKING:
    from flask_safemigrate.alembic_bridge.resume import Recorder


def _note_commit(position: Position, bind: str, *_: Any) -> None:
    position.committed.add(bind)


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
        "environment": run.environment,
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
        stage.connection.execute(table.delete().where(table.c.version_num == revision))


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


@contextlib.contextmanager
def _blaming(run: Run, plan: Plan) -> Iterator[None]:
    """Name the revision and the line at fault, where a word in its text tells."""
    try:
        yield
    except VerificationFailed as failed:
        any_of = "|".join(map(re.escape, failed.words))
        word = re.compile(rf"\b(?:{any_of})\b", re.IGNORECASE)
        for step in reversed(plan.steps) if any_of else ():
            path = run.sources.get(step.id, "")
            lines = _text(path).splitlines() if path else []
            found = [number for number, line in enumerate(lines, 1) if word.search(line)]
            if found:
                name = "/".join(Path(path).parts[-3:])
                failed.message = (
                    f"Revision '{step.id}' in \"{name}\", line {found[0]}: {failed.message}"
                )
                break
        raise


def _import_revisions(run: Run, script: ScriptDirectory) -> None:
    """Import every revision file, as Alembic does once ``env.py`` has configured it.

    :raises Refused: one cannot be imported.
    """
    try:
        script.get_heads()
    except (Exception, SystemExit) as error:
        failed = migration_failed(error, revision=None, directory=directory_of(run))
        raise Refused(
            failed.message.replace("The migration environment failed", "A revision file fails"),
            hint="mend the file, then run the command again",
        ) from error


def _hearing_others(
    run: Run, stage: Stage, position: Position, guard: Guard, recorder: Recorder | None
) -> contextlib.AbstractContextManager[None]:
    if run.rehearse is not None and stage.connection.dialect.name == "sqlite":
        return contextlib.nullcontext()
    from flask_safemigrate.alembic_bridge.beside import hearing_others

    return hearing_others(stage, position, guard, recorder, directory_of(run).absolute())


@contextlib.contextmanager
def _recording(run: Run, stage: Stage) -> Iterator[Recorder | None]:
    """Write down every statement, where the server commits those that change the schema."""
    catalogue = run.databases.catalogue_of(stage.bind) if run.rehearse is None else None
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


def _end_transaction(
    stage: Stage, position: Position, guard: Guard, written: set[str]
) -> tuple[str, ...]:
    """Prove and commit a revision that has a transaction of its own, or has ended the run's."""
    proven = guard.finish(frozenset(written))
    position.settle()
    end_transaction(stage)
    guard.again()
    return proven


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
    position = Position()
    done: dict[str, Applied] = {}
    kept: dict[str, tuple[Engine, tuple[tuple[str, str], ...]]] = {}
    guards: dict[str, Guard] = {}
    # Plans that are only tried must not reach what is real.
    confinement = (
        None
        if run.rehearse is None
        else Confinement(
            (),
            directory_of(run),
            lambda: (position.running and position.revision) or "",
            "on a copy of the database",
        )
    )

    def steps(stage: Stage, heads: tuple[str, ...]) -> Iterator[Any]:
        plan = run.plans.get(stage.bind)
        position.bind, position.revision = stage.bind, None
        if plan is None or plan.empty:
            return
        if stage.bind in done:
            raise UsageError(
                f"env.py migrates {plan.location} a second time, as where each tenant has a "
                "schema of its own; that is not served.",
                hint="flask db upgrade, and flask db doctor",
            )
        table, expected = stage.context.version_table, run.databases.version_table(stage.bind)
        if table != expected:
            raise Refused(
                f'env.py keeps the versions of {plan.location} in table "{table}", which cannot be'
                f' read out of its text: "{expected}" was taken for it.',
                hint=f'write version_table="{table}" into context.configure() of env.py, or hand'
                " it to SafeMigrate(app, db, ...)",
            )
        connection = stage.context.connection
        options = connection.get_execution_options() if connection is not None else {}
        moved = options.get("schema_translate_map") or ()
        if stage.context.version_table_schema in moved:
            raise Refused(
                f'A schema_translate_map sends "{table}" of {plan.location} to another schema; '
                "that is not served.",
                hint="flask db upgrade, and flask db doctor",
            )
        if set(heads) != set(plan.start):
            raise Refused(
                f"{plan.location} is at {', '.join(heads) or 'base'} now, and no longer at "
                f"{', '.join(plan.start) or 'base'}: something else migrates it.",
                hint="run the command again",
            )
        _import_revisions(run, script)
        begun = time.perf_counter()
        guard = position.begun = run.guard_of(stage.bind, stage.connection)
        guards[stage.bind] = guard
        snapshot = guard.begin()
        position.guard = guard
        # The version table is made in the transaction, too.
        position.uncommitted[:] = () if heads else (stage.context.version_table,)
        impl = stage.context.impl
        engine = impl if isinstance(impl, sqlite.LosslessSQLiteImpl) else None
        # A transaction that env.py began itself is not Alembic's to end, in either way.
        apart = stage.apart and guard.transactional_ddl and engine is None
        apart = apart and not stage.context._in_external_transaction
        written: set[str] = set()
        revisions: list[AppliedRevision] = []
        rows: list[dict[str, object]] = []
        proven: list[str] = []

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

        def mark() -> None:
            if run.keep_journal and run.rehearse is None and recorder is None:
                row = half_applied_row(run, position.revision or "", position.stays)
                position.running = False
                journal.write(stage.connection, [row])
                position.running = True

        position.mark = mark
        tracer = run.tracer_of(stage.bind, stage.connection)
        with (
            listening(stage, position, written),
            tracing(stage, position, tracer, run.sources) as traced,
            _recording(run, stage) as recorder,
            _hearing_others(run, stage, position, guard, recorder),
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
                if guard.transactional_ddl and engine is None:
                    step.migration_fn = functools.partial(
                        kept_together, stage, position, guard, step.migration_fn
                    )
                if engine is not None:
                    engine.revision = revision
                    migrate = functools.partial(engine.run, step.migration_fn)
                    step.migration_fn = functools.partial(watched, stage, position, migrate)
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
                position.asked_beside = ""
                yield step
                position.running = False
                if recorder is not None:
                    recorder.settled()
                still_begun(stage, position)
                if confinement is not None:
                    confinement.check()
                position.uncommitted.append(revision)
                own = position.leaked == revision and engine is None and guard.transactional_ddl
                if position.cut == revision and guard.transactional_ddl:
                    # What it did outside of the transaction stays, so the row that says so must.
                    position.settle()
                    with stage.context.autocommit_block():
                        pass
                    guard.begun()
                if own or (apart and len(revisions) < len(plan.steps)):
                    proven.extend(_end_transaction(stage, position, guard, written))
                seconds = revisions[-1].seconds
                run.say(news._replace(stage="applied", seconds=seconds, done=len(revisions)))
            tables: tuple[TableWork, ...] = ()
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
            with _blaming(run, plan):
                if engine is not None:
                    proven.extend(engine.prove())
                proven.extend(guard.finish(frozenset(written)))
            if recorder is not None:
                proven.extend(recorder.end(keep=run.keep_journal))
            if rows:
                journal.write(stage.connection, rows)
            if (stage.autocommit or apart) and stage.context._transaction is None:
                # env.py leaves it to the connection, or to Alembic, to commit.
                stage.connection.connection.commit()
        seen = functools.partial(_note_commit, position, stage.bind)
        event.listen(stage.connection, "commit", seen)
        if engine is not None and engine.outside is not None and engine.outside.kept:
            kept[stage.bind] = stage.connection.engine, tuple(engine.outside.kept)
        done[stage.bind] = Applied(
            bind=stage.bind,
            location=plan.location,
            start=plan.start,
            target=plan.target,
            revisions=tuple(revisions),
            seconds=time.perf_counter() - begun,
            verified=tuple(dict.fromkeys(proven)),
            warned=engine.warned if engine is not None else (),
            tables=tables,
            snapshot=snapshot,
            direction=run.direction,
            script=engine.script if engine is not None else (),
            traced=tuple(traced),
        )

    def bind_of(connection: Connection) -> str:
        position.bind = of_our_own(run.databases.bind_of, connection)
        return position.bind

    def waits(connection: Connection) -> str | None:
        try:
            bind = of_our_own(run.databases.bind_of, connection)
        except UsageError:
            return None
        plan = run.plans.get(bind)
        return bind if plan is not None and not plan.empty and bind not in guards else None

    def connect(bind: str) -> Connection:
        assert run.rehearse is not None
        assert confinement is not None
        connection = of_our_own(run.rehearse, bind)
        confinement.admit(connection)
        confinement.prepare(connection)
        return connection

    def switches_keys(bind: str) -> bool:
        plan = run.plans.get(bind)
        steps = plan.steps if plan is not None else ()
        return sqlite.is_switched_in(run.sources.get(step.id, "") for step in steps)

    def waiting(bind: str, seconds: float) -> None:
        where = run.plans[bind].location if bind in run.plans else ""
        run.say(Progress("waiting", where, "another program writes to it", seconds, bind=bind))

    @contextlib.contextmanager
    def outside(block: Autocommit) -> Iterator[None]:
        position.cut = position.revision
        position.cutting = True
        position.stays[:] = position.statements
        if position.running and position.stays:
            position.mark()
        with block():
            position.cutting = False
            try:
                with contextlib.ExitStack() as stack:
                    if position.running and position.guard is not None:
                        stack.enter_context(position.guard.outside())
                    position.outside = True
                    yield
            finally:
                position.outside = False
                position.stays[:] = position.statements
                position.cutting = True
        position.cutting = False

    def ended() -> None:
        if position.begun is not None:
            position.begun.end()

    try:
        with confined(confinement) if confinement is not None else contextlib.nullcontext():
            run_environment(
                run.config,
                script,
                steps,
                bind_of=bind_of,
                waits=waits,
                destination=run.revision,
                options=run.options,
                patience=run.patience,
                waiting=waiting,
                applied=lambda: position.note(),
                outside=outside,
                ended=ended,
                connect=connect if confinement is not None else None,
                switches_keys=switches_keys,
            )
    except BaseException as failure:
        error = (confinement is not None and confinement.strayed) or failure
        raise described(error, position, run) from error
    finally:
        if position.witness is not None:
            position.witness.close()
    missing = [p.location for b, p in run.plans.items() if not p.empty and b not in done]
    if missing:
        raise UsageError(
            f"env.py did not migrate {', '.join(missing)}.",
            hint='its "run_migrations_online" must call context.run_migrations() for every bind',
        )
    for bind in done if run.rehearse is None else ():
        if bind not in position.committed:
            _prove_committed(run, bind)
        guards[bind].committed()
        run.say(Progress("committed", done[bind].location, bind=bind))
    for bind, (real, statements) in kept.items():
        if run.rehearse is None:
            sqlite.run_kept(real, done[bind].location, statements, run.patience)
        said = tuple(
            f"{statement}, of revision '{revision}', "
            + ("ran after COMMIT" if run.rehearse is None else "is kept for after COMMIT")
            for revision, statement in statements
        )
        done[bind] = done[bind]._replace(verified=done[bind].verified + said)
    return tuple(done.values())


def _prove_committed(run: Run, bind: str) -> None:
    """Look whether the database has what ran, where nobody was seen to commit it.

    ``env.py`` that runs a statement before ``context.configure`` begins a transaction by it,
    which Alembic then takes for one that ``env.py`` itself ends.
    """
    plan = run.plans[bind]
    now = run.databases.heads_now(bind)
    if now is None or set(now) != set(plan.target):
        raise UsageError(
            f"env.py did not commit: {where_it_is(plan, now)}. It runs statements on the "
            "connection before context.configure(), and so begins a transaction that it never "
            "ends.",
            hint="write connection.commit() in env.py before context.configure(...)",
        )
