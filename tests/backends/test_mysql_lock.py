"""GET_LOCK of MariaDB and MySQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.mysql import BACKEND
from flask_safemigrate.backends.mysql.lock import lock_name
from flask_safemigrate.errors import DatabaseUnavailable, LockLost, LockTimeout
from flask_safemigrate.outcome import Progress
from tests.support.servers import Databases


@pytest.fixture
def engine(mysql_url: str) -> Iterator[Engine]:
    engine = create_engine(mysql_url)
    yield engine
    engine.dispose()


def quiet(progress: Progress) -> None:
    assert progress.stage == "waiting"


def end_holder(engine: Engine) -> None:
    with engine.connect() as connection:
        name = lock_name(str(engine.url.database), "alembic_version")
        holder = connection.execute(text("SELECT is_used_lock(:name)"), {"name": name}).scalar()
        connection.execute(text(f"KILL {holder}"))


def test_name_is_the_same_everywhere_and_short_enough() -> None:
    """A constant: processes of another version must meet at the same lock."""
    name = lock_name("shop", "alembic_version")
    assert name == "safemigrate:bd23e2a83a216311d21f020e857b5e6b2062cf79"
    assert len(lock_name("d" * 64, "v" * 64)) <= 64


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
    assert "the lock is held by" in told[0].text
    assert "(connection " in told[0].text
    assert " since " in told[0].text
    assert "KILL " in str(caught.value.hint)


def test_applications_that_share_nothing_do_not_wait(engine: Engine, databases: Databases) -> None:
    other = create_engine(databases.create("mysql"))
    with (
        BACKEND.lock(Target("", engine), 0, quiet),
        BACKEND.lock(Target("", engine, "second_version"), 0, quiet),
        BACKEND.lock(Target("", other), 0, quiet),
    ):
        pass
    other.dispose()


def lose(engine: Engine, done: list[str]) -> None:
    with BACKEND.lock(Target("", engine), 0, quiet):
        end_holder(engine)
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
        end_holder(engine)
        raise ZeroDivisionError


def test_error_of_the_block_is_not_hidden_by_a_broken_connection(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError):
        lose_and_fail(engine)


def test_idle_limit_of_the_server_does_not_end_it(engine: Engine) -> None:
    impatient = create_engine(
        engine.url, connect_args={"init_command": "SET SESSION wait_timeout = 1"}
    )
    with BACKEND.lock(Target("", impatient), 0, quiet), engine.connect() as connection:
        connection.execute(text("SELECT sleep(2.5)"))
    impatient.dispose()


def test_unreachable_server(engine: Engine) -> None:
    away = create_engine(engine.url.set(port=1))
    with pytest.raises(DatabaseUnavailable) as caught, BACKEND.lock(Target("", away), 5, quiet):
        pytest.fail("locked nothing")
    assert caught.value.kind == "server down"
    assert caught.value.hint
