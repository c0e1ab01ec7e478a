"""``flask db snapshots``."""

from __future__ import annotations

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.running import run


@click.command()
@options.bind
@click.option("--verify", is_flag=True, help="Read every one of them to its end.")
@options.shared
@click.pass_context
def snapshots(
    ctx: click.Context,
    directory: str | None,
    x_arg: tuple[str, ...],
    form: str,
    bind: str | None,
    verify: bool,
) -> None:
    """List the snapshots, newest first."""
    run(
        ctx,
        lambda call: call.service.snapshots(bind=bind, verify=verify, say=call.say),
        directory=directory,
        x_arg=x_arg,
        form=form,
    )
