"""The SQLite implementation that Alembic's operations reach."""

from __future__ import annotations

import contextlib
import functools
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from alembic.ddl.sqlite import SQLiteImpl
from alembic.operations import Operations
from alembic.operations.batch import BatchOperationsImpl
from alembic.runtime.migration import MigrationContext
from alembic.util.sqla_compat import _is_type_bound
from sqlalchemy import (
    Column,
    Connection,
    ForeignKeyConstraint,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    event,
)
from sqlalchemy.schema import Constraint, DefaultClause
from sqlalchemy.types import NullType

from flask_safemigrate.alembic_bridge.sqlite import compile as sql
from flask_safemigrate.alembic_bridge.sqlite.block import Block
from flask_safemigrate.alembic_bridge.sqlite.caught import (
    as_stock,
    is_swallowed,
    may_be_caught,
    uses_driver,
)
from flask_safemigrate.alembic_bridge.sqlite.literals import is_read, literal, with_literals
from flask_safemigrate.alembic_bridge.sqlite.outside import Outside
from flask_safemigrate.alembic_bridge.sqlite.version_rows import VersionRows
from flask_safemigrate.alter import changes
from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.alter.enforcement import Enforcement
from flask_safemigrate.alter.engine import Executor
from flask_safemigrate.alter.options import EngineOptions
from flask_safemigrate.alter.queue.queue import refused
from flask_safemigrate.ddl import strict
from flask_safemigrate.ddl.tokens import fold, quote, same_name
from flask_safemigrate.errors import OperationRefused, SafeMigrateError
from flask_safemigrate.outcome import TableWork

_Method = TypeVar("_Method", bound=Callable[..., None])


def _operation(*, beyond_stock: bool) -> Callable[[_Method], _Method]:
    """Let a method raise what Alembic's own raises, where a revision may catch it.

    :param beyond_stock: whether it also does what SQLite has no statement for.
    """

    def decorate(method: _Method) -> _Method:
        stock = getattr(SQLiteImpl, method.__name__.lstrip("_"))

        @functools.wraps(method)
        def operation(self: LosslessSQLiteImpl, *args: Any, **kw: Any) -> None:
            self._perform(
                functools.partial(method, self, *args, **kw),
                functools.partial(stock, self._stock, *args, **kw),
                beyond_stock=beyond_stock,
            )

        made: Any = operation
        found: _Method = made
        return found

    return decorate


class LosslessSQLiteImpl(SQLiteImpl):
    """Queues every change per table and applies them, losslessly, at the next barrier.

    A barrier is a statement that comes from elsewhere: the migration's own SQL, a read through
    ``get_bind()``. What the run does to ``alembic_version`` is none; it waits for one too.

    :ivar revision: the revision that runs; names errors and work.
    :ivar named: the tables that operations name, by the names they had then.
    :ivar version_rows: what the version table says, and is to say.
    :ivar bookkeeping: whether the statement that runs is about the version table.
    :ivar enforcement: whether foreign keys are to be enforced.
    :ivar outside: what is kept for after COMMIT.
    :ivar over: what to say where a revision has ended the transaction; None where it is open.
    :ivar must_be_free: raises while another connection writes, which an operation would wait for.
    """

    transactional_ddl = True

    # Alembic registers an implementation by the ``__dialect__`` in its class body; there must be
    # none here, so that the stock commands keep Alembic's own.

    def __init__(
        self, context: MigrationContext, stock: SQLiteImpl, options: EngineOptions
    ) -> None:
        super().__init__(
            stock.dialect,
            stock.connection,
            stock.as_sql,
            True,
            stock.output_buffer,
            stock.context_opts,
        )
        self._stock = stock
        self._failure: Exception | None = None
        self._performing = False
        self._asking = False
        self._caught = False
        self.revision: str | None = None
        self.named: set[str] = set()
        self._context = context
        self._options = options
        self._executor: Executor | None = None
        self._convention: dict[str, str] | None = None
        self._never: Origin | None = None
        self._retyped: tuple[str, str] | None = None
        self.bookkeeping = False
        self.must_be_free: Callable[[str], None] = lambda what: None
        self.enforcement: Enforcement | None = None
        self.outside: Outside | None = None
        self.over: Callable[[], SafeMigrateError | None] = lambda: None
        self.version_rows = VersionRows()
        self._watched: bool | None = None
        self._script: list[str] = []
        if self.connection is not None:
            event.listen(self.connection, "before_cursor_execute", self._before_statement)
            event.listen(self.connection, "after_cursor_execute", self._after_statement)

    # ------------------------------------------------------------ what the runner calls

    def run(self, migrate: Callable[..., None], **arguments: Any) -> None:
        """Run a revision's function.

        :raises SafeMigrateError: an operation was refused, whether the revision caught that or
            not, and stock Alembic would not have raised an error there.
        """
        migrate(**arguments)
        self._must_go_on()

    def flush(self) -> None:
        """Apply everything that is queued.

        :raises OperationRefused: a change cannot be made without harm; it is named.
        :raises VerificationFailed: the database is not what it should be afterwards.
        """
        if self._asking:
            return
        self._must_go_on()
        with self._final():
            if self._executor is not None and not self._executor.queue.empty:
                if (over := self.over()) is not None:
                    raise over
                self._executor.flush()
            self._write_version_rows()

    # ------------------------------------------------------------ errors

    def _must_go_on(self) -> None:
        """
        :raises Exception: what was raised before, and caught by somebody who may not.
        """
        if self._failure is not None:
            raise self._failure

    @contextlib.contextmanager
    def _final(self) -> Iterator[None]:
        """An error inside stays one: a revision that catches it comes no further.

        What was queued is half made then, or not at all.
        """
        try:
            yield
        except Exception as error:
            self._failure = error
            raise

    def _perform(
        self, work: Callable[[], None], stock: Callable[[], None], *, beyond_stock: bool
    ) -> None:
        """Do what an operation asks for.

        :param work: queues it.
        :param stock: does it as Alembic's own implementation does.
        :param beyond_stock: whether the queue may do what stock Alembic raises an error for, so
            that a revision may have planned for that.
        """
        self._must_go_on()
        if self._performing:
            work()
            return
        self._performing = True
        self._caught = may_be_caught(LosslessSQLiteImpl.run.__code__)
        try:
            if not self._caught:
                with self._final():
                    work()
                if uses_driver(LosslessSQLiteImpl.run.__code__):
                    self.flush()
                return
            self.flush()
            if beyond_stock:
                error = self._ask(stock)
                if error is not None and is_swallowed(error, LosslessSQLiteImpl.run.__code__):
                    raise error
            self._attempt(work, stock)
        finally:
            self._performing = self._caught = False

    def _attempt(self, work: Callable[[], None], stock: Callable[[], None]) -> None:
        """Do it at once, or leave everything as it was and raise what stock Alembic raises."""
        engine = self._engine()
        named = set(self.named)
        try:
            with engine.attempt():
                work()
                engine.flush()
        except SafeMigrateError as refusal:
            self.named = named
            error = self._ask(stock)
            if error is None:
                self._failure = refusal
                raise
            raise as_stock(refusal, error) from error

    def _ask(self, stock: Callable[[], None]) -> Exception | None:
        """What stock Alembic raises, if it does; nothing of what it does stays."""
        before, self.bookkeeping = self.bookkeeping, True
        self._asking = True
        try:
            with self._engine().database.savepoint(keep=False), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                stock()
        except Exception as error:
            return error
        finally:
            self._asking, self.bookkeeping = False, before
        return None

    def stand_at(self, heads: Iterable[str]) -> None:
        """Note what the version table is to say once a revision has run.

        A trigger on that table is to see every revision, so the table says it at once there.
        """
        self.version_rows.stand_at(heads)
        if self._watched is None:
            assert self.connection is not None
            schema = quote(self._context.version_table_schema or "main")
            driver: Any = self.connection.connection.driver_connection
            self._watched = bool(
                driver.execute(
                    f"SELECT 1 FROM {schema}.sqlite_master"
                    " WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE",
                    (self._context.version_table,),
                ).fetchall()
            )
        if self._watched:
            self._write_version_rows()

    def _write_version_rows(self) -> None:
        if self.version_rows.waiting:
            assert self.connection is not None
            self.bookkeeping = True
            try:
                self.version_rows.write(self._context, self.connection)
            finally:
                self.bookkeeping = False

    def follow_leak(self) -> None:
        """Let the version table say what a revision did that has ended the transaction.

        Changes that are still queued are not made without one; then the row would be wrong too.
        """
        if self._executor is None or self._executor.queue.empty:
            self._write_version_rows()

    def prove(self) -> tuple[str, ...]:
        """Apply what is queued, then prove everything that was done; what was proven is returned.

        :raises VerificationFailed: something is not as it should be.
        """
        self.flush()
        return self._executor.prove() if self._executor is not None else ()

    @property
    def warned(self) -> tuple[str, ...]:
        """What :meth:`prove` did not refuse and a person should know, one sentence each."""
        return self._executor.warned if self._executor is not None else ()

    @property
    def work(self) -> tuple[TableWork, ...]:
        """What was done, table by table, in the order in which the tables were first touched."""
        return self._executor.work if self._executor is not None else ()

    def count(self) -> int:
        """How many statements the engine itself has run on tables."""
        return sum(len(each.statements) for each in self.work)

    @property
    def script(self) -> tuple[str, ...]:
        """The statements that changed something, in order; the sqlite3 shell can replay them.

        With the option ``record`` the migration's own and the version table's too, with their
        parameters in them.
        """
        return tuple(self._script)

    def detach(self) -> None:
        """Stop listening to the connection; the queue is given up."""
        if self.connection is not None:
            for name, listener in (
                ("before_cursor_execute", self._before_statement),
                ("after_cursor_execute", self._after_statement),
            ):
                if event.contains(self.connection, name, listener):
                    event.remove(self.connection, name, listener)
        if self._executor is not None:
            self._executor.close()
            self._executor = None

    # ------------------------------------------------------------ barriers

    @property
    def bind(self) -> Connection | None:
        self.flush()
        return self.connection

    def _exec(
        self,
        construct: Any,
        execution_options: Mapping[str, Any] | None = None,
        multiparams: Sequence[Mapping[str, Any]] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        ours = getattr(construct, "table", None) is self._context._version
        if ours and self.version_rows.known:
            return None
        if not ours:
            self.flush()
        self.bookkeeping = ours
        try:
            return super()._exec(construct, execution_options, multiparams, params or {})
        finally:
            self.bookkeeping = False

    def _before_statement(
        self,
        connection: Any,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        many: Any,
    ) -> None:
        if self.bookkeeping:
            return
        # It may make or drop a trigger.
        self._watched = None
        if self._executor is None and self.revision is None:
            # What the runner itself asks before the first revision.
            return
        self.flush()
        with self._final():
            self._engine().before_foreign(statement)

    def _after_statement(
        self,
        connection: Any,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        many: Any,
    ) -> None:
        if self._asking:
            return
        if self._options.record and not is_read(statement):
            driver = self.connection.connection.driver_connection if self.connection else None
            for row in parameters if many else (parameters,):
                self._script.append(with_literals(statement, row, driver))
        if not self.bookkeeping and self._executor is not None:
            with self._final():
                self._executor.after_foreign(statement, self.revision)

    # ------------------------------------------------------------ the door

    def _engine(self) -> Executor:
        if self._executor is None:
            assert self.connection is not None
            driver: Any = self.connection.connection.driver_connection
            if not all(hasattr(driver, name) for name in ("execute", "isolation_level")):
                raise OperationRefused(
                    f"the driver {type(driver).__module__} is not one of the sqlite3 kind",
                    hint='use the default driver: "sqlite:///..."',
                )
            if not driver.in_transaction:
                raise OperationRefused("no transaction is open on the SQLite connection")
            module = self.dialect.dbapi or sys.modules[type(driver).__module__]
            self._executor = Executor(
                driver, module, self._options, self._script, self.enforcement
            )
        return self._executor

    def _origin(self, operation: str) -> Origin:
        return Origin(self.revision, operation)

    def _queue(self, change: changes.Change, operation: str) -> None:
        self.must_be_free(operation)
        engine = self._engine()
        self.named |= {name for name in (getattr(change, "table", None),) if name}
        engine.apply(change, self._origin(operation), never=self._never is not None)

    @contextlib.contextmanager
    def _named(self, operation: str) -> Iterator[None]:
        """Errors of turning SQLAlchemy's constructs into text name the operation too."""
        try:
            yield
        except SafeMigrateError as error:
            if error.message.startswith("Revision ") or error.message.startswith(operation):
                raise
            raise refused(self._origin(operation), error.message, error.hint) from error

    def _must_be_main(self, schema: str | None, operation: str) -> None:
        if schema not in (None, "", "main"):
            raise refused(
                self._origin(operation),
                f"schema {quote(str(schema))} is another database file;"
                " only the main one is changed in one transaction",
                "leave schema= away, or give that file a bind of its own",
            )

    def requires_recreate_in_batch(self, batch_op: BatchOperationsImpl) -> bool:
        return False

    def _recreates(self, batch: BatchOperationsImpl) -> bool:
        """Whether Alembic would make the table anew for a block."""
        return batch.recreate == "always" or (
            batch.recreate == "auto" and super().requires_recreate_in_batch(batch)
        )

    def apply_batch(self, batch: BatchOperationsImpl) -> None:
        """Take over a ``batch_alter_table`` block with all its options."""
        if not self._recreates(batch) and may_be_caught(LosslessSQLiteImpl.run.__code__):
            # Alembic runs it statement by statement; what comes before the one that fails stays.
            for call, args, kw in batch.batch:
                getattr(self, call)(*args, **kw)
            return
        self._perform(
            functools.partial(self._apply_batch, batch),
            functools.partial(self._flush_stock, batch, _names_in(batch)),
            beyond_stock=False,
        )

    def _flush_stock(self, batch: BatchOperationsImpl, names: list[tuple[Any, str]]) -> None:
        """Do what Alembic does at the end of a block.

        :param names: columns that the block speaks of, with the names that it has for them.
        """
        for column, name in names:
            column.name = name
        make: Any = BatchOperationsImpl
        impl: Any = self._stock
        stock = make(
            Operations(self._context, impl=impl),
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

    def _apply_batch(self, batch: BatchOperationsImpl) -> None:
        name = batch.table_name
        operation = f"batch_alter_table({name!r})"
        self._must_be_main(batch.schema, operation)
        before = self._convention, self._never, self._copy_from, self._recreating
        self._convention = batch.naming_convention
        self._recreating = self._recreates(batch)
        self._copy_from = batch.copy_from
        if batch.recreate == "never":
            # It forbids the copy that this block needs, and not one for what stands around it.
            self._settle()
            self._never = self._origin(operation)
        try:
            with self._named(operation):
                self._before_batch(batch, operation)
                block = Block(batch.batch, self._engine().column_names(name))
            for call, args, kw in block.calls:
                getattr(self, call)(*args, **kw)
            with self._named(operation):
                self._after_batch(batch, operation, block)
            if batch.recreate == "never":
                self._settle()
        finally:
            self._convention, self._never, self._copy_from, self._recreating = before

    def _settle(self) -> None:
        """Apply what is queued, unless a revision that may catch its errors does so anyway."""
        if not self._caught:
            self.flush()

    _copy_from: Table | None = None
    #: Whether a block runs for which Alembic would make the table anew.
    _recreating = False

    def _before_batch(self, batch: BatchOperationsImpl, operation: str) -> None:
        if self._recreating and batch.copy_from is None:
            self._heed_columns(batch.table_name, batch.reflect_args, operation)
            self._heed_listeners(batch, operation)
        elif self._recreating and batch.copy_from is not None:
            self._heed_columns(batch.table_name, batch.copy_from.columns, operation)
        # What Alembic copies from has the say about names; a convention is for what it reflects.
        known = self._known(batch.copy_from) if batch.copy_from is not None else ()
        convention = batch.naming_convention if batch.copy_from is None else None
        if self._recreating and (known or convention):
            self._queue(
                changes.NameConstraints(batch.table_name, dict(convention or {}), known), operation
            )
        if self._recreating:
            self._heed_rules(batch, operation)

    def _heed_columns(self, table: str, given: Iterable[Any], operation: str) -> None:
        """Let columns be what ``reflect_args`` or ``copy_from`` says of them.

        Alembic makes the new table of these. What they leave out stays as it is: they are
        written to be told a type more often than to drop a rule.
        """
        there = {fold(name) for name in self._engine().column_names(table)}
        for column in given:
            if not isinstance(column, Column) or fold(column.name) not in there:
                continue
            if not isinstance(column.type, NullType):
                self._set_type(table, column.name, column.type, operation, gently=True)
            said: dict[str, Any] = {}
            if not column.primary_key and isinstance(column._user_defined_nullable, bool):
                said["nullable"] = column.nullable
            if isinstance(column.server_default, DefaultClause):
                said["default"] = sql.default_text(
                    self.dialect, column.type, column.server_default.arg
                )
            if said:
                self._queue(changes.AlterColumn(table, column.name, **said), operation)

    def _heed_rules(self, batch: BatchOperationsImpl, operation: str) -> None:
        """Let the table have the constraints and indexes of ``reflect_args`` or ``copy_from``."""
        name = batch.table_name
        said = batch.copy_from
        if said is None:
            there = {fold(each) for each in self._engine().column_names(name)}
            parts = [
                each._copy() if isinstance(each, Column) else each
                for each in batch.reflect_args
                if isinstance(each, (Constraint, Index))
                or (isinstance(each, Column) and fold(each.name) in there)
            ]
            named = {each.name for each in parts if isinstance(each, Column)}
            others = [
                Column(each, NullType())
                for each in self._engine().column_names(name)
                if each not in named
            ]
            said = Table(
                name, MetaData(naming_convention=batch.naming_convention), *others, *parts
            )
        for constraint in sorted(said.constraints, key=lambda each: each._creation_order):
            empty = isinstance(constraint, PrimaryKeyConstraint) and not len(constraint.columns)
            if not empty and not _is_type_bound(constraint):
                self._restate(name, constraint, operation, known=True)
        for index in sorted(said.indexes, key=lambda each: str(each.name)):
            # Alembic takes what index=True means for a part of the column.
            if not index._column_flag:
                self._restate_index(name, index, operation)

    def _restate_index(self, name: str, index: Index, operation: str) -> None:
        text = sql.create_index(self.dialect, index)
        made = sql.index_name(self.dialect, index)
        self._queue(changes.CreateIndex(name, made, text, if_not_exists=True), operation)

    def _heed_listeners(self, batch: BatchOperationsImpl, operation: str) -> None:
        """Let columns be what listeners of ``reflect_kwargs`` make of them.

        https://docs.sqlalchemy.org/en/20/core/events.html#sqlalchemy.events.DDLEvents.column_reflect
        """
        given = batch.reflect_kwargs.get("listeners", ())
        theirs = [each for each in given if each[1] != self.autogen_column_reflect]
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
        Table(batch.table_name, MetaData(), autoload_with=self.bind, **options)
        for column, before in as_read.items():
            after = as_heard.get(column, before)
            if after["type"] is not before["type"]:
                self._set_type(batch.table_name, column, after["type"], operation, gently=True)
            changed = {
                key: after.get(key)
                for key in ("nullable", "default")
                if after.get(key) != before.get(key)
            }
            if changed:
                self._queue(changes.AlterColumn(batch.table_name, column, **changed), operation)

    def _known(self, table: Table) -> tuple[changes.Known, ...]:
        """The constraints of ``copy_from`` that have names."""
        return tuple(
            changes.Known(
                name,
                kind,
                tuple(column.name for column in getattr(each, "columns", ())),
                sql.check_expression(self.dialect, each) if kind == "check" else None,
            )
            for each in table.constraints
            if (kind := sql.constraint_kind(each)) is not None
            and not _is_type_bound(each)
            and (name := sql.constraint_name(self.dialect, each)) is not None
        )

    def _after_batch(self, batch: BatchOperationsImpl, operation: str, block: Block) -> None:
        name = batch.table_name
        if not self._recreating:
            # Alembic has use for none of the options below where it makes no table anew.
            return
        for given in batch.table_args:
            if isinstance(given, Constraint):
                self._restate(name, given, operation)
            elif isinstance(given, Column):
                self.add_column(name, given._copy())
            elif isinstance(given, Index):
                self._columns_as_table(name).append_constraint(given)
                self._restate_index(name, given, operation)
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
            self._queue(options, operation)
        if batch.partial_reordering:
            groups = tuple(tuple(map(block.now, group)) for group in batch.partial_reordering)
            self._queue(changes.Reorder(name, groups), operation)
        if batch.recreate == "always":
            self._queue(changes.Recreate(name), operation)

    def _restate(
        self, name: str, given: Constraint, operation: str, *, known: bool = False
    ) -> None:
        """A constraint of ``table_args``: the table gets it unless it has it.

        :param known: whether it is said of the table as it is, so that it takes the place of one
            with its name.
        """
        kind = sql.constraint_kind(given)
        if kind is None:
            raise refused(self._origin(operation), f"SQLite has no such constraint: {given!r}")
        if known and isinstance(given, ForeignKeyConstraint) and _leads_elsewhere(given):
            return
        made = given
        if not known:
            table = self._columns_as_table(name)
            made = given._copy() if given.__dict__.get("parent") is not None else given
            table.append_constraint(made)
        self._queue(
            changes.AddConstraint(
                name,
                kind,
                sql.constraint_text(self.dialect, made),
                sql.constraint_name(self.dialect, made),
                tuple(column.name for column in getattr(made, "columns", ())),
                restates=True,
                replaces=known,
            ),
            operation,
        )

    def _columns_as_table(self, name: str) -> Table:
        names = self._engine().column_names(name)
        return Table(name, MetaData(), *(Column(each, NullType()) for each in names))

    # ------------------------------------------------------------ operations

    @_operation(beyond_stock=True)
    def add_column(
        self,
        table_name: str,
        column: Column[Any],
        *,
        schema: str | None = None,
        if_not_exists: bool | None = None,
        inline_references: bool | None = None,
        inline_primary_key: bool | None = None,
        insert_before: str | None = None,
        insert_after: str | None = None,
        **kw: Any,
    ) -> None:
        operation = f"add_column({table_name!r}, {column.name!r})"
        self._must_be_main(schema, operation)
        self._retyped = None
        with self._named(operation):
            definition = sql.column_definition(
                self.dialect,
                column,
                primary_key=bool(inline_primary_key and column.primary_key),
                references=bool(inline_references),
            )
            fill = self._fill(column) if self._recreating else None
        if self._engine().is_strict(table_name):
            definition = strict.definition(definition)
        self._queue(
            changes.AddColumn(
                table_name,
                column.name,
                definition,
                insert_before,
                insert_after,
                bool(if_not_exists),
                fill,
            ),
            operation,
        )

    def _fill(self, column: Column[Any]) -> changes.Fill | None:
        """What ``default=`` gives to the rows that Alembic copies, once for all of them.

        Its INSERT ... SELECT leaves new columns out, so that SQLAlchemy adds their defaults
        (https://docs.sqlalchemy.org/en/20/core/dml.html#sqlalchemy.sql.expression.Insert.from_select,
        ``include_defaults``).
        """
        if column.default is None:
            return None
        expression = sql.default_expression(self.dialect, column)
        if expression is not None:
            return changes.Fill(expression, constant=False)
        found = sql.default_value(self.dialect, column)
        if found is None:
            return None
        assert self.connection is not None
        return changes.Fill(
            literal(found[0], self.connection.connection.driver_connection), constant=True
        )

    @_operation(beyond_stock=True)
    def drop_column(
        self,
        table_name: str,
        column: Column[Any],
        *,
        schema: str | None = None,
        if_exists: bool | None = None,
        **kw: Any,
    ) -> None:
        operation = f"drop_column({table_name!r}, {column.name!r})"
        self._must_be_main(schema, operation)
        self._queue(changes.DropColumn(table_name, column.name, bool(if_exists)), operation)

    @_operation(beyond_stock=True)
    def alter_column(
        self,
        table_name: str,
        column_name: str,
        *,
        nullable: bool | None = None,
        server_default: Any = False,
        name: str | None = None,
        type_: Any = None,
        schema: str | None = None,
        autoincrement: Any = None,
        comment: Any = False,
        existing_type: Any = None,
        **kw: Any,
    ) -> None:
        asked = []
        if type_ is not None:
            asked.append(f"type_={type_!r}")
        if nullable is not None:
            asked.append(f"nullable={nullable!r}")
        if server_default is not False:
            asked.append("server_default=...")
        if name is not None:
            asked.append(f"new_column_name={name!r}")
        operation = f"alter_column({', '.join([repr(table_name), repr(column_name), *asked])})"
        self._must_be_main(schema, operation)
        self._retyped = None
        default: Any = changes.KEEP
        with self._named(operation):
            if server_default is not False:
                default = sql.default_text(self.dialect, type_ or existing_type, server_default)
        if nullable is not None or default is not changes.KEEP:
            self._queue(
                changes.AlterColumn(table_name, column_name, nullable=nullable, default=default),
                operation,
            )
        if type_ is not None:
            self._set_type(table_name, column_name, type_, operation)
            self._retyped = table_name, name or column_name
        if name is not None:
            self._queue(changes.AlterColumn(table_name, column_name, new_name=name), operation)
        if not asked:
            # A change of nothing must still be one of a column that exists.
            self._queue(changes.AlterColumn(table_name, column_name), operation)

    def _set_type(
        self, table: str, column: str, type_: Any, operation: str, *, gently: bool = False
    ) -> None:
        with self._named(operation):
            declared, collation = sql.type_and_collation(self.dialect, type_)
        shown = self._engine().column_type(table, column)
        if gently and (shown is None or _same_type(shown, declared)):
            return
        if self._engine().is_strict(table):
            declared = strict.type_of(declared)
        self._queue(
            changes.AlterColumn(table, column, type=declared, collation=collation), operation
        )

    @_operation(beyond_stock=True)
    def add_constraint(self, const: Any, **kw: Any) -> None:
        if const._create_rule is not None and not const._create_rule(
            self.dialect.statement_compiler(self.dialect, None)
        ):
            return
        const, retyped = self._of_new_type(const)
        table = const.table.name
        kind = sql.constraint_kind(const)
        label = kind or type(const).__name__
        operation = f"add {label} constraint to {table!r}"
        with self._named(operation):
            self._must_be_main(const.table.schema, operation)
            if kind is None:
                raise OperationRefused("SQLite has no such constraint")
            name = sql.constraint_name(self.dialect, const)
            if name is not None:
                operation = f"add {label} constraint {name!r} to {table!r}"
            text = sql.constraint_text(self.dialect, const)
        columns = tuple(column.name for column in getattr(const, "columns", ()))
        self._queue(
            changes.AddConstraint(
                table,
                kind,
                text,
                name,
                columns,
                retyped=retyped,
                type_name=_type_name(const) if retyped is not None else None,
                # What a type implies does not take the place of what an author wrote.
                replaces=self._recreating and not _is_type_bound(const),
            ),
            operation,
        )

    def _of_new_type(self, const: Any) -> tuple[Any, str | None]:
        """What the new type of a column demands, and the name of that column.

        Alembic writes it right after the change of the type, for a table of that column alone and
        the name that the migration calls it by.
        """
        if not _is_type_bound(const) or self._retyped is None:
            return const, None
        table, new = self._retyped
        columns = list(const.table.columns)
        if const.table.name != table or len(columns) != 1:
            return const, None
        if columns[0].name != new:
            metadata = MetaData(naming_convention=const.table.metadata.naming_convention)
            made = Table(table, metadata, Column(new, columns[0].type))
            const = next(each for each in made.constraints if _is_type_bound(each))
        return const, new

    @_operation(beyond_stock=True)
    def drop_constraint(self, const: Constraint, **kw: Any) -> None:
        table = const.table.name
        kind = sql.constraint_kind(const)
        final = sql.constraint_name(self.dialect, const)
        given = const.name if isinstance(const.name, str) else None
        implied = _is_type_bound(const)
        own = _type_name(const) if implied else None
        names = tuple(dict.fromkeys(str(name) for name in (final, given, own) if name))
        shown = names[0] if names else None
        operation = f"drop_constraint({shown!r}, {table!r})"
        self._must_be_main(const.table.schema, operation)
        expression = sql.check_expression(self.dialect, const) if implied else None
        columns = self._columns_of(names, kind)
        self._queue(
            changes.DropConstraint(
                table,
                kind,
                names,
                columns,
                expression,
                bool(kw.get("if_exists")),
                implied,
                self._conventions(),
                guess=not self._caught,
            ),
            operation,
        )

    def _columns_of(self, names: tuple[str, ...], kind: Any) -> tuple[str, ...] | None:
        """What ``copy_from`` says about a constraint of that name."""
        if self._copy_from is None:
            return None
        for constraint in self._copy_from.constraints:
            name = sql.constraint_name(self.dialect, constraint)
            if name is not None and any(same_name(name, each) for each in names):
                return tuple(column.name for column in getattr(constraint, "columns", ()))
        return None

    def _conventions(self) -> tuple[dict[str, str], ...]:
        found = [self._convention] if self._convention else []
        metadata = self.context_opts.get("target_metadata")
        for each in metadata if isinstance(metadata, (list, tuple)) else [metadata]:
            convention = getattr(each, "naming_convention", None)
            if convention:
                found.append({key: text for key, text in convention.items() if key != "ix"})
        return tuple(
            {key: text for key, text in each.items() if isinstance(text, str)} for each in found
        )

    @_operation(beyond_stock=True)
    def rename_table(
        self, old_table_name: str, new_table_name: str, schema: str | None = None
    ) -> None:
        operation = f"rename_table({old_table_name!r}, {new_table_name!r})"
        self._must_be_main(schema, operation)
        new = str(new_table_name)
        engine = self._engine()
        if engine.is_foreign(old_table_name) or engine.leaves_references():
            self._exec(f"ALTER TABLE {quote(old_table_name)} RENAME TO {quote(new)}")
        else:
            self._queue(changes.RenameTable(old_table_name, new), operation)

    def create_table(self, table: Table, **kw: Any) -> None:
        self._create_table(table, **kw)
        # Alembic before 1.12 has no such keyword.
        missing = {"if_not_exists": True} if kw.get("if_not_exists") else {}
        for index in table.indexes:
            self.create_index(index, **missing)

    @_operation(beyond_stock=False)
    def _create_table(self, table: Table, **kw: Any) -> None:
        operation = f"create_table({table.name!r})"
        self._must_be_main(table.schema, operation)
        only_missing = bool(kw.get("if_not_exists"))
        table.dispatch.before_create(table, self.connection, checkfirst=False, _ddl_runner=self)
        with self._named(operation):
            text = sql.create_table(self.dialect, table, **kw)
        if re.match(r"CREATE\s+TEMP", text, re.IGNORECASE) or re.search(
            r"\)\s*AS\s|\bAS\s+SELECT\b", text
        ):
            self._exec(text)
        else:
            self._queue(changes.CreateTable(table.name, text, only_missing), operation)
        table.dispatch.after_create(table, self.connection, checkfirst=False, _ddl_runner=self)

    @_operation(beyond_stock=False)
    def drop_table(self, table: Table, **kw: Any) -> None:
        operation = f"drop_table({table.name!r})"
        self._must_be_main(table.schema, operation)
        table.dispatch.before_drop(table, self.connection, checkfirst=False, _ddl_runner=self)
        if self._engine().is_foreign(table.name):
            self._exec(f"DROP TABLE {quote(table.name)}")
        else:
            self._queue(changes.DropTable(table.name, bool(kw.get("if_exists"))), operation)
        table.dispatch.after_drop(table, self.connection, checkfirst=False, _ddl_runner=self)

    @_operation(beyond_stock=False)
    def create_index(self, index: Index, **kw: Any) -> None:
        table = index.table
        assert table is not None
        operation = f"create_index({index.name!r}, {table.name!r})"
        self._must_be_main(table.schema, operation)
        with self._named(operation):
            text = sql.create_index(self.dialect, index)
        self._queue(
            changes.CreateIndex(
                table.name,
                sql.index_name(self.dialect, index),
                text,
                bool(kw.get("if_not_exists")),
            ),
            operation,
        )

    @_operation(beyond_stock=False)
    def drop_index(self, index: Index, **kw: Any) -> None:
        operation = f"drop_index({index.name!r})"
        if index.table is not None:
            self._must_be_main(index.table.schema, operation)
        table = index.table.name if index.table is not None else None
        name = sql.index_name(self.dialect, index)
        self._queue(changes.DropIndex(name, table, bool(kw.get("if_exists"))), operation)

    def create_table_comment(self, table: Table) -> None:
        """SQLite keeps no comments."""

    def drop_table_comment(self, table: Table) -> None:
        """SQLite keeps no comments."""

    def create_column_comment(self, column: Column[Any]) -> None:
        """SQLite keeps no comments."""


def _names_in(batch: BatchOperationsImpl) -> list[tuple[Any, str]]:
    """The columns of the constructs in a block, which get other names while it is put in order."""
    return [
        (column, column.name)
        for _, arguments, _ in batch.batch
        for each in arguments
        for column in ([each] if isinstance(each, Column) else getattr(each, "columns", ()))
    ]


def _type_name(const: Any) -> str | None:
    """The name of the Boolean or Enum that a constraint belongs to, if it has one.

    A naming convention that came later gives the constraint another name than the database has.
    """
    for column in const.table.columns:
        name = getattr(column.type, "name", None)
        if name:
            return str(name)
    return None


def _same_type(one: str, other: str) -> bool:
    return "".join(one.split()).upper() == "".join(other.split()).upper()


def _leads_elsewhere(key: ForeignKeyConstraint) -> bool:
    """Whether a foreign key leads to another schema, where SQLAlchemy writes none for SQLite.

    Tables that a migration names alone are made known, so that it can be written.
    """
    for element in key.elements:
        if not isinstance(element._colspec, str):
            continue
        table, _, column = element._colspec.rpartition(".")
        if "." in table:
            return True
        there = key.table.metadata.tables.get(table)
        if there is None:
            Table(table, key.table.metadata, Column(column, NullType()))
        elif column not in there.columns:
            there.append_column(Column(column, NullType()))
    return any(element.column.table.schema != key.table.schema for element in key.elements)


def install(context: MigrationContext, options: EngineOptions) -> LosslessSQLiteImpl:
    """Replace the SQLite implementation of one migration context.

    To be called before :class:`alembic.operations.Operations` is made for the context.

    :raises OperationRefused: the context's database is not SQLite.
    """
    stock = context.impl
    if not isinstance(stock, SQLiteImpl):
        raise OperationRefused(f"the database is {context.dialect.name}, not SQLite")
    if isinstance(stock, LosslessSQLiteImpl):
        return stock
    impl = LosslessSQLiteImpl(context, stock, options)
    context.impl = impl
    return impl
