"""What the revisions that a person names come to."""

from __future__ import annotations

import pytest

from flask_safemigrate.errors import UsageError
from flask_safemigrate.facts.history import History, Revision
from flask_safemigrate.planning import Selection, select

#: a - b - c - m - d, and x - y beside it, which m merges.
HISTORY = History(
    (
        Revision("aaaa", ()),
        Revision("bbbb", ("aaaa",)),
        Revision("cccc", ("bbbb",), labels=("main",)),
        Revision("xxxx", ("aaaa",)),
        Revision("yyyy", ("xxxx",)),
        Revision("mmmm", ("cccc", "yyyy")),
        Revision("dddd", ("mmmm",)),
    )
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("cccc", "c"),
        ("head", "d"),
        ("heads", "d"),
        ("+1", "y"),
        ("dddd-1", "m"),
        ("bbbb:cccc", "bc"),
        ("bbbb:bbbb", "b"),
        ("bbbb:dddd", "bcmd"),
        ("aaaa:yyyy", "axy"),
        ("base:cccc", "abc"),
        (":cccc", "abc"),
        ("mmmm:", "md"),
        (":", "abcxymd"),
    ],
)
def test_revisions_and_ranges(text: str, wanted: str) -> None:
    found = select(HISTORY, Selection(text), ("xxxx",))
    assert found == {letter * 4 for letter in wanted}


@pytest.mark.parametrize(
    ("since", "wanted"),
    [
        # What a database at this revision lacks, the branch that is merged later included.
        ("cccc", "xymd"),
        ("mmmm", "d"),
        ("heads", ""),
        ("base", "abcxymd"),
    ],
)
def test_what_comes_after(since: str, wanted: str) -> None:
    assert select(HISTORY, Selection(since=since)) == {letter * 4 for letter in wanted}


def test_nothing_named() -> None:
    assert select(HISTORY, Selection()) is None


@pytest.mark.parametrize(
    ("selection", "message", "hint"),
    [
        (Selection("nosuch"), "no revision or branch 'nosuch'", "flask db history"),
        (Selection("base"), "'base' is no revision", "base:heads"),
        (Selection("-1"), "'-1' is a way down", "flask db history"),
        (Selection("cccc:bbbb"), "does not come before", "flask db lint bbbb:cccc"),
        (Selection("bbbb:yyyy"), "does not come before", "flask db history"),
        (Selection("aaaa:bbbb:cccc"), "not a range", "FIRST:LAST"),
        (Selection("aaaa:nosuch"), "no revision or branch 'nosuch'", "flask db history"),
        (Selection(since="aaab"), "Did you mean 'aaaa'", "use 'aaaa'"),
        (Selection(since="-1"), "'-1' is a way down", "flask db history"),
    ],
)
def test_what_names_nothing_is_refused(selection: Selection, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        select(HISTORY, selection)
    assert hint in (refused.value.hint or "")
