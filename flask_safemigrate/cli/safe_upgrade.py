"""``flask db safe-upgrade``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.asking import question
from flask_safemigrate.cli.running import run
from flask_safemigrate.outcome import Outcome

if TYPE_CHECKING:
    from flask_safemigrate.report.screen import Screen


@click.command("safe-upgrade", context_settings=options.RELATIVE)
@options.revision(default="heads")
@options.rehearsal
@options.allow
@options.snapshot
@options.lock_wait
@options.yes
@options.shared
@click.pass_context
def safe_upgrade(
    ctx: click.Context,
    directory: str | None,
    x_arg: tuple[str, ...],
    form: str,
    revision: str,
    dry_run: bool,
    sql: bool,
    allow: tuple[str, ...],
    snapshot: bool | None,
    lock_wait: float | None,
    yes: bool,
) -> None:
    """Upgrade to REVISION (default: heads), all or nothing.

    Checks, shows the plan, asks, takes a snapshot, upgrades, verifies.
    """
    rehearsal = dry_run or sql
    run(
        ctx,
        lambda call: call.service.upgrade(
            revision,
            directory=call.directory,
            x_arg=call.x_arg,
            dry_run=rehearsal,
            sql=sql,
            allow=allow,
            snapshot=snapshot,
            lock_wait=lock_wait,
            confirm=None if rehearsal else call.confirm,
            asks=not yes,
            say=call.say,
        ),
        directory=directory,
        x_arg=x_arg,
        form=form,
        yes=yes,
        question=question("Upgrade?"),
        show=show_sql if sql else None,
    )


def show_sql(outcome: Outcome, screen: Screen) -> None:
    """Write the statements of a rehearsal and nothing else."""
    from flask_safemigrate.report.screen import write
    from flask_safemigrate.report.text import statements

    write(screen, statements(outcome))
