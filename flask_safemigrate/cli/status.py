"""``flask db status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from flask_safemigrate.cli.options import shared
from flask_safemigrate.cli.running import run
from flask_safemigrate.outcome import Outcome, Status

if TYPE_CHECKING:
    from flask_safemigrate.report.screen import Screen


@click.command()
@click.option("--check", is_flag=True, help="Exit with 1 where a database is not at head.")
@click.option("--graph", is_flag=True, help="List every revision, newest first.")
@shared
@click.pass_context
def status(ctx: click.Context, /, check: bool, graph: bool, **given: Any) -> None:
    """Show where each database stands and which revisions are pending.

    Reads, and changes nothing.
    """

    def show(outcome: Outcome, screen: Screen, _: Screen) -> None:
        from flask_safemigrate.report import screen as screens
        from flask_safemigrate.report import text

        screens.show(screen, text.report(outcome, screen.width, with_graph=graph))

    run(ctx, "status", given, judge=lambda outcome: checked(outcome, check), show=show)


def checked(outcome: Outcome, check: bool) -> Outcome:
    """Return the outcome, failed where ``--check`` finds a database that is not at head."""
    if not check or outcome.error or at_head(outcome):
        return outcome
    return outcome._replace(
        status=Status.FAILED,
        error="Not every database is at head.",
        hint="`flask db safe-upgrade`, or `flask db doctor` for why",
    )


def at_head(outcome: Outcome) -> bool:
    """Return whether the version rows of every database are the heads of the history."""
    if any(plan.steps for plan in outcome.plans):
        return False
    if outcome.state is None:
        return True
    history = outcome.state.history
    return all(
        database.unreachable is None
        and all(row in history.by_id for row in database.version_rows or ())
        and len(history.ancestors(database.version_rows or ())) == len(history.by_id)
        for database in outcome.databases
    )
