"""The real database: statements that are recorded, and its schema as it is."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

from flask_safemigrate.ddl.tokens import fold, quote, quote_string


class Row(NamedTuple):
    """A row of ``sqlite_master`` with its place."""

    rowid: int
    type: str
    name: str
    table: str
    root: int
    sql: str | None


class Expression(NamedTuple):
    """A value that SQLite computes."""

    sql: str


Value: TypeAlias = "str | Expression | None"


class Log:
    """The statements that changed one thing, and how long they took."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.seconds = 0.0
        self.rows = 0


class Database:
    """The driver's connection, with its transaction open.

    :ivar script: every statement that changed something, in order.
    """

    def __init__(self, driver: Any, script: list[str] | None = None) -> None:
        self.driver = driver
        self.script: list[str] = [] if script is None else script
        self.version = tuple(
            int(part) for part in str(self.value("SELECT sqlite_version()")).split(".")
        )
        self._log: Log | None = None

    @contextmanager
    def logged(self, log: Log) -> Iterator[None]:
        """Record what runs inside for one table too."""
        if log is self._log:
            yield
            return
        outer, self._log = self._log, log
        started = time.perf_counter()
        try:
            yield
        finally:
            log.seconds += time.perf_counter() - started
            self._log = outer

    def run(self, sql: str) -> int:
        """Run a statement that changes something; the number of rows it wrote."""
        cursor = self.driver.execute(sql)
        cursor.fetchall()
        self.script.append(sql)
        if self._log is not None:
            self._log.statements.append(sql)
        return max(int(cursor.rowcount), 0)

    def read(self, sql: str) -> list[Any]:
        """Run a query."""
        return list(self.driver.execute(sql).fetchall())

    def value(self, sql: str) -> Any:
        """The first value of a query, None where there is no row."""
        row = self.driver.execute(sql).fetchone()
        return None if row is None else row[0]

    def column(self, sql: str) -> Iterator[Any]:
        """The first values of the rows of a query, one after the other."""
        return (row[0] for row in self.driver.execute(sql))

    def schema_version(self) -> int:
        """SQLite's counter of schema changes."""
        return int(self.value("PRAGMA schema_version"))

    def master(self) -> list[Row]:
        """All objects."""
        return [
            Row(*row)
            for row in self.read(
                "SELECT rowid, type, name, tbl_name, rootpage, sql FROM sqlite_master"
                " ORDER BY rowid"
            )
        ]

    def row_of(self, table: str) -> Row:
        """The row of a table that there is."""
        return next(
            row for row in self.master() if row.type == "table" and fold(row.name) == fold(table)
        )

    def free_name(self, stem: str, taken: Collection[str] = ()) -> str:
        """A name that nothing has.

        :param taken: folded names that shall stay free besides.
        """
        present = {fold(row.name) for row in self.master()}.union(taken)
        number = 1
        while fold(name := f"_safemigrate_{number}_{stem}") in present:
            number += 1
        return name

    def foreign_keys_to(self, table: str) -> list[tuple[str, str, str | None]]:
        """Who refers to a table: each child with its column, and the one that this is to equal.

        The last is None where the foreign key means the primary key without naming it.
        """
        return [
            tuple(row)
            for row in self.read(
                'SELECT m.name, f."from", f."to"'
                " FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS f"
                f" WHERE m.type = 'table' AND f.\"table\" = {quote_string(table)} COLLATE NOCASE"
            )
        ]

    def has_table(self, name: str) -> bool:
        """Whether there is a table of exactly this name."""
        return (
            self.value(
                f"SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = {quote_string(name)}"
            )
            is not None
        )

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return int(self.value(f"SELECT count(*) FROM {quote(table)}"))

    def is_filled(self, table: str) -> bool:
        """Whether a table has a row."""
        return self.value(f"SELECT 1 FROM {quote(table)} LIMIT 1") is not None

    def encoding(self) -> str:
        """How the file encodes text: ``UTF-8``, ``UTF-16le`` or ``UTF-16be``."""
        return str(self.value("PRAGMA encoding"))

    def foreign_keys(self) -> bool:
        """Whether foreign keys are enforced on this connection."""
        return bool(self.value("PRAGMA foreign_keys"))

    @contextmanager
    def schema_edit(self) -> Iterator[None]:
        """Edit ``sqlite_master`` inside; SQLite reads it again at the end.

        https://sqlite.org/lang_altertable.html, section 7, and
        https://sqlite.org/pragma.html#pragma_writable_schema.
        """
        version = self.schema_version()
        self.run("PRAGMA writable_schema=ON")
        try:
            yield
            self.run(f"PRAGMA schema_version={version + 1}")
        finally:
            self.run("PRAGMA writable_schema=RESET")
            # Until a query has read the schema again, PRAGMA foreign_key_check finds no table in
            # SQLite 3.35 and earlier, and nothing wrong.
            self.value("SELECT 1 FROM sqlite_master LIMIT 1")

    @contextmanager
    def savepoint(self, *, keep: bool) -> Iterator[None]:
        """Undo what happens inside when it fails.

        :param keep: whether it stays otherwise.
        """
        length = len(self.script)
        self.driver.execute("SAVEPOINT safemigrate_operation")
        try:
            yield
        except BaseException:
            self._roll_back(length)
            raise
        if keep:
            self.driver.execute("RELEASE safemigrate_operation")
        else:
            self._roll_back(length)

    def _roll_back(self, length: int) -> None:
        # Some errors end the whole transaction, and every savepoint with it.
        if self.driver.in_transaction:
            self.driver.execute("ROLLBACK TO safemigrate_operation")
            self.driver.execute("RELEASE safemigrate_operation")
            # The schema may have been edited, which SQLite does not notice by itself.
            self.driver.execute("PRAGMA writable_schema=RESET").fetchall()
        del self.script[length:]

    def edit(self, kind: str, name: str, /, **columns: Value) -> None:
        """Change a row of ``sqlite_master``, found by type and name."""
        parts = []
        for column, value in columns.items():
            if value is None:
                text = "NULL"
            elif isinstance(value, Expression):
                text = value.sql
            else:
                text = quote_string(value)
            parts.append(f"{column}={text}")
        self.run(
            f"UPDATE sqlite_master SET {', '.join(parts)}"
            f" WHERE type={quote_string(kind)} AND name={quote_string(name)}"
        )

    def forget(self, length: int) -> None:
        """Take the last statements out of the records again, down to this length."""
        dropped = len(self.script) - length
        del self.script[length:]
        if self._log is not None and dropped:
            del self._log.statements[-dropped:]
