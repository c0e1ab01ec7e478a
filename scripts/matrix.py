"""Run the test-suite over Python versions and both ends of what the dependencies may be.

    python scripts/matrix.py            every Python found, every end
    python scripts/matrix.py --ends     oldest Python, lowest versions; newest Python, newest ones
    python scripts/matrix.py --sqlites  what touches SQLite, with an old SQLite and the newest one
    python scripts/matrix.py --drivers  what touches a server, with every driver that is served
    python scripts/matrix.py --servers  what touches a server, with those of scripts/servers.py
    python scripts/matrix.py --drivers --servers      every such driver on each of these servers
    python scripts/matrix.py --drivers --only mysqldb cells whose name has that word
    python scripts/matrix.py --short    without what no dependency can change, and what lasts long
    python scripts/matrix.py --parallel two at a time, each with two workers
    python scripts/matrix.py -- -k cli  what stands after -- goes to pytest

Environments are kept in build/matrix and made anew when pyproject.toml changes.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from servers import FOLDER as SERVERS_FOLDER
from servers import SERVERS, variables

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "matrix"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# What the lowest versions need beside themselves: Flask 2.3 tests ask Werkzeug for a version
# attribute that Werkzeug 3.1 no longer has.
LOWEST_COMPANIONS = ("werkzeug<3",)
# What touches Flask-Migrate, Alembic, SQLAlchemy and Flask; the rest is pure or looks at servers.
SHORT = (
    "tests/alembic_bridge",
    "tests/cli",
    "tests/test_example_app.py",
    *(f"tests/end_to_end/test_{name}.py" for name in ("straight_line", "swap", "sql")),
    "--ignore=tests/alembic_bridge/test_replay.py",
)
# While one waits for a server or a disk the other one goes on.
WORKERS = ("-n", "2", "--dist", "loadgroup")
ENDS = ("lowest", "sqlalchemy-2.0", "newest")
# Wheels that bring an SQLite of their own, under the name of the standard library's module.
SQLITES = {"sqlite-3.39": "pysqlite3-binary==0.4.7.post8", "sqlite-newest": "pysqlite3>=0.6.1"}
SQLITE_TESTS = (
    "tests/alembic_bridge",
    "tests/ddl",
    "tests/backends/test_sqlite_read.py",
    "tests/backends/test_sqlite_snapshot.py",
    "--ignore=tests/alembic_bridge/test_replay.py",
)
# The drivers that no other cell has: the server that they are for, how a URL begins that names
# them, and the package to install. Of mysql:// Flask-SQLAlchemy hands over a charset, which
# MariaDB's own driver does not know.
DRIVERS = {
    "psycopg2": ("postgresql", "postgresql+psycopg2", "psycopg2-binary"),
    "pg8000": ("postgresql", "postgresql+pg8000", "pg8000"),
    "mysqldb": ("mysql", "mysql+mysqldb", "mysqlclient"),
    "mysqlconnector": ("mysql", "mysql+mysqlconnector", "mysql-connector-python"),
    "mariadbconnector": ("mysql", "mariadb+mariadbconnector", "mariadb"),
}
# Between a driver and the server that it is tried on, in a cell's name.
ON = "@"
SERVER_URLS = {
    "postgresql": (
        "SAFEMIGRATE_TEST_POSTGRESQL_URL",
        "postgresql+psycopg://postgres@127.0.0.1:5432/test",
    ),
    "mysql": ("SAFEMIGRATE_TEST_MYSQL_URL", "mysql+pymysql://root@127.0.0.1:3306/test"),
}
SERVER_TESTS = (
    "tests/alembic_bridge/test_cures.py",
    "tests/alembic_bridge/test_replay.py",
    "tests/backends",
    "tests/end_to_end",
    "tests/hazards/test_executed.py",
    "tests/servers",
    "tests/test_example_app.py",
    "tests/test_support.py",
)
SQLITE_PTH = (
    "import sys, pysqlite3.dbapi2; sys.modules['sqlite3'] = pysqlite3;"
    " sys.modules['sqlite3.dbapi2'] = pysqlite3.dbapi2"
)


@dataclass(frozen=True)
class Cell:
    python: str
    interpreter: str
    end: str

    @property
    def name(self) -> str:
        return f"{self.python}-{self.end}"


def find_python(version: str) -> str | None:
    """A working interpreter of `version`: on PATH, in pyenv, or the one that runs this."""
    on_path = shutil.which(f"python{version}")
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    in_pyenv = sorted(glob.glob(f"{pyenv}/versions/{version}.*/bin/python"))
    for candidate in [on_path, *reversed(in_pyenv), sys.executable]:
        # A pyenv shim is on PATH for versions that are not switched on, and fails.
        if candidate and _version_of(candidate) == version:
            return candidate
    return None


def lowest_versions(pyproject: str) -> list[str]:
    """`name==bound` for every `name>=bound` of the project's dependencies."""
    block = re.search(r"^dependencies = \[(.*?)^\]", pyproject, re.S | re.M)
    assert block is not None, "pyproject.toml has no dependencies"
    bounds = re.findall(r'"([\w-]+)>=([\d.]+)"', block[1])
    return [f"{name}=={bound}" for name, bound in bounds]


def requirements(end: str, pyproject: str) -> list[str]:
    if end == "lowest":
        return [*lowest_versions(pyproject), *LOWEST_COMPANIONS]
    if end in SQLITES:
        return [SQLITES[end]]
    driver = end.partition(ON)[0]
    if driver in DRIVERS:
        return [DRIVERS[driver][2]]
    return ["sqlalchemy<2.1"] if end == "sqlalchemy-2.0" else []


def environment(end: str) -> dict[str, str]:
    """Variables that lead the tests to the cell's driver, server or both."""
    driver, server = _parts(end)
    found: dict[str, str] = {}
    if server:
        _run([sys.executable, str(ROOT / "scripts" / "servers.py"), server])
        found = variables(SERVERS_FOLDER, server)
    if driver:
        dialect, scheme, _ = DRIVERS[driver]
        variable, default = SERVER_URLS[dialect]
        url = found.get(variable) or os.environ.get(variable, default)
        found[variable] = f"{scheme}://{url.partition('://')[2]}"
    return found


def choose(options: argparse.Namespace) -> list[Cell]:
    found = {version: path for version in PYTHONS if (path := find_python(version))}
    if not found:
        sys.exit("No Python from 3.10 to 3.13 was found on PATH or in pyenv.")
    missing = [version for version in PYTHONS if version not in found]
    if missing:
        print(f"Not on this machine, left out: Python {', '.join(missing)}")
    oldest, newest = min(found, key=_key), max(found, key=_key)
    # The old wheel is there for the Pythons of its time.
    old_python = min((version for version in found if _key(version) <= (3, 11)), default=None)
    sqlites = [Cell(newest, found[newest], "sqlite-newest")]
    if old_python is not None:
        sqlites.append(Cell(old_python, found[old_python], "sqlite-3.39"))
    if options.drivers and options.servers:
        pairs = [(driver, server) for driver in DRIVERS for server in SERVERS]
        ends = [f"{driver}{ON}{server}" for driver, server in pairs if _fit(driver, server)]
        return [Cell(newest, found[newest], end) for end in ends]
    if options.drivers or options.servers:
        ends = list(DRIVERS if options.drivers else SERVERS)
        return [Cell(newest, found[newest], end) for end in ends]
    if options.sqlites:
        return sqlites
    if options.ends:
        return [Cell(oldest, found[oldest], "lowest"), Cell(newest, found[newest], "newest")]
    # SQLAlchemy 2.0.0 knows nothing of the Pythons that came after it; the lowest versions are
    # promised together with the Pythons of their time.
    return sqlites + [
        Cell(version, path, end)
        for version, path in found.items()
        for end in ENDS
        if end != "lowest" or _key(version) <= (3, 11)
    ]


def prepare(cell: Cell) -> Path:
    """Make the cell's environment, or take the one that is there; return its interpreter."""
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = requirements(cell.end, pyproject)
    # A driver's is the same for every server.
    venv = FOLDER / cell.name.partition(ON)[0]
    stamp = venv / ".made-for"
    digest = hashlib.sha256("\n".join([pyproject, cell.interpreter, *wanted]).encode())
    python = venv / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != digest.hexdigest():
        shutil.rmtree(venv, ignore_errors=True)
        _run([cell.interpreter, "-m", "venv", str(venv)])
        pip = [str(python), "-m", "pip", "install", "-qq"]
        _run([*pip, "pip>=25.1"])
        _run([*pip, "-e", str(ROOT), "--group", f"{ROOT}/pyproject.toml:test", *wanted])
        if cell.end in SQLITES:
            packages = next((venv / "lib").glob("python*/site-packages"))
            (packages / "sqlite_of_wheel.pth").write_text(SQLITE_PTH)
        stamp.write_text(digest.hexdigest())
    # Where PYTHONDONTWRITEBYTECODE is set each process of a test would compile anew.
    _run([str(python), "-m", "compileall", "-q", str(ROOT / "flask_safemigrate")])
    return python


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ends", action="store_true", help="only the two ends")
    parser.add_argument("--sqlites", action="store_true", help="only the two SQLites")
    parser.add_argument("--drivers", action="store_true", help="only the other drivers")
    parser.add_argument("--servers", action="store_true", help="only the newer servers")
    parser.add_argument("--only", default="", metavar="WORD", help="only cells that it names")
    parser.add_argument("--short", action="store_true", help="leave the longest tests out")
    parser.add_argument(
        "--parallel", action="store_true", help="two cells at a time, two workers each"
    )
    parser.add_argument("pytest", nargs="*", help="arguments of pytest, after --")
    options = parser.parse_args()
    workers = WORKERS if options.parallel else ()
    arguments = [*(SHORT if options.short else ()), *options.pytest]
    cells = [cell for cell in choose(options) if options.only in cell.name]
    if not cells:
        parser.error(f"no cell has {options.only!r} in its name")
    # Two at a time at most: the tests measure waits and race against each other on purpose.
    with ThreadPoolExecutor(2 if options.parallel else 1) as pool:
        results = list(pool.map(lambda cell: run_tests(cell, arguments, workers), cells))
    print("\n=== matrix")
    for name, verdict, seconds in results:
        print(f"{name:<22} {verdict:<12} {seconds:6.0f} s")
    return int(any(verdict != "passed" for _, verdict, _ in results))


def run_tests(
    cell: Cell, arguments: list[str], workers: tuple[str, ...] = ()
) -> tuple[str, str, float]:
    """Run pytest in the cell's environment, show its output, return name, verdict and seconds."""
    python = prepare(cell)
    if cell.end in SQLITES and not arguments:
        arguments = list(SQLITE_TESTS)
    if any(_parts(cell.end)):
        other = "mysql" if _is_postgresql(*_parts(cell.end)) else "postgresql"
        arguments = arguments or [*SERVER_TESTS, "-k", f"not sqlite and not {other}"]
    log = FOLDER / f"{cell.name}.log"
    start = time.monotonic()
    # A pipe would stay open for as long as a process lives that a failing test left behind.
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *workers, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment(cell.end)},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    seconds = time.monotonic() - start
    title = f"\n=== Python {cell.python}, {cell.end} versions: {_versions(python)}"
    print(f"{title}\n{log.read_text(encoding='utf-8')}", flush=True)
    verdict = "passed" if done.returncode == 0 else f"FAILED ({done.returncode})"
    return cell.name, verdict, seconds


def _parts(end: str) -> tuple[str, str]:
    """The driver and the server of a cell, '' for what it does not choose."""
    first, _, second = end.partition(ON)
    if first in DRIVERS:
        return first, second
    return "", first if first in SERVERS else ""


def _is_postgresql(driver: str, server: str) -> bool:
    return server == "postgresql" or (driver in DRIVERS and DRIVERS[driver][0] == "postgresql")


def _fit(driver: str, server: str) -> bool:
    """Whether a driver is for a server."""
    return _is_postgresql(driver, "") == _is_postgresql("", server)


def _versions(python: Path) -> str:
    names = ("flask", "flask-migrate", "flask-sqlalchemy", "alembic", "sqlalchemy")
    code = (
        "import importlib.metadata as m, sqlite3, sys;"
        f"print(*(f'{{n}} {{m.version(n)}}' for n in {names}),"
        " f'SQLite {sqlite3.sqlite_version}', sep=', ')"
    )
    done = subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _version_of(interpreter: str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([interpreter, "-c", code], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False)
    if done.returncode:
        sys.exit(f"Failed: {' '.join(command)}")


if __name__ == "__main__":
    sys.exit(main())
