"""The scratch database of SQLite, under the listeners of an application."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Engine, event

from flask_safemigrate.backends.sqlite.scratch import scratch
from tests.backends.sqlite_files import make, target_of


def test_attached_files_are_left_alone(tmp_path: Path) -> None:
    target = target_of(make(tmp_path / "app.db"))
    legacy = make(tmp_path / "legacy.db")
    calls: list[object] = []

    def attach(driver: sqlite3.Connection, _record: object) -> None:
        calls.append(driver)
        driver.execute(f"ATTACH '{legacy}' AS legacy")

    # A listener of every engine is one of the application's and of the scratch engine's own.
    event.listen(Engine, "connect", attach)
    before = legacy.read_bytes()
    try:
        with scratch(target) as connection:
            assert len(calls) == 1
            listed = connection.exec_driver_sql("PRAGMA database_list").all()
            assert [(name, file) for _, name, file in listed] == [("main", ""), ("legacy", "")]
            assert not connection.exec_driver_sql("SELECT * FROM legacy.sqlite_master").all()
            connection.exec_driver_sql("CREATE TABLE legacy.new (id INTEGER)")
            connection.commit()
    finally:
        event.remove(Engine, "connect", attach)
        target.engine.dispose()
    assert legacy.read_bytes() == before


def test_functions_of_one_engine_are_there(tmp_path: Path) -> None:
    target = target_of(make(tmp_path / "app.db"))

    def register(driver: sqlite3.Connection, _record: object) -> None:
        driver.create_function("twice", 1, lambda number: 2 * number)

    event.listen(target.engine, "connect", register)
    with scratch(target) as connection:
        assert connection.exec_driver_sql("SELECT twice(4)").scalar() == 8
    target.engine.dispose()
