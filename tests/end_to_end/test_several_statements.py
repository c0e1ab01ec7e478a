"""MariaDB and MySQL: several statements in one ``op.execute()``, which drivers may send as one.

``UPDATE ...; ALTER TABLE ...`` commits the UPDATE, which must not be taken for one that went back
with the transaction. mysqlclient sends such a text by itself, PyMySQL where it is told to.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.end_to_end.test_resume import run, write
from tests.support.projects import Project, ProjectFactory

BASE = (
    "op.execute('CREATE TABLE account (id INTEGER PRIMARY KEY, cents INTEGER NOT NULL)')",
    "op.execute('INSERT INTO account VALUES (1, 100), (2, 100)')",
)
#: They add 11 to every row and make the column b; "{slow}" is for what takes a second.
TEXTS = {
    "rows before the schema": "op.execute('UPDATE account SET cents = cents + 1{slow}; "
    "ALTER TABLE account ADD COLUMN b INTEGER; UPDATE account SET cents = cents + 10')",
    "the schema first": "op.execute('ALTER TABLE account ADD COLUMN b INTEGER; "
    "UPDATE account SET cents = cents + 1{slow}; UPDATE account SET cents = cents + 10;')",
    "a question first": "assert op.get_bind().execute(sa.text('SELECT count(*) AS n FROM account; "
    "ALTER TABLE account ADD COLUMN b INTEGER; UPDATE account SET cents = cents + 11{slow}'))"
    ".scalar() == 2",
    "values": "op.get_bind().execute(sa.text('UPDATE account SET cents = cents + :a{slow}; "
    "ALTER TABLE account ADD COLUMN b INTEGER; UPDATE account SET cents = cents + :b'), "
    "{'a': 1, 'b': 10})",
    "a trigger": "op.execute('ALTER TABLE account ADD COLUMN b INTEGER; CREATE TRIGGER tr BEFORE "
    "UPDATE ON account FOR EACH ROW BEGIN SET NEW.cents = NEW.cents + 5; SET NEW.b = 1; END; "
    "UPDATE account SET cents = cents + 6{slow}')",
}
BAD = "op.execute('UPDATE account SET nosuch = 1')"


def state(p: Project) -> tuple[list[int], bool]:
    columns = p.rows(
        "SELECT count(*) FROM information_schema.columns WHERE table_schema = database()"
        " AND table_name = 'account' AND column_name = 'b'"
    )
    rows = p.rows("SELECT cents FROM account ORDER BY id")
    return [cents for (cents,) in rows], columns == [(1,)]


@pytest.fixture
def started(project: ProjectFactory, mysql_url: str) -> Project:
    options = {"connect_args": {"client_flag": 65536}} if "+pymysql" in mysql_url else {}
    p = project(
        url=mysql_url,
        config={
            "SAFEMIGRATE_SNAPSHOT_SERVERS": False,
            "SAFEMIGRATE_LOCK_WAIT": 20,
            "SQLALCHEMY_ENGINE_OPTIONS": options,
        },
    )
    p.revision("r1", "\n".join(BASE))
    done = run(p)
    assert done.code == 0, done.said
    return p


@pytest.mark.parametrize("case", TEXTS)
def test_each_of_them_is_in_the_record(started: Project, case: str) -> None:
    p = started
    text = TEXTS[case].replace("{slow}", "")
    write(p, text, BAD)
    failed = run(p)
    assert failed.code == 5, failed.said
    assert "undone" not in failed.said
    assert state(p)[1]
    write(p, text)
    done = run(p)
    assert done.code == 0, done.said
    assert state(p) == ([111, 111], True)


@pytest.mark.parametrize("case", ["rows before the schema", "values"])
def test_one_of_them_that_fails_is_named(started: Project, case: str) -> None:
    p = started
    text = TEXTS[case].replace("{slow}", "")
    write(p, text.replace("ADD COLUMN b", "ADD COLUMN id"))
    failed = run(p)
    assert failed.code == 5, failed.said
    assert "SQL: ALTER TABLE account ADD COLUMN id INTEGER" in failed.said
    assert "SET cents = cents + 1" in failed.said or "SET cents = cents + %" in failed.said
    assert state(p) == ([101, 101], False)
    write(p, text)
    done = run(p)
    assert done.code == 0, done.said
    assert state(p) == ([111, 111], True)


def test_rows_alone_go_back(started: Project) -> None:
    p = started
    write(p, "op.execute('UPDATE account SET cents = 1; UPDATE account SET cents = nosuch')")
    failed = run(p)
    assert failed.code == 1, failed.said
    assert state(p) == ([100, 100], False)


@pytest.mark.parametrize("case", ["rows before the schema", "the schema first"])
def test_a_kill_between_them_doubles_nothing(started: Project, case: str) -> None:
    p = started
    write(p, TEXTS[case].replace("{slow}", " + 0 * SLEEP(0.8)"))
    process = p.start("db", "safe-upgrade", "--yes")
    deadline = time.monotonic() + 60
    asked = "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'UPDATE account%'"
    while p.rows(asked) == [(0,)]:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = run(p)
    assert done.code == 0, done.said
    assert state(p) == ([111, 111], True)
