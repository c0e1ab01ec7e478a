"""From a command's options to its report and exit code."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from flask import current_app, g

from flask_safemigrate.cli import documents
from flask_safemigrate.cli.asking import Asking
from flask_safemigrate.cli.naming import renaming
from flask_safemigrate.errors import SafeMigrateError, UsageError
from flask_safemigrate.outcome import Outcome, exit_code, status_of
from flask_safemigrate.workflows.requests import OPTIONS

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from flask_safemigrate.report.screen import Screen

#: What every command has, whether its method takes it or not.
_SHARED = frozenset({"directory", "x_arg", "confirm", "say"})


def run(
    ctx: click.Context,
    method: str,
    options: dict[str, Any],
    *,
    yes: bool = True,
    shows: bool = True,
    question: Callable[[Outcome], None] | None = None,
    judge: Callable[[Outcome], Outcome] = lambda outcome: outcome,
    show: Callable[[Outcome, Screen, Screen], None] | None = None,
    output: Path | None = None,
) -> NoReturn:
    """Call a method of the extension, write its outcome and leave with the exit code.

    :param options: what the command was given, by the names that the method has for it, and
        ``form``: ``text``, or that of the one document on standard output.
    :param yes: nobody is asked.
    :param shows: what would be done is shown before it is done.
    :param question: asks the person at the terminal; raises :class:`click.Abort` for no.
    :param judge: what the command line makes of the outcome.
    :param show: writes the outcome in place of the usual text report; the second screen is for
        what is not asked for there.
    :param output: a file for the document; the text report then goes to standard output.
    """
    # The commands are listed on every run of flask; rich is needed when one of them runs.
    from flask_safemigrate.report import progress, screen, text
    from flask_safemigrate.report.documents import json

    if not gc.get_freeze_count():
        # What the application's start has made lives as long as the process. Looking through it
        # for garbage again and again, at the exit too, costs a fifth of a short command.
        gc.freeze()
    name, form = ctx.info_name or "", options.pop("form")
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
            given = {"confirm": asking.confirm if shows else None, "say": told.say}
            outcome = judge(_call(method, {**options, **given}))
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
        show(outcome, out, err)
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


def _call(method: str, options: dict[str, Any]) -> Outcome:
    """Call the method with what it takes of the options that every command has."""
    migrate = current_app.extensions.get("safemigrate")
    if migrate is None:
        raise UsageError(
            f'The app "{current_app.name}" has no SafeMigrate.',
            hint="where the app sets up its extensions, write\n"
            "    from flask_safemigrate import SafeMigrate\n"
            "    SafeMigrate(app, db)  # in a factory: migrate.init_app(app, db)",
        )
    # Flask-Migrate's group leaves its own -d and -x there, and reads them there.
    g.directory = options["directory"] or g.get("directory")
    g.x_arg = options["x_arg"] or tuple(g.get("x_arg") or ())
    options |= {"directory": g.directory, "x_arg": g.x_arg}
    for name in _SHARED - OPTIONS[method]:
        del options[name]
    outcome: Outcome = getattr(migrate, method)(**options)
    return outcome
