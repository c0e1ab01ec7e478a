"""SM1xx: ``env.py``, and what it imports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from flask_safemigrate.checks.found import ALL, Found, listed, not_in_folder
from flask_safemigrate.facts.project import ProjectState
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity, Step


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


def schema_per_tenant(state: State) -> Iterator[Found]:
    """``env.py`` migrates several schemas of one database, or another than the connection's.

    Cause
        It sets the search path, or the schema of the version table, in a loop, and runs the
        migrations for each schema. The guarded commands know one version table per database:
        they would take the second schema for a change by somebody else. Or it sets the search
        path of its own connection only, and the guarded commands look, and ``reset`` empties,
        where the application's connections do. So they do under ``schema_translate_map``, which
        SQLAlchemy applies to a part of the statements (``create_table`` and the version table,
        but not ``add_column``).
    Example
        ``for tenant in tenants: connection.execute(text(f"SET search_path TO {tenant}"))``.
    Fix
        Migrate by ``flask db upgrade``, which runs ``env.py`` as it is. Or give each schema a bind
        of its own, with its search path in the URL: ``?options=-csearch_path%3Dtenant_a``.
    Prevention
        None; it is a limit of the guarded commands.
    """
    project = state.project
    if project.tenants:
        yield Found(
            '"env.py" migrates several schemas of one database, one after the other, which the '
            "guarded commands do not serve.",
            str(PurePath(project.directory) / "env.py"),
            "flask db upgrade; or a bind for each schema, ?options=-csearch_path%3DSCHEMA in its "
            "URL",
        )
    elif project.schema_by:
        yield Found(
            f"{project.schema_by} sends tables without a schema to another one than the "
            "application's connections do, which the guarded commands do not serve.",
            str(PurePath(project.directory) / "env.py"),
            "flask db upgrade; or name the schema in the database's URL instead, on PostgreSQL by "
            "?options=-csearch_path%3DSCHEMA; where it is named there too, --allow SM134",
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
        yield not_in_folder(project, "env.py")


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


def _path(project: ProjectState) -> str:
    return str(PurePath(project.directory) / "env.py")


def _named(project: ProjectState) -> str:
    return f"{PurePath(project.directory).name}/env.py"


def _broken_now(state: State) -> Iterator[str]:
    """What an old ``env.py`` does wrong for this very application."""
    project = state.project
    faults, checkout = project.setup.env.faults, project.setup
    default = next((d for d in state.databases if not d.bind), None)
    if {"own engine", "config url"} <= faults and default is not None and default.configured:
        yield (
            f'it opens "{default.configured}" in the current folder, where the application opens '
            f'"{default.location}"'
        )
    if "percent" in faults and "percent" in checkout.url_has:
        yield "it stops at the percent sign in the URL of the database"
    if {"own engine", "masked password"} <= faults and "password" in checkout.url_has:
        yield "it connects with *** in place of the password"
    if "get_engine arguments" in faults:
        yield "it calls get_engine() with arguments that Flask-SQLAlchemy 3 does not take"
    if "directives" in faults and "process_revision_directives" in checkout.arguments:
        yield "it passes process_revision_directives twice, as Migrate(...) has one too"
    unseen = [bind for bind, names in project.models.items() if bind and names]
    if "one metadata" in faults and unseen:
        yield (
            f"it does not see the models of bind {listed(unseen)}, so that flask db migrate "
            "would drop their tables"
        )


def _weak(faults: frozenset[str]) -> Iterator[str]:
    """What it does wrong for others, or will do."""
    if "no arguments" in faults:
        yield "what Migrate(...) was given, such as render_as_batch, does not reach Alembic"
    if "own engine" in faults:
        yield "its own engine has none of the application's engine options"
    if "get_engine" in faults:
        yield "it calls get_engine(), which Flask-SQLAlchemy is about to remove"


def env_outdated(state: State) -> Iterator[Found]:
    """``env.py`` is an old template of Flask-Migrate, unmodified.

    Cause
        ``flask db init`` wrote it once, and no update of Flask-Migrate touches it. Old ones read
        the URL from the configuration, which for a relative SQLite path leads to another file than
        the application's; stop at a ``%`` in the URL; connect with ``***`` in place of the
        password; call functions that Flask-SQLAlchemy 3 has no more; or miss the models of binds.
    Example
        A project begun with Flask-Migrate 2.5 and updated since:
        ``current_app.config.get('SQLALCHEMY_DATABASE_URI')`` in ``env.py``.
    Fix
        ``flask db doctor --fix SM119`` puts the template of the installed release in its place and
        keeps the old file as ``env.py.bak``. Nothing of yours is in it: it was compared with every
        template that was ever shipped, by what it does; comments and layout do not count.
    Prevention
        Run ``flask db doctor`` after an update of Flask-Migrate.
    """
    project = state.project
    env = project.setup.env
    if not env.outdated or env.modified:
        return
    broken = [*_broken_now(state)]
    about = [*broken, *_weak(env.faults)]
    yield Found(
        f'"{_named(project)}" is the unmodified template of Flask-Migrate {env.release}; '
        f"{env.installed} is installed{_told(about)}.",
        _path(project),
        "flask db doctor --fix SM119",
        severity=Severity.ERROR if broken else Severity.WARNING if about else None,
        repair=f'replaces "{_named(project)}" by the template of Flask-Migrate {env.installed}',
        steps=(Step("replace env"),),
        subject=_path(project),
        file=_path(project),
    )


def env_behind(state: State) -> Iterator[Found]:
    """``env.py`` is an old template of Flask-Migrate, with changes of yours.

    Cause
        As for SM119, but the project has changed the file since, so nothing replaces it.
    Example
        The template of Flask-Migrate 2.7 with an ``include_object`` of the project.
    Fix
        Make the changes that are shown as a patch: what the installed release changed, with your
        lines kept. Where both have changed the same lines no patch can be shown: take the
        template of the installed release and write your changes in.
    Prevention
        Pass options to ``Migrate(app, db, include_object=...)`` and leave ``env.py`` as it is.
    """
    project = state.project
    env = project.setup.env
    broken = [*_broken_now(state)]
    if not env.modified or not (env.outdated or broken):
        return
    about = [*broken, *_weak(env.faults)]
    if not env.name:
        yield Found(
            f'"{_named(project)}" is made from no template of Flask-Migrate{_told(broken)}.',
            _path(project),
            "flask db init -d NEW shows how the template does it",
            severity=Severity.ERROR,
            file=_path(project),
        )
        return
    patch = "\n".join(f"    {line}" for line in env.patch.splitlines())
    yield Found(
        f'"{_named(project)}" comes from Flask-Migrate {env.release} and was changed since; '
        f"{env.installed} is installed{_told(about)}.",
        _path(project),
        f"change these lines, which keeps yours:\n{patch}"
        if patch
        else f"diff {env.replacement} {_named(project)}",
        severity=Severity.ERROR if broken else Severity.WARNING if about else None,
        file=_path(project),
    )


def _told(about: list[str]) -> str:
    if not about:
        return ""
    return f". {about[0][0].upper()}{about[0][1:]}" + "".join(f"; {each}" for each in about[1:])


def package_shadowed(state: State) -> Iterator[Found]:
    """A module of the project has the name of one that migrations need.

    Cause
        Python looks into the project's folder before it looks into the installed packages, so
        ``import alembic`` finds the project's file. What fails then depends on which is imported
        first. Python's own modules are hidden as well.
    Example
        ``alembic.py`` or ``alembic/__init__.py`` beside ``app.py``: ``cannot import name 'op'
        from 'alembic'``.
    Fix
        Give the file or folder another name. A folder of migrations needs no ``__init__.py``.
    Prevention
        Look a name up before you take it: ``python -c "import NAME"``.
    """
    for shadow in state.project.setup.shadows:
        path = PurePath(shadow.path)
        shown = f"{path.parent.name}/" if path.name == "__init__.py" else path.name
        yield Found(
            f'"{shown}" has the name of the module {shadow.name}'
            + (
                " and was imported in its place."
                if shadow.used
                else ", which env.py, a revision or a library may get in its place."
            ),
            shadow.path,
            f"give it another name, such as {shown.split('.')[0].rstrip('/')}_own",
            severity=Severity.ERROR if shadow.used else None,
            subject=shadow.name,
            file=shadow.path,
        )
