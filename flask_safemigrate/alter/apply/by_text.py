"""Takes the real database from the schema it has to the one that the scratch database has."""

from __future__ import annotations

from dataclasses import replace

from flask_safemigrate.alter.apply import natively, rules
from flask_safemigrate.alter.apply.database import Database, Log
from flask_safemigrate.alter.apply.jobs import (
    Job,
    check_values,
    compare_orphans,
    make_job,
    orphans,
    report,
    retyped,
)
from flask_safemigrate.alter.apply.schema_text import SchemaText, automatic_name
from flask_safemigrate.alter.queue.queue import Queue
from flask_safemigrate.alter.queue.scratch import Entry, Scratch
from flask_safemigrate.checks.found import counted
from flask_safemigrate.ddl import edits
from flask_safemigrate.ddl.create_table import read_create_table
from flask_safemigrate.ddl.questions import has_autoincrement
from flask_safemigrate.ddl.rebuild import copy_rows, index_survives, key_columns, plain_table
from flask_safemigrate.ddl.shape import TableShape, read_shape
from flask_safemigrate.ddl.tokens import fold, quote, quote_string
from flask_safemigrate.errors import VerificationFailed
from flask_safemigrate.outcome import TableWork


class Changeover:
    """One passage over the whole queue, with schema edits.

    :ivar results: what was done, table by table.
    """

    def __init__(self, database: Database, scratch: Scratch, queue: Queue) -> None:
        self.database = database
        self.scratch = scratch
        self.queue = queue
        self.now = {(each.type, fold(each.name)): each for each in scratch.entries()}
        self.start = {(each.type, fold(each.name)): each for each in queue.started}
        for row in scratch.loaded.rows:
            key = (row.type, fold(row.name))
            if row.type == "table" and fold(row.name) in scratch.loaded.virtual:
                # The scratch database has plain tables instead.
                self.start[key] = row
                if key in self.now:
                    self.now[key] = row._replace(sql=queue.virtual.get(fold(row.name), row.sql))
        self.jobs: list[Job] = []
        self.results: list[TableWork] = []
        self._taken = {fold(row.name) for row in database.master()} | {
            name for _, name in self.now
        }

    def spare(self, stem: str) -> str:
        """A name that nothing has."""
        number = 1
        while fold(f"_safemigrate_{number}_{stem}") in self._taken:
            number += 1
        name = f"_safemigrate_{number}_{stem}"
        self._taken.add(fold(name))
        return name

    def run(self) -> list[TableWork]:
        """Do it.

        :raises OperationRefused: the rows break a new rule, or a copy is needed and forbidden.
        """
        self._drop_tables()
        self.jobs = [
            make_job(self.database, self.scratch, table, self.spare)
            for table in self.queue.tables.values()
            if table.before is not None
        ]
        for job in self.jobs:
            check_values(self.database, job)
        before = orphans(
            self.database,
            {
                job.old.name: retyped(job.table, job.transition.changed)
                for job in self.jobs
                if job.filled
            },
        )
        broken = [
            rules.broken_before(self.database, job.table, job.old, job.new, job.transition)
            if job.filled
            else {}
            for job in self.jobs
        ]
        text = SchemaText(self.database, self.scratch, self.jobs, self.start, self.now, self.spare)
        triggers = self._drop_triggers()
        created = self._drop_indexes()
        for job in self.jobs:
            if job.transition.way == "rebuild":
                with self.database.logged(job.log):
                    self._copy(job)
        text.first_edit()
        for job in self.jobs:
            with self.database.logged(job.log):
                self._write(job)
        text.second_edit()
        self._create(created, triggers)
        for job, counts in zip(self.jobs, broken, strict=True):
            with self.database.logged(job.log):
                rules.prove(self.database, job.table, job.new, job.transition, job.filled, counts)
        names = {job.old.name: job.new.name for job in self.jobs}
        compare_orphans(self.database, names, before)
        self.results += [self._result(job) for job in self.jobs]
        return self.results

    # ------------------------------------------------------------ taking away

    def _drop_tables(self) -> None:
        enforced = self.database.foreign_keys() if self.queue.dropped else False
        for name, origin in self.queue.dropped:
            log = Log()
            with self.database.logged(log):
                if enforced and self.database.foreign_keys_to(name):
                    self._drop_parent(name)
                else:
                    self.database.run(f"DROP TABLE {quote(name)}")
            self.results.append(report(name, "drop", "the migration drops it", log, [origin]))

    def _drop_parent(self, name: str) -> None:
        """Drop a table that foreign keys refer to, without touching the rows that refer to it.

        DROP TABLE deletes all rows first, which cascades
        (https://sqlite.org/foreignkeys.html#fk_schemacommands); under another name nothing does.
        """
        master = self.database.master()
        for row in master:
            if row.type == "trigger" and fold(row.table) == fold(name):
                self.database.run(f"DROP TRIGGER {quote(row.name)}")
            elif row.type == "index" and fold(row.table) == fold(name) and row.sql is not None:
                self.database.run(f"DROP INDEX {quote(row.name)}")
        row = self.database.row_of(name)
        assert row.sql is not None
        table = read_create_table(row.sql)
        text = row.sql
        while keys := [each for each in table.all_constraints if each.kind == "FOREIGN KEY"]:
            text = edits.drop_constraint(table, keys[0])
            table = read_create_table(text)
        spare = self.spare(row.name)
        text = edits.rename_table(table, spare)
        with self.database.schema_edit():
            self.database.edit("table", row.name, name=spare, tbl_name=spare, sql=text)
            for each in master:
                if each.type == "index" and fold(each.table) == fold(name) and each.sql is None:
                    self.database.edit(
                        "index",
                        each.name,
                        name=automatic_name(spare, each.name),
                        tbl_name=spare,
                    )
        self.database.run(f"DROP TABLE {quote(spare)}")
        for table_name, column in (("sqlite_sequence", "name"), ("sqlite_stat1", "tbl")):
            if self.database.has_table(table_name):
                self.database.run(
                    f"DELETE FROM {table_name} WHERE {column} = {quote_string(row.name)}"
                )

    def _drop_triggers(self) -> list[str]:
        """Put aside the triggers of tables whose rows are updated; their names, in order."""
        names = []
        for job in self.jobs:
            if job.transition.way != "in place":
                continue
            for row in self.database.master():
                if row.type == "trigger" and fold(row.table) == fold(job.old.name):
                    assert row.sql is not None
                    entry = self.now.get(("trigger", fold(row.name)))
                    names.append(entry.sql if entry is not None and entry.sql else row.sql)
                    with self.database.logged(job.log):
                        self.database.run(f"DROP TRIGGER {quote(row.name)}")
        return names

    def _drop_indexes(self) -> list[Entry]:
        """Drop the indexes that go or whose contents do not fit; those to make afterwards."""
        survivors = set()
        for job in self.jobs:
            generated = [column.name for column in job.new.generated_columns]
            theirs = {fold(each.name): each for each in job.new.indexes if not each.automatic}
            for index in job.old.indexes:
                now = theirs.get(fold(index.name))
                if (
                    not index.automatic
                    and now is not None
                    and fold(index.name) not in self.queue.index_origins
                    and index_survives(index, now, job.table.lineage, job.transition, generated)
                ):
                    survivors.add(fold(index.name))
        changing = {fold(job.old.name) for job in self.jobs}
        for row in self.database.master():
            if row.type != "index" or row.sql is None:
                continue
            key = ("index", fold(row.name))
            if key not in self.start:
                continue
            stays = key in self.now and fold(row.name) not in self.queue.index_origins
            if stays and fold(row.table) in changing:
                stays = fold(row.name) in survivors
            if not stays:
                with self.database.logged(self._log_of(row.table)):
                    self.database.run(f"DROP INDEX {quote(row.name)}")
        present = {fold(row.name) for row in self.database.master() if row.type == "index"}
        return [
            entry
            for (kind, name), entry in self.now.items()
            if kind == "index" and entry.sql is not None and name not in present
        ]

    def _log_of(self, real_table: str) -> Log:
        for job in self.jobs:
            if fold(job.old.name) == fold(real_table):
                return job.log
        return Log()

    # ------------------------------------------------------------ rows

    def _copy(self, job: Job) -> None:
        assert job.copy is not None
        renamed = edits.rename_table(read_create_table(job.new.sql), job.copy)
        shape = replace(
            read_shape(renamed, ()),
            primary_key=job.new.primary_key,
            rowid_alias=job.new.rowid_alias,
        )
        uniques = job.new.automatic if job.new.without_rowid else ()
        self.database.run(plain_table(job.copy, shape, uniques=uniques))
        before = self.database.count(job.old.name)
        sql = copy_rows(job.old, job.old.name, job.new, job.copy, job.table.lineage)
        try:
            job.log.rows += self.database.run(sql)
        except Exception as error:
            for index in uniques:
                rules.explain_copied_unique(self.database, job.table, job.old, index, error)
            rules.explain_copy(self.database, job.table, job.old, job.new, error)
            raise
        after = self.database.count(job.copy)
        if before != after:
            raise VerificationFailed(
                f"table {quote(job.new.name)} had {counted(before, 'row')}, its copy has {after:,}"
            )

    def _write(self, job: Job) -> None:
        if job.copy is not None:
            self.database.run(f"DROP TABLE {quote(job.copy)}")
        if job.transition.update is not None:
            job.log.rows += self.database.run(job.transition.update)
        for name in job.fresh_automatic if job.staged else ():
            index = next(each for each in job.new.automatic if each.name == name)
            sql = (
                f"CREATE UNIQUE INDEX {quote(job.spares[name])} ON {quote(job.new.name)}"
                f" ({key_columns(index.key)})"
            )
            try:
                self.database.run(sql)
            except Exception as error:
                rules.explain_unique(self.database, job.table, job.new, index, error)
                raise

    # ------------------------------------------------------------ making

    def _create(self, indexes: list[Entry], triggers: list[str]) -> None:
        for job in self.jobs:
            self._autoincrement(job)
        self.results += natively.make_tables(self.database, self.queue)
        for entry in indexes:
            assert entry.sql is not None
            owner = next((job for job in self.jobs if job.new.name == entry.table), None)
            with self.database.logged(owner.log if owner is not None else Log()):
                try:
                    self.database.run(entry.sql)
                except Exception as error:
                    origin = self.queue.index_origins.get(fold(entry.name))
                    if origin is None and owner is not None:
                        origin = owner.table.origins[-1]
                    rules.explain_index(self.database, self.scratch, entry, origin, error)
                    raise
        for sql in triggers:
            self.database.run(sql)

    def _autoincrement(self, job: Job) -> None:
        before = _counts(job.old)
        now = _counts(job.new)
        if now and not before and not self.database.has_table("sqlite_sequence"):
            # SQLite makes its bookkeeping table together with the first table that needs it.
            spare = self.spare("sequence")
            self.database.run(
                f"CREATE TABLE {quote(spare)} (id INTEGER PRIMARY KEY AUTOINCREMENT)"
            )
            self.database.run(f"DROP TABLE {quote(spare)}")
        if now and not before and job.filled:
            self.database.run(
                "INSERT INTO sqlite_sequence (name, seq)"
                f" SELECT {quote_string(job.new.name)}, max(rowid) FROM {quote(job.new.name)}"
            )
        if before and not now:
            self.database.run(
                f"DELETE FROM sqlite_sequence WHERE name = {quote_string(job.new.name)}"
            )

    def _result(self, job: Job) -> TableWork:
        way = {"text": "schema edit"}.get(job.transition.way, job.transition.way)
        return report(job.new.name, way, job.transition.reason, job.log, job.table.origins)


def _counts(shape: TableShape) -> bool:
    return has_autoincrement(read_create_table(shape.sql))
