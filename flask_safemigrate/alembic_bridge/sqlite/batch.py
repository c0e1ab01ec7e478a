"""``op`` for one run: ``batch_alter_table`` with all its options."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from alembic.ddl.sqlite import SQLiteImpl
from alembic.operations import Operations
from alembic.operations.base import BatchOperations
from alembic.operations.batch import BatchOperationsImpl
from alembic.runtime.migration import MigrationContext
from alembic.util.sqla_compat import _is_type_bound
from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
)
from sqlalchemy.schema import Constraint, DefaultClause
from sqlalchemy.types import NullType

from flask_safemigrate.alembic_bridge.sqlite import compile as sql
from flask_safemigrate.alembic_bridge.sqlite.block import Block
from flask_safemigrate.alembic_bridge.sqlite.caught import may_be_caught
from flask_safemigrate.alembic_bridge.sqlite.implementation import LosslessSQLiteImpl, Within
from flask_safemigrate.alter import changes
from flask_safemigrate.alter.queue.queue import refused
from flask_safemigrate.ddl.tokens import fold


class _Batch(BatchOperationsImpl):
    """Collects the operations of a block, as Alembic's own does, and then passes them on."""

    def add_column(self, *arg: Any, **kw: Any) -> None:
        self.batch.append(("add_column", arg, kw))

    def create_column_comment(self, column: Any) -> None:
        """SQLite keeps no comments."""

    def drop_constraint(self, const: Any, **kw: Any) -> None:
        self.batch.append(("drop_constraint", (const,), kw))

    def flush(self) -> None:
        impl: Any = self.operations.impl
        _apply(impl, self)


def operations(context: MigrationContext) -> Operations:
    """The operations that a migration's ``op`` stands for during the run."""
    made = Operations(context)
    make: Any = _Batch

    @contextlib.contextmanager
    def batch_alter_table(
        table_name: str,
        schema: str | None = None,
        recreate: Any = "auto",
        partial_reordering: Any = None,
        copy_from: Any = None,
        table_args: tuple[Any, ...] = (),
        table_kwargs: Any = None,
        reflect_args: tuple[Any, ...] = (),
        reflect_kwargs: Any = None,
        naming_convention: dict[str, str] | None = None,
    ) -> Iterator[BatchOperations]:
        batch = make(
            made,
            table_name,
            schema,
            recreate,
            copy_from,
            table_args,
            table_kwargs or {},
            reflect_args,
            reflect_kwargs or {},
            naming_convention,
            partial_reordering,
        )
        yield BatchOperations(context, impl=batch)
        batch.flush()

    # An instance attribute, because Alembic finds the names of its ``op`` proxy by class.
    setattr(made, "batch_alter_table", batch_alter_table)  # noqa: B010
    return made


def _recreates(impl: LosslessSQLiteImpl, batch: BatchOperationsImpl) -> bool:
    """Whether Alembic would make the table anew for a block."""
    return batch.recreate == "always" or (
        batch.recreate == "auto" and SQLiteImpl.requires_recreate_in_batch(impl, batch)
    )


def _apply(impl: LosslessSQLiteImpl, batch: BatchOperationsImpl) -> None:
    """Take over a ``batch_alter_table`` block with all its options."""
    if not _recreates(impl, batch) and may_be_caught(LosslessSQLiteImpl.run.__code__):
        # Alembic runs it statement by statement; what comes before the one that fails stays.
        for call, args, kw in batch.batch:
            getattr(impl, call)(*args, **kw)
        return
    impl.perform(
        functools.partial(_make, impl, batch),
        functools.partial(_flush_stock, impl, batch, _names_in(batch)),
        beyond_stock=False,
    )


def _flush_stock(
    impl: LosslessSQLiteImpl, batch: BatchOperationsImpl, names: list[tuple[Any, str]]
) -> None:
    """Do what Alembic does at the end of a block.

    :param names: columns that the block speaks of, with the names that it has for them.
    """
    for column, name in names:
        column.name = name
    make: Any = BatchOperationsImpl
    own: Any = impl.stock
    stock = make(
        Operations(impl.context, impl=own),
        batch.table_name,
        batch.schema,
        batch.recreate,
        batch.copy_from,
        batch.table_args,
        batch.table_kwargs,
        batch.reflect_args,
        batch.reflect_kwargs,
        batch.naming_convention,
        batch.partial_reordering,
    )
    stock.batch = list(batch.batch)
    stock.flush()


def _make(impl: LosslessSQLiteImpl, batch: BatchOperationsImpl) -> None:
    """Queue what the block asks for."""
    name = batch.table_name
    operation = f"batch_alter_table({name!r})"
    impl.must_be_main(batch.schema, operation)
    before = impl.within
    never = batch.recreate == "never"
    if never:
        # It forbids the copy that this block needs, and not one for what stands around it.
        _settle(impl)
    impl.within = Within(
        batch.naming_convention,
        impl.origin(operation) if never else None,
        batch.copy_from,
        _recreates(impl, batch),
    )
    try:
        with impl.naming(operation):
            _before_batch(impl, batch, operation)
            block = Block(batch.batch, impl.engine().column_names(name))
        for call, args, kw in block.calls:
            getattr(impl, call)(*args, **kw)
        with impl.naming(operation):
            _after_batch(impl, batch, operation, block)
        if never:
            _settle(impl)
    finally:
        impl.within = before


def _settle(impl: LosslessSQLiteImpl) -> None:
    """Apply what is queued, unless a revision that may catch its errors does so anyway."""
    if not impl.caught:
        impl.flush()


def _before_batch(impl: LosslessSQLiteImpl, batch: BatchOperationsImpl, operation: str) -> None:
    if impl.within.recreating and batch.copy_from is None:
        _heed_columns(impl, batch.table_name, batch.reflect_args, operation)
        _heed_listeners(impl, batch, operation)
    elif impl.within.recreating and batch.copy_from is not None:
        _heed_columns(impl, batch.table_name, batch.copy_from.columns, operation)
        given = {fold(str(each.name)) for each in batch.copy_from.indexes}
        impl.left_out |= impl.engine().index_names(batch.table_name) - given
    # What Alembic copies from has the say about names; a convention is for what it reflects.
    known = _known(impl, batch.copy_from) if batch.copy_from is not None else ()
    convention = batch.naming_convention if batch.copy_from is None else None
    if impl.within.recreating and (known or convention):
        impl.queue(
            changes.NameConstraints(batch.table_name, dict(convention or {}), known), operation
        )
    if impl.within.recreating:
        _heed_rules(impl, batch, operation)


def _heed_columns(
    impl: LosslessSQLiteImpl, table: str, given: Iterable[Any], operation: str
) -> None:
    """Let columns be what ``reflect_args`` or ``copy_from`` says of them.

    Alembic makes the new table of these. What they leave out stays as it is: they are
    written to be told a type more often than to drop a rule.
    """
    there = {fold(name) for name in impl.engine().column_names(table)}
    for column in given:
        if not isinstance(column, Column) or fold(column.name) not in there:
            continue
        if not isinstance(column.type, NullType):
            impl.set_type(table, column.name, column.type, operation, gently=True)
        said: dict[str, Any] = {}
        if not column.primary_key and isinstance(column._user_defined_nullable, bool):
            said["nullable"] = column.nullable
        if isinstance(column.server_default, DefaultClause):
            said["default"] = sql.default_text(
                impl.dialect, column.type, column.server_default.arg
            )
        if said:
            impl.queue(changes.AlterColumn(table, column.name, **said), operation)


def _heed_rules(impl: LosslessSQLiteImpl, batch: BatchOperationsImpl, operation: str) -> None:
    """Let the table have the constraints and indexes of ``reflect_args`` or ``copy_from``."""
    name = batch.table_name
    said = batch.copy_from
    if said is None:
        there = {fold(each) for each in impl.engine().column_names(name)}
        parts = [
            each._copy() if isinstance(each, Column) else each
            for each in batch.reflect_args
            if isinstance(each, (Constraint, Index))
            or (isinstance(each, Column) and fold(each.name) in there)
        ]
        named = {each.name for each in parts if isinstance(each, Column)}
        others = [
            Column(each, NullType())
            for each in impl.engine().column_names(name)
            if each not in named
        ]
        said = Table(name, MetaData(naming_convention=batch.naming_convention), *others, *parts)
    for constraint in sorted(said.constraints, key=lambda each: each._creation_order):
        empty = isinstance(constraint, PrimaryKeyConstraint) and not len(constraint.columns)
        if not empty and not _is_type_bound(constraint):
            _restate(impl, name, constraint, operation, known=True)
    for index in sorted(said.indexes, key=lambda each: str(each.name)):
        # Alembic takes what index=True means for a part of the column.
        if not index._column_flag:
            _restate_index(impl, name, index, operation)


def _restate_index(impl: LosslessSQLiteImpl, name: str, index: Index, operation: str) -> None:
    text = sql.create_index(impl.dialect, index)
    made = sql.index_name(impl.dialect, index)
    impl.queue(changes.CreateIndex(name, made, text, if_not_exists=True), operation)


def _heed_listeners(impl: LosslessSQLiteImpl, batch: BatchOperationsImpl, operation: str) -> None:
    """Let columns be what listeners of ``reflect_kwargs`` make of them.

    https://docs.sqlalchemy.org/en/20/core/events.html#sqlalchemy.events.DDLEvents.column_reflect
    """
    given = batch.reflect_kwargs.get("listeners", ())
    theirs = [each for each in given if each[1] != impl.autogen_column_reflect]
    if not theirs:
        return
    as_read: dict[str, dict[str, Any]] = {}
    as_heard: dict[str, dict[str, Any]] = {}

    def note_first(_inspector: Any, _table: Any, info: dict[str, Any]) -> None:
        as_read[info["name"]] = dict(info)

    def note_last(_inspector: Any, _table: Any, info: dict[str, Any]) -> None:
        as_heard[info["name"]] = dict(info)

    listeners = [("column_reflect", note_first), *theirs, ("column_reflect", note_last)]
    options = {**batch.reflect_kwargs, "listeners": listeners}
    Table(batch.table_name, MetaData(), autoload_with=impl.bind, **options)
    for column, before in as_read.items():
        after = as_heard.get(column, before)
        if after["type"] is not before["type"]:
            impl.set_type(batch.table_name, column, after["type"], operation, gently=True)
        changed: dict[str, Any] = {
            key: after.get(key)
            for key in ("nullable", "default")
            if after.get(key) != before.get(key)
        }
        if changed:
            impl.queue(changes.AlterColumn(batch.table_name, column, **changed), operation)


def _known(impl: LosslessSQLiteImpl, table: Table) -> tuple[changes.Known, ...]:
    """The constraints of ``copy_from`` that have names, those of a Boolean or Enum too."""
    return tuple(
        changes.Known(
            name,
            kind,
            tuple(column.name for column in getattr(each, "columns", ())),
            sql.check_expression(impl.dialect, each) if kind == "check" else None,
        )
        for each in table.constraints
        if (kind := sql.constraint_kind(each)) is not None
        and (name := sql.constraint_name(impl.dialect, each)) is not None
    )


def _after_batch(
    impl: LosslessSQLiteImpl, batch: BatchOperationsImpl, operation: str, block: Block
) -> None:
    name = batch.table_name
    if not impl.within.recreating:
        # Alembic has use for none of the options below where it makes no table anew.
        return
    for given in batch.table_args:
        if isinstance(given, Constraint):
            _restate(impl, name, given, operation, aliases=block.aliases)
        elif isinstance(given, Column):
            impl.add_column(name, given._copy())
        elif isinstance(given, Index):
            _columns_as_table(impl, name, given, block.aliases).append_constraint(given)
            _restate_index(impl, name, given, operation)
    keywords = batch.table_kwargs
    options = changes.SetOptions(
        name,
        autoincrement=keywords.get("sqlite_autoincrement"),
        without_rowid=(
            not keywords["sqlite_with_rowid"] if "sqlite_with_rowid" in keywords else None
        ),
        strict=keywords.get("sqlite_strict"),
    )
    if options != changes.SetOptions(name):
        impl.queue(options, operation)
    if batch.partial_reordering:
        groups = tuple(tuple(map(block.now, group)) for group in batch.partial_reordering)
        impl.queue(changes.Reorder(name, groups), operation)
    if batch.recreate == "always":
        impl.queue(changes.Recreate(name), operation)


def _restate(
    impl: LosslessSQLiteImpl,
    name: str,
    given: Constraint,
    operation: str,
    *,
    known: bool = False,
    aliases: Mapping[str, str] | None = None,
) -> None:
    """A constraint of ``table_args``: the table gets it unless it has it.

    :param known: whether it is said of the table as it is, so that it takes the place of one
        with its name.
    :param aliases: as of :func:`_columns_as_table`.
    """
    kind = sql.constraint_kind(given)
    if kind is None:
        raise refused(impl.origin(operation), f"SQLite has no such constraint: {given!r}")
    made = given
    if known and isinstance(given, ForeignKeyConstraint):
        made = _apart(given)
        if _leads_elsewhere(made):
            return
    if not known:
        made = given._copy() if given.__dict__.get("parent") is not None else given
        table = _columns_as_table(impl, name, made, aliases or {})
        table.append_constraint(made)
    impl.queue(
        changes.AddConstraint(
            name,
            kind,
            sql.constraint_text(impl.dialect, made),
            sql.constraint_name(impl.dialect, made),
            tuple(column.name for column in getattr(made, "columns", ())),
            restates=True,
            replaces=known,
        ),
        operation,
    )


def _columns_as_table(
    impl: LosslessSQLiteImpl, name: str, given: Any, aliases: Mapping[str, str]
) -> Table:
    """The table that a constraint or index of ``table_args`` is to be attached to.

    :param given: the constraint or index; to Alembic, a column that the block renames still has
        its old name there.
    :param aliases: such old names, folded, with the new ones.
    """
    asked = [each for each in _asked_columns(given) if fold(each) in aliases]
    keys = {fold(aliases[fold(each)]): each for each in asked}
    names = impl.engine().column_names(name)
    columns = (Column(each, NullType(), key=keys.get(fold(each), each)) for each in names)
    return Table(name, MetaData(), *columns)


def _asked_columns(given: Any) -> list[str]:
    """The columns that a constraint or an index names and is still to be given."""
    asked: Any = getattr(given, "column_keys", None) or getattr(given, "_pending_colargs", ())
    return [each for each in asked if isinstance(each, str)]


def _names_in(batch: BatchOperationsImpl) -> list[tuple[Any, str]]:
    """The columns of the constructs in a block, which get other names while it is put in order."""
    return [
        (column, column.name)
        for _, arguments, _ in batch.batch
        for each in arguments
        for column in ([each] if isinstance(each, Column) else getattr(each, "columns", ()))
    ]


def _apart(key: ForeignKeyConstraint) -> ForeignKeyConstraint:
    """The same foreign key in a metadata of its own: the revision's is to stay as it is.

    What it leads to is made known there, so that it can be written.
    """
    table = key.table
    metadata = MetaData(naming_convention=table.metadata.naming_convention)
    columns = (Column(each.name, each.type, key=each.key) for each in table.columns)
    made = key._copy()
    Table(table.name, metadata, *columns, made, schema=table.schema)
    for element in made.elements:
        place, _, column = str(element._colspec).rpartition(".")
        there = metadata.tables.get(place)
        if there is None:
            schema, _, name = place.rpartition(".")
            Table(name, metadata, Column(column, NullType()), schema=schema or None)
        elif column not in there.columns:
            there.append_column(Column(column, NullType()))
    return made


def _leads_elsewhere(key: ForeignKeyConstraint) -> bool:
    """Whether a foreign key leads to another schema, where SQLAlchemy writes none for SQLite."""
    return any(element.column.table.schema != key.table.schema for element in key.elements)
