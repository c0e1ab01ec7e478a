"""What would happen: revisions to run, tables that a reset removes."""

from __future__ import annotations

from rich.table import Table as Grid
from rich.text import Text

from flask_safemigrate.facts.history import Revision
from flask_safemigrate.outcome import Doomed, Outcome
from flask_safemigrate.plan import Plan
from flask_safemigrate.report.databases import rows_of
from flask_safemigrate.report.layout import indented, more, rows
from flask_safemigrate.report.wording import count, revisions, size

_STYLES = ("cyan", "dim", "", "dim")


def plans(outcome: Outcome, width: int, *, limit: int = 50) -> list[Text | Grid]:
    """Return the steps of every plan: id, date, message and tables, one revision a line.

    :param limit: how many revisions of a plan are listed at most.
    """
    blocks: list[Text | Grid] = []
    for plan in outcome.plans:
        if plan.steps:
            blocks.extend([Text()] if blocks else [])
            blocks.extend(_plan(plan, outcome, width, limit))
    return blocks


def doomed(found: Doomed, width: int, *, limit: int = 30) -> list[Text | Grid]:
    """Return what a reset would remove from one database, the fullest tables first."""
    size_of_all = rows_of(found.tables)
    facts = [count(len(found.tables), "table"), *([size_of_all] if size_of_all else [])]
    facts.append(size(found.size))
    where = f' (bind "{found.bind}")' if found.bind else ""
    blocks: list[Text | Grid] = list(
        indented(
            f'Everything in "{found.name}"{where} goes: {", ".join(facts)}.', width, 0, "bold"
        )
    )
    tables = sorted(found.tables, key=lambda t: (-(t.rows or 0), t.name))
    cells = [
        (t.name, "" if t.rows is None else ("" if t.exact else "about ") + count(t.rows, "row"))
        for t in tables[:limit]
    ]
    if cells:
        blocks.append(rows(cells, width, right=(1,), styles=("red", "dim")))
    return [*blocks, *more(len(tables) - limit, "tables")]


def _plan(plan: Plan, outcome: Outcome, width: int, limit: int) -> list[Text | Grid]:
    several = len(outcome.plans) > 1 or bool(plan.bind)
    where = f' of bind "{plan.bind or "default"}"' if several else ""
    way = f"from {revisions(plan.start)} to {revisions(plan.target)}"
    steps = count(len(plan.steps), "revision")
    blocks: list[Text | Grid] = [
        *indented(f"{plan.direction.capitalize()}{where} {way}, {steps}:", width, 0, "bold")
    ]
    cells = [
        (step.id, step.created[:10], step.message, _about(step)) for step in plan.steps[:limit]
    ]
    blocks.append(rows(cells, width, whole=(0, 1), styles=_STYLES))
    return [*blocks, *more(len(plan.steps) - limit, "revisions")]


def _about(step: Revision) -> str:
    """The tables that a revision names, and its phase where that is not the usual one."""
    tables = ", ".join(step.tables)
    return tables if step.phase == "before" else f"{tables} ({step.phase})".strip()
