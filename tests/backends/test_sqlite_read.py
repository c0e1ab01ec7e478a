from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import StaticPool, create_engine, event
from sqlalchemy.engine import URL

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.sqlite import files
from flask_safemigrate.backends.sqlite.errors import explain
from flask_safemigrate.backends.sqlite.read import read
from flask_safemigrate.backends.sqlite.schema import read_schema
from flask_safemigrate.facts.database import UNREACHABLE_KINDS, JournalRow, Table
from tests.backends.sqlite_files import as_nobody, make, names_in, python, query, target_of

JOURNAL = (
    "CREATE TABLE safemigrate_journal (id INTEGER PRIMARY KEY, kind VARCHAR(16), subject "
    "VARCHAR(255), direction VARCHAR(16), started VARCHAR(40), finished VARCHAR(40), checksum "
    "VARCHAR(64), source TEXT, environment VARCHAR(64), host VARCHAR(255), pid INTEGER, "
    "tool VARCHAR(32), seconds FLOAT)"
)


def test_views_and_version_tables_of_others(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE Plug_version (VERSION_NUM VARCHAR(32) NOT NULL);"
        "CREATE TABLE empty_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);"
        "CREATE TABLE release (id INTEGER PRIMARY KEY, version_num TEXT);"
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);"
        "CREATE VIEW version_num AS SELECT * FROM alembic_version;"
    )
    connection.close()
    state = read(target_of(path))
    assert [table.name for table in state.tables] == ["release"]
    assert state.other_versions == ("Plug_version", "empty_version")
    assert (state.version_rows, state.views) == ((), ("version_num",))


def test_spatialite_keeps_its_tables_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE spatial_ref_sys (srid INTEGER);"
        "CREATE TABLE city (id INTEGER PRIMARY KEY, geom POINT);"
        "CREATE TABLE networks (id INTEGER PRIMARY KEY);"
        "CREATE VIRTUAL TABLE idx_city_geom USING rtree(id, x1, x2);"
    )
    names = {table.name for table in read(target_of(path)).tables}
    # One of its names alone means nothing.
    assert names == {"spatial_ref_sys", "city", "networks", "idx_city_geom"}
    connection.executescript(
        "CREATE TABLE geometry_columns (f_table_name TEXT);"
        "CREATE TABLE views_geometry_columns_auth (read_only INTEGER);"
        "CREATE TABLE spatialite_history (event_id INTEGER);"
        "CREATE VIEW vector_layers AS SELECT * FROM geometry_columns;"
        "CREATE TRIGGER gc AFTER INSERT ON geometry_columns BEGIN SELECT 1; END;"
        "CREATE TABLE iso_country (id INTEGER PRIMARY KEY);"
    )
    connection.close()
    target = target_of(path)
    state = read(target)
    assert {table.name for table in state.tables} == {"city", "iso_country"}
    assert state.views == ()
    schema = read_schema(target)
    assert {table.name for table in schema.tables} == {"city", "iso_country"}
    assert (schema.views, schema.triggers) == ((), ())


def test_facts_of_a_database(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    connection = sqlite3.connect(path)
    connection.executescript(
        JOURNAL + ";"
        "CREATE TABLE _alembic_tmp_book (id INTEGER);"
        "INSERT INTO _alembic_tmp_book VALUES (1), (2);"
        "CREATE VIRTUAL TABLE words USING fts5(text);"
        "CREATE TABLE sequence (id INTEGER PRIMARY KEY AUTOINCREMENT);"
        "INSERT INTO alembic_version VALUES ('b2');"
        "INSERT INTO safemigrate_journal (kind, subject, direction, started, finished, checksum, "
        "host) VALUES ('revision', 'a1', 'upgrade', 's1', 'f1', 'c1', 'h1');"
        "INSERT INTO safemigrate_journal (kind, subject, started, environment) "
        "VALUES ('deploy', 'deploy', 's2', 'production');"
    )
    connection.close()

    state = read(target_of(path, configured="app.db"))

    assert state.unreachable is None
    assert (state.dialect, state.location, state.name) == ("sqlite", str(path), "app.db")
    assert state.configured == "app.db"
    assert state.exists
    assert not state.read_only
    assert state.size == path.stat().st_size
    assert state.server == sqlite3.sqlite_version
    names = ["_alembic_tmp_book", "author", "book", "sequence", "words"]
    # A leftover is counted, and so is the table that it was made for.
    assert state.tables == tuple(
        Table(name, {"_alembic_tmp_book": 2, "book": 0}.get(name)) for name in names
    )
    assert state.leftovers == (Table("_alembic_tmp_book", 2),)
    assert state.version_rows == ("a1", "b2")
    assert state.journal == (
        JournalRow("revision", "a1", "upgrade", "s1", "f1", "c1", "", "h1"),
        JournalRow("deploy", "deploy", "", "s2", "", "", "production", ""),
    )
    assert state.environment == "production"


def test_a_database_without_tables_has_no_version_rows(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    state = read(target_of(tmp_path / "empty.db"))
    assert state.exists
    assert state.tables == ()
    assert state.version_rows is None


def test_another_version_table(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE Migrations (version_num); ")
    connection.close()
    state = read(target_of(path, version_table="migrations"))
    assert state.version_rows == ()
    assert [t.name for t in state.tables] == ["author", "book"]
    assert state.other_versions == ("alembic_version",)


def test_what_is_not_there_is_not_created(tmp_path: Path) -> None:
    state = read(target_of(tmp_path / "app.db"))
    assert not state.exists
    assert state.unreachable is None
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("wal", [False, True])
def test_reading_leaves_no_trace(tmp_path: Path, wal: bool) -> None:
    path = make(tmp_path / "app.db", wal=wal)
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert read(target_of(path)).version_rows == ("a1",)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert names_in(tmp_path) == ["app.db"]


def test_the_log_counts_as_size(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db", wal=True)
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO author (name) VALUES ('y')")
    connection.commit()
    log = tmp_path / "app.db-wal"
    assert read(target_of(path)).size == path.stat().st_size + log.stat().st_size
    connection.close()


@pytest.mark.parametrize("wal", [False, True])
def test_what_a_killed_writer_left_is_undone(tmp_path: Path, wal: bool) -> None:
    path = make(tmp_path / "app.db", rows=5000, wal=wal, width=200)
    killed = python(
        """
        import os, sqlite3, sys
        connection = sqlite3.connect(sys.argv[1])
        connection.execute("PRAGMA cache_size=5")
        connection.execute("UPDATE author SET name = 'half'")
        connection.execute("UPDATE alembic_version SET version_num = 'half'")
        os._exit(9)
        """,
        path,
    )
    killed.communicate()
    assert len(names_in(tmp_path)) > 1, "the writer must leave a journal or a log"
    state = read(target_of(path))
    assert state.unreachable is None
    assert state.version_rows == ("a1",)
    assert query(path, "SELECT count(*) FROM author WHERE name = 'half'") == [(0,)]


@pytest.mark.parametrize(
    "name",
    [
        "with space.db",
        "50%.db",
        "what?.db",
        "a#b.db",
        "größe-数据.db",
        "a&b=c;d.db",
        'it\'s "x".db',
    ],
)
def test_odd_paths(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / f"dir {name}" / name)
    state = read(target_of(path))
    assert state.location == str(path)
    assert state.version_rows == ("a1",)
    assert names_in(path.parent) == [name]


def test_a_link_is_resolved(tmp_path: Path) -> None:
    path = make(tmp_path / "real" / "app.db")
    (tmp_path / "link.db").symlink_to(path)
    assert read(target_of(tmp_path / "link.db")).location == str(path)


def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "app.db")
    monkeypatch.chdir(tmp_path)
    assert read(Target("", create_engine("sqlite:///app.db"))).location == str(path)


@pytest.mark.parametrize(
    ("url", "read_only"),
    [
        ("sqlite:///file:{path}?uri=true", False),
        ("sqlite:///file://{path}?uri=true", False),
        ("sqlite:///file://localhost{path}?uri=true&nolock=1", False),
        ("sqlite:///file:{path}?uri=true&mode=ro&timeout=3", True),
        ("sqlite:///file:{path}?uri=true&immutable=1", True),
    ],
)
def test_uris(tmp_path: Path, url: str, read_only: bool) -> None:
    path = make(tmp_path / "app.db")
    state = read(Target("", create_engine(url.format(path=path))))
    assert state.location == str(path)
    assert state.version_rows == ("a1",)
    assert state.read_only == read_only


def test_escapes_in_a_uri(tmp_path: Path) -> None:
    path = make(tmp_path / "50% #1.db")
    url = URL.create("sqlite", database=f"file:{tmp_path}/50%25 %231.db", query={"uri": "true"})
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM author").scalar() == 3
    assert read(Target("", engine)).location == str(path)
    engine.dispose()


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true"]
)
def test_memory_is_read_through_the_engine(url: str) -> None:
    engine = create_engine(url, poolclass=StaticPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('a1')")
        connection.exec_driver_sql("CREATE TABLE t (a)")
    state = read(Target("", engine))
    assert (state.location, state.name) == (":memory:", ":memory:")
    assert state.exists
    assert state.version_rows == ("a1",)
    assert state.tables == (Table("t"),)
    engine.dispose()


def test_a_creator_hides_a_file(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(path))
    state = read(Target("", engine))
    assert state.location == str(path)
    assert state.version_rows == ("a1",)
    engine.dispose()


def test_events_of_the_application_do_not_fire(tmp_path: Path) -> None:
    target = target_of(make(tmp_path / "app.db"))
    fired: list[str] = []
    event.listen(target.engine, "connect", lambda *_: fired.append("connect"))
    event.listen(target.engine, "begin", lambda *_: fired.append("begin"))
    read(target)
    assert fired == []


def _truncated_header(path: Path) -> None:
    make(path)
    content = bytearray(path.read_bytes())
    content[:16] = b"SQLite format 9\0"
    path.write_bytes(content)


def _damaged_schema(path: Path) -> None:
    make(path)
    content = bytearray(path.read_bytes())
    content[100:200] = b"\xff" * 100
    path.write_bytes(content)


def _text(path: Path) -> None:
    path.write_text("id,name\n1,x\n" * 100)


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.symlink_to(path)


def _other_version_table(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE alembic_version (number)")
    connection.close()


@pytest.mark.parametrize(
    ("prepare", "kind", "message", "hint"),
    [
        (_truncated_header, "not a database", 'File "{path}" is not an SQLite database', "file "),
        (_text, "not a database", 'File "{path}" is not an SQLite database', "file "),
        (_damaged_schema, "damaged", 'Database "{path}" is damaged', "flask db snapshots"),
        (_folder, "not a database", 'Database "{path}" is a folder', "SQLALCHEMY_DATABASE_URI"),
        (_pipe, "not a database", 'Database "{path}" is a device, pipe', "SQLALCHEMY"),
        (_loop, "unknown", 'Database "{path}" cannot be used', "ls -ld"),
        (_other_version_table, "unknown", 'Table "alembic_version"', "version_table="),
    ],
)
def test_bad_files(
    tmp_path: Path, prepare: Callable[[Path], None], kind: str, message: str, hint: str
) -> None:
    path = tmp_path / "app.db"
    prepare(path)
    state = read(target_of(path))
    assert state.unreachable is not None
    assert state.unreachable.kind == kind
    assert kind in UNREACHABLE_KINDS
    assert message.format(path=path) in state.unreachable.message
    assert hint in state.unreachable.hint
    assert state.version_rows is None


def test_missing_folder(tmp_path: Path) -> None:
    path = tmp_path / "in stance" / "data" / "app.db"
    state = read(target_of(path))
    assert state.unreachable is not None
    assert state.unreachable.kind == "missing folder"
    assert state.unreachable.message == (
        f'Folder "{path.parent}" of database "app.db" does not exist.'
    )
    assert state.unreachable.hint == f"mkdir -p '{path.parent}'"
    assert not state.exists
    assert names_in(tmp_path) == []


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "instance").touch()
    state = read(target_of(tmp_path / "instance" / "data" / "app.db"))
    assert state.unreachable is not None
    assert state.unreachable.kind == "missing folder"
    assert f'"{tmp_path / "instance"}", but that is a file' in state.unreachable.message
    assert state.unreachable.hint.startswith(f"mv {tmp_path / 'instance'} ")


def test_a_uri_that_forbids_to_create(tmp_path: Path) -> None:
    url = f"sqlite:///file:{tmp_path / 'app.db'}?uri=true&mode=rw"
    state = read(Target("", create_engine(url)))
    assert state.unreachable is not None
    assert state.unreachable.kind == "missing file"
    assert not state.exists


def test_a_locked_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "app.db")
    writer = python(
        """
        import sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        print("locked", flush=True)
        sys.stdin.readline()
        """,
        path,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "locked\n"
    monkeypatch.setattr(files, "BUSY_SECONDS", 0.2)
    state = read(target_of(path))
    assert state.unreachable is not None
    assert state.unreachable.kind == "locked"
    assert f'Database "{path}" is locked by python' in state.unreachable.message
    assert f"(pid {writer.pid})" in state.unreachable.message
    assert "fuser -v" in state.unreachable.hint
    writer.communicate("\n")
    assert read(target_of(path)).unreachable is None


def _seen(path: Path) -> str:
    state = read(target_of(path))
    if state.unreachable is not None:
        return f"{state.unreachable.kind}: {state.unreachable.message}"
    return f"{state.version_rows} read_only={state.read_only} {names_in(path.parent)}"


def test_a_file_of_another_user(open_folder: Path) -> None:
    path = make(open_folder / "app.db")
    path.chmod(0o600)
    if os.geteuid() != 0:
        path.chmod(0)
    seen = as_nobody(lambda: _seen(path))
    assert seen.startswith(f'missing privilege: Database "{path}" may not be read by user ')


def test_a_folder_that_may_not_be_entered(open_folder: Path) -> None:
    path = make(open_folder / "closed" / "app.db")
    path.parent.chmod(0o700 if os.geteuid() == 0 else 0)
    seen = as_nobody(lambda: _seen(path))
    path.parent.chmod(0o755)
    assert seen.startswith(f'missing privilege: Database "{path}" may not be read by user ')


@pytest.mark.parametrize("wal", [False, True])
def test_a_read_only_folder(open_folder: Path, wal: bool) -> None:
    path = make(open_folder / "closed" / "app.db", wal=wal)
    path.parent.chmod(0o555)
    seen = as_nobody(lambda: _seen(path))
    path.parent.chmod(0o755)
    assert seen == "('a1',) read_only=True ['app.db']"


def test_a_read_only_file(open_folder: Path) -> None:
    path = make(open_folder / "app.db")
    path.chmod(0o444)
    seen = as_nobody(lambda: _seen(path))
    assert seen == "('a1',) read_only=True ['app.db']"


def _why(path: Path) -> str:
    refuses = read(target_of(path)).refuses
    return f"{refuses.message} {refuses.hint}" if refuses else ""


def test_why_it_cannot_be_written(open_folder: Path) -> None:
    path = make(open_folder / "closed" / "app.db")
    assert _why(path) == ""
    path.chmod(0o444)
    seen = as_nobody(lambda: _why(path))
    assert "can be read, but not written: the file belongs to " in seen
    assert "or chown " in seen
    path.chmod(0o666)
    path.parent.chmod(0o555)
    seen = as_nobody(lambda: _why(path))
    path.parent.chmod(0o755)
    assert f'its folder "{path.parent}", where SQLite must make its journal, belongs to' in seen


def test_a_url_that_forbids_to_write(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    engine = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    refuses = read(Target("", engine)).refuses
    engine.dispose()
    assert refuses is not None
    assert "the database URL says so" in refuses.message


def test_a_log_in_use_in_a_read_only_folder(open_folder: Path) -> None:
    path = make(open_folder / "closed" / "app.db", wal=True)
    writer = sqlite3.connect(path)
    writer.execute("UPDATE alembic_version SET version_num = 'b2'")
    writer.commit()
    path.parent.chmod(0o555)
    seen = as_nobody(lambda: _seen(path))
    path.parent.chmod(0o755)
    assert seen.startswith("('b2',) read_only=True ")
    writer.close()


def test_a_crash_in_a_read_only_folder_is_not_read_as_if_whole(open_folder: Path) -> None:
    path = make(open_folder / "closed" / "app.db", rows=5000, width=200)
    killed = python(
        """
        import os, sqlite3, sys
        connection = sqlite3.connect(sys.argv[1])
        connection.execute("PRAGMA cache_size=5")
        connection.execute("UPDATE author SET name = 'half'")
        os._exit(9)
        """,
        path,
    )
    killed.communicate()
    path.parent.chmod(0o555)
    path.chmod(0o444)
    (path.parent / "app.db-journal").chmod(0o444)
    seen = as_nobody(lambda: _seen(path))
    path.parent.chmod(0o755)
    assert seen.startswith("read-only: ")
    assert "was left in the middle of a change" in seen


def test_explain_reads_the_errors_of_sqlalchemy(tmp_path: Path) -> None:
    target = target_of(tmp_path / "gone" / "app.db")
    with pytest.raises(Exception, match="unable to open") as caught:
        target.engine.connect()
    reason = explain(caught.value, target)
    assert reason.kind == "missing folder"
    assert str(tmp_path / "gone") in reason.message


def test_explain_a_full_disk(tmp_path: Path) -> None:
    target = target_of(make(tmp_path / "app.db"))
    reason = explain(sqlite3.OperationalError("database or disk is full"), target)
    assert "the disk is full" in reason.message
    assert reason.hint.startswith("df -h ")
    reason = explain(OSError(28, "No space left on device"), target)
    assert "the disk is full" in reason.message


def test_a_library_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[read.__module__], "OLDEST", (99, 1))
    why = read(target_of(make(tmp_path / "app.db"))).unreachable
    assert why is not None
    assert why.kind == "too old"
    assert f"is version {sqlite3.sqlite_version}; 99.1 is the oldest" in why.message
