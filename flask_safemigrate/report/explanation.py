"""What a code means: one check in full, or the list of a family."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table as Grid
from rich.text import Text

from flask_safemigrate.checks.catalogue import FAMILIES, Check
from flask_safemigrate.findings import Severity
from flask_safemigrate.report.layout import hanging, hint, indented, rows

_LABEL = 12
_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "blue"}
_COMMANDS = {"upgrade": "safe-upgrade", "downgrade": "safe-downgrade"}


def explanation(check: Check, width: int) -> list[Text]:
    """Return what a check finds, what that forbids, and cause, example, fix and prevention."""
    lines = hanging(f"{check.code} {check.name}", "", width, 0)
    lines += indented(check.title.replace("``", "`"), width, 0)
    lines += indented(effect(check), width, 0, _STYLES[check.severity])
    for heading, text in check.sections:
        lines += [Text(), *hanging(f"{heading:<{_LABEL}}", text, width, _LABEL)]
    return lines


def effect(check: Check) -> str:
    """Return how bad it is and which commands do not start because of it."""
    word = check.severity.word.capitalize()
    commands = [_COMMANDS.get(name, name) for name in check.blocks if name != "status"]
    others = [name for name in check.sometimes if name not in (*check.blocks, "status")]
    some = [_COMMANDS.get(name, name) for name in others]
    told: list[str] = []
    if commands:
        told.append(f"{_listed(commands)} {'do' if len(commands) > 1 else 'does'} not start")
    if some:
        told.append(f"{_listed(some)} may not start, by what is found")
    return f"{word}; {'; '.join(told) or 'forbids nothing'}."


def _listed(commands: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(commands[:-1]), commands[-1])))


def family(checks: Sequence[Check], width: int) -> list[Text | Grid]:
    """Return one line a check of a family."""
    name = checks[0].family
    cells = [(c.code, c.severity.word, c.title.replace("``", "`")) for c in checks]
    return [
        *hanging(f"{name}xx ", FAMILIES[name], width, 0),
        rows(cells, width, whole=(0, 1), styles=("bold", "dim", "")),
        *hint(f"flask db doctor --explain {checks[0].code}", width),
    ]
