"""``flask db upgrade`` where ``SAFEMIGRATE_GUARD_UPGRADE`` is set."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from flask_safemigrate.cli.running import run


def guarded_upgrade(stock: click.Command) -> click.Command:
    """Return a command that takes what Flask-Migrate's takes and upgrades by our workflow.

    ``--sql`` and ``--tag`` do not upgrade and go to Flask-Migrate's own command.
    """

    @click.pass_context
    def upgrade(
        ctx: click.Context,
        directory: str | None,
        sql: bool,
        tag: str | None,
        x_arg: tuple[str, ...],
        revision: str,
    ) -> None:
        if sql or tag:
            ctx.invoke(
                stock, directory=directory, sql=sql, tag=tag, x_arg=x_arg, revision=revision
            )
            return
        given = {"revision": revision, "directory": directory, "x_arg": x_arg, "asks": False}
        run(ctx, "upgrade", {**given, "form": "text"})

    return click.Command(
        "upgrade",
        params=stock.params,
        callback=with_appcontext(upgrade),
        help="Upgrade to a later version, as safe-upgrade does, without asking.",
    )
