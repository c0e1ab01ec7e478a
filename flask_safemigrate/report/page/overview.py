"""The whole history in one small picture, oldest on the left, to find one's way in a long one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.history import History
from flask_safemigrate.report.page.lanes import Row, width

#: A shorter history is seen at once.
LEAST = 30
_STEP = 10  # from one revision to the next; the picture is stretched to the page
_LANE = 14
_MOST = 8  # lanes; further ones are drawn in the last


def overview(
    drawn: Sequence[Row],
    history: History,
    databases: Sequence[DatabaseState],
    pending: Collection[str],
    names: Mapping[str, str],
    colors: int,
) -> dict[str, Any] | None:
    """Return what the page needs to draw it, None where the history is short."""
    if len(drawn) < LEAST:
        return None
    places = {
        row.id: ((len(drawn) - 1 - number) * _STEP + _STEP // 2, _height(row.lane))
        for number, row in enumerate(drawn)
    }
    lanes = {row.id: row.lane for row in drawn}
    wide = len(drawn) * _STEP
    return {
        "wide": wide,
        "high": _height(min(width(drawn), _MOST) - 1) + _LANE // 2,
        "lines": [
            (max(lanes[child], lanes[parent]) % colors, child in pending, way)
            for child, parent, way in _lines(history, places)
        ],
        "dots": [
            (
                names.get(row.id, f"missing-{number}"),
                row.lane % colors,
                "missing" if row.revision is None else "open" if row.id in pending else "",
                *places[row.id],
                f"{row.id} {row.revision.message}" if row.revision else row.id,
            )
            for number, row in enumerate(drawn)
        ],
        "marks": [
            (database.bind or database.name, names[id], round(100 * places[id][0] / wide, 2))
            for database in databases
            for id in database.version_rows or ()
            if id in places and id in names
        ],
    }


def _height(lane: int) -> int:
    return min(lane, _MOST - 1) * _LANE + _LANE // 2


def _lines(
    history: History, places: Mapping[str, tuple[int, int]]
) -> Iterator[tuple[str, str, str]]:
    """Every line, from the newer end on the right; it stays in the outer of its two lanes."""
    for child in history.by_id.values():
        for parent in history.needs(child):
            (x, y), (to_x, to_y) = places[child.id], places[parent]
            if y == to_y:
                way = f"M{x} {y}H{to_x}"
            elif y > to_y:
                turn = min(to_x + _STEP, x)
                way = f"M{x} {y}H{turn}Q{to_x} {y} {to_x} {to_y}"
            else:
                turn = max(x - _STEP, to_x)
                way = f"M{x} {y}Q{x} {to_y} {turn} {to_y}H{to_x}"
            yield child.id, parent, way
