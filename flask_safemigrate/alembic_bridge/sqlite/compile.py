"""SQLAlchemy's constructs as SQL text, by SQLAlchemy's own compiler for the dialect."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Computed,
    DefaultClause,
    ForeignKeyConstraint,
    Identity,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import Constraint, CreateIndex, CreateTable
from sqlalchemy.types import TypeEngine, to_instance

from flask_safemigrate.alter.changes import ConstraintType
from flask_safemigrate.ddl import edits, questions
from flask_safemigrate.ddl.create_table import read_create_table
from flask_safemigrate.ddl.tokens import quote
from flask_safemigrate.errors import OperationRefused


def ddl_compiler(dialect: Dialect) -> Any:
    """A compiler of DDL for the dialect."""
    return dialect.ddl_compiler(dialect, None)  # type: ignore[arg-type]


def column_definition(
    dialect: Dialect, column: Column[Any], *, primary_key: bool, references: bool
) -> str:
    """A column as inside CREATE TABLE: name, type, default, NOT NULL, its own CHECKs.

    :param primary_key: whether ``PRIMARY KEY`` is written into it.
    :param references: whether its foreign key, if it has only one, is.
    """
    compiler = ddl_compiler(dialect)
    keys = list(column.foreign_keys)
    # Nothing of the migration's own column may change.
    column = column._copy()
    Table("t", MetaData(), column)
    default = None
    if isinstance(column.server_default, DefaultClause):
        # Written by itself, since SQLite wants parentheses around what SQLAlchemy leaves bare.
        default = _default(compiler, column)
        column.server_default = None
    text = str(compiler.get_column_specification(column))
    for constraint in column.constraints:
        text += f" {compiler.process(constraint)}"
    if primary_key:
        text += " PRIMARY KEY"
    if default is not None:
        read = read_create_table(f"CREATE TABLE x ({text}\n)")
        made = read_create_table(edits.set_default(read, column.name, default))
        text = made.columns[0].span.of(made.sql)
    if references and len(keys) == 1:
        assert keys[0].constraint is not None
        key = constraint_text(dialect, keys[0].constraint)
        text += " " + key[key.index(") REFERENCES ") + 2 :]
    return text


def _default(compiler: Any, column: Column[Any]) -> str:
    text = str(compiler.get_column_default_string(column))
    default = column.server_default
    assert isinstance(default, DefaultClause)
    return f"({text})" if isinstance(default.arg, ColumnElement) else text


def type_and_collation(dialect: Dialect, type_: TypeEngine[Any]) -> tuple[str, str | None]:
    """A type as SQL; the collation that SQLAlchemy writes behind it apart."""
    instance = to_instance(type_)
    text = str(dialect.type_compiler_instance.process(instance))
    read = read_create_table(f"CREATE TABLE x (x {text}\n)")
    column = read.columns[0]
    declared = column.type_span.of(read.sql) if column.type_span is not None else ""
    return declared, questions.collation_of(column)


def default_text(dialect: Dialect, type_: TypeEngine[Any] | None, default: Any) -> str | None:
    """What stands after DEFAULT, None where there is no default.

    :raises OperationRefused: the default is no default but a computed or identity column.
    """
    if default is None:
        return None
    column: Column[Any] = Column("x", type_ or Text(), server_default=default)
    Table("t", MetaData(), column)
    if column.server_default is None or isinstance(column.server_default, Identity):
        return None
    if isinstance(column.server_default, Computed):
        raise OperationRefused(
            "a column cannot become a computed one, nor get another expression",
            hint="op.drop_column, and op.add_column with sa.Computed",
        )
    if not isinstance(column.server_default, DefaultClause):
        return None
    return _default(ddl_compiler(dialect), column)


def default_expression(dialect: Dialect, column: Column[Any]) -> str | None:
    """The SQL expression that ``default=`` is, None where it is none."""
    default: Any = column.default
    if default is None or not default.is_clause_element:
        return None
    compiled = default.arg.self_group().compile(
        dialect=dialect, compile_kwargs={"literal_binds": True}
    )
    return f"({compiled})"


def default_value(dialect: Dialect, column: Column[Any]) -> tuple[Any] | None:
    """The value of ``default=`` as the driver gets it, a callable's by calling it once.

    :returns: None where it has no value: a sequence, SQLAlchemy's sentinel, an expression.
    """
    default: Any = column.default
    if default is None or getattr(default, "is_sentinel", False):
        return None
    if not (default.is_scalar or default.is_callable):
        return None
    value = default.arg(None) if default.is_callable else default.arg
    process = column.type.dialect_impl(dialect).bind_processor(dialect)
    return (process(value) if process is not None else value,)


def constraint_kind(constraint: Constraint) -> ConstraintType | None:
    """The kind of a constraint, None where it is not told."""
    if isinstance(constraint, CheckConstraint):
        return "check"
    if isinstance(constraint, UniqueConstraint):
        return "unique"
    if isinstance(constraint, ForeignKeyConstraint):
        return "foreignkey"
    if isinstance(constraint, PrimaryKeyConstraint):
        return "primary"
    return None


def constraint_name(dialect: Dialect, constraint: Constraint) -> str | None:
    """The name of a constraint with its naming convention applied, unquoted."""
    if constraint.name is None:
        return None
    name = dialect.identifier_preparer.format_constraint(constraint, _alembic_quote=False)
    return None if name is None else str(name)


def constraint_text(dialect: Dialect, constraint: Constraint) -> str:
    """A table constraint as SQL.

    :raises OperationRefused: SQLite has no such constraint.
    """
    if isinstance(constraint, PrimaryKeyConstraint):
        name = constraint_name(dialect, constraint)
        listed = ", ".join(quote(column.name) for column in constraint.columns)
        prefix = f"CONSTRAINT {quote(name)} " if name is not None else ""
        conflict = constraint.dialect_options["sqlite"].get("on_conflict")
        tail = f" ON CONFLICT {conflict}" if conflict else ""
        return f"{prefix}PRIMARY KEY ({listed}){tail}"
    if isinstance(constraint, UniqueConstraint) and (
        constraint.deferrable or constraint.initially
    ):
        raise OperationRefused(
            "SQLite can defer a foreign key, but no UNIQUE constraint",
            hint="leave deferrable= and initially= away",
        )
    text = ddl_compiler(dialect).process(constraint)
    if not text:
        raise OperationRefused(
            "SQLite has no such constraint"
            if constraint_kind(constraint) != "foreignkey"
            else "a foreign key cannot lead to another database file"
        )
    return str(text)


def check_expression(dialect: Dialect, constraint: Constraint) -> str | None:
    """The expression of a CHECK as SQL."""
    text = read_create_table(f"CREATE TABLE x (x, {constraint_text(dialect, constraint)}\n)")
    span = text.constraints[0].expression
    return span.of(text.sql) if span is not None else None


def create_table(dialect: Dialect, table: Table, **kw: Any) -> str:
    """``CREATE TABLE``."""
    return str(CreateTable(table, **kw).compile(dialect=dialect)).strip()


def create_index(dialect: Dialect, index: Index) -> str:
    """``CREATE INDEX``."""
    return str(CreateIndex(index).compile(dialect=dialect)).strip()


def index_name(dialect: Dialect, index: Index) -> str:
    """The name of an index with its naming convention applied, unquoted."""
    name = None
    if index.name is not None:
        name = dialect.identifier_preparer.format_constraint(index, _alembic_quote=False)
    if name is None:
        raise OperationRefused("an index needs a name")
    return str(name)
