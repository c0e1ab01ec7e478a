"""Edits the stored schema text (https://sqlite.org/lang_altertable.html, section 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from flask_safemigrate.alter.apply.database import Database, Expression, Log, Row, Value
from flask_safemigrate.alter.apply.jobs import Job
from flask_safemigrate.alter.apply.statistics import KEPT_BY_NAME, automatic_name
from flask_safemigrate.alter.queue.queue import Queue
from flask_safemigrate.alter.queue.scratch import Entry, Key, Scratch
from flask_safemigrate.ddl.rebuild import key_columns, plain_table
from flask_safemigrate.ddl.references import rename_trigger_table
from flask_safemigrate.ddl.tokens import fold, quote, quote_string

#: New values for a row of ``sqlite_master``.
Edit = dict[str, Value]

#: Gives a name that nothing has.
Spare = Callable[[str], str]


class Objects(NamedTuple):
    """All objects of the schema, by type and folded name.

    :ivar start: those of the scratch database when the queue began.
    :ivar now: those that shall be.
    """

    start: Mapping[Key, Entry]
    now: Mapping[Key, Entry]

    @classmethod
    def of(cls, queue: Queue) -> Objects:
        now = {(each.type, fold(each.name)): each for each in queue.scratch.entries()}
        start = {(each.type, fold(each.name)): each for each in queue.started}
        loaded = queue.scratch.loaded
        for row in loaded.rows:
            key = (row.type, fold(row.name))
            if row.type == "table" and fold(row.name) in loaded.virtual:
                # The scratch database has plain tables instead.
                start[key] = row
                if key in now:
                    now[key] = row._replace(sql=queue.virtual.get(fold(row.name), row.sql))
        return cls(start, now)


class SchemaText:
    """The texts and names of all objects, before and after."""

    def __init__(
        self,
        database: Database,
        scratch: Scratch,
        jobs: list[Job],
        objects: Objects,
        spare: Spare,
    ) -> None:
        self.database = database
        self.scratch = scratch
        self.jobs = jobs
        self.start, self.now = objects
        self.spare = spare

    def first_edit(self) -> None:
        """Set every name and text, except that staged tables get their plain text."""
        by_origin = {fold(job.old.name): job for job in self.jobs}
        master = self.database.master()
        copies = {fold(job.copy): job for job in self.jobs if job.copy is not None}
        planned: list[tuple[Row, Edit, Log]] = []
        unwanted: list[str] = []
        for row in master:
            job = by_origin.get(fold(row.table), copies.get(fold(row.table)))
            edit: Edit
            if job is None:
                edit = self._text_edit(row)
            elif row.type == "table" and fold(row.name) in copies:
                edit = self._copy_edit(job, row)
            elif row.type == "table":
                edit = self._table_edit(job, row)
            elif row.type == "index" and row.sql is None and fold(row.table) in copies:
                # Made together with the copy of a WITHOUT ROWID table.
                name = automatic_name(job.new.name, row.name)
                edit = {"name": name, "tbl_name": job.new.name}
            elif row.type == "index" and row.sql is None:
                edit, spare = self._automatic_edit(job, row)
                if spare is not None:
                    unwanted.append(spare)
            else:
                edit = self._text_edit(row)
            if edit:
                planned.append((row, edit, job.log if job is not None else Log()))
        self._rename_rows()
        if planned:
            with self.database.schema_edit():
                self._edit_rows(planned, [(row.type, row.name) for row in master])
                for job in copies.values():
                    with self.database.logged(job.log):
                        self._swap_roots(job)
        for spare in unwanted:
            self.database.run(f"DROP INDEX {quote(spare)}")

    def _edit_rows(
        self, planned: list[tuple[Row, Edit, Log]], present: list[tuple[str, str]]
    ) -> None:
        """Make the edits; a name that another row still has is taken from that one first."""
        names = {row.rowid: row.name for row, _, _ in planned}
        taken = set(present)
        for row, edit, log in planned:
            new = edit.get("name")
            if isinstance(new, str) and (row.type, new) in taken and new != names[row.rowid]:
                holder = next(
                    other
                    for other, _, _ in planned
                    if other.type == row.type and names[other.rowid] == new
                )
                spare = self.spare(new)
                self.database.edit(row.type, new, name=spare)
                names[holder.rowid] = spare
                taken = (taken - {(row.type, new)}) | {(row.type, spare)}
            with self.database.logged(log):
                self.database.edit(row.type, names[row.rowid], **edit)
            if isinstance(new, str):
                taken = (taken - {(row.type, names[row.rowid])}) | {(row.type, new)}

    def _swap_roots(self, job: Job) -> None:
        """Give the table the rows of its copy, and the copy those of the table."""
        assert job.copy is not None
        where = (
            f"type='table' AND name IN ({quote_string(job.new.name)}, {quote_string(job.copy)})"
        )
        self.database.run(
            "UPDATE sqlite_master SET rootpage ="
            f" (SELECT sum(rootpage) FROM sqlite_master WHERE {where}) - rootpage WHERE {where}"
        )

    def _copy_edit(self, job: Job, row: Row) -> Edit:
        """The copy's name goes to the old rows, which are only dropped under it."""
        tail = " PRIMARY KEY) WITHOUT ROWID" if job.old.without_rowid else ")"
        return {"sql": f"CREATE TABLE {quote(row.name)} (x{tail}"}

    def _table_edit(self, job: Job, row: Row) -> Edit:
        text = self._plain(job) if job.staged else job.new.sql
        edit: Edit = {}
        if row.sql != text:
            edit["sql"] = text
        if row.name != job.new.name:
            edit |= {"name": job.new.name, "tbl_name": job.new.name}
        return edit

    def _automatic_edit(self, job: Job, row: Row) -> tuple[Edit, str | None]:
        """What becomes of an automatic index; also its name if it must be dropped."""
        name = next((new for new, old in job.automatic.items() if old == row.name), None)
        if name is None:
            spare = self.spare(row.name)
            table = job.copy if job.copy is not None else job.new.name
            column = "x"
            if job.copy is None:
                column = next(each.name for each in job.new.columns if each.stored)
            return {
                # SQLite reads the rows in order, and an index must come after its table.
                "rowid": Expression("(SELECT max(rowid) + 1 FROM sqlite_master)"),
                "name": spare,
                "tbl_name": table,
                "sql": f"CREATE INDEX {quote(spare)} ON {quote(table)} ({quote(column)})",
            }, (spare if job.copy is None else None)
        edit: Edit = {}
        if job.staged:
            index = next(each for each in job.new.automatic if each.name == name)
            edit["name"] = job.spares[name]
            edit["sql"] = (
                f"CREATE UNIQUE INDEX {quote(job.spares[name])} ON {quote(job.new.name)}"
                f" ({key_columns(index.key)})"
            )
        elif row.name != name:
            edit["name"] = name
        if row.table != job.new.name:
            edit["tbl_name"] = job.new.name
        return edit, None

    def _text_edit(self, row: Row) -> Edit:
        key = (row.type, fold(row.name))
        before, now = self.start.get(key), self.now.get(key)
        if before is None or now is None or row.sql is None:
            renamed = self._renamed(row.table)
            if renamed is None or row.type != "trigger" or row.sql is None:
                return {}
            # A trigger that does not work is unknown to the scratch database.
            return {"tbl_name": renamed, "sql": rename_trigger_table(row.sql, row.table, renamed)}
        edit: Edit = {}
        if before.sql != now.sql:
            edit["sql"] = now.sql
        if row.type != "table" and fold(before.table) != fold(now.table):
            edit["tbl_name"] = now.table
        return edit

    def _renamed(self, real_table: str) -> str | None:
        for job in self.jobs:
            if fold(job.old.name) == fold(real_table) and job.new.name != job.old.name:
                return job.new.name
        return None

    def _rename_rows(self) -> None:
        """Let SQLite's own bookkeeping follow tables that are renamed."""
        renamed = [
            (job.old.name, job.new.name) for job in self.jobs if job.old.name != job.new.name
        ]
        if not renamed:
            return
        cases = " ".join(
            f"WHEN {quote_string(old)} THEN {quote_string(new)}" for old, new in renamed
        )
        names = ", ".join(quote_string(old) for old, _ in renamed)
        for table, column in KEPT_BY_NAME:
            if self.database.has_table(table):
                self.database.run(
                    f"UPDATE {table} SET {column} = CASE {column} {cases} END"
                    f" WHERE {column} IN ({names})"
                )

    def second_edit(self) -> None:
        staged = [job for job in self.jobs if job.staged]
        if not staged:
            return
        with self.database.schema_edit():
            for job in staged:
                with self.database.logged(job.log):
                    self.database.edit("table", job.new.name, sql=job.new.sql)
                    for name, spare in job.spares.items():
                        self.database.edit("index", spare, name=name, sql=None)

    def _plain(self, job: Job) -> str:
        """The text under which rows are written: short rows read what they read before."""
        defaults = {}
        if job.transition.way != "rebuild":
            for column in job.table.columns:
                if column.origin is None:
                    if column.constant and column.fill is not None:
                        defaults[fold(column.name)] = column.fill
                    continue
                before = job.old.column(column.origin)
                assert before is not None
                if before.default is not None and before.generated is None:
                    literal = self.scratch.literal(before.affinity, before.default)
                    if literal is not None:
                        defaults[fold(column.name)] = literal
        return plain_table(job.new.name, job.new, defaults=defaults)
