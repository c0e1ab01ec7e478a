from __future__ import annotations

import logging.config
from pathlib import Path

import flask_migrate
import pytest

from flask_safemigrate.project.ini import add_logger, read_ini

TEMPLATE = Path(flask_migrate.__file__).parent / "templates" / "flask"
GOOD = (TEMPLATE / "alembic.ini.mako").read_text()
ENV = (TEMPLATE / "env.py").read_text()
#: As Flask-Migrate made it before 2.7.
OLD = GOOD.replace(",flask_migrate", "").replace(
    "[logger_flask_migrate]\nlevel = INFO\nhandlers =\nqualname = flask_migrate\n", ""
)
CRITICAL = "level = CRITICAL\nhandlers =\nqualname = flask"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "env.py").write_text(ENV)
    (tmp_path / "alembic.ini").write_text(GOOD)
    return tmp_path


def test_the_template_is_good(folder: Path) -> None:
    found = read_ini(folder)
    assert (found.problem, found.missing_logger, found.silent) == ("", "", "")
    assert (found.script_location, found.url, found.url_replaced) == ("", "", True)


def test_the_old_template_lacks_the_logger(folder: Path) -> None:
    (folder / "alembic.ini").write_text(OLD)
    assert read_ini(folder).missing_logger == "flask_migrate"
    (folder / "alembic.ini").write_text(add_logger(OLD))
    assert read_ini(folder).missing_logger == ""
    assert read_ini(folder).problem == ""


@pytest.mark.parametrize(
    "env",
    [
        ENV.replace("fileConfig(config.config_file_name)", "pass"),
        ENV.replace("config_file_name)", "config_file_name, disable_existing_loggers=False)"),
    ],
)
def test_a_logger_that_nobody_switches_off(env: str, folder: Path) -> None:
    (folder / "env.py").write_text(env)
    (folder / "alembic.ini").write_text(OLD)
    assert read_ini(folder).missing_logger == ""


def test_no_loggers_to_add_to() -> None:
    assert add_logger("[alembic]\n") == "[alembic]\n"


@pytest.mark.parametrize(
    ("old", "new", "silent"),
    [
        ("level = INFO\nhandlers =\nqualname = flask", CRITICAL, "the level CRITICAL"),
        ("level = NOTSET", "level = CRITICAL", "[handler_console] lets no error through"),
        ("StreamHandler\nargs = (sys.stderr,)", "NullHandler\nargs = ()", "no error"),
        # A level of its own goes before the root's.
        ("level = WARN\nhandlers = console", "level = CRITICAL\nhandlers = console", ""),
        # Where nothing has a handler, Python prints errors itself.
        ("handlers = console", "handlers =", ""),
    ],
)
def test_errors_that_are_not_shown(old: str, new: str, silent: str, folder: Path) -> None:
    assert old in GOOD
    (folder / "alembic.ini").write_text(GOOD.replace(old, new, 1))
    found = read_ini(folder).silent
    assert (silent in found) if silent else not found


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("[formatters]\n", "[other]\n", "[formatters]"),
        ("[logger_alembic]", "[logger_x]", "[logger_alembic] is missing"),
        ("keys = root,", "keys = ", "[loggers] does not name root"),
        ("class = StreamHandler\n", "", "[handler_console] has no class"),
        ("formatter = generic", "formatter = odd", "the formatter odd"),
        ("qualname = alembic", "", "[logger_alembic] has no qualname"),
        ("handlers = console", "handlers = odd", "the handler odd"),
        ("level = WARN", "level = LOUD", "the level LOUD"),
    ],
)
def test_python_refuses_what_is_told(old: str, new: str, problem: str, folder: Path) -> None:
    assert old in GOOD
    path = folder / "alembic.ini"
    path.write_text(GOOD.replace(old, new, 1))
    assert problem in read_ini(folder).problem
    root, kept = logging.getLogger(), logging.getLogger().handlers[:]
    level = root.level
    try:
        with pytest.raises((KeyError, ValueError, RuntimeError)):
            logging.config.fileConfig(path, disable_existing_loggers=False)
    finally:
        root.handlers[:] = kept
        root.setLevel(level)


@pytest.mark.parametrize(
    ("line", "location"),
    [
        ("script_location = %(here)s", ""),
        ("script_location = .", ""),
        ("script_location = alembic", "alembic"),
    ],
)
def test_script_location(line: str, location: str, folder: Path) -> None:
    (folder / "alembic.ini").write_text(GOOD.replace("[alembic]", f"[alembic]\n{line}"))
    assert read_ini(folder).script_location == location


def test_url(folder: Path) -> None:
    line = "sqlalchemy.url = postgresql://me:p%%40ss@h/old"
    (folder / "alembic.ini").write_text(GOOD.replace("[alembic]", f"[alembic]\n{line}"))
    assert read_ini(folder).url == "postgresql://me:p%40ss@h/old"
    (folder / "env.py").write_text(ENV.replace("config.set_main_option", "print"))
    assert not read_ini(folder).url_replaced
    line = "sqlalchemy.url = driver://user:pass@localhost/dbname"
    (folder / "alembic.ini").write_text(GOOD.replace("[alembic]", f"[alembic]\n{line}"))
    assert read_ini(folder).url == ""


def test_no_file(tmp_path: Path) -> None:
    assert read_ini(tmp_path).problem == ""
