"""The lock that is a row, on PostgreSQL and MariaDB."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Held, Target
from flask_safemigrate.backends.lease import hold_lease
from flask_safemigrate.backends.mysql.lock import lease_terms as mysql_terms
from flask_safemigrate.backends.postgresql.lock import lease_terms as postgresql_terms
from flask_safemigrate.errors import LockLost, LockTimeout
from flask_safemigrate.names import LOCK_TABLE
from flask_safemigrate.outcome import Progress
from tests.support.forked import CONTEXT
from tests.support.servers import Databases

SHORT = 1.0  # seconds


@pytest.fixture(params=["postgresql", "mysql"])
def engine(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Engine]:
    engine = create_engine(databases.create(request.param))
    yield engine
    engine.dispose()


def quiet(progress: Progress) -> None:
    assert progress.stage in ("waiting", "locked")


def lease(engine: Engine, wait: float = 0, say: Any = quiet) -> AbstractContextManager[Held]:
    """A lease of a second."""
    target = Target("", engine)
    terms_of = postgresql_terms if engine.dialect.name == "postgresql" else mysql_terms
    terms = terms_of(target)._replace(seconds=SHORT)
    return hold_lease(terms, target, wait, say, where="shop", why="a test")


def take_over(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {LOCK_TABLE} SET token = 'another'"))


def test_tells_who_holds_it_and_what_runs(engine: Engine) -> None:
    target = Target("extra", engine)
    lock = backend_for(engine).lock
    first: list[Progress] = []
    told: list[Progress] = []
    with (
        lock(target, 5, first.append, "lease"),
        pytest.raises(LockTimeout) as caught,
        lock(target, 2.5, told.append, "lease"),
    ):
        pytest.fail("two held the lock")
    assert [p.stage for p in first] == ["locked"]
    assert "SAFEMIGRATE_LOCK asks for it" in first[0].text
    assert 2 <= len(told) <= 4
    assert {p.bind for p in told} == {"extra"}
    assert f'process {os.getpid()} on host "{socket.gethostname()}", since' in told[0].text
    assert "its claim ends by itself within" in str(caught.value.hint)
    with lock(target, 0, quiet, "lease"):
        pass


def test_the_revision_is_told_after_the_next_renewal(engine: Engine) -> None:
    with lease(engine) as held:
        held.note("abc123")
        time.sleep(SHORT)
        with pytest.raises(LockTimeout, match="which runs revision 'abc123'"), lease(engine):
            pytest.fail("two held the lock")


def test_a_crowd_takes_turns_from_the_first_moment(engine: Engine) -> None:
    """On a database without the table: all make it, one gets the row."""
    inside: list[int] = []
    most: list[int] = []
    start = threading.Barrier(6)

    def work(number: int) -> None:
        own = create_engine(engine.url)
        start.wait()
        with backend_for(own).lock(Target("", own), 30, quiet, "lease"):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.05)
            inside.remove(number)
        own.dispose()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


def _hold_forever(url: str, ready: Any) -> None:
    with lease(create_engine(url)):
        ready.set()
        time.sleep(60)


def test_a_killed_holder_is_followed_when_its_time_is_up(engine: Engine) -> None:
    ready = CONTEXT.Event()
    url = engine.url.render_as_string(hide_password=False)
    process = CONTEXT.Process(target=_hold_forever, args=(url, ready))
    process.start()
    try:
        assert ready.wait(30)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        killed = time.monotonic()
        with lease(engine, wait=10):
            waited = time.monotonic() - killed
    finally:
        process.kill()
        process.join()
    assert SHORT / 2 < waited < SHORT + 1.5


def test_is_renewed_for_as_long_as_the_work_takes(engine: Engine) -> None:
    with lease(engine) as held:
        with pytest.raises(LockTimeout), lease(engine, wait=SHORT * 2):
            pytest.fail("two held the lock")
        held.check()
        with engine.begin() as connection:
            held.prove(connection)


def commit_after_losing(engine: Engine) -> None:
    with lease(engine) as held:
        take_over(engine)
        with engine.begin() as connection:
            held.prove(connection)
            pytest.fail("committed without the lock")


def test_a_lost_lease_stops_the_commit(engine: Engine) -> None:
    with pytest.raises(LockLost, match="another process took it over"):
        commit_after_losing(engine)


def finish_after_losing(engine: Engine) -> None:
    with lease(engine) as held:
        take_over(engine)
        time.sleep(SHORT)
        with pytest.raises(LockLost):
            held.check()


def test_a_lost_lease_is_told_at_the_end(engine: Engine) -> None:
    with pytest.raises(LockLost, match="the work itself may be finished") as caught:
        finish_after_losing(engine)
    assert "flask db status" in str(caught.value.hint)


def test_nobody_takes_it_between_proof_and_commit(postgresql_url: str) -> None:
    engine = create_engine(postgresql_url)
    with lease(engine) as held, engine.begin() as connection:
        held.prove(connection)
        with engine.connect() as other:
            other.execute(text("SET LOCAL lock_timeout = '300ms'"))
            with pytest.raises(Exception, match="lock timeout"):
                other.execute(text(f"UPDATE {LOCK_TABLE} SET token = 'another'"))
    engine.dispose()


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_transaction_that_sees_the_past_is_proven_from_beside(
    postgresql_url: str, level: str
) -> None:
    engine = create_engine(postgresql_url, isolation_level=level)  # type: ignore[call-overload]
    with lease(engine) as held:
        with engine.begin() as connection:
            connection.execute(text("SELECT 1 FROM pg_class LIMIT 1"))
            time.sleep(SHORT)  # it is renewed meanwhile
            held.prove(connection)
            with engine.connect() as other:
                other.execute(text("SET LOCAL lock_timeout = '300ms'"))
                with pytest.raises(Exception, match="lock timeout"):
                    other.execute(text(f"UPDATE {LOCK_TABLE} SET token = 'another'"))
            time.sleep(2 * SHORT)
            held.check()
        held.let_go()
        with engine.connect() as other:
            left = f"SELECT count(*) FROM {LOCK_TABLE} WHERE expires > extract(epoch FROM now())"
            assert other.execute(text(left)).scalar() == 1
    engine.dispose()


def test_a_transaction_of_mysql_that_has_read_the_row_before_is_no_hindrance(
    mysql_url: str,
) -> None:
    engine = create_engine(mysql_url)
    with lease(engine) as held, engine.begin() as connection:
        connection.execute(text(f"SELECT * FROM {LOCK_TABLE}"))
        time.sleep(SHORT)
        held.prove(connection)
    engine.dispose()


def lose_and_fail(engine: Engine) -> None:
    with lease(engine):
        take_over(engine)
        raise ZeroDivisionError


def test_error_of_the_block_is_not_hidden(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError):
        lose_and_fail(engine)


def test_its_table_is_nobodys(engine: Engine, tmp_path: Path) -> None:
    """Not read as the application's, not dropped by whoever holds it, not in a snapshot."""
    backend = backend_for(engine)
    target = Target("", engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (n integer)"))
    with lease(engine):
        assert [table.name for table in backend.read(target).tables] == ["t"]
        backend.take(target, tmp_path / "dump", quiet_dump)
        backend.drop_everything(target)
        assert backend.read(target).tables == ()
        backend.put_back(target, tmp_path / "dump", quiet_dump)
        assert [table.name for table in backend.read(target).tables] == ["t"]


def quiet_dump(progress: Progress) -> None:
    assert progress.stage in ("dumping", "restoring")
