"""Snapshots as an operator has them: proven on request, kept while needed, put elsewhere."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases, dialect_of

FIRST = (
    "a1",
    "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))\n"
    "op.execute('INSERT INTO t (id) VALUES (1), (2)')",
)


def said(result: object) -> str:
    return " ".join(result.output.split())  # type: ignore[attr-defined]


def started(project: ProjectFactory, url: str | None = None, **config: object) -> Project:
    p = project(url=url, config={f"SAFEMIGRATE_{k}": v for k, v in config.items()})
    p.revision(*FIRST)
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    return p


def test_all_are_read_on_request(project: ProjectFactory) -> None:
    p = started(project)
    for _ in range(2):
        assert p.invoke("db", "snapshot").exit_code == 0
    whole = p.invoke("db", "snapshots", "--verify")
    assert whole.exit_code == 0, whole.output
    assert "2 of 2 snapshots are whole" in said(whole)
    damaged = sorted((p.path / ".safemigrate").glob("*Z-*.db"))[0]
    content = bytearray(damaged.read_bytes())
    content[-100] ^= 1
    damaged.write_bytes(content)
    assert p.invoke("db", "snapshots").exit_code == 0
    found = p.invoke("db", "snapshots", "--verify")
    assert found.exit_code == 1
    assert f"Snapshot '{damaged.stem}' is damaged" in said(found)
    assert "1 of 2 snapshots are whole" in said(found)


def test_into_another_database(
    project: ProjectFactory, databases: Databases, database_url: str, tmp_path: Path
) -> None:
    p = started(project, database_url)
    assert p.invoke("db", "snapshot").exit_code == 0
    p.execute("DELETE FROM t WHERE id = 2")
    dialect = dialect_of(p.url)
    if dialect == "sqlite":
        other, name = f"sqlite:///{tmp_path / 'other.db'}", str(tmp_path / "other.db")
    else:
        other = databases.create(dialect)
        name = str(make_url(other).database)
        missing = p.invoke("db", "restore", "--into", f"{name}_no")
        assert missing.exit_code == 4, missing.output
        assert f"CREATE DATABASE {name}_no" in said(missing)
    filled = p.invoke("db", "restore", "--into", name)
    assert filled.exit_code == 0, filled.output
    assert p.rows("SELECT id FROM t ORDER BY id", other) == [(1,), (2,)]
    assert p.heads(other) == {"a1"}
    assert p.rows("SELECT id FROM t") == [(1,)]
    again = p.invoke("db", "restore", "--into", name)
    assert again.exit_code == 2, again.output
    assert "is not empty. It has table " in said(again).replace("TABLE", "table")
    own = p.invoke("db", "restore", "--into", str(make_url(p.url).database))
    assert own.exit_code == 2, own.output
    assert "is the application's own database" in said(own)


def ids(p: Project) -> list[str]:
    """The snapshots, oldest first."""
    listed = json.loads(p.invoke("db", "snapshots", "--format", "json").stdout)
    return sorted(snapshot["id"] for snapshot in listed["snapshots"])


def test_the_oldest_is_put_back_though_one_more_is_taken(
    project: ProjectFactory, database_url: str
) -> None:
    p = started(project, database_url, KEEP_SNAPSHOTS=2)
    for _ in range(2):
        assert p.invoke("db", "snapshot").exit_code == 0
        p.execute("DELETE FROM t WHERE id = 2")
    oldest = ids(p)[0]
    for _ in range(2):
        back = p.invoke("db", "restore", oldest, "--yes")
        assert back.exit_code == 0, back.output
        assert p.rows("SELECT id FROM t ORDER BY id") == [(1,), (2,)]
        assert oldest in ids(p)
        p.execute("DELETE FROM t WHERE id = 2")


def test_the_only_one_is_put_back(project: ProjectFactory, database_url: str) -> None:
    p = started(project, database_url, KEEP_SNAPSHOTS=1)
    assert p.invoke("db", "snapshot").exit_code == 0
    p.execute("DELETE FROM t")
    back = p.invoke("db", "restore", "--yes")
    assert back.exit_code == 0, back.output
    assert p.rows("SELECT id FROM t ORDER BY id") == [(1,), (2,)]


def test_deploys_that_fail_again_and_again_cost_no_older_snapshot(
    project: ProjectFactory,
) -> None:
    p = started(project, KEEP_SNAPSHOTS=3)
    p.revision("a2", "raise RuntimeError('x')")
    # As commands, for the application has one name then.
    for _ in range(2):
        assert p.db("snapshot").returncode == 0
    second = ids(p)[-1]
    assert p.db("deploy").returncode == 1
    first_failed = ids(p)[-1]
    for _ in range(3):
        assert p.db("deploy").returncode == 1
    assert ids(p)[:2] == [second, first_failed]
    assert len(ids(p)) == 3


def test_the_way_back_from_a_half_applied_revision_is_kept(
    project: ProjectFactory, mysql_url: str
) -> None:
    p = started(project, mysql_url, KEEP_SNAPSHOTS=1, SNAPSHOT_SERVERS=True)
    bad = p.revision("a2", "op.add_column('t', sa.Column('x', sa.Integer))\n1 / 0")
    failed = p.invoke("db", "safe-upgrade", "--yes")
    assert failed.exit_code == 5, failed.output
    (before,) = (path.name[:-7] for path in (p.path / "instance/.safemigrate").glob("*.sql.gz"))
    for _ in range(2):
        failed = p.invoke("db", "safe-upgrade", "--yes")
        assert failed.exit_code == 5, failed.output
        assert f"Or go back: flask db restore {before}" in said(failed)
    back = p.invoke("db", "restore", before, "--yes")
    assert back.exit_code == 0, back.output
    bad.write_text(bad.read_text().replace("1 / 0", "pass"))
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert p.rows("SELECT id, x FROM t ORDER BY id") == [(1, None), (2, None)]


@pytest.mark.parametrize("command", ["restore", "reset"])
def test_every_command_stops_after_a_kill_in_the_middle(
    project: ProjectFactory, mysql_url: str, tmp_path: Path, command: str
) -> None:
    """MariaDB and MySQL cannot undo a DROP, and an empty database must not pass for a new one."""
    p = started(project, mysql_url, ALLOW_RESET=True)
    assert p.db("snapshot").returncode == 0
    (snapshot,) = ids(p)
    # The command is stopped where its own first DROP is to be done: before that all is prepared.
    frozen = {
        "FROZEN": str(tmp_path / "frozen"),
        "PYTHONPATH": str(tmp_path),
    }
    (tmp_path / "sitecustomize.py").write_text(FREEZE)
    process = p.start("db", command, "--yes", env=frozen)
    deadline = time.monotonic() + 60
    while not (tmp_path / "frozen").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.communicate()
    way_out = f"flask db restore {snapshot}" if command == "restore" else "flask db reset"
    for arguments in (
        ("status",),
        ("doctor", "--fast"),
        ("deploy", "--lock-wait", "0"),
        ("safe-upgrade", "--yes"),
        ("snapshot",),
    ):
        stopped = p.db(*arguments)
        assert stopped.returncode == 5, (arguments, stopped.stdout, stopped.stderr)
        assert way_out in " ".join((stopped.stdout + stopped.stderr).split())
    taken = ids(p)
    again = p.db(*way_out.split()[2:], "--yes")
    assert again.returncode == 0, again.stdout + again.stderr
    assert p.rows("SELECT id FROM t ORDER BY id") == [(1,), (2,)]
    # What was left half is not worth a snapshot.
    assert ids(p) == taken
    assert p.db("status").returncode == 0


FREEZE = """
import os, time
from sqlalchemy import Engine, event

@event.listens_for(Engine, "before_cursor_execute")
def freeze(connection, cursor, statement, parameters, context, many):
    if statement.startswith("DROP TABLE IF EXISTS `t`"):
        cursor.execute(statement)
        open(os.environ["FROZEN"], "w").close()
        time.sleep(600)
"""


def test_another_database_is_empty_only_without_anything(
    project: ProjectFactory, databases: Databases, database_url: str, tmp_path: Path
) -> None:
    p = started(project, database_url)
    assert p.invoke("db", "snapshot").exit_code == 0
    dialect = dialect_of(p.url)
    if dialect == "sqlite":
        other, name = f"sqlite:///{tmp_path / 'other.db'}", str(tmp_path / "other.db")
    else:
        other = databases.create(dialect)
        name = str(make_url(other).database)
    things = {
        "sqlite": ["CREATE VIEW v AS SELECT 1"],
        "mysql": ["CREATE VIEW v AS SELECT 1", "CREATE PROCEDURE v() SELECT 1"],
        "postgresql": ["CREATE VIEW v AS SELECT 1", "CREATE SCHEMA v"],
    }[dialect]
    for thing in things:
        p.execute(thing, url=other)
        refused = p.invoke("db", "restore", "--into", name)
        assert refused.exit_code == 2, refused.output
        assert "is not empty. It has " in said(refused)
        p.execute(f"DROP {thing.split()[1]} v", url=other)
    if dialect == "sqlite":
        (tmp_path / "other.db").unlink()
    filled = p.invoke("db", "restore", "--into", name)
    assert filled.exit_code == 0, filled.output
    if dialect == "sqlite":
        assert stat.S_IMODE((tmp_path / "other.db").stat().st_mode) == 0o600


def test_a_project_that_is_moved_keeps_its_way_back(project: ProjectFactory) -> None:
    p = project(revisions=[("a1", "op.create_table('item', sa.Column('id', sa.Integer))")])
    assert p.db("deploy").returncode == 0
    assert p.db("snapshot").returncode == 0
    (taken,) = (path.stem for path in (p.path / ".safemigrate").glob("*.db"))
    new = p.path.with_name("moved")
    p.path.rename(new)
    app = new / "app.py"
    app.write_text(app.read_text().replace(str(p.path), str(new)))
    moved = Project(new, p.url.replace(str(p.path), str(new)), p.directory)
    try:
        assert taken in moved.db("snapshots").stdout
        moved.execute("INSERT INTO item VALUES (1)")
        assert "Put back" in moved.db("restore", "--yes", taken).stdout
        assert moved.rows("SELECT id FROM item") == []
        # One that another application took of a file of this name was put there by hand.
        manifest = moved.path / ".safemigrate" / f"{taken}.db.json"
        content = json.loads(manifest.read_text())
        content.update(app="other", database="/elsewhere/app.db")
        manifest.write_text(json.dumps(content))
        listed = moved.db("snapshots").stdout
        assert " at a1, restore" in " ".join(listed.split())
        assert taken not in listed
    finally:
        moved.close()
