"""Brings the real database to the scratch one by statements of SQLite, where that does all."""

from __future__ import annotations

from collections.abc import Iterable

from flask_safemigrate.alter.apply import rules
from flask_safemigrate.alter.apply.database import Database, Log
from flask_safemigrate.alter.apply.jobs import Job, report
from flask_safemigrate.alter.blame import failed
from flask_safemigrate.alter.queue.queue import Native, Queue, is_database_error
from flask_safemigrate.alter.queue.scratch import Entry, Scratch
from flask_safemigrate.alter.queue.tracked import TrackedTable
from flask_safemigrate.ddl.tokens import fold
from flask_safemigrate.outcome import TableWork


def run(database: Database, scratch: Scratch, step: Native) -> None:
    """Run one statement.

    :raises OperationRefused: SQLite refuses it; the operation is named.
    """
    try:
        database.run(step.sql)
    except Exception as error:
        if not is_database_error(error):
            raise
        rules.explain_native(database, scratch, step, error)
        raise failed(step.origin, error) from error


def run_all(database: Database, queue: Queue, steps: list[Native]) -> list[TableWork]:
    """Run the statements in order; new tables are made with their last text."""
    results = []
    for step in steps:
        log = Log()
        if step.owner is not None and step.owner.origin is None:
            if step.sql.startswith("CREATE TABLE"):
                results.append(_make_table(database, queue, step.owner, indexes=True))
            continue
        with database.logged(log):
            run(database, queue.scratch, step)
        results.append(
            report(step.table, "native", "SQLite has a statement for it", log, [step.origin])
        )
    return results


def make_tables(database: Database, queue: Queue) -> list[TableWork]:
    """Make the tables that are new; their indexes are made with those of the others."""
    return [
        _make_table(database, queue, table, indexes=False)
        for table in queue.tables.values()
        if table.origin is None
    ]


def _make_table(
    database: Database, queue: Queue, table: TrackedTable, *, indexes: bool
) -> TableWork:
    log = Log()
    with database.logged(log):
        database.run(queue.text(table))
        for entry in queue.scratch.belonging(table.name, "index") if indexes else ():
            assert entry.sql is not None
            database.run(entry.sql)
    return report(table.name, "create", "the migration makes it", log, table.origins)


def missing_indexes(database: Database, entries: Iterable[Entry]) -> list[Entry]:
    """Those of the objects that are indexes, and are not there."""
    present = {fold(row.name) for row in database.master() if row.type == "index"}
    return [
        entry
        for entry in entries
        if entry.type == "index" and entry.sql is not None and fold(entry.name) not in present
    ]


def make_indexes(
    database: Database, queue: Queue, indexes: Iterable[Entry], jobs: Iterable[Job] = ()
) -> None:
    """Make indexes; one that rows are not unique under is told with the rows."""
    owners = {job.new.name: job for job in jobs}
    for entry in indexes:
        assert entry.sql is not None
        owner = owners.get(entry.table)
        with database.logged(owner.log if owner is not None else Log()):
            try:
                database.run(entry.sql)
            except Exception as error:
                origin = queue.index_origins.get(fold(entry.name))
                if origin is None and owner is not None:
                    origin = owner.table.origins[-1]
                rules.explain_index(database, queue.scratch, entry, origin, error)
                raise
