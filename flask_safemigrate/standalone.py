"""The commands where the application has no part in them.

``flask safemigrate`` is for an application that has plain Flask-Migrate, or none. ``flask db`` is
the application's own; where that cannot be loaded, it still has the doctor.
"""

from __future__ import annotations

import os
from functools import cached_property
from types import SimpleNamespace
from typing import Any, NoReturn

import click
from flask import Flask, current_app
from flask.cli import ScriptInfo

_DOCTOR = "doctor"
_KEY = "flask_safemigrate.failure"


def _attach(app: Flask) -> None:
    """Give the application our extension beside its plain Flask-Migrate.

    What its ``env.py`` hands to Alembic gets the filter that keeps our own tables out of
    ``flask db migrate``, as where ``SafeMigrate`` stands. A group by another name is not run by
    us, so that there our tables would be seen, and are not made.
    """
    from flask_safemigrate.extension import MigrationConfig, SafeMigrate

    if "safemigrate" in app.extensions or "migrate" not in app.extensions:
        return
    stock = app.extensions["migrate"]
    extension = SafeMigrate(migrate=getattr(stock, "migrate", None))
    extension.db = stock.db
    app.extensions["safemigrate"] = extension
    if db.name in app.cli.commands:
        app.extensions["migrate"] = MigrationConfig(
            stock.migrate, stock.db, stock.directory, dict(stock.configure_args)
        )


def _guarded(own: click.Command, app: Flask) -> click.Command:
    """Return the application's group, with ours where a setting asks to guard ``upgrade``."""
    from flask_safemigrate.settings import PREFIX

    if not any(key.startswith(PREFIX) for key in app.config):
        return own
    from flask_migrate.cli import db as stock

    from flask_safemigrate.cli.group import command_group, is_guarded

    if own is not stock or not is_guarded(app.config):
        return own
    return command_group(db.name or "", guarded=True)


def _for_doctor(app: Flask, error: Exception | None) -> None:
    """Let the doctor look at an application that never asked for migrations.

    :param error: why the application is only a stand-in.
    """
    from flask_safemigrate.cli import app_failure
    from flask_safemigrate.extension import MigrationConfig, SafeMigrate

    if "safemigrate" in app.extensions:
        return
    extension = SafeMigrate()
    extension.attached = True
    if error is not None:
        extension.failure = app_failure.failure(error)
    nothing = SimpleNamespace(engines={}, metadatas={})
    db = app.extensions.get("sqlalchemy", nothing)
    app.extensions["migrate"] = MigrationConfig(extension, db, extension.directory, {})
    app.extensions["safemigrate"] = extension


def _stop(error: Exception) -> NoReturn:
    from flask_safemigrate.cli import app_failure

    raise app_failure.report(error) from error


class Standalone(click.Group):
    """The commands, made when they are used."""

    @cached_property
    def _ours(self) -> dict[str, click.Command]:
        from flask_safemigrate import cli

        return {command.name or "": command for command in cli.commands()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._ours)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._ours.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        error = ctx.meta.get(_KEY)
        if name == _DOCTOR:
            _for_doctor(current_app._get_current_object(), error)  # type: ignore[attr-defined]
        elif error is not None:
            _stop(error)
        return name, command, rest

    def invoke(self, ctx: click.Context) -> object:
        info = ctx.ensure_object(ScriptInfo)
        try:
            app = info.load_app()
        except SystemExit:
            raise
        except Exception as error:
            ctx.meta[_KEY] = error
            app = Flask("application", root_path=os.getcwd())
        _attach(app)
        with app.app_context():
            return super().invoke(ctx)


class ApplicationGroup(click.Group):
    """The group of this name that the application has; the doctor alone where there is none.

    Flask asks for commands of installed packages before it loads the application, which is the
    only way to answer where that fails.
    """

    @property
    def hidden(self) -> bool:
        """Whether the application is known and has no such group."""
        context = click.get_current_context(silent=True)
        info = context.find_object(ScriptInfo) if context is not None else None
        app = getattr(info, "_loaded_app", None)
        return app is not None and self.name not in app.cli.commands

    @hidden.setter
    def hidden(self, value: bool) -> None: ...

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        assert parent is not None
        first = next((each for each in args if not each.startswith("-")), "")
        try:
            app = parent.ensure_object(ScriptInfo).load_app()
        except Exception as error:
            if first not in safemigrate.list_commands(parent):
                raise
            if first != _DOCTOR:
                _stop(error)
            return safemigrate.make_context(info_name, args, parent=parent, **extra)
        if not current_app or current_app._get_current_object() is not app:  # type: ignore[attr-defined]
            parent.with_resource(app.app_context())
        own = app.cli.get_command(parent, self.name or "")
        if own is not None:
            _attach(app)
            return _guarded(own, app).make_context(info_name, args, parent=parent, **extra)
        if first != _DOCTOR:
            parent.fail(f"No such command '{info_name}'.")
        return safemigrate.make_context(info_name, args, parent=parent, **extra)


safemigrate = Standalone(
    "safemigrate", help="Guarded migrations for an application that has Flask-Migrate."
)
db = ApplicationGroup("db", help="Perform database migrations.")
