"""What a revision calls on ``op.get_bind().connection``, as a part of the run.

Its statements are heard by all who listen to the run's connection, as SQLAlchemy's own are:
changes of tables that were put off come first. A script is run without the COMMIT of the driver
(https://docs.python.org/3/library/sqlite3.html#sqlite3.Cursor.executescript).
"""

from __future__ import annotations

import functools
import re
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, event


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


def serve_raw_calls(connection: Connection) -> Callable[[], None]:
    """Let the statements that a revision gives to the driver be heard and its scripts not commit.

    What is called on ``driver_connection`` itself is the driver's own.

    :return: undoes it.
    """
    fairy: Any = connection.connection
    driver: Any = fairy.driver_connection
    base: Any = type(driver.cursor())

    def run(cursor: Any, call: Any, statement: str, parameters: Any, many: bool) -> Any:
        if cursor.is_sqlalchemy:
            return call(cursor, statement, parameters)
        for hear in connection.dispatch.before_cursor_execute:
            statement, parameters = hear(connection, cursor, statement, parameters, None, many)
        cursor.is_sqlalchemy = False
        call(cursor, statement, parameters)
        for hear in connection.dispatch.after_cursor_execute:
            hear(connection, cursor, statement, parameters, None, many)
        return cursor

    def execute(cursor: Any, statement: str, parameters: Any = ()) -> Any:
        return run(cursor, base.execute, statement, parameters, False)

    def executemany(cursor: Any, statement: str, parameters: Any) -> Any:
        return run(cursor, base.executemany, statement, parameters, True)

    def executescript(cursor: Any, script: str) -> Any:
        for statement in statements_of(script):
            execute(cursor, statement)
        return cursor

    calls = {"execute": execute, "executemany": executemany, "executescript": executescript}
    made: Any = type("Cursor", (base,), {"is_sqlalchemy": False, **calls})

    def mark(_c: Any, cursor: Any, *_rest: Any) -> None:
        if isinstance(cursor, made):
            cursor.is_sqlalchemy = True

    def cursor(*factory: Any, **named: Any) -> Any:
        return driver.cursor(*(factory or (() if named else (made,))), **named)

    event.listen(connection, "before_cursor_execute", mark)
    fairy.cursor = cursor
    for name in calls:
        setattr(fairy, name, functools.partial(_call, cursor, name))

    def undo() -> None:
        event.remove(connection, "before_cursor_execute", mark)
        for name in ("cursor", *calls):
            fairy.__dict__.pop(name, None)

    return undo


def _call(cursor: Callable[[], Any], name: str, *given: Any) -> Any:
    return getattr(cursor(), name)(*given)
