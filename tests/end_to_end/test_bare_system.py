"""Where the system has no fcntl, opens no folders and knows no users, SQLite is served as well."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bare_system import bare_system
from tests.support.projects import Project, ProjectFactory

FIRST = (
    "a1",
    "op.create_table('item', sa.Column('id', sa.Integer, primary_key=True))\n"
    "op.execute('INSERT INTO item VALUES (1), (2)')",
    "op.drop_table('item')",
)
SECOND = ("a2", "op.add_column('item', sa.Column('n', sa.Integer))", "op.drop_column('item', 'n')")
MODELS = """
    class Item(db.Model):
        id = sa.Column(sa.Integer, primary_key=True)
"""

CONFIG = {"SAFEMIGRATE_KEEP_SNAPSHOTS": 1, "SAFEMIGRATE_ALLOW_RESET": True}

RUN = """
import json, sys
from app import app

for command in json.loads(sys.argv[1]):
    done = app.test_cli_runner().invoke(args=["db", *command])
    print(json.dumps([done.exit_code, done.output]))
"""

IMPORT = """
import importlib, pkgutil, flask_safemigrate as package

for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
"""


def python(
    code: str, *arguments: str, env: dict[str, str], at: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=at,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def run(p: Project, env: dict[str, str], *commands: str) -> list[tuple[int, str]]:
    """Run commands one after another; what each ended with and said."""
    listed = json.dumps([command.split() for command in commands])
    done = python(RUN, listed, env=env, at=p.path)
    assert done.returncode == 0, done.stdout + done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [(code, " ".join(text.split())) for code, text in answers]


@pytest.fixture
def p(project: ProjectFactory) -> Project:
    return project(models=MODELS, revisions=[FIRST], config=CONFIG)


def test_every_module_can_be_imported(tmp_path: Path) -> None:
    env = bare_system(tmp_path / "bare")
    done = python("import fcntl", env=env, at=tmp_path)
    assert "ModuleNotFoundError" in done.stderr
    done = python(IMPORT, env=env, at=Path.cwd())
    assert (done.returncode, done.stderr) == (0, "")


def test_the_way_there_and_back(p: Project, tmp_path: Path) -> None:
    env = bare_system(tmp_path / "bare")
    ended = run(p, env, "deploy", "snapshot", "snapshot", "status --check", "doctor")
    assert [code for code, _ in ended] == [0, 0, 0, 0, 0], ended
    # One is kept, so the first of the two has gone.
    assert len(list((p.path / ".safemigrate").glob("*.db"))) == 1
    p.revision(*SECOND)
    ended = run(p, env, "safe-upgrade --yes", "safe-downgrade a1 --yes", "safe-upgrade --yes")
    assert [code for code, _ in ended] == [0, 0, 0], ended
    p.execute("DELETE FROM item")
    ((code, said),) = run(p, env, "restore --yes")
    assert (code, p.heads()) == (0, {"a1"}), said
    assert p.rows("SELECT id FROM item") == [(1,), (2,)]
    p.execute("DELETE FROM item")
    ended = run(p, env, "snapshots --verify", "reset --yes")
    assert [code for code, _ in ended] == [0, 0], ended
    assert p.rows("SELECT id, n FROM item") == [(1, None), (2, None)]
    assert not [f.name for f in (p.path / ".safemigrate").iterdir() if "tmp" in f.name]


def test_one_at_a_time(p: Project, tmp_path: Path) -> None:
    env = bare_system(tmp_path / "bare")
    assert run(p, env, "deploy")[0][0] == 0
    p.revision(*SECOND)
    (lock,) = (p.path / ".safemigrate").glob("*.lock")
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ((code, said),) = run(p, env, "deploy --lock-wait 0")
    assert (code, p.heads()) == (4, {"a1"}), said


def test_without_any_lock_nothing_is_started(p: Project, tmp_path: Path) -> None:
    env = bare_system(tmp_path / "bare", locks=False)
    for code, said in run(p, env, "deploy", "safe-upgrade --yes"):
        assert code == 4, said
        assert "cannot be used: this system has no locks of files" in said
    assert not p.database.exists()


def test_a_link_in_the_place_of_the_folder_is_refused(p: Project, tmp_path: Path) -> None:
    env = bare_system(tmp_path / "bare")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (p.path / ".safemigrate").symlink_to(elsewhere)
    ((code, said),) = run(p, env, "deploy")
    assert code == 3, said
    assert "is a symbolic link" in said
    assert not list(elsewhere.iterdir())
    assert not p.database.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who works where others may write")
def test_root_does_not_work_by_name_where_others_can_write(p: Project, tmp_path: Path) -> None:
    env = bare_system(tmp_path / "bare", users=True)
    assert run(p, env, "deploy")[0][0] == 0
    p.revision(*SECOND)
    p.path.chmod(0o777)
    ((code, said),) = run(p, env, "deploy")
    assert code == 3, said
    assert "can be changed by others while root works in it" in said
    assert p.heads() == {"a1"}
