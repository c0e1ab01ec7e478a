"""The advisory lock of PostgreSQL."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.postgresql import BACKEND
from flask_safemigrate.backends.postgresql.lock import lock_key
from flask_safemigrate.errors import DatabaseUnavailable, LockLost, LockTimeout
from flask_safemigrate.outcome import Progress


@pytest.fixture
def engine(postgresql_url: str) -> Iterator[Engine]:
    engine = create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


def quiet(progress: Progress) -> None:
    assert progress.stage == "waiting"


def run(engine: Engine, statement: str) -> None:
    with engine.connect() as connection:
        connection.execute(text(statement))


END_HOLDER = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def test_key_is_the_same_everywhere() -> None:
    """A constant: processes of another version must meet at the same lock."""
    assert lock_key("shop", "public", "alembic_version") == -8666845335568781612
    assert lock_key("shop", "public", "other") != lock_key("shop", "public", "alembic_version")


def test_tells_who_holds_it(engine: Engine) -> None:
    target = Target("extra", engine)
    told: list[Progress] = []
    with (
        BACKEND.lock(target, 5, quiet),
        pytest.raises(LockTimeout) as caught,
        BACKEND.lock(target, 2.5, told.append),
    ):
        pytest.fail("two held the lock")
    assert 2 <= len(told) <= 4
    assert {p.bind for p in told} == {"extra"}
    assert f"process {os.getpid()} on host" in told[0].text
    assert "since" in told[-1].text
    assert f"process {os.getpid()}" in caught.value.message
    assert "pg_terminate_backend(" in str(caught.value.hint)


def test_applications_that_share_nothing_do_not_wait(engine: Engine) -> None:
    run(engine, "CREATE SCHEMA other")
    with (
        BACKEND.lock(Target("", engine), 0, quiet),
        BACKEND.lock(Target("", engine, "second_version"), 0, quiet),
        BACKEND.lock(Target("", engine, "alembic_version", "other"), 0, quiet),
    ):
        pass


def test_default_schema_by_name_is_the_same_lock(engine: Engine) -> None:
    with (
        BACKEND.lock(Target("", engine), 0, quiet),
        pytest.raises(LockTimeout),
        BACKEND.lock(Target("", engine, "alembic_version", "public"), 0, quiet),
    ):
        pytest.fail("two held the lock")


def lose(engine: Engine, done: list[str]) -> None:
    with BACKEND.lock(Target("", engine), 0, quiet):
        run(engine, END_HOLDER)
        done.append("work")


def test_broken_connection_is_noticed_at_the_end(engine: Engine) -> None:
    done: list[str] = []
    with pytest.raises(LockLost, match="the connection that held it broke") as caught:
        lose(engine, done)
    assert done == ["work"]
    assert "the work itself may be finished" in caught.value.message
    assert "flask db status" in str(caught.value.hint)


def lose_and_fail(engine: Engine) -> None:
    with BACKEND.lock(Target("", engine), 0, quiet):
        run(engine, END_HOLDER)
        raise ZeroDivisionError


def test_error_of_the_block_is_not_hidden_by_a_broken_connection(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError):
        lose_and_fail(engine)


def test_idle_limits_of_the_server_do_not_end_it(engine: Engine) -> None:
    name = engine.url.database
    run(engine, f"ALTER DATABASE {name} SET idle_session_timeout = '500ms'")
    run(engine, f"ALTER DATABASE {name} SET statement_timeout = '500ms'")
    with BACKEND.lock(Target("", engine), 0, quiet):
        time.sleep(1.5)


def test_waiting_does_not_stop_an_index_from_being_built(engine: Engine) -> None:
    """A statement that waits in the server would make CREATE INDEX CONCURRENTLY wait for it."""
    run(engine, "CREATE TABLE t (n integer)")
    waiting = threading.Event()
    target = Target("", engine)

    def wait() -> None:
        with BACKEND.lock(target, 30, lambda progress: waiting.set()):
            pass

    thread = threading.Thread(target=wait)
    with BACKEND.lock(target, 0, quiet):
        thread.start()
        assert waiting.wait(10)
        run(engine, "SET statement_timeout = '10s'")
        run(engine, "CREATE INDEX CONCURRENTLY i ON t (n)")
    thread.join()


def test_unreachable_server(engine: Engine) -> None:
    away = create_engine(engine.url.set(port=1))
    with pytest.raises(DatabaseUnavailable) as caught, BACKEND.lock(Target("", away), 5, quiet):
        pytest.fail("locked nothing")
    assert caught.value.kind == "server down"
    assert caught.value.hint
