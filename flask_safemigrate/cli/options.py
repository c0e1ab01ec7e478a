"""Options that several commands take."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click
from flask.cli import with_appcontext

Function = TypeVar("Function", bound=Callable[..., Any])


def _seconds(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise click.BadParameter(f"{value} is not a number of seconds, 0 or more.")
    return value


def read_codes(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    """Return codes in capitals, given several times or with commas between."""
    codes = (code.strip().upper() for item in value for code in item.split(","))
    return tuple(dict.fromkeys(code for code in codes if code))


def _allowed(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    """Codes as :func:`read_codes` has them, with objects as they are written."""
    found = []
    # An object may hold commas of its own: the columns of a key.
    for item in value:
        for part in re.split(r",(?=\s*(?:SM\d|[a-z]+-))", item, flags=re.IGNORECASE):
            code, colon, object = part.strip().partition(":")
            found.append(f"{code.upper()}{colon}{object}")
    return tuple(dict.fromkeys(each for each in found if each))


def _revision(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    # Options that are unknown reach this argument so that a relative revision, -1, can.
    if value is not None and re.match(r"-(?!\d)", value):
        known = [name for p in ctx.command.params for name in (*p.opts, *p.secondary_opts)]
        raise click.NoSuchOption(
            value, possibilities=difflib.get_close_matches(value, known), ctx=ctx
        )
    return value


def sharing(*forms: str) -> Callable[[Function], Function]:
    """Return what gives a command what all have: directory, x-arg, format, the app's context.

    :param forms: what ``--format`` takes; the first is the default.
    """

    def share(function: Function) -> Function:
        for decorate in (
            click.option(
                "--format",
                "form",
                type=click.Choice(forms),
                default=forms[0],
                show_default=True,
                help="How results are written to standard output.",
            ),
            click.option(
                "-x", "--x-arg", multiple=True, help="Additional arguments for a custom env.py."
            ),
            click.option(
                "-d", "--directory", default=None, help='Migrations folder (default "migrations").'
            ),
        ):
            function = decorate(function)
        return with_appcontext(function)

    return share


shared = sharing("text", "json")

yes = click.option("-y", "--yes", is_flag=True, help="Go on without asking.")

lock_wait = click.option(
    "--lock-wait",
    type=float,
    callback=_seconds,
    metavar="SECONDS",
    help="How long to wait for another process (SAFEMIGRATE_LOCK_WAIT, 60).",
)

wait = click.option(
    "--wait",
    type=float,
    callback=_seconds,
    metavar="SECONDS",
    help="How long to wait for the database to come up (SAFEMIGRATE_WAIT, 0).",
)

snapshot = click.option(
    "--snapshot/--no-snapshot",
    default=None,
    help="Copy the database first (by default: SQLite yes, servers no).",
)

bind = click.option("--bind", metavar="KEY", help="Only the database of this bind key.")


def codes(*names: str, help: str) -> Callable[[Function], Function]:
    """Return an option that takes codes, several times or with commas between."""
    return click.option(*names, multiple=True, metavar="CODE", callback=read_codes, help=help)


def rehearsal(function: Function) -> Function:
    """Give a command ``--dry-run``, ``--with-rows`` and ``--sql``."""
    for decorate in (
        click.option("--sql", is_flag=True, help="Only print the SQL that would run."),
        click.option(
            "--with-rows",
            is_flag=True,
            help="With --dry-run on a server: copy the rows too, for the real times.",
        ),
        click.option(
            "--dry-run",
            is_flag=True,
            help="Rehearse on a copy: what would be done, how, and how long it takes.",
        ),
    ):
        function = decorate(function)
    return function


def plans(function: Function) -> Function:
    """Give a command ``--plan-out`` and ``--plan``."""
    for decorate in (
        click.option(
            "--plan",
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help="Do what this plan says, or nothing where that would be something else.",
        ),
        click.option(
            "--plan-out",
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help="Write the plan to a file, for a review, and do nothing else.",
        ),
    ):
        function = decorate(function)
    return function


allow = click.option(
    "--allow",
    multiple=True,
    metavar="CODE[:OBJECT]",
    callback=_allowed,
    help="Go on in spite of this finding, of every object or of one; may be repeated.",
)


def revision(**attributes: Any) -> Callable[[Function], Function]:
    """Return the REVISION argument; a relative one such as -1 or +1 is one too."""
    return click.argument("revision", callback=_revision, **attributes)


#: Settings of a command that takes :func:`revision`.
RELATIVE = {"ignore_unknown_options": True}
