"""What a run does to the settings of the connection, and that they come back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from flask_safemigrate.alter.engine import Executor
from flask_safemigrate.alter.options import EngineOptions


@pytest.fixture
def driver() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("BEGIN")
        yield connection


def value(driver: sqlite3.Connection, name: str) -> int:
    return int(driver.execute(f"PRAGMA {name}").fetchone()[0])


@pytest.mark.parametrize(
    ("before", "during"),
    [
        (-2000, -32 * 1024),
        (100, -32 * 1024),  # pages
        (-100_000, -100_000),
        (20_000, 20_000),
    ],
)
def test_the_page_cache_grows_for_the_run_alone(
    driver: sqlite3.Connection, before: int, during: int
) -> None:
    driver.execute(f"PRAGMA cache_size={before}")
    executor = Executor(driver, sqlite3, EngineOptions(), [])
    assert value(driver, "cache_size") == during
    executor.close()
    assert value(driver, "cache_size") == before


@pytest.mark.parametrize(
    ("wanted", "during"), [(None, 1), (False, 0), (True, 1)], ids=["as it is", "off", "on"]
)
def test_secure_delete_is_as_wanted_for_the_run_alone(
    driver: sqlite3.Connection, wanted: bool | None, during: int
) -> None:
    driver.execute("PRAGMA secure_delete=1")
    executor = Executor(driver, sqlite3, EngineOptions(secure_delete=wanted), [])
    assert value(driver, "secure_delete") == during
    executor.close()
    assert value(driver, "secure_delete") == 1
