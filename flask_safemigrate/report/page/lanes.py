"""Where every revision and every line between two of them goes in the picture of a history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from flask_safemigrate.facts.history import History, Revision
from flask_safemigrate.report.graph import newest_first

#: Heights inside a row.
TOP, MIDDLE, BOTTOM = 0, 50, 100


class Stroke(NamedTuple):
    """A piece of line inside one row, from one lane and height to another.

    :param child: the revision that the line begins at, the newer end.
    :param kind: ``parent``, ``depends`` or ``circle`` (a line that cannot go down).
    """

    start: int
    start_at: int
    end: int
    end_at: int
    child: str
    kind: str = "parent"


class Row(NamedTuple):
    """One revision of the picture.

    :param revision: None for an id that no file has.
    """

    id: str
    revision: Revision | None
    lane: int
    strokes: tuple[Stroke, ...] = ()


@dataclass
class _Lane:
    """A line on its way down.

    :param waiting: the id that it leads to.
    """

    waiting: str
    child: str
    kind: str


@dataclass
class _Drawing:
    lanes: list[_Lane | None] = field(default_factory=list)

    def free(self) -> int:
        """The leftmost lane that no line is in."""
        if None not in self.lanes:
            self.lanes.append(None)
        return self.lanes.index(None)

    def waiting_for(self, id: str) -> list[int]:
        return [n for n, lane in enumerate(self.lanes) if lane and lane.waiting == id]


def rows(history: History) -> tuple[Row, ...]:
    """Return every revision, newest first, and every id that is needed and has no file.

    A line leads from each revision down to what it needs. A lane is free again where its line
    ends, so the picture is as wide as the most lines that are side by side.
    """
    order = tuple(_with_missing(history))
    place = {id: number for number, id in enumerate(order)}
    drawing = _Drawing()
    return tuple(_row(id, history, place, drawing) for id in order)


def width(drawn: Sequence[Row]) -> int:
    """Return how many lanes there are."""
    used = {n for row in drawn for s in row.strokes for n in (s.start, s.end)}
    return max((*used, *(row.lane for row in drawn)), default=0) + 1


def _with_missing(history: History) -> Iterator[str]:
    """Every id, the missing ones below the last revision that needs them."""
    newest = newest_first(history)
    last: dict[str, str] = {}
    for revision in newest:
        for need in history.needs(revision):
            if need not in history.by_id:
                last[need] = revision.id
    for revision in newest:
        yield revision.id
        for need in history.needs(revision):
            if last.get(need) == revision.id:
                yield need
                del last[need]


def _row(id: str, history: History, place: Mapping[str, int], drawing: _Drawing) -> Row:
    lanes = drawing.lanes
    arriving = drawing.waiting_for(id)
    lane = arriving[0] if arriving else drawing.free()
    strokes = [
        Stroke(n, TOP, n, BOTTOM, passing.child, passing.kind)
        for n, passing in enumerate(lanes)
        if passing and n not in arriving
    ]
    for n in arriving:
        ending = lanes[n]
        assert ending is not None
        strokes.append(Stroke(n, TOP, lane, MIDDLE, ending.child, ending.kind))
        lanes[n] = None
    revision = history.by_id.get(id)
    for need, kind in _needs(revision, history):
        if place[need] <= place[id]:
            strokes.append(Stroke(lane, MIDDLE, lane, BOTTOM, id, "circle"))
            continue
        to = lane if lanes[lane] is None else drawing.free()
        lanes[to] = _Lane(need, id, kind)
        strokes.append(Stroke(lane, MIDDLE, to, BOTTOM, id, kind))
    while lanes and lanes[-1] is None:
        lanes.pop()
    return Row(id, revision, lane, tuple(strokes))


def _needs(revision: Revision | None, history: History) -> Iterator[tuple[str, str]]:
    if revision is None:
        return
    for need in history.needs(revision):
        yield need, "parent" if need in revision.parents else "depends"
