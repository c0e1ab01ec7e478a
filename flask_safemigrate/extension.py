"""The Flask extension: stands where ``Migrate`` stood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, overload

import click
from flask import Flask, current_app

from flask_safemigrate.errors import UsageError

if TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy

    from flask_safemigrate.checkout import Failure
    from flask_safemigrate.outcome import Outcome, Progress
    from flask_safemigrate.settings import Settings
    from flask_safemigrate.wiring import Application
    from flask_safemigrate.workflows.ports import Confirm, Hook, Say

F = TypeVar("F", bound=Callable[..., Any])


def _silent(progress: Progress) -> None:
    """For whoever calls from Python and does not want to be told."""


class _Reader:
    """Whoever is told what a command does, and sees no secret in it.

    :param application: as the command sees it.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def told(self, work: Callable[[], Outcome]) -> Outcome:
        """Do the work and return its outcome; an error that nobody foresaw has no secret, too."""
        from flask_safemigrate.report.redaction import hide, redacted

        try:
            shown: Outcome = redacted(work(), self._application.mask)
        except Exception as error:
            hide(error, self._application.mask)
            raise
        return shown

    def recorded(self, work: Callable[[], Outcome]) -> Outcome:
        from flask_safemigrate.report.log import record

        return record(self.told(work))

    def asked(self, confirm: Confirm | None) -> Confirm | None:
        return None if confirm is None else lambda outcome: confirm(self.told(lambda: outcome))

    def hears(self, say: Say | None) -> Say:
        from flask_safemigrate.report.redaction import redacted

        if say is None:
            return _silent
        return lambda progress: say(redacted(progress, self._application.mask))

    def waits(self, say: Say | None) -> Say:
        from flask_safemigrate.report.log import waits

        return self.hears(waits(say or _silent))


class MigrationConfig:
    """What stands in ``app.extensions["migrate"]``, as Flask-Migrate's own object does.

    :param configure_args: what Flask-Migrate's ``env.py`` hands to ``context.configure``.
    """

    def __init__(
        self, migrate: Any, db: SQLAlchemy, directory: str, arguments: dict[str, Any]
    ) -> None:
        self.migrate = migrate
        self.db = db
        self.directory = directory
        self._arguments = arguments

    @cached_property
    def configure_args(self) -> dict[str, Any]:
        """The arguments, with a filter that keeps our journal out of autogenerate."""
        from flask_safemigrate.cli.group import hide_journal

        return hide_journal(self._arguments, self.directory)

    @property
    def metadata(self) -> Any:
        """For an ``env.py`` of Flask-Migrate 1, which asks for it."""
        return self.db.metadata


class CommandGroup(click.Group):
    """``flask db``, made when it is used.

    Flask-Migrate's command line and Alembic take longer to import than most applications; a
    server never needs them, and of our own commands only those that run revisions do.
    """

    def __init__(self, name: str, load: Callable[[], click.Group]) -> None:
        super().__init__(name, help="Perform database migrations.")
        self._load = load

    @cached_property
    def _group(self) -> click.Group:
        return self._load()

    @cached_property
    def _ours(self) -> dict[str | None, click.Command]:
        from flask_safemigrate import cli

        return {command.name: command for command in cli.commands()}

    def make_context(
        self, info_name: str | None, args: list[str], *more: Any, **kwargs: Any
    ) -> click.Context:
        # What stands before the command is for Flask-Migrate's group to read.
        if args and args[0] in self._ours:
            return super().make_context(info_name, args, *more, **kwargs)
        return self._group.make_context(info_name, args, *more, **kwargs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._ours.get(cmd_name) or self._group.get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return self._group.list_commands(ctx)


class SafeMigrate:
    """Flask-Migrate with guarded commands.

    Takes what :class:`flask_migrate.Migrate` takes; every other keyword goes on to Alembic's
    ``EnvironmentContext.configure``. An existing ``Migrate`` can be handed over as ``migrate``.

    :param app: the application, or None when :meth:`init_app` is called later.
    :param db: the ``flask_sqlalchemy.SQLAlchemy`` object.
    :param directory: the migrations folder.
    :param command: name of the command group, ``flask db`` by default.
    :param migrate: a ``flask_migrate.Migrate`` whose configuration is taken over.
    """

    def __init__(
        self,
        app: Flask | None = None,
        db: SQLAlchemy | None = None,
        directory: str = "migrations",
        command: str = "db",
        compare_type: bool = True,
        render_as_batch: bool = True,
        *,
        migrate: Any = None,
        **kwargs: Any,
    ) -> None:
        self.db = db
        self.directory = str(directory)
        self.command = command
        self.configure_callbacks: list[Callable[[Any], Any]] = []
        self.alembic_ctx_kwargs: dict[str, Any] = {
            **kwargs,
            "compare_type": compare_type,
            "render_as_batch": render_as_batch,
        }
        self._hooks: dict[str, list[Hook]] = {"deploy": [], "seed": []}
        #: Whether the application itself never asked for migrations.
        self.attached = False
        #: Why the application is only a stand-in for one that could not be loaded.
        self.failure: Failure | None = None
        if migrate is not None:
            self._take_over(migrate)
        if app is not None and self.db is not None:
            self.init_app(app)

    def _take_over(self, migrate: Any) -> None:
        self.db = self.db or migrate.db
        self.directory = migrate.directory
        self.command = migrate.command
        self.configure_callbacks = migrate.configure_callbacks
        self.alembic_ctx_kwargs.update(migrate.alembic_ctx_kwargs)

    def init_app(
        self,
        app: Flask,
        db: SQLAlchemy | None = None,
        directory: str | None = None,
        command: str | None = None,
        compare_type: bool | None = None,
        render_as_batch: bool | None = None,
        *,
        migrate: Any = None,
        **kwargs: Any,
    ) -> None:
        """Register with an application; imports neither Alembic nor Flask-Migrate.

        :raises UsageError: there is no ``db`` to migrate.
        """
        if migrate is not None:
            self._take_over(migrate)
        self.db = db or self.db
        if self.db is None:
            raise UsageError(
                "SafeMigrate has no database object.", hint="migrate.init_app(app, db)"
            )
        self.directory = str(directory or self.directory)
        self.command = command or self.command
        self.alembic_ctx_kwargs.update(kwargs)
        if compare_type is not None:
            self.alembic_ctx_kwargs["compare_type"] = compare_type
        if render_as_batch is not None:
            self.alembic_ctx_kwargs["render_as_batch"] = render_as_batch
        app.extensions["migrate"] = MigrationConfig(
            self, self.db, self.directory, dict(self.alembic_ctx_kwargs)
        )
        app.extensions["safemigrate"] = self
        name = self.command

        def load() -> click.Group:
            from flask_safemigrate.cli.group import command_group, is_guarded

            # A test runner of the application comes here before it pushes a context.
            return command_group(name, is_guarded(app.config))

        app.cli.add_command(CommandGroup(name, load), name=name)

    @cached_property
    def stock(self) -> Any:
        """A ``flask_migrate.Migrate`` of the same configuration."""
        from flask_migrate import Migrate

        stock = Migrate(None, self.db, self.directory, self.command, **self.alembic_ctx_kwargs)
        stock.configure_callbacks = self.configure_callbacks
        return stock

    def configure(self, f: F) -> F:
        """Register a function that may change Alembic's configuration, as Flask-Migrate does."""
        self.configure_callbacks.append(f)
        return f

    def call_configure_callbacks(self, config: Any) -> Any:
        """Let the registered functions change a configuration."""
        for callback in self.configure_callbacks:
            config = callback(config)
        return config

    def get_config(self, directory: str | None = None, x_arg: Any = None, opts: Any = None) -> Any:
        """Return Alembic's configuration, as ``flask_migrate.Migrate.get_config`` does."""
        if directory is None:
            directory = current_app.extensions["migrate"].directory
        return self.stock.get_config(directory, x_arg=x_arg, opts=opts)

    @overload
    def on_deploy(self, f: F) -> F: ...

    @overload
    def on_deploy(
        self, f: None = None, *, name: str | None = None, once: bool = False
    ) -> Callable[[F], F]: ...

    def on_deploy(self, f: Any = None, *, name: str | None = None, once: bool = False) -> Any:
        """Register a function that ``flask db deploy`` runs after every upgrade.

        It runs in an application context, in the order of registration, on every deploy; so it
        must be safe to run again. What it returns is kept in the journal as text.

        :param name: what it is known by, the function's own name unless given.
        :param once: run it until it has succeeded once per database. That is written down after
            it has returned, by its name; a process that is killed between the two runs it again.
        :raises UsageError: another hook has this name, so that one could not be told from the
            other.
        """
        return self._register("deploy", f, name, once)

    @overload
    def on_seed(self, f: F) -> F: ...

    @overload
    def on_seed(self, f: None = None, *, name: str | None = None) -> Callable[[F], F]: ...

    def on_seed(self, f: Any = None, *, name: str | None = None) -> Any:
        """Register a function that ``flask db reset`` runs after it has rebuilt the database."""
        return self._register("seed", f, name)

    def _register(self, kind: str, f: Any, name: str | None, once: bool = False) -> Any:
        from flask_safemigrate.workflows.ports import Hook

        def keep(function: F) -> F:
            known = name or str(getattr(function, "__name__", "hook"))
            if any(h.name == known and (once or h.once) for h in self._hooks[kind]):
                raise UsageError(
                    f'Two deploy hooks have the name "{known}", and one is to run once.',
                    hint='@migrate.on_deploy(once=True, name="another name")',
                )
            self._hooks[kind].append(Hook(known, function, once))
            return function

        return keep if f is None else keep(f)

    def hooks(self, kind: str) -> tuple[Hook, ...]:
        """The registered hooks, ``deploy`` or ``seed``, in order."""
        return tuple(self._hooks[kind])

    @property
    def settings(self) -> Settings:
        """The ``SAFEMIGRATE_*`` settings of the current application.

        :raises UsageError: a setting is unknown or wrong.
        """
        from flask_safemigrate.settings import read_settings

        return read_settings(current_app.config)

    def _application(
        self, directory: str | None = None, x_arg: Sequence[str] = (), *, offline: bool = False
    ) -> Application:
        from flask_safemigrate.wiring import Application

        return Application(
            current_app._get_current_object(),  # type: ignore[attr-defined]
            directory,
            tuple(x_arg),
            hooks=self.hooks,
            swapped=isinstance(current_app.extensions["migrate"], MigrationConfig),
            offline=offline or self.failure is not None,
            failure=self.failure,
        )

    def is_at_head(self) -> bool:
        """Whether every database of the current application is where the history ends."""
        from flask_safemigrate.outcome import Status

        return self.status().status is Status.NOTHING_TO_DO

    def status(self, *, directory: str | None = None) -> Outcome:
        """Where each database stands; ``plans`` are empty where nothing is pending."""
        from flask_safemigrate.workflows.status import status

        application = self._application(directory)
        return _Reader(application).told(lambda: status(application))

    def doctor(
        self,
        *,
        directory: str | None = None,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        fix: Sequence[str] | None = None,
        from_journal: bool = False,
        strict: bool = False,
        fast: bool = False,
        offline: bool = False,
        confirm: Confirm | None = None,
        say: Say | None = None,
    ) -> Outcome:
        """Everything that is wrong with the project and its databases.

        :param fix: None repairs nothing, an empty list all that can be, else these codes.
        :param from_journal: let repairs write revision files, which run, of which only a database
            has the text; ``confirm`` gets the whole of it in the notes.
        :param strict: let warnings fail too.
        :param fast: do not replay the history to compare the schemas, and do not judge the
            pending revisions.
        :param offline: look at files only, and connect to no database.
        """
        from flask_safemigrate.workflows.doctor import doctor

        application = self._application(directory, offline=offline)
        reader = _Reader(application)
        outcome = reader.told(
            lambda: doctor(
                application,
                select=select,
                ignore=ignore,
                fix=fix,
                from_journal=from_journal,
                strict=strict,
                fast=fast,
                confirm=reader.asked(confirm),
                say=reader.hears(say),
            )
        )
        if not offline and self.failure is None:
            return outcome
        return outcome._replace(notes=(*outcome.notes, "No database was looked at."))

    def lint(
        self,
        revision: str | None = None,
        *,
        directory: str | None = None,
        x_arg: Sequence[str] = (),
        since: str | None = None,
        base: str | None = None,
        strict: bool = False,
        offline: bool = False,
        dialect: str | None = None,
    ) -> Outcome:
        """What revisions would lock, lose, break or fail on; changes nothing.

        :param revision: one, or two with a colon between for all from the first to the last;
            None means the pending ones.
        :param since: judge what comes after this one.
        :param base: judge the revisions whose files this branch of git does not have.
        :param strict: let warnings fail too.
        :param offline: connect to no database; the revisions must be named then.
        :param dialect: of databases that are not asked, where their URLs do not tell or are wrong.
        """
        from flask_safemigrate.planning import Selection
        from flask_safemigrate.workflows.lint import lint

        application = self._application(directory, x_arg, offline=offline)
        selection = Selection(revision, since)
        return _Reader(application).told(
            lambda: lint(
                application,
                selection=selection,
                strict=strict,
                base=base,
                offline=offline,
                dialect=dialect,
            )
        )

    def upgrade(
        self,
        revision: str = "heads",
        *,
        directory: str | None = None,
        x_arg: Sequence[str] = (),
        dry_run: bool = False,
        sql: bool = False,
        allow: Sequence[str] = (),
        snapshot: bool | None = None,
        lock_wait: float | None = None,
        confirm: Confirm | None = None,
        asks: bool = True,
        say: Say | None = None,
    ) -> Outcome:
        """Do what ``flask db safe-upgrade`` does.

        :param sql: of a dry run: ``script`` is the SQL where nothing can be tried on a copy.
        :param lock_wait: seconds.
        :param asks: whether ``confirm`` may say no, and does not only show the plan.
        """
        from flask_safemigrate.workflows.ports import Request
        from flask_safemigrate.workflows.safe_upgrade import safe_upgrade

        application = self._application(directory, x_arg)
        reader = _Reader(application)
        request = Request(
            "safe-upgrade",
            revision,
            "upgrade",
            dry_run=dry_run,
            sql=sql,
            allow=tuple(allow),
            snapshot=snapshot,
            lock_wait=lock_wait,
            confirm=reader.asked(confirm),
            asks=asks,
            say=reader.waits(say),
        )
        return reader.recorded(lambda: safe_upgrade(application, request))

    def downgrade(
        self,
        revision: str,
        *,
        directory: str | None = None,
        x_arg: Sequence[str] = (),
        dry_run: bool = False,
        sql: bool = False,
        allow: Sequence[str] = (),
        snapshot: bool | None = None,
        lock_wait: float | None = None,
        confirm: Confirm | None = None,
        say: Say | None = None,
    ) -> Outcome:
        """Do what ``flask db safe-downgrade`` does.

        :param sql: of a dry run: ``script`` is the SQL where nothing can be tried on a copy.
        :param lock_wait: seconds.
        """
        from flask_safemigrate.workflows.ports import Request
        from flask_safemigrate.workflows.safe_upgrade import safe_upgrade

        application = self._application(directory, x_arg)
        reader = _Reader(application)
        request = Request(
            "safe-downgrade",
            revision,
            "downgrade",
            dry_run=dry_run,
            sql=sql,
            allow=tuple(allow),
            snapshot=snapshot,
            lock_wait=lock_wait,
            confirm=reader.asked(confirm),
            say=reader.waits(say),
        )
        return reader.recorded(lambda: safe_upgrade(application, request))

    def deploy(
        self,
        *,
        directory: str | None = None,
        x_arg: Sequence[str] = (),
        dry_run: bool = False,
        allow: Sequence[str] = (),
        wait: float | None = None,
        snapshot: bool | None = None,
        lock_wait: float | None = None,
        phase: str = "all",
        confirm: Confirm | None = None,
        say: Say | None = None,
    ) -> Outcome:
        """Do what ``flask db deploy`` does.

        :param dry_run: change nothing; ``planned_hooks`` are those that would run.
        :param phase: run the revisions of one phase, ``before`` or ``after`` the new code is
            live, or of ``all``.
        :param confirm: shown the plan before anything is changed.
        :param wait: seconds to wait for a database that is on its way up.
        :param lock_wait: seconds.
        """
        from flask_safemigrate.workflows.deploy import deploy
        from flask_safemigrate.workflows.ports import Request

        application = self._application(directory, x_arg)
        reader = _Reader(application)
        request = Request(
            "deploy",
            dry_run=dry_run,
            allow=tuple(allow),
            snapshot=snapshot,
            lock_wait=lock_wait,
            wait=wait,
            phase=phase,
            confirm=reader.asked(confirm),
            say=reader.waits(say),
        )
        return reader.recorded(lambda: deploy(application, request))

    def reset(
        self,
        *,
        directory: str | None = None,
        x_arg: Sequence[str] = (),
        snapshot: bool | None = None,
        lock_wait: float | None = None,
        confirm: Confirm | None = None,
        say: Say | None = None,
    ) -> Outcome:
        """Do what ``flask db reset`` does.

        :param lock_wait: seconds.
        """
        from flask_safemigrate.workflows.ports import Request
        from flask_safemigrate.workflows.reset import reset

        application = self._application(directory, x_arg)
        reader = _Reader(application)
        request = Request(
            "reset",
            snapshot=snapshot,
            lock_wait=lock_wait,
            confirm=reader.asked(confirm),
            say=reader.waits(say),
        )
        return reader.recorded(lambda: reset(application, request))

    def take_snapshot(
        self, *, bind: str | None = None, why: str = "by hand", say: Say | None = None
    ) -> Outcome:
        """Copy one database, or all where no bind is named."""
        from flask_safemigrate.workflows.snapshots import take

        application = self._application()
        reader = _Reader(application)
        return reader.recorded(lambda: take(application, bind, why, reader.waits(say)))

    def snapshots(
        self, *, bind: str | None = None, verify: bool = False, say: Say | None = None
    ) -> Outcome:
        """The snapshots that are there, newest first.

        :param verify: read every one to its end; a damaged one fails the outcome.
        """
        from flask_safemigrate.workflows.snapshots import listed

        application = self._application()
        reader = _Reader(application)
        return reader.told(lambda: listed(application, bind, verify, reader.hears(say)))

    def restore(
        self,
        snapshot: str | None = None,
        *,
        bind: str | None = None,
        into: str | None = None,
        lock_wait: float | None = None,
        confirm: Confirm | None = None,
        say: Say | None = None,
    ) -> Outcome:
        """Put a snapshot back, the newest one where none is named.

        :param into: another database of the same server, or another SQLite file, that is empty.
        :param lock_wait: seconds.
        """
        from flask_safemigrate.workflows.ports import Request
        from flask_safemigrate.workflows.snapshots import restore

        application = self._application()
        reader = _Reader(application)
        request = Request(
            "restore",
            lock_wait=lock_wait,
            confirm=reader.asked(confirm),
            say=reader.waits(say),
        )
        return reader.recorded(lambda: restore(application, snapshot, bind, request, into))
