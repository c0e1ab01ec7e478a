"""Copies a table under another name, which it gets when the old one is gone.

With it goes all that DROP TABLE takes along.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from flask_safemigrate.alter.apply import natively, rules
from flask_safemigrate.alter.apply.database import Database
from flask_safemigrate.alter.apply.jobs import Job, must_have_all
from flask_safemigrate.alter.queue.queue import Queue, refused
from flask_safemigrate.ddl import edits
from flask_safemigrate.ddl.create_table import read_create_table
from flask_safemigrate.ddl.rebuild import Lineage, copy_rows
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
    :ivar triggers: texts, of which those of the indexes are in the scratch database.
    """

    name: str
    copy: str
    new: TableShape
    statement: str
    rows: int
    triggers: tuple[str, ...]
    counter: int | None


def copy(database: Database, queue: Queue, job: Job, relatives: list[str]) -> None:
    """Copy a table, and with it others whose rows DROP TABLE would reach.

    These others stay as they are. All copies refer to copies, so that it does not matter what
    happens to the old rows when the old tables are dropped.
    """
    rules.check_values(database, job)
    table = job.table
    copies = [_plan(database, queue, job.old, job.new, job.lineage)]
    for name in relatives:
        row = database.row_of(name)
        assert row.sql is not None
        shape = read_shape(row.sql, ())
        same = tuple(Lineage(each.name, each.name) for each in shape.columns)
        copies.append(_plan(database, queue, shape, shape, same))
    keys = {}
    for each in copies:
        database.run(_text_of_copy(database, each, copies))
        if relatives:
            keys.update(_keys_of(database, queue, each))
    for sql in keys.values():
        database.run(sql)
    with _leniently(database):
        for each in copies:
            try:
                job.log.rows += database.run(each.statement)
            except Exception as error:
                if each is copies[0]:
                    _explain(database, queue, job, error)
                elif "foreign key mismatch" in str(error):
                    raise refused(
                        table.origins[-1],
                        f"the foreign key of table {quote(each.name)} leads to"
                        f" {quote(table.name)}, which would have no such unique key any more",
                        "drop the foreign key in the same migration, before it",
                    ) from error
                raise
    for each in copies:
        must_have_all(database, each.name, each.rows, each.copy)
    for sql in [text for each in copies for text in each.triggers]:
        # What the foreign keys do to old rows must not fire them.
        database.run(f"DROP TRIGGER {quote(read_trigger(sql).name.value)}")
    for each in reversed(copies):
        database.run(f"DROP TABLE {quote(each.name)}")
    for each in copies:
        database.run(f"ALTER TABLE {quote(each.copy)} RENAME TO {quote(each.name)}")
    for spare in keys:
        database.run(f"DROP INDEX {quote(spare)}")
    for each in copies:
        if database.count(each.name) != each.rows:
            raise VerificationFailed(f"dropping the old table {quote(each.name)} took rows along")
        _furnish(database, queue, job, each)


def _plan(
    database: Database,
    queue: Queue,
    old: TableShape,
    new: TableShape,
    lineage: tuple[Lineage, ...],
) -> _Copy:
    name = old.name
    copy = database.free_name(name, [fold(each.name) for each in queue.scratch.entries()])
    statement = copy_rows(old, name, new, copy, lineage)
    return _Copy(
        name=name,
        copy=copy,
        new=new,
        statement=statement.replace("INSERT INTO", "INSERT OR ABORT INTO", 1),
        rows=database.count(name),
        triggers=tuple(
            each.sql for each in queue.scratch.belonging(name, "trigger") if each.sql is not None
        ),
        counter=_counter(database, name),
    )


def _text_of_copy(database: Database, one: _Copy, copies: list[_Copy]) -> str:
    """The text of a copy, which refers to copies while foreign keys are enforced.

    What referred to the old table would lose rows with it, and RENAME leads references along
    then; otherwise RENAME leaves them alone.
    """
    enforced = database.foreign_keys()
    table = read_create_table(one.new.sql)
    for each in copies if enforced else []:
        if each is not one:
            table = read_create_table(rename_referenced_table(table, each.name, each.copy))
    return edits.rename_table(table, one.copy, self_references=enforced)


def _keys_of(database: Database, queue: Queue, made: _Copy) -> dict[str, str]:
    """Unique indexes, which foreign keys may need, under names that are free, with texts."""
    found = {}
    for entry in queue.scratch.belonging(made.name, "index"):
        assert entry.sql is not None
        index = read_index(entry.sql)
        if index.unique:
            spare = database.free_name(index.name.value)
            found[spare] = rename_index(rename_index_table(entry.sql, made.copy), spare)
    return found


def _furnish(database: Database, queue: Queue, job: Job, made: _Copy) -> None:
    """Put back what DROP TABLE took along."""
    natively.make_indexes(database, queue, queue.scratch.belonging(made.name, "index"), [job])
    for sql in made.triggers:
        database.run(sql)
    if made.counter is not None:
        database.run(
            f"UPDATE sqlite_sequence SET seq = {made.counter}"
            f" WHERE name = {quote_string(made.name)}"
        )


def _explain(database: Database, queue: Queue, job: Job, error: Exception) -> None:
    """Say which rows did not fit the copy."""
    message = str(error)
    if "NOT NULL" in message:
        for column in job.table.columns:
            if not message.endswith(f".{column.name}"):
                continue
            # A column that is new here has NULL in every row.
            rules.refuse_rows(
                database,
                job.old,
                f"{quote(column.real)} IS NULL" if column.real is not None else "TRUE",
                column.not_null_by or job.table.origins[-1],
                f"have NULL in {quote(job.new.name)}.{quote(column.name)}",
                "give these rows a value before it",
            )
    for index in queue.scratch.indexes(job.new.name):
        if index.unique:
            by = queue.index_origins.get(fold(index.name))
            rules.explain_copied_unique(database, job, index, error, by)
    rules.explain_copy(database, job, error)


def _counter(database: Database, table: str) -> int | None:
    if not database.has_table("sqlite_sequence"):
        return None
    found = database.value(f"SELECT seq FROM sqlite_sequence WHERE name = {quote_string(table)}")
    return None if found is None else int(found)


@contextlib.contextmanager
def _leniently(database: Database) -> Iterator[None]:
    """Rows that break an old rule are kept; the new rules are proven afterwards.

    That foreign keys are deferred is left on until the old table is gone, whose orphans are
    counted down again then.
    """
    ignoring = bool(database.value("PRAGMA ignore_check_constraints"))
    database.run("PRAGMA ignore_check_constraints=ON")
    database.run("PRAGMA defer_foreign_keys=ON")
    try:
        yield
    finally:
        if not ignoring:
            database.run("PRAGMA ignore_check_constraints=OFF")


@contextlib.contextmanager
def legacy_rename(database: Database) -> Iterator[None]:
    """RENAME does not look into views and triggers, which mean the table by its old name."""
    legacy = bool(database.value("PRAGMA legacy_alter_table"))
    deferring = bool(database.value("PRAGMA defer_foreign_keys"))
    database.run("PRAGMA legacy_alter_table=ON")
    try:
        yield
    finally:
        if not legacy:
            database.run("PRAGMA legacy_alter_table=OFF")
        if not deferring and database.value("PRAGMA defer_foreign_keys"):
            database.run("PRAGMA defer_foreign_keys=OFF")
