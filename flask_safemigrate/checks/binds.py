"""SM3xx: the databases of several binds."""

from __future__ import annotations

from collections.abc import Iterator

from flask_safemigrate.checks.found import Found, listed, reached, tables
from flask_safemigrate.state import State


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
    models = state.project.models
    if not state.project.multidb:
        return
    for database in reached(state):
        there = set(tables(database))
        own = set(models.get(database.bind, ()))
        if not there or there & own:
            continue
        for bind, names in models.items():
            # Tables that both binds' models define prove nothing.
            if bind != database.bind and names and set(names) <= there and own:
                other = f"bind '{bind}'" if bind else "the default bind"
                this = f"bind '{database.bind}'" if database.bind else "the default bind"
                yield Found(
                    f'Database "{database.label}" is that of {this}, but holds the tables of '
                    f"{other}: {listed(names)}; of its own it has none.",
                    database.location,
                    "correct SQLALCHEMY_DATABASE_URI and SQLALCHEMY_BINDS",
                    bind=database.bind,
                    subject=bind,
                )
                break
