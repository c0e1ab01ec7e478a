"""MariaDB and MySQL commit every DDL statement: what stops there, goes on there.

SAFEMIGRATE_TEST_KILLS sets how many random moments are tried; where it is not set there are five,
and of the moments between statements every sixth.

Measured with plain ``flask db upgrade`` on the same revisions (MariaDB 10.11): of 18 failures that
were mended, 3 went on to the end (those at the first statement) and 15 said ``Duplicate column
name``; of 30 kills in the second revision 13 were stuck in that way; and a revision that changes
rows, fails, and is mended with ``IF NOT EXISTS`` ended with exit code 0 and rows changed twice.
"""

from __future__ import annotations

import functools
import logging
import os
import random
import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

# So that the copies of this process have them.
import flask_safemigrate.cli
import flask_safemigrate.wiring  # noqa: F401
from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases

# A process is killed inside of this driver, at moments that no server could be asked for.
BY_PYMYSQL = pytest.mark.skipif(
    not os.environ.get("SAFEMIGRATE_TEST_MYSQL_URL", "mysql+pymysql:").startswith(
        "mysql+pymysql:"
    ),
    reason="the kill is made inside of PyMySQL",
)

KILLS = int(os.environ.get("SAFEMIGRATE_TEST_KILLS", "5"))
STRIDE = 1 if "SAFEMIGRATE_TEST_KILLS" in os.environ else 6

BASE = (
    "op.create_table('account', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('cents', sa.Integer, nullable=False), sa.Column('old', sa.String(20)))\n"
    "op.bulk_insert(sa.table('account', sa.column('id'), sa.column('cents'), sa.column('old')),"
    " [{'id': i, 'cents': 100, 'old': f'o{i}'} for i in range(1, 51)])"
)

#: Each line is one statement; those that change rows change them by adding, so that twice shows.
FIVE = (
    "op.add_column('account', sa.Column('note', sa.String(40)))",
    "op.execute('UPDATE account SET cents = cents + 1')",
    "op.create_index('ix_account_note', 'account', ['note'])",
    'op.execute("INSERT INTO account (id, cents) SELECT id + 1000, cents FROM account")',
    "op.drop_column('account', 'old')",
)
FAILING = {
    "ddl": "op.execute('ALTER TABLE account ADD COLUMN id INTEGER')",
    "data": "op.execute('INSERT INTO account (id, cents) VALUES (1, 1)')",
    "python": "raise RuntimeError('stop here')",
}


def assert_whole(p: Project) -> None:
    """All five statements are in, each once."""
    assert p.heads() == {"r2"}
    assert p.rows("SELECT count(*), sum(cents), count(DISTINCT id) FROM account") == [
        (100, 100 * 101, 100)
    ]
    columns = p.rows(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = database()"
        " AND table_name = 'account' ORDER BY ordinal_position"
    )
    assert [name for (name,) in columns] == ["id", "cents", "note"]
    assert p.rows(
        "SELECT count(*) FROM information_schema.statistics WHERE table_schema = database()"
        " AND index_name = 'ix_account_note'"
    ) == [(1,)]
    assert p.rows("SELECT count(*) FROM safemigrate_progress") == [(0,)]
    noted = p.rows("SELECT subject FROM safemigrate_journal WHERE kind = 'revision' ORDER BY id")
    assert noted == [("r1",), ("r2",)]


def write(p: Project, *lines: str, revision: str = "r2") -> Path:
    """Write the second revision, in place of the one that is there."""
    for old in p.versions.glob(f"{revision}_*.py"):
        old.unlink()
    p.revisions[:] = [r for r in p.revisions if r != revision]
    return p.revision(revision, "\n".join(lines))


@pytest.fixture
def started(project: ProjectFactory, mysql_url: str) -> Project:
    p = project(
        url=mysql_url, config={"SAFEMIGRATE_SNAPSHOT_SERVERS": False, "SAFEMIGRATE_LOCK_WAIT": 20}
    )
    p.revision("r1", BASE)
    assert run(p).code == 0
    return p


@dataclass(frozen=True)
class Ended:
    code: int
    said: str


def run(
    p: Project, *arguments: str, before: Callable[[], None] = lambda: None, kill: float = 0.0
) -> Ended:
    """Run a command of ours in a process of its own, which ``before`` may prepare to die.

    A copy of this process, for starting Python takes longer than the upgrade.

    :param kill: seconds after the revision has begun at which it is killed, 0 for never.
    """
    said = p.path / "said.txt"
    child = os.fork()
    if not child:
        code = 99
        try:
            descriptor = os.open(said, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            before()
            result = p.invoke(*(arguments or ("db", "safe-upgrade", "--yes")))
            os.write(1, result.output.encode())
            code = result.exit_code
        finally:
            os._exit(code)
    if kill:
        begun = p.path / "begun"
        deadline = time.monotonic() + 60
        while not begun.exists():
            assert time.monotonic() < deadline, said.read_text("utf-8")
            time.sleep(0.001)
        time.sleep(kill)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    words = said.read_text("utf-8").split() if said.exists() else []
    return Ended(os.waitstatus_to_exitcode(status), " ".join(words))


@pytest.mark.parametrize("how", FAILING)
@pytest.mark.parametrize("position", range(6))
def test_a_failure_at_any_statement_goes_on_there_once_it_is_mended(
    started: Project, position: int, how: str
) -> None:
    p = started
    write(p, *FIVE[:position], FAILING[how], *FIVE[position:])
    failed = run(p)
    if position == 0:
        assert failed.code == 1, failed.said
        assert "Everything was undone" in failed.said
    else:
        assert failed.code == 5, failed.said
        assert "'r2' is half applied" in failed.said
        assert "1. ALTER TABLE account ADD COLUMN note" in failed.said
        assert ("3. CREATE INDEX" in failed.said) == (position >= 3)
        # Rows that were changed after the last DDL went back with their transaction.
        assert ("2. UPDATE account" in failed.said) == (
            position >= 3 or (how, position) == ("ddl", 2)
        )
    assert "Traceback" not in failed.said
    assert p.heads() == {"r1"}
    again = run(p)
    assert again.code == failed.code, again.said
    write(p, *FIVE)
    done = run(p)
    assert done.code == 0, done.said
    assert_whole(p)


def test_what_is_in_must_stay_as_it_was(started: Project) -> None:
    p = started
    write(p, *FIVE[:3], FAILING["ddl"], *FIVE[3:])
    assert run(p).code == 5
    other = FIVE[1].replace("+ 1", "+ 2")
    write(p, FIVE[0], other, *FIVE[2:])
    refused = run(p)
    assert refused.code == 5, refused.said
    said = refused.said
    assert "Statement 2 of revision 'r2' is not the one that is in" in said
    assert "in: UPDATE account SET cents = cents + 1" in said
    assert "now: UPDATE account SET cents = cents + 2" in said
    assert p.rows("SELECT DISTINCT cents FROM account") == [(101,)]
    write(p, *FIVE[:2])
    refused = run(p)
    assert refused.code == 5, refused.said
    assert "no longer has its statement 3" in refused.said
    assert p.heads() == {"r1"}
    # What has not run yet may change.
    write(p, *FIVE[:3], "op.execute('UPDATE account SET cents = cents + 5')")
    done = run(p)
    assert done.code == 0, done.said
    assert p.rows("SELECT count(*), sum(cents) FROM account") == [(50, 50 * 106)]


def test_a_revision_that_swallows_the_refusal_does_nothing_more(started: Project) -> None:
    p = started
    write(p, *FIVE[:3], FAILING["ddl"])
    assert run(p).code == 5
    tries = [f"try:\n    {line}\nexcept Exception:\n    pass" for line in FIVE]
    write(p, FIVE[0], FIVE[1].replace("+ 1", "+ 2"), *tries[2:])
    refused = run(p)
    assert refused.code == 5, refused.said
    assert "is not the one that is in" in refused.said
    assert p.rows("SELECT count(*), sum(cents) FROM account") == [(50, 50 * 101)]


def test_reads_are_answered_as_they_were(started: Project) -> None:
    p = started
    lines = (
        "op.add_column('account', sa.Column('note', sa.String(40)))",
        "bind = op.get_bind()",
        "rows = bind.execute(sa.text('SELECT id, old, cents FROM account ORDER BY id')).all()",
        "assert len(rows) == 50 and rows[0].old == 'o1' and rows[0].cents == 100",
        "for row in rows:\n"
        "    done = bind.execute(sa.text('UPDATE account SET note = :note WHERE id = :id'),"
        " {'note': row.old.upper(), 'id': row.id})\n"
        "    assert done.rowcount == 1",
        "made = bind.execute(sa.table('account', sa.column('id'), sa.column('cents')).insert(),"
        " {'id': 77, 'cents': bind.execute(sa.text('SELECT sum(cents) FROM account')).scalar()})",
        "op.drop_column('account', 'old')",
        "op.execute('UPDATE account SET cents = cents + 1 WHERE id = 77')",
    )
    write(p, *lines, FAILING["ddl"])
    failed = run(p)
    assert failed.code == 5, failed.said
    write(p, *lines)
    done = run(p)
    assert done.code == 0, done.said
    assert p.rows("SELECT cents, note FROM account WHERE id IN (1, 77) ORDER BY id") == [
        (100, "O1"),
        (5001, None),
    ]


def test_an_error_that_the_revision_handles_is_answered_again(started: Project) -> None:
    p = started
    lines = (
        "op.add_column('account', sa.Column('note', sa.String(40)))",
        "try:\n    op.drop_index('ix_of_old_times', 'account')\nexcept sa.exc.DBAPIError:\n"
        "    op.execute('UPDATE account SET cents = cents + 1')",
        "op.create_index('ix_account_note', 'account', ['note'])",
    )
    write(p, *lines, FAILING["ddl"])
    assert run(p).code == 5
    write(p, *lines)
    done = run(p)
    assert done.code == 0, done.said
    assert p.rows("SELECT DISTINCT cents FROM account") == [(101,)]


def test_doctor_names_it_and_finishes_it(started: Project) -> None:
    p = started
    write(p, *FIVE[:3], FAILING["ddl"], *FIVE[3:])
    assert run(p).code == 5
    told = run(p, "db", "doctor", "--fast", "--select", "SM308")
    assert told.code == 3, told.said
    said = told.said
    assert "half applied" in said
    assert "3 statements that change something are in" in said
    write(p, *FIVE)
    fixed = run(p, "db", "doctor", "--fast", "--fix", "--yes", "--select", "SM308")
    assert fixed.code == 0, fixed.said
    assert "Finished the upgrade of revision 'r2'" in fixed.said
    assert_whole(p)


def test_the_way_back_waits_until_it_is_finished(started: Project) -> None:
    p = started
    write(p, *FIVE[:3], FAILING["ddl"])
    assert run(p).code == 5
    refused = run(p, "db", "safe-downgrade", "base", "--yes")
    assert refused.code == 3, refused.said
    assert "The upgrade of revision 'r2'" in refused.said
    assert "is half applied" in refused.said
    nothing_to_undo = run(p, "db", "safe-downgrade", "r1", "--yes")
    assert nothing_to_undo.code == 3, nothing_to_undo.said
    write(p, *FIVE[:3])
    assert run(p).code == 0


def test_the_way_up_waits_until_the_way_back_is_finished(started: Project) -> None:
    p = started
    back = "op.drop_column('account', 'note')"
    up = "op.add_column('account', sa.Column('note', sa.String(9)))"
    p.revision("r2", up, downgrade=f"{back}\nop.execute('UPDATE account SET nosuch = 1')")
    assert run(p).code == 0
    assert run(p, "db", "safe-downgrade", "r1", "--yes").code == 5
    for command in (("safe-upgrade", "--yes"), ("deploy",)):
        refused = run(p, "db", *command)
        assert refused.code == 3, refused.said
        assert "The downgrade of revision 'r2'" in refused.said
    p.revisions.remove("r2")
    p.revision("r2", up, downgrade=back)
    fixed = run(p, "db", "doctor", "--fast", "--fix", "--yes", "--select", "SM308")
    assert fixed.code == 0, fixed.said
    assert p.heads() == {"r1"}
    assert run(p).code == 0
    assert p.heads() == {"r2"}


def test_a_first_revision_that_stopped_goes_on(project: ProjectFactory, mysql_url: str) -> None:
    p = project(url=mysql_url)
    p.revision("r1", f"{BASE}\n{FAILING['ddl']}")
    failed = run(p, "db", "deploy")
    assert failed.code == 5, failed.said
    write(p, BASE, revision="r1")
    done = run(p, "db", "deploy")
    assert done.code == 0, done.said
    assert p.rows("SELECT count(*) FROM account") == [(50,)]


@BY_PYMYSQL
def test_many_rows_that_are_in_are_not_sent_as_rows_without_values(
    project: ProjectFactory, mysql_url: str
) -> None:
    p = project(url=mysql_url)
    p.revision("r1", f"{BASE}\n{FAILING['ddl']}")
    assert run(p, "db", "deploy").code == 5
    write(p, BASE, FIVE[1], revision="r1")
    done = run(p, "db", "deploy", before=refuse_rows_without_values)
    assert done.code == 0, done.said
    assert p.rows("SELECT count(*), min(cents), max(cents) FROM account") == [(50, 101, 101)]


def test_a_temporary_table_is_not_gone_on_with(started: Project) -> None:
    p = started
    write(
        p,
        "op.execute('CREATE TEMPORARY TABLE kept AS SELECT id, cents FROM account')",
        FIVE[0],
        FAILING["ddl"],
    )
    assert run(p).code == 5
    refused = run(p)
    assert refused.code == 5, refused.said
    assert "ended with its session" in refused.said


@BY_PYMYSQL
def test_a_procedure_that_was_cut_off_is_for_a_person(started: Project) -> None:
    p = started
    p.execute("CREATE PROCEDURE more() UPDATE account SET cents = cents + 1")
    write(p, FIVE[0], "op.execute('CALL more()')")
    killed = run(p, before=lambda: die_before("CALL"))
    assert killed.code == -signal.SIGKILL, killed.said
    refused = run(p)
    assert refused.code == 5, refused.said
    said = refused.said
    assert "nobody can tell whether it has happened: CALL more()" in said
    statement = re.search(r"DELETE FROM safemigrate_progress WHERE ([^;]*);", said)
    assert statement is not None
    p.execute(statement[0])
    done = run(p)
    assert done.code == 0, done.said
    assert p.rows("SELECT DISTINCT cents FROM account") == [(101,)]


def test_a_statement_that_the_server_is_still_at_is_waited_for(started: Project) -> None:
    p = started
    slow = "op.execute('CREATE TABLE slow AS SELECT id, SLEEP(0.1) AS s FROM account')"
    write(p, FIVE[1], slow, "op.execute('UPDATE account SET cents = cents + 10')")
    query = (
        "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'CREATE TABLE slow%'"
    )
    process = p.start("db", "safe-upgrade", "--yes")
    for _ in range(600):
        if p.rows(query) == [(1,)]:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert p.rows(query) == [(1,)]
    done = run(p)
    assert done.code == 0, done.said
    assert "2 statements that were in before" in done.said
    assert p.rows("SELECT count(*), sum(cents) FROM account") == [(50, 50 * 111)]
    assert p.rows("SELECT count(*) FROM slow") == [(50,)]


def refuse_rows_without_values() -> None:
    """Let the driver take many rows as MariaDB Connector/Python does: in bulk, or not at all."""
    from pymysql.cursors import Cursor

    send = Cursor.executemany

    def executemany(self: Cursor, statement: str, args: Sequence[object]) -> int | None:
        assert all(args), "Invalid number of parameters in row 1"
        return send(self, statement, args)

    Cursor.executemany = executemany  # type: ignore[method-assign, assignment]


def die_before(verb: str) -> None:
    """Let the process kill itself before it asks the server for a statement of that kind."""
    from pymysql.cursors import Cursor

    query = Cursor.execute

    def execute(self: Cursor, statement: str, args: object = None) -> int:
        if statement.startswith(verb):
            os.kill(os.getpid(), signal.SIGKILL)
        return query(self, statement, args)

    Cursor.execute = execute  # type: ignore[method-assign, assignment]


def die_at(number: int) -> None:
    """Let the process kill itself at one moment around what it asks the server to do.

    Moments are before and after each statement of a revision and each commit of the driver.
    """
    import pymysql
    from pymysql.cursors import Cursor

    passed = 0
    query, commit = Cursor.execute, pymysql.Connection.commit
    ours = re.compile(r"\s*(?:ALTER|UPDATE|INSERT|CREATE INDEX|CALL|DELETE)\b")

    def moment() -> None:
        nonlocal passed
        if passed == number:
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1

    def execute(self: Cursor, statement: str | bytearray, args: object = None) -> int:
        text = statement if isinstance(statement, str) else statement.decode()
        counted = bool(ours.match(text))
        if counted:
            moment()
        answer = query(self, statement, args)  # type: ignore[arg-type]
        if counted:
            moment()
        return answer

    def committed(self: pymysql.Connection) -> None:  # type: ignore[type-arg]
        moment()
        commit(self)
        moment()

    Cursor.execute = execute  # type: ignore[method-assign, assignment]
    pymysql.Connection.commit = committed  # type: ignore[method-assign]


@BY_PYMYSQL
def test_a_kill_at_every_moment_goes_on_to_the_right_end(
    project: ProjectFactory, databases: Databases
) -> None:
    killed = 0
    p = project(
        url=databases.create("mysql"),
        config={"SAFEMIGRATE_SNAPSHOT_SERVERS": False, "SAFEMIGRATE_LOCK_WAIT": 20},
    )
    p.revision("r1", BASE)
    assert run(p).code == 0
    write(p, *FIVE)
    while True:
        start_again(p)
        ended = run(p, before=functools.partial(die_at, killed))
        if ended.code == 0:
            assert_whole(p)
            break
        assert ended.code == -signal.SIGKILL, ended.said
        done = run(p)
        assert done.code == 0, f"moment {killed}: {done.said}"
        assert_whole(p)
        killed += STRIDE
    # Five statements with a record each, three of them with two commits, and the version's.
    logging.getLogger(__name__).info("killed at %d moments", killed)
    assert killed >= 30


def start_again(p: Project) -> None:
    """Make the database what the first revision left, by hand."""
    rows = ", ".join(f"({i}, 100, 'o{i}')" for i in range(1, 51))
    p.execute(
        "DROP TABLE account",
        "CREATE TABLE account (id INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,"
        " cents INTEGER NOT NULL, old VARCHAR(20))",
        f"INSERT INTO account VALUES {rows}",
        "UPDATE alembic_version SET version_num = 'r1'",
        "DELETE FROM safemigrate_journal WHERE subject = 'r2'",
        "DELETE FROM safemigrate_progress",
    )


@BY_PYMYSQL
def test_a_kill_at_random_goes_on_to_the_right_end(
    project: ProjectFactory, databases: Databases
) -> None:
    p = project(
        url=databases.create("mysql"),
        config={"SAFEMIGRATE_SNAPSHOT_SERVERS": False, "SAFEMIGRATE_LOCK_WAIT": 20},
    )
    p.revision("r1", BASE)
    write(p, *FIVE)
    assert run(p).code == 0
    chance = random.Random(4)
    begun = p.path / "begun"
    half = 0
    for _ in range(KILLS):
        start_again(p)
        begun.unlink(missing_ok=True)
        run(p, kill=chance.uniform(0.001, 0.15), before=functools.partial(touch_when_begun, begun))
        kept = p.rows("SELECT count(*) FROM safemigrate_progress") != [(0,)]
        half += p.heads() == {"r1"} and kept
        done = run(p)
        assert done.code == 0, done.said
        assert_whole(p)
    logging.getLogger(__name__).info("%d kills, %d in the middle of r2", KILLS, half)


def touch_when_begun(path: Path) -> None:
    """Let the process make a file when it is about to write down its first statement."""
    from pymysql.cursors import Cursor

    query = Cursor.execute

    def execute(self: Cursor, statement: str | bytearray, args: object = None) -> int:
        if "INTO safemigrate_progress" in str(statement):
            path.touch()
        return query(self, statement, args)  # type: ignore[arg-type]

    Cursor.execute = execute  # type: ignore[method-assign, assignment]
