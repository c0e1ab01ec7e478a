"""SM1xx: the folders of the migrations, and whether they reach other machines."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from flask_safemigrate.checks.found import (
    ALL,
    Found,
    counted,
    file,
    in_use,
    listed,
    reached,
    tables,
    versions,
)
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity, Step


def migrations_folder_missing(state: State) -> Iterator[Found]:
    """There is no migrations folder.

    Cause
        Either the project has not begun to migrate, or the folder was not shipped: left out by
        ``.dockerignore``, by the package's manifest, or by a command that runs elsewhere.
    Example
        A database at revision ``a1b2`` and an image without ``migrations/``.
    Fix
        Where a database has a version already, ship the folder. Where none has, make it with
        ``flask db init``. Never ``init`` on a server: every machine would have its own history.
    Prevention
        Commit the folder, and run ``flask db doctor`` inside the image that is deployed.
    """
    project = state.project
    if project.directory_exists:
        return
    migrated = [d for d in reached(state) if d.version_rows]
    if migrated:
        first = migrated[0]
        yield Found(
            f'The migrations folder "{project.directory}" does not exist, but database '
            f'"{first.label}" is at revision {listed(first.version_rows or ())}: '
            "the folder was not shipped with this copy of the code.",
            project.directory,
            "copy the folder from the repository and look into .dockerignore; "
            "another place is named with flask db doctor -d DIRECTORY",
        )
        return
    yield Found(
        f'The migrations folder "{project.directory}" does not exist.',
        project.directory,
        "flask db init && flask db migrate, or name another folder with -d DIRECTORY",
    )


def _known_to_git(state: State) -> bool:
    """Whether it is known where the files went, which is the cause and is reported."""
    return any(lost.fate or lost.other_path for lost in state.past.lost.values())


def versions_folder_missing(state: State) -> Iterator[Found]:
    """The migrations folder has no ``versions/``.

    Cause
        Git keeps no empty folders: after a clone of a project without revisions it is gone. Or
        it was left out of an image. Alembic takes a missing folder for an empty history, and
        ``flask db upgrade`` ends with success after doing nothing.
    Example
        ``migrations/`` holds ``env.py`` and ``alembic.ini`` only.
    Fix
        ``flask db doctor --fix`` makes the folder with a file that git keeps. If there were
        revisions, bring them back from the repository instead.
    Prevention
        Commit ``versions/`` with a ``.gitkeep`` in it.
    """
    project = state.project
    if project.versions_exists or not project.directory_exists:
        return
    folder = project.locations[0] if project.locations else f"{project.directory}/versions"
    migrated = [d for d in reached(state) if d.version_rows]
    if _known_to_git(state):
        return
    used = in_use(state)
    if migrated:
        first = migrated[0]
        yield Found(
            f'"{versions(project)}" does not exist, but database "{first.label}" is at revision '
            f"{listed(first.version_rows or ())}: the revision files were not shipped.",
            folder,
            "copy the folder from the repository and look into .dockerignore and .gitignore",
            blocks=ALL,
        )
        return
    yield Found(
        f'"{versions(project)}" does not exist; an upgrade would do nothing and call it success.',
        folder,
        "flask db doctor --fix, then flask db migrate",
        severity=None if used else Severity.WARNING,
        blocks=None if used else ("deploy",),
        repair="makes the folder with a file that git keeps",
        steps=(Step("make folder"),),
        subject=folder,
    )


def history_empty(state: State) -> Iterator[Found]:
    """The project has no revision.

    Cause
        No migration was generated yet, or the files were not shipped. An upgrade through an empty
        history ends with success after doing nothing; a deploy that does so leaves the
        application without tables.
    Example
        ``versions/`` holds only ``.gitkeep``, and the models define twelve tables.
    Fix
        ``flask db migrate -m "first"`` on a developer's machine, then commit the file. If there
        were revisions, bring them back from the repository.
    Prevention
        Let ``flask db doctor`` run in CI and inside the image.
    """
    project, history = state.project, state.history
    if history.revisions or history.broken or not project.versions_exists:
        return
    if _known_to_git(state):
        return
    migrated = [d for d in reached(state) if d.version_rows]
    if migrated:
        first = migrated[0]
        yield Found(
            f'"{versions(project)}" holds no revision, but database "{first.label}" is at '
            f"revision {listed(first.version_rows or ())}: the files were not shipped.",
            project.directory,
            "copy the files from the repository and look into .dockerignore and .gitignore",
            blocks=ALL,
        )
        return
    models = sum(len(names) for names in project.models.values())
    there = [d for d in reached(state) if tables(d)]
    used = bool(models or there)
    about = ""
    if models:
        about = f", but the models define {counted(models, 'table')}"
    elif there:
        about = f', but database "{there[0].label}" has {counted(len(tables(there[0])), "table")}'
    yield Found(
        f'"{versions(project)}" holds no revision{about}; an upgrade would do nothing.',
        project.directory,
        'flask db migrate -m "first", then commit the file',
        severity=None if used else Severity.WARNING,
        blocks=None if used else ("deploy",),
    )


def revisions_ignored(state: State) -> Iterator[Found]:
    """Git ignores revision files.

    Cause
        A rule in ``.gitignore`` covers the migrations folder or the files in it, so they are
        never committed and no other machine gets them.
    Example
        The line ``migrations/`` or ``versions/*`` in ``.gitignore``.
    Fix
        ``flask db doctor --fix SM115`` adds rules to ``.gitignore`` that bring the files back;
        then ``git add`` them. Or remove the rule.
    Prevention
        Revision files are source code: commit each with the models that it belongs to.
    """
    git = state.project.git
    if not git.ignored or not in_use(state):
        return
    what = ", ".join(f'"{file(path)}"' for path in git.ignored[:3])
    if len(git.ignored) > 3:
        what += f" and {len(git.ignored) - 3} more"
    by = f" by {git.ignored_by}" if git.ignored_by else ""
    folder = versions(state.project)
    yield Found(
        f'Git ignores {what} in "{folder}"{by}: no other machine gets these revisions.',
        git.ignored[0],
        f"flask db doctor --fix SM115, then git add {shlex.quote(folder)}",
        repair=f'adds rules to .gitignore that bring "{folder}" back',
        steps=(Step("unignore"),),
        subject=folder,
        file=git.ignored[0],
    )


def revisions_untracked(state: State) -> Iterator[Found]:
    """Revision files are not in git.

    Cause
        A revision was generated and not yet added, or generated on a server, where it is in
        nobody's repository and goes with the next deploy.
    Example
        ``flask db migrate`` in a release phase: the database keeps the id, the file is gone.
    Fix
        ``git add migrations/versions`` and commit. On a server, copy the file into the repository
        first.
    Prevention
        Generate revisions on a developer's machine only.
    """
    git, history = state.project.git, state.history
    if not git.untracked or not in_use(state):
        return
    whole = len(git.untracked) >= len(history.revisions)
    what = ", ".join(f'"{file(path)}"' for path in git.untracked[:3])
    if len(git.untracked) > 3:
        what += f" and {len(git.untracked) - 3} more"
    yield Found(
        f"Git does not track {'any revision file: ' if whole else ''}{what}.",
        git.untracked[0],
        f"git add {shlex.quote(versions(state.project))}",
        severity=Severity.ERROR if whole else Severity.WARNING,
        file=git.untracked[0],
    )


def revisions_not_shipped(state: State) -> Iterator[Found]:
    """Revision files are left out of the image or of what is deployed.

    Cause
        A rule in ``.dockerignore``, or in a file like it of a hosting service, covers them. They
        are here and in git, and missing where the upgrade is to run.
    Example
        ``migrations`` or ``**/versions`` in ``.dockerignore``: the container upgrades to nothing,
        with success, or says that the database is at an unknown revision.
    Fix
        Remove the rule, or add ``!migrations`` below it. In ``.dockerignore`` that brings the
        folder back; by git's rules a file cannot come back while a folder above it is left out.
    Prevention
        Run ``flask db doctor`` inside the image that is deployed.
    """
    if not in_use(state) and not state.history.revisions:
        return
    for left in state.project.setup.left_out:
        what = "every revision" if left.every else listed(map(file, left.paths), 3)
        yield Found(
            f'"{file(left.source)}" leaves {what} out of {left.reader}: line {left.line}, '
            f"'{left.rule}'.",
            f"{left.source}:{left.line}",
            f"remove the rule, or add the line {left.back} below it"
            if left.back
            else "remove the rule",
            subject=left.source,
            file=left.source,
            line=left.line,
        )
