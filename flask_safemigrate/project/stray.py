"""Finds files that lie where they do harm or are of no use."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from flask_safemigrate.facts.project import Shadow

_COPY = re.compile(
    r"(\.(bak|orig|rej|old|save|tmp|swp|swo|pyc|txt|disabled|BACKUP.*|LOCAL.*|REMOTE.*|BASE.*)|~"
    r"|\.py[_.-].+)$"
)
_PACKAGES = ("alembic", "flask", "flask_migrate", "flask_sqlalchemy", "mako", "sqlalchemy")
#: What env.py, the revisions and the libraries import; people's own scripts are often called
#: like the few modules that are left out, which no library needs.
_NEEDED = {*_PACKAGES, *sys.stdlib_module_names} - {"antigravity", "cmd", "code", "test", "this"}


def stray_files(folders: Iterable[Path]) -> tuple[str, ...]:
    """Copies of revisions, and what editors and merges leave, in the folders of the revisions."""
    return tuple(
        os.path.join(folder, name)
        for folder in folders
        if folder.is_dir()
        for name in sorted(os.listdir(folder))
        if ".py" in name and not name.endswith(".py") and _COPY.search(name)
    )


def sourceless(folders: Iterable[Path]) -> tuple[str, ...]:
    """Compiled revisions without a source, which Alembic loads where ``sourceless`` is set."""
    found = []
    for folder in folders:
        for path in (*sorted(folder.glob("*.pyc")), *sorted(folder.glob("__pycache__/*.pyc"))):
            stem = path.name.partition(".")[0]
            if stem != "__init__" and not (folder / f"{stem}.py").exists():
                found.append(str(path))
    return tuple(found)


def shadows(root: Path) -> tuple[Shadow, ...]:
    """Modules of the project that hide a package which migrations need.

    :param root: the folder of the project; only its folders that Python imports from count.
    """
    places = [root, *(Path(entry or ".").absolute() for entry in sys.path)]
    inside = [p for p in dict.fromkeys(places) if p == root or root in p.parents]
    found = []
    for place in inside:
        if "site-packages" in place.parts:
            continue
        for entry in sorted(os.listdir(place)) if place.is_dir() else ():
            name, ending = os.path.splitext(entry)
            path = place / entry if ending == ".py" else place / entry / "__init__.py"
            if name in _NEEDED and ending in ("", ".py") and path.is_file():
                loaded = getattr(sys.modules.get(name), "__file__", None)
                found.append(Shadow(name, str(path), loaded == str(path)))
    return tuple(found)
