"""SM2xx: the revision files, each for itself."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from flask_safemigrate.checks.found import Found, file, listed
from flask_safemigrate.facts.history import BrokenFile
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity


def _broken(state: State, problem: str) -> Iterator[BrokenFile]:
    return (broken for broken in state.history.broken if broken.problem == problem)


def _found(broken: BrokenFile, message: str, hint: str) -> Found:
    return Found(
        message,
        f"{broken.path}:{broken.line}" if broken.line else broken.path,
        hint,
        subject=broken.path,
        file=broken.path,
        line=broken.line,
    )


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
    for broken in _broken(state, "syntax"):
        line = f", line {broken.line}," if broken.line else ""
        yield _found(
            broken,
            f'Revision file "{file(broken.path)}"{line} is no valid Python: {broken.message}.',
            f"mend {file(broken.path)}, then flask db doctor",
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
    for broken in _broken(state, "merge marker"):
        yield _found(
            broken,
            f'Revision file "{file(broken.path)}", line {broken.line}, holds an unresolved merge '
            f"conflict ('{broken.message}').",
            f"keep one side in {file(broken.path)} and remove the marker lines",
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
    for broken in _broken(state, "no revision"):
        yield _found(
            broken,
            f'"{file(broken.path)}" lies among the revisions, but {broken.message}.',
            "move the file out of the folder, or give it its lines revision and down_revision",
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
    for broken in _broken(state, "unreadable"):
        yield _found(
            broken,
            f'Revision file "{file(broken.path)}" cannot be read: {broken.message}.',
            "save it as UTF-8"
            if broken.line
            else f"chmod u+r {shlex.quote(broken.path)}, or move it elsewhere if it is no file",
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
    for broken in _broken(state, "not literal"):
        yield _found(
            broken,
            f'The header of revision file "{file(broken.path)}" is computed, not written down.',
            'write the ids themselves: revision = "...", down_revision = "..."',
        )


def stray_file(state: State) -> Iterator[Found]:
    """A copy or a leftover lies among the revisions.

    Cause
        An editor, a merge tool or a person left it. Alembic does not load it; people mistake it
        for a revision, and tools that copy the folder ship it.
    Example
        ``a1b2_add_users.py.bak``, ``a1b2_add_users.py.orig``, or a ``.pyc`` beside the sources.
    Fix
        Delete it, or move it out of the folder.
    Prevention
        ``git`` keeps old versions; copies are not needed.
    """
    stray = state.project.setup.stray
    if stray:
        several = len(stray) > 1
        yield Found(
            f"{listed(map(file, stray), 3)} {'lie' if several else 'lies'} among the revisions "
            f"and {'are' if several else 'is'} none.",
            stray[0],
            "delete what is not needed, or move it out of the folder",
            subject=stray[0],
            file=stray[0],
        )


def revision_sourceless(state: State) -> Iterator[Found]:
    """A revision is there only in compiled form.

    Cause
        ``sourceless = true`` in ``alembic.ini`` lets Alembic load ``.pyc`` files, those in
        ``__pycache__`` too. The source of this one is gone: it was deleted, or it belongs to
        another branch. Flask-SafeMigrate reads sources only and does not see it.
    Example
        ``versions/__pycache__/a1b2_add_users.cpython-312.pyc`` without ``a1b2_add_users.py``.
    Fix
        Bring the source back from the repository, or delete the compiled file.
    Prevention
        Remove ``sourceless`` from ``alembic.ini``.
    """
    for path in state.project.setup.sourceless:
        yield Found(
            f'"{file(path)}" is a revision without its source, which Alembic loads all the same '
            "(sourceless in alembic.ini).",
            path,
            "bring the source back, or delete this file",
            subject=path,
            file=path,
        )


def revision_imports_models(state: State) -> Iterator[Found]:
    """A revision imports models of the application.

    Cause
        Models change, revisions do not. The day a model gets a column that a later revision adds,
        this revision selects a column that is not there yet, and no empty database can be
        upgraded any more.
    Example
        ``from app.models import User`` and ``User.query.all()`` in ``upgrade()``.
    Fix
        Describe in the revision the columns that it needs:
        ``user = sa.table("user", sa.column("id"), sa.column("name"))`` and
        ``op.get_bind().execute(sa.select(user.c.id))``.
    Prevention
        Import nothing of the application in a revision. Pending revisions are looked at always,
        applied ones where the schemas are compared, that is, without ``--fast``.
    """
    several = state.project.setup.model_imports
    if len(several) > 1:
        first = several[0]
        places = listed((f"{file(each.path)}:{each.line}" for each in several), 5)
        yield Found(
            f"{len(several)} revision files import models from the application: {places}; they "
            "break when the models move on.",
            f"{first.path}:{first.line}",
            'user = sa.table("user", sa.column("id"), sa.column("name")) in the revisions',
            subject=first.path,
            file=first.path,
            line=first.line,
        )
        return
    for found in several:
        yield Found(
            f'Revision file "{file(found.path)}", line {found.line}, imports '
            f"{listed(found.names)} from the application: it breaks when the models move on.",
            f"{found.path}:{found.line}",
            'user = sa.table("user", sa.column("id"), sa.column("name")) in the revision',
            subject=found.path,
            file=found.path,
            line=found.line,
        )


def revision_name_unknown(state: State) -> Iterator[Found]:
    """A pending revision uses a name that it neither defines nor imports.

    Cause
        Autogenerate writes types of other packages by their full name and does not import the
        package, or an import was removed. Python notices only when the line runs.
    Example
        ``sa.Column("place", geoalchemy2.types.Geometry())`` without ``import geoalchemy2``:
        ``NameError: name 'geoalchemy2' is not defined``.
    Fix
        Add the import to the file.
    Prevention
        Add it to ``migrations/script.py.mako`` too, which every new revision is made from. Only
        pending revisions are looked at: those that ran have proven their names.
    """
    for found in state.project.setup.unknown_names:
        upward = not found.function.startswith("downgrade")
        yield Found(
            f"Revision file \"{file(found.path)}\", line {found.line}, uses '{found.name}', "
            "which it neither defines nor imports.",
            f"{found.path}:{found.line}",
            f"{_import_of(found.name)} in {file(found.path)}",
            severity=None if upward else Severity.WARNING,
            blocks=None if upward else ("downgrade",),
            subject=found.name,
            file=found.path,
            line=found.line,
        )


def _import_of(name: str) -> str:
    if name == "sa":
        return "import sqlalchemy as sa"
    if name == "op":
        return "from alembic import op"
    if name in ("postgresql", "mysql", "sqlite"):
        return f"from sqlalchemy.dialects import {name}"
    return f"import {name}"
