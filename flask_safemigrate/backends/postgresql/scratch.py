"""A PostgreSQL database of our own that is dropped at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import import_module

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends import scratch_names
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.postgresql.address import connect_defaults
from flask_safemigrate.backends.postgresql.read import quoted
from flask_safemigrate.backends.sharing import sharing
from flask_safemigrate.errors import Refused

_OLD = text("SELECT datname FROM pg_database WHERE datname LIKE 'safemigrate\\_scratch\\_%'")


def _allow(said: str, server: Connection) -> str | None:
    if "permission denied" not in said:
        return None
    user = quoted(str(server.exec_driver_sql("SELECT session_user").scalar()))
    return f"as an administrator: ALTER ROLE {user} CREATEDB; or flask db doctor --fast"


@contextlib.contextmanager
def scratch(target: Target) -> Iterator[Connection]:
    """Yield a connection to an empty database of the application's server.

    The schemas of the search path are there, and no extension.

    :raises Refused: the database cannot be made, for want of a privilege in most cases.
    """
    name = scratch_names.new_name()
    engine = target.engine
    with own_connection(engine, connect_defaults(engine), autocommit=True) as server:
        try:
            for old in scratch_names.stale(server.execute(_OLD).scalars()):
                with contextlib.suppress(SQLAlchemyError):
                    server.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted(old)}")
            schemas = list(server.execute(text("SELECT unnest(current_schemas(false))")).scalars())
            # The application's own template may be in use; this one nobody can be connected to.
            server.exec_driver_sql(f"CREATE DATABASE {quoted(name)} TEMPLATE template0")
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", error)).strip().splitlines()[0]
            raise Refused(
                f"no scratch database can be made: {said}", hint=_allow(said, server)
            ) from error
        try:
            # Drivers differ in the word for it.
            key = "dbname" if engine.dialect.driver.startswith("psycopg") else "database"
            defaults = connect_defaults(engine)
            if engine.dialect.driver == "psycopg2":
                # Only a class made here takes the attributes that guard what a revision does.
                stock = import_module("psycopg2.extensions").connection
                defaults = {**defaults, "connection_factory": type("Connection", (stock,), {})}
            with own_connection(engine, defaults, forced={key: name}) as connection:
                if connection.execute(text("SELECT current_database()")).scalar() != name:
                    raise Refused(
                        "the application's way to connect leads to one database only",
                        hint="let its creator= use the database that the URL names; or "
                        "flask db doctor --fast",
                    )
                for schema in schemas:
                    connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
                connection.commit()
                with sharing(connection) as shared:
                    yield shared
        finally:
            server.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")
