"""``flask db safe-downgrade``."""

from __future__ import annotations

from typing import Any

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.safe_upgrade import rehearsed


@click.command("safe-downgrade", context_settings=options.RELATIVE)
@options.revision()
@options.rehearsal
@options.allow
@options.snapshot
@options.lock_wait
@options.yes
@options.shared
@click.pass_context
def safe_downgrade(ctx: click.Context, /, yes: bool, **given: Any) -> None:
    """Downgrade to REVISION, all or nothing; "base" is the empty database, -1 one revision less.

    What a revision added goes, with its data: the tables and columns are listed with their rows
    before anything is asked. `flask db restore` puts a snapshot back instead.
    """
    rehearsed(ctx, "downgrade", given, yes, "Downgrade?")
