"""Changes of columns, made in the scratch database."""

from __future__ import annotations

from flask_safemigrate.alter import changes
from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.alter.queue import views
from flask_safemigrate.alter.queue.dependents import (
    indexes_over,
    must_be_named,
    must_not_be_parent,
    name_inserted,
    protect_strings,
    used_by,
)
from flask_safemigrate.alter.queue.queue import (
    Native,
    Queue,
    is_database_error,
    null_rule,
    refused,
)
from flask_safemigrate.alter.queue.tracked import TrackedColumn, TrackedTable
from flask_safemigrate.ddl import edits, full_text, questions
from flask_safemigrate.ddl.create_table import read_create_table
from flask_safemigrate.ddl.tokens import fold, quote, same_name


def add_column(queue: Queue, change: changes.AddColumn, origin: Origin) -> None:
    table = queue.track(change.table, origin)
    text = queue.text(table)
    read = read_create_table(text)
    name = quote(change.column)
    there = questions.find_column(read, change.column)
    if there is not None:
        if change.if_not_exists:
            return
        hint = None
        if there.name.value != change.column:
            hint = (
                "SQLite does not tell upper from lower case; to change it:"
                f" op.alter_column({table.name!r}, {there.name.value!r},"
                f" new_column_name={change.column!r})"
            )
        raise refused(
            origin,
            f"table {quote(table.name)} already has a column {quote(there.name.value)}",
            hint,
        )
    probe = read_create_table(f"CREATE TABLE x ({change.definition}\n)")
    column = probe.columns[0]
    default = column.of_kind("DEFAULT")
    value = default[-1].value.of(probe.sql) if default and default[-1].value is not None else None
    computed = questions.is_generated(column)
    literal = "NULL" if value is None else queue.scratch.literal(column.type, value)
    fill = None if computed or literal == "NULL" else (literal or value)
    constant = literal is not None
    given = None if computed else change.fill
    if given is not None:
        fill, constant = (None if given.sql == "NULL" else given.sql), given.constant
    not_null = questions.is_not_null(column)
    filled = 0
    if not computed and (literal is None or (not_null and fill is None)):
        filled = queue.has_rows(table)
    if not_null and fill is None and not computed and filled:
        raise refused(
            origin,
            f"column {quote(table.name)}.{name} is NOT NULL and has no default, but the table has"
            f" {filled:,} {'row' if filled == 1 else 'rows'}",
            "give it a server_default, or add it as nullable, fill it, and then set it NOT NULL",
        )
    alter = f"ALTER TABLE {quote(table.name)} ADD COLUMN {change.definition}"
    plain = (
        change.before is None
        and change.after is None
        and not (filled and literal is None)
        and (given is None or (constant and fill == (None if literal == "NULL" else literal)))
        and not any(column.of_kind(kind) for kind in ("CHECK", "FOREIGN KEY", "UNIQUE"))
        and not (computed and questions.is_stored(column))
        and not column.of_kind("PRIMARY KEY")
    )
    if table.before is not None or queue.scratch.belonging(table.name, "trigger"):
        name_inserted(queue, table)
        if change.before is not None or change.after is not None:
            must_be_named(queue, table, origin)
    protect_strings(queue, table, change.column)
    new = edits.add_column(read, change.definition, before=change.before, after=change.after)
    # A comment would swallow what SQLite writes behind it.
    native = plain and not table.pending and "--" not in new and "/*" not in new
    queue.rewrite(table, new, origin, native=alter if native else None)
    if table.before is None:
        return
    names = [each.name.value for each in queue.read(table).columns]
    added = TrackedColumn(
        column.name.value,
        None,
        fill,
        constant,
        column.name.value if native else None,
        origin if not_null else None,
        added_by=origin,
    )
    place = next(i for i, each in enumerate(names) if same_name(each, change.column))
    table.insert(place, added)


def drop_column(queue: Queue, change: changes.DropColumn, origin: Origin) -> None:
    table = queue.track(change.table, origin)
    read = queue.read(table)
    name = f"{quote(table.name)}.{quote(change.column)}"
    column = questions.find_column(read, change.column)
    if column is None:
        if change.if_exists:
            return
        raise refused(origin, f"table {quote(table.name)} has no column {quote(change.column)}")
    must_be_named(queue, table, origin)
    indexes = indexes_over(queue, table, change.column, origin)
    views = queue.scratch.view_columns()
    key = questions.primary_key_columns(read)
    in_key = any(same_name(part, change.column) for part in key)
    if in_key:
        must_not_be_parent(queue, table, name, origin)
    for mine, theirs in queue.scratch.db.execute(
        'SELECT "from", "to" FROM pragma_foreign_key_list(?) WHERE "table" = ? COLLATE NOCASE',
        (table.name, table.name),
    ).fetchall():
        if not same_name(mine, change.column) and (
            same_name(theirs, change.column) if theirs is not None else in_key
        ):
            raise used_by(origin, name, [f"the foreign key of column {quote(mine)}"])
    for index in indexes:
        queue.drop_index(index, table.name, origin)
    if not _dropped_natively(queue, table, change.column, origin):
        table.leave(change.column)
        queue.rewrite(table, edits.drop_column(queue.read(table), change.column), origin)
    left = [found for found in views if found not in queue.scratch.view_columns()]
    if left:
        raise used_by(origin, name, [f"view {quote(view)}" for view in left])
    table.remove(change.column)


def _dropped_natively(queue: Queue, table: TrackedTable, column: str, origin: Origin) -> bool:
    sql = f"ALTER TABLE {quote(table.name)} DROP COLUMN {quote(column)}"
    before = queue.text(table)
    if not queue.gives(table, sql, edits.drop_column(queue.read(table), column)):
        return False
    if table.origin is not None:
        table.realign(before, queue.text(table), origin)
    tracked = table.column(column)
    real = not table.pending and (tracked is None or tracked.real is not None)
    if not real:
        table.leave(column)
    queue.also_native(Native(table.name, sql, origin, owner=table), real=real)
    return True


def alter_column(queue: Queue, change: changes.AlterColumn, origin: Origin) -> None:
    table = queue.track(change.table, origin)
    column = change.column
    read = queue.read(table)
    found = questions.find_column(read, column)
    if found is None:
        raise refused(origin, f"table {quote(table.name)} has no column {quote(column)}")
    tracked = table.column(column)
    if change.nullable is not None:
        was = questions.is_not_null(found)
        alter = f"ALTER COLUMN {quote(column)}"
        if change.nullable:
            wanted = edits.drop_not_null(read, column)
            queue.rewrite_or_alter(table, wanted, f"{alter} DROP NOT NULL", origin)
        else:
            wanted = edits.set_not_null(read, column)
            queue.rewrite_or_alter(
                table,
                wanted,
                f"{alter} SET NOT NULL",
                origin,
                null_rule(table.name, found.name.value),
            )
            if not was and tracked is not None:
                tracked.set_not_null(origin, table.name)
    if not isinstance(change.default, changes._Keep):
        if questions.is_generated(found):
            raise refused(
                origin,
                f"column {quote(table.name)}.{quote(column)} is computed, it has no default",
            )
        read = queue.read(table)
        if change.default is None:
            queue.rewrite(table, edits.drop_default(read, column), origin)
        else:
            queue.rewrite(table, edits.set_default(read, column, change.default), origin)
            if tracked is not None:
                tracked.set_default(origin)
    alias = questions.rowid_alias(queue.read(table))
    if (
        change.type is not None
        and alias is not None
        and same_name(alias, column)
        and questions.affinity_of_type(change.type) == "INTEGER"
    ):
        # INTEGER holds 64 bits; any other word for it would end the numbering of new rows.
        pass
    elif change.type is not None:
        queue.rewrite(table, edits.set_type(queue.read(table), column, change.type), origin)
        if tracked is not None:
            tracked.set_type(origin)
            affinity = questions.affinity_of_type(change.type)
            if change.cast or affinity != questions.affinity_of_type(found.type):
                tracked.set_cast(change.cast)
    if change.collation is not None:
        read = queue.read(table)
        queue.rewrite(table, edits.set_collation(read, column, change.collation), origin)
    if change.new_name is not None and change.new_name != found.name.value:
        sql = (
            f"ALTER TABLE {quote(table.name)} RENAME COLUMN {quote(column)}"
            f" TO {quote(change.new_name)}"
        )
        protect_strings(queue, table, change.new_name)
        real = tracked is None or tracked.real is not None
        queue.move_ghost(table, change.new_name, origin)
        for step in _renaming(queue, table, sql, found.name.value, change.new_name):
            queue.native(table, step, origin, real=real)
        _rename_in_full_text(queue, table, found.name.value, change.new_name)
        if tracked is not None:
            tracked.rename(change.new_name, real=real)


def _rename_in_full_text(queue: Queue, table: TrackedTable, old: str, new: str) -> None:
    """Let the full text tables that read the table have its names, and what uses them too."""
    for name, text in queue.full_text_over(table.name).items():
        wanted = full_text.rename_column(text, old, new)
        if wanted == text:
            continue
        queue.follow(name, wanted)
        if any(same_name(each, old) for each in full_text.columns(text)):
            queue.scratch.execute(
                f"ALTER TABLE {quote(name)} RENAME COLUMN {quote(old)} TO {quote(new)}"
            )


def must_be_stored_first(queue: Queue, change: changes.Change) -> bool:
    """Whether values have to take the type they have in the queue before they take the next.

    A copy converts from the stored type to the last; a type between them would leave no trace,
    nor would the one that an expression's value took when the column was added.
    """
    if not isinstance(change, changes.AlterColumn) or change.type is None:
        return False
    table = queue.tables.get(fold(change.table))
    column = table.column(change.column) if table is not None else None
    if table is None or table.before is None or column is None:
        return False
    now = questions.find_column(queue.read(table), change.column)
    affinity = questions.affinity_of_type(now.type) if now is not None else None
    wanted = questions.affinity_of_type(change.type)
    if affinity == wanted:
        return False
    if column.origin is None:
        # A literal takes another affinity as stored values do, but text does not become bytes.
        written = column.constant and not (change.cast and "BLOB" in (affinity, wanted))
        return column.fill is not None and (not written or column.typed_by is not None)
    stored = table.before.column(column.origin)
    return stored is not None and stored.affinity != affinity


def _renaming(queue: Queue, table: TrackedTable, sql: str, old: str, new: str) -> list[str]:
    """SQLite's statement, and what it takes to keep the columns of views where it fails."""
    with queue.scratch.rehearsal():
        try:
            queue.scratch.execute(sql)
            return [sql]
        except Exception as error:
            if not is_database_error(error) or " after rename: " not in str(error):
                raise
    return views.rename_under(queue.scratch, table.name, sql, old, new)
