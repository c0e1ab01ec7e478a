"""Revisions that reach the database by another connection than op.get_bind().

Plain Alembic commits every revision of SQLite, so that such a connection sees what the revisions
before have done. Here all share one transaction, and it has to see the same.
"""

from __future__ import annotations

import gc
import json
import textwrap

import pytest
import sqlalchemy as sa

from tests.support.projects import Project, ProjectFactory

PERSON = (
    "a1",
    "op.create_table('person', sa.Column('id', sa.Integer(), primary_key=True),"
    " sa.Column('name', sa.String(40)))",
)
WIDER = ("a2", "op.add_column('person', sa.Column('full_name', sa.String(80)))")
NARROWER = ("a4", "op.drop_column('person', 'name')")

DB = "from flask import current_app\ndb = current_app.extensions['sqlalchemy']\n"
ENGINE = "engine = op.get_bind().engine\n"
COPY = "sa.text('UPDATE person SET full_name = name')"
COPIED = [(1, "Ada"), (2, "Grace")]

#: What a revision does, and the rows that plain Flask-Migrate leaves.
WAYS = {
    "inspect the engine": (
        ENGINE + "have = {c['name'] for c in sa.inspect(engine).get_columns('person')}\n"
        "if {'name', 'full_name'} <= have:\n"
        "    op.execute('UPDATE person SET full_name = name')",
        COPIED,
    ),
    "ask by a connection of the engine": (
        ENGINE + "with engine.connect() as c:\n"
        "    rows = c.execute(sa.text(\"SELECT name FROM pragma_table_info('person')\"))\n"
        "    have = set(rows.scalars())\n"
        "if 'full_name' in have:\n"
        "    op.execute('UPDATE person SET full_name = name')",
        COPIED,
    ),
    "begin on the engine": (
        f"{ENGINE}with engine.begin() as c:\n    c.execute({COPY})",
        COPIED,
    ),
    "the session": (f"{DB}db.session.execute({COPY})\ndb.session.commit()", COPIED),
    "the session, rolled back": (
        f"{DB}db.session.execute({COPY})\ndb.session.rollback()",
        [(1, None), (2, None)],
    ),
    "the session, only reading, left open": (
        f"{DB}found = db.session.execute(sa.text('SELECT id, name FROM person')).all()\n"
        "for id, name in found:\n"
        "    op.execute(sa.text('UPDATE person SET full_name = :n WHERE id = :i')"
        ".bindparams(n=name, i=id))",
        COPIED,
    ),
    "an engine of its own": (
        f"engine = sa.create_engine(op.get_bind().engine.url)\n"
        f"with engine.begin() as c:\n    c.execute({COPY})",
        COPIED,
    ),
    "an engine of its own without a pool": (
        "engine = sa.create_engine(op.get_bind().engine.url, poolclass=sa.pool.NullPool)\n"
        f"with engine.begin() as c:\n    c.execute({COPY})",
        COPIED,
    ),
    "an engine of its own with one connection": (
        "engine = sa.create_engine(op.get_bind().engine.url, poolclass=sa.pool.StaticPool)\n"
        f"with engine.begin() as c:\n    c.execute({COPY})\n"
        "with engine.connect() as c:\n    assert c.execute(sa.text("
        '"SELECT count(*) FROM person WHERE full_name IS NULL")).scalar() == 0',
        COPIED,
    ),
    "a URI, relative, with a creator": (
        "import sqlite3\n"
        "engine = sa.create_engine('sqlite://', poolclass=sa.pool.QueuePool,\n"
        "    creator=lambda: sqlite3.connect('file:./app.db?mode=rw', uri=True))\n"
        f"with engine.begin() as c:\n    c.execute({COPY})",
        COPIED,
    ),
    "autocommit": (
        ENGINE + "with engine.connect().execution_options(isolation_level='AUTOCOMMIT') as c:\n"
        f"    c.execute({COPY})",
        COPIED,
    ),
    "an engine that begins by events": (
        "engine = sa.create_engine(op.get_bind().engine.url)\n"
        "@sa.event.listens_for(engine, 'connect')\n"
        "def connect(driver, record):\n    driver.isolation_level = None\n"
        "@sa.event.listens_for(engine, 'begin')\n"
        "def begin(c):\n    c.exec_driver_sql('BEGIN')\n"
        f"with engine.begin() as c:\n    c.execute({COPY})\n"
        "with engine.connect() as c:\n    c.execute(sa.text('DELETE FROM person'))",
        COPIED,
    ),
    "the ORM": (
        ENGINE + "from sqlalchemy.orm import Session, declarative_base\n"
        "class Person(declarative_base()):\n"
        "    __tablename__ = 'person'\n"
        "    id = sa.Column(sa.Integer, primary_key=True)\n"
        "    name = sa.Column(sa.String(40))\n"
        "    full_name = sa.Column(sa.String(80))\n"
        "with Session(engine) as s:\n"
        "    for each in s.query(Person):\n        each.full_name = each.name\n"
        "    s.commit()\n"
        "    with s.begin_nested():\n"
        "        s.add_all([Person(full_name=x) for x in 'xyz'])\n"
        "    try:\n"
        "        with s.begin_nested():\n            s.add(Person(id=1))\n            s.flush()\n"
        "    except sa.exc.IntegrityError:\n        pass\n"
        "    s.commit()\n"
        "    s.add(Person(full_name='never'))\n    s.flush()",
        [*COPIED, (3, "x"), (4, "y"), (5, "z")],
    ),
    "the driver's own methods": (
        ENGINE + "raw = engine.raw_connection()\n"
        "cursor = raw.cursor()\n"
        "cursor.execute('UPDATE person SET full_name = ? WHERE id = ?', ['Ada', 1])\n"
        "raw.commit()\n"
        "cursor.executemany('INSERT INTO person (id, name) VALUES (:i, :n)',\n"
        "    ({'i': i, 'n': 'n'} for i in (7, 8)))\n"
        "assert cursor.rowcount == 2\n"
        "assert list(cursor.execute('SELECT count(*) FROM person WHERE id > 6')) == [(2,)]\n"
        "raw.rollback()\n"
        "raw.driver_connection.executescript(\n"
        "    \"INSERT INTO person (full_name) VALUES ('a;b'); -- and;\\n"
        "UPDATE person SET full_name = 'Grace' WHERE id = 2\")\n"
        "raw.close()",
        [*COPIED, (3, "a;b")],
    ),
    "threads": (
        ENGINE + "from concurrent.futures import ThreadPoolExecutor\n"
        "def work(i):\n"
        "    with engine.begin() as c:\n"
        "        c.execute(sa.text('INSERT INTO person (id, full_name) VALUES (:i, :i)'),"
        " {'i': i})\n"
        "        c.execute(sa.text('UPDATE person SET full_name = id WHERE id = :i'), {'i': i})\n"
        f"with engine.begin() as c:\n    c.execute({COPY})\n"
        "with ThreadPoolExecutor(3) as pool:\n    list(pool.map(work, range(3, 9)))",
        [*COPIED, *((i, str(i)) for i in range(3, 9))],
    ),
    "operations on a connection of the engine": (
        ENGINE + "from alembic.migration import MigrationContext\n"
        "from alembic.operations import Operations\n"
        "with engine.begin() as c:\n"
        "    ops = Operations(MigrationContext.configure(c))\n"
        "    ops.drop_column('person', 'full_name')\n"
        "    ops.add_column('person', sa.Column('full_name', sa.String(80)))\n"
        "op.execute('UPDATE person SET full_name = name')",
        COPIED,
    ),
    "an error that it catches": (
        ENGINE + "try:\n"
        "    with engine.begin() as c:\n"
        "        c.execute(sa.text('DELETE FROM person'))\n"
        "        c.execute(sa.text('SELECT nothing FROM person'))\n"
        "except sa.exc.OperationalError:\n"
        "    op.execute('UPDATE person SET full_name = name')",
        COPIED,
    ),
}

#: What reaches out by itself, which is not let while a history is only tried.
NOT_TRIED = {"a URI, relative, with a creator", "threads"}


def people(project: ProjectFactory, body: str, **options: object) -> Project:
    p = project(revisions=[PERSON], **options)  # type: ignore[arg-type]
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    p.execute("INSERT INTO person (name) VALUES ('Ada'), ('Grace')")
    p.revision(*WIDER)
    p.revision("a3", textwrap.dedent(body))
    p.revision(*NARROWER)
    return p


@pytest.mark.parametrize("way", WAYS)
def test_it_sees_what_the_run_has_done_and_what_it_writes_stays(
    project: ProjectFactory, way: str
) -> None:
    body, rows = WAYS[way]
    p = people(project, body)
    before = p.database.read_bytes()
    tried = p.invoke("db", "safe-upgrade", "--dry-run")
    found = json.loads(p.invoke("db", "doctor", "--format", "json").output)["findings"]
    codes = {each["code"] for each in found}
    if way in NOT_TRIED:
        assert tried.exit_code == 3, tried.output
        assert "SM414" in codes
    else:
        assert tried.exit_code == 0, tried.output
        assert not {"SM413", "SM414"} & codes
    assert p.database.read_bytes() == before
    app = p.app()
    done = p.invoke("db", "safe-upgrade", "--yes", app=app)
    assert done.exit_code == 0, done.output
    assert p.rows("SELECT id, full_name FROM person ORDER BY id") == rows
    assert p.heads() == {"a4"}
    # The application has connections of its own again, none of which holds a lock.
    with app.app_context():
        engine = app.extensions["sqlalchemy"].engine
        with engine.begin() as connection:
            assert type(connection.connection.driver_connection).__module__ == "sqlite3"
            connection.execute(sa.text("UPDATE person SET id = id"))
    p.execute("UPDATE person SET id = id")


@pytest.mark.parametrize("way", ["begin on the engine", "the session", "threads"])
def test_what_it_has_committed_is_undone_with_the_run(project: ProjectFactory, way: str) -> None:
    p = people(project, WAYS[way][0])
    p.revision("a5", "op.drop_table('nothing')")
    failed = p.invoke("db", "safe-upgrade", "--yes")
    assert failed.exit_code == 1, failed.output
    assert "Everything was undone" in failed.output
    assert p.rows("SELECT * FROM person") == [(1, "Ada"), (2, "Grace")]


STOPPED = {
    "sqlite3": (
        "import sqlite3\nfound = sqlite3.connect('app.db')",
        'in "migrations/versions/a3_revision_a3.py", line 20, opens the database by itself',
    ),
    "sqlite3, and the error caught": (
        "import sqlite3\ntry:\n    sqlite3.connect('file:app.db?mode=ro', uri=True)\n"
        "except Exception:\n    pass",
        "opens the database by itself (sqlite3.connect)",
    ),
    "sqlite3, in a thread": (
        "import sqlite3, threading\n"
        "thread = threading.Thread(target=lambda: sqlite3.connect('app.db'))\n"
        "thread.start()\nthread.join()",
        "opens the database by itself (sqlite3.connect)",
    ),
    "a session that is not committed": (
        f"{DB}db.session.execute({COPY})",
        "Revision 'a3' has written through a second connection",
    ),
    "an operation while another connection writes": (
        f"{ENGINE}with engine.connect() as c:\n"
        f"    c.execute({COPY})\n    op.drop_column('person', 'name')",
        "line 22: database is locked: a second connection",
    ),
    "a statement while another connection writes": (
        f"{ENGINE}with engine.connect() as c:\n"
        f"    c.execute({COPY})\n    op.execute('UPDATE person SET name = 1')",
        "line 22: database is locked: a second connection",
    ),
    "two that write": (
        f"{ENGINE}with engine.connect() as c, engine.connect() as d:\n"
        f"    c.execute({COPY})\n    d.execute({COPY})",
        "line 22: database is locked: a second connection",
    ),
    "attached elsewhere": (
        "with sa.create_engine('sqlite://').connect() as c:\n"
        "    c.exec_driver_sql(\"ATTACH 'app.db' AS app\")",
        "line 20, attaches the database to another connection",
    ),
}


@pytest.mark.parametrize("way", STOPPED)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_cannot_be_served_is_stopped_at_its_line(project: ProjectFactory, way: str) -> None:
    body, said = STOPPED[way]
    p = people(project, body)
    failed = p.invoke("db", "safe-upgrade", "--yes")
    gc.collect()
    assert failed.exit_code == 1, failed.output
    assert said in " ".join(failed.output.split())
    assert "Everything was undone" in failed.output
    assert p.rows("SELECT * FROM person") == [(1, "Ada"), (2, "Grace")]
    assert p.heads() == {"a1"}


def test_another_database_is_left_alone(project: ProjectFactory) -> None:
    p = people(
        project,
        "import sqlite3\n"
        "with sa.create_engine('sqlite:///other.db').begin() as c:\n"
        "    c.exec_driver_sql('CREATE TABLE x (y)')\n"
        "db = sqlite3.connect('other.db')\n"
        "assert db.execute('SELECT count(*) FROM x').fetchone() == (0,)\n"
        "db.close()",
    )
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output


def test_a_session_from_before_the_run_sees_it_too(project: ProjectFactory) -> None:
    p = people(project, WAYS["the session"][0])
    source = (p.path / "app.py").read_text()
    # The context stays pushed, so it needs a process of its own.
    (p.path / "app.py").write_text(
        f"{source}\napp.app_context().push()\n"
        "db.session.execute(sa.text('SELECT count(*) FROM sqlite_master')).all()\n"
    )
    done = p.db("safe-upgrade", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert p.rows("SELECT id, full_name FROM person") == COPIED


def test_threads_of_the_application_stay_apart(project: ProjectFactory) -> None:
    """They see the database as other programs do, and wait for its lock as those do."""
    p = people(
        project,
        f"{DB}ask, answers = current_app.extensions['asked']\n"
        "ask.put(1)\nassert answers.get() == 2, 'a row of the run is seen'\n"
        "op.execute('DELETE FROM person')\nask.put(1)\nassert answers.get() == 2",
        after="""
        import queue, threading
        ask, answers = app.extensions['asked'] = queue.Queue(), queue.Queue()
        def count():
            with app.app_context():
                while ask.get():
                    with db.engine.connect() as connection:
                        answers.put(connection.scalar(sa.text('SELECT count(*) FROM person')))
        threading.Thread(target=count, daemon=True).start()
        """,
    )
    app = p.app()
    done = p.invoke("db", "safe-upgrade", "--yes", app=app)
    app.extensions["asked"][0].put(0)
    assert done.exit_code == 0, done.output
