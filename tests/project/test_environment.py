from __future__ import annotations

from pathlib import Path

import flask_migrate
import pytest

from flask_safemigrate.facts.project import GitFacts
from flask_safemigrate.project.environment import configure_keywords, read_env, read_project

TEMPLATES = Path(flask_migrate.__file__).parent / "templates"
ENV = "from alembic import context\n{}\ncontext.run_migrations()\n"


@pytest.mark.parametrize(
    ("template", "is_async", "multidb"),
    [
        ("flask", False, False),
        ("flask-multidb", False, True),
        ("aioflask", True, False),
        ("aioflask-multidb", True, True),
    ],
)
def test_templates_of_flask_migrate(template: str, is_async: bool, multidb: bool) -> None:
    env = read_env(TEMPLATES / template / "env.py")
    assert (env.exists, env.problem) == (True, "")
    assert (env.is_async, env.multidb) == (is_async, multidb)
    assert env.version_table is None
    assert "target_metadata" in env.keywords
    assert "include_object" not in env.keywords


@pytest.mark.parametrize(
    "code",
    [
        "import asyncio\nasyncio.run(main())",
        "from sqlalchemy.ext.asyncio import async_engine_from_config",
        "from sqlalchemy.ext.asyncio import AsyncEngine",
        "async def main():\n    await connection.run_sync(f)",
    ],
)
def test_async_is_seen(code: str, tmp_path: Path) -> None:
    (tmp_path / "env.py").write_text(ENV.format(code))
    assert read_env(tmp_path / "env.py").is_async


@pytest.mark.parametrize(
    ("code", "table"),
    [
        ('context.configure(version_table="my_version")', "my_version"),
        ('NAME = "my_version"\ncontext.configure(version_table=NAME)', "my_version"),
        ("context.configure(version_table=f())", None),
        ('NAME = "my"\ncontext.configure(version_table=NAME + "_version")', "my_version"),
        ('NAME = "my"\ncontext.configure(version_table=f"{NAME}_version")', "my_version"),
        ('NAME = f()\ncontext.configure(version_table=f"{NAME}_version")', None),
        ('args["version_table"] = "my_version"\ncontext.configure(**args)', "my_version"),
        (
            'args.setdefault("version_table", "my_version")\ncontext.configure(**args)',
            "my_version",
        ),
        ('args = {"version_table": "my_version"}\ncontext.configure(**args)', "my_version"),
        ('args = dict(version_table="my_version")\ncontext.configure(**args)', "my_version"),
        ('a["version_table"] = "one"\na["version_table"] = "two"\ncontext.configure(**a)', None),
        ("context.configure(connection=c)", None),
        ('other.configure(version_table="my_version")', None),
    ],
)
def test_version_table(code: str, table: str | None, tmp_path: Path) -> None:
    (tmp_path / "env.py").write_text(ENV.format(code))
    assert read_env(tmp_path / "env.py").version_table == table


@pytest.mark.parametrize(
    ("code", "own"),
    [
        ("target_metadata = target_db.metadata", False),
        ("def get_metadata():\n    return target_db.metadatas[None]", False),
        ("target_metadata = current_app.extensions['migrate'].db.metadata", False),
        ("from app import db\ntarget_metadata = db.metadata", False),
        ("from app.models import Base\ntarget_metadata = Base.metadata", True),
        ("import app\ntarget_metadata = app.models.Base.metadata", True),
        ("target_metadata = [target_db.metadata, Base.metadata]", True),
        ("from app.tables import metadata\ntarget_metadata = metadata", True),
    ],
)
def test_whose_metadata_it_hands_on(code: str, own: bool, tmp_path: Path) -> None:
    (tmp_path / "env.py").write_text(f"{code}\ncontext.configure(target_metadata=x)\n")
    assert read_env(tmp_path / "env.py").own_metadata is own


def test_keywords_of_every_call(tmp_path: Path) -> None:
    path = tmp_path / "env.py"
    path.write_text(
        ENV.format("context.configure(url=u)\ncontext.configure(include_object=f, **more)")
    )
    assert configure_keywords(path) == {"url", "include_object", "**"}


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        ("def f(:\n    pass\n", "it does not compile: ", 1),
        ("x = 1\n<<<<<<< HEAD\ny = 2\n", "it holds an unresolved merge conflict", 2),
        ("", "it never calls context.run_migrations()", None),
        ("# empty\nX = 1\n", "it never calls context.run_migrations()", None),
    ],
)
def test_env_that_cannot_work(text: str, problem: str, line: int | None, tmp_path: Path) -> None:
    (tmp_path / "env.py").write_text(text)
    env = read_env(tmp_path / "env.py")
    assert env.problem.startswith(problem)
    assert env.line == line


def test_no_env(tmp_path: Path) -> None:
    assert not read_env(tmp_path / "env.py").exists


def test_env_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "env.py").mkdir()
    assert read_env(tmp_path / "env.py").problem.startswith("it cannot be read: ")


def test_project_of_the_template(tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "alembic.ini").write_text("[alembic]\n")
    (folder / "env.py").write_bytes((TEMPLATES / "flask" / "env.py").read_bytes())
    state = read_project(folder, app="shop", models={"": ("users",)}, git=False)
    assert state.directory == str(folder)
    assert state.directory_exists
    assert state.versions_exists
    assert state.ini_exists
    assert state.env_exists
    assert (state.env_problem, state.ini_problem) == ("", "")
    assert state.locations == (str(folder / "versions"),)
    assert (state.app, state.models) == ("shop", {"": ("users",)})
    assert state.git == GitFacts()


def test_project_that_is_not_there(tmp_path: Path) -> None:
    state = read_project(tmp_path / "migrations", app="shop")
    assert not state.directory_exists
    assert not state.versions_exists
    assert not state.ini_exists
    assert not state.env_exists


@pytest.mark.parametrize(
    ("ini", "problem"),
    [
        ("nonsense\n", "File contains no section headers"),
        ("[alembic]\n<<<<<<< HEAD\n", "Source contains parsing errors"),
        ("[alembic]\na = 1\na = 2\n", "already exists"),
        ("[alembic]\nversion_locations = 100%\n", "'%' must be followed by"),
        ("[alembic]\nversion_locations = a b\npath_separator = comma\n", "'comma'"),
    ],
)
def test_broken_ini(ini: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "alembic.ini").write_text(ini)
    found = read_project(tmp_path, app="shop", git=False).ini_problem
    assert problem in found
    assert "\n" not in found


LOOP = """
from alembic import context
with engine.connect() as connection:
    for tenant in ("a", "b"):
        connection.execute(text(f"SET search_path TO {tenant}"))
        context.configure(connection=connection)
        context.run_migrations()
"""
CALLED = """
from alembic import context
def migrate(connection, tenant):
    context.configure(connection=connection, version_table_schema=tenant)
    context.run_migrations()
for tenant in tenants():
    migrate(engine.connect(), tenant)
"""
BINDS = """
from alembic import context
for name, engine in engines.items():
    context.configure(connection=engine.connect())
    context.run_migrations()
"""


@pytest.mark.parametrize(
    ("text", "tenants"),
    [
        (LOOP, True),
        (CALLED, True),
        (BINDS, False),
        (BINDS.replace("for name, engine in engines.items():", "if 'search_path':"), False),
    ],
)
def test_a_schema_per_tenant_is_seen(tmp_path: Path, text: str, tenants: bool) -> None:
    path = tmp_path / "env.py"
    path.write_text(text)
    assert read_env(path).tenants is tenants


MAP, PATH = "schema_translate_map", "SET search_path"


@pytest.mark.parametrize(
    ("call", "by"),
    [
        ("execution_options(schema_translate_map={None: 'a'})", MAP),
        ("execution_options(schema_translate_map={None: tenant, 'x': 'y'})", MAP),
        ("execution_options(schema_translate_map=maps)", MAP),
        ("execution_options(**{'schema_translate_map': {None: 'a'}})", MAP),
        ("execution_options(schema_translate_map={**maps})", MAP),
        ("execution_options(schema_translate_map={'x': tenant})", ""),
        ("execution_options(schema_translate_map=None)", ""),
        ("execution_options(isolation_level='AUTOCOMMIT')", ""),
        ("execute(text('set search_path to \"%s\"' % tenant))", PATH),
        ("execute(text(f'SET LOCAL search_path = {tenant}, public'))", PATH),
        ("execute(text('SET search_path TO shop, public'))", PATH),
        ("execute(text('SET search_path=' + tenant))", PATH),
        ("execute(text(\"SELECT set_config('search_path', :path, false)\"))", PATH),
        ("execute(text('SET search_path TO \"$user\", public;'))", ""),
        ("execute(text('SET search_path = DEFAULT'))", ""),
        ("execute(text('SHOW search_path'))", ""),
    ],
)
def test_another_schema_is_seen(tmp_path: Path, call: str, by: str) -> None:
    path = tmp_path / "env.py"
    path.write_text(f'"""Without SET search_path TO x."""\nconnection = connection.{call}\n')
    assert read_env(path).schema_by == by


def test_the_role_that_env_py_takes(tmp_path: Path) -> None:
    path = tmp_path / "env.py"
    path.write_text('connection.execute(text("SET ROLE rb_owner"))\n')
    assert read_env(path).role == "rb_owner"
    path.write_text("connection.execute(1)  # SET ROLE x\n")
    assert read_env(path).role == ""
