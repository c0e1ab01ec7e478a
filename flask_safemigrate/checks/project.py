"""SM1xx: the project and its configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

from flask_safemigrate.checks.found import (
    ALL,
    Found,
    counted,
    file,
    in_use,
    listed,
    reached,
    rows,
    tables,
    versions,
)
from flask_safemigrate.findings import Severity
from flask_safemigrate.state import State

# Families whose checks need no comparison of schemas; of a name, the family is not known here.
_WITHOUT_COMPARISON = ("SM1", "SM2", "SM3", "SM5")


def _config(state: State, kind: str) -> Iterator[str]:
    return (message for found, message in state.project.config_problems if found == kind)


def _line_in(problem: str) -> int | None:
    """The line that ``configparser`` names, as in ``[line  3]``."""
    found = re.search(r"\bline\s+(\d+)", problem)
    return int(found[1]) if found else None


def no_database_url(state: State) -> Iterator[Found]:
    """The application has no database URL.

    Cause
        Neither ``SQLALCHEMY_DATABASE_URI`` nor ``SQLALCHEMY_ENGINES`` is set when the application
        is made, often because an environment variable is missing in this shell or container.
    Example
        ``app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("DATABASE_URL")`` where
        ``DATABASE_URL`` is not exported.
    Fix
        Set the variable, or the key in ``app.config`` before ``db.init_app(app)``.
    Prevention
        Read required variables with ``os.environ["DATABASE_URL"]``, which fails with a clear
        error where a default of ``None`` goes on.
    """
    for message in _config(state, "no url"):
        yield Found(
            message,
            state.project.app,
            'app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///app.db"  # or the URL of a server',
        )


def database_url_unusable(state: State) -> Iterator[Found]:
    """The database URL cannot be read.

    Cause
        The text is no URL of the form ``dialect+driver://user:password@host:port/name``; often
        a special character in the password stands there unescaped.
    Example
        ``postgresql://me:p@ss@localhost/shop``: the first ``@`` belongs to the password.
    Fix
        Escape the password with ``urllib.parse.quote_plus``: ``p%40ss``.
    Prevention
        Build URLs with ``sqlalchemy.engine.URL.create``, which escapes by itself.
    """
    for message in _config(state, "url"):
        hint = "escape special characters in the password with urllib.parse.quote_plus(password)"
        if "postgres:" in message or "'postgres'" in message:
            hint = "write postgresql:// instead of postgres://"
        yield Found(message, state.project.app, hint)


def driver_missing(state: State) -> Iterator[Found]:
    """The driver that the database URL needs is not installed.

    Cause
        SQLAlchemy talks to a database through a Python package, which the environment in which
        this command runs does not have.
    Example
        ``postgresql://...`` without ``psycopg2``, which is what SQLAlchemy takes for a URL that
        names no driver.
    Fix
        Install the driver, or name the one that is there: ``postgresql+psycopg://...``.
    Prevention
        List the driver among the application's own requirements, not only on your machine.
    """
    for message in _config(state, "driver"):
        text = message.lower()
        hint = "pip install the driver, or name in the URL one that is installed"
        if "postgres" in text or "psycopg" in text:
            hint = 'pip install "psycopg[binary]" and write postgresql+psycopg://... in the URL'
        elif "mysql" in text or "mariadb" in text:
            hint = "pip install pymysql and write mysql+pymysql://... in the URL"
        yield Found(message, state.project.app, hint)


def engine_not_served(state: State) -> Iterator[Found]:
    """The database is of a kind that is not served.

    Cause
        Promises are kept by knowing an engine well. SQLite, PostgreSQL, MariaDB and MySQL are
        known; others are refused rather than treated by guesswork.
    Example
        ``mssql+pyodbc://...`` or ``oracle://...``.
    Fix
        Use Flask-Migrate's own ``flask db upgrade``, which stays as it is.
    Prevention
        None is needed: nothing was started.
    """
    for message in _config(state, "dialect"):
        hint = "use sqlite, postgresql, mysql or mariadb; flask db upgrade works as before"
        if "postgres:" in message or "'postgres'" in message:
            hint = "write postgresql:// instead of postgres://"
        yield Found(message, state.project.app, hint)


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
    for message in _config(state, "async"):
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
    used = in_use(state)
    if migrated:
        first = migrated[0]
        yield Found(
            f'"{versions(project)}" does not exist, but database "{first.label}" is at revision '
            f"{listed(first.version_rows or ())}: the revision files were not shipped.",
            folder,
            "copy the folder from the repository and look into .dockerignore and .gitignore",
        )
        return
    yield Found(
        f'"{versions(project)}" does not exist; an upgrade would do nothing and call it success.',
        folder,
        "flask db doctor --fix, then flask db migrate",
        severity=None if used else Severity.WARNING,
        blocks=None if used else ("deploy",),
        repair="makes the folder with a file that git keeps",
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
    migrated = [d for d in reached(state) if d.version_rows]
    if migrated:
        first = migrated[0]
        yield Found(
            f'"{versions(project)}" holds no revision, but database "{first.label}" is at '
            f"revision {listed(first.version_rows or ())}: the files were not shipped.",
            project.directory,
            "copy the files from the repository and look into .dockerignore and .gitignore",
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


def no_models(state: State) -> Iterator[Found]:
    """No model is registered.

    Cause
        The module with the models is not imported when the application is made, or the models
        belong to another ``SQLAlchemy`` object than the one that ``Migrate`` was given.
    Example
        ``app/models.py`` is imported only inside a view function. ``flask db migrate`` then
        writes ``op.drop_table`` for every table that there is.
    Fix
        Import the models in the application factory: ``from app import models``.
    Prevention
        Read every generated revision before it is applied.
    """
    project = state.project
    if not project.models or any(project.models.values()):
        return
    there = [d for d in reached(state) if tables(d)]
    if there:
        first = there[0]
        names = tables(first)
        yield Found(
            f'No model is registered, but database "{first.label}" has '
            f"{counted(len(names), 'table')}{rows(first, names)}: flask db migrate would write "
            "a revision that drops every one.",
            project.app,
            "import the module with the models where the application is made",
        )
    elif state.history.revisions:
        yield Found(
            f"No model is registered, but there are "
            f"{counted(len(state.history.revisions), 'revision')}: flask db migrate would write "
            "a revision that drops every table.",
            project.app,
            "import the module with the models where the application is made",
            severity=Severity.WARNING,
        )


def bind_not_migrated(state: State) -> Iterator[Found]:
    """Models of a bind are not migrated.

    Cause
        The application has models with a ``__bind_key__``, but ``env.py`` is the template for one
        database, which migrates the default one only.
    Example
        ``class Visit(db.Model): __bind_key__ = "stats"`` and a folder made by plain
        ``flask db init``.
    Fix
        Make the folder anew with ``flask db init --multidb`` and move the revisions over, or
        keep the tables of that bind by other means.
    Prevention
        Choose ``--multidb`` when the first bind is added.
    """
    project = state.project
    if project.multidb or not project.env_exists or project.env_problem:
        return
    for bind, names in project.models.items():
        if bind and names:
            yield Found(
                f"The models define {counted(len(names), 'table')} on bind '{bind}' "
                f"({listed(names)}), but env.py migrates the default database only.",
                str(PurePath(project.directory) / "env.py"),
                "flask db init --multidb -d NEW, then move the revisions there",
                bind=bind,
                file=str(PurePath(project.directory) / "env.py"),
            )


def revisions_ignored(state: State) -> Iterator[Found]:
    """Git ignores revision files.

    Cause
        A rule in ``.gitignore`` covers the migrations folder or the files in it, so they are
        never committed and no other machine gets them.
    Example
        The line ``migrations/`` or ``versions/*`` in ``.gitignore``.
    Fix
        Remove the rule, or add ``!migrations/versions/*.py`` below it, then ``git add`` the files.
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
        f"remove the rule, then git add --force {folder}",
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
        f"git add {versions(state.project)}",
        severity=Severity.ERROR if whole else Severity.WARNING,
        file=git.untracked[0],
    )


def ignore_without_reason(state: State) -> Iterator[Found]:
    """A check is ignored without a reason.

    Cause
        ``SAFEMIGRATE_IGNORE`` names a code and does not say why. Whoever reads it later cannot
        tell whether it still holds, and nobody dares to remove it.
    Example
        ``SAFEMIGRATE_IGNORE = ["SM113"]``.
    Fix
        Write the reason after a colon: ``"SM113: models live in the package shop_models"``.
    Prevention
        Use ``flask db doctor --ignore SM113`` where a code is to be left out only once.
    """
    for ignored in state.ignored:
        if not ignored.reason:
            yield Found(
                f"SAFEMIGRATE_IGNORE leaves out '{ignored.code}' and does not say why.",
                "SAFEMIGRATE_IGNORE",
                f'app.config["SAFEMIGRATE_IGNORE"] = ["{ignored.code}: the reason"]',
                subject=ignored.code,
            )


def ignore_unused(state: State) -> Iterator[Found]:
    """An ignored check finds nothing any more.

    Cause
        What ``SAFEMIGRATE_IGNORE`` was to keep quiet has been mended, or it never was there. The
        entry would now hide the next finding of that kind.
    Example
        ``"SM520: the image has one working directory"``, while the URL has become absolute.
    Fix
        Remove the entry. Where the finding comes and goes with the environment, keep the entry in
        the configuration of the environment that has it.
    Prevention
        Run ``flask db doctor`` in CI, which shows it. Nothing is said while a database cannot be
        reached, nor about the schema where it was not compared, as with ``--fast``: what was not
        read may have findings.
    """
    if any(d.unreachable for d in state.databases) or not state.project.models:
        return
    compared = all(
        d.bind in state.evidence and state.evidence[d.bind].compared for d in state.databases
    )
    for ignored in state.ignored:
        known = compared or ignored.code.upper().startswith(_WITHOUT_COMPARISON)
        if known and not ignored.findings:
            yield Found(
                f"SAFEMIGRATE_IGNORE leaves out '{ignored.code}', which finds nothing here.",
                "SAFEMIGRATE_IGNORE",
                f"remove '{ignored.code}' from SAFEMIGRATE_IGNORE",
                subject=ignored.code,
            )
