"""To which tables a write to a table may lead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
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


def run_by(words: frozenset[str], routines: Mapping[str, str | None]) -> Callable[[str], bool]:
    """Return whether what functions and procedures do may have to do with a table, by its name.

    A table counts where the text of a routine that runs has its name. One whose text cannot be
    read, or that puts SQL together, may write to every table.

    :param words: the words of the statements, in small letters, names of routines among them.
    :param routines: name and text of each, in small letters; None where it cannot be read.
    """
    texts: list[str] = []
    todo, seen = [name for name in routines if name in words], set[str]()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        body = routines[name]
        if not body or re.search(r"\b(?:execute|prepare)\b", body):
            return lambda table: True
        texts.append(body)
        todo.extend(other for other in routines if other in body)
    return lambda table: any(table.lower() in body for body in texts)


def numbered(count: int, noun: str) -> str:
    """Return a count and its noun, such as ``1 table`` or ``2 tables``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
