"""SM1xx: the configuration of the application and of the doctor."""

from __future__ import annotations

from collections.abc import Iterator

from flask_safemigrate.checks.found import (
    Found,
)
from flask_safemigrate.state import State

# Families whose checks need no comparison of schemas; of a name, the family is not known here.
_WITHOUT_COMPARISON = ("SM1", "SM2", "SM3", "SM5")


def _config(state: State, kind: str) -> Iterator[str]:
    return (message for found, message in state.project.config_problems if found == kind)


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
