"""SafeMigrate from Python: the workflows as methods, and several applications in one process."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_safemigrate import SafeMigrate
from flask_safemigrate.errors import UsageError
from flask_safemigrate.outcome import Outcome, Progress, Status
from tests.support.projects import Project, ProjectFactory

MODEL = """
class Pet(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(20))
"""
PETS = "op.create_table('pet', sa.Column('id', sa.Integer, primary_key=True))"
NAMES = "op.add_column('pet', sa.Column('name', sa.String(20)))"
NAMELESS = "op.drop_column('pet', 'name')"


@pytest.fixture
def pets(project: ProjectFactory, monkeypatch: pytest.MonkeyPatch) -> Project:
    p = project(
        models=MODEL, revisions=[("a1", PETS, "op.drop_table('pet')"), ("a2", NAMES, NAMELESS)]
    )
    monkeypatch.chdir(p.path)
    return p


@pytest.fixture
def migrate(pets: Project) -> Iterator[SafeMigrate]:
    app = pets.app()
    with app.app_context():
        yield app.extensions["safemigrate"]


def test_up_down_and_back_from_python(migrate: SafeMigrate, pets: Project) -> None:
    assert not migrate.is_at_head()
    assert [step.id for step in migrate.status().plans[0].steps] == ["a1", "a2"]

    outcome = migrate.upgrade("a1")
    assert outcome.status is Status.DONE, outcome.error
    pets.execute("INSERT INTO pet (id) VALUES (7)")
    rehearsal = migrate.upgrade(dry_run=True)
    assert rehearsal.dry_run
    assert pets.heads() == {"a1"}

    told: list[Progress] = []
    outcome = migrate.deploy(say=told.append)
    assert outcome.status is Status.DONE, outcome.error
    assert told
    assert migrate.is_at_head()
    assert migrate.deploy().status is Status.NOTHING_TO_DO
    assert migrate.doctor().status is Status.DONE

    (taken,) = migrate.take_snapshot(why="a test").snapshots
    outcome = migrate.downgrade("a1")
    assert outcome.status is Status.DONE, outcome.error
    assert pets.heads() == {"a1"}
    assert taken.id in {one.id for one in migrate.snapshots().snapshots}
    outcome = migrate.restore(taken.id)
    assert outcome.status is Status.DONE, outcome.error
    assert pets.heads() == {"a2"}
    assert pets.rows("SELECT * FROM pet") == [(7, None)]


def test_an_outcome_can_go_to_another_process(migrate: SafeMigrate) -> None:
    for outcome in (migrate.status(), migrate.deploy(), migrate.doctor()):
        assert pickle.loads(pickle.dumps(outcome)) == outcome


def test_reset_wants_leave_and_says_how(migrate: SafeMigrate, pets: Project) -> None:
    migrate.upgrade()
    pets.execute("INSERT INTO pet (id) VALUES (7)")
    outcome = migrate.reset()
    assert outcome.status is Status.REFUSED
    assert "SAFEMIGRATE_ALLOW_RESET" in (outcome.hint or "")
    assert pets.rows("SELECT id FROM pet") == [(7,)]


def test_who_does_not_confirm_changes_nothing(migrate: SafeMigrate, pets: Project) -> None:
    asked: list[Outcome] = []

    def no(outcome: Outcome) -> bool:
        asked.append(outcome)
        return False

    outcome = migrate.upgrade(confirm=no)
    assert outcome.status is Status.FAILED
    assert outcome.error == "Nothing was changed."
    assert [len(one.plans) for one in asked] == [1]
    assert not pets.database.exists()


def test_a_failure_is_an_outcome(migrate: SafeMigrate, pets: Project) -> None:
    pets.revision("a3", "raise ValueError('no bones')")
    outcome = migrate.upgrade()
    assert outcome.status is Status.FAILED
    assert "no bones" in (outcome.error or "")
    assert pets.rows("SELECT name FROM sqlite_master") == []


def test_a_setting_of_the_wrong_kind_is_refused(project: ProjectFactory) -> None:
    p = project(revisions=[("a1", PETS)], config={"SAFEMIGRATE_LOCK_WIAT": 3})
    app = p.app()
    with app.app_context(), pytest.raises(UsageError, match="SAFEMIGRATE_LOCK_WAIT"):
        _ = app.extensions["safemigrate"].settings


def test_no_database_object() -> None:
    with pytest.raises(UsageError) as caught:
        SafeMigrate().init_app(Flask(__name__))
    assert caught.value.hint == "migrate.init_app(app, db)"


def test_two_applications_do_not_share_commands(tmp_path: Path) -> None:
    db = SQLAlchemy()
    migrate = SafeMigrate(db=db)
    apps = []
    for name in ("db", "schema"):
        app = Flask(name, instance_path=str(tmp_path / name))
        app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
        db.init_app(app)
        migrate.init_app(app, directory=str(tmp_path / name), command=name)
        apps.append(app)
    one, two = apps
    assert set(one.cli.commands) & {"db", "schema"} == {"db"}
    assert set(two.cli.commands) & {"db", "schema"} == {"schema"}
    for app in apps:
        directory = app.extensions["migrate"].directory
        assert Path(directory).name == app.name
        said = app.test_cli_runner().invoke(args=[app.name, "doctor"])
        assert "SM106" in said.output
        assert str(tmp_path / app.name) in said.output.replace("\n      ", "")


def test_flask_migrates_own_group_stays_as_it_is(migrate: SafeMigrate) -> None:
    from flask_migrate.cli import db as group

    assert not {"doctor", "safe-upgrade", "deploy"} & set(group.commands)


@pytest.mark.parametrize("argument", ["once", "later"])
def test_two_hooks_of_one_name_cannot_run_once(migrate: SafeMigrate, argument: str) -> None:
    migrate.on_deploy(name="fill", once=argument == "once")(lambda: None)
    with pytest.raises(UsageError, match='"fill"'):
        migrate.on_deploy(name="fill", once=True)(lambda: None)


def test_a_server_imports_neither_alembic_nor_flask_migrate() -> None:
    program = (
        "import sys; from flask import Flask; from flask_sqlalchemy import SQLAlchemy;"
        "from flask_safemigrate import SafeMigrate; app = Flask('x');"
        "app.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite://';"
        "SafeMigrate(app, SQLAlchemy(app));"
        "print({'alembic', 'flask_migrate', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
