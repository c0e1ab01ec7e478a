"""Copies tables, with all that DROP TABLE takes along."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from flask_safemigrate.alter.apply import rules
from flask_safemigrate.alter.apply.database import Database, Log
from flask_safemigrate.alter.queue.queue import (
    Queue,
    refused,
)
from flask_safemigrate.alter.queue.scratch import Scratch
from flask_safemigrate.alter.queue.tracked import TrackedTable
from flask_safemigrate.checks.found import counted
from flask_safemigrate.ddl import edits
from flask_safemigrate.ddl.create_table import read_create_table
from flask_safemigrate.ddl.rebuild import (
    Lineage,
    copy_rows,
    lossy_condition,
)
from flask_safemigrate.ddl.references import (
    read_index,
    read_trigger,
    rename_index,
    rename_index_table,
    rename_referenced_table,
)
from flask_safemigrate.ddl.shape import TableShape, read_shape
from flask_safemigrate.ddl.tokens import fold, quote, quote_string
from flask_safemigrate.errors import VerificationFailed


class _Copy(NamedTuple):
    """A table and its copy.

    :ivar new: what the table becomes.
    :ivar statement: copies the rows.
    :ivar indexes: texts, as those of the triggers.
    """

    name: str
    copy: str
    new: TableShape
    statement: str
    rows: int
    indexes: tuple[str, ...]
    triggers: tuple[str, ...]
    counter: int | None


class Copying:
    """Makes tables anew: under another name, filled, and renamed when the old one is gone."""

    def __init__(self, database: Database, scratch: Scratch, queue: Queue) -> None:
        self.database = database
        self.scratch = scratch
        self.queue = queue
        self._defers = True

    def copy(self, table: TrackedTable, new: TableShape, relatives: list[str], log: Log) -> None:
        """Copy a table, and with it others whose rows DROP TABLE would reach.

        These others stay as they are. All copies refer to copies, so that it does not matter what
        happens to the old rows when the old tables are dropped.
        """
        old = real_shape(self.database, table.name)
        self._check_values(table, old, new)
        lineage = tuple(
            Lineage(each.name, each.real, each.fill, each.constant) for each in table.columns
        )
        copies = [self._plan(table.name, old, new, lineage)]
        for name in relatives:
            shape = real_shape(self.database, name)
            same = tuple(Lineage(each.name, each.name) for each in shape.columns)
            copies.append(self._plan(name, shape, shape, same))
        keys = {}
        for each in copies:
            self.database.run(self._text_of_copy(each, copies))
            if relatives:
                keys.update(self._keys_of(each))
        for sql in keys.values():
            self.database.run(sql)
        with self._lenient():
            for each in copies:
                try:
                    log.rows += self.database.run(each.statement)
                except Exception as error:
                    if each is copies[0]:
                        self._explain(table, old, new, error)
                    elif "foreign key mismatch" in str(error):
                        raise refused(
                            table.origins[-1],
                            f"the foreign key of table {quote(each.name)} leads to"
                            f" {quote(table.name)}, which would have no such unique key any more",
                            "drop the foreign key in the same migration, before it",
                        ) from error
                    raise
        for each in copies:
            after = self.database.count(each.copy)
            if each.rows != after:
                raise VerificationFailed(
                    f"table {quote(each.name)} had {counted(each.rows, 'row')}, its copy has "
                    f"{after:,}"
                )
        for sql in [text for each in copies for text in each.triggers]:
            # What the foreign keys do to old rows must not fire them.
            self.database.run(f"DROP TRIGGER {quote(read_trigger(sql).name.value)}")
        for each in reversed(copies):
            self.database.run(f"DROP TABLE {quote(each.name)}")
        for each in copies:
            self.database.run(f"ALTER TABLE {quote(each.copy)} RENAME TO {quote(each.name)}")
        for spare in keys:
            self.database.run(f"DROP INDEX {quote(spare)}")
        for each in copies:
            if self.database.count(each.name) != each.rows:
                raise VerificationFailed(
                    f"dropping the old table {quote(each.name)} took rows along"
                )
            self._furnish(table, each)

    def _plan(
        self, name: str, old: TableShape, new: TableShape, lineage: tuple[Lineage, ...]
    ) -> _Copy:
        copy = f"_safemigrate_{name}"
        while self.scratch.find("table", copy) or self.scratch.find("index", copy):
            copy += "_"
        belonging = {
            kind: tuple(
                each.sql for each in self.scratch.belonging(name, kind) if each.sql is not None
            )
            for kind in ("index", "trigger")
        }
        statement = copy_rows(old, name, new, copy, lineage)
        return _Copy(
            name=name,
            copy=copy,
            new=new,
            statement=statement.replace("INSERT INTO", "INSERT OR ABORT INTO", 1),
            rows=self.database.count(name),
            indexes=belonging["index"],
            triggers=belonging["trigger"],
            counter=self._counter(name),
        )

    def _text_of_copy(self, one: _Copy, copies: list[_Copy]) -> str:
        """The text of a copy, which refers to copies while foreign keys are enforced.

        What referred to the old table would lose rows with it, and RENAME leads references along
        then; otherwise RENAME leaves them alone.
        """
        enforced = self.database.foreign_keys()
        table = read_create_table(one.new.sql)
        for each in copies if enforced else []:
            if each is not one:
                table = read_create_table(rename_referenced_table(table, each.name, each.copy))
        return edits.rename_table(table, one.copy, self_references=enforced)

    def _keys_of(self, made: _Copy) -> dict[str, str]:
        """Unique indexes, which foreign keys may need, under names that are free, with texts."""
        found = {}
        for sql in made.indexes:
            index = read_index(sql)
            if index.unique:
                spare = f"_safemigrate_{index.name.value}"
                found[spare] = rename_index(rename_index_table(sql, made.copy), spare)
        return found

    def _furnish(self, table: TrackedTable, made: _Copy) -> None:
        """Put back what DROP TABLE took along."""
        for sql in (*made.indexes, *made.triggers):
            self._make(table, sql)
        if made.counter is not None:
            self.database.run(
                f"UPDATE sqlite_sequence SET seq = {made.counter}"
                f" WHERE name = {quote_string(made.name)}"
            )

    def _make(self, table: TrackedTable, sql: str) -> None:
        try:
            self.database.run(sql)
        except Exception as error:
            for entry in self.scratch.belonging(table.name, "index"):
                if entry.sql == sql:
                    origin = self.queue.index_origins.get(fold(entry.name), table.origins[-1])
                    rules.explain_index(self.database, self.scratch, entry, origin, error)
            raise

    def _check_values(self, table: TrackedTable, old: TableShape, new: TableShape) -> None:
        for column in table.columns:
            now = new.column(column.name)
            before = old.column(column.real) if column.real is not None else None
            if now is None or before is None or column.typed_by is None:
                continue
            condition = lossy_condition(before.name, before.affinity, now.affinity)
            if condition is not None and before.affinity != now.affinity:
                rules.refuse_rows(
                    self.database,
                    old,
                    condition,
                    column.typed_by,
                    f"have a number in {quote(old.name)}.{quote(before.name)} that the type"
                    f" {now.type or 'of the column'} cannot hold exactly",
                    "keep a text type, or round the values first",
                )

    def _explain(
        self, table: TrackedTable, old: TableShape, new: TableShape, error: Exception
    ) -> None:
        """Say which rows did not fit the copy."""
        message = str(error)
        if "NOT NULL" in message:
            for column in table.columns:
                if not message.endswith(f".{column.name}"):
                    continue
                # A column that is new here has NULL in every row.
                rules.refuse_rows(
                    self.database,
                    old,
                    f"{quote(column.real)} IS NULL" if column.real is not None else "TRUE",
                    column.not_null_by or table.origins[-1],
                    f"have NULL in {quote(new.name)}.{quote(column.name)}",
                    "give these rows a value before it",
                )
        for index in self.scratch.indexes(new.name):
            if index.unique:
                by = self.queue.index_origins.get(fold(index.name))
                rules.explain_copied_unique(
                    self.database, table, old, index, error, real=True, origin=by
                )
        rules.explain_copy(self.database, table, old, new, error)

    def _counter(self, table: str) -> int | None:
        if not self.database.has_table("sqlite_sequence"):
            return None
        found = self.database.value(
            f"SELECT seq FROM sqlite_sequence WHERE name = {quote_string(table)}"
        )
        return None if found is None else int(found)

    @contextlib.contextmanager
    def _lenient(self) -> Iterator[None]:
        """Rows that break an old rule are kept; the new rules are proven afterwards."""
        ignoring = bool(self.database.value("PRAGMA ignore_check_constraints"))
        deferring = bool(self.database.value("PRAGMA defer_foreign_keys"))
        self.database.run("PRAGMA ignore_check_constraints=ON")
        self.database.run("PRAGMA defer_foreign_keys=ON")
        try:
            yield
        finally:
            if not ignoring:
                self.database.run("PRAGMA ignore_check_constraints=OFF")
            # Left on until the old table is gone, whose orphans are counted down again then.
            self._defers = deferring

    @contextlib.contextmanager
    def legacy_rename(self) -> Iterator[None]:
        """RENAME does not look into views and triggers, which mean the table by its old name."""
        legacy = bool(self.database.value("PRAGMA legacy_alter_table"))
        self._defers = True
        self.database.run("PRAGMA legacy_alter_table=ON")
        try:
            yield
        finally:
            if not legacy:
                self.database.run("PRAGMA legacy_alter_table=OFF")
            if not self._defers:
                self.database.run("PRAGMA defer_foreign_keys=OFF")


def real_shape(database: Database, table: str) -> TableShape:
    """A table as it is after the native statements."""
    row = database.row_of(table)
    assert row.sql is not None
    return read_shape(row.sql, ())
