"""Run the migrations of a real project by plain Flask-Migrate and by us; compare what they leave.

    python bench/histories.py FOLDER                  on SQLite
    python bench/histories.py FOLDER --url URL        on the server of that URL
    python bench/histories.py FOLDER --beside OTHER   with modules of the application

FOLDER holds `versions/` of somebody's project. Its own env.py is left out, and what its revisions
import and nobody has is replaced by stand-ins, so that nothing of it need be installed. OTHER has
modules that are to be taken instead; `before.py` among them runs first: it mends what a history
expects of older versions, and its `db`, where it makes one, is the application's.

The history runs from nothing to its head, and then from some revisions on the way with rows in
every table, on SQLite with foreign keys enforced and not. Both tools begin with the same database;
schema and rows are compared afterwards. Prints a line a run, the differences below it, and what
the doctor says before and afterwards. Ends with 1 where we lost something or stopped where plain
went on.
"""

from __future__ import annotations

import argparse
import datetime
import decimal
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

SECONDS = 600
ROWS = 3
PLAIN = ("upgrade",)
OURS = ("safe-upgrade", "--yes", "--no-snapshot")

APP = """\
import os
import sys

import stand_ins
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

stand_ins.install()
db = None
if os.path.exists("before.py"):
    import before

    db = getattr(before, "db", None)

if os.environ["HISTORIES_TOOL"] == "plain":
    from flask_migrate import Migrate
else:
    from flask_safemigrate import SafeMigrate as Migrate

if os.environ.get("HISTORIES_ENFORCE"):

    @sa.event.listens_for(sa.engine.Engine, "connect")
    def enforce(connection, record):
        if type(connection).__module__.startswith("sqlite3"):
            connection.execute("PRAGMA foreign_keys=ON")


db = db or SQLAlchemy()
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["HISTORIES_URL"]
app.config["SAFEMIGRATE_SNAPSHOT"] = False
db.init_app(app)
Migrate(app, db)
"""

STAND_INS = '''\
"""Modules that are not there, and anything that is asked of them."""

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import pathlib
import sys
import types

import sqlalchemy as sa

VERSIONS = pathlib.Path(__file__).with_name("migrations") / "versions"


class _Anything(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __iter__(cls):
        return iter(())

    def __contains__(cls, item):
        return False


class Anything(sa.types.TypeDecorator, metaclass=_Anything):
    """A type of a column, a model, a function: whatever the revision takes it for."""

    impl = sa.String
    cache_ok = True

    def __init__(self, *arguments, **keywords):
        # MySQL and MariaDB know no VARCHAR without a length.
        super().__init__(255)

    def __call__(self, *arguments, **keywords):
        return self

    def __iter__(self):
        return iter(())

    def __enter__(self):
        return self

    def __exit__(self, *how):
        return None


class _Module(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Asked last, for what no other finder knows: packages that revisions import."""

    def __init__(self, packages):
        self.packages = packages

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in self.packages:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return _Module(spec.name)

    def exec_module(self, module):
        pass


def install():
    """Stand in for the packages that revisions import and that are not there."""
    missing = set()
    for path in VERSIONS.glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            missing |= {name.partition(".")[0] for name in names}
    missing = {name for name in missing if importlib.util.find_spec(name) is None}
    finder = Finder(missing)
    sys.meta_path.append(Finder(missing))
'''

# What revisions import is there in the application's own process.
ORDER = """\
import histories_app
from alembic.config import Config
from alembic.script import ScriptDirectory

config = Config()
config.set_main_option("script_location", "migrations")
script = ScriptDirectory.from_config(config)
print(*[r.revision for r in script.walk_revisions("base", "heads")][::-1])
"""


@dataclass
class Case:
    """One history on one kind of database.

    :param folder: the project that was made of it.
    :param server: URL of a database on the server where new ones are made; None for SQLite.
    """

    folder: Path
    server: URL | None
    made: list[str] = field(default_factory=list)

    def database(self) -> str:
        """The URL of an empty database."""
        name = f"sm_histories_{secrets.token_hex(5)}"
        if self.server is None:
            return f"sqlite:///{self.folder / name}.db"
        self._on_server(f"CREATE DATABASE {name}")
        self.made.append(name)
        return self.server.set(database=name).render_as_string(hide_password=False)

    def close(self) -> None:
        force = " WITH (FORCE)" if "postgresql" in str(self.server) else ""
        for name in self.made:
            self._on_server(f"DROP DATABASE IF EXISTS {name}{force}")

    def _on_server(self, statement: str) -> None:
        assert self.server is not None
        engine = sa.create_engine(self.server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()

    def flask(self, tool: str, url: str, enforce: bool, *arguments: str) -> tuple[int, str]:
        environment = {
            **os.environ,
            "HISTORIES_TOOL": tool,
            "HISTORIES_URL": url,
            "HISTORIES_ENFORCE": "1" if enforce else "",
            "PYTHONWARNINGS": "ignore",
            "COLUMNS": "120",
            "NO_COLOR": "1",
        }
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "histories_app", "db", *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return done.returncode, done.stdout


def make_project(migrations: Path, folder: Path) -> list[str]:
    """Write the application, and the history with Flask-Migrate's env.py; return its order."""
    (folder / "histories_app.py").write_text(APP)
    (folder / "stand_ins.py").write_text(STAND_INS)
    run_python(["-m", "flask", "--app", "histories_app", "db", "init"], folder)
    versions = folder / "migrations" / "versions"
    shutil.rmtree(versions)
    shutil.copytree(migrations / "versions", versions)
    return run_python(["-c", ORDER], folder).split()


def run_python(arguments: list[str], folder: Path) -> str:
    """Run Python with plain Flask-Migrate in the project; return what it prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "HISTORIES_TOOL": "plain", "HISTORIES_URL": "sqlite://"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


# ------------------------------------------------------------------ rows


def value_of(column: sa.Column[Any], row: int) -> Any:
    """Some value that the column takes; another one in each row."""
    kind = column.type
    if isinstance(kind, sa.Enum):
        return kind.enums[row % len(kind.enums)]
    if isinstance(kind, sa.Boolean):
        return bool(row % 2)
    if isinstance(kind, sa.Integer):
        return row + 1
    if isinstance(kind, sa.Float):
        return row + 0.5
    if isinstance(kind, sa.Numeric):
        return decimal.Decimal(row + 1)
    if isinstance(kind, sa.DateTime):
        return datetime.datetime(2024, 1, row + 1, 12)
    if isinstance(kind, sa.Date):
        return datetime.date(2024, 1, row + 1)
    if isinstance(kind, sa.Time):
        return datetime.time(row, 30)
    if isinstance(kind, sa.Interval):
        return datetime.timedelta(days=row + 1)
    if isinstance(kind, sa.Uuid):
        return uuid.UUID(int=row + 1)
    if isinstance(kind, sa.JSON):
        return {"n": row}
    if isinstance(kind, sa.LargeBinary):
        return bytes([row + 1])
    # The same in every column, so that what is a key by its name alone has its row too; and an
    # address, which is what some revisions take apart.
    text = f"10.0.0.{row}"
    length = getattr(kind, "length", None)
    return text[-length:] if length else text


def fill(url: str) -> int:
    """Put rows into every table; a table that takes none of these values stays empty."""
    engine = sa.create_engine(url)
    metadata = sa.MetaData()
    try:
        metadata.reflect(engine)
        tables = metadata.sorted_tables
    except sa.exc.NoSuchTableError:
        # A history can leave a foreign key behind that leads to no table.
        metadata = sa.MetaData()
        metadata.reflect(engine, resolve_fks=False)
        tables = list(metadata.tables.values())
    rows = 0
    for table in tables:
        if table.name == "alembic_version":
            continue
        settable = [column for column in table.columns if column.computed is None]
        # Two tables that refer to each other have a first row all the same.
        free = [c for c in settable if not (c.nullable and c.foreign_keys)]
        for row in range(ROWS):
            for columns in (settable, free):
                values = {column.name: value_of(column, row) for column in columns}
                with engine.connect() as connection:
                    try:
                        connection.execute(table.insert().values(values))
                        connection.commit()
                        rows += 1
                        break
                    except (sa.exc.SQLAlchemyError, TypeError, ValueError):
                        connection.rollback()
        if engine.dialect.name == "postgresql":
            _move_sequences(engine, table)
    engine.dispose()
    return rows


def _move_sequences(engine: sa.Engine, table: sa.Table) -> None:
    """Behind the numbers that rows were given, as if the sequences had given them."""
    quote = engine.dialect.identifier_preparer.quote
    for column in table.columns:
        if isinstance(column.type, sa.Integer):
            statement = sa.text(
                f"SELECT setval(name, (SELECT max({quote(column.name)}) FROM {quote(table.name)}))"
                " FROM pg_get_serial_sequence(:table, :column) AS name WHERE name IS NOT NULL"
            )
            values = {"table": quote(table.name), "column": column.name}
            with engine.begin() as connection:
                connection.execute(statement, values)


# ------------------------------------------------------------------ what is there


#: What the inspector does not tell: a name, and what is said of it.
BESIDE_TABLES = {
    "sqlite": {"trigger": "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"},
    "postgresql": {
        "sequence": "SELECT sequencename, data_type, last_value FROM pg_sequences"
        " WHERE schemaname = current_schema()",
        "enum": "SELECT t.typname, string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder)"
        " FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid GROUP BY 1",
        "trigger": "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
        "function": "SELECT proname, prosrc FROM pg_proc"
        " WHERE pronamespace = current_schema()::regnamespace",
    },
    "mysql": {
        "trigger": "SELECT trigger_name, action_timing, event_manipulation, event_object_table,"
        " action_statement FROM information_schema.triggers"
        " WHERE trigger_schema = database()",
        "table": "SELECT table_name, engine, table_collation, auto_increment"
        " FROM information_schema.tables WHERE table_schema = database()",
    },
}


#: What is another each time: ids and salted hashes that a revision draws, as `fill` does not, and
#: the time of the run, of which `fill` knows none either.
DRAWN = re.compile(
    r"\b(?!0{8})(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b|\bscrypt:[^']*"
    rf"|\b(?:{datetime.date.today():%Y-%m-%d|%Y, %-m, %-d,})[ T][\d:., ]*"
)


def content(url: str) -> dict[str, str]:
    """The schema and the rows of a database, a line for each thing."""
    engine = sa.create_engine(url)
    inspector = sa.inspect(engine)
    found: dict[str, str] = {}
    for table in inspector.get_table_names():
        if table.startswith("safemigrate_"):
            continue
        found.update(_schema(inspector, table))
        quoted = engine.dialect.identifier_preparer.quote(table)
        with engine.connect() as connection:
            result = connection.exec_driver_sql(f"SELECT * FROM {quoted}")
            names = list(result.keys())
            order = sorted(range(len(names)), key=names.__getitem__)
            rows = sorted(DRAWN.sub("drawn", repr([row[i] for i in order])) for row in result)
        found[f"rows of {table}"] = "\n".join(rows)
    for view in inspector.get_view_names():
        found[f"view {view}"] = " ".join(str(inspector.get_view_definition(view)).split())
    with engine.connect() as connection:
        for kind, query in BESIDE_TABLES[engine.dialect.name.replace("mariadb", "mysql")].items():
            for name, *said in connection.exec_driver_sql(query):
                if not name.startswith("safemigrate_"):
                    found[f"{kind} {name}"] = " ".join(" ".join(map(str, said)).split())
    engine.dispose()
    return found


def _schema(inspector: sa.Inspector, table: str) -> Iterator[tuple[str, str]]:
    for column in inspector.get_columns(table):
        said = f"{column['type']!r} null={column['nullable']} default={column['default']}"
        yield f"column {table}.{column['name']}", said
    yield f"primary key {table}", str(inspector.get_pk_constraint(table)["constrained_columns"])
    for key in inspector.get_foreign_keys(table):
        target = f"{key['referred_table']}{key['referred_columns']} {key['options']}"
        yield f"foreign key {table}{key['constrained_columns']}", target
    for index in inspector.get_indexes(table):
        columns = [*index["column_names"], *index.get("expressions", [])]
        yield f"index {table} {index['name']}", f"{columns} unique={index['unique']}"
    for unique in inspector.get_unique_constraints(table):
        yield f"unique {table}{sorted(unique['column_names'])}", str(unique["name"])
    for check in inspector.get_check_constraints(table):
        yield f"check {table} {' '.join(check['sqltext'].split())}", str(check["name"])


def differences(plain: dict[str, str], ours: dict[str, str]) -> tuple[list[str], list[str]]:
    """What we lack or have otherwise, and what we have besides."""
    worse = []
    for name, value in plain.items():
        if name not in ours:
            worse.append(f"only by plain: {name}: {value[:200]}")
        elif ours[name] != value:
            worse += [f"{name}:", f"    plain {value[:400]}", f"    ours  {ours[name][:400]}"]
    return worse, [f"only by us: {name}" for name in ours if name not in plain]


# ------------------------------------------------------------------ the runs


def prepare(case: Case, start: str) -> list[str]:
    """Two equal databases at a revision, with rows; fewer where plain does not come there."""
    urls: list[str] = []
    for _ in range(2):
        url = case.database()
        if urls and case.server is None:
            shutil.copy(urls[0].removeprefix("sqlite:///"), url.removeprefix("sqlite:///"))
            urls.append(url)
            continue
        if start != "base":
            code, said = case.flask("plain", url, False, "upgrade", start)
            if code:
                print(f"  start {start}: plain does not come here: {last(said)}")
                return []
            fill(url)
        elif case.server is None:
            Path(url.removeprefix("sqlite:///")).touch()
        urls.append(url)
    return urls


def last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("INFO", "(Background", "[SQL"))]
    errors = [line for line in lines if re.match(r"(\w+\.)*\w*(Error|Exception)\b", line)]
    return (errors or lines or [""])[-1][:200]


def run(case: Case, start: str, head: str, enforce: bool, doctor: bool) -> bool:
    """Compare the two tools from one revision on; return whether nothing is worse."""
    urls = prepare(case, start)
    if len(urls) < 2:
        return True
    if doctor and start != "base":
        show_doctor(case, urls[1], enforce, "before")
    results = []
    for tool, url, command in (("plain", urls[0], PLAIN), ("ours", urls[1], OURS)):
        began = time.monotonic()
        code, said = case.flask(tool, url, enforce, *command, head)
        results.append((code, said, time.monotonic() - began))
    (plain, plain_said, plain_seconds), (ours, ours_said, our_seconds) = results
    keys = ", foreign keys on" if enforce else ""
    print(
        f"  from {start}{keys}: plain {plain} ({plain_seconds:.1f} s),"
        f" ours {ours} ({our_seconds:.1f} s)"
    )
    good = True
    if plain:
        print(f"    plain: {last(plain_said)}")
    if ours:
        words = ours_said[ours_said.find("Error:") :] if "Error:" in ours_said else ours_said
        print("    ours:  " + "\n           ".join(words.strip().splitlines()[-12:]))
        good = bool(plain)
    if not plain and not ours:
        worse, more = differences(content(urls[0]), content(urls[1]))
        for line in (*worse, *more):
            print(f"    {line}")
        good = not worse
    if doctor and not ours:
        show_doctor(case, urls[1], enforce, "afterwards")
    for url in urls:
        if url.startswith("sqlite"):
            Path(url.removeprefix("sqlite:///")).unlink(missing_ok=True)
    return good


def show_doctor(case: Case, url: str, enforce: bool, when: str) -> None:
    """Print every finding: whether it is true is for a person to say."""
    # The models are not there.
    code, said = case.flask("ours", url, enforce, "doctor", "--ignore", "SM113")
    print(f"    doctor {when}: {code}")
    for line in said.strip().splitlines():
        print(f"      {line}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder in which versions/ is")
    parser.add_argument("--url", help="of a server's database, beside which others are made")
    parser.add_argument("--starts", type=int, default=4, help="revisions on the way; default 4")
    parser.add_argument("--start", action="append", help="a revision to begin at, or base")
    parser.add_argument("--head", default="heads", help="the revision to end at")
    parser.add_argument("--beside", type=Path, help="a folder of modules that revisions import")
    parser.add_argument("--no-doctor", action="store_true")
    options = parser.parse_args()
    if not (options.folder / "versions").is_dir():
        parser.error(f"{options.folder} has no folder versions")
    with tempfile.TemporaryDirectory() as name:
        case = Case(Path(name), make_url(options.url) if options.url else None)
        try:
            if options.beside:
                shutil.copytree(options.beside, name, dirs_exist_ok=True)
            order = make_project(options.folder.absolute(), Path(name))
            if options.head in order:
                order = order[: order.index(options.head) + 1]
            on = f" on {case.server.get_backend_name()}" if case.server else ""
            print(f"{options.folder}: {len(order)} revisions{on}", flush=True)
            step = max(1, len(order) // (options.starts + 1))
            starts = options.start or ["base", *order[step - 1 : -1 : step][: options.starts]]
            good = []
            for start in starts:
                ways = [False, True] if case.server is None and start != "base" else [False]
                for enforce in ways:
                    doctor = not (options.no_doctor or enforce)
                    good.append(run(case, start, options.head, enforce, doctor))
                    sys.stdout.flush()
        finally:
            case.close()
    return int(not all(good))


if __name__ == "__main__":
    sys.exit(main())
