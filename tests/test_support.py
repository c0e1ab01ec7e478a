"""The shared fixtures do what their users rely on."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from tests.support import forked
from tests.support.projects import ProjectFactory
from tests.support.servers import Databases, Server

TABLE = "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))"


def test_a_project_runs_plain_flask_migrate_on_every_dialect(
    project: ProjectFactory, database_url: str
) -> None:
    p = project(url=database_url, safe=False, revisions=[("a1", TABLE, "op.drop_table('t')")])
    p.revision("b2", "op.add_column('t', sa.Column('n', sa.Integer))")

    result = p.db("upgrade")

    assert result.returncode == 0, result.stderr
    assert p.heads() == {"b2"}
    p.execute("INSERT INTO t (id, n) VALUES (1, 2)")
    assert p.rows("SELECT id, n FROM t") == [(1, 2)]


@pytest.mark.parametrize("fresh", [True, False])
def test_a_command_has_streams_and_a_code_of_its_own(project: ProjectFactory, fresh: bool) -> None:
    project.fresh = fresh
    p = project(
        after="""
        @app.cli.command()
        def talk():
            import atexit, os, sys, threading, time
            atexit.register(lambda: print("last é"))
            threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
            print(sys.argv[1:], os.getcwd(), os.environ.get("ASKED"), input())
            print("wrong é", file=sys.stderr)
            os.write(1, b"raw\\n")
            sys.exit(7)
        """
    )
    done = p.flask("talk", input="an answer é\n", env={"ASKED": "yes"})
    assert done.returncode == 7
    first = f"['talk'] {p.path} yes an answer é"
    assert sorted(done.stdout.splitlines()) == sorted([first, "raw", "thread", "last é"])
    assert done.stderr == "wrong é\n"
    assert not list(p.path.rglob("__pycache__"))
    assert "Aborted" in p.flask("talk").stderr


@pytest.mark.parametrize("fresh", [True, False])
def test_a_command_that_takes_too_long_is_killed(project: ProjectFactory, fresh: bool) -> None:
    project.fresh = fresh
    p = project(
        after="""
        @app.cli.command()
        def hang():
            import os, time
            open("pid", "w").write(str(os.getpid()))
            time.sleep(600)
        """
    )
    for seconds in (3, 30):  # the second where the first is not enough to start
        with pytest.raises(subprocess.TimeoutExpired):
            p.flask("hang", timeout=seconds)
        if (p.path / "pid").exists():
            break
    with pytest.raises(ProcessLookupError):
        os.kill(int((p.path / "pid").read_text()), 0)


@pytest.mark.parametrize("name", forked._PRELOAD)
def test_what_copies_shall_have_is_there(name: str) -> None:
    """The server of copies passes over a module that it cannot import."""
    if name in ("psycopg", "pymysql"):
        pytest.importorskip(name)
    importlib.import_module(name)


def test_a_project_runs_in_this_process(project: ProjectFactory) -> None:
    p = project(safe=False, revisions=[("a1", TABLE)])

    result = p.invoke("db", "upgrade")

    assert result.exit_code == 0, result.output
    assert p.heads() == {"a1"}


def test_a_project_with_binds_upgrades_each_of_them(project: ProjectFactory) -> None:
    p = project(safe=False, binds={"other": None})
    p.revision("a1", {"": TABLE, "other": TABLE.replace("'t'", "'u'")})

    result = p.db("upgrade")

    assert result.returncode == 0, result.stderr
    assert p.heads() == p.heads(p.binds["other"]) == {"a1"}
    assert p.rows("SELECT name FROM sqlite_master WHERE name = 'u'", p.binds["other"]) == [("u",)]


def test_foreign_keys_are_enforced_when_asked(project: ProjectFactory) -> None:
    p = project(
        safe=False,
        foreign_keys=True,
        after="""
            @app.cli.command()
            def pragma():
                print(db.session.execute(sa.text("PRAGMA foreign_keys")).scalar())
        """,
    )
    assert p.flask("pragma").stdout == "1\n"


def test_what_an_application_asks_of_every_engine_ends_with_it(project: ProjectFactory) -> None:
    def enforces() -> object:
        engine = create_engine("sqlite://")
        with engine.connect() as connection:
            enforced = connection.exec_driver_sql("PRAGMA foreign_keys").scalar()
        engine.dispose()
        return enforced

    p = project(safe=False, foreign_keys=True)
    p.app()
    assert enforces() == 1
    p.close()
    assert enforces() == 0


def test_databases_are_dropped_also_with_open_sessions(
    require_server: object, postgresql_url: str
) -> None:
    from sqlalchemy.engine import make_url

    server = require_server("postgresql")  # type: ignore[operator]
    assert isinstance(server, Server)
    databases = Databases(lambda dialect: server)
    url = databases.create("postgresql")
    holder = create_engine(url)
    connection = holder.connect()
    databases.close()
    connection.invalidate()
    connection.close()
    holder.dispose()
    look = create_engine(postgresql_url)
    with look.connect() as open_connection:
        names = open_connection.exec_driver_sql("SELECT datname FROM pg_database").scalars().all()
    look.dispose()
    assert make_url(url).database not in names


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "workers"])
def test_a_file_left_in_the_checkout_fails_the_run(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(
        "import pathlib, sqlite3, time\n"
        "def test_writes():\n"
        "    time.sleep(0.4)\n"
        "    sqlite3.connect('x.db').execute('CREATE TABLE t (x)').connection.close()\n"
        "    pathlib.Path('build').mkdir()\n"
        "    pathlib.Path('build/log').touch()\n"
        "    time.sleep(0.4)\n"
        "def test_reads():\n"
        "    pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.checkout", *workers]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *more],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    done = run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ERROR")]
    assert line.startswith("ERROR x.db was written into the checkout")
    assert line.endswith("ran: tests/test_it.py::test_writes")
    assert run("-k", "reads").returncode == 0
