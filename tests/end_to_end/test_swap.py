"""Projects made with plain Flask-Migrate, after one line was swapped, and without the swap."""

from __future__ import annotations

import flask_migrate
import pytest

from tests.end_to_end.story import HEAD, tell
from tests.support.projects import Project, ProjectFactory

MODELS = """
class Pet(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(30))
"""


def swap(p: Project) -> None:
    source = (p.path / "app.py").read_text()
    swapped = source.replace(
        "from flask_migrate import Migrate as Migrate",
        "from flask_safemigrate import SafeMigrate as Migrate",
    )
    assert swapped != source
    (p.path / "app.py").write_text(swapped)


def test_a_project_of_plain_flask_migrate_goes_on_after_the_swap(project: ProjectFactory) -> None:
    p = project(safe=False, models=MODELS)
    assert p.db("migrate", "-m", "first").returncode == 0
    assert p.db("upgrade").returncode == 0
    swap(p)
    app = (p.path / "app.py").read_text()
    (p.path / "app.py").write_text(
        app.replace("db.String(30))", "db.String(60))\n    age = db.Column(db.Integer)")
    )
    migrated = p.db("migrate", "-m", "second")
    assert migrated.returncode == 0, migrated.stderr
    done = p.db("safe-upgrade", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    columns = p.rows("SELECT name, type FROM pragma_table_info('pet')")
    assert columns == [("id", "INTEGER"), ("name", "VARCHAR(60)"), ("age", "INTEGER")]
    if hasattr(flask_migrate, "check"):  # Flask-Migrate 4.0.2
        assert p.db("check").returncode == 0, "the journal must be invisible to autogenerate"
    assert p.db("current").returncode == 0
    assert p.db("downgrade").returncode == 0
    assert p.db("upgrade").returncode == 0


def test_a_multi_database_project_has_a_verdict_per_bind(project: ProjectFactory) -> None:
    p = project(binds={"other": None})
    p.revision(
        "m1",
        {
            "": "op.create_table('here', sa.Column('id', sa.Integer, primary_key=True))",
            "other": "op.create_table('there', sa.Column('id', sa.Integer, primary_key=True))",
        },
    )
    p.revision(
        "m2",
        {
            "": "with op.batch_alter_table('here') as b:\n"
            "    b.add_column(sa.Column('x', sa.String(5), nullable=False))",
            "other": "with op.batch_alter_table('there') as b:\n"
            "    b.add_column(sa.Column('y', sa.String(5)))",
        },
    )
    done = p.db("safe-upgrade", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    other = p.binds["other"]
    assert p.heads() == p.heads(other) == {"m2"}
    assert p.rows("SELECT name FROM pragma_table_info('there')", other) == [("id",), ("y",)]
    status = p.db("status")
    assert "app.db" in status.stdout
    assert "other.db" in status.stdout


def test_a_failure_in_one_bind_undoes_the_others(project: ProjectFactory) -> None:
    p = project(binds={"other": None})
    table = "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))"
    p.revision("m1", {"": table, "other": table})
    p.revision("m2", {"": "op.add_column('t', sa.Column('x', sa.Integer))", "other": "1 / 0"})
    assert p.db("safe-upgrade", "m1", "--yes").returncode == 0
    done = p.db("safe-upgrade", "--yes")
    assert done.returncode == 1, done.stdout + done.stderr
    assert p.heads() == p.heads(p.binds["other"]) == {"m1"}
    assert p.rows("SELECT name FROM pragma_table_info('t')") == [("id",)]


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_the_commands_work_without_the_swap(project: ProjectFactory, command: str) -> None:
    p = tell(project(safe=False))
    done = p.flask("safemigrate", command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "app.db" in done.stdout


def test_without_flask_migrate_the_line_to_add_is_told(project: ProjectFactory) -> None:
    p = project(safe=False)
    app = (p.path / "app.py").read_text()
    (p.path / "app.py").write_text(app.replace("    migrate.init_app(app, db)\n", ""))
    done = p.flask("safemigrate", "doctor")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "SafeMigrate(app, db)" in done.stdout + done.stderr


def test_an_existing_migrate_object_can_be_handed_over(project: ProjectFactory) -> None:
    p = tell(
        project(
            safe=False,
            after="""
            from flask_safemigrate import SafeMigrate
            SafeMigrate(app, db, migrate=migrate)
            """,
        )
    )
    done = p.db("safe-upgrade", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert p.heads() == {HEAD}
    assert p.db("history").returncode == 0


def test_a_custom_command_name_and_directory(project: ProjectFactory) -> None:
    p = tell(
        project(arguments="command='database', directory='schema/here'", directory="schema/here")
    )
    done = p.flask("database", "safe-upgrade", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert p.heads() == {HEAD}
    assert p.flask("db", "status").returncode == 2
    elsewhere = p.flask("database", "status", "-d", "nowhere")
    assert "nowhere" in elsewhere.stdout + elsewhere.stderr
    assert elsewhere.returncode == 3


def test_guard_upgrade_routes_upgrade(project: ProjectFactory) -> None:
    p = tell(project(config={"SAFEMIGRATE_GUARD_UPGRADE": True}))
    done = p.db("upgrade")
    assert done.returncode == 0, done.stdout + done.stderr
    assert p.rows("SELECT count(*) FROM safemigrate_journal") == [(10,)]


def test_plain_upgrade_is_plain_by_default(project: ProjectFactory) -> None:
    p = tell(project())
    done = p.db("upgrade")
    assert done.returncode == 0, done.stderr
    assert "Running upgrade" in done.stderr
    assert p.rows("SELECT name FROM sqlite_master WHERE name LIKE 'safemigrate%'") == []
