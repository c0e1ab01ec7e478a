"""The schema of a database as its catalogue tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column.

    :param type: as the catalogue spells it.
    :param default: the text after ``DEFAULT``, None where there is none.
    :param generated: the expression of a computed column, "" for any other.
    :param counts: whether it numbers rows by itself (serial, identity, ``AUTO_INCREMENT``).
    :param collation: "" for the default one.
    """

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    generated: str = ""
    counts: bool = False
    collation: str = ""


@dataclass(frozen=True)
class Index:
    """An index or a UNIQUE constraint; not that of the primary key.

    :param name: "" for a UNIQUE constraint of SQLite.
    :param columns: columns, with what follows the name where that is not the default, such as
        ``DESC``; expressions as text.
    :param where: the condition of a partial index, "" for any other.
    :param plain: whether it is a list of columns and nothing else.
    """

    name: str
    columns: tuple[str, ...]
    unique: bool = False
    where: str = ""
    plain: bool = True


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key.

    :param referred: columns of the other table; empty means its primary key.
    :param actions: such as ``ON DELETE CASCADE``; what is the default is left out.
    """

    name: str
    columns: tuple[str, ...]
    table: str
    referred: tuple[str, ...] = ()
    actions: str = ""


@dataclass(frozen=True)
class Check:
    """A CHECK constraint."""

    name: str
    expression: str


@dataclass(frozen=True)
class Table:
    """One table.

    :param options: such as ``STRICT``, ``WITHOUT ROWID`` or ``AUTOINCREMENT``.
    """

    name: str
    columns: tuple[Column, ...] = ()
    primary_key: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trigger:
    """A trigger and its text."""

    name: str
    table: str
    text: str


@dataclass(frozen=True)
class View:
    """A view and its text."""

    name: str
    text: str


@dataclass(frozen=True)
class Enumeration:
    """An ENUM type of PostgreSQL."""

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Schema:
    """Every object of a database.

    :param dialect: ``sqlite``, ``postgresql``, ``mysql`` or ``mariadb``.
    """

    dialect: str
    tables: tuple[Table, ...] = ()
    views: tuple[View, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    enumerations: tuple[Enumeration, ...] = ()
