"""Decides for every table that changes what has to be done to it, asking its rows."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from flask_safemigrate.alter.apply.database import Database, Log
from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.alter.proofs import LINKS, ForeignKeys
from flask_safemigrate.alter.queue.queue import refused
from flask_safemigrate.alter.queue.scratch import Scratch
from flask_safemigrate.alter.queue.tracked import TrackedTable
from flask_safemigrate.checks.found import counted
from flask_safemigrate.ddl import edits
from flask_safemigrate.ddl.create_table import read_create_table
from flask_safemigrate.ddl.rebuild import (
    Lineage,
    Transition,
    changed_defaults,
    converts,
    decide,
    literal_default,
    match_automatic,
)
from flask_safemigrate.ddl.shape import TableShape, read_shape
from flask_safemigrate.ddl.tokens import fold, quote, quote_string, same_name
from flask_safemigrate.errors import VerificationFailed
from flask_safemigrate.outcome import TableWork


@dataclass
class Job:
    """One table of the real database that changes.

    :ivar old: as it is. :ivar new: as it shall be.
    :ivar lineage: the columns of ``new``, with those of ``old`` that they come from.
    :ivar automatic: name of a new automatic index to the old one that serves it.
    :ivar copy: the table that the rows are copied to, for a rebuild.
    :ivar spares: name of a new automatic index to the name that it has until the end.
    :ivar staged: whether the final text comes in a second edit.
    """

    table: TrackedTable
    old: TableShape
    new: TableShape
    lineage: tuple[Lineage, ...]
    transition: Transition
    filled: bool
    automatic: dict[str, str] = field(default_factory=dict)
    copy: str | None = None
    spares: dict[str, str] = field(default_factory=dict)
    staged: bool = False
    log: Log = field(default_factory=Log)

    def column(self, name: str) -> Lineage | None:
        """What a column of ``new`` comes from."""
        return next((each for each in self.lineage if same_name(each.name, name)), None)

    @property
    def fresh_automatic(self) -> list[str]:
        """Automatic indexes that have to be built."""
        return [each.name for each in self.new.automatic if each.name not in self.automatic]


def make_job(
    database: Database, scratch: Scratch, table: TrackedTable, spare: Callable[[str], str]
) -> Job:
    """Decide what has to be done to a table.

    :param spare: gives a name that nothing has.
    :raises OperationRefused: a copy is needed and forbidden.
    """
    assert table.before is not None
    assert table.origin is not None
    old, new = table.before, scratch.shape(table.name)
    filled = database.is_filled(table.origin)
    lineage = table.lineage
    parents = _parent_keys(database, table, new)

    def choose(short: dict[str, str]) -> Transition:
        return decide(
            old,
            new,
            lineage,
            parent_keys=parents,
            short=short,
            forced=table.forced is not None,
            table_filled=filled,
        )

    log = Log()
    transition = choose({})
    if filled and transition.way != "rebuild":
        with database.logged(log):
            short = _short(database, scratch, old, changed_defaults(old, new, lineage))
        if short:
            transition = choose(short)
    job = Job(table, old, new, lineage, transition, filled, log=log)
    job.automatic = match_automatic(old, new, lineage, transition)
    job.staged = transition.update is not None or bool(job.fresh_automatic)
    if new.without_rowid and new.automatic and (job.staged or transition.way == "rebuild"):
        # Where the key is descending, an index made by UNIQUE sorts its tail otherwise than
        # one made by CREATE INDEX (https://sqlite.org/src/info/bba7b69f9849b5bf), so that none
        # can become the other; the copy has to bring its own.
        reason = transition.reason
        if transition.way != "rebuild":
            reason = "a UNIQUE index of a WITHOUT ROWID table must be made with the table"
        job.transition = transition._replace(
            way="rebuild", reason=reason, same_rowids=False, update=None
        )
        job.automatic, job.staged = {}, False
    if job.transition.way == "rebuild":
        must_be_allowed(job, f" ({job.transition.reason})")
        job.copy = spare(table.name)
    if job.staged:
        job.spares = {each.name: spare(each.name) for each in new.automatic}
    return job


def copy_job(database: Database, scratch: Scratch, table: TrackedTable) -> Job:
    """What a table needs that is copied as it is after the native statements of the queue.

    :raises OperationRefused: a copy is forbidden.
    """
    row = database.row_of(table.name)
    assert row.sql is not None
    changed = frozenset(
        fold(each.name) for each in table.columns if each.typed_by or each.real is None
    )
    job = Job(
        table,
        read_shape(row.sql, ()),
        scratch.shape(table.name),
        table.real_lineage,
        Transition("rebuild", "", changed, same_rowids=False),
        database.is_filled(table.name),
    )
    must_be_allowed(job)
    return job


def must_be_allowed(job: Job, reason: str = "") -> None:
    """Refuse a copy that is forbidden.

    :raises OperationRefused: it is, and there are rows to copy.
    """
    if job.filled and job.table.forbidden is not None:
        raise refused(
            job.table.forbidden,
            f"table {quote(job.table.name)} would have to be copied{reason}, which"
            ' recreate="never" forbids',
            'leave recreate="never" away',
        )


def must_have_all(database: Database, name: str, rows: int, copy: str) -> None:
    """Stop where a copy has not as many rows as its table had.

    :raises VerificationFailed: it has fewer or more.
    """
    after = database.count(copy)
    if after != rows:
        raise VerificationFailed(
            f"table {quote(name)} had {counted(rows, 'row')}, its copy has {after:,}"
        )


def _parent_keys(database: Database, table: TrackedTable, new: TableShape) -> frozenset[str]:
    """Columns of the real table that other tables refer to, if that matters."""
    assert table.before is not None
    matters = False
    for column in table.columns:
        now = new.column(column.name)
        before = table.before.column(column.origin) if column.origin is not None else None
        matters = matters or (
            now is not None
            and before is not None
            and converts(before.affinity, now.affinity, column.cast)
        )
    if not matters:
        return frozenset()
    found = set()
    for child, _, key in database.foreign_keys_to(table.before.name):
        if fold(child) == fold(table.before.name):
            continue
        if key is not None:
            found.add(fold(key))
        else:
            found |= {
                fold(row[1])
                for row in database.read(f"PRAGMA table_info({quote_string(table.before.name)})")
                if row[5]
            }
    return frozenset(found)


def _short(
    database: Database, scratch: Scratch, old: TableShape, columns: Iterable[str]
) -> dict[str, str]:
    """Columns that some rows do not store, with the literal that these rows read.

    ADD COLUMN writes no rows: what they lack is read out of the text.
    """
    names = list(columns)
    if not names:
        return {}
    # An index may hold what a row only reads, and NOT INDEXED does not keep SQLite from
    # scanning one instead of a WITHOUT ROWID table; there every row is taken for short.
    counts = [1] * len(names) if old.without_rowid else _short_counts(database, old, names)
    found = {}
    for name, count in zip(names, counts, strict=False):
        column = old.column(name)
        assert column is not None
        if count:
            literal = scratch.literal(column.affinity, literal_default(column))
            found[name] = literal if literal is not None else "NULL"
    return found


def _short_counts(database: Database, old: TableShape, names: list[str]) -> list[int]:
    """How many rows do not store each column: those that read a default no row can hold."""
    mark = f"x'{secrets.token_hex(16)}'"
    text = old.sql
    for name in names:
        text = edits.set_default(read_create_table(text), name, mark)
    row = database.row_of(old.name)
    assert row.sql is not None
    counted = [f"sum({quote(name)} IS {mark})" for name in names]
    kept = len(database.script)
    with database.schema_edit():
        database.edit("table", row.name, sql=text)
    counts = database.read(f"SELECT {', '.join(counted)} FROM {quote(row.name)} NOT INDEXED")[0]
    with database.schema_edit():
        database.edit("table", row.name, sql=row.sql)
    # A question, not a change: it is no part of the script.
    database.forget(kept)
    return [int(count or 0) for count in counts]


def report(name: str, way: str, reason: str, log: Log, origins: Iterable[Origin]) -> TableWork:
    """What was done to one table."""
    return TableWork(
        table=name,
        way=way,
        reason=reason,
        seconds=log.seconds,
        rows=log.rows,
        statements=tuple(log.statements),
        revisions=tuple(
            dict.fromkeys(each.revision for each in origins if each.revision is not None)
        ),
    )


def retyped(table: TrackedTable, changed: frozenset[str] | None = None) -> dict[str, Origin]:
    """The real columns, by folded names, that get another type, with what gives it to them.

    :param changed: folded names of the columns that are stored anew, None for all.
    """
    return {
        fold(each.origin): each.typed_by
        for each in table.columns
        if each.origin is not None
        and each.typed_by is not None
        and (changed is None or fold(each.name) in changed)
    }


def orphans(
    database: Database, columns: Mapping[str, Mapping[str, Origin]]
) -> dict[str, tuple[int, Origin]]:
    """Rows without parents of tables whose keys are about to be stored anew, by real name.

    :param columns: as of :func:`retyped`, by the real names of tables.
    """
    keys = ForeignKeys(database)
    found: dict[str, tuple[int, Origin]] = {}
    for name, typed in columns.items():
        if not typed or not database.is_filled(name):
            continue
        by = next(iter(typed.values()))
        for child, _, parent, mine, theirs in database.read(LINKS):
            if (fold(child) == fold(name) and fold(mine) in typed) or (
                fold(parent) == fold(name) and (theirs is None or fold(theirs) in typed)
            ):
                found[child] = keys.violations(child), by
    return found


def compare_orphans(
    database: Database, names: Mapping[str, str], before: dict[str, tuple[int, Origin]]
) -> None:
    """Refuse where there are more now.

    :param names: what tables are called now, by the names that they had.
    :raises OperationRefused: there are.
    """
    keys = ForeignKeys(database)
    for child, (count, origin) in before.items():
        now = keys.violations(names.get(child, child))
        if now > count:
            raise refused(
                origin,
                f"{counted(now - count, 'row')} of table {quote(names.get(child, child))} would no"
                " longer find the row that the foreign key leads to",
                "change both sides of the foreign key in the same migration, or drop it first",
            )
