"""SM2xx: the revision files and the graph that they form."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath

from flask_safemigrate.checks.found import Found, counted, file, listed, named, reached
from flask_safemigrate.state import History, Revision, State

# Alembic's own words: RevisionMap refuses these in an id, and makes the column this wide.
_ILLEGAL = "@-+:"
_WIDTH = 32


def _explained(history: History, missing: str) -> bool:
    """Whether a broken file is the reason why an id is missing; that is reported already."""
    return any(b.id == missing or missing in file(b.path) for b in history.broken)


def _nearest(history: History, revision: Revision, missing: str) -> str | None:
    """The revision that was probably meant."""
    for other in history.by_id.values():
        # A file name instead of an id.
        if PurePath(other.path).stem == missing.removesuffix(".py") and other.id != revision.id:
            return other.id
    others = [id for id in history.by_id if id != revision.id]
    near = difflib.get_close_matches(missing, others, n=1, cutoff=0.7)
    return near[0] if near else None


def parent_missing(state: State) -> Iterator[Found]:
    """A revision names a parent that is not there.

    Cause
        The parent's file was deleted, never committed, or lives on another branch; or
        ``down_revision`` was mistyped or holds a file name.
    Example
        ``down_revision = 'a1b2'``, and no file has ``revision = 'a1b2'``. Alembic answers with
        ``KeyError: 'a1b2'``.
    Fix
        Bring the file back: ``git log --all --diff-filter=D --name-only -- migrations/versions``
        finds the commit that deleted it. If the id is a slip, correct it.
    Prevention
        Never delete a revision that others may have applied.
    """
    history = state.history
    for revision in history.revisions:
        for parent in revision.parents:
            if parent in history.by_id or _explained(history, parent):
                continue
            near = _nearest(history, revision, parent)
            meant = f" Did you mean {named(history, near)}?" if near else ""
            yield Found(
                f"Revision {named(history, revision.id)} comes after '{parent}', which no "
                f"revision file has.{meant}",
                revision.path,
                f"down_revision = '{near}' in {file(revision.path)}"
                if near
                else f"bring the file back: git log --all --oneline -- '*{parent}*'",
                subject=revision.id,
                file=revision.path,
            )


def dependency_missing(state: State) -> Iterator[Found]:
    """A revision depends on one that is not there.

    Cause
        ``depends_on`` names an id or a branch label that no file has.
    Example
        ``depends_on = 'accounts'`` after the label was renamed to ``users``.
    Fix
        Write the id or label that is meant, or bring its file back.
    Prevention
        Name ids, which do not change, rather than labels.
    """
    history = state.history
    for revision in history.revisions:
        for need in revision.depends_on:
            if need in history.by_id or need in history.labels or _explained(history, need):
                continue
            names = [*(i for i in history.by_id if i != revision.id), *history.labels]
            near = difflib.get_close_matches(need, names, n=1, cutoff=0.6)
            meant = f" Did you mean '{near[0]}'?" if near else ""
            yield Found(
                f"Revision {named(history, revision.id)} depends on '{need}', which is no "
                f"revision and no branch label.{meant}",
                revision.path,
                f"depends_on = '{near[0]}' in {file(revision.path)}"
                if near
                else f"bring the file back: git log --all --oneline -- '*{need}*'",
                subject=revision.id,
                file=revision.path,
            )


def history_cycle(state: State) -> Iterator[Found]:
    """Revisions come after one another in a circle.

    Cause
        ``down_revision`` or ``depends_on`` was edited so that a revision is its own ancestor.
    Example
        ``a1`` comes after ``b2``, and ``b2`` comes after ``a1``.
    Fix
        Correct the ``down_revision`` that closes the circle.
    Prevention
        Move a revision only onto one that does not come after it.
    """
    history = state.history
    waiting = {
        id: {need for need in history.needs(revision) if need in history.by_id}
        for id, revision in history.by_id.items()
    }
    needed_by: dict[str, list[str]] = {}
    for id, needs in waiting.items():
        for need in needs:
            needed_by.setdefault(need, []).append(id)
    ready = [id for id, needs in waiting.items() if not needs]
    while ready:
        done = ready.pop()
        del waiting[done]
        for id in needed_by.get(done, ()):
            waiting[id].discard(done)
            if not waiting[id]:
                ready.append(id)
    told: set[str] = set()
    for start in waiting:
        # Everything that is left waits for a circle: going on leads into one.
        way: list[str] = []
        place = start
        while place not in way:
            way.append(place)
            place = min(waiting[place])
        circle = way[way.index(place) :]
        if told.isdisjoint(circle):
            told.update(circle)
            shown = " -> ".join(f"'{id}'" for id in (*circle, circle[0]))
            yield Found(
                f"Revisions need one another in a circle: {shown} (each needs the next).",
                history.by_id[circle[0]].path,
                "correct down_revision in one of "
                + ", ".join(file(history.by_id[id].path) for id in circle[:5]),
                subject=circle[0],
                file=history.by_id[circle[0]].path,
            )


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
    parts = [part for part in (revision.message, revision.created[:10]) if part]
    applied = [
        f'applied in "{d.label}"'
        for d in reached(state)
        if head in state.history.ancestors(d.version_rows or ())
    ]
    return f"'{head}' ({', '.join((*parts, file(revision.path), *applied))})"


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
        ``flask db merge heads -m "merge"`` writes a revision that joins them;
        ``flask db doctor --fix`` does that. Or give the one that nobody has applied the other as
        its ``down_revision``. ``--allow SM209`` applies both as they are.
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
    touched = [frozenset(history.by_id[head].tables) for head in heads]
    shared = sorted(t for t, n in Counter(t for ts in touched for t in ts).items() if n > 1)
    about = f" They touch the same tables: {listed(shared)}." if shared else ""
    yield Found(
        f"There are {len(heads)} heads: "
        f"{', '.join(_described(state, head) for head in heads)}.{about}",
        history.by_id[heads[0]].path,
        'flask db merge heads -m "merge", or flask db doctor --fix',
        repair="writes a revision that merges the heads",
        subject=" ".join(heads),
        file=history.by_id[heads[0]].path,
    )


def duplicate_revision(state: State) -> Iterator[Found]:
    """Two files have the same revision id.

    Cause
        A file was copied, renamed without deleting the old one, or written by hand with an id that
        exists. Alembic only warns, and takes one of them.
    Example
        ``a1b2_add_users.py`` and ``a1b2_add_users_copy.py``.
    Fix
        Delete the copy. If both are needed, give one a new id and the other as its parent.
    Prevention
        Make revisions with ``flask db revision``, not by copying.
    """
    paths: dict[str, list[str]] = {}
    for revision in state.history.revisions:
        paths.setdefault(revision.id, []).append(revision.path)
    for id, files in paths.items():
        if len(files) > 1:
            names = " and ".join(f'"{file(path)}"' for path in files)
            yield Found(
                f"{counted(len(files), 'file')} have the revision id '{id}': {names}.",
                files[1],
                f"delete the copy, or write a new revision id into {file(files[1])}",
                subject=id,
                file=files[1],
            )


def duplicate_label(state: State) -> Iterator[Found]:
    """Two revisions have the same branch label.

    Cause
        A label names one branch; Alembic stops at the second revision that carries it. A label
        must also differ from every revision id.
    Example
        ``branch_labels = ('accounts',)`` in two files, after one was copied.
    Fix
        Set ``branch_labels = None`` in one of them.
    Prevention
        Label only the first revision of a branch; those after it belong to it.
    """
    owners: dict[str, str] = {}
    for revision in state.history.by_id.values():
        for label in revision.labels:
            other = (
                label if label in state.history.by_id else owners.setdefault(label, revision.id)
            )
            if other != revision.id or label == revision.id:
                yield Found(
                    f"Branch label '{label}' of revision '{revision.id}' is "
                    + (
                        f"the id of revision '{label}'."
                        if other == label
                        else f"also that of revision '{other}'."
                    ),
                    revision.path,
                    f"branch_labels = None in {file(revision.path)}",
                    subject=revision.id,
                    file=revision.path,
                )


def revision_id_characters(state: State) -> Iterator[Found]:
    """A revision id holds characters that Alembic forbids.

    Cause
        ``@``, ``-``, ``+`` and ``:`` have a meaning in targets such as ``label@head``, ``-1`` and
        ``a1:b2``; Alembic refuses an id that holds one.
    Example
        ``revision = '2024-01-31-add-users'``.
    Fix
        Write underscores instead, in this file and in ``down_revision`` of those that follow.
    Prevention
        Let ``flask db revision`` choose the id.
    """
    for revision in state.history.revisions:
        bad = [character for character in _ILLEGAL if character in revision.id]
        if bad:
            better = revision.id
            for character in bad:
                better = better.replace(character, "_")
            yield Found(
                f"Revision id '{revision.id}' holds {listed(bad)}, which Alembic does not allow "
                "in an id.",
                revision.path,
                f"revision = '{better}', and the same in down_revision of what follows it",
                subject=revision.id,
                file=revision.path,
            )


def revision_id_too_long(state: State) -> Iterator[Found]:
    """A revision id does not fit into the version table.

    Cause
        Alembic makes the column ``version_num`` 32 characters wide. SQLite stores longer ids all
        the same; PostgreSQL and MySQL refuse them, after the revision has run.
    Example
        ``revision = '2024_01_31_add_the_column_title_to_posts'``.
    Fix
        Shorten the id before anyone applies it, in this file and in ``down_revision`` of those
        that follow.
    Prevention
        Put the words into the message (``-m``), which becomes part of the file name.
    """
    history = state.history
    stored = {
        id
        for database in reached(state)
        if any(len(row) > _WIDTH for row in database.version_rows or ())
        for id in history.ancestors(database.version_rows or ())
    }
    for revision in history.revisions:
        if len(revision.id) > _WIDTH and revision.id not in stored:
            yield Found(
                f"Revision id '{revision.id}' has {len(revision.id)} characters; the version "
                f"table holds {_WIDTH}, and PostgreSQL and MySQL refuse more.",
                revision.path,
                f"shorten it to {_WIDTH} characters in {file(revision.path)} and in "
                "down_revision of what follows it",
                subject=revision.id,
                file=revision.path,
            )
