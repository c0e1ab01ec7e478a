"""Reading the journal table, the same on every server."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from flask_safemigrate.facts.database import JournalRow


def journal_query(table: str) -> str:
    """Return the statement that reads the journal, oldest line first.

    :param table: its name, quoted for the dialect.
    """
    return (
        "SELECT kind, subject, direction, started, finished, checksum, environment, host, "
        "CASE WHEN source IS NULL OR kind = 'half-applied' THEN 0 ELSE 1 END, "
        f"CASE WHEN kind = 'half-applied' THEN source END FROM {table} ORDER BY id"
    )


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else str(value)


def journal_rows(rows: Iterable[Row[Any]]) -> tuple[JournalRow, ...]:
    """Return the lines that :func:`journal_query` answers."""
    return tuple(_row(*list(row)) for row in rows)


def _row(
    kind: object,
    subject: object,
    direction: object,
    started: object,
    finished: object,
    checksum: object,
    environment: object,
    host: object,
    kept: object,
    stays: object,
) -> JournalRow:
    return JournalRow(
        kind=_text(kind),
        subject=_text(subject),
        direction=_text(direction),
        started=_text(started),
        finished=_text(finished),
        checksum=_text(checksum),
        environment=_text(environment),
        host=_text(host),
        kept=bool(kept),
        stays=tuple(_text(stays).splitlines()),
    )
