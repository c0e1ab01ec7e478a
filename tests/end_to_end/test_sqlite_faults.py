"""Whatever stops a command on an SQLite file at any of its statements, the file is as before.

SAFEMIGRATE_TEST_KILLS sets how many statements of each run, or sizes of a file, are tried; a
number larger than there are tries each. Where it is not set there are two, of every fifth run.
"""

from __future__ import annotations

import fcntl
import functools
import itertools
import json
import os
import random
import re
import shutil
import signal
import sqlite3
from bisect import bisect
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.alembic_bridge.sqlite_run import dump
from tests.support import forked, stopping
from tests.support.projects import Project, ProjectFactory

KILLS = int(os.environ.get("SAFEMIGRATE_TEST_KILLS", "2"))

BASE = (
    "CREATE TABLE p (id INTEGER PRIMARY KEY, name VARCHAR(20))",
    "INSERT INTO p VALUES (1, 'a'), (2, 'b')",
    "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(50) UNIQUE, num INTEGER,"
    " junk TEXT, pid INTEGER REFERENCES p (id)) -- kept",
    "INSERT INTO t (id, name, num, junk, pid) WITH RECURSIVE c (n) AS"
    " (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 400)"
    " SELECT n * 2, 'name ' || n, n, hex(zeroblob(100)), 1 + n % 2 FROM c",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, tid INTEGER REFERENCES t (id) ON DELETE CASCADE)",
    "INSERT INTO child SELECT id, id FROM t",
    "CREATE INDEX ix ON t (num)",
    "CREATE VIEW v AS SELECT id, num FROM t",
    "CREATE TABLE seen (word TEXT)",
    "CREATE TRIGGER tr AFTER UPDATE OF pid ON t BEGIN INSERT INTO seen VALUES (new.name); END",
    # Rows from before do not store it.
    "ALTER TABLE t ADD COLUMN late INTEGER DEFAULT 5",
)

#: Ways to change a table: revisions, each by its steps up and down.
WAYS: dict[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = {
    "schema edit": (
        (
            (
                "op.alter_column('t', 'name', type_=sa.String(99), nullable=False)",
                "op.create_check_constraint('ck', 't', 'num > 0')",
            ),
            (
                "op.drop_constraint('ck', 't')",
                "op.alter_column('t', 'name', type_=sa.String(50), nullable=True)",
            ),
        ),
    ),
    "in place": (
        (
            (
                "op.alter_column('t', 'junk', type_=sa.LargeBinary())",
                "op.alter_column('t', 'late', server_default='7')",
            ),
            (
                "op.alter_column('t', 'late', server_default='5')",
                "op.alter_column('t', 'junk', type_=sa.Text())",
            ),
        ),
    ),
    "rebuild": (
        (
            (
                "with op.batch_alter_table('t', recreate='always') as b:\n"
                "    b.drop_column('junk')\n    b.create_unique_constraint('uq', ['num'])",
                "op.create_index('ix_child', 'child', ['tid'])",
            ),
            (
                "op.drop_index('ix_child', 'child')",
                "with op.batch_alter_table('t', recreate='always') as b:\n"
                "    b.drop_constraint('uq')\n    b.add_column(sa.Column('junk', sa.Text()))",
            ),
        ),
    ),
    "revisions with rows": (
        (
            (
                "op.execute('UPDATE t SET num = num + 1000')",
                "op.alter_column('t', 'num', type_=sa.Text(), nullable=False)",
                "op.execute('DELETE FROM t WHERE id > 700')",
                # Its trigger makes moments in the middle of a statement.
                "op.execute('UPDATE t SET pid = 2 WHERE id < 20')",
            ),
            (
                "op.alter_column('t', 'num', type_=sa.Integer(), nullable=True)",
                "op.execute('UPDATE t SET num = num - 1000')",
            ),
        ),
        (
            (
                "op.create_table('n', sa.Column('id', sa.Integer, primary_key=True))",
                "op.execute('INSERT INTO n SELECT id FROM t')",
                "op.rename_table('seen', 'heard')",
            ),
            ("op.rename_table('heard', 'seen')", "op.drop_table('n')"),
        ),
    ),
}

COMMANDS = {
    "safe-upgrade": ("safe-upgrade", "--yes", "--lock-wait", "0"),
    "deploy": ("deploy", "--lock-wait", "0"),
    "safe-downgrade": ("safe-downgrade", "r1", "--yes", "--lock-wait", "0"),
}

#: Where a few moments are tried, so are a few runs: every command, every way, both journals.
RUNS = list(itertools.product(COMMANDS, WAYS, ("delete", "wal")))
if "SAFEMIGRATE_TEST_KILLS" not in os.environ:
    RUNS = RUNS[::5]

#: SQLite writes pages of the transaction to the files before COMMIT when memory is short, so that
#: what a stopped process leaves is half a change, not none.
SETTINGS = """
    from sqlalchemy import event
    with app.app_context():
        @event.listens_for(db.engine, "connect")
        def prepare(connection, record):
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA soft_heap_limit=100000")
            if "PAGES" in os.environ:
                connection.execute("PRAGMA max_page_count=" + os.environ["PAGES"])
"""

#: Fails at the place that the environment names.
FAULT = """\
import os
def fault(place):
    if os.environ.get("FAULT") == place:
        raise ValueError("on purpose")
"""


@dataclass(frozen=True)
class Ended:
    """A run of a command."""

    code: int
    said: str


class Case:
    """A project whose database stands where a command has something to do."""

    def __init__(self, project: Project, command: str, journal: str) -> None:
        self.project = project
        self.folder = project.path.parent
        self.command = COMMANDS[command]
        self.journal = journal
        self._log = self.folder / "statements"
        self._kept = self.folder / "kept.db"
        for prepare in (("upgrade", "r1"), ("safe-upgrade", "--yes", "--no-snapshot")):
            if prepare[0] == "upgrade" or command == "safe-downgrade":
                done = self._flask(*prepare)
                assert done.code == 0, done.said
        with closing(sqlite3.connect(project.database)) as connection:
            assert connection.execute(f"PRAGMA journal_mode={journal}").fetchone() == (journal,)
        shutil.copyfile(project.database, self._kept)
        self.before = self.found()
        self.codes_before = self.doctor()

    def learn(self, *more: str) -> None:
        """Let the command run undisturbed: its statements, and what it makes of the database."""
        self.put_back()
        note = functools.partial(stopping.note_statements, self.project.path, self._log)
        done = self.run(*more, before=note)
        assert done.code == 0, done.said
        self.statements = self.statements_run()
        self.commit = self.statements.index("COMMIT")
        self.after = self.found()
        assert self.after != self.before
        assert not self.left()
        self.codes_after = self.doctor()

    def run(
        self, *more: str, before: Callable[[], None] | None = None, **environment: str
    ) -> Ended:
        return self._flask(*self.command, *more, before=before, environment=environment)

    def _flask(
        self,
        *arguments: str,
        before: Callable[[], None] | None = None,
        environment: dict[str, str] | None = None,
    ) -> Ended:
        copy = forked.flask(self.project, "db", *arguments, before=before, env=environment)
        code = copy.wait()
        said = copy.said
        copy.output.unlink()
        return Ended(code, said)

    def stopped(self, how: Callable[[Path, Path, int], None], number: int, *more: str) -> Ended:
        """Run the command again from where it starts, and stop it at a statement."""
        self.put_back()
        return self.run(*more, before=functools.partial(how, self.project.path, self._log, number))

    def pages(self) -> int:
        """How many the database has."""
        with closing(sqlite3.connect(self._kept)) as connection:
            return int(connection.execute("PRAGMA page_count").fetchone()[0])

    def limited(self, pages: int) -> Ended:
        """Run the command again from where it starts, with so many pages for the database."""
        self.put_back()
        return self.run("--no-snapshot", PAGES=str(pages))

    def statements_run(self) -> list[str]:
        return self._log.read_text().splitlines()

    def put_back(self) -> None:
        for file in self._files():
            file.unlink()
        shutil.rmtree(self.project.path / ".safemigrate", ignore_errors=True)
        shutil.copyfile(self._kept, self.project.database)

    def left(self) -> str:
        """What stands beside the database, by what the doctor is to say of it."""
        beside = {file.suffix: file.stat().st_size for file in self._files()}
        if beside.get(".db-wal"):
            return "SM531"
        journal = self.project.database.with_name("app.db-journal")
        # Without its first bytes there is nothing that the journal would undo.
        return "SM530" if beside.get(".db-journal") and any(journal.read_bytes()[:8]) else ""

    def half_written(self) -> bool:
        """Whether a change that is not committed stands in a file."""
        log = self.project.database.with_name("app.db-wal")
        return self.project.database.read_bytes() != self._kept.read_bytes() or (
            log.exists() and log.stat().st_size > 0
        )

    def found(self) -> dict[str, Any]:
        """What another process reads, in a copy: the files are for the command to find."""
        aside = self.folder / "aside"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for file in self._files():
            if file.suffix != ".db-shm":
                shutil.copyfile(file, aside / file.name)
        found = dump(aside / "app.db")
        # Times and processes differ from run to run, and each run of deploy notes itself.
        ours = found["rows"].get("safemigrate_journal", {})
        found["rows"]["safemigrate_journal"] = [
            [row[column] for column in ("kind", "subject", "direction", "checksum")]
            for row in ours.values()
            if row["kind"][1] == "revision"
        ]
        return found

    def doctor(self) -> set[str]:
        """The codes of what is wrong."""
        done = self._flask("doctor", "--format", "json")
        assert "Traceback" not in done.said
        return {finding["code"] for finding in json.loads(done.said)["findings"]}

    def _files(self) -> list[Path]:
        return list(self.project.path.glob("app.db*"))


T = TypeVar("T")
Start = Callable[[str, str, str], Case]


@pytest.fixture
def start(project: ProjectFactory) -> Start:
    """`start(command, way, journal)`."""

    def begin(command: str, way: str, journal: str) -> Case:
        p = project(after=SETTINGS, models="import os")
        p.revision("r1", "\n".join(f"op.execute({each!r})" for each in BASE))
        for number, (up, down) in enumerate(WAYS[way], 2):
            body = (_with_faults("upgrade", number, up), _with_faults("downgrade", number, down))
            p.revision(f"r{number}", *body, header=FAULT)
        return Case(p, command, journal)

    return begin


def _places(direction: str, number: int, steps: tuple[str, ...]) -> list[str]:
    return [f"{direction} {number} {place}" for place in range(len(steps) + 1)]


def _with_faults(direction: str, number: int, steps: tuple[str, ...]) -> str:
    places = [f"fault({place!r})" for place in _places(direction, number, steps)]
    mixed = [places[0]]
    for step, place in zip(steps, places[1:], strict=True):
        mixed += [step, place]
    return "\n".join(mixed)


def _chosen(numbers: list[T], seed: str) -> list[T]:
    """All of them, or as many as are wanted."""
    if len(numbers) <= KILLS:
        return numbers
    return random.Random(seed).sample(numbers, KILLS)


def _ends_there(case: Case, *more: str) -> None:
    """The command, run once more, finds no lock and ends where an undisturbed run ends."""
    for lock in (case.project.path / ".safemigrate").glob("*.lock"):
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    # A run that finds nothing to do opens no file, so the log of a whole commit stays.
    done = case.found() == case.after
    again = case.run(*more)
    assert again.code == 0, again.said
    assert case.found() == case.after
    assert done or not case.left()
    assert list((case.project.path / ".safemigrate").glob("*.part*")) == []


@pytest.mark.parametrize(("command", "way", "journal"), RUNS)
def test_sigkill_before_any_statement(start: Start, command: str, way: str, journal: str) -> None:
    case = start(command, way, journal)
    case.learn()
    stops = _chosen(list(range(len(case.statements))), f"{command} {way} {journal}")
    for stop in sorted({*stops, case.commit}):
        where = f"before statement {stop}: {case.statements[stop]}"
        ended = case.stopped(stopping.kill_before, stop)
        assert ended.code == -signal.SIGKILL, where
        assert len(case.statements_run()) == stop, where
        assert stop != case.commit or case.half_written()
        assert case.found() == (case.before if stop <= case.commit else case.after), where
        if stop % 2:
            left = {case.left()} - {""}
            codes = case.codes_before if stop <= case.commit else case.codes_after
            assert case.doctor() == codes | left, where
        _ends_there(case)


@pytest.mark.parametrize(("command", "way", "journal"), RUNS)
def test_an_exception_between_any_two_steps(
    start: Start, command: str, way: str, journal: str
) -> None:
    case = start(command, way, journal)
    case.learn()
    direction = "downgrade" if command == "safe-downgrade" else "upgrade"
    steps = [(n, each[direction == "downgrade"]) for n, each in enumerate(WAYS[way], 2)]
    places = [place for n, each in steps for place in _places(direction, n, each)]
    for place in _chosen(places, f"{command} {way} {journal}"):
        case.put_back()
        ended = case.run(FAULT=place)
        said = " ".join(ended.said.split())
        assert ended.code == 1, said
        assert f"Error: Revision 'r{place.split()[1]}' failed" in said
        assert "ValueError: on purpose Everything was undone; " in said
        assert f"Hint: mend the revision, then run: flask db {command}" in said
        assert "Traceback" not in said
        assert case.found() == case.before, place
        assert not case.left()
        assert case.doctor() == case.codes_before
        _ends_there(case)


@pytest.mark.parametrize(("command", "way", "journal"), RUNS)
def test_nothing_can_be_written_from_any_statement_on(
    start: Start, command: str, way: str, journal: str
) -> None:
    case = start(command, way, journal)
    case.learn()
    stops = _chosen(list(range(len(case.statements))), f"{command} {way} {journal}")
    for stop in sorted({*stops, case.commit}):
        where = f"from statement {stop} on: {case.statements[stop]}"
        ended = case.stopped(stopping.fill_before, stop)
        _is_told(case, ended, where)
        _ends_there(case)


def _is_told(case: Case, ended: Ended, where: str) -> None:
    """The command did all of it or nothing, and says so."""
    said = " ".join(ended.said.split())
    assert "Traceback" not in said, where
    if ended.code == 0:
        assert case.found() == case.after, where
        return
    if ended.code == 4:
        # A log's index cannot be made, so nobody can read either.
        assert case.journal == "wal", where
        assert "SM514 error Database" in said, where
        assert "was not started because of SM514" in said, where
        assert case.found() == case.before, where
        return
    assert ended.code == 1, f"{where}: {said}"
    error, _, hint = said.partition("Error: ")[2].partition("Hint: ")
    assert "df -h" in hint, where
    assert "mend" not in hint, where
    if "The deploy is done, but cannot be noted" in error:
        assert "The databases are at head." in error
        assert case.found() == case.after, where
        return
    # Where nothing can be written a change that was begun cannot be undone either, so SQLite lets
    # nobody look; whoever opens the file later undoes it.
    assert re.search("is as it was|cannot be looked at now", error), where
    assert case.found() == case.before, where


@pytest.mark.parametrize(("command", "way", "journal"), RUNS)
def test_a_disk_that_is_full_at_any_page(
    start: Start, command: str, way: str, journal: str
) -> None:
    """By SQLite's own limit, from the size that the database has to the size that it needs."""
    case = start(command, way, journal)
    case.learn("--no-snapshot")
    pages = case.pages()
    enough = bisect(range(4 * pages), False, pages, key=lambda n: case.limited(n).code == 0)
    sizes = _chosen(list(range(pages, enough)), f"{command} {way} {journal}")
    for size in sizes:
        where = f"{size} pages"
        ended = case.limited(size)
        assert ended.code == 1, where
        _is_told(case, ended, where)
        _ends_there(case, "--no-snapshot")


@pytest.mark.parametrize(("command", "way", "journal"), RUNS)
@pytest.mark.parametrize("limit", [stopping.limit_files, stopping.kill_beyond])
def test_a_write_that_fails_or_kills(
    start: Start, limit: Callable[[int], None], command: str, way: str, journal: str
) -> None:
    """At any size of a file, in the middle of COMMIT included."""
    case = start(command, way, journal)
    case.learn("--no-snapshot")
    sizes = [512 * n + 1 for n in range(48, 800)]
    for size in _chosen(sizes, f"{command} {way} {journal}"):
        case.put_back()
        ended = case.run("--no-snapshot", before=functools.partial(limit, size))
        where = f"beyond {size} bytes"
        if ended.code == -signal.SIGXFSZ:
            # The log of a commit that is whole may be what grows when it is written back.
            assert case.found() in (case.before, case.after), where
        else:
            _is_told(case, ended, where)
        _ends_there(case, "--no-snapshot")
