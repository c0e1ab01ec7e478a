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
from flask_safemigrate.facts.project import ModelClass
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity


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
        one = len(state.history.revisions) == 1
        yield Found(
            f"No model is registered, but there {'is' if one else 'are'} "
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


def models_not_imported(state: State) -> Iterator[Found]:
    """Models are defined in a file that is never imported.

    Cause
        A model exists for SQLAlchemy once the module with its class has been imported. This one
        is in the application's source, and nothing imports it when the application is made.
    Example
        ``app/billing/models.py`` is imported inside a function only. ``flask db migrate`` says
        that nothing has changed, or writes ``op.drop_table`` for tables full of rows.
    Fix
        Import the module in the application factory: ``from app.billing import models``.
    Prevention
        Import every module with models in one place, such as ``app/models/__init__.py``.
    """
    files: dict[str, list[ModelClass]] = {}
    for each in state.project.setup.unimported:
        files.setdefault(each.path, []).append(each)
    for path, classes in files.items():
        missing = {each.table for each in classes}
        first = classes[0]
        there = next((d for d in reached(state) if missing & set(tables(d))), None)
        lost = [name for name in tables(there) if name in missing] if there else []
        what = f"{listed(each.name for each in classes)} in {first.module}"
        if there and lost:
            message = (
                f"{counted(len(classes), 'model')} are defined but not imported"
                if len(classes) > 1
                else "1 model is defined but not imported"
            )
            message += (
                f" ({what}): flask db migrate would drop {counted(len(lost), 'table')}"
                f'{rows(there, lost)} from "{there.label}".'
            )
        else:
            message = f"Not imported, so that flask db migrate does not see it: {what}."
        yield Found(
            message,
            f"{path}:{first.line}",
            f"`import {first.module}` where the application is made",
            severity=Severity.ERROR if lost else None,
            subject=first.module,
            file=path,
            line=first.line,
        )


def constraints_unnamed(state: State) -> Iterator[Found]:
    """Constraints of the models have no name.

    Cause
        The metadata has no ``naming_convention`` and the models name no constraint. SQLite, other
        than servers, gives none a name of its own. Plain ``flask db upgrade`` cannot drop what has
        no name, in batch mode either.
    Example
        ``email = db.Column(db.String, unique=True)``, and later
        ``batch_op.drop_constraint(None)``: ``Constraint must have a name``.
    Fix
        ``SQLAlchemy(metadata=MetaData(naming_convention={...}))`` before the first migration. A
        convention that comes later makes autogenerate rename what servers have named already.
    Prevention
        Begin a project with a convention.
    """
    for database in state.databases:
        unnamed = state.project.setup.unnamed.get(database.bind, ())
        if database.dialect == "sqlite" and unnamed:
            yield Found(
                f"{counted(len(unnamed), 'table')} of the models "
                f"{'has' if len(unnamed) == 1 else 'have'} constraints without a name "
                f"({listed(unnamed, 3)}), and there is no naming convention: a later revision "
                "cannot drop them by name.",
                state.project.app,
                "db = SQLAlchemy(metadata=MetaData(naming_convention={\n"
                '    "ix": "ix_%(column_0_label)s",\n'
                '    "uq": "uq_%(table_name)s_%(column_0_name)s",\n'
                '    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",\n'
                '    "pk": "pk_%(table_name)s"}))',
                bind=database.bind,
            )
