"""SQLite that can ALTER: an implementation for Alembic that loses nothing.

:func:`install` puts it into one migration context; nothing is registered and nothing patched.
What is taken from here is imported when it is first used: the doctor needs none of the engine as
long as it remembers what the history builds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask_safemigrate.alembic_bridge.sqlite.batch import operations
    from flask_safemigrate.alembic_bridge.sqlite.committing import serve_commits
    from flask_safemigrate.alembic_bridge.sqlite.implementation import LosslessSQLiteImpl, install
    from flask_safemigrate.alembic_bridge.sqlite.outside import Outside, run_kept
    from flask_safemigrate.alembic_bridge.sqlite.raw import serve_raw_calls
    from flask_safemigrate.alembic_bridge.sqlite.sharing import Sharing
    from flask_safemigrate.alter.enforcement import Enforcement, is_switched_in
    from flask_safemigrate.alter.options import EngineOptions

__all__ = [
    "Enforcement",
    "EngineOptions",
    "LosslessSQLiteImpl",
    "Outside",
    "Sharing",
    "install",
    "is_switched_in",
    "operations",
    "run_kept",
    "serve_commits",
    "serve_raw_calls",
]

_HERE = "flask_safemigrate.alembic_bridge.sqlite"
_ALTER = "flask_safemigrate.alter"
_HOMES = {
    "Enforcement": f"{_ALTER}.enforcement",
    "EngineOptions": f"{_ALTER}.options",
    "LosslessSQLiteImpl": f"{_HERE}.implementation",
    "Outside": f"{_HERE}.outside",
    "Sharing": f"{_HERE}.sharing",
    "install": f"{_HERE}.implementation",
    "is_switched_in": f"{_ALTER}.enforcement",
    "operations": f"{_HERE}.batch",
    "run_kept": f"{_HERE}.outside",
    "serve_commits": f"{_HERE}.committing",
    "serve_raw_calls": f"{_HERE}.raw",
}


def __getattr__(name: str) -> object:
    """What a submodule has, https://peps.python.org/pep-0562/."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
