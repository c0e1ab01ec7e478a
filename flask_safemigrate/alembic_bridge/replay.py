"""Running the whole history on empty databases, to see what each revision does to the schema."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.migration import MigrationStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.alembic_bridge.confinement import Confinement, confined, of_our_own
from flask_safemigrate.alembic_bridge.cures import cure_of
from flask_safemigrate.alembic_bridge.environment import Stage, end_transaction, run_environment
from flask_safemigrate.alembic_bridge.failure import migration_failed
from flask_safemigrate.alembic_bridge.listening import undid
from flask_safemigrate.ddl.references import statement_targets
from flask_safemigrate.errors import MigrationFailed, NotConfined, Refused, SafeMigrateError
from flask_safemigrate.facts.comparison import Fact, Facts, ReplayedHistory

Prelude = Callable[[str, Connection], tuple[tuple[str, ...], tuple[str, ...]]]
_UNSEEN = ("select", "pragma", "insert", "update", "delete")


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Swallow what revisions print, log and warn of."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


# A revision, why it stopped, whether it reached outside, and what helps.
_Stop = tuple[str, str, bool, str]


class _Recorder:
    """What the revisions of one database did."""

    def __init__(self, read: Callable[[], Facts]) -> None:
        self.read = read
        self.values: Mapping[Fact, str] = {}
        self.names: dict[Fact, str] = {}
        self.changes: dict[str, Mapping[Fact, tuple[str | None, str | None]]] = {}
        self.revision = ""
        self.stopped_at = ""
        self.problem = ""
        self.unconfined = False
        self.cure = ""
        self.stands: tuple[str, ...] = ()
        self.types: tuple[str, ...] = ()

    def stop(self, revision: str, problem: str, unconfined: bool, cure: str) -> None:
        self.stopped_at, self.problem = revision, problem
        self.unconfined, self.cure = unconfined, cure

    def record(self, revision: str, *, look: bool) -> None:
        if not look:
            self.changes[revision] = {}
            return
        facts = self.read()
        before, after = self.values, facts.values
        self.changes[revision] = {
            fact: (before.get(fact), after.get(fact))
            for fact in before.keys() | after.keys()
            if before.get(fact) != after.get(fact)
        }
        self.values = after
        self.names.update(facts.names)

    @property
    def replay(self) -> ReplayedHistory:
        return ReplayedHistory(
            self.changes,
            self.names,
            self.stopped_at,
            self.problem,
            self.unconfined,
            self.cure,
            self.stands,
            self.types,
        )


def replay(
    config: Config,
    order: Sequence[str],
    *,
    bind_of: Callable[[Connection], str],
    scratch: Callable[[str], contextlib.AbstractContextManager[Connection]],
    binds: Sequence[str],
    read: Callable[[str, Connection], Facts],
    prelude: Prelude,
    options: sqlite.EngineOptions,
) -> Mapping[str, ReplayedHistory]:
    """Run revisions on an empty database for every bind; nothing real is changed or told.

    A revision that reaches outside of its scratch database is stopped before it does.

    :param order: ids of the revisions, in an order in which they can run.
    :param scratch: makes an empty database for a bind key, which goes at the end.
    :param binds: bind keys that ``env.py`` migrates and that are to be replayed.
    :param read: reads the schema of a scratch database.
    :param prelude: reads what its tables stand on, for the models.
    :return: by bind key. Where a revision fails, what was found until then.
    """
    script = ScriptDirectory.from_config(config)
    directory = Path(config.get_main_option("script_location") or ".")
    done: dict[str, _Recorder] = {}
    stops: dict[str, _Stop] = {}
    # One that fails takes the databases after it along; they get a run of their own.
    for _ in binds:
        done = {}
        with silence(), contextlib.ExitStack() as stack:
            connections = {bind: stack.enter_context(scratch(bind)) for bind in binds}
            position: list[_Recorder] = []
            running = functools.partial(_running, position)
            confinement = Confinement([*connections.values()], directory, running)
            stack.enter_context(confined(confinement))
            try:
                run_environment(
                    config,
                    script,
                    _steps(script, order, done, stops, read, prelude, position, confinement),
                    bind_of=functools.partial(of_our_own, bind_of),
                    destination="heads",
                    options=options,
                    patience=60.0,
                    waiting=lambda bind, seconds: None,
                    applied=lambda: None,
                    connect=functools.partial(_prepared, confinement, connections),
                    switches_keys=lambda bind: _switches_keys(script, order),
                )
                break
            except (Exception, SystemExit) as error:
                # What was stopped comes first: an error may follow from it.
                cause = confinement.strayed or error
                if not position or not position[-1].revision:
                    raise cause from error
                failed = position[-1]
                bind = next(b for b, recorder in done.items() if recorder is failed)
                away = isinstance(cause, NotConfined)
                why = _why(cause, failed.revision, directory)
                cure = (cause.hint if isinstance(cause, SafeMigrateError) else None) or cure_of(
                    cause
                )
                stops[bind] = failed.revision, why, away, cure
                failed.stop(*stops[bind])
                if len(done) == len(binds):
                    break
    return {bind: recorder.replay for bind, recorder in done.items()}


def _switches_keys(script: ScriptDirectory, order: Sequence[str]) -> bool:
    found = (script.get_revision(id) for id in order)
    return sqlite.is_switched_in(each.path for each in found if each is not None)


def _prepared(
    confinement: Confinement, connections: Mapping[str, Connection], bind: str
) -> Connection:
    connection = connections[bind]
    confinement.prepare(connection)
    return connection


def _running(position: Sequence[_Recorder]) -> str:
    return position[-1].revision if position else ""


def _why(error: BaseException, revision: str, directory: Path) -> str:
    if isinstance(error, NotConfined):
        return error.message
    if isinstance(error, SafeMigrateError):
        return f"Revision '{revision}' failed: {error.message}"
    failed = migration_failed(error, revision=revision, directory=directory, undone="")
    return failed.message.strip()


def _steps(
    script: ScriptDirectory,
    order: Sequence[str],
    done: dict[str, _Recorder],
    stops: Mapping[str, _Stop],
    read: Callable[[str, Connection], Facts],
    prelude: Prelude,
    position: list[_Recorder],
    confinement: Confinement,
) -> Callable[[Stage, tuple[str, ...]], Iterator[MigrationStep]]:
    def steps(stage: Stage, heads: tuple[str, ...]) -> Iterator[MigrationStep]:
        recorder = _Recorder(lambda: read(stage.bind, stage.connection))
        if heads or recorder.read().values:
            raise Refused("the scratch database is not empty")
        done[stage.bind] = recorder
        position.append(recorder)
        # What env.py wants to be told of versions is about its own database.
        stage.context.on_version_apply_callbacks = ()
        impl = stage.context.impl
        engine = impl if isinstance(impl, sqlite.LosslessSQLiteImpl) else None
        touched: list[str] = []

        def listen(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            kind = statement_targets(statement).kind
            if kind not in _UNSEEN or ";" in statement.rstrip("; \n"):
                touched.append(kind)

        event.listen(stage.connection, "before_cursor_execute", listen)
        try:
            for id in order:
                if stage.bind in stops and stops[stage.bind][0] == id:
                    stop = stops[stage.bind]
                    recorder.stop(*stop)
                    break
                recorder.revision = id
                if engine is not None:
                    engine.revision = id
                found = script.get_revision(id)
                assert found is not None
                step: Any = MigrationStep.upgrade_from_script(script.revision_map, found)
                if engine is not None:
                    step.migration_fn = functools.partial(engine.run, step.migration_fn)
                yield step
                if engine is not None and undid(stage):
                    # What comes after it would stand alone, and prove nothing.
                    raise MigrationFailed(
                        "it undid the transaction that all revisions share, as SpatiaLite's "
                        "InitSpatialMetaData(1) does: write InitSpatialMetaData() instead.",
                        revision=id,
                    )
                if engine is not None:
                    engine.flush()
                confinement.commit(stage.connection)
                confinement.check()
                recorder.record(id, look=engine is not None or bool(touched))
                touched.clear()
                if stage.apart and engine is None:
                    # What comes next may need it: a new value of an ENUM, for one.
                    end_transaction(stage)
            recorder.revision = ""
            recorder.stands, recorder.types = prelude(stage.bind, stage.connection)
        finally:
            event.remove(stage.connection, "before_cursor_execute", listen)

    return steps
