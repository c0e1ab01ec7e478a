"""What depends on a table that changes: who forbids it, and what has to follow."""

from __future__ import annotations

import re

from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.alter.queue.queue import Queue, is_database_error, refused
from flask_safemigrate.alter.queue.scratch import Entry, Scratch
from flask_safemigrate.alter.queue.tracked import TrackedTable
from flask_safemigrate.ddl import questions
from flask_safemigrate.ddl.references import (
    inserts_by_position,
    name_inserted_columns,
    quote_strings_in_index,
)
from flask_safemigrate.ddl.tokens import fold, op_execute, quote, same_name, tokenize, unquote
from flask_safemigrate.errors import OperationRefused


def triggers_with(scratch: Scratch, *words: str) -> list[Entry]:
    """The triggers whose text has all these words somewhere."""
    return [
        each
        for each in scratch.entries()
        if each.type == "trigger"
        and each.sql is not None
        and all(fold(word) in fold(each.sql) for word in words)
    ]


def _inserting_by_position(queue: Queue, table: TrackedTable) -> list[Entry]:
    return [
        each
        for each in triggers_with(queue.scratch, table.name, "into")
        if each.sql is not None and inserts_by_position(each.sql, table.name)
    ]


def must_be_named(queue: Queue, table: TrackedTable, origin: Origin) -> None:
    """Refuse where a trigger inserts by position, for the positions are about to change."""
    found = [each.name for each in _inserting_by_position(queue, table)]
    if found:
        raise refused(
            origin,
            f"trigger {quote(found[0])} inserts into table {quote(table.name)} without naming the"
            " columns, and would put values into the wrong ones",
            "write the columns into the trigger's INSERT first",
        )


def name_inserted(queue: Queue, table: TrackedTable) -> None:
    """Let triggers that insert by position go on to fill the columns they fill now."""
    for trigger in _inserting_by_position(queue, table):
        assert trigger.sql is not None
        columns = [
            each.name.value
            for each in queue.read(table).columns
            if not questions.is_generated(each)
        ]
        sql = name_inserted_columns(trigger.sql, table.name, columns)
        if sql != trigger.sql:
            queue.mend(trigger, sql)


def protect_strings(queue: Queue, table: TrackedTable, column: str) -> None:
    """Words in double quotes that are strings stay strings when a column of that name comes."""
    for entry in queue.scratch.belonging(table.name, "index"):
        assert entry.sql is not None
        sql = quote_strings_in_index(entry.sql, column)
        if sql != entry.sql:
            queue.scratch.execute(f"DROP INDEX {quote(entry.name)}")
            queue.scratch.execute(sql)
            queue.by_edit(table)
    _protect_code(queue, column)


def _protect_code(queue: Queue, column: str) -> None:
    """The same for views and triggers, where SQLite tells which words are strings."""
    scratch = queue.scratch
    named = [each for each in scratch.code() if _may_have_string(each, column)]
    if not named:
        return
    fixed = scratch.single_quoted()
    for entry in named:
        sql = fixed.get((entry.type, fold(entry.name)), entry.sql)
        if sql is None or sql == entry.sql:
            continue
        kept = scratch.belonging(entry.name, "trigger") if entry.type == "view" else []
        queue.mend(entry, sql)
        for each in kept:
            scratch.execute(each.sql or "")


def _may_have_string(entry: Entry, column: str) -> bool:
    return any(
        each.text.startswith('"') and same_name(unquote(each.text), column)
        for each in tokenize(entry.sql or "")
    )


def used_by(origin: Origin, name: str, users: list[str]) -> OperationRefused:
    verb = "uses" if len(users) == 1 else "use"
    first = users[0] if users[0].startswith(("view", "trigger")) else None
    return refused(
        origin,
        f"{', '.join(users)} {verb} column {name}",
        "drop or change what uses it first"
        + (f", for example with {op_execute(f'DROP {first}')}" if first is not None else ""),
    )


def indexes_over(queue: Queue, table: TrackedTable, column: str, origin: Origin) -> list[str]:
    """The indexes over a column; refuses where something else outside the table uses it.

    Found by letting SQLite rename the column: whatever text has the new word named it. (That a
    text changes says nothing: SQLite also puts strings from double into single quotes.)
    """
    scratch = queue.scratch
    name = f"{quote(table.name)}.{quote(column)}"
    before = {(each.type, each.name): each for each in scratch.entries()}
    spare = "safemigrate_gone"
    while any(spare in fold(each.sql or "") for each in before.values()):
        spare += "_"
    with scratch.rehearsal():
        try:
            scratch.execute(
                f"ALTER TABLE {quote(table.name)} RENAME COLUMN {quote(column)} TO {quote(spare)}"
            )
        except Exception as error:
            if not is_database_error(error):
                raise
            match = re.match(r"error in (view|trigger) (.+?)(?: after rename)?: ", str(error))
            if match is None:
                raise
            raise used_by(origin, name, [f"{match.group(1)} {quote(match.group(2))}"]) from error
        after = {(each.type, each.name): each for each in scratch.entries()}
    changed = [each for key, each in before.items() if spare in (after[key].sql or "")]
    users = [
        f"{each.type} {quote(each.name)}" for each in changed if each.type in ("view", "trigger")
    ]
    users += [
        f"the foreign key of table {quote(each.name)}"
        for each in changed
        if each.type == "table" and not same_name(each.name, table.name)
    ]
    if users:
        raise used_by(origin, name, users)
    return [each.name for each in changed if each.type == "index"]


def must_not_be_parent(queue: Queue, table: TrackedTable, name: str, origin: Origin) -> None:
    """Refuse where a foreign key means the primary key without naming it."""
    for entry in queue.scratch.entries():
        if entry.type != "table" or same_name(entry.name, table.name):
            continue
        keys = queue.scratch.db.execute(
            'SELECT "table", "to" FROM pragma_foreign_key_list(?)', (entry.name,)
        ).fetchall()
        if any(same_name(parent, table.name) and to is None for parent, to in keys):
            raise used_by(origin, name, [f"the foreign key of table {quote(entry.name)}"])
