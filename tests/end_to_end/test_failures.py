"""What stops a run, what it says about it, and what it leaves behind: nothing."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases

FIRST = (
    "a1",
    "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('x', sa.String(9)))\n"
    "op.execute(\"INSERT INTO t (id, x) VALUES (1, 'row')\")",
    "op.drop_table('t')",
)


def content(p: Project) -> object:
    return (
        p.heads(),
        p.rows("SELECT type, name, sql FROM sqlite_master ORDER BY name"),
        p.rows("SELECT * FROM t"),
    )


@pytest.fixture
def started(project: ProjectFactory) -> Project:
    p = project(revisions=[FIRST])
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    return p


#: What a revision does after it has dropped the table, and what is said.
STOPS = {
    "raise ValueError('no')": "ValueError: no",
    "raise Exception()": ": Exception",
    "import sys; sys.exit(3)": "sys.exit(3)",
    "raise SystemExit": "sys.exit()",
    "raise KeyboardInterrupt": "Stopped by Ctrl-C",
    "raise GeneratorExit": "GeneratorExit",
    "op.execute('SELECT nope FROM sqlite_master')": "no such column: nope",
    "op.drop_column('nosuch', 'x')": 'no table "nosuch"',
    "op.get_bind().get_transaction().commit()": 'a2.py", line 20, calls for COMMIT',
    "op.get_bind().rollback()\nop.create_table('u', sa.Column('x', sa.Integer))": "ROLLBACK",
    "op.execute('ROLLBACK')": 'a2.py", line 20, calls for ROLLBACK',
    "op.execute('COMMIT')\nop.get_bind().commit()\nraise ValueError('late')": "late",
    "with op.get_context().autocommit_block():\n"
    "    op.create_table('u', sa.Column('x', sa.Integer))\nraise ValueError('late')": "late",
}


@pytest.mark.parametrize("body", STOPS)
def test_a_revision_that_stops(started: Project, body: str) -> None:
    p = started
    before = content(p)
    p.revision("a2", f"op.drop_table('t')\n{body}")
    done = p.invoke("db", "safe-upgrade", "--yes")
    said = " ".join(done.output.split())
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit)
    assert STOPS[body] in said
    assert "Everything was undone" in said
    assert "app.db is as it was" in said
    assert "Taken before: snapshot" in said
    assert content(p) == before


@pytest.mark.parametrize(
    "body",
    [
        "op.execute('COMMIT')",
        "op.execute('/* a */ END')",
        "c.commit()",
        "c.commit()\nwith c.begin():\n    op.execute('UPDATE t SET z = 1')",
        "c.commit()\nc.execution_options(isolation_level='AUTOCOMMIT')\nop.execute('VACUUM')",
        "c.commit()\nmine = c.begin()\nop.execute('DELETE FROM t')\nmine.rollback()",
        "c.connection.commit()",
    ],
)
def test_a_commit_is_a_part_of_the_run(started: Project, body: str) -> None:
    p = started
    before = content(p)
    change = "c = op.get_bind()\nop.add_column('t', sa.Column('z', sa.Integer))\n"
    p.revision("a2", change + body + "\nop.execute('UPDATE t SET z = 2')")
    p.revision("a3", "raise ValueError('late')")
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 1, done.output
    assert "ValueError: late" in done.output
    assert content(p) == before
    p.revision("a3", "op.drop_column('t', 'x')", down="a2")
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert p.heads() == {"a3"}
    assert [row[-1] for row in p.rows("SELECT * FROM t")] == [2]


def test_savepoints_are_a_revision_s_own(started: Project) -> None:
    p = started
    p.revision(
        "a2",
        "with op.get_bind().begin_nested() as nested:\n"
        "    op.execute('DELETE FROM t')\n    nested.rollback()\n"
        "op.execute('SAVEPOINT s')\nop.execute(\"INSERT INTO t VALUES (2, 'two')\")\n"
        "op.execute('ROLLBACK TO s')\nop.execute('RELEASE s')",
    )
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert p.rows("SELECT * FROM t") == [(1, "row")]


def test_a_script_that_fails_half_way_is_not_told_as_undone(started: Project) -> None:
    p = started
    script = "'CREATE TABLE u (x); SELECT nope;'"
    p.revision("a2", f"op.get_bind().connection.driver_connection._driver.executescript({script})")
    done = p.invoke("db", "safe-upgrade", "--yes")
    said = " ".join(done.output.split())
    assert done.exit_code == 1, done.output
    assert p.rows("SELECT name FROM sqlite_master WHERE name = 'u'") == [("u",)]
    assert "no such column: nope" in said
    assert "undone" not in said
    assert "ended the transaction by itself" in said


@pytest.mark.parametrize(
    "way",
    [
        "connection",
        "connection.cursor()",
        "connection.driver_connection",
        "connection.dbapi_connection.cursor()",
        "connection.cursor().connection",
    ],
)
def test_a_script_is_part_of_the_transaction(started: Project, way: str) -> None:
    p = started
    before = content(p)
    script = (
        "CREATE TABLE u (x); INSERT INTO u SELECT y FROM t; CREATE TRIGGER r AFTER INSERT ON u"
    )
    script += " BEGIN DELETE FROM u WHERE x = 7; DELETE FROM u WHERE x = 8; END;"
    change = (
        "op.add_column('t', sa.Column('y', sa.Integer, server_default='5'))\n"
        f"op.get_bind().{way}.executescript({script!r})\n"
    )
    p.revision("a2", change + "raise ValueError('late')")
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 1, done.output
    assert "Everything was undone" in " ".join(done.output.split())
    assert content(p) == before
    p.revision("a2", change, down="a1")
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert p.rows("SELECT x FROM u") == [(5,)]
    assert p.rows("SELECT name FROM sqlite_master WHERE type = 'trigger'") == [("r",)]


@pytest.mark.parametrize(
    "body",
    [
        "op.get_bind().connection.cursor().execute('DELETE FROM t')",
        "op.get_bind().connection.driver_connection.execute('DELETE FROM t')",
        "raw = op.get_bind().connection.driver_connection\n"
        "raw.isolation_level = None\nraw.execute('BEGIN')\n"
        "raw.execute('DELETE FROM t')\nraw.commit()",
        "import sqlite3\nclass C(sqlite3.Cursor):\n    pass\n"
        "with op.get_bind().connection.dbapi_connection as raw:\n"
        "    assert isinstance(raw, sqlite3.Connection)\n"
        "    cursor = raw.cursor(C)\n    assert isinstance(cursor, C)\n"
        "    cursor.execute('DELETE FROM t')",
    ],
)
def test_what_the_driver_is_given_counts_as_named(started: Project, body: str) -> None:
    p = started
    p.revision("a2", body)
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert p.rows("SELECT count(*) FROM t") == [(0,)]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("rollback", "calls rollback() on the driver's connection"),
        ("close", "closes the connection of the run"),
    ],
)
def test_what_would_end_the_run_by_the_driver_is_refused(
    started: Project, call: str, says: str
) -> None:
    p = started
    before = content(p)
    p.revision(
        "a2",
        "raw = op.get_bind().connection.driver_connection\nraw.execute('DELETE FROM t')\n"
        f"try:\n    raw.{call}()\nexcept Exception:\n    pass",
    )
    done = p.invoke("db", "safe-upgrade", "--yes")
    said = " ".join(done.output.split())
    assert done.exit_code == 1, done.output
    assert says in said
    assert "Everything was undone" in said
    assert content(p) == before


def test_what_a_script_raises_is_the_driver_s(started: Project) -> None:
    p = started
    p.revision(
        "a2",
        "import sqlite3\ntry:\n    op.get_bind().connection.executescript('SELECT nope;')\n"
        "except sqlite3.OperationalError:\n    op.execute(\"UPDATE t SET x = 'caught'\")",
    )
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert p.rows("SELECT x FROM t") == [("caught",)]


def test_a_transaction_that_sqlite_ends_is_told_as_undone(started: Project) -> None:
    p = started
    p.revision(
        "a2",
        "op.execute('CREATE TABLE u (x UNIQUE ON CONFLICT ROLLBACK)')\n"
        "op.execute('INSERT INTO u VALUES (1)')\nop.execute('INSERT INTO u VALUES (1)')",
    )
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 1, done.output
    assert p.rows("SELECT name FROM sqlite_master WHERE name = 'u'") == []
    assert "Everything was undone" in " ".join(done.output.split())


#: What undoes the transaction in the middle of a revision, and what is said.
ROLLS_BACK = {
    "in an except": (
        "conn = op.get_bind()\ntry:\n    op.execute('SELECT nope')\nexcept Exception:\n"
        "    conn.rollback()\n",
        "line 24, called rollback(), which undid all revisions of this run. Everything was undone",
    ),
    "of a session": (
        "from sqlalchemy.orm import Session\nwith Session(op.get_bind()) as session:\n"
        "    try:\n        session.execute(sa.text('SELECT nope'))\n"
        "    except Exception:\n        session.rollback()\n",
        "called rollback(), which undid all revisions of this run. Everything was undone",
    ),
    "by a clause": (
        "try:\n    op.execute(\"INSERT OR ROLLBACK INTO t VALUES (1, 'again')\")\n"
        "except Exception:\n    pass\n",
        "SQLite undid all revisions of this run. Everything was undone",
    ),
    "by a session that fails": (
        "from sqlalchemy.orm import Session, declarative_base\n"
        "class T(declarative_base()):\n    __tablename__ = 't'\n"
        "    id = sa.Column(sa.Integer, primary_key=True)\n    x = sa.Column(sa.String)\n"
        "session = Session(op.get_bind())\nsession.add(T(id=7, x=object()))\nsession.flush()\n",
        "type 'object' is not supported",
    ),
}


@pytest.mark.parametrize(
    "after",
    [
        "pass",
        "op.execute('CREATE TABLE stays (x)')",
        "op.create_table('s', sa.Column('x', sa.Integer))",
    ],
)
@pytest.mark.parametrize("case", ROLLS_BACK)
def test_nothing_stays_once_the_transaction_was_rolled_back(
    started: Project, case: str, after: str
) -> None:
    p = started
    before = content(p)
    body, says = ROLLS_BACK[case]
    p.revision("a2", "op.execute(\"UPDATE t SET x = 'changed'\")\n" + body + after)
    done = p.invoke("db", "safe-upgrade", "--yes")
    said = " ".join(done.output.split())
    assert done.exit_code == 1, done.output
    assert "Everything was undone" in said
    if sys.version_info >= (3, 11) or case != "by a session that fails":
        assert says in said
    assert "by itself" not in said
    assert content(p) == before


def test_a_transaction_ended_behind_our_back_is_told(started: Project) -> None:
    p = started
    p.revision(
        "a2",
        "op.get_bind().connection.driver_connection._driver.executescript("
        "'CREATE TABLE u (x); CREATE TABLE v (x);')",
    )
    done = p.invoke("db", "safe-upgrade", "--yes")
    said = " ".join(done.output.split())
    assert done.exit_code == 1, done.output
    assert "ended the transaction" in said
    assert "was undone" not in said
    assert "flask db restore" in said
    assert "was finished before that and is at a2" in said
    assert p.heads() == {"a2"}


def test_a_transaction_ended_before_all_was_done_is_told(started: Project) -> None:
    p = started
    p.revision(
        "a2",
        "op.add_column('t', sa.Column('y', sa.Integer))\n"
        "op.get_bind().connection.driver_connection._driver.executescript("
        "'CREATE TABLE u (x); CREATE TABLE v (x);')\n"
        "op.add_column('t', sa.Column('z', sa.Integer))",
    )
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 1, done.output
    assert "by its version table" in " ".join(done.output.split())
    assert p.heads() == {"a1"}
    assert p.rows("SELECT * FROM t") == [(1, "row", None)]


@pytest.mark.parametrize(
    "header", ["import nosuchmodule", "1 / 0", "import sys; sys.exit(4)"], ids=["a", "b", "c"]
)
def test_a_revision_that_cannot_be_imported(started: Project, header: str) -> None:
    p = started
    before = content(p)
    p.revision("a2", "pass", header=header)
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 3, done.output
    assert '"migrations/versions/a2_revision_a2.py", line' in " ".join(done.output.split())
    assert content(p) == before
    assert not (p.path / ".safemigrate").exists() or not list(
        (p.path / ".safemigrate").glob("*.db")
    )


def test_a_downgrade_that_fails(started: Project) -> None:
    p = started
    p.revision(
        "a2", "op.create_table('u', sa.Column('id', sa.Integer))", "op.drop_table('u')\n1/0"
    )
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    before = content(p)
    done = p.invoke("db", "safe-downgrade", "a1", "--yes")
    assert done.exit_code == 1, done.output
    assert "ZeroDivisionError" in done.output
    assert content(p) == before


@pytest.mark.parametrize(
    ("theirs", "state"), [("BEGIN IMMEDIATE", "begin"), ("BEGIN; SELECT * FROM t", "commit")]
)
def test_another_connection_is_in_the_way(started: Project, theirs: str, state: str) -> None:
    """A writer keeps the run from beginning, a reader (without WAL) from committing."""
    p = started
    p.revision("a2", "op.create_table('u', sa.Column('id', sa.Integer))")
    before = content(p)
    app = p.app()
    other = sqlite3.connect(p.database, isolation_level=None)
    try:
        for statement in theirs.split("; "):
            other.execute(statement).fetchall()
        done = p.invoke("db", "safe-upgrade", "--yes", "--lock-wait", "0.5", app=app)
        assert done.exit_code == 4, done.output
        assert "is locked by" in " ".join(done.output.split())
        assert "Hint: " in done.output
    finally:
        other.close()
    assert content(p) == before
    assert p.invoke("db", "safe-upgrade", "--yes", app=app).exit_code == 0


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not tell")
@pytest.mark.parametrize("theirs", ["BEGIN IMMEDIATE", "BEGIN; SELECT * FROM t"])
def test_the_process_that_is_in_the_way_is_named(started: Project, theirs: str) -> None:
    p = started
    p.revision("a2", "op.create_table('u', sa.Column('id', sa.Integer))")
    program = (
        "import sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for statement in sys.argv[2].split('; '): c.execute(statement).fetchall()\n"
        "print('has it', flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(p.database), theirs],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"has it\n"
        done = p.invoke("db", "safe-upgrade", "--yes", "--lock-wait", "0.5")
        other.communicate()
    assert done.exit_code == 4, done.output
    assert f"(pid {other.pid})" in " ".join(done.output.split())


def test_an_environment_that_fails_after_the_commit(started: Project) -> None:
    """The truth then is that the upgrade is done."""
    p = started
    p.revision("a2", "op.create_table('u', sa.Column('id', sa.Integer))")
    env = p.path / "migrations" / "env.py"
    env.write_text(env.read_text() + "\nraise RuntimeError('too late')\n")
    done = p.invoke("db", "safe-upgrade", "--yes")
    said = " ".join(done.output.split())
    assert done.exit_code == 1, done.output
    assert "too late" in said
    assert "undone" not in said
    assert "was finished before that and is at a2" in said
    assert p.heads() == {"a2"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("import sys; sys.exit(0)", "sys.exit(0)"),
        ("raise KeyError('role')", "KeyError"),
        ("raise KeyboardInterrupt", "Stopped by Ctrl-C"),
    ],
)
def test_a_hook_that_stops(project: ProjectFactory, body: str, says: str) -> None:
    p = project(
        revisions=[FIRST],
        after=f"""
        @migrate.on_deploy
        def first():
            pass
        @migrate.on_deploy
        def second():
            {body}
        """,
    )
    done = p.invoke("db", "deploy")
    said = " ".join(done.output.split())
    assert done.exit_code == 1, done.output
    assert 'hook "second"' in said or 'Hook "second"' in said
    assert says in said
    assert "The databases are at head; 1 of 2 hooks have run." in said
    assert p.heads() == {"a1"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_waits_or_runs_hooks(
    project: ProjectFactory, number: signal.Signals
) -> None:
    p = project(
        revisions=[FIRST],
        after="""
        @migrate.on_deploy
        def long():
            import time
            print("hook begins", flush=True)
            time.sleep(60)
        """,
    )
    runs = p.start("db", "deploy")
    assert runs.stdout is not None
    while "hook begins" not in runs.stdout.readline():
        assert runs.poll() is None
    waits = p.start("db", "deploy", "--lock-wait", "60")
    assert waits.stderr is not None
    while "waiting" not in waits.stderr.readline():
        assert waits.poll() is None
    waits.send_signal(number)
    said = " ".join(waits.communicate(timeout=20)[1].split())
    assert waits.returncode == 1
    assert "while waiting; nothing was changed" in said
    assert "Traceback" not in said
    runs.send_signal(number)
    said = " ".join(runs.communicate(timeout=20)[1].split())
    assert runs.returncode == 1
    assert 'in hook "long"' in said
    assert "The databases are at head" in said
    assert p.heads() == {"a1"}


@pytest.mark.parametrize("form", ["text", "json"])
def test_standard_output_that_nobody_reads(project: ProjectFactory, form: str) -> None:
    """The exit code says what became of the database."""
    p = project(revisions=[FIRST])
    command = [sys.executable, "-m", "flask", "db", "safe-upgrade", "--yes", "--format", form]
    with subprocess.Popen(
        command,
        cwd=p.path,
        env=p._environment(None),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert p.heads() == {"a1"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_standard_output_that_is_full(project: ProjectFactory) -> None:
    p = project(revisions=[FIRST])
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "flask", "db", "safe-upgrade", "--yes"],
            cwd=p.path,
            env=p._environment(None),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "The output cannot be written: No space left on device." in done.stderr
    assert "Traceback" not in done.stderr
    assert p.heads() == {"a1"}


def test_a_value_that_reads_like_a_full_disk_is_a_fault_of_the_revision(
    project: ProjectFactory, database_url: str
) -> None:
    p = project(
        url=database_url,
        revisions=[
            ("a1", "op.create_table('t', sa.Column('x', sa.String(40), primary_key=True))"),
            ("a2", "for _ in (1, 2):\n    op.execute(\"INSERT INTO t VALUES ('disk is full')\")"),
        ],
    )
    done = p.invoke("db", "safe-upgrade", "--yes")
    said = " ".join(done.output.split())
    assert done.exit_code != 0, done.output
    assert "a2_revision_a2.py" in said
    assert "df -h" not in said


def test_a_data_migration_with_parameters_on_servers(
    project: ProjectFactory, databases: Databases
) -> None:
    """What a statement of a server's own grammar writes to is seen."""
    p = project(url=databases.create("postgresql"), revisions=[FIRST])
    app = p.app()
    assert p.invoke("db", "safe-upgrade", "--yes", app=app).exit_code == 0
    p.revision(
        "a2",
        "bind = op.get_bind()\n"
        "bind.execute(sa.text('INSERT INTO t (id, x) VALUES (:i, CAST(:x AS text))'),"
        " [{'i': n, 'x': str(n)} for n in range(2, 9)])\n"
        'op.execute("WITH gone AS (DELETE FROM t WHERE id = 8 RETURNING id) SELECT * FROM gone")\n'
        'op.execute("DO $$ BEGIN DELETE FROM t WHERE id = 7; END $$")\n'
        "op.execute(\"UPDATE t SET x = x || E'\\\\\\\\n' || '{}'::jsonb::text\")",
    )
    done = p.invoke("db", "safe-upgrade", "--yes", app=app)
    assert done.exit_code == 0, done.output
    assert p.rows("SELECT count(*) FROM t") == [(6,)]


def test_an_engine_in_autocommit_is_taken_back_to_transactions(
    project: ProjectFactory, databases: Databases
) -> None:
    p = project(
        url=databases.create("postgresql"),
        revisions=[FIRST],
        config={"SQLALCHEMY_ENGINE_OPTIONS": {"isolation_level": "AUTOCOMMIT"}},
    )
    app = p.app()
    assert p.invoke("db", "safe-upgrade", "--yes", app=app).exit_code == 0
    p.revision("a2", "op.execute('DELETE FROM t')\nraise ValueError('no')")
    done = p.invoke("db", "safe-upgrade", "--yes", app=app)
    assert done.exit_code == 1, done.output
    assert p.rows("SELECT count(*) FROM t") == [(1,)]
