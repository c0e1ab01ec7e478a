"""A revision that uses another connection than the migration's: ``db.session``, an engine."""

from __future__ import annotations

import pytest

from tests.support.projects import Project, ProjectFactory

CLAIM = (
    "op.create_table('claim', sa.Column('id', sa.Integer, primary_key=True))\n"
    "op.execute('INSERT INTO claim VALUES (1)')"
)
SESSION = (
    "from flask import current_app\n"
    "session = current_app.extensions['sqlalchemy'].session\n"
    "session.execute(sa.text('{}')); session.commit()\n"
)
ADD = "op.add_column('claim', sa.Column('tier', sa.Integer))\n"


def said_by(p: Project, *arguments: str) -> tuple[int, str]:
    result = p.invoke("db", *arguments)
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize(
    "body",
    [
        ADD + SESSION.format("UPDATE claim SET tier = 1"),
        ADD + "engine = op.get_bind().engine\n"
        "with engine.connect().execution_options(isolation_level='AUTOCOMMIT') as other:\n"
        "    other.execute(sa.text('CREATE INDEX CONCURRENTLY ix ON claim (id)'))",
        ADD + "engine = sa.create_engine(op.get_bind().engine.url, poolclass=sa.pool.NullPool)\n"
        "with engine.begin() as other:\n    sa.inspect(other).get_columns('claim')\n"
        "    other.execute(sa.text('DROP TABLE claim'))",
    ],
    ids=["session", "engine", "own engine"],
)
def test_a_revision_that_waits_for_itself_is_stopped_and_told(
    project: ProjectFactory, postgresql_url: str, body: str
) -> None:
    p = project(url=postgresql_url, revisions=[("r1", CLAIM)])
    assert said_by(p, "deploy")[0] == 0
    p.revision("r2", body)
    process = p.start("db", "deploy")
    out, err = process.communicate(timeout=60)
    said = " ".join((out + err).split())
    assert process.returncode == 1, said
    assert "Revision 'r2' waits for itself" in said
    assert "r2_revision_r2.py:" in said
    assert "op.get_bind() in place of db.session" in said
    assert "Everything was undone" in said
    assert p.heads() == {"r1"}
    assert p.rows("SELECT * FROM claim") == [(1,)]


@pytest.mark.parametrize(
    "body",
    [
        SESSION.format("UPDATE claim SET id = 2"),
        "with op.get_bind().engine.begin() as other:\n"
        "    other.execute(sa.text('DELETE FROM claim'))",
        "sa.inspect(op.get_bind().engine).get_columns('claim')",
    ],
    ids=["session", "engine", "inspector"],
)
def test_what_another_connection_cannot_see_is_told_as_the_cause(
    project: ProjectFactory, postgresql_url: str, body: str
) -> None:
    p = project(url=postgresql_url, revisions=[("r1", CLAIM), ("r2", body)])
    code, said = said_by(p, "deploy")
    assert code == 1, said
    assert "Revision 'r2' asks on another connection than the migration's" in said
    assert "r2_revision_r2.py:" in said
    assert "Everything was undone" in said
    assert "op.get_bind() in place of db.session" in said
    assert "earlier revision" not in said
    assert p.rows("SELECT to_regclass('claim')") == [(None,)]


def test_what_is_missing_for_the_migration_itself_keeps_its_own_hint(
    project: ProjectFactory, postgresql_url: str
) -> None:
    beside = (
        "with op.get_bind().engine.connect() as other:\n    other.execute(sa.text('SELECT 1'))\n"
    )
    p = project(
        url=postgresql_url, revisions=[("r1", beside + "op.execute('DELETE FROM nosuch')")]
    )
    code, said = said_by(p, "deploy")
    assert code == 1, said
    assert "another connection" not in said
    assert "make the table in an earlier revision" in said


def test_what_was_committed_beside_is_not_told_as_undone(
    project: ProjectFactory, postgresql_url: str
) -> None:
    p = project(url=postgresql_url, revisions=[("r1", CLAIM)])
    assert said_by(p, "deploy")[0] == 0
    beside = SESSION.format("UPDATE claim SET id = 2")
    p.revision("r2", beside + ADD + "op.execute('SELECT nosuch')")
    code, said = said_by(p, "deploy")
    assert code == 5, said
    assert "committed on another connection" in said
    assert "UPDATE claim SET id = 2" in said


def test_what_is_done_is_seen_beside_on_mysql(project: ProjectFactory, mysql_url: str) -> None:
    """Where every statement is for good at once, nothing is lost by not waiting."""
    p = project(url=mysql_url, config={"SAFEMIGRATE_SNAPSHOT_SERVERS": False})
    p.revision("r1", CLAIM)
    p.revision(
        "r2",
        ADD + "op.execute('UPDATE claim SET tier = 1')\n"
        "engine = op.get_bind().engine\n"
        "with engine.connect() as other:\n"
        "    assert other.execute(sa.text('SELECT tier FROM claim')).scalar() == 1\n"
        + SESSION.format("UPDATE claim SET tier = tier + 1"),
    )
    code, said = said_by(p, "deploy")
    assert code == 0, said
    assert p.rows("SELECT tier FROM claim") == [(2,)]
    assert p.rows("SELECT count(*) FROM safemigrate_progress") == [(0,)]


def test_what_was_said_beside_is_not_said_twice_on_mysql(
    project: ProjectFactory, mysql_url: str
) -> None:
    p = project(url=mysql_url, config={"SAFEMIGRATE_SNAPSHOT_SERVERS": False})
    p.revision("r1", CLAIM)
    assert said_by(p, "deploy")[0] == 0
    beside = SESSION.format("UPDATE claim SET id = id + 1")
    p.revision("r2", beside + "op.drop_index('nosuch', 'claim')")
    failed, said = said_by(p, "deploy")
    # Nothing was done on the migration's own connection, and yet not all is as it was.
    assert failed == 5, said
    assert "1. UPDATE claim SET id = id + 1 (on another connection; perhaps)" in said
    assert "undone" not in said
    again, said = said_by(p, "deploy")
    assert again == 5, said
    assert "was said on another connection than the migration's" in said
    assert p.rows("SELECT id FROM claim") == [(2,)]
