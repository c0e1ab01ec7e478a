"""``flask db restore``."""

from __future__ import annotations

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.asking import question
from flask_safemigrate.cli.running import run


@click.command()
@click.argument("id", required=False)
@options.bind
@click.option(
    "--into",
    metavar="NAME",
    help="Another database of the same server, or another SQLite file; it must be empty.",
)
@options.lock_wait
@options.yes
@options.shared
@click.pass_context
def restore(
    ctx: click.Context,
    directory: str | None,
    x_arg: tuple[str, ...],
    form: str,
    id: str | None,
    bind: str | None,
    into: str | None,
    lock_wait: float | None,
    yes: bool,
) -> None:
    """Put snapshot ID back, or the newest one.

    Verifies it first, and takes a snapshot of the present state before it is overwritten.
    """
    run(
        ctx,
        lambda call: call.service.restore(
            id,
            bind=bind,
            into=into,
            lock_wait=lock_wait,
            confirm=None if into else call.confirm,
            say=call.say,
        ),
        directory=directory,
        x_arg=x_arg,
        form=form,
        yes=yes,
        question=question("Put this snapshot back over the database?"),
    )
