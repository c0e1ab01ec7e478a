"""Emptying MariaDB and MySQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.mysql import BACKEND
from flask_safemigrate.errors import DatabaseUnavailable
from tests.backends.test_mysql_snapshot import MARIADB_ONLY, RICH
from tests.support.servers import Databases
from tests.support.sql import run, value


@pytest.fixture
def engine(mysql_url: str) -> Iterator[Engine]:
    engine = create_engine(mysql_url)
    yield engine
    engine.dispose()


LEFT = """
SELECT (SELECT count(*) FROM information_schema.tables WHERE table_schema = database())
    + (SELECT count(*) FROM information_schema.routines WHERE routine_schema = database())
    + (SELECT count(*) FROM information_schema.triggers WHERE trigger_schema = database())
    + (SELECT count(*) FROM information_schema.events WHERE event_schema = database())
"""


def left(engine: Engine) -> int:
    return int(str(value(engine.url, LEFT)))


def test_every_kind_of_object_goes(engine: Engine) -> None:
    mariadb = BACKEND.read(Target("", engine)).dialect == "mariadb"
    run(
        engine.url,
        *RICH,
        *(MARIADB_ONLY if mariadb else ()),
        "CREATE VIEW twice AS SELECT * FROM loud",
        "CREATE TABLE ring1 (id INTEGER PRIMARY KEY, other INTEGER)",
        "CREATE TABLE ring2 (id INTEGER PRIMARY KEY, other INTEGER, "
        "FOREIGN KEY (other) REFERENCES ring1 (id))",
        "ALTER TABLE ring1 ADD FOREIGN KEY (other) REFERENCES ring2 (id)",
    )
    assert left(engine) > 8
    BACKEND.drop_everything(Target("", engine))
    assert left(engine) == 0


def test_safe_updates_are_no_hindrance(engine: Engine) -> None:
    run(engine.url, "CREATE TABLE t (id INTEGER)")
    careful = create_engine(
        engine.url, connect_args={"init_command": "SET SESSION sql_safe_updates = 1"}
    )
    BACKEND.drop_everything(Target("", careful))
    careful.dispose()
    assert left(engine) == 0


def test_version_table_in_another_database_goes_alone(
    engine: Engine, databases: Databases
) -> None:
    other = create_engine(databases.create("mysql"))
    run(
        other.url,
        "CREATE TABLE alembic_version (version_num VARCHAR(32))",
        "CREATE TABLE stays (id INTEGER)",
    )
    run(engine.url, "CREATE TABLE t (id INTEGER)")
    target = Target("", engine, "alembic_version", other.url.database)
    assert BACKEND.read(target).version_rows == ()
    BACKEND.drop_everything(target)
    assert BACKEND.read(target).version_rows is None
    assert [t.name for t in BACKEND.read(Target("", other)).tables] == ["stays"]
    other.dispose()


def test_lock_of_another_session_is_not_waited_for_long(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_safemigrate.backends.mysql.wipe.LOCK_SECONDS", 1)
    run(engine.url, "CREATE TABLE a (id INTEGER)")
    with engine.begin() as connection:
        connection.execute(text("SELECT * FROM a"))
        with pytest.raises(DatabaseUnavailable) as caught:
            BACKEND.drop_everything(Target("", engine))
    assert caught.value.kind == "locked"
