"""An SQLite database of our own, in memory, that is thrown away."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import URL, Connection, StaticPool, create_engine, event

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.sqlite.files import quoted
from flask_safemigrate.errors import Refused


@contextlib.contextmanager
def scratch(target: Target) -> Iterator[Connection]:
    """Yield a connection to an empty database like the application's.

    What the application's listeners attach to it is empty and in memory too.

    :raises Refused: it has a file all the same.
    """
    url = URL.create(target.engine.url.drivername, password=target.engine.url.password)
    # Revisions may start threads.
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    # A schema may need the functions and collations that the application adds to a connection.
    # Those of every engine are there already.
    present = list(engine.pool.dispatch.connect)
    for listener in target.engine.pool.dispatch.connect:
        if listener not in present:
            event.listen(engine, "connect", listener)
    try:
        with engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            _leave_files(driver)
            yield connection
    finally:
        engine.dispose()


def _leave_files(driver: Any) -> None:
    """Put databases in memory where files are attached: what runs here is not for those."""
    for _, name, file in driver.execute("PRAGMA database_list").fetchall():
        if not file:
            continue
        if name == "main":
            raise Refused(f'the scratch database has a file: "{file}"')
        driver.execute(f"DETACH DATABASE {quoted(name)}")
        driver.execute(f"ATTACH DATABASE ':memory:' AS {quoted(name)}")
