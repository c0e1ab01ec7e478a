"""What SQLite has in a table: columns, keys and indexes, as plain data."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from flask_safemigrate.ddl import questions
from flask_safemigrate.ddl.create_table import Column, CreateTable, read_create_table
from flask_safemigrate.ddl.tokens import fold


class KeyColumn(NamedTuple):
    """One column of a key or index.

    :ivar column: its name, None where the index holds an expression.
    """

    column: str | None
    descending: bool
    collation: str


class IndexShape(NamedTuple):
    """An index as ``PRAGMA index_list`` and ``PRAGMA index_xinfo`` report it.

    :ivar origin: ``c`` for CREATE INDEX, ``u`` for UNIQUE, ``pk`` for PRIMARY KEY.
    """

    name: str
    unique: bool
    origin: str
    partial: bool
    key: tuple[KeyColumn, ...]

    @property
    def automatic(self) -> bool:
        """Whether a constraint made it, so that it has no text of its own."""
        return self.origin != "c"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the key, expressions left out."""
        return tuple(part.column for part in self.key if part.column is not None)

    @property
    def is_plain(self) -> bool:
        """Whether its contents depend on the values of its key columns alone."""
        return not self.partial and all(part.column is not None for part in self.key)


class ColumnShape(NamedTuple):
    """One column.

    :ivar default: what stands after ``DEFAULT``, None where nothing does.
    :ivar generated: the ``GENERATED ALWAYS AS (...)`` clause as written.
    :ivar stored: whether rows hold a value of it.
    """

    name: str
    type: str
    affinity: str
    not_null: bool
    default: str | None
    collation: str
    generated: str | None
    stored: bool


@dataclass(frozen=True)
class TableShape:
    """One table.

    :ivar primary_key: the key of a WITHOUT ROWID table, in its order; empty for others.
    """

    name: str
    sql: str
    columns: tuple[ColumnShape, ...]
    indexes: tuple[IndexShape, ...]
    strict: bool
    without_rowid: bool
    rowid_alias: str | None
    primary_key: tuple[KeyColumn, ...]

    def column(self, name: str) -> ColumnShape | None:
        """The column of that name, compared as SQLite does."""
        return self._by_name.get(fold(name))

    @functools.cached_property
    def _by_name(self) -> dict[str, ColumnShape]:
        return {fold(each.name): each for each in self.columns}

    @property
    def automatic(self) -> tuple[IndexShape, ...]:
        """The indexes that constraints made, first to last."""
        return tuple(index for index in self.indexes if index.automatic)

    @property
    def generated_columns(self) -> tuple[ColumnShape, ...]:
        """The computed columns."""
        return tuple(column for column in self.columns if column.generated is not None)


def _column(table: CreateTable, column: Column) -> ColumnShape:
    defaults = [each.value for each in column.of_kind("DEFAULT") if each.value is not None]
    generated = column.of_kind("GENERATED")
    return ColumnShape(
        name=column.name.value,
        type=column.type,
        affinity=questions.affinity_of(table, column),
        not_null=questions.is_not_null(column),
        default=defaults[-1].of(table.sql) if defaults else None,
        collation=questions.collation_of(column) or "BINARY",
        generated=generated[-1].body.of(table.sql) if generated else None,
        stored=questions.is_stored(column),
    )


def read_shape(sql: str, indexes: Iterable[IndexShape]) -> TableShape:
    """Put a table's text and its indexes together.

    :param indexes: all of them, the one that holds a WITHOUT ROWID table itself included.
    :raises UnreadableDDL: the text cannot be read.
    """
    table = read_create_table(sql)
    listed = tuple(indexes)
    key = next((index for index in listed if index.origin == "pk"), None)
    own_key = table.without_rowid and key is not None
    return TableShape(
        name=table.name.value,
        sql=sql,
        columns=tuple(_column(table, column) for column in table.columns),
        indexes=tuple(index for index in listed if not (own_key and index is key)),
        strict=table.strict,
        without_rowid=table.without_rowid,
        rowid_alias=questions.rowid_alias(table),
        primary_key=key.key if own_key and key is not None else (),
    )
