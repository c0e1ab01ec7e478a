from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from flask_safemigrate.project.dockerignore import excluded_by
from flask_safemigrate.project.git import read_git
from flask_safemigrate.project.gitignore import unignore
from flask_safemigrate.project.shipping import left_out

FILE = "migrations/versions/a1.py"


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("migrations", FILE, 1),
        ("/migrations/", FILE, 1),
        ("  migrations  ", FILE, 1),
        ("x/../migrations", FILE, 1),
        ("# migrations", FILE, None),
        # Unlike git's, a pattern begins at the root.
        ("versions", FILE, None),
        ("**/versions", FILE, 1),
        ("migrations", f"app/{FILE}", None),
        ("**/migrations", f"app/{FILE}", 1),
        ("*/versions", FILE, 1),
        ("*.py", FILE, None),
        ("**/*.py", FILE, 1),
        ("**.py", FILE, 1),
        ("migrations/**", FILE, 1),
        ("migrations/*/a?.py", FILE, 1),
        ("migrations/versions/[ab]1.py", FILE, 1),
        ("migrations/versions/[^a]1.py", FILE, None),
        ("migrations/versions/a1\\.py", FILE, 1),
        ("migrations/versions/[", FILE, None),
        # Unlike git's, "!" brings a file back out of a folder that is left out.
        ("migrations\n!migrations/versions", FILE, None),
        ("*\n!migrations", FILE, None),
        ("!migrations\n*", FILE, 2),
        ("**\n!app.py", FILE, 1),
        (".", FILE, None),
        ("\ufeffmigrations", FILE, 1),
        ("!\n\n", FILE, None),
    ],
)
def test_dockerignore(text: str, path: str, line: int | None) -> None:
    found = excluded_by(text, path)
    assert (found[0] if found else None) == line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("env.py", "alembic.ini", "versions/a1.py", "versions/b2.py"):
        path = tmp_path / "shop" / "migrations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path / "shop" / "migrations"


def revisions(folder: Path) -> list[str]:
    return [str(path) for path in sorted((folder / "versions").glob("*.py"))]


@pytest.mark.parametrize(
    ("name", "text", "files", "every"),
    [
        (".dockerignore", "migrations", 4, True),
        (".dockerignore", "*.ini\nmigrations/env.py", 1, False),
        ("Dockerfile.dockerignore", "**/b2.py", 1, False),
        (".slugignore", "versions/", 2, True),
        (".slugignore", "versions/\n!versions/", 2, True),
        (".gcloudignore", "#!include:.gitignore\n", 1, False),
        (".vercelignore", "/migrations/*\n!/migrations/versions", 2, False),
    ],
)
def test_left_out(folder: Path, name: str, text: str, files: int, every: bool) -> None:
    root = folder.parent
    (root / ".gitignore").write_text("b2*\n")
    (root / name).write_text(text)
    (found,) = left_out(folder, revisions(folder))
    assert (found.source, len(found.paths), found.every) == (str(root / name), files, every)
    assert bool(found.back) is name.endswith("dockerignore")


def test_what_is_shipped_is_not_told(folder: Path) -> None:
    (folder.parent / ".dockerignore").write_text("*.db\n.venv\n")
    (folder.parent / ".gcloudignore").write_text("#!include:missing\n*.db\n")
    assert left_out(folder, revisions(folder)) == ()


def test_the_context_may_be_the_top_of_the_repository(folder: Path) -> None:
    top = folder.parents[1]
    (top / ".dockerignore").write_text("shop/migrations\n")
    assert left_out(folder, revisions(folder)) == ()
    (top / ".git").mkdir()
    (found,) = left_out(folder, revisions(folder))
    assert (found.back, found.rule) == ("!shop/migrations", "shop/migrations")


@pytest.mark.parametrize(
    ("place", "rule"),
    [
        (".gitignore", "migrations/"),
        (".gitignore", "*.py"),
        (".gitignore", "migrations/versions/*"),
        ("migrations/.gitignore", "versions/"),
        ("migrations/versions/.gitignore", "*"),
        (".git/info/exclude", "migrations"),
    ],
)
def test_unignore(folder: Path, place: str, rule: str) -> None:
    root = folder.parent
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / place).write_text(rule)
    assert read_git(folder, [folder / "versions"], revisions(folder)).ignored
    changed = unignore(folder / "versions")
    assert changed is not None
    path, before, lines = changed
    assert not read_git(folder, [folder / "versions"], revisions(folder)).ignored
    assert path.read_text() == f"{before or ''}{chr(10) if before else ''}" + "".join(
        f"{line}\n" for line in lines
    )


def test_nothing_to_unignore_in(folder: Path) -> None:
    assert unignore(folder / "versions") is None


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    started = time.process_time()
    assert excluded_by(f"versions/\n{'*a' * 16}b", "a" * 200) is None
    assert excluded_by("*a" * 16, "a" * 200) == (1, "*a" * 16)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("pattern", "path", "taken"),
    [
        ("*a*b*c*", "xaxbxc", True),
        ("*a*b*c*d", "xaxbxc", False),
        ("**/x/*/*.py", "a/b/x/c/d.py", True),
        ("**/x/*/*.py", "x/c/d.py", True),
        ("**/x/*/*.py", "axx/c/d.py", False),
        ("a/**/*.[pq]?", "a/b/c.py", True),
        ("a/**/**/*.py", "a/c.py", True),
        ("*/*/*/*", "a/b/c", False),
        ("**/*_*/*", "m/a_b/c", True),
    ],
)
def test_many_stars_mean_what_few_mean(pattern: str, path: str, taken: bool) -> None:
    assert (excluded_by(pattern, path) is not None) is taken
