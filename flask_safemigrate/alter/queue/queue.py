"""The queue of changes: the scratch database with them made, and what became of each table."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.alter.queue.scratch import Entry, Raw, Scratch, entries_of
from flask_safemigrate.alter.queue.tracked import TrackedColumn, TrackedTable
from flask_safemigrate.ddl import full_text
from flask_safemigrate.ddl.create_table import CreateTable, read_create_table
from flask_safemigrate.ddl.rebuild import same_text
from flask_safemigrate.ddl.tokens import fold, op_execute, quote, quote_if_needed, same_name
from flask_safemigrate.errors import OperationRefused

_SPARE = re.compile(r"_safemigrate_\d+_(.+?)_(?!\w)")

Rows = Callable[[str], int]
"""How many rows a table of the real database has."""


def without_spares(text: str) -> str:
    """Let a message have the names of the migration for columns that a block calls otherwise."""
    return _SPARE.sub(r"\1", text)


def refused(origin: Origin, message: str, hint: str | None = None) -> OperationRefused:
    """An error that names revision and operation."""
    where = f'Revision "{origin.revision}", ' if origin.revision is not None else ""
    said = without_spares(f"{where}{origin.operation}: {message}")
    return OperationRefused(said, hint=without_spares(hint) if hint is not None else None)


def no_key(origin: Origin, table: str, error: Exception | str) -> OperationRefused:
    """A foreign key leads to columns that are no key."""
    return refused(
        origin,
        f"the columns that the foreign key of table {quote(table)} refers to are not the"
        f" primary key of their table and not unique ({error})",
        "give the parent columns a UNIQUE constraint first",
    )


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


def null_rule(table: str, column: str, then: tuple[str, str] | None = None) -> Rule:
    """No row has NULL in the column.

    :param then: the names of both at the operation that says so.
    """
    called, filled = map(quote_if_needed, then or (table, column))
    update = f"UPDATE {called} SET {filled} = ... WHERE {filled} IS NULL"
    return Rule(
        # Not IS NULL, which SQLite takes for false where the text says NOT NULL.
        f"typeof({quote(column)}) = 'null'",
        f"have NULL in {quote(table)}.{quote(column)}",
        f"{op_execute(update)} before it",
    )


def check_rule(expression: str, name: str | None) -> Rule:
    """No row breaks the CHECK."""
    called = f" {quote(name)}" if name is not None else ""
    return Rule(
        f"NOT ({expression}\n)",
        f"break CHECK{called} ({' '.join(expression.split())})",
        "change or delete these rows before it",
    )


class Queue:
    """The queue: the scratch database with all queued changes made.

    :param rows: counts the rows of a real table; called while nothing but the queue is open.
    """

    def __init__(self, scratch: Scratch, rows: Rows) -> None:
        self.scratch = scratch
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
        # Texts of full text tables, by folded names, that follow the table which they read.
        self.virtual: dict[str, str] = {}
        # Views and triggers that wait for a table to come back; SQLite's RENAME fails on them.
        self.waiting: list[Entry] = []
        # All that waited at some time, by type and folded name.
        self.waited: set[tuple[str, str]] = set()
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

    def begin(self) -> None:
        """Keep what was there before the first change."""
        if self._started is None:
            self._started = self.scratch.rows()

    def full_text_over(self, table: str) -> dict[str, str]:
        """The texts of the full text tables that read a table, by name."""
        texts = {
            row.name: self.virtual.get(fold(row.name), row.sql)
            for row in self.scratch.loaded.rows
            if row.sql is not None and fold(row.name) in self.scratch.loaded.virtual
        }
        return {
            name: sql
            for name, sql in texts.items()
            if full_text.reads(sql, table) and self.scratch.find("table", name) is not None
        }

    def put_waiting_aside(self) -> None:
        """Take away the views and triggers that the queue has broken, and may mend yet."""
        if self.scratch.code():
            self.waiting += self.scratch.take_broken()
            self.waited |= {(each.type, fold(each.name)) for each in self.waiting}

    def bring_waiting_back(self) -> None:
        """Have them again, whether they work now or not."""
        waiting, self.waiting = self.waiting, []
        gone = {fold(name) for name, _ in self.dropped}
        for each in waiting:
            assert each.sql is not None
            if each.type == "trigger" and fold(each.table) in gone:
                continue
            self.scratch.execute(each.sql)

    # ------------------------------------------------------------ what is there

    def track(self, name: str, origin: Origin) -> TrackedTable:
        """The table of that name, remembered as one that changes."""
        found = self.tables.get(fold(name))
        if found is None:
            self.must_be_plain(name, origin)
            shape = self.scratch.shape(name)
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

    def must_be_plain(self, name: str, origin: Origin) -> None:
        if fold(name) in self.scratch.loaded.virtual:
            raise refused(origin, f"table {quote(name)} is virtual and cannot be altered")
        reason = self.scratch.loaded.aside.get(("table", fold(name)))
        if reason is not None:
            raise refused(origin, f"table {quote(name)} cannot be read: {reason}")
        if self.scratch.find("table", name) is None:
            if self.scratch.find("view", name) is not None:
                raise refused(origin, f"{quote(name)} is a view, not a table")
            raise refused(origin, f"there is no table {quote(name)}")

    def must_be_free(self, name: str, origin: Origin) -> None:
        for kind in ("table", "view", "index"):
            if self.scratch.find(kind, name) is not None:
                raise refused(origin, f"there is already a {kind} {quote(name)}")

    def text(self, table: TrackedTable) -> str:
        entry = self.scratch.find("table", table.name)
        assert entry is not None
        assert entry.sql is not None
        return entry.sql

    def read(self, table: TrackedTable) -> CreateTable:
        return read_create_table(self.text(table))

    def has_rows(self, table: TrackedTable) -> int:
        """How many rows the real table has."""
        return self._rows(table.origin) if table.origin is not None else 0

    # ------------------------------------------------------------ how it changes

    def add(self, table: TrackedTable) -> None:
        """Take a new table in."""
        self.tables[fold(table.name)] = table

    def rename(self, table: TrackedTable, new: str) -> None:
        """Know a table by its new name."""
        del self.tables[fold(table.name)]
        table.name = new
        self.tables[fold(new)] = table

    def retire(self, name: str, origin: Origin) -> None:
        """Drop a table."""
        entry = self.scratch.find("table", name)
        tracked = self.tables.pop(fold(name), None)
        sql = f"DROP TABLE {quote(name)}"
        self.scratch.execute(sql)
        if tracked is None or tracked.origin is not None:
            assert entry is not None
            real = entry.name if tracked is None or tracked.origin is None else tracked.origin
            self.dropped.append((real, origin))
            self.steps.append(Native(name, sql, origin))
        self.by_edit()

    def by_edit(self, table: TrackedTable | None = None) -> None:
        """Note a change that SQLite has no statement for.

        :param table: the one whose text changes so, if any.
        """
        self.natives = None
        if table is not None:
            table.pending = True

    def mend(self, entry: Entry, sql: str) -> None:
        """Give a view or trigger another text than SQLite gives it."""
        self.scratch.execute(f"DROP {entry.type} {quote(entry.name)}")
        self.scratch.execute(sql)
        if entry.type == "trigger":
            self.mended.add(fold(entry.name))
        self.by_edit()

    def follow(self, full_text_table: str, sql: str) -> None:
        """Let a full text table have the text with which it reads the changed table."""
        self.virtual[fold(full_text_table)] = sql
        self.by_edit()

    def create_index(self, name: str, table: str, sql: str, origin: Origin) -> None:
        """Make an index."""
        self.scratch.execute(sql)
        self.index_origins[fold(name)] = origin
        owner = self.tables.get(fold(table))
        self._note_index(Native(table, sql, origin, name, owner))
        if owner is not None:
            owner.note(origin)

    def drop_index(self, name: str, table: str, origin: Origin) -> None:
        """Drop an index."""
        sql = f"DROP INDEX {quote(name)}"
        self.scratch.execute(sql)
        self.index_origins.pop(fold(name), None)
        self._note_index(Native(table, sql, origin, owner=self.tables.get(fold(table))))

    def _note_index(self, step: Native) -> None:
        self.also_native(step, real=step.owner is None or not step.owner.pending)

    def move_ghost(self, table: TrackedTable, name: str, origin: Origin) -> None:
        """Where the real table still has a dropped column of that name, give that another name."""
        ghost = next((each for each in table.ghosts if same_name(each, name)), None)
        if ghost is None:
            return
        spare = f"_safemigrate_gone_{len(self.steps)}"
        sql = f"ALTER TABLE {quote(table.name)} RENAME COLUMN {quote(ghost)} TO {quote(spare)}"
        self.steps.append(Native(table.name, sql, origin, owner=table))
        table.ghosts.remove(ghost)
        table.ghosts.append(spare)

    def close(self) -> None:
        """Count a change that was made."""
        self.count += 1

    def rewrite(
        self, table: TrackedTable, sql: str, origin: Origin, *, native: str | None = None
    ) -> None:
        """Give the table another text.

        :param native: the statement of SQLite that does the same on the real table, if any.
        """
        before = self.text(table)
        if sql == before:
            return
        self.scratch.replace_table(table.name, sql)
        if table.origin is None:
            # It will be made with its last text.
            return
        table.realign(before, self.text(table), origin)
        if native is not None:
            self.also_native(Native(table.name, native, origin, owner=table))
            return
        self.by_edit(table)

    def gives(self, table: TrackedTable, sql: str, wanted: str) -> bool:
        """Let SQLite make a change; undo it and say no where it cannot, or makes another one."""
        self.scratch.db.execute("SAVEPOINT trying")
        try:
            self.scratch.execute(sql)
            if same_text(self.text(table), wanted):
                return True
            self.scratch.db.execute("ROLLBACK TO trying")
            return False
        except Exception as error:
            self.scratch.db.execute("ROLLBACK TO trying")
            if not is_database_error(error):
                raise
            return False
        finally:
            self.scratch.db.execute("RELEASE trying")

    def rewrite_or_alter(
        self,
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
        before = self.text(table)
        sql = f"ALTER TABLE {quote(table.name)} {alter}"
        if (
            self.scratch.version < (3, 53)
            or table.origin is None
            or table.pending
            or wanted == before
            or not self.gives(table, sql, wanted)
        ):
            self.rewrite(table, wanted, origin)
            return
        table.realign(before, self.text(table), origin)
        self.also_native(Native(table.name, sql, origin, owner=table, rule=rule))

    def native(self, table: TrackedTable, sql: str, origin: Origin, *, real: bool) -> None:
        """Let SQLite alter the table by a statement that does the same on the real one.

        :param real: whether it does so on a real table that lacks what is pending.
        """
        before = self.text(table)
        self.scratch.execute(sql)
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
