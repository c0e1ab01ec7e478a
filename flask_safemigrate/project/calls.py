"""Finds where the application makes tables past its migrations."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

from flask_safemigrate.project.files import read_file
from flask_safemigrate.project.headers import parse

_NOT_THE_APPLICATION = frozenset(
    {"venv", "env", "node_modules", "site-packages", "__pycache__", "tests", "test"}
)
#: Python files that are looked at; an application has fewer.
_MOST_FILES = 2000


def create_all_calls(root: Path, *, without: Path) -> tuple[str, ...]:
    """Places that call ``create_all()``, as ``app/models.py:12``, relative to the root.

    Tests may do so and are left out.

    :param root: the folder of the application.
    :param without: a folder that is left out: that of the migrations.
    """
    return tuple(
        f"{path.relative_to(root).as_posix()}:{line}"
        for path in sources(root, without)
        for line in _lines(path)
    )


def import_root(folder: Path) -> Path:
    """The folder that the modules of a folder are imported from: above the outermost package."""
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        folder = folder.parent
    return folder


def sources(root: Path, without: Path | None = None) -> Iterator[Path]:
    """Python files below a folder, without those of environments and tests.

    :param without: a folder that is left out.
    """
    left = _MOST_FILES
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _NOT_THE_APPLICATION
            and not name.startswith(".")
            and Path(folder, name) != without
            and not Path(folder, name, "pyvenv.cfg").exists()
        )
        for name in sorted(files):
            if name.endswith(".py") and not name.startswith(("test_", "conftest")) and left:
                left -= 1
                yield Path(folder, name)


def _lines(path: Path) -> list[int]:
    try:
        data = read_file(path)
        if b"create_all" not in data:
            return []
        tree = parse(data, str(path))
    except (OSError, SyntaxError, ValueError):
        return []
    return sorted(
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "create_all"
    )
