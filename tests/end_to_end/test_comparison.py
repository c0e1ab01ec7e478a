"""What the doctor compares, and what it says that it did not compare."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases

FIRST = """
op.create_table("t", sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("n", sa.String(9)))
"""
MODELS = """
class T(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    n = db.Column(db.String(9))
"""
#: As those before Flask-Migrate 2.0 and many of today: it makes an engine of its own.
OWN_ENGINE = """
from alembic import context
from flask import current_app
from sqlalchemy import engine_from_config, pool

config = context.config
url = current_app.config["SQLALCHEMY_DATABASE_URI"].replace("%", "%%")
config.set_main_option("sqlalchemy.url", url)
section = config.get_section(config.config_ini_section)
engine = engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool)
with engine.connect() as connection:
    metadata = current_app.extensions["migrate"].db.metadata
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
"""


def found(p: Project, *arguments: str) -> dict[str, dict[str, Any]]:
    """The findings about schemas, by code."""
    done = p.invoke("db", "doctor", "--select", "SM4", "--format", "json", *arguments)
    return {f["code"]: f for f in json.loads(done.stdout)["findings"]}


def upgraded(p: Project) -> Project:
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    return p


def test_drift_is_seen_through_an_engine_of_env_py(
    project: ProjectFactory, database_url: str
) -> None:
    p = project(url=database_url, models=MODELS, revisions=[("a1", FIRST)])
    (p.path / p.directory / "env.py").write_text(OWN_ENGINE)
    upgraded(p)
    assert found(p) == {}
    p.execute("ALTER TABLE t DROP COLUMN n")
    assert "column 't.n' is missing" in found(p)["SM407"]["message"]


def test_models_need_the_extensions_and_types_of_the_history(
    project: ProjectFactory, databases: Databases
) -> None:
    models = """
    from sqlalchemy.dialects.postgresql import CITEXT, ENUM
    class T(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(CITEXT)
        mood = db.Column(ENUM("fine", name="mood", create_type=False))
        more = db.Column(db.Integer)
    """
    p = project(url=databases.create("postgresql"), models=models)
    p.revision(
        "a1",
        'op.execute("CREATE EXTENSION citext")\n'
        "op.execute(\"CREATE TYPE mood AS ENUM ('fine')\")\n"
        'op.create_table("t", sa.Column("id", sa.Integer, primary_key=True),\n'
        '    sa.Column("name", CITEXT), sa.Column("mood", ENUM("fine", name="mood",\n'
        "    create_type=False)))",
        header="from sqlalchemy.dialects.postgresql import CITEXT, ENUM\n",
    )
    upgraded(p)
    for _ in ("replayed", "kept"):
        findings = found(p)
        assert list(findings) == ["SM412"]
        assert "no revision makes column 't.more'" in findings["SM412"]["message"]


def test_models_that_cannot_be_built_are_said(
    project: ProjectFactory, databases: Databases
) -> None:
    # MariaDB has no named CHECK at a column; MySQL has.
    models = MODELS + '    p = db.Column(db.Integer, db.CheckConstraint("p > 0", name="ck"))\n'
    p = project(url=databases.create("mysql"), models=models, revisions=[("a1", FIRST)])
    upgraded(p)
    if "mariadb" not in str(p.rows("SELECT version()")).lower():
        assert list(found(p)) == ["SM412"]
        return
    said = found(p)["SM414"]
    assert "Not compared" in said["message"]
    assert "the models: they cannot be built in a scratch database" in said["message"]
    assert "db check" in said["hint"]


def test_every_schema_of_models_and_history_is_compared(
    project: ProjectFactory, databases: Databases
) -> None:
    models = MODELS + (
        'class Lot(db.Model):\n    __table_args__ = {"schema": "sales"}\n'
        "    id = db.Column(db.Integer, primary_key=True)\n    price = db.Column(db.Integer)\n"
    )
    p = project(url=databases.create("postgresql"), models=models, revisions=[("a1", FIRST)])
    p.revision(
        "a2",
        'op.execute("CREATE SCHEMA sales")\n'
        'op.create_table("lot", sa.Column("id", sa.Integer, primary_key=True),\n'
        '    sa.Column("price", sa.Integer), schema="sales")',
    )
    upgraded(p)
    assert found(p) == {}
    p.execute(
        "ALTER TABLE sales.lot DROP COLUMN price", "ALTER TABLE sales.lot ADD COLUMN more int"
    )
    findings = found(p)
    assert "column 'sales.lot.price' is missing" in findings["SM407"]["message"]
    assert "column 'sales.lot.more'" in findings["SM408"]["message"]
    assert 'ALTER TABLE "sales"."lot" RENAME COLUMN "more" TO' in findings["SM408"]["hint"]


def test_a_schema_that_is_another_database_is_left_alone_and_said(
    project: ProjectFactory, databases: Databases
) -> None:
    url, other = databases.create("mysql"), databases.create("mysql")
    name = make_url(other).database
    models = MODELS + (
        f'class Lot(db.Model):\n    __table_args__ = {{"schema": "{name}"}}\n'
        "    id = db.Column(db.Integer, primary_key=True)\n"
    )
    p = project(url=url, models=models, revisions=[("a1", FIRST)])
    upgraded(p)
    assert f"schema '{name}' (1 table of the models)" in found(p)["SM414"]["message"]
    assert p.rows("SHOW TABLES", other) == []


@pytest.mark.parametrize("change", ["none", "dropped"])
def test_models_and_database_are_compared_where_the_history_cannot_be_replayed(
    project: ProjectFactory, database_url: str, change: str
) -> None:
    p = project(url=database_url, models=MODELS)
    p.revision("a1", 'op.add_column("t", sa.Column("n", sa.String(9)))')
    p.execute("CREATE TABLE t (id INTEGER PRIMARY KEY NOT NULL)")
    assert p.invoke("db", "upgrade").exit_code == 0
    if change == "none":
        assert list(found(p)) == ["SM413"]
    else:
        p.execute("ALTER TABLE t DROP COLUMN n")
        findings = found(p)
        assert set(findings) == {"SM413", "SM415"}
        assert "column 't.n' is missing" in findings["SM415"]["message"]


def test_tables_that_refer_to_each_other_bring_no_warning(project: ProjectFactory) -> None:
    models = """
    class A(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        b = db.Column(db.ForeignKey("b.id"))
    class B(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        a = db.Column(db.ForeignKey("a.id"))
    """
    p = project(models=models, revisions=[("a1", "pass")])
    assert p.db("safe-upgrade", "--yes").returncode == 0
    assert p.db("doctor").stderr == ""


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
def test_the_sql_for_a_server_is_that_of_alembic(
    project: ProjectFactory, databases: Databases, dialect: str
) -> None:
    p = project(url=databases.create(dialect), revisions=[("a1", FIRST), ("a2", "pass")])
    printed = p.invoke("db", "safe-upgrade", "--sql")
    assert printed.exit_code == 0, printed.output
    assert "CREATE TABLE t" in printed.stdout
    assert "'a2'" in printed.stdout
    p.invoke("db", "safe-upgrade", "a1", "--yes")
    printed = p.invoke("db", "safe-upgrade", "--sql")
    assert "CREATE TABLE t" not in printed.stdout
    assert "'a2'" in printed.stdout


def test_sql_that_takes_a_database_is_an_error(
    project: ProjectFactory, postgresql_url: str
) -> None:
    p = project(url=postgresql_url, revisions=[("a1", FIRST)])
    p.revision("a2", 'op.get_bind().execute(sa.text("SELECT 1")).scalar()')
    printed = p.invoke("db", "safe-upgrade", "--sql")
    assert printed.exit_code == 1
    assert "Revision 'a2'" in printed.stderr


def test_partitions_are_left_out_of_autogenerate(
    project: ProjectFactory, postgresql_url: str
) -> None:
    models = MODELS + (
        "class Event(db.Model):\n    id = db.Column(db.Integer, primary_key=True)\n"
        '    __table_args__ = {"postgresql_partition_by": "RANGE (id)"}\n'
    )
    p = project(url=postgresql_url, models=models, revisions=[("a1", FIRST)])
    p.revision(
        "a2",
        'op.create_table("event", sa.Column("id", sa.Integer, primary_key=True),\n'
        '    postgresql_partition_by="RANGE (id)")\n'
        'op.execute("CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (1) TO (9)")',
    )
    upgraded(p)
    p.execute("CREATE TABLE stray (id int)")
    checked = p.invoke("db", "check")
    assert "remove_table', Table('stray'" in checked.output
    assert "Table('event_1'" not in checked.output


def test_the_preview_of_a_downgrade_knows_what_does_nothing(
    project: ProjectFactory,
) -> None:
    p = project(models=MODELS, revisions=[("a1", FIRST), ("a2", "pass")])
    p.revision("a3", 'op.add_column("t", sa.Column("colour", sa.String(9)))', "pass")
    upgraded(p)
    done = p.invoke("db", "safe-downgrade", "a2", input="n\n")
    assert 'Column "colour"' not in done.output
    said = " ".join(done.output.split())
    assert "downgrade() of revision 'a3' does nothing: what it brought stays" in said
