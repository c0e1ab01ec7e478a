"""SM2xx: the ids of revisions, and how many have them."""

from __future__ import annotations

from collections.abc import Iterator

from flask_safemigrate.checks.found import Found, commit, counted, file, listed, reached
from flask_safemigrate.facts.history import Revision
from flask_safemigrate.facts.past import Origin
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Step

# Alembic's own words: RevisionMap refuses these in an id, and makes the column this wide.
_ILLEGAL = "@-+:"
_WIDTH = 32


def _age(state: State, revision: Revision) -> tuple[int, str, str]:
    """What sorts the copy behind the file that it was made of."""
    origin = state.past.origins.get(revision.path, Origin(tracked=True))
    own_name = 0 if revision.id in file(revision.path) else 1
    return (
        0 if origin.added else 1 if origin.tracked else 2,
        origin.added.date if origin.added else "",
        f"{own_name} {file(revision.path)}",
    )


def duplicate_revision(state: State) -> Iterator[Found]:
    """Two files have the same revision id.

    Cause
        A file was copied, renamed without deleting the old one, or written by hand with an id that
        exists. Alembic only warns, and takes one of them.
    Example
        ``a1b2_add_users.py`` and ``a1b2_add_users_copy.py``.
    Fix
        Delete the copy; where both files are the same to the byte, ``flask db doctor --fix`` does
        that. Where they differ, and git says that nobody else has the copy, ``--fix`` gives it an
        id of its own and lets it come after the newest revision; it has never run then, as no
        database can have both.
    Prevention
        Make revisions with ``flask db revision``, not by copying.
    """
    twins: dict[str, list[Revision]] = {}
    for revision in state.history.revisions:
        twins.setdefault(revision.id, []).append(revision)
    for id, several in twins.items():
        if len(several) > 1:
            first, *copies = sorted(several, key=lambda r: _age(state, r))
            for copy in copies:
                yield _duplicate(state, id, first, copy, len(several))


def _duplicate(state: State, id: str, first: Revision, copy: Revision, number: int) -> Found:
    past = state.past
    origins = [past.origins.get(r.path, Origin(tracked=True)) for r in (first, copy)]
    told = [
        f'"{file(r.path)}"'
        + (
            f" ({commit(origin.added)})"
            if origin.added
            else " (not in git)"
            if past.git and not origin.tracked
            else ""
        )
        for r, origin in zip((first, copy), origins, strict=True)
    ]
    same = {(first.path, copy.path), (copy.path, first.path)} & past.same
    known = origins[0] != origins[1]
    heads = state.history.heads
    after = tuple(head for head in heads if head != id) or (id,)
    begin = (
        f"{counted(number, 'file')} have the revision id '{id}': {' and '.join(told)}."
        f"{' They are the same to the byte.' if same else ''}"
    )
    hint = f"delete the copy, or write a new revision id into {file(copy.path)}"
    repair: str | None = None
    steps: tuple[Step, ...] = ()
    if same:
        repair = f'deletes "{file(copy.path)}", which is the same as "{file(first.path)}"'
        steps = (Step("delete", (copy.path, first.path)),)
        hint = f"flask db doctor --fix # {repair}"
    elif known and origins[1].private and len(after) == 1:
        repair = (
            f"gives \"{file(copy.path)}\", which nobody else has, a new id, after '{after[0]}'"
        )
        steps = (Step("renumber", (copy.path, *after)),)
        hint = f"delete the copy; or flask db doctor --fix # {repair}"
    return Found(
        begin,
        copy.path,
        hint,
        repair=repair,
        steps=steps,
        subject=id,
        file=copy.path,
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
    long = [r for r in history.revisions if len(r.id) > _WIDTH and r.id not in stored]
    if not long:
        return
    first = long[0]
    which = f"Revision id '{first.id}' has {len(first.id)} characters"
    it, place = "it", file(first.path)
    if len(long) > 1:
        ids = listed(each.id for each in long)
        which = f"{len(long)} revision ids have more than {_WIDTH} characters: {ids}"
        it, place = "each", "its file"
    yield Found(
        f"{which}; the version table holds {_WIDTH}, and PostgreSQL and MySQL refuse more.",
        first.path,
        f"shorten {it} to {_WIDTH} characters in {place} and in down_revision of what follows it",
        subject=first.id,
        file=first.path,
    )
