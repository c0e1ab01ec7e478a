"""``flask db reset``."""

from __future__ import annotations

from typing import Any

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
def reset(ctx: click.Context, /, yes: bool, no_snapshot: bool, **given: Any) -> None:
    """Drop everything, upgrade to head, run the seed hooks.

    Only in debug or testing mode, or with SAFEMIGRATE_ALLOW_RESET. Takes a snapshot first and
    asks for the name of the database.
    """
    given["snapshot"] = False if no_snapshot else None
    run(ctx, "reset", given, yes=yes, question=names)
