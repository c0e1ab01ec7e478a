"""Takes the real database to the new schema without editing the stored schema text.

What SQLite has statements for is done by these. A table that changes otherwise is made anew under
another name, filled, and renamed after the old one was dropped
(https://sqlite.org/lang_altertable.html#otheralter).
"""

from __future__ import annotations

from collections.abc import Collection

from flask_safemigrate.alter.apply import cascades, natively, rules
from flask_safemigrate.alter.apply.copying import Copying, real_shape
from flask_safemigrate.alter.apply.database import Database, Log
from flask_safemigrate.alter.apply.jobs import compare_orphans, orphans, report, retyped
from flask_safemigrate.alter.queue.queue import (
    Native,
    Queue,
    is_database_error,
    no_key,
    refused,
)
from flask_safemigrate.alter.queue.scratch import Scratch
from flask_safemigrate.alter.queue.tracked import TrackedTable
from flask_safemigrate.ddl.rebuild import (
    Transition,
)
from flask_safemigrate.ddl.shape import TableShape
from flask_safemigrate.ddl.tokens import fold, quote, same_name, unquote
from flask_safemigrate.errors import OperationRefused
from flask_safemigrate.outcome import TableWork


class ClassicChangeover:
    """One passage over the whole queue, without schema edits.

    :ivar results: what was done, table by table.
    """

    def __init__(self, database: Database, scratch: Scratch, queue: Queue) -> None:
        self.database = database
        self.scratch = scratch
        self.queue = queue
        self.results: list[TableWork] = []
        self._copying = Copying(database, scratch, queue)

    def run(self) -> list[TableWork]:
        """Do it.

        :raises OperationRefused: the rows break a new rule, or a row of another table would go.
        """
        aside = self._put_aside()
        waiting = self._drop(self.queue.waited)
        real = {
            table.origin: table for table in self.queue.tables.values() if table.origin is not None
        }
        before = orphans(self.database, {name: retyped(each) for name, each in real.items()})
        later = []
        for step in self.queue.steps:
            if step.owner is None or step.owner.origin is not None:
                if self._can_wait(step):
                    later.append(step)
                else:
                    self._native(step)
        for table in self.queue.tables.values():
            if table.origin is not None and table.pending:
                self._rebuild(table)
        for step in later:
            self._native(step)
        self._create()
        self._mend_triggers()
        compare_orphans(self.database, {name: each.name for name, each in real.items()}, before)
        for sql in waiting:
            self.database.run(sql)
        for sql in aside:
            try:
                self.database.run(sql)
            except Exception as error:
                raise OperationRefused(
                    f"what did not work before cannot be put back: {' '.join(sql.split())}"
                    f" ({error})",
                    hint="drop it, or mend it, before the upgrade",
                ) from error
        return self.results

    def _put_aside(self) -> list[str]:
        """Drop views and triggers that do not work, for ALTER TABLE fails on any; their texts."""
        return self._drop(
            {key for key in self.scratch.loaded.aside if key[0] in ("view", "trigger")}
        )

    def _drop(self, keys: Collection[tuple[str, str]]) -> list[str]:
        """Drop views and triggers; their texts, in the order they were made."""
        if not keys:
            return []
        rows = [
            row for row in self.database.master() if (row.type, fold(row.name)) in keys and row.sql
        ]
        # Triggers first, since dropping a view takes its own along.
        for row in sorted(rows, key=lambda each: each.type):
            self.database.run(f"DROP {row.type.upper()} {quote(row.name)}")
        return [row.sql for row in rows if row.sql is not None]

    def _can_wait(self, step: Native) -> bool:
        """Whether a table is better dropped when the others have lost their foreign keys to it."""
        return (
            step.sql.startswith("DROP TABLE")
            and cascades.reaches_rows(self.database)
            and bool(cascades.referring(self.database, step.table))
            and not any(
                same_name(name, step.table) for name in (*self.queue.tables, *self._new_names())
            )
        )

    def _new_names(self) -> list[str]:
        """The names that SQLite's statements give to tables."""
        return [
            unquote(step.sql.rpartition(" RENAME TO ")[2])
            for step in self.queue.steps
            if " RENAME TO " in step.sql
        ]

    def _native(self, step: Native) -> None:
        log = Log()
        drops = step.sql.startswith("DROP TABLE")
        with (
            self.database.logged(log),
            cascades.without_cascades(self.database, step.table, step.origin, drops),
        ):
            natively.run(self.database, self.scratch, step)
        way = "drop" if drops else "native"
        self.results.append(
            report(step.table, way, "SQLite has a statement for it", log, [step.origin])
        )

    def _create(self) -> None:
        self.results += natively.make_tables(self.database, self.queue)
        present = {fold(row.name) for row in self.database.master() if row.type == "index"}
        for entry in self.scratch.entries():
            if entry.type == "index" and entry.sql is not None and fold(entry.name) not in present:
                try:
                    self.database.run(entry.sql)
                except Exception as error:
                    origin = self.queue.index_origins.get(fold(entry.name))
                    rules.explain_index(self.database, self.scratch, entry, origin, error)
                    raise

    def _mend_triggers(self) -> None:
        """Give triggers the text that they got in the scratch database only."""
        for row in self.database.master():
            if row.type != "trigger" or fold(row.name) not in self.queue.mended:
                continue
            entry = self.scratch.find("trigger", row.name)
            if entry is not None and entry.sql is not None and entry.sql != row.sql:
                self.database.run(f"DROP TRIGGER {quote(row.name)}")
                self.database.run(entry.sql)

    # ------------------------------------------------------------ a copy

    def _rebuild(self, table: TrackedTable) -> None:
        log = Log()
        filled = self.database.is_filled(table.name)
        origin = table.forced or table.origins[-1]
        if filled and table.forbidden is not None:
            raise refused(
                table.forbidden,
                f"table {quote(table.name)} would have to be copied, which"
                ' recreate="never" forbids',
                'leave recreate="never" away',
            )
        new = self.scratch.shape(table.name)
        changed = frozenset(
            fold(each.name) for each in table.columns if each.typed_by or each.real is None
        )
        transition = Transition("rebuild", "", changed, same_rowids=False)
        relatives = (
            cascades.relatives(self.database, table.name)
            if cascades.reaches_rows(self.database)
            else []
        )
        with (
            self.database.logged(log),
            cascades.without_cascades(self.database, table.name, origin, not relatives),
            self._copying.legacy_rename(),
        ):
            broken = self._broken_before(table, new, transition) if filled else {}
            try:
                self._copying.copy(table, new, relatives, log)
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
        with self.database.logged(log):
            rules.prove(self.database, table, new, transition, filled, broken)
        reason = "schema edits are off, and SQLite has no statement for it"
        if relatives:
            reason += f"; the rows of {', '.join(map(quote, relatives))} refer to it"
        self.results.append(report(table.name, "rebuild", reason, log, table.origins))

    def _broken_before(
        self, table: TrackedTable, new: TableShape, transition: Transition
    ) -> dict[str, int]:
        old = real_shape(self.database, table.name)
        return rules.broken_before(self.database, table, old, new, transition, real=True)
