"""Brings the real database to the scratch one without edits of the stored schema text.

What SQLite has statements for is done by these. A table that changes otherwise is made anew under
another name, filled, and renamed after the old one was dropped
(https://sqlite.org/lang_altertable.html#otheralter).
"""

from __future__ import annotations

from collections.abc import Collection

from flask_safemigrate.alter.apply import cascades, natively, rules
from flask_safemigrate.alter.apply.copying import copy, legacy_rename
from flask_safemigrate.alter.apply.database import Database, Log
from flask_safemigrate.alter.apply.jobs import (
    compare_orphans,
    copy_job,
    orphans,
    report,
    retyped,
)
from flask_safemigrate.alter.queue.queue import (
    Native,
    Queue,
    is_database_error,
    no_key,
    refused,
)
from flask_safemigrate.alter.queue.tracked import TrackedTable
from flask_safemigrate.ddl.tokens import fold, quote, same_name, unquote
from flask_safemigrate.errors import OperationRefused
from flask_safemigrate.outcome import TableWork


def apply(database: Database, queue: Queue) -> list[TableWork]:
    """Apply the whole queue, table by table.

    1. Drop the views and triggers that do not work, on which ALTER TABLE fails.
    2. Run SQLite's own statements, but for a DROP TABLE that would reach rows of other tables.
    3. Copy each table that differs still, with those whose rows its DROP TABLE would reach.
    4. Drop the tables that had to wait for that.
    5. Make the tables and indexes that are new, and the triggers that got another text.
    6. Put back the views and triggers of the first step.

    :raises OperationRefused: the rows break a new rule, or a row of another table would go.
    """
    aside = _drop(
        database, {key for key in queue.scratch.loaded.aside if key[0] in ("view", "trigger")}
    )
    waiting = _drop(database, queue.waited)
    real = {table.origin: table for table in queue.tables.values() if table.origin is not None}
    before = orphans(database, {name: retyped(each) for name, each in real.items()})
    results = []
    later = []
    for step in queue.steps:
        if step.owner is None or step.owner.origin is not None:
            if _can_wait(database, queue, step):
                later.append(step)
            else:
                results.append(_native(database, queue, step))
    for table in queue.tables.values():
        if table.origin is not None and table.pending:
            results.append(_rebuild(database, queue, table))
    results += [_native(database, queue, step) for step in later]
    results += natively.make_tables(database, queue)
    missing = natively.missing_indexes(database, queue.scratch.entries())
    natively.make_indexes(database, queue, missing)
    _mend_triggers(database, queue)
    compare_orphans(database, {name: each.name for name, each in real.items()}, before)
    for sql in waiting:
        database.run(sql)
    for sql in aside:
        try:
            database.run(sql)
        except Exception as error:
            raise OperationRefused(
                f"what did not work before cannot be put back: {' '.join(sql.split())} ({error})",
                hint="drop it, or mend it, before the upgrade",
            ) from error
    return results


def _drop(database: Database, keys: Collection[tuple[str, str]]) -> list[str]:
    """Drop views and triggers; their texts, in the order they were made."""
    if not keys:
        return []
    rows = [row for row in database.master() if (row.type, fold(row.name)) in keys and row.sql]
    # Triggers first, since dropping a view takes its own along.
    for row in sorted(rows, key=lambda each: each.type):
        database.run(f"DROP {row.type.upper()} {quote(row.name)}")
    return [row.sql for row in rows if row.sql is not None]


def _can_wait(database: Database, queue: Queue, step: Native) -> bool:
    """Whether a table is better dropped when the others have lost their foreign keys to it."""
    return (
        step.sql.startswith("DROP TABLE")
        and cascades.reaches_rows(database)
        and bool(cascades.referring(database, step.table))
        and not any(same_name(name, step.table) for name in (*queue.tables, *_new_names(queue)))
    )


def _new_names(queue: Queue) -> list[str]:
    """The names that SQLite's statements give to tables."""
    return [
        unquote(step.sql.rpartition(" RENAME TO ")[2])
        for step in queue.steps
        if " RENAME TO " in step.sql
    ]


def _native(database: Database, queue: Queue, step: Native) -> TableWork:
    log = Log()
    drops = step.sql.startswith("DROP TABLE")
    with (
        database.logged(log),
        cascades.without_cascades(database, step.table, step.origin, drops),
    ):
        natively.run(database, queue.scratch, step)
    way = "drop" if drops else "native"
    return report(step.table, way, "SQLite has a statement for it", log, [step.origin])


def _mend_triggers(database: Database, queue: Queue) -> None:
    """Give triggers the text that they got in the scratch database only."""
    for row in database.master():
        if row.type != "trigger" or fold(row.name) not in queue.mended:
            continue
        entry = queue.scratch.find("trigger", row.name)
        if entry is not None and entry.sql is not None and entry.sql != row.sql:
            database.run(f"DROP TRIGGER {quote(row.name)}")
            database.run(entry.sql)


def _rebuild(database: Database, queue: Queue, table: TrackedTable) -> TableWork:
    job = copy_job(database, queue.scratch, table)
    origin = table.forced or table.origins[-1]
    reached = cascades.reaches_rows(database)
    relatives = cascades.relatives(database, table.name) if reached else []
    with (
        database.logged(job.log),
        cascades.without_cascades(database, table.name, origin, not relatives),
        legacy_rename(database),
    ):
        broken = rules.broken_before(database, job)
        try:
            copy(database, queue, job, relatives)
        except Exception as error:
            if not is_database_error(error):
                raise
            by = next((by for by in table.rules.get("FOREIGN KEY", []) if by), origin)
            if "foreign key mismatch" in str(error):
                raise no_key(by, table.name, error) from error
            if "no such table" not in str(error):
                raise
            # SQLite looks for the table that a foreign key leads to at every row.
            raise refused(
                by,
                f"table {quote(table.name)} must be copied, which its foreign keys prevent:"
                f" {error}",
                cascades.HINT,
            ) from error
    with database.logged(job.log):
        rules.prove(database, job, broken)
    reason = "schema edits are off, and SQLite has no statement for it"
    if relatives:
        reason += f"; the rows of {', '.join(map(quote, relatives))} refer to it"
    return report(table.name, "rebuild", reason, job.log, table.origins)
