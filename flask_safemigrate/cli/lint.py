"""``flask db lint``."""

from __future__ import annotations

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.running import run


@click.command()
@options.revision(default=None, required=False)
@click.option("--since", metavar="REV", help="Judge what comes after this revision.")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@options.sharing("text", "json", "html", "sarif", "github")
@click.pass_context
def lint(
    ctx: click.Context,
    directory: str | None,
    x_arg: tuple[str, ...],
    form: str,
    revision: str | None,
    since: str | None,
    strict: bool,
) -> None:
    """Judge revisions: what they lock, lose, break or fail on.

    REVISION is one, or FIRST:LAST for all between; without it the pending ones are judged. Exits
    with 3 where there are errors. The revisions run without a database, so that nothing is
    changed; the rows of the real one are asked whether they fit. Revisions that are applied are
    judged against what the history before them builds.
    """
    if revision is not None and since is not None:
        raise click.UsageError("REVISION and --since both say what is to be judged.", ctx)
    run(
        ctx,
        lambda call: call.service.lint(
            revision, directory=call.directory, x_arg=call.x_arg, since=since, strict=strict
        ),
        directory=directory,
        x_arg=x_arg,
        form=form,
    )
