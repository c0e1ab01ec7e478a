"""Takes the real database to the new schema without editing the stored schema text.

What SQLite has statements for is done by these. A table that changes otherwise is made anew under
another name, filled, and renamed after the old one was dropped
(https://sqlite.org/lang_altertable.html#otheralter).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from flask_safemigrate.alembic_bridge.sqlite import rules
from flask_safemigrate.alembic_bridge.sqlite.changeover import report
from flask_safemigrate.alembic_bridge.sqlite.database import Database, Log
from flask_safemigrate.alembic_bridge.sqlite.mirror import Mirror
from flask_safemigrate.alembic_bridge.sqlite.replay import (
    Native,
    Replay,
    is_database_error,
    refused,
)
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
from flask_safemigrate.ddl.references import (
    read_index,
    read_trigger,
    rename_index,
    rename_index_table,
    rename_referenced_table,
)
from flask_safemigrate.ddl.shape import TableShape, read_shape
from flask_safemigrate.ddl.tokens import fold, quote, quote_string, same_name, unquote
from flask_safemigrate.errors import OperationRefused, VerificationFailed
from flask_safemigrate.outcome import TableWork

#: ``SQLITE_DBCONFIG_ENABLE_FKEY``, which may change inside a transaction, other than the pragma
#: (https://sqlite.org/c3ref/c_dbconfig_defensive.html).
_ENABLE_FOREIGN_KEYS = 1002

_HINT = "let schema edits on, which need no DROP TABLE of a table that others refer to"


class _Copy(NamedTuple):
    """A table and its copy.

    :ivar new: what the table becomes.
    :ivar statement: copies the rows.
    :ivar indexes: texts, as those of the triggers and of what puts ANALYZE's findings back.
    """

    name: str
    copy: str
    new: TableShape
    statement: str
    rows: int
    indexes: tuple[str, ...]
    triggers: tuple[str, ...]
    counter: int | None
    statistics: list[str]


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
        later = []
        for step in self.replay.steps:
            if step.owner is None or step.owner.origin is not None:
                if self._can_wait(step):
                    later.append(step)
                else:
                    self._native(step)
        for table in self.replay.tables.values():
            if table.origin is not None and table.pending:
                self._rebuild(table)
        for step in later:
            self._native(step)
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

    def _can_wait(self, step: Native) -> bool:
        """Whether a table is better dropped when the others have lost their foreign keys to it."""
        return (
            step.sql.startswith("DROP TABLE")
            and self._cascades()
            and bool(self._referring(step.table))
            and not any(
                same_name(name, step.table) for name in (*self.replay.tables, *self._new_names())
            )
        )

    def _new_names(self) -> list[str]:
        """The names that SQLite's statements give to tables."""
        return [
            unquote(step.sql.rpartition(" RENAME TO ")[2])
            for step in self.replay.steps
            if " RENAME TO " in step.sql
        ]

    def _native(self, step: Native) -> None:
        log = Log()
        drops = step.sql.startswith("DROP TABLE")
        with self.database.logged(log), self._without_cascades(step.table, step.origin, drops):
            try:
                self.database.run(step.sql)
            except Exception as error:
                if not is_database_error(error):
                    raise
                rules.explain_native(self.database, self.mirror, step, error)
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
        relatives = self._relatives(table.name) if self._cascades() else []
        with (
            self.database.logged(log),
            self._without_cascades(table.name, origin, not relatives),
            self._legacy_rename(),
        ):
            broken = self._broken_before(table, new, transition) if filled else {}
            self._copy(table, new, relatives, log)
        with self.database.logged(log):
            rules.prove(self.database, table, new, transition, filled, broken)
        reason = "schema edits are off, and SQLite has no statement for it"
        if relatives:
            reason += f"; the rows of {', '.join(map(quote, relatives))} refer to it"
        self.results.append(report(table.name, "rebuild", reason, log, table.origins))

    def _broken_before(
        self, table: TrackedTable, new: TableShape, transition: Transition
    ) -> dict[str, int]:
        old = self._real_shape(table.name)
        return rules.broken_before(self.database, table, old, new, transition, real=True)

    def _real_shape(self, table: str) -> TableShape:
        """A table as it is after the native statements."""
        row = next(
            each
            for each in self.database.master()
            if each.type == "table" and fold(each.name) == fold(table)
        )
        assert row.sql is not None
        return read_shape(row.sql, ())

    def _copy(self, table: TrackedTable, new: TableShape, relatives: list[str], log: Log) -> None:
        """Copy a table, and with it others whose rows DROP TABLE would reach.

        These others stay as they are. All copies refer to copies, so that it does not matter what
        happens to the old rows when the old tables are dropped.
        """
        old = self._real_shape(table.name)
        self._check_values(table, old, new)
        lineage = tuple(
            Lineage(each.name, each.real, each.fill, each.constant) for each in table.columns
        )
        copies = [self._plan(table.name, old, new, lineage)]
        for name in relatives:
            shape = self._real_shape(name)
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
                    f"table {quote(each.name)} had {each.rows:,} rows, its copy has {after:,}"
                )
        for sql in [name for each in copies[1:] for name in each.triggers]:
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
        while self.mirror.find("table", copy) or self.mirror.find("index", copy):
            copy += "_"
        belonging = {
            kind: tuple(
                each.sql for each in self.mirror.belonging(name, kind) if each.sql is not None
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
            statistics=self._statistics(name),
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
        for sql in made.statistics:
            self.database.run(sql)

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

    def _cascades(self) -> bool:
        """Whether DROP TABLE cannot be kept from reaching the rows of other tables."""
        return self.database.foreign_keys() and not hasattr(self.database.driver, "setconfig")

    def _relatives(self, table: str) -> list[str]:
        """The tables whose rows refer to a table, directly or through others, parents first."""
        found = [table]
        for each in found:
            found += [
                name
                for name in self._referring(each)
                if fold(name) not in {fold(known) for known in found}
            ]
        return found[1:]

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
