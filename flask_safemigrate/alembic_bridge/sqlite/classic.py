"""Takes the real database to the new schema without editing the stored schema text.

What SQLite has statements for is done by these. A table that changes otherwise is made anew under
another name, filled, and renamed after the old one was dropped
(https://sqlite.org/lang_altertable.html#otheralter).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flask_safemigrate.alembic_bridge.sqlite import rules
from flask_safemigrate.alembic_bridge.sqlite.changeover import report
from flask_safemigrate.alembic_bridge.sqlite.database import Database, Log
from flask_safemigrate.alembic_bridge.sqlite.mirror import Mirror
from flask_safemigrate.alembic_bridge.sqlite.replay import Native, Replay, refused
from flask_safemigrate.alembic_bridge.sqlite.tracked import TrackedTable
from flask_safemigrate.ddl import edits
from flask_safemigrate.ddl.changes import Origin
from flask_safemigrate.ddl.create_table import read_create_table
from flask_safemigrate.ddl.rebuild import (
    Lineage,
    Transition,
    copy_rows,
    lossy_condition,
)
from flask_safemigrate.ddl.shape import TableShape, read_shape
from flask_safemigrate.ddl.tokens import fold, quote, quote_string
from flask_safemigrate.errors import OperationRefused, VerificationFailed
from flask_safemigrate.outcome import TableWork

#: ``SQLITE_DBCONFIG_ENABLE_FKEY``, which may change inside a transaction, other than the pragma
#: (https://sqlite.org/c3ref/c_dbconfig_defensive.html).
_ENABLE_FOREIGN_KEYS = 1002

_HINT = "let schema edits on, which need no DROP TABLE of a table that others refer to"


class ClassicChangeover:
    """One passage over the whole queue, without schema edits.

    :ivar results: what was done, table by table.
    """

    def __init__(self, database: Database, mirror: Mirror, replay: Replay) -> None:
        self.database = database
        self.mirror = mirror
        self.replay = replay
        self.results: list[TableWork] = []
        self._defers = True

    def run(self) -> list[TableWork]:
        """Do it.

        :raises OperationRefused: the rows break a new rule, or a row of another table would go.
        """
        aside = self._put_aside()
        for step in self.replay.steps:
            if step.owner is None or step.owner.origin is not None:
                self._native(step)
        for table in self.replay.tables.values():
            if table.origin is not None and table.pending:
                self._rebuild(table)
        self._create()
        self._mend_triggers()
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
        broken = {key for key in self.mirror.loaded.aside if key[0] in ("view", "trigger")}
        if not broken:
            return []
        rows = [
            row
            for row in self.database.master()
            if (row.type, fold(row.name)) in broken and row.sql
        ]
        # Triggers first, since dropping a view takes its own along.
        for row in sorted(rows, key=lambda each: each.type):
            self.database.run(f"DROP {row.type.upper()} {quote(row.name)}")
        return [row.sql for row in rows if row.sql is not None]

    def _native(self, step: Native) -> None:
        log = Log()
        drops = step.sql.startswith("DROP TABLE")
        with self.database.logged(log), self._without_cascades(step.table, step.origin, drops):
            try:
                self.database.run(step.sql)
            except Exception as error:
                entry = self.mirror.find("index", step.makes) if step.makes else None
                if entry is not None:
                    rules.explain_index(self.database, self.mirror, entry, step.origin, error)
                raise refused(step.origin, f"SQLite says: {error}") from error
        way = "drop" if drops else "native"
        self.results.append(
            report(step.table, way, "SQLite has a statement for it", log, [step.origin])
        )

    def _create(self) -> None:
        for table in self.replay.tables.values():
            if table.origin is None:
                log = Log()
                with self.database.logged(log):
                    self.database.run(self.replay.text(table))
                self.results.append(
                    report(table.name, "create", "the migration makes it", log, table.origins)
                )
        present = {fold(row.name) for row in self.database.master() if row.type == "index"}
        for entry in self.mirror.entries():
            if entry.type == "index" and entry.sql is not None and fold(entry.name) not in present:
                try:
                    self.database.run(entry.sql)
                except Exception as error:
                    origin = self.replay.index_origins.get(fold(entry.name))
                    rules.explain_index(self.database, self.mirror, entry, origin, error)
                    raise

    def _mend_triggers(self) -> None:
        """Give triggers the text that they got in the scratch database only."""
        for row in self.database.master():
            if row.type != "trigger" or fold(row.name) not in self.replay.mended:
                continue
            entry = self.mirror.find("trigger", row.name)
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
        new = self.mirror.shape(table.name)
        changed = frozenset(
            fold(each.name) for each in table.columns if each.typed_by or each.real is None
        )
        transition = Transition("rebuild", "", changed, same_rowids=False)
        with (
            self.database.logged(log),
            self._without_cascades(table.name, origin, True),
            self._legacy_rename(),
        ):
            broken = self._broken_before(table, new, transition) if filled else {}
            self._copy(table, new, log)
        with self.database.logged(log):
            rules.prove(self.database, table, new, transition, filled, broken)
        reason = "schema edits are off, and SQLite has no statement for it"
        self.results.append(report(table.name, "rebuild", reason, log, table.origins))

    def _broken_before(
        self, table: TrackedTable, new: TableShape, transition: Transition
    ) -> dict[str, int]:
        old = self._real_shape(table)
        return rules.broken_before(self.database, table, old, new, transition, real=True)

    def _real_shape(self, table: TrackedTable) -> TableShape:
        """The table as it is after the native statements."""
        row = next(
            each
            for each in self.database.master()
            if each.type == "table" and fold(each.name) == fold(table.name)
        )
        assert row.sql is not None
        return read_shape(row.sql, ())

    def _copy(self, table: TrackedTable, new: TableShape, log: Log) -> None:
        old = self._real_shape(table)
        self._check_values(table, old, new)
        lineage = tuple(
            Lineage(each.name, each.real, each.fill, each.constant) for each in table.columns
        )
        triggers = [
            each.sql
            for each in self.mirror.belonging(table.name, "trigger")
            if each.sql is not None
        ]
        counter = self._counter(table.name)
        statistics = self._statistics(table.name)
        copy = f"_safemigrate_{table.name}"
        while self.mirror.find("table", copy) or self.mirror.find("index", copy):
            copy += "_"
        # While foreign keys are enforced, a copy that referred to the old table would lose rows
        # with it, and RENAME leads references along; otherwise RENAME leaves them alone.
        text = edits.rename_table(
            read_create_table(new.sql), copy, self_references=self.database.foreign_keys()
        )
        self.database.run(text)
        before = self.database.count(table.name)
        try:
            with self._lenient():
                log.rows += self.database.run(
                    copy_rows(old, table.name, new, copy, lineage).replace(
                        "INSERT INTO", "INSERT OR ABORT INTO", 1
                    )
                )
        except Exception as error:
            self._explain(table, old, new, error)
            raise
        after = self.database.count(copy)
        if before != after:
            raise VerificationFailed(
                f"table {quote(new.name)} had {before:,} rows, its copy has {after:,}"
            )
        self.database.run(f"DROP TABLE {quote(table.name)}")
        self.database.run(f"ALTER TABLE {quote(copy)} RENAME TO {quote(table.name)}")
        if self.database.count(table.name) != before:
            raise VerificationFailed(f"dropping the old table {quote(new.name)} took rows along")
        for sql in [*self._index_texts(table.name), *triggers]:
            self._make(table, sql)
        if counter is not None:
            self.database.run(
                f"UPDATE sqlite_sequence SET seq = {counter}"
                f" WHERE name = {quote_string(table.name)}"
            )
        for sql in statistics:
            self.database.run(sql)

    def _index_texts(self, table: str) -> list[str]:
        return [each.sql for each in self.mirror.belonging(table, "index") if each.sql is not None]

    def _make(self, table: TrackedTable, sql: str) -> None:
        try:
            self.database.run(sql)
        except Exception as error:
            for entry in self.mirror.belonging(table.name, "index"):
                if entry.sql == sql:
                    origin = self.replay.index_origins.get(fold(entry.name), table.origins[-1])
                    rules.explain_index(self.database, self.mirror, entry, origin, error)
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
        for index in new.automatic:
            rules.explain_copied_unique(self.database, table, old, index, error, real=True)
        rules.explain_copy(self.database, table, old, new, error)

    # ------------------------------------------------------------ what a copy must not lose

    def _counter(self, table: str) -> int | None:
        if not self.database.has_table("sqlite_sequence"):
            return None
        found = self.database.value(
            f"SELECT seq FROM sqlite_sequence WHERE name = {quote_string(table)}"
        )
        return None if found is None else int(found)

    def _statistics(self, table: str) -> list[str]:
        """Statements that put back what ANALYZE found, which DROP TABLE forgets."""
        if not self.database.has_table("sqlite_stat1"):
            return []
        kept = {fold(each.name) for each in self.mirror.belonging(table, "index")}
        return [
            f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ({tbl}, {idx}, {stat})"
            for name, tbl, idx, stat in self.database.read(
                "SELECT idx, quote(tbl), quote(idx), quote(stat) FROM sqlite_stat1"
                f" WHERE tbl = {quote_string(table)}"
            )
            if name is None or fold(name) in kept
        ]

    # ------------------------------------------------------------ how SQLite shall behave

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
    def _legacy_rename(self) -> Iterator[None]:
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

    @contextlib.contextmanager
    def _without_cascades(self, table: str, origin: Origin, drops: bool) -> Iterator[None]:
        """DROP TABLE deletes all rows first, which must not reach the rows of other tables.

        Enforcement is put off inside, where the driver can do that in a transaction (Python 3.12).

        :raises OperationRefused: it cannot, and rows would be reached.
        """
        children = self._referring(table) if drops and self.database.foreign_keys() else []
        if not children:
            yield
            return
        driver = self.database.driver
        if hasattr(driver, "setconfig"):
            driver.setconfig(_ENABLE_FOREIGN_KEYS, False)
        if self.database.foreign_keys():
            raise refused(
                origin,
                f"table {quote(table)} must be dropped, and rows of"
                f" {', '.join(map(quote, children))} refer to it, which foreign_keys=ON would"
                " delete or change",
                _HINT,
            )
        try:
            yield
        finally:
            driver.setconfig(_ENABLE_FOREIGN_KEYS, True)

    def _referring(self, table: str) -> list[str]:
        """Other tables with rows that refer to a table."""
        found = []
        for child, column in self.database.read(
            'SELECT m.name, f."from" FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS f'
            f" WHERE m.type = 'table' AND f.\"table\" = {quote_string(table)} COLLATE NOCASE"
        ):
            if fold(child) != fold(table) and self.database.value(
                f"SELECT 1 FROM {quote(child)} WHERE {quote(column)} IS NOT NULL LIMIT 1"
            ):
                found.append(child)
        return list(dict.fromkeys(found))
