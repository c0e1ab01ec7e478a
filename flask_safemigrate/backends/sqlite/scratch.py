"""An SQLite database of our own, in memory, that is thrown away."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import URL, Connection, StaticPool, create_engine, event

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.errors import Refused


@contextlib.contextmanager
def scratch(target: Target) -> Iterator[Connection]:
    """Yield a connection to an empty database like the application's.

    :raises Refused: the application's listeners attach a file to it.
    """
    url = URL.create(target.engine.url.drivername, password=target.engine.url.password)
    # Revisions may start threads.
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    # A schema may need the functions and collations that the application adds to a connection.
    for listener in target.engine.pool.dispatch.connect:
        event.listen(engine, "connect", listener)
    try:
        with engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            files = [row[2] for row in driver.execute("PRAGMA database_list") if row[2]]
            if files:
                raise Refused(f'the scratch database has a file: "{files[0]}"')
            yield connection
    finally:
        engine.dispose()
