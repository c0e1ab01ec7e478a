"""What the target of an upgrade or a downgrade names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from flask_safemigrate.errors import UsageError
from flask_safemigrate.facts.history import History, Revision
from flask_safemigrate.planning.graph import line_of

# branch@symbol+steps, as Alembic's command line has it.
_RELATIVE = re.compile(r"(?:(.+?)@)?(\w+)?([+-]\d+)")


def target_of(history: History, text: str, current: Sequence[str] = ()) -> tuple[str, ...]:
    """The revisions that the target of an upgrade names.

    Understood, as Alembic means it: ``heads``, ``head``, ``base``, a revision id, the unique
    beginning of one, a branch label, ``label@head``, ``label@id``, ``+2``, ``label@+2``,
    ``id+2``, ``id-2``. An empty text means ``heads``.

    :param current: revisions that the database is at, for the forms relative to it.
    :raises UsageError: it names nothing, or more than one; the message names what comes nearest.
    """
    text = text.strip() or "heads"
    if ":" in text:
        raise UsageError(
            f"'{text}' is a range of revisions; a database goes to one target.",
            hint=f"use the last part: '{text.rpartition(':')[2]}'",
        )
    if not (match := _RELATIVE.fullmatch(text)):
        return _absolute(history, text)
    branch, symbol, number = match.groups()
    steps = int(number)
    if symbol is not None:
        found = _move(history, text, branch, symbol, steps)
    elif steps <= 0:
        raise UsageError(
            f"An upgrade cannot go {number}.", hint=f"flask db safe-downgrade -- {number}"
        )
    else:
        found = _walk_up(history, _start(history, branch, current), steps, branch, text)
    if found is None:
        raise UsageError(f"'{text}' is base, which is no way up.", hint="flask db history")
    return (found,)


def shown(history: History, id: str | None) -> str:
    if id is None:
        return "base"
    message = history.by_id[id].message if id in history.by_id else ""
    return f"'{id}' ({message})" if message else f"'{id}'"


def shown_all(history: History, ids: Iterable[str]) -> str:
    return ", ".join(shown(history, id) for id in ids)


def resolve(history: History, text: str, branch: str | None = None) -> Revision:
    """The one revision that an id, the beginning of one, or a branch label names."""
    names: Mapping[str, str] = {**{id: id for id in history.by_id}, **history.labels}
    member = resolve(history, branch) if branch else None
    if text in names:
        found = names[text]
    else:
        # Alembic finds abbreviations of names that have more than three characters.
        near = [name for name in names if len(name) > 3 and name.startswith(text)]
        if member:
            line = line_of(history, member.id)
            near = [name for name in near if names[name] in line]
        if not near:
            raise _unknown(history, text, names)
        if len(near) > 1:
            raise UsageError(
                f"More than one revision begins with '{text}': "
                f"{shown_all(history, (names[n] for n in near[:5]))}.",
                hint="write more of the id",
            )
        found = names[near[0]]
    if member and found not in line_of(history, member.id):
        raise UsageError(
            f"Revision {shown(history, found)} is not on branch '{branch}'.",
            hint="flask db history",
        )
    return history.by_id[found]


def _unknown(history: History, text: str, names: Iterable[str]) -> UsageError:
    words = {*names, "head", "heads", "base"}
    near = difflib.get_close_matches(text, sorted(words), n=1)
    if near:
        known = f" ({history.by_id[near[0]].message})" if near[0] in history.by_id else ""
        return UsageError(
            f"There is no revision or branch '{text}'. Did you mean '{near[0]}'{known}?",
            hint=f"use '{near[0]}', or see flask db history",
        )
    heads = shown_all(history, history.heads) or "none, the history is empty"
    return UsageError(
        f"There is no revision or branch '{text}'. Heads: {heads}.", hint="flask db history"
    )


def _heads(history: History, branch: str | None) -> tuple[str, ...]:
    if not branch:
        return history.heads
    line = line_of(history, resolve(history, branch).id)
    return tuple(head for head in history.heads if head in line)


def _absolute(history: History, text: str) -> tuple[str, ...]:
    branch, _, symbol = text.rpartition("@")
    if symbol == "base":
        return ()
    if symbol == "heads":
        return _heads(history, branch) if branch else history.tips(history.by_id)
    if symbol == "head":
        heads = _heads(history, branch)
        if len(heads) > 1:
            raise UsageError(
                f"'{text}' is not one revision, there are {len(heads)} heads: "
                f"{shown_all(history, heads)}.",
                hint='flask db merge heads -m "merge", or name one of them, or heads for all',
            )
        return heads
    return (resolve(history, symbol, branch or None).id,)


def _one(history: History, text: str, branch: str | None = None) -> str | None:
    """One revision, or None for base."""
    found = _absolute(history, f"{branch}@{text}" if branch else text)
    if len(found) > 1:
        raise UsageError(
            f"'{text}' is not one revision: {shown_all(history, found)}.", hint="name one of them"
        )
    return found[0] if found else None


def _move(history: History, text: str, branch: str | None, symbol: str, steps: int) -> str | None:
    """Go up or down from a revision that was named."""
    if steps > 0:
        return _walk_up(history, _one(history, symbol), steps, branch, text)
    return _walk_parents(history, _one(history, symbol, branch), -steps, text)


def _start(history: History, branch: str | None, current: Sequence[str]) -> str | None:
    """Where a walk up from the database's own place begins; None is base."""
    starts = list(current)
    if branch:
        line = line_of(history, resolve(history, branch).id)
        starts = [id for id in current if id in line]
        if not starts:
            # The branch itself was not begun: its last applied ancestor is the place.
            applied = history.ancestors(tuple(current)) & line
            starts = list(history.tips(applied))
    if len(starts) > 1:
        raise UsageError(
            f"The database is at more than one revision: {shown_all(history, starts)}.",
            hint="name the revision to go to, or the branch: label@+1",
        )
    return starts[0] if starts else None


def _walk_up(
    history: History, start: str | None, steps: int, branch: str | None, text: str
) -> str:
    line = line_of(history, resolve(history, branch).id) if branch else None
    bases = tuple(r.id for r in history.by_id.values() if not r.parents)
    place = start
    for done in range(steps):
        children = bases if place is None else history.children.get(place, ())
        if line is not None:
            children = tuple(id for id in children if id in line)
        if not children:
            raise UsageError(
                f"'{text}' goes too far: {done} revisions follow {shown(history, start)}.",
                hint="flask db safe-upgrade",
            )
        if len(children) > 1:
            raise UsageError(
                f"'{text}' is not one revision: after {shown(history, place)} come "
                f"{shown_all(history, children)}.",
                hint="name the one to go to",
            )
        place = children[0]
    assert place is not None
    return place


def _walk_parents(history: History, start: str | None, steps: int, text: str) -> str | None:
    """Go down by ``down_revision``; None is base."""
    place = start
    for done in range(steps):
        # From base, Alembic goes on at the head.
        parents = history.heads if place is None and not done else ()
        if place is not None:
            parents = history.by_id[place].parents
        elif done:
            raise UsageError(
                f"'{text}' goes too far: {done} steps down from {shown(history, start)} is base.",
                hint="flask db safe-downgrade base",
            )
        if len(parents) > 1:
            raise UsageError(
                f"'{text}' is not one revision: {shown(history, place)} comes after "
                f"{shown_all(history, parents)}.",
                hint="name the one to go to",
            )
        place = parents[0] if parents else None
    return place


def downgrade_target(
    history: History, text: str, rows: tuple[str, ...]
) -> tuple[str | None, str | None]:
    """The branch and the revision that the target of a downgrade names; None is base."""
    text = text.strip()
    if ":" in text:
        raise UsageError(
            f"'{text}' is a range of revisions; a database goes to one target.",
            hint=f"use the last part: '{text.rpartition(':')[2]}'",
        )
    if not (match := _RELATIVE.fullmatch(text)):
        branch, _, symbol = text.rpartition("@")
        return branch or None, _one(history, symbol)
    branch, symbol, number = match.groups()
    steps = int(number)
    if symbol is not None:
        return branch, _move(history, text, branch, symbol, steps)
    if steps >= 0:
        raise UsageError(f"A downgrade cannot go {number}.", hint="flask db safe-upgrade")
    if branch:
        line = line_of(history, resolve(history, branch).id)
        starts = [row for row in rows if row in line]
        if not starts:
            starts = list(history.tips(history.ancestors(rows) & line))
    else:
        starts = list(rows)
    if len(starts) != 1:
        where = shown_all(history, starts) or "base"
        raise UsageError(
            f"'{text}' says no single way down: the database is at {where}.",
            hint="name the revision to go to" if starts else "flask db status",
        )
    aim = _walk_parents(history, starts[0], -steps, text)
    return branch or starts[0], aim
