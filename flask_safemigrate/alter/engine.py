"""Takes changes in, and applies them to the real database at the next barrier.

1. Read the schema of the real database into a scratch one in memory (``sync``).
2. Make each change there; the queue notes what became of what (``apply``).
3. At the next barrier apply the queue: by SQLite's own statements where they do all of it, by
   edits of the schema's text where these are allowed, or by copies (``flush``).
4. Let what ANALYZE found, and what is remembered by name, follow.
5. Before COMMIT compare the schema with the scratch one, and see that nothing broke (``prove``).
"""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Iterator
from typing import Any

from flask_safemigrate.alter import changes, proofs
from flask_safemigrate.alter.apply import by_copy, by_text, natively, statistics
from flask_safemigrate.alter.apply.database import Database
from flask_safemigrate.alter.blame import at_fault
from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.alter.enforcement import Enforcement
from flask_safemigrate.alter.options import EngineOptions
from flask_safemigrate.alter.queue.columns import (
    add_column,
    alter_column,
    drop_column,
    must_be_stored_first,
)
from flask_safemigrate.alter.queue.constraints import (
    add_constraint,
    create_index,
    drop_constraint,
    drop_index,
    name_constraints,
)
from flask_safemigrate.alter.queue.queue import Queue, is_database_error, refused
from flask_safemigrate.alter.queue.scratch import Entry, Scratch
from flask_safemigrate.alter.queue.tables import (
    create_table,
    drop_table,
    recreate,
    rename_table,
    reorder,
    set_options,
)
from flask_safemigrate.ddl.create_table import read_create_table
from flask_safemigrate.ddl.tokens import DDLError, fold, op_execute, quote, quote_string, same_name
from flask_safemigrate.errors import OperationRefused, SafeMigrateError
from flask_safemigrate.names import MEMORY
from flask_safemigrate.outcome import TableWork

_READS = re.compile(r"\s*(SELECT|EXPLAIN|VALUES)\b", re.IGNORECASE)
_WRITES_ROWS = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE|WITH)\b", re.IGNORECASE)


#: Kibibytes of page cache for the run. Before a page that was changed leaves the cache the
#: journal must be on the disk: with SQLite's two megabytes a rewritten table of 200 MB waited
#: for the disk 286 times, with these some 20 times.
_CACHE = 32 * 1024


def _kibibytes(database: Database) -> int:
    """The size of the page cache (https://sqlite.org/pragma.html#pragma_cache_size)."""
    size = int(database.value("PRAGMA cache_size"))
    return -size if size < 0 else size * int(database.value("PRAGMA page_size")) // 1024


class Executor:
    """Queue, scratch database and real database of one run."""

    def __init__(
        self,
        driver: Any,
        module: Any,
        options: EngineOptions,
        script: list[str],
        enforcement: Enforcement | None = None,
    ) -> None:
        self.database = Database(driver, script)
        self.options = options
        self.scratch = Scratch(lambda: module.connect(MEMORY))
        self.queue = Queue(self.scratch, self.database.count)
        self._work: dict[str, TableWork] = {}
        self._version: int | None = None
        self._stale = True
        self._baseline: proofs.Baseline | None = None
        self._touched: set[str] = set()
        self._rewritten: set[str] = set()
        self._editable: bool | None = None
        self.keys = proofs.ForeignKeys(self.database, enforcement)
        self._enforcement = enforcement
        self._legacy = self.renames_as_before_3_26()
        self._before: dict[str, int] = {}
        #: What made a foreign key, by the folded names of child and parent.
        self._keys: dict[tuple[str, str], Origin] = {}
        #: What made a table, by its folded name.
        self._makers: dict[str, Origin] = {}
        #: What is to be known of the result though it was not refused, one sentence each.
        self.warned: tuple[str, ...] = ()
        if options.secure_delete is not None:
            self._set("secure_delete", int(options.secure_delete))
        if _kibibytes(self.database) < _CACHE:
            self._set("cache_size", -_CACHE)

    def close(self) -> None:
        """Give up what is queued; put the connection's settings back."""
        self.scratch.close()
        for name, value in self._before.items():
            with contextlib.suppress(Exception):
                self.database.value(f"PRAGMA {name}={value}")

    def _set(self, name: str, value: int) -> None:
        self._before[name] = self.database.value(f"PRAGMA {name}")
        self.database.value(f"PRAGMA {name}={value}")

    @property
    def work(self) -> tuple[TableWork, ...]:
        return tuple(self._work.values())

    # ------------------------------------------------------------ the scratch database

    def sync(self) -> None:
        """Bring the scratch database to the real schema; only while nothing is queued."""
        if not self.queue.empty:
            return
        version = self.database.schema_version()
        if not self._stale and version == self._version:
            return
        rows = [Entry(row.type, row.name, row.table, row.sql) for row in self.database.master()]
        self.scratch.load(rows, self._virtual_columns)
        self.queue.restart()
        self._version = version
        self._stale = False
        if self._baseline is None:
            self._baseline = proofs.take(self.database, self.scratch)

    def apply(self, change: changes.Change, origin: Origin, *, never: bool = False) -> None:
        """Queue a change."""
        self.sync()
        if must_be_stored_first(self.queue, change):
            self.flush()
            self.sync()
        _make(self.queue, change, origin)
        if isinstance(change, changes.CreateTable):
            self._makers[fold(change.table)] = origin
        if isinstance(change, changes.AddConstraint) and change.kind == "foreignkey":
            made = read_create_table(f"CREATE TABLE x (x, {change.sql})")
            for each in made.constraints:
                if each.references is not None:
                    self._keys[fold(change.table), fold(each.references.table.value)] = origin
        if never and (tracked := self.queue.tables.get(fold(getattr(change, "table", "") or ""))):
            tracked.forbid(origin)
        back = bool(self.queue.waited and not self.queue.waiting)
        if back and not (self.options.schema_edits and self._may_edit()):
            # SQLite's own statements, which may follow, have to find what waited.
            self.flush()

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """Have everything as it was before when what happens inside fails.

        Nothing may be queued before.
        """
        self.sync()
        assert self._baseline is not None
        counters = dict(self._baseline.sequences)
        mine = {
            name: copy.copy(getattr(self, name))
            for name in ("_work", "_rewritten", "_touched", "_keys")
        }
        keys = {name: copy.copy(value) for name, value in vars(self.keys).items()}
        try:
            with self.database.savepoint(keep=True):
                yield
        except BaseException:
            self._baseline.sequences.clear()
            self._baseline.sequences.update(counters)
            vars(self).update(mine)
            vars(self.keys).update(keys)
            self.queue.restart()
            self._stale = True
            raise

    def column_names(self, table: str) -> list[str]:
        """The columns of a table as queued."""
        self.sync()
        return [
            row[1] for row in self.scratch.db.execute(f"PRAGMA table_xinfo({quote_string(table)})")
        ]

    def index_names(self, table: str) -> set[str]:
        """The indexes of a table as queued, folded; not those of its constraints."""
        self.sync()
        return {
            fold(each.name)
            for each in self.scratch.entries()
            if each.type == "index" and each.sql is not None and same_name(each.table, table)
        }

    def column_type(self, table: str, column: str) -> str | None:
        """The declared type of a column as queued, None where there is no such column."""
        self.sync()
        for row in self.scratch.db.execute(
            f"PRAGMA table_xinfo({quote_string(table)})"
        ).fetchall():
            if fold(row[1]) == fold(column):
                return str(row[2])
        return None

    def is_strict(self, table: str) -> bool:
        """Whether a table is STRICT."""
        self.sync()
        entry = self.scratch.find("table", table)
        if entry is None or entry.sql is None or "strict" not in entry.sql.lower():
            return False
        return read_create_table(entry.sql).strict

    def is_foreign(self, table: str) -> bool:
        """Whether a table is virtual or temporary, so that SQLite alone can rename or drop it."""
        self.sync()
        if self.scratch.find("table", table) is not None:
            return fold(table) in self.scratch.loaded.virtual
        return bool(
            self.database.read(
                "SELECT 1 FROM sqlite_temp_master WHERE type = 'table'"
                f" AND name = {quote_string(table)} COLLATE NOCASE"
            )
        )

    def renames_as_before_3_26(self) -> bool:
        """Whether PRAGMA legacy_alter_table is on.

        https://sqlite.org/pragma.html#pragma_legacy_alter_table
        """
        return bool(self.database.value("PRAGMA legacy_alter_table"))

    def leaves_references(self) -> bool:
        """Whether a migration has asked that RENAME leaves views, triggers and foreign keys."""
        return not self._legacy and self.renames_as_before_3_26()

    # ------------------------------------------------------------ applying

    def flush(self) -> None:
        """Apply everything that is queued."""
        if self.queue.empty:
            return
        queue = self.queue
        differs = bool(queue.waiting or queue.virtual)
        # With it on, SQLite's RENAME would leave views and triggers behind.
        legacy = self.database.value("PRAGMA legacy_alter_table")
        try:
            if legacy:
                self.database.value("PRAGMA legacy_alter_table=OFF")
            queue.bring_waiting_back()
            self._must_not_be_hidden(queue)
            found = statistics.read(self.database)
            if queue.natives is not None and self._natives_will_do():
                results = natively.run_all(self.database, queue, queue.natives)
            elif self.options.schema_edits and self._may_edit():
                results = by_text.apply(self.database, queue)
            elif queue.virtual:
                raise OperationRefused(
                    f"full text table {quote(next(iter(queue.virtual)))} cannot follow the table"
                    " that it reads without an edit of the schema's text",
                    hint="drop it before, and create it again in the same migration",
                )
            else:
                results = by_copy.apply(self.database, queue)
            self._follow(queue)
            statistics.put_back(
                self.database,
                found,
                {each.origin: each.name for each in queue.tables.values() if each.origin},
                {fold(name) for name, _ in queue.dropped} | set(queue.index_origins),
            )
        except Exception as error:
            told = at_fault(queue, error) if is_database_error(error) else None
            if told is None:
                raise
            raise told from error
        finally:
            if legacy:
                self.database.value("PRAGMA legacy_alter_table=ON")
            queue.restart()
            self._stale = True
        for each in results:
            self._add(each)
            if each.way in ("in place", "rebuild"):
                self._rewritten.add(each.table)
        self._version = self.database.schema_version()
        self._stale = differs

    def _must_not_be_hidden(self, queue: Queue) -> None:
        """Refuse where a temporary table has the name of one that changes, and is meant by it.

        :raises OperationRefused: it has.
        """
        hidden = {
            fold(name)
            for (name,) in self.database.read(
                "SELECT name FROM sqlite_temp_master WHERE type IN ('table', 'view')"
            )
        }
        for table in queue.tables.values() if hidden else ():
            if hidden & {fold(table.name), fold(table.origin or table.name)}:
                raise refused(
                    table.origins[-1],
                    f"a temporary table hides table {quote(table.name)}",
                    f"drop it before: {op_execute(f'DROP TABLE temp.{quote(table.name)}')}",
                )

    def _may_edit(self) -> bool:
        """Whether this build of SQLite lets the schema text be edited; some are "defensive".

        These take the pragma, and refuse the statement
        (https://sqlite.org/c3ref/c_dbconfig_defensive.html).
        """
        if self._editable is None:
            driver = self.database.driver
            driver.execute("PRAGMA writable_schema=ON").fetchall()
            try:
                driver.execute("EXPLAIN UPDATE sqlite_master SET sql = sql").fetchall()
                self._editable = True
            except Exception as error:
                if "may not be modified" not in str(error):
                    raise
                self._editable = False
            finally:
                driver.execute("PRAGMA writable_schema=OFF").fetchall()
        return self._editable

    def _follow(self, queue: Queue) -> None:
        """Keep what is remembered by table name under the names that tables have now."""
        assert self._baseline is not None
        sequences = self._baseline.sequences
        for name, _ in queue.dropped:
            sequences.pop(name, None)
            self._rewritten.discard(name)
        renamed = {
            table.origin: table.name
            for table in queue.tables.values()
            if table.origin is not None and table.origin != table.name
        }
        counters = {old: sequences.pop(old) for old in renamed if old in sequences}
        sequences.update({renamed[old]: counter for old, counter in counters.items()})
        rewritten = {renamed[old] for old in renamed if old in self._rewritten}
        self._rewritten = self._rewritten.difference(renamed) | rewritten
        self.keys.renamed(renamed)
        names = {fold(old): fold(new) for old, new in renamed.items()}
        self._keys = {
            (names.get(child, child), names.get(parent, parent)): origin
            for (child, parent), origin in self._keys.items()
        }

    def _natives_will_do(self) -> bool:
        assert self.queue.natives is not None
        alters = any(step.sql.startswith("ALTER") for step in self.queue.natives)
        drops = [step.table for step in self.queue.natives if " DROP COLUMN " in step.sql]
        # Tables that are made here are made with their last text and name, which another table
        # may have until a later step.
        renames = any(" RENAME TO " in step.sql for step in self.queue.natives)
        makes = any(table.origin is None for table in self.queue.tables.values())
        return not (
            (alters and self.scratch.loaded.aside)
            or len(drops) != len(set(drops))
            or (renames and makes)
        )

    def _add(self, new: TableWork) -> None:
        old = self._work.get(new.table)
        if old is None:
            self._work[new.table] = new
            return
        order = ("native", "create", "drop", "schema edit", "in place", "rebuild")
        main = max(old, new, key=lambda each: order.index(each.way))
        self._work[new.table] = TableWork(
            table=new.table,
            way=main.way,
            reason=main.reason,
            seconds=old.seconds + new.seconds,
            rows=old.rows + new.rows,
            statements=old.statements + new.statements,
            revisions=tuple(dict.fromkeys(old.revisions + new.revisions)),
        )

    # ------------------------------------------------------------ barriers and proof

    def before_foreign(self, statement: str) -> None:
        """The migration is about to run a statement of its own."""
        if _READS.match(statement):
            return
        if not _WRITES_ROWS.match(statement):
            self._stale = True
            named = statement.lower()
            self._touched |= {name for name in proofs.SETTINGS if name in named}
            if re.search(r"sqlite_sequence|\b(DROP|ALTER)\s+TABLE\b", statement, re.IGNORECASE):
                self._touched.add("sqlite_sequence")
        elif "sqlite_sequence" in statement:
            self._touched.add("sqlite_sequence")
        if self._baseline is None:
            self.sync()
            self._stale = True
        self.keys.before(statement)

    def after_foreign(self, statement: str, revision: str | None = None) -> None:
        """It has run.

        :param revision: the one that it is of.
        :raises VerificationFailed: it was a DROP TABLE that cascaded.
        """
        if not _READS.match(statement):
            self.keys.after(statement, revision)

    def prove(self) -> tuple[str, ...]:
        """Prove what was done; says what was proven.

        :raises VerificationFailed: something is not as it should be.
        """
        if self._baseline is None:
            return ()
        proven = []
        if not self._stale and self.database.schema_version() == self._version:
            proofs.schema(self.database, self.scratch)
            proven.append("the schema is as planned")
        self._stale = True
        self.sync()
        enforced = self._enforcement
        loose = proofs.nothing_broke(
            self.database,
            self.scratch,
            self._baseline,
            self._keys,
            self._makers,
            enforced=enforced.wanted if enforced is not None else self.database.foreign_keys(),
        )
        if loose:
            proven.append("views and triggers work as before")
            self.warned = (f"these foreign keys lead nowhere: {', '.join(loose)}",)
        else:
            proven.append("views, triggers and foreign keys work as before")
        for table in self._rewritten:
            if self.database.has_table(table):
                proofs.content(self.database, table)
                proven.append(f"quick_check of {quote(table)} is clean")
        proven += self.keys.prove()
        proofs.bookkeeping(self.database, self._baseline, frozenset(self._touched))
        proven.append("file settings and counters are kept")
        return tuple(proven)

    def _virtual_columns(self, table: str) -> list[str] | None:
        try:
            return [
                row[1] for row in self.database.read(f"PRAGMA table_xinfo({quote_string(table)})")
            ] or None
        except Exception:
            return None


def _make(queue: Queue, change: changes.Change, origin: Origin) -> None:
    """Make one change in the scratch database.

    :raises OperationRefused: it cannot be made; the message names revision and operation.
    """
    queue.begin()
    handler: Any = _HANDLERS[type(change)]
    try:
        handler(queue, change, origin)
    except DDLError as error:
        raise refused(origin, error.message, error.hint or _hint(error.message)) from error
    except SafeMigrateError as error:
        if error.message.startswith(("Revision ", origin.operation)):
            raise
        raise refused(origin, error.message, error.hint) from error
    except Exception as error:
        if not is_database_error(error):
            raise
        raise refused(origin, _sentence(str(error))) from error
    queue.close()


def _hint(message: str) -> str | None:
    if 'token: "::' in message:
        return '"::" is PostgreSQL\'s; write CAST(value AS TYPE), which every database knows'
    return None


def _sentence(message: str) -> str:
    return f"SQLite says: {message}"


_HANDLERS: dict[type, Any] = {
    changes.CreateTable: create_table,
    changes.DropTable: drop_table,
    changes.RenameTable: rename_table,
    changes.Recreate: recreate,
    changes.SetOptions: set_options,
    changes.Reorder: reorder,
    changes.AddColumn: add_column,
    changes.DropColumn: drop_column,
    changes.AlterColumn: alter_column,
    changes.AddConstraint: add_constraint,
    changes.DropConstraint: drop_constraint,
    changes.NameConstraints: name_constraints,
    changes.CreateIndex: create_index,
    changes.DropIndex: drop_index,
}
