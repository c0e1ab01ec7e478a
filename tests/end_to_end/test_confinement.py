"""A diagnosis changes nothing: what would reach outside while it is tried is stopped, and said."""

from __future__ import annotations

import gc
import json
import secrets
import sqlite3
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from flask_safemigrate.alembic_bridge.confinement import Confinement, confined
from flask_safemigrate.errors import NotConfined
from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases

MODELS = "class T(db.Model):\n    id = db.Column(db.Integer, primary_key=True)\n"
FIRST = 'op.create_table("t", sa.Column("id", sa.Integer, primary_key=True))'
SESSION = """
from flask import current_app
db = current_app.extensions["migrate"].db
db.session.execute(sa.text("CREATE TABLE leak (id int)"))
db.session.commit()
"""


def upgraded(project: ProjectFactory, url: str | None, body: str) -> Project:
    """A project whose database has the first revision; the second is pending."""
    p = project(url=url, models=MODELS, revisions=[("a1", FIRST)])
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    p.revision("a2", body)
    return p


def told(p: Project, place: str = "line") -> dict[str, Any]:
    """The one finding of the comparison."""
    done = p.invoke("db", "doctor", "--select", "SM4", "--format", "json")
    found = json.loads(done.stdout)["findings"]
    assert [f["code"] for f in found] == ["SM414"], found
    assert "a2" in found[0]["message"]
    assert place in found[0]["message"]
    return dict(found[0])


def files(p: Project) -> dict[str, bytes]:
    """Everything in the project but our own cache."""
    return {
        str(path): path.read_bytes()
        for path in p.path.rglob("*")
        if path.is_file() and ".safemigrate" not in path.parts
    }


PYTHON = {
    "file": ('open("leak.txt", "a").write("x")', 'write to the file "leak.txt"'),
    "path": ('import pathlib\npathlib.Path("leak").mkdir()', 'make folder "leak"'),
    "removed": ('import os\nos.remove("app.py")', 'remove "app.py"'),
    "program": ('import subprocess\nsubprocess.run(["touch", "leak"])', 'program ("touch")'),
    "shell": ('import os\nos.system("touch leak")', "start a program"),
    "network": ('import socket\nsocket.create_connection(("127.0.0.1", 9))', "use the network"),
    "terminal": ('input("Sure?")', "ask a question"),
    "driver": ('import sqlite3\nsqlite3.connect("leak.db")', 'open the SQLite database "leak.db"'),
    "caught": ('try:\n    open("leak", "w")\nexcept Exception:\n    pass', 'the file "leak"'),
    "thread": (
        'import threading\nt = threading.Thread(target=lambda: open("leak", "w"))\n'
        "t.start()\nt.join()",
        "",
    ),
    "exit": (
        'import atexit\natexit.register(lambda: open("leak", "w"))',
        "leave code for the end of the process",
    ),
    "pipe": ('import os\nos.mkfifo("leak")', "make a pipe"),
    "pool": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        'ThreadPoolExecutor(1).submit(open, "leak", "w").result()',
        "hand work to a thread",
    ),
    "log": (
        'import logging\nlogging.getLogger("x").addHandler(logging.FileHandler("leak"))',
        "write to the file",
    ),
    "attached": ("op.execute(\"ATTACH 'leak.db' AS x\")", 'attach the file "leak.db"'),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("case", PYTHON)
def test_on_sqlite(project: ProjectFactory, case: str) -> None:
    body, says = PYTHON[case]
    p = upgraded(project, None, body)
    before = files(p)
    assert says in told(p)["message"]
    assert files(p) == before
    if case != "attached":
        # ATTACH cannot be run in a transaction on the copy of a file either.
        done = p.invoke("db", "safe-upgrade", "--dry-run", "--format", "json")
        outcome = json.loads(done.stdout)
        assert done.exit_code == 3, outcome
        assert says in outcome["error"]
        assert "on a copy of the database" in outcome["error"]
    assert files(p) == before


def test_a_second_connection_of_the_same_engine_sees_the_scratch_database(
    project: ProjectFactory, database_url: str
) -> None:
    p = upgraded(
        project,
        database_url,
        "with op.get_bind().engine.begin() as other:\n"
        '    other.execute(sa.text("INSERT INTO t VALUES (1)"))\n'
        'assert op.get_bind().execute(sa.text("SELECT count(*) FROM t")).scalar() == 1\n'
        'assert sa.inspect(op.get_bind().engine).has_table("t")',
    )
    done = p.invoke("db", "doctor", "--select", "SM4", "--format", "json")
    assert json.loads(done.stdout)["findings"] == []
    assert p.rows("SELECT count(*) FROM t") == [(0,)]


@pytest.fixture
def role(databases: Databases) -> Iterator[str]:
    """The name of a role that is not there, and goes again if it is made."""
    name = f"sm_role_{secrets.token_hex(4)}"
    yield name
    url = databases.require("postgresql").url.render_as_string(hide_password=False)
    _execute(url, f"DROP ROLE IF EXISTS {name}")


def _execute(url: str, *statements: str) -> list[Any]:
    import sqlalchemy as sa

    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    rows: list[Any] = []
    with engine.connect() as connection:
        for statement in statements:
            result = connection.exec_driver_sql(statement)
            rows = list(result) if result.returns_rows else []
    engine.dispose()
    return rows


POSTGRESQL = {
    "role": 'op.execute("CREATE ROLE {role}")',
    "outside": 'with op.get_context().autocommit_block():\n    op.execute("CREATE ROLE {role}")',
    "put together": "op.execute(\"DO $$ BEGIN EXECUTE 'CREATE ' || 'ROLE {role}'; END $$\")",
    "put together, committed": (
        "op.execute(\"DO $$ BEGIN EXECUTE 'CREATE ' || 'ROLE {role}'; END $$\")\n"
        'with op.get_context().autocommit_block():\n    op.execute("SELECT 1")'
    ),
    "code outside": (
        "with op.get_context().autocommit_block():\n"
        "    op.execute(\"DO $$ BEGIN EXECUTE 'CREATE ' || 'ROLE {role}'; END $$\")"
    ),
    "driver's cursor": 'op.get_bind().connection.cursor().execute("CREATE ROLE {role}")',
    "driver's connection": (
        "driver = op.get_bind().connection.driver_connection\n"
        '(getattr(driver, "execute", None) or getattr(driver, "run", None)'
        ' or driver.cursor().execute)("CREATE ROLE {role}")\n'
        "driver.commit()"
    ),
    "driver": (
        "import psycopg\n"
        "with psycopg.connect({dsn!r}) as other:\n"
        '    other.execute("CREATE ROLE {role}")'
    ),
    "driver's class": (
        "import psycopg\n"
        "with psycopg.Connection.connect({dsn!r}) as other:\n"
        '    other.execute("CREATE ROLE {role}")'
    ),
    "driver's SQL": (
        "from {psycopg} import sql\n"
        "driver = op.get_bind().connection.driver_connection\n"
        'driver.cursor().execute(sql.SQL("CREATE ROLE {role}"))\n'
        "driver.commit()"
    ),
    "put together, committed by the driver": (
        "op.execute(\"DO $$ BEGIN EXECUTE 'CREATE ' || 'ROLE {role}'; END $$\")\n"
        "op.get_bind().connection.driver_connection.commit()"
    ),
    "put together, committed by a statement": (
        "op.execute(\"DO $$ BEGIN EXECUTE 'CREATE ' || 'ROLE {role}'; END $$\")\n"
        'op.execute("COMMIT")'
    ),
    "function outside": (
        'op.execute("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS"\n'
        "    \" $$ BEGIN EXECUTE 'CREATE ' || 'ROLE {role}'; END $$\")\n"
        'with op.get_context().autocommit_block():\n    op.execute("SELECT f()")'
    ),
    "session": SESSION,
}


@pytest.mark.parametrize("case", POSTGRESQL)
def test_on_postgresql(
    project: ProjectFactory, databases: Databases, role: str, case: str
) -> None:
    url = databases.create("postgresql")
    driver = make_url(url).get_driver_name()
    if (driver, case) == ("pg8000", "driver's SQL"):
        pytest.skip("pg8000 has no such module")
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    body = POSTGRESQL[case].replace("{role}", role).replace("{psycopg}", driver)
    p = upgraded(project, url, body.replace("{dsn!r}", repr(dsn)))
    # What is seen at the end of the transaction has no line.
    told(p, "all databases of the server share" if case == "put together" else "line")
    assert _execute(url, f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'") == []
    assert _execute(url, "SELECT 1 FROM pg_class WHERE relname = 'leak'") == []


MYSQL = {
    "schema=": 'op.drop_table("audit", schema="{other}")',
    "statement": 'op.execute("DELETE FROM {other}.audit")',
    "comment": 'op.execute("DELETE FROM /*! {other}. */ audit")',
    "driver's cursor": 'op.get_bind().connection.cursor().execute("DELETE FROM {other}.audit")',
    "driver's query": (
        "driver = op.get_bind().connection.driver_connection\n"
        '(getattr(driver, "query", None) or getattr(driver, "cmd_query", None)'
        ' or driver.cursor().execute)("DROP TABLE {other}.audit")'
    ),
    "select_db": (
        "driver = op.get_bind().connection.driver_connection\n"
        '(getattr(driver, "select_db", None) or driver.cmd_init_db)("{other}")\n'
        'op.execute("DELETE FROM audit")'
    ),
    "use": 'op.execute("USE {other}")\nop.execute("DELETE FROM audit")',
    "engine": (
        "with sa.create_engine({url!r}).begin() as other:\n"
        '    other.execute(sa.text("DROP TABLE audit"))'
    ),
    "caught": 'try:\n    op.execute("DELETE FROM {other}.audit")\nexcept Exception:\n    pass',
    "session": SESSION,
}


@pytest.mark.parametrize("case", MYSQL)
def test_on_mysql(project: ProjectFactory, databases: Databases, case: str) -> None:
    url, other = databases.create("mysql"), databases.create("mysql")
    name = str(make_url(other).database)
    _execute(other, "CREATE TABLE audit (id int)", "INSERT INTO audit VALUES (1), (2)")
    p = upgraded(
        project, url, MYSQL[case].replace("{other}", name).replace("{url!r}", repr(other))
    )
    told(p)
    assert _execute(other, "SELECT count(*) FROM audit") == [(2,)]
    assert ("leak",) not in [tuple(row) for row in _execute(url, "SHOW TABLES")]


def test_a_cursor_goes_with_its_last_reference(mysql_url: str, tmp_path: Path) -> None:
    """Left to the collector of cycles, one of MariaDB Connector/Python frees its connection."""
    with sa.create_engine(mysql_url).connect() as connection:
        Confinement([connection], tmp_path, lambda: "a2")
        driver: Any = connection.connection.driver_connection
        cursor = driver.cursor()
        cursor.execute("SELECT 1")
        assert list(cursor.fetchall()) == [(1,)]
        gone = weakref.ref(cursor)
        cursor.close()
        gc.disable()
        try:
            del cursor
            assert gone() is None
        finally:
            gc.enable()


def test_what_is_tried_is_said_in_the_help(project: ProjectFactory) -> None:
    p = project()
    assert "scratch database" in " ".join(p.invoke("db", "doctor", "--help").output.split())


def test_the_preview_of_a_downgrade_reaches_nothing(project: ProjectFactory) -> None:
    p = project(models=MODELS, revisions=[("a1", FIRST)])
    mark = p.path / "leak.txt"
    p.revision("a2", f"with open({str(mark)!r}, 'a') as file:\n    file.write('x')")
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    assert mark.read_text() == "x"
    done = p.invoke("db", "safe-downgrade", "a1", input="n\n")
    assert mark.read_text() == "x", done.output


def test_logs_that_are_added_to_are_no_reason_to_stop(project: ProjectFactory) -> None:
    p = upgraded(project, None, "pass")
    env = Path(p.path / p.directory / "env.py")
    added = "import logging\nlogging.getLogger().addHandler(logging.FileHandler('x.log'))\n"
    env.write_text(env.read_text() + added)
    done = p.invoke("db", "doctor", "--select", "SM4", "--format", "json")
    assert json.loads(done.stdout)["findings"] == []


def test_a_driver_that_only_the_revision_imports(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from flask_safemigrate.alembic_bridge.confinement import Confinement, confined
from flask_safemigrate.errors import NotConfined
assert "psycopg" not in sys.modules
confinement = Confinement([], Path({str(tmp_path)!r}), lambda: "a2")
with confined(confinement):
    import psycopg
    try:
        psycopg.connect("host=127.0.0.1 port=9")
    except NotConfined as error:
        print(error)
try:
    psycopg.connect("host=127.0.0.1 port=9")
except psycopg.OperationalError:
    print("free again")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "it would connect by psycopg" in done.stdout, done.stderr
    assert "free again" in done.stdout


def test_no_garbage_is_collected_while_sqlite_asks(tmp_path: Path) -> None:
    """Garbage may be a cursor of the connection whose statement SQLite is compiling."""
    found = []
    with sa.create_engine("sqlite://").connect() as connection:
        confinement = Confinement([connection], tmp_path, lambda: "a2")
        driver: Any = connection.connection.driver_connection

        class Ring:
            def __init__(self) -> None:
                self.ring = self

            def __del__(self) -> None:
                found.append(gc.isenabled())

        assert gc.isenabled()
        with confined(confinement):
            assert not gc.isenabled()
            for _ in range(500):
                Ring()
                driver.execute("SELECT 1").fetchall()
            assert not found
            with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
                driver.execute(f"ATTACH '{tmp_path / 'other.db'}' AS other")
            with pytest.raises(NotConfined):
                confinement.check()
            assert len(found) == 500
        assert gc.isenabled()
        driver.execute(f"ATTACH '{tmp_path / 'other.db'}' AS other")
