"""``flask db snapshot``."""

from __future__ import annotations

from typing import Any

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.running import run


@click.command()
@options.bind
@options.shared
@click.pass_context
def snapshot(ctx: click.Context, /, **given: Any) -> None:
    """Take a snapshot of every database, or of one."""
    run(ctx, "take_snapshot", given)
