"""Finds the models that the application's source defines, imported or not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from flask_safemigrate.facts.project import ModelClass
from flask_safemigrate.project.calls import import_root, sources
from flask_safemigrate.project.files import read_file
from flask_safemigrate.project.headers import parse

_WORD = re.compile(r"(?<=[a-z0-9])[A-Z]|(?!^)[A-Z](?=[a-z])")


def model_classes(root: Path, *, without: Path) -> tuple[ModelClass, ...]:
    """Every class that is a model by its looks, in files below a folder.

    :param without: a folder that is left out: that of the migrations.
    """
    return tuple(
        found for path in sources(root, without) for found in _classes(path, _module(path, root))
    )


def _module(path: Path, root: Path) -> str:
    """The name under which a file is imported: from the folder above the outermost package."""
    parts = [*path.relative_to(import_root(root)).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _classes(path: Path, module: str) -> Iterator[ModelClass]:
    try:
        data = read_file(path)
        if b"Model" not in data and b"__tablename__" not in data:
            return
        tree = parse(data, str(path))
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            table, bind = _table(node)
            if table:
                yield ModelClass(node.name, table, bind, module, str(path), node.lineno)


def _table(node: ast.ClassDef) -> tuple[str, str]:
    """The table and the bind of a class, "" where it has no table of its own."""
    said: dict[str, object] = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    value = statement.value
                    said[target.id] = value.value if isinstance(value, ast.Constant) else None
    if said.get("__abstract__") or not node.bases:
        return "", ""
    bind = said.get("__bind_key__")
    # db.Model: Flask-SQLAlchemy derives the name. A mixin or another's subclass has none to say.
    derived = any(isinstance(base, ast.Attribute) and base.attr == "Model" for base in node.bases)
    if "__tablename__" in said:
        table = said["__tablename__"]
    else:
        own = derived and any(isinstance(s, (ast.Assign, ast.AnnAssign)) for s in node.body)
        table = _WORD.sub(lambda match: f"_{match[0]}", node.name).lower() if own else ""
    return (table if isinstance(table, str) else ""), (bind if isinstance(bind, str) else "")
