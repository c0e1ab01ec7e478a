"""From a command's options to its report and exit code."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import click
from flask import current_app, g

from flask_safemigrate.cli import documents
from flask_safemigrate.cli.asking import Asking
from flask_safemigrate.cli.naming import renaming
from flask_safemigrate.cli.service import Say, Service
from flask_safemigrate.errors import SafeMigrateError, UsageError
from flask_safemigrate.outcome import Outcome, exit_code, status_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from flask_safemigrate.report.screen import Screen


class Call(NamedTuple):
    """What a command hands to its workflow."""

    service: Service
    directory: str | None
    x_arg: tuple[str, ...]
    say: Say
    confirm: Callable[[Outcome], bool]


def run(
    ctx: click.Context,
    work: Callable[[Call], Outcome],
    *,
    directory: str | None,
    x_arg: tuple[str, ...],
    form: str,
    yes: bool = True,
    question: Callable[[Outcome], None] | None = None,
    show: Callable[[Outcome, Screen], None] | None = None,
    output: Path | None = None,
) -> NoReturn:
    """Run a workflow, write its outcome and leave with the exit code.

    :param form: ``text``, or that of the one document on standard output.
    :param yes: nobody is asked.
    :param question: asks the person at the terminal; raises :class:`click.Abort` for no.
    :param show: writes the outcome in place of the usual text report.
    :param output: a file for the document; the text report then goes to standard output.
    """
    # The commands are listed on every run of flask; rich is needed when one of them runs.
    from flask_safemigrate.report import progress, screen, text
    from flask_safemigrate.report.documents import json

    if not gc.get_freeze_count():
        # What the application's start has made lives as long as the process. Looking through it
        # for garbage again and again, at the exit too, costs a fifth of a short command.
        gc.freeze()
    name = ctx.info_name or ""
    out, err = (renaming(ctx, screen.screen(s)) for s in (sys.stdout, sys.stderr))
    alone = form != "text" and output is None
    asking = Asking(ctx, err if alone else out, yes, question)
    try:
        kept = form if output is None else documents.form_of(output, form)
        with contextlib.ExitStack() as stack:
            if alone:
                # What a revision prints would break the one document on standard output.
                stack.enter_context(contextlib.redirect_stdout(sys.stderr))
            told = stack.enter_context(progress.telling(err))
            asking.pause = told.pause
            outcome = work(_call(directory, x_arg, told.say, asking.confirm))
        _close_files()
        if output is not None:
            documents.save(output, out.wording(documents.document(kept, outcome)))
    except SafeMigrateError as error:
        outcome = failed(name, error)
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        if alone:
            screen.write(out, documents.document(form, json.crash(name, error)))
        raise
    if asking.refusal:
        stopped = failed(name, asking.refusal)
        outcome = outcome._replace(status=stopped.status, error=stopped.error, hint=stopped.hint)
    if alone:
        screen.write(out, documents.document(form, outcome))
    elif show:
        show(outcome, out)
    elif not asking.refusal:
        screen.show(out, text.report(outcome, out.width, shown=asking.shown))
    if form != "json" or not alone:
        screen.show(err, text.error(outcome, err.width))
    ctx.exit(exit_code(outcome.status))


def _close_files() -> None:
    """Close the connections to SQLite files that pools keep.

    The last to close writes the log of a database in WAL mode back into the file and removes it.
    Python closes nothing when the process ends.
    """
    from sqlalchemy.pool import QueuePool

    migrate = current_app.extensions.get("migrate")
    engines: dict[str | None, Engine] = {}
    with contextlib.suppress(RuntimeError):  # the application did not set up its databases
        engines |= getattr(getattr(migrate, "db", None), "engines", {})
    for engine in engines.values():
        # Other pools keep no connection, or one whose database lives as long as it does.
        if engine.dialect.driver == "pysqlite" and isinstance(engine.pool, QueuePool):
            engine.dispose()


def failed(command: str, error: SafeMigrateError) -> Outcome:
    """Return the outcome of a command that an error stopped."""
    return Outcome(command, status_of(error), error=error.message, hint=error.hint or "")


def _call(
    directory: str | None, x_arg: tuple[str, ...], say: Say, confirm: Callable[[Outcome], bool]
) -> Call:
    service = current_app.extensions.get("safemigrate")
    if service is None:
        raise UsageError(
            f'The app "{current_app.name}" has no SafeMigrate.',
            hint="where the app sets up its extensions, write\n"
            "    from flask_safemigrate import SafeMigrate\n"
            "    SafeMigrate(app, db)  # in a factory: migrate.init_app(app, db)",
        )
    # Flask-Migrate's group leaves its own -d and -x there, and reads them there.
    g.directory = directory or g.get("directory")
    g.x_arg = x_arg or tuple(g.get("x_arg") or ())
    return Call(service, g.directory, g.x_arg, say, confirm)
