"""Deploys through a pooler that hands out connections by transaction."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.engine import URL

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.postgresql import BACKEND
from flask_safemigrate.backends.postgresql.lock import not_ours_alone
from flask_safemigrate.errors import LockTimeout, SnapshotFailed
from flask_safemigrate.outcome import Progress
from tests.end_to_end.story import assert_told, tell
from tests.support.pgbouncer import pooler
from tests.support.projects import ProjectFactory
from tests.support.servers import session_setting
from tests.support.sql import run, value

CROWD = 8


@pytest.fixture
def pooled(postgresql_url: str) -> Iterator[URL]:
    """The test's database, through the pooler."""
    if shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin") is None:
        pytest.skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
    with pooler(make_url(postgresql_url)) as url:
        yield url


def unprepared(url: URL) -> dict[str, Any]:
    """Arguments against statements that psycopg prepares in a session of somebody else's."""
    return {"prepare_threshold": None} if url.get_driver_name() == "psycopg" else {}


def test_a_pooler_is_noticed_and_a_server_is_not_taken_for_one(
    pooled: URL, postgresql_url: str
) -> None:
    for url, words in ((pooled, "a pooler stands before the server"), (postgresql_url, "")):
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            assert not_ours_alone(connection).startswith(words)
            assert bool(not_ours_alone(connection)) is bool(words)
        engine.dispose()


def test_a_row_keeps_others_out_where_a_session_lock_does_not(pooled: URL) -> None:
    engine = create_engine(pooled, connect_args=unprepared(pooled))
    target = Target("", engine)
    told: list[Progress] = []
    with (
        BACKEND.lock(target, 0, told.append),
        pytest.raises(LockTimeout),
        BACKEND.lock(target, 1, told.append),
    ):
        pytest.fail("two held the lock")
    assert "a pooler stands before the server" in told[0].text
    engine.dispose()


def test_deploys_at_once_through_a_pooler(project: ProjectFactory, pooled: URL) -> None:
    if pooled.get_driver_name() == "pg8000":
        pytest.skip("pg8000 prepares each statement, which a pooler of transactions loses")
    url = pooled.render_as_string(hide_password=False)
    options = {"SQLALCHEMY_ENGINE_OPTIONS": {"connect_args": unprepared(pooled)}}
    p = tell(project(url=url, config=options))
    crowd = [p.start("db", "deploy", "--lock-wait", "120") for _ in range(CROWD)]
    said = [process.communicate(timeout=240) for process in crowd]
    assert [process.returncode for process in crowd] == [0] * CROWD, "\n".join(
        out + err for out, err in said
    )
    assert_told(p)
    engine = create_engine(url)
    with engine.connect() as connection:
        left = connection.execute(text("SELECT expires FROM safemigrate_lock")).scalars().all()
    assert left == [0]
    engine.dispose()


def test_programs_do_not_work_through_a_pooler_that_shares_backends(
    pooled: URL, postgresql_url: str, tmp_path: Path
) -> None:
    """What they set would stay on connections that the application gets next."""
    path = tmp_path / "x.dump"
    engine, direct = create_engine(pooled), create_engine(postgresql_url)
    BACKEND.take(Target("", direct), path, lambda progress: None)
    for verb in (
        lambda: BACKEND.take(Target("", engine), tmp_path / "y.dump", lambda progress: None),
        lambda: BACKEND.put_back(Target("", engine), path, lambda progress: None),
    ):
        with pytest.raises(SnapshotFailed, match="a pooler stands before the server") as caught:
            verb()
        assert "address of the server itself" in str(caught.value.hint)
    assert not (tmp_path / "y.dump").exists()
    for _ in range(5):
        with engine.connect() as connection:
            found = connection.execute(text("SELECT current_schemas(false)")).scalar()
        assert found == ["public"]
    engine.dispose()
    direct.dispose()


def test_programs_work_through_a_pooler_that_keeps_sessions(
    postgresql_url: str, tmp_path: Path
) -> None:
    if shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin") is None:
        pytest.skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
    run(make_url(postgresql_url), "CREATE TABLE a (i int); INSERT INTO a VALUES (7)")
    path = tmp_path / "x.dump"
    with pooler(make_url(postgresql_url), mode="session") as url:
        engine = create_engine(url)
        target = Target("", engine)
        BACKEND.take(target, path, lambda progress: None)
        run(make_url(postgresql_url), "DELETE FROM a")
        BACKEND.put_back(target, path, lambda progress: None)
        engine.dispose()
    assert value(make_url(postgresql_url), "SELECT i FROM a") == 7


def test_a_pooler_of_statements_is_named(pooled: URL) -> None:
    """And not taken for a server that is down, which would be waited for."""
    if pooled.get_driver_name() != "psycopg":
        pytest.skip("only psycopg hands over what the pooler says as it hangs up")
    with pooler(pooled.set(host="127.0.0.1"), "statement") as url:
        engine = create_engine(url)
        away = BACKEND.read(Target("", engine)).unreachable
        engine.dispose()
    assert away is not None
    assert away.kind == "misconfigured"
    assert "statement mode" in away.message
    assert "pgbouncer.ini" in away.hint


def test_a_parameter_that_the_pooler_does_not_pass_on_is_named(pooled: URL) -> None:
    setting = session_setting(pooled, "search_path", "x")
    name = "search_path" if "startup_params" in setting else "options"
    engine = create_engine(pooled, connect_args=setting)
    away = BACKEND.read(Target("", engine)).unreachable
    engine.dispose()
    assert away is not None
    assert away.kind == "misconfigured"
    assert f'"{name}"' in away.message
    assert f"ignore_startup_parameters = {name}" in away.hint
