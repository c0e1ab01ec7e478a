"""Facts of MariaDB and MySQL, and every reason why they cannot be read."""

from __future__ import annotations

import gc
import os
import secrets
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.mysql import BACKEND, address
from flask_safemigrate.backends.mysql.programs import connected
from flask_safemigrate.backends.mysql.scratch import scratch
from flask_safemigrate.backends.mysql.wipe import drop_everything
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.errors import SafeMigrateError
from flask_safemigrate.facts.database import Unreachable
from tests.support.fake_servers import mysql_refusal, silent

SECRET = "s3cret-word"


@pytest.fixture
def engine(mysql_url: str) -> Iterator[Engine]:
    engine = create_engine(mysql_url, poolclass=NullPool)
    yield engine
    engine.dispose()


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement.replace(":", "\\:")))


def test_tables_and_estimates(engine: Engine) -> None:
    rows = ", ".join(f"({n})" for n in range(500))
    run(
        engine,
        "CREATE TABLE `Odd %s: one` (n INTEGER)",
        f"INSERT INTO `Odd %s: one` VALUES {rows}",
        "CREATE TABLE alembic_version (version_num VARCHAR(32))",
        "INSERT INTO alembic_version VALUES ('b'), ('a')",
        "CREATE VIEW seen AS SELECT 1",
        "ANALYZE TABLE `Odd %s: one`",
    )
    state = BACKEND.read(Target("", engine))
    assert state.unreachable is None
    assert [(t.name, t.rows, t.exact) for t in state.tables] == [("Odd %s: one", 500, False)]
    assert state.version_rows == ("a", "b")
    assert state.dialect in ("mysql", "mariadb")
    assert (state.dialect == "mariadb") == ("mariadb" in state.server.lower())
    assert state.location == f"{engine.url.host}:{engine.url.port}/{engine.url.database}"


def test_views_and_version_tables_of_others(engine: Engine) -> None:
    run(
        engine,
        "CREATE TABLE plug_version (version_num VARCHAR(32) NOT NULL)",
        "CREATE TABLE releases (id INTEGER, version_num TEXT)",
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "CREATE VIEW seen AS SELECT id, version_num FROM releases",
    )
    state = BACKEND.read(Target("", engine))
    assert [table.name for table in state.tables] == ["releases"]
    assert (state.other_versions, state.views) == (("plug_version",), ("seen",))
    assert state.version_rows == ()


def test_versioned_tables_count_and_sequences_do_not(engine: Engine) -> None:
    if BACKEND.read(Target("", engine)).dialect != "mariadb":
        pytest.skip("MariaDB only")
    run(
        engine,
        "CREATE TABLE tracked (id INTEGER) WITH SYSTEM VERSIONING",
        "CREATE SEQUENCE numbers",
    )
    assert [t.name for t in BACKEND.read(Target("", engine)).tables] == ["tracked"]


def test_connects_as_the_application_does(engine: Engine) -> None:
    listening = create_engine(engine.url.set(username="nobody", password="old"))

    @event.listens_for(listening, "do_connect")
    def fresh(dialect: object, record: object, args: object, params: dict) -> None:  # type: ignore[type-arg]
        # Drivers call the password otherwise.
        for name in ("user", "passwd", "password"):
            params.pop(name, None)
        params.update(engine.dialect.create_connect_args(engine.url)[1])

    assert BACKEND.read(Target("", listening)).unreachable is None
    listening.dispose()


def test_locked_version_table_is_not_waited_for_long(engine: Engine) -> None:
    run(engine, "CREATE TABLE alembic_version (version_num VARCHAR(32))")
    with engine.connect() as connection:
        connection.execute(text("LOCK TABLE alembic_version WRITE"))
        start = time.monotonic()
        state = BACKEND.read(Target("", engine))
        connection.execute(text("UNLOCK TABLES"))
    assert time.monotonic() - start < 20
    assert state.unreachable is not None
    assert state.unreachable.kind == "locked"
    assert "PROCESSLIST" in state.unreachable.hint


def unreachable(url: URL | str, **options: object) -> Unreachable:
    engine = create_engine(url, **options)
    try:
        state = BACKEND.read(Target("", engine))
    finally:
        engine.dispose()
    assert state.unreachable is not None
    assert state.tables == ()
    for words in (state.unreachable.message, state.unreachable.hint, state.location):
        assert SECRET not in words
        assert "mysql+" not in words
    assert state.exists is (state.unreachable.kind != "missing database")
    return state.unreachable


def test_unreachable_servers(engine: Engine) -> None:
    url = engine.url.set(password=SECRET)
    found = unreachable(url.set(port=1))
    assert found.kind == "server down"
    assert f'"{url.host}:1"' in found.message
    assert found.hint == "systemctl status mariadb"
    found = unreachable(url.set(host="nosuch.invalid"))
    assert found.kind == "host unknown"
    assert '"nosuch.invalid"' in found.message
    with warnings.catch_warnings():
        # PyMySQL forgets to close a socket that cannot be connected.
        warnings.simplefilter("ignore", ResourceWarning)
        found = unreachable(
            make_url(f"mysql+pymysql://me:{SECRET}@localhost/here?unix_socket=/no/such")
        )
        gc.collect()
    assert found.kind == "server down"
    assert '"/no/such"' in found.message


def test_missing_database(engine: Engine) -> None:
    found = unreachable(engine.url.set(database="no_such"))
    assert found.kind == "missing database"
    assert "CREATE DATABASE" in found.hint
    assert "no_such" in found.hint


@pytest.fixture
def user(engine: Engine) -> Iterator[URL]:
    name = f"u{secrets.token_hex(6)}"
    run(engine, f"CREATE USER '{name}'@'%' IDENTIFIED BY '{SECRET}'")
    yield engine.url.set(username=name, password=SECRET)
    run(engine, f"DROP USER '{name}'@'%'")


def test_wrong_password(user: URL) -> None:
    found = unreachable(user.set(password="wrong" + SECRET))
    assert found.kind == "wrong password"
    assert f'"{user.username}"' in found.message
    assert f"-u {user.username} -p" in found.hint


def test_missing_privilege_on_the_database(user: URL) -> None:
    found = unreachable(user)
    assert found.kind == "missing privilege"
    assert "GRANT ALL ON" in found.hint


def test_missing_privilege_on_a_table(engine: Engine, user: URL) -> None:
    run(
        engine,
        "CREATE TABLE alembic_version (version_num VARCHAR(32))",
        f"GRANT INSERT ON `{user.database}`.* TO '{user.username}'@'%'",
    )
    found = unreachable(user)
    assert found.kind == "missing privilege"
    assert "alembic_version" in found.message


def test_too_many_connections(engine: Engine, user: URL) -> None:
    run(
        engine,
        f"GRANT ALL ON `{user.database}`.* TO '{user.username}'@'%'",
        f"ALTER USER '{user.username}'@'%' WITH MAX_USER_CONNECTIONS 1",
    )
    held = create_engine(user)
    with held.connect():
        found = unreachable(user)
    held.dispose()
    assert found.kind == "too many connections"


@pytest.mark.parametrize(
    ("number", "message", "kind"),
    [
        (1040, "Too many connections", "too many connections"),
        (1130, "Host '1.2.3.4' is not allowed to connect", "missing privilege"),
        (1129, "Host '1.2.3.4' is blocked", "missing privilege"),
        (1053, "Server shutdown in progress", "server down"),
        (1290, "running with the --read-only option", "read-only"),
        (1105, "something else", "unknown"),
    ],
)
def test_what_a_server_may_say(number: int, message: str, kind: str) -> None:
    with mysql_refusal(number, message) as port:
        found = unreachable(f"mysql+pymysql://me:{SECRET}@127.0.0.1:{port}/here")
    assert found.kind == kind
    assert f"127.0.0.1:{port}" in found.message
    assert "here" in found.message


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(BACKEND.read, id="read"),
        pytest.param(drop_everything, id="wipe"),
        pytest.param(lambda target: scratch(target).__enter__(), id="scratch"),
        pytest.param(lambda target: connected(target).__enter__(), id="programs"),
    ],
)
def test_whoever_asks_a_silent_server_is_done_within_the_time_to_connect(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[Target], object]
) -> None:
    monkeypatch.setattr(address, "CONNECT_SECONDS", 1)
    start = time.monotonic()
    with silent() as port:
        engine = create_engine(f"mysql+pymysql://me@127.0.0.1:{port}/here")
        with suppress(SQLAlchemyError, SafeMigrateError):
            ask(Target("", engine))
    assert time.monotonic() - start < 5


@pytest.mark.skipif(
    not os.environ.get("SAFEMIGRATE_TEST_MYSQL_URL", "mysql+pymysql:").startswith(
        "mysql+pymysql:"
    ),
    reason="PyMySQL's alone counts both times together",
)
def test_the_time_to_connect_does_not_bound_what_is_asked_later(
    monkeypatch: pytest.MonkeyPatch, mysql_url: str
) -> None:
    monkeypatch.setattr(address, "CONNECT_SECONDS", 1)
    engine = create_engine(mysql_url)
    with own_connection(engine, address.connect_defaults(engine)) as connection:
        assert connection.scalar(text("SELECT SLEEP(1.5)")) == 0
    defaults = address.connect_defaults(engine, answer_seconds=3)
    with own_connection(engine, defaults) as connection:
        assert connection.scalar(text("SELECT SLEEP(1.5)")) == 0
    with (
        own_connection(engine, address.connect_defaults(engine, answer_seconds=1)) as connection,
        pytest.raises(SQLAlchemyError, match="timed out"),
    ):
        connection.scalar(text("SELECT SLEEP(3)"))
    own = create_engine(mysql_url, connect_args={"read_timeout": 1})
    with (
        own_connection(own, address.connect_defaults(own, answer_seconds=9)) as connection,
        pytest.raises(SQLAlchemyError, match="timed out"),
    ):
        connection.scalar(text("SELECT SLEEP(3)"))


def test_silent_server_is_waited_for_a_bounded_time() -> None:
    start = time.monotonic()
    with silent() as port:
        found = unreachable(
            f"mysql+pymysql://me@127.0.0.1:{port}/here", connect_args={"read_timeout": 2}
        )
    assert found.kind == "server down"
    assert time.monotonic() - start < 10
