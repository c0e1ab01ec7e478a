from __future__ import annotations

from typing import Any

import pytest

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.facts.database import JournalRow
from flask_safemigrate.facts.history import History
from flask_safemigrate.facts.past import Commit, Edit, Lost, Origin, Past
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Step
from tests.checks.states import (
    LINE,
    assert_finds,
    at,
    database,
    findings,
    history,
    revision,
    state,
)

COMMIT = Commit("9f3e1c2ab", "Ann", "2024-01-31", "cleanup")
DELETED = Lost("d4", ("c3",), "", "deleted", COMMIT, "migrations/versions/d4_x.py", "ab12")
KEPT = Lost("d4", ("c3",), kept=True)
RAN = JournalRow("revision", "d4", "upgrade", "2024-02-03T10:00", "2024-02-03T10:00", host="web1")


def lost(*several: Lost, git: bool = True, found: History = LINE, **more: Any) -> State:
    """A database at d4, and what is known of files that are gone."""
    journal = more.pop("journal", ())
    known = Past(git=git, lost={each.id: each for each in several}, **more)
    return state(at("d4", journal=journal), found=found)._replace(past=known)


def elsewhere(*branches: str) -> Lost:
    return DELETED._replace(fate="elsewhere", branches=branches)


FINDS = [
    (
        "SM301",
        lost(DELETED),
        [
            'd4_x.py" was deleted in commit 9f3e1c2ab ("cleanup", Ann, 2024-01-31)',
            "git checkout 9f3e1c2ab^ -- ':/migrations/versions/d4_x.py'",
        ],
    ),
    (
        "SM301",
        lost(DELETED._replace(fate="uncommitted", commit=None)),
        ["was deleted here, which is not committed", "git checkout HEAD --"],
    ),
    (
        "SM301",
        lost(KEPT._replace(parents=("b2",)), journal=(RAN,)),
        ["the journal of the database has its text", "restores revision 'd4' from the journal"],
    ),
    ("SM301", lost(KEPT._replace(bytecode="/v/d4.pyc"), journal=(RAN,)), ["its file is gone"]),
    (
        "SM301",
        lost(DELETED._replace(parents=("zz",)), Lost("zz")),
        ["but it needs 'zz', of which nobody has the file"],
    ),
    ("SM301", lost(Lost("d4", bytecode="/v/d4_x.pyc")), ['Only "d4_x.pyc" is left of it.']),
    ("SM301", lost(Lost("d4"), gave_up=True), ["Git did not answer"]),
    ("SM301", lost(Lost("d4"), git=False), ["There is no git repository here to ask"]),
    ("SM301", lost(Lost("d4"), shallow=True), ["cut off", "git fetch --unshallow"]),
    (
        "SM304",
        lost(KEPT, journal=(RAN,)),
        ["newer than this code", "from host 'web1'", "flask db safe-downgrade c3"],
    ),
    (
        "SM310",
        lost(elsewhere("feature/x", "origin/feature/x")),
        [
            "branches 'feature/x' and 'origin/feature/x' have it",
            "git switch feature/x, flask db safe-downgrade c3",
        ],
    ),
    ("SM310", lost(elsewhere("origin/x")), ["git switch x, ", "git checkout origin/x --"]),
    (
        "SM310",
        lost(elsewhere("x")._replace(parents=("c9",))),
        ["git checkout x -- ':/migrations/versions' brings its revisions over"],
    ),
    ("SM310", lost(elsewhere()), ["which no branch holds any more, has it"]),
    (
        "SM311",
        lost(DELETED._replace(fate="renumbered", became="c3")),
        ['("cleanup", Ann, 2024-01-31) gave "d4_x.py" the id', "stamps 'c3' in its place"],
    ),
    (
        "SM311",
        lost(DELETED._replace(parents=()), found=history(revision("z1"))),
        ["the history begins anew with 'z1'", "git worktree add ../before 9f3e1c2ab^"],
    ),
    (
        "SM312",
        lost(Lost("d4", other_path="/shop/other/versions/d4.py")),
        ['"other/versions/d4.py" has', "flask db doctor -d other"],
    ),
    (
        "SM313",
        state(at("C3 ")),
        ["'C3 ', which no file has; the id is 'c3'", "stamps 'c3'"],
    ),
    (
        "SM313",
        state(at("c3d4e5"), found=history(revision("c3d4e5f6a7b8"))),
        ["the id is 'c3d4e5f6a7b8'"],
    ),
]


@pytest.mark.parametrize(("code", "of", "parts"), FINDS)
def test_finds(code: str, of: State, parts: list[str]) -> None:
    assert_finds(code, of, *parts)
    assert [f.code for f in run_checks(of) if f.code[:3] in ("SM2", "SM3")] == [code]


SILENT = [
    ("SM310", lost(DELETED)),
    ("SM311", lost(DELETED)),
    ("SM311", lost(DELETED._replace(parents=()), found=History())),
    ("SM312", lost(DELETED)),
    ("SM313", state(at("c3"))),
    ("SM313", state(at("c3d4"), found=history(revision("c3d4e5f6a7b8")))),
    ("SM313", state(at("c3d4e5"), found=history(revision("c3d4e5f6"), revision("c3d4e5a7")))),
    ("SM304", lost(KEPT._replace(parents=("b2",)), journal=(RAN,))),
]


@pytest.mark.parametrize(("code", "of"), SILENT)
def test_silent(code: str, of: State) -> None:
    assert findings(code, of) == []


def test_what_is_lost_with_it_comes_back_with_it() -> None:
    before = DELETED._replace(id="c9", path="migrations/versions/c9_y.py")
    finding = assert_finds("SM301", lost(DELETED._replace(parents=("c9",)), before))
    assert finding.steps == (Step("restore", ("c9", "d4")),)
    assert finding.repair == "restores 2 files from git"


def test_a_database_at_a_missing_parent_is_no_second_finding() -> None:
    of = lost(DELETED, found=history(*LINE.revisions, revision("e5", "d4")))
    finding = assert_finds("SM206", of, "was deleted in commit 9f3e1c2ab", "is at it")
    assert [f.code for f in run_checks(of)] == ["SM206"]
    assert finding.steps == (Step("restore", ("d4",)),)


def swapped(**more: Any) -> State:
    return state(
        database("hits", version_rows=("c3",)),
        database("users", "orders", bind="stats", version_rows=("c3",)),
        models={"": ("users", "orders"), "stats": ("hits",)},
        multidb=True,
        **more,
    )


def test_exchanged_binds() -> None:
    finding = assert_finds("SM314", swapped(), "'hits'", "the other way round")
    assert finding.bind is None
    assert [f.code for f in run_checks(swapped())] == ["SM314"]
    right = state(
        database("users", "orders", version_rows=("c3",)),
        database("hits", bind="stats", version_rows=("c3",)),
        models={"": ("users", "orders"), "stats": ("hits",)},
        multidb=True,
    )
    assert findings("SM314", right) == []


FORK = history(
    revision("a1"),
    revision("b2", "a1", created="2024-01-31 10:00:00"),
    revision("c3", "a1", created="2024-02-01 11:00:00"),
)


def forked(origins: dict[str, Origin], *rows: str) -> State:
    known = {f"/v/{id}_make.py": origin for id, origin in origins.items()}
    return state(at(*rows), found=FORK)._replace(past=Past(git=True, origins=known))


SHARED = Origin(COMMIT, shared=True, tracked=True)
OWN = Origin(COMMIT, shared=False, tracked=True)
ONLY = Origin(COMMIT, shared=None, tracked=True)


@pytest.mark.parametrize(
    ("origins", "rows", "step"),
    [
        ({"b2": SHARED, "c3": OWN}, ("b2",), Step("reparent", ("c3", "b2"))),
        ({"b2": OWN, "c3": SHARED}, ("a1",), Step("reparent", ("b2", "c3"))),
        # Both could move: the younger one does.
        ({"b2": OWN, "c3": OWN}, ("a1",), Step("reparent", ("c3", "b2"))),
        ({"b2": SHARED, "c3": Origin()}, ("a1",), Step("reparent", ("c3", "b2"))),
        ({"b2": SHARED, "c3": OWN}, ("c3",), Step("merge", ("b2", "c3"))),
        ({"b2": SHARED, "c3": SHARED}, ("a1",), Step("merge", ("b2", "c3"))),
        # Without a remote nobody can tell who has it.
        ({"b2": ONLY, "c3": ONLY}, ("a1",), Step("merge", ("b2", "c3"))),
        ({"b2": SHARED, "c3": OWN}, ("zz", "b2"), Step("merge", ("b2", "c3"))),
    ],
)
def test_only_a_private_unapplied_line_moves(
    origins: dict[str, Origin], rows: tuple[str, ...], step: Step
) -> None:
    (finding,) = findings("SM209", forked(origins, *rows))
    assert finding.steps == (step,)


def test_an_edit_is_shown_unless_it_changes_nothing() -> None:
    ran = JournalRow("revision", "b2", "upgrade", "2024-02-03", "2024-02-03", checksum="1")
    of = state(at("c3", journal=(ran,)))._replace(checksums={"b2": "2"})
    edit = Edit(("-    old", "+    new"), COMMIT, "abc123456")
    shown = of._replace(past=Past(edits={"b2": edit}))
    assert_finds(
        "SM307",
        shown,
        'by commit 9f3e1c2ab ("cleanup", Ann, 2024-01-31) (gone: old; added: new)',
        "git checkout abc123456 -- migrations/versions/b2_make.py",
    )
    harmless = of._replace(past=Past(edits={"b2": edit._replace(harmless=True)}))
    assert findings("SM307", harmless) == []
