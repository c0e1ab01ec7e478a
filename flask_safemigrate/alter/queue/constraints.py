"""Changes of constraints and indexes, made in the scratch database."""

from __future__ import annotations

import re

from flask_safemigrate.alter import changes, naming
from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.alter.queue.queue import Queue, refused
from flask_safemigrate.alter.queue.tracked import TrackedTable
from flask_safemigrate.ddl import edits, questions
from flask_safemigrate.ddl.create_table import Constraint, CreateTable, read_create_table
from flask_safemigrate.ddl.rebuild import same_statement, same_text
from flask_safemigrate.ddl.tokens import fold, quote, same_name

#: What SQLAlchemy's Boolean and Enum write into their CHECK.
_VALUES = re.compile(
    r"""\s*("(?:[^"]|"")+"|\w+)\s+IN\s*\(\s*(?:'(?:[^']|'')*'|\d+)"""
    r"""(?:\s*,\s*(?:'(?:[^']|'')*'|\d+))*\s*\)\s*""",
    re.IGNORECASE,
)


def add_constraint(queue: Queue, change: changes.AddConstraint, origin: Origin) -> None:
    table = queue.track(change.table, origin)
    read = queue.read(table)
    if change.restates and _has(read, change):
        return
    if change.retyped is not None:
        names = [name for name in (change.name, change.type_name) if name is not None]
        earlier = _of_earlier_type(read, names, change.retyped)
        if earlier is not None:
            queue.rewrite(table, edits.drop_constraint(read, earlier), origin)
            read = queue.read(table)
    alike = questions.constraints_named(read, change.name) if change.name is not None else ()
    if alike and change.replaces:
        if any(same_text(each.span.of(read.sql), change.sql) for each in alike):
            return
        for each in alike:
            _take_away(queue, table, each, origin)
        read = queue.read(table)
    elif alike:
        raise refused(
            origin,
            f"table {quote(table.name)} already has a constraint {quote(change.name or '')}",
        )
    for column in change.columns:
        if questions.find_column(read, column) is None:
            raise refused(
                origin,
                f"table {quote(table.name)} has no column {quote(column)}",
                "name a column that is there; a constraint over one that is not, Alembic's batch"
                " mode leaves out without a word",
            )
    if change.kind == "primary":
        text = read.sql
        if questions.primary_key(read) is not None:
            if not change.replaces:
                raise refused(origin, f"table {quote(table.name)} already has a primary key")
            # In one edit with the new one: a WITHOUT ROWID table has to have one.
            text = edits.drop_primary_key(read)
        for column in change.columns:
            tracked = table.column(column)
            at = read_create_table(text)
            there = questions.find_column(at, column)
            assert there is not None
            if not questions.is_not_null(there):
                text = edits.set_not_null(at, column)
                if tracked is not None:
                    tracked.set_not_null(origin, table.name)
        queue.rewrite(table, edits.add_constraint(read_create_table(text), change.sql), origin)
        table.set_primary_key(origin)
        return
    # Not by SQLite's ADD CONSTRAINT, which fails on rows for which the CHECK is NULL.
    queue.rewrite(table, edits.add_constraint(read, change.sql), origin)


def _has(read: CreateTable, change: changes.AddConstraint) -> bool:
    """Whether a table has a constraint already, by its text or by what it is over."""
    if any(
        same_text(each.span.of(read.sql), change.sql)
        or (change.name is None and same_text(each.body.of(read.sql), change.sql))
        for each in read.all_constraints
    ):
        return True
    if not change.replaces or change.kind == "check":
        return False
    columns = [fold(name) for name in change.columns]
    return any(
        change.kind == "primary" or [fold(name) for name in each.column_names] == columns
        for each in questions.constraints_of_kind(read, naming.KINDS[change.kind])
    )


def _take_away(queue: Queue, table: TrackedTable, constraint: Constraint, origin: Origin) -> None:
    """Drop a constraint so that what comes in its place counts as new."""
    read = queue.read(table)
    if constraint.kind == "PRIMARY KEY":
        queue.rewrite(table, edits.drop_primary_key(read), origin)
        return
    assert constraint.name is not None
    found = questions.constraints_named(read, constraint.name.value)[0]
    queue.rewrite(table, edits.drop_constraint(read, found), origin)


def name_constraints(queue: Queue, change: changes.NameConstraints, origin: Origin) -> None:
    """As far as the names are free in the table."""
    table = queue.track(change.table, origin)
    text = read_create_table(queue.text(table))
    for place in range(len(text.all_constraints)):
        each = text.all_constraints[place]
        if each.name is not None or each.kind not in naming.KINDS.values():
            continue
        name = naming.known_name(text, each, change.known)
        # Alembic leaves a CHECK without a name out of the copy, which cannot be called anything.
        if name is None and each.kind != "CHECK":
            name = naming.conventional(text, each, change.convention)
        if name is not None and not questions.constraints_named(text, name):
            text = read_create_table(edits.name_constraint(text, each, name))
    queue.rewrite(table, text.sql, origin)


def _of_earlier_type(table: CreateTable, names: list[str], column: str) -> Constraint | None:
    """The CHECK that an Enum or Boolean left on a column, None where there is none.

    Autogenerate reads VARCHAR or BOOLEAN where such a type was, so that a migration of its making
    does not drop it.
    """
    for each in questions.constraints_of_kind(table, "CHECK"):
        assert each.expression is not None
        users = [
            found.name.value
            for found in table.columns
            if questions.mentions(table, each, found.name.value)
        ]
        if len(users) != 1 or not same_name(users[0], column):
            continue
        if each.name is None:
            if _VALUES.fullmatch(each.expression.of(table.sql)):
                return each
        elif any(same_name(each.name.value, name) for name in names):
            return each
    return None


def drop_constraint(queue: Queue, change: changes.DropConstraint, origin: Origin) -> None:
    table = queue.track(change.table, origin)
    read = queue.read(table)
    found = naming.find_constraint(read, change)
    if found is None:
        if change.if_exists or change.implied:
            return
        index = next((queue.scratch.find("index", name) for name in change.names), None)
        if index is not None and same_name(index.table, table.name):
            raise refused(
                origin,
                f"{quote(index.name)} is an index of table {quote(table.name)}, no constraint",
                f'op.drop_index("{index.name}", table_name="{table.name}")',
            )
        raise refused(*naming.not_found(read, change, origin))
    if found.kind == "PRIMARY KEY":
        queue.rewrite(table, edits.drop_primary_key(read), origin)
    elif found.kind == "CHECK" and found.name is not None:
        wanted = edits.drop_constraint(read, found)
        alter = f"DROP CONSTRAINT {quote(found.name.value)}"
        queue.rewrite_or_alter(table, wanted, alter, origin)
    else:
        queue.rewrite(table, edits.drop_constraint(read, found), origin)


def create_index(queue: Queue, change: changes.CreateIndex, origin: Origin) -> None:
    found = queue.scratch.find("index", change.index)
    if found is not None:
        same = found.sql is not None and same_statement(found.sql, change.sql)
        if change.if_not_exists or (change.restates and same):
            return
        if not change.replaces or found.sql is None:
            raise refused(origin, f"there is already an index {quote(change.index)}")
        queue.drop_index(found.name, found.table, origin)
    queue.must_be_plain(change.table, origin)
    queue.create_index(change.index, change.table, change.sql, origin)


def _as_constraint(queue: Queue, change: changes.DropIndex) -> str | None:
    """How to drop the constraint of that name, if there is one."""
    table = queue.scratch.find("table", change.table or "")
    if table is None or table.sql is None:
        return None
    if not questions.constraints_named(read_create_table(table.sql), change.index):
        return None
    return f'op.drop_constraint("{change.index}", "{change.table}")'


def drop_index(queue: Queue, change: changes.DropIndex, origin: Origin) -> None:
    entry = queue.scratch.find("index", change.index)
    if entry is None and change.if_exists:
        return
    if entry is None:
        raise refused(
            origin, f"there is no index {quote(change.index)}", _as_constraint(queue, change)
        )
    if entry.sql is None:
        raise refused(
            origin,
            f"index {quote(entry.name)} belongs to a constraint of table {quote(entry.table)}",
            f'op.drop_constraint(..., "{entry.table}", type_="unique")',
        )
    queue.drop_index(entry.name, entry.table, origin)
