"""Every line of the picture leads from a revision to what it needs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from flask_safemigrate.facts.history import History, Revision
from flask_safemigrate.report.page.lanes import BOTTOM, MIDDLE, TOP, Row, rows, width
from tests.report.pages import grown


def lines(drawn: Sequence[Row]) -> set[tuple[str, str, str]]:
    """Follow every line down, piece by piece: (newer revision, older one, kind)."""
    found: set[tuple[str, str, str]] = set()
    above: dict[int, tuple[str, str]] = {}
    for row in drawn:
        below: dict[int, tuple[str, str]] = {}
        reached: set[int] = set()
        for stroke in row.strokes:
            if stroke.start_at == TOP:
                assert above[stroke.start] == (stroke.child, stroke.kind)
                reached.add(stroke.start)
            else:
                assert (stroke.start, stroke.child) == (row.lane, row.id)
            if stroke.end_at == MIDDLE:
                assert stroke.end == row.lane
                found.add((stroke.child, row.id, stroke.kind))
            elif stroke.kind != "circle":
                assert stroke.end_at == BOTTOM
                assert stroke.end not in below, "two lines in one lane"
                assert stroke.end != row.lane or stroke.start_at == MIDDLE, "through a dot"
                below[stroke.end] = (stroke.child, stroke.kind)
        assert reached == set(above), "a line ends in the air"
        above = below
    assert not above
    return found


def wanted(history: History) -> set[tuple[str, str, str]]:
    return {
        (r.id, need, "parent" if need in r.parents else "depends")
        for r in history.by_id.values()
        for need in history.needs(r)
    }


@pytest.mark.parametrize("seed", range(40))
def test_lines_of_grown_histories(seed: int) -> None:
    history = History(grown(60, seed))
    drawn = rows(history)
    assert sorted(row.id for row in drawn) == sorted(history.by_id)
    assert lines(drawn) == wanted(history)
    place = {row.id: number for number, row in enumerate(drawn)}
    assert all(place[new] < place[old] for new, old, _ in wanted(history))


def test_a_straight_history_has_one_lane() -> None:
    line = [Revision("0", ()), *(Revision(str(n), (str(n - 1),)) for n in range(1, 300))]
    drawn = rows(History(tuple(line)))
    assert width(drawn) == 1
    assert [row.id for row in drawn] == [str(n) for n in reversed(range(300))]


def test_a_branch_takes_a_lane_until_it_is_merged() -> None:
    history = History(
        (
            Revision("a", ()),
            Revision("b", ("a",)),
            Revision("c", ("a",)),
            Revision("m", ("b", "c")),
            Revision("n", ("m",)),
        )
    )
    assert [(row.id, row.lane) for row in rows(history)] == [
        ("n", 0),
        ("m", 0),
        ("b", 0),
        ("c", 1),
        ("a", 0),
    ]


def test_an_id_without_a_file_has_a_row_below_those_that_need_it() -> None:
    history = History((Revision("a", ("gone",)), Revision("b", ("gone",)), Revision("c", ("b",))))
    drawn = rows(history)
    assert drawn[-1].id == "gone"
    assert drawn[-1].revision is None
    assert lines(drawn) == wanted(history)


def test_a_circle_is_drawn_and_not_followed() -> None:
    history = History((Revision("a", ("b",)), Revision("b", ("a",)), Revision("self", ("self",))))
    drawn = rows(history)
    assert sorted(row.id for row in drawn) == ["a", "b", "self"]
    kinds = [stroke.kind for row in drawn for stroke in row.strokes]
    assert kinds.count("circle") == 2


def test_nothing_to_draw() -> None:
    assert rows(History()) == ()
    assert width(()) == 1
