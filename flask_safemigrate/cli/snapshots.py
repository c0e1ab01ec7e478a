"""``flask db snapshots``."""

from __future__ import annotations

from typing import Any

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.running import run


@click.command()
@options.bind
@click.option("--verify", is_flag=True, help="Read every one of them to its end.")
@options.shared
@click.pass_context
def snapshots(ctx: click.Context, /, **given: Any) -> None:
    """List the snapshots, newest first."""
    run(ctx, "snapshots", given)
