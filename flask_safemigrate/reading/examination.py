"""Asking the databases what the doctor wants to know besides."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.errors import SnapshotFailed
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.project import Reference
from flask_safemigrate.facts.state import State


def examined(
    state: State,
    targets: Mapping[str, Target],
    metadatas: Mapping[str, Sequence[sa.MetaData]],
    *,
    thorough: bool,
) -> State:
    """Return the state with the examination of every database that could be read.

    :param thorough: ask also what takes reading all of a database.
    """
    databases = tuple(_examined(d, targets[d.bind], thorough) for d in state.databases)
    references = {bind: _references(several) for bind, several in metadatas.items()}
    return state._replace(
        databases=databases, project=state.project._replace(references=references)
    )


def _examined(database: DatabaseState, target: Target, thorough: bool) -> DatabaseState:
    if database.unreachable is not None:
        return database
    driver = target.engine.dialect.loaded_dbapi
    # It could be read a moment ago; what goes wrong now is told the next time.
    with contextlib.suppress(driver.Error, sa.exc.SQLAlchemyError, OSError):
        backend = backend_for(target.engine)
        examination = backend.examine(target, thorough=thorough)
        if thorough:
            try:
                backend.foresee(target)
            except SnapshotFailed as error:
                foreseen = (error.message, error.hint or "")
                examination = examination._replace(no_snapshot=foreseen)
        return database._replace(examination=examination)
    return database


def _references(metadatas: Sequence[sa.MetaData]) -> tuple[Reference, ...]:
    found = []
    for table in (table for metadata in metadatas for table in metadata.tables.values()):
        for key in table.foreign_keys:
            other, _, referred = key.target_fullname.rpartition(".")
            found.append(Reference(table.name, key.parent.name, other, referred))
    return tuple(sorted(found, key=lambda r: (r.table, r.column)))
