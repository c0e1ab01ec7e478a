"""Facts of PostgreSQL, and every reason why they cannot be read."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.pool import NullPool

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.own_connection import Defaults
from flask_safemigrate.backends.postgresql import BACKEND
from flask_safemigrate.backends.postgresql.address import connect_defaults
from flask_safemigrate.facts.database import Unreachable
from tests.support.fake_servers import postgresql_refusal, silent
from tests.support.servers import session_setting

SECRET = "s3cret-wörd"


@pytest.fixture
def engine(postgresql_url: str) -> Iterator[Engine]:
    engine = create_engine(postgresql_url, poolclass=NullPool)
    yield engine
    engine.dispose()


def run(engine: Engine, *statements: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(text(statement.replace(":", "\\:")))


def test_tables_and_estimates(engine: Engine) -> None:
    run(
        engine,
        'CREATE TABLE "Odd %s: one" AS SELECT generate_series(1, 500) AS n',
        "CREATE TABLE parts (n integer) PARTITION BY LIST (n)",
        "CREATE TABLE parts1 PARTITION OF parts FOR VALUES IN (1)",
        "CREATE TABLE parts2 PARTITION OF parts FOR VALUES IN (2)",
        "INSERT INTO parts VALUES (1), (2), (2)",
        "ANALYZE",
        "CREATE TABLE fresh (n integer)",
        "CREATE VIEW seen AS SELECT 1",
        "CREATE SCHEMA other",
        "CREATE TABLE other.elsewhere (n integer)",
    )
    state = BACKEND.read(Target("", engine))
    assert state.unreachable is None
    assert {t.name: t.rows for t in state.tables} == {
        "Odd %s: one": 500,
        "parts": 3,
        "fresh": None,
    }
    assert not any(t.exact for t in state.tables)
    assert state.size is not None
    assert state.size > 1_000_000


def test_views_and_version_tables_of_others(engine: Engine) -> None:
    run(
        engine,
        "CREATE TABLE plug_version (version_num varchar(32) NOT NULL)",
        "CREATE TABLE release (id integer, version_num text)",
        "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)",
        "CREATE VIEW seen AS SELECT version_num FROM release",
        "CREATE MATERIALIZED VIEW kept AS SELECT version_num FROM release",
    )
    state = BACKEND.read(Target("", engine))
    assert [table.name for table in state.tables] == ["release"]
    assert (state.other_versions, state.views) == (("plug_version",), ("kept", "seen"))
    assert state.version_rows == ()


def test_tables_of_extensions_are_left_out(engine: Engine) -> None:
    run(engine, "CREATE TABLE config (n integer)", "CREATE EXTENSION pg_trgm")
    run(engine, "ALTER EXTENSION pg_trgm ADD TABLE config")
    assert BACKEND.read(Target("", engine)).tables == ()


def test_version_table_and_journal_in_another_schema(engine: Engine) -> None:
    run(
        engine,
        'CREATE SCHEMA "Ver:%"',
        'CREATE TABLE "Ver:%"."My Version" (version_num text)',
        """INSERT INTO "Ver:%"."My Version" VALUES ('b'), ('a')""",
        'CREATE TABLE "Ver:%".safemigrate_journal (id int, kind text, subject text, '
        "direction text, started timestamp, finished text, checksum text, environment text, "
        "host text, source text)",
        """INSERT INTO "Ver:%".safemigrate_journal VALUES (1, 'revision', 'a', 'upgrade', """
        "'2024-01-01 10:00')",
    )
    state = BACKEND.read(Target("", engine, "My Version", "Ver:%"))
    assert state.unreachable is None
    assert state.version_rows == ("a", "b")
    assert state.journal[0].started == "2024-01-01T10:00:00"
    assert BACKEND.read(Target("", engine)).version_rows is None


def test_search_path_of_the_application_counts(engine: Engine) -> None:
    run(
        engine,
        "CREATE SCHEMA mine",
        "CREATE TABLE mine.inside (n integer)",
        "CREATE TABLE mine.alembic_version (version_num text)",
        "CREATE TABLE outside (n integer)",
    )
    own = create_engine(
        engine.url, connect_args=session_setting(engine.url, "search_path", "mine")
    )
    listening = create_engine(engine.url)

    @event.listens_for(listening, "connect")
    def set_path(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("SET search_path = mine")
        connection.commit()

    for each in (own, listening):
        state = BACKEND.read(Target("", each))
        assert [t.name for t in state.tables] == ["inside"]
        assert state.version_rows == ()
        each.dispose()


def test_connects_as_the_application_does(engine: Engine) -> None:
    """A password from a listener, and a creator that ignores the URL."""
    url = engine.url.set(username="nobody", password="old")
    listening = create_engine(url)

    @event.listens_for(listening, "do_connect")
    def fresh_token(dialect: object, record: object, args: object, params: dict) -> None:  # type: ignore[type-arg]
        params["user"] = engine.url.username

    def connect() -> psycopg.Connection:
        return psycopg.connect(
            host=engine.url.host,
            port=engine.url.port,
            user=engine.url.username,
            password=engine.url.password,
            dbname=engine.url.database,
        )

    for each in (listening, create_engine("postgresql+psycopg://", creator=connect)):
        state = BACKEND.read(Target("", each))
        assert state.unreachable is None
        assert state.name == engine.url.database
        each.dispose()


def test_read_only_database(engine: Engine) -> None:
    run(engine, f"ALTER DATABASE {engine.url.database} SET default_transaction_read_only = on")
    assert BACKEND.read(Target("", engine)).read_only


def test_autocommit_engine_reads_in_a_transaction_too(engine: Engine) -> None:
    auto = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    state = BACKEND.read(Target("", auto))
    assert state.unreachable is None
    assert not state.read_only
    auto.dispose()


def test_locked_version_table_is_not_waited_for_long(engine: Engine) -> None:
    run(engine, "CREATE TABLE alembic_version (version_num text)")
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE alembic_version"))
        start = time.monotonic()
        state = BACKEND.read(Target("", engine))
    assert time.monotonic() - start < 15
    assert state.unreachable is not None
    assert state.unreachable.kind == "locked"
    assert "pg_blocking_pids" in state.unreachable.hint


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
        assert "s3cret" not in words
        assert "postgresql+" not in words
    assert state.exists is (state.unreachable.kind != "missing database")
    return state.unreachable


def test_unreachable_servers(engine: Engine) -> None:
    url = engine.url.set(password=SECRET)
    found = unreachable(url.set(port=1))
    assert found.kind == "server down"
    assert f'"{url.host}:1"' in found.message
    assert found.hint == "systemctl status postgresql"
    found = unreachable(url.set(host="nosuch.invalid"))
    assert found.kind == "host unknown"
    assert '"nosuch.invalid"' in found.message
    found = unreachable(make_url(f"postgresql+psycopg://me:{SECRET}@/here?host=/no/such"))
    assert found.kind == "server down"
    assert '"/no/such:5432"' in found.message


def test_missing_database(engine: Engine) -> None:
    found = unreachable(engine.url.set(database="no_such", password=SECRET))
    assert found.kind == "missing database"
    assert found.hint.startswith("createdb -h ")
    assert found.hint.endswith("no_such")


def test_missing_role(engine: Engine) -> None:
    found = unreachable(engine.url.set(username="no_such_role", password=SECRET))
    assert found.kind == "wrong password"
    assert '"no_such_role"' in found.message
    assert "createuser" in found.hint


@pytest.fixture
def role(engine: Engine) -> Iterator[URL]:
    name = f"{engine.url.database}_role"
    run(engine, f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}'")
    yield engine.url.set(username=name, password=SECRET)
    run(engine, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_missing_privilege_to_connect(engine: Engine, role: URL) -> None:
    run(engine, f"REVOKE CONNECT ON DATABASE {role.database} FROM PUBLIC")
    found = unreachable(role)
    assert found.kind == "missing privilege"
    assert f'"{role.username}"' in found.message
    if role.get_driver_name() != "pg8000":  # it tells this by code alone
        assert f'GRANT CONNECT ON DATABASE "{role.database}"' in found.hint
    assert "ALL" not in found.hint


def test_missing_privilege_to_read(engine: Engine, role: URL) -> None:
    run(engine, "CREATE TABLE alembic_version (version_num text)")
    found = unreachable(role)
    assert found.kind == "missing privilege"
    assert "alembic_version" in found.message
    assert "the privilege that the message names" in found.hint


def test_too_many_connections(engine: Engine, role: URL) -> None:
    run(engine, f"ALTER ROLE {role.username} CONNECTION LIMIT 0")
    found = unreachable(role)
    assert found.kind == "too many connections"
    assert "pg_stat_activity" in found.hint


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("28P01", 'password authentication failed for user "me"', "wrong password"),
        ("28000", 'no pg_hba.conf entry for host "1.2.3.4", user "me"', "missing privilege"),
        ("57P03", "the database system is starting up", "starting"),
        ("57P03", "the database system is shutting down", "starting"),
        ("57P03", "the database system is not yet accepting connections", "starting"),
        ("53300", "sorry, too many clients already", "too many connections"),
        ("3D000", 'database "here" does not exist', "missing database"),
        ("XX000", "something else", "unknown"),
    ],
)
def test_what_a_server_may_say(code: str, message: str, kind: str) -> None:
    with postgresql_refusal(code, message) as port:
        found = unreachable(f"postgresql+psycopg://me:{SECRET}@127.0.0.1:{port}/here")
    assert found.kind == kind
    assert '"me"' in found.message or f'127.0.0.1:{port}"' in found.message
    assert "here" in found.message


def test_silent_server_is_waited_for_a_bounded_time() -> None:
    start = time.monotonic()
    with silent() as port:
        found = unreachable(
            f"postgresql+psycopg://me@127.0.0.1:{port}/here", connect_args={"connect_timeout": 2}
        )
    assert found.kind == "server down"
    assert time.monotonic() - start < 10


def test_pg8000_gives_a_server_up_that_says_nothing_and_lets_statements_take_their_time() -> None:
    """Its one timeout is for connecting and for every answer."""
    engine = create_engine("postgresql+psycopg://me@127.0.0.1:1/here")
    engine.dialect.driver = "pg8000"
    defaults = connect_defaults(engine)
    assert isinstance(defaults, Defaults)
    assert defaults == {"timeout": 10}
    assert defaults.connected is not None
    with socket.socket() as opened:
        driver = SimpleNamespace(_usock=opened)
        opened.settimeout(10)
        defaults.connected(driver, {"timeout": 10})
        assert opened.gettimeout() == 10  # the application's own
        defaults.connected(driver, {})
        assert opened.gettimeout() is None
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 20


def test_codes_of_other_drivers(engine: Engine) -> None:
    """psycopg2 says pgcode, pg8000 a mapping; SQLAlchemy wraps both."""

    class Psycopg2Error(Exception):
        pgcode = "57P03"

    class Pg8000Error(Exception):
        pass

    target = Target("", engine)
    assert BACKEND.explain(Psycopg2Error("startet noch"), target).kind == "starting"
    answer = {"S": "FATAL", "C": "28P01", "M": "Passwort-Authentifizierung fehlgeschlagen"}
    assert BACKEND.explain(Pg8000Error(answer), target).kind == "wrong password"
    refused = Pg8000Error("Can't create a connection")
    refused.__cause__ = ConnectionRefusedError(111, os.strerror(111))
    assert BACKEND.explain(refused, target).kind == "server down"
    for said in ("network error", "connection is closed"):
        assert BACKEND.explain(Pg8000Error(said), target).kind == "server down"


def test_a_search_path_that_another_session_left_empty(postgresql_url: str) -> None:
    engine = create_engine(postgresql_url)

    @event.listens_for(engine, "connect")
    def leave(connection: Any, record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('search_path', '', false)")
        connection.commit()

    found = BACKEND.read(Target("", engine)).unreachable
    engine.dispose()
    assert found is not None
    assert found.kind == "unknown"
    assert "The search path of the connection" in found.message
    assert "RECONNECT" in found.hint
