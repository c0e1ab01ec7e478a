"""Running the whole history on empty databases, to see what each revision does to the schema."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.migration import MigrationStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.alembic_bridge.environment import Stage, run_environment
from flask_safemigrate.alembic_bridge.failure import migration_failed
from flask_safemigrate.ddl.references import statement_targets
from flask_safemigrate.errors import Refused, SafeMigrateError
from flask_safemigrate.evidence import Fact, Facts, Replay

# What env.py and the pool may say to the application's own database: nothing that changes it.
_HARMLESS = ("BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET", "SHOW")
_UNSEEN = ("select", "pragma", "insert", "update", "delete")


class _Strayed(SafeMigrateError):
    """A revision does not use the connection that it was given."""


@contextlib.contextmanager
def _only_on(connections: Sequence[Connection]) -> Iterator[None]:
    """Let no statement of this thread reach any other database.

    A revision may bring its own session or engine, such as ``db.session``; those lead to the
    application's real database.
    """
    engines = {id(connection.engine) for connection in connections}
    thread = threading.get_ident()

    def refuse(connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        word = statement.split(None, 1)[0].upper().rstrip(";") if statement.strip() else ""
        if (
            threading.get_ident() == thread
            and id(connection.engine) not in engines
            and word not in _HARMLESS
        ):
            raise _Strayed(
                "it works on the application's own engine (db.session or db.engine) instead of "
                "op.get_bind()"
            )

    event.listen(Engine, "before_cursor_execute", refuse)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", refuse)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
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
    def replay(self) -> Replay:
        return Replay(self.changes, self.names, self.stopped_at, self.problem)


def replay(
    config: Config,
    order: Sequence[str],
    *,
    bind_of: Callable[[Connection], str],
    scratch: Callable[[str], contextlib.AbstractContextManager[Connection]],
    binds: Sequence[str],
    read: Callable[[str, Connection], Facts],
    options: sqlite.EngineOptions,
) -> Mapping[str, Replay]:
    """Run revisions on an empty database for every bind; nothing real is changed or told.

    :param order: ids of the revisions, in an order in which they can run.
    :param scratch: makes an empty database for a bind key, which goes at the end.
    :param binds: bind keys that ``env.py`` migrates and that are to be replayed.
    :param read: reads the schema of a scratch database.
    :return: by bind key. Where a revision fails, what was found until then.
    """
    script = ScriptDirectory.from_config(config)
    directory = Path(config.get_main_option("script_location") or ".")
    done: dict[str, _Recorder] = {}
    stops: dict[str, tuple[str, str]] = {}
    # One that fails takes the databases after it along; they get a run of their own.
    for _ in binds:
        done = {}
        with _silence(), contextlib.ExitStack() as stack:
            connections = {bind: stack.enter_context(scratch(bind)) for bind in binds}
            stack.enter_context(_only_on([*connections.values()]))
            position: list[_Recorder] = []
            try:
                run_environment(
                    config,
                    script,
                    _steps(script, order, done, stops, read, position),
                    bind_of=bind_of,
                    destination="heads",
                    options=options,
                    patience=60.0,
                    waiting=lambda bind, seconds: None,
                    applied=lambda: None,
                    connect=connections.__getitem__,
                )
                break
            except Exception as error:
                if not position or not position[-1].revision:
                    raise
                failed = position[-1]
                bind = next(b for b, recorder in done.items() if recorder is failed)
                stops[bind] = failed.revision, _why(error, failed.revision, directory)
                failed.stopped_at, failed.problem = stops[bind]
                if len(done) == len(binds):
                    break
    return {bind: recorder.replay for bind, recorder in done.items()}


def _why(error: Exception, revision: str, directory: Path) -> str:
    if isinstance(error, SafeMigrateError):
        return f"Revision '{revision}' failed: {error.message}"
    failed = migration_failed(error, revision=revision, directory=directory, undone="")
    return failed.message.strip()


def _steps(
    script: ScriptDirectory,
    order: Sequence[str],
    done: dict[str, _Recorder],
    stops: Mapping[str, tuple[str, str]],
    read: Callable[[str, Connection], Facts],
    position: list[_Recorder],
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
                    recorder.stopped_at, recorder.problem = stops[stage.bind]
                    break
                recorder.revision = id
                if engine is not None:
                    engine.revision = id
                found = script.get_revision(id)
                assert found is not None
                yield MigrationStep.upgrade_from_script(script.revision_map, found)
                if engine is not None:
                    engine.flush()
                recorder.record(id, look=engine is not None or bool(touched))
                touched.clear()
            recorder.revision = ""
        finally:
            event.remove(stage.connection, "before_cursor_execute", listen)

    return steps
