"""What AUTOCOMMIT promises a revision, kept inside a transaction of PostgreSQL.

``isolation_level="AUTOCOMMIT"`` in ``env.py`` is there so that an error which a revision catches
aborts nothing, and for statements that allow no transaction around them. A savepoint around each
statement gives the first, cutting the transaction there the second, and a failure still undoes
what can be undone: https://www.postgresql.org/docs/current/sql-savepoint.html
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, event

_NAME = "safemigrate_statement"
_START = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
# A savepoint around one that the revision makes or ends would take it along.
_BOUNDS = re.compile(
    rf"{_START}(?:SAVEPOINT|RELEASE|ROLLBACK|COMMIT|END|ABORT|BEGIN|START)\b",
    re.IGNORECASE | re.DOTALL,
)
# Statements that the server refuses in a transaction, or whose result is of no use in it.
_ALONE = re.compile(
    rf"{_START}(?:(?:CREATE|DROP|REINDEX|ALTER\s+TABLE)\b.*\bCONCURRENTLY\b|VACUUM\b"
    r"|(?:CREATE|DROP)\s+(?:DATABASE|TABLESPACE|SUBSCRIPTION)\b|ALTER\s+SYSTEM\b"
    r"|REINDEX\s+(?:\([^)]*\)\s*)?(?:DATABASE|SYSTEM|SCHEMA)\b|CLUSTER\s*(?:;|$)"
    r"|ALTER\s+TYPE\b.*\bADD\s+VALUE\b)",
    re.IGNORECASE | re.DOTALL,
)


@contextlib.contextmanager
def each_by_itself(
    connection: Connection,
    is_running: Callable[[], bool],
    block: Callable[[], AbstractContextManager[None]],
) -> Iterator[None]:
    """Take back a statement that fails, and nothing else, for the length of the block.

    :param is_running: whether what is said now is a revision's.
    :param block: ends the transaction, and begins another one when it is left.
    """
    open_: list[str] = []

    def is_ours(statement: str) -> bool:
        driver: Any = connection.connection.driver_connection
        # A revision may cut the transaction itself.
        return is_running() and driver.autocommit is False and not _BOUNDS.match(statement)

    def say(*statements: str) -> None:
        # By the driver, so that nobody hears of it.
        cursor = connection.connection.cursor()
        try:
            for statement in statements:
                cursor.execute(statement)
        finally:
            cursor.close()

    def before(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if is_ours(statement) and not _ALONE.match(statement):
            say(f"SAVEPOINT {_NAME}")
            open_.append(statement)

    def execute(_cursor: Any, statement: str, *rest: Any) -> bool | None:
        *parameters, context = rest
        if context is None or context.root_connection is not connection:
            return None
        if not is_ours(statement) or not _ALONE.match(statement):
            return None
        with block():
            connection.exec_driver_sql(statement, *(each or None for each in parameters))
        return True

    def after(*_: Any) -> None:
        if open_:
            open_.clear()
            say(f"RELEASE SAVEPOINT {_NAME}")

    def failed(about: Any) -> None:
        if about.connection is connection and open_:
            open_.clear()
            if not about.is_disconnect:
                with contextlib.suppress(Exception):
                    say(f"ROLLBACK TO SAVEPOINT {_NAME}", f"RELEASE SAVEPOINT {_NAME}")

    listeners: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
        (connection, "before_cursor_execute", before),
        (connection, "after_cursor_execute", after),
        (connection.engine, "do_execute", execute),
        (connection.engine, "do_execute_no_params", execute),
        (connection.engine, "handle_error", failed),
    )
    for target, name, listener in listeners:
        event.listen(target, name, listener)
    try:
        yield
    finally:
        for target, name, listener in listeners:
            event.remove(target, name, listener)
