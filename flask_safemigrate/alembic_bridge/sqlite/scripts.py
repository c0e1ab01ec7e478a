"""``executescript()`` on the run's own connection, without the COMMIT of the driver.

https://docs.python.org/3/library/sqlite3.html#sqlite3.Cursor.executescript
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def statements_of(script: str) -> Iterator[str]:
    """Return the statements of a script one by one, as SQLite itself tells where they end."""
    statement = ""
    for part in re.split(r"(?<=;)", script):
        statement += part
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def serve_scripts(connection: Connection) -> Callable[[], None]:
    """Let scripts that a revision gives to ``op.get_bind().connection`` run in its transaction.

    Their statements go the way of all others, so that table changes that were put off come first.
    What is called on ``driver_connection`` itself is the driver's own.

    :return: undoes it.
    """
    fairy: Any = connection.connection
    driver: Any = fairy.driver_connection

    def run(script: str) -> None:
        for statement in statements_of(script):
            try:
                connection.exec_driver_sql(statement)
            except DBAPIError as error:
                # What the driver's own method raises.
                raise (error.orig or error) from error

    def executescript(cursor: Any, script: str) -> Any:
        run(script)
        return cursor

    base = type(driver.cursor())
    made = type("Cursor", (base,), {"executescript": executescript})

    def cursor(*factory: Any, **named: Any) -> Any:
        return driver.cursor(*(factory or (() if named else (made,))), **named)

    fairy.cursor = cursor
    fairy.executescript = lambda script: cursor().executescript(script)

    def undo() -> None:
        for name in ("cursor", "executescript"):
            fairy.__dict__.pop(name, None)

    return undo
