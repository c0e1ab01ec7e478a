"""What runs before the new code is live, and what after."""

from __future__ import annotations

import pytest

from flask_safemigrate.errors import Refused, UsageError
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.history import History, Revision
from flask_safemigrate.planning import plan_upgrade
from flask_safemigrate.planning.phases import left_over, two_phases
from flask_safemigrate.project.headers import read_header
from tests.support.projects import ProjectFactory


def history(*rows: str) -> History:
    """Rows such as ``b<a after``: b comes after a and runs after the new code is live."""
    found = []
    for row in rows:
        name, _, phase = row.partition(" ")
        id, _, parents = name.partition("<")
        found.append(
            Revision(id, tuple(filter(None, parents.split("+"))), phase=phase or "before")
        )
    return History(tuple(found))


def at(*rows: str) -> DatabaseState:
    return DatabaseState("", "sqlite", "/app.db", "app.db", version_rows=rows)


LINE = history("a", "b<a", "c<b after", "d<c after")
MIXED = history("a", "b<a after", "c<b", "d<c after")
BRANCHES = history("a", "b<a after", "c<a", "m<b+c")


@pytest.mark.parametrize(
    ("known", "start", "phase", "steps", "left"),
    [
        (LINE, (), "before", "a b", "c d"),
        (LINE, (), "all", "a b c d", ""),
        (LINE, ("b",), "before", "", "c d"),
        (LINE, ("b",), "after", "c d", ""),
        (LINE, ("d",), "before", "", ""),
        (LINE, ("c",), "after", "d", ""),
        (MIXED, ("a",), "after", "b", "c d"),
        (MIXED, ("b",), "before", "c", "d"),
        (MIXED, (), "all", "a b c d", ""),
        (BRANCHES, ("a",), "after", "b", "c m"),
        (BRANCHES, ("b",), "before", "c m", ""),
    ],
)
def test_a_phase_runs_its_own_in_the_order_of_history(
    known: History, start: tuple[str, ...], phase: str, steps: str, left: str
) -> None:
    plan = plan_upgrade(known, at(*start), "heads", phase)
    assert [step.id for step in plan.steps] == steps.split()
    assert [step.id for step in plan.left] == left.split()
    applied = known.ancestors(start).union(steps.split())
    assert set(plan.target) == set(known.tips(applied))


@pytest.mark.parametrize(
    ("known", "start", "phase", "waiting", "first"),
    [
        (MIXED, ("a",), "before", "c", "b"),
        (MIXED, (), "before", "c", "b"),
        (BRANCHES, ("a",), "before", "m", "b"),
        (LINE, (), "after", "c", "a"),
        (MIXED, (), "after", "b", "a"),
    ],
)
def test_what_waits_for_the_other_phase_is_refused_and_explained(
    known: History, start: tuple[str, ...], phase: str, waiting: str, first: str
) -> None:
    with pytest.raises(Refused) as caught:
        plan_upgrade(known, at(*start), "heads", phase)
    assert f"Revision '{waiting}'" in caught.value.message
    assert f"comes after '{first}'" in caught.value.message
    assert "flask db deploy --phase" in (caught.value.hint or "")


def test_a_phase_that_there_is_not_is_named() -> None:
    with pytest.raises(UsageError, match="'b' says safemigrate_phase = 'later'"):
        plan_upgrade(history("a", "b<a later"), at(), "heads")


def test_status_says_how_to_bring_both_in() -> None:
    steps = LINE.revisions
    assert "--phase before, start the new code" in two_phases(LINE, "/app.db", steps)
    assert "comes after 'b'" in two_phases(MIXED, "/app.db", MIXED.revisions)
    assert two_phases(LINE, "/app.db", steps[:2]) == ""
    assert left_over(LINE, "/app.db", steps[2:], "before").endswith("--phase after")
    assert left_over(LINE, "/app.db", (), "before") == ""


HEADER = '"""Drop it"""\nrevision = "b"\ndown_revision = "a"\n{}\n\ndef upgrade():\n    {}\n'


@pytest.mark.parametrize(
    ("line", "body", "phase"),
    [
        ("", "pass", "before"),
        ('safemigrate_phase = "after"', "pass", "after"),
        ("safemigrate_phase: str = 'after'  # once nobody reads it", "pass", "after"),
        ("PHASE = 'after'\nsafemigrate_phase = PHASE", "pass", "after"),
        ('safemigrate_phase = "before"', "pass", "before"),
        ("", 'print("safemigrate_phase = after")', "before"),
    ],
)
def test_the_marker_is_read_from_the_file(line: str, body: str, phase: str) -> None:
    revision = read_header(HEADER.format(line, body), "b.py").revision
    assert revision is not None
    assert revision.phase == phase
    assert revision._replace(phase="") == Revision(
        "b", ("a",), (), (), "Drop it", "", "b.py", (), ""
    )


def test_a_computed_marker_is_told() -> None:
    broken = read_header(HEADER.format("safemigrate_phase = choose()", "pass"), "b.py").broken
    assert broken is not None
    assert broken.problem == "not literal"


def test_a_release_in_two_phases(project: ProjectFactory) -> None:
    p = project()
    p.revision("a", "op.create_table('t', sa.Column('id', sa.Integer), sa.Column('old', sa.Text))")
    p.revision("b", "op.add_column('t', sa.Column('new', sa.Text))")
    p.revision("c", "op.drop_column('t', 'old')", header='safemigrate_phase = "after"\n')
    told = p.invoke("db", "status").output
    assert "(after)" in told
    assert "To run on" in told
    early = p.invoke("db", "deploy", "--phase", "after")
    assert early.exit_code == 3
    assert "comes after 'a'" in " ".join(early.output.split())
    assert p.invoke("db", "deploy", "--phase", "before").exit_code == 0
    assert p.heads() == {"b"}
    again = p.invoke("db", "deploy", "--phase", "before")
    assert again.exit_code == 0
    assert "Left on" in again.output
    # The next release does not step over what the last one left.
    p.revision("d", "op.add_column('t', sa.Column('newer', sa.Text))")
    behind = p.invoke("db", "deploy", "--phase", "before")
    assert behind.exit_code == 3
    assert "flask db deploy --phase after" in " ".join(behind.output.split())
    assert p.heads() == {"b"}
    after = p.invoke("db", "deploy", "--phase", "after")
    assert after.exit_code == 0, after.output
    assert p.heads() == {"c"}
    assert "'d'" in after.output
    assert p.invoke("db", "deploy").exit_code == 0
    assert p.heads() == {"d"}
