"""Walks through the graph of revisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flask_safemigrate.errors import UsageError
from flask_safemigrate.facts.history import History, Revision


def line_below(history: History, ids: Iterable[str]) -> frozenset[str]:
    """These revisions and their ancestors by ``down_revision`` alone."""
    seen: set[str] = set()
    todo = list(ids)
    while todo:
        id = todo.pop()
        if id not in seen and id in history.by_id:
            seen.add(id)
            todo.extend(history.by_id[id].parents)
    return frozenset(seen)


def line_of(history: History, id: str) -> frozenset[str]:
    """A revision's ancestors and descendants by ``down_revision`` alone, itself included."""
    return line_below(history, (id,)) | history.descendants(id)


def built_on(history: History, roots: Iterable[str], within: frozenset[str]) -> frozenset[str]:
    """The roots and all that needs them, as far as it lies within the set."""
    needed_by: dict[str, list[str]] = {}
    for id in within:
        for need in history.needs(history.by_id[id]):
            needed_by.setdefault(need, []).append(id)
    seen: set[str] = set()
    todo = [root for root in roots if root in within]
    while todo:
        id = todo.pop()
        if id not in seen:
            seen.add(id)
            todo.extend(needed_by.get(id, ()))
    return frozenset(seen)


def _nearest_needs(history: History, revision: Revision) -> tuple[str, ...]:
    """Parents and dependencies without those that an ancestor depends on already."""
    depends = history.depends(revision)
    if depends:
        known = {
            need
            for id in line_below(history, revision.parents)
            for need in history.depends(history.by_id[id])
        }
        depends = tuple(need for need in depends if need not in known)
    return tuple(dict.fromkeys((*revision.parents, *depends)))


def newest_first(history: History, heads: Iterable[str], todo: Iterable[str]) -> list[Revision]:
    """Put revisions in order, newest first, in the very order in which Alembic runs them.

    One line of history is followed down as far as possible; where another line needs a revision
    first, the walk goes on there.

    :raises UsageError: revisions need one another in a circle.
    """
    left = set(todo)
    file_order = {id: place for place, id in enumerate(history.by_id)}
    needs = {id: _nearest_needs(history, history.by_id[id]) for id in left}
    waiting = dict.fromkeys(left, 0)
    for id in left:
        for need in needs[id]:
            if need in left:
                waiting[need] += 1
    lines = sorted((id for id in set(heads) if id in left), key=file_order.__getitem__)
    output: list[Revision] = []
    at = blocked = 0
    while lines:
        id = lines[at]
        if waiting[id]:
            first = (i for i, o in enumerate(lines) if i != at and _reaches(needs, o, id))
            at = next(first, at)
            blocked += 1
            if blocked > len(lines):
                raise UsageError(
                    f"Revision '{id}' and its ancestors need one another in a circle.",
                    hint="flask db doctor",
                )
            continue
        blocked = 0
        if id in left:
            left.remove(id)
            output.append(history.by_id[id])
            for need in needs[id]:
                if need in waiting:
                    waiting[need] -= 1
        follow = [need for need in needs[id] if need in left and need not in lines]
        if follow:
            lines[at] = follow[0]
            lines.extend(follow[1:])
        else:
            del lines[at]
            at = max(at - 1, 0)
    return output


def _reaches(needs: Mapping[str, tuple[str, ...]], start: str, goal: str) -> bool:
    seen: set[str] = set()
    todo = [start]
    while todo:
        id = todo.pop()
        if id == goal:
            return True
        if id not in seen:
            seen.add(id)
            todo.extend(needs.get(id, ()))
    return False
