"""Why an application could not be loaded."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from flask.cli import NoAppException, ScriptInfo

from flask_safemigrate.cli import app_failure

Failure = Callable[[str], tuple[int, str]]

HEAD = """\
import os
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
app = Flask(__name__)
"""
INIT = "\nSQLAlchemy(app)\n"


@pytest.fixture
def failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Failure]:
    """`failure("source of broken.py")` -> exit code and what is shown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")

    def fail(source: str) -> tuple[int, str]:
        (tmp_path / "broken.py").write_text(source)
        importlib.invalidate_caches()
        sys.modules.pop("broken", None)
        with pytest.raises(Exception) as caught:  # noqa: PT011
            ScriptInfo(app_import_path="broken").load_app()
        told = app_failure.report(caught.value)
        told.show()
        return told.exit_code, capsys.readouterr().err

    yield fail
    sys.modules.pop("broken", None)


def uri(value: str) -> str:
    return f'{HEAD}app.config["SQLALCHEMY_DATABASE_URI"] = {value}{INIT}'


CASES = [
    (HEAD + INIT, "no database: SQLALCHEMY_DATABASE_URI is not set", 'app.config["SQLALCHEMY_'),
    (
        uri('os.environ.get("SHOP_DATABASE")'),
        "reads it from the environment variable SHOP_DATABASE, which is not set",
        "export SHOP_DATABASE=sqlite:///app.db",
    ),
    (
        uri("os.getenv('SHOP_DATABASE')"),
        "environment variable SHOP_DATABASE",
        "export SHOP_DATABASE=",
    ),
    (
        f"{HEAD}app.config.from_prefixed_env(){INIT}",
        "environment variable FLASK_SQLALCHEMY_DATABASE_URI",
        "export FLASK_SQLALCHEMY_DATABASE_URI=",
    ),
    (uri('"postgres://u:s3cret@h/db"'), "postgres://", "write postgresql://... instead"),
    (uri('"oracel://u:s3cret@h/db"'), 'knows no database "oracel"', "sqlite://"),
    (uri('"postgresql+nope://u:s3cret@h/db"'), 'no database "postgresql+nope"', "sqlite://"),
    (uri('"u:s3cret@h/db"'), "is not an address that SQLAlchemy can read", "%40"),
    (uri('"postgresql://u:s3cret:x@h:s3cret/db"'), "is no number", "%2F"),
    (uri('""'), "is empty", "sqlite:///"),
    (uri("\"'sqlite:///x.db'\""), "begins with a quote", ""),
    (uri('"$DATABASE_URL"'), "a placeholder", "echo"),
    (uri('"sqlite://x.db"'), "too few slashes", "sqlite:///app.db"),
    (
        "import MySQLdb",
        'the database driver "MySQLdb" is not installed',
        "pip install mysqlclient",
    ),
    ("import nowhere.deep", 'module "nowhere" is not installed', "pip install nowhere"),
    ("x = (", "(broken.py:1): '(' was never closed", ""),
    ("\n\n1 / 0", "ZeroDivisionError: division by zero", ""),
    (
        'raise RuntimeError("postgresql://u:s3cret@h/db is down")',
        "RuntimeError: postgresql://u:***@h/db is down",
        "",
    ),
    (
        'from flask_safemigrate.errors import UsageError\nraise UsageError("Bad.", hint="Do.")',
        "Bad.",
        "Hint: Do.",
    ),
]


@pytest.mark.parametrize(("source", "message", "hint"), CASES)
def test_the_cause_is_named(failure: Failure, source: str, message: str, hint: str) -> None:
    code, shown = failure(source)
    assert code == 2
    assert shown.startswith("Error: The application could not be loaded")
    assert message in shown
    assert hint in shown
    assert "Traceback" not in shown
    assert "s3cret" not in shown


def test_the_line_is_the_innermost_of_the_applications_own(failure: Failure) -> None:
    assert "(broken.py:5)" in failure(HEAD + "SQLAlchemy(app)")[1]
    assert "(broken.py:2)" in failure("def make():\n    {}['x']\n\nmake()")[1]


def test_no_application_at_all_is_left_to_flask() -> None:
    error = NoAppException("Could not import 'nowhere'.")
    assert app_failure.report(error) is error
    assert isinstance(error, click.ClickException)


def test_an_error_without_frames_has_no_place() -> None:
    error = ValueError("x")
    assert not traceback.extract_tb(error.__traceback__)
    assert (
        app_failure.report(error).message == "The application could not be loaded: ValueError: x"
    )
