"""Alembic's operations on SQLite, recorded as they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic.ddl.sqlite import SQLiteImpl
from alembic.runtime.migration import MigrationContext
from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    PrimaryKeyConstraint,
    UniqueConstraint,
)
from sqlalchemy.schema import Column as SQLColumn

from flask_safemigrate.facts.schema import Check, ForeignKey, Index
from flask_safemigrate.hazards import operations as ops

if TYPE_CHECKING:
    from flask_safemigrate.alembic_bridge.recording import Recorder


class RecordingSQLiteImpl(SQLiteImpl):
    """Keeps what it is asked for and does nothing."""

    def __init__(self, recorder: Recorder, context: MigrationContext) -> None:
        connection: Any = context.connection
        super().__init__(context.dialect, connection, False, True, None, {})
        self.recorder = recorder

    def requires_recreate_in_batch(self, batch_op: Any) -> bool:
        return False

    def _text(self, clause: Any) -> str:
        if isinstance(clause, str):
            return clause
        compiled = clause.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True})
        return str(compiled)

    def _named(self, column: Any) -> ops.Named:
        compiler: Any = self.dialect.ddl_compiler(self.dialect, None)  # type: ignore[arg-type]
        kind = self.dialect.type_compiler_instance.process(column.type)
        default = compiler.get_column_default_string(column)
        computed = column.computed
        # Alembic's batch fills the rows that are there with a scalar default of Python.
        if default is None and column.default is not None and column.default.is_scalar:
            default = repr(column.default.arg)
        return ops.Named(
            column.name,
            kind,
            bool(column.nullable) and not column.primary_key,
            default,
            self._text(computed.sqltext) if computed is not None else "",
            bool(computed is not None and computed.persisted),
        )

    def _key(self, constraint: Any) -> ForeignKey:
        elements = list(constraint.elements)
        target = elements[0]._get_colspec() if elements else ""
        table = target.rsplit(".", 1)[0]
        actions = " ".join(
            f"ON {event} {action}"
            for event, action in (("DELETE", constraint.ondelete), ("UPDATE", constraint.onupdate))
            if action
        )
        return ForeignKey(
            str(constraint.name or ""),
            tuple(constraint.column_keys),
            table,
            tuple(each._get_colspec().rsplit(".", 1)[1] for each in elements),
            actions,
        )

    def create_table(self, table: Any, **kw: Any) -> None:
        keys, checks, indexes = [], [], []
        for each in table.constraints:
            if isinstance(each, ForeignKeyConstraint):
                keys.append(self._key(each))
            elif isinstance(each, UniqueConstraint):
                columns = tuple(column.name for column in each.columns)
                indexes.append(Index(str(each.name or ""), columns, True))
            elif isinstance(each, CheckConstraint) and not getattr(each, "_type_bound", False):
                checks.append(Check(str(each.name or ""), self._text(each.sqltext)))
        place = self.recorder.place(f"CREATE TABLE {table.name}")
        self.recorder.add(
            ops.CreateTable(
                place,
                table.name,
                tuple(self._named(column) for column in table.columns),
                tuple(column.name for column in table.primary_key),
                tuple(indexes),
                tuple(keys),
                tuple(checks),
                if_not_exists=bool(kw.get("if_not_exists")),
            )
        )
        for index in table.indexes:
            self.create_index(index)

    def drop_table(self, table: Any, **kw: Any) -> None:
        place = self.recorder.place(f"DROP TABLE {table.name}")
        self.recorder.add(ops.DropTable(place, table.name, if_exists=bool(kw.get("if_exists"))))

    def rename_table(self, old: Any, new: Any, schema: Any = None) -> None:
        place = self.recorder.place(f"ALTER TABLE {old} RENAME TO {new}")
        self.recorder.add(ops.RenameTable(place, str(old), str(new)))

    def add_column(self, table_name: str, column: SQLColumn[Any], **kw: Any) -> None:
        named = self._named(column)
        place = self.recorder.place(f"ALTER TABLE {table_name} ADD COLUMN {named.name}")
        exists = bool(kw.get("if_not_exists"))
        self.recorder.add(ops.AddColumn(place, table_name, named, "", exists))
        for key in column.foreign_keys:
            if key.constraint is not None and column.table is None:
                self.add_constraint(key.constraint)

    def drop_column(self, table_name: str, column: SQLColumn[Any], **kw: Any) -> None:
        place = self.recorder.place(f"ALTER TABLE {table_name} DROP COLUMN {column.name}")
        exists = bool(kw.get("if_exists"))
        self.recorder.add(ops.DropColumn(place, table_name, column.name, if_exists=exists))

    def alter_column(self, table_name: str, column_name: str, **kw: Any) -> None:
        place = self.recorder.place(f"ALTER TABLE {table_name} ALTER COLUMN {column_name}")
        found: list[ops.Operation] = []
        if kw.get("type_") is not None:
            kind = self.dialect.type_compiler_instance.process(kw["type_"])
            found.append(ops.SetType(place, table_name, column_name, kind))
        if kw.get("nullable") is not None:
            found.append(ops.SetNull(place, table_name, column_name, bool(kw["nullable"])))
        if kw.get("server_default", False) is not False:
            default = kw["server_default"]
            text = None if default is None else self._default(default)
            found.append(ops.SetDefault(place, table_name, column_name, text))
        if kw.get("name") is not None:
            found.append(ops.RenameColumn(place, table_name, column_name, str(kw["name"])))
        # A new name alone is what Alembic can do there too.
        if any(not isinstance(each, ops.RenameColumn) for each in found):
            self._outside_batch(table_name, f"ALTER of column '{column_name}'")
        self.recorder.add(*found)

    def _outside_batch(self, table: str, what: str) -> None:
        if not self.recorder.batch:
            self.recorder.add(ops.StockFails(self.recorder.place(), table, what))

    def _default(self, default: Any) -> str:
        column: Any = SQLColumn("c", server_default=default)
        compiler: Any = self.dialect.ddl_compiler(self.dialect, None)  # type: ignore[arg-type]
        return str(compiler.get_column_default_string(column))

    def create_index(self, index: Any, **kw: Any) -> None:
        parts = tuple(
            getattr(each, "name", None) or self._text(each) for each in index.expressions
        )
        where = index.dialect_options["sqlite"].get("where")
        made = Index(
            str(index.name or ""),
            parts,
            bool(index.unique),
            self._text(where) if where is not None else "",
        )
        place = self.recorder.place(f"CREATE INDEX {index.name} ON {index.table.name}")
        exists = bool(kw.get("if_not_exists"))
        self.recorder.add(ops.CreateIndex(place, index.table.name, made, if_not_exists=exists))

    def drop_index(self, index: Any, **kw: Any) -> None:
        table = index.table.name if index.table is not None else ""
        # Alembic invents a table where none was named.
        table = "" if table == "no_table" else table
        place = self.recorder.place(f"DROP INDEX {index.name}")
        exists = bool(kw.get("if_exists"))
        self.recorder.add(ops.DropIndex(place, table, str(index.name or ""), if_exists=exists))

    def add_constraint(self, const: Any, **kw: Any) -> None:
        table = const.table.name
        name = str(const.name or "")
        place = self.recorder.place(f"ALTER TABLE {table} ADD CONSTRAINT {name}")
        if isinstance(const, ForeignKeyConstraint):
            found: ops.Operation = ops.AddForeignKey(place, table, self._key(const))
        elif isinstance(const, CheckConstraint):
            if getattr(const, "_type_bound", False):
                return
            found = ops.AddCheck(place, table, name, self._text(const.sqltext))
        else:
            kind = "primary key" if isinstance(const, PrimaryKeyConstraint) else "unique"
            columns = tuple(column.name for column in const.columns)
            found = ops.AddKey(place, table, kind, name, columns)
        self._outside_batch(table, f"adding constraint '{name}'")
        self.recorder.add(found)

    def drop_constraint(self, const: Any, **kw: Any) -> None:
        if getattr(const, "_type_bound", False):
            return
        table = const.table.name
        kind = {
            "ForeignKeyConstraint": "foreign key",
            "UniqueConstraint": "unique",
            "CheckConstraint": "check",
            "PrimaryKeyConstraint": "primary key",
        }.get(type(const).__name__, "")
        name = None if const.name is None else str(const.name)
        self._outside_batch(table, f"dropping constraint '{name}'")
        place = self.recorder.place(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        self.recorder.add(ops.DropConstraint(place, table, name, kind))
