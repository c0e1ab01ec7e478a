"""What each statement of a rehearsal on a server does."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import event

from flask_safemigrate.alembic_bridge.environment import Stage
from flask_safemigrate.alembic_bridge.failure import line_now
from flask_safemigrate.alembic_bridge.listening import is_reading
from flask_safemigrate.alembic_bridge.run_record import Position, Tracer
from flask_safemigrate.names import OWN_TABLES
from flask_safemigrate.outcome import Effect, Traced


class _Open(NamedTuple):
    """A statement that is under way.

    :param said: what runs in its place.
    """

    said: str
    shown: str
    line: int | None
    started: float


_HARMLESS = ("", "ACCESS SHARE")


@contextlib.contextmanager
def tracing(
    stage: Stage, position: Position, tracer: Tracer | None, sources: Mapping[str, str]
) -> Iterator[list[Traced]]:
    """Trace what revisions say, for the length of the block.

    :param sources: revision id -> path of its file.
    """
    found: list[Traced] = []
    if tracer is None:
        yield found
        return
    connection, trace = stage.connection, tracer
    own = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in _own(stage)))
    open_: list[_Open] = []
    escaped = connection.dialect.paramstyle in ("format", "pyformat")

    def before(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        # What is said while one is under way is said by us.
        if open_ or not position.running or own.search(statement):
            return statement, parameters
        started = time.perf_counter()
        instead = trace.before(statement, parameters)
        if instead == statement:
            # What it took to look is not the statement's; what was tried in its place is.
            started = time.perf_counter()
        line = line_now(os.path.realpath(sources.get(position.revision or "", "")))
        shown = statement.replace("%%", "%") if escaped else statement
        open_.append(_Open(instead, shown, line, started))
        return instead, parameters if instead == statement else ()

    def after(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not open_ or open_[0].said != statement:
            return
        done = open_.pop()
        seconds = time.perf_counter() - done.started
        effects, algorithm = trace.after()
        if not is_reading(done.shown) or any(map(_matters, effects)):
            revision = position.revision or ""
            found.append(Traced(revision, done.line, done.shown, seconds, effects, algorithm))

    def failed(about: Any) -> None:
        if about.connection is connection and open_:
            open_.clear()
            if not about.is_disconnect:
                with contextlib.suppress(Exception):
                    trace.failed()

    event.listen(connection, "before_cursor_execute", before, retval=True)
    event.listen(connection, "after_cursor_execute", after)
    event.listen(connection.engine, "handle_error", failed)
    try:
        yield found
    finally:
        event.remove(connection, "before_cursor_execute", before)
        event.remove(connection, "after_cursor_execute", after)
        event.remove(connection.engine, "handle_error", failed)


def _own(stage: Stage) -> tuple[str, ...]:
    return (stage.context.version_table, *OWN_TABLES)


def _matters(effect: Effect) -> bool:
    return effect.rewritten or (effect.lock not in _HARMLESS and not effect.held)
