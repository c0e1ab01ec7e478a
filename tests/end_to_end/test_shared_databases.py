"""Two migration folders that share a database: an application and a plugin of it."""

from __future__ import annotations

import shutil

import pytest

from tests.support.projects import Project, ProjectFactory

MODELS = """
    class Doc(db.Model):
        id = sa.Column(sa.Integer, primary_key=True)


    class Person(db.Model):
        id = sa.Column(sa.Integer, primary_key=True)
"""


def table(name: str) -> str:
    return f"op.create_table('{name}', sa.Column('id', sa.Integer(), primary_key=True))"


def with_plugin(project: ProjectFactory, **more: str) -> Project:
    made = project(models=MODELS, **more)  # type: ignore[arg-type]
    shutil.copytree(made.path / "migrations", made.path / "plug")
    env = made.path / "plug" / "env.py"
    said = env.read_text().replace("**conf_args\n", "**conf_args, version_table='plug_version'\n")
    assert "plug_version" in said
    env.write_text(said)
    made.revision("a0", table("doc"))
    made.directory = "plug"
    made.revision("p0", table("person"), "op.drop_table('person')", down=None)
    made.directory = "migrations"
    return made


def story(made: Project) -> None:
    assert made.db("deploy").returncode == 0
    plug = ("-d", "plug")
    for command in (
        ("deploy", *plug),
        ("safe-downgrade", "base", "--yes", *plug),
        ("safe-upgrade", "--yes", *plug),
    ):
        done = made.db(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    for folder in ((), plug):
        said = made.db("doctor", *folder)
        assert "No problems found." in said.stdout, said.stdout
        assert made.db("status", "--check", *folder).returncode == 0
    # Autogenerate would drop the other one's version table.
    assert made.db("check").returncode == 0
    assert made.db("check", *plug).returncode == 0


def test_neither_is_held_against_the_other(project: ProjectFactory) -> None:
    story(with_plugin(project))


def test_on_postgresql(project: ProjectFactory, postgresql_url: str) -> None:
    story(with_plugin(project, url=postgresql_url))


def test_on_mysql(project: ProjectFactory, mysql_url: str) -> None:
    story(with_plugin(project, url=mysql_url))


def test_a_table_of_its_own_is_still_a_sign(project: ProjectFactory) -> None:
    made = with_plugin(project)
    assert made.db("deploy").returncode == 0
    made.execute("CREATE TABLE person (id INTEGER PRIMARY KEY)")
    refused = made.db("safe-upgrade", "--yes", "-d", "plug")
    assert refused.returncode == 3
    assert "SM302" in refused.stdout


@pytest.mark.parametrize("folder", ["migrations", "plug"])
def test_a_reset_of_one_does_not_take_the_other_along(
    project: ProjectFactory, database_url: str, folder: str
) -> None:
    made = with_plugin(project, url=database_url)
    for each in ("migrations", "plug"):
        assert made.db("deploy", "-d", each).returncode == 0
    made.execute("INSERT INTO doc VALUES (1)")
    made.execute("INSERT INTO person VALUES (2)")
    refused = made.flask("--debug", "db", "reset", "--yes", "-d", folder)
    other = "plug_version" if folder == "migrations" else "alembic_version"
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert f'whose version table is "{other}"' in " ".join(refused.stderr.split())
    assert made.rows("SELECT doc.id, person.id FROM doc, person") == [(1, 2)]
    assert made.rows("SELECT version_num FROM alembic_version") == [("a0",)]
    # What the hint says for a history that is gone.
    made.execute(f"DROP TABLE {other}")
    done = made.flask("--debug", "db", "reset", "--yes", "-d", folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_schema_that_is_not_the_connections_is_refused(
    project: ProjectFactory, postgresql_url: str
) -> None:
    to_app: dict[object, str] = {None: "app"}
    options = {"execution_options": {"schema_translate_map": to_app}}
    made = project(url=postgresql_url, config={"SQLALCHEMY_ENGINE_OPTIONS": options})
    made.execute("CREATE SCHEMA app", "CREATE TABLE kept (id INT)")
    made.revision("a0", table("doc"))
    for command in (("reset", "--yes", "--no-snapshot"), ("deploy",)):
        done = made.db(*command, env={"FLASK_DEBUG": "1"})
        assert (done.returncode, "SM134" in done.stdout + done.stderr) == (3, True)
    assert made.rows("SELECT relname FROM pg_class WHERE relname IN ('kept', 'doc')") == [
        ("kept",)
    ]


def test_a_map_of_schemas_that_cannot_be_read_out_of_env_py_is_refused_in_time(
    project: ProjectFactory, postgresql_url: str
) -> None:
    made = project(url=postgresql_url)
    made.execute("CREATE SCHEMA app")
    env = made.path / "migrations" / "env.py"
    opened = "    with connectable.connect() as connection:\n"
    option = "'schema_' + 'translate_map'"
    moved = f"        connection = connection.execution_options(**{{{option}: {{None: 'app'}}}})\n"
    said = env.read_text().replace(opened, opened + moved)
    assert moved in said
    env.write_text(said)
    made.revision("a0", table("doc"))
    done = made.db("deploy")
    assert (done.returncode, "SM134" in done.stderr) == (3, False), done.stderr
    assert "schema_translate_map" in done.stderr
    made_there = "SELECT relname FROM pg_class WHERE relname IN ('doc', 'alembic_version')"
    assert made.rows(made_there) == []
