"""Finds the constraint that a migration means, also where the database left it unnamed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Column, Constraint, ForeignKeyConstraint, MetaData, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import NullType

from flask_safemigrate.alter.changes import ConstraintType, DropConstraint, Known, Origin
from flask_safemigrate.ddl import questions
from flask_safemigrate.ddl.create_table import Constraint as Written
from flask_safemigrate.ddl.create_table import ConstraintKind, CreateTable
from flask_safemigrate.ddl.tokens import (
    fold,
    quote,
    same_name,
    significant,
    tokenize,
    unquote,
)

KINDS: Final[dict[ConstraintType, ConstraintKind]] = {
    "check": "CHECK",
    "unique": "UNIQUE",
    "foreignkey": "FOREIGN KEY",
    "primary": "PRIMARY KEY",
}

#: Conventions that are tried after the project's own: the one of Alembic's and SQLAlchemy's
#: documentation, and what PostgreSQL calls constraints without a name.
WELL_KNOWN: Final[tuple[dict[str, str], ...]] = (
    {
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(column_0_name)s",
    },
    {
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
        "ck": "%(table_name)s_%(column_0_N_name)s_check",
    },
    {
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "ck": "ck_%(table_name)s_%(column_0_N_name)s",
    },
)


def find_constraint(table: CreateTable, change: DropConstraint) -> Written | None:
    """The constraint that is meant; None where the table has none such.

    By name; else, among those without a name, by what a naming convention would call it; else by
    its columns or text where these are known; else the only one of its kind, if no name was given.
    """
    wanted = _of_kind(table, change)
    # The name decides, as for Alembic and for other databases: a kind may be given wrongly.
    for each in (*wanted, *table.all_constraints):
        if each.name is not None and any(same_name(each.name.value, n) for n in change.names):
            return each
    if change.names and change.columns is None and not (change.guess or change.implied):
        return None
    unnamed = [each for each in wanted if each.name is None]
    if change.kind == "primary" and unnamed:
        return unnamed[0]
    for convention in (*change.conventions, *WELL_KNOWN):
        found = [
            each
            for each in unnamed
            if (called := conventional(table, each, convention)) is not None
            and any(same_name(called, name) for name in change.names)
        ]
        if len(found) == 1:
            return found[0]
    if change.columns is not None:
        found = [
            each
            for each in unnamed
            if each.kind != "CHECK"
            and [fold(name) for name in each.column_names] == [fold(n) for n in change.columns]
        ]
        if len(found) == 1:
            return found[0]
    if change.expression is not None:
        for each in unnamed:
            if each.expression is not None and _unquoted(
                each.expression.of(table.sql)
            ) == _unquoted(change.expression):
                return each
    if not change.names and change.columns is None and change.expression is None:
        return unnamed[0] if len(unnamed) == 1 else None
    return None


def _unquoted(expression: str) -> tuple[str, ...]:
    """An expression to compare; SQLite puts quotes around the column that it renames."""
    return tuple(
        fold(unquote(token.text)) if token.kind in ("name", "quoted") else token.text
        for token in significant(tokenize(expression))
    )


def known_name(table: CreateTable, constraint: Written, known: Iterable[Known]) -> str | None:
    """The name that is known for a constraint, None where none is."""
    for each in known:
        if KINDS[each.kind] != constraint.kind:
            continue
        if constraint.expression is not None:
            text = _unquoted(constraint.expression.of(table.sql))
            if each.expression is not None and text == _unquoted(each.expression):
                return each.name
        elif [fold(name) for name in constraint.column_names] == [fold(n) for n in each.columns]:
            return each.name
    return None


def conventional(
    table: CreateTable, constraint: Written, convention: Mapping[str, str]
) -> str | None:
    """What a naming convention calls a constraint; None where it has no name for it."""
    metadata = MetaData(naming_convention=dict(convention))
    columns = [Column(each.name.value, NullType()) for each in table.columns]
    made: Constraint
    names = list(constraint.column_names)
    if constraint.kind == "CHECK":
        names = [
            each.name.value
            for each in table.columns
            if questions.mentions(table, constraint, each.name.value)
        ]
        if not names or "constraint_name" in convention.get("ck", ""):
            return None
        key = "ck"
        made = sa.UniqueConstraint(*names)
        metadata = MetaData(naming_convention={"uq": convention.get("ck", "%(table_name)s")})
    elif constraint.kind == "UNIQUE":
        key, made = "uq", sa.UniqueConstraint(*names)
    elif constraint.kind == "PRIMARY KEY":
        key, made = "pk", sa.PrimaryKeyConstraint(*names)
    elif constraint.references is not None:
        key = "fk"
        parent = constraint.references.table.value
        theirs = [each.value for each in constraint.references.columns] or ["id"] * len(names)
        if not same_name(parent, table.name.value):
            Table(parent, metadata, *(Column(each, NullType()) for each in dict.fromkeys(theirs)))
        made = ForeignKeyConstraint(names, [f"{parent}.{each}" for each in theirs])
    else:
        return None
    if key not in convention:
        return None
    Table(table.name.value, metadata, *columns, made)
    try:
        return sqlite.dialect().identifier_preparer.format_constraint(made, _alembic_quote=False)
    except (sa.exc.InvalidRequestError, KeyError, IndexError):
        return None


def _of_kind(table: CreateTable, change: DropConstraint) -> list[Written]:
    kinds = KINDS.values() if change.kind is None else (KINDS[change.kind],)
    return [each for each in table.all_constraints if each.kind in kinds]


def _text(table: CreateTable, constraint: Written) -> str:
    text = " ".join(constraint.body.of(table.sql).split())
    if constraint.column is not None and not constraint.parts and constraint.kind != "CHECK":
        return f"{quote(constraint.column)} {text}"
    return text


def not_found(
    table: CreateTable, change: DropConstraint, origin: Origin
) -> tuple[Origin, str, str]:
    """What to say when there is none, or none that is surely meant: arguments of an error."""
    what = "constraint" if change.kind is None else f"{KINDS[change.kind]} constraint"
    there = _of_kind(table, change)
    unnamed = [each for each in there if each.name is None]
    name = quote(table.name.value)
    if not change.names and len(unnamed) > 1:
        texts = "; ".join(_text(table, each) for each in unnamed)
        return (
            origin,
            f"table {name} has {len(unnamed)} {what}s without a name, and which one is meant is"
            f" not said: {texts}",
            _by_convention(table, unnamed[-1]),
        )
    called = f" {quote(change.names[0])}" if change.names else " without a name"
    listed = [
        f"{quote(each.name.value) if each.name is not None else 'unnamed'} {_text(table, each)}"
        for each in there
    ]
    has = f"it has: {'; '.join(listed)}" if there else "it has none of this kind"
    said = [
        found
        for each in unnamed
        if change.conventions and (found := conventional(table, each, change.conventions[0]))
    ]
    hint = "name it as the database does" if there else "take the line out of the revision"
    if said:
        hint += f"; the naming convention calls those without a name {', '.join(map(repr, said))}"
    elif unnamed:
        hint = _by_convention(table, unnamed[-1])
    return origin, f"table {name} has no {what}{called}; {has}", hint


def _by_convention(table: CreateTable, constraint: Written) -> str:
    """How to drop a constraint that has no name."""
    keys = {kind: key for key, kind in KINDS.items()}
    short = {"UNIQUE": "uq", "FOREIGN KEY": "fk", "PRIMARY KEY": "pk"}.get(constraint.kind)
    name = conventional(table, constraint, WELL_KNOWN[0]) if short is not None else None
    if short is None or name is None:
        return "name it as the database does, or give it a name first"
    convention = {short: WELL_KNOWN[0][short]}
    return (
        f"with op.batch_alter_table({table.name.value!r}, naming_convention={convention!r}) as b:"
        f" b.drop_constraint({name!r}, type_={keys[constraint.kind]!r})"
    )
