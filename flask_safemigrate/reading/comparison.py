"""Gathering the three schemas: of the database, of the history and of the models."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.schema import CreateIndex, CreateTable

from flask_safemigrate.alembic_bridge.confinement import Confinement, confined
from flask_safemigrate.alembic_bridge.cures import cure_of, without_addresses
from flask_safemigrate.alter.options import EngineOptions
from flask_safemigrate.backends import backend_for, private
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.driver_errors import driver_error
from flask_safemigrate.comparison.compare import compare
from flask_safemigrate.comparison.facts import Known, facts_of
from flask_safemigrate.errors import SafeMigrateError
from flask_safemigrate.facts.comparison import Comparison, Difference, Facts, ReplayedHistory
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.history import History
from flask_safemigrate.facts.state import State
from flask_safemigrate.names import LEFTOVER, OWN_TABLES
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning import plan_upgrade
from flask_safemigrate.project.history import checksum
from flask_safemigrate.reading.filtering import Filters
from flask_safemigrate.reading.replay_cache import ReplayCache, key_of

_EMPTY = DatabaseState("", "", "", "")


@dataclass
class _Known:
    """What was read and said of a scratch database before."""

    schema: dict[Any, Any] = field(default_factory=dict)
    facts: Known = field(default_factory=dict)


@dataclass
class Gathering:
    """What it takes to compare the schemas of one application.

    :param folder: the migrations folder.
    :param metadatas: the models' tables by bind key.
    :param filters: what autogenerate is to leave alone, by bind key.
    :param exclude: tables that do not count, names or patterns.
    """

    folder: Path
    targets: Mapping[str, Target]
    metadatas: Mapping[str, Sequence[sa.MetaData]]
    filters: Mapping[str, Filters]
    config: Callable[[], Config]
    bind_of: Callable[[Connection], str]
    options: EngineOptions
    exclude: tuple[str, ...] = ()
    x_arg: tuple[str, ...] = ()

    @cached_property
    def _known_settings(self) -> dict[str, tuple[str, ...]]:
        return {}

    @cached_property
    def cache(self) -> ReplayCache:
        """Beside the migrations folder, where the project is."""
        return ReplayCache(self.folder.parent / private.FOLDER_NAME)

    def gather(self, state: State) -> Mapping[str, Comparison]:
        """Compare the schemas of every database that could be read."""
        databases = {d.bind: d for d in state.databases if d.unreachable is None}
        order = _order(state)
        # env.py connects to every database, so it fails where one of them cannot be reached.
        if len(databases) < len(state.databases) or not order:
            return {}
        for database in databases.values():
            if database.refuses is not None and database.dialect != "sqlite":
                # A scratch database would be written there, which stops a replica's replication.
                replica = database.refuses.kind == "replica"
                why = f'"{database.label}" is {"a replica" if replica else "read-only"}'
                return {bind: Comparison(refused=why) for bind in databases}
        try:
            replays = self._replays(state, order, databases)
        except Exception as error:
            why, cure = f"env.py failed: {_first_line(error)}", cure_of(error)
            if isinstance(error, SafeMigrateError):
                why, cure = error.message, error.hint or ""
            return {bind: Comparison(refused=why, cure=cure) for bind in databases}
        return {
            bind: self._compared(state, bind, found, replays.get(bind))
            for bind, found in databases.items()
        }

    def _compared(
        self, state: State, bind: str, found: DatabaseState, replay: ReplayedHistory | None
    ) -> Comparison:
        models, why = self._models(bind, found, replay)
        comparison = compare(
            state.history,
            replay,
            self._database(bind, found, replay),
            models,
            at=found.version_rows or (),
            applied=[
                row.subject
                for row in found.journal
                if row.kind == "revision" and row.direction == "upgrade" and row.finished
            ],
            unused=[each.plain for each in found.examination.unused_types],
            lost=[table.name.removeprefix(LEFTOVER) for table in found.leftovers],
            shared=bool(found.other_versions),
        )
        filters = self.filters.get(bind, Filters())

        def seen(
            differences: tuple[Difference, ...] | None,
        ) -> tuple[Difference, ...] | None:
            return differences and tuple(d for d in differences if not filters.hides(d))

        return comparison._replace(
            unmodelled=why, models=seen(comparison.models), direct=seen(comparison.direct)
        )

    def replays(self, state: State) -> Mapping[str, ReplayedHistory]:
        """What each revision does to the schema of every database; empty where it cannot be told.

        :raises Exception: a revision fails on an empty database.
        """
        order = _order(state)
        databases = {d.bind: d for d in state.databases if d.unreachable is None}
        if len(databases) < len(state.databases) or not order:
            return {}
        return self._replays(state, order, databases)

    def _without(self, target: Target) -> tuple[str, ...]:
        # What failed batch migrations left is reported by itself.
        own = sorted(OWN_TABLES)
        # It may be in a schema that env.py alone names.
        version = (target.version_table, f"*.{target.version_table}")
        return (*version, *own, f"{LEFTOVER}*", *self.exclude)

    def _facts_on(self, bind: str, connection: Connection, known: _Known) -> Facts:
        target = self.targets[bind]
        schema = backend_for(target.engine).schema_on(connection, known.schema)
        return facts_of(schema, self._without(target), known.facts)

    def _database(
        self, bind: str, found: DatabaseState, replay: ReplayedHistory | None
    ) -> Facts | None:
        target = self.targets[bind]
        if not found.exists:
            return None
        schemas = self._schemas(bind)
        for changes in () if replay is None else replay.changes.values():
            tables = (fact.table for fact in changes if fact.kind == "table")
            schemas.update(name.partition(".")[0] for name in tables if "." in name)
        schema = backend_for(target.engine).read_schema(target, sorted(schemas))
        return facts_of(schema, (*self._without(target), *found.other_versions))

    def _schemas(self, bind: str) -> set[str]:
        """The schemas that the models name."""
        return {table.schema for table in self._tables(bind) if table.schema}

    def _tables(self, bind: str) -> list[sa.Table]:
        """Those of the models."""
        metadatas = self.metadatas.get(bind, ())
        return [table for metadata in metadatas for table in metadata.tables.values()]

    def _settings(self, bind: str) -> tuple[str, ...]:
        if bind not in self._known_settings:
            target = self.targets[bind]
            self._known_settings[bind] = backend_for(target.engine).settings_of(target)
        return self._known_settings[bind]

    def _tools(self, bind: str, found: DatabaseState) -> tuple[str, ...]:
        names = ("flask-safemigrate", "alembic", "sqlalchemy")
        return (
            *(version(name) for name in names),
            bind,
            found.dialect,
            found.server,
            *self._settings(bind),
            repr(self._without(self.targets[bind])),
        )

    def _replays(
        self, state: State, order: list[str], databases: Mapping[str, DatabaseState]
    ) -> Mapping[str, ReplayedHistory]:
        paths = state.history.by_id
        sources = [f"{id} {checksum(paths[id].path)}" for id in order]
        around = [checksum(str(self.folder / name)) for name in ("env.py", "alembic.ini")]
        keys = {
            bind: key_of(
                (
                    *self._tools(bind, found),
                    repr(self.x_arg),
                    f"per revision: {state.project.per_revision}",
                    *(repr(dict(m.naming_convention)) for m in self.metadatas.get(bind, ())),
                    *around,
                    *sources,
                )
            )
            for bind, found in databases.items()
        }
        cached = {bind: self.cache.replay(key) for bind, key in keys.items()}
        ready = {bind: found for bind, found in cached.items() if found is not None}
        if len(ready) == len(keys):
            return ready
        # The machinery for it is imported where it runs.
        from flask_safemigrate.alembic_bridge.replay import replay

        known = {bind: _Known() for bind in keys}
        fresh = replay(
            self.config(),
            order,
            bind_of=self.bind_of,
            scratch=lambda bind: backend_for(self.targets[bind].engine).scratch(
                self.targets[bind]
            ),
            binds=list(keys),
            read=lambda bind, connection: self._facts_on(bind, connection, known[bind]),
            prelude=lambda bind, connection: backend_for(self.targets[bind].engine).prelude(
                connection
            ),
            options=self.options,
        )
        for bind, found in fresh.items():
            # What stopped one may lie outside the revision files.
            if not found.stopped_at:
                self.cache.save_replay(keys[bind], found)
        return fresh

    def _models(
        self, bind: str, found: DatabaseState, replay: ReplayedHistory | None
    ) -> tuple[Facts | None, tuple[str, ...]]:
        """The schema that the models build, and what of them is not in it, and why."""
        every = self._tables(bind)
        if not every:
            return None, ()
        dialect = self.targets[bind].engine.dialect
        # Elsewhere a schema is another database, or another file.
        apart = dialect.name != "postgresql"
        tables = [t for t in every if not (apart and t.schema)]
        why = tuple(_left_out(every, self._schemas(bind))) if apart else ()
        if not tables:
            return None, why
        stands, types = (replay.stands, replay.types) if replay is not None else ((), ())
        schemas = () if apart else sorted(self._schemas(bind))
        stands = (*(_made(dialect, schema) for schema in schemas), *stands)
        problem = ""
        with warnings.catch_warnings():
            # SQLAlchemy warns of tables that refer to each other, which can be made.
            warnings.simplefilter("ignore")
            try:
                key = key_of((*self._tools(bind, found), *_script(tables, dialect), *stands))
                facts = self.cache.facts(key) if found.dialect != "sqlite" else None
                if facts is not None:
                    return facts, why
            except Exception as error:
                return None, (*why, f"the models: they cannot be built: {_first_line(error)}")
            # The history's types are needed, or are the models' own to make.
            for before in dict.fromkeys((stands, (*stands, *types))):
                try:
                    facts = self._built(bind, tables, before)
                except Exception as error:
                    problem = problem or _first_line(error)
                else:
                    if found.dialect != "sqlite":
                        self.cache.save_facts(key, facts)
                    return facts, why
        return None, (*why, f"the models: they cannot be built in a scratch database: {problem}")

    def _built(self, bind: str, tables: list[sa.Table], before: Iterable[str]) -> Facts:
        target = self.targets[bind]
        with backend_for(target.engine).scratch(target) as connection:
            confinement = Confinement([connection], self.folder, lambda: "create_all()")
            with confined(confinement):
                for statement in before:
                    connection.exec_driver_sql(statement)
                for metadata in self.metadatas[bind]:
                    own = [table for table in tables if table.metadata is metadata]
                    metadata.create_all(connection, tables=own)
                confinement.check()
            return self._facts_on(bind, connection, _Known())


def _script(tables: Iterable[sa.Table], dialect: sa.Dialect) -> list[str]:
    return [
        text
        for table in sorted(tables, key=lambda table: table.fullname)
        for text in (
            str(CreateTable(table).compile(dialect=dialect)),
            *(str(CreateIndex(i).compile(dialect=dialect)) for i in _by_name(table)),
        )
    ]


def _left_out(tables: Iterable[sa.Table], schemas: Iterable[str]) -> Iterator[str]:
    named = [table.schema for table in tables]
    for schema in sorted(schemas):
        number = named.count(schema)
        yield f"schema '{schema}' ({number} {'table' if number == 1 else 'tables'} of the models)"


def _made(dialect: sa.Dialect, schema: str) -> str:
    return f"CREATE SCHEMA IF NOT EXISTS {dialect.identifier_preparer.quote(schema)}"


def _by_name(table: sa.Table) -> list[sa.Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))


def _order(state: State) -> list[str]:
    """Every revision in an order in which they can run; none where the history is broken."""
    project, history = state.project, state.history
    usable = project.env_exists and not project.env_problem and not project.is_async
    if not usable or not project.ini_exists or project.ini_problem or _broken(history):
        return []
    try:
        plan: Plan = plan_upgrade(history, _EMPTY, "heads")
    except SafeMigrateError:
        return []
    return [revision.id for revision in plan.steps]


def _broken(history: History) -> bool:
    whole = all(
        need in history.by_id and need != r.id
        for r in history.by_id.values()
        for need in history.needs(r)
    )
    return bool(history.broken) or len(history.by_id) != len(history.revisions) or not whole


def _first_line(error: BaseException) -> str:
    found = driver_error(error)
    # pg8000 leaves the server's words in a mapping.
    fields = found.args[0] if found.args else None
    text = str(fields.get("M", found) if isinstance(fields, dict) else found)
    return without_addresses((text.strip() or type(error).__name__).splitlines()[0])
