"""What a driver's error says, whichever driver it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError


class NotConnected(SQLAlchemyError):
    """What connecting raised, or the driver later, past SQLAlchemy; it is the cause.

    :param parameters: what the driver's ``connect()`` was called with, the password included;
        empty where the application connects by a ``creator`` of its own.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__("The driver did not connect.")
        self.parameters = parameters


def errors_behind(error: BaseException) -> Iterator[BaseException]:
    """Return an error and all that it came from, whichever way the driver keeps them."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        todo.append(current.orig if isinstance(current, DBAPIError) else None)
        # PyMySQL keeps the socket's error in an attribute of its own.
        inner = getattr(current, "original_exception", None)
        todo.append(inner if isinstance(inner, BaseException) else None)
        todo += [current.__cause__, current.__context__]


def driver_error(error: BaseException) -> BaseException:
    """Return the driver's own exception inside SQLAlchemy's."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig
    if isinstance(error, NotConnected) and error.__cause__ is not None:
        return error.__cause__
    return error


def sqlstate(error: BaseException) -> str:
    """Return the five characters of SQLSTATE, "" where the driver has none.

    psycopg says ``sqlstate``, psycopg2 ``pgcode``, pg8000 ``args[0]["C"]``.
    """
    found: Any = driver_error(error)
    code = getattr(found, "sqlstate", None) or getattr(found, "pgcode", None)
    if not code and found.args and isinstance(found.args[0], dict):
        code = found.args[0].get("C")
    return str(code or "")


def error_number(error: BaseException) -> int:
    """Return the MySQL or MariaDB error number, 0 where the driver has none.

    PyMySQL and mysqlclient put it first in ``args``, the two connectors say ``errno``.
    """
    found: Any = driver_error(error)
    number = getattr(found, "errno", None)
    if number is None or isinstance(found, OSError):
        number = found.args[0] if found.args else 0
    return number if isinstance(number, int) else 0


def system_error(error: BaseException) -> OSError | None:
    """Return the operating system's error that caused it, if there is one."""
    return next((e for e in errors_behind(error) if isinstance(e, OSError)), None)


def text_of(error: BaseException) -> str:
    """Return what the driver says in one line.

    A password that is in it is taken out where it is shown: here, it would be missing from the
    words by which an error is known.
    """
    found = driver_error(error)
    text = str(found) or type(found).__name__
    if found.args and isinstance(found.args[0], dict):
        text = str(found.args[0].get("M", text))
    elif len(found.args) > 1 and isinstance(found.args[0], int):
        text = str(found.args[1])
    return " ".join(text.split())
