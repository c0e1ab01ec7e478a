"""What a plan would do, for the file in which it is written down."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from alembic.config import Config
from sqlalchemy import MetaData

from flask_safemigrate.alembic_bridge.cures import without_addresses
from flask_safemigrate.alembic_bridge.recording import Recorder, record
from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.comparison.facts import facts_of
from flask_safemigrate.ddl.secrets import without_secrets
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.schema import Schema
from flask_safemigrate.hazards.known import known_from
from flask_safemigrate.hazards.operations import Operation, StockCopy, StockFails, Unseen, Write
from flask_safemigrate.names import OWN_TABLES
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning.plan_file import PlannedDatabase, PlannedRevision
from flask_safemigrate.reading.hazards import reader_for, version_of


def described(
    plan: Plan,
    target: Target,
    database: DatabaseState,
    config: Config,
    checksums: Mapping[str, str],
    *,
    without: Sequence[str] = (),
    metadatas: Sequence[MetaData] = (),
) -> PlannedDatabase:
    """Say what a plan would do to a database; changes nothing.

    :param checksums: of the revision files, by revision id.
    :param without: names and patterns of tables that belong to others.
    """
    schema = Schema(database.dialect)
    if database.exists:
        schema = backend_for(target.engine).read_schema(target, ())
    own = (*OWN_TABLES, database.version_table, *without)
    reader, _ = reader_for(database.dialect)
    recorded = record(
        config,
        [step.id for step in plan.steps],
        Recorder(database.dialect, reader, known_from(schema, {})),
        bind=plan.bind,
        metadata=metadatas[0] if len(metadatas) == 1 else [*metadatas] or None,
        version=version_of(database.server),
        way_down=False,
    )
    return PlannedDatabase(
        plan.bind,
        database.name,
        database.dialect,
        tuple(sorted(plan.start)),
        tuple(sorted(plan.target)),
        _sums(schema, own),
        tuple(
            PlannedRevision(
                one.revision,
                checksums[one.revision],
                tuple(_statements(one.upgrade, schema.dialect)),
            )
            for one in recorded
        ),
    )


def _statements(operations: Sequence[Operation], dialect: str) -> Iterator[str]:
    last = None
    for operation in operations:
        if isinstance(operation, (StockCopy, StockFails)):
            continue  # it is about what Alembic itself would do
        statement = operation.place.statement
        if dialect == "sqlite" and not isinstance(operation, (Write, Unseen)):
            statement = ""  # there it is no more than a name for the operation
        # One statement may be several operations.
        if statement and statement == last:
            continue
        last = statement
        yield without_secrets(statement or without_addresses(_shown(operation)))


def _shown(operation: Any) -> str:
    given = {name: value for name, value in operation._asdict().items() if name != "place"}
    said = ", ".join(f"{name}={value!r}" for name, value in given.items() if value)
    return f"{type(operation).__name__}({said})"


def _sums(schema: Schema, without: Sequence[str]) -> dict[str, str]:
    """The sum of every object by its name."""
    facts = facts_of(schema, without).values
    objects: dict[str, list[str]] = {}
    for fact, value in facts.items():
        name = f'table "{fact.table}"' if fact.table else f'{fact.kind} "{fact.name}"'
        if fact.kind == "table":
            name = f'table "{fact.table or fact.name}"'
        objects.setdefault(name, []).append(f"{fact.kind}\0{fact.name}\0{value}")
    return {
        name: hashlib.sha256("\1".join(sorted(said)).encode()).hexdigest()[:16]
        for name, said in sorted(objects.items())
    }
