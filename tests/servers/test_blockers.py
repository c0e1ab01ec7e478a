"""Another session has a lock on a table that a revision changes."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases

ALTER = "op.add_column('pet', sa.Column('born', sa.Integer))"


def shop(project: ProjectFactory, url: str, **config: Any) -> Project:
    """Table pet with rows at r1; r2 adds a column to it."""
    p = project(url=url, config={f"SAFEMIGRATE_{key}": v for key, v in config.items()})
    p.revision(
        "r1",
        "op.create_table('pet', sa.Column('id', sa.Integer, primary_key=True))\n"
        "op.execute('INSERT INTO pet VALUES (1), (2)')",
    )
    done = p.db("safe-upgrade", "--yes")
    assert done.returncode == 0, done.stderr
    p.revision("r2", ALTER)
    return p


@pytest.fixture(params=["postgresql", "mysql"])
def url(request: pytest.FixtureRequest, databases: Databases) -> str:
    return databases.create(request.param)


@contextmanager
def blocker(url: str) -> Iterator[tuple[int, threading.Event]]:
    """A session that has read the table and not ended its transaction; set the event to end it."""
    engine = create_engine(url)
    mine = "pg_backend_pid" if url.startswith("postgresql") else "connection_id"
    leave = threading.Event()
    with engine.connect() as connection:
        session = connection.execute(text(f"SELECT {mine}()")).scalar_one()
        connection.execute(text("SELECT count(*) AS blocking FROM pet"))

        def wait() -> None:
            leave.wait()
            connection.rollback()

        thread = threading.Thread(target=wait)
        thread.start()
        try:
            yield int(session), leave
        finally:
            leave.set()
            thread.join()
    engine.dispose()


@contextmanager
def readers(url: str) -> Iterator[list[float]]:
    """Reads the table all the time; yields how long each read took, in seconds."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    took: list[float] = []
    done = threading.Event()

    def read() -> None:
        with engine.connect() as connection:
            while not done.is_set():
                started = time.perf_counter()
                connection.execute(text("SELECT count(*) FROM pet"))
                took.append(time.perf_counter() - started)
                time.sleep(0.01)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield took
    finally:
        done.set()
        thread.join()
        engine.dispose()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out + err


def test_readers_wait_no_longer_than_the_timeout_and_the_upgrade_succeeds(
    project: ProjectFactory, url: str
) -> None:
    p = shop(project, url, LOCK_TIMEOUT=1)
    with readers(url) as took, blocker(url) as (session, leave):
        process = p.start("db", "safe-upgrade", "--yes", "--lock-wait", "60")
        assert process.stderr is not None
        # It names who blocks once it has waited, and has made way.
        while str(session) not in (line := process.stderr.readline()):
            assert line, ended(process)
        # Readers go on though the one who blocks is still there.
        before = len(took)
        until(lambda: len(took) > before + 20, 30)
        assert process.poll() is None
        leave.set()
        code, said = ended(process)
    assert code == 0, said
    assert p.heads() == {"r2"}


def test_gives_up_in_time_and_names_who_blocks(project: ProjectFactory, url: str) -> None:
    p = shop(project, url, LOCK_TIMEOUT=1)
    with blocker(url) as (session, _):
        result = p.db("safe-upgrade", "--yes", "--lock-wait", "3", timeout=60)
    said = " ".join(result.stderr.split())
    assert result.returncode == 4, said
    assert f"{session}" in said
    assert "for " in said
    if url.startswith("postgresql"):
        assert 'table "pet" is locked by backend' in said
        assert "count(*) AS blocking FROM pet" in said
    assert "Traceback" not in said
    assert p.heads() == {"r1"}
    assert p.db("safe-upgrade", "--yes").returncode == 0
    assert p.heads() == {"r2"}


def waiting(url: str) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'pet'::regclass"
        found = int(connection.execute(text(query)).scalar_one())
    engine.dispose()
    return found


def until(condition: Any, seconds: float) -> float:
    """Wait until it is true; return how long that took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds
        time.sleep(0.05)
    return time.monotonic() - started


def test_a_killed_upgrade_leaves_nobody_queued(
    project: ProjectFactory, postgresql_url: str
) -> None:
    p = shop(project, postgresql_url, LOCK_TIMEOUT=60)
    with blocker(postgresql_url), readers(postgresql_url) as took:
        process = p.start("db", "safe-upgrade", "--yes")
        until(lambda: waiting(postgresql_url), 30)
        process.kill()
        process.wait()
        # The server looks once a second whether its client is there.
        until(lambda: not waiting(postgresql_url), 30)
        before = len(took)
        until(lambda: len(took) > before + 5, 30)
    assert p.db("safe-upgrade", "--yes").returncode == 0


def test_statement_timeout(project: ProjectFactory, postgresql_url: str) -> None:
    p = shop(project, postgresql_url, STATEMENT_TIMEOUT=0.5)
    p.revision("r3", "op.execute('SELECT pg_sleep(20)')")
    result = p.db("safe-upgrade", "--yes")
    assert result.returncode == 1
    assert "statement timeout" in result.stderr
    assert p.heads() == {"r1"}
