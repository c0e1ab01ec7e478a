"""Showing what would happen, and asking whether it should."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from flask_safemigrate.errors import Interrupted, SafeMigrateError, UsageError
from flask_safemigrate.outcome import Doomed, Outcome

if TYPE_CHECKING:
    from flask_safemigrate.report.screen import Screen

Question = Callable[[Outcome], None]


class Asking:
    """One question of one command, and what came of it.

    :ivar shown: the outcome that was shown before the question.
    :ivar refusal: why the command must not go on, once it was asked.
    :ivar pause: called before anything is written.
    """

    def __init__(
        self, ctx: click.Context, screen: Screen, yes: bool, question: Question | None
    ) -> None:
        self.ctx = ctx
        self.screen = screen
        self.yes = yes
        self.question = question
        self.shown: Outcome | None = None
        self.refusal: SafeMigrateError | None = None
        self.pause: Callable[[], None] = lambda: None

    def confirm(self, outcome: Outcome) -> bool:
        """Show an outcome so far and return whether to go on."""
        from flask_safemigrate.report import screen, text

        self.pause()
        screen.show(self.screen, text.before(outcome, self.screen.width))
        self.shown = outcome
        if self.yes or self.question is None:
            return True
        if not can_ask():
            self.refusal = UsageError(
                f"{self.ctx.info_name} needs --yes where nobody can be asked: "
                "standard input is no terminal. Nothing was changed.",
                hint=f"`{command_line(self.ctx, '--yes')}`",
            )
            return False
        try:
            self.question(outcome)
        except (click.Abort, KeyboardInterrupt, EOFError):
            self.refusal = Interrupted("Nothing was changed.")
            return False
        return True


def can_ask() -> bool:
    """Return whether a person sits at standard input."""
    return sys.stdin is not None and sys.stdin.isatty()


def question(text: str) -> Question:
    """Return a question that wants a yes."""
    return lambda outcome: _ask(text)


def names(outcome: Outcome) -> None:
    """Ask for the name of every database that would be emptied.

    :raises click.Abort: a name is another.
    """
    for doomed in outcome.doomed:
        if not _typed(doomed):
            raise click.Abort


def command_line(ctx: click.Context, option: str) -> str:
    """Return the command that is running, with one option more."""
    given = _without_values(sys.argv[1:])
    own = ctx.info_name or ""
    if own not in given:
        return f"{ctx.command_path} {option}"
    place = given.index(own) + 1
    words = [*given[:place], option, *given[place:]]
    return f"{ctx.find_root().info_name} {shlex.join(words)}"


def _without_values(given: Sequence[str]) -> list[str]:
    """The words of a command line without the values of ``-x``, which may be secrets."""
    words: list[str] = []
    for word in given:
        after = bool(words) and words[-1] in ("-x", "--x-arg")
        joined = re.match(r"--x-arg=|-x(?=.)", word)
        begin = joined[0] if joined else ""
        if after or joined:
            name, found, _ = word[len(begin) :].partition("=")
            word = f"{begin}{name}=..." if found else word
        words.append(word)
    return words


def _ask(text: str) -> None:
    click.confirm(text, abort=True, err=True)


def _typed(doomed: Doomed) -> bool:
    from flask_safemigrate.report.wording import one_line

    where = f' (bind "{one_line(doomed.bind)}")' if doomed.bind else ""
    answer: str = click.prompt(
        f'Type the name of the database, "{one_line(doomed.name)}"{where}, to remove all of it',
        default="",
        show_default=False,
        err=True,
    )
    return answer.strip() == doomed.name
