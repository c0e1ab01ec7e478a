"""``flask db doctor``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.asking import question
from flask_safemigrate.cli.naming import renaming
from flask_safemigrate.cli.running import failed, run
from flask_safemigrate.errors import SafeMigrateError
from flask_safemigrate.outcome import Outcome, Status, exit_code

_ALL = "ALL"


@click.command()
@click.option(
    "--explain", metavar="CODE", help="Explain a code, or list a family (SM3), and leave."
)
@options.codes("--select", help="Only these codes or families (SM3).")
@options.codes("--ignore", help="Not these codes or families.")
@click.option(
    "--fix",
    is_flag=False,
    flag_value=_ALL,
    multiple=True,
    metavar="[CODE]",
    callback=options.read_codes,
    help="Repair what can be repaired, or only this code.",
)
@click.option(
    "--from-journal",
    is_flag=True,
    help="Let --fix write revision files of which only the database has the text; they will run.",
)
@click.option(
    "--fast",
    is_flag=True,
    help="Do not compare the schema with history and models, nor judge what is pending.",
)
@click.option("--offline", is_flag=True, help="Look at files only; connect to no database.")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the document to this file, and the text report to standard output.",
)
@options.yes
@options.sharing("text", "json", "html", "sarif", "github")
@click.pass_context
def doctor(
    ctx: click.Context,
    /,
    yes: bool,
    explain: str | None,
    fix: tuple[str, ...],
    output: Path | None,
    **given: Any,
) -> None:
    """Find what is wrong with project, history and databases, and say what helps.

    Exits with 3 where there are errors. Changes nothing without --fix. To compare the schema, the
    upgrade functions of all revisions run in a scratch database, which is dropped again; one that
    reaches anything else is stopped before it does, and named. --fast leaves that out.
    """
    if explain:
        _explain(ctx, explain, given["form"])
    if given["from_journal"] and not fix:
        raise click.UsageError("--from-journal says what --fix may do.", ctx)
    given["fix"] = None if not fix else () if _ALL in fix else fix
    run(
        ctx,
        "doctor",
        given,
        yes=yes,
        shows=bool(fix),
        question=question("Make these repairs?"),
        output=output,
    )


def _explain(ctx: click.Context, code: str, form: str) -> NoReturn:
    """Write what a code or a family means, for which no application is looked at."""
    from flask_safemigrate.checks.catalogue import checks_of, explain
    from flask_safemigrate.report import explanation, screen, text
    from flask_safemigrate.report.documents import json

    out, err = (renaming(ctx, screen.screen(s)) for s in (sys.stdout, sys.stderr))
    try:
        checks = checks_of(code)
        outcome = Outcome("doctor", Status.DONE, notes=tuple(explain(c.code) for c in checks))
    except SafeMigrateError as error:
        checks, outcome = (), failed("doctor", error)
    if form == "json":
        screen.write(out, json.text(outcome))
    elif len(checks) == 1:
        screen.show(out, explanation.explanation(checks[0], out.width))
    elif checks:
        screen.show(out, explanation.family(checks, out.width))
    else:
        screen.show(err, text.error(outcome, err.width))
    ctx.exit(exit_code(outcome.status))
