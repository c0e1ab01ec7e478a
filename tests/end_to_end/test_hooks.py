"""Deploy hooks: each time or once per database, written down with their result."""

from __future__ import annotations

import json

import pytest

from flask_safemigrate import SafeMigrate
from flask_safemigrate.errors import UsageError
from tests.support.projects import Project, ProjectFactory

HOOKS = """
import os

def visit(who):
    with db.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO visits (who) VALUES (:who)"), {"who": who})

@migrate.on_deploy
def every():
    visit("every")
    return 3

@migrate.on_deploy(once=True, name="first time")
def first():
    if os.environ.get("FAIL"):
        raise ValueError("not yet")
    visit("first")
    return "made 2 roles"

@migrate.on_deploy
def last():
    visit("last")
"""

VISITS = "SELECT who FROM visits ORDER BY id"
NOTED = (
    "SELECT subject, direction, result FROM safemigrate_journal WHERE kind = 'hook' ORDER BY id"
)


def make(project: ProjectFactory, url: str | None = None) -> Project:
    p = project(url=url, after=HOOKS)
    p.revision(
        "r1",
        "op.create_table('visits', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('who', sa.String(10)))",
    )
    return p


@pytest.fixture
def shop(project: ProjectFactory) -> Project:
    return make(project)


def test_once_is_once_and_results_are_kept(project: ProjectFactory, database_url: str) -> None:
    p = make(project, database_url)
    crowd = [p.start("db", "deploy", "--lock-wait", "60") for _ in range(3)]
    said = [process.communicate(timeout=120) for process in crowd]
    assert [process.returncode for process in crowd] == [0, 0, 0], said
    assert p.rows(VISITS) == [("every",), ("first",), ("last",), *[("every",), ("last",)] * 2]
    assert p.rows(NOTED)[:3] == [
        ("every", "done", "3"),
        ("first time", "done", "made 2 roles"),
        ("last", "done", None),
    ]


def test_a_failed_one_is_written_down_and_runs_again(shop: Project) -> None:
    p = shop
    failed = p.db("deploy", env={"FAIL": "1"})
    assert failed.returncode == 1
    assert 'Hook "first time" failed: ValueError: not yet' in failed.stderr
    assert p.rows(VISITS) == [("every",)]
    assert p.rows(NOTED)[-1] == ("first time", "failed", "ValueError: not yet")
    assert p.db("deploy").returncode == 0
    assert p.rows(VISITS) == [("every",), ("every",), ("first",), ("last",)]


def test_a_dry_run_lists_plan_and_hooks_and_runs_none(shop: Project) -> None:
    p = shop
    told = p.db("deploy", "--dry-run")
    assert told.returncode == 0, told.stderr
    words = " ".join(told.stdout.split())
    assert "r1" in words
    assert "every would run, as on every deploy" in words
    assert "first time would run, once per database" in words
    assert p.db("deploy").returncode == 0
    before = p.rows(VISITS)
    document = json.loads(p.db("deploy", "--dry-run", "--format", "json").stdout)
    assert document["dry_run"] is True
    assert [(h["name"], h["once"], h["ran"]) for h in document["planned_hooks"]] == [
        ("every", False, False),
        ("first time", True, True),
        ("last", False, False),
    ]
    assert p.rows(VISITS) == before


def test_where_only_once_hooks_are_left_nothing_is_locked(project: ProjectFactory) -> None:
    p = project(after="@migrate.on_deploy(once=True)\ndef first():\n    print('first')\n")
    p.revision("r1", "op.create_table('t', sa.Column('id', sa.Integer))")
    assert "first" in p.db("deploy").stdout
    (p.path / ".safemigrate").rename(p.path / "moved")
    again = p.db("deploy")
    assert again.returncode == 0
    assert "Nothing to do." in again.stdout
    assert not (p.path / ".safemigrate").exists()


def test_a_journal_is_needed(project: ProjectFactory) -> None:
    p = project(
        after="@migrate.on_deploy(once=True)\ndef first(): pass\n",
        config={"SAFEMIGRATE_JOURNAL": False},
    )
    p.revision("r1", "op.create_table('t', sa.Column('id', sa.Integer))")
    refused = p.db("deploy")
    assert refused.returncode == 2
    assert "no journal is kept" in refused.stderr
    assert not p.database.exists()


def test_a_journal_of_before_gets_its_column(project: ProjectFactory) -> None:
    p = project(after="@migrate.on_deploy(once=True)\ndef first(): return 'well'\n")
    p.revision("r1", "op.create_table('t', sa.Column('id', sa.Integer))")
    assert p.db("safe-upgrade", "--yes").returncode == 0
    p.execute("ALTER TABLE safemigrate_journal DROP COLUMN result")
    done = p.db("deploy")
    assert done.returncode == 0, done.stderr
    assert p.rows(NOTED) == [("first", "done", "well")]


def test_two_hooks_of_one_name_are_refused_where_one_runs_once() -> None:
    migrate = SafeMigrate()
    migrate.on_deploy(name="roles")(lambda: None)
    migrate.on_deploy(name="roles")(lambda: None)
    with pytest.raises(UsageError, match='Two deploy hooks have the name "roles"'):
        migrate.on_deploy(name="roles", once=True)(lambda: None)
