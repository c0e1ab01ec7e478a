"""``flask db safe-downgrade``."""

from __future__ import annotations

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.asking import question
from flask_safemigrate.cli.running import run
from flask_safemigrate.cli.safe_upgrade import show_sql


@click.command("safe-downgrade", context_settings=options.RELATIVE)
@options.revision()
@options.rehearsal
@options.allow
@options.snapshot
@options.lock_wait
@options.yes
@options.shared
@click.pass_context
def safe_downgrade(
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
    """Downgrade to REVISION, all or nothing; "base" is the empty database, -1 one revision less.

    What a revision added goes, with its data: the tables and columns are listed with their rows
    before anything is asked. `flask db restore` puts a snapshot back instead.
    """
    rehearsal = dry_run or sql
    run(
        ctx,
        lambda call: call.service.downgrade(
            revision,
            directory=call.directory,
            x_arg=call.x_arg,
            dry_run=rehearsal,
            sql=sql,
            allow=allow,
            snapshot=snapshot,
            lock_wait=lock_wait,
            confirm=None if rehearsal else call.confirm,
            say=call.say,
        ),
        directory=directory,
        x_arg=x_arg,
        form=form,
        yes=yes,
        question=question("Downgrade?"),
        show=show_sql if sql else None,
    )
