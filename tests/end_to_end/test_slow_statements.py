"""MariaDB and MySQL: what takes longer than a second is written down too, and is not run twice.

While a statement runs, a thread asks every half second who keeps it waiting. On a server without
the plugin ``metadata_lock_info`` (MariaDB's default, all of MySQL) that question is an error,
which must not be taken for one of the revision's.

SAFEMIGRATE_TEST_KILLS set to any number kills the process in every one of the statements, and
after it; where it is not set, in two of them.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time

import pytest

from tests.end_to_end.test_resume import FAILING, Ended, run, write
from tests.support.projects import Project, ProjectFactory

BASE = (
    "op.execute('CREATE TABLE account (id INTEGER PRIMARY KEY, cents INTEGER NOT NULL)')",
    "op.execute('INSERT INTO account VALUES (1, 100), (2, 100)')",
    "op.execute('CREATE TABLE loose (id INTEGER PRIMARY KEY, n INTEGER) ENGINE=MyISAM')",
    "op.execute('INSERT INTO loose VALUES (1, 10)')",
    "op.execute('CREATE TABLE work (id INTEGER PRIMARY KEY)')",
    "op.bulk_insert(sa.table('work', sa.column('id')), [{'id': i} for i in range(10, 50)])",
    "op.execute('CREATE PROCEDURE more() BEGIN DO SLEEP(1.2);"
    " UPDATE account SET cents = cents + 1000; END')",
)

#: One of each kind, by the word that finds it in the list of what the server does. All of them
#: change by adding, so that twice shows.
SLOW = {
    "UPDATE account": "op.execute('UPDATE account SET cents = cents + 1 + 0 * SLEEP(0.6)')",
    # It may not sleep, so it computes.
    "ALTER TABLE work": "op.execute('ALTER TABLE work ADD COLUMN s CHAR(128)"
    " AS (SHA2(REPEAT(id, 8000000), 512)) STORED')",
    "INSERT INTO account": "op.execute('INSERT INTO account (id, cents)"
    " SELECT id + 10 + 0 * SLEEP(0.6), cents FROM account WHERE id < 10')",
    "CREATE TABLE copy": "op.execute('CREATE TABLE copy AS"
    " SELECT id, SLEEP(0.6) AS s FROM account')",
    "UPDATE loose": "op.execute('UPDATE loose SET n = n + 1 + 0 * SLEEP(1.2)')",
    "CALL more": "op.execute('CALL more()')",
    "DELETE FROM copy": "op.execute('DELETE FROM copy WHERE id = 1 AND SLEEP(1.2) = 0')",
    "SELECT SLEEP": "op.get_bind().execute(sa.text('SELECT SLEEP(1.2)')).scalar()",
    "CREATE TABLE last": "op.create_table('last', sa.Column('id', sa.Integer, primary_key=True))",
}


def assert_each_once(p: Project) -> None:
    assert p.heads() == {"r2"}
    assert p.rows("SELECT id, cents FROM account ORDER BY id") == [
        (number, 1101) for number in (1, 2, 11, 12)
    ]
    assert p.rows("SELECT n FROM loose") == [(11,)]
    assert p.rows("SELECT count(*) FROM copy") == [(3,)]
    assert p.rows("SELECT count(*) FROM safemigrate_progress") == [(0,)]


@pytest.fixture
def started(project: ProjectFactory, mysql_url: str) -> Project:
    p = project(
        url=mysql_url, config={"SAFEMIGRATE_SNAPSHOT_SERVERS": False, "SAFEMIGRATE_LOCK_WAIT": 20}
    )
    p.revision("r1", "\n".join(BASE))
    done = run(p)
    assert done.code == 0, done.said
    return p


def test_slow_statements_are_in_the_record_and_run_once(started: Project) -> None:
    p = started
    write(p, *SLOW.values(), FAILING["python"])
    failed = run(p)
    assert failed.code == 5, failed.said
    marks = p.rows("SELECT state FROM safemigrate_progress ORDER BY position")
    assert marks == [("done",)] * len(SLOW)
    assert "begun; the next run finds out" not in failed.said
    write(p, *SLOW.values())
    done = run(p)
    assert done.code == 0, done.said
    assert_each_once(p)


def killed_in(p: Project, words: str) -> Ended:
    """Kill a run a second after the server has begun a statement, then run it again."""
    query = "SELECT count(*) FROM information_schema.processlist WHERE info LIKE :words"
    process = p.start("db", "safe-upgrade", "--yes")
    deadline = time.monotonic() + 60
    while p.rows(query.replace(":words", f"'{words}%'")) == [(0,)]:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return run(p)


#: A procedure and a table without transactions are for a person, where they were cut off.
KILLED = [words for words in SLOW if words not in ("CALL more", "UPDATE loose")][:-1]


@pytest.mark.parametrize(
    "words",
    KILLED if "SAFEMIGRATE_TEST_KILLS" in os.environ else ("CREATE TABLE copy", "SELECT SLEEP"),
)
def test_a_kill_in_a_slow_statement_goes_on_to_the_right_end(started: Project, words: str) -> None:
    p = started
    write(p, *SLOW.values())
    done = killed_in(p, words)
    assert done.code == 0, done.said
    assert_each_once(p)


def test_a_statement_that_another_server_may_be_at_is_for_a_person(started: Project) -> None:
    """As after a failover; the number of its session would be somebody else's here."""
    p = started
    write(p, SLOW["UPDATE account"], SLOW["CREATE TABLE copy"], "raise RuntimeError('stop here')")
    assert run(p).code == 5
    (server,) = p.rows("SELECT server FROM safemigrate_progress WHERE position = 1")[0]
    other = json.dumps({**json.loads(server), "id": "another", "name": "db2:3306"})
    p.execute(
        "DELETE FROM safemigrate_progress WHERE position > 1",
        "UPDATE safemigrate_progress SET state = 'begun', answer = '', session = 1,"
        f" server = '{other}' WHERE position = 1",
    )
    write(p, SLOW["UPDATE account"], SLOW["CREATE TABLE copy"])
    refused = run(p)
    assert refused.code == 5, refused.said
    assert 'on server "db2:3306", which is not the one that answers now' in refused.said
    assert "KILL" not in refused.said
    statement = re.search(r"UPDATE safemigrate_progress SET session = NULL[^;]*;", refused.said)
    assert statement is not None
    p.execute(statement[0])
    done = run(p)
    assert done.code == 0, done.said
    assert p.rows("SELECT id, cents FROM account") == [(1, 101), (2, 101)]


def test_safe_updates_are_no_hindrance(project: ProjectFactory, mysql_url: str) -> None:
    options = {"connect_args": {"init_command": "SET SESSION sql_safe_updates = 1"}}
    p = project(
        url=mysql_url,
        config={"SQLALCHEMY_ENGINE_OPTIONS": options, "SAFEMIGRATE_SNAPSHOT_SERVERS": False},
    )
    p.revision("r1", "\n".join(BASE))
    p.revision("r2", "op.add_column('account', sa.Column('note', sa.String(9)))")
    done = run(p)
    assert done.code == 0, done.said
    assert p.heads() == {"r2"}
    p.execute("UPDATE alembic_version SET version_num = 'lost'")
    fixed = run(p, "db", "doctor", "--fix", "--yes", "--select", "SM3")
    assert fixed.code == 0, fixed.said
    assert p.heads() == {"r2"}
