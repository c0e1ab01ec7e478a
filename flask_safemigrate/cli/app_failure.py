"""Why an application could not be loaded, in a few lines."""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TextIO, cast

import click
from flask.cli import NoAppException

from flask_safemigrate.errors import SafeMigrateError
from flask_safemigrate.facts.project import Failure
from flask_safemigrate.outcome import Outcome, Status, exit_code
from flask_safemigrate.project.configuration import database_variable

#: Packages that bring the module of a database driver.
#: Packages that bring a module of another name.
_PACKAGES = {
    "PIL": "Pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "decouple": "python-decouple",
    "dotenv": "python-dotenv",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "magic": "python-magic",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "yaml": "PyYAML",
}
_DRIVERS = {
    "psycopg": "'psycopg[binary]'",
    "psycopg2": "psycopg2-binary",
    "asyncpg": "asyncpg",
    "pg8000": "pg8000",
    "pymysql": "pymysql",
    "MySQLdb": "mysqlclient",
    "mysql": "mysql-connector-python",
    "mariadb": "mariadb",
    "pysqlite3": "pysqlite3-binary",
    "sqlcipher3": "sqlcipher3-binary",
    "oracledb": "oracledb",
    "cx_Oracle": "cx_Oracle",
    "pyodbc": "pyodbc",
    "pymssql": "pymssql",
}


class AppFailure(click.ClickException):
    """The application could not be loaded."""

    exit_code = exit_code(Status.USAGE)

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint

    def show(self, file: IO[Any] | None = None) -> None:
        from flask_safemigrate.report import screen, text

        target = screen.screen(cast(TextIO, file) if file else sys.stderr)
        failed = Outcome("", Status.USAGE, error=self.message, hint=self.hint)
        screen.show(target, text.error(failed, target.width))


def report(error: BaseException) -> click.ClickException:
    """Return what the person at the terminal is told about an error of the application.

    Names the innermost line of the application's own code, and never a part of a password.
    """
    error = _cause(error)
    if isinstance(error, NoAppException):
        return error
    found = failure(error)
    mask = _mask()
    return AppFailure(mask(found.message), mask(found.hint))


def failure(error: BaseException) -> Failure:
    """Return the same as plain data."""
    error = _cause(error)
    if isinstance(error, NoAppException):
        said = error.format_message()
        return Failure(
            f"The application could not be loaded: {said}", "flask --app MODULE db doctor"
        )
    message, hint = _told(error)
    file, line = _place(error)
    place = f" ({_short(file)}:{line})" if file else ""
    return Failure(
        f"The application could not be loaded{place}: {message}", hint, file, line or None
    )


def _mask() -> Callable[[str], str]:
    """What takes out the secrets of the environment; the application's own are not known."""
    from flask_safemigrate.report.redaction import Secrets

    secrets = Secrets()
    secrets.add_named(os.environ)
    return secrets.mask()


def _cause(error: BaseException) -> BaseException:
    """What lies behind an error of Flask, which says only that a module cannot be imported."""
    cause = error.__context__
    if not isinstance(error, NoAppException) or not isinstance(cause, ImportError):
        return error
    # Where the module that was asked for is the one that is missing, there is no more to say.
    return error if error.message.startswith(f"Could not import {cause.name!r}") else cause


def _told(error: BaseException) -> tuple[str, str]:
    from sqlalchemy.exc import NoSuchModuleError

    if isinstance(error, SafeMigrateError):
        return error.message, error.hint or ""
    if "SQLALCHEMY_DATABASE_URI" in str(error) and "must be set" in str(error):
        return _no_address(error)
    if isinstance(error, NoSuchModuleError):
        return _no_dialect(error)
    if _in_address_parser(error):
        return _no_url(error)
    if "Invalid SQLite URL" in str(error):
        return "the URL of the SQLite database has too few slashes.", "sqlite:///app.db"
    if _in_parameters(error):
        return (
            f"a parameter of SQLALCHEMY_DATABASE_URI cannot be used: {error}",
            "correct what stands behind the ? in SQLALCHEMY_DATABASE_URI",
        )
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _no_module(error.name)
    if isinstance(error, SyntaxError):
        return f"{error.msg}.", ""
    return f"{type(error).__name__}: {error}", ""


def _no_address(error: BaseException) -> tuple[str, str]:
    variable = _variable(error)
    if variable:
        return (
            f"SQLALCHEMY_DATABASE_URI is not set; the code reads it from the environment "
            f"variable {variable}, which is not set either.",
            f"export {variable}=sqlite:///app.db",
        )
    return (
        "no database: SQLALCHEMY_DATABASE_URI is not set before db.init_app(app).",
        'app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///app.db"',
    )


def _no_dialect(error: BaseException) -> tuple[str, str]:
    name = str(error).rpartition(":")[2].strip()
    base, _, driver = name.partition(".")
    if base == "postgres":
        wanted = "postgresql" + (f"+{driver}" if driver else "")
        return (
            "SQLALCHEMY_DATABASE_URI begins with postgres://, which SQLAlchemy no longer takes.",
            f"write {wanted}://... instead; for an address that a host gives you: "
            '`url.replace("postgres://", "postgresql://", 1)`',
        )
    return (
        f'SQLAlchemy knows no database "{name.replace(".", "+")}".',
        "SQLALCHEMY_DATABASE_URI begins with sqlite://, postgresql:// or mysql+pymysql://",
    )


def _no_module(name: str) -> tuple[str, str]:
    top = name.partition(".")[0]
    if top in _DRIVERS:
        return f'the database driver "{top}" is not installed.', f"pip install {_DRIVERS[top]}"
    return (
        f'module "{name}" is not installed here.',
        f"activate the environment of the application, or `pip install {_PACKAGES.get(top, top)}`",
    )


def _no_url(error: BaseException) -> tuple[str, str]:
    """Say what is wrong with a URL and print none of it, as it may hold a password."""
    from sqlalchemy.exc import ArgumentError

    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    written = frames[-1].f_locals.get("name", "")
    text = written if isinstance(written, str) else ""
    name = "SQLALCHEMY_DATABASE_URI"
    if not text and isinstance(error, ArgumentError):
        return (
            f"{name} is empty; the variable that it comes from is set to nothing.",
            "sqlite:///app.db or postgresql://user:password@host:5432/name",
        )
    if text[:1] in ("'", '"'):
        return (
            f"{name} begins with a quote, which belongs to the shell and not to the value.",
            "DATABASE_URL=postgresql://user:password@host:5432/name",
        )
    if text.startswith(("$", "%", "{", "<")):
        return f"{name} is a placeholder that nothing has filled in.", "echo $DATABASE_URL"
    # Where the host ends with a port, another host is taken for a part of that.
    port = (frames[-1].f_locals.get("components") or {}).get("port")
    if isinstance(error, ValueError) and "," in str(port):
        return (
            f"{name} names several hosts, which SQLAlchemy takes as parameters.",
            "postgresql+psycopg://user:password@/name?host=a:5432&host=b:5432"
            "&target_session_attrs=read-write",
        )
    if isinstance(error, ValueError):
        return (
            f"the port in {name} is no number.",
            "postgresql://user:password@host:5432/name; in a password write / as %2F, : as %3A",
        )
    return (
        f"{name} is not an address that SQLAlchemy can read.",
        "sqlite:///app.db or postgresql://user:password@host:5432/name; in a password write "
        "@ as %40, : as %3A, / as %2F",
    )


def _in_address_parser(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return any(Path(f.filename).as_posix().endswith("sqlalchemy/engine/url.py") for f in frames)


def _in_parameters(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return any(
        frame.name == "create_connect_args" and "sqlalchemy" in Path(frame.filename).parts
        for frame in frames
    )


def _place(error: BaseException) -> tuple[str, int]:
    if isinstance(error, SyntaxError) and error.filename and _is_own(error.filename):
        return error.filename, error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename)]
    return (own[-1].filename, own[-1].lineno or 0) if own else ("", 0)


def _is_own(file: str) -> bool:
    path = Path(file)
    if file.startswith("<") or {"site-packages", "dist-packages"} & set(path.parts):
        return False
    paths = sysconfig.get_paths()
    others = [Path(paths[name]) for name in ("stdlib", "platstdlib", "scripts")]
    return not any(path.is_relative_to(other) for other in (*others, Path(__file__).parents[1]))


def _short(file: str) -> str:
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file


def _variable(error: BaseException) -> str:
    """Return the environment variable that the application's code takes the address from."""
    files = {frame.filename for frame in traceback.extract_tb(error.__traceback__)}
    files |= {str(getattr(module, "__file__", None) or "<") for module in [*sys.modules.values()]}
    return database_variable(Path(file) for file in sorted(filter(_is_own, files)))
