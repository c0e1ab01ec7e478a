"""``flask db snapshots``."""

from __future__ import annotations

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.running import run


@click.command()
@options.bind
@options.shared
@click.pass_context
def snapshots(
    ctx: click.Context,
    directory: str | None,
    x_arg: tuple[str, ...],
    form: str,
    bind: str | None,
) -> None:
    """List the snapshots, newest first."""
    run(
        ctx,
        lambda call: call.service.snapshots(bind=bind),
        directory=directory,
        x_arg=x_arg,
        form=form,
    )
