"""``flask db lint``."""

from __future__ import annotations

import click

from flask_safemigrate.cli import options
from flask_safemigrate.cli.running import run


@click.command()
@options.revision(default="heads", required=False)
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@options.sharing("text", "json", "html", "sarif", "github")
@click.pass_context
def lint(
    ctx: click.Context,
    directory: str | None,
    x_arg: tuple[str, ...],
    form: str,
    revision: str,
    strict: bool,
) -> None:
    """Judge the pending revisions: what they lock, lose, break or fail on.

    Exits with 3 where there are errors. The revisions run without a database, so that nothing is
    changed; the rows of the real one are asked whether they fit.
    """
    run(
        ctx,
        lambda call: call.service.lint(
            revision, directory=call.directory, x_arg=call.x_arg, strict=strict
        ),
        directory=directory,
        x_arg=x_arg,
        form=form,
    )
