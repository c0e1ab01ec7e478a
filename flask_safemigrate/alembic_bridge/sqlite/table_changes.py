"""Changes of whole tables, made in the scratch database."""

from __future__ import annotations

import itertools

from flask_safemigrate.alembic_bridge.sqlite.dependents import (
    must_be_named,
    name_inserted,
    triggers_with,
)
from flask_safemigrate.alembic_bridge.sqlite.mirror import Mirror, is_internal
from flask_safemigrate.alembic_bridge.sqlite.replay import Native, Replay, refused
from flask_safemigrate.alembic_bridge.sqlite.tracked import TrackedTable
from flask_safemigrate.ddl import changes, edits, full_text, questions
from flask_safemigrate.ddl.changes import Origin
from flask_safemigrate.ddl.create_table import CreateTable, read_create_table
from flask_safemigrate.ddl.references import rename_trigger_table
from flask_safemigrate.ddl.tokens import fold, quote, same_name


def create_table(replay: Replay, change: changes.CreateTable, origin: Origin) -> None:
    mirror = replay.mirror
    if mirror.find("table", change.table) is not None and change.if_not_exists:
        return
    replay.must_be_free(change.table, origin)
    mirror.execute(change.sql)
    made = TrackedTable(change.table, None, None, [], origins=[origin])
    replay.tables[fold(change.table)] = made
    replay.also_native(Native(change.table, change.sql, origin, owner=made))
    _return_of_a_table(replay)


def drop_table(replay: Replay, change: changes.DropTable, origin: Origin) -> None:
    mirror = replay.mirror
    entry = mirror.find("table", change.table)
    if entry is None and change.if_exists:
        return
    if is_internal(change.table):
        raise refused(
            origin,
            f"table {quote(change.table)} belongs to SQLite, which does not let it be dropped",
            "take the line out of the revision",
        )
    replay.must_be_plain(change.table, origin)
    tracked = replay.tables.pop(fold(change.table), None)
    mirror.execute(f"DROP TABLE {quote(change.table)}")
    if tracked is None or tracked.origin is not None:
        assert entry is not None
        name = entry.name if tracked is None or tracked.origin is None else tracked.origin
        replay.dropped.append((name, origin))
        replay.steps.append(Native(change.table, f"DROP TABLE {quote(change.table)}", origin))
    replay.natives = None
    replay.put_waiting_aside()


def rename_table(replay: Replay, change: changes.RenameTable, origin: Origin) -> None:
    table = replay.track(change.table, origin)
    if table.name == change.new:
        return
    steps = [change.new]
    if same_name(table.name, change.new):
        steps = [_free_name(replay.mirror, "safemigrate_case"), change.new]
    else:
        replay.must_be_free(change.new, origin)
    for step in steps:
        for name, text in replay.full_text_over(table.name).items():
            replay.virtual[fold(name)] = full_text.read_from(text, step)
            replay.natives = None
        sql = f"ALTER TABLE {quote(table.name)} RENAME TO {quote(step)}"
        upserts = triggers_with(replay.mirror, "excluded", table.name)
        replay.mirror.execute(sql)
        replay.also_native(Native(table.name, sql, origin, owner=table))
        # SQLite takes "excluded" of an upsert for the table and renames it too.
        for trigger in upserts:
            assert trigger.sql is not None
            replay.mirror.execute(f"DROP TRIGGER {quote(trigger.name)}")
            replay.mirror.execute(rename_trigger_table(trigger.sql, table.name, step))
            replay.mended.add(fold(trigger.name))
            replay.natives = None
        del replay.tables[fold(table.name)]
        table.name = step
        replay.tables[fold(step)] = table
    _return_of_a_table(replay)


def _return_of_a_table(replay: Replay) -> None:
    """Let what waits for a table of that name follow it again."""
    if replay.waiting:
        replay.bring_waiting_back()
        replay.put_waiting_aside()


def recreate(replay: Replay, change: changes.Recreate, origin: Origin) -> None:
    table = replay.track(change.table, origin)
    table.forced = origin
    table.pending = True
    replay.natives = None


def set_options(replay: Replay, change: changes.SetOptions, origin: Origin) -> None:
    table = replay.track(change.table, origin)
    text = replay.text(table)
    read = read_create_table(text)
    if change.autoincrement is False or (change.autoincrement and _takes_autoincrement(read)):
        text = edits.set_autoincrement(read_create_table(text), change.autoincrement)
    if change.strict is not None:
        text = edits.set_strict(read_create_table(text), change.strict)
    if change.without_rowid is not None:
        text = edits.set_without_rowid(read_create_table(text), change.without_rowid)
    replay.rewrite(table, text, origin)


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


def reorder(replay: Replay, change: changes.Reorder, origin: Origin) -> None:
    table = replay.track(change.table, origin)
    names = [each.name.value for each in replay.read(table).columns]
    order = _ordered(names, change.groups, origin)
    if order != names:
        name_inserted(replay, table)
        must_be_named(replay, table, origin)
    replay.rewrite(table, edits.reorder_columns(replay.read(table), order), origin)
    table.columns.sort(key=lambda each: order.index(each.name))


def _ordered(names: list[str], groups: tuple[tuple[str, ...], ...], origin: Origin) -> list[str]:
    """The names so that each group is in order, else as they were."""
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
        result.append(ready[0])
    return result


def _free_name(mirror: Mirror, stem: str) -> str:
    number = 1
    while any(mirror.find(kind, f"{stem}_{number}") for kind in ("table", "index", "view")):
        number += 1
    return f"{stem}_{number}"
