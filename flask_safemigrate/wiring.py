"""What the workflows need from the world, of one application."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa
import sqlalchemy.exc
from flask import Flask
from sqlalchemy import Connection

from flask_safemigrate.backends.contract import SessionOptions, Target, Tracer
from flask_safemigrate.databases import addresses
from flask_safemigrate.databases.databases import Databases
from flask_safemigrate.databases.rehearsal import copied_databases, measured
from flask_safemigrate.databases.snapshots import Snapshots
from flask_safemigrate.databases.stopping import Stopping
from flask_safemigrate.errors import SafeMigrateError, UsageError
from flask_safemigrate.facts.database import DatabaseState, Table
from flask_safemigrate.facts.project import Failure, ProjectState
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import FROM_JOURNAL, Finding, Severity
from flask_safemigrate.outcome import Applied, Cured, HookRun, Snapshot
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning.plan_file import PlannedDatabase
from flask_safemigrate.project.environment import read_project
from flask_safemigrate.project.history import checksum, read_history
from flask_safemigrate.reading.filtering import Filters
from flask_safemigrate.reading.models import Models
from flask_safemigrate.reading.past import Inquiry
from flask_safemigrate.reading.state import Source, read_state
from flask_safemigrate.settings import Settings, read_settings
from flask_safemigrate.workflows.ports import Hook, Repaired
from flask_safemigrate.workflows.requests import Request, Say, patience

# Alembic and what stands on it is imported where it is used: reading needs none of it.
if TYPE_CHECKING:
    from alembic.config import Config

    from flask_safemigrate.alembic_bridge.run_record import Run
    from flask_safemigrate.databases.guard import Guard
    from flask_safemigrate.reading.comparison import Gathering
    from flask_safemigrate.repairs.steps import Means
    from flask_safemigrate.report.redaction import Mask


class Application:
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
        self._taken: dict[str, Snapshot] = {}
        self._to_prune: dict[str, Snapshot] = {}
        self._stopping = Stopping()
        self._cures: Mapping[str, tuple[bytes, bytes]] = {}

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
    def _databases(self) -> Databases:
        targets: Mapping[str, Target] = {}
        if not self._offline:
            given = self.app.extensions["migrate"].configure_args
            table = given.get("version_table") or self._project.version_table or "alembic_version"
            targets = addresses.targets_of(
                self._engines,
                self.app.config,
                version_table=table,
                version_schema=given.get("version_table_schema"),
            )
        snapshots = Snapshots(self.app, self.settings, targets, self._stopping)
        return Databases(targets, snapshots, self._stopping, self.settings.lock)

    @cached_property
    def _models(self) -> Models:
        return Models(self.app.extensions["migrate"], self._project)

    @cached_property
    def _source(self) -> Source:
        return Source(
            app=self.app,
            folder=self.folder,
            project=self._project,
            engines=self._engines,
            databases=self._databases,
            models=self._models,
            exclude=self.settings.exclude_tables,
            config=self._config,
            running=self._running,
            gathering=self._gathering,
            failure=self._failure,
        )

    def read(self, *, thorough: bool = False, compare: bool = False) -> State:
        return read_state(self._source, thorough=thorough, compare=compare)

    def _config(self) -> Config:
        """Alembic's configuration as Flask-Migrate makes it."""
        config: Config = self.app.extensions["migrate"].migrate.get_config(
            self._directory, x_arg=list(self.x_arg) or None
        )
        return config

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        """Surround what runs ``env.py``."""
        with self._stopping.raising(), self._databases.without_empty_files():
            yield

    def _gathering(self) -> Gathering:
        from flask_safemigrate.alter.options import EngineOptions
        from flask_safemigrate.reading.comparison import Gathering

        targets, models = self._databases.targets, self._models
        return Gathering(
            folder=self.folder,
            targets=targets,
            metadatas=models.metadatas,
            filters={bind: models.filters(bind) or Filters() for bind in targets},
            config=self._config,
            bind_of=self._databases.bind_of,
            options=EngineOptions(schema_edits=self.settings.schema_edits),
            exclude=self.settings.exclude_tables,
            x_arg=self.x_arg,
        )

    def losses(self, plans: Sequence[Plan], state: State) -> tuple[str, ...]:
        from flask_safemigrate.reading.losses import losses_of

        try:
            with self._running():
                replays = self._gathering().replays(state)
        except Exception as error:
            return (f"What goes along could not be told: {str(error).splitlines()[0]}",)
        return tuple(losses_of(plans, replays, self._databases.targets))

    def hazards(
        self,
        plans: Sequence[Plan],
        state: State,
        *,
        small: bool = True,
        only: frozenset[str] | None = None,
        replay: bool = False,
    ) -> Sequence[Finding]:
        from flask_safemigrate.reading.asking import counted_rows

        many = self.settings.large_table
        found: list[Finding] = []
        databases = {database.bind: database for database in state.databases}
        arguments = self.app.extensions["migrate"].configure_args
        for plan in plans:
            # Where a revision is half applied, the run goes on behind what is in.
            if plan.empty or any(row.changes for row in databases[plan.bind].progress):
                continue
            database, rows, harmless = databases[plan.bind], None, False
            apart = bool(arguments.get("transaction_per_migration"))
            failed: list[Finding] = []
            if not small and not self._databases.backend(plan.bind).transactional_ddl:
                from flask_safemigrate.reading.hazards import failing

                with self._running():
                    failed = failing(database, plan.steps, self._config(), each=apart)
                found += failed
            if not small:
                rows = counted_rows(self._databases.targets[plan.bind], database, many)
                if not any(each is None or each for each in rows.values()):
                    continue
                harmless = all(each is not None and each < many for each in rows.values())
            from flask_safemigrate.reading.hazards import hazards_of

            first = 0
            if replay and only is not None:
                first = next(at for at, step in enumerate(plan.steps) if step.id in only)
            said = {(finding.code, finding.file, finding.line) for finding in failed}
            with self._running():
                judged = hazards_of(
                    None if replay else self._databases.targets[plan.bind],
                    database,
                    plan.steps[first:],
                    plan.steps[:first],
                    self._config(),
                    dialect=database.dialect,
                    many=many,
                    each=apart,
                    metadatas=self._models.metadatas.get(plan.bind, ()),
                    rows=rows,
                    small=small,
                    only=only,
                )
            found += (
                f._replace(severity=Severity.INFO) if harmless else f
                for f in judged
                if (f.code, f.file, f.line) not in said
            )
        return tuple(sorted(found, key=lambda f: -f.severity))

    def cures(self, findings: Sequence[Finding]) -> tuple[tuple[Cured, ...], tuple[str, ...]]:
        from flask_safemigrate.repairs.cures import cures_of

        found, left, self._cures = cures_of(findings)
        return found, left

    def write_cures(self, cured: Sequence[Cured]) -> None:
        from flask_safemigrate.repairs.cures import write

        write({each.path: self._cures[each.path] for each in cured})

    def describe(self, plans: Sequence[Plan], state: State) -> tuple[PlannedDatabase, ...]:
        from flask_safemigrate.reading.plan_files import described

        databases = {database.bind: database for database in state.databases}
        with self._running():
            return tuple(
                described(
                    plan,
                    self._databases.targets[plan.bind],
                    databases[plan.bind],
                    self._config(),
                    {step.id: checksum(step.path) for step in plan.steps},
                    without=self.settings.exclude_tables,
                    metadatas=self._models.metadatas.get(plan.bind, ()),
                )
                for plan in plans
            )

    def write_plan(self, path: str, text: str) -> None:
        try:
            Path(path).write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f'"{path}" cannot be written: {error.strerror or error}.') from error

    def read_plan(self, path: str) -> str:
        try:
            return Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise UsageError(
                f'The plan "{path}" cannot be read: {why}.',
                hint="flask db safe-upgrade --plan-out FILE writes one",
            ) from error

    def unasked(self, dialect: str | None = None) -> tuple[DatabaseState, ...]:
        return addresses.unasked(self._engines, dialect)

    def missing_in(self, branch: str, state: State) -> frozenset[str]:
        from flask_safemigrate.project.git import missing_in

        paths = {revision.path: revision.id for revision in state.history.by_id.values()}
        missing = missing_in(branch, map(Path, state.project.locations), paths)
        if missing is None:
            name = shlex.quote(branch.removeprefix("origin/"))
            raise UsageError(
                f"git knows no branch '{branch}' in the repository of \"{self.folder}\".",
                hint=f"git fetch origin {name}, then flask db lint --base origin/{name}",
            )
        return frozenset(paths[path] for path in missing)

    def count_rows(self, bind: str) -> tuple[Table, ...]:
        return self._databases.count_rows(bind)

    def lock(
        self, binds: Sequence[str], wait: float, say: Say
    ) -> contextlib.AbstractContextManager[None]:
        return self._databases.lock(binds, wait, say)

    def check_lock(self) -> None:
        for held in self._databases.held.values():
            held.check()

    def _run(
        self,
        plans: Sequence[Plan],
        request: Request,
        *,
        rehearse: Callable[[str], Connection] | None = None,
    ) -> Run:
        from flask_safemigrate.alembic_bridge.run_record import Run
        from flask_safemigrate.alter.options import EngineOptions
        from flask_safemigrate.databases.guard import Guard

        databases, settings = self._databases, self.settings
        history = read_history(self.folder)
        wait = patience(request.options, settings)
        options = SessionOptions(settings.lock_timeout, settings.statement_timeout, wait)

        def guard_of(bind: str, connection: Connection) -> Guard:
            plan = next(plan for plan in plans if plan.bind == bind)
            # The run has seen by now that the database is still where it was read.
            state = databases.known(bind)
            wanted = rehearse is None and databases.snapshots.wanted(state, plan, request)
            return Guard(
                databases.backend(bind),
                databases.targets[bind],
                connection,
                options,
                request.say,
                partial(self._take_once, state, plan, request) if wanted else None,
                databases.held.get(bind) if rehearse is None else None,
                watches=rehearse is None,
            )

        def tracer_of(bind: str, connection: Connection) -> Tracer | None:
            make = databases.backend(bind).tracer if rehearse is not None else None
            return make(connection) if make is not None else None

        return Run(
            config=self._config(),
            direction=request.direction,
            revision=request.revision,
            plans={plan.bind: plan for plan in plans},
            databases=databases,
            guard_of=guard_of,
            options=EngineOptions(
                schema_edits=settings.schema_edits,
                secure_delete=settings.secure_delete,
                record=rehearse is not None,
            ),
            say=request.say,
            sources={r.id: r.path for r in history.revisions},
            checksum=checksum,
            keep_journal=self.keeps_journal,
            environment=settings.environment,
            patience=wait,
            ancestors=history.ancestors,
            rehearse=rehearse,
            tracer_of=tracer_of,
        )

    def _take_once(self, state: DatabaseState, plan: Plan, request: Request) -> Snapshot:
        """Take a snapshot, unless the run made way for another session and has one already."""
        known = self._taken.get(plan.bind)
        if known is None or set(known.revisions) != set(plan.start):
            known = self._taken[plan.bind] = self._take(state, request.command, request.say)
        return known

    def apply(self, plans: Sequence[Plan], request: Request) -> tuple[Applied, ...]:
        from flask_safemigrate.alembic_bridge.run import run_plans

        with self._running():
            return run_plans(self._run(plans, request))

    def rehearse(self, plans: Sequence[Plan], request: Request) -> tuple[Applied, ...]:
        from flask_safemigrate.alembic_bridge.run import run_plans

        databases, rows = self._databases, bool(request.options.get("with_rows"))
        starts = {plan.bind: plan.start for plan in plans if not plan.empty}
        with (
            self._running(),
            copied_databases(databases.targets, starts, request.say, rows=rows) as connect,
        ):
            done = run_plans(self._run(plans, request, rehearse=connect))
        return tuple(measured(work, databases.targets[work.bind], rows=rows) for work in done)

    def script(self, plans: Sequence[Plan]) -> str:
        from flask_safemigrate.alembic_bridge.offline import script_of

        work = [plan for plan in plans if not plan.empty]
        if len(self._databases.targets) > 1 and work:
            raise UsageError(
                "The SQL of several databases, of which some are on servers, is not printed here.",
                hint="flask db upgrade --sql, which writes a file for each",
            )
        return "".join(script_of(self._config(), plan) for plan in work)

    def _take(self, state: DatabaseState, why: str, say: Say) -> Snapshot:
        taken = self._databases.snapshots.take(state, why, say)
        self._to_prune[state.bind] = taken
        return taken

    def take_snapshot(self, bind: str, why: str, say: Say) -> Snapshot:
        return self._take(self._databases.read(bind), why, say)

    def prune_snapshots(self, keep: Sequence[str] = ()) -> None:
        while self._to_prune:
            bind, taken = self._to_prune.popitem()
            self._databases.snapshots.prune(self._databases.read(bind), taken, keep)

    def snapshots(self, bind: str) -> tuple[Snapshot, ...]:
        return self._databases.snapshots.of(self._databases.known(bind))

    def find_snapshot(self, bind: str, name: str | None) -> Snapshot:
        return self._databases.snapshots.find(self._databases.known(bind), name)

    def verify_snapshot(self, snapshot: Snapshot) -> None:
        self._databases.snapshots.verify(snapshot)

    def put_back(self, snapshot: Snapshot, say: Say) -> tuple[str, ...]:
        return self._databases.snapshots.put_back(snapshot, say)

    def put_back_into(self, name: str, snapshot: Snapshot, say: Say) -> DatabaseState:
        return self._databases.snapshots.put_back_into(name, snapshot, say)

    def drop_everything(self, bind: str) -> None:
        self._databases.drop_everything(bind)

    def reset_allowed(self) -> bool:
        return bool(self.app.debug or self.app.testing or self.settings.allow_reset)

    @property
    def keeps_environment(self) -> bool:
        """Whether ``flask db migrate`` is known not to see tables of ours.

        The filter goes in with the arguments that ``env.py`` hands on, under a keyword that it
        does not use itself.
        """
        taken = self._project.configure_keywords
        return self._swapped and "**" in taken and not {"include_name", "include_object"} <= taken

    @property
    def keeps_journal(self) -> bool:
        return self.keeps_environment and self.settings.journal

    def note_deploy(self, binds: Sequence[str], started: str) -> None:
        environment = self.settings.environment
        if self.keeps_journal or (self.keeps_environment and environment):
            for bind in binds:
                self._databases.note(
                    bind, "deploy", "deploy", started=started, environment=environment
                )

    def note_hook(self, run: HookRun, started: str) -> None:
        if not self.keeps_journal:
            return
        self._databases.note(
            next(iter(self._databases.targets)),
            "hook",
            run.name,
            started=started,
            environment="",
            seconds=run.seconds,
            direction=run.ended,
            # An error or a result of the application's own may hold an address with its password.
            result=self.mask(run.result) or None,
        )

    def hooks(self, kind: Literal["deploy", "seed"]) -> tuple[Hook, ...]:
        return self._hooks(kind)

    @cached_property
    def _means(self) -> Means:
        from flask_safemigrate.repairs.steps import Means

        folders = self._project.locations
        return Means(
            folder=self.folder,
            versions=Path(folders[0]) if folders else self.folder / "versions",
            read=self.read,
            inquiry=lambda p: Inquiry(self.folder, p.locations, self._databases.targets),
            config=self._config,
            copy=self._copy,
            apply=self.apply,
            previewed={},
        )

    def preview(self, finding: Finding) -> tuple[str, ...]:
        from flask_safemigrate.repairs import steps

        ids = [id for step in finding.steps if step.verb == FROM_JOURNAL for id in step.names]
        return steps.preview(self._means, tuple(ids)) if ids else ()

    def _copy(self, bind: str, say: Say) -> None:
        """Copy a database if the settings want that before it is repaired."""
        state = self._databases.read(bind)
        if self._databases.snapshots.wanted_by_repair(state):
            self._take(state, "doctor --fix", say)

    def repair(self, finding: Finding, say: Say) -> Repaired:
        from flask_safemigrate.repairs.steps import take_steps

        target = self._databases.targets.get(finding.bind or "")
        with self._told(target):
            return take_steps(self._means, finding.steps, target, say)

    @contextlib.contextmanager
    def _told(self, target: Target | None) -> Iterator[None]:
        """Turn what the system or the driver raises into what a person can read."""
        try:
            yield
        except OSError as error:
            raise SafeMigrateError(f"{error.strerror or error}: {error.filename}") from error
        except sqlalchemy.exc.SQLAlchemyError as error:
            known = self._databases.explain(target.bind, error) if target is not None else None
            first = str(getattr(error, "orig", error)).strip().splitlines()[0]
            raise known or SafeMigrateError(first) from error
