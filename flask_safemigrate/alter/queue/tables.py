"""Changes of whole tables, made in the scratch database."""

from __future__ import annotations

import itertools

from flask_safemigrate.alter import changes
from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.alter.queue.dependents import (
    must_be_named,
    name_inserted,
    triggers_with,
)
from flask_safemigrate.alter.queue.queue import Native, Queue, refused
from flask_safemigrate.alter.queue.scratch import Scratch, is_internal
from flask_safemigrate.alter.queue.tracked import TrackedTable
from flask_safemigrate.ddl import edits, full_text, questions
from flask_safemigrate.ddl.create_table import CreateTable, read_create_table
from flask_safemigrate.ddl.references import rename_trigger_table
from flask_safemigrate.ddl.tokens import fold, quote, same_name


def create_table(queue: Queue, change: changes.CreateTable, origin: Origin) -> None:
    scratch = queue.scratch
    if scratch.find("table", change.table) is not None and change.if_not_exists:
        return
    queue.must_be_free(change.table, origin)
    scratch.execute(change.sql)
    made = TrackedTable(change.table, None, None, [], origins=[origin])
    queue.add(made)
    queue.also_native(Native(change.table, change.sql, origin, owner=made))
    _return_of_a_table(queue)


def drop_table(queue: Queue, change: changes.DropTable, origin: Origin) -> None:
    if queue.scratch.find("table", change.table) is None and change.if_exists:
        return
    if is_internal(change.table):
        raise refused(
            origin,
            f"table {quote(change.table)} belongs to SQLite, which does not let it be dropped",
            "take the line out of the revision",
        )
    queue.must_be_plain(change.table, origin)
    queue.retire(change.table, origin)
    queue.put_waiting_aside()


def rename_table(queue: Queue, change: changes.RenameTable, origin: Origin) -> None:
    table = queue.track(change.table, origin)
    if table.name == change.new:
        return
    steps = [change.new]
    if same_name(table.name, change.new):
        steps = [_free_name(queue.scratch, "safemigrate_case"), change.new]
    else:
        queue.must_be_free(change.new, origin)
    for step in steps:
        for name, text in queue.full_text_over(table.name).items():
            queue.follow(name, full_text.read_from(text, step))
        sql = f"ALTER TABLE {quote(table.name)} RENAME TO {quote(step)}"
        upserts = triggers_with(queue.scratch, "excluded", table.name)
        queue.scratch.execute(sql)
        queue.also_native(Native(table.name, sql, origin, owner=table))
        # SQLite takes "excluded" of an upsert for the table and renames it too.
        for trigger in upserts:
            assert trigger.sql is not None
            queue.mend(trigger, rename_trigger_table(trigger.sql, table.name, step))
        queue.rename(table, step)
    _return_of_a_table(queue)


def _return_of_a_table(queue: Queue) -> None:
    """Let what waits for a table of that name follow it again."""
    if queue.waiting:
        queue.bring_waiting_back()
        queue.put_waiting_aside()


def recreate(queue: Queue, change: changes.Recreate, origin: Origin) -> None:
    table = queue.track(change.table, origin)
    table.force(origin)
    queue.by_edit(table)


def set_options(queue: Queue, change: changes.SetOptions, origin: Origin) -> None:
    table = queue.track(change.table, origin)
    text = queue.text(table)
    read = read_create_table(text)
    if change.autoincrement is False or (change.autoincrement and _takes_autoincrement(read)):
        text = edits.set_autoincrement(read_create_table(text), change.autoincrement)
    if change.strict is not None:
        text = edits.set_strict(read_create_table(text), change.strict)
    if change.without_rowid is not None:
        text = edits.set_without_rowid(read_create_table(text), change.without_rowid)
    queue.rewrite(table, text, origin)


def _takes_autoincrement(table: CreateTable) -> bool:
    """Whether ``sqlite_autoincrement`` means anything to SQLAlchemy for a table.

    It is for a single key of an integer type that is no foreign key; elsewhere it does nothing
    (``SQLiteDDLCompiler.get_column_specification``).
    """
    key = questions.primary_key_columns(table)
    column = questions.find_column(table, key[0]) if len(key) == 1 else None
    return (
        column is not None
        and questions.affinity_of_type(column.type) == "INTEGER"
        and not any(
            same_name(name, key[0])
            for each in questions.constraints_of_kind(table, "FOREIGN KEY")
            for name in each.column_names
        )
    )


def reorder(queue: Queue, change: changes.Reorder, origin: Origin) -> None:
    table = queue.track(change.table, origin)
    names = [each.name.value for each in queue.read(table).columns]
    order = _ordered(names, change.groups, origin)
    if order != names:
        name_inserted(queue, table)
        must_be_named(queue, table, origin)
    queue.rewrite(table, edits.reorder_columns(queue.read(table), order), origin)
    table.sort(order)


def _ordered(names: list[str], groups: tuple[tuple[str, ...], ...], origin: Origin) -> list[str]:
    """The names so that each group is in order: first those that no other has to stand before.

    So does Alembic, by SQLAlchemy's topological sort.
    """
    by_fold = {fold(name): name for name in names}
    after: dict[str, set[str]] = {name: set() for name in names}
    for group in groups:
        known = []
        for name in group:
            if fold(name) not in by_fold:
                raise refused(origin, f"there is no column {quote(name)}")
            known.append(by_fold[fold(name)])
        for first, second in itertools.pairwise(known):
            after[second].add(first)
    result: list[str] = []
    while len(result) < len(names):
        ready = [name for name in names if name not in result and after[name] <= set(result)]
        if not ready:
            raise refused(origin, "the orders that partial_reordering asks for contradict")
        result.extend(ready)
    return result


def _free_name(scratch: Scratch, stem: str) -> str:
    number = 1
    while any(scratch.find(kind, f"{stem}_{number}") for kind in ("table", "index", "view")):
        number += 1
    return f"{stem}_{number}"
