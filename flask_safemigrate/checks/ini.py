"""SM1xx: ``alembic.ini``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

from flask_safemigrate.checks.found import Found, not_in_folder
from flask_safemigrate.facts.project import ProjectState
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity, Step


def _line_in(problem: str) -> int | None:
    """The line that ``configparser`` names, as in ``[line  3]``."""
    found = re.search(r"\bline\s+(\d+)", problem)
    return int(found[1]) if found else None


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
        yield not_in_folder(project, "alembic.ini")


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


def _path(project: ProjectState) -> str:
    return str(PurePath(project.directory) / "alembic.ini")


def _named(project: ProjectState) -> str:
    return f"{PurePath(project.directory).name}/alembic.ini"


def ini_swallows_errors(state: State) -> Iterator[Found]:
    """``alembic.ini`` keeps errors from being shown.

    Cause
        Flask-Migrate tells its errors through the logger ``flask_migrate``. ``env.py`` sets up
        logging from this file, which switches off every logger that it does not name; those made
        by Flask-Migrate before 2.7 do not name it. Or a level or handler lets no error through.
    Example
        ``flask db upgrade`` with two heads prints nothing and exits with 1.
    Fix
        ``flask db doctor --fix SM121`` adds the logger; the old file stays beside it as
        ``alembic.ini.bak``. A level or a handler is yours to change.
    Prevention
        The commands of Flask-SafeMigrate print their errors themselves.
    """
    project = state.project
    ini = project.setup.ini
    if ini.missing_logger:
        yield Found(
            f'"{_named(project)}" does not name the logger {ini.missing_logger}, so env.py '
            "switches it off: flask db upgrade can fail without a word.",
            _path(project),
            "flask db doctor --fix SM121",
            repair=f'adds the logger {ini.missing_logger} to "{_named(project)}"',
            steps=(Step("name logger"),),
            subject=_path(project),
            file=_path(project),
        )
    elif ini.silent:
        yield Found(
            f'"{_named(project)}" keeps errors of Flask-Migrate from being shown: {ini.silent}.',
            _path(project),
            "level = WARN under [logger_root], and level = NOTSET in its handler",
            file=_path(project),
        )


def ini_logging_broken(state: State) -> Iterator[Found]:
    """The logging sections of ``alembic.ini`` are incomplete.

    Cause
        ``env.py`` hands the file to ``logging.config.fileConfig``, which needs ``[loggers]``,
        ``[handlers]`` and ``[formatters]`` and a section for every key in them, and stops every
        command with ``KeyError: 'formatters'`` where one is missing.
    Example
        A short ``alembic.ini`` with ``[alembic]`` only, copied from a project whose ``env.py``
        has no ``fileConfig``.
    Fix
        Bring the section back, or take the file that ``flask db init`` makes in an empty folder.
    Prevention
        Change the file with care.
    """
    project = state.project
    if project.setup.ini.problem and project.env_exists and not project.env_problem:
        yield Found(
            f'The logging in "{_named(project)}" cannot be set up: {project.setup.ini.problem}.',
            _path(project),
            "add it, or copy the logging sections of a folder made by flask db init -d NEW",
            file=_path(project),
        )


def ini_script_location(state: State) -> Iterator[Found]:
    """``alembic.ini`` names another folder than the one it lies in.

    Cause
        ``script_location`` was copied from another project or stayed when the folder was renamed.
        ``flask db`` puts its own folder in its place; the plain ``alembic`` command, and editors
        and tools that read the file, go to the folder that it names.
    Example
        ``script_location = alembic`` in ``migrations/alembic.ini``.
    Fix
        Remove the line, or write ``script_location = %(here)s``.
    Prevention
        None is needed while only ``flask db`` is used.
    """
    project = state.project
    location = project.setup.ini.script_location
    if location:
        yield Found(
            f"\"{_named(project)}\" names '{location}' as script_location, which is not this "
            "folder; Flask-Migrate does not heed it, the command alembic does.",
            _path(project),
            "script_location = %(here)s",
            file=_path(project),
        )


def ini_database_url(state: State) -> Iterator[Found]:
    """``alembic.ini`` names another database than the application.

    Cause
        ``sqlalchemy.url`` stands in the file. The ``env.py`` of Flask-Migrate puts the
        application's URL in its place, so the line only misleads; an ``env.py`` of another making
        migrates that database instead of the application's.
    Example
        ``sqlalchemy.url = postgresql://me:secret@localhost/old`` from a time before Flask-Migrate.
    Fix
        Remove the line. A password that stood in a committed file has to be changed.
    Prevention
        Keep the URL in the application's configuration, and its password in the environment.
    """
    project = state.project
    ini = project.setup.ini
    if not ini.url:
        return
    secret = " The file holds a password, too." if "***" in ini.url else ""
    if ini.url_replaced:
        yield Found(
            f'"{_named(project)}" names {_shown(ini.url)} as sqlalchemy.url; env.py does not use '
            f"it, and it is not the application's.{secret}",
            _path(project),
            "remove the line sqlalchemy.url",
            severity=Severity.WARNING if secret else Severity.INFO,
            blocks=(),
            file=_path(project),
        )
    else:
        yield Found(
            f'"{_named(project)}" names {_shown(ini.url)} as sqlalchemy.url, which is not the '
            f"application's database, and env.py may well migrate that one.{secret}",
            _path(project),
            "use current_app.extensions['migrate'].db.engine in env.py, as the template does",
            file=_path(project),
        )


def _shown(url: str) -> str:
    return "something that is no URL" if url == "?" else f'"{url}"'
