"""A connection beside the application's pool, made the way the application makes its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from flask_safemigrate.backends.driver_errors import NotConnected
from flask_safemigrate.errors import SafeMigrateError

_PARAMETERS = "safemigrate_parameters"
_OWN = "safemigrate_own"
_UNHEARD = logging.Logger("unheard", logging.CRITICAL + 1)


class Defaults(dict[str, Any]):
    """Parameters of a driver's ``connect()`` for what the application left open.

    :param connected: what is done with a connection that was made with them, before anything
        uses it; it gets those that the application gave as well.
    """

    def __init__(
        self,
        parameters: Mapping[str, Any],
        connected: Callable[[Any, Mapping[str, Any]], None] | None = None,
    ) -> None:
        super().__init__(parameters)
        self.connected = connected


# Defaults, forced ones, and those that the driver was called with in the end.
_Parameters = tuple[Mapping[str, Any], Mapping[str, Any], dict[str, Any]]
_wanted: ContextVar[_Parameters | None] = ContextVar("wanted", default=None)


def _connect(
    dialect: Dialect,
    record: ConnectionPoolEntry,
    arguments: list[Any],
    parameters: dict[str, Any],
) -> DBAPIConnection | None:
    wanted = _wanted.get()
    if wanted is None:
        return None
    defaults, forced, used = wanted
    merged = {**defaults, **parameters, **forced}
    used.update(merged)
    record.info[_PARAMETERS] = merged
    connection = dialect.connect(*arguments, **merged)
    if isinstance(defaults, Defaults) and defaults.connected is not None:
        defaults.connected(connection, {**parameters, **forced})
    return connection


@contextmanager
def own_connection(
    engine: Engine,
    defaults: Mapping[str, Any],
    *,
    autocommit: bool = False,
    forced: Mapping[str, Any] | None = None,
) -> Iterator[Connection]:
    """Open a connection that never waits for the application's pool, and close it at the end.

    It is made by the application's own way to connect (``connect_args``, ``creator``,
    ``do_connect`` and ``connect`` listeners), because a URL alone may lack the certificate, the
    search path or the short-lived password that the application adds. Whatever the block leaves
    uncommitted is rolled back.

    :param defaults: parameters of the driver's ``connect()`` for what the application left open,
        such as a timeout.
    :param autocommit: every statement is a transaction of its own.
    :param forced: parameters of the driver's ``connect()`` that replace the application's. A
        ``creator`` of the application knows nothing of them.
    :raises SQLAlchemyError: there is no connection; :class:`NotConnected` for everything that
        the driver or the application's listeners let through.
    """
    # A listener that stays costs a call per connection; one that comes and goes would change
    # SQLAlchemy's list of listeners while another thread walks it.
    if not event.contains(engine, "do_connect", _connect):
        event.listen(engine, "do_connect", _connect)
    own = Engine(engine.pool.recreate(), engine.dialect, engine.url, hide_parameters=True)
    # What it cannot close because it is broken is told as a traceback there.
    own.pool.logger = _UNHEARD
    own.update_execution_options(**{_OWN: True})
    used: dict[str, Any] = {}
    token = _wanted.set((defaults, forced or {}, used))
    try:
        connection = own.connect()
    except (SQLAlchemyError, SafeMigrateError):
        raise
    except Exception as error:
        raise NotConnected(used) from error
    finally:
        _wanted.reset(token)
    try:
        # The application may have made AUTOCOMMIT its default, which would void the transaction.
        level = "AUTOCOMMIT" if autocommit else engine.dialect.default_isolation_level
        yield connection.execution_options(isolation_level=level or "READ COMMITTED")
    except engine.dialect.loaded_dbapi.Error as error:
        # pg8000 sets the level by a statement of its own, which SQLAlchemy lets fail as it may.
        raise NotConnected(used) from error
    finally:
        # Not given back to a pool: a pool would first reset it, which waits for a dead server.
        connection.invalidate()
        connection.close()
        own.dispose()


def is_own(connection: Connection) -> bool:
    """Whether it is one of :func:`own_connection`, and not one of the application's."""
    return bool(connection.get_execution_options().get(_OWN))


def parameters_of(connection: Connection) -> Mapping[str, Any]:
    """Return what the driver's ``connect()`` was called with, the password included.

    Only of a connection from :func:`own_connection`; empty where the application connects by a
    ``creator`` of its own.
    """
    found: Mapping[str, Any] = connection.info.get(_PARAMETERS, {})
    return found
