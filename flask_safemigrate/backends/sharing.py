"""One connection under an engine of its own, which never opens another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, StaticPool
from sqlalchemy.engine.interfaces import Dialect


def _of_first_alone(dialect: Dialect) -> Any:
    """The dialect, but that no more than the first connection ends the transaction."""
    stock = type(dialect)

    class Shared(stock):  # type: ignore[misc, valid-type]
        supports_statement_cache = True
        first: Any = None

        def do_commit(self, dbapi_connection: Any) -> None:
            if dbapi_connection is self.first:
                super().do_commit(dbapi_connection)

        def do_rollback(self, dbapi_connection: Any) -> None:
            if dbapi_connection is self.first:
                super().do_rollback(dbapi_connection)

    shared = Shared.__new__(Shared)
    shared.__dict__.update(dialect.__dict__)
    return shared


@contextlib.contextmanager
def sharing(connection: Connection, dialect: Dialect | None = None) -> Iterator[Connection]:
    """Yield the same connection, whose engine gives it to everybody who asks.

    What a revision reads by ``op.get_bind().engine`` is then what it has written, and can be no
    other database: the engine of an ordinary connection would open another one, to the
    application's database.

    :param dialect: a dialect object that was initialised on the connection, where the
        connection's own remembers another database.
    """
    driver: Any = connection.connection.driver_connection
    shared = _of_first_alone(dialect or connection.dialect)
    pool = StaticPool(lambda: driver, reset_on_return=None, dialect=shared)
    # Not disposed of at the end: the driver's connection is the other engine's to close.
    own = Engine(pool, shared, connection.engine.url, hide_parameters=True)
    with own.connect() as first:
        shared.first = first.connection
        yield first
