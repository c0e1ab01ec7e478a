"""SQLite changes side by side: ``flask db upgrade`` and ``flask db safe-upgrade``.

    python bench/sqlite_alter.py [--rows 2000000] [--repeat 3] [--only NAME ...]

One table of 13 columns with three indexes, a foreign key and a child table; each change is run as
a whole command on a fresh copy of the file, both tools in turn, without a snapshot. ``inside`` is
what the engine itself reports for the table. Disk is the most that database and journal took
together, in multiples of the file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

APP = """
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
{imported}
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///{database}"
app.config["SAFEMIGRATE_JOURNAL"] = False
db = SQLAlchemy(app)
{migrate}
class T(db.Model):
    id = db.Column(db.Integer, primary_key=True)
"""
REVISION = """
import sqlalchemy as sa
from alembic import op
revision = {revision!r}
down_revision = {down!r}
def upgrade():
{body}
def downgrade():
    pass
"""
SCHEMA = """
CREATE TABLE p (id INTEGER PRIMARY KEY, name VARCHAR(20));
CREATE TABLE t (id INTEGER NOT NULL, name VARCHAR(50) NOT NULL, email VARCHAR(80), num INTEGER,
  amount NUMERIC(10, 2), d INTEGER DEFAULT '5', note TEXT, flag INTEGER, made DATETIME,
  pid INTEGER, junk TEXT, score FLOAT, req VARCHAR(10) NOT NULL, PRIMARY KEY (id),
  CONSTRAINT fk_pid FOREIGN KEY (pid) REFERENCES p (id), CONSTRAINT ck_num CHECK (num >= 0));
CREATE TABLE child (id INTEGER PRIMARY KEY, tid INTEGER REFERENCES t (id) ON DELETE CASCADE);
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,
  CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
INSERT INTO alembic_version VALUES ('r0');
"""
FILL = """
INSERT INTO p SELECT value, 'n' || value FROM numbers WHERE value <= 1000;
INSERT INTO t SELECT value, 'name ' || value, 'mail' || value || '@example.org', value % 1000,
  value * 1.25, 5, 'some note text ' || value, value % 2, '2020-01-01 00:00:00', value % 1000 + 1,
  'junk' || value, value * 0.5, 'r' FROM numbers;
INSERT INTO child SELECT id, id FROM t WHERE id % 10 = 0;
CREATE INDEX ix_email ON t (email);
CREATE INDEX ix_num ON t (num, made);
CREATE UNIQUE INDEX ux_name ON t (name);
"""
NUMBERS = """
CREATE TEMP VIEW numbers AS WITH RECURSIVE c (value) AS
  (SELECT 1 UNION ALL SELECT value + 1 FROM c WHERE value < {rows}) SELECT value FROM c;
"""


@dataclass(frozen=True)
class Change:
    """One line of the table: bodies of revisions, and the ratio to reach."""

    name: str
    bodies: tuple[str, ...]
    wanted: float


def block(*lines: str, args: str = "") -> str:
    body = "\n".join(f"        b.{line}" for line in lines) or "        pass"
    return f"    with op.batch_alter_table('t'{args}) as b:\n{body}"


ALTER = "alter_column({!r}, existing_type=sa.{}"
CHANGES = (
    Change(
        "widen VARCHAR", (block(ALTER.format("name", "String(50), type_=sa.String(200))")),), 10
    ),
    Change("rename column", (block("alter_column('note', new_column_name='memo')"),), 10),
    Change("drop NOT NULL", (block(ALTER.format("req", "String(10), nullable=True)")),), 10),
    Change("drop CHECK", (block("drop_constraint('ck_num', type_='check')"),), 10),
    Change("drop foreign key", (block("drop_constraint('fk_pid', type_='foreignkey')"),), 10),
    Change("add CHECK", (block("create_check_constraint('ck_a', 'amount > 0')"),), 5),
    Change("add foreign key", (block("create_foreign_key('fk_2', 'p', ['pid'], ['id'])"),), 5),
    Change("set NOT NULL", (block(ALTER.format("email", "String(80), nullable=False)")),), 5),
    Change("change default", (block(ALTER.format("d", "Integer(), server_default='8')")),), 4),
    Change("INTEGER to TEXT", (block(ALTER.format("flag", "Integer(), type_=sa.Text())")),), 2),
    Change("drop column", (block("drop_column('junk')"),), 3),
    Change("add UNIQUE", (block("create_unique_constraint('uq', ['email'])"),), 1),
    Change(
        "ten revisions, one table",
        tuple(
            block(f"add_column(sa.Column('c{n}', sa.Integer()))", args=", recreate='always'")
            for n in range(10)
        ),
        6,
    ),
    Change("rebuild", (block(args=", recreate='always'"),), 1 / 1.1),
)


@dataclass(frozen=True)
class Run:
    seconds: float
    inside: float
    disk: float
    memory: int
    ways: str


class Project:
    """A project of each tool, on its own copy of the database."""

    def __init__(self, folder: Path, tool: str) -> None:
        self.folder, self.tool = folder, tool
        self.database = folder / "app.db"
        folder.mkdir()
        stock = tool == "upgrade"
        (folder / "app.py").write_text(
            APP.format(
                imported="from flask_migrate import Migrate"
                if stock
                else "from flask_safemigrate import SafeMigrate",
                migrate="Migrate(app, db)" if stock else "SafeMigrate(app, db)",
                database=self.database,
            )
        )
        self.flask("init")

    def flask(self, *args: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "app", "db", *args],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        if done.returncode:
            raise SystemExit(f"flask db {' '.join(args)} failed:\n{done.stderr or done.stdout}")
        return done

    def revisions(self, bodies: tuple[str, ...], base: bool = True) -> None:
        versions = self.folder / "migrations" / "versions"
        for old in versions.glob("*.py"):
            old.unlink()
        texts = [*(["    pass"] if base else []), *bodies]
        for number, body in enumerate(texts):
            first = 0 if base else 1
            down = f"r{number + first - 1}" if number else None
            (versions / f"r{number + first}.py").write_text(
                REVISION.format(revision=f"r{number + first}", down=down, body=body)
            )

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob("app.db*"))

    def run(self) -> Run:
        args = ["upgrade"]
        if self.tool != "upgrade":
            args = ["safe-upgrade", "--yes", "--no-snapshot", "--format", "json"]
        before = max(self.size(), 1)
        peak, stop = [before], threading.Event()

        def watch() -> None:
            while not stop.wait(0.02):
                try:
                    peak[0] = max(peak[0], self.size())
                except FileNotFoundError:
                    continue

        watcher = threading.Thread(target=watch)
        watcher.start()
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "app", "db", *args],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        stop.set()
        watcher.join()
        if status:
            raise SystemExit(f"flask db {' '.join(args)} failed:\n{output}")
        inside, ways = 0.0, ""
        if self.tool != "upgrade":
            tables = json.loads(output)["applied"][0]["tables"]
            inside = sum(each["seconds"] for each in tables)
            ways = ", ".join(dict.fromkeys(each["way"] for each in tables))
        return Run(seconds, inside, peak[0] / before, usage.ru_maxrss // 1024, ways)


def fill(path: Path, rows: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.executescript(SCHEMA + NUMBERS.format(rows=rows))
    connection.executescript(f"BEGIN; {FILL} COMMIT;")
    connection.close()


def compare(projects: dict[str, Project], base: Path | None, repeat: int) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {tool: [] for tool in projects}
    for _ in range(repeat):
        for tool, project in projects.items():
            for path in project.folder.glob("app.db*"):
                path.unlink()
            if base is not None:
                shutil.copyfile(base, project.database)
            os.sync()
            runs[tool].append(project.run())
    return runs


def line(name: str, runs: dict[str, list[Run]], wanted: float) -> str:
    stock, safe = runs["upgrade"], runs["safe-upgrade"]
    slow = statistics.median(run.seconds for run in stock)
    fast = statistics.median(run.seconds for run in safe)
    inside = statistics.median(run.inside for run in safe)
    ratio = slow / fast
    verdict = "ok" if ratio >= wanted else "MISSED"
    return (
        f"{name:26}{slow:9.2f}{fast:9.2f}{inside * 1000:11.1f}{ratio:8.1f}x"
        f"  >= {wanted:4.1f}x {verdict:7}{max(r.disk for r in safe):5.2f}"
        f" ({max(r.disk for r in stock):4.2f}){max(r.memory for r in safe):5}"
        f" ({max(r.memory for r in stock)})  {safe[0].ways}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument(
        "--revisions", type=int, default=1000, help="of the fresh database; 0: skip"
    )
    parser.add_argument("--folder", help="where to work (a disk like the real one)")
    opts = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=opts.folder) as name:
        folder = Path(name)
        projects = {tool: Project(folder / tool, tool) for tool in ("upgrade", "safe-upgrade")}
        print(f"{opts.rows:,} rows, SQLite {sqlite3.sqlite_version}, medians of {opts.repeat}")
        print(
            f"{'change':26}{'stock s':>9}{'safe s':>9}{'inside ms':>11}{'ratio':>9}"
            f"  {'target':15}disk (stock), MB memory (stock), way"
        )
        if not opts.only or any("revisions" not in each for each in opts.only):
            base = folder / "base.db"
            fill(base, opts.rows)
            for change in CHANGES:
                if opts.only and change.name not in opts.only:
                    continue
                for project in projects.values():
                    project.revisions(change.bodies)
                print(
                    line(change.name, compare(projects, base, opts.repeat), change.wanted),
                    flush=True,
                )
        if opts.revisions and (not opts.only or "revisions" in opts.only):
            bodies = [
                f"    op.create_table('t{n}', sa.Column('id', sa.Integer, primary_key=True),"
                " sa.Column('a', sa.String(20)))"
                if n % 4 == 0
                else f"    op.add_column('t{n - n % 4}', sa.Column('c{n}', sa.Integer))"
                if n % 4 == 1
                else f"    op.create_index('ix_{n}', 't{n - n % 4}', ['a'])"
                if n % 4 == 2
                else f"    op.execute(\"INSERT INTO t{n - n % 4} (a) VALUES ('x')\")"
                for n in range(opts.revisions)
            ]
            for project in projects.values():
                project.revisions(tuple(bodies), base=False)
            runs = compare(projects, None, opts.repeat)
            print(line(f"{opts.revisions} small revisions", runs, 2), flush=True)


if __name__ == "__main__":
    main()
