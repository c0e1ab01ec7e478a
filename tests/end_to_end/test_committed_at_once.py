"""MariaDB and MySQL: rows that do not wait for the end of the revision's transaction.

A revision may switch autocommit on, and a SELECT may call a function that changes rows, which the
next change of the schema commits. None of it may be called undone, or be done twice.
"""

from __future__ import annotations

import pytest

from tests.end_to_end.test_resume import run, write
from tests.support.projects import Project, ProjectFactory

BASE = (
    "op.execute('CREATE TABLE account (id INTEGER PRIMARY KEY, cents INTEGER NOT NULL)')",
    "op.execute('INSERT INTO account VALUES (1, 100)')",
    "op.execute('CREATE FUNCTION bump() RETURNS INTEGER MODIFIES SQL DATA"
    " BEGIN UPDATE account SET cents = cents + 1; RETURN 7; END')",
)
ADD = "op.execute('UPDATE account SET cents = cents + 1')"
ROWS = "op.execute('UPDATE account SET nosuch = 1')"
SCHEMA = "op.execute('ALTER TABLE account ADD COLUMN id INTEGER')"
#: What adds one for good, and what fails then.
CASES = {
    "SET autocommit": (f"op.execute('SET autocommit = 1')\n{ADD}", ROWS),
    "SET @@autocommit among others": (
        f"op.execute('SET sql_notes = 0, @@session.autocommit = ON')\n{ADD}",
        ROWS,
    ),
    "the driver's own autocommit": (
        "d = op.get_bind().connection.driver_connection\n"
        "d.autocommit(True) if callable(d.autocommit) else setattr(d, 'autocommit', True)\n" + ADD,
        ROWS,
    ),
    "a function": ("assert op.get_bind().scalar(sa.text('SELECT bump()')) == 7", SCHEMA),
    "a function in parentheses": ("op.execute('(SELECT `bump`())')", SCHEMA),
}


def cents(p: Project) -> int:
    ((found,),) = p.rows("SELECT cents FROM account")
    assert isinstance(found, int)
    return found


@pytest.fixture
def started(project: ProjectFactory, mysql_url: str) -> Project:
    p = project(url=mysql_url, config={"SAFEMIGRATE_SNAPSHOT_SERVERS": False})
    p.revision("r1", "\n".join(BASE))
    done = run(p)
    assert done.code == 0, done.said
    return p


@pytest.mark.parametrize("case", CASES)
def test_it_is_told_and_done_once(started: Project, case: str) -> None:
    p = started
    adds, fails = CASES[case]
    write(p, adds, fails)
    failed = run(p)
    assert failed.code == 5, failed.said
    assert "undone" not in failed.said
    assert cents(p) == 101
    write(p, adds, ADD)
    done = run(p)
    assert done.code == 0, done.said
    assert cents(p) == 102
    assert p.heads() == {"r2"}


def test_in_autocommit_block_rows_wait_as_elsewhere(started: Project) -> None:
    p = started
    write(p, f"with op.get_context().autocommit_block():\n    {ADD}", ROWS)
    failed = run(p)
    assert failed.code == 1, failed.said
    assert cents(p) == 100


def test_after_autocommit_rows_wait_again(started: Project) -> None:
    p = started
    turns = [f"op.execute('SET autocommit = {value}')" for value in (1, 0)]
    write(p, turns[0], ADD, turns[1], ADD, ROWS)
    failed = run(p)
    assert failed.code == 5, failed.said
    assert cents(p) == 101


def test_a_question_that_calls_a_function_of_its_own_goes_back(started: Project) -> None:
    p = started
    write(p, "op.execute('SELECT bump()')", ROWS)
    failed = run(p)
    assert failed.code == 1, failed.said
    assert cents(p) == 100


PAST = "op.get_bind().connection.cursor().execute('UPDATE account SET cents = cents + 1')"


@pytest.mark.parametrize(
    "fails",
    [SCHEMA, "op.get_bind().connection.driver_connection.commit()\nraise RuntimeError('stop')"],
)
def test_what_goes_past_to_the_driver_is_not_called_undone(started: Project, fails: str) -> None:
    p = started
    write(p, PAST, fails)
    failed = run(p)
    assert failed.code == 5, failed.said
    assert "undone" not in failed.said
    assert "UPDATE account SET cents = cents + 1" in failed.said
    assert cents(p) == 101
    write(p, PAST)
    refused = run(p)
    assert refused.code == 5, refused.said
    assert "past it to the driver, and may be in" in refused.said
    assert cents(p) == 101


def test_what_goes_past_to_the_driver_is_done(started: Project) -> None:
    p = started
    write(p, PAST, "op.add_column('account', sa.Column('note', sa.String(9)))", ADD)
    done = run(p)
    assert done.code == 0, done.said
    assert cents(p) == 102
