"""One application's history and databases, as the workflows see them."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
import sqlalchemy.exc
from flask import Flask
from sqlalchemy import Connection

from flask_safemigrate.backends import backend_for, elsewhere, is_served, snapshots
from flask_safemigrate.backends.contract import Backend, Held, SessionOptions, Target
from flask_safemigrate.checkout import Failure
from flask_safemigrate.errors import (
    DatabaseUnavailable,
    Interrupted,
    LockTimeout,
    Refused,
    SafeMigrateError,
    UsageError,
)
from flask_safemigrate.evidence import Evidence
from flask_safemigrate.findings import Finding
from flask_safemigrate.outcome import Applied, HookRun, Progress, Snapshot
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning import plan_half_applied
from flask_safemigrate.project.calls import create_all_calls
from flask_safemigrate.project.environment import read_project
from flask_safemigrate.project.history import check_syntax, checksum, read_history, tables_of
from flask_safemigrate.settings import Settings, read_settings
from flask_safemigrate.state import (
    DatabaseState,
    History,
    ProgressRow,
    ProjectState,
    State,
    Table,
)
from flask_safemigrate.wiring.checkout import with_checkout, with_names, with_rows
from flask_safemigrate.wiring.condition import examined
from flask_safemigrate.wiring.provenance import Inquiry
from flask_safemigrate.wiring.stopping import Stopping
from flask_safemigrate.workflows.ports import Direction, Hook, Repaired, Request, Say

# Alembic and what stands on it is imported where it is used: reading needs none of it.
if TYPE_CHECKING:
    from alembic.config import Config

    from flask_safemigrate.alembic_bridge.run import Run
    from flask_safemigrate.wiring.guard import Guard

_MEMORY = ":memory:"
_MOST_SHOWN = 50  # pending revisions whose files are read for the tables they touch


class Wiring:
    """The ports of one application for one command.

    :param directory: the migrations folder where ``-d`` names another than the application's.
    :param hooks: the application's hooks of a kind, ``deploy`` or ``seed``.
    :param swapped: whether ``SafeMigrate`` stands in the place of ``Migrate``.
    :param offline: leave the databases alone.
    :param failure: why the application is only a stand-in for the real one.
    """

    def __init__(
        self,
        app: Flask,
        directory: str | None,
        x_arg: tuple[str, ...],
        *,
        hooks: Callable[[str], tuple[Hook, ...]],
        swapped: bool,
        offline: bool = False,
        failure: Failure | None = None,
    ) -> None:
        self.app = app
        self.x_arg = x_arg
        self._hooks = hooks
        self._swapped = swapped
        self._offline = offline
        self._failure = failure
        self._directory = str(directory or app.extensions["migrate"].directory)
        self.folder = Path(self._directory).absolute()
        self._held: dict[str, Held] = {}
        self._taken: dict[str, Snapshot] = {}
        self._stopping = Stopping()

    @cached_property
    def settings(self) -> Settings:
        return read_settings(self.app.config)

    @cached_property
    def _project(self) -> ProjectState:
        return read_project(self.folder, app=self.app.name, models=self._models, git=False)

    @cached_property
    def _engines(self) -> Mapping[str | None, sa.Engine]:
        """The engines of the databases that ``env.py`` migrates, served by us or not."""
        engines = dict(self.app.extensions["migrate"].db.engines)
        if self._project.multidb:
            return engines
        return {key: engine for key, engine in engines.items() if key is None}

    @cached_property
    def _config_problems(self) -> tuple[tuple[str, str], ...]:
        """What is wrong with the databases' addresses, as ``ProjectState`` wants it."""
        problems = []
        if not self._engines:
            problems.append(
                (
                    "no url",
                    "SQLALCHEMY_DATABASE_URI is not set, and env.py migrates the default database "
                    "only.",
                )
            )
        for key, engine in self._engines.items():
            of = f"Bind '{key}': " if key is not None else ""
            if _misread(engine):
                problems.append(
                    (
                        "url",
                        f"{of}The password in the URL of the database holds an @ that is not "
                        "escaped, so that a part of it is taken for the host.",
                    )
                )
                continue
            try:
                backend_for(engine)
            except Refused as reason:
                kind = "async" if engine.dialect.is_async else "dialect"
                problems.append((kind, of + reason.message))
        return tuple(problems)

    @cached_property
    def _targets(self) -> Mapping[str, Target]:
        """Every database that ``env.py`` migrates and we serve, by bind key; "" is the default."""
        if self._offline:
            return {}
        arguments = self.app.extensions["migrate"].configure_args
        table = arguments.get("version_table") or self._project.version_table or "alembic_version"
        binds = self.app.config.get("SQLALCHEMY_BINDS") or {}
        found = {}
        for key, engine in self._engines.items():
            if engine.dialect.is_async or not is_served(engine) or _misread(engine):
                continue
            written = (
                self.app.config.get("SQLALCHEMY_DATABASE_URI") if key is None else binds.get(key)
            )
            found[key or ""] = Target(
                key or "",
                engine,
                version_table=table,
                version_schema=arguments.get("version_table_schema"),
                configured=_relative_path(written),
            )
        return found

    def backend(self, target: Target) -> Backend:
        """The verbs of the database's dialect."""
        return backend_for(target.engine)

    @property
    def _metadatas(self) -> Mapping[str, sa.MetaData]:
        found = self.app.extensions["migrate"].db.metadatas
        return {key or "": metadata for key, metadata in found.items()}

    @property
    def _models(self) -> Mapping[str, tuple[str, ...]]:
        return {key: tuple(metadata.tables) for key, metadata in self._metadatas.items()}

    @property
    def _hides_tables(self) -> bool:
        """Whether ``flask db migrate`` is known not to see tables of ours.

        The filter goes in with the arguments that ``env.py`` hands on, under a keyword that it
        does not use itself.
        """
        taken = self._project.configure_keywords
        return self._swapped and "**" in taken and not {"include_name", "include_object"} <= taken

    @property
    def _keeps_journal(self) -> bool:
        return self._hides_tables and self.settings.journal

    def read(self, *, thorough: bool = False, compare: bool = False) -> State:
        project = self._project
        if thorough:
            project = read_project(self.folder, app=self.app.name, models=self._models)
        project = replace(project, config_problems=self._config_problems)
        history = read_history(self.folder, compile=thorough)
        databases = tuple(self._ours(self.backend(t).read(t)) for t in self._targets.values())
        noted = {row.subject for d in databases for row in d.journal if row.kind == "revision"}
        sums = {r.id: checksum(r.path) for r in history.revisions if r.id in noted}
        state = State(project, _with_pending(history, databases), databases, sums)
        state = with_names(
            replace(state, provenance=self.inquiry(project).answer(state, thorough=thorough))
        )
        if thorough:
            state = with_checkout(state, self.app, self._failure, every=compare)
            state = examined(state, self._targets, self._metadatas, thorough=compare)
        if compare:
            state = with_rows(state, self._targets)
        # What a damaged file answers proves nothing.
        if not compare or any(d.condition.damage for d in state.databases):
            return state
        if any(d.tables and not d.version_rows for d in databases):
            calls = create_all_calls(Path(self.app.root_path), without=self.folder)
            state = replace(state, project=replace(state.project, create_all=calls))
        return replace(state, evidence=self._compare(state))

    @property
    def versions(self) -> Path:
        """The folder in which new revision files belong."""
        folders = self._project.locations
        return Path(folders[0]) if folders else self.folder / "versions"

    def inquiry(self, project: ProjectState) -> Inquiry:
        """What became of files, to be asked."""
        return Inquiry(self.folder, project.locations, self._targets)

    def _ours(self, database: DatabaseState) -> DatabaseState:
        """Leave out the tables that the settings say belong to others."""
        excluded = self.settings.exclude_tables
        kept = tuple(
            t for t in database.tables if not any(fnmatch(t.name, each) for each in excluded)
        )
        return replace(database, tables=kept)

    def _compare(self, state: State) -> Mapping[str, Evidence]:
        """Replay the history in scratch databases and compare the schemas."""
        from flask_safemigrate.alembic_bridge.sqlite.options import EngineOptions
        from flask_safemigrate.wiring.evidence import Gathering

        gathering = Gathering(
            folder=self.folder,
            targets=self._targets,
            metadatas=self._metadatas,
            config=self.config,
            bind_of=self._bind_of,
            options=EngineOptions(schema_edits=self.settings.schema_edits),
            exclude=self.settings.exclude_tables,
            x_arg=self.x_arg,
        )
        with self._stopping.raising(), self._no_empty_files():
            return gathering.gather(state)

    def count_rows(self, bind: str) -> tuple[Table, ...]:
        target = self._targets[bind]
        state = self.backend(target).read(target)
        if not state.exists:
            return ()
        with target.engine.connect() as connection:
            return tuple(
                Table(table.name, _count(connection, table.name)) for table in state.tables
            )

    @contextlib.contextmanager
    def lock(self, binds: Sequence[str], wait: float, say: Say) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._stopping.raising())
            try:
                for bind in sorted(binds):
                    target = self._targets[bind]
                    lock = self.backend(target).lock(target, wait, say, self.settings.lock)
                    self._held[bind] = stack.enter_context(lock)
                    stack.callback(self._held.pop, bind)
            except KeyboardInterrupt as stop:
                raise Interrupted(
                    f"Stopped by {str(stop) or 'Ctrl-C'} while waiting; nothing was changed."
                ) from stop
            yield

    def _bind_of(self, connection: Connection) -> str:
        """The bind whose database a connection of ``env.py`` leads to."""
        for bind, target in self._targets.items():
            if connection.engine is target.engine:
                return bind
        backend = backend_for(connection.engine)
        theirs = backend.read(Target("", connection.engine)).location
        for bind, target in self._targets.items():
            if self.backend(target) is backend and backend.read(target).location == theirs:
                return bind
        raise UsageError(
            f"env.py migrates {connection.engine.url.render_as_string(hide_password=True)}, which "
            "is no database of the application.",
            hint='use current_app.extensions["migrate"].db.engine in env.py, as the template '
            "of Flask-Migrate does",
        )

    def _wants_snapshot(self, target: Target, plan: Plan, request: Request) -> bool:
        state = self.backend(target).read(target)
        if not state.exists or not (state.tables or state.version_rows) or plan.empty:
            return False
        if state.location == _MEMORY:
            return False
        if request.snapshot is not None:
            return request.snapshot
        on = state.dialect == "sqlite"
        return self.settings.snapshot if on else self.settings.snapshot_servers

    def config(self) -> Config:
        """Alembic's configuration as Flask-Migrate makes it."""
        config: Config = self.app.extensions["migrate"].migrate.get_config(
            self._directory, x_arg=list(self.x_arg) or None
        )
        return config

    def _run(self, plans: Sequence[Plan], request: Request, **other: Any) -> Run:
        from flask_safemigrate.alembic_bridge.run import Run
        from flask_safemigrate.alembic_bridge.sqlite.options import EngineOptions
        from flask_safemigrate.wiring.guard import Guard

        history = read_history(self.folder)
        # A database in memory has one connection, which must not be asked once a transaction is
        # open on it.
        kept = {
            plan.bind
            for plan in plans
            if "rehearse" not in other
            and self._wants_snapshot(self._targets[plan.bind], plan, request)
        }

        patience = self.settings.lock_wait if request.lock_wait is None else request.lock_wait
        options = SessionOptions(
            self.settings.lock_timeout, self.settings.statement_timeout, patience
        )

        def take(bind: str) -> Snapshot:
            # A run that made way for another session and begins again has one already.
            known = self._taken.get(bind)
            starts = next(plan.start for plan in plans if plan.bind == bind)
            if known is None or set(known.revisions) != set(starts):
                known = self.take_snapshot(bind, request.command, request.say)
                self._taken[bind] = known
            return known

        def guard_of(bind: str, connection: Connection) -> Guard:
            target = self._targets[bind]
            return Guard(
                self.backend(target),
                target,
                connection,
                options,
                request.say,
                functools.partial(take, bind) if bind in kept else None,
                self._held.get(bind) if "rehearse" not in other else None,
            )

        return Run(
            config=self.config(),
            direction=request.direction,
            revision=request.revision,
            plans={plan.bind: plan for plan in plans},
            bind_of=self._bind_of,
            guard_of=guard_of,
            options=EngineOptions(
                schema_edits=self.settings.schema_edits,
                secure_delete=self.settings.secure_delete,
                record="rehearse" in other,
            ),
            say=request.say,
            sources={r.id: r.path for r in history.revisions},
            checksum=checksum,
            keep_journal=self._keeps_journal,
            patience=patience,
            explain=self._explain,
            heads_now=self._heads_now,
            ancestors=history.ancestors,
            catalogue_of=lambda bind: self.backend(self._targets[bind]).catalogue,
            progress_of=self._progress_of,
            way_back=self._way_back,
            **other,
        )

    @contextlib.contextmanager
    def _no_empty_files(self) -> Iterator[None]:
        """Take back the empty file that connecting to a new SQLite database makes."""
        states = [self.backend(t).read(t) for t in self._targets.values()]
        paths = [Path(s.location) for s in states if s.dialect == "sqlite" and not s.exists]
        try:
            yield
        finally:
            for path in paths:
                if path.is_file() and path.stat().st_size == 0:
                    path.unlink()

    def _explain(self, bind: str, error: BaseException) -> SafeMigrateError | None:
        """What an error of the driver says about the database, None for any other error."""
        target = self._targets.get(bind)
        driver = target.engine.dialect.loaded_dbapi if target is not None else None
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if target is None or driver is None or not isinstance(cause, driver.Error):
            return None
        reason = self.backend(target).explain(error, target)
        if reason.kind == "locked":
            return LockTimeout(reason.message, hint=reason.hint)
        if reason.kind == "unknown":
            return None
        return DatabaseUnavailable(reason.message, kind=reason.kind, hint=reason.hint)

    def _heads_now(self, bind: str) -> tuple[str, ...] | None:
        state = self.backend(self._targets[bind]).read(self._targets[bind])
        return None if state.unreachable is not None else state.version_rows or ()

    def _progress_of(self, bind: str) -> tuple[ProgressRow, ...]:
        return self.backend(self._targets[bind]).read(self._targets[bind]).progress

    def apply(self, plans: Sequence[Plan], request: Request) -> tuple[Applied, ...]:
        from flask_safemigrate.alembic_bridge.run import run_plans

        with self._stopping.raising(), self._no_empty_files():
            return run_plans(self._run(plans, request))

    def rehearse(self, plans: Sequence[Plan], request: Request) -> tuple[Applied, ...]:
        from flask_safemigrate.alembic_bridge.run import run_plans

        with (
            self._no_empty_files(),
            tempfile.TemporaryDirectory(prefix="safemigrate-") as folder,
        ):
            engines: dict[str, sa.Engine] = {}
            open_connections: list[Connection] = []

            def connect(bind: str) -> Connection:
                target = self._targets[bind]
                copied = Path(folder) / f"{len(engines)}.db"
                if bind not in engines:
                    if self.backend(target).read(target).exists:
                        self.backend(target).take(target, copied, request.say)
                    url = target.engine.url.set(database=str(copied), query={})
                    engines[bind] = sa.create_engine(url, poolclass=sa.NullPool)
                connection = engines[bind].connect()
                open_connections.append(connection)
                return connection

            try:
                return run_plans(self._run(plans, request, rehearse=connect))
            finally:
                for connection in open_connections:
                    connection.close()
                for engine in engines.values():
                    engine.dispose()

    def _folder_for(self, target: Target) -> Path:
        state = self.backend(target).read(target)
        beside = Path(self.app.instance_path)
        if state.dialect == "sqlite" and state.location != _MEMORY:
            beside = Path(state.location).parent
        return snapshots.folder_for(self.settings.snapshots, beside)

    def take_snapshot(self, bind: str, why: str, say: Say) -> Snapshot:
        target = self._targets[bind]
        backend = self.backend(target)
        state = backend.read(target)
        with self._stopping.raising():
            taken = snapshots.new_snapshot(
                self._folder_for(target),
                state,
                lambda path: backend.take(target, path, say),
                needs=backend.needs(target),
                suffix=backend.suffix,
                why=why,
                app=self.app.name,
                keep=self.settings.keep_snapshots,
                pinned=[self._way_back(bind)],
            )
        say(Progress("snapshot", taken.id, taken.path, bind=bind))
        return taken

    def _way_back(self, bind: str) -> str:
        """The snapshot from before a revision that is half applied; newer ones hold half of it."""
        begun = [datetime.fromisoformat(row.started) for row in self._progress_of(bind)]
        if not begun:
            return ""
        older = (s.id for s in self.snapshots(bind) if _when(s) <= min(begun))
        return next(older, "")

    def snapshots(self, bind: str) -> tuple[Snapshot, ...]:
        target = self._targets[bind]
        name = self.backend(target).read(target).location
        found = snapshots.list_snapshots(self._folder_for(target))
        return tuple(s for s in found if s.bind == bind and s.database == name)

    def find_snapshot(self, bind: str, name: str | None) -> Snapshot:
        target = self._targets[bind]
        found = snapshots.find(self._folder_for(target), name, among=self.snapshots(bind))
        self.verify_snapshot(found)
        return found

    def verify_snapshot(self, snapshot: Snapshot) -> None:
        snapshots.verify(snapshot)
        self.backend(self._targets[snapshot.bind]).check(Path(snapshot.path))

    def put_back_into(self, name: str, snapshot: Snapshot, say: Say) -> DatabaseState:
        target = self._targets[snapshot.bind]
        given = self.app.config.get("SQLALCHEMY_ENGINE_OPTIONS") or {}
        with elsewhere.empty_database(target, name, given.get("connect_args")) as other:
            with self._stopping.raising():
                self.backend(target).put_back(other, Path(snapshot.path), say)
            return self.backend(target).read(other)

    def put_back(self, snapshot: Snapshot, say: Say) -> tuple[str, ...]:
        target = self._targets[snapshot.bind]
        target.engine.dispose()
        backend = self.backend(target)
        backend.put_back(target, Path(snapshot.path), say)
        with target.engine.connect() as connection:
            return backend.whole(connection)

    def drop_everything(self, bind: str) -> None:
        target = self._targets[bind]
        if not self.backend(target).read(target).exists:
            return
        target.engine.dispose()
        self.backend(target).drop_everything(target)

    def reset_allowed(self) -> bool:
        return bool(self.app.debug or self.app.testing or self.settings.allow_reset)

    def note_deploy(self, binds: Sequence[str], started: str) -> None:
        for bind in binds:
            self._note(bind, "deploy", "deploy", started, self.settings.environment)

    @property
    def keeps_journal(self) -> bool:
        return self._keeps_journal

    def check_lock(self) -> None:
        for held in self._held.values():
            held.check()

    def note_hook(self, run: HookRun, started: str) -> None:
        first = next(iter(self._targets))
        more = {"direction": run.ended, "result": run.result or None}
        self._note(first, "hook", run.name, started, "", run.seconds, **more)

    def _note(
        self,
        bind: str,
        kind: str,
        subject: str,
        started: str,
        environment: str,
        seconds: float | None = None,
        **more: str | None,
    ) -> None:
        from flask_safemigrate.alembic_bridge import journal

        if not self._hides_tables or not (self.settings.journal or environment):
            return
        row = {
            "kind": kind,
            "subject": subject[:255],
            "started": started,
            "finished": journal.now(),
            "environment": environment,
            "seconds": seconds,
            **more,
        }
        with self._targets[bind].engine.begin() as connection:
            journal.write(connection, [row])

    def hooks(self, kind: Literal["deploy", "seed"]) -> tuple[Hook, ...]:
        return self._hooks(kind)

    def _finish(self, bind: str, revision: str) -> str:
        """Go on with a revision that is half applied."""
        history = read_history(self.folder)
        database = self.backend(self._targets[bind]).read(self._targets[bind])
        direction = next(r.direction for r in database.progress if r.revision == revision)
        plan = plan_half_applied(history, database, revision, direction)
        going: Direction = "upgrade" if direction == "upgrade" else "downgrade"
        request = Request("doctor", revision, going, snapshot=False)
        self.apply([plan], request)
        return f"Finished the {direction} of revision '{revision}'."

    def repair(self, finding: Finding, say: Say) -> Repaired:
        from flask_safemigrate.wiring import fixing, project_repairs, repairs

        target = self._targets.get(finding.bind or "")
        with self._told(target):
            if target is not None and finding.code == "SM308":
                return Repaired(self._finish(target.bind, finding.subject))
            if finding.steps:
                return fixing.take_steps(self, finding.steps, target, say)
            if finding.code in project_repairs.CODES:
                return project_repairs.repair(finding, self.folder)
            if target is not None and finding.code in repairs.CHANGING:
                self.snapshot_for_repair(target, say)
            return Repaired(repairs.repair(finding, target))

    @contextlib.contextmanager
    def _told(self, target: Target | None) -> Iterator[None]:
        """Turn what the system or the driver raises into what a person can read."""
        try:
            yield
        except OSError as error:
            raise SafeMigrateError(f"{error.strerror or error}: {error.filename}") from error
        except sqlalchemy.exc.SQLAlchemyError as error:
            known = self._explain(target.bind, error) if target is not None else None
            first = str(getattr(error, "orig", error)).strip().splitlines()[0]
            raise known or SafeMigrateError(first) from error

    def snapshot_for_repair(self, target: Target, say: Say) -> None:
        """Copy the database if the settings want that before it is changed."""
        state = self.backend(target).read(target)
        settings = self.settings
        wanted = settings.snapshot if state.dialect == "sqlite" else settings.snapshot_servers
        if wanted and state.location != _MEMORY:
            self.take_snapshot(target.bind, "doctor --fix", say)


def _with_pending(history: History, databases: Sequence[DatabaseState]) -> History:
    """Add what is to be known of pending revisions before they run: whether they compile, and
    the tables that they touch, unless so many are pending that nobody reads them all."""
    applied = history.ancestors(tuple(r for d in databases for r in d.version_rows or ()))
    pending = [r for r in history.revisions if r.id not in applied]
    # Those of several heads are compared, applied or not.
    forked = history.since_fork(history.heads) if len(history.heads) > 1 else frozenset()
    known = {file.path for file in history.broken}
    faults = [check_syntax(r.path, r.id) for r in pending if r.path not in known]
    history = replace(history, broken=(*history.broken, *(f for f in faults if f is not None)))
    if len(pending) > _MOST_SHOWN:
        return history
    asked = [*pending, *(r for r in history.revisions if r.id in forked and r.id in applied)]
    named = {r.id: replace(r, tables=tables_of(r.path)) for r in asked[:_MOST_SHOWN]}
    return replace(history, revisions=tuple(named.get(r.id, r) for r in history.revisions))


def _when(snapshot: Snapshot) -> datetime:
    return datetime.fromisoformat(snapshot.created)


def _count(connection: Connection, table: str) -> int:
    name = connection.dialect.identifier_preparer.quote(table)
    return int(connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() or 0)


def _misread(engine: sa.Engine) -> bool:
    """Whether a part of the password was taken for the host, which nothing may print then."""
    return "@" in (engine.url.host or "")


def _relative_path(written: object) -> str:
    """The SQLite path of a configured URL, where it is a relative one."""
    if isinstance(written, Mapping):
        written = written.get("url")
    with contextlib.suppress(Exception):
        url = sa.make_url(written)  # type: ignore[arg-type]
        path = url.database or ""
        if url.get_backend_name() == "sqlite" and path not in ("", ":memory:"):
            return "" if Path(path).is_absolute() or path.startswith("file:") else path
    return ""
