"""Broken states of project, configuration and code: named, explained and repaired."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.old_templates import old_env
from tests.support.projects import Project, ProjectFactory

TABLE = "op.create_table('item', sa.Column('id', sa.Integer, primary_key=True))"
MODELS = "class Item(db.Model):\n    id = db.Column(db.Integer, primary_key=True)\n"
#: What Flask-Migrate wrote into alembic.ini from 2.7 on.
LOGGER = "\n[logger_flask_migrate]\nlevel = INFO\nhandlers =\nqualname = flask_migrate\n"


def shop(project: ProjectFactory, **more: Any) -> Project:
    made = project(
        models=more.pop("models", MODELS),
        revisions=[("a1", TABLE, "op.drop_table('item')")],
        **more,
    )
    assert made.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    return made


def found(p: Project, *options: str, quiet: str = "SM520") -> dict[str, dict[str, Any]]:
    """Findings by code; each code is there once."""
    done = p.invoke("db", "doctor", "--format", "json", "--ignore", quiet, *options)
    findings = json.loads(done.stdout)["findings"]
    codes = {finding["code"]: finding for finding in findings}
    assert len(codes) == len(findings), done.stdout
    return codes


def old_ini(p: Project) -> None:
    path = p.path / "migrations" / "alembic.ini"
    text = path.read_text().replace(",flask_migrate", "").replace(LOGGER.strip(), "")
    path.write_text(text)


@pytest.mark.parametrize("release", ["4.0.4", "3.0.0", "2.4.0"])
def test_an_old_env_is_replaced(release: str, project: ProjectFactory) -> None:
    p = shop(project)
    env = p.path / "migrations" / "env.py"
    new = env.read_text()
    env.write_text(old_env(release))
    before = found(p)
    assert set(before) == {"SM119"}
    assert f"Flask-Migrate {release};" in before["SM119"]["message"]
    assert before["SM119"]["file"] == str(env)
    fixed = p.invoke("db", "doctor", "--fix", "SM119", "--yes")
    assert fixed.exit_code == 0, fixed.output
    assert "env.py.bak" in fixed.output
    assert env.read_text() == new
    assert env.with_name("env.py.bak").read_text() == old_env(release)
    assert found(p) == {}
    p.revision("b2", "op.create_table('more', sa.Column('id', sa.Integer, primary_key=True))")
    assert p.invoke("db", "upgrade").exit_code == 0
    assert p.heads() == {"b2"}


def test_a_second_backup_does_not_replace_the_first(project: ProjectFactory) -> None:
    p = shop(project)
    env = p.path / "migrations" / "env.py"
    env.with_name("env.py.bak").write_text("mine")
    env.write_text(old_env("4.0.3"))
    p.invoke("db", "doctor", "--fix", "SM119", "--yes")
    assert env.with_name("env.py.bak").read_text() == "mine"
    assert env.with_name("env.py.bak2").read_text() == old_env("4.0.3")


def test_an_old_env_opens_another_file(project: ProjectFactory) -> None:
    """What is said of the old template is what happens."""
    p = project(
        url="sqlite:///app.db", models=MODELS, revisions=[("a1", TABLE, "op.drop_table('item')")]
    )
    (p.path / "migrations" / "env.py").write_text(old_env("2.5.2"))
    told = found(p, "--fast")["SM119"]
    assert told["severity"] == "error"
    assert (
        f'opens "app.db" in the current folder, where the application opens "{p.path}'
        in (told["message"])
    )
    assert p.invoke("db", "upgrade").exit_code == 0
    assert (p.path / "app.db").exists()
    assert not (p.path / "instance" / "app.db").exists()
    # Now there are two of that name, and the one with the tables is not the application's.
    twin = found(p, "--fast")["SM128"]
    assert f'"{p.path / "app.db"}" with 2 tables' in twin["message"]
    assert "likely to be meant" in twin["message"]


def test_a_changed_env_is_shown_its_patch(project: ProjectFactory, tmp_path: Path) -> None:
    p = shop(project)
    env = p.path / "migrations" / "env.py"
    old = old_env("3.1.0").replace(
        "            target_metadata=target_metadata,\n",
        "            target_metadata=target_metadata,\n            compare_server_default=True,\n",
    )
    env.write_text(old)
    told = found(p)
    assert set(told) == {"SM120"}
    assert told["SM120"]["repair"] is None
    patch = told["SM120"]["hint"].partition("\n")[2].replace("\n    ", "\n")[4:]
    (tmp_path / "env.patch").write_text(patch + "\n")
    subprocess.run(
        ["git", "apply", "--unidiff-zero", str(tmp_path / "env.patch")], cwd=p.path, check=True
    )
    assert "compare_server_default=True" in env.read_text()
    assert found(p) == {}
    assert p.invoke("db", "current").exit_code == 0


def test_errors_of_flask_migrate_are_heard_again(project: ProjectFactory) -> None:
    p = shop(project)
    old_ini(p)
    for name in ("b2", "c3"):
        p.revision(name, "pass", "pass", down="a1")
    silent = p.db("upgrade")
    assert (silent.returncode, silent.stdout, "Multiple head" in silent.stderr) == (1, "", False)
    assert "SM121" in found(p)
    fixed = p.invoke("db", "doctor", "--fix", "SM121", "--yes")
    assert "alembic.ini.bak" in fixed.output
    assert "SM121" not in found(p)
    heard = p.db("upgrade")
    assert (heard.returncode, "Multiple head" in heard.stderr) == (1, True)


def ini(p: Project, old: str, new: str) -> None:
    path = p.path / "migrations" / "alembic.ini"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def second(p: Project, header: str = "", body: str = "pass", down: str = "pass") -> None:
    p.revision("b2", body, down, header=header)


def write(p: Project, name: str, text: str) -> None:
    (p.path / name).parent.mkdir(parents=True, exist_ok=True)
    (p.path / name).write_text(text)


#: A state: its code, what makes it, what is named, and what mends it.
STATES: list[tuple[str, Callable[[Project], object], tuple[str, ...], Callable[[Project], object]]]
STATES = [
    (
        "SM121",
        lambda p: (
            ini(p, "qualname = flask_migrate", "qualname = flask_migrate\nlevel = CRITICAL")
            or ini(
                p, "level = INFO\nhandlers =\nqualname = flask_m", "handlers =\nqualname = flask_m"
            )
        ),
        ("[logger_flask_migrate] has the level CRITICAL",),
        lambda p: ini(p, "level = CRITICAL", "level = INFO"),
    ),
    (
        "SM122",
        lambda p: ini(p, "[formatter_generic]", "[formatter_odd]"),
        ("section [formatter_generic] is missing",),
        lambda p: ini(p, "[formatter_odd]", "[formatter_generic]"),
    ),
    (
        "SM123",
        lambda p: ini(p, "[alembic]", "[alembic]\nscript_location = alembic"),
        ("'alembic' as script_location",),
        lambda p: ini(p, "script_location = alembic", "script_location = %(here)s"),
    ),
    (
        "SM124",
        lambda p: ini(p, "[alembic]", "[alembic]\nsqlalchemy.url = mysql://me:s3cret@h/x"),
        ('"mysql://me:***@h/x"', "env.py does not use it", "holds a password"),
        lambda p: ini(p, "sqlalchemy.url = mysql://me:s3cret@h/x\n", ""),
    ),
    (
        "SM125",
        lambda p: write(p, ".dockerignore", "*.db\nmigrations\n"),
        ("\".dockerignore\" leaves every revision out of the image: line 2, 'migrations'",),
        lambda p: write(p, ".dockerignore", "*.db\nmigrations\n!migrations\n"),
    ),
    (
        "SM126",
        lambda p: write(p, "alembic/__init__.py", ""),
        ('"alembic/" has the name of the module alembic',),
        lambda p: shutil.rmtree(p.path / "alembic"),
    ),
    (
        "SM130",
        lambda p: (
            write(p, "billing.py", "class Invoice(db.Model):\n    id = db.Column()\n")
            or p.execute(
                "CREATE TABLE invoice (id INTEGER)", "INSERT INTO invoice VALUES (1), (2)"
            )
        ),
        (
            "'Invoice' in billing",
            "would drop 1 table with 2 rows",
        ),
        lambda p: (p.path / "billing.py").unlink() or p.execute("DROP TABLE invoice"),
    ),
    (
        "SM214",
        lambda p: write(p, "migrations/versions/a1_revision_a1.py.bak", ""),
        ("'a1_revision_a1.py.bak' lies among the revisions",),
        lambda p: (p.versions / "a1_revision_a1.py.bak").unlink(),
    ),
]


@pytest.mark.parametrize(
    ("code", "breaks", "named", "mends"), STATES, ids=[state[0] for state in STATES]
)
def test_a_state_is_named_and_gone_when_mended(
    code: str,
    breaks: Callable[[Project], object],
    named: tuple[str, ...],
    mends: Callable[[Project], object],
    project: ProjectFactory,
) -> None:
    p = shop(project)
    assert found(p) == {}
    breaks(p)
    told = found(p)
    assert set(told) == {code}
    for part in named:
        assert part in told[code]["message"]
    text = p.invoke("db", "doctor").output
    assert code in text
    assert "s3cret" not in text
    mends(p)
    assert found(p) == {}
    assert p.rows("SELECT count(*) FROM item") == [(0,)]


def test_models_of_a_file_that_nobody_imports(project: ProjectFactory) -> None:
    p = shop(project, models="")
    p.execute("INSERT INTO item VALUES (1), (2), (3)")
    told = found(p)
    assert set(told) == {"SM113"}
    assert "1 table with 3 rows" in told["SM113"]["message"]
    write(p, "models.py", f"from app import db\n{MODELS}")
    told = found(p)
    assert set(told) == {"SM130"}
    assert "('Item' in models)" in told["SM130"]["message"]
    assert "drop 1 table with 3 rows" in told["SM130"]["message"]


def test_code_of_pending_revisions(project: ProjectFactory) -> None:
    p = shop(project)
    write(p, "shop_models.py", "class Item(db.Model):\n    id = db.Column()\n")
    second(p, "def late():\n    from shop_models import Item\n", "op.f(geoalchemy2.x)", "odd()")
    done = p.invoke("db", "doctor", "--fast", "--format", "json")
    told = [(f["code"], f["severity"], f["line"]) for f in json.loads(done.stdout)["findings"]]
    assert [each for each in told if each[0] in ("SM216", "SM217")] == [
        ("SM217", "error", 21),
        ("SM216", "warning", 17),
        ("SM217", "warning", 25),
    ]
    refused = p.invoke("db", "safe-upgrade", "--yes")
    assert refused.exit_code == 3
    assert "SM217" in refused.output
    assert p.heads() == {"a1"}


def test_a_revision_without_its_source(project: ProjectFactory) -> None:
    p = shop(project)
    write(p, "migrations/versions/__pycache__/b2_x.cpython-312.pyc", "")
    assert found(p) == {}
    ini(p, "[alembic]", "[alembic]\nsourceless = true")
    assert '"b2_x.cpython-312.pyc"' in found(p)["SM215"]["message"]


def test_two_files_of_one_name(project: ProjectFactory) -> None:
    p = shop(project, url="sqlite:///shop.db")
    assert found(p) == {}
    with closing(sqlite3.connect(p.path / "shop.db")) as other:
        other.execute("CREATE TABLE a (x)")
        other.commit()
    told = found(p)["SM128"]
    assert told["severity"] == "warning"
    assert f'"{p.path / "instance" / "shop.db"}" with 2 tables' in told["message"]
    (p.path / "shop.db").write_bytes(b"")
    assert found(p)["SM128"]["severity"] == "info"


def test_constraints_without_a_name(project: ProjectFactory) -> None:
    unique = f"{MODELS}    name = db.Column(db.String, unique=True)\n"
    p = project(models=unique)
    assert "'item'" in found(p, "--fast")["SM131"]["message"]
    named = project(
        models=unique, arguments="", config={}, after="db.metadata.naming_convention = {}"
    )
    assert "SM131" in found(named, "--fast")
    source = (p.path / "app.py").read_text()
    convention = "{'uq': 'uq_%(table_name)s_%(column_0_name)s'}"
    (p.path / "app.py").write_text(
        source.replace(
            "SQLAlchemy()", f"SQLAlchemy(metadata=sa.MetaData(naming_convention={convention}))"
        )
    )
    assert "SM131" not in found(p, "--fast")


def test_production_in_a_debug_shell(
    project: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = project(url="postgresql+psycopg://me:s3cret@127.0.0.1:1/shop_prod", models=MODELS)
    assert "SM129" not in found(p)
    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert "it says 'prod'" in found(p)["SM129"]["message"]


@pytest.mark.parametrize("command", ["doctor", "status", "safe-upgrade", "deploy"])
def test_no_part_of_a_password_is_printed(command: str, project: ProjectFactory) -> None:
    p = project(url="postgresql+psycopg://me:first@second@127.0.0.1:1/shop", models=MODELS)
    p.revision("a1", TABLE, "op.drop_table('item')")
    for form in ("text", "json"):
        done = p.invoke("db", command, "--format", form)
        assert done.exit_code == 3, done.output
        assert "SM102" in done.output
        assert "holds an @ that is not escaped" in done.output.replace("\n      ", " ")
        assert "first" not in done.output.replace("--first", "")
        assert "second" not in done.output.replace('"seconds"', "")


def test_revisions_that_git_ignores(project: ProjectFactory) -> None:
    p = shop(project)
    subprocess.run(["git", "init", "-q"], cwd=p.path, check=True)
    write(p, ".gitignore", "*.db\nmigrations/\n")
    told = found(p)
    assert set(told) == {"SM115"}
    assert "by .gitignore:2: migrations/" in told["SM115"]["message"]
    fixed = p.invoke("db", "doctor", "--fix", "SM115", "--yes")
    assert "!/migrations/versions/*.py" in fixed.output
    assert set(found(p)) == {"SM116"}
    subprocess.run(["git", "add", "migrations/versions"], cwd=p.path, check=True)
    assert found(p) == {}


def test_a_missing_folder_is_made_and_seen_by_git(project: ProjectFactory) -> None:
    p = project(models=MODELS)
    subprocess.run(["git", "init", "-q"], cwd=p.path, check=True)
    p.versions.rmdir()
    assert set(found(p, quiet="SM521")) == {"SM107"}
    fixed = p.invoke("db", "doctor", "--fix", "--yes")
    assert "with a file that git keeps" in fixed.output
    assert (p.versions / ".gitkeep").exists()
    assert set(found(p, quiet="SM521")) == {"SM108"}


def test_offline_asks_no_database(project: ProjectFactory) -> None:
    p = project(
        url="postgresql+psycopg://me:s3cret@127.0.0.1:1/shop",
        models=MODELS,
        revisions=[("a1", TABLE, "op.drop_table('item')")],
    )
    assert p.invoke("db", "doctor").exit_code == 4
    good = p.invoke("db", "doctor", "--offline")
    assert good.exit_code == 0, good.output
    assert "No database was looked at." in good.output
    (p.path / "migrations" / "env.py").write_text(old_env("2.6.0"))
    assert "in place of the password" in found(p, "--offline")["SM119"]["message"]
    fixed = p.invoke("db", "doctor", "--offline", "--fix", "--yes")
    assert fixed.exit_code == 0, fixed.output
    assert found(p, "--offline") == {}


BROKEN = [
    (
        "db",
        lambda s: (
            s.replace("'SQLALCHEMY_DATABASE_URI': 'sqlite", "'OTHER': 'sqlite")
            + '\nimport os\napp.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("SHOP_DB")\n'
        ),
        ("(app.py:17)", "environment variable SHOP_DB", "export SHOP_DB="),
    ),
    (
        "safemigrate",
        lambda s: f"import nosuchmodule\n{s}",
        ("(app.py:1)", 'module "nosuchmodule"'),
    ),
    ("db", lambda s: f"{s}\nx = (\n", ("was never closed",)),
    (
        "db",
        lambda s: f"{s}\nraise ValueError('postgresql://u:s3cret@h/d')",
        ("ValueError", "u:***@h"),
    ),
]


@pytest.mark.parametrize(("group", "change", "parts"), BROKEN)
def test_the_application_does_not_load(
    group: str, change: Callable[[str], str], parts: tuple[str, ...], project: ProjectFactory
) -> None:
    p = shop(project)
    source = (p.path / "app.py").read_text()
    (p.path / "app.py").write_text(change(source))
    (p.path / "migrations" / "env.py").write_text(old_env("4.0.3"))
    done = p.flask(group, "doctor", env={"COLUMNS": "300"})
    assert done.returncode == 2, done.stdout + done.stderr
    assert "SM132 error" in done.stdout
    assert all(part in done.stdout for part in parts), done.stdout
    # What needs no application is looked at all the same.
    assert "SM119" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_without_an_application_files_are_repaired(project: ProjectFactory) -> None:
    p = shop(project)
    os.remove(p.path / "app.py")
    (p.path / "migrations" / "env.py").write_text(old_env("4.0.3"))
    done = p.db("doctor", "--fix", "--yes")
    assert (
        "SM132 error  The application could not be loaded: Could not import 'app'." in done.stdout
    )
    assert (p.path / "migrations" / "env.py.bak").exists()
    assert p.db("upgrade").returncode == 2
    assert "No such command 'upgrade'" not in p.db("upgrade").stderr


def test_an_application_without_the_extension(project: ProjectFactory) -> None:
    p = shop(project)
    app = p.path / "app.py"
    app.write_text(app.read_text().replace("    migrate.init_app(app, db)\n", ""))
    done = p.db("doctor")
    assert done.returncode == 2
    assert "SM133 error" in done.stdout
    assert "SafeMigrate(app, db)" in done.stdout
    # Its database is known, and looked at.
    assert "Revision  a1" in done.stdout
    assert "  db " not in p.flask("--help").stdout
    other = p.db("upgrade")
    assert (other.returncode, "No such command 'db'" in other.stderr) == (2, True)
