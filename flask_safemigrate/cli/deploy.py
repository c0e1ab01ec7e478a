"""``flask db deploy``."""

from __future__ import annotations

from typing import Any

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.running import run


@click.command()
@options.wait
@options.lock_wait
@options.snapshot
@options.allow
@options.plans
@click.option(
    "--phase",
    type=click.Choice(["before", "after", "all"]),
    default="all",
    show_default=True,
    help="Run what belongs before, or after, the new code is live.",
)
@click.option(
    "--dry-run", is_flag=True, help="Only rehearse on a copy: what would be done, hooks included."
)
@click.option("-y", "--yes", is_flag=True, help="Without effect: deploy never asks.")
@options.shared
@click.pass_context
def deploy(ctx: click.Context, /, yes: bool, **given: Any) -> None:
    """Upgrade to head in a release phase or when a container starts.

    Waits for the database, locks, checks, upgrades, verifies, runs the deploy hooks. Never asks.
    Safe to run any number of times, anywhere, at once.
    """
    run(ctx, "deploy", given, shows=False)
