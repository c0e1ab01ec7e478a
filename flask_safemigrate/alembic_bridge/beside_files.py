"""SQLite files that a revision writes to beside the databases of the run."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Engine, Pool, event

from flask_safemigrate.alembic_bridge import audit
from flask_safemigrate.alembic_bridge.failure import short
from flask_safemigrate.alembic_bridge.run_record import Position
from flask_safemigrate.alembic_bridge.sqlite.literals import is_read
from flask_safemigrate.alembic_bridge.sqlite.second import verb_of
from flask_safemigrate.alembic_bridge.sqlite.sharing import (
    file_of,
    is_of_run,
    is_second,
    named_file,
    speaks_for_another,
)
from flask_safemigrate.ddl.tokens import tokenize

_BEGINS = ("BEGIN", "SAVEPOINT", "RELEASE")
_COMMITS = ("COMMIT", "END")
#: They work on no database of the run's, or change nothing that stays.
_NO_WRITES = ("ATTACH", "DETACH", "PRAGMA")
_OPENS = ("sqlite3.connect",)


def _print_of(file: str) -> tuple[object, ...]:
    """What differs once something was written to a file or to its WAL."""
    found: list[object] = []
    for name in (file, f"{file}-wal"):
        try:
            stat = os.stat(name)
        except OSError:
            found.append(None)
        else:
            # An empty one is made by a connection that writes nothing.
            found.append((stat.st_size, stat.st_mtime_ns) if stat.st_size else None)
    return tuple(found)


def without_values(statement: str) -> str:
    """A statement with ``?`` for the values, which may be anybody's."""
    values = ("string", "number", "blob")
    return "".join("?" if each.kind in values else each.text for each in tokenize(statement))


@contextlib.contextmanager
def hearing_files(position: Position, place: Callable[[], str]) -> Iterator[None]:
    """Note in ``position.beside`` what a revision commits to other files, within the block.

    :param place: the line of the revision that is running.
    """
    thread = threading.get_ident()
    traced: list[sqlite3.Connection] = []

    def trace(driver: Any) -> None:
        """Hear what is said on a connection of the driver's, however it was come by."""
        if not position.running or threading.get_ident() != thread:
            return
        if not isinstance(driver, sqlite3.Connection) or any(driver is one for one in traced):
            return
        file = "" if is_of_run(driver) else file_of(driver)
        if not file:
            return
        traced.append(driver)
        said: list[str] = []
        alone: list[str] = []
        before = _print_of(file)

        def written_alone() -> str:
            # It is heard before it runs, and may be what has failed.
            return "\n  ".join(alone) if _print_of(file) != before else ""

        position.opened.append(written_alone)

        def heard(statement: str) -> None:
            verb = verb_of(statement)[0]
            if verb in _COMMITS:
                position.beside.extend(said)
                said.clear()
            elif verb == "ROLLBACK":
                said.clear()
            elif (
                position.running
                and verb not in (*_BEGINS, *_NO_WRITES)
                and not is_read(statement)
                and not statement.startswith("--")
            ):
                told = f"{place()}: {short(without_values(statement))}"
                # Each row of a list, and each statement of a trigger, is heard by itself.
                into = said if driver.in_transaction else alone
                if told not in into:
                    into.append(told)

        driver.set_trace_callback(heard)

    def checked_out(dbapi: Any, _record: Any, fairy: Any) -> None:
        if not speaks_for_another(fairy):
            trace(dbapi)

    def before_statement(connection: Any, *_: Any) -> None:
        # A session may have had it since before the run.
        if connection.dialect.name == "sqlite" and not is_second(connection):
            trace(connection.connection.driver_connection)

    def opened(_name: str, arguments: tuple[Any, ...]) -> None:
        """Remember how a file was that the revision opens without SQLAlchemy."""
        if not position.running or threading.get_ident() != thread:
            return
        file = named_file(arguments[0])
        modules = [
            frame.f_globals.get("__name__") or "" for frame, _ in traceback.walk_stack(None)
        ]
        caller = next((name for name in modules if name != __name__), "")
        if (
            not file
            or caller.startswith("flask_safemigrate.")
            or any(name.startswith("sqlalchemy.pool") for name in modules)
        ):
            return
        before, where = _print_of(file), place()

        def written() -> str:
            return f'{where}: writes to "{file}"' if _print_of(file) != before else ""

        position.opened.append(written)

    audit.listen(_OPENS, opened)
    event.listen(Pool, "checkout", checked_out)
    event.listen(Engine, "before_execute", before_statement)
    try:
        yield
    finally:
        audit.leave(_OPENS, opened)
        event.remove(Pool, "checkout", checked_out)
        event.remove(Engine, "before_execute", before_statement)
        for driver in traced:
            # It may be closed, or belong to a thread that has ended.
            with contextlib.suppress(sqlite3.Error):
                driver.set_trace_callback(None)
