"""SQLite changes side by side: ``flask db upgrade`` and ``flask db safe-upgrade``.

    python bench/sqlite_alter.py [--rows 2000000] [--repeat 3] [--only NAME ...]

One table of 13 columns with three indexes, a foreign key and a child table; each change is run as
a whole command on a fresh copy of the file, both tools in turn, without a snapshot, with modules
compiled beforehand.

``ratio`` is of the seconds, with that of the CPU in brackets, which other programs and a shared
disk disturb less. ``inside`` is what the engine itself reports for the table; the line after
shows it for a tenth of the rows. ``floor`` is the ratio that a command would reach that does
nothing but start (as ``flask db current`` does) and run the bare SQL on one connection of
sqlite3, proving nothing. Disk is the most that database and journal took together, in multiples
of the file.

Below: a snapshot in parts of a rebuild, and what telling of every revision costs on a terminal.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
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
    """One line of the table.

    :param bodies: of revisions.
    :param wanted: the ratio to reach.
    :param bare: SQL that does no more than must be done.
    """

    name: str
    bodies: tuple[str, ...]
    wanted: float
    bare: tuple[str, ...] = ()


def block(*lines: str, args: str = "") -> str:
    body = "\n".join(f"        b.{line}" for line in lines) or "        pass"
    return f"    with op.batch_alter_table('t'{args}) as b:\n{body}"


COPY = (
    "CREATE TABLE copy AS SELECT * FROM t",
    "DROP TABLE t",
    "ALTER TABLE copy RENAME TO t",
    "CREATE INDEX ix_email ON t (email)",
    "CREATE INDEX ix_num ON t (num, made)",
    "CREATE UNIQUE INDEX ux_name ON t (name)",
)
CONVERT = (
    "PRAGMA writable_schema=ON",
    "UPDATE sqlite_master SET sql = replace(sql, 'flag INTEGER', 'flag TEXT') WHERE name = 't'",
    "PRAGMA schema_version=1000",
    "PRAGMA writable_schema=RESET",
    "UPDATE t SET flag = flag",
)
ALTER = "alter_column({!r}, existing_type=sa.{}"
CHANGES = (
    Change(
        "widen VARCHAR", (block(ALTER.format("name", "String(50), type_=sa.String(200))")),), 10
    ),
    Change("rename column", (block("alter_column('note', new_column_name='memo')"),), 10),
    Change("drop NOT NULL", (block(ALTER.format("req", "String(10), nullable=True)")),), 10),
    Change("drop CHECK", (block("drop_constraint('ck_num', type_='check')"),), 10),
    Change("drop foreign key", (block("drop_constraint('fk_pid', type_='foreignkey')"),), 10),
    Change(
        "add CHECK",
        (block("create_check_constraint('ck_a', 'amount > 0')"),),
        5,
        ("SELECT count(*) FROM t WHERE NOT (amount > 0)",),
    ),
    Change(
        "add foreign key",
        (block("create_foreign_key('fk_2', 'p', ['pid'], ['id'])"),),
        5,
        ("PRAGMA foreign_key_check(t)",),
    ),
    Change(
        "set NOT NULL",
        (block(ALTER.format("email", "String(80), nullable=False)")),),
        5,
        ("SELECT count(*) FROM t WHERE email IS NULL",),
    ),
    Change(
        "change default",
        (block(ALTER.format("d", "Integer(), server_default='8')")),),
        4,
        ("SELECT count(*) FROM t NOT INDEXED WHERE d IS x'00'",),
    ),
    Change(
        "INTEGER to TEXT",
        (block(ALTER.format("flag", "Integer(), type_=sa.Text())")),),
        2,
        CONVERT,
    ),
    Change("drop column", (block("drop_column('junk')"),), 3, ("ALTER TABLE t DROP COLUMN junk",)),
    Change(
        "add UNIQUE",
        (block("create_unique_constraint('uq', ['email'])"),),
        1,
        ("CREATE UNIQUE INDEX uq ON t (email)",),
    ),
    Change(
        "ten revisions, one table",
        tuple(
            block(f"add_column(sa.Column('c{n}', sa.Integer()))", args=", recreate='always'")
            for n in range(10)
        ),
        6,
        COPY,
    ),
    Change("rebuild", (block(args=", recreate='always'"),), 1 / 1.1, COPY),
)


@dataclass(frozen=True)
class Run:
    seconds: float
    cpu: float
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
        # As installed packages have it, wherever this runs.
        self.cache = folder.parent / "pycache"
        self.environ = {**os.environ, "PYTHONPYCACHEPREFIX": str(self.cache)}
        self.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        self.flask("init")

    def flask(self, *args: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "app", "db", *args],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env=self.environ,
        )
        if done.returncode:
            raise SystemExit(f"flask db {' '.join(args)} failed:\n{done.stderr or done.stdout}")
        return done

    def revisions(self, bodies: tuple[str, ...], base: bool = True) -> None:
        versions = self.folder / "migrations" / "versions"
        for old in versions.glob("*.py"):
            old.unlink()
        # Python goes by seconds when it asks whether a file was compiled.
        shutil.rmtree(self.cache / versions.relative_to("/"), ignore_errors=True)
        texts = [*(["    pass"] if base else []), *bodies]
        for number, body in enumerate(texts):
            first = 0 if base else 1
            down = f"r{number + first - 1}" if number else None
            (versions / f"r{number + first}.py").write_text(
                REVISION.format(revision=f"r{number + first}", down=down, body=body)
            )

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob("app.db*"))

    def run(self, terminal: int | None = None) -> Run:
        """Upgrade; standard error goes to a terminal where one is given."""
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
            stderr=subprocess.DEVNULL if terminal is None else terminal,
            text=True,
            env=self.environ,
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
        cpu = usage.ru_utime + usage.ru_stime
        return Run(seconds, cpu, inside, peak[0] / before, usage.ru_maxrss // 1024, ways)

    def fresh(self, base: Path | None) -> None:
        """Put a copy of a database in place, or none."""
        for path in self.folder.glob("app.db*"):
            path.unlink()
        if base is not None:
            shutil.copyfile(base, self.database)
        os.sync()


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
            project.fresh(base)
            runs[tool].append(project.run())
    return runs


def middle(runs: list[Run], what: str) -> float:
    return float(statistics.median(getattr(run, what) for run in runs))


def line(name: str, runs: dict[str, list[Run]], wanted: float, floor: float | None) -> str:
    stock, safe = runs["upgrade"], runs["safe-upgrade"]
    slow, fast = middle(stock, "seconds"), middle(safe, "seconds")
    ratio, cpu = slow / fast, middle(stock, "cpu") / middle(safe, "cpu")
    verdict = "ok" if ratio >= wanted else "MISSED"
    lowest = f"{slow / floor:7.1f}x" if floor is not None else " " * 8
    return (
        f"{name:26}{slow:8.2f}{fast:8.2f}{middle(safe, 'inside') * 1000:10.1f}{ratio:7.1f}x"
        f" ({cpu:4.1f}x)  >= {wanted:4.1f}x {verdict:7}{lowest}{max(r.disk for r in safe):6.2f}"
        f" ({max(r.disk for r in stock):4.2f}){max(r.memory for r in safe):5}"
        f" ({max(r.memory for r in stock)})  {safe[0].ways}"
    )


def bare(project: Project, base: Path, statements: tuple[str, ...], repeat: int) -> float:
    """Seconds of the SQL alone, in one transaction."""
    seconds = []
    for _ in range(repeat if statements else 0):
        project.fresh(base)
        connection = sqlite3.connect(project.database, isolation_level=None)
        started = time.perf_counter()
        for statement in ("BEGIN IMMEDIATE", *statements, "COMMIT"):
            connection.execute(statement).fetchall()
        seconds.append(time.perf_counter() - started)
        connection.close()
    return statistics.median(seconds) if seconds else 0.0


def starting(project: Project, repeat: int) -> float:
    """Seconds of a command that does nothing."""
    seconds = []
    for _ in range(repeat):
        started = time.perf_counter()
        project.flask("current")
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def snapshot_cost(project: Project, base: Path, rebuild: float, repeat: int) -> str:
    """A snapshot of the database beside a rebuild of its biggest table."""
    seconds = []
    for _ in range(repeat):
        project.fresh(base)
        seconds.append(json.loads(project.flask("snapshot", "--format", "json").stdout)["seconds"])
    took = statistics.median(seconds)
    share = took / rebuild
    verdict = "ok" if share <= 0.2 else "MISSED"
    return f"{'snapshot':26}{took:8.2f} s, {share:.0%} of one rebuild  <= 20% {verdict}"


def telling_cost(project: Project, runs: list[Run], repeat: int) -> str:
    """What a live terminal costs more than a log that nobody reads."""
    watched = []
    for _ in range(repeat):
        project.fresh(None)
        ours, theirs = pty.openpty()
        reader = threading.Thread(target=read_all, args=(ours,))
        reader.start()
        watched.append(project.run(theirs))
        os.close(theirs)
        reader.join()
        os.close(ours)
    more = middle(watched, "cpu") - middle(runs, "cpu")
    return (
        f"{'  on a terminal':26}{middle(watched, 'cpu'):8.2f} s of CPU, {more:+.2f} s or "
        f"{more / middle(runs, 'cpu'):+.0%} for telling of them"
    )


def read_all(terminal: int) -> None:
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        return


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
        safe = projects["safe-upgrade"]
        small, base = folder / "small.db", folder / "base.db"
        fill(small, opts.rows // 10)
        for project in projects.values():
            project.revisions(CHANGES[0].bodies)
        compare(projects, small, 1)
        started = starting(projects["upgrade"], 5)
        print(
            f"{opts.rows:,} rows, SQLite {sqlite3.sqlite_version}, medians of {opts.repeat}; "
            f"flask db current takes {started:.2f} s"
        )
        print(
            f"{'change':26}{'stock s':>8}{'safe s':>8}{'inside ms':>10}{'ratio':>8} {'(CPU)':>7}"
            f"  {'target':15}{'floor':>8}  disk (stock), MB memory (stock), way"
        )
        if not opts.only or any("revisions" not in each for each in opts.only):
            fill(base, opts.rows)
            for change in CHANGES:
                if opts.only and change.name not in opts.only:
                    continue
                for project in projects.values():
                    project.revisions(change.bodies)
                runs = compare(projects, base, opts.repeat)
                floor = started + bare(safe, base, change.bare, opts.repeat)
                print(line(change.name, runs, change.wanted, floor), flush=True)
                if change.wanted == 10:
                    few = compare({"safe-upgrade": safe}, small, opts.repeat)["safe-upgrade"]
                    told = f"{middle(few, 'inside') * 1000:10.1f}"
                    print(f"{f'  of {opts.rows // 10:,} rows':42}{told}", flush=True)
                if change.name == "rebuild":
                    rebuild = middle(runs["safe-upgrade"], "inside")
                    print(snapshot_cost(safe, base, rebuild, opts.repeat), flush=True)
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
            print(line(f"{opts.revisions} small revisions", runs, 2, None), flush=True)
            print(telling_cost(safe, runs["safe-upgrade"], opts.repeat), flush=True)


if __name__ == "__main__":
    main()
