"""To which tables a write to a table may lead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def reached_from(start: Iterable[T], *reaches: Mapping[T, frozenset[T]]) -> frozenset[T]:
    """Return these tables and all that their foreign keys, triggers and rules lead to.

    :param reaches: for each table, those that a write to it may write to directly.
    """
    reached: set[T] = set()
    todo = list(start)
    while todo:
        table = todo.pop()
        if table not in reached:
            reached.add(table)
            for reach in reaches:
                todo.extend(reach.get(table, ()))
    return frozenset(reached)


def grouped(pairs: Iterable[tuple[T, T]]) -> dict[T, frozenset[T]]:
    """Return pairs of (from, to) as a mapping."""
    found: dict[T, set[T]] = {}
    for source, other in pairs:
        found.setdefault(source, set()).add(other)
    return {source: frozenset(others) for source, others in found.items()}


def numbered(count: int, noun: str) -> str:
    """Return a count and its noun, such as ``1 table`` or ``2 tables``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
