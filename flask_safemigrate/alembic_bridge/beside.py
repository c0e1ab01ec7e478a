"""Connections that a revision opens beside the migration's own.

``db.session``, ``op.get_bind().engine`` and engines of the revision itself know nothing of the
run: what they change is not undone with it, and what it has locked they wait for. On SQLite that
is so for other files than those of the run, whose connections are shared.
"""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, event

from flask_safemigrate.alembic_bridge.beside_files import hearing_files
from flask_safemigrate.alembic_bridge.environment import Stage
from flask_safemigrate.alembic_bridge.failure import short
from flask_safemigrate.alembic_bridge.listening import is_reading
from flask_safemigrate.alembic_bridge.past import hearing_driver
from flask_safemigrate.alembic_bridge.run_record import Guard, Position

if TYPE_CHECKING:
    from flask_safemigrate.alembic_bridge.resume import Recorder


def _line(directory: Path) -> str:
    """The line of a migration file that is running, "" where there is none."""
    for frame in reversed(traceback.extract_stack()):
        path = Path(frame.filename)
        if path.is_relative_to(directory):
            return f"{path.relative_to(directory.parent)}:{frame.lineno}"
    return ""


@contextlib.contextmanager
def hearing_others(
    stage: Stage, position: Position, guard: Guard, recorder: Recorder | None, directory: Path
) -> Iterator[None]:
    """Hear what a revision says on other connections, for the length of the block.

    What the record of a server has is not noted a second time.

    :param directory: the migrations folder, absolute.
    """
    thread = threading.get_ident()
    open_: dict[int, list[str]] = {}

    def is_theirs(connection: Connection) -> bool:
        return (
            position.running
            and connection is not stage.connection
            and threading.get_ident() == thread
            and connection.dialect.name != "sqlite"
            and not guard.is_ours(connection)
        )

    def before(
        connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> None:
        if connection is stage.connection and position.running:
            position.asked_beside = ""
        if not is_theirs(connection):
            return
        said = f"{_line(directory) or 'code that it calls'}: {short(statement)}"
        position.asked_beside = said if _is_of_same_database(connection, stage.connection) else ""
        writes = not is_reading(statement)
        if recorder is not None:
            recorder.beside(statement, parameters, said, writes=writes)
        if stage.connection.dialect.name != "sqlite":
            guard.heard_beside(connection, said)
        if writes and recorder is None:
            open_.setdefault(id(connection), []).append(said)

    def past(statement: str) -> None:
        if recorder is not None and position.running and not is_reading(statement):
            said = f"{_line(directory) or 'code that it calls'}: {short(statement)}"
            recorder.beside(statement, (), said, writes=True)

    def after(connection: Connection, *_: Any) -> None:
        if is_theirs(connection) and _commits_itself(connection):
            at_commit(connection)

    def at_commit(connection: Connection) -> None:
        position.beside.extend(open_.pop(id(connection), ()))

    def at_rollback(connection: Connection) -> None:
        open_.pop(id(connection), None)

    listeners: tuple[tuple[str, Callable[..., None]], ...] = (
        ("before_cursor_execute", before),
        ("after_cursor_execute", after),
        ("commit", at_commit),
        ("rollback", at_rollback),
    )
    for name, listener in listeners:
        event.listen(Engine, name, listener)
    # What transactions hold is undone with them; only a record has to be told.
    own = contextlib.ExitStack()
    if recorder is not None:
        own.enter_context(hearing_driver(stage.connection.connection.driver_connection, past))
    try:
        with own, hearing_files(position, lambda: _line(directory) or "code that it calls"):
            yield
    finally:
        for name, listener in listeners:
            event.remove(Engine, name, listener)


def _is_of_same_database(one: Connection, other: Connection) -> bool:
    a, b = one.engine.url, other.engine.url
    return (a.host, a.port, a.database) == (b.host, b.port, b.database)


def _commits_itself(connection: Connection) -> bool:
    driver: Any = connection.connection.driver_connection
    return getattr(driver, "autocommit", None) is True
