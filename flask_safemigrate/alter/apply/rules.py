"""Proves new rules on the rows, and says which rows break them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from flask_safemigrate.alter.apply.database import Database
from flask_safemigrate.alter.apply.jobs import Job
from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.alter.queue.queue import (
    Native,
    Rule,
    check_rule,
    no_key,
    null_rule,
    refused,
)
from flask_safemigrate.alter.queue.scratch import Entry, Scratch
from flask_safemigrate.alter.queue.tracked import TrackedTable
from flask_safemigrate.ddl import questions
from flask_safemigrate.ddl.create_table import Constraint, CreateTable, read_create_table
from flask_safemigrate.ddl.rebuild import (
    Lineage,
    key_columns,
    lossy_condition,
    rowid_name,
    stored_value,
)
from flask_safemigrate.ddl.shape import IndexShape, TableShape, read_shape
from flask_safemigrate.ddl.tokens import fold, quote, quote_string

#: How many of the rows that break a rule are shown.
SHOWN = 3


def check_values(database: Database, job: Job) -> None:
    """Refuse a type change that would lose digits, or make text that nothing can read."""
    if not job.filled:
        return
    for column, each in zip(job.table.columns, job.lineage, strict=True):
        now = job.new.column(each.name)
        before = job.old.column(each.origin) if each.origin is not None else None
        if now is None or before is None or before.affinity == now.affinity:
            continue
        if column.typed_by is None:
            continue
        if each.cast and now.affinity == "TEXT":
            with database.logged(job.log):
                _must_be_text(database, job.old, before.name, now.type, column.typed_by)
        condition = lossy_condition(before.name, before.affinity, now.affinity, each.cast)
        if condition is None:
            continue
        with database.logged(job.log):
            refuse_rows(
                database,
                job.old,
                condition,
                column.typed_by,
                f"have a number in {quote(job.old.name)}.{quote(before.name)} that the type"
                f" {now.type or 'of the column'} cannot hold exactly",
                "keep a text type, or round the values first",
            )


def _must_be_text(
    database: Database, shape: TableShape, column: str, new: str, origin: Origin
) -> None:
    """Refuse bytes that would be text which nobody can read.

    SQLite itself does not look (https://sqlite.org/invalidutf.html).
    """
    name, encoding = quote(column), database.encoding()
    found = database.column(
        f"SELECT {name} FROM {quote(shape.name)} WHERE typeof({name}) = 'blob'"
    )
    count = sum(not _is_text(value, encoding) for value in found)
    if count:
        raise refused(
            origin,
            f"{count:,} of {database.count(shape.name):,} rows have bytes in"
            f" {quote(shape.name)}.{name} that are no {encoding} text, which the type {new} needs",
            "keep a binary type, or give these rows text first",
        )


def _is_text(value: bytes, encoding: str) -> bool:
    try:
        value.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def prove(database: Database, job: Job, broken: Mapping[str, int]) -> None:
    """Prove every rule that is new, in one scan, and every new foreign key.

    :param broken: what :func:`broken_before` said before any value was stored anew.
    :raises OperationRefused: rows break one; it says how many and which.
    """
    read = read_create_table(job.new.sql)
    if job.filled:
        _prove_rows(database, job, read, broken)
    # Without a row too: whether a foreign key leads to a key must not depend on that.
    _prove_foreign_keys(database, job.table, job.new, read)


def _prove_rows(
    database: Database, job: Job, read: CreateTable, broken: Mapping[str, int]
) -> None:
    shape = job.new
    new: list[tuple[Rule, Origin, int]] = []
    for column in job.table.columns:
        now = shape.column(column.name)
        if column.not_null_by is not None and now is not None and now.not_null:
            rule = null_rule(shape.name, column.name, column.not_null_as)
            new.append((rule, column.not_null_by, 0))
    for constraint, origin, known in _new(read, job):
        assert constraint.expression is not None
        text = constraint.expression.of(read.sql)
        name = constraint.name.value if constraint.name is not None else None
        before = broken.get(" ".join(text.split()), 0) if known else 0
        new.append((check_rule(text, name), origin, before))
    if new:
        sums = ", ".join(f"sum({rule.condition})" for rule, *_ in new)
        counts = database.read(f"SELECT {sums} FROM {quote(shape.name)}")[0]
        for count, (rule, origin, before) in zip(counts, new, strict=True):
            if (count or 0) > before:
                refuse_rows(database, shape, rule.condition, origin, rule.what, rule.hint)


def _new(read: CreateTable, job: Job) -> Iterable[tuple[Constraint, Origin, bool]]:
    """CHECKs to prove, and whether they stood before: new ones, and those over columns whose
    values are stored anew."""
    checks = questions.constraints_of_kind(read, "CHECK")
    known = job.table.rules.get("CHECK") or [None] * len(checks)
    for constraint, origin in zip(checks, known, strict=False):
        if origin is not None:
            yield constraint, origin, False
            continue
        for column in job.table.columns:
            if (
                column.origin is not None
                and column.typed_by is not None
                and fold(column.name) in job.transition.changed
                and questions.mentions(read, constraint, column.name)
            ):
                yield constraint, column.typed_by, True
                break


def broken_before(database: Database, job: Job) -> dict[str, int]:
    """How many rows break old CHECKs over columns whose values will be stored anew, by text."""
    if not job.filled:
        return {}
    old, new = job.old, job.new
    read = read_create_table(new.sql)
    names = {fold(each.name): each.origin for each in job.lineage if each.origin is not None}
    found = {}
    for constraint, _, known in _new(read, job):
        if not known or constraint.expression is None:
            continue
        text = constraint.expression.of(read.sql)
        listed = ", ".join(
            f"{quote(name or '')} AS {quote(column.name)}"
            for column in new.columns
            if (name := names.get(fold(column.name))) is not None
        )
        # A CHECK may name the rowid, which a subquery has not.
        with contextlib.suppress(Exception):
            count = database.value(
                f"SELECT sum(NOT ({text}\n)) FROM (SELECT {listed} FROM {quote(old.name)})"
                f" AS {quote(new.name)}"
            )
            found[" ".join(text.split())] = int(count or 0)
    return found


def _prove_foreign_keys(
    database: Database, table: TrackedTable, shape: TableShape, read: CreateTable
) -> None:
    keys = questions.constraints_of_kind(read, "FOREIGN KEY")
    known = table.rules.get("FOREIGN KEY") or [None] * len(keys)
    # SQLite numbers them from the last one written.
    new = {
        len(keys) - 1 - place: (constraint, origin)
        for place, (constraint, origin) in enumerate(zip(keys, known, strict=False))
        if origin is not None
    }
    if not new:
        return
    broken = _broken_keys(database, shape, new)
    for number, (constraint, origin) in new.items():
        rowids = broken.get(number)
        if not rowids:
            continue
        target = constraint.references
        assert target is not None
        tables = {fold(row.name) for row in database.master() if row.type == "table"}
        if fold(target.table.value) not in tables:
            raise refused(
                origin,
                f"there is no table {quote(target.table.value)} to refer to",
                "create it before it",
            )
        names = ", ".join(quote(name) for name in constraint.column_names)
        rows = f"{len(rowids):,} of {database.count(shape.name):,} rows"
        first = ", ".join(str(each) for each in rowids[:SHOWN] if each is not None)
        examples = f", first rowids {first}" if first else ""
        raise refused(
            origin,
            f"{rows} of {quote(shape.name)} have no row in {quote(target.table.value)}"
            f" for {names}{examples}",
            "delete these rows or set their columns to NULL before it",
        )


def _broken_keys(
    database: Database, shape: TableShape, keys: Mapping[int, tuple[Constraint, Origin]]
) -> dict[int, list[int | None]]:
    """The rowids of the rows without parent, by the number of the foreign key.

    :raises OperationRefused: a key leads to columns that are not unique, and keys are enforced.
    """
    found: dict[int, list[int | None]] = {}
    try:
        for row in database.read(f"PRAGMA foreign_key_check({quote_string(shape.name)})"):
            found.setdefault(row[3], []).append(row[1])
        return found
    except Exception as error:
        if "mismatch" not in str(error):
            raise
        if database.foreign_keys():
            raise no_key(next(iter(keys.values()))[1], shape.name, error) from error
    # Where nothing enforces it, SQLite keeps such a key (SM529), but does not look for orphans.
    return {number: _orphans(database, shape, key) for number, (key, _) in keys.items()}


def _orphans(database: Database, shape: TableShape, key: Constraint) -> list[int | None]:
    target = key.references
    assert target is not None
    pairs = list(zip(target.columns, key.column_names, strict=False))
    name = rowid_name(column.name for column in shape.columns)
    rowid = f"c.{name}" if name is not None and not shape.without_rowid else "NULL"
    filled = " AND ".join(f"c.{quote(mine)} IS NOT NULL" for _, mine in pairs)
    equal = " AND ".join(f"p.{quote(theirs.value)} = c.{quote(mine)}" for theirs, mine in pairs)
    if not pairs:
        return []
    # Where the parent has no such columns, there is nothing to compare.
    with contextlib.suppress(Exception):
        return [
            row[0]
            for row in database.read(
                f"SELECT {rowid} FROM {quote(shape.name)} AS c WHERE {filled} AND NOT EXISTS"
                f" (SELECT 1 FROM {quote(target.table.value)} AS p WHERE {equal})"
            )
        ]
    return []


def explain_native(database: Database, scratch: Scratch, step: Native, error: Exception) -> None:
    """Say which rows a statement of SQLite failed on, if that is why it failed."""
    index = scratch.find("index", step.makes) if step.makes else None
    if index is not None:
        explain_index(database, scratch, index, step.origin, error)
    if step.rule is not None and "constraint failed" in str(error):
        row = database.row_of(step.table)
        assert row.sql is not None
        shape = read_shape(row.sql, ())
        refuse_rows(
            database, shape, step.rule.condition, step.origin, step.rule.what, step.rule.hint
        )


def refuse_rows(
    database: Database, shape: TableShape, condition: str, origin: Origin, what: str, hint: str
) -> None:
    """Raise if rows meet a condition that none must meet.

    :raises OperationRefused: with the count and the first few.
    """
    count = database.value(f"SELECT count(*) FROM {quote(shape.name)} WHERE {condition}")
    if not count:
        return
    total = database.count(shape.name)
    raise refused(
        origin,
        f"{count:,} of {total:,} rows {what}{_examples(database, shape, condition)}",
        hint,
    )


def _examples(database: Database, shape: TableShape, condition: str) -> str:
    read = read_create_table(shape.sql)
    key = questions.primary_key_columns(read)
    hidden = rowid_name(each.name for each in shape.columns)
    ways = []
    if len(key) == 1:
        ways.append(("ids", quote(key[0])))
    elif shape.without_rowid:
        ways.append(("keys", " || ', ' || ".join(f"quote({quote(each)})" for each in key)))
    if hidden is not None and not shape.without_rowid:
        ways.append(("rowids", hidden))
    for label, name in ways:
        rows = database.read(
            f"SELECT {name} FROM {quote(shape.name)} WHERE {condition} ORDER BY 1 LIMIT {SHOWN}"
        )
        # A primary key may be NULL in SQLite, which tells nobody which row it is.
        if all(row[0] is not None for row in rows):
            return f", first {label} {', '.join(str(row[0]) for row in rows)}"
    return ""


def explain_unique(database: Database, job: Job, index: IndexShape, error: Exception) -> None:
    """Say which values are there twice, if that is what an index could not be made for."""
    table, shape = job.table, job.new
    if "UNIQUE constraint failed" not in str(error):
        return
    read = read_create_table(shape.sql)
    origin = None
    for kind in ("UNIQUE", "PRIMARY KEY"):
        constraints = questions.constraints_of_kind(read, kind)
        known = table.rules.get(kind) or []
        for constraint, by in zip(constraints, known, strict=False):
            names = [fold(name) for name in constraint.column_names]
            if names == [fold(name) for name in index.columns]:
                origin = by or origin
    for column in table.columns:
        if origin is None and column.name in index.columns:
            origin = column.typed_by
    by = origin or table.origins[-1]
    with contextlib.suppress(_Unique):
        _refuse_duplicates(
            database, shape.name, index.columns, by, error, key=key_columns(index.key)
        )


def explain_index(
    database: Database, scratch: Scratch, entry: Entry, origin: Origin | None, error: Exception
) -> None:
    """The same for CREATE UNIQUE INDEX."""
    if "UNIQUE constraint failed" not in str(error) or entry.sql is None:
        return
    index = next(each for each in scratch.indexes(entry.table) if each.name == entry.name)
    if not index.is_plain:
        raise refused(
            origin or Origin(None, f"create_index({entry.name!r})"),
            f"rows of {quote(entry.table)} are not unique under the index {quote(entry.name)}",
            "change or delete the duplicates before it",
        ) from error
    by = origin or Origin(None, f"create_index({entry.name!r})")
    with contextlib.suppress(_Unique):
        _refuse_duplicates(
            database, entry.table, index.columns, by, error, key=key_columns(index.key)
        )


class _Unique(Exception):
    """There are no duplicates."""


def _refuse_duplicates(
    database: Database,
    table: str,
    columns: Sequence[str],
    origin: Origin,
    error: Exception,
    *,
    key: str | None = None,
    rows: str | None = None,
) -> NoReturn:
    """
    :param key: the columns with their collations.
    :param rows: what has the columns, where the table has not.
    :raises OperationRefused: with the duplicates.
    :raises _Unique: there are none.
    """
    names = ", ".join(map(quote, columns))
    not_null = " AND ".join(f"{quote(each)} IS NOT NULL" for each in columns)
    grouping = (key or names).replace(" DESC", "")
    groups = database.read(
        f"SELECT {names}, count(*) FROM {rows or quote(table)} WHERE {not_null}"
        f" GROUP BY {grouping} HAVING count(*) > 1"
    )
    if not groups:
        raise _Unique
    number = sum(group[-1] for group in groups)
    shown = "; ".join(
        f"{', '.join(repr(value) for value in group[:-1])} ({group[-1]} times)"
        for group in groups[:SHOWN]
    )
    total = database.count(table)
    raise refused(
        origin,
        f"{number:,} of {total:,} rows of {quote(table)} share {names}, first {shown}",
        "change or delete the duplicates before it",
    ) from error


def explain_copied_unique(
    database: Database,
    job: Job,
    index: IndexShape,
    error: Exception,
    origin: Origin | None = None,
) -> None:
    """The same for a UNIQUE that the copy of a table has.

    :param origin: what made the index, where no constraint did.
    """
    if "UNIQUE constraint failed" not in str(error) or not index.is_plain:
        return
    values = []
    for name in index.columns:
        column = job.column(name)
        if column is None:
            return
        values.append(f"{_becoming(job, column)} AS {quote(name)}")
    made = job.table.rules.get("UNIQUE", [])
    by = origin or next((by for by in made if by), job.table.origins[-1])
    rows = f"(SELECT {', '.join(values)} FROM {quote(job.old.name)})"
    with contextlib.suppress(_Unique):
        _refuse_duplicates(database, job.old.name, index.columns, by, error, rows=rows)


def _becoming(job: Job, column: Lineage) -> str:
    """An expression over the old table for the value that a column of the new one gets."""
    before = job.old.column(column.origin) if column.origin is not None else None
    now = job.new.column(column.name)
    if before is None or now is None:
        return column.fill or "NULL"
    return stored_value(quote(before.name), before.affinity, now.affinity, column.cast)


def explain_copy(database: Database, job: Job, error: Exception) -> None:
    """Say why rows could not be copied: STRICT types, a primary key with NULL or duplicates."""
    table, old, new = job.table, job.old, job.new
    message = str(error)
    if "NOT NULL constraint failed" in message:
        column = job.column(message.rpartition(".")[2])
        if column is not None and column.origin is not None:
            rule = null_rule(old.name, column.origin)
            refuse_rows(database, old, rule.condition, table.origins[-1], rule.what, rule.hint)
    origin = next((each.typed_by for each in table.columns if each.typed_by), table.origins[-1])
    if "cannot store" in message:
        name = message.rpartition(".")[2]
        column = job.column(name)
        if column is not None and column.origin is not None:
            now = new.column(name)
            assert now is not None
            wanted = {"INTEGER": "integer", "INT": "integer", "REAL": "real", "TEXT": "text"}.get(
                now.type.upper(), "blob"
            )
            value = _becoming(job, column)
            converted = f"CAST({value} AS NUMERIC)" if wanted in ("integer", "real") else value
            condition = (
                f"typeof({value}) NOT IN ('null', '{wanted}')"
                f" AND (typeof({value}) = 'blob' OR typeof({converted}) <> '{wanted}'"
                f" OR {converted} || '' <> {value})"
            )
            refuse_rows(
                database,
                old,
                condition,
                origin,
                f"do not fit the type {now.type} of the STRICT column"
                f" {quote(new.name)}.{quote(name)}",
                "convert these values before it",
            )
        raise refused(origin, f"STRICT table {quote(new.name)}: {message}") from error
    if "UNIQUE constraint failed" in message:
        read = read_create_table(new.sql)
        key = questions.primary_key_columns(read)
        sources = [job.column(name) for name in key]
        values = {
            each.origin: f"{_becoming(job, each)} AS {quote(each.origin)}"
            for each in sources
            if each is not None and each.origin is not None
        }
        by = next((each for each in table.rules.get("PRIMARY KEY", []) if each), origin)
        if len(values) == len(key) and values:
            rows = f"(SELECT {', '.join(values.values())} FROM {quote(old.name)})"
            with contextlib.suppress(_Unique):
                _refuse_duplicates(database, old.name, list(values), by, error, rows=rows)
        # The values are equal as the new types have them, or a condition or an expression's are.
        raise refused(
            origin,
            f"rows of {quote(old.name)} would not be unique any more, as a key or an index wants",
            "change or delete the duplicates before it",
        ) from error
    if "datatype mismatch" in message:
        raise refused(
            origin, f"rows of {quote(new.name)} have no integer in the new INTEGER PRIMARY KEY"
        ) from error
