"""``--plan-out`` and ``--plan``: what was reviewed is done, and nothing else."""

from __future__ import annotations

import json

import pytest

from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases

FIRST = (
    "a1",
    "op.create_table('person', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('name', sa.String(20)))",
    "op.drop_table('person')",
)
SECOND = (
    "op.add_column('person', sa.Column('note', sa.String(9), server_default='x'))\n"
    "op.create_index('ix', 'person', ['name'])\n"
    "op.execute(\"UPDATE person SET name = 'password=s3cr3t'\")"
)


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def planned(
    request: pytest.FixtureRequest, project: ProjectFactory, databases: Databases
) -> Project:
    """A project with a plan for what is pending."""
    url = None if request.param == "sqlite" else databases.create(request.param)
    p = project(url=url, revisions=[FIRST])
    assert p.db("safe-upgrade", "--yes").returncode == 0
    p.revision("a2", SECOND)
    done = p.db("safe-upgrade", "--plan-out", "plan.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--plan plan.json" in " ".join(done.stdout.split())
    assert p.heads() == {"a1"}
    return p


def _refused(p: Project, *words: str) -> None:
    heads = p.heads()
    done = p.db("deploy", "--plan", "plan.json")
    assert done.returncode == 3, done.stdout + done.stderr
    said = " ".join(done.stderr.split())
    for word in words:
        assert word in said
    assert p.heads() == heads


def test_the_plan_is_applied(planned: Project) -> None:
    p = planned
    text = (p.path / "plan.json").read_text()
    assert "s3cr3t" not in text
    (database,) = json.loads(text)["databases"]
    assert database["start"] == ["a1"]
    assert database["target"] == ["a2"]
    assert any('"person"' in name for name in database["schema"])
    (step,) = database["revisions"]
    assert [word in " ".join(step["statements"]) for word in ("note", "ix", "UPDATE")] == [
        True
    ] * 3
    done = p.db("safe-upgrade", "--plan", "plan.json", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert p.heads() == {"a2"}
    again = p.db("deploy", "--plan", "plan.json")
    assert again.returncode == 0, again.stdout + again.stderr


def test_what_differs_is_named(planned: Project) -> None:
    p = planned
    p.execute("CREATE INDEX by_hand ON person (name)")
    _refused(p, 'table "person"', "is another one", "--plan-out plan.json")
    p.execute(
        "DROP INDEX by_hand" + (" ON person" if p.url.startswith(("mysql", "mariadb")) else "")
    )
    file = next(p.versions.glob("a2_*"))
    before = file.read_text()
    file.write_text(before.replace("sa.String(9)", "sa.String(8)"))
    _refused(p, "the file of revision 'a2' was changed", "revision 'a2' would say")
    file.write_text(before)
    p.revision("a3", "pass")
    _refused(p, "revision 'a3' would run, which the plan does not have")


def test_what_is_never_the_same_cannot_be_planned(project: ProjectFactory) -> None:
    p = project(revisions=[FIRST])
    p.revision(
        "a2", "import uuid\nop.execute(f\"INSERT INTO person (name) VALUES ('{uuid.uuid4()}')\")"
    )
    done = p.db("safe-upgrade", "--plan-out", "plan.json")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "something else at each run" in " ".join(done.stderr.split())
    assert not (p.path / "plan.json").exists()


def test_a_file_that_is_no_plan(project: ProjectFactory) -> None:
    p = project(revisions=[FIRST])
    (p.path / "other.json").write_text("{}")
    for name in ("other.json", "missing.json"):
        done = p.db("deploy", "--plan", name)
        assert done.returncode == 2, done.stdout + done.stderr
        assert name in done.stderr
        assert "Traceback" not in done.stderr
