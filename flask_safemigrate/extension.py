"""The Flask extension: stands where ``Migrate`` stood."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, overload

import click
from flask import Flask, current_app

from flask_safemigrate.errors import UsageError

if TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy
    from typing_extensions import Unpack

    from flask_safemigrate.facts.project import Failure
    from flask_safemigrate.outcome import Outcome
    from flask_safemigrate.settings import Settings
    from flask_safemigrate.wiring import Application
    from flask_safemigrate.workflows.ports import Hook
    from flask_safemigrate.workflows.requests import (
        DeployOptions,
        DoctorOptions,
        DowngradeOptions,
        LintOptions,
        ResetOptions,
        RestoreOptions,
        Say,
        SnapshotOptions,
        SnapshotsOptions,
        StatusOptions,
        UpgradeOptions,
    )

    Work = Callable[[Application, Any], Outcome]

F = TypeVar("F", bound=Callable[..., Any])


def _shown(application: Application, work: Work, options: Any, say: Say) -> Outcome:
    """Do the work of a command; whoever is told or asked sees no secret.

    :param say: told what happens, whatever the options say.
    """
    from flask_safemigrate.report.redaction import hide, redacted

    confirm = options.get("confirm")

    def hidden(work: Callable[[], Outcome]) -> Outcome:
        try:
            shown: Outcome = redacted(work(), application.mask)
        except Exception as error:
            # One that nobody foresaw has none either.
            hide(error, application.mask)
            raise
        return shown

    given = {
        **options,
        "confirm": confirm and (lambda outcome: confirm(hidden(lambda: outcome))),
        "say": lambda progress: say(redacted(progress, application.mask)),
    }
    return hidden(lambda: work(application, given))


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

    def _application(self, options: Mapping[str, Any]) -> Application:
        from flask_safemigrate.wiring import Application

        return Application(
            current_app._get_current_object(),  # type: ignore[attr-defined]
            options.get("directory"),
            tuple(options.get("x_arg", ())),
            hooks=self.hooks,
            swapped=isinstance(current_app.extensions["migrate"], MigrationConfig),
            offline=options.get("offline", False) or self.failure is not None,
            failure=self.failure,
        )

    def is_at_head(self) -> bool:
        """Whether every database of the current application is where the history ends."""
        from flask_safemigrate.outcome import Status

        return self.status().status is Status.NOTHING_TO_DO

    def status(self, **options: Unpack[StatusOptions]) -> Outcome:
        """Where each database stands; ``plans`` are empty where nothing is pending."""
        from flask_safemigrate.workflows.status import status

        return self._read("status", options, lambda ports, given: status(ports))

    def doctor(self, **options: Unpack[DoctorOptions]) -> Outcome:
        """Everything that is wrong with the project and its databases."""
        from flask_safemigrate.workflows.doctor import doctor

        outcome = self._read("doctor", options, doctor)
        if not options.get("offline") and self.failure is None:
            return outcome
        return outcome._replace(notes=(*outcome.notes, "No database was looked at."))

    def lint(self, revision: str | None = None, **options: Unpack[LintOptions]) -> Outcome:
        """What revisions would lock, lose, break or fail on; changes nothing.

        :param revision: one, or two with a colon between for all from the first to the last;
            None means the pending ones.
        """
        from flask_safemigrate.workflows.lint import lint

        return self._read("lint", options, lambda ports, given: lint(ports, revision, given))

    def upgrade(self, revision: str = "heads", **options: Unpack[UpgradeOptions]) -> Outcome:
        """Do what ``flask db safe-upgrade`` does."""
        from flask_safemigrate.workflows.safe_upgrade import upgrade

        return self._change(
            "upgrade", options, lambda ports, given: upgrade(ports, revision, given)
        )

    def downgrade(self, revision: str, **options: Unpack[DowngradeOptions]) -> Outcome:
        """Do what ``flask db safe-downgrade`` does."""
        from flask_safemigrate.workflows.safe_upgrade import downgrade

        return self._change(
            "downgrade", options, lambda ports, given: downgrade(ports, revision, given)
        )

    def deploy(self, **options: Unpack[DeployOptions]) -> Outcome:
        """Do what ``flask db deploy`` does; ``planned_hooks`` are those that would run."""
        from flask_safemigrate.workflows.deploy import deploy

        return self._change("deploy", options, deploy)

    def reset(self, **options: Unpack[ResetOptions]) -> Outcome:
        """Do what ``flask db reset`` does."""
        from flask_safemigrate.workflows.reset import reset

        return self._change("reset", options, reset)

    def take_snapshot(self, **options: Unpack[SnapshotOptions]) -> Outcome:
        """Copy one database, or all where no bind is named."""
        from flask_safemigrate.workflows.snapshots import take

        return self._change("take_snapshot", options, take)

    def snapshots(self, **options: Unpack[SnapshotsOptions]) -> Outcome:
        """The snapshots that are there, newest first."""
        from flask_safemigrate.workflows.snapshots import listed

        return self._read("snapshots", options, listed)

    def restore(self, snapshot: str | None = None, **options: Unpack[RestoreOptions]) -> Outcome:
        """Put a snapshot back, the newest one where none is named."""
        from flask_safemigrate.workflows.snapshots import restore

        return self._change(
            "restore", options, lambda ports, given: restore(ports, snapshot, given)
        )

    def _read(self, method: str, options: Any, work: Work) -> Outcome:
        """Do the work of a command that changes nothing the log would tell of."""
        from flask_safemigrate.workflows.requests import require_known, silent

        require_known(method, options)
        application = self._application(options)
        return _shown(application, work, options, options.get("say") or silent)

    def _change(self, method: str, options: Any, work: Work) -> Outcome:
        """Do the work of a command that is logged."""
        from flask_safemigrate.report.log import record, waits
        from flask_safemigrate.workflows.requests import require_known, silent

        require_known(method, options)
        say = waits(options.get("say") or silent)
        return record(_shown(self._application(options), work, options, say))
