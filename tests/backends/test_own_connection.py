"""A connection beside the application's pool: what becomes of the driver's errors."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.driver_errors import driver_error
from flask_safemigrate.backends.own_connection import own_connection


class Broken(sqlite3.Connection):
    def close(self) -> None:
        raise sqlite3.OperationalError("network error")


def test_what_the_driver_raises_past_sqlalchemy_is_one_of_its_errors() -> None:
    """pg8000 says statements of its own when SQLAlchemy sets a level."""
    engine = create_engine("sqlite://")
    with pytest.raises(SQLAlchemyError) as raised, own_connection(engine, {}) as connection:
        raise sqlite3.OperationalError("network error")
    assert str(driver_error(raised.value)) == "network error"
    assert connection.closed


def test_one_that_cannot_be_closed_is_left_without_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """SQLAlchemy's pool writes a traceback, as of pg8000 whose socket is gone."""
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(":memory:", factory=Broken)
    )
    with own_connection(engine, {}) as connection:
        connection.exec_driver_sql("SELECT 1")
        kept = connection.connection.driver_connection
    assert caplog.text == ""
    assert isinstance(kept, Broken)
    sqlite3.Connection.close(kept)
