"""Which operation is at fault for an error that came up later, when the queue was applied."""

from __future__ import annotations

import re
from collections.abc import Iterator

from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.alter.queue.queue import Queue, refused
from flask_safemigrate.alter.queue.tracked import RULES, TrackedTable
from flask_safemigrate.ddl import questions
from flask_safemigrate.ddl.tokens import fold, significant, tokenize, unquote
from flask_safemigrate.errors import OperationRefused
from flask_safemigrate.facts.examination import Unusable

#: What is nobody's fault: the disk, another program, the file.
_OUTER = re.compile(
    r"disk|is full|is locked|interrupted|read-?only|out of memory|unable to open|not a database|"
    r"authori[sz]",
    re.IGNORECASE,
)
#: What SQLite misses, by its messages.
_LACKS = re.compile(
    r"no such function: (?P<function>.+)$|unknown function: (?P<unknown>[^ ()]+)\(|"
    r"wrong number of arguments to function (?P<called>[^ ()]+)\(|"
    r"no such collation sequence: (?P<collation>.+)$|no such (?:column|table): (?P<other>.+)$|"
    r"(?P<rule>\w+) constraint failed: (?P<failed>.+)$"
)


def at_fault(queue: Queue, error: Exception) -> OperationRefused | None:
    """An error that names revision and operation, None where none of them is at fault.

    :param error: of the driver.
    """
    message = str(error)
    if _OUTER.search(message):
        return None
    found = _LACKS.search(message)
    groups = found.groupdict() if found is not None else {}
    lacks = next((word for word in groups.values() if word), "")
    words = {fold(part) for part in re.split(r"[.,\s]+", lacks) if part}
    origin = _origin(queue, words - {"check", "unique", "foreign", "not"})
    if origin is None:
        return None
    return failed(origin, error)


def failed(origin: Origin, error: Exception) -> OperationRefused:
    """What SQLite says about a statement of an operation."""
    message = str(error)
    found = _LACKS.search(message)
    groups = found.groupdict() if found is not None else {}
    function = groups.get("function") or groups.get("unknown")
    lacks = function or groups.get("collation")
    if lacks is None:
        return refused(origin, f"SQLite says: {message}")
    # Here because only a run that fails needs it.
    from flask_safemigrate.checks.unusable import remedy

    hint = remedy(Unusable("table", "", "", "SELECT", message, lacks))
    kind = "function" if function else "collation"
    return refused(origin, f"SQLite has no {kind} {lacks}", hint)


def _origin(queue: Queue, words: set[str]) -> Origin | None:
    """The last operation that brought one of the words, else the last that changed something."""
    found = [origin for text, origin in _brought(queue) if _words(text) & words]
    if found:
        return found[-1]
    tables = [
        table
        for table in queue.tables.values()
        if table.origins and fold(table.name) in words | {fold(table.origin or "")} & words
    ]
    for table in tables or list(queue.tables.values())[::-1]:
        named = [each for each in table.origins if _words(each.operation) & words]
        if named or table.origins:
            return (named or table.origins)[-1]
    return next(
        iter([*queue.index_origins.values(), *(by for _, by in queue.dropped)][::-1]), None
    )


def _words(text: str) -> set[str]:
    return {fold(unquote(token.text)) for token in significant(tokenize(text))}


def _brought(queue: Queue) -> Iterator[tuple[str, Origin]]:
    """The texts that are new, with the operations that brought them."""
    for table in queue.tables.values():
        if queue.scratch.find("table", table.name) is None:
            continue
        yield from _of_table(queue, table)
    for name, origin in queue.index_origins.items():
        entry = queue.scratch.find("index", name)
        if entry is not None and entry.sql is not None:
            yield entry.sql, origin


def _of_table(queue: Queue, table: TrackedTable) -> Iterator[tuple[str, Origin]]:
    read = queue.read(table)
    if table.before is None and table.origins:
        yield read.sql, table.origins[0]
    for column in read.columns:
        tracked = table.column(column.name.value)
        by = tracked and (tracked.added_by or tracked.default_by or tracked.typed_by)
        if tracked is not None and by:
            yield f"{column.span.of(read.sql)} {tracked.fill or ''}", by
    for kind in RULES:
        constraints = questions.constraints_of_kind(read, kind)
        for constraint, by in zip(constraints, table.rules.get(kind) or [], strict=False):
            if by is not None:
                yield constraint.span.of(read.sql), by
