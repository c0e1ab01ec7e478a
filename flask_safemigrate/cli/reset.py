"""``flask db reset``."""

from __future__ import annotations

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.asking import names
from flask_safemigrate.cli.running import run


@click.command()
@click.option("--no-snapshot", is_flag=True, help="Do not copy the database first.")
@options.lock_wait
@options.yes
@options.shared
@click.pass_context
def reset(
    ctx: click.Context,
    directory: str | None,
    x_arg: tuple[str, ...],
    form: str,
    no_snapshot: bool,
    lock_wait: float | None,
    yes: bool,
) -> None:
    """Drop everything, upgrade to head, run the seed hooks.

    Only in debug or testing mode, or with SAFEMIGRATE_ALLOW_RESET. Takes a snapshot first and
    asks for the name of the database.
    """
    run(
        ctx,
        lambda call: call.service.reset(
            directory=call.directory,
            x_arg=call.x_arg,
            snapshot=False if no_snapshot else None,
            lock_wait=lock_wait,
            confirm=call.confirm,
            say=call.say,
        ),
        directory=directory,
        x_arg=x_arg,
        form=form,
        yes=yes,
        question=names,
    )
