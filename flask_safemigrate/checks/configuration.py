"""SM1xx: the configuration of the application and of the doctor."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from flask_safemigrate.checks.found import Found, counted, file, listed
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity

# Families whose checks need no comparison of schemas; of a name, the family is not known here.
_WITHOUT_COMPARISON = ("SM1", "SM2", "SM3", "SM5")


def _config(state: State, kind: str) -> Iterator[str]:
    return (message for found, message in state.project.config_problems if found == kind)


def _unusable(state: State, kind: str) -> Iterator[Found]:
    """What the driver said of how it is to connect."""
    for database in state.databases:
        why = database.unreachable
        if why is not None and why.kind == kind:
            yield Found(why.message, database.location, why.hint, bind=database.bind)


def _scheme_hint(message: str) -> str:
    old = "postgres:" in message or "'postgres'" in message
    return "write postgresql:// instead of postgres://" if old else ""


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
    variable = state.project.setup.variable
    for message in _config(state, "no url"):
        if variable:
            yield Found(
                f"{message} The code reads it from the environment variable {variable}.",
                state.project.app,
                f"export {variable}=sqlite:///app.db",
            )
            continue
        yield Found(
            message,
            state.project.app,
            'app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///app.db"  # or the URL of a server',
        )


def database_url_unusable(state: State) -> Iterator[Found]:
    """The database URL cannot be used.

    Cause
        The text is no URL of the form ``dialect+driver://user:password@host:port/name``; often
        a special character in the password stands there unescaped. Or the driver does not know a
        parameter behind the ``?``: hosts of databases hand out URLs for other clients.
    Example
        ``postgresql://me:p@ss@localhost/shop``: the first ``@`` belongs to the password.
        ``mysql+pymysql://...?ssl-mode=REQUIRED``: that is the word of ``mysql``, not of PyMySQL.
    Fix
        Escape the password with ``urllib.parse.quote_plus``: ``p%40ss``. Write the driver's own
        word for the parameter, which the hint names, or take the parameter out.
    Prevention
        Build URLs with ``sqlalchemy.engine.URL.create``, which escapes by itself.
    """
    for message in _config(state, "url"):
        hint = "write @ in the password as %40, or urllib.parse.quote_plus(password)"
        yield Found(message, state.project.app, _scheme_hint(message) or hint)
    yield from _unusable(state, "misconfigured")


def driver_missing(state: State) -> Iterator[Found]:
    """The driver that the database URL needs, or a package that it needs, is not installed.

    Cause
        SQLAlchemy talks to a database through a Python package, which the environment in which
        this command runs does not have. Some drivers need another one to log in.
    Example
        ``postgresql://...`` without ``psycopg2``, which is what SQLAlchemy takes for a URL that
        names no driver. PyMySQL without ``cryptography``, where MySQL stores the password by
        ``caching_sha2_password`` and the connection is not encrypted.
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
    yield from _unusable(state, "missing package")


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
        yield Found(message, state.project.app, _scheme_hint(message) or hint)


def dotenv_not_read(state: State) -> Iterator[Found]:
    """A ``.env`` or ``.flaskenv`` is there, and nothing reads it.

    Cause
        ``flask`` loads the two files only where the package ``python-dotenv`` is installed.
    Example
        ``.env`` sets ``DATABASE_URL``; in a new virtual environment the application falls back to
        its default database, and the upgrade goes to an empty SQLite file.
    Fix
        ``pip install python-dotenv``.
    Prevention
        List ``python-dotenv`` among the application's requirements.
    """
    dotenv = state.project.setup.dotenv
    if dotenv.paths:
        names = " and ".join(f'"{file(path)}"' for path in dotenv.paths)
        several = len(dotenv.paths) > 1
        yield Found(
            f"{names} {'are' if several else 'is'} not read, because python-dotenv is not "
            f"installed; {'they set' if several else 'it sets'} {listed(dotenv.names)}.",
            dotenv.paths[0],
            "pip install python-dotenv",
            file=dotenv.paths[0],
        )


def database_file_twin(state: State) -> Iterator[Found]:
    """There is another SQLite file of the same name.

    Cause
        A relative SQLite path means the instance folder since Flask-SQLAlchemy 3, and meant the
        application's folder before; ``sqlite3 app.db`` in a shell means the current one. One of
        the files was made by mistake, and somebody works with the wrong one.
    Example
        ``sqlite:///app.db`` with ``app.db`` and ``instance/app.db``: after an update of
        Flask-SQLAlchemy the upgrade builds a new, empty database.
    Fix
        Move the file that is meant to where the application looks, or write its absolute path
        into the URL; then delete the other one.
    Prevention
        Write absolute paths: ``"sqlite:///" + os.path.join(app.instance_path, "app.db")``.
    """
    for database in state.databases:
        files = state.project.setup.other_files.get(database.bind, ())
        if not files:
            continue
        own, others = files[0], sorted(files[1:], key=lambda each: -each.tables)
        shown = ", ".join(f'"{o.path}" with {counted(o.tables, "table")}' for o in others)
        lost = not own.tables and others[0].tables
        yield Found(
            f'The application uses "{own.path}" with {counted(own.tables, "table")}; '
            f"of the same name there is {shown}."
            + (" The one with the tables is likely to be meant." if lost else ""),
            database.location,
            f"`{shlex.join(('mv', others[0].path, own.path))}`, or its path in "
            "SQLALCHEMY_DATABASE_URI"
            if lost
            else "delete the file that is not used, and write an absolute path into the URL",
            bind=database.bind,
            severity=Severity.INFO if not others[0].tables else None,
            subject=own.path,
        )


def production_in_debug(state: State) -> Iterator[Found]:
    """The application runs in debug mode on what looks like a production database.

    Cause
        Debug mode is for a developer's machine, and the host or the name of the database, or
        what the last deploy wrote down in it, says production. A variable such as
        ``DATABASE_URL`` was exported in this shell, or stands in ``.env``.
    Example
        ``FLASK_DEBUG=1`` and ``postgresql://me@prod-db.example.com/shop``. ``flask db reset`` is
        allowed in debug mode.
    Fix
        ``unset DATABASE_URL``, or point it at a database of your own. If it is meant, turn debug
        mode off.
    Prevention
        Set ``SAFEMIGRATE_ENVIRONMENT`` where you deploy: ``flask db reset`` refuses a database
        that was deployed as one of ``SAFEMIGRATE_PROTECTED_ENVIRONMENTS``.
    """
    checkout = state.project.setup
    if not checkout.debug:
        return
    hosts = dict(checkout.hosts)
    for database in state.databases:
        host = hosts.get(database.bind, "")
        marked = database.environment.lower() if database.environment else ""
        names = [word for text in (host, database.name) if (word := _productive(text))]
        if marked.startswith("prod"):
            why = f"the last deploy marked it as {database.environment}"
        elif names:
            why = f"it says '{names[0]}'"
        else:
            continue
        yield Found(
            f'The application is in debug mode, and database "{database.label}" looks like '
            f"production: {why}.",
            database.location,
            "leave debug mode, or name another database in this shell",
            bind=database.bind,
        )


def _productive(text: str) -> str:
    found = re.search(r"(?i)(?<![a-z])(prod|production|live)(?![a-z])", text)
    return found[0] if found else ""


def application_not_loaded(state: State) -> Iterator[Found]:
    """The application cannot be loaded.

    Cause
        An import or a line of the application fails before there is an application, so that
        neither its databases nor its models are known. Only files were looked at.
    Example
        ``KeyError: 'DATABASE_URL'`` in ``config.py``, line 7, in a shell without the variable.
    Fix
        Mend the line that is named, or set what it wants.
    Prevention
        Keep work that can fail, queries above all, out of module level and of ``create_app``.
    """
    failure = state.project.setup.failure
    if failure is not None:
        yield Found(
            failure.message,
            f"{failure.file}:{failure.line}" if failure.file else state.project.app,
            failure.hint or "mend that line, then flask db doctor",
            file=failure.file,
            line=failure.line,
        )


def extension_missing(state: State) -> Iterator[Found]:
    """The application has neither Flask-Migrate nor SafeMigrate.

    Cause
        ``Migrate`` is never made, or made and never given the application, or only in a branch
        of the factory that did not run here. ``flask db`` does not exist then.
    Example
        ``migrate = Migrate()`` without ``migrate.init_app(app, db)``: ``No such command 'db'``.
    Fix
        ``SafeMigrate(app, db)``, or in a factory ``migrate.init_app(app, db)``.
    Prevention
        Initialise extensions in one place of the factory, without conditions.
    """
    if not state.project.setup.initialised:
        yield Found(
            f'The application "{state.project.app}" has neither Flask-Migrate nor SafeMigrate.',
            state.project.app,
            "from flask_safemigrate import SafeMigrate\n"
            "    SafeMigrate(app, db)  # in a factory: migrate.init_app(app, db)",
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
    if not state.databases or any(d.unreachable for d in state.databases):
        return
    if not state.project.models:
        return
    compared = all(
        d.bind in state.comparisons and state.comparisons[d.bind].compared for d in state.databases
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
