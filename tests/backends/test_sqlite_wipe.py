from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import StaticPool, create_engine

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.sqlite import files, wipe
from flask_safemigrate.backends.sqlite.wipe import drop_everything
from flask_safemigrate.errors import DatabaseUnavailable
from tests.backends.sqlite_files import make, names_in, query, target_of

EVERYTHING = """
PRAGMA foreign_keys=ON;
CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE COLLATE NOCASE);
CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id REFERENCES parent ON DELETE RESTRICT);
CREATE TABLE pair (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE "odd ""name" (id INTEGER);
CREATE INDEX by_parent ON child (parent_id);
CREATE VIEW names AS SELECT name FROM parent;
CREATE VIEW broken AS SELECT gone FROM nowhere;
CREATE TRIGGER seen AFTER INSERT ON child BEGIN DELETE FROM parent WHERE id = 99; END;
CREATE TRIGGER stop BEFORE DELETE ON parent BEGIN SELECT RAISE(ABORT, 'no'); END;
CREATE TRIGGER write INSTEAD OF INSERT ON names BEGIN SELECT 1; END;
CREATE VIRTUAL TABLE words USING fts5(text);
CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1);
INSERT INTO parent (name) VALUES ('a'), ('b');
INSERT INTO child (parent_id) VALUES (1);
INSERT INTO words VALUES ('hello');
ANALYZE;
PRAGMA user_version=7;
PRAGMA application_id=42;
"""


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_everything_goes(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "app #1?.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.executescript(EVERYTHING)
    connection.close()
    drop_everything(target_of(path))
    assert query(path, "SELECT type, name FROM sqlite_master") == [("table", "sqlite_sequence")]
    assert query(path, "SELECT * FROM sqlite_sequence") == []
    assert query(path, "PRAGMA journal_mode") == [(mode,)]
    assert query(path, "PRAGMA user_version") == [(7,)]
    assert query(path, "PRAGMA application_id") == [(42,)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert names_in(tmp_path) == [path.name]


def test_memory(tmp_path: Path) -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    raw = engine.raw_connection().driver_connection
    assert raw is not None
    raw.executescript(EVERYTHING)
    drop_everything(Target("", engine))
    assert raw.execute("SELECT name FROM sqlite_master").fetchall() == [("sqlite_sequence",)]
    assert raw.execute("PRAGMA foreign_keys").fetchone() == (1,)
    assert raw.isolation_level == ""
    engine.dispose()


def test_a_virtual_table_whose_module_is_not_loaded(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE places_data (a); INSERT INTO places_data VALUES (1);"
        "PRAGMA writable_schema=ON;"
        "INSERT INTO sqlite_master VALUES ('table', 'places', 'places', 0, "
        "'CREATE VIRTUAL TABLE places USING spatial(a)');"
    )
    connection.close()
    with pytest.raises(sqlite3.OperationalError, match="no such module"):
        query(path, "SELECT * FROM places")
    drop_everything(target_of(path))
    assert query(path, "SELECT * FROM sqlite_master") == []
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_other_connections_see_all_or_nothing(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db", wal=True)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM author").fetchone() == (3,)
    drop_everything(target_of(path))
    assert reader.execute("SELECT count(*) FROM author").fetchone() == (3,)
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    reader.close()


def test_a_locked_database_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "app.db")
    monkeypatch.setattr(wipe, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(files, "BUSY_SECONDS", 0.1)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable) as caught:
        drop_everything(target_of(path))
    assert caught.value.kind == "locked"
    writer.close()
    assert query(path, "SELECT count(*) FROM author") == [(3,)]


def test_a_failure_in_the_middle_undoes_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "app.db")
    real = wipe._drop_all

    def stopped(connection: object) -> None:
        real(connection)
        raise KeyboardInterrupt

    monkeypatch.setattr(wipe, "_drop_all", stopped)
    with pytest.raises(KeyboardInterrupt):
        drop_everything(target_of(path))
    assert query(path, "SELECT count(*) FROM author") == [(3,)]


def test_what_is_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "app.db").write_text("x" * 5000)
    with pytest.raises(DatabaseUnavailable) as caught:
        drop_everything(target_of(tmp_path / "app.db"))
    assert caught.value.kind == "not a database"
    with pytest.raises(DatabaseUnavailable) as caught:
        drop_everything(target_of(tmp_path / "no" / "app.db"))
    assert caught.value.kind == "missing folder"
    assert names_in(tmp_path) == ["app.db"]
