"""Files that are none, and names that would be commands where they are shown."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.projects import Project, ProjectFactory
from tests.support.repositories import alone, git, repository

FIRST = ("a1", "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))", "pass")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def circle(path: Path) -> None:
    path.symlink_to(path.name)


def folder(path: Path) -> None:
    path.mkdir()


ODD = [pipe, device, circle]


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("command", ["status", "doctor", "deploy"])
def test_among_the_revisions(
    project: ProjectFactory, make: Callable[[Path], None], command: str
) -> None:
    p = project(revisions=[FIRST])
    make(p.versions / "b2_odd.py")
    done = p.db(command, timeout=60)
    said = " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in said
    assert '"b2_odd.py" cannot be read' in said
    assert done.returncode == 3, said


@pytest.mark.parametrize("make", [*ODD, folder])
@pytest.mark.parametrize("name", ["alembic.ini", "env.py"])
def test_in_the_migrations_folder(
    project: ProjectFactory, make: Callable[[Path], None], name: str
) -> None:
    p = project(revisions=[FIRST])
    (p.path / "migrations" / name).unlink()
    make(p.path / "migrations" / name)
    for command in ("status", "doctor"):
        done = p.db(command, timeout=60)
        assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("make", [*ODD, folder])
def test_among_the_snapshots(project: ProjectFactory, make: Callable[[Path], None]) -> None:
    p = project(revisions=[FIRST])
    assert p.db("deploy").returncode == 0
    assert p.db("snapshot").returncode == 0
    make(p.path / ".safemigrate" / "x.json")
    make(p.path / ".safemigrate" / "20240101T000000000000Z-abcdef.db.json")
    done = p.db("snapshots", timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def version(p: Project, row: str) -> None:
    p.execute("DELETE FROM alembic_version", f"INSERT INTO alembic_version VALUES ('{row}')")


@pytest.mark.parametrize(
    "row",
    [
        "gone\n::set-output name=deploy::yes",
        "gone ##[group]x",
        "gone ##vso[task]x",
        "x " * 60 + "::error::y",
    ],
)
@pytest.mark.parametrize("form", ["text", "json", "sarif"])
def test_a_name_is_no_command_to_the_runner(project: ProjectFactory, row: str, form: str) -> None:
    p = project(revisions=[FIRST])
    assert p.db("deploy").returncode == 0
    version(p, row)
    for width in ("60", "80", "97"):
        env = {"GITHUB_ACTIONS": "true", "COLUMNS": width}
        done = p.db("doctor", "--format", form, env=env)
        for line in (done.stdout + done.stderr).splitlines():
            assert not line.strip().startswith("::"), line
            assert not re.search(r"##(vso)?\[", line)


def test_a_name_is_no_command_to_the_terminal(project: ProjectFactory) -> None:
    p = project(revisions=[FIRST])
    assert p.db("deploy").returncode == 0
    version(p, "gone\nError: all is well\x1b[2J\u202e")
    for command in ("status", "doctor", "deploy"):
        said = p.db(command).stdout
        assert "\x1b" not in said
        assert "\u202e" not in said
        assert "\nError: all is well" not in said
        assert "gone\\nError:" in " ".join(said.split())


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@needs_git
def test_a_branch_is_no_command_to_the_shell(
    project: ProjectFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch, tmp_path)
    p = project(revisions=[FIRST, ("b2", "pass")])
    repository(p.path)
    git(p.path, "switch", "--quiet", "--create", "feature;touch${IFS}PWNED;#")
    p.revision("c3", "pass")
    git(p.path, "add", ".")
    git(p.path, "commit", "--quiet", "-m", "c3")
    git(p.path, "switch", "--quiet", "main")
    p.revisions.remove("c3")
    assert p.db("safe-upgrade", "--yes").returncode == 0
    version(p, "c3")
    said = " ".join(p.db("doctor").stdout.split())
    assert "git switch 'feature;touch${IFS}PWNED;#'" in said
