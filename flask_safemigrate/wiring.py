"""One application's history and databases, as the workflows see them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
import sqlalchemy.exc
from flask import Flask
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Backend, Held, SessionOptions, Target
from flask_safemigrate.checkout import Failure
from flask_safemigrate.databases import addresses
from flask_safemigrate.databases.rehearsal import copied_databases
from flask_safemigrate.databases.snapshots import Snapshots
from flask_safemigrate.databases.stopping import Stopping
from flask_safemigrate.errors import (
    DatabaseUnavailable,
    Interrupted,
    LockTimeout,
    SafeMigrateError,
    UsageError,
)
from flask_safemigrate.evidence import Evidence
from flask_safemigrate.findings import FROM_JOURNAL, Finding
from flask_safemigrate.outcome import Applied, HookRun, Snapshot
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning import plan_half_applied
from flask_safemigrate.project.calls import create_all_calls
from flask_safemigrate.project.environment import read_project
from flask_safemigrate.project.history import checksum, does_nothing, named_in, read_history
from flask_safemigrate.reading.checkout import with_checkout, with_names, with_rows
from flask_safemigrate.reading.condition import examined
from flask_safemigrate.reading.filtering import Filters
from flask_safemigrate.reading.pending import with_pending
from flask_safemigrate.reading.provenance import Inquiry
from flask_safemigrate.settings import Settings, read_settings
from flask_safemigrate.state import (
    DatabaseState,
    History,
    ProgressRow,
    ProjectState,
    State,
    Table,
)
from flask_safemigrate.workflows.ports import Direction, Hook, Repaired, Request, Say

# Alembic and what stands on it is imported where it is used: reading needs none of it.
if TYPE_CHECKING:
    from alembic.config import Config

    from flask_safemigrate.alembic_bridge.configured import Configured
    from flask_safemigrate.alembic_bridge.terms import Run
    from flask_safemigrate.databases.guard import Guard
    from flask_safemigrate.reading.evidence import Gathering
    from flask_safemigrate.repairs.steps import Means
    from flask_safemigrate.report.redaction import Mask

_FILTERS = frozenset({"include_name", "include_object"})


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
        #: Texts of revisions out of a database, as they were shown, by revision id.
        self.previewed: dict[str, str] = {}
        self._to_prune: dict[str, Snapshot] = {}
        self._stopping = Stopping()
        self._configured: Mapping[str, Configured] = {}

    @cached_property
    def settings(self) -> Settings:
        return read_settings(self.app.config)

    @cached_property
    def mask(self) -> Mask:
        """What takes secrets out of a text."""
        from flask_safemigrate.reading.known_secrets import mask_for

        return mask_for(self.app, self.folder, self.x_arg)

    @cached_property
    def _project(self) -> ProjectState:
        return read_project(self.folder, app=self.app.name, git=False)

    @cached_property
    def _engines(self) -> Mapping[str | None, sa.Engine]:
        """The engines of the databases that ``env.py`` migrates, served by us or not."""
        engines = dict(self.app.extensions["migrate"].db.engines)
        if self._project.multidb:
            return engines
        return {key: engine for key, engine in engines.items() if key is None}

    @cached_property
    def _targets(self) -> Mapping[str, Target]:
        """Every database that ``env.py`` migrates and we serve, by bind key; "" is the default."""
        if self._offline:
            return {}
        arguments = self.app.extensions["migrate"].configure_args
        table = arguments.get("version_table") or self._project.version_table or "alembic_version"
        return addresses.targets_of(
            self._engines,
            self.app.config,
            version_table=table,
            version_schema=arguments.get("version_table_schema"),
        )

    def backend(self, target: Target) -> Backend:
        """The verbs of the database's dialect."""
        return backend_for(target.engine)

    @property
    def _metadatas(self) -> Mapping[str, Sequence[sa.MetaData]]:
        """The models' tables by bind key, as far as they are known without running ``env.py``."""
        if self._project.own_metadata:
            return {bind: found.metadatas for bind, found in self._configured.items()}
        found = self.app.extensions["migrate"].db.metadatas
        return {key or "": (metadata,) for key, metadata in found.items()}

    def _filters(self, bind: str) -> Filters | None:
        """What autogenerate is to leave alone; None where only ``env.py`` knows it."""
        if found := self._configured.get(bind):
            return Filters(found.include_name, found.include_object, found.metadatas)
        if _FILTERS & self._project.configure_keywords:
            return None
        given = self.app.extensions["migrate"].migrate.alembic_ctx_kwargs
        metadatas = self._metadatas.get(bind, ())
        return Filters(given.get("include_name"), given.get("include_object"), metadatas)

    def _configure(self, project: ProjectState) -> None:
        """Ask ``env.py`` for what it alone knows of the models."""
        if not project.own_metadata and not _FILTERS & project.configure_keywords:
            return
        from flask_safemigrate.alembic_bridge.configured import configured_by

        # Why it fails is told by the replay, which runs it too.
        with self._stopping.raising(), self._no_empty_files(), contextlib.suppress(Exception):
            self._configured = configured_by(self.config(), self._bind_of)

    def _with_models(
        self, project: ProjectState, databases: Sequence[DatabaseState]
    ) -> ProjectState:
        """Add the models, and what autogenerate leaves alone."""
        models = {
            bind: tuple(name for metadata in several for name in metadata.tables)
            for bind, several in self._metadatas.items()
        }
        filters = {d.bind: self._filters(d.bind) for d in databases}
        hidden = {
            d.bind: tuple(t.name for t in d.tables if known.hides_table(t.name))
            for d in databases
            if (known := filters[d.bind]) is not None
        }
        complete = len(hidden) == len(databases)
        return project._replace(models=models, hidden=hidden if complete else None)

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
            project = read_project(self.folder, app=self.app.name)
        asked = self.app.extensions["migrate"].configure_args.get("transaction_per_migration")
        project = project._replace(
            config_problems=addresses.problems_of(self._engines, self.app.config),
            per_revision=project.per_revision or bool(asked),
        )
        if compare:
            self._configure(project)
        history = read_history(self.folder, compile=thorough)
        databases = tuple(self._ours(self.backend(t).read(t)) for t in self._targets.values())
        noted = {row.subject for d in databases for row in d.journal if row.kind == "revision"}
        sums = {r.id: checksum(r.path) for r in history.revisions if r.id in noted}
        databases = tuple(self._with_named(d, history) for d in databases)
        project = self._with_models(project, databases)
        state = State(project, with_pending(history, databases), databases, sums)
        state = with_names(
            state._replace(provenance=self.inquiry(project).answer(state, thorough=thorough))
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
            state = state._replace(project=state.project._replace(create_all=calls))
        return state._replace(evidence=self._compare(state))

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
        return database._replace(tables=kept)

    @staticmethod
    def _with_named(database: DatabaseState, history: History) -> DatabaseState:
        """Say whose the tables are, where no version is written down."""
        if database.version_rows or not database.tables:
            return database
        paths = [revision.path for revision in history.revisions]
        names = [table.name for table in database.tables]
        return database._replace(named=named_in(paths, names))

    def _compare(self, state: State) -> Mapping[str, Evidence]:
        """Replay the history in scratch databases and compare the schemas."""
        with self._stopping.raising(), self._no_empty_files():
            return self._gathering().gather(state)

    def losses(self, plans: Sequence[Plan], state: State) -> tuple[str, ...]:
        from flask_safemigrate.comparison.losses import brought
        from flask_safemigrate.reading import losses

        found: list[str] = []
        try:
            with self._stopping.raising(), self._no_empty_files():
                replays = self._gathering().replays(state)
        except Exception as error:
            return (f"What goes along could not be told: {str(error).splitlines()[0]}",)
        for plan in plans:
            if plan.bind in replays:
                where = f' of "{plan.location}"' if len(plans) > 1 else ""
                idle = [step.id for step in plan.steps if does_nothing(step.path, "downgrade")]
                ways = [step.id for step in plan.steps if step.id not in idle]
                gone = brought(replays[plan.bind], ways)
                found += losses.told(self._targets[plan.bind].engine, where, gone)
                found += [
                    f"downgrade() of revision '{id}' does nothing: what it brought stays, and "
                    "the next upgrade meets it."
                    for id in idle
                    if brought(replays[plan.bind], [id])
                ]
        return tuple(found)

    def hazards(self, plans: Sequence[Plan], state: State) -> Sequence[Finding]:
        from flask_safemigrate.reading.hazards import hazards_of

        found: list[Finding] = []
        databases = {database.bind: database for database in state.databases}
        arguments = self.app.extensions["migrate"].configure_args
        for plan in plans:
            if plan.empty:
                continue
            database = databases[plan.bind]
            with self._no_empty_files():
                found += hazards_of(
                    self._targets[plan.bind],
                    database,
                    plan.steps,
                    (),
                    self.config(),
                    dialect=database.dialect,
                    many=10_000,
                    each=bool(arguments.get("transaction_per_migration")),
                    metadata=self._metadatas.get(plan.bind),
                )
        return tuple(sorted(found, key=lambda f: -f.severity))

    def _gathering(self) -> Gathering:
        from flask_safemigrate.alter.options import EngineOptions
        from flask_safemigrate.reading.evidence import Gathering

        return Gathering(
            folder=self.folder,
            targets=self._targets,
            metadatas=self._metadatas,
            filters={bind: self._filters(bind) or Filters() for bind in self._targets},
            config=self.config,
            bind_of=self._bind_of,
            options=EngineOptions(schema_edits=self.settings.schema_edits),
            exclude=self.settings.exclude_tables,
            x_arg=self.x_arg,
        )

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
            f"env.py migrates {addresses.shown(connection.engine.url)}, which "
            "is no database of the application.",
            hint='use current_app.extensions["migrate"].db.engine in env.py, as the template '
            "of Flask-Migrate does",
        )

    def config(self) -> Config:
        """Alembic's configuration as Flask-Migrate makes it."""
        config: Config = self.app.extensions["migrate"].migrate.get_config(
            self._directory, x_arg=list(self.x_arg) or None
        )
        return config

    def _run(self, plans: Sequence[Plan], request: Request, **other: Any) -> Run:
        from flask_safemigrate.alembic_bridge.terms import Run
        from flask_safemigrate.alter.options import EngineOptions
        from flask_safemigrate.databases.guard import Guard

        history = read_history(self.folder)
        # A database in memory has one connection, which must not be asked once a transaction is
        # open on it.
        kept = {
            plan.bind
            for plan in plans
            if "rehearse" not in other and self.copies.wanted(plan, request)
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
            environment=self.settings.environment,
            patience=patience,
            explain=self._explain,
            remedy=self._remedy,
            heads_now=self._heads_now,
            ancestors=history.ancestors,
            catalogue_of=lambda bind: self.backend(self._targets[bind]).catalogue,
            progress_of=self._progress_of,
            way_back=self.copies.way_back,
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

    def _remedy(self, bind: str, error: BaseException) -> str | None:
        """What to do about an error of a revision."""
        target = self._targets.get(bind)
        return self.backend(target).remedy(error, target) if target is not None else None

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
            copied_databases(self._targets, request.say) as connect,
        ):
            return run_plans(self._run(plans, request, rehearse=connect))

    def script(self, plans: Sequence[Plan]) -> str:
        from flask_safemigrate.alembic_bridge.offline import script_of

        work = [plan for plan in plans if not plan.empty]
        if len(self._targets) > 1 and work:
            raise UsageError(
                "The SQL of several databases, of which some are on servers, is not printed here.",
                hint="flask db upgrade --sql, which writes a file for each",
            )
        return "".join(script_of(self.config(), plan) for plan in work)

    @cached_property
    def copies(self) -> Snapshots:
        """The snapshots of the databases."""
        return Snapshots(self.app, self.settings, self._targets, self._stopping)

    def take_snapshot(self, bind: str, why: str, say: Say) -> Snapshot:
        self._to_prune[bind] = self.copies.take(bind, why, say)
        return self._to_prune[bind]

    def prune_snapshots(self, keep: Sequence[str] = ()) -> None:
        while self._to_prune:
            _, taken = self._to_prune.popitem()
            self.copies.prune(taken, keep)

    def snapshots(self, bind: str) -> tuple[Snapshot, ...]:
        return self.copies.of(bind)

    def find_snapshot(self, bind: str, name: str | None) -> Snapshot:
        return self.copies.find(bind, name)

    def verify_snapshot(self, snapshot: Snapshot) -> None:
        self.copies.verify(snapshot)

    def put_back(self, snapshot: Snapshot, say: Say) -> tuple[str, ...]:
        return self.copies.put_back(snapshot, say)

    def put_back_into(self, name: str, snapshot: Snapshot, say: Say) -> DatabaseState:
        return self.copies.put_back_into(name, snapshot, say)

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

    @property
    def keeps_environment(self) -> bool:
        return self._hides_tables

    def check_lock(self) -> None:
        for held in self._held.values():
            held.check()

    def note_hook(self, run: HookRun, started: str) -> None:
        first = next(iter(self._targets))
        # An error or a result of the application's own may hold an address with its password.
        more = {"direction": run.ended, "result": self.mask(run.result) or None}
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
        target = self._targets[bind]
        try:
            with target.engine.begin() as connection:
                journal.write(connection, [row])
        except sa.exc.DBAPIError as error:
            what = "The deploy" if kind == "deploy" else f'Hook "{subject}"'
            reason = self.backend(target).explain(error, target)
            raise SafeMigrateError(
                f'{what} is done, but cannot be noted in table "{journal.NAME}": {reason.message}',
                hint=reason.hint,
            ) from error

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

    @cached_property
    def _means(self) -> Means:
        from flask_safemigrate.repairs.steps import Means

        return Means(
            folder=self.folder,
            versions=self.versions,
            read=self.read,
            inquiry=self.inquiry,
            config=self.config,
            copy=self.before_repair,
            apply=self.apply,
            previewed=self.previewed,
        )

    def preview(self, finding: Finding) -> tuple[str, ...]:
        from flask_safemigrate.repairs import steps

        ids = [id for step in finding.steps if step.verb == FROM_JOURNAL for id in step.names]
        return steps.preview(self._means, tuple(ids)) if ids else ()

    def before_repair(self, target: Target, say: Say) -> None:
        """Copy the database if the settings want that before it is changed."""
        if self.copies.wanted_by_repair(target):
            self.take_snapshot(target.bind, "doctor --fix", say)

    def repair(self, finding: Finding, say: Say) -> Repaired:
        from flask_safemigrate.repairs import project, steps, versions

        target = self._targets.get(finding.bind or "")
        with self._told(target):
            if target is not None and finding.code == "SM308":
                return Repaired(self._finish(target.bind, finding.subject))
            if finding.steps:
                return steps.take_steps(self._means, finding.steps, target, say)
            if finding.code in project.CODES:
                return project.repair(finding, self.folder)
            if target is not None and finding.code in versions.CHANGING:
                self.before_repair(target, say)
            return Repaired(versions.repair(finding, target))

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


def _count(connection: Connection, table: str) -> int | None:
    """The rows of a table; None for one that cannot be read, as a virtual one without content."""
    name = connection.dialect.identifier_preparer.quote(table)
    try:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() or 0)
    except DBAPIError:
        connection.rollback()
        return None
