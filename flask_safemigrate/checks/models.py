"""SM1xx: the models that the application defines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from flask_safemigrate.checks.found import (
    Found,
    counted,
    listed,
    reached,
    rows,
    tables,
)
from flask_safemigrate.findings import Severity
from flask_safemigrate.state import State


def no_models(state: State) -> Iterator[Found]:
    """No model is registered.

    Cause
        The module with the models is not imported when the application is made, or the models
        belong to another ``SQLAlchemy`` object than the one that ``Migrate`` was given.
    Example
        ``app/models.py`` is imported only inside a view function. ``flask db migrate`` then
        writes ``op.drop_table`` for every table that there is.
    Fix
        Import the models in the application factory: ``from app import models``.
    Prevention
        Read every generated revision before it is applied.
    """
    project = state.project
    if not project.models or any(project.models.values()):
        return
    there = [d for d in reached(state) if tables(d)]
    if there:
        first = there[0]
        names = tables(first)
        yield Found(
            f'No model is registered, but database "{first.label}" has '
            f"{counted(len(names), 'table')}{rows(first, names)}: flask db migrate would write "
            "a revision that drops every one.",
            project.app,
            "import the module with the models where the application is made",
        )
    elif state.history.revisions:
        yield Found(
            f"No model is registered, but there are "
            f"{counted(len(state.history.revisions), 'revision')}: flask db migrate would write "
            "a revision that drops every table.",
            project.app,
            "import the module with the models where the application is made",
            severity=Severity.WARNING,
        )


def bind_not_migrated(state: State) -> Iterator[Found]:
    """Models of a bind are not migrated.

    Cause
        The application has models with a ``__bind_key__``, but ``env.py`` is the template for one
        database, which migrates the default one only.
    Example
        ``class Visit(db.Model): __bind_key__ = "stats"`` and a folder made by plain
        ``flask db init``.
    Fix
        Make the folder anew with ``flask db init --multidb`` and move the revisions over, or
        keep the tables of that bind by other means.
    Prevention
        Choose ``--multidb`` when the first bind is added.
    """
    project = state.project
    if project.multidb or not project.env_exists or project.env_problem:
        return
    for bind, names in project.models.items():
        if bind and names:
            yield Found(
                f"The models define {counted(len(names), 'table')} on bind '{bind}' "
                f"({listed(names)}), but env.py migrates the default database only.",
                str(PurePath(project.directory) / "env.py"),
                "flask db init --multidb -d NEW, then move the revisions there",
                bind=bind,
                file=str(PurePath(project.directory) / "env.py"),
            )
