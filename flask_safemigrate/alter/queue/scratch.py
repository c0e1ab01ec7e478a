"""A scratch database in memory that holds the schema of the real one and no rows.

Every change is made there first. So SQLite itself does its RENAMEs and confirms every text before
the real database is touched, and several changes to one table become one difference.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from flask_safemigrate.ddl.shape import IndexShape, KeyColumn, TableShape, read_shape
from flask_safemigrate.ddl.tokens import fold, quote, quote_string
from flask_safemigrate.errors import OperationRefused


class Entry(NamedTuple):
    """A row of ``sqlite_master``."""

    type: str
    name: str
    table: str
    sql: str | None


Key = tuple[str, str]
Raw = tuple[Any, ...]


class Loaded(NamedTuple):
    """How the real schema was read.

    :ivar rows: the real rows, in order.
    :ivar aside: objects that are broken in the real schema too, or that cannot be read here.
    :ivar virtual: folded names of virtual tables; plain tables stand in for them.
    """

    rows: tuple[Entry, ...]
    aside: dict[Key, str]
    virtual: frozenset[str]


_UNKNOWN_FUNCTION = re.compile(r"no such function: (.+)$|unknown function: ([^ ()]+)")
_UNKNOWN_COLLATION = re.compile(r"no such collation sequence: (.+)$")
_ORDER = {"table": 0, "index": 1, "view": 2, "trigger": 3}


def is_internal(name: str) -> bool:
    """Whether SQLite keeps a table of this name for itself."""
    return fold(name).startswith("sqlite_")


class Scratch:
    """The scratch database.

    :param connect: opens an empty database in memory with the driver of the real one.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        #: SQLite's version, known when something is loaded.
        self.version: tuple[int, ...] = ()
        self.db: Any = None
        self.loaded = Loaded((), {}, frozenset())

    def close(self) -> None:
        if self.db is not None:
            self.db.close()
            self.db = None

    def execute(self, sql: str) -> list[Any]:
        """Run one statement; what a database in memory lacks is made up.

        Functions and collations of the application are unknown here. No row is ever read, so a
        stand-in does.
        """
        for _ in range(100):
            try:
                return list(self.db.execute(sql).fetchall())
            except Exception as error:
                if not self._stand_in_for(str(error)):
                    raise
        raise OperationRefused(f"too many unknown functions in: {sql}")

    def _stand_in_for(self, message: str) -> bool:
        function = _UNKNOWN_FUNCTION.search(message)
        if function is not None:
            name = function.group(1) or function.group(2)
            self.db.create_function(name, -1, lambda *_: None, deterministic=True)
            return True
        collation = _UNKNOWN_COLLATION.search(message)
        if collation is not None:
            self.db.create_collation(
                collation.group(1), lambda one, two: (one > two) - (one < two)
            )
            return True
        return False

    def load(
        self, rows: Iterable[Entry], virtual_columns: Callable[[str], list[str] | None]
    ) -> None:
        """Build the schema anew.

        :param virtual_columns: the columns of a virtual table, None where its module is missing.
        """
        self.close()
        self.db = self._connect()
        self.db.isolation_level = None
        if not self.version:
            version = self.db.execute("SELECT sqlite_version()").fetchone()[0]
            self.version = tuple(map(int, version.split(".")))
        self.db.execute("PRAGMA foreign_keys=OFF")
        self.db.execute("PRAGMA legacy_alter_table=OFF")
        self.db.execute("BEGIN")
        all_rows = tuple(rows)
        aside: dict[Key, str] = {}
        virtual = set()
        has_code = False
        for row in sorted(all_rows, key=lambda each: _ORDER[each.type]):
            if row.sql is None or (row.type == "table" and is_internal(row.name)):
                continue
            key = (row.type, fold(row.name))
            sql = row.sql
            if row.type == "table" and is_virtual(sql):
                virtual.add(fold(row.name))
                columns = virtual_columns(row.name)
                if columns is None:
                    aside[key] = "its module is not loaded"
                    continue
                sql = f"CREATE TABLE {quote(row.name)} ({', '.join(map(quote, columns))})"
            has_code = has_code or row.type in ("view", "trigger")
            try:
                self.execute(sql)
            except Exception as error:
                aside[key] = str(error)
        if has_code:
            self._put_broken_aside(aside)
        self.loaded = Loaded(all_rows, aside, frozenset(virtual))

    def _put_broken_aside(self, aside: dict[Key, str]) -> None:
        """Take away views and triggers that do not work; SQLite's RENAME fails on any of them."""
        self.db.execute("CREATE TABLE safemigrate_probe (a)")
        try:
            while True:
                code = self.code()
                try:
                    # Undone, for it puts strings from double into single quotes in all texts.
                    with self.rehearsal():
                        self.execute("ALTER TABLE safemigrate_probe RENAME COLUMN a TO b")
                    return
                except sqlite3.Error as error:
                    message = str(error)
                except Exception as error:  # of a driver that is not the standard library's
                    message = str(error)
                broken = max(
                    (each for each in code if f"error in {each.type} {each.name}" in message),
                    key=lambda each: len(each.name),
                    default=None,
                )
                if broken is None:
                    raise OperationRefused(f"the schema cannot be read: {message}")
                for trigger in code:
                    if trigger.type == "trigger" and fold(trigger.table) == fold(broken.name):
                        aside["trigger", fold(trigger.name)] = message
                aside[broken.type, fold(broken.name)] = message
                self.db.execute(f"DROP {broken.type} {quote(broken.name)}")
        finally:
            self.db.execute("DROP TABLE safemigrate_probe")

    def single_quoted(self) -> dict[Key, str | None]:
        """The texts of views and triggers with their strings in single quotes, as SQLite writes
        them when it renames.
        """
        with self.rehearsal():
            self.db.execute("CREATE TABLE safemigrate_probe (a)")
            self.execute("ALTER TABLE safemigrate_probe RENAME COLUMN a TO b")
            return {(each.type, fold(each.name)): each.sql for each in self.code()}

    def take_broken(self) -> list[Entry]:
        """Take away the views and triggers that do not work now, in the order they were made."""
        aside: dict[Key, str] = {}
        before = self.code()
        self._put_broken_aside(aside)
        return [each for each in before if (each.type, fold(each.name)) in aside]

    def rows(self) -> list[Raw]:
        """All objects, in the order they were made, as they come."""
        found: list[Raw] = self.db.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid"
        ).fetchall()
        return found

    def entries(self) -> list[Entry]:
        """All objects but SQLite's own, in the order they were made."""
        return entries_of(self.rows())

    def code(self) -> list[Entry]:
        """The views and triggers, in the order they were made."""
        return [
            Entry(*row)
            for row in self.db.execute(
                "SELECT type, name, tbl_name, sql FROM sqlite_master"
                " WHERE type IN ('view', 'trigger') ORDER BY rowid"
            )
        ]

    def find(self, kind: str, name: str) -> Entry | None:
        """One object by its name, compared as SQLite does."""
        row = self.db.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master"
            " WHERE type = ? AND name = ? COLLATE NOCASE",
            (kind, name),
        ).fetchone()
        return Entry(*row) if row is not None else None

    def belonging(self, table: str, *kinds: str) -> list[Entry]:
        """Indexes and triggers of a table that have a text, in the order they were made."""
        return [
            Entry(*row)
            for row in self.db.execute(
                "SELECT type, name, tbl_name, sql FROM sqlite_master"
                " WHERE tbl_name = ? COLLATE NOCASE AND sql IS NOT NULL AND type <> 'table'"
                " ORDER BY rowid",
                (table,),
            )
            if row[0] in kinds
        ]

    def indexes(self, table: str) -> list[IndexShape]:
        """All indexes of a table, automatic ones in the order of their numbers."""
        found = []
        for row in self.db.execute(f"PRAGMA index_list({quote_string(table)})").fetchall():
            parts = self.db.execute(f"PRAGMA index_xinfo({quote_string(row[1])})").fetchall()
            key = tuple(
                KeyColumn(part[2] if part[1] >= 0 else None, bool(part[3]), part[4])
                for part in parts
                if part[5]
            )
            found.append(IndexShape(row[1], bool(row[2]), row[3], bool(row[4]), key))
        automatic = [each for each in found if each.automatic]
        automatic.sort(key=lambda each: int(each.name.rpartition("_")[2]))
        return automatic + [each for each in found if not each.automatic]

    def shape(self, table: str) -> TableShape:
        """A table as SQLite reads it; the reading of its text is compared with SQLite's own.

        :raises UnreadableDDL: the text cannot be read.
        :raises OperationRefused: SQLite reads other columns than we do.
        """
        entry = self.find("table", table)
        if entry is None or entry.sql is None:
            raise OperationRefused(f"there is no table {quote(table)}")
        shape = read_shape(entry.sql, self.indexes(entry.name))
        theirs = [
            (row[1], bool(row[3]) or None, row[6] > 1)
            for row in self.db.execute(f"PRAGMA table_xinfo({quote_string(entry.name)})")
        ]
        if [name for name, _, _ in theirs] != [column.name for column in shape.columns] or any(
            computed != (column.generated is not None)
            for (_, _, computed), column in zip(theirs, shape.columns, strict=False)
        ):
            raise OperationRefused(
                f"the text of table {quote(entry.name)} is read differently by SQLite"
            )
        return shape

    @contextlib.contextmanager
    def rehearsal(self) -> Iterator[None]:
        """What happens inside is undone at the end."""
        self.db.execute("SAVEPOINT rehearsal")
        try:
            yield
        finally:
            self.db.execute("ROLLBACK TO rehearsal")
            self.db.execute("RELEASE rehearsal")

    def replace_table(self, table: str, sql: str) -> None:
        """Give a table another text; its indexes and triggers stay.

        :raises sqlite3.Error: SQLite does not accept the text, or an index or trigger with it.
        """
        kept = self.belonging(table, "index", "trigger")
        self.db.execute("SAVEPOINT replacing")
        try:
            self.db.execute(f"DROP TABLE {quote(table)}")
            self.execute(sql)
            for entry in kept:
                assert entry.sql is not None
                self.execute(entry.sql)
        except BaseException:
            self.db.execute("ROLLBACK TO replacing")
            raise
        finally:
            self.db.execute("RELEASE replacing")

    def literal(self, declared: str, default: str) -> str | None:
        """The literal that SQLite reads for old rows after ADD COLUMN; None where it refuses that.

        SQLite itself is asked, since it folds signs, parentheses and TRUE
        (https://sqlite.org/lang_altertable.html#alter_table_add_column).

        :param declared: the column's type, whose affinity acts on the literal.
        :param default: what stands after DEFAULT.
        """
        with self.rehearsal():
            self.db.execute("CREATE TABLE safemigrate_constant (a)")
            self.db.execute("INSERT INTO safemigrate_constant VALUES (1)")
            try:
                self.execute(
                    f"ALTER TABLE safemigrate_constant ADD COLUMN b {declared} DEFAULT {default}"
                )
            except Exception as error:
                if "non-constant" in str(error):
                    return None
                raise
            row = self.db.execute("SELECT quote(b) FROM safemigrate_constant").fetchone()
            return str(row[0])

    def view_columns(self) -> dict[str, int]:
        """How many columns each working view has, by folded name."""
        found = {}
        for (name,) in self.db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'view'"
        ).fetchall():
            with contextlib.suppress(Exception):
                cursor = self.db.execute(f"SELECT * FROM {quote(name)} LIMIT 0")
                found[fold(name)] = len(cursor.description)
        return found


def entries_of(rows: Iterable[Raw]) -> list[Entry]:
    """What :meth:`Scratch.entries` makes of :meth:`Scratch.rows`."""
    return [Entry(*row) for row in rows if not (row[0] == "table" and is_internal(row[1]))]


def is_virtual(sql: str) -> bool:
    """Whether a text creates a virtual table."""
    return re.match(r"\s*CREATE\s+VIRTUAL\b", sql, re.IGNORECASE) is not None
