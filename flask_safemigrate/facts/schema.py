"""The schema of a database as its catalogue tells it."""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
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


class Index(NamedTuple):
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


class ForeignKey(NamedTuple):
    """A foreign key.

    :param referred: columns of the other table; empty means its primary key.
    :param actions: such as ``ON DELETE CASCADE``; what is the default is left out.
    """

    name: str
    columns: tuple[str, ...]
    table: str
    referred: tuple[str, ...] = ()
    actions: str = ""


class Check(NamedTuple):
    """A CHECK constraint."""

    name: str
    expression: str


class Table(NamedTuple):
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


class Trigger(NamedTuple):
    """A trigger and its text."""

    name: str
    table: str
    text: str


class View(NamedTuple):
    """A view and its text."""

    name: str
    text: str


class Enumeration(NamedTuple):
    """An ENUM type of PostgreSQL."""

    name: str
    labels: tuple[str, ...]


class Schema(NamedTuple):
    """Every object of a database.

    :param dialect: ``sqlite``, ``postgresql``, ``mysql`` or ``mariadb``.
    """

    dialect: str
    tables: tuple[Table, ...] = ()
    views: tuple[View, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    enumerations: tuple[Enumeration, ...] = ()
