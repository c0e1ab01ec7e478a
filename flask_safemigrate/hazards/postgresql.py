"""What operations lock, rewrite and break on PostgreSQL.

Locks are those of https://www.postgresql.org/docs/current/explicit-locking.html and
https://www.postgresql.org/docs/current/sql-altertable.html; what an operation holds, it holds to
the end of its transaction, which all pending revisions share.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from flask_safemigrate.ddl.tokens import in_python, op_execute, quote, quote_string
from flask_safemigrate.facts.schema import Column
from flask_safemigrate.findings import Severity
from flask_safemigrate.hazards import operations as ops
from flask_safemigrate.hazards import probes, shared, trials
from flask_safemigrate.hazards.hazard import Judge, Probe
from flask_safemigrate.hazards.known import KnownTable
from flask_safemigrate.hazards.postgresql_types import (
    KNOWN,
    default_stays_behind,
    has_cast,
    judge_values,
    keeps_rows,
)

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

#: Functions whose value differs from row to row; the others that defaults use are stable
#: (``provolatile`` in ``pg_proc``).
_VOLATILE = re.compile(
    r"\b(random|gen_random_uuid|uuid_generate_v\w+|uuidv4|uuidv7|clock_timestamp|timeofday|nextval"
    r"|setseed|gen_random_bytes|random_normal|txid_current|pg_current_xact_id)\s*\(",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\s*([-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|nan|[-+]?inf(inity)?)\s*", re.IGNORECASE
)
_NOT_NULL = re.compile(r'^\(*\s*"?(\w+)"?\s+IS\s+NOT\s+NULL\s*\)*$', re.IGNORECASE)


def judge(judge: Judge, run: Sequence[ops.Operation]) -> None:
    """Look at every operation of a run in order, and let it happen."""
    held: dict[str, tuple[str, ops.Operation]] = {}
    revision, outside = "", False
    for op in run:
        place = op.place
        ends = place.outside or outside or (judge.context.each and place.revision != revision)
        if ends:
            held.clear()
            judge.known.commit()
        revision, outside = place.revision, place.outside
        _labels(judge, op)
        shared.exists(judge, op)
        trials.statement(judge, op)
        _pending(judge, op)
        rule = _RULES.get(type(op).__name__)
        locks, work = rule(judge, op) if rule is not None else ((), "")
        if isinstance(op, ops.DropColumn):
            shared.drop_column(judge, op, run)
            if not op.cascade:
                shared.drop_referred_column(judge, op)
        elif isinstance(op, ops.SetDefault):
            shared.drop_default(judge, op, run)
        elif isinstance(op, ops.DropTable):
            shared.drop_table(judge, op, run)
        elif isinstance(op, ops.DropOther):
            shared.drop_view(judge, op, run)
        elif isinstance(op, ops.Write):
            shared.rows_referred(judge, op, run)
            shared.leaves_out(judge, op)
        elif isinstance(op, ops.RenameTable):
            shared.rename_table(judge, op, run)
        if work:
            _held_too_long(judge, op, work, held, dict(locks))
        if not place.outside:
            for name, blocks in locks:
                if judge.is_old(name) and (blocks == "reads" or name not in held):
                    held.setdefault(name, (blocks, op))
                    if blocks == "reads" and held[name][0] == "writes":
                        held[name] = (blocks, op)
        judge.known.apply(op)
    shared.leads_nowhere(judge, run)


Locks = tuple[tuple[str, str], ...]


def _held_too_long(
    judge: Judge,
    op: ops.Operation,
    work: str,
    held: dict[str, tuple[str, ops.Operation]],
    own: dict[str, str],
) -> None:
    """What was locked earlier in the transaction stays locked while this works."""
    for name, (blocks, first) in held.items():
        # What it keeps out itself is said of it already.
        if own.get(name) in ("reads", blocks):
            continue
        who = "nobody reads or writes it" if blocks == "reads" else "nobody writes to it"
        line = f"line {first.place.line}" if first.place.line else "an earlier statement"
        judge.add(
            "SM617",
            WARNING,
            op,
            f"Table '{name}' stays locked from {line} on until the transaction ends: {who} while "
            f"{work}.",
            "with op.get_context().autocommit_block(): around the long statement, so that the "
            "lock is gone before it begins",
            f"{name}",
        )


def _pending(judge: Judge, op: ops.Operation) -> None:
    """A table cannot change while foreign keys of rows written before wait for the end."""
    table = judge.known.tables.get(getattr(op, "table", ""))
    if table is None or not table.pending:
        return
    if isinstance(op, (ops.Write, ops.Validate, ops.Rebuild, ops.LockTable)):
        return
    judge.add(
        "SM603", ERROR, op,
        f"Table '{table.name}' cannot change in the transaction that wrote to {{count}} "
        "{row|rows} of it: a foreign key is INITIALLY DEFERRED, so that PostgreSQL refuses it "
        "because of pending trigger events: the statement fails.",
        f'{op_execute("SET CONSTRAINTS ALL IMMEDIATE")} between the two',
        table.name,
        probe=None if table.new else probes.rows(judge, table.name),
        unknown=WARNING,
    )  # fmt: skip


def _labels(judge: Judge, op: ops.Operation) -> None:
    """A value of an ENUM type cannot be used in the transaction that adds it."""
    if isinstance(op, (ops.AddLabel, ops.CreateEnum)):
        return
    for kind, label in judge.known.labels:
        if f"'{label}'" in op.place.statement:
            judge.add(
                "SM603",
                ERROR,
                op,
                f"Value '{label}' of type '{kind}' is used in the transaction that adds it, which "
                'PostgreSQL refuses ("unsafe use of new value"): the statement fails.',
                "with op.get_context().autocommit_block():\n"
                "    "
                + op_execute(
                    f"ALTER TYPE {judge.quote(kind)} ADD VALUE IF NOT EXISTS {quote_string(label)}"
                ),
                f"{kind}.{label}",
            )


def _create_index(judge: Judge, op: ops.CreateIndex) -> tuple[Locks, str]:
    table = judge.known.table(op.table)
    name = op.made.name
    columns = ", ".join(f'"{each}"' for each in op.made.columns)
    if op.made.unique:
        shared.unique(judge, op, op.table, name, op.made.columns, op.made.where)
    concurrently = (
        "with op.get_context().autocommit_block():\n"
        f'    op.create_index("{name}", "{op.table}", [{columns}], '
        f"{'unique=True, ' if op.made.unique else ''}postgresql_concurrently=True)"
    )
    if op.concurrently:
        if not op.place.outside:
            judge.add(
                "SM603",
                ERROR,
                op,
                f"Index '{name}' of table '{op.table}' cannot be made CONCURRENTLY inside a "
                "transaction: the statement fails.",
                concurrently,
                f"{op.table}.{name}",
            )
        return (), f"index '{name}' is built" if judge.is_large(table) else ""
    if table.new:
        return (), ""
    judge.add(
        "SM610",
        judge.by_size(table),
        op,
        f"Making index '{name}' blocks writes to table '{op.table}' until it has read "
        f"{judge.rows(table)}.",
        concurrently,
        f"{op.table}.{name}",
    )
    work = f"index '{name}' of table '{op.table}' is built" if judge.is_large(table) else ""
    return ((op.table, "writes"),), work


def _drop_index(judge: Judge, op: ops.DropIndex) -> tuple[Locks, str]:
    owner = judge.known.index_owner(op.name)
    if op.concurrently and not op.place.outside:
        judge.add(
            "SM603",
            ERROR,
            op,
            f"Index '{op.name}' cannot be dropped CONCURRENTLY inside a transaction: the "
            "statement fails.",
            "with op.get_context().autocommit_block(): around it",
            op.name,
        )
    if owner is None and judge.known.complete and not op.if_exists and "." not in op.name:
        judge.add(
            "SM604", ERROR, op, f"Index '{op.name}' does not exist: the statement fails.",
            "flask db doctor", op.name,
        )  # fmt: skip
    return ((owner.name, "reads"),) if owner is not None and not op.concurrently else (), ""


def _add_key(judge: Judge, op: ops.AddKey) -> tuple[Locks, str]:
    table = judge.known.table(op.table)
    if table.new:
        return (), ""
    locks: Locks = ((op.table, "reads"),)
    if op.by_index:
        return locks, ""
    if op.kind == "unique":
        shared.unique(judge, op, op.table, op.name, op.columns)
    name = op.name or f"{op.table}_{'_'.join(op.columns)}_key"
    columns = ", ".join(f'"{each}"' for each in op.columns)
    word = {"unique": "UNIQUE", "primary key": "PRIMARY KEY"}.get(op.kind, "")
    cure = (
        "with op.get_context().autocommit_block():\n"
        f'    op.create_index("{name}", "{op.table}", [{columns}], unique=True, '
        "postgresql_concurrently=True)\n"
        + op_execute(
            f"ALTER TABLE {judge.quote(op.table)} ADD CONSTRAINT {quote(name)} {word} "
            f"USING INDEX {quote(name)}"
        )
        if word
        else ""
    )
    if op.kind == "primary key":
        for column in op.columns:
            shared.not_null(judge, op, op.table, column)
        shared.unique(judge, op, op.table, op.name, op.columns)
    judge.add(
        "SM616",
        judge.by_size(table),
        op,
        f"{op.kind.capitalize()} constraint '{name}' blocks reads and writes of table "
        f"'{op.table}' while its index is built from {judge.rows(table)}.",
        cure,
        f"{op.table}.{name}",
    )
    work = f"the index of '{name}' is built" if judge.is_large(table) else ""
    return locks, work


def _validation(judge: Judge, table: str, name: str) -> str:
    return f"ALTER TABLE {judge.quote(table)} VALIDATE CONSTRAINT {quote(name)}"


def _add_foreign_key(judge: Judge, op: ops.AddForeignKey) -> tuple[Locks, str]:
    table, key = judge.known.table(op.table), op.key
    name = key.name or f"{op.table}_{'_'.join(key.columns)}_fkey"
    locks: Locks = ((op.table, "writes"), (key.table, "writes"))
    shared.foreign_key_fits(judge, op, op.table, key)
    if op.not_valid or table.new:
        return locks, ""
    if not table.added.intersection(key.columns):
        shared.foreign_key(judge, op, op.table, key)
    columns = ", ".join(f'"{each}"' for each in key.columns)
    referred = ", ".join(f'"{each}"' for each in key.referred)
    judge.add(
        "SM611",
        judge.by_size(table),
        op,
        f"Foreign key '{name}' blocks writes to tables '{op.table}' and '{key.table}' until "
        f"table '{op.table}' is scanned ({judge.rows(table)}).",
        f'op.create_foreign_key("{name}", "{op.table}", "{key.table}", [{columns}], [{referred}], '
        "postgresql_not_valid=True)\n"
        "with op.get_context().autocommit_block():\n"
        "    " + op_execute(_validation(judge, op.table, name)),
        f"{op.table}.{name}",
    )
    work = f"foreign key '{name}' looks at every row of '{op.table}'"
    return locks, work if judge.is_large(table) else ""


def _add_check(judge: Judge, op: ops.AddCheck) -> tuple[Locks, str]:
    table = judge.known.table(op.table)
    locks: Locks = ((op.table, "reads"),)
    if op.not_valid or table.new:
        return locks, ""
    shared.check(judge, op, op.table, op.name, op.expression)
    judge.add(
        "SM612",
        judge.by_size(table),
        op,
        f"CHECK '{op.name}' blocks reads and writes of table '{op.table}' until "
        f"it has scanned {judge.rows(table)}.",
        f'op.create_check_constraint("{op.name}", "{op.table}", {in_python(op.expression)}, '
        "postgresql_not_valid=True)\n"
        "with op.get_context().autocommit_block():\n"
        "    " + op_execute(_validation(judge, op.table, op.name)),
        f"{op.table}.{op.name}",
    )
    work = f"CHECK '{op.name}' looks at every row of '{op.table}'"
    return locks, work if judge.is_large(table) else ""


def _set_null(judge: Judge, op: ops.SetNull) -> tuple[Locks, str]:
    table = judge.known.table(op.table)
    locks: Locks = ((op.table, "reads"),)
    column = table.columns.get(op.column)
    if op.nullable or table.new or (column is not None and not column.nullable):
        return locks, ""
    shared.not_null(judge, op, op.table, op.column)
    proven = any(
        (match := _NOT_NULL.match(each.expression)) is not None
        and match[1] == op.column
        and each.name not in table.not_valid
        for each in table.checks
    )
    new_enough = judge.context.version >= (12,) or judge.context.version == (0,)
    probe = _is_not_valid(table, op.column) if proven and new_enough else None
    if proven and new_enough and probe is None:
        return locks, ""
    name = f"ck_{op.table}_{op.column}"
    condition = in_python(f"{quote(op.column)} IS NOT NULL")
    judge.add(
        "SM613",
        judge.by_size(table),
        op,
        f"NOT NULL of column '{op.column}' blocks reads and writes of table '{op.table}' until "
        f"it has scanned {judge.rows(table)}.",
        f'op.create_check_constraint("{name}", "{op.table}", {condition}, '
        "postgresql_not_valid=True)\n"
        "with op.get_context().autocommit_block():\n"
        f"    {op_execute(_validation(judge, op.table, name))}\n"
        f'op.alter_column("{op.table}", "{op.column}", nullable=False)\n'
        f'op.drop_constraint("{name}", "{op.table}", type_="check")',
        f"{op.table}.{op.column}",
        probe=probe,
        unknown=None,
    )
    if probe is not None:
        return locks, ""
    work = f"every row of '{op.table}' is looked at for NULL in '{op.column}'"
    return locks, work if judge.is_large(table) else ""


def _is_not_valid(table: KnownTable, column: str) -> Probe | None:
    """Whether a CHECK that is there already was never validated; None for one of this run."""
    names = [
        each.name
        for each in table.checks
        if (match := _NOT_NULL.match(each.expression)) is not None and match[1] == column
    ]
    if table.validated.intersection(names):
        return None
    listed = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
    return Probe(
        f"SELECT count(*) FROM pg_constraint WHERE conname IN ({listed}) AND NOT convalidated "
        f"AND conrelid = to_regclass('{table.name}')"
    )


def _set_type(judge: Judge, op: ops.SetType) -> tuple[Locks, str]:
    table = judge.known.table(op.table)
    column = table.columns.get(op.column)
    locks: Locks = ((op.table, "reads"),)
    if table.new:
        return (), ""
    name = f"{op.table}.{op.column}"
    old = column.type if column is not None else ""
    for view in judge.known.views_on(op.table, op.column):
        judge.add(
            "SM603", ERROR, op,
            f"The type of column '{op.column}' of table '{op.table}' cannot change: view "
            f"'{view}' depends on it, so that the statement fails.",
            f'{op_execute(f"DROP VIEW {judge.quote(view)}")} before it, '
            "and make the view again after it",
            f"{name}:{view}",
        )  # fmt: skip
    if (
        column is not None
        and not op.using
        and has_cast(old, op.type, [*judge.known.enums]) is False
    ):
        judge.add(
            "SM603", ERROR, op,
            f"Column '{op.column}' of table '{op.table}' cannot be cast automatically from {old} "
            f"to {op.type}: without USING the statement fails.",
            f'op.alter_column("{op.table}", "{op.column}", type_=..., '
            f"postgresql_using=\"{op.column}::{op.type}\")",
            name,
        )  # fmt: skip
        return locks, ""
    if column is not None and column.default and default_stays_behind(column, op.type, judge):
        judge.add(
            "SM603", ERROR, op,
            f"The default {column.default} of column '{op.column}' of table '{op.table}' cannot "
            f"be cast automatically to {op.type}: the statement fails.",
            f'op.alter_column("{op.table}", "{op.column}", server_default=None) before it, and '
            "the new default after it",
            name,
        )  # fmt: skip
    if column is not None:
        judge_values(judge, op, table, column)
    if column is not None and keeps_rows(old, op.type, bool(op.using), judge.context.time_zone):
        return locks, _looks_again(judge, op, table, column)
    judge.add(
        "SM614",
        judge.by_size(table),
        op,
        f"Changing the type of column '{op.column}' of table '{op.table}'"
        f"{f' from {old}' if old else ''} to {op.type} rewrites {judge.rows(table)} and blocks "
        "reads and writes meanwhile.",
        f'expand: op.add_column("{op.table}", sa.Column("{op.column}_new", ...)), let the code '
        "write both, fill the rows in batches; contract in a later deploy",
        name,
    )
    work = f"every row of '{op.table}' is rewritten"
    return locks, work if judge.is_large(table) else ""


def _add_column(judge: Judge, op: ops.AddColumn) -> tuple[Locks, str]:
    table, column = judge.known.table(op.table), op.column
    locks: Locks = ((op.table, "reads"),)
    _type_is_there(judge, op)
    if table.new:
        return (), ""
    shared.add_column_without_default(judge, op, fills=False)
    _default_fits(judge, op, column.name, column.type, column.default)
    name = f"{op.table}.{column.name}"
    default = column.default or ""
    volatile = bool(_VOLATILE.search(default)) or column.counts
    rewrites = (column.generated and column.stored) or volatile
    if default and judge.context.version < (11,) and judge.context.version != (0,):
        rewrites = True
    if rewrites:
        what = (
            "a stored generated column"
            if column.generated
            else "a column that numbers rows"
            if column.counts
            else f"a column with the default {default}"
        )
        cure = (
            f'op.add_column("{op.table}", sa.Column("{column.name}", ..., nullable=True))\n'
            f'op.alter_column("{op.table}", "{column.name}", server_default=sa.text("{default}"))'
            "\n# then fill the rows in batches, in an autocommit_block"
            if default
            else "add an ordinary column, let a trigger or the code fill it, fill the rows in "
            "batches"
        )
        judge.add(
            "SM615",
            judge.by_size(table),
            op,
            f"Adding '{column.name}', {what}, rewrites table '{op.table}' ({judge.rows(table)}) "
            "and blocks reads and writes meanwhile.",
            cure,
            name,
        )
    elif op.check:
        judge.add(
            "SM612",
            judge.by_size(table),
            op,
            f"Column '{column.name}' comes with a CHECK, for which table '{op.table}' "
            f"is scanned ({judge.rows(table)}) while reads and writes are blocked.",
            "add the CHECK with postgresql_not_valid=True, then VALIDATE it in an "
            "autocommit_block",
            name,
        )
    works = (rewrites or op.check) and judge.is_large(table)
    return locks, f"every row of '{op.table}' is worked on" if works else ""


def _looks_again(judge: Judge, op: ops.SetType, table: KnownTable, column: Column) -> str:
    """What a type that keeps the rows has to prove or build anew."""
    old = column.type
    sorts = op.collation != column.collation
    word = re.compile(rf"(?<!\w){re.escape(op.column)}(?!\w)")
    zones = old != op.type and old.startswith("timestamp")
    again = [
        f"looks at {judge.rows(table)} again for CHECK '{each.name}'"
        for each in table.checks
        if old != op.type and word.search(each.expression) and each.name not in table.not_valid
    ]
    again += [
        f"builds index '{name}' anew from {judge.rows(table)}"
        for name, index in table.indexes.items()
        if (zones or sorts) and op.column in index.columns
    ]
    for each in again:
        judge.add(
            "SM614",
            judge.by_size(table),
            op,
            f"Changing the type of column '{op.column}' of table '{op.table}' from {old} to "
            f"{op.type}{f' COLLATE {op.collation}' if sorts and op.collation else ''} {each} and "
            "blocks reads and writes meanwhile.",
            "drop it before, and make it again after it: a CHECK as NOT VALID, an index "
            "CONCURRENTLY, in an autocommit_block",
            f"{op.table}.{op.column}",
        )
    return f"'{op.table}' is looked at again" if again and judge.is_large(table) else ""


def _type_is_there(judge: Judge, op: ops.AddColumn) -> None:
    """ADD COLUMN of an ENUM makes no type, as CREATE TABLE does."""
    kind = op.column.type.removesuffix("[]")
    made = judge.known.enums.keys() | judge.known.types
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", kind) or kind in KNOWN or kind in made or "*" in made:
        return
    judge.add(
        "SM604",
        ERROR,
        op,
        f"Column '{op.column.name}' of table '{op.table}' has the type '{kind}', which does not "
        "exist: the statement fails.",
        f'sa.Enum(..., name="{kind}").create(op.get_bind()) before it',
        f"{op.table}.{op.column.name}",
        probe=Probe(f"SELECT CASE WHEN to_regtype('{kind}') IS NULL THEN 1 ELSE 0 END"),
        unknown=None,
    )


def _default_fits(
    judge: Judge, op: ops.Operation, column: str, kind: str, default: str | None
) -> None:
    """A default that is no value of its column."""
    table: str = getattr(op, "table", "")
    if not default:
        return

    def add(why: str, cure: str, trial: str = "") -> None:
        judge.add(
            "SM603", ERROR, op,
            f"The default, {default}, is none for column '{column}' of table '{table}', which is "
            f"{kind} ({why}): the statement fails.",
            cure, f"{table}.{column}", trial=trial,
        )  # fmt: skip

    literal = re.fullmatch(r"'((?:[^']|'')*)'", default)
    if kind == "boolean" and re.fullmatch(r"-?\d+", default):
        add("a number is not converted", f'server_default="{default}"')
    elif (
        literal is not None
        and re.match(r"(smallint|integer|bigint|numeric|real|double)\b", kind)
        and not _NUMBER.fullmatch(literal[1])
    ):
        add("invalid input syntax", f'server_default=sa.text("0")  # or another {kind}')
    elif trials.is_as_it_was(judge, f"{default} {kind}"):
        add("{error}", f"server_default=sa.text(...)  # an expression that is {kind}",
            f"EXPLAIN SELECT CAST(({default}) AS {kind})")  # fmt: skip


def _drop_type(judge: Judge, op: ops.DropType) -> tuple[Locks, str]:
    used = judge.known.of_type(op.name)
    for table, column in used:
        if not op.cascade:
            judge.add(
                "SM603", ERROR, op,
                f"Type '{op.name}' cannot be dropped: column '{column}' of table '{table}' "
                "depends on it, so that the statement fails.",
                f'op.alter_column("{table}", "{column}", type_=...) before it',
                f"{op.name}:{table}.{column}",
            )  # fmt: skip
        elif judge.is_old(table):
            judge.add(
                "SM630", ERROR, op,
                f"Dropping type '{op.name}' with CASCADE drops column '{column}' of table "
                f"'{table}' and loses {{count}} {{value|values}}; code that still runs and names "
                "it fails.",
                f'op.alter_column("{table}", "{column}", type_=sa.Text(), '
                f'postgresql_using="{column}::text") before it',
                f"{table}.{column}",
                probe=probes.values(judge, table, column),
                unknown=WARNING,
            )  # fmt: skip
    return tuple((table, "reads") for table, _ in used), ""


def _drop_other(judge: Judge, op: ops.DropOther) -> tuple[Locks, str]:
    if op.kind == "sequence":
        for table in judge.known.tables.values():
            for column in table.columns.values():
                if not _takes_from(op.name, table.name, column.name, column.default or ""):
                    continue
                judge.add(
                    "SM642" if op.cascade else "SM603",
                    ERROR, op,
                    f"Sequence '{op.name}' gives column '{column.name}' of table '{table.name}' "
                    "its default, which goes along: code that still runs and does not fill it "
                    "fails at INSERT."
                    if op.cascade
                    else f"Sequence '{op.name}' cannot be dropped: the default of column "
                    f"'{column.name}' of table '{table.name}' depends on it, so that the "
                    "statement fails.",
                    "drop it in a later deploy, when the column has another default",
                    f"{table.name}.{column.name}",
                )  # fmt: skip
    elif op.kind == "schema" and op.cascade:
        for name in [n for n in judge.known.tables if n.startswith(f"{op.name}.")] or [op.name]:
            judge.add(
                "SM631", WARNING, op,
                f"Dropping schema '{op.name}' with CASCADE drops every table in it and loses "
                f"their rows ('{name}').",
                "drop by name what may go, and keep a snapshot", name,
            )  # fmt: skip
    return (), ""


def _takes_from(sequence: str, table: str, column: str, default: str) -> bool:
    if "nextval" in default:
        return re.search(rf"\b{re.escape(sequence)}\b", default) is not None
    return sequence == f"{table}_{column}_seq"


def _validate(judge: Judge, op: ops.Validate) -> tuple[Locks, str]:
    table = judge.known.table(op.table)
    for key in table.foreign_keys:
        if key.name == op.name and not table.added.intersection(key.columns):
            shared.foreign_key(judge, op, op.table, key)
    for check in table.checks:
        if check.name == op.name:
            shared.check(judge, op, op.table, op.name, check.expression)
    if not judge.is_large(table):
        return (), ""
    return (), f"constraint '{op.name}' looks at every row of '{op.table}'"


def _write(judge: Judge, op: ops.Write) -> tuple[Locks, str]:
    table = judge.known.table(op.table)
    shared.emptied(judge, op, cascades=True)
    shared.overwritten(judge, op)
    if op.verb == "TRUNCATE":
        return ((op.table, "reads"),), ""
    if op.verb == "INSERT":
        source = next(
            (
                t
                for n in op.reads
                if judge.is_large(t := judge.known.table(n)) and n in judge.known.tables
            ),
            None,
        )
        return (), f"the rows of '{source.name}' are copied to '{op.table}'" if source else ""
    if not judge.is_large(table):
        return (), ""
    if (op.bound and op.times == 1) or (op.limit and op.times == 1 and op.place.outside):
        return (), ""
    work = f"the rows of '{op.table}' are written by {op.verb}"
    if op.place.outside and op.times > 1:
        return (), ""
    several = op.times > 1
    how = "in batches that one transaction holds together" if several else "in one statement"
    what = "updates" if op.verb == "UPDATE" else "deletes"
    quick = bool(op.where) and not several
    judge.add(
        "SM618",
        WARNING,
        op,
        f"{op.verb} of table '{op.table}' {what} {{count}} {{row|rows}} {how}: whoever writes to "
        "one of them waits until the transaction ends."
        if quick
        else f"{op.verb} of table '{op.table}' {what} {judge.rows(table)} {how}: whoever writes "
        "to one of them waits, is blocked, until the transaction ends.",
        _BATCHES.format(table=op.table, verb=op.verb),
        op.table,
        probe=probes.matching(judge, table, f"{op.where}")._replace(
            amount=f"SELECT CASE WHEN count(*) >= {judge.context.many} THEN count(*) ELSE 0 END "
            f"FROM {judge.quote(op.table)} WHERE {op.where}",
            keys="",
        )
        if quick and not op.bound
        else None,
    )
    return (), work


_BATCHES = (
    "with op.get_context().autocommit_block():\n"
    "    bind = op.get_bind()\n"
    "    last = bind.scalar(sa.text('SELECT max(id) FROM {table}')) or 0\n"
    "    for first in range(0, last + 1, 5000):\n"
    "        bind.execute(sa.text('{verb} ... WHERE id >= :first AND id < :next'),\n"
    "                     {{'first': first, 'next': first + 5000}})"
)


def _rebuild(judge: Judge, op: ops.Rebuild) -> tuple[Locks, str]:
    name = op.table
    owner = judge.known.index_owner(name) if name not in judge.known.tables else None
    table = judge.known.table(owner.name if owner is not None else name)
    if op.alone and not op.place.outside:
        judge.add(
            "SM603", ERROR, op,
            f"{op.what}{f' of {name!r}' if name else ''} cannot run inside a transaction: the "
            "statement fails.",
            "with op.get_context().autocommit_block(): around it",
            f"{name}:{op.what}",
        )  # fmt: skip
        return (), ""
    if table.new:
        return (), ""
    is_view = name in judge.known.views
    if op.blocks:
        severity = WARNING if is_view else judge.by_size(table)
        does = "rewrites" if op.rewrites else "reads"
        kept = "reads and writes" if op.blocks == "reads" else "writes"
        judge.add(
            "SM619", severity, op,
            f"{op.what} {does} {'view' if is_view else 'table'} '{name}' and blocks {kept} "
            "meanwhile.",
            _REBUILDS.get(op.what, "do it when nobody uses the table"),
            f"{name}:{op.what}",
        )  # fmt: skip
    work = f"{op.what} works on '{name}'" if is_view or judge.is_large(table) else ""
    return ((table.name, op.blocks),) if op.blocks else (), work


_REBUILDS = {
    "REINDEX": "with op.get_context().autocommit_block(): REINDEX ... CONCURRENTLY",
    "REFRESH MATERIALIZED VIEW": "REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique "
    "index on the view",
    "VACUUM FULL": "VACUUM, or pg_repack where the space must come back",
    "ATTACH PARTITION": "first a CHECK that equals the partition's bounds, NOT VALID, then "
    "VALIDATE it: then nothing is scanned",
}


def _lock(judge: Judge, op: ops.LockTable) -> tuple[Locks, str]:
    if op.blocks and judge.is_old(op.table):
        judge.add(
            "SM619", judge.by_size(judge.known.table(op.table)), op,
            f"LOCK TABLE '{op.table}' IN {op.mode} MODE blocks "
            f"{'reads and writes' if op.blocks == 'reads' else 'writes'} until the transaction "
            "ends.",
            "leave it out, or take it last in a transaction of its own",
            f"{op.table}:LOCK",
        )  # fmt: skip
    return ((op.table, op.blocks),) if op.blocks else (), ""


def _quick(judge: Judge, op: ops.Quick) -> tuple[Locks, str]:
    if op.what == "ENABLE ROW LEVEL SECURITY" and judge.is_old(op.table):
        judge.add(
            "SM643", WARNING, op,
            f"With row level security on table '{op.table}', code that still runs as another role "
            "than its owner sees only rows that a policy allows.",
            "CREATE POLICY first, in the same transaction",
            op.table,
        )  # fmt: skip
    if op.what == "REVOKE" and judge.is_old(op.table):
        judge.add(
            "SM643", WARNING, op,
            f"REVOKE on table '{op.table}': code that still runs as that role is refused.",
            "in a later deploy, when no code of that role uses the table", op.table,
        )  # fmt: skip
    return ((op.table, op.blocks),) if op.table and op.blocks else (), ""


def _drop_table(judge: Judge, op: ops.DropTable) -> tuple[Locks, str]:
    table = judge.known.tables.get(op.table)
    referred = {key.table for key in table.foreign_keys} if table is not None else set()
    return ((op.table, "reads"), *((name, "reads") for name in referred)), ""


def _drop_constraint(judge: Judge, op: ops.DropConstraint) -> tuple[Locks, str]:
    table = judge.known.table(op.table)
    key = next((k for k in table.foreign_keys if k.name == op.name), None)
    missing = (
        judge.known.complete
        and table.complete
        and op.name is not None
        and not op.if_exists
        and op.name not in table.constraint_names()
        and op.name != f"{op.table}_pkey"
        and bool(table.columns)
        and not table.primary_key_named(op.name)
    )
    if missing:
        judge.add(
            "SM604", ERROR, op,
            f"Table '{op.table}' has no constraint '{op.name}': the statement fails.",
            "name it as the database does",
            f"{op.table}.{op.name}",
        )  # fmt: skip
    own = table.indexes.get(op.name or "")
    columns = own.columns if own is not None else ()
    if op.name == f"{op.table}_pkey" or table.primary_key_named(op.name or ""):
        columns = table.primary_key
    for name, other in judge.known.referring(op.table) if columns and not op.cascade else ():
        if sorted(other.referred or table.primary_key) == sorted(columns):
            judge.add(
                "SM603", ERROR, op,
                f"Constraint '{op.name}' of table '{op.table}' cannot be dropped: foreign key "
                f"'{other.name}' of table '{name}' depends on it, so that the statement fails.",
                f'op.drop_constraint("{other.name}", "{name}", type_="foreignkey") before it',
                f"{op.table}.{op.name}:{other.name}",
            )  # fmt: skip
    also: Locks = ((key.table, "reads"),) if key is not None else ()
    return ((op.table, "reads"), *also), ""


def _create_table(judge: Judge, op: ops.CreateTable) -> tuple[Locks, str]:
    for key in op.foreign_keys:
        shared.foreign_key_fits(judge, op, op.table, key)
    for column in op.columns:
        _default_fits(judge, op, column.name, column.type, column.default)
    locks: Locks = tuple((key.table, "writes") for key in op.foreign_keys if key.table != op.table)
    if op.partition_of:
        locks = (*locks, (op.partition_of, "reads"))
    return locks, ""


def _rename_column(judge: Judge, op: ops.RenameColumn) -> tuple[Locks, str]:
    shared.rename_column(judge, op, op.table, op.column, op.new)
    return ((op.table, "reads"),), ""


def _set_default(judge: Judge, op: ops.SetDefault) -> tuple[Locks, str]:
    column = judge.known.table(op.table).columns.get(op.column)
    if column is not None:
        _default_fits(judge, op, op.column, column.type, op.default)
    return ((op.table, "reads"),), ""


def _alone(judge: Judge, op: ops.Alone) -> tuple[Locks, str]:
    if not op.place.outside:
        judge.add(
            "SM603", ERROR, op,
            f"{op.what} cannot run inside a transaction: the statement fails.",
            "with op.get_context().autocommit_block(): around it",
            op.what,
        )  # fmt: skip
    return (), ""


def _rename_label(judge: Judge, op: ops.RenameLabel) -> tuple[Locks, str]:
    judge.add(
        "SM640", WARNING, op,
        f"Renaming value '{op.label}' of type '{op.type}' to '{op.new}' breaks code that still "
        f"runs and names '{op.label}'.",
        f"add '{op.new}', let the code write it, move the rows",
        f"{op.type}.{op.label}",
    )  # fmt: skip
    return (), ""


def _add_label(judge: Judge, op: ops.AddLabel) -> tuple[Locks, str]:
    if not op.place.outside and judge.context.version < (12,) and judge.context.version != (0,):
        judge.add(
            "SM603", ERROR, op,
            f"Value '{op.label}' cannot be added to type '{op.type}' inside a transaction before "
            "PostgreSQL 12: the statement fails.",
            "with op.get_context().autocommit_block(): around it",
            f"{op.type}.{op.label}",
        )  # fmt: skip
    return (), ""


def _locks_only(judge: Judge, op: ops.DropColumn | ops.RenameTable) -> tuple[Locks, str]:
    return ((op.table, "reads"),), ""


_RULES: dict[str, Callable[[Judge, Any], tuple[Locks, str]]] = {
    "CreateTable": _create_table,
    "DropTable": _drop_table,
    "DropType": _drop_type,
    "DropOther": _drop_other,
    "RenameTable": _locks_only,
    "AddColumn": _add_column,
    "DropColumn": _locks_only,
    "RenameColumn": _rename_column,
    "SetType": _set_type,
    "SetNull": _set_null,
    "SetDefault": _set_default,
    "CreateIndex": _create_index,
    "DropIndex": _drop_index,
    "AddKey": _add_key,
    "AddForeignKey": _add_foreign_key,
    "AddCheck": _add_check,
    "DropConstraint": _drop_constraint,
    "Validate": _validate,
    "AddLabel": _add_label,
    "RenameLabel": _rename_label,
    "Write": _write,
    "Rebuild": _rebuild,
    "LockTable": _lock,
    "Quick": _quick,
    "Alone": _alone,
}
