"""What a way down takes along: the tables and columns that its revisions brought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flask_safemigrate.facts.comparison import Fact, ReplayedHistory


class Brought(NamedTuple):
    """A table, or a column of a table that was there before ("" for the whole table)."""

    table: str
    column: str


def brought(replay: ReplayedHistory, revisions: Iterable[str]) -> tuple[Brought, ...]:
    """What these revisions brought, and no other of them took away again.

    What got another name is nothing new.

    :param revisions: from the newest to the oldest, as a downgrade runs them.
    """
    found: dict[Brought, None] = {}
    for id in reversed(list(revisions)):
        changes = replay.changes.get(id, {})
        added = {_what(fact) for fact, (old, new) in changes.items() if old is None and _is(fact)}
        gone = {_what(fact) for fact, (old, new) in changes.items() if new is None and _is(fact)}
        for each in gone:
            found.pop(each, None)
        for each in sorted(added):
            if not _renamed(each, gone, changes):
                found[each] = None
    tables = {each.table for each in found if not each.column}
    names = {_what(fact): name for fact, name in replay.names.items() if _is(fact)}
    return tuple(
        Brought(names.get(Brought(each.table, ""), each.table), each.column and names[each])
        for each in found
        if not each.column or each.table not in tables
    )


def _is(fact: Fact) -> bool:
    return fact.kind in ("table", "column")


def _what(fact: Fact) -> Brought:
    return Brought(fact.table or fact.name, fact.name if fact.kind == "column" else "")


def _renamed(
    one: Brought,
    gone: Iterable[Brought],
    changes: Mapping[Fact, tuple[str | None, str | None]],
) -> bool:
    """Whether the same revision took away what is like it under another name."""
    if one.column:
        now = changes[Fact("column", one.table, one.column)][1]
        whole = any(not each.column and each.table != one.table for each in gone)
        moved = whole and any(
            each.column == one.column and changes[Fact("column", *each)][0] == now
            for each in gone
            if each.column
        )
        return moved or any(
            each.table == one.table and changes[Fact("column", *each)][0] == now
            for each in gone
            if each.column
        )
    mine = _columns(one.table, changes, 1)
    return any(
        mine and mine == _columns(each.table, changes, 0)
        for each in gone
        if not each.column and each.table != one.table
    )


def _columns(
    table: str, changes: Mapping[Fact, tuple[str | None, str | None]], side: int
) -> dict[str, str | None]:
    return {
        fact.name: values[side]
        for fact, values in changes.items()
        if fact.kind == "column" and fact.table == table and values[side] is not None
    }
