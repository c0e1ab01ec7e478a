"""The picture of the revisions: lanes, dots and words, ready to be put into a page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.history import History
from flask_safemigrate.report.page.lanes import BOTTOM, TOP, Row, Stroke, rows, width
from flask_safemigrate.report.page.overview import overview
from flask_safemigrate.report.wording import count

_COLORS = 6
_LEFT = 8  # pixels before the first lane
_LANE, _NARROW = 18, 10  # pixels of a lane, where there are few and where there are many
_FEW = 12
_PLAIN = re.compile(r"[A-Za-z0-9_]+")


def anchors(history: History) -> dict[str, str]:
    """Return the name of every revision inside the page: its own where HTML takes that."""
    return {
        id: f"rev-{id}" if _PLAIN.fullmatch(id) else f"revision-{number}"
        for number, id in enumerate(history.by_id)
    }


def picture(
    history: History, databases: Sequence[DatabaseState], names: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the page needs to draw every revision, newest first."""
    drawn = rows(history)
    lanes = width(drawn)
    step = _LANE if lanes <= _FEW else _NARROW
    read = [d for d in databases if d.unreachable is None]
    applied = {d.bind or d.name: history.ancestors(d.version_rows or ()) for d in read}
    missing = [row for row in drawn if row.revision is None]
    pending = {
        row.id: [label for label, ids in applied.items() if row.id not in ids]
        for row in drawn
        if row.revision
    }
    told = [_row(row, n, history, read, pending, names, step) for n, row in enumerate(drawn)]
    merges = sum(len(r.parents) > 1 for r in history.by_id.values())
    behind = sum(bool(labels) for labels in pending.values())
    parts = [
        count(len(history.by_id), "revision"),
        count(len(history.heads), "head"),
        *([count(merges, "merge")] if merges else []),
        *([f"{behind:,} pending"] if behind else []),
        *([f"{len(missing)} without a file"] if missing else []),
    ]
    behind_ids = {id for id, labels in pending.items() if labels}
    return {
        "rows": told,
        "overview": overview(drawn, history, read, behind_ids, names, _COLORS),
        # One database needs no column of its own: its pending revisions say so.
        "columns": [d.bind or d.name for d in read] if len(read) > 1 else [],
        "summary": ", ".join(parts),
        "missing": bool(missing),
        "depends": any(s.kind == "depends" for row in drawn for s in row.strokes),
        "left": _LEFT,
        "wide": lanes * step,
        "text_at": _LEFT + lanes * step + 8,
    }


def _row(
    row: Row,
    number: int,
    history: History,
    databases: Sequence[DatabaseState],
    pending: Mapping[str, Sequence[str]],
    names: Mapping[str, str],
    step: int,
) -> dict[str, Any]:
    revision = row.revision
    here = [d.bind or d.name for d in databases if row.id in (d.version_rows or ())]
    left = pending.get(row.id, ())
    pills = [("here", label) for label in here]
    if revision is None:
        pills.append(("error", "no file has it"))
    if row.id in history.heads:
        pills.append(("head", "head"))
    everywhere = len(left) == len(databases)
    if left and everywhere:
        pills.append(("pending", "pending"))
    if revision and revision.labels:
        pills += [("label", label) for label in revision.labels]
    if any(stroke.kind == "circle" for stroke in row.strokes):
        pills.append(("error", "in a circle"))
    parents = revision.parents if revision else ()
    return {
        "anchor": names.get(row.id, f"missing-{number}"),
        "id": row.id,
        "message": revision.message if revision else "",
        "date": revision.created[:10] if revision else "",
        "color": row.lane % _COLORS,
        "node_at": _LEFT + row.lane * step + step / 2 - 9,
        "strokes": [_stroke(s, row, pending, step) for s in row.strokes],
        "here": here,
        "applied": [(d.bind or d.name) not in left for d in databases]
        if revision and len(databases) > 1
        else [],
        "pending": bool(left),
        "missing": revision is None,
        "merge": len(parents) > 1,
        "pills": pills,
        "spoken": "; ".join(
            filter(None, ["" if everywhere else _behind(left), _spoken(row, history)])
        ),
        "tip": _tip(row, history),
    }


def _stroke(
    stroke: Stroke, row: Row, pending: Mapping[str, Sequence[str]], step: int
) -> tuple[int, str, str]:
    start, end = (lane * step + step / 2 for lane in (stroke.start, stroke.end))
    # Rows are drawn apart; a little more keeps a fine gap from showing between them.
    top = stroke.start_at - (stroke.start_at == TOP)
    bottom = stroke.end_at + (stroke.end_at == BOTTOM)
    middle = (top + bottom) / 2
    if start == end:
        way = f"M{start:g} {top}V{bottom}"
    else:
        way = f"M{start:g} {top}C{start:g} {middle:g} {end:g} {middle:g} {end:g} {bottom}"
    color = (stroke.start if stroke.start_at == TOP else stroke.end) % _COLORS
    kind = stroke.kind + (" ahead" if pending.get(stroke.child) else "")
    return color, kind, way


def _behind(labels: Sequence[str]) -> str:
    return f"pending in {', '.join(labels)}" if labels else ""


def _spoken(row: Row, history: History) -> str:
    """What the lines show, in words."""
    if row.revision is None:
        return ""
    parents = row.revision.parents
    parts = [f"after {', '.join(parents)}" if parents else "the first one"]
    if row.revision.depends_on:
        parts.append(f"depends on {', '.join(row.revision.depends_on)}")
    children = history.children.get(row.id, ())
    if len(children) > 1:
        parts.append(f"before {', '.join(children)}")
    return "; ".join(parts)


def _tip(row: Row, history: History) -> str:
    if row.revision is None:
        return f"{row.id}: no revision file has this id"
    parts = [row.revision.path, row.revision.created, _spoken(row, history)]
    if row.revision.tables:
        parts.append(f"tables: {', '.join(row.revision.tables)}")
    return "\n".join(part for part in parts if part)
