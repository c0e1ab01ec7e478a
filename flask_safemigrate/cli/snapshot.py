"""``flask db snapshot``."""

from __future__ import annotations

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.running import run


@click.command()
@options.bind
@options.shared
@click.pass_context
def snapshot(
    ctx: click.Context,
    directory: str | None,
    x_arg: tuple[str, ...],
    form: str,
    bind: str | None,
) -> None:
    """Take a snapshot of every database, or of one."""
    run(
        ctx,
        lambda call: call.service.take_snapshot(bind=bind, say=call.say),
        directory=directory,
        x_arg=x_arg,
        form=form,
    )
