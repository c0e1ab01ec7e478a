"""What a revision calls on ``op.get_bind().connection``, as a part of the run.

Its statements are heard by all who listen to the run's connection, as SQLAlchemy's own are:
changes of tables that were put off come first. A script is run without the COMMIT of the driver
(https://docs.python.org/3/library/sqlite3.html#sqlite3.Cursor.executescript).
"""

from __future__ import annotations

import functools
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from sqlalchemy import Connection, event

#: Packages that get the driver's own connection where others get what stands in for it.
_LIBRARIES = ("alembic", "flask_safemigrate", "sqlalchemy")
#: Attributes of what a pool hands out that lead to the driver's connection.
_OWN = ("dbapi_connection", "driver_connection", "connection")
_CALLS = ("execute", "executemany", "executescript")
_ENDS = ("commit", "rollback")


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


class _Raw:
    """Stands in for the driver's connection of a run, where a revision asks for that.

    ``commit()`` leaves to the run's end what the run commits there.

    :param stop: raises an error that says what the revision does, with a hint.
    :param level: the driver's ``isolation_level`` before the run set it.
    """

    def __init__(
        self,
        driver: Any,
        cursor: Callable[..., Any],
        stop: Callable[[str, str], NoReturn],
        level: str | None,
    ) -> None:
        self.__dict__.update(_driver=driver, _stop=stop, cursor=cursor, isolation_level=level)
        for name in _CALLS:
            self.__dict__[name] = functools.partial(_call, cursor, name)

    # To isinstance() it is one of the driver's.
    __class__: Any = property(lambda raw: type(raw._driver))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # How the driver begins transactions is no matter within that of the run.
        if name in ("isolation_level", "autocommit"):
            self.__dict__[name] = value
        else:
            setattr(self._driver, name, value)

    def __enter__(self) -> _Raw:
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        if kind is not None:
            self.rollback()

    def commit(self) -> None:
        """Without effect: what was done is committed with the rest of the run."""

    def rollback(self) -> None:
        self._stop(
            "calls rollback() on the driver's connection, which would undo all revisions of this"
            " run",
            "use op.get_bind().begin_nested() around what may fail, and roll back that",
        )

    def close(self) -> None:
        self._stop("closes the connection of the run", "take it out; Alembic closes it")


def serve_raw_calls(
    connection: Connection, stop: Callable[[str, str], NoReturn], level: str | None
) -> Callable[[], None]:
    """Let the statements that a revision gives to the driver be heard and its scripts not commit.

    :param stop: raises an error that says what the revision does, with a hint.
    :param level: the driver's ``isolation_level`` before the run set it.
    :return: undoes it.
    """
    fairy: Any = connection.connection
    driver: Any = fairy.driver_connection
    plain: Any = type(driver.cursor())

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

    def heard(base: Any) -> Any:
        def execute(cursor: Any, statement: str, parameters: Any = ()) -> Any:
            return run(cursor, base.execute, statement, parameters, False)

        def executemany(cursor: Any, statement: str, parameters: Any) -> Any:
            return run(cursor, base.executemany, statement, parameters, True)

        def executescript(cursor: Any, script: str) -> Any:
            for statement in statements_of(script):
                execute(cursor, statement)
            return cursor

        calls = {"execute": execute, "executemany": executemany, "executescript": executescript}
        own = {"is_sqlalchemy": False, "connection": property(lambda cursor: raw)}
        return type(base.__name__, (base,), {**own, **calls})

    made = heard(plain)

    def mark(_c: Any, cursor: Any, *_rest: Any) -> None:
        if isinstance(cursor, made):
            cursor.is_sqlalchemy = True

    def cursor(factory: Any = plain) -> Any:
        if factory is plain:
            return driver.cursor(made)
        return driver.cursor(heard(factory) if isinstance(factory, type) else factory)

    raw = _Raw(driver, cursor, stop, level)
    event.listen(connection, "before_cursor_execute", mark)
    fairy.cursor = cursor
    for name in _CALLS:
        setattr(fairy, name, functools.partial(_call, cursor, name))
    for name in _ENDS:
        setattr(fairy, name, _ending(getattr(fairy, name), getattr(raw, name)))
    stock = type(fairy)
    fairy.__class__ = type(stock.__name__, (stock,), {name: _led(name, raw) for name in _OWN})

    def undo() -> None:
        event.remove(connection, "before_cursor_execute", mark)
        for name in ("cursor", *_CALLS, *_ENDS):
            fairy.__dict__.pop(name, None)
        fairy.__class__ = stock

    return undo


def _led(name: str, raw: _Raw) -> property:
    """An attribute that leads a revision to ``raw``, and libraries to the driver's connection."""

    def read(fairy: Any) -> Any:
        kept = getattr(super(type(fairy), fairy), name)
        return kept if _asks_library() or kept is not raw._driver else raw

    def write(fairy: Any, value: Any) -> None:
        getattr(super(type(fairy), type(fairy)), name).__set__(fairy, value)

    return property(read, write)


def _ending(stock: Callable[[], None], ours: Callable[[], None]) -> Callable[[], None]:
    """What ends a transaction where SQLAlchemy calls it, and is the revision's where that does."""

    def end() -> None:
        (stock if _asks_library() else ours)()

    return end


def _asks_library() -> bool:
    """Whether a library calls what calls this."""
    asks = str(sys._getframe(2).f_globals.get("__name__"))
    return asks.partition(".")[0] in _LIBRARIES


def _call(cursor: Callable[[], Any], name: str, *given: Any) -> Any:
    return getattr(cursor(), name)(*given)
