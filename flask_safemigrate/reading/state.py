"""Everything that is known of a project and its databases, read in one order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flask import Flask

from flask_safemigrate.databases import addresses
from flask_safemigrate.databases.databases import Databases
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.history import History
from flask_safemigrate.facts.project import Failure, ProjectState
from flask_safemigrate.facts.state import State
from flask_safemigrate.project.calls import create_all_calls
from flask_safemigrate.project.environment import read_project
from flask_safemigrate.project.history import checksum, named_in, read_history
from flask_safemigrate.reading.examination import examined
from flask_safemigrate.reading.models import Models
from flask_safemigrate.reading.past import Inquiry
from flask_safemigrate.reading.pending import with_pending
from flask_safemigrate.reading.setup import with_names, with_rows, with_setup

# Alembic and what stands on it is imported where it is used: most of reading needs none of it.
if TYPE_CHECKING:
    from alembic.config import Config

    from flask_safemigrate.reading.comparison import Gathering


class Source(NamedTuple):
    """Where everything is read from.

    :param folder: the migrations folder.
    :param project: what its files say, without git.
    :param exclude: tables of the databases that belong to others, names or patterns.
    :param running: surrounds what runs ``env.py``.
    :param gathering: compares schemas.
    :param failure: why the application is only a stand-in for the real one.
    """

    app: Flask
    folder: Path
    project: ProjectState
    engines: addresses.Engines
    databases: Databases
    models: Models
    exclude: tuple[str, ...]
    config: Callable[[], Config]
    running: Callable[[], AbstractContextManager[None]]
    gathering: Callable[[], Gathering]
    failure: Failure | None = None


def read_state(source: Source, *, thorough: bool = False, compare: bool = False) -> State:
    """Read everything, each part once those that it is about are known.

    :param thorough: compile every file and ask git, too.
    :param compare: replay the history in a scratch database and compare the schemas, too.
    """
    app, folder, targets = source.app, source.folder, source.databases.targets
    project = _project(source, thorough)
    history = read_history(folder, compile=thorough)
    read = (source.databases.read(bind) for bind in targets)
    databases = tuple(_with_named(_without(d, source.exclude), history) for d in read)
    if compare:
        _ask_environment(source)
    project = source.models.added_to(project, databases)
    noted = {row.subject for d in databases for row in d.journal if row.kind == "revision"}
    sums = {r.id: checksum(r.path) for r in history.revisions if r.id in noted}
    state = State(project, with_pending(history, databases), databases, sums)
    inquiry = Inquiry(folder, project.locations, targets)
    state = with_names(state._replace(past=inquiry.answer(state, thorough=thorough)))
    if thorough:
        state = with_setup(state, app, source.failure, every=compare)
        state = examined(state, targets, source.models.metadatas, thorough=compare)
    if compare:
        state = with_rows(state, targets)
    # What a damaged file answers proves nothing.
    if not compare or any(d.examination.damage for d in state.databases):
        return state
    if any(d.tables and not d.version_rows for d in databases):
        calls = create_all_calls(Path(app.root_path), without=folder)
        state = state._replace(project=state.project._replace(create_all=calls))
    with source.running():
        return state._replace(comparisons=source.gathering().gather(state))


def _project(source: Source, thorough: bool) -> ProjectState:
    project = source.project
    if thorough:
        project = read_project(source.folder, app=source.app.name)
    asked = source.app.extensions["migrate"].configure_args.get("transaction_per_migration")
    return project._replace(
        config_problems=addresses.problems_of(source.engines, source.app.config),
        per_revision=project.per_revision or bool(asked),
        schema_by=project.schema_by or addresses.schema_by(source.engines),
    )


def _ask_environment(source: Source) -> None:
    """Ask ``env.py`` for what it alone knows of the models."""
    if source.models.are_complete:
        return
    from flask_safemigrate.alembic_bridge.configured import configured_by

    # Why it fails is told by the replay, which runs it too.
    with source.running(), contextlib.suppress(Exception):
        source.models.ask(lambda: configured_by(source.config(), source.databases.bind_of))


def _without(database: DatabaseState, exclude: tuple[str, ...]) -> DatabaseState:
    """Leave out the tables that the settings say belong to others."""
    kept = (t for t in database.tables if not any(fnmatch(t.name, each) for each in exclude))
    return database._replace(tables=tuple(kept))


def _with_named(database: DatabaseState, history: History) -> DatabaseState:
    """Say whose the tables are, where no version is written down."""
    if database.version_rows or not database.tables:
        return database
    paths = [revision.path for revision in history.revisions]
    names = [table.name for table in database.tables]
    return database._replace(named=named_in(paths, names))
