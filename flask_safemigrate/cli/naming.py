"""How our commands are called where they run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from flask_safemigrate.report.screen import Screen

_USUAL = "db"


def renaming(ctx: click.Context, target: Screen) -> Screen:
    """Return a screen on which commands are called as the person at it must call them.

    Hints say ``flask db``. An application may have given that group another name, and
    ``flask safemigrate`` has our commands without Flask-Migrate's.
    """
    group = ctx.parent
    name = (group and group.info_name) or _USUAL
    if group is None or name == _USUAL:
        return target
    assert isinstance(group.command, click.Group)
    known = group.command.list_commands(group)
    commands = "|".join(sorted(map(re.escape, known), key=len, reverse=True))
    pattern = re.compile(rf"\bflask {_USUAL} (?=(?:{commands})(?![\w-]))")
    longer = max(len(name) - len(_USUAL), 0)
    return target._replace(
        width=target.width - longer,
        wording=lambda text: pattern.sub(lambda match: f"flask {name} ", text),
    )
