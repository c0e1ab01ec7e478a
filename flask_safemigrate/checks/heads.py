"""SM2xx: a history with more than one end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from flask_safemigrate.checks.found import Found, file, listed, reached
from flask_safemigrate.facts.history import History
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Step


def _marks(history: History, head: str) -> frozenset[str]:
    """Branch labels on the line of history that ends at this head."""
    labels: set[str] = set()
    seen: set[str] = set()
    todo = [head]
    while todo:
        revision = history.by_id.get(todo.pop())
        if revision and revision.id not in seen:
            seen.add(revision.id)
            labels.update(revision.labels)
            todo.extend(revision.parents)
    return frozenset(labels)


def _described(state: State, head: str) -> str:
    revision = state.history.by_id[head]
    origin = state.past.origins.get(revision.path)
    made = ""
    if origin is not None and origin.added is not None:
        made = f"{origin.added.author}, {origin.added.date}"
    elif origin is not None and state.past.git and not origin.tracked:
        made = "not in git"
    applied = [
        f'applied in "{d.label}"'
        for d in reached(state)
        if head in state.history.ancestors(d.version_rows or ())
    ]
    parts = [revision.message, made or revision.created[:10], file(revision.path), *applied]
    return f"'{head}' ({', '.join(filter(None, parts))})"


class _Move(NamedTuple):
    """A line of revisions that can come after the other head.

    :param first: the revision whose ``down_revision`` changes.
    :param line: all that move along with it, itself included.
    :param after: the head that they come after then.
    """

    first: str
    line: tuple[str, ...]
    after: str


def _line(history: History, head: str, other: str) -> tuple[str, ...] | None:
    """The revisions of a head since the fork, newest first; None where they are no plain line."""
    behind = history.ancestors((other,))
    line: list[str] = []
    place = head
    while place not in behind:
        revision = history.by_id[place]
        if len(revision.parents) != 1 or revision.depends_on or revision.labels:
            return None
        if len(history.children.get(place, ())) > 1:
            return None
        line.append(place)
        place = revision.parents[0]
        if place not in history.by_id:
            return None
    return tuple(line)


def _movable(state: State, heads: tuple[str, ...]) -> _Move | None:
    """The line that can be moved without anybody noticing, the younger one of two."""
    history = state.history
    every_database_is_known = all(d.unreachable is None for d in state.databases)
    known = all(row in history.by_id for d in reached(state) for row in d.version_rows or ())
    if len(heads) != 2 or not every_database_is_known or not known:
        return None
    noted = {row.subject for d in state.databases for row in d.journal if row.kind == "revision"}
    applied = noted.union(*(history.ancestors(d.version_rows or ()) for d in reached(state)))
    found = []
    for head, other in (heads, heads[::-1]):
        line = _line(history, head, other)
        if not line or applied & set(line):
            continue
        origins = [state.past.origins.get(history.by_id[id].path) for id in line]
        if state.past.git and all(origin and origin.private for origin in origins):
            found.append(_Move(line[-1], line, other))
    return max(found, key=lambda m: (history.by_id[m.first].created, m.first), default=None)


def several_heads(state: State) -> Iterator[Found]:
    """The history has more than one head.

    Cause
        Two revisions were generated on the same parent, usually on two branches that git merged
        without a conflict. Alembic refuses ``upgrade head``, because there is no single one.
        Heads whose lines carry branch labels of their own are meant to be there, and are not
        reported.
    Example
        ``a1`` (add users) and ``b2`` (add orders), both after ``90``.
    Fix
        ``flask db doctor --fix`` lets the younger line come after the other head, by changing its
        ``down_revision``, where git says that no remote branch has its files and no database has
        applied them; else it writes a revision that joins the heads, as ``flask db merge heads -m
        "merge"`` does. ``--allow SM209`` applies both as they are.
    Prevention
        Let ``flask db doctor`` run in CI on the merged result of every pull request.
    """
    history = state.history
    heads = history.heads
    if len(heads) < 2:
        return
    marks = [_marks(history, head) for head in heads]
    if all(own - frozenset().union(*(m for m in marks if m is not own)) for own in marks):
        return
    forked = history.since_fork(heads)
    touched = [
        frozenset(
            t for id in forked & history.ancestors((head,)) for t in history.by_id[id].tables
        )
        for head in heads
    ]
    shared = sorted(t for t, n in Counter(t for ts in touched for t in ts).items() if n > 1)
    about = ""
    if shared:
        about = f" They touch the same tables: {listed(shared)}."
    elif all(touched):
        about = " They touch different tables."
    move = _movable(state, heads)
    if move is None:
        repair, step = "writes a revision that merges the heads", Step("merge", heads)
        hint = 'flask db merge heads -m "merge", or flask db doctor --fix'
    else:
        name = file(history.by_id[move.first].path)
        why = "no remote branch has it and no database has applied it"
        if not all(state.past.origins[history.by_id[i].path].tracked for i in move.line):
            why = "it is not in git and no database has applied it"
        repair = f"lets '{move.first}' come after '{move.after}' (down_revision in {name}): {why}"
        step = Step("reparent", (move.first, move.after))
        hint = f"flask db doctor --fix # {repair}"
    yield Found(
        f"There are {len(heads)} heads: "
        f"{', '.join(_described(state, head) for head in heads)}.{about}",
        history.by_id[heads[0]].path,
        hint,
        repair=repair,
        steps=(step,),
        subject=" ".join(heads),
        file=history.by_id[heads[0]].path,
    )
