from __future__ import annotations

import os
import resource
import signal
import sqlite3
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.sqlite import snapshot
from flask_safemigrate.backends.sqlite.read import read
from flask_safemigrate.backends.sqlite.snapshot import check, needs, put_back, take
from flask_safemigrate.errors import DatabaseUnavailable, SnapshotFailed
from tests.backends.sqlite_files import (
    News,
    as_nobody,
    make,
    names_in,
    python,
    query,
    target_of,
)

# Every transaction keeps the two sums equal, so a torn copy shows.
WRITER = """
import itertools, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
print("ready", flush=True)
for number in itertools.count(1):
    connection.execute("BEGIN IMMEDIATE")
    for table in ("left", "right"):
        connection.execute(f"INSERT INTO {table}_side (n, pad) VALUES (?, ?)", (number, "z" * 900))
        connection.execute(f"UPDATE {table}_side SET n = n + 1 WHERE id % 50 = ?", (number % 50,))
    connection.execute("COMMIT")
    if number % 5 == 0:
        print(number, flush=True)
"""


def _two_sides(path: Path, rows: int, *, wal: bool) -> Path:
    connection = sqlite3.connect(path)
    if wal:
        connection.execute("PRAGMA journal_mode=WAL")
    for side in ("left", "right"):
        connection.execute(f"CREATE TABLE {side}_side (id INTEGER PRIMARY KEY, n, pad)")
        connection.executemany(
            f"INSERT INTO {side}_side (n, pad) VALUES (?, ?)",
            ((n, "y" * 900) for n in range(rows)),
        )
    connection.commit()
    connection.close()
    return path


def _sums(path: Path) -> list[tuple[object, ...]]:
    return query(
        path,
        "SELECT sum(n), count(*) FROM left_side UNION ALL SELECT sum(n), count(*) FROM right_side",
    )


@pytest.mark.parametrize("wal", [False, True])
def test_a_copy_has_everything(tmp_path: Path, wal: bool) -> None:
    path, copy, news = make(tmp_path / "app.db", wal=wal), tmp_path / "copies" / "a.db", News()
    copy.parent.mkdir()
    before = os.umask(0)
    try:
        take(target_of(path), copy, news)
    finally:
        os.umask(before)
    assert names_in(copy.parent) == ["a.db"]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    check(copy)
    assert names_in(copy.parent) == ["a.db"]
    assert names_in(tmp_path) == ["app.db", "copies"]
    assert query(copy, "SELECT count(*) FROM author") == [(3,)]
    assert news[-1].stage == "dumping"
    assert news[-1].done == news[-1].total == 4


def test_progress_counts_pages(tmp_path: Path) -> None:
    path, news = make(tmp_path / "app.db", rows=9000, width=1000), News()
    take(target_of(path), tmp_path / "a.db", news)
    pages = path.stat().st_size // 4096
    assert [(p.done, p.total) for p in news] == [(1024, pages), (2048, pages), (pages, pages)]


def test_needs_is_the_size_of_file_and_log(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db", wal=True)
    writer = sqlite3.connect(path)
    writer.execute("INSERT INTO author (name) VALUES ('x')")
    writer.commit()
    wal = tmp_path / "app.db-wal"
    assert needs(target_of(path)) == path.stat().st_size + wal.stat().st_size
    assert needs(target_of(tmp_path / "none.db")) == 0
    writer.close()


@pytest.mark.parametrize("wal", [False, True])
def test_under_a_writer(tmp_path: Path, wal: bool) -> None:
    path = _two_sides(tmp_path / "app.db", 15_000, wal=wal)
    writer = python(WRITER, path)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    try:
        for number in range(3):
            copy = tmp_path / f"{number}.db"
            take(target_of(path), copy, News())
            check(copy)
            left, right = _sums(copy)
            assert left == right
            assert int(writer.stdout.readline()) > 0, "the writer goes on"
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()


def test_a_writer_that_spoils_every_copy_has_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _two_sides(tmp_path / "app.db", 2_000, wal=False)
    monkeypatch.setattr(snapshot, "PAGES", 64)
    writer = sqlite3.connect(path, isolation_level=None, timeout=0)
    refused: list[str] = []

    def spoil(progress: object) -> None:
        try:
            writer.execute("UPDATE left_side SET n = n + 1 WHERE id = 1")
        except sqlite3.OperationalError as error:
            refused.append(str(error))

    take(target_of(path), tmp_path / "a.db", spoil)
    assert refused
    assert set(refused) == {"database is locked"}
    check(tmp_path / "a.db")
    writer.execute("UPDATE left_side SET n = n + 1 WHERE id = 1")
    writer.close()


def test_readers_and_a_pending_transaction_do_not_matter(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    upgrade = sqlite3.connect(path, isolation_level=None)
    upgrade.execute("BEGIN IMMEDIATE")
    upgrade.execute("DELETE FROM author")
    take(target_of(path), tmp_path / "a.db", News())
    upgrade.execute("ROLLBACK")
    upgrade.close()
    assert query(tmp_path / "a.db", "SELECT count(*) FROM author") == [(3,)]


def test_a_locked_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "app.db")
    monkeypatch.setattr(snapshot.files, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(snapshot, "WAIT_SECONDS", 0.1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DatabaseUnavailable) as caught:
        take(target_of(path), tmp_path / "a.db", News())
    assert caught.value.kind == "locked"
    holder.close()
    assert names_in(tmp_path) == ["app.db"]


def _limited(path: Path, copy: Path, bytes_: int) -> str:
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))
    try:
        take(target_of(path), copy, News())
    except SnapshotFailed as error:
        return f"{error.message} Hint: {error.hint} {names_in(copy.parent)}"
    return "taken"


@pytest.mark.parametrize("limit", [4096, 100_000])
def test_a_full_disk(open_folder: Path, limit: int) -> None:
    path = make(open_folder / "app.db", rows=1000, width=1000)
    (open_folder / "copies").mkdir()
    (open_folder / "copies").chmod(0o777)
    said = as_nobody(lambda: _limited(path, open_folder / "copies" / "a.db", limit))
    assert said.startswith(f'Snapshot of "app.db" failed: writing "{open_folder}/copies/a.db"')
    assert "df -h" in said
    assert said.endswith("[]")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db", rows=3000, width=1000)
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(SnapshotFailed) as caught:
            take(target_of(path), small / "a.db", News())
        assert "disk is full" in caught.value.message
        assert names_in(small) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")

    def stop(progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(target_of(path), tmp_path / "a.db", stop)
    assert names_in(tmp_path) == ["app.db"]


@pytest.fixture
def in_memory() -> Iterator[Target]:
    target = Target("", create_engine("sqlite://"))
    yield target
    target.engine.dispose()


def test_what_cannot_be_copied(tmp_path: Path, in_memory: Target) -> None:
    path = make(tmp_path / "app.db")
    with pytest.raises(SnapshotFailed, match=r"in memory has no snapshots"):
        take(in_memory, tmp_path / "a.db", News())
    with pytest.raises(SnapshotFailed, match=r"does not exist yet"):
        take(target_of(tmp_path / "none.db"), tmp_path / "a.db", News())
    with pytest.raises(SnapshotFailed, match=r"does not exist\."):
        take(target_of(tmp_path / "no" / "none.db"), tmp_path / "a.db", News())
    with pytest.raises(SnapshotFailed, match=r"exists already"):
        take(target_of(path), path, News())
    with pytest.raises(SnapshotFailed, match=r"No such file or directory"):
        take(target_of(path), tmp_path / "no" / "a.db", News())
    (tmp_path / "text.db").write_text("x" * 5000)
    with pytest.raises(SnapshotFailed, match=r"is not an SQLite database"):
        take(target_of(tmp_path / "text.db"), tmp_path / "a.db", News())
    assert names_in(tmp_path) == ["app.db", "text.db"]
    assert read(target_of(path)).version_rows == ("a1",)


@pytest.mark.parametrize("name", ["50% ?#.db", "größe 'x'.db"])
def test_odd_paths(tmp_path: Path, name: str) -> None:
    path, copy = make(tmp_path / "a#b" / name), tmp_path / f"copy {name}"
    take(target_of(path), copy, News())
    check(copy)
    put_back(target_of(path), copy, News())
    assert read(target_of(path)).version_rows == ("a1",)


def test_check_finds_damage(tmp_path: Path) -> None:
    copy = tmp_path / "a.db"
    take(target_of(make(tmp_path / "app.db", rows=2000, width=100)), copy, News())
    whole = copy.read_bytes()
    for damage in (whole[:10_000], b"x" * 5000, whole[:8192] + b"\xff" * 4096 + whole[12288:]):
        copy.write_bytes(damage)
        with pytest.raises(SnapshotFailed, match=r'Snapshot file ".*a\.db" is damaged: '):
            check(copy)
    copy.unlink()
    with pytest.raises(SnapshotFailed, match=r"is missing"):
        check(copy)


def test_check_does_not_need_the_functions_of_the_application(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    connection = sqlite3.connect(path)
    connection.create_function("luhn", 1, lambda value: 1, deterministic=True)
    connection.create_collation("swedish", lambda a, b: (a > b) - (a < b))
    connection.executescript(
        "CREATE TABLE card (n TEXT COLLATE swedish, m AS (luhn(n)), CHECK (luhn(n)));"
        "CREATE INDEX by_n ON card (n); CREATE INDEX by_luhn ON card (luhn(n));"
        "INSERT INTO card (n) VALUES ('b'), ('a');"
    )
    connection.close()
    take(target_of(path), tmp_path / "a.db", News())
    check(tmp_path / "a.db")


@pytest.mark.parametrize("wal", [False, True])
@pytest.mark.parametrize("taken_in_wal", [False, True])
def test_put_back(tmp_path: Path, wal: bool, taken_in_wal: bool) -> None:
    copy = tmp_path / "a.db"
    take(target_of(make(tmp_path / "old.db", wal=taken_in_wal)), copy, News())
    content = copy.read_bytes()
    path = make(tmp_path / "app.db", rows=500, wal=wal)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE later (a)")
    connection.commit()
    news = News()
    put_back(target_of(path), copy, news)
    # This connection has been open all the time.
    assert connection.execute("SELECT count(*) FROM author").fetchall() == [(3,)]
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal" if wal else "delete",)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert [t.name for t in read(target_of(path)).tables] == ["author", "book"]
    assert query(path, "PRAGMA journal_mode") == [("wal" if wal else "delete",)]
    assert news[-1].stage == "restoring"
    assert copy.read_bytes() == content
    assert names_in(tmp_path) == ["a.db", "app.db", "old.db"]


def test_a_smaller_copy_shrinks_the_file(tmp_path: Path) -> None:
    copy = tmp_path / "a.db"
    take(target_of(make(tmp_path / "old.db")), copy, News())
    path = make(tmp_path / "app.db", rows=5000)
    put_back(target_of(path), copy, News())
    assert path.stat().st_size == copy.stat().st_size


@pytest.mark.parametrize("wal", [False, True])
def test_another_page_size(tmp_path: Path, wal: bool) -> None:
    copy, path = tmp_path / "a.db", tmp_path / "app.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA page_size=1024")
    connection.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    connection.close()
    take(target_of(make(tmp_path / "old.db")), copy, News())
    put_back(target_of(path), copy, News())
    assert read(target_of(path)).version_rows == ("a1",)
    assert query(path, "PRAGMA journal_mode") == [("wal" if wal else "delete",)]


def test_a_reader_of_a_log_keeps_its_view_and_then_sees_the_new(tmp_path: Path) -> None:
    copy = tmp_path / "a.db"
    take(target_of(make(tmp_path / "old.db")), copy, News())
    path = make(tmp_path / "app.db", rows=500, wal=True)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM author").fetchone() == (500,)
    put_back(target_of(path), copy, News())
    assert reader.execute("SELECT count(*) FROM author").fetchone() == (500,)
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM author").fetchone() == (3,)
    reader.close()


def test_a_reader_without_a_log_is_waited_for(tmp_path: Path) -> None:
    copy = tmp_path / "a.db"
    take(target_of(make(tmp_path / "old.db")), copy, News())
    path = make(tmp_path / "app.db", rows=500)
    reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM author").fetchone() == (500,)
    seen: list[tuple[int]] = []

    def finish() -> None:
        time.sleep(1.5)
        seen.append(reader.execute("SELECT count(*) FROM author").fetchone())
        reader.execute("COMMIT")

    thread = threading.Thread(target=finish)
    thread.start()
    news = News()
    put_back(target_of(path), copy, news)
    thread.join()
    assert seen == [(500,)]
    assert "waiting" in news.stages()
    assert reader.execute("SELECT count(*) FROM author").fetchone() == (3,)
    reader.close()


def test_a_reader_that_stays_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "a.db"
    take(target_of(make(tmp_path / "old.db")), copy, News())
    path = make(tmp_path / "app.db", rows=500)
    monkeypatch.setattr(snapshot, "WAIT_SECONDS", 0.3)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM author").fetchone()
    with pytest.raises(DatabaseUnavailable) as caught:
        put_back(target_of(path), copy, News())
    assert caught.value.kind == "locked"
    reader.close()
    assert query(path, "SELECT count(*) FROM author") == [(500,)]


READERS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
print("ready", flush=True)
seen = set()
while True:
    found = connection.execute(
        "SELECT (SELECT count(*) FROM author), (SELECT sum(length(name)) FROM author)"
    ).fetchone()
    if found not in seen:
        seen.add(found)
        print(*found, flush=True)
"""


@pytest.mark.parametrize("wal", [False, True])
def test_readers_see_the_old_or_the_new(tmp_path: Path, wal: bool) -> None:
    copy = tmp_path / "a.db"
    take(target_of(make(tmp_path / "old.db", rows=20_000, width=500)), copy, News())
    path = make(tmp_path / "app.db", rows=30_000, width=300, wal=wal)
    readers = [python(READERS, path) for _ in range(2)]
    try:
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "ready\n"
            assert reader.stdout.readline() == f"30000 {30_000 * 300}\n"
        put_back(target_of(path), copy, News())
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == f"20000 {20_000 * 500}\n"
    finally:
        for reader in readers:
            os.kill(reader.pid, signal.SIGKILL)
        said = [reader.communicate()[0] for reader in readers]
    assert said == ["", ""]


@pytest.mark.parametrize("wal", [False, True])
def test_killed_in_the_middle_leaves_the_old(tmp_path: Path, wal: bool) -> None:
    copy = tmp_path / "a.db"
    take(target_of(make(tmp_path / "old.db", rows=20_000, width=500)), copy, News())
    path = make(tmp_path / "app.db", rows=30_000, width=300, wal=wal)
    killed = python(
        """
        import os, sys
        from pathlib import Path
        from flask_safemigrate.backends.sqlite.snapshot import put_back
        from tests.backends.sqlite_files import target_of
        def stop(progress):
            if progress.done > 2000:
                os._exit(9)
        put_back(target_of(Path(sys.argv[1])), Path(sys.argv[2]), stop)
        """,
        path,
        copy,
    )
    killed.communicate()
    assert killed.returncode == 9
    assert read(target_of(path)).version_rows == ("a1",)
    assert query(path, "SELECT count(*), sum(length(name)) FROM author") == [(30_000, 9_000_000)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_full_disk_leaves_the_old(open_folder: Path) -> None:
    copy = open_folder / "a.db"
    take(target_of(make(open_folder / "old.db", rows=2000, width=500)), copy, News())
    path = make(open_folder / "app.db", rows=10)
    path.chmod(0o666)
    copy.chmod(0o644)

    def attempt() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            put_back(target_of(path), copy, News())
        except SnapshotFailed as error:
            return error.message
        return "restored"

    assert as_nobody(attempt).startswith('Restoring "app.db" failed: writing ')
    assert query(path, "SELECT count(*) FROM author") == [(10,)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_database_that_is_gone_comes_back(tmp_path: Path) -> None:
    copy = tmp_path / "a.db"
    take(target_of(make(tmp_path / "old.db", wal=True)), copy, News())
    put_back(target_of(tmp_path / "app.db"), copy, News())
    assert query(tmp_path / "app.db", "SELECT count(*) FROM author") == [(3,)]
    assert query(tmp_path / "app.db", "PRAGMA journal_mode") == [("wal",)]


@pytest.mark.parametrize("content", [b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 8000])
def test_an_unreadable_database_is_replaced_and_kept(tmp_path: Path, content: bytes) -> None:
    copy, path, news = tmp_path / "a.db", tmp_path / "app.db", News()
    take(target_of(make(tmp_path / "old.db")), copy, News())
    path.write_bytes(content)
    path.chmod(0o640)
    put_back(target_of(path), copy, news)
    assert query(path, "SELECT count(*) FROM author") == [(3,)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    (kept,) = tmp_path.glob("app.db.damaged-*")
    assert kept.read_bytes() == content
    assert kept.name in news[-1].text
    assert names_in(tmp_path) == ["a.db", "app.db", kept.name, "old.db"]


def test_a_damaged_copy_is_not_put_back(tmp_path: Path, in_memory: Target) -> None:
    copy, path = tmp_path / "a.db", make(tmp_path / "app.db")
    copy.write_bytes(b"x" * 5000)
    with pytest.raises(SnapshotFailed, match=r"is damaged"):
        put_back(target_of(path), copy, News())
    with pytest.raises(SnapshotFailed, match=r"in memory"):
        put_back(in_memory, copy, News())
    make(tmp_path / "good.db")
    with pytest.raises(SnapshotFailed, match=r"does not exist"):
        put_back(target_of(tmp_path / "no" / "app.db"), tmp_path / "good.db", News())
    assert query(path, "SELECT count(*) FROM author") == [(3,)]
