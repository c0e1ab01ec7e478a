"""``flask db deploy``."""

from __future__ import annotations

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.running import run


@click.command()
@options.wait
@options.lock_wait
@options.snapshot
@options.allow
@click.option(
    "--phase",
    type=click.Choice(["before", "after", "all"]),
    default="all",
    show_default=True,
    help="Run what belongs before, or after, the new code is live.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be done, hooks included.")
@click.option("-y", "--yes", is_flag=True, help="Without effect: deploy never asks.")
@options.shared
@click.pass_context
def deploy(
    ctx: click.Context,
    directory: str | None,
    x_arg: tuple[str, ...],
    form: str,
    wait: float | None,
    lock_wait: float | None,
    snapshot: bool | None,
    allow: tuple[str, ...],
    phase: str,
    dry_run: bool,
    yes: bool,
) -> None:
    """Upgrade to head in a release phase or when a container starts.

    Waits for the database, locks, checks, upgrades, verifies, runs the deploy hooks. Never asks.
    Safe to run any number of times, anywhere, at once.
    """
    run(
        ctx,
        lambda call: call.service.deploy(
            directory=call.directory,
            x_arg=call.x_arg,
            dry_run=dry_run,
            allow=allow,
            wait=wait,
            snapshot=snapshot,
            lock_wait=lock_wait,
            phase=phase,
            say=call.say,
        ),
        directory=directory,
        x_arg=x_arg,
        form=form,
    )
