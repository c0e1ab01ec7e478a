"""What was done: to every database, to its tables, by hooks, and the snapshots that are there."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table as Grid
from rich.text import Text

from flask_safemigrate.checks.found import restoring
from flask_safemigrate.outcome import Applied, HookPlan, HookRun, Snapshot, TableWork
from flask_safemigrate.report.layout import LABEL, indented, labelled, rows
from flask_safemigrate.report.tracing import traced
from flask_safemigrate.report.wording import count, duration, revisions, size

_PAST = {"upgrade": "upgraded", "downgrade": "downgraded"}


def applied(work: Applied, width: int, *, rehearsal: bool = False) -> list[Text | Grid]:
    """Return from, to, seconds, tables, proofs and snapshot of one database.

    :param rehearsal: the run was one on a copy.
    """
    blocks: list[Text | Grid] = []
    if work.bind:
        blocks.extend(labelled("Bind", work.bind, width))
    label = "Rehearsed" if rehearsal else "Done"
    done = (
        ("on a copy," if work.rows else "on a copy without rows,")
        if rehearsal
        else _PAST.get(work.direction, work.direction)
    )
    way = f"{done} from {revisions(work.start)} to {revisions(work.target)}"
    steps = f"{count(len(work.revisions), 'revision')} in {duration(work.seconds)}"
    blocks.extend(labelled(label, f"{way}, {steps}", width, "green"))
    if rehearsal:
        cells = [(r.id, r.message, duration(r.seconds)) for r in work.revisions]
        blocks.append(
            rows(cells, width, right=(2,), whole=(0,), styles=("cyan", "", "dim"), indent=LABEL)
        )
    blocks.extend(_tables(work.tables, width))
    blocks.extend(traced(work, width))
    for number, proof in enumerate(work.verified):
        blocks.extend(labelled("" if number else "Verified", proof, width))
    for warning in work.warned:
        blocks.extend(labelled("Warning", warning, width, "yellow"))
    if work.snapshot:
        blocks.extend(snapshot(work.snapshot, width))
    return blocks


def snapshot(taken: Snapshot, width: int, *, way_back: bool = True) -> list[Text | Grid]:
    """Return id, size and file of one snapshot, and how to put it back or where it is from."""
    lines = labelled("Snapshot", f"{taken.id}, {size(taken.size)}", width)
    lines.extend(labelled("", taken.path, width, "dim"))
    if way_back:
        lines.extend(labelled("", f"put it back: {_restore(taken)}", width, "dim"))
    else:
        lines.extend(labelled("", f"taken {_time(taken)} UTC, {taken.why}", width, "dim"))
    return list(lines)


def snapshots(taken: Sequence[Snapshot], width: int) -> list[Text | Grid]:
    """Return the list of snapshots, in the order given."""
    if not taken:
        return [Text("There are no snapshots.")]
    lines: list[Text | Grid] = []
    for one in taken:
        lines.extend(indented(f"{one.id}  {_time(one)} UTC  {size(one.size)}", width, 0, "cyan"))
        bind = f' (bind "{one.bind}")' if one.bind else ""
        about = f"{one.database}{bind} at {revisions(one.revisions)}, {one.why}"
        lines.extend(indented(about, width, 4))
        lines.extend(indented(one.path, width, 4, "dim"))
    return [*lines, Text(), *labelled("Put back", _restore(taken[0]), width)]


def hooks(runs: Sequence[HookRun], width: int) -> list[Text | Grid]:
    """Return the hooks that ran, one a line."""
    if not runs:
        return []
    cells = [("Hooks" if not n else "", r.name, duration(r.seconds)) for n, r in enumerate(runs)]
    return [rows(cells, width, styles=("bold", "", "dim"), right=(2,), indent=0)]


def planned_hooks(plans: Sequence[HookPlan], width: int) -> list[Text | Grid]:
    """Return the hooks that would run, and those that have run once and for all."""
    if not plans:
        return []
    cells = [("Hooks" if not n else "", p.name, _when(p)) for n, p in enumerate(plans)]
    return [rows(cells, width, styles=("bold", "", "dim"), indent=0)]


def _when(plan: HookPlan) -> str:
    if plan.ran:
        return "has run, once per database"
    return "would run, once per database" if plan.once else "would run, as on every deploy"


def _tables(done: Sequence[TableWork], width: int) -> list[Text | Grid]:
    if not done:
        return []
    cells = [
        (t.table, t.way, count(t.rows, "row") if t.rows else "", duration(t.seconds), t.reason)
        for t in done
    ]
    return [
        Text("Tables", style="bold"),
        rows(cells, width, right=(2, 3), styles=("cyan", "", "", "dim", "dim")),
    ]


def _time(taken: Snapshot) -> str:
    return taken.created[:19].replace("T", " ")


def _restore(taken: Snapshot) -> str:
    return restoring(taken.id, taken.bind)
