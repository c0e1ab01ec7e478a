"""What looking costs: ``status`` and ``doctor`` beside ``flask db current`` and ``heads``.

    python bench/reading.py [--revisions 10 1000 3000] [--tables 100] [--repeat 5]

A project with models, a database at head and a history of that length; the commands take turns,
each as a whole process. Modules and revision files are compiled beforehand, as where a project is
used. Under every time stands the CPU that it took, which other programs disturb less.

``doctor`` has its replay of the history in the cache; the first one, which fills it, is told
apart.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

APP = """
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_{module} import {extension}
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///{database}"
db = SQLAlchemy(app)
{extension}(app, db)
for number in range({tables}):
    db.Table(
        f"t{{number}}",
        db.metadata,
        db.Column("id", db.Integer, primary_key=True),
        db.Column("name", db.String(50), nullable=False),
    )
"""
REVISION = '''"""step {number}

Revision ID: r{number:05}
Revises: {down}
Create Date: 2024-01-01 00:00:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = "r{number:05}"
down_revision = {down!r}
branch_labels = None
depends_on = None


def upgrade():
{up}


def downgrade():
{down_body}
'''
TABLE = """    op.create_table(
        "t{0}",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(50), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )"""
#: Name of the line, which project, the command.
COMMANDS = {
    "flask db current": ("stock", ("current",)),
    "flask db heads": ("stock", ("heads",)),
    "flask db status": ("safe", ("status",)),
    "flask db doctor --fast": ("safe", ("doctor", "--fast")),
    "flask db doctor": ("safe", ("doctor",)),
}
EXTENSIONS = {
    "stock": ("migrate", "Migrate"),
    "safe": ("safemigrate", "SafeMigrate"),
}


def write_revision(folder: Path, number: int, tables: int) -> None:
    if number:
        # The schema stays as big, however long its history is.
        pair = (number + 1) // 2
        table = f"t{pair % tables}"
        made = f'    op.create_index("ix_{pair}", "{table}", ["name"])'
        gone = f'    op.drop_index("ix_{pair}", "{table}")'
        up, back = (made, gone) if number % 2 else (gone, made)
    else:
        up = "\n".join(TABLE.format(n) for n in range(tables))
        back = "\n".join(f'    op.drop_table("t{n}")' for n in range(tables))
    down = f"r{number - 1:05}" if number else None
    (folder / f"r{number:05}_step.py").write_text(
        REVISION.format(number=number, down=down, up=up, down_body=back)
    )


def flask(folder: Path, cache: Path, *args: str) -> tuple[float, float]:
    """Run a command of the project: seconds, and seconds of CPU."""
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": str(cache)}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "db", *args],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"flask db {' '.join(args)} failed:\n{output}")
    return seconds, usage.ru_utime + usage.ru_stime


def make(folder: Path, cache: Path, revisions: int, tables: int) -> dict[str, Path]:
    """A project of each kind on one database at head."""
    projects = {}
    for kind, (module, extension) in EXTENSIONS.items():
        project = projects[kind] = folder / f"{kind}{revisions}"
        project.mkdir()
        (project / "app.py").write_text(
            APP.format(
                module=module,
                extension=extension,
                database=project / "app.db",
                tables=tables,
            )
        )
        flask(project, cache, "init")
        versions = project / "migrations" / "versions"
        for number in range(revisions // 2 * 2 + 1):
            write_revision(versions, number, tables)
    flask(projects["safe"], cache, "safe-upgrade", "--yes")
    (projects["stock"] / "app.db").write_bytes((projects["safe"] / "app.db").read_bytes())
    return projects


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--revisions", type=int, nargs="+", default=[10, 1000, 3000])
    parser.add_argument("--tables", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=5)
    opts = parser.parse_args()
    medians: dict[tuple[str, int], tuple[float, float]] = {}
    print(f"{opts.tables} tables, medians of {opts.repeat}: seconds (of CPU)")
    print(f"{'revisions':28}" + "".join(f"{count:>18}" for count in opts.revisions), "  growth")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = folder / "pycache"
        made = {n: make(folder, cache, n, opts.tables) for n in opts.revisions}
        first = {n: flask(made[n]["safe"], cache, "doctor") for n in opts.revisions}
        for kind, args in COMMANDS.values():
            for count in opts.revisions:
                flask(made[count][kind], cache, *args)
        runs: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for _ in range(opts.repeat):
            for count in opts.revisions:
                for line, (kind, args) in COMMANDS.items():
                    took = flask(made[count][kind], cache, *args)
                    runs.setdefault((line, count), []).append(took)
    for key, values in runs.items():
        walls, cpus = zip(*values, strict=True)
        medians[key] = statistics.median(walls), statistics.median(cpus)
    shown = {line: [medians[line, n] for n in opts.revisions] for line in COMMANDS}
    shown["  the first, which replays"] = [first[n] for n in opts.revisions]
    for line, cells in shown.items():
        growth = f"  {cells[-1][0] / cells[0][0]:.2f}x ({cells[-1][1] / cells[0][1]:.2f}x)"
        print(f"{line:28}" + "".join(f"{w:10.2f} ({c:5.2f})" for w, c in cells) + growth)
    for line in ("flask db status", "flask db doctor --fast"):
        parts = [
            f"{medians[line, n][0] / medians['flask db current', n][0]:.2f}x"
            f" ({medians[line, n][1] / medians['flask db current', n][1]:.2f}x)"
            for n in opts.revisions
        ]
        print(f"{'  ' + line[9:] + ' / current':28}" + "".join(f"{part:>18}" for part in parts))
    added = [
        medians["flask db doctor", n][1] - medians["flask db doctor --fast", n][1]
        for n in opts.revisions
    ]
    print(f"{'  doctor adds, CPU s':28}" + "".join(f"{each:18.2f}" for each in added))


if __name__ == "__main__":
    main()
