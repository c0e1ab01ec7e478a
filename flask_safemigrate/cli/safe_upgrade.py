"""``flask db safe-upgrade``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

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
@options.plans
@options.snapshot
@options.lock_wait
@options.yes
@options.shared
@click.pass_context
def safe_upgrade(ctx: click.Context, /, yes: bool, **given: Any) -> None:
    """Upgrade to REVISION (default: heads), all or nothing.

    Checks, shows the plan, asks, takes a snapshot, upgrades, verifies.
    """
    rehearsed(ctx, "upgrade", {**given, "asks": not yes}, yes, "Upgrade?")


def rehearsed(
    ctx: click.Context, method: str, options: dict[str, Any], yes: bool, ask: str
) -> NoReturn:
    """Run a command that can be rehearsed; nobody is asked about a rehearsal."""
    rehearsal = any(options[name] for name in ("dry_run", "sql", "with_rows"))
    run(
        ctx,
        method,
        {**options, "dry_run": rehearsal},
        yes=yes,
        shows=not rehearsal,
        question=question(ask),
        show=_show_sql if options["sql"] else None,
    )


def _show_sql(outcome: Outcome, out: Screen, err: Screen) -> None:
    """Write the statements of a rehearsal and nothing else; beside it why there are none."""
    from rich.text import Text

    from flask_safemigrate.report.findings import findings
    from flask_safemigrate.report.screen import show, write
    from flask_safemigrate.report.text import statements

    write(out, statements(outcome))
    if outcome.error and outcome.findings:
        show(err, [*findings(outcome.findings, err.width), Text()])
