"""SQLite that can ALTER: an implementation for Alembic that loses nothing.

:func:`install` puts it into one migration context; nothing is registered and nothing patched.
"""

from __future__ import annotations

from flask_safemigrate.alembic_bridge.sqlite.batch import operations
from flask_safemigrate.alembic_bridge.sqlite.implementation import LosslessSQLiteImpl, install
from flask_safemigrate.alembic_bridge.sqlite.outside import Outside, run_kept
from flask_safemigrate.alembic_bridge.sqlite.raw import serve_raw_calls
from flask_safemigrate.alembic_bridge.sqlite.sharing import (
    Sharing,
    is_second,
    is_stood_for,
    speaks_for_another,
)
from flask_safemigrate.alter.enforcement import Enforcement, is_switched_in
from flask_safemigrate.alter.options import EngineOptions

__all__ = [
    "Enforcement",
    "EngineOptions",
    "LosslessSQLiteImpl",
    "Outside",
    "Sharing",
    "install",
    "is_second",
    "is_stood_for",
    "is_switched_in",
    "operations",
    "run_kept",
    "serve_raw_calls",
    "speaks_for_another",
]
