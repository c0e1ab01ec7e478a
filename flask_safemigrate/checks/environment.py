"""SM1xx: ``env.py`` and ``alembic.ini``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

from flask_safemigrate.checks.found import (
    ALL,
    Found,
)
from flask_safemigrate.state import State


def _line_in(problem: str) -> int | None:
    """The line that ``configparser`` names, as in ``[line  3]``."""
    found = re.search(r"\bline\s+(\d+)", problem)
    return int(found[1]) if found else None


def async_environment(state: State) -> Iterator[Found]:
    """``env.py`` connects through asyncio.

    Cause
        The migrations folder was made from an async template (``aioflask``), or its ``env.py``
        was changed to use an async engine. The guarded upgrade owns the connection and its
        transaction, which it cannot do for an async one.
    Example
        ``asyncio.get_event_loop().run_until_complete(run_migrations_online())``.
    Fix
        Use the synchronous template for migrations, with a synchronous driver; the application
        itself may stay async.
    Prevention
        ``flask db init`` without ``--template aioflask``.
    """
    project = state.project
    for kind, message in project.config_problems:
        if kind == "async":
            yield Found(
                message,
                project.app,
                "give the application a synchronous driver while migrations run, such as "
                "psycopg, pymysql or sqlite3",
                blocks=ALL,
            )
    if project.is_async:
        yield Found(
            f'"{PurePath(project.directory).name}/env.py" connects through asyncio, '
            "which the guarded commands do not serve.",
            str(PurePath(project.directory) / "env.py"),
            "give env.py the synchronous template of flask db init; "
            "flask db upgrade works as before",
            file=str(PurePath(project.directory) / "env.py"),
        )


def ini_missing(state: State) -> Iterator[Found]:
    """``alembic.ini`` is missing.

    Cause
        The file was deleted or not shipped. ``env.py`` reads its logging sections and stops
        without it.
    Example
        ``COPY migrations/*.py`` in a Dockerfile copies ``env.py`` only.
    Fix
        Bring it back from the repository, or take the one that ``flask db init`` makes in an
        empty folder.
    Prevention
        Copy the whole migrations folder.
    """
    project = state.project
    if project.directory_exists and not project.ini_exists:
        yield Found(
            f'"{PurePath(project.directory).name}/alembic.ini" does not exist.',
            str(PurePath(project.directory) / "alembic.ini"),
            f"git checkout -- {PurePath(project.directory).name}/alembic.ini, or copy it from "
            "a folder made by flask db init -d NEW",
        )


def ini_broken(state: State) -> Iterator[Found]:
    """``alembic.ini`` cannot be read.

    Cause
        A line is no setting and no section, a key stands there twice, or a value holds a ``%``
        that is not written ``%%``.
    Example
        An unresolved merge conflict in the file.
    Fix
        Mend the line that the message names.
    Prevention
        Change the file with care; it is read by Python's ``configparser``.
    """
    project = state.project
    if project.ini_exists and project.ini_problem:
        yield Found(
            f'"{PurePath(project.directory).name}/alembic.ini" cannot be read: '
            f"{project.ini_problem}",
            str(PurePath(project.directory) / "alembic.ini"),
            "mend that line; a percent sign is written %%",
            file=str(PurePath(project.directory) / "alembic.ini"),
            line=_line_in(project.ini_problem),
        )


def env_missing(state: State) -> Iterator[Found]:
    """``env.py`` is missing.

    Cause
        The file was deleted or not shipped. Alembic runs it for every command.
    Example
        ``.gitignore`` has a line ``env*``, meant for virtual environments.
    Fix
        Bring it back from the repository, or take the one that ``flask db init`` makes in an
        empty folder.
    Prevention
        Write ``/env/`` for a virtual environment in ``.gitignore``.
    """
    project = state.project
    if project.directory_exists and not project.env_exists:
        yield Found(
            f'"{PurePath(project.directory).name}/env.py" does not exist.',
            str(PurePath(project.directory) / "env.py"),
            f"git checkout -- {PurePath(project.directory).name}/env.py, or copy it from "
            "a folder made by flask db init -d NEW",
        )


def env_broken(state: State) -> Iterator[Found]:
    """``env.py`` cannot work.

    Cause
        It does not compile, holds an unresolved merge conflict, or never runs the migrations. The
        last one is silent: Alembic runs such a file and reports success.
    Example
        An empty ``env.py`` left by a failed copy.
    Fix
        Mend the line that the message names, or take the template of ``flask db init``.
    Prevention
        Let ``flask db doctor`` run in CI.
    """
    project = state.project
    if project.env_exists and project.env_problem:
        path = str(PurePath(project.directory) / "env.py")
        line = f":{project.env_problem_line}" if project.env_problem_line else ""
        yield Found(
            f'"{PurePath(project.directory).name}/env.py" cannot be used: {project.env_problem}.',
            path + line,
            f"mend env.py{' at line ' + line[1:] if line else ''}, or copy the one of "
            "a folder made by flask db init -d NEW",
            file=path,
            line=project.env_problem_line,
        )
