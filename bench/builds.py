"""What the commands of this checkout cost beside those of an earlier commit.

    python bench/builds.py REVISION [--runs 7] [--rows 200000] [--revisions 10]

Both are installed into environments of their own, with the same versions of everything else, and
take turns on the same projects. Printed are medians of user CPU and wall time of whole processes,
and the ratio of this checkout to the earlier commit. Git, Python's ``venv`` and pip are needed.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
APP = """
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_safemigrate import SafeMigrate
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///{database}"
db = SQLAlchemy(app)
SafeMigrate(app, db)
class Person(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40))
"""
REVISION = """\"\"\"step {number}\"\"\"
from alembic import op
import sqlalchemy as sa
revision = "r{number:05}"
down_revision = {down!r}
def upgrade():
    {up}
def downgrade():
    pass
"""
TABLE = (
    'op.create_table("person", sa.Column("id", sa.Integer(), primary_key=True),'
    ' sa.Column("name", sa.String(20)))'
)
EDIT = 'op.alter_column("person", "name", existing_type=sa.String(20), type_=sa.String(40))'


class Build(NamedTuple):
    """An environment that has one of the two.

    :ivar flask: the program.
    """

    name: str
    flask: Path


class Cost(NamedTuple):
    """Seconds of a whole process."""

    user: float
    wall: float


def install(folder: Path, source: Path, name: str) -> Build:
    """Install a checkout into an environment of its own."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [folder / "bin/python", "-m", "pip", "install", "-qq"]
    subprocess.run([*pip, source], check=True)
    return Build(name, folder / "bin/flask")


def freeze(build: Build) -> list[str]:
    """Every package of an environment but ours, with its version."""
    done = subprocess.run(
        [build.flask.parent / "python", "-m", "pip", "freeze"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if "safemigrate" not in line.lower()]


def spend(build: Build, project: Path, *arguments: str) -> Cost:
    """Run a command to its end.

    :raises SystemExit: it failed.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    begun = time.perf_counter()
    done = subprocess.run(
        [build.flask, "--app", "app", "db", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    wall = time.perf_counter() - begun
    if done.returncode:
        command = f"{build.name}: flask db {' '.join(arguments)}"
        raise SystemExit(f"{command}\n{done.stdout}{done.stderr}")
    return Cost(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before, wall)


def begin(build: Build, project: Path, revisions: int, rows: int) -> None:
    """Make a project whose database is one revision, an edit of the schema, behind its head."""
    project.mkdir()
    (project / "app.py").write_text(APP.format(database=project / "app.db"))
    spend(build, project, "init")
    bodies = [TABLE, *["pass"] * (revisions - 2), EDIT]
    for number, up in enumerate(bodies):
        (project / f"migrations/versions/r{number:05}.py").write_text(
            REVISION.format(number=number, down=f"r{number - 1:05}" if number else None, up=up)
        )
    spend(build, project, "safe-upgrade", f"r{revisions - 2:05}", "--yes")
    with sqlite3.connect(project / "app.db") as connection:
        connection.executemany(
            "INSERT INTO person (name) VALUES (?)", ((f"person {n}",) for n in range(rows))
        )
    connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", help="the earlier commit")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--revisions", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        earlier = folder / "earlier"
        subprocess.run(["git", "clone", "-q", ROOT, earlier], check=True)
        subprocess.run(["git", "-C", earlier, "checkout", "-q", given.revision], check=True)
        builds = [
            install(folder / "new", ROOT, "this checkout"),
            install(folder / "old", earlier, given.revision),
        ]
        if different := set(freeze(builds[0])) ^ set(freeze(builds[1])):
            print(f"different packages: {', '.join(sorted(different))}")
        begin(builds[0], folder / "behind", given.revisions, given.rows)
        shutil.copytree(folder / "behind", folder / "head")
        app = (folder / "head/app.py").read_text()
        (folder / "head/app.py").write_text(app.replace("/behind/", "/head/"))
        spend(builds[0], folder / "head", "safe-upgrade", "--yes")
        kept = folder / "kept.db"
        shutil.copy(folder / "behind/app.db", kept)

        def go_back() -> None:
            shutil.copy(kept, folder / "behind/app.db")

        cases: dict[str, tuple[str, tuple[str, ...], Callable[[], None]]] = {
            "status": ("head", ("status",), lambda: None),
            "deploy, nothing to do": ("head", ("deploy",), lambda: None),
            "doctor": ("head", ("doctor",), lambda: None),
            "safe-upgrade, one edit": (
                "behind",
                ("safe-upgrade", "--yes", "--no-snapshot"),
                go_back,
            ),
        }
        print(f"{'':24}{'user CPU s':>22}{'ratio':>8}{'wall s':>20}{'ratio':>8}")
        for title, (project, arguments, prepare) in cases.items():
            costs: dict[str, list[Cost]] = {build.name: [] for build in builds}
            for turn in range(given.runs + 1):
                for build in builds[:: 1 if turn % 2 else -1]:
                    prepare()
                    cost = spend(build, folder / project, *arguments)
                    if turn:
                        costs[build.name].append(cost)
            line = f"{title:24}"
            for of in ("user", "wall"):
                new, old = (
                    statistics.median(getattr(each, of) for each in costs[build.name])
                    for build in builds
                )
                line += f"{f'{new:.3f} | {old:.3f}':>22}{new / old:>8.2f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
