"""``flask db lint``."""

from __future__ import annotations

from typing import Any

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.asking import question
from flask_safemigrate.cli.running import run
from flask_safemigrate.names import DIALECTS


@click.command()
@options.revision(default=None, required=False)
@click.option("--since", metavar="REV", help="Judge what comes after this revision.")
@click.option(
    "--base",
    metavar="BRANCH",
    help="Judge what this branch of git does not have: what a pull request adds.",
)
@click.option(
    "--offline",
    is_flag=True,
    help="Connect to no database; judge the revisions that are named against their history.",
)
@click.option(
    "--dialect",
    type=click.Choice(DIALECTS),
    help="With --offline: what the databases are, if not what their URLs say.",
)
@options.allow
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option(
    "--fix",
    is_flag=True,
    help="Write the corrected code into the revisions that no database has; shows it, and asks.",
)
@options.yes
@options.sharing("text", "json", "html", "sarif", "github", "markdown")
@click.pass_context
def lint(ctx: click.Context, /, yes: bool, **given: Any) -> None:
    """Judge revisions: what they lock, lose, break or fail on.

    REVISION is one, or FIRST:LAST for all between; without it the pending ones are judged. Exits
    with 3 where there are errors. The revisions run without a database, so that nothing is
    changed; the rows of the real one are asked whether they fit. Revisions that are applied are
    judged against what the history before them builds; --fix never changes them.
    """
    named = {"REVISION": "revision", "--since": "since", "--base": "base"}
    words = [word for word, name in named.items() if given[name] is not None]
    if len(words) > 1:
        raise click.UsageError(f"{' and '.join(words)} say twice what is to be judged.", ctx)
    if given["dialect"] is not None and not given["offline"]:
        raise click.UsageError("--dialect is for --offline; else the database tells it.", ctx)
    if given["fix"] and given["offline"]:
        raise click.UsageError("--fix asks the databases which revisions are applied.", ctx)
    if yes and not given["fix"]:
        raise click.UsageError("--yes is for --fix.", ctx)
    run(
        ctx,
        "lint",
        given,
        yes=yes,
        shows=bool(given["fix"]),
        question=question("Write this?"),
    )
