"""A MariaDB or MySQL database of our own that is dropped at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy import Connection, StaticPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends import scratch_names
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.mysql.address import connect_defaults
from flask_safemigrate.backends.mysql.quoting import quoted
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.sharing import sharing
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.errors import Refused

_OLD = r"""
    SELECT schema_name FROM information_schema.schemata
    WHERE schema_name LIKE 'safemigrate\_scratch\_%'
"""


def _allow(said: str, server: Connection) -> str | None:
    if "denied" not in said:
        return None
    account = str(server.exec_driver_sql("SELECT CURRENT_USER()").scalar())
    user, _, host = account.rpartition("@")
    return (
        "as an administrator: GRANT ALL ON `safemigrate\\_scratch\\_%`.* TO "
        f"'{user}'@'{host}'; or flask db doctor --fast"
    )


@contextlib.contextmanager
def _as_its_own(target: Target, connection: Connection, name: str) -> Iterator[Connection]:
    """Yield the same connection under a dialect object of its own.

    The application's one remembers its database as the default schema, and looks there when it
    is asked for a table.
    """
    driver = connection.connection.driver_connection
    engine = create_engine(
        target.engine.url.set(database=name), poolclass=StaticPool, creator=lambda: driver
    )
    # Not disposed of at the end: the driver's connection is the other engine's to close.
    with engine.connect() as own:
        if engine.dialect.default_schema_name != name:
            raise Refused(
                "the application's way to connect leads to one database only",
                hint="let its creator= use the database that the URL names; or "
                "flask db doctor --fast",
            )
        own.rollback()
        with sharing(own) as shared:
            yield shared


@contextlib.contextmanager
def scratch(target: Target) -> Iterator[Connection]:
    """Yield a connection to an empty database of the application's server.

    :raises Refused: the database cannot be made, for want of a privilege in most cases.
    """
    name = scratch_names.new_name()
    defaults = connect_defaults(target.engine)
    with (
        own_connection(target.engine, defaults, autocommit=True) as server,
        own_connection(target.engine, defaults) as connection,
    ):
        try:
            for old in scratch_names.stale(server.execute(plain(_OLD)).scalars()):
                with contextlib.suppress(SQLAlchemyError):
                    server.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted(old)}")
            charset, collation = server.exec_driver_sql(
                "SELECT @@character_set_database, @@collation_database"
            ).one()
            server.exec_driver_sql(
                f"CREATE DATABASE {quoted(name)} CHARACTER SET {charset} COLLATE {collation}"
            )
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", error)).strip().splitlines()[0]
            raise Refused(
                f"no scratch database can be made: {said}", hint=_allow(said, server)
            ) from error
        try:
            connection.exec_driver_sql(f"USE {quoted(name)}")
            connection.commit()
            with _as_its_own(target, connection, name) as scratch_connection:
                yield scratch_connection
        finally:
            # The other connection may still hold locks on its tables.
            connection.invalidate()
            server.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted(name)}")
