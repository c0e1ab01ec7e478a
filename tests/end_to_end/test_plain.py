"""``flask safemigrate`` beside plain Flask-Migrate guards what a swapped ``flask db`` does."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

import flask_migrate
import pytest

from tests.end_to_end.story import HEAD, assert_told, tell
from tests.support.projects import Project, ProjectFactory

MODELS = """
class Owner(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(200), nullable=False)

class Pet(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    owner_id = db.Column(db.ForeignKey("owner.id", name="fk_pet_owner"))
    name = db.Column(db.String(30), nullable=False, index=True)
    born = db.Column(db.Integer, nullable=False, server_default="0")
"""
OWN = ("safemigrate_journal", "safemigrate_progress", "safemigrate_lock")


@dataclass(frozen=True)
class Kind:
    """How an application has Flask-Migrate, and where our commands are then."""

    project: ProjectFactory
    url: str
    safe: bool

    def make(self, **arguments: object) -> Project:
        arguments.setdefault("url", self.url)
        return self.project(safe=self.safe, **arguments)  # type: ignore[arg-type]

    def run(self, p: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
        return p.flask("db" if self.safe else "safemigrate", *arguments)


@pytest.fixture(params=["swapped", "plain"])
def kind(request: pytest.FixtureRequest, project: ProjectFactory, database_url: str) -> Kind:
    return Kind(project, database_url, request.param == "swapped")


def said(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    text = done.stdout + done.stderr
    assert done.returncode == code, text
    assert "Traceback" not in text
    return " ".join(text.split())


def test_the_straight_line(kind: Kind) -> None:
    p = tell(kind.make(models=MODELS))
    said(kind.run(p, "safe-upgrade", "--yes"))
    assert_told(p)
    assert "othing to do" in said(kind.run(p, "deploy"))
    said(kind.run(p, "safe-downgrade", "r08", "--yes"))
    assert p.heads() == {"r08"}
    # The stock command goes on from there, and sees nothing of ours.
    said(p.db("upgrade"))
    assert p.heads() == {HEAD}
    if hasattr(flask_migrate, "check"):  # Flask-Migrate 4.0.2
        said(p.db("check"))
    said(p.db("migrate", "-m", "nothing"))
    assert not [f for f in p.versions.glob("*.py") if "nothing" in f.name]
    found = said(kind.run(p, "doctor"))
    assert not [name for name in OWN if name in found]


def test_a_failure_changes_nothing_or_is_gone_on_with(kind: Kind) -> None:
    p = tell(kind.make(models=MODELS))
    said(kind.run(p, "safe-upgrade", "r05", "--yes"))
    faulty = p.revision("x1", "op.add_column('pet', sa.Column('a', sa.Integer))\n1 / 0", down=HEAD)
    stopped = kind.run(p, "deploy")
    assert stopped.returncode in (1, 5), stopped.stdout + stopped.stderr
    half = p.heads() != {"r05"}
    assert half is (stopped.returncode == 5)
    faulty.write_text(faulty.read_text().replace("1 / 0", "pass"))
    said(kind.run(p, "deploy"))
    assert p.heads() == {"x1"}
    assert p.rows("SELECT count(*), count(a) FROM pet") == [(400, 0)]
    said(p.db("migrate", "-m", "nothing more"))
    text = "".join(f.read_text() for f in p.versions.glob("*nothing*.py"))
    assert not [name for name in OWN if name in text]


def test_production_is_not_reset(kind: Kind) -> None:
    p = tell(kind.make(config={"SAFEMIGRATE_ENVIRONMENT": "production"}))
    said(kind.run(p, "deploy"))
    app = (p.path / "app.py").read_text()
    (p.path / "app.py").write_text(
        app.replace("'SAFEMIGRATE_ENVIRONMENT': 'production'", "'SAFEMIGRATE_ALLOW_RESET': True")
    )
    refused = said(kind.run(p, "reset", "--yes"), 3)
    assert "production" in refused
    assert p.rows("SELECT count(*) FROM owner") == [(200,)]


def test_a_reset_is_refused_outside_of_development(kind: Kind) -> None:
    p = tell(kind.make())
    said(kind.run(p, "deploy"))
    assert "neither in debug nor in testing" in said(kind.run(p, "reset", "--yes"), 3)
    assert p.rows("SELECT count(*) FROM owner") == [(200,)]


def test_a_snapshot_before_and_the_way_back(kind: Kind) -> None:
    p = tell(kind.make(config={"SAFEMIGRATE_SNAPSHOT_SERVERS": True}))
    said(kind.run(p, "safe-upgrade", "r04", "--yes"))
    said(kind.run(p, "safe-upgrade", "--yes"))
    p.execute("DELETE FROM pet")
    assert "safe-upgrade" in said(kind.run(p, "snapshots"))
    said(kind.run(p, "restore", "--yes"))
    assert p.heads() == {"r04"}
    assert p.rows("SELECT count(*) FROM pet") == [(400,)]


def test_settings_count(kind: Kind) -> None:
    p = tell(kind.make(config={"SAFEMIGRATE_GUARD_UPGRADE": True}))
    said(p.db("upgrade"))
    assert_told(p)
    p = tell(kind.make(config={"SAFEMIGRATE_LOCK_WAIT": "soon"}))
    for command in (("db", "upgrade"), ("safemigrate", "deploy")):
        assert "SAFEMIGRATE_LOCK_WAIT" in said(p.flask(*command), 2)


def test_tables_of_others_stay_out_of_autogenerate(kind: Kind) -> None:
    p = tell(kind.make(models=MODELS, config={"SAFEMIGRATE_EXCLUDE_TABLES": ["celery_*"]}))
    said(kind.run(p, "deploy"))
    p.execute("CREATE TABLE celery_task (id INTEGER)")
    said(p.db("migrate", "-m", "nothing"))
    assert not list(p.versions.glob("*nothing*.py"))


def test_a_group_of_another_name_keeps_nothing_that_it_would_see(
    project: ProjectFactory, database_url: str
) -> None:
    """``flask database`` does not come by us, so its ``migrate`` would drop our tables."""
    p = tell(project(url=database_url, safe=False, arguments="command='database'", models=MODELS))
    said(p.flask("safemigrate", "deploy"))
    assert p.heads() == {HEAD}
    said(p.flask("database", "migrate", "-m", "nothing"))
    assert not list(p.versions.glob("*nothing*.py"))
    app = (p.path / "app.py").read_text()
    (p.path / "app.py").write_text(
        app.replace(
            "db.init_app(app)", "app.config['SAFEMIGRATE_ENVIRONMENT'] = 'production'"
        ).replace("\n    migrate.init_app", "\n    db.init_app(app)\n    migrate.init_app")
    )
    assert "cannot be kept" in said(p.flask("safemigrate", "deploy"), 2)
