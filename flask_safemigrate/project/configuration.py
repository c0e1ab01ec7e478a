"""Finds where the database's URL comes from, and files that could be meant by it."""

from __future__ import annotations

import ast
import importlib.util
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from flask_safemigrate.facts.project import DatabaseFile, Dotenv
from flask_safemigrate.project.files import read_file, read_text_file
from flask_safemigrate.project.headers import parse

_KEY = "SQLALCHEMY_DATABASE_URI"
_READERS = frozenset({"get", "getenv", "env", "str", "config", "url", "db", "db_url", "pop"})
_SETS = re.compile(r"(?m)^[ \t]*(?:export[ \t]+)?(\w+)[ \t]*=")


def database_variable(files: Iterable[Path]) -> str:
    """The environment variable that the code takes the database's URL from, "" if none is seen."""
    for path in files:
        try:
            data = read_file(path)
            if _KEY.encode() not in data and b"from_prefixed_env" not in data:
                continue
            tree = parse(data, str(path))
        except (OSError, SyntaxError, ValueError):
            continue
        found = _variable(tree)
        if found:
            return found
    return ""


def _variable(tree: ast.Module) -> str:
    named: dict[str, list[ast.expr]] = {}
    prefixed = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    named.setdefault(target.id, []).append(node.value)
        prefixed |= isinstance(node, ast.Attribute) and node.attr == "from_prefixed_env"
    values = [*_values(tree)]
    todo = [*values]
    while todo:
        value = todo.pop(0)
        if found := next(_read(value), ""):
            return found
        names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
        todo += [each for name in sorted(names) for each in named.pop(name, ())]
    return f"FLASK_{_KEY}" if prefixed and not values else ""


def _values(tree: ast.Module) -> Iterator[ast.expr]:
    """What is set as the URL: by key, by keyword, as an attribute or in a dictionary."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_is_key(target) for target in targets):
                yield node.value
        elif isinstance(node, ast.keyword) and node.arg == _KEY:
            yield node.value
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == _KEY:
                    yield value
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "setdefault"
            and len(node.args) == 2
            and isinstance(node.args[0], ast.Constant)
            and node.args[0].value == _KEY
        ):
            yield node.args[1]


def _is_key(target: ast.expr) -> bool:
    if isinstance(target, ast.Subscript):
        return isinstance(target.slice, ast.Constant) and target.slice.value == _KEY
    return _KEY in (getattr(target, "id", ""), getattr(target, "attr", ""))


def _read(value: ast.expr) -> Iterator[str]:
    """Names of environment variables that an expression reads."""
    for node in ast.walk(value):
        first: ast.expr | None = None
        if isinstance(node, ast.Subscript) and _ends(node.value) == "environ":
            first = node.slice
        elif isinstance(node, ast.Call) and node.args and _ends(node.func) in _READERS:
            first = node.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value


def _ends(node: ast.expr) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


def unread_dotenv(folders: Iterable[Path]) -> Dotenv:
    """Files that ``flask`` would read if python-dotenv were installed."""
    if importlib.util.find_spec("dotenv") is not None:
        return Dotenv()
    paths, names = [], []
    for folder in dict.fromkeys(folders):
        for path in (folder / ".env", folder / ".flaskenv"):
            if path.is_file():
                paths.append(str(path))
                names += _SETS.findall(read_text_file(path, errors="replace"))
    return Dotenv(tuple(paths), tuple(dict.fromkeys(names)))


def database_file(path: Path) -> DatabaseFile | None:
    """What an SQLite file holds; None where it is none. It is opened for reading only."""
    if not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as found:
            (tables,) = found.execute(
                "SELECT count(*) FROM sqlite_master WHERE type = 'table' "
                "AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'safemigrate_%'"
            ).fetchone()
    except sqlite3.Error:
        return None
    return DatabaseFile(str(path), int(tables))
