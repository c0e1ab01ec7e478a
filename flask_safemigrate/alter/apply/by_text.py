"""Brings the real database to the scratch one by edits of the stored schema text."""

from __future__ import annotations

from dataclasses import replace

from flask_safemigrate.alter.apply import natively, rules
from flask_safemigrate.alter.apply.database import Database, Log
from flask_safemigrate.alter.apply.jobs import (
    Job,
    compare_orphans,
    make_job,
    must_have_all,
    orphans,
    report,
    retyped,
)
from flask_safemigrate.alter.apply.schema_text import (
    Objects,
    SchemaText,
    Spare,
)
from flask_safemigrate.alter.apply.statistics import KEPT_BY_NAME, automatic_name
from flask_safemigrate.alter.queue.queue import Queue
from flask_safemigrate.alter.queue.scratch import Entry
from flask_safemigrate.ddl import edits
from flask_safemigrate.ddl.create_table import read_create_table
from flask_safemigrate.ddl.questions import has_autoincrement
from flask_safemigrate.ddl.rebuild import copy_rows, index_survives, key_columns, plain_table
from flask_safemigrate.ddl.shape import TableShape, read_shape
from flask_safemigrate.ddl.tokens import fold, quote, quote_string
from flask_safemigrate.outcome import TableWork


def apply(database: Database, queue: Queue) -> list[TableWork]:
    """Apply the whole queue in one passage over the schema.

    1. Drop the tables that go; one that foreign keys refer to is given another name first, so
       that no row of another table follows it.
    2. Decide for each table that changes what its rows need, and refuse what they forbid.
    3. Put aside the triggers of tables whose rows are updated, and the indexes whose contents go.
    4. Copy the rows of the tables that need it to a table of another name without rules.
    5. Edit the stored texts and names; a copy changes places with its table.
    6. Drop what is left of the old rows, update the others, build the indexes of new keys.
    7. Edit the texts of the tables whose rows were written: they get their rules back.
    8. Make what is new, and what was put aside.
    9. Prove the new rules on the rows.

    :raises OperationRefused: the rows break a new rule, or a copy is needed and forbidden.
    """
    objects = Objects.of(queue)
    taken = {name for _, name in objects.now}

    def spare(stem: str) -> str:
        name = database.free_name(stem, taken)
        taken.add(fold(name))
        return name

    results = _drop_tables(database, queue, spare)
    jobs = [
        make_job(database, queue.scratch, table, spare)
        for table in queue.tables.values()
        if table.before is not None
    ]
    for job in jobs:
        rules.check_values(database, job)
    before = orphans(
        database,
        {job.old.name: retyped(job.table, job.transition.changed) for job in jobs if job.filled},
    )
    broken = [rules.broken_before(database, job) for job in jobs]
    text = SchemaText(database, queue.scratch, jobs, objects, spare)
    triggers = _drop_triggers(database, jobs, objects)
    indexes = _drop_indexes(database, queue, jobs, objects)
    for job in jobs:
        if job.transition.way == "rebuild":
            with database.logged(job.log):
                _copy(database, job)
    text.first_edit()
    for job in jobs:
        with database.logged(job.log):
            _write(database, job)
    text.second_edit()
    for job in jobs:
        _keep_counter(database, job, spare)
    results += natively.make_tables(database, queue)
    natively.make_indexes(database, queue, indexes, jobs)
    for sql in triggers:
        database.run(sql)
    for job, counts in zip(jobs, broken, strict=True):
        with database.logged(job.log):
            rules.prove(database, job, counts)
    compare_orphans(database, {job.old.name: job.new.name for job in jobs}, before)
    return results + [_result(job) for job in jobs]


# ------------------------------------------------------------ taking away


def _drop_tables(database: Database, queue: Queue, spare: Spare) -> list[TableWork]:
    enforced = bool(queue.dropped) and database.foreign_keys()
    results = []
    for name, origin in queue.dropped:
        log = Log()
        with database.logged(log):
            if enforced and database.foreign_keys_to(name):
                _drop_parent(database, name, spare)
            else:
                database.run(f"DROP TABLE {quote(name)}")
        results.append(report(name, "drop", "the migration drops it", log, [origin]))
    return results


def _drop_parent(database: Database, name: str, spare: Spare) -> None:
    """Drop a table that foreign keys refer to, without touching the rows that refer to it.

    DROP TABLE deletes all rows first, which cascades
    (https://sqlite.org/foreignkeys.html#fk_schemacommands); under another name nothing does.
    """
    master = database.master()
    for row in master:
        if row.type == "trigger" and fold(row.table) == fold(name):
            database.run(f"DROP TRIGGER {quote(row.name)}")
        elif row.type == "index" and fold(row.table) == fold(name) and row.sql is not None:
            database.run(f"DROP INDEX {quote(row.name)}")
    row = database.row_of(name)
    assert row.sql is not None
    table = read_create_table(row.sql)
    text = row.sql
    while keys := [each for each in table.all_constraints if each.kind == "FOREIGN KEY"]:
        text = edits.drop_constraint(table, keys[0])
        table = read_create_table(text)
    other = spare(row.name)
    text = edits.rename_table(table, other)
    with database.schema_edit():
        database.edit("table", row.name, name=other, tbl_name=other, sql=text)
        for each in master:
            if each.type == "index" and fold(each.table) == fold(name) and each.sql is None:
                database.edit(
                    "index", each.name, name=automatic_name(other, each.name), tbl_name=other
                )
    database.run(f"DROP TABLE {quote(other)}")
    for table_name, column in KEPT_BY_NAME:
        if database.has_table(table_name):
            database.run(f"DELETE FROM {table_name} WHERE {column} = {quote_string(row.name)}")


def _drop_triggers(database: Database, jobs: list[Job], objects: Objects) -> list[str]:
    """Put aside the triggers of tables whose rows are updated; their texts, in order."""
    texts = []
    for job in jobs:
        if job.transition.way != "in place":
            continue
        for row in database.master():
            if row.type == "trigger" and fold(row.table) == fold(job.old.name):
                assert row.sql is not None
                entry = objects.now.get(("trigger", fold(row.name)))
                texts.append(entry.sql if entry is not None and entry.sql else row.sql)
                with database.logged(job.log):
                    database.run(f"DROP TRIGGER {quote(row.name)}")
    return texts


def _drop_indexes(
    database: Database, queue: Queue, jobs: list[Job], objects: Objects
) -> list[Entry]:
    """Drop the indexes that go or whose contents do not fit; those to make afterwards."""
    survivors = set()
    for job in jobs:
        generated = [column.name for column in job.new.generated_columns]
        theirs = {fold(each.name): each for each in job.new.indexes if not each.automatic}
        for index in job.old.indexes:
            now = theirs.get(fold(index.name))
            if (
                not index.automatic
                and now is not None
                and fold(index.name) not in queue.index_origins
                and index_survives(index, now, job.lineage, job.transition, generated)
            ):
                survivors.add(fold(index.name))
    changing = {fold(job.old.name): job.log for job in jobs}
    for row in database.master():
        key = ("index", fold(row.name))
        if row.type != "index" or row.sql is None or key not in objects.start:
            continue
        stays = key in objects.now and fold(row.name) not in queue.index_origins
        if stays and fold(row.table) in changing:
            stays = fold(row.name) in survivors
        if not stays:
            with database.logged(changing.get(fold(row.table), Log())):
                database.run(f"DROP INDEX {quote(row.name)}")
    return natively.missing_indexes(database, objects.now.values())


# ------------------------------------------------------------ rows


def _copy(database: Database, job: Job) -> None:
    assert job.copy is not None
    renamed = edits.rename_table(read_create_table(job.new.sql), job.copy)
    shape = replace(
        read_shape(renamed, ()),
        primary_key=job.new.primary_key,
        rowid_alias=job.new.rowid_alias,
    )
    uniques = job.new.automatic if job.new.without_rowid else ()
    database.run(plain_table(job.copy, shape, uniques=uniques))
    before = database.count(job.old.name)
    sql = copy_rows(job.old, job.old.name, job.new, job.copy, job.lineage)
    try:
        job.log.rows += database.run(sql)
    except Exception as error:
        for index in uniques:
            rules.explain_copied_unique(database, job, index, error)
        rules.explain_copy(database, job, error)
        raise
    must_have_all(database, job.new.name, before, job.copy)


def _write(database: Database, job: Job) -> None:
    if job.copy is not None:
        database.run(f"DROP TABLE {quote(job.copy)}")
    if job.transition.update is not None:
        job.log.rows += database.run(job.transition.update)
    for name in job.fresh_automatic if job.staged else ():
        index = next(each for each in job.new.automatic if each.name == name)
        sql = (
            f"CREATE UNIQUE INDEX {quote(job.spares[name])} ON {quote(job.new.name)}"
            f" ({key_columns(index.key)})"
        )
        try:
            database.run(sql)
        except Exception as error:
            rules.explain_unique(database, job, index, error)
            raise


def _keep_counter(database: Database, job: Job, spare: Spare) -> None:
    """Begin or end what SQLite keeps for AUTOINCREMENT."""
    before = _counts(job.old)
    now = _counts(job.new)
    if now and not before and not database.has_table("sqlite_sequence"):
        # SQLite makes its bookkeeping table together with the first table that needs it.
        other = spare("sequence")
        database.run(f"CREATE TABLE {quote(other)} (id INTEGER PRIMARY KEY AUTOINCREMENT)")
        database.run(f"DROP TABLE {quote(other)}")
    if now and not before and job.filled:
        database.run(
            "INSERT INTO sqlite_sequence (name, seq)"
            f" SELECT {quote_string(job.new.name)}, max(rowid) FROM {quote(job.new.name)}"
        )
    if before and not now:
        database.run(f"DELETE FROM sqlite_sequence WHERE name = {quote_string(job.new.name)}")


def _counts(shape: TableShape) -> bool:
    return has_autoincrement(read_create_table(shape.sql))


def _result(job: Job) -> TableWork:
    way = {"text": "schema edit"}.get(job.transition.way, job.transition.way)
    return report(job.new.name, way, job.transition.reason, job.log, job.table.origins)
