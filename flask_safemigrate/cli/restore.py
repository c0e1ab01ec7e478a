"""``flask db restore``."""

from __future__ import annotations

from typing import Any

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
def restore(ctx: click.Context, /, yes: bool, id: str | None, **given: Any) -> None:
    """Put snapshot ID back, or the newest one.

    Verifies it first, and takes a snapshot of the present state before it is overwritten.
    """
    run(
        ctx,
        "restore",
        {**given, "snapshot": id},
        yes=yes,
        shows=not given["into"],
        question=question("Put this snapshot back over the database?"),
    )
