"""What is to be known of pending revisions before they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.history import History
from flask_safemigrate.project.history import check_syntax, with_tables

_MOST_SHOWN = 50  # pending revisions whose files are read for the tables they touch


def with_pending(history: History, databases: Sequence[DatabaseState]) -> History:
    """Add what is to be known of pending revisions before they run: whether they compile, and
    the tables that they touch, unless so many are pending that nobody reads them all."""
    applied = history.ancestors(tuple(r for d in databases for r in d.version_rows or ()))
    pending = [r for r in history.revisions if r.id not in applied]
    # Those of several heads are compared, applied or not.
    forked = history.since_fork(history.heads) if len(history.heads) > 1 else frozenset()
    known = {file.path for file in history.broken}
    faults = [check_syntax(r.path, r.id) for r in pending if r.path not in known]
    history = replace(history, broken=(*history.broken, *(f for f in faults if f is not None)))
    if len(pending) > _MOST_SHOWN:
        return history
    asked = [*pending, *(r for r in history.revisions if r.id in forked and r.id in applied)]
    named = {r.id: with_tables(r) for r in asked[:_MOST_SHOWN]}
    return replace(history, revisions=tuple(named.get(r.id, r) for r in history.revisions))
