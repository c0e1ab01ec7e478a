"""Reads what ``alembic.ini`` says beside where the revisions are: logging, and what misleads."""

from __future__ import annotations

import ast
import configparser
import logging
import re
from pathlib import Path

from flask_safemigrate.facts.project import IniFacts
from flask_safemigrate.project.files import read_file, read_text_file
from flask_safemigrate.project.headers import parse

#: Flask-Migrate tells its errors through it, and in no other way.
_LOGGER = "flask_migrate"
_SECTION = "\n[logger_flask_migrate]\nlevel = INFO\nhandlers =\nqualname = flask_migrate\n"
_PLACEHOLDER = "driver://user:pass@localhost/dbname"


def read_ini(directory: Path) -> IniFacts:
    """Read ``alembic.ini`` and, from ``env.py``, what becomes of it.

    :param directory: the migrations folder.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_text_file(directory / "alembic.ini"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return IniFacts()
    tree = _env(directory / "env.py")
    loads = next((call for call in _calls(tree, "fileConfig")), None)
    problem = missing = silent = ""
    if loads is not None:
        keeps = any(
            keyword.arg == "disable_existing_loggers"
            and isinstance(keyword.value, ast.Constant)
            and not keyword.value.value
            for keyword in loads.keywords
        )
        problem = _problem(parser)
        if not problem:
            missing = "" if keeps or _qualified(parser) else _LOGGER
            silent = "" if missing else _silent(parser)
    alembic = dict(parser["alembic"]) if parser.has_section("alembic") else {}
    url = alembic.get("sqlalchemy.url", "").replace("%%", "%")
    location = alembic.get("script_location", "").replace("%(here)s", str(directory))
    return IniFacts(
        problem=problem,
        missing_logger=missing,
        silent=silent,
        script_location="" if _same(location, directory) else location,
        sourceless=alembic.get("sourceless") == "true",
        url="" if url == _PLACEHOLDER else url,
        url_replaced=any(
            call.args
            and isinstance(call.args[0], ast.Constant)
            and call.args[0].value == "sqlalchemy.url"
            for call in _calls(tree, "set_main_option")
        ),
    )


def add_logger(text: str) -> str:
    """Add the logger of Flask-Migrate to the text of an ``alembic.ini``."""
    added, number = re.subn(
        r"(?m)^(\[loggers\][^\[]*?^keys[ \t]*[=:][^\n#;]*?)[ \t]*$",
        rf"\1,{_LOGGER}",
        text,
        count=1,
    )
    return f"{added.rstrip()}\n{_SECTION}" if number else text


def _env(path: Path) -> ast.Module:
    try:
        return parse(read_file(path), str(path))
    except (OSError, SyntaxError):
        return ast.Module([], [])


def _calls(tree: ast.Module, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and name in (getattr(node.func, "id", ""), getattr(node.func, "attr", ""))
    ]


def _same(location: str, directory: Path) -> bool:
    """Whether a location is the folder, seen from where people run commands."""
    return not location or any(
        (start / location).resolve() == directory.resolve()
        for start in (directory, directory.parent, Path.cwd())
    )


def _keys(parser: configparser.ConfigParser, section: str) -> list[str]:
    text = parser.get(section, "keys", fallback="")
    return [key.strip() for key in text.split(",") if key.strip()]


def _problem(parser: configparser.ConfigParser) -> str:
    """What makes ``logging.config.fileConfig`` raise, "" if nothing does."""
    for section in ("loggers", "handlers", "formatters"):
        if not parser.has_option(section, "keys"):
            return f"section [{section}] with its keys is missing"
        for key in _keys(parser, section):
            if not parser.has_section(f"{section[:-1]}_{key}"):
                return f"section [{section[:-1]}_{key}] is missing"
    if "root" not in _keys(parser, "loggers"):
        return "[loggers] does not name root"
    for key in _keys(parser, "handlers"):
        if not parser.has_option(f"handler_{key}", "class"):
            return f"[handler_{key}] has no class"
        formatter = parser.get(f"handler_{key}", "formatter", fallback="")
        if formatter and formatter not in _keys(parser, "formatters"):
            return f"[handler_{key}] wants the formatter {formatter}, which [formatters] lacks"
    for key in _keys(parser, "loggers"):
        section = f"logger_{key}"
        for option in ("handlers",) if key == "root" else ("handlers", "qualname"):
            if not parser.has_option(section, option):
                return f"[{section}] has no {option}"
        for handler in _handlers(parser, section):
            if handler not in _keys(parser, "handlers"):
                return f"[{section}] wants the handler {handler}, which [handlers] lacks"
        level = parser.get(section, "level", fallback="")
        if level and not isinstance(logging.getLevelName(level), int):
            return f"[{section}] has the level {level}, which there is not"
    return ""


def _handlers(parser: configparser.ConfigParser, section: str) -> list[str]:
    text = parser.get(section, "handlers", fallback="")
    return [name.strip() for name in text.split(",") if name.strip()]


def _qualified(parser: configparser.ConfigParser) -> str:
    """The section of Flask-Migrate's logger, "" where there is none."""
    for key in _keys(parser, "loggers"):
        if parser.get(f"logger_{key}", "qualname", fallback="") == _LOGGER:
            return f"logger_{key}"
    return ""


def _level(parser: configparser.ConfigParser, section: str) -> int:
    found = logging.getLevelName(parser.get(section, "level", fallback="") or "NOTSET")
    return found if isinstance(found, int) else 0


def _silent(parser: configparser.ConfigParser) -> str:
    """Why an error that Flask-Migrate logs is not shown, "" if it is."""
    own = _qualified(parser)
    sections = [own] if own else []
    if not own or parser.get(own, "propagate", fallback="1") != "0":
        sections.append("logger_root")
    for section in sections:
        level = _level(parser, section)
        if level > logging.ERROR:
            return f"[{section}] has the level {logging.getLevelName(level)}"
        if level:
            break
    handlers = [name for section in sections for name in _handlers(parser, section)]
    heard = [
        name
        for name in handlers
        if _level(parser, f"handler_{name}") <= logging.ERROR
        and not parser.get(f"handler_{name}", "class").endswith("NullHandler")
    ]
    if handlers and not heard:
        return f"[handler_{handlers[0]}] lets no error through"
    return ""
