"""What a ``CREATE TABLE`` that was read says, by SQLite's rules."""

from __future__ import annotations

from typing import Literal

from flask_safemigrate.ddl.create_table import (
    Column,
    Constraint,
    ConstraintKind,
    CreateTable,
)
from flask_safemigrate.ddl.expressions import column_tokens
from flask_safemigrate.ddl.tokens import Span, ascii_upper, same_name

Affinity = Literal["TEXT", "NUMERIC", "INTEGER", "REAL", "BLOB"]


def affinity_of_type(declared: str) -> Affinity:
    """The affinity of a declared type.

    https://sqlite.org/datatype3.html section 3.1; no type at all means BLOB. In STRICT tables and
    for the type ``ANY`` ask :func:`affinity_of`, which knows the table.
    """
    upper = ascii_upper(declared)
    if "INT" in upper:
        return "INTEGER"
    if any(word in upper for word in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if not upper or "BLOB" in upper:
        return "BLOB"
    if any(word in upper for word in ("REAL", "FLOA", "DOUB")):
        return "REAL"
    return "NUMERIC"


def affinity_of(table: CreateTable, column: Column) -> Affinity:
    """The affinity of a column.

    ``ANY`` is BLOB (keeps every value) in a STRICT table, NUMERIC elsewhere
    (https://sqlite.org/stricttables.html); an empty type that is written, as ``[]``, is NUMERIC.
    """
    if table.strict and column.type == "ANY":
        return "BLOB"
    if not column.type and column.type_span is not None:
        quoted = column.type_span.of(table.sql)[0] in "\"'`["
        return "NUMERIC" if quoted else "BLOB"
    return affinity_of_type(column.type)


def find_column(table: CreateTable, name: str) -> Column | None:
    """The column of that name, compared as SQLite does."""
    return next((column for column in table.columns if same_name(column.name.value, name)), None)


def primary_key(table: CreateTable) -> Constraint | None:
    """The PRIMARY KEY, inline or table-level; a table has at most one."""
    keys = constraints_of_kind(table, "PRIMARY KEY")
    return keys[0] if keys else None


def primary_key_columns(table: CreateTable) -> tuple[str, ...]:
    """The columns of the primary key in its order, as the column definitions spell them."""
    key = primary_key(table)
    return () if key is None else _as_defined(table, key.column_names)


def _as_defined(table: CreateTable, names: tuple[str, ...]) -> tuple[str, ...]:
    found = (find_column(table, name) for name in names)
    return tuple(column.name.value for column in found if column is not None)


def rowid_alias(table: CreateTable) -> str | None:
    """The column that is the rowid: an ``INTEGER PRIMARY KEY`` of a table that has rowids.

    https://sqlite.org/lang_createtable.html#rowid: exactly the type INTEGER; an inline ``PRIMARY
    KEY DESC`` makes none, ``PRIMARY KEY(x DESC)`` does.
    """
    key = primary_key(table)
    if key is None or table.without_rowid or (not key.parts and key.order == "DESC"):
        return None
    names = key.column_names
    column = find_column(table, names[0]) if len(names) == 1 else None
    if column is None or ascii_upper(column.type) != "INTEGER":
        return None
    return column.name.value


def has_autoincrement(table: CreateTable) -> bool:
    """Whether the primary key says AUTOINCREMENT."""
    key = primary_key(table)
    return key is not None and key.autoincrement is not None


def is_generated(column: Column) -> bool:
    """Whether a column is computed, stored or virtual."""
    return bool(column.of_kind("GENERATED"))


def generated_columns(table: CreateTable) -> tuple[Column, ...]:
    """The computed columns."""
    return tuple(column for column in table.columns if is_generated(column))


def is_stored(column: Column) -> bool:
    """Whether rows hold a value of the column: false for a VIRTUAL generated one."""
    generated = column.of_kind("GENERATED")
    return not generated or generated[-1].storage == "STORED"


def is_not_null(column: Column) -> bool:
    """Whether the column's own text says NOT NULL (a primary key may forbid NULL besides)."""
    return bool(column.of_kind("NOT NULL"))


def collation_of(column: Column) -> str | None:
    """The column's collation as written; None means BINARY."""
    collations = column.of_kind("COLLATE")
    if not collations or collations[-1].collation is None:
        return None
    return collations[-1].collation.value


def constraints_of_kind(table: CreateTable, kind: ConstraintKind) -> tuple[Constraint, ...]:
    """Every constraint of one kind, inline ones first."""
    return tuple(found for found in table.all_constraints if found.kind == kind)


def constraints_named(table: CreateTable, name: str) -> tuple[Constraint, ...]:
    """The constraints of that name; SQLite lets several have the same."""
    return tuple(
        found
        for found in table.all_constraints
        if found.name is not None and same_name(found.name.value, name)
    )


def foreign_keys_to(table: CreateTable, parent: str) -> tuple[Constraint, ...]:
    """The foreign keys that point to ``parent``."""
    return tuple(
        found
        for found in constraints_of_kind(table, "FOREIGN KEY")
        if found.references is not None and same_name(found.references.table.value, parent)
    )


def expression_mentions(table: CreateTable, span: Span, column: str) -> bool:
    """Whether the expression at ``span`` names the column; a double-quoted word that no column has
    is a string to SQLite and names nothing."""
    return any(same_name(name, column) for name, _ in column_tokens(table.tokens, span))


def mentions(table: CreateTable, constraint: Constraint, column: str) -> bool:
    """Whether a constraint concerns the column: it stands on it (CHECKs do not count by standing),
    lists it, its expression names it, or it points to it in this same table."""
    if constraint.expression is not None:
        return expression_mentions(table, constraint.expression, column)
    if any(same_name(name, column) for name in constraint.column_names):
        return True
    target = constraint.references
    return (
        target is not None
        and same_name(target.table.value, table.name.value)
        and any(same_name(name.value, column) for name in target.columns)
    )


def constraints_mentioning(table: CreateTable, column: str) -> tuple[Constraint, ...]:
    """Every constraint that concerns the column, those that stand on it included.

    Among them may be GENERATED ones of other columns: such a column cannot live without this one.
    """
    return tuple(found for found in table.all_constraints if mentions(table, found, column))
