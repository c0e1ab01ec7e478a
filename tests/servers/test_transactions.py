"""PostgreSQL: whose transactions a run uses, where ``env.py`` asks for unusual ones."""

from __future__ import annotations

import pytest

from tests.support.projects import Project, ProjectFactory

ENV = """
from alembic import context
from flask import current_app
import sqlalchemy as sa

engine = sa.create_engine(
    current_app.config["SQLALCHEMY_DATABASE_URI"],
    isolation_level="AUTOCOMMIT",
    poolclass=sa.pool.NullPool,
)
with engine.connect() as connection:
    {before}
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
"""


def said_by(p: Project, *arguments: str) -> tuple[int, str]:
    result = p.invoke("db", *arguments)
    return result.exit_code, " ".join(result.output.split())


def subjects(p: Project) -> list[str]:
    rows = p.rows("SELECT subject FROM safemigrate_journal WHERE kind = 'revision' ORDER BY id")
    return [subject for (subject,) in rows]


@pytest.fixture
def party(project: ProjectFactory, postgresql_url: str) -> Project:
    p = project(url=postgresql_url, arguments="transaction_per_migration=True")
    p.revision(
        "r1",
        "op.execute(\"CREATE TYPE kind AS ENUM ('person')\")\n"
        "op.execute('CREATE TABLE party (id INTEGER, kind kind)')\n"
        "op.execute(\"INSERT INTO party VALUES (1, 'person')\")",
    )
    p.revision("r2", "op.execute(\"ALTER TYPE kind ADD VALUE 'machine'\")")
    p.revision("r3", "op.execute(\"UPDATE party SET kind = 'machine'\")")
    return p


def test_each_revision_has_a_transaction_where_that_is_asked_for(party: Project) -> None:
    """A new value of an ENUM cannot be used in the transaction that adds it."""
    code, said = said_by(party, "deploy")
    assert code == 0, said
    assert "Each revision is committed by itself" in said
    assert party.rows("SELECT kind::text FROM party") == [("machine",)]
    assert subjects(party) == ["r1", "r2", "r3"]


def test_the_doctor_runs_them_in_transactions_of_their_own_too(party: Project) -> None:
    said = said_by(party, "doctor")[1]
    assert "SM413" not in said
    assert "SM414" not in said
    assert party.rows("SELECT to_regclass('party') IS NULL") == [(True,)]
    app = party.path / "app.py"
    app.write_text(app.read_text().replace("transaction_per_migration=True", ""))
    assert "unsafe use of new value" in said_by(party, "doctor")[1]


def test_a_failure_undoes_its_own_revision_alone(party: Project) -> None:
    p = party
    p.revision("r4", "op.execute('DELETE FROM party')\nop.execute('SELECT 1 / 0')")
    code, said = said_by(p, "deploy")
    assert code == 1, said
    assert "is at r3" in said
    assert "Everything was undone" not in said
    assert p.heads() == {"r3"}
    assert p.rows("SELECT count(*) FROM party") == [(1,)]
    assert subjects(p) == ["r1", "r2", "r3"]


def test_each_revision_is_proven_before_it_is_committed(
    project: ProjectFactory, postgresql_url: str
) -> None:
    p = project(url=postgresql_url, arguments="transaction_per_migration=True")
    p.revision("r1", "op.execute('CREATE TABLE a AS SELECT 1 AS x')")
    assert said_by(p, "deploy")[0] == 0
    # A statement whose table cannot be read from its text.
    p.revision(
        "r2",
        "op.create_table('b', sa.Column('x', sa.Integer))\n"
        "op.execute(\"DO $$ BEGIN EXECUTE 'DELETE FROM ' || chr(97); END $$\")",
    )
    p.revision("r3", "op.create_table('c', sa.Column('x', sa.Integer))")
    code, said = said_by(p, "deploy")
    assert code == 1, said
    assert "lost 1 and gained 0 rows" in said
    assert p.heads() == {"r1"}
    assert p.rows("SELECT x FROM a") == [(1,)]


def test_on_sqlite_all_revisions_share_a_transaction_and_that_is_said(
    project: ProjectFactory,
) -> None:
    p = project(arguments="transaction_per_migration=True")
    p.revision("r1", "op.create_table('t', sa.Column('x', sa.Integer))")
    p.revision("r2", "op.execute('SELECT nosuch')")
    code, said = said_by(p, "deploy")
    assert code == 1, said
    assert "transaction_per_migration has no part in it" in said
    assert p.rows("SELECT name FROM sqlite_master") == []


# The second begins a transaction for SQLAlchemy, though none for the server.
@pytest.mark.parametrize("before", ["pass", "connection.execute(sa.text('SELECT 1'))"])
def test_what_autocommit_allows_in_env_is_allowed(
    project: ProjectFactory, postgresql_url: str, before: str
) -> None:
    p = project(url=postgresql_url)
    (p.path / "migrations" / "env.py").write_text(ENV.format(before=before))
    p.revision("r1", "op.create_table('t', sa.Column('x', sa.Integer))")
    p.revision(
        "r2",
        "try:\n    op.add_column('t', sa.Column('x', sa.Integer))\n"
        # psycopg names the class, pg8000 PostgreSQL's code.
        "except sa.exc.ProgrammingError as error:\n"
        "    assert 'DuplicateColumn' in str(error) or '42701' in str(error)\n"
        "op.add_column('t', sa.Column('y', sa.Integer))",
    )
    code, said = said_by(p, "deploy")
    assert code == 0, said
    p.revision(
        "r3",
        "op.create_index('ix', 't', ['y'], postgresql_concurrently=True)\n"
        "op.execute('INSERT INTO t VALUES (1, 1)')",
    )
    p.revision("r4", "op.execute('DELETE FROM t')\nop.execute('SELECT 1 / 0')")
    code, said = said_by(p, "deploy")
    assert code == 1, said
    # What needed no block went before; the revision that failed left nothing.
    assert "is at r3" in said
    assert p.heads() == {"r3"}
    assert p.rows("SELECT x, y FROM t") == [(1, 1)]
    assert p.rows("SELECT indexname FROM pg_indexes WHERE tablename = 't'") == [("ix",)]


def test_a_failure_undoes_all_statements_under_autocommit_too(
    project: ProjectFactory, postgresql_url: str
) -> None:
    options = {"isolation_level": "AUTOCOMMIT"}
    p = project(url=postgresql_url, config={"SQLALCHEMY_ENGINE_OPTIONS": options})
    p.revision("r1", "op.create_table('t', sa.Column('x', sa.Integer))")
    p.revision("r2", "op.execute('INSERT INTO t VALUES (1)')\nop.execute('SELECT 1 / 0')")
    code, said = said_by(p, "deploy")
    assert code == 1, said
    assert "Everything was undone" in said
    assert p.rows("SELECT to_regclass('t')") == [(None,)]


#: What ends the transaction of the run, behind Alembic's back.
COMMITS = {
    "connection": "op.get_bind().commit()",
    "its transaction": "op.get_bind().get_transaction().commit()",
    "statement": "op.execute('COMMIT')",
    "driver": "op.get_bind().connection.commit()",
}
ROLLBACKS = {
    "connection": "op.get_bind().rollback()",
    "after an error": "try:\n    op.execute('SELECT nosuch')\n"
    "except sa.exc.DBAPIError:\n    op.get_bind().rollback()",
    "session": "from sqlalchemy.orm import Session\ns = Session(op.get_bind())\n"
    "s.execute(sa.text('SELECT 1'))\ns.rollback()",
    "statement": "op.execute('ROLLBACK')",
    "driver": "op.get_bind().connection.rollback()",
}
#: What comes after it.
LATER = {
    "nothing": "pass",
    "a statement": "op.execute('INSERT INTO t VALUES (3)')",
    "a block": "with op.get_context().autocommit_block():\n"
    "    op.execute('INSERT INTO t VALUES (3)')",
}


@pytest.fixture
def counted(project: ProjectFactory, postgresql_url: str) -> Project:
    p = project(url=postgresql_url)
    p.revision("r1", "op.create_table('t', sa.Column('x', sa.Integer))")
    assert p.invoke("db", "deploy").exit_code == 0
    return p


def ended_by(p: Project, how: str, after: str = "INSERT INTO t VALUES (2)") -> None:
    p.revision("r2", f"op.execute('INSERT INTO t VALUES (1)')\n{how}\nop.execute('{after}')")


@pytest.mark.parametrize("later", LATER)
@pytest.mark.parametrize("how", COMMITS)
def test_a_revision_may_commit_by_itself(counted: Project, how: str, later: str) -> None:
    """Plain Alembic loses the row of the version after the connection's own commit()."""
    p = counted
    ended_by(p, COMMITS[how])
    p.revision("r3", LATER[later])
    code, said = said_by(p, "deploy")
    assert code == 0, said
    assert p.heads() == {"r3"}
    assert p.rows("SELECT x FROM t WHERE x < 3 ORDER BY x") == [(1,), (2,)]
    assert subjects(p) == ["r1", "r2", "r3"]
    assert "SM315" not in said_by(p, "status")[1]


@pytest.mark.parametrize("how", COMMITS)
def test_what_a_revision_committed_is_in_together_with_its_row(counted: Project, how: str) -> None:
    p = counted
    ended_by(p, COMMITS[how])
    p.revision("r3", "op.execute('INSERT INTO t VALUES (3)')\nop.execute('SELECT nosuch')")
    code, said = said_by(p, "deploy")
    assert code == 1, said
    assert "is at r2" in said
    assert p.heads() == {"r2"}
    assert p.rows("SELECT x FROM t ORDER BY x") == [(1,), (2,)]


@pytest.mark.parametrize("how", ["connection", "its transaction", "statement"])
def test_the_line_that_committed_is_named(counted: Project, how: str) -> None:
    p = counted
    ended_by(p, f"{COMMITS[how]}\nop.execute('SELECT nosuch')")
    code, said = said_by(p, "deploy")
    assert code == 5, said
    assert (
        "Revision 'r2' in \"migrations/versions/r2_revision_r2.py\", line 20, ended the "
        "transaction by itself, so this of it is in"
    ) in said


@pytest.mark.parametrize("first", [False, True], ids=["at r1", "empty database"])
@pytest.mark.parametrize("how", ROLLBACKS)
def test_a_revision_that_rolls_back_does_not_pass_for_done(
    project: ProjectFactory, postgresql_url: str, how: str, first: bool
) -> None:
    p = project(url=postgresql_url)
    p.revision("r1", "op.create_table('t', sa.Column('x', sa.Integer))")
    if not first:
        assert said_by(p, "deploy")[0] == 0
    ended_by(p, ROLLBACKS[how], "SELECT 2")
    code, said = said_by(p, "deploy")
    assert code == 1, said
    assert "rolled back the transaction of the run" in said
    place = "Revision 'r2' in \"migrations/versions/r2_revision_r2.py\", line 2"
    assert (place in said) == (how != "driver")
    assert "Everything was undone" in said
    assert "begin_nested()" in said
    if not first:
        assert p.heads() == {"r1"}
        assert p.rows("SELECT x FROM t") == []


def test_a_rollback_that_loses_nothing_is_none(counted: Project) -> None:
    p = counted
    p.revision("r2", "op.execute('ROLLBACK')\nop.execute('INSERT INTO t VALUES (1)')")
    code, said = said_by(p, "deploy")
    assert code == 0, said
    assert p.heads() == {"r2"}
    assert p.rows("SELECT x FROM t") == [(1,)]
