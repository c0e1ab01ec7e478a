"""The revisions of a project as a list, newest first, with the place of every database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.table import Table as Grid
from rich.text import Text

from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.history import History, Revision
from flask_safemigrate.report.layout import rows
from flask_safemigrate.report.wording import count


def graph(history: History, databases: Sequence[DatabaseState], width: int) -> list[Text | Grid]:
    """Return one line a revision: ``*`` a database is here, ``>`` not applied everywhere."""
    if not history.revisions:
        return [Text("There are no revisions.", style="yellow")]
    children = Counter(need for r in history.by_id.values() for need in history.needs(r))
    read = [d for d in databases if d.unreachable is None]
    applied = [history.ancestors(d.version_rows or ()) for d in read]
    cells = []
    for revision in newest_first(history):
        here = [d for d in read if revision.id in (d.version_rows or ())]
        pending = not all(revision.id in ids for ids in applied)
        mark = "*" if here else ">" if pending else ""
        notes = _notes(revision, history, children[revision.id], here)
        cells.append((mark or " ", revision.id, revision.created[:10], revision.message, notes))
    legend = "* a database is here   > not applied everywhere"
    styles = ("bold", "cyan", "dim", "", "bold")
    # A mark column without any mark would go, and the legend would explain nothing.
    marked = any(cell[0].strip() for cell in cells)
    listed: list[Text | Grid] = [rows(cells, width, whole=(1, 2), styles=styles, indent=0)]
    return [*listed, Text(legend, style="dim")] if marked else listed


def newest_first(history: History) -> tuple[Revision, ...]:
    """Return every revision before those that it needs; members of a cycle come last."""
    waiting = Counter(need for r in history.by_id.values() for need in history.needs(r))
    ready = [r for r in history.by_id.values() if not waiting[r.id]]
    order: dict[str, Revision] = {}
    while ready:
        revision = ready.pop()
        order[revision.id] = revision
        for need in reversed(history.needs(revision)):
            waiting[need] -= 1
            if not waiting[need] and need in history.by_id:
                ready.append(history.by_id[need])
    return (*order.values(), *(r for i, r in history.by_id.items() if i not in order))


def _notes(
    revision: Revision, history: History, children: int, here: Sequence[DatabaseState]
) -> str:
    notes = [d.label for d in here]
    if revision.id in history.heads:
        notes.append("head")
    if revision.labels:
        notes.append("branch " + ", ".join(revision.labels))
    if len(revision.parents) > 1:
        notes.append("merges " + ", ".join(revision.parents))
    if children > 1:
        notes.append(f"{count(children, 'branch', 'branches')} from here")
    if not revision.parents:
        notes.append("base")
    missing = [need for need in history.needs(revision) if need not in history.by_id]
    if missing:
        notes.append("needs " + ", ".join(missing) + ", which no file has")
    return "; ".join(notes)
