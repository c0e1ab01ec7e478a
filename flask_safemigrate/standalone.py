"""``flask safemigrate``: the commands for an application that has plain Flask-Migrate."""

from __future__ import annotations

from functools import cached_property

import click
from flask import Flask
from flask.cli import ScriptInfo

_LINES = "from flask_safemigrate import SafeMigrate\nSafeMigrate(app, db)"


def _attach(app: Flask) -> None:
    """Give the application our extension beside its plain Flask-Migrate."""
    from flask_safemigrate.extension import SafeMigrate

    if "safemigrate" in app.extensions or "migrate" not in app.extensions:
        return
    stock = app.extensions["migrate"]
    extension = SafeMigrate(migrate=getattr(stock, "migrate", None))
    extension.db = stock.db
    app.extensions["safemigrate"] = extension


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

    def invoke(self, ctx: click.Context) -> object:
        from flask_safemigrate.cli import app_failure

        info = ctx.ensure_object(ScriptInfo)
        try:
            app = info.load_app()
        except SystemExit:
            raise
        except Exception as error:
            raise app_failure.report(error) from error
        _attach(app)
        return super().invoke(ctx)


safemigrate = Standalone(
    "safemigrate", help="Guarded migrations for an application that has Flask-Migrate."
)
