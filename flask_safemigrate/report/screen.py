"""Where output goes: how wide it is, whether it has colours, and how text gets there."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TextIO

import click
from rich.console import Console, RenderableType
from rich.text import Text

_NARROWEST = 40
_USUAL = 80


class Screen(NamedTuple):
    """A stream that a person or a log reads.

    :param width: cells in a line.
    :param terminal: whether somebody watches, so that what was written can be written over.
    :param unicode: whether the stream takes more than ASCII.
    :param wording: what every text becomes at last.
    """

    stream: TextIO
    width: int
    color: bool
    terminal: bool
    unicode: bool
    wording: Callable[[str], str] = str


def screen(stream: TextIO, environ: Mapping[str, str] = os.environ) -> Screen:
    """Look at a stream and the environment.

    ``NO_COLOR`` (no-color.org) goes before ``FORCE_COLOR``; both count when not empty.
    ``COLUMNS`` goes before the width of the terminal; without either it is 80.
    """
    isatty = bool(getattr(stream, "isatty", lambda: False)())
    terminal = isatty and environ.get("TERM") != "dumb"
    color = not environ.get("NO_COLOR") and (terminal or bool(environ.get("FORCE_COLOR")))
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower()
    return Screen(
        stream, _width(stream, isatty, environ), color, terminal, encoding.startswith("utf")
    )


def _width(stream: TextIO, isatty: bool, environ: Mapping[str, str]) -> int:
    columns = environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return max(int(columns), _NARROWEST)
    if isatty:
        try:
            return max(os.get_terminal_size(stream.fileno()).columns, _NARROWEST)
        except (OSError, ValueError):
            return _USUAL
    return _USUAL


def render(blocks: Iterable[RenderableType], *, width: int = _USUAL, color: bool = False) -> str:
    """Return blocks as text; lines of :class:`rich.text.Text` are never broken."""
    blocks = list(blocks)
    if not color and blocks and all(isinstance(block, Text) for block in blocks):
        # A log of thousands of lines shall not wait for a console that has nothing to add.
        plain = "\n".join(block.plain for block in blocks if isinstance(block, Text))
        return "".join(f"{line.expandtabs().rstrip()}\n" for line in plain.split("\n"))
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )
    for block in blocks:
        console.print(block, soft_wrap=isinstance(block, Text))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().split("\n")[:-1])


def show(target: Screen, blocks: Iterable[RenderableType]) -> None:
    """Write blocks to a stream at once and flush it."""
    text = render(blocks, width=target.width, color=target.color)
    runner = any(os.environ.get(name) for name in _RUNNERS)
    write(target, _without_commands(text) if runner else text)


#: What is set where GitHub Actions, Azure Pipelines and TeamCity read the output.
_RUNNERS = ("GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION")
# A line that begins with `::`, blanks aside, or that holds `##[` is a command to GitHub's runner,
# one that holds `##vso[` or `##teamcity[` to the others.
# https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
# https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands
# https://www.jetbrains.com/help/teamcity/service-messages.html
_MARK = re.compile(r"##(?=(?:vso|teamcity)?\[)", re.IGNORECASE)
_COMMAND = re.compile(r"(?m)^((?:[^\S\n]|\x1b\[[\d;]*m)*):(?=:)")


def _without_commands(text: str) -> str:
    """Break what a runner would take for its own in text of others."""
    return _MARK.sub("## ", _COMMAND.sub(r"\1: ", text))


def write(target: Screen, text: str) -> None:
    """Write text; what the stream's encoding cannot say is written as an escape."""
    encoding = getattr(target.stream, "encoding", None) or "utf-8"
    text = target.wording(text).encode(encoding, "backslashreplace").decode(encoding)
    try:
        click.echo(text, file=target.stream, nl=False, color=target.color)
    except OSError as error:
        # Nobody reads any more, as behind `| head`. What the command did stands all the same,
        # and its exit code tells.
        _into_nothing(target.stream)
        if error.errno != errno.EPIPE:
            click.echo(f"The output cannot be written: {error.strerror}.", err=True)


def _into_nothing(stream: TextIO) -> None:
    """Let a stream swallow what it holds and what is still written to it.

    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
