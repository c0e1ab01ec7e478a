"""SM3xx: the databases of several binds."""

from __future__ import annotations

from collections.abc import Iterator

from flask_safemigrate.checks.found import Found, listed, reached, tables
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.state import State


def database_of_another_bind(state: State) -> Iterator[Found]:
    """The database of a bind holds the tables of another bind.

    Cause
        The addresses of two binds were exchanged, or one was copied and not changed. An upgrade
        would make the tables of the one in the database of the other.
    Example
        ``SQLALCHEMY_BINDS = {"stats": DATABASE_URL}``, where the default bind is meant.
    Fix
        Correct ``SQLALCHEMY_DATABASE_URI`` and ``SQLALCHEMY_BINDS``.
    Prevention
        Take each address from an environment variable that is named after its bind.
    """
    held = {
        database.bind: other
        for database in reached(state)
        if state.project.multidb and (other := _holds(state, database)) is not None
    }
    for database in reached(state):
        other = held.get(database.bind)
        both = other is not None and held.get(other) == database.bind
        if other is None or (both and other < database.bind):
            continue
        names = listed(state.project.models[other])
        more = f", and the other way round: {_bind(other)} has those of {_bind(database.bind)}"
        yield Found(
            f'Database "{database.label}" is that of {_bind(database.bind)}, but holds the tables '
            f"of {_bind(other)}: {names}; of its own it has none{more if both else ''}.",
            database.location,
            "correct SQLALCHEMY_DATABASE_URI and SQLALCHEMY_BINDS",
            subject=other,
        )


def _bind(key: str) -> str:
    return f"bind '{key}'" if key else "the default bind"


def _holds(state: State, database: DatabaseState) -> str | None:
    """The bind whose tables a database holds instead of its own."""
    models = state.project.models
    there, own = set(tables(database)), set(models.get(database.bind, ()))
    if not own or not there or there & own:
        return None
    return next(
        (b for b, names in models.items() if b != database.bind and names and set(names) <= there),
        None,
    )
