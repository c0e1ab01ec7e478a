"""What Alembic's operations ask for, as changes for the queue."""

from __future__ import annotations

import contextlib
import functools
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from alembic.ddl.sqlite import SQLiteImpl
from alembic.operations.batch import BatchOperationsImpl
from alembic.runtime.migration import MigrationContext
from alembic.util.sqla_compat import _is_type_bound
from sqlalchemy import Column, Index, MetaData, Table
from sqlalchemy.exc import SAWarning
from sqlalchemy.schema import Constraint
from sqlalchemy.types import to_instance

from flask_safemigrate.alembic_bridge.sqlite import compile as sql
from flask_safemigrate.alembic_bridge.sqlite.barriers import BarrierImpl
from flask_safemigrate.alembic_bridge.sqlite.literals import literal
from flask_safemigrate.alter import changes
from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.alter.options import EngineOptions
from flask_safemigrate.alter.queue.queue import refused
from flask_safemigrate.ddl import strict
from flask_safemigrate.ddl.tokens import fold, quote, same_name
from flask_safemigrate.errors import OperationRefused, SafeMigrateError

_Method = TypeVar("_Method", bound=Callable[..., None])


def _operation(*, beyond_stock: bool) -> Callable[[_Method], _Method]:
    """Let a method raise what Alembic's own raises, where a revision may catch it.

    :param beyond_stock: whether it also does what SQLite has no statement for.
    """

    def decorate(method: _Method) -> _Method:
        stock = getattr(SQLiteImpl, method.__name__.lstrip("_"))

        @functools.wraps(method)
        def operation(self: LosslessSQLiteImpl, *args: Any, **kw: Any) -> None:
            self.perform(
                functools.partial(method, self, *args, **kw),
                functools.partial(stock, self.stock, *args, **kw),
                beyond_stock=beyond_stock,
            )

        made: Any = operation
        found: _Method = made
        return found

    return decorate


class Within(NamedTuple):
    """What the block says that an operation stands in.

    :ivar convention: names constraints that the database left unnamed.
    :ivar never: what forbids a copy.
    :ivar copy_from: the table as the author describes it.
    :ivar recreating: whether Alembic would make the table anew.
    """

    convention: dict[str, str] | None = None
    never: Origin | None = None
    copy_from: Table | None = None
    recreating: bool = False


class LosslessSQLiteImpl(BarrierImpl):
    """Queues every change per table; they are applied, losslessly, at the next barrier.

    :ivar left_out: folded names of indexes that ``copy_from`` has left out, so that Alembic would
        have dropped them.
    :ivar must_be_free: raises while another connection writes, which an operation would wait for.
    :ivar within: what the block says that runs.
    """

    def __init__(
        self, context: MigrationContext, stock: SQLiteImpl, options: EngineOptions
    ) -> None:
        super().__init__(context, stock, options)
        self._retyped: tuple[str, str] | None = None
        self.left_out: set[str] = set()
        self.must_be_free: Callable[[str], None] = lambda what: None
        self.within = Within()

    def origin(self, operation: str) -> Origin:
        return Origin(self.revision, operation)

    def queue(self, change: changes.Change, operation: str) -> None:
        self.must_be_free(operation)
        engine = self.engine()
        self.named |= {name for name in (getattr(change, "table", None),) if name}
        engine.apply(change, self.origin(operation), never=self.within.never is not None)

    @contextlib.contextmanager
    def naming(self, operation: str) -> Iterator[None]:
        """Errors of turning SQLAlchemy's constructs into text name the operation too."""
        try:
            yield
        except SafeMigrateError as error:
            if error.message.startswith("Revision ") or error.message.startswith(operation):
                raise
            raise refused(self.origin(operation), error.message, error.hint) from error

    def must_be_main(self, schema: str | None, operation: str) -> None:
        if schema not in (None, "", "main"):
            raise refused(
                self.origin(operation),
                f"schema {quote(str(schema))} is another database file;"
                " only the main one is changed in one transaction",
                "leave schema= away, or give that file a bind of its own",
            )

    def requires_recreate_in_batch(self, batch_op: BatchOperationsImpl) -> bool:
        return False

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
        self.must_be_main(schema, operation)
        self._retyped = None
        with self.naming(operation):
            definition = sql.column_definition(
                self.dialect,
                column,
                primary_key=bool(inline_primary_key and column.primary_key),
                references=bool(inline_references),
            )
            fill = self._fill(column) if self.within.recreating else None
        if self.engine().is_strict(table_name):
            definition = strict.definition(definition)
        self.queue(
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
        self.must_be_main(schema, operation)
        self.queue(changes.DropColumn(table_name, column.name, bool(if_exists)), operation)

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
        self.must_be_main(schema, operation)
        self._retyped = None
        default: Any = changes.KEEP
        with self.naming(operation):
            if server_default is not False:
                default = sql.default_text(self.dialect, type_ or existing_type, server_default)
        if nullable is not None or default is not changes.KEEP:
            self.queue(
                changes.AlterColumn(table_name, column_name, nullable=nullable, default=default),
                operation,
            )
        if type_ is not None:
            self.set_type(table_name, column_name, type_, operation)
            self._retyped = table_name, name or column_name
        if name is not None:
            self.queue(changes.AlterColumn(table_name, column_name, new_name=name), operation)
        if not asked:
            # A change of nothing must still be one of a column that exists.
            self.queue(changes.AlterColumn(table_name, column_name), operation)

    def set_type(
        self, table: str, column: str, type_: Any, operation: str, *, gently: bool = False
    ) -> None:
        with self.naming(operation):
            declared, collation = sql.type_and_collation(self.dialect, type_)
        shown = self.engine().column_type(table, column)
        if gently and (shown is None or _same_type(shown, declared)):
            return
        if self.engine().is_strict(table):
            declared = strict.type_of(declared)
        cast = not gently and declared != "ANY" and self._casts(shown, type_)
        self.queue(
            changes.AlterColumn(table, column, type=declared, collation=collation, cast=cast),
            operation,
        )

    def _casts(self, shown: str | None, type_: Any) -> bool:
        """Whether Alembic copies a column with a CAST to its new type."""
        if shown is None:
            return False
        dialect: Any = self.dialect
        with warnings.catch_warnings():
            # Of what is declared as no type of SQLAlchemy's; the copy would say it again.
            warnings.simplefilter("ignore", SAWarning)
            existing = Column("x", dialect._resolve_type_affinity(shown.upper()))
        transfer: dict[str, Any] = {"expr": existing}
        self.stock.cast_for_batch_migrate(existing, transfer, to_instance(type_))
        return transfer["expr"] is not existing

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
        with self.naming(operation):
            self.must_be_main(const.table.schema, operation)
            if kind is None:
                raise OperationRefused("SQLite has no such constraint")
            name = sql.constraint_name(self.dialect, const)
            if name is not None:
                operation = f"add {label} constraint {name!r} to {table!r}"
            text = sql.constraint_text(self.dialect, const)
        columns = tuple(column.name for column in getattr(const, "columns", ()))
        self.queue(
            changes.AddConstraint(
                table,
                kind,
                text,
                name,
                columns,
                retyped=retyped,
                type_name=_type_name(const) if retyped is not None else None,
                # What a type implies does not take the place of what an author wrote.
                replaces=self.within.recreating and not _is_type_bound(const),
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
        self.must_be_main(const.table.schema, operation)
        expression = sql.check_expression(self.dialect, const) if implied else None
        columns = self._columns_of(names, kind)
        self.queue(
            changes.DropConstraint(
                table,
                kind,
                names,
                columns,
                expression,
                bool(kw.get("if_exists")),
                implied,
                self._conventions(),
                guess=not self.caught,
            ),
            operation,
        )

    def _columns_of(self, names: tuple[str, ...], kind: Any) -> tuple[str, ...] | None:
        """What ``copy_from`` says about a constraint of that name."""
        if self.within.copy_from is None:
            return None
        for constraint in self.within.copy_from.constraints:
            name = sql.constraint_name(self.dialect, constraint)
            if name is not None and any(same_name(name, each) for each in names):
                return tuple(column.name for column in getattr(constraint, "columns", ()))
        return None

    def _conventions(self) -> tuple[dict[str, str], ...]:
        found = [self.within.convention] if self.within.convention else []
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
        self.must_be_main(schema, operation)
        new = str(new_table_name)
        engine = self.engine()
        if engine.is_foreign(old_table_name) or engine.leaves_references():
            self._exec(f"ALTER TABLE {quote(old_table_name)} RENAME TO {quote(new)}")
        else:
            self.queue(changes.RenameTable(old_table_name, new), operation)

    def create_table(self, table: Table, **kw: Any) -> None:
        self._create_table(table, **kw)
        # Alembic before 1.12 has no such keyword.
        missing = {"if_not_exists": True} if kw.get("if_not_exists") else {}
        for index in table.indexes:
            self.create_index(index, **missing)

    @_operation(beyond_stock=False)
    def _create_table(self, table: Table, **kw: Any) -> None:
        operation = f"create_table({table.name!r})"
        self.must_be_main(table.schema, operation)
        only_missing = bool(kw.get("if_not_exists"))
        table.dispatch.before_create(table, self.connection, checkfirst=False, _ddl_runner=self)
        with self.naming(operation):
            text = sql.create_table(self.dialect, table, **kw)
        if re.match(r"CREATE\s+TEMP", text, re.IGNORECASE) or re.search(
            r"\)\s*AS\s|\bAS\s+SELECT\b", text
        ):
            self._exec(text)
        else:
            self.queue(changes.CreateTable(table.name, text, only_missing), operation)
        table.dispatch.after_create(table, self.connection, checkfirst=False, _ddl_runner=self)

    @_operation(beyond_stock=False)
    def drop_table(self, table: Table, **kw: Any) -> None:
        operation = f"drop_table({table.name!r})"
        self.must_be_main(table.schema, operation)
        table.dispatch.before_drop(table, self.connection, checkfirst=False, _ddl_runner=self)
        if self.engine().is_foreign(table.name):
            self._exec(f"DROP TABLE {quote(table.name)}")
        else:
            self.queue(changes.DropTable(table.name, bool(kw.get("if_exists"))), operation)
        table.dispatch.after_drop(table, self.connection, checkfirst=False, _ddl_runner=self)

    @_operation(beyond_stock=False)
    def create_index(self, index: Index, **kw: Any) -> None:
        table = index.table
        assert table is not None
        operation = f"create_index({index.name!r}, {table.name!r})"
        self.must_be_main(table.schema, operation)
        with self.naming(operation):
            text = sql.create_index(self.dialect, index)
        name = sql.index_name(self.dialect, index)
        left_out = fold(name) in self.left_out
        self.queue(
            changes.CreateIndex(
                table.name,
                name,
                text,
                bool(kw.get("if_not_exists")),
                # What was left out in a run before this one is still there, too.
                restates=left_out or not self.caught,
                replaces=left_out,
            ),
            operation,
        )

    @_operation(beyond_stock=False)
    def drop_index(self, index: Index, **kw: Any) -> None:
        operation = f"drop_index({index.name!r})"
        if index.table is not None:
            self.must_be_main(index.table.schema, operation)
        table = index.table.name if index.table is not None else None
        name = sql.index_name(self.dialect, index)
        self.queue(changes.DropIndex(name, table, bool(kw.get("if_exists"))), operation)

    def create_table_comment(self, table: Table) -> None:
        """SQLite keeps no comments."""

    def drop_table_comment(self, table: Table) -> None:
        """SQLite keeps no comments."""

    def create_column_comment(self, column: Column[Any]) -> None:
        """SQLite keeps no comments."""


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
