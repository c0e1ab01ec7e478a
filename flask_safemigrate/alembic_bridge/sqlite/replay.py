"""Applies queued changes to the scratch database and keeps track of what becomes of what."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from flask_safemigrate.alembic_bridge.sqlite import naming, views
from flask_safemigrate.alembic_bridge.sqlite.mirror import Entry, Mirror, Raw, entries_of
from flask_safemigrate.alembic_bridge.sqlite.tracked import TrackedColumn, TrackedTable
from flask_safemigrate.ddl import changes, edits, questions
from flask_safemigrate.ddl.changes import Origin
from flask_safemigrate.ddl.create_table import CreateTable, read_create_table
from flask_safemigrate.ddl.rebuild import same_text
from flask_safemigrate.ddl.references import (
    inserts_by_position,
    name_inserted_columns,
    quote_strings_in_index,
    rename_trigger_table,
)
from flask_safemigrate.ddl.tokens import DDLError, fold, quote, same_name
from flask_safemigrate.errors import OperationRefused, SafeMigrateError

Rows = Callable[[str], int]
"""How many rows a table of the real database has."""


def refused(origin: Origin, message: str, hint: str | None = None) -> OperationRefused:
    """An error that names revision and operation."""
    where = f'Revision "{origin.revision}", ' if origin.revision is not None else ""
    return OperationRefused(f"{where}{origin.operation}: {message}", hint=hint)


class Rule(NamedTuple):
    """What no row must do, and how to say that some do.

    :ivar condition: SQL that is true for a row that does.
    """

    condition: str
    what: str
    hint: str


class Native(NamedTuple):
    """A statement of SQLite that does on the real database what was done here.

    :ivar makes: the index that it makes, if any.
    :ivar owner: the table that it changes, where that one is tracked.
    :ivar rule: why SQLite may refuse it.
    """

    table: str
    sql: str
    origin: Origin
    makes: str | None = None
    owner: TrackedTable | None = None
    rule: Rule | None = None


def null_rule(table: str, column: str) -> Rule:
    """No row has NULL in the column."""
    return Rule(
        # Not IS NULL, which SQLite takes for false where the text says NOT NULL.
        f"typeof({quote(column)}) = 'null'",
        f"have NULL in {quote(table)}.{quote(column)}",
        f"""op.execute("UPDATE {table} SET {column} = ... WHERE {column} IS NULL") before it""",
    )


def check_rule(expression: str, name: str | None) -> Rule:
    """No row breaks the CHECK."""
    called = f" {quote(name)}" if name is not None else ""
    return Rule(
        f"NOT ({expression}\n)",
        f"break CHECK{called} ({' '.join(expression.split())})",
        "change or delete these rows before it",
    )


class Replay:
    """The queue: the scratch database with all queued changes made.

    :param rows: counts the rows of a real table; called while nothing but the queue is open.
    """

    def __init__(self, mirror: Mirror, rows: Rows) -> None:
        self.mirror = mirror
        self._rows = rows
        self.restart()

    def restart(self) -> None:
        """Begin a new queue at the present state of the scratch database."""
        self._started: list[Raw] | None = None
        self.tables: dict[str, TrackedTable] = {}
        self.dropped: list[tuple[str, Origin]] = []
        self.index_origins: dict[str, Origin] = {}
        # Triggers, by folded names, that got another text here than SQLite gives them.
        self.mended: set[str] = set()
        # Statements that do all of the queue, None where there are none; and those that do what
        # they can, after which only tables that are pending differ.
        self.natives: list[Native] | None = []
        self.steps: list[Native] = []
        self.count = 0

    @property
    def empty(self) -> bool:
        return self.count == 0

    @property
    def started(self) -> list[Entry]:
        """The objects of the scratch database when the queue began."""
        return entries_of(self._started or ())

    def apply(self, change: changes.Change, origin: Origin) -> None:
        """Make one change in the scratch database.

        :raises OperationRefused: it cannot be made; the message names revision and operation.
        """
        if self._started is None:
            self._started = self.mirror.rows()
        handler: Any = _HANDLERS[type(change)]
        try:
            handler(self, change, origin)
        except DDLError as error:
            raise refused(origin, error.message, error.hint) from error
        except SafeMigrateError as error:
            if error.message.startswith(("Revision ", origin.operation)):
                raise
            raise refused(origin, error.message, error.hint) from error
        except Exception as error:
            if not is_database_error(error):
                raise
            raise refused(origin, _sentence(str(error))) from error
        self.count += 1

    # ------------------------------------------------------------ what is there

    def track(self, name: str, origin: Origin) -> TrackedTable:
        """The table of that name, remembered as one that changes."""
        found = self.tables.get(fold(name))
        if found is None:
            self._must_be_plain(name, origin)
            shape = self.mirror.shape(name)
            found = TrackedTable(
                name=shape.name,
                origin=shape.name,
                before=shape,
                columns=[
                    TrackedColumn(each.name, each.name, real=each.name) for each in shape.columns
                ],
            )
            self.tables[fold(name)] = found
        found.note(origin)
        return found

    def _must_be_plain(self, name: str, origin: Origin) -> None:
        if fold(name) in self.mirror.loaded.virtual:
            raise refused(origin, f"table {quote(name)} is virtual and cannot be altered")
        reason = self.mirror.loaded.aside.get(("table", fold(name)))
        if reason is not None:
            raise refused(origin, f"table {quote(name)} cannot be read: {reason}")
        if self.mirror.find("table", name) is None:
            if self.mirror.find("view", name) is not None:
                raise refused(origin, f"{quote(name)} is a view, not a table")
            raise refused(origin, f"there is no table {quote(name)}")

    def _must_be_free(self, name: str, origin: Origin) -> None:
        for kind in ("table", "view", "index"):
            if self.mirror.find(kind, name) is not None:
                raise refused(origin, f"there is already a {kind} {quote(name)}")

    def text(self, table: TrackedTable) -> str:
        entry = self.mirror.find("table", table.name)
        assert entry is not None
        assert entry.sql is not None
        return entry.sql

    def read(self, table: TrackedTable) -> CreateTable:
        return read_create_table(self.text(table))

    def has_rows(self, table: TrackedTable) -> int:
        """How many rows the real table has."""
        return self._rows(table.origin) if table.origin is not None else 0

    # ------------------------------------------------------------ how it changes

    def rewrite(
        self, table: TrackedTable, sql: str, origin: Origin, *, native: str | None = None
    ) -> None:
        """Give the table another text.

        :param native: the statement of SQLite that does the same on the real table, if any.
        """
        before = self.text(table)
        if sql == before:
            return
        self.mirror.replace_table(table.name, sql)
        if table.origin is None:
            # It will be made with its last text.
            return
        table.realign(before, self.text(table), origin)
        if native is not None:
            self.also_native(Native(table.name, native, origin, owner=table))
            return
        table.pending = True
        self.natives = None

    def native(self, table: TrackedTable, sql: str, origin: Origin, *, real: bool) -> None:
        """Let SQLite alter the table by a statement that does the same on the real one.

        :param real: whether it does so on a real table that lacks what is pending.
        """
        before = self.text(table)
        self.mirror.execute(sql)
        if table.origin is not None:
            table.realign(before, self.text(table), origin)
        self.also_native(Native(table.name, sql, origin, owner=table), real=real)

    def also_native(self, step: Native, *, real: bool = True) -> None:
        """Note a statement that was made in the scratch database already."""
        if self.natives is not None:
            self.natives.append(step)
        if real:
            self.steps.append(step)


#: Modules of the sqlite3 kind.
_DRIVERS = ("sqlite3", "pysqlite", "sqlcipher", "pysqlcipher", "sqlean")


def is_database_error(error: Exception) -> bool:
    """Whether it is the driver's, and not that of a bug or an interruption."""
    return any(
        base.__name__ == "Error" and base.__module__.lower().startswith(_DRIVERS)
        for base in type(error).__mro__
    )


def _sentence(message: str) -> str:
    return f"SQLite says: {message}"


# ---------------------------------------------------------------- tables


def _create_table(replay: Replay, change: changes.CreateTable, origin: Origin) -> None:
    mirror = replay.mirror
    if mirror.find("table", change.table) is not None and change.if_not_exists:
        return
    replay._must_be_free(change.table, origin)
    mirror.execute(change.sql)
    made = TrackedTable(change.table, None, None, [], origins=[origin])
    replay.tables[fold(change.table)] = made
    replay.also_native(Native(change.table, change.sql, origin, owner=made))


def _drop_table(replay: Replay, change: changes.DropTable, origin: Origin) -> None:
    mirror = replay.mirror
    entry = mirror.find("table", change.table)
    if entry is None and change.if_exists:
        return
    replay._must_be_plain(change.table, origin)
    tracked = replay.tables.pop(fold(change.table), None)
    mirror.execute(f"DROP TABLE {quote(change.table)}")
    if tracked is None or tracked.origin is not None:
        assert entry is not None
        name = entry.name if tracked is None or tracked.origin is None else tracked.origin
        replay.dropped.append((name, origin))
        replay.steps.append(Native(change.table, f"DROP TABLE {quote(change.table)}", origin))
    replay.natives = None


def _rename_table(replay: Replay, change: changes.RenameTable, origin: Origin) -> None:
    table = replay.track(change.table, origin)
    if table.name == change.new:
        return
    steps = [change.new]
    if same_name(table.name, change.new):
        steps = [_free_name(replay.mirror, "safemigrate_case"), change.new]
    else:
        replay._must_be_free(change.new, origin)
    for step in steps:
        sql = f"ALTER TABLE {quote(table.name)} RENAME TO {quote(step)}"
        upserts = _triggers(replay.mirror, "excluded", table.name)
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


def _triggers(mirror: Mirror, *words: str) -> list[Entry]:
    """The triggers whose text has all these words somewhere."""
    return [
        each
        for each in mirror.entries()
        if each.type == "trigger"
        and each.sql is not None
        and all(fold(word) in fold(each.sql) for word in words)
    ]


def _inserting_by_position(replay: Replay, table: TrackedTable) -> list[Entry]:
    return [
        each
        for each in _triggers(replay.mirror, table.name, "into")
        if each.sql is not None and inserts_by_position(each.sql, table.name)
    ]


def _must_be_named(replay: Replay, table: TrackedTable, origin: Origin) -> None:
    """Refuse where a trigger inserts by position, for the positions are about to change."""
    found = [each.name for each in _inserting_by_position(replay, table)]
    if found:
        raise refused(
            origin,
            f"trigger {quote(found[0])} inserts into table {quote(table.name)} without naming the"
            " columns, and would put values into the wrong ones",
            "write the columns into the trigger's INSERT first",
        )


def _name_inserted(replay: Replay, table: TrackedTable) -> None:
    """Let triggers that insert by position go on to fill the columns they fill now."""
    for trigger in _inserting_by_position(replay, table):
        assert trigger.sql is not None
        columns = [
            each.name.value
            for each in replay.read(table).columns
            if not questions.is_generated(each)
        ]
        sql = name_inserted_columns(trigger.sql, table.name, columns)
        if sql != trigger.sql:
            replay.mirror.execute(f"DROP TRIGGER {quote(trigger.name)}")
            replay.mirror.execute(sql)
            replay.mended.add(fold(trigger.name))
            replay.natives = None


def _protect_strings(replay: Replay, table: TrackedTable, column: str) -> None:
    """Words in double quotes that are strings stay strings when a column of that name comes."""
    for entry in replay.mirror.belonging(table.name, "index"):
        assert entry.sql is not None
        sql = quote_strings_in_index(entry.sql, column)
        if sql != entry.sql:
            replay.mirror.execute(f"DROP INDEX {quote(entry.name)}")
            replay.mirror.execute(sql)
            replay.natives = None
            table.pending = True


def _free_name(mirror: Mirror, stem: str) -> str:
    number = 1
    while any(mirror.find(kind, f"{stem}_{number}") for kind in ("table", "index", "view")):
        number += 1
    return f"{stem}_{number}"


def _recreate(replay: Replay, change: changes.Recreate, origin: Origin) -> None:
    table = replay.track(change.table, origin)
    table.forced = origin
    table.pending = True
    replay.natives = None


def _set_options(replay: Replay, change: changes.SetOptions, origin: Origin) -> None:
    table = replay.track(change.table, origin)
    text = replay.text(table)
    if change.autoincrement is not None:
        text = edits.set_autoincrement(read_create_table(text), change.autoincrement)
    if change.strict is not None:
        text = edits.set_strict(read_create_table(text), change.strict)
    if change.without_rowid is not None:
        text = edits.set_without_rowid(read_create_table(text), change.without_rowid)
    replay.rewrite(table, text, origin)


def _reorder(replay: Replay, change: changes.Reorder, origin: Origin) -> None:
    table = replay.track(change.table, origin)
    names = [each.name.value for each in replay.read(table).columns]
    order = _ordered(names, change.groups, origin)
    if order != names:
        _name_inserted(replay, table)
        _must_be_named(replay, table, origin)
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


# ---------------------------------------------------------------- columns


def _constant(mirror: Mirror, declared: str, default: str) -> str | None:
    """The literal that SQLite reads for rows that do not store a column; None: it must compute."""
    from flask_safemigrate.alembic_bridge.sqlite.constants import literal

    return literal(mirror, declared, default)


def _add_column(replay: Replay, change: changes.AddColumn, origin: Origin) -> None:
    table = replay.track(change.table, origin)
    text = replay.text(table)
    read = read_create_table(text)
    name = quote(change.column)
    if questions.find_column(read, change.column) is not None:
        if change.if_not_exists:
            return
        raise refused(origin, f"table {quote(table.name)} already has a column {name}")
    probe = read_create_table(f"CREATE TABLE x ({change.definition}\n)")
    column = probe.columns[0]
    default = column.of_kind("DEFAULT")
    value = default[-1].value.of(probe.sql) if default and default[-1].value is not None else None
    computed = questions.is_generated(column)
    literal = "NULL" if value is None else _constant(replay.mirror, column.type, value)
    fill = None if computed or literal == "NULL" else (literal or value)
    not_null = questions.is_not_null(column)
    filled = 0
    if not computed and (literal is None or (not_null and fill is None)):
        filled = replay.has_rows(table)
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
        and not any(column.of_kind(kind) for kind in ("CHECK", "FOREIGN KEY", "UNIQUE"))
        and not (computed and questions.is_stored(column))
        and not column.of_kind("PRIMARY KEY")
    )
    if table.before is not None or replay.mirror.belonging(table.name, "trigger"):
        _name_inserted(replay, table)
        if change.before is not None or change.after is not None:
            _must_be_named(replay, table, origin)
    _protect_strings(replay, table, change.column)
    new = edits.add_column(read, change.definition, before=change.before, after=change.after)
    # A comment would swallow what SQLite writes behind it.
    native = plain and not table.pending and "--" not in new and "/*" not in new
    replay.rewrite(table, new, origin, native=alter if native else None)
    if table.before is None:
        return
    names = [each.name.value for each in replay.read(table).columns]
    added = TrackedColumn(
        column.name.value,
        None,
        fill,
        literal is not None,
        column.name.value if native else None,
        origin if not_null else None,
    )
    place = next(i for i, each in enumerate(names) if same_name(each, change.column))
    table.columns.insert(place, added)


def _drop_column(replay: Replay, change: changes.DropColumn, origin: Origin) -> None:
    table = replay.track(change.table, origin)
    read = replay.read(table)
    name = f"{quote(table.name)}.{quote(change.column)}"
    column = questions.find_column(read, change.column)
    if column is None:
        if change.if_exists:
            return
        raise refused(origin, f"table {quote(table.name)} has no column {quote(change.column)}")
    _must_be_named(replay, table, origin)
    indexes = _users(replay, table, change.column, origin)
    views = replay.mirror.view_columns()
    key = questions.primary_key_columns(read)
    in_key = any(same_name(part, change.column) for part in key)
    if in_key:
        _must_not_be_parent(replay, table, name, origin)
    for mine, theirs in replay.mirror.db.execute(
        'SELECT "from", "to" FROM pragma_foreign_key_list(?) WHERE "table" = ? COLLATE NOCASE',
        (table.name, table.name),
    ).fetchall():
        if not same_name(mine, change.column) and (
            same_name(theirs, change.column) if theirs is not None else in_key
        ):
            raise _used(origin, name, [f"the foreign key of column {quote(mine)}"])
    for index in indexes:
        sql = f"DROP INDEX {quote(index)}"
        replay.mirror.execute(sql)
        replay.index_origins.pop(fold(index), None)
        replay.also_native(Native(table.name, sql, origin, owner=table), real=not table.pending)
    if not _dropped_natively(replay, table, change.column, origin):
        tracked = table.column(change.column)
        if tracked is not None and tracked.real is not None:
            table.ghosts.append(tracked.real)
        replay.rewrite(table, edits.drop_column(replay.read(table), change.column), origin)
    left = [found for found in views if found not in replay.mirror.view_columns()]
    if left:
        raise _used(origin, name, [f"view {quote(view)}" for view in left])
    table.columns = [each for each in table.columns if not same_name(each.name, change.column)]


def _dropped_natively(replay: Replay, table: TrackedTable, column: str, origin: Origin) -> bool:
    sql = f"ALTER TABLE {quote(table.name)} DROP COLUMN {quote(column)}"
    before = replay.text(table)
    if not _gives(replay, table, sql, edits.drop_column(replay.read(table), column)):
        return False
    if table.origin is not None:
        table.realign(before, replay.text(table), origin)
    tracked = table.column(column)
    real = not table.pending and (tracked is None or tracked.real is not None)
    if not real and tracked is not None and tracked.real is not None:
        table.ghosts.append(tracked.real)
    replay.also_native(Native(table.name, sql, origin, owner=table), real=real)
    return True


def _gives(replay: Replay, table: TrackedTable, sql: str, wanted: str) -> bool:
    """Let SQLite make a change; undo it and say no where it cannot, or makes another one."""
    replay.mirror.db.execute("SAVEPOINT trying")
    try:
        replay.mirror.execute(sql)
        if same_text(replay.text(table), wanted):
            return True
        replay.mirror.db.execute("ROLLBACK TO trying")
        return False
    except Exception as error:
        replay.mirror.db.execute("ROLLBACK TO trying")
        if not is_database_error(error):
            raise
        return False
    finally:
        replay.mirror.db.execute("RELEASE trying")


def _rewrite_or_alter(
    replay: Replay,
    table: TrackedTable,
    wanted: str,
    alter: str,
    origin: Origin,
    rule: Rule | None = None,
) -> None:
    """Give the table another text; by a statement that SQLite has since 3.53, where it has it.

    :param alter: the statement after the table's name
        (https://sqlite.org/lang_altertable.html#alter_table_drop_constraint).
    """
    before = replay.text(table)
    sql = f"ALTER TABLE {quote(table.name)} {alter}"
    if (
        replay.mirror.version < (3, 53)
        or table.origin is None
        or table.pending
        or wanted == before
        or not _gives(replay, table, sql, wanted)
    ):
        replay.rewrite(table, wanted, origin)
        return
    table.realign(before, replay.text(table), origin)
    replay.also_native(Native(table.name, sql, origin, owner=table, rule=rule))


def _used(origin: Origin, name: str, users: list[str]) -> OperationRefused:
    verb = "uses" if len(users) == 1 else "use"
    first = users[0] if users[0].startswith(("view", "trigger")) else None
    return refused(
        origin,
        f"{', '.join(users)} {verb} column {name}",
        "drop or change what uses it first"
        + (f", for example with op.execute({f'DROP {first}'!r})" if first is not None else ""),
    )


def _users(replay: Replay, table: TrackedTable, column: str, origin: Origin) -> list[str]:
    """The indexes over a column; refuses where something else outside the table uses it.

    Found by letting SQLite rename the column: whatever text has the new word named it. (That a
    text changes says nothing: SQLite also puts strings from double into single quotes.)
    """
    mirror = replay.mirror
    name = f"{quote(table.name)}.{quote(column)}"
    before = {(each.type, each.name): each for each in mirror.entries()}
    spare = "safemigrate_gone"
    while any(spare in fold(each.sql or "") for each in before.values()):
        spare += "_"
    with mirror.rehearsal():
        try:
            mirror.execute(
                f"ALTER TABLE {quote(table.name)} RENAME COLUMN {quote(column)} TO {quote(spare)}"
            )
        except Exception as error:
            if not is_database_error(error):
                raise
            match = re.match(r"error in (view|trigger) (.+?)(?: after rename)?: ", str(error))
            if match is None:
                raise
            raise _used(origin, name, [f"{match.group(1)} {quote(match.group(2))}"]) from error
        after = {(each.type, each.name): each for each in mirror.entries()}
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
        raise _used(origin, name, users)
    return [each.name for each in changed if each.type == "index"]


def _must_not_be_parent(replay: Replay, table: TrackedTable, name: str, origin: Origin) -> None:
    """Refuse where a foreign key means the primary key without naming it."""
    for entry in replay.mirror.entries():
        if entry.type != "table" or same_name(entry.name, table.name):
            continue
        keys = replay.mirror.db.execute(
            'SELECT "table", "to" FROM pragma_foreign_key_list(?)', (entry.name,)
        ).fetchall()
        if any(same_name(parent, table.name) and to is None for parent, to in keys):
            raise _used(origin, name, [f"the foreign key of table {quote(entry.name)}"])


def _alter_column(replay: Replay, change: changes.AlterColumn, origin: Origin) -> None:
    table = replay.track(change.table, origin)
    column = change.column
    read = replay.read(table)
    found = questions.find_column(read, column)
    if found is None:
        raise refused(origin, f"table {quote(table.name)} has no column {quote(column)}")
    tracked = table.column(column)
    if change.nullable is not None:
        was = questions.is_not_null(found)
        alter = f"ALTER COLUMN {quote(column)}"
        if change.nullable:
            wanted = edits.drop_not_null(read, column)
            _rewrite_or_alter(replay, table, wanted, f"{alter} DROP NOT NULL", origin)
        else:
            wanted = edits.set_not_null(read, column)
            _rewrite_or_alter(
                replay,
                table,
                wanted,
                f"{alter} SET NOT NULL",
                origin,
                null_rule(table.name, found.name.value),
            )
            if not was and tracked is not None:
                tracked.not_null_by = origin
    if not isinstance(change.default, changes._Keep):
        if questions.is_generated(found):
            raise refused(
                origin,
                f"column {quote(table.name)}.{quote(column)} is computed, it has no default",
            )
        read = replay.read(table)
        if change.default is None:
            replay.rewrite(table, edits.drop_default(read, column), origin)
        else:
            replay.rewrite(table, edits.set_default(read, column, change.default), origin)
    alias = questions.rowid_alias(replay.read(table))
    if (
        change.type is not None
        and alias is not None
        and same_name(alias, column)
        and questions.affinity_of_type(change.type) == "INTEGER"
    ):
        # INTEGER holds 64 bits; any other word for it would end the numbering of new rows.
        pass
    elif change.type is not None:
        replay.rewrite(table, edits.set_type(replay.read(table), column, change.type), origin)
        if tracked is not None:
            tracked.typed_by = origin
    if change.collation is not None:
        read = replay.read(table)
        replay.rewrite(table, edits.set_collation(read, column, change.collation), origin)
    if change.new_name is not None and change.new_name != found.name.value:
        sql = (
            f"ALTER TABLE {quote(table.name)} RENAME COLUMN {quote(column)}"
            f" TO {quote(change.new_name)}"
        )
        _protect_strings(replay, table, change.new_name)
        real = tracked is None or tracked.real is not None
        _move_ghost(replay, table, change.new_name, origin)
        for step in _renaming(replay, table, sql, found.name.value, change.new_name):
            replay.native(table, step, origin, real=real)
        if tracked is not None:
            tracked.name = change.new_name
            tracked.real = change.new_name if real else None


def _move_ghost(replay: Replay, table: TrackedTable, name: str, origin: Origin) -> None:
    """Where the real table still has a dropped column of that name, give that another name."""
    for ghost in table.ghosts:
        if same_name(ghost, name):
            spare = f"_safemigrate_gone_{len(replay.steps)}"
            sql = f"ALTER TABLE {quote(table.name)} RENAME COLUMN {quote(ghost)} TO {quote(spare)}"
            replay.steps.append(Native(table.name, sql, origin, owner=table))
            table.ghosts.remove(ghost)
            table.ghosts.append(spare)
            return


def _renaming(replay: Replay, table: TrackedTable, sql: str, old: str, new: str) -> list[str]:
    """SQLite's statement, and what it takes to keep the columns of views where it fails."""
    with replay.mirror.rehearsal():
        try:
            replay.mirror.execute(sql)
            return [sql]
        except Exception as error:
            if not is_database_error(error) or " after rename: " not in str(error):
                raise
    return views.rename_under(replay.mirror, table.name, sql, old, new)


# ---------------------------------------------------------------- constraints


def _add_constraint(replay: Replay, change: changes.AddConstraint, origin: Origin) -> None:
    table = replay.track(change.table, origin)
    read = replay.read(table)
    if change.restates and any(
        same_text(each.span.of(read.sql), change.sql)
        or (change.name is None and same_text(each.body.of(read.sql), change.sql))
        for each in read.all_constraints
    ):
        return
    if change.name is not None and questions.constraints_named(read, change.name):
        raise refused(
            origin, f"table {quote(table.name)} already has a constraint {quote(change.name)}"
        )
    if change.kind == "primary":
        if questions.primary_key(read) is not None:
            raise refused(origin, f"table {quote(table.name)} already has a primary key")
        text = read.sql
        for column in change.columns:
            tracked = table.column(column)
            at = read_create_table(text)
            there = questions.find_column(at, column)
            if there is None:
                raise refused(origin, f"table {quote(table.name)} has no column {quote(column)}")
            if not questions.is_not_null(there):
                text = edits.set_not_null(at, column)
                if tracked is not None:
                    tracked.not_null_by = origin
        replay.rewrite(table, edits.add_constraint(read_create_table(text), change.sql), origin)
        return
    # Not by SQLite's ADD CONSTRAINT, which fails on rows for which the CHECK is NULL.
    replay.rewrite(table, edits.add_constraint(read, change.sql), origin)


def _drop_constraint(replay: Replay, change: changes.DropConstraint, origin: Origin) -> None:
    table = replay.track(change.table, origin)
    read = replay.read(table)
    found = naming.find_constraint(read, change)
    if found is None:
        if change.if_exists or change.implied:
            return
        index = next((replay.mirror.find("index", name) for name in change.names), None)
        if index is not None and same_name(index.table, table.name):
            raise refused(
                origin,
                f"{quote(index.name)} is an index of table {quote(table.name)}, no constraint",
                f'op.drop_index("{index.name}", table_name="{table.name}")',
            )
        raise refused(*naming.not_found(read, change, origin))
    if found.kind == "PRIMARY KEY":
        replay.rewrite(table, edits.drop_primary_key(read), origin)
    elif found.kind == "CHECK" and found.name is not None:
        wanted = edits.drop_constraint(read, found)
        alter = f"DROP CONSTRAINT {quote(found.name.value)}"
        _rewrite_or_alter(replay, table, wanted, alter, origin)
    else:
        replay.rewrite(table, edits.drop_constraint(read, found), origin)


# ---------------------------------------------------------------- indexes


def _create_index(replay: Replay, change: changes.CreateIndex, origin: Origin) -> None:
    if replay.mirror.find("index", change.index) is not None:
        if change.if_not_exists:
            return
        raise refused(origin, f"there is already an index {quote(change.index)}")
    replay._must_be_plain(change.table, origin)
    replay.mirror.execute(change.sql)
    replay.index_origins[fold(change.index)] = origin
    tracked = replay.tables.get(fold(change.table))
    replay.also_native(
        Native(change.table, change.sql, origin, change.index, tracked),
        real=tracked is None or not tracked.pending,
    )
    if tracked is not None:
        tracked.note(origin)


def _drop_index(replay: Replay, change: changes.DropIndex, origin: Origin) -> None:
    entry = replay.mirror.find("index", change.index)
    if entry is None and change.if_exists:
        return
    if entry is None:
        raise refused(origin, f"there is no index {quote(change.index)}")
    if entry.sql is None:
        raise refused(
            origin,
            f"index {quote(entry.name)} belongs to a constraint of table {quote(entry.table)}",
            f'op.drop_constraint(..., "{entry.table}", type_="unique")',
        )
    sql = f"DROP INDEX {quote(entry.name)}"
    replay.mirror.execute(sql)
    replay.index_origins.pop(fold(entry.name), None)
    tracked = replay.tables.get(fold(entry.table))
    replay.also_native(
        Native(entry.table, sql, origin, owner=tracked),
        real=tracked is None or not tracked.pending,
    )


_HANDLERS: dict[type, Any] = {
    changes.CreateTable: _create_table,
    changes.DropTable: _drop_table,
    changes.RenameTable: _rename_table,
    changes.Recreate: _recreate,
    changes.SetOptions: _set_options,
    changes.Reorder: _reorder,
    changes.AddColumn: _add_column,
    changes.DropColumn: _drop_column,
    changes.AlterColumn: _alter_column,
    changes.AddConstraint: _add_constraint,
    changes.DropConstraint: _drop_constraint,
    changes.CreateIndex: _create_index,
    changes.DropIndex: _drop_index,
}
