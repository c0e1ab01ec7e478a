"""SQL and programs for tests, outside of what is tested."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL


def run(url: URL, *statements: str) -> None:
    """Run statements as they stand, in one transaction where the server has those."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            for statement in statements:
                connection.connection.cursor().execute(statement)
    finally:
        engine.dispose()


def value(url: URL, sql: str) -> object:
    """Return the first column of the first row."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return connection.execute(text(sql)).scalar()
    finally:
        engine.dispose()


def script(folder: Path, name: str, body: str) -> None:
    """Write a shell script that stands in for a program."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
