"""Reading what the files of a project and its configuration show."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.databases.addresses import is_misread, shown, written_url
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.project import DatabaseFile, Failure, IniFacts, ModelClass, Setup
from flask_safemigrate.facts.state import State
from flask_safemigrate.project.calls import import_root, sources
from flask_safemigrate.project.configuration import (
    database_file,
    database_variable,
    unread_dotenv,
)
from flask_safemigrate.project.ini import read_ini
from flask_safemigrate.project.models import model_classes
from flask_safemigrate.project.revision_code import model_imports, own_imports, unknown_names
from flask_safemigrate.project.shipping import left_out
from flask_safemigrate.project.stray import shadows, sourceless, stray_files
from flask_safemigrate.project.templates import compare
from flask_safemigrate.report import redaction

#: Pending revisions whose names are looked up.
_MOST = 50


def with_names(state: State) -> State:
    """Add the names that pending revisions lack."""
    found = tuple(name for path in _pending(state)[:_MOST] for name in unknown_names(path))
    setup = state.project.setup._replace(unknown_names=found)
    return state._replace(project=state.project._replace(setup=setup))


def _pending(state: State) -> list[str]:
    rows = tuple(row for d in state.databases for row in d.version_rows or ())
    applied = state.history.ancestors(rows)
    return [r.path for r in state.history.revisions if r.id not in applied]


def with_setup(state: State, app: Flask, failure: Failure | None = None, *, every: bool) -> State:
    """Add what the files and the configuration show.

    :param failure: why the application is only a stand-in.
    :param every: look into every revision file, and not only into pending ones.
    """
    folder = Path(state.project.directory)
    known = state.history.revisions
    folders = [Path(location) for location in state.project.locations]
    root = Path(app.root_path)
    looked_at = [r.path for r in known] if every else _pending(state)[:_MOST]
    top = import_root(folder.parent)
    importing = own_imports(looked_at, top)
    classes = _classes(state, root, needed=bool(importing))
    ini = read_ini(folder)
    found = state.project.setup._replace(
        failure=failure,
        initialised=failure is not None or not app.extensions["safemigrate"].attached,
        env=compare(folder / "env.py"),
        ini=ini,
        left_out=left_out(folder, [r.path for r in known]) if folder.is_dir() else (),
        stray=stray_files(folders),
        sourceless=sourceless(folders) if ini.sourceless else (),
        shadows=shadows(top),
        model_imports=model_imports(importing, {(c.module, c.name) for c in classes}),
        dotenv=unread_dotenv([folder.parent, Path.cwd()]),
    )
    if state.project.config_problems:
        found = found._replace(variable=database_variable(sources(root)))
    if failure is None:
        found = _of_application(found, app, state, classes)
    else:
        found = found._replace(ini=_compared(found.ini, None))
    return state._replace(project=state.project._replace(setup=found))


def with_rows(state: State, targets: Mapping[str, Target]) -> State:
    """Count the rows of tables that no model defines, where they are not known."""
    return state._replace(
        databases=tuple(
            _counted(d, targets[d.bind], state.project.models.get(d.bind, ()))
            for d in state.databases
        ),
    )


def _counted(database: DatabaseState, target: Target, models: tuple[str, ...]) -> DatabaseState:
    strange = [t for t in database.tables if t.name not in models and t.rows is None][:_MOST]
    if database.unreachable or not database.exists or not strange:
        return database
    quote = target.engine.dialect.identifier_preparer.quote
    counts: dict[str, int] = {}
    # It could be read a moment ago; what goes wrong now is told the next time.
    with contextlib.suppress(sa.exc.SQLAlchemyError), target.engine.connect() as connection:
        for table in strange:
            query = f"SELECT count(*) FROM {quote(table.name)}"
            counts[table.name] = connection.exec_driver_sql(query).scalar() or 0
    tables = tuple(t._replace(rows=counts.get(t.name, t.rows)) for t in database.tables)
    return database._replace(tables=tables)


def _classes(state: State, root: Path, *, needed: bool) -> tuple[ModelClass, ...]:
    """Models in the source; read only where something is to be explained by them."""
    models = state.project.models
    strange = any(
        table.name not in models.get(d.bind, ()) for d in state.databases for table in d.tables
    )
    if needed or strange or not any(models.values()):
        return model_classes(root, without=Path(state.project.directory))
    return ()


def _of_application(
    found: Setup, app: Flask, state: State, classes: tuple[ModelClass, ...]
) -> Setup:
    migrate: Any = app.extensions["migrate"]
    engines: Mapping[str | None, sa.Engine] = dict(migrate.db.engines)
    default = engines.get(None)
    models = state.project.models
    strange = [c for c in classes if c.table not in models.get(c.bind, ())]
    loaded = _loaded() if strange else frozenset()
    return found._replace(
        ini=_compared(found.ini, default),
        unimported=tuple(c for c in strange if os.path.realpath(c.path) not in loaded),
        url_has=_url_has(default),
        arguments=frozenset(migrate.configure_args),
        debug=bool(app.debug),
        hosts=tuple(
            (key or "", e.url.host)
            for key, e in engines.items()
            if e.url.host and not is_misread(e, written_url(key, app.config))
        ),
        other_files={
            d.bind: files for d in state.databases if (files := _other_files(d, app, engines))
        },
        unnamed={
            key or "": tables
            for key, metadata in migrate.db.metadatas.items()
            if (tables := _unnamed(metadata))
        },
    )


def _loaded() -> frozenset[str]:
    """The files of every module that was imported."""
    files = (getattr(module, "__file__", None) for module in [*sys.modules.values()])
    return frozenset(os.path.realpath(file) for file in files if file)


def _compared(ini: IniFacts, default: sa.Engine | None) -> IniFacts:
    """Take away the password, and a URL that is the application's own."""
    if not ini.url:
        return ini
    try:
        url = sa.make_url(ini.url)
    except (sa.exc.ArgumentError, ValueError):
        return ini._replace(url="?")
    if default is not None and url == default.url:
        return ini._replace(url="")
    # A password that holds an @ is taken for a part of the address here, too.
    return ini._replace(url="?" if redaction.is_misread(ini.url) else shown(url))


def _url_has(engine: sa.Engine | None) -> frozenset[str]:
    if engine is None:
        return frozenset()
    written = engine.url.render_as_string(hide_password=False)
    return frozenset(
        name
        for name, there in (("percent", "%" in written), ("password", bool(engine.url.password)))
        if there
    )


def _other_files(
    database: DatabaseState, app: Flask, engines: Mapping[str | None, sa.Engine]
) -> tuple[DatabaseFile, ...]:
    """Files of the database's name where other versions of Flask-SQLAlchemy, or a person who
    reads the URL, would look for it; the database's own comes first."""
    if database.dialect != "sqlite" or not database.configured:
        return ()
    own = Path(database.location)
    places = (
        Path(app.instance_path),
        Path(app.root_path),
        Path(app.root_path).parent,
        Path.cwd(),
        Path.cwd() / "instance",
    )
    others: dict[str, DatabaseFile] = {}
    with contextlib.suppress(OSError):
        for place in places:
            path = place / database.configured
            if path.resolve() != own.resolve() and (there := database_file(path.resolve())):
                others[there.path] = there
    if not others:
        return ()
    mine = database_file(own) or DatabaseFile(str(own), 0)
    return (mine, *others.values())


def _unnamed(metadata: sa.MetaData) -> tuple[str, ...]:
    kinds = (sa.UniqueConstraint, sa.ForeignKeyConstraint, sa.CheckConstraint)
    return tuple(
        table.name
        for table in metadata.tables.values()
        if any(isinstance(c, kinds) and c.name is None for c in table.constraints)
    )
