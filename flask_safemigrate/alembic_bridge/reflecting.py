"""Answers to SQLAlchemy's inspector from what is known of a database, without asking it."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from typing import Any, ClassVar

from sqlalchemy import types
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import NoSuchTableError

from flask_safemigrate.hazards.known import Known, KnownTable
from flask_safemigrate.names import MEMORY

_TYPE = re.compile(r"([a-z ]+?)\s*(?:\(([^)]*)\))?(?: with(?:out)? time zone)?$", re.IGNORECASE)


def answer(
    known: Known, sql: str, parameters: Any
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """What SQLite answers over the tables that are known, without rows: description and rows."""
    with contextlib.closing(sqlite3.connect(MEMORY)) as scratch:
        for table in known.tables.values():
            with contextlib.suppress(sqlite3.Error):
                scratch.execute(_text_of(table))
            for name, index in table.indexes.items():
                parts = ", ".join(index.columns)
                with contextlib.suppress(sqlite3.Error):
                    scratch.execute(f'CREATE INDEX "{name}" ON "{table.name}" ({parts})')
        for text in known.views.values():
            with contextlib.suppress(sqlite3.Error):
                scratch.execute(text)
        try:
            cursor = scratch.execute(sql, parameters or ())
        except (sqlite3.Error, ValueError):
            return [("value", *[None] * 6)], []
        return list(cursor.description or ()), cursor.fetchall()


def _text_of(table: KnownTable) -> str:
    columns = [
        f'"{column.name}" {column.type}{"" if column.nullable else " NOT NULL"}'
        for column in table.columns.values()
    ]
    if table.primary_key:
        columns.append(f"PRIMARY KEY ({', '.join(table.primary_key)})")
    return f'CREATE TABLE "{table.name}" ({", ".join(columns) or "value"})'


class Reflecting:
    """What a dialect's reflection methods answer.

    https://docs.sqlalchemy.org/en/20/core/internals.html#sqlalchemy.engine.interfaces.Dialect
    """

    known: ClassVar[Known]
    ischema_names: dict[str, Any]

    def _table(self, name: str, schema: str | None) -> KnownTable:
        full = f"{schema}.{name}" if schema and schema != "public" else name
        table = self.known.tables.get(full)
        if table is None:
            raise NoSuchTableError(full)
        return table

    def initialize(self, connection: Any) -> None: ...

    def do_execute(
        self, cursor: Any, statement: str, parameters: Any, context: Any = None
    ) -> None:
        # A result of SQLAlchemy's own has as many columns as its statement selects.
        selected = getattr(getattr(context, "compiled", None), "statement", None)
        columns = getattr(selected, "selected_columns", None)
        cursor.width = len(columns) if columns is not None else 1
        cursor.execute(statement, parameters)

    def has_table(self, _c: Any, name: str, schema: str | None = None, **_: Any) -> bool:
        full = f"{schema}.{name}" if schema and schema != "public" else name
        return full in self.known.tables or full in self.known.views

    def has_type(self, _c: Any, name: str, schema: str | None = None, **_: Any) -> bool:
        return name in self.known.enums

    def has_index(
        self, _c: Any, table: str, index: str, schema: str | None = None, **_: Any
    ) -> bool:
        found = self.known.tables.get(table)
        return found is not None and index in found.indexes

    def has_sequence(self, *_: Any, **__: Any) -> bool:
        return False

    def has_schema(self, *_: Any, **__: Any) -> bool:
        return True

    def get_schema_names(self, _c: Any, **_: Any) -> list[str]:
        return ["public"]

    def get_table_names(self, _c: Any, schema: str | None = None, **_: Any) -> list[str]:
        return sorted(name for name in self.known.tables if "." not in name)

    def get_view_names(self, _c: Any, schema: str | None = None, **_: Any) -> list[str]:
        return sorted(self.known.views)

    def get_enums(self, _c: Any, schema: str | None = None, **_: Any) -> list[dict[str, Any]]:
        return [
            {"name": name, "labels": list(labels), "schema": "public", "visible": True}
            for name, labels in self.known.enums.items()
        ]

    def _type(self, text: str) -> Any:
        match = _TYPE.match(text)
        word, arguments = (match[1], match[2]) if match else (text, None)
        made = self.ischema_names.get(word.lower(), self.ischema_names.get(word.upper()))
        if made is None:
            return types.NullType()
        try:
            numbers = [int(part) for part in (arguments or "").split(",") if part.strip()]
            return made(*numbers)
        except (TypeError, ValueError):
            return made()

    def get_columns(
        self, _c: Any, name: str, schema: str | None = None, **_: Any
    ) -> list[dict[str, Any]]:
        table = self._table(name, schema)
        return [
            {
                "name": column.name,
                "type": self._type(column.type),
                "nullable": column.nullable,
                "default": column.default,
                "autoincrement": column.counts,
                "comment": None,
            }
            for column in table.columns.values()
        ]

    def get_pk_constraint(
        self, _c: Any, name: str, schema: str | None = None, **_: Any
    ) -> dict[str, Any]:
        key = self._table(name, schema).primary_key
        return {"constrained_columns": list(key), "name": f"{name}_pkey"}

    def get_indexes(
        self, _c: Any, name: str, schema: str | None = None, **_: Any
    ) -> list[dict[str, Any]]:
        return [
            {"name": each, "column_names": list(index.columns), "unique": index.unique}
            for each, index in self._table(name, schema).indexes.items()
        ]

    def get_unique_constraints(
        self, _c: Any, name: str, schema: str | None = None, **_: Any
    ) -> list[dict[str, Any]]:
        return [
            {"name": each, "column_names": list(index.columns)}
            for each, index in self._table(name, schema).indexes.items()
            if index.unique
        ]

    def get_foreign_keys(
        self, _c: Any, name: str, schema: str | None = None, **_: Any
    ) -> list[dict[str, Any]]:
        return [
            {
                "name": key.name or None,
                "constrained_columns": list(key.columns),
                "referred_schema": None,
                "referred_table": key.table,
                "referred_columns": list(key.referred),
                "options": {},
            }
            for key in self._table(name, schema).foreign_keys
        ]

    def get_check_constraints(
        self, _c: Any, name: str, schema: str | None = None, **_: Any
    ) -> list[dict[str, Any]]:
        return [
            {"name": check.name or None, "sqltext": check.expression}
            for check in self._table(name, schema).checks
        ]

    def get_table_comment(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"text": None}

    def get_table_options(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {}

    # PostgreSQL and SQLite read several tables at once by queries of their own.
    get_multi_columns = DefaultDialect.get_multi_columns
    get_multi_pk_constraint = DefaultDialect.get_multi_pk_constraint
    get_multi_indexes = DefaultDialect.get_multi_indexes
    get_multi_unique_constraints = DefaultDialect.get_multi_unique_constraints
    get_multi_foreign_keys = DefaultDialect.get_multi_foreign_keys
    get_multi_check_constraints = DefaultDialect.get_multi_check_constraints
    get_multi_table_comment = DefaultDialect.get_multi_table_comment
    get_multi_table_options = DefaultDialect.get_multi_table_options
