"""What every dialect's backend must do, on a real database of each."""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, make_url, text

from flask_safemigrate.backends import mysql, postgresql, sqlite
from flask_safemigrate.backends.contract import Backend, Target
from flask_safemigrate.errors import (
    LockTimeout,
    SnapshotFailed,
    VerificationFailed,
)
from flask_safemigrate.facts.database import UNREACHABLE_KINDS
from flask_safemigrate.outcome import STAGES, Progress
from tests.support.forked import CONTEXT

BACKENDS = {
    dialect: module.BACKEND
    for module in (sqlite, postgresql, mysql)
    for dialect in module.BACKEND.dialects
}

SCHEMA = (
    "CREATE TABLE authors (id INTEGER PRIMARY KEY, name VARCHAR(50) NOT NULL)",
    "CREATE TABLE books (id INTEGER PRIMARY KEY, title VARCHAR(50), author_id INTEGER, "
    "FOREIGN KEY (author_id) REFERENCES authors (id) ON DELETE CASCADE)",
    "CREATE TABLE loose (id INTEGER PRIMARY KEY, note VARCHAR(50))",
    "CREATE VIEW titles AS SELECT title FROM books",
    "INSERT INTO authors VALUES (1, 'Ümläut O''Brien %s :colon'), (2, 'b')",
    "INSERT INTO books VALUES (1, 'one', 1), (2, 'two', 1), (3, 'three', 2)",
    "INSERT INTO loose VALUES (1, NULL)",
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
    "INSERT INTO alembic_version VALUES ('a1')",
    "CREATE TABLE _alembic_tmp_books (id INTEGER PRIMARY KEY)",
    "CREATE TABLE safemigrate_journal (id INTEGER PRIMARY KEY, kind VARCHAR(20), "
    "subject VARCHAR(200), direction VARCHAR(20), started VARCHAR(40), finished VARCHAR(40), "
    "checksum VARCHAR(64), source TEXT, environment VARCHAR(50), host VARCHAR(100), "
    "pid INTEGER, tool VARCHAR(50), seconds FLOAT)",
    "INSERT INTO safemigrate_journal VALUES (2, 'deploy', 'x', 'upgrade', '2024-01-02T00:00:00', "
    "NULL, NULL, NULL, 'production', 'h', 1, '0.1', NULL)",
    "INSERT INTO safemigrate_journal VALUES (1, 'revision', 'a1', 'upgrade', "
    "'2024-01-01T00:00:00', '2024-01-01T00:00:01', 'abc', 'src', '', 'h', 1, '0.1', 1.0)",
)


def quiet(progress: Progress) -> None:
    assert progress.stage in STAGES


def execute(target: Target, *statements: str) -> None:
    with target.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement.replace(":", "\\:")))


def rows(target: Target, query: str) -> list[tuple[object, ...]]:
    with target.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


@pytest.fixture
def target(database_url: str) -> Iterator[Target]:
    engine = create_engine(database_url)
    yield Target("", engine)
    engine.dispose()


@pytest.fixture
def backend(target: Target) -> Backend:
    return BACKENDS[target.engine.dialect.name]


@pytest.fixture
def filled(target: Target) -> Target:
    execute(target, *SCHEMA)
    return target


def test_reads_an_empty_database(backend: Backend, target: Target) -> None:
    state = backend.read(target)
    assert state.unreachable is None or state.exists is False
    assert state.tables == ()
    assert state.version_rows is None
    assert state.journal == ()


def test_reads_the_facts(backend: Backend, filled: Target) -> None:
    state = backend.read(filled)
    assert state.unreachable is None
    assert state.exists
    assert not state.read_only
    assert state.server
    assert state.size is not None
    assert state.size > 0
    assert {t.name for t in state.tables} == {"authors", "books", "loose", "_alembic_tmp_books"}
    assert state.version_rows == ("a1",)
    assert [t.name for t in state.leftovers] == ["_alembic_tmp_books"]
    assert [(r.kind, r.subject, r.checksum) for r in state.journal] == [
        ("revision", "a1", "abc"),
        ("deploy", "x", ""),
    ]
    assert state.journal[1].finished == ""
    assert state.environment == "production"
    database = make_url(str(filled.engine.url)).database
    assert database is not None
    assert state.name in database
    assert database in state.location


def test_reading_creates_and_changes_nothing(backend: Backend, target: Target) -> None:
    backend.read(target)
    backend.read(target)
    state = backend.read(target)
    assert state.tables == ()
    if target.engine.dialect.name == "sqlite":
        assert not Path(str(target.engine.url.database)).exists()


def test_reads_while_the_pool_is_empty(backend: Backend, filled: Target) -> None:
    engine = create_engine(filled.engine.url, pool_size=1, max_overflow=0, pool_timeout=60)
    start = time.monotonic()
    with engine.connect():
        state = backend.read(Target("", engine))
    engine.dispose()
    assert state.version_rows == ("a1",)
    assert time.monotonic() - start < 20


def test_reads_another_version_table(backend: Backend, filled: Target) -> None:
    execute(
        filled,
        "CREATE TABLE other_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO other_version VALUES ('b2'), ('b1')",
    )
    state = backend.read(Target("x", filled.engine, "other_version"))
    assert state.bind == "x"
    assert state.version_table == "other_version"
    assert sorted(state.version_rows or ()) == ["b1", "b2"]
    # The table of another history is known as one.
    assert "alembic_version" in state.other_versions


def test_explains_with_known_words(backend: Backend, target: Target) -> None:
    found = backend.explain(RuntimeError("something odd"), target)
    assert found.kind in UNREACHABLE_KINDS
    assert "something odd" in found.message
    assert found.hint


def test_lock_is_held_by_one(backend: Backend, filled: Target) -> None:
    told: list[Progress] = []
    with backend.lock(filled, 5, quiet):
        start = time.monotonic()
        with (
            pytest.raises(LockTimeout) as caught,
            backend.lock(filled, 1.5, told.append),
        ):
            pytest.fail("two held the lock")
        assert 1.4 <= time.monotonic() - start < 6
    assert {p.stage for p in told} == {"waiting"}
    assert caught.value.hint
    with backend.lock(filled, 0, quiet):
        pass


def test_lock_without_waiting(backend: Backend, filled: Target) -> None:
    with backend.lock(filled, 0, quiet):
        start = time.monotonic()
        with pytest.raises(LockTimeout), backend.lock(filled, 0, quiet):
            pytest.fail("two held the lock")
        assert time.monotonic() - start < 5


def test_lock_passes_on_as_soon_as_it_is_free(backend: Backend, filled: Target) -> None:
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with backend.lock(filled, 5, quiet):
            held.set()
            release.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    threading.Timer(0.5, release.set).start()
    start = time.monotonic()
    with backend.lock(filled, 20, quiet):
        assert time.monotonic() - start < 5
    thread.join()


def test_lock_is_given_back_after_an_error(backend: Backend, filled: Target) -> None:
    with pytest.raises(ZeroDivisionError), backend.lock(filled, 0, quiet):
        raise ZeroDivisionError
    with backend.lock(filled, 0, quiet):
        pass


def _hold(url: str, held: object, seconds: float) -> None:
    engine = create_engine(url)
    with BACKENDS[engine.dialect.name].lock(Target("", engine), 30, quiet):
        held.set()  # type: ignore[attr-defined]
        time.sleep(seconds)


def test_killed_holder_does_not_block(backend: Backend, filled: Target, database_url: str) -> None:
    held = CONTEXT.Event()
    holder = CONTEXT.Process(target=_hold, args=(database_url, held, 600))
    holder.start()
    try:
        assert held.wait(30)
        with pytest.raises(LockTimeout), backend.lock(filled, 0, quiet):
            pytest.fail("two held the lock")
    finally:
        assert holder.pid is not None
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()
    with backend.lock(filled, 10, quiet):
        pass


def _append(url: str, path: str) -> None:
    engine = create_engine(url)
    with BACKENDS[engine.dialect.name].lock(Target("", engine), 120, quiet):
        file = Path(path)
        before = file.read_text()
        time.sleep(0.05)
        file.write_text(f"{before}{os.getpid()}\n")
    engine.dispose()


def test_eight_processes_take_turns(
    backend: Backend, filled: Target, database_url: str, tmp_path: Path
) -> None:
    written = tmp_path / "written"
    written.write_text("")
    processes = [
        CONTEXT.Process(target=_append, args=(database_url, str(written))) for _ in range(8)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [p.exitcode for p in processes] == [0] * 8
    assert len(written.read_text().split()) == 8


def test_snapshot_brings_everything_back(backend: Backend, filled: Target, tmp_path: Path) -> None:
    path = tmp_path / f"copy{backend.suffix}"
    needed = backend.needs(filled)
    assert needed is not None
    assert needed > 0
    backend.take(filled, path, quiet)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.glob("copy*")) == [path]
    backend.check(path)
    execute(
        filled,
        "DROP VIEW titles",
        "DROP TABLE books",
        "DELETE FROM authors",
        "UPDATE alembic_version SET version_num = 'b2'",
        "CREATE TABLE newer (id INTEGER PRIMARY KEY)",
    )
    backend.put_back(filled, path, quiet)
    state = backend.read(filled)
    assert {t.name for t in state.tables} == {"authors", "books", "loose", "_alembic_tmp_books"}
    assert state.version_rows == ("a1",)
    assert rows(filled, "SELECT name FROM authors ORDER BY id") == [
        ("Ümläut O'Brien %s :colon",),
        ("b",),
    ]
    assert rows(filled, "SELECT title FROM titles ORDER BY title") == [
        ("one",),
        ("three",),
        ("two",),
    ]
    assert rows(filled, "SELECT note FROM loose") == [(None,)]


@pytest.mark.parametrize("damage", ["cut", "head"])
def test_damaged_snapshot_is_refused(
    backend: Backend, filled: Target, tmp_path: Path, damage: str
) -> None:
    noise = ", ".join(f"({n}, '{n * 7919 % 100003}')" for n in range(2, 2000))
    execute(filled, f"INSERT INTO loose VALUES {noise}")
    path = tmp_path / f"copy{backend.suffix}"
    backend.take(filled, path, quiet)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[:64] = bytes(b ^ 0xFF for b in content[:64])
    path.write_bytes(content)
    with pytest.raises(SnapshotFailed) as caught:
        backend.check(path)
    assert str(path) in caught.value.message or path.name in caught.value.message
    execute(filled, "UPDATE loose SET note = 'kept' WHERE id = 1")
    with pytest.raises(SnapshotFailed):
        backend.put_back(filled, path, quiet)
    assert rows(filled, "SELECT note FROM loose WHERE id = 1") == [("kept",)]


def test_failed_snapshot_leaves_no_file(backend: Backend, filled: Target, tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    with pytest.raises(SnapshotFailed):
        backend.take(filled, folder / f"copy{backend.suffix}", quiet)
    assert not folder.exists()
    assert list(tmp_path.glob("**/copy*")) == []


def test_drop_everything_leaves_an_empty_database(backend: Backend, filled: Target) -> None:
    backend.drop_everything(filled)
    state = backend.read(filled)
    assert state.tables == ()
    assert state.version_rows is None
    assert state.journal == ()
    filled.engine.dispose()
    execute(filled, *SCHEMA)
    backend.drop_everything(filled)
    backend.drop_everything(filled)


def test_watch_accepts_what_the_migration_wrote(backend: Backend, filled: Target) -> None:
    with filled.engine.begin() as connection:
        watch = backend.begin_watch(connection)
        connection.execute(text("INSERT INTO loose VALUES (2, 'x')"))
        connection.execute(text("CREATE TABLE fresh (id INTEGER PRIMARY KEY)"))
        connection.execute(text("INSERT INTO fresh VALUES (1)"))
        connection.execute(text("ALTER TABLE authors ADD COLUMN age INTEGER"))
        connection.execute(text("UPDATE authors SET age = 5"))
        proven = backend.finish_watch(connection, watch, frozenset({"loose", "authors", "fresh"}))
    assert proven
    assert all(isinstance(sentence, str) and sentence for sentence in proven)


def test_watch_accepts_a_table_that_was_dropped_by_name(backend: Backend, filled: Target) -> None:
    with filled.engine.begin() as connection:
        watch = backend.begin_watch(connection)
        connection.execute(text("DROP TABLE loose"))
        assert backend.finish_watch(connection, watch, frozenset({"loose"}))


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("DELETE FROM loose", "loose"),
        ("INSERT INTO authors VALUES (9, 'x')", "authors"),
        ("DROP VIEW titles", "titles"),
        ("DROP TABLE loose", "loose"),
    ],
)
def test_watch_finds_what_nobody_named(
    backend: Backend, filled: Target, statement: str, table: str
) -> None:
    with filled.engine.connect() as connection:
        for _ in range(50):
            with connection.begin() as transaction:
                watch = backend.begin_watch(connection)
                connection.execute(text(statement))
                told = _told(backend, connection, watch)
                transaction.rollback()
            if isinstance(told, VerificationFailed):
                break
            # MariaDB counts the writes of the whole server, those of other tests too.
            assert "other sessions were writing" in told
    assert isinstance(told, VerificationFailed)
    assert table in told.message


def _told(backend: Backend, connection: Connection, watch: object) -> str | VerificationFailed:
    try:
        return " ".join(backend.finish_watch(connection, watch, frozenset({"books"})))
    except VerificationFailed as failed:
        return failed


def test_put_back_says_when_it_cannot(backend: Backend, target: Target, tmp_path: Path) -> None:
    missing = tmp_path / f"nothing{backend.suffix}"
    with pytest.raises(SnapshotFailed) as caught:
        backend.put_back(target, missing, quiet)
    assert missing.name in caught.value.message
