"""Dumps of MariaDB and MySQL: equality, the rehearsal, credentials, tools."""

from __future__ import annotations

import gzip
import os
import re
import secrets
import shutil
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL

from flask_safemigrate.backends import scratch_names
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.mysql import BACKEND
from flask_safemigrate.backends.mysql.programs import Server, option_file, trust_of
from flask_safemigrate.backends.mysql.snapshot import Dump, inspect
from flask_safemigrate.errors import HalfApplied, SnapshotFailed
from flask_safemigrate.outcome import Progress
from tests.support.sql import run, script, value

RICH = (
    "CREATE TABLE person (id INTEGER PRIMARY KEY AUTO_INCREMENT, name VARCHAR(50) "
    "CHARACTER SET latin1 COLLATE latin1_german2_ci NOT NULL, feeling ENUM('sad', 'ok') "
    "DEFAULT 'ok', upper_name VARCHAR(60) GENERATED ALWAYS AS (upper(name)) STORED, "
    "data LONGBLOB, emoji VARCHAR(20) CHARACTER SET utf8mb4, seen TIMESTAMP NULL, "
    "amount DECIMAL(20, 6), CONSTRAINT named CHECK (length(name) > 1), UNIQUE (name)) "
    "AUTO_INCREMENT = 1000 COMMENT = 'it''s; a comment'",
    "CREATE TABLE pet (id BIGINT PRIMARY KEY, owner INTEGER NOT NULL, "
    "FOREIGN KEY (owner) REFERENCES person (id) ON DELETE CASCADE)",
    "CREATE TABLE `odd %s: name` (`a ``b` INTEGER)",
    "CREATE FUNCTION shout(t TEXT) RETURNS TEXT DETERMINISTIC RETURN concat(upper(t), '!')",
    "CREATE PROCEDURE nothing(IN a INTEGER)\r\nBEGIN\r\n  SELECT 1;\r\n  SELECT 2;\r\nEND",
    "CREATE TRIGGER stamp BEFORE INSERT ON person FOR EACH ROW "
    "BEGIN SET NEW.name = concat(NEW.name, '+'); END",
    "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM pet",
    "CREATE VIEW loud AS SELECT id, shout(name) AS name FROM person",
    "INSERT INTO person (name, data, emoji, seen, amount) VALUES "
    "('Ümläut', 0x00FF270A5C1A0D0A, '🦆', '2024-03-31 01:30:00', 1.5), "
    "('zwei', NULL, NULL, NULL, NULL)",
    "INSERT INTO pet VALUES (1, 1000), (2, 1001)",
)
MARIADB_ONLY = (
    "CREATE SEQUENCE numbers START 50 INCREMENT 7 NOCACHE",
    "DO nextval(numbers)",
    "CREATE TABLE tracked (id INTEGER PRIMARY KEY, n INTEGER) WITH SYSTEM VERSIONING",
    "INSERT INTO tracked VALUES (1, 1)",
    "UPDATE tracked SET n = 2",
)


def quiet(progress: Progress) -> None:
    assert progress.stage in ("dumping", "restoring")


def dumped(url: URL, *, history: bool = False) -> str:
    """The whole database as SQL, without what differs from one call to the next."""
    tool = shutil.which("mariadb-dump") or shutil.which("mysqldump")
    assert tool
    done = subprocess.run(
        [
            *(tool, "-h", str(url.host), "-P", str(url.port), f"-u{url.username}"),
            *("--routines", "--events", "--hex-blob", "--single-transaction"),
            *(["--dump-history"] if history else []),
            str(url.database),
        ],
        env={**os.environ, "MYSQL_PWD": url.password or ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return re.sub(r"^-- (Dump completed on|Host:).*$", "", done.stdout, flags=re.MULTILINE)


@pytest.fixture
def target(mysql_url: str) -> Iterator[Target]:
    engine = create_engine(mysql_url)
    yield Target("", engine)
    engine.dispose()


@pytest.fixture
def mariadb(target: Target) -> bool:
    return "mariadb" in str(value(target.engine.url, "SELECT version()")).lower()


def test_restored_database_equals_the_original(
    target: Target, tmp_path: Path, mariadb: bool, scratch_name: str
) -> None:
    url = target.engine.url
    run(url, *RICH, *(MARIADB_ONLY if mariadb else ()))
    before = dumped(url, history=mariadb)
    assert "CREATE DEFINER" in before
    path = tmp_path / "x.sql.gz"
    BACKEND.take(target, path, quiet)
    run(
        url,
        "DROP VIEW loud",
        "DROP TABLE pet",
        "DELETE FROM person WHERE id = 1000",
        "DROP TRIGGER stamp",
        "DROP FUNCTION shout",
        "CREATE TABLE newer (id INTEGER, p INTEGER, FOREIGN KEY (p) REFERENCES person (id))",
        "CREATE VIEW newer_view AS SELECT * FROM newer",
        "CREATE PROCEDURE newer_routine() SELECT 1",
        "CREATE EVENT newer_event ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1",
        *(["DO nextval(numbers)"] if mariadb else []),
    )
    assert dumped(url, history=mariadb) != before
    BACKEND.put_back(target, path, quiet)
    assert dumped(url, history=mariadb) == before
    run(url, "INSERT INTO person (name) VALUES ('drei')")
    assert value(url, "SELECT max(id) FROM person") == 1002
    assert value(url, "SELECT name FROM loud WHERE id = 1002") == "DREI+!"
    if mariadb:
        assert value(url, "SELECT nextval(numbers)") == 57
        assert value(url, "SELECT count(*) FROM tracked FOR SYSTEM_TIME ALL") == 2
    assert not has_database(url, scratch_name)


@pytest.fixture(autouse=True)
def scratch_name(monkeypatch: pytest.MonkeyPatch) -> str:
    """Other tests have scratch databases on the server at the same time."""
    name = scratch_names.new_name()
    monkeypatch.setattr("flask_safemigrate.backends.scratch_names.new_name", lambda: name)
    return name


def in_c(target: Target) -> bool:
    """Whether the driver shares the programs' C library."""
    return target.engine.dialect.driver in ("mysqldb", "mariadbconnector")


def file_word(target: Target) -> str:
    """The driver's parameter that names an option file."""
    words = {"mysqlconnector": "option_files", "mariadbconnector": "default_file"}
    return words.get(target.engine.dialect.driver, "read_default_file")


def has_database(url: URL, name: str) -> bool:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return name in connection.execute(text("SHOW DATABASES")).scalars().all()
    finally:
        engine.dispose()


def test_tables_without_transactions_are_locked(target: Target, tmp_path: Path) -> None:
    url = target.engine.url
    run(url, "CREATE TABLE old (id INTEGER) ENGINE = MyISAM", "INSERT INTO old VALUES (1), (2)")
    path = tmp_path / "x.sql.gz"
    BACKEND.take(target, path, quiet)
    run(url, "DELETE FROM old")
    BACKEND.put_back(target, path, quiet)
    assert value(url, "SELECT count(*) FROM old") == 2


def test_dump_that_cannot_be_loaded_changes_nothing(
    target: Target, tmp_path: Path, scratch_name: str
) -> None:
    url = target.engine.url
    run(url, "CREATE TABLE a (id INTEGER PRIMARY KEY)", "INSERT INTO a VALUES (1)")
    path = tmp_path / "x.sql.gz"
    BACKEND.take(target, path, quiet)
    content = gzip.decompress(path.read_bytes()).replace(b"(1);", b"(1),(1);")
    path.write_bytes(gzip.compress(content))
    BACKEND.check(path)
    run(url, "CREATE TABLE b (id INTEGER)", "INSERT INTO b VALUES (7)")
    before = dumped(url)
    with pytest.raises(SnapshotFailed, match=r"ERROR \d+"):
        BACKEND.put_back(target, path, quiet)
    assert dumped(url) == before
    assert not has_database(url, scratch_name)


def test_lock_of_another_session_changes_nothing(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_safemigrate.backends.mysql.wipe.LOCK_SECONDS", 1)
    url = target.engine.url
    run(url, "CREATE TABLE a (id INTEGER PRIMARY KEY)", "CREATE TABLE b (id INTEGER)")
    path = tmp_path / "x.sql.gz"
    BACKEND.take(target, path, quiet)
    run(url, "INSERT INTO a VALUES (7)")
    before = dumped(url)
    with target.engine.begin() as connection:
        connection.execute(text("SELECT * FROM a"))
        with pytest.raises(SnapshotFailed, match="Another session locks"):
            BACKEND.put_back(target, path, quiet)
    assert dumped(url) == before


@pytest.fixture
def narrow(target: Target) -> Iterator[Target]:
    """The usual case in production: a user with all rights in one database and no others."""
    admin = target.engine.url
    user, password = f"u{secrets.token_hex(6)}", "p\"a s\\s#w'%3;rd"
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    run(
        admin,
        f"CREATE USER '{user}'@'%' IDENTIFIED BY '{quoted}'",
        f"GRANT ALL ON `{admin.database}`.* TO '{user}'@'%'",
    )
    engine = create_engine(admin.set(username=user, password=password))
    yield Target("", engine)
    engine.dispose()
    run(admin, f"DROP USER '{user}'@'%'")


def test_user_of_one_database_can_do_it(
    narrow: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the password, which has every character that option files give a meaning to."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".my.cnf").write_text("[client]\npassword=wrong\nuser=nobody\n")
    url = narrow.engine.url
    run(url, "CREATE TABLE a (id INTEGER PRIMARY KEY)", "INSERT INTO a VALUES (1)")
    path = tmp_path / "x.sql.gz"
    BACKEND.take(narrow, path, quiet)
    run(url, "DROP TABLE a", "CREATE TABLE b (id INTEGER)")
    told: list[Progress] = []
    BACKEND.put_back(narrow, path, told.append)
    assert value(url, "SELECT id FROM a") == 1
    assert [t.name for t in BACKEND.read(narrow).tables] == ["a"]
    assert any("not rehearsed" in p.text for p in told)


def test_failure_without_a_rehearsal_needs_a_person(narrow: Target, tmp_path: Path) -> None:
    url = narrow.engine.url
    run(url, "CREATE TABLE a (id INTEGER PRIMARY KEY)", "INSERT INTO a VALUES (1)")
    path = tmp_path / "x.sql.gz"
    BACKEND.take(narrow, path, quiet)
    content = gzip.decompress(path.read_bytes()).replace(b"(1);", b"(1),(1);")
    path.write_bytes(gzip.compress(content))
    with pytest.raises(HalfApplied, match="only in part") as caught:
        BACKEND.put_back(narrow, path, quiet)
    assert caught.value.hint.startswith("flask db restore x ")
    state = BACKEND.read(narrow)
    assert state.unreachable is not None
    assert state.unreachable.kind == "half restored"
    assert state.unreachable.hint.startswith("flask db restore x ")
    path.write_bytes(gzip.compress(content.replace(b"(1),(1);", b"(1);")))
    BACKEND.put_back(narrow, path, quiet)
    state = BACKEND.read(narrow)
    assert state.unreachable is None
    assert [table.name for table in state.tables] == ["a"]
    assert str(url.password) not in f"{caught.value}{caught.value.hint}"


def test_missing_tool_names_its_package(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SnapshotFailed, match="dump") as caught:
        BACKEND.take(target, tmp_path / "x.sql.gz", quiet)
    assert "-client" in str(caught.value.hint)
    assert not (tmp_path / "x.sql.gz").exists()


def test_password_travels_in_a_private_file_only(
    narrow: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the program writes down how it was called, then fails with the password."""
    password = str(narrow.engine.url.password)
    (tmp_path / "password").write_text(password)
    body = (
        f'[ "$1" = --version ] && exec echo stand-in; echo "$@" > {tmp_path}/arguments; '
        f"env > {tmp_path}/environment; stat -L -c %a ${{1#--defaults-file=}} > {tmp_path}/mode; "
        f"cat ${{1#--defaults-file=}} > {tmp_path}/options; "
        f'echo "using password $(cat {tmp_path}/password)" >&2; exit 2'
    )
    for name in ("mariadb-dump", "mysqldump"):
        script(tmp_path / "bin", name, body)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    path = tmp_path / "x.sql.gz"
    with pytest.raises(SnapshotFailed, match=r"using password \*\*\*") as caught:
        BACKEND.take(narrow, path, quiet)
    assert password not in caught.value.message
    assert password not in (tmp_path / "arguments").read_text()
    assert password not in (tmp_path / "environment").read_text()
    assert (tmp_path / "mode").read_text().strip() == "600"
    assert 'password="' in (tmp_path / "options").read_text()
    assert not path.exists()
    option_file = (tmp_path / "arguments").read_text().split()[0].partition("=")[2]
    assert option_file.startswith("/dev/fd/"), "it has a name that a kill would leave behind"


def test_program_that_ends_early_is_found_out(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mariadb-dump", "mysqldump"):
        script(tmp_path / "bin", name, "echo 'CREATE TABLE a (id INTEGER);'")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    path = tmp_path / "x.sql.gz"
    with pytest.raises(SnapshotFailed, match="ended early"):
        BACKEND.take(target, path, quiet)
    assert not path.exists()


def test_file_is_the_owners_only_whatever_the_umask(target: Target, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        BACKEND.take(target, tmp_path / "x.sql.gz", quiet)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "x.sql.gz").stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", ["flip", "empty", "not gzip", "no trailer"])
def test_damage_is_found(target: Target, tmp_path: Path, damage: str) -> None:
    values = ", ".join(f"({n}, left(sha2({n}, 256), 32))" for n in range(3000))
    run(
        target.engine.url,
        "CREATE TABLE a (id INTEGER, t VARCHAR(50))",
        f"INSERT INTO a VALUES {values}",
    )
    path = tmp_path / "x.sql.gz"
    BACKEND.take(target, path, quiet)
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]
    path.write_bytes(
        {
            "flip": flipped,
            "empty": b"",
            "not gzip": b"SELECT 1;\n-- Dump completed\n",
            "no trailer": gzip.compress(gzip.decompress(content)[:-200]),
        }[damage]
    )
    with pytest.raises(SnapshotFailed, match="damaged"):
        BACKEND.check(path)


def test_what_another_user_defined_becomes_the_restorers(
    narrow: Target, target: Target, tmp_path: Path, mariadb: bool
) -> None:
    """As an administrator makes a trigger, a view or a routine in the application's database."""
    admin, url = target.engine.url, narrow.engine.url
    run(
        url,
        "CREATE TABLE a (id INTEGER PRIMARY KEY, t VARCHAR(99))",
        "INSERT INTO a VALUES (1, 'CREATE DEFINER=`root`@`localhost` VIEW x')",
        "CREATE TABLE b (id INTEGER)",
    )
    run(
        admin,
        "CREATE TRIGGER lower_a BEFORE UPDATE ON a FOR EACH ROW SET NEW.t = lower(NEW.t)",
        *(["CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM b"] if mariadb else []),
        "CREATE FUNCTION f() RETURNS TEXT DETERMINISTIC\n"
        "BEGIN\n"
        "  -- said\n"
        "  RETURN '\nCREATE DEFINER=`root`@`localhost` FUNCTION x';\n"
        "END",
    )
    me = str(value(url, "SELECT current_user()"))
    reading = "SELECT ON mysql.proc" if mariadb else "SHOW_ROUTINE ON *.*"
    run(admin, f"GRANT {reading} TO '{url.username}'@'%'")
    path = tmp_path / "x.sql.gz"
    told: list[Progress] = []
    BACKEND.take(narrow, path, told.append)
    assert any("trigger lower_a of" in p.text for p in told)
    body = value(
        admin,
        "SELECT routine_definition FROM information_schema.routines "
        "WHERE routine_schema = database() AND routine_name = 'f'",
    )
    # MySQL lets no lesser user drop what an account with SYSTEM_USER has defined.
    run(admin, "DROP TRIGGER lower_a", "DELETE FROM a", "DROP FUNCTION f")
    BACKEND.put_back(narrow, path, told.append)
    assert any("becomes this user's" in p.text for p in told)
    assert value(url, "SELECT t FROM a") == "CREATE DEFINER=`root`@`localhost` VIEW x"
    names = ["triggers WHERE trigger", "routines WHERE routine"]
    for each in (*names, *(["events WHERE event"] if mariadb else [])):
        query = f"SELECT definer FROM information_schema.{each}_schema = database()"
        assert value(url, query) == me
    assert body == value(
        admin,
        "SELECT routine_definition FROM information_schema.routines "
        "WHERE routine_schema = database() AND routine_name = 'f'",
    )
    # Who may, gets them back as they were.
    BACKEND.put_back(target, path, quiet)
    query = "SELECT definer FROM information_schema.triggers WHERE trigger_schema = database()"
    assert str(value(admin, query)).startswith("root@")


def test_what_this_user_may_not_make_is_found_before_anything_goes(
    narrow: Target, target: Target, tmp_path: Path
) -> None:
    admin, url = target.engine.url, narrow.engine.url
    run(
        url,
        "CREATE TABLE a (id INTEGER PRIMARY KEY)",
        "INSERT INTO a VALUES (1)",
        "CREATE TRIGGER tr BEFORE INSERT ON a FOR EACH ROW SET NEW.id = NEW.id + 1",
    )
    path = tmp_path / "x.sql.gz"
    BACKEND.take(narrow, path, quiet)
    run(admin, f"REVOKE TRIGGER ON `{admin.database}`.* FROM '{url.username}'@'%'")
    before = dumped(admin)
    with pytest.raises(SnapshotFailed, match="Nothing was dropped"):
        BACKEND.put_back(narrow, path, quiet)
    assert dumped(admin) == before
    assert BACKEND.read(narrow).unreachable is None


@pytest.mark.parametrize("privilege", ["DROP", "CREATE", "TRIGGER", "LOCK TABLES"])
def test_no_snapshot_is_promised_that_this_user_could_not_put_back(
    narrow: Target, target: Target, tmp_path: Path, privilege: str
) -> None:
    """Without TRIGGER a dump has no triggers, and without DROP a try would stay."""
    admin, url = target.engine.url, narrow.engine.url
    run(
        admin,
        "CREATE TABLE a (id INTEGER PRIMARY KEY)",
        "INSERT INTO a VALUES (1)",
        "CREATE TRIGGER tr BEFORE INSERT ON a FOR EACH ROW SET NEW.id = NEW.id + 1",
    )
    whole, path = tmp_path / "whole.sql.gz", tmp_path / "x.sql.gz"
    BACKEND.take(target, whole, quiet)
    run(admin, f"REVOKE {privilege} ON `{admin.database}`.* FROM '{url.username}'@'%'")
    before = dumped(admin)
    for verb in (
        lambda: BACKEND.foresee(narrow),
        lambda: BACKEND.take(narrow, path, quiet),
        lambda: BACKEND.put_back(narrow, whole, quiet),
    ):
        with pytest.raises(SnapshotFailed, match=f"may not use {privilege} in") as caught:
            verb()
        assert caught.value.hint == (
            f"as an administrator: GRANT {privilege} ON `{admin.database}`.* TO "
            f"'{url.username}'@'%';"
        )
    assert not path.exists()
    assert dumped(admin) == before
    run(admin, f"GRANT {privilege} ON `{admin.database}`.* TO '{url.username}'@'%'")
    BACKEND.take(narrow, path, quiet)


@pytest.fixture
def elsewhere(target: Target) -> Iterator[URL]:
    """Another database of the server, with a table of the same name."""
    url = target.engine.url
    other = url.set(database=f"{url.database}_other")
    run(url, f"CREATE DATABASE {other.database}")
    run(other, "CREATE TABLE a (id INTEGER)", "INSERT INTO a VALUES (1), (2), (3)")
    yield other
    run(url, f"DROP DATABASE {other.database}")


def test_the_environment_does_not_lead_the_programs_elsewhere(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = target.engine.url
    run(url, "CREATE TABLE a (id INTEGER)", "INSERT INTO a VALUES (7)")
    mine = tmp_path / "my.cnf"
    mine.write_text(
        "[client]\nhost=nowhere\n[mysqldump]\nno-data\nhost=nowhere\n[mariadb-dump]\nno-data\n"
    )
    for name, words in {
        "MYSQL_HOST": "nowhere",
        "MYSQL_TCP_PORT": "1",
        "MYSQL_UNIX_PORT": "/nowhere",
        "MYSQL_PWD": "wrong",
        "MYSQL_HOME": str(tmp_path),
        "MYSQL_GROUP_SUFFIX": "_x",
        "MYSQL_TEST_LOGIN_FILE": str(mine),
        "MARIADB_TLS_DISABLE_PEER_VERIFICATION": "1",
        "HOME": str(tmp_path),
    }.items():
        # Drivers in C take the password from there themselves.
        if name != "MYSQL_PWD" or not in_c(target):
            monkeypatch.setenv(name, words)
    # A file that the application's driver reads is not the programs' to read.
    engine = create_engine(url, connect_args={file_word(target): str(mine)})
    path = tmp_path / "x.sql.gz"
    BACKEND.take(Target("", engine), path, quiet)
    run(url, "DELETE FROM a")
    BACKEND.put_back(Target("", engine), path, quiet)
    engine.dispose()
    assert value(url, "SELECT id FROM a") == 7


@pytest.mark.parametrize("where", ["environment", "passwd", "file"])
def test_the_programs_have_the_password_that_the_driver_has(
    target: Target, narrow: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where != "file" and not in_c(narrow):
        pytest.skip("a driver in Python does not look there")
    url = narrow.engine.url.set(password="plain7")
    run(
        target.engine.url,
        f"ALTER USER '{url.username}'@'%' IDENTIFIED BY 'plain7'",
        "CREATE TABLE a (id INTEGER)",
        "INSERT INTO a VALUES (7)",
    )
    file = tmp_path / "my.cnf"
    file.write_text("[client]\npassword=plain7\n")
    arguments, environment = {
        "environment": ({}, "plain7"),
        "passwd": ({"passwd": "plain7"}, "wrong"),
        "file": ({file_word(narrow): str(file)}, None),
    }[where]
    bare = URL.create(url.drivername, url.username, None, url.host, url.port, url.database)
    engine = create_engine(bare, connect_args=arguments)
    path = tmp_path / "x.sql.gz"
    with monkeypatch.context() as context:
        if environment:
            context.setenv("MYSQL_PWD", environment)
        BACKEND.take(Target("", engine), path, quiet)
        run(url, "DELETE FROM a")
        BACKEND.put_back(Target("", engine), path, quiet)
    engine.dispose()
    assert value(url, "SELECT id FROM a") == 7


def test_a_program_that_is_led_elsewhere_does_nothing(
    target: Target, elsewhere: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = target.engine.url
    run(url, "CREATE TABLE a (id INTEGER)", "INSERT INTO a VALUES (7)")
    path = tmp_path / "x.sql.gz"
    BACKEND.take(target, path, quiet)
    for name in ("mariadb", "mysql"):
        real = shutil.which(name) or shutil.which("mariadb")
        script(
            tmp_path / "bin",
            name,
            f'case "$1" in --version|--help) exec {real} "$1";; esac\n'
            'for a; do shift; case "$a" in --database=*) '
            f'a=--database={elsewhere.database};; esac; set -- "$@" "$a"; done; exec {real} "$@"',
        )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(SnapshotFailed, match="reached another server, user or database"):
        BACKEND.take(target, tmp_path / "y.sql.gz", quiet)
    assert not (tmp_path / "y.sql.gz").exists()
    with pytest.raises(SnapshotFailed, match="reached another server, user or database"):
        BACKEND.put_back(target, path, quiet)
    assert value(elsewhere, "SELECT count(*) FROM a") == 3
    assert value(url, "SELECT id FROM a") == 7


def test_comments_in_routines_come_back(target: Target, tmp_path: Path) -> None:
    url = target.engine.url
    body = "BEGIN\r\n SELECT x; -- 'q'\r\n /* all */ SELECT 2; # end\nEND"
    run(url, f"CREATE PROCEDURE pr(IN x INTEGER) {body}")
    path = tmp_path / "x.sql.gz"
    BACKEND.take(target, path, quiet)
    BACKEND.put_back(target, path, quiet)
    query = (
        "SELECT routine_definition FROM information_schema.routines "
        "WHERE routine_schema = database()"
    )
    assert value(url, query) == body


def test_a_client_that_knows_no_sandbox_is_spared_it(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = target.engine.url
    run(url, "CREATE TABLE a (id INTEGER)", "INSERT INTO a VALUES (7)")
    path = tmp_path / "x.sql.gz"
    BACKEND.take(target, path, quiet)
    first = b"/*M!999999\\- enable the sandbox mode */ \n"
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(first + content.removeprefix(first)))
    for name in ("mariadb", "mysql"):
        real = shutil.which(name) or shutil.which("mariadb")
        script(
            tmp_path / "bin",
            name,
            f'case "$1" in --help) exit;; --version) exec {real} --version;; esac\n'
            f'tee -a {tmp_path}/script | {real} "$@"',
        )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    BACKEND.put_back(target, path, quiet)
    assert "sandbox" not in (tmp_path / "script").read_text(errors="replace")
    assert value(url, "SELECT id FROM a") == 7


def test_contents_are_more_than_tables(target: Target, mariadb: bool) -> None:
    url = target.engine.url
    assert BACKEND.contents(target) == ()
    cases = [
        ("FUNCTION f() RETURNS INTEGER DETERMINISTIC RETURN 1", "FUNCTION f"),
        ("PROCEDURE p() SELECT 1", "PROCEDURE p"),
        ("VIEW v AS SELECT 1", "VIEW v"),
        ("EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO DO 0", "EVENT e"),
        *([("SEQUENCE s", "SEQUENCE s")] if mariadb else []),
    ]
    for made, gone in cases:
        run(url, f"CREATE {made}")
        assert len(BACKEND.contents(target)) == 1, made
        run(url, f"DROP {gone}")
        assert BACKEND.contents(target) == (), gone


@pytest.mark.parametrize(
    ("parameters", "driver", "trust"),
    [
        ({}, "pymysql", ""),
        ({"ssl": {"ca": "/ca"}}, "pymysql", "name"),
        ({"ssl": {"ca": "/ca", "check_hostname": True}}, "pymysql", "name"),
        ({"ssl": {"ca": "/ca", "check_hostname": False}}, "pymysql", "chain"),
        ({"ssl": {"ca": "/ca", "verify_mode": "none", "check_hostname": False}}, "pymysql", "any"),
        ({"ssl": {"cert": "/c"}}, "pymysql", "any"),
        ({"ssl_ca": "/ca"}, "pymysql", "any"),
        ({"ssl_ca": "/ca", "ssl_verify_cert": True}, "pymysql", "chain"),
        ({"ssl_ca": "/ca", "ssl_verify_identity": "true"}, "pymysql", "name"),
        ({"ssl_disabled": True}, "pymysql", "off"),
        ({"ssl": ssl.create_default_context()}, "pymysql", "name"),
        ({"ssl": {"ca": "/ca"}}, "mysqldb", "any"),
        ({"ssl_mode": "VERIFY_IDENTITY"}, "mysqldb", "name"),
        ({"ssl_mode": "VERIFY_CA"}, "mysqldb", "chain"),
        ({"ssl_mode": "DISABLED"}, "mysqldb", "off"),
        ({"ssl_verify_cert": True}, "mariadbconnector", "name"),
        ({"ssl_ca": "/ca", "ssl_verify_identity": True}, "mysqlconnector", "name"),
    ],
)
def test_as_much_of_the_certificate_is_looked_at(
    parameters: dict[str, Any], driver: str, trust: str
) -> None:
    given = parameters.get("ssl")
    flat = {f"ssl_{k}": v for k, v in given.items()} if isinstance(given, dict) else {}
    flat |= parameters
    assert trust_of(flat, driver) == trust
    for program, words in ((True, "ssl-verify-server-cert\n"), (False, "VERIFY_")):
        server = Server(flat, driver, trust_of(flat, driver), "", "db", True, "")
        written = option_file(server, mariadb_program=program).replace("skip-ssl-verify", "")
        assert (words in written) == (trust in ("name", "chain"))


def test_what_this_user_may_not_drop_is_found_first(
    narrow: Target, target: Target, tmp_path: Path, mariadb: bool
) -> None:
    if mariadb:
        pytest.skip("MariaDB lets a user with ALTER ROUTINE drop what root has defined")
    url = narrow.engine.url
    run(url, "CREATE TABLE a (id INTEGER)", "INSERT INTO a VALUES (1)")
    path = tmp_path / "x.sql.gz"
    BACKEND.take(narrow, path, quiet)
    run(target.engine.url, "CREATE FUNCTION f() RETURNS INTEGER DETERMINISTIC RETURN 1")
    with pytest.raises(SnapshotFailed, match="Nothing was dropped") as caught:
        BACKEND.put_back(narrow, path, quiet)
    assert "SYSTEM_USER" in str(caught.value.hint)
    assert value(url, "SELECT id FROM a") == 1
    assert BACKEND.read(narrow).unreachable is None


@pytest.mark.parametrize(
    ("complaint", "hint"),
    [
        ("Access denied for user 'few'@'localhost' to database", "TO 'few'@'localhost';"),
        ("SHOW VIEW command denied to user 'few'@'10.%' for table 'v'", "TO 'few'@'10.%';"),
        ("few has insufficient privileges to SHOW CREATE FUNCTION `f`!", "SELECT ON mysql.proc"),
    ],
)
def test_a_privilege_that_is_missing_is_named(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaint: str, hint: str
) -> None:
    for name in ("mariadb-dump", "mysqldump"):
        script(tmp_path / "bin", name, f'[ "$1" = --version ] || echo "{complaint}" >&2; exit 2')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(SnapshotFailed) as caught:
        BACKEND.take(target, tmp_path / "x.sql.gz", quiet)
    assert hint in str(caught.value.hint)
    assert "GRANT ALL" not in str(caught.value.hint)


def test_what_a_dump_holds(tmp_path: Path) -> None:
    path = tmp_path / "x.sql.gz"
    head = b"-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB\n"
    table = b"CREATE TABLE `a` (\n  `g` int(11) GENERATED ALWAYS AS (`b` + 1) STORED\n);\n"
    rows = b"INSERT INTO `a` VALUES ('DELIMITER ;;\\nCREATE DEFINER=`x`@`y` FUNCTION');\n"
    trigger = (
        b"DELIMITER ;;\n/*!50003 CREATE*/ /*!50017 DEFINER=`ro``ot`@`%`*/ /*!50003 TRIGGER t\n"
    )
    path.write_bytes(gzip.compress(head + table + rows + trigger + b"-- Dump completed\n"))
    with path.open("rb") as file:
        found = inspect(path, file)
    assert found == Dump(frozenset([b"`ro``ot`@`%`"]), frozenset(["TRIGGER"]), True, True)
    path.write_bytes(gzip.compress(b"-- MySQL dump 10.13\n" + rows + b"-- Dump completed\n"))
    with path.open("rb") as file:
        assert inspect(path, file) == Dump(frozenset(), frozenset(), False, False)
