"""Runs the bodies of revisions as Alembic does by itself, and compares what is in the file."""

from __future__ import annotations

import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op
from alembic.migration import MigrationContext
from alembic.operations import Operations

from flask_safemigrate.ddl.questions import affinity_of_type
from tests.alembic_bridge.sqlite_run import quote


def upgrade_plain(
    path: Path, *bodies: str, foreign_keys: bool = False, names: dict[str, Any] | None = None
) -> None:
    """Run revision bodies through stock Alembic, each statement committed as it comes."""
    engine = sa.create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT")

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")
        if foreign_keys:
            connection.execute("PRAGMA foreign_keys=ON")

    with engine.connect() as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        operations = Operations(MigrationContext.configure(connection))
        operations._install_proxy()
        try:
            for body in bodies:
                exec(body, {"sa": sa, "op": op, **(names or {})})
        finally:
            operations._remove_proxy()
    engine.dispose()


def contents(path: Path) -> dict[str, Any]:
    """Tables with their columns, keys, unique keys, foreign keys, indexes and rows.

    Names of constraints, CHECKs and spellings are left out: these are kept better than by Alembic.
    """
    found: dict[str, Any] = {}
    with closing(sqlite3.connect(path)) as db:
        tables = db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        for (name,) in tables:
            indexes = db.execute(f"PRAGMA index_list({quote(name)})").fetchall()
            keys = {
                row[1]: [part[2] for part in db.execute(f"PRAGMA index_info({quote(row[1])})")]
                for row in indexes
            }
            found[name] = {
                "columns": [
                    (row[1], affinity_of_type(row[2]), bool(row[3] or row[5]), row[5])
                    for row in db.execute(f"PRAGMA table_info({quote(name)})")
                ],
                "indexes": sorted((row[1], row[2]) for row in indexes if row[3] == "c"),
                "unique": sorted(keys[row[1]] for row in indexes if row[2] and row[3] == "u"),
                "foreign keys": sorted(
                    row[2:7] for row in db.execute(f"PRAGMA foreign_key_list({quote(name)})")
                ),
                "rows": sorted(
                    db.execute(f"SELECT * FROM {quote(name)}").fetchall(),
                    key=repr,
                ),
            }
    return found
