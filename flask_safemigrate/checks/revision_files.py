"""SM2xx: the revision files, each for itself."""

from __future__ import annotations

from collections.abc import Iterator

from flask_safemigrate.checks.found import Found, file
from flask_safemigrate.state import BrokenFile, State


def _broken(state: State, problem: str) -> Iterator[tuple[BrokenFile, str]]:
    for broken in state.history.broken:
        if broken.problem == problem:
            yield broken, f"{broken.path}:{broken.line}" if broken.line else broken.path


def revision_syntax(state: State) -> Iterator[Found]:
    """A revision file is no valid Python.

    Cause
        The file was edited by hand, saved by half, or needs a newer Python. Alembic loads every
        file for every command, so one broken file stops them all.
    Example
        ``op.create_table('users'`` without its closing parenthesis.
    Fix
        Mend the line that is named. If the file was never applied anywhere, delete it and generate
        it again.
    Prevention
        Let ``flask db doctor`` run in CI.
    """
    for broken, where in _broken(state, "syntax"):
        line = f", line {broken.line}," if broken.line else ""
        yield Found(
            f'Revision file "{file(broken.path)}"{line} is no valid Python: {broken.message}.',
            where,
            f"mend {file(broken.path)}, then flask db doctor",
            subject=broken.path,
            file=broken.path,
            line=broken.line,
        )


def revision_merge_conflict(state: State) -> Iterator[Found]:
    """A revision file holds an unresolved merge conflict.

    Cause
        Git put both sides of a conflict into the file, and it was committed or left so.
    Example
        A line ``<<<<<<< HEAD`` above two values of ``down_revision``.
    Fix
        Keep one side and remove the marker lines. If both sides are needed, they are two
        revisions: give one of them a file and an id of its own.
    Prevention
        Never edit a revision that others have; generate a new one.
    """
    for broken, where in _broken(state, "merge marker"):
        yield Found(
            f'Revision file "{file(broken.path)}", line {broken.line}, holds an unresolved merge '
            f"conflict ('{broken.message}').",
            where,
            f"keep one side in {file(broken.path)} and remove the marker lines",
            subject=broken.path,
            file=broken.path,
            line=broken.line,
        )


def revision_without_id(state: State) -> Iterator[Found]:
    """A file among the revisions is none.

    Cause
        Alembic takes every ``.py`` file in ``versions/`` for a revision. A file that assigns no
        ``revision`` or no ``down_revision`` stops every command.
    Example
        ``versions/helpers.py``, or a revision whose header was deleted.
    Fix
        Move what is no revision elsewhere; give a revision its two lines back.
    Prevention
        Keep shared code in the application's package.
    """
    for broken, where in _broken(state, "no revision"):
        yield Found(
            f'"{file(broken.path)}" lies among the revisions, but {broken.message}.',
            where,
            "move the file out of the folder, or give it its lines revision and down_revision",
            subject=broken.path,
            file=broken.path,
            line=broken.line,
        )


def revision_unreadable(state: State) -> Iterator[Found]:
    """A revision file cannot be read.

    Cause
        Its permissions forbid it, or it is not UTF-8 text: saved by an editor in another encoding,
        or damaged.
    Example
        A comment with an umlaut, saved as Latin-1.
    Fix
        Save the file as UTF-8, or give the user that runs this command the right to read it.
    Prevention
        Set ``charset = utf-8`` in ``.editorconfig``.
    """
    for broken, where in _broken(state, "unreadable"):
        yield Found(
            f'Revision file "{file(broken.path)}" cannot be read: {broken.message}.',
            where,
            "save it as UTF-8" if broken.line else f"chmod u+r {broken.path}",
            subject=broken.path,
            file=broken.path,
            line=broken.line,
        )


def revision_computed_header(state: State) -> Iterator[Found]:
    """The header of a revision is computed.

    Cause
        ``revision``, ``down_revision``, ``branch_labels`` or ``depends_on`` is an expression. The
        history is read without running the files, so that it can be read when they are broken.
    Example
        ``down_revision = other_module.revision``.
    Fix
        Write the value itself: ``down_revision = "a1b2c3d4e5f6"``.
    Prevention
        Leave the header as ``flask db revision`` writes it.
    """
    for broken, where in _broken(state, "not literal"):
        yield Found(
            f'The header of revision file "{file(broken.path)}" is computed, not written down.',
            where,
            'write the ids themselves: revision = "...", down_revision = "..."',
            subject=broken.path,
            file=broken.path,
            line=broken.line,
        )
