"""Plans, beside what Alembic itself does with the same histories."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine

from flask_safemigrate.errors import UsageError
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.history import History, Revision
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning import plan_downgrade, plan_upgrade, target_of, why_not
from flask_safemigrate.project.history import read_history
from tests.support.graphs import random_history

Planner = Callable[[History, DatabaseState, str], Plan]


def database(*rows: str) -> DatabaseState:
    return DatabaseState("", "sqlite", "/app.db", "app.db", version_rows=rows)


def history(*nodes: tuple[str, str | tuple[str, ...] | None], **labels: str) -> History:
    return History(
        tuple(
            Revision(
                id,
                (parents,) if isinstance(parents, str) else parents or (),
                message=f"make {id}",
                labels=tuple(label for label, owner in labels.items() if owner == id),
            )
            for id, parents in nodes
        )
    )


class Alembic:
    """Alembic on an in-memory database, with the same files."""

    def __init__(self, directory: Path, connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(directory))
        self.script = ScriptDirectory.from_config(config)
        self.connection = connection

    def at(self, rows: tuple[str, ...]) -> None:
        self.connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")
        self.connection.exec_driver_sql(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"
        )
        for row in rows:
            self.connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{row}')")

    def run(self, direction: str, target: str) -> tuple[list[str], set[str]]:
        """The revisions in the order in which they ran, and the version table afterwards."""
        ran: list[str] = []
        revs = self.script._upgrade_revs
        if direction == "downgrade":
            revs = self.script._downgrade_revs

        def steps(rows: Any, context: Any) -> Any:
            found = revs(target, rows)
            ran.extend(step.revision.revision for step in found)
            return found

        context = MigrationContext.configure(self.connection, opts={"fn": steps})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            context.run_migrations()
        return ran, set(context.get_current_heads())


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def states(found: History, choose: random.Random) -> list[tuple[str, ...]]:
    """Version tables that a database with this history can have."""
    ids = list(found.by_id)
    picks = [choose.sample(ids, choose.randint(0, len(ids))) for _ in range(4)]
    return [(), found.tips(ids), *(found.tips(found.ancestors(tuple(pick))) for pick in picks)]


def targets(found: History, choose: random.Random) -> list[str]:
    ids = list(found.by_id)
    some = choose.sample(ids, min(3, len(ids)))
    labels = list(found.labels)
    words = ["heads", "head", "base", "+1", "+2", "-1", "-2", "head-1", "base+1", "nothing"]
    words += some + [id[:5] for id in some] + [f"{id}+1" for id in some]
    words += [f"{id}-1" for id in some]
    for label in labels:
        words += [label, f"{label}@head", f"{label}@heads", f"{label}@+1", f"{label}@-1"]
        words += [f"{label}@base", f"{label}@{choose.choice(ids)}", f"{label}-1"]
    return words


def assert_ordered(found: History, steps: list[str], direction: str) -> None:
    order = steps if direction == "upgrade" else steps[::-1]
    place = {id: number for number, id in enumerate(order)}
    for id in order:
        for need in found.needs(found.by_id[id]):
            assert place.get(need, -1) < place[id]


@pytest.mark.parametrize("direction", ["upgrade", "downgrade"])
@pytest.mark.parametrize("seed", range(20))
def test_plans_are_what_alembic_does(
    seed: int, direction: str, tmp_path: Path, connection: Connection
) -> None:
    random_history(seed, tmp_path / "versions")
    found = read_history(tmp_path)
    alembic = Alembic(tmp_path, connection)
    planner: Planner = plan_upgrade if direction == "upgrade" else plan_downgrade
    choose = random.Random(seed)
    compared = 0
    for rows in states(found, choose):
        for target in choose.sample(words := targets(found, choose), min(len(words), 14)):
            alembic.at(rows)
            try:
                ran, after = alembic.run(direction, target)
            except Exception:  # Alembic refuses with CommandError, AssertionError and others
                continue
            if target in ("-1", "-2") and len(rows) > 1:
                # Alembic takes the first row and warns that it will refuse in future.
                with pytest.raises(UsageError, match="no single way down"):
                    planner(found, database(*rows), target)
                continue
            plan = planner(found, database(*rows), target)
            steps = [step.id for step in plan.steps]
            about = f"{direction} {rows} to {target}"
            assert steps == ran, about
            assert_ordered(found, steps, direction)
            # Alembic's downgrade may leave an ancestor's row beside its descendant's.
            spare = {id for id in after if direction == "downgrade" and id not in plan.target}
            assert spare <= found.ancestors(plan.target), about
            assert set(plan.target) == after - spare, about
            assert plan.start == rows
            compared += 1
    assert compared > 5


LINE = history(("a1a1", None), ("b2b2", "a1a1"), ("c3c3", "b2b2"))
FORK = history(("a1a1", None), ("b2b2", "a1a1"), ("c3c3", "a1a1"), right="c3c3")


@pytest.mark.parametrize(
    ("found", "rows", "text", "expected"),
    [
        (LINE, (), "", ("c3c3",)),
        (LINE, (), "heads", ("c3c3",)),
        (LINE, (), " head ", ("c3c3",)),
        (LINE, (), "base", ()),
        (LINE, (), "b2b2", ("b2b2",)),
        (LINE, (), "b2", ("b2b2",)),
        (LINE, (), "+2", ("b2b2",)),
        (LINE, ("a1a1",), "+2", ("c3c3",)),
        (LINE, (), "c3c3-1", ("b2b2",)),
        (LINE, (), "a1a1+1", ("b2b2",)),
        (LINE, (), "head-2", ("a1a1",)),
        (FORK, (), "heads", ("b2b2", "c3c3")),
        (FORK, (), "right@head", ("c3c3",)),
        (FORK, (), "right", ("c3c3",)),
        (FORK, ("a1a1",), "right@+1", ("c3c3",)),
        (FORK, ("b2b2",), "right@+1", ("c3c3",)),
        (FORK, (), "right@a1a1", ("a1a1",)),
        (FORK, (), "b2b2@heads", ("b2b2",)),
        (History(), (), "heads", ()),
        (History(), (), "head", ()),
    ],
)
def test_targets(
    found: History, rows: tuple[str, ...], text: str, expected: tuple[str, ...]
) -> None:
    assert target_of(found, text, rows) == expected


@pytest.mark.parametrize(
    ("found", "rows", "text", "message", "hint"),
    [
        (
            LINE,
            (),
            "b2c2",
            "no revision or branch 'b2c2'. Did you mean 'b2b2' (make b2b2)",
            "b2b2",
        ),
        (LINE, (), "haed", "Did you mean 'head'", "head"),
        (LINE, (), "zzzz", "Heads: 'c3c3' (make c3c3)", "flask db history"),
        (History(), (), "a1a1", "Heads: none, the history is empty", "flask db history"),
        (LINE, (), "a1a1:c3c3", "'a1a1:c3c3' is a range", "'c3c3'"),
        (LINE, (), "-1", "cannot go -1", "flask db safe-downgrade -- -1"),
        (LINE, ("c3c3",), "+1", "goes too far: 0 revisions follow 'c3c3'", "safe-upgrade"),
        (LINE, (), "a1a1-1", "'a1a1-1' is base", "flask db history"),
        (LINE, (), "a1a1-2", "goes too far: 1 steps down from 'a1a1'", "base"),
        (FORK, (), "head", "2 heads: 'b2b2' (make b2b2), 'c3c3' (make c3c3)", "flask db merge"),
        (FORK, ("a1a1",), "+1", "after 'a1a1' (make a1a1) come 'b2b2'", "name the one"),
        (FORK, ("b2b2", "c3c3"), "+1", "more than one revision: 'b2b2'", "label@+1"),
        (FORK, (), "left@head", "no revision or branch 'left'", "flask db history"),
        (FORK, (), "right@b2b2", "'b2b2' (make b2b2) is not on branch 'right'", "history"),
        (FORK, (), "heads-1", "'heads' is not one revision: 'b2b2'", "name one"),
        (
            history(("abc1", None), ("abc2", "abc1")),
            (),
            "abc",
            "More than one revision begins with 'abc': 'abc1' (make abc1), 'abc2'",
            "write more",
        ),
    ],
)
def test_targets_that_are_not_understood(
    found: History, rows: tuple[str, ...], text: str, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        target_of(found, text, rows)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("rows", "text", "message"),
    [
        (
            ("a1a1",),
            "c3c3",
            "/app.db cannot go down to 'c3c3' (make c3c3), which is not below 'a1a1",
        ),
        ((), "b2b2", "which is not below base"),
        (("c3c3",), "+1", "A downgrade cannot go +1"),
        ((), "-1", "the database is at base"),
        (("b2b2",), "-3", "goes too far: 2 steps down from 'b2b2'"),
        (("c3c3",), "nope", "no revision or branch 'nope'"),
    ],
)
def test_ways_down_that_are_none(rows: tuple[str, ...], text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan_downgrade(LINE, database(*rows), text)
    assert message in caught.value.message


def test_nothing_to_do_at_or_past_the_target() -> None:
    for rows, target in [(("c3c3",), "heads"), (("c3c3",), "a1a1"), (("b2b2",), "base")]:
        plan = plan_upgrade(LINE, database(*rows), target)
        assert plan.empty
        assert plan.start == plan.target == rows
    assert plan_downgrade(LINE, database("b2b2"), "b2b2").empty
    assert plan_downgrade(LINE, database(), "base").empty


def test_plan_names_its_database() -> None:
    plan = plan_downgrade(LINE, database("c3c3"), "base")
    assert (plan.bind, plan.location, plan.direction) == ("", "/app.db", "downgrade")
    assert [step.message for step in plan.steps] == ["make c3c3", "make b2b2", "make a1a1"]
    assert plan.target == ()


@pytest.mark.parametrize("planner", [plan_upgrade, plan_downgrade])
def test_a_revision_that_no_file_has_makes_no_plan(planner: Planner) -> None:
    with pytest.raises(UsageError, match=r"/app\.db is at revision 'gone'"):
        planner(LINE, database("a1a1", "gone"), "base")


def test_a_circle_is_told_and_not_walked_for_ever() -> None:
    circle = history(("a1a1", "b2b2"), ("b2b2", "a1a1"), ("c3c3", "b2b2"))
    with pytest.raises(UsageError, match="circle"):
        plan_upgrade(circle, database(), "heads")


def test_three_thousand_revisions_are_planned_at_once() -> None:
    ids = [f"r{number:04}" for number in range(3000)]
    long = history(*zip(ids, [None, *ids[:-1]], strict=True))
    plan = plan_upgrade(long, database("r0001"))
    assert [step.id for step in plan.steps] == ids[2:]
    assert [s.id for s in plan_downgrade(long, database(ids[-1]), "base").steps] == ids[::-1]


def test_why_not_leaves_what_was_allowed() -> None:
    findings = (
        Finding("SM209", Severity.ERROR, "two heads", "x", "merge", blocks=True),
        Finding("SM302", Severity.ERROR, "no version table", "x", "stamp", blocks=True),
        Finding("SM306", Severity.WARNING, "behind", "x", "upgrade"),
    )
    assert [f.code for f in why_not(findings)] == ["SM209", "SM302"]
    assert [f.code for f in why_not(findings, ["SM209"])] == ["SM302"]
    assert [f.code for f in why_not(findings, ["several-heads", "SM3"])] == []
    with pytest.raises(UsageError, match="There is no check 'SM290'"):
        why_not(findings, ["SM290"])
