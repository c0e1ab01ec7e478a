"""One hint for each cause of a revision's failure, and what env.py prepares for the replay."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from flask_safemigrate.alembic_bridge.cures import cure_of, without_addresses
from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases

FIRST = 'op.create_table("t", sa.Column("id", sa.Integer, primary_key=True))'
MODELS = "class T(db.Model):\n    id = db.Column(db.Integer, primary_key=True)\n"


def only(p: Project) -> dict[str, Any]:
    done = p.invoke("db", "doctor", "--select", "SM4", "--format", "json")
    found = json.loads(done.stdout)["findings"]
    assert len(found) == 1, found
    return dict(found[0])


SQLITE = {
    "text": ('op.get_bind().execute("UPDATE t SET id = 5")', 'sa.text("...")'),
    "select": ('sa.select([sa.column("a")])', "sa.select(a, b)"),
    "type": ('op.create_table("u", sa.Column("a", sa.ARRAY(sa.Integer)))', "with_variant("),
    "function": ('op.execute("INSERT INTO t VALUES (now())")', "dialect.name"),
    "table": ('op.drop_table("nope")', "in an earlier revision"),
    "module": ("import no_such_module", "no_such_module"),
}


@pytest.mark.parametrize("case", SQLITE)
def test_on_sqlite(project: ProjectFactory, case: str) -> None:
    body, cure = SQLITE[case]
    p = project(models=MODELS, revisions=[("a1", FIRST)])
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    p.revision("a2", body)
    found = only(p)
    assert found["code"] == "SM413"
    assert "The next upgrade of database" in found["message"]
    assert cure in found["hint"]
    assert " at 0x" not in found["message"]


def test_what_fails_for_want_of_rows_may_go_through(project: ProjectFactory) -> None:
    p = project(models=MODELS, revisions=[("a1", FIRST)])
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    p.revision("a2", 'op.get_bind().execute(sa.text("SELECT id FROM t")).fetchone()[0]')
    found = only(p)
    assert "cannot build a database from nothing" in found["message"]
    assert "run on empty tables" in found["hint"]


POSTGRESQL = {
    "concurrently": ('op.execute("CREATE INDEX CONCURRENTLY i ON t (id)")', "autocommit_block()"),
    "enum": (
        "op.execute(\"CREATE TYPE m AS ENUM ('a')\")\n"
        "op.execute(\"ALTER TYPE m ADD VALUE 'b'\")\n"
        "op.execute(\"CREATE TABLE u (m m DEFAULT 'b')\")",
        "autocommit_block()",
    ),
    "view": (
        'op.execute("CREATE VIEW v AS SELECT id FROM t")\n'
        'op.alter_column("t", "id", type_=sa.BigInteger)',
        "DROP VIEW",
    ),
    "extension": ('op.execute("CREATE EXTENSION no_such_thing")', "install the extension"),
}


@pytest.mark.parametrize("case", POSTGRESQL)
def test_on_postgresql(project: ProjectFactory, databases: Databases, case: str) -> None:
    body, cure = POSTGRESQL[case]
    p = project(url=databases.create("postgresql"), models=MODELS, revisions=[("a1", FIRST)])
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    if case == "enum" and int(str(p.rows("SHOW server_version_num")[0][0])) >= 170000:
        pytest.skip("PostgreSQL 17 can use a new value in the transaction that made the type")
    p.revision("a2", body)
    found = only(p)
    assert "The next upgrade of database" in found["message"]
    assert cure in found["hint"]
    failed = p.invoke("db", "safe-upgrade", "--yes")
    assert failed.exit_code == 1
    assert cure in " ".join(failed.output.split())


def test_drivers_that_say_it_in_their_own_way() -> None:
    mysql = sa.exc.OperationalError("x", None, Exception(1146, "Table 'a.b' doesn't exist"))
    assert "earlier revision" in cure_of(mysql)
    pg8000 = sa.exc.ProgrammingError("x", None, Exception({"C": "25001", "M": "no"}))
    assert "autocommit_block" in cure_of(pg8000)
    words = 'extension "vector" is not available'
    pg8000 = sa.exc.ProgrammingError("x", None, Exception({"C": "0A000", "M": words}))
    assert "install the extension" in cure_of(pg8000)
    words = "cannot use a set-returning function here"
    pg8000 = sa.exc.ProgrammingError("x", None, Exception({"C": "0A000", "M": words}))
    assert cure_of(pg8000) == ""
    assert cure_of(ValueError("x")) == ""


def test_a_constraint_without_a_name_is_no_matter_of_types() -> None:
    key = sa.UniqueConstraint("id")
    sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer), key)
    with pytest.raises(sa.exc.CompileError) as failed:
        sa.schema.DropConstraint(key).compile()
    assert 'op.drop_constraint("NAME", "t", type_="unique")' in cure_of(failed.value)
    assert "variant" not in cure_of(failed.value)


def test_addresses_are_no_part_of_a_message() -> None:
    said = "Compiler <a.b.TypeCompiler object at 0x7f9b53c7f950> can't; <a.Column at 0x7f; x>"
    assert without_addresses(said) == "Compiler TypeCompiler can't; Column"


def _env(p: Project, statements: str, *, schema: str = "") -> None:
    path = p.path / p.directory / "env.py"
    text = path.read_text()
    opening = "    with connectable.connect() as connection:\n"
    assert opening in text
    lines = "".join(f"        {line}\n" for line in statements.splitlines())
    text = text.replace(opening, opening + lines)
    if schema:
        # The last one is that of run_migrations_online().
        before, old, after = text.rpartition("target_metadata=get_metadata(),")
        assert old
        text = f"{before}version_table_schema={schema!r},\n            {old}{after}"
    # Old templates begin with an import from __future__.
    path.write_text(
        text.replace("import logging\n", "import logging\n\nimport sqlalchemy as sa\n", 1)
    )


def test_what_env_py_prepares_is_prepared_in_the_scratch_database(
    project: ProjectFactory, databases: Databases
) -> None:
    p = project(url=databases.create("postgresql"), models=MODELS, revisions=[("a1", FIRST)])
    _env(
        p,
        'connection.execute(sa.text("CREATE SCHEMA IF NOT EXISTS ops"))\n'
        'connection.execute(sa.text("SELECT pg_advisory_lock(77)"))\nconnection.commit()',
        schema="ops",
    )
    assert p.invoke("db", "upgrade").exit_code == 0
    p.execute("CREATE SCHEMA other", "DROP SCHEMA IF EXISTS strange")
    done = p.invoke("db", "doctor", "--select", "SM413,SM414", "--format", "json")
    assert json.loads(done.stdout)["findings"] == []


def test_a_pragma_of_env_py_does_not_blind_the_doctor(project: ProjectFactory) -> None:
    p = project(models=MODELS, revisions=[("a1", FIRST)])
    _env(p, 'connection.execute(sa.text("PRAGMA busy_timeout=5000"))\nconnection.commit()')
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    done = p.invoke("db", "doctor", "--select", "SM4", "--format", "json")
    assert json.loads(done.stdout)["findings"] == []


REBUILD_BY_HAND = """\
op.rename_table('t', 't_tmp')
op.create_table('t', sa.Column('id', sa.Integer, primary_key=True), sa.Column('n', sa.Integer))
op.execute('INSERT INTO t (id) SELECT id FROM t_tmp')
op.drop_table('t_tmp')
op.execute('INSERT INTO child (t_id) VALUES (1)')"""


def test_references_that_a_rename_took_along_are_named(project: ProjectFactory) -> None:
    child = (
        "op.create_table('child', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('t_id', sa.Integer, sa.ForeignKey('t.id')))"
    )
    p = project(foreign_keys=True, revisions=[("a1", f"{FIRST}\n{child}")])
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    p.execute("INSERT INTO t VALUES (1)")
    p.revision("a2", REBUILD_BY_HAND)
    failed = p.invoke("db", "safe-upgrade", "--yes", "--allow", "SM601")
    said = " ".join(failed.output.split())
    assert failed.exit_code == 1, said
    assert "no such table: main.t_tmp" in said
    assert "a foreign key or trigger of another table names 't_tmp', which is gone" in said
    assert 'op.rename_table("...", "t_tmp")' in said
    assert "with op.batch_alter_table" in said
    assert "in an earlier revision" not in said
    assert p.rows("SELECT id FROM t") == [(1,)]


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
@pytest.mark.parametrize(
    ("made", "dropped", "names"),
    [
        ("create_foreign_key(None, 't', 'u', ['id'], ['id'])", "foreignkey", "FOREIGN KEY"),
        ("create_unique_constraint(None, 't', ['id'])", "unique", "UNIQUE"),
        ("create_check_constraint(None, 't', '1 < 2')", "check", "CHECK"),
    ],
)
def test_what_has_no_name_is_said_in_one_way(
    project: ProjectFactory,
    databases: Databases,
    dialect: str,
    made: str,
    dropped: str,
    names: str,
) -> None:
    p = project(url=databases.create(dialect), revisions=[("a1", FIRST)])
    down = f'op.drop_constraint(None, "t", type_="{dropped}")'
    p.revision("a2", FIRST.replace('"t"', '"u"') + f"\nop.{made}", down)
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    done = p.invoke("db", "safe-downgrade", "--yes", "--", "-1")
    assert done.exit_code == 1, done.output
    said = " ".join(done.output.split())
    assert f": {down} names no constraint Everything was undone" in said
    assert f"WHERE table_name = 't' AND constraint_type = '{names}';" in said
    assert f'and write op.drop_constraint("NAME", "t", type_="{dropped}"), then run' in said
    assert "flask db safe-downgrade a1" in said


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_what_is_there_already_may_be_the_version_s_fault(
    project: ProjectFactory, databases: Databases, dialect: str
) -> None:
    url = None if dialect == "sqlite" else databases.create(dialect)
    p = project(url=url, revisions=[("a1", FIRST)])
    p.revision("a2", "op.add_column('t', sa.Column('n', sa.Integer))")
    assert p.invoke("db", "deploy").exit_code == 0
    p.execute("UPDATE alembic_version SET version_num = 'a1'")
    done = p.invoke("db", "deploy")
    said = " ".join(done.output.split())
    assert done.exit_code == 1, said
    assert "Hint: flask db doctor tells whether the database is ahead of what its version" in said
    assert "then run: flask db deploy" in said
