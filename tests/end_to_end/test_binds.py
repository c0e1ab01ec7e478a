"""Several databases: all are checked before any is touched, and a failure says where each is."""

from __future__ import annotations

import json

import pytest

from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases

FIRST = (
    "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('n', sa.Integer))"
)
SECOND = (
    "op.add_column('t', sa.Column('m', sa.Integer))\nop.execute('INSERT INTO t (n) VALUES (1)')"
)
STOP = "\nraise RuntimeError('stop here')"
BESIDE = "from flask import current_app\ndb = current_app.extensions['migrate'].db\n"


@pytest.fixture(params=["sqlite and sqlite", "sqlite and mysql", "mysql and sqlite"])
def two(request: pytest.FixtureRequest, project: ProjectFactory, databases: Databases) -> Project:
    """A project with a default database and the bind ``audit``, both at r1."""
    default, _, audit = request.param.split()
    p = project(
        url=databases.create("mysql") if default == "mysql" else None,
        binds={"audit": databases.create("mysql") if audit == "mysql" else None},
    )
    p.revision("r1", {"": FIRST, "audit": FIRST}, {"": "op.drop_table('t')", "audit": "pass"})
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    return p


def _at_r1(project: ProjectFactory) -> Project:
    p = project(binds={"audit": None})
    p.revision("r1", {"": FIRST, "audit": FIRST})
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    return p


def urls(p: Project) -> tuple[str, str]:
    return p.url, p.binds["audit"]


def assert_both(p: Project, revision: str, rows: int) -> None:
    for url in urls(p):
        assert p.heads(url) == {revision}
        assert p.rows("SELECT count(*) FROM t", url) == [(rows,)]


def test_one_that_cannot_be_migrated_keeps_the_other_as_it_is(two: Project) -> None:
    p = two
    p.revision("r2", {"": SECOND, "audit": SECOND})
    for bad, good in (urls(p), urls(p)[::-1]):
        p.execute("UPDATE alembic_version SET version_num = 'gone'", url=bad)
        refused = p.invoke("db", "safe-upgrade", "--yes")
        assert refused.exit_code == 3, refused.output
        assert "gone" in refused.output
        assert p.heads(good) == {"r1"}
        assert p.rows("SELECT count(*) FROM t", good) == [(0,)]
        p.execute("UPDATE alembic_version SET version_num = 'r1'", url=bad)
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    assert_both(p, "r2", 1)


@pytest.mark.parametrize("which", ["", "audit"])
def test_a_failure_says_where_each_is_and_the_next_run_finishes(two: Project, which: str) -> None:
    p = two
    body = {"": SECOND, "audit": SECOND}
    file = p.revision("r2", {**body, which: SECOND + STOP})
    failed = p.invoke("db", "safe-upgrade", "--yes")
    said = " ".join(failed.output.split())
    assert "stop here" in said
    kept = 0
    for bind, url in zip(("", "audit"), urls(p), strict=True):
        name = url.rpartition("/")[2]
        assert name in said
        if url.startswith("sqlite"):
            # env.py ends the transactions of all databases together.
            assert p.heads(url) == {"r1"}
            assert p.rows("SELECT count(*) FROM t", url) == [(0,)]
            assert "is as it was" in said
        elif bind == which:
            assert p.heads(url) == {"r1"}
            assert f"{name} commits every DDL statement, and revision 'r2' is half applied" in said
            kept += 1
        elif p.heads(url) == {"r2"}:
            assert f"{name} was finished before that and is at r2" in said
            kept += 1
        else:
            assert p.rows("SELECT count(*) FROM t", url) == [(0,)]
            assert f"{name} is as it was" in said
    assert failed.exit_code == (5 if kept else 1), failed.output
    file.unlink()
    p.revisions.remove("r2")
    p.revision("r2", body)
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert_both(p, "r2", 1)


def test_a_write_to_a_bind_that_runs_later_is_stopped(project: ProjectFactory) -> None:
    """It would be committed by itself, and stay when the run is undone."""
    p = _at_r1(project)
    write = BESIDE + (
        "with db.engines['audit'].begin() as other:\n"
        "    assert other.execute(sa.text('SELECT count(*) FROM t')).scalar() == 0\n"
        "    other.execute(sa.text('INSERT INTO t (n) VALUES (7)'))"
    )
    p.revision("r2", {"": write + STOP, "audit": SECOND})
    failed = p.invoke("db", "safe-upgrade", "--yes")
    said = " ".join(failed.output.split())
    assert failed.exit_code == 1, said
    assert "writes to bind 'audit', whose own revisions run later" in said
    assert '_r2.py", line' in said
    assert "Everything was undone" in said
    assert_both(p, "r1", 0)


def test_a_bind_that_has_run_is_written_to_as_a_part_of_the_run(project: ProjectFactory) -> None:
    p = _at_r1(project)
    write = BESIDE + (
        "with db.engine.begin() as other:\n"
        "    other.execute(sa.text('INSERT INTO t (n) VALUES (7)'))"
    )
    file = p.revision("r2", {"": SECOND, "audit": SECOND + "\n" + write + STOP})
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 1
    assert_both(p, "r1", 0)
    file.write_text(file.read_text().replace("raise RuntimeError('stop here')", "pass"))
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert p.rows("SELECT n FROM t ORDER BY n") == [(1,), (7,)]


WAYS = {
    "an engine": (
        "with db.engines['audit'].begin() as other:\n"
        "    other.execute(sa.text('INSERT INTO t (n) VALUES (:n)'), {'n': 7})"
    ),
    "a session": (
        "from sqlalchemy.orm import Session\n"
        "with Session(db.engines['audit']) as session:\n"
        "    session.execute(sa.text('INSERT INTO t (n) VALUES (7)'))\n"
        "    session.commit()"
    ),
    "the driver": (
        "raw = db.engines['audit'].raw_connection()\n"
        "raw.cursor().execute('INSERT INTO t (n) VALUES (?)', (7,))\n"
        "raw.commit()\n"
        "raw.close()"
    ),
    "a connection of its own": (
        "import contextlib\nimport sqlite3\n"
        "with contextlib.closing(sqlite3.connect(db.engines['audit'].url.database)) as raw:\n"
        "    raw.executemany('INSERT INTO t (n) VALUES (?)', [(7,)])\n"
        "    raw.commit()"
    ),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_stays_of_a_write_to_a_bind_that_does_not_run_is_told(
    project: ProjectFactory, way: str
) -> None:
    p = _at_r1(project)
    p.execute("UPDATE alembic_version SET version_num = 'r2'", url=p.binds["audit"])
    file = p.revision("r2", {"": SECOND + "\n" + BESIDE + way + STOP, "audit": "pass"})
    failed = p.invoke("db", "safe-upgrade", "--yes")
    said = " ".join(failed.output.split())
    assert p.rows("SELECT n FROM t", p.binds["audit"]) == [(7,)]
    assert p.rows("SELECT n FROM t") == []
    assert failed.exit_code == 5, said
    assert "Everything was undone" not in said
    assert "this was committed on another connection than the migration's" in said
    assert "_r2.py:" in said
    assert ("INSERT INTO t (n) VALUES (?)" in said) or f'writes to "{p.path / "audit.db"}"' in said
    file.write_text(file.read_text().replace("raise RuntimeError('stop here')", "pass"))
    refused = p.invoke("db", "safe-upgrade", "--yes")
    assert refused.exit_code == 3, refused.output
    assert "SM315" in refused.output
    assert p.rows("SELECT n FROM t", p.binds["audit"]) == [(7,)]
    done = p.invoke("db", "safe-upgrade", "--yes", "--allow", "SM315")
    assert done.exit_code == 0, done.output


def test_what_a_bind_that_does_not_run_has_rolled_back_is_not_told(
    project: ProjectFactory,
) -> None:
    p = _at_r1(project)
    p.execute("UPDATE alembic_version SET version_num = 'r2'", url=p.binds["audit"])
    write = (
        "with db.engines['audit'].connect() as other:\n"
        "    other.execute(sa.text('INSERT INTO t (n) VALUES (7)'))\n"
        "    other.rollback()\n"
        "    other.execute(sa.text('SELECT * FROM t'))\n"
        "    other.commit()"
    )
    p.revision("r2", {"": BESIDE + write + STOP, "audit": "pass"})
    failed = p.invoke("db", "safe-upgrade", "--yes")
    assert failed.exit_code == 1, failed.output
    assert "Everything was undone" in failed.output
    assert p.rows("SELECT n FROM t", p.binds["audit"]) == []


@pytest.mark.parametrize(("number", "code"), [(1, 1), (2, 5)])
def test_a_statement_that_commits_itself_is_told_if_it_was_done(
    project: ProjectFactory, number: int, code: int
) -> None:
    p = _at_r1(project)
    audit = p.binds["audit"]
    p.execute("UPDATE alembic_version SET version_num = 'r2'", url=audit)
    p.execute("INSERT INTO t (id, n) VALUES (1, 1)", url=audit)
    write = (
        "engine = db.engines['audit'].execution_options(isolation_level='AUTOCOMMIT')\n"
        "with engine.connect() as other:\n"
        f"    other.execute(sa.text('INSERT INTO t (id) VALUES ({number})'))"
    )
    p.revision("r2", {"": BESIDE + write + STOP, "audit": "pass"})
    failed = p.invoke("db", "safe-upgrade", "--yes")
    assert failed.exit_code == code, failed.output
    assert p.rows("SELECT count(*) FROM t", audit) == [(number,)]
    assert ("Everything was undone" in failed.output) == (code == 1)
    assert ("INSERT INTO t (id) VALUES (?)" in failed.output) == (code == 5)


@pytest.mark.parametrize("bind", ["audit", ""])
def test_a_snapshot_is_put_back_by_its_name_alone(project: ProjectFactory, bind: str) -> None:
    p = _at_r1(project)
    url = p.binds[bind] if bind else p.url
    p.execute("INSERT INTO t (n) VALUES (1)", url=url)
    taken = p.invoke("db", "snapshot", "--bind", bind or "default", "--format", "json")
    [snapshot] = json.loads(taken.stdout)["snapshots"]
    p.execute("DELETE FROM t", url=url)
    done = p.invoke("db", "restore", snapshot["id"], "--yes")
    assert done.exit_code == 0, done.output
    assert p.rows("SELECT n FROM t", url) == [(1,)]
    unknown = p.invoke("db", "restore", "19990101", "--yes")
    assert unknown.exit_code == 2


def test_a_plan_names_the_tables_of_its_bind_and_a_failure_each_snapshot(
    project: ProjectFactory,
) -> None:
    p = _at_r1(project)
    p.revision(
        "r2",
        {"": "op.create_table('here', sa.Column('id', sa.Integer))",
         "audit": "op.create_table('there', sa.Column('id', sa.Integer))\nop.execute('odd')"},
    )  # fmt: skip
    done = p.invoke("db", "deploy", "--format", "json")
    assert done.exit_code == 1, done.output
    outcome = json.loads(done.stdout)
    tables = {plan["bind"]: plan["steps"][0]["tables"] for plan in outcome["plans"]}
    assert tables == {"": ["here"], "audit": ["there"]}
    ends = sorted(note.rpartition(" ")[2].strip("`") for note in outcome["notes"])
    assert ends[1] == "audit"
    assert all("`flask db restore " in note for note in outcome["notes"])
    assert "then run: flask db deploy" in outcome["hint"]
