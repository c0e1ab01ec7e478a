from __future__ import annotations

from dataclasses import replace

import pytest

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.facts.history import BrokenFile, History
from flask_safemigrate.facts.state import State
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

LONG = "2024_01_31_add_the_column_title_to_posts"


def broken(problem: str, message: str = "bad", line: int | None = 3, id: str = "") -> BrokenFile:
    return BrokenFile("/v/x9_thing.py", problem, message, line, id)


def beside(*files: BrokenFile, found: History = LINE) -> State:
    return state(found=replace(found, broken=files))


FORK = history(
    revision("a1"),
    revision("b2", "a1", created="2024-01-31 10:00:00"),
    revision("c3", "a1", created="2024-02-01 11:00:00"),
)

FINDS = [
    (
        "SM201",
        beside(broken("syntax", "'(' was never closed")),
        ['"x9_thing.py", line 3,', "'(' was never closed", "mend x9_thing.py"],
    ),
    (
        "SM202",
        beside(broken("merge marker", "<<<<<<< HEAD")),
        ['"x9_thing.py", line 3,', "'<<<<<<< HEAD'", "remove the marker lines"],
    ),
    (
        "SM203",
        beside(broken("no revision", "it assigns no 'revision'", None)),
        ['"x9_thing.py"', "it assigns no 'revision'", "move the file out"],
    ),
    ("SM204", beside(broken("unreadable", "it is not UTF-8 text")), ["x9_thing.py", "UTF-8"]),
    (
        "SM204",
        beside(broken("unreadable", "Permission denied", None)),
        ["chmod u+r /v/x9_thing.py"],
    ),
    ("SM205", beside(broken("not literal")), ['"x9_thing.py" is computed', 'revision = "..."']),
    (
        "SM206",
        state(found=history(revision("a1"), revision("c3", "gone"))),
        ["'c3' (make c3) comes after 'gone', which no", "git log --all --oneline -- '*gone*'"],
    ),
    (
        "SM206",
        state(at("a1b2c3"), found=history(revision("a1b2c3"), revision("c3", "a1b2d3"))),
        ["'a1b2d3'", "Did you mean 'a1b2c3'", "down_revision = 'a1b2c3' in c3_make.py"],
    ),
    (
        "SM206",
        state(at("a1"), found=history(revision("a1"), revision("c3", "a1_make.py"))),
        ["'a1_make.py'", "Did you mean 'a1'", "down_revision = 'a1'"],
    ),
    (
        "SM207",
        state(
            found=history(revision("c3", labels=("shop",)), revision("d4", depends_on=("ship",)))
        ),
        ["'d4' (make d4) depends on 'ship'", "Did you mean 'shop'", "depends_on = 'shop'"],
    ),
    (
        "SM207",
        state(found=history(revision("c3", depends_on=("zzzz",)))),
        ["'zzzz'", "git log --all --oneline -- '*zzzz*'"],
    ),
    (
        "SM208",
        state(found=history(revision("a1", "c3"), revision("b2", "a1"), revision("c3", "b2"))),
        ["'a1' -> 'c3' -> 'b2' -> 'a1'", "a1_make.py, c3_make.py, b2_make.py"],
    ),
    ("SM208", state(found=history(revision("c3", "c3"))), ["'c3' -> 'c3'"]),
    (
        "SM208",
        state(found=history(revision("a1", depends_on=("c3",)), revision("c3", "a1"))),
        ["'a1' -> 'c3' -> 'a1'"],
    ),
    (
        "SM209",
        state(at("b2"), found=FORK),
        [
            "2 heads: 'b2' (make b2, 2024-01-31, b2_make.py, applied in \"app.db\"), "
            "'c3' (make c3, 2024-02-01, c3_make.py)",
            "flask db merge heads",
        ],
    ),
    (
        "SM209",
        state(
            at("a1"),
            found=history(
                revision("a1"),
                revision("b2", "a1", tables=("users", "tags")),
                revision("c3", "a1", tables=("users",)),
            ),
        ),
        ["They touch the same tables: 'users'."],
    ),
    (
        "SM209",
        state(
            at("a1"),
            found=history(
                revision("a1", labels=("all",)), revision("b2", "a1"), revision("c3", "a1")
            ),
        ),
        ["2 heads"],
    ),
    (
        "SM210",
        state(found=history(*LINE.revisions, revision("c3", "b2", path="/v/copy.py"))),
        ["2 files have the revision id 'c3'", '"c3_make.py" and "copy.py"', "delete the copy"],
    ),
    (
        "SM211",
        state(found=history(revision("a1", labels=("x",)), revision("c3", "a1", labels=("x",)))),
        ["'x' of revision 'c3' is also that of revision 'a1'", "branch_labels = None"],
    ),
    (
        "SM211",
        state(found=history(revision("a1"), revision("c3", "a1", labels=("a1",)))),
        ["Branch label 'a1' of revision 'c3' is the id of revision 'a1'"],
    ),
    (
        "SM211",
        state(found=history(revision("a1"), revision("c3", "a1", labels=("c3",)))),
        ["Branch label 'c3' of revision 'c3' is the id of revision 'c3'"],
    ),
    (
        "SM212",
        state(at("a-1:x"), found=history(revision("a-1:x"))),
        ["'a-1:x' holds '-' and ':'", "revision = 'a_1_x'"],
    ),
    (
        "SM213",
        state(at("a1"), found=history(revision("a1"), revision(LONG, "a1"))),
        [f"'{LONG}' has 40 characters", "32", "shorten it"],
    ),
    (
        "SM213",
        state(
            at("a1"),
            found=history(revision("a1"), revision(LONG, "a1"), revision(f"{LONG}_b", LONG)),
        ),
        [f"2 revision ids have more than 32 characters: '{LONG}' and '{LONG}_b'", "shorten each"],
    ),
]


@pytest.mark.parametrize(("code", "of", "parts"), FINDS)
def test_finds(code: str, of: State, parts: list[str]) -> None:
    assert_finds(code, of, *parts)


SILENT = [
    ("SM206", beside(broken("syntax", id="gone"), found=history(revision("c3", "gone")))),
    ("SM206", beside(broken("unreadable"), found=history(revision("c3", "x9")))),
    ("SM207", state(found=history(revision("a1"), revision("c3", "a1", depends_on=("a1",))))),
    ("SM207", beside(broken("syntax", id="z"), found=history(revision("c3", depends_on=("z",))))),
    ("SM208", state(found=history(revision("c3", "gone")))),
    ("SM209", state(found=history(*FORK.revisions, revision("d4", "b2", "c3")))),
    (
        "SM209",
        state(
            found=history(
                revision("a1"),
                revision("b2", "a1", labels=("left",)),
                revision("c3", "a1", labels=("right",)),
            )
        ),
    ),
    ("SM209", state(found=history(revision("a1"), revision("c3", "gone")))),
    ("SM211", state(found=history(revision("a1", labels=("x", "y")), revision("c3", "a1")))),
    ("SM213", state(at(LONG), found=history(revision("a1"), revision(LONG, "a1")))),
]


@pytest.mark.parametrize(("code", "of"), SILENT)
def test_silent(code: str, of: State) -> None:
    assert findings(code, of) == []


def test_a_history_of_branches_and_merges_is_fine() -> None:
    found = history(
        revision("a1", labels=("main",)),
        revision("b2", "a1"),
        revision("c3", "a1", depends_on=("b2",)),
        revision("d4", "b2", "c3"),
    )
    assert run_checks(state(at("d4"), found=found)) == ()


@pytest.mark.parametrize(
    ("of", "codes"),
    [
        (beside(broken("syntax", id="b2"), found=history(*FORK.revisions)), ["SM201"]),
        (
            state(at("b2"), found=history(revision("a1"), revision("b2", "gone"))),
            ["SM206"],
        ),
        (
            state(at("c3"), found=history(revision("a1", "c3"), revision("c3", "a1"))),
            ["SM208"],
        ),
        (
            state(
                at("a1"),
                found=history(revision("a1", labels=("x",)), revision("a1", labels=("x",))),
            ),
            ["SM210"],
        ),
        (beside(broken("merge marker", id="c3"), found=history(revision("a1"))), ["SM202"]),
    ],
)
def test_one_cause_gives_one_finding(of: State, codes: list[str]) -> None:
    assert [f.code for f in run_checks(of) if f.code[:3] in ("SM2", "SM3")] == codes


def test_two_circles_are_two_findings() -> None:
    found = history(
        revision("a1", "b2"), revision("b2", "a1"), revision("c3", "d4"), revision("d4", "c3")
    )
    assert len(findings("SM208", state(found=found))) == 2


def test_heads_can_be_merged() -> None:
    finding = assert_finds("SM209", state(at("a1"), found=FORK))
    assert finding.repair
    assert finding.subject == "b2 c3"


@pytest.mark.parametrize("problem", ["syntax", "merge marker", "no revision", "unreadable"])
def test_broken_files_stop_every_command(problem: str) -> None:
    for command in ("upgrade", "downgrade", "deploy", "reset", "status"):
        of = state(database(exists=False), found=replace(LINE, broken=(broken(problem),)))
        blocking = [f.code[:3] for f in run_checks(of, command=command) if f.blocks]
        assert blocking == ["SM2"]


@pytest.mark.parametrize(("code", "of", "parts"), FINDS)
def test_every_finding_about_the_history_points_at_a_file(
    code: str, of: State, parts: list[str]
) -> None:
    for finding in findings(code, of):
        assert finding.file.endswith(".py")
        line = f":{finding.line}" if finding.line else ""
        assert finding.where == f"{finding.file}{line}"
