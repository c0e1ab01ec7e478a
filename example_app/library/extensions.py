"""The database and its migrations."""

from __future__ import annotations

import os
import sqlite3
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.engine import Engine

# The demo runs the same history twice; EXAMPLE_PLAIN=1 is the run with plain Flask-Migrate.
PLAIN = bool(os.environ.get("EXAMPLE_PLAIN"))

db = SQLAlchemy()

if PLAIN:
    from flask_migrate import Migrate

    migrate = Migrate()
else:
    from flask_safemigrate import SafeMigrate

    migrate = SafeMigrate()


@event.listens_for(Engine, "connect")
def enforce_foreign_keys(connection: Any, _record: Any) -> None:
    """SQLite enforces foreign keys only on connections that ask for it."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA foreign_keys=ON")
