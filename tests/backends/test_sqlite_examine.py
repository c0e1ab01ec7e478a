"""What the doctor asks of real SQLite files, and that asking changes nothing."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event

from flask_safemigrate.backends.sqlite import BACKEND, holders
from flask_safemigrate.backends.sqlite.examine import network_of
from flask_safemigrate.facts.examination import Examination, Mismatch, Orphans
from tests.backends.sqlite_files import python, target_of

SCHEMA = """
    CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE, name TEXT);
    CREATE INDEX ix_users_name ON users (name);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id), note TEXT);
"""


def examine(path: Path, *, thorough: bool = True) -> Examination:
    target = target_of(path)
    try:
        return BACKEND.examine(target, thorough=thorough)
    finally:
        target.engine.dispose()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "app.db"
    connection = sqlite3.connect(made)
    connection.executescript(SCHEMA)
    for number in range(1, 401):
        row = (number, f"{number}@x", "n" * 60)
        connection.execute("INSERT INTO users VALUES (?, ?, ?)", row)
        connection.execute("INSERT INTO orders VALUES (?, ?, ?)", (number, number, "o" * 400))
    connection.commit()
    connection.close()
    return made


def page_of(path: Path, name: str, number: int = 0) -> int:
    """The offset of a page of a table or index: its root, or one further down."""
    connection = sqlite3.connect(path)
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,))
    page = root.fetchone()[0]
    connection.close()
    if number:
        with path.open("rb") as file:
            file.seek((page - 1) * size + 12 + 2 * (number - 1))
            cell = int.from_bytes(file.read(2), "big")
            file.seek((page - 1) * size + cell)
            page = int.from_bytes(file.read(4), "big")
    return int((page - 1) * size)


def overwrite(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xa5" * 4096)


def test_a_sound_file(path: Path) -> None:
    assert examine(path) == Examination(enforces=False)


def test_a_page_in_the_middle(path: Path) -> None:
    overwrite(path, page_of(path, "orders", number=3))
    assert BACKEND.read(target_of(path)).unreachable is None
    found = examine(path)
    assert found.damage
    assert found.unreadable == ("orders",)
    assert examine(path, thorough=False).damage == ()


def test_an_index_alone(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema=ON")
    index = connection.execute("SELECT * FROM sqlite_master WHERE name = 'ix_users_name'")
    row = index.fetchone()
    connection.execute("DELETE FROM sqlite_master WHERE name = 'ix_users_name'")
    connection.commit()
    connection.close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO users VALUES (999, 'z', 'z')")
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    found = examine(path)
    assert found.damage[0] == "row 401 missing from index ix_users_name"
    assert found.unreadable == ()


def test_data_that_breaks_a_constraint_is_no_damage(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a NOT NULL, CHECK (a > 0))")
    connection.execute("PRAGMA ignore_check_constraints=ON")
    connection.execute("INSERT INTO t VALUES (-1)")
    connection.commit()
    connection.close()
    assert examine(path).damage == ()


def test_an_index_over_what_only_the_application_knows(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.create_collation("german", lambda a, b: (a > b) - (a < b))
    connection.create_function("slug", 1, str, deterministic=True)
    connection.execute("CREATE INDEX ix_a ON users (name COLLATE german)")
    connection.execute("CREATE INDEX ix_b ON users (slug(name))")
    connection.commit()
    connection.close()
    assert examine(path).damage == ()
    overwrite(path, page_of(path, "orders", number=2))
    assert examine(path).unreadable == ("orders",)


def test_rows_that_point_nowhere(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM users WHERE id <= 7")
    connection.executescript(
        "CREATE TABLE odd (a REFERENCES gone (x)); INSERT INTO odd VALUES (1)"
    )
    connection.close()
    assert examine(path).orphans == (
        Orphans("odd", ("a",), "gone", 1, (1,)),
        Orphans("orders", ("user_id",), "users", 7, (1, 2, 3, 4, 5)),
    )
    assert examine(path).mismatches == (Mismatch("odd", "gone", ("a",), ("x",), gone=True),)
    assert examine(path, thorough=False).orphans == ()


def test_a_key_to_what_is_no_key(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(
        # SQLite names the two tables; two of these three keys are sound.
        "CREATE TABLE odd (b REFERENCES users (id), a REFERENCES users (name), "
        "c REFERENCES users (ID)); DELETE FROM users WHERE id = 1"
    )
    connection.close()
    found = examine(path)
    assert found.mismatches == (Mismatch("odd", "users", ("a",), ("name",)),)
    assert [o.count for o in found.orphans] == [1]


@pytest.mark.parametrize("on", [False, True])
def test_what_the_application_sets_on_its_connections(path: Path, on: bool) -> None:
    target = target_of(path)

    @event.listens_for(target.engine, "connect")
    def connect(connection: sqlite3.Connection, record: object) -> None:
        connection.execute(f"PRAGMA foreign_keys={int(on)}")
        # Were this the real file, the doctor would have changed it.
        connection.execute("PRAGMA user_version=99")

    assert BACKEND.examine(target, thorough=False).enforces is on
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    connection.close()


def test_a_database_in_memory() -> None:
    from flask_safemigrate.backends.contract import Target

    engine = create_engine("sqlite://")
    assert BACKEND.examine(Target("", engine), thorough=True) == Examination(enforces=False)
    engine.dispose()


DIE = """
    import os, sqlite3, sys
    connection = sqlite3.connect(sys.argv[1])
    connection.execute("PRAGMA cache_size=5")
    connection.execute(f"PRAGMA journal_mode={sys.argv[2]}")
    connection.execute("UPDATE orders SET note = note || '!'")
    if sys.argv[2] == "wal":
        connection.commit()
    os._exit(9)
"""


def test_a_journal_that_was_left(path: Path) -> None:
    python(DIE, path, "delete").communicate()
    assert BACKEND.read(target_of(path)).left_behind == "journal"
    assert BACKEND.read(target_of(path)).left_behind == ""


def test_a_journal_of_a_writer_who_is_not_seen(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA cache_size=5")
    connection.execute("UPDATE orders SET note = 'x' WHERE id < 9")
    # As in another container, whose locks the system does not show.
    monkeypatch.setattr(holders, "writers_of", lambda path: ())
    journal = path.with_name("app.db-journal")
    journal.write_bytes(bytes.fromhex("d9d505f920a163d7") + journal.read_bytes()[8:])
    assert BACKEND.read(target_of(path)).left_behind == ""
    connection.rollback()
    connection.close()


def test_a_log_that_was_left_stays_as_it_is(path: Path) -> None:
    python(DIE, path, "wal").communicate()
    log = path.with_name("app.db-wal")
    before = path.read_bytes(), path.stat().st_mtime_ns, log.read_bytes()
    state = BACKEND.read(target_of(path))
    examine(path)
    BACKEND.read_schema(target_of(path))
    assert state.left_behind == "log"
    assert (path.read_bytes(), path.stat().st_mtime_ns, log.read_bytes()) == before
    assert BACKEND.read(target_of(path)).left_behind == "log"


def test_a_log_that_is_in_use(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=wal")
    connection.execute("UPDATE users SET name = ''")
    connection.commit()
    assert path.with_name("app.db-wal").stat().st_size
    assert BACKEND.read(target_of(path)).left_behind == ""
    connection.close()


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_examining_changes_nothing(path: Path, mode: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.close()
    before = path.read_bytes(), path.stat().st_mtime_ns
    examine(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert os.listdir(path.parent) == ["app.db"]


MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:40 / /mnt/shared\040disk rw,relatime - nfs4 nas:/export rw,vers=4.2
41 22 0:41 / /mnt/sshfs rw - fuse.sshfs host: rw
42 40 8:2 / /mnt/shared\040disk/local rw - ext4 /dev/sdb1 rw
43 22 0:43 / /mnt/hidden rw - nfs nas:/old rw
44 43 8:3 / /mnt/hidden rw - ext4 /dev/sdc1 rw
a line that is something else
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/app.db", ""),
        ("/mnt/shared disk/app.db", "nfs4"),
        ("/mnt/shared disk/local/app.db", ""),
        ("/mnt/shared diskette/app.db", ""),
        ("/mnt/sshfs/deep/app.db", "fuse.sshfs"),
        ("/mnt/hidden/app.db", ""),
    ],
)
def test_network_file_systems(path: str, kind: str) -> None:
    assert network_of(Path(path), MOUNTS) == kind


def test_tables_that_cannot_be_used(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(
        "ALTER TABLE users ADD COLUMN both AS (joined(email, name));"
        "CREATE TABLE events (id INTEGER PRIMARY KEY, at DEFAULT (now()), day DEFAULT (today()));"
        "CREATE VIRTUAL TABLE words USING fts5(text);"
    )
    connection.close()
    target = target_of(path)

    def register(driver: sqlite3.Connection, _record: object) -> None:
        driver.create_function("now", 0, lambda: "now")

    event.listen(target.engine, "connect", register)
    before = path.read_bytes()
    found = BACKEND.examine(target, thorough=True).unusable
    assert [(u.name, u.column, u.verb, u.lacks) for u in found] == [
        ("users", "both", "SELECT", "joined"),
        ("events", "day", "INSERT", "today"),
    ]
    assert BACKEND.examine(target, thorough=False).unusable == ()
    assert path.read_bytes() == before
    target.engine.dispose()


def test_booleans_with_a_text_for_a_default(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE flags (id INTEGER PRIMARY KEY, a BOOLEAN DEFAULT 'false', b BOOLEAN DEFAULT"
        " 0, c BOOLEAN DEFAULT '1', d BOOL DEFAULT \"true\", e BOOLEAN DEFAULT false,"
        " f VARCHAR(5) DEFAULT 'false', g BOOLEAN DEFAULT ('no'), h BOOLEAN DEFAULT (1 = 1));"
        "INSERT INTO flags (id, g) VALUES (1, 0), (2, 1);"
        "UPDATE flags SET d = 1 WHERE id = 2;"
    )
    connection.close()
    assert [tuple(each) for each in examine(path).text_defaults] == [
        ("flags", "a", "'false'", 2),
        ("flags", "d", '"true"', 1),
        ("flags", "g", "'no'", 0),
    ]
    assert examine(path, thorough=False).text_defaults == ()
