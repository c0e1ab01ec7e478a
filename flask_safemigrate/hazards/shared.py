"""Rules that hold on every dialect: what goes, what breaks old code, what rows refuse."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from flask_safemigrate.ddl.references import uses_table
from flask_safemigrate.ddl.tokens import op_execute
from flask_safemigrate.facts.schema import ForeignKey
from flask_safemigrate.findings import Severity
from flask_safemigrate.hazards import operations as ops
from flask_safemigrate.hazards import probes
from flask_safemigrate.hazards.hazard import Judge, Probe, listed
from flask_safemigrate.hazards.known import KnownTable

#: What keeps a SELECT from taking all rows of its table.
_PARTIAL = re.compile(
    r"\b(?:WHERE|LIMIT|DISTINCT|GROUP\s+BY|JOIN|EXCEPT|INTERSECT)\b", re.IGNORECASE
)

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


def drop_column(judge: Judge, op: ops.DropColumn, run: Iterable[ops.Operation]) -> None:
    """Values go with a column, and statements of the running version that name it fail."""
    table = judge.known.tables.get(op.table)
    if table is not None and (table.new or op.column in table.added):
        return
    if table is not None and table.complete and table.columns and op.column not in table.columns:
        return
    name = f"{op.table}.{op.column}"
    old = table.columns.get(op.column) if table is not None else None
    twin = _twin(judge, op, run)
    rename = ""
    cure = "drop it in a later deploy, when no code uses it; keep a snapshot"
    if twin:
        rename = (
            f" Column '{twin}' of the same type is added to '{op.table}' and stays empty: this "
            "looks like a rename."
        )
        cure = f'op.alter_column("{op.table}", "{op.column}", new_column_name="{twin}")'
    judge.add(
        "SM633" if twin else "SM630",
        ERROR,
        op,
        f"Dropping column '{op.column}' of table '{op.table}' loses {{count}} {{value|values}}, "
        f"and code that still runs and names it fails.{rename}",
        cure,
        name,
        probe=probes.values(judge, op.table, op.column)
        if old is None or not old.generated
        else None,
        unknown=WARNING,
    )
    for view in judge.known.views_on(op.table, op.column):
        if judge.context.dialect == "postgresql" and not op.cascade:
            judge.add(
                "SM603",
                ERROR,
                op,
                f"Column '{op.column}' of table '{op.table}' cannot be dropped: view '{view}' "
                "depends on it, so that the statement fails.",
                f"{op_execute(f'DROP VIEW {judge.quote(view)}')} before it, "
                "and make the view again after it",
                f"{name}:{view}",
            )
        elif judge.context.dialect in ("mysql", "mariadb"):
            judge.add(
                "SM640",
                WARNING,
                op,
                f"View '{view}' names column '{op.column}' of table '{op.table}' and breaks with "
                "it for the code that reads it.",
                f"{op_execute(f'DROP VIEW {judge.quote(view)}')} before it, "
                "and make the view again after it",
                f"{name}:{view}",
            )


def drop_view(judge: Judge, op: ops.DropOther, run: Iterable[ops.Operation]) -> None:
    """The running version reads a view that goes and does not come back."""
    if op.kind != "view" or op.name not in judge.known.views:
        return
    made = [each for each in run if isinstance(each, ops.CreateView) and each.name == op.name]
    renamed = any(isinstance(each, ops.RenameTable) and each.new == op.name for each in run)
    if not made and not renamed:
        judge.add(
            "SM640",
            WARNING,
            op,
            f"Dropping view '{op.name}' breaks code that still runs and reads it.",
            "drop it in a later deploy, when no code reads it",
            op.name,
        )


def drop_under_trigger(judge: Judge, op: ops.DropColumn) -> None:
    """A view or trigger of SQLite that names a column keeps it from being dropped."""
    table = judge.known.tables.get(op.table)
    if table is None or table.new:
        return
    found = [("view", name) for name in judge.known.views_on(op.table, op.column)]
    found += [
        ("trigger", name)
        for name in judge.known.triggers_on(op.column)
        if judge.known.triggers[name][0] == op.table
    ]
    for kind, name in found:
        judge.add(
            "SM603",
            ERROR,
            op,
            f"Column '{op.column}' of table '{op.table}' cannot be dropped: {kind} '{name}' names "
            "it, so that the operation fails.",
            f"{op_execute(f'DROP {kind.upper()} {judge.quote(name)}')} before it, "
            "and make it again after it",
            f"{op.table}.{op.column}:{name}",
        )


def drop_referred_column(judge: Judge, op: ops.DropColumn) -> None:
    """A foreign key of another table leads to the column."""
    for name, key in judge.known.referring(op.table):
        referred = key.referred or judge.known.table(op.table).primary_key
        if op.column in referred and (name != op.table or op.column not in key.columns):
            judge.add(
                "SM603",
                ERROR,
                op,
                f"Column '{op.column}' of table '{op.table}' cannot be dropped: foreign key "
                f"'{key.name}' of table '{name}' refers to it, so that the statement fails.",
                f'op.drop_constraint("{key.name}", "{name}", type_="foreignkey") before it',
                f"{op.table}.{op.column}:{key.name}",
            )


def foreign_key_fits(judge: Judge, op: ops.Operation, table: str, key: ForeignKey) -> None:
    """A foreign key needs a unique target of the same type."""
    parent = judge.known.tables.get(key.table)
    child = judge.known.table(table).columns
    if isinstance(op, ops.CreateTable):
        child = {column.name: column.as_column() for column in op.columns}
        if key.table == table:
            return
    if parent is None or not parent.complete or not parent.columns:
        return
    referred = key.referred or parent.primary_key
    name = key.name or f"of {', '.join(key.columns)}"
    object = f"{table}.{','.join(key.columns)}"
    mysql = judge.context.dialect in ("mysql", "mariadb")
    keys = [parent.primary_key]
    keys += [i.columns for i in parent.indexes.values() if mysql or (i.unique and not i.where)]
    fits = (
        any(each[: len(referred)] == referred for each in keys)
        if mysql
        else any(sorted(each) == sorted(referred) for each in keys)
    )
    if not fits:
        judge.add(
            "SM603",
            ERROR,
            op,
            f"Foreign key '{name}' of table '{table}' cannot refer to {listed(referred)} of table "
            f"'{key.table}', which has no {'index' if mysql else 'unique constraint'} over it: "
            "the statement fails.",
            f'op.create_unique_constraint("uq_{key.table}_{"_".join(referred)}", "{key.table}", '
            f"{list(referred)!r}) before it",
            object,
        )
        return
    for ours, theirs in zip(key.columns, referred, strict=False):
        if ours not in child or theirs not in parent.columns:
            continue
        one, other = child[ours].type, parent.columns[theirs].type
        if not _comparable(one, other, mysql):
            judge.add(
                "SM603",
                ERROR,
                op,
                f"Foreign key '{name}' of table '{table}': column '{ours}' is {one}, and "
                f"'{theirs}' of table '{key.table}' is {other}, which do not fit: the statement "
                "fails.",
                f"give '{ours}' the type {other}",
                object,
            )


_CLASSES = {
    **dict.fromkeys(
        ("smallint", "integer", "int", "bigint", "numeric", "decimal", "real", "tinyint",
         "mediumint", "double precision"), "number",
    ),
    **dict.fromkeys(("character varying", "varchar", "text", "character", "char"), "text"),
    "uuid": "uuid", "date": "time", "timestamp without time zone": "time",
    "timestamp with time zone": "time", "boolean": "boolean", "bytea": "bytes",
}  # fmt: skip


def _comparable(one: str, other: str, exact: bool) -> bool:
    """Whether a foreign key may lead from one type to the other; what is not known may.

    :param exact: whether whole numbers must be of the same size and sign.
    """
    words = [re.sub(r"\s*\([^)]*\)", "", each.lower()).strip() for each in (one, other)]
    words = ["int" + each[7:] if each.startswith("integer") else each for each in words]
    classes = [_CLASSES.get(each.removesuffix(" unsigned")) for each in words]
    if None in classes:
        return True
    return (
        words[0] == words[1] if exact and classes == ["number"] * 2 else classes[0] == classes[1]
    )


def rows_referred(judge: Judge, op: ops.Write, run: Iterable[ops.Operation]) -> None:
    """DELETE and TRUNCATE of what other tables refer to, where nothing lets their rows go."""
    table = judge.known.tables.get(op.table)
    if op.verb not in ("DELETE", "TRUNCATE") or op.cascade or table is None:
        return
    emptied = {
        each.table
        for each in run
        if isinstance(each, ops.Write) and each.verb == "TRUNCATE" and each.place == op.place
    }
    for name, key in judge.known.referring(op.table):
        child = judge.known.tables[name]
        if name == op.table or name in emptied or op.where.startswith("partition "):
            continue
        if op.verb == "TRUNCATE":
            if judge.context.dialect != "sqlite":
                judge.add(
                    "SM603",
                    ERROR,
                    op,
                    f"Table '{op.table}' cannot be truncated: foreign key '{key.name}' of table "
                    f"'{name}' refers to it, so that the statement fails.",
                    op_execute(f"DELETE FROM {judge.quote(op.table)}"),
                    f"{op.table}:{name}",
                )
            continue
        referred = key.referred or table.primary_key
        if (
            "ON DELETE" in key.actions
            and "RESTRICT" not in key.actions
            and "NO ACTION" not in key.actions
        ):
            continue
        if op.bound or child.written or child.new or table.written or len(referred) != 1:
            continue
        which = f" WHERE {op.where}" if op.where else ""
        condition = (
            f"{judge.quote(key.columns[0])} IN (SELECT {judge.quote(referred[0])} FROM "
            f"{judge.quote(op.table)}{which})"
        )
        judge.add(
            "SM626",
            ERROR,
            op,
            f"DELETE from table '{op.table}': {{count}} {{row|rows}} of '{name}' {{refers|refer}} "
            f"to what goes, by foreign key '{key.name}', with which the statement fails.",
            f"delete these rows of '{name}' first, or let them refer to others",
            f"{op.table}:{name}",
            probe=probes.matching(judge, child, condition),
            unknown=None,
        )


def _twin(judge: Judge, op: ops.DropColumn, run: Iterable[ops.Operation]) -> str:
    """A column of the same type that the run adds to the table and never fills.

    Where several columns go or come, nobody can tell which is whose.
    """
    table = judge.known.tables.get(op.table)
    old = table.columns.get(op.column) if table is not None else None
    if table is None or old is None:
        return ""
    added: list[str] = []
    dropped = {op.column}
    for each in run:
        if each.place.down or getattr(each, "table", None) != op.table:
            continue
        if isinstance(each, ops.AddColumn):
            if _base(each.column.type) == _base(old.type):
                added.append(each.column.name)
        elif isinstance(each, ops.DropColumn):
            other = table.columns.get(each.column)
            if other is not None and _base(other.type) == _base(old.type):
                dropped.add(each.column)
        elif isinstance(each, ops.Write) and set(added) & set(each.columns):
            return ""
    return added[0] if len(added) == len(dropped) == 1 else ""


def _base(kind: str) -> str:
    word = kind.lower().partition("(")[0].strip()
    return {"character varying": "varchar", "int": "integer"}.get(word, word)


def drop_table(judge: Judge, op: ops.DropTable, run: Sequence[ops.Operation]) -> None:
    """The rows of a table go, and what refers to it stands in the way."""
    table = judge.known.tables.get(op.table)
    others = sorted({name for name, _ in judge.known.referring(op.table) if name != op.table})
    if (
        table is None
        and judge.known.complete
        and (op.if_exists or op.table in judge.known.touched)
    ):
        return
    if table is not None and _is_made_anew(op, run):
        heir = _heir(judge, op, run)
        if heir is not None:
            _lose_columns(judge, op, table, heir)
    elif table is None or not table.new:
        _lose_table(judge, op, others, run)
    _hold_table(judge, op, others)


def _is_made_anew(op: ops.DropTable, run: Iterable[ops.Operation]) -> bool:
    """Whether all rows of a table are copied before, into one that has its name in the end.

    As where a table is changed by hand: https://sqlite.org/lang_altertable.html#otheralter
    """
    before: dict[str, str] = {}
    ours, copy, gone = op.table, "", False
    for each in run:
        if each.place.down:
            continue
        if each is op:
            gone, ours = True, before.get(op.table, op.table)
        elif isinstance(each, ops.RenameTable):
            # By which name the code that still runs knows it.
            before[each.new] = before.pop(each.table, each.table)
            if each.table == copy:
                copy = each.new
        elif isinstance(each, ops.Write) and not gone:
            whole = not _PARTIAL.search(each.place.sql or each.place.statement)
            if each.verb == "INSERT" and each.reads == (op.table,) and whole:
                copy = each.table
    return bool(copy) and copy == ours


def _heir(judge: Judge, op: ops.DropTable, run: Sequence[ops.Operation]) -> KnownTable | None:
    """The table that has taken the rows of one that goes, and has or gets its name."""
    at = run.index(op)
    names = {
        each.table for each in run if isinstance(each, ops.RenameTable) and each.new == op.table
    }
    filled = {
        each.table
        for each in run[:at]
        if isinstance(each, ops.Write) and each.verb == "INSERT" and op.table in each.reads
    }
    return next(
        (
            judge.known.tables[name]
            for name in sorted(names & filled)
            if name in judge.known.tables and judge.known.tables[name].new
        ),
        None,
    )


def _lose_columns(judge: Judge, op: ops.DropTable, table: KnownTable, heir: KnownTable) -> None:
    """What a table that takes another's place has no column for."""
    for column in table.columns if heir.complete and not table.new else ():
        if column in heir.columns:
            continue
        judge.add(
            "SM630",
            ERROR,
            op,
            f"Table '{heir.name}', which takes the place of '{op.table}', has no column "
            f"'{column}': {{count}} {{value is|values are}} lost, and code that still runs and "
            "names it fails.",
            f"give '{heir.name}' a column '{column}' and copy it",
            f"{op.table}.{column}",
            probe=probes.values(judge, op.table, column)
            if op.table not in judge.known.renamed
            else None,
            unknown=WARNING,
        )


def _lose_table(
    judge: Judge, op: ops.DropTable, others: list[str], run: Sequence[ops.Operation]
) -> None:
    remade = any(
        isinstance(each, ops.CreateTable) and each.table == op.table
        for each in run[run.index(op) :]
    )
    also = f" Foreign keys of {listed(others)} go along." if others and op.cascade else ""
    old, new = judge.quote(f"{op.table}_old"), judge.quote(op.table)
    copy = f"INSERT INTO {new} (...) SELECT ... FROM {old}"
    judge.add(
        "SM631",
        ERROR,
        op,
        f"Dropping table '{op.table}' loses {{count}} {{row|rows}}, and code that still runs and "
        f"names it fails.{also}",
        f'op.rename_table("{op.table}", "{op.table}_old") in its place; then, when the new one is '
        f"there: {op_execute(copy)}"
        if remade
        else "drop it in a later deploy, when no code uses it; until then: "
        f'op.rename_table("{op.table}", "{op.table}_old")',
        op.table,
        probe=probes.rows(judge, op.table),
        unknown=WARNING,
    )


def _hold_table(judge: Judge, op: ops.DropTable, others: list[str]) -> None:
    """What refers to a table keeps it from being dropped."""
    if judge.context.dialect == "postgresql" and not op.cascade:
        for kind, names in (
            ("the foreign key of table", others),
            ("view", judge.known.views_on(op.table)),
        ):
            for name in names:
                judge.add(
                    "SM603",
                    ERROR,
                    op,
                    f"Table '{op.table}' cannot be dropped: {kind} '{name}' depends on it, so "
                    "that the statement fails.",
                    f"drop the {kind.split()[-1]} first",
                    f"{op.table}:{name}",
                )
    elif judge.context.dialect in ("mysql", "mariadb"):
        for view in judge.known.views_on(op.table):
            judge.add(
                "SM640",
                WARNING,
                op,
                f"View '{view}' reads table '{op.table}' and breaks with it for the code that "
                "reads it.",
                f"{op_execute(f'DROP VIEW {judge.quote(view)}')} before it",
                f"{op.table}:{view}",
            )
        for name in others:
            judge.add(
                "SM603",
                ERROR,
                op,
                f"Table '{op.table}' cannot be dropped: a foreign key of table '{name}' refers to "
                "it, so that the statement fails.",
                "drop the foreign key first",
                f"{op.table}:{name}",
            )


def drop_under_views(judge: Judge, run: Iterable[ops.Operation]) -> None:
    """Views and triggers of SQLite that use a table that is gone at the end of the run."""
    left = judge.known
    named = [("view", name, text) for name, text in left.views.items()]
    named += [("trigger", name, text) for name, (_, text) in left.triggers.items()]
    for op in run:
        if not isinstance(op, ops.DropTable) or op.table in left.tables:
            continue
        for kind, name, text in named:
            if uses_table(text, op.table):
                drop = op_execute(f"DROP {kind.upper()} {judge.quote(name)}")
                judge.add(
                    "SM603",
                    ERROR,
                    op,
                    f"Table '{op.table}' cannot be dropped: {kind} '{name}' reads it and would "
                    "not work any more, so that the upgrade is undone.",
                    f"{drop} before it, and make it again after it where it is still wanted",
                    f"{op.table}:{name}",
                )


def leads_nowhere(judge: Judge, run: Iterable[ops.Operation]) -> None:
    """Foreign keys to a table that is not there when the run ends."""
    for op in run:
        if isinstance(op, ops.AddForeignKey):
            keys: tuple[ForeignKey, ...] = (op.key,)
        elif isinstance(op, ops.CreateTable):
            keys = op.foreign_keys
        else:
            continue
        there = {name.lower() for name in (*judge.known.tables, op.table)}
        for key in keys if judge.known.complete and op.table in judge.known.tables else ():
            # Other schemas are not read.
            if "." in key.table or key.table.lower() in there:
                continue
            called = f" '{key.name}'" if key.name else ""
            effect = {
                "postgresql": "the statement fails",
                "sqlite": "where foreign keys are enforced the upgrade is undone, and where they "
                f"are not, no row can be added to '{op.table}' once they are",
            }.get(judge.context.dialect, "the statement fails, unless foreign_key_checks is off")
            judge.add(
                "SM604",
                ERROR if judge.context.dialect == "postgresql" else WARNING,
                op,
                f"Foreign key{called} of table '{op.table}' leads to table '{key.table}', which "
                f"does not exist: {effect}.",
                f"make table '{key.table}' in the same revision or an earlier one, or correct the "
                "name",
                f"{op.table}.{','.join(key.columns)}",
            )


def rename_column(judge: Judge, op: ops.Operation, table: str, old: str, new: str) -> None:
    """The running version names the old name."""
    found = judge.known.tables.get(table)
    if found is not None and (found.new or old in found.added):
        return
    judge.add(
        "SM640",
        WARNING,
        op,
        f"Renaming column '{old}' of table '{table}' to '{new}' breaks code that still runs: its "
        f"statements name '{old}'.",
        f'expand: op.add_column("{table}", sa.Column("{new}", ...)), let the code write both and '
        f'fill the rows; contract, in a later deploy: op.drop_column("{table}", "{old}")',
        f"{table}.{old}",
    )


def rename_table(judge: Judge, op: ops.RenameTable, run: Iterable[ops.Operation]) -> None:
    """The running version names the old name, unless a view takes its place."""
    found = judge.known.tables.get(op.table)
    if (found is not None and found.new) or any(
        isinstance(each, (ops.CreateView, ops.CreateTable))
        and getattr(each, "name", getattr(each, "table", "")) == op.table
        for each in run
    ):
        return
    judge.add(
        "SM641",
        WARNING,
        op,
        f"Renaming table '{op.table}' to '{op.new}' breaks code that still runs: its statements "
        f"name '{op.table}'.",
        f'op.rename_table("{op.table}", "{op.new}"); '
        + op_execute(f"CREATE VIEW {judge.quote(op.table)} AS SELECT * FROM {judge.quote(op.new)}")
        + "  # until no code names the old one",
        op.table,
    )


def new_column_needs_value(judge: Judge, op: ops.AddColumn) -> bool:
    """Whether a column is added that takes no NULL and has no default."""
    column = op.column
    return not (column.nullable or column.default or column.generated or column.counts)


def add_column_without_default(judge: Judge, op: ops.AddColumn, *, fills: bool) -> None:
    """A NOT NULL column without default over rows, and under code that does not fill it.

    :param fills: whether the server fills the rows by itself, as MariaDB and MySQL do.
    """
    table = judge.known.tables.get(op.table)
    if not new_column_needs_value(judge, op) or (table is not None and table.new):
        return
    column = op.column.name
    cure = (
        f'op.add_column("{op.table}", sa.Column("{column}", ..., server_default=..., '
        "nullable=False)), or add it nullable, fill it, then tighten it"
    )
    if not fills:
        judge.add(
            "SM620",
            ERROR,
            op,
            f"Column '{column}' of table '{op.table}' is NOT NULL and has no default: with "
            "{count} {row|rows} there, the statement fails.",
            cure,
            f"{op.table}.{column}",
            probe=probes.rows(judge, op.table),
            unknown=WARNING,
        )
        if not (table is not None and table.rows == 0):
            return
    judge.add(
        "SM642",
        WARNING,
        op,
        f"Column '{column}' of table '{op.table}' is NOT NULL and has no default: code that still "
        "runs does not fill it, so that its INSERTs fail.",
        cure,
        f"{op.table}.{column}",
    )


def drop_default(judge: Judge, op: ops.SetDefault, run: Sequence[ops.Operation]) -> None:
    """A NOT NULL column loses the default that old code relies on."""
    if any(_fills_again(each, op) for each in run[run.index(op) + 1 :]):
        return
    table = judge.known.tables.get(op.table)
    column = table.columns.get(op.column) if table is not None else None
    if op.default is not None or table is None or column is None or table.new:
        return
    if column.nullable or column.default is None:
        return
    judge.add(
        "SM642",
        WARNING,
        op,
        f"Column '{op.column}' of table '{op.table}' is NOT NULL and loses its default "
        f"{column.default}: code that still runs and does not fill it fails at INSERT.",
        "drop the default in a later deploy, when all code fills the column",
        f"{op.table}.{op.column}",
    )


def _fills_again(later: ops.Operation, op: ops.SetDefault) -> bool:
    """Whether a column that lost its default gets another one, or goes, or takes NULL."""
    if (getattr(later, "table", ""), getattr(later, "column", "")) != (op.table, op.column):
        return False
    return (
        isinstance(later, ops.DropColumn)
        or (isinstance(later, ops.SetDefault) and later.default is not None)
        or (isinstance(later, ops.SetNull) and later.nullable)
    )


def not_null(judge: Judge, op: ops.Operation, table: str, column: str) -> None:
    """NOT NULL over NULLs."""
    found = judge.known.tables.get(table)
    if found is None or found.new:
        return
    if column in found.added and column in found.columns and column not in found.filled:
        _stays_empty(judge, op, found, column)
        return
    asks = judge.can_ask(found, [column])
    if not asks and (found.written or column in found.added):
        return
    probe = probes.nulls(judge, found, column) if asks else None
    if probe is None:
        return
    judge.add(
        "SM621",
        ERROR,
        op,
        f"Column '{column}' of table '{table}' is to be NOT NULL, but is NULL in {{count}} "
        "{row|rows}: the statement fails.",
        f"{op_execute(probe.mend)}  # before it",
        f"{table}.{column}",
        probe=probe,
    )


def _stays_empty(judge: Judge, op: ops.Operation, table: KnownTable, column: str) -> None:
    """A column that this run adds, and that is NULL in every row that was there."""
    new = table.columns[column]
    if new.default is not None or new.generated or new.counts or not judge.known.complete:
        return
    judge.add(
        "SM621",
        ERROR,
        op,
        f"Column '{column}' of table '{table.name}' is to be NOT NULL, but is NULL in all of "
        "{count} {row|rows}, which nothing fills after it is added: the statement fails.",
        op_execute(f"UPDATE {judge.quote(table.name)} SET {judge.quote(column)} = ...")
        + "  # before it",
        f"{table.name}.{column}",
        probe=probes.rows(judge, table.name),
    )


def unique(
    judge: Judge,
    op: ops.Operation,
    table: str,
    name: str,
    columns: tuple[str, ...],
    where: str = "",
) -> None:
    """UNIQUE over values that stand more than once."""
    found = judge.known.tables.get(table)
    if found is None or not columns:
        return
    raw = not all(column in found.columns for column in columns)
    if found.new or found.written or found.added.intersection(columns):
        return
    called = f" '{name}'" if name else ""
    judge.add(
        "SM622",
        ERROR,
        op,
        f"Unique{called} over {listed(columns)} of table '{table}': {{count}} {{value|values}} "
        "{stands|stand} there more than once, {a duplicate|duplicates} with which the statement "
        "fails.",
        "merge or change the rows before it",
        f"{table}.{','.join(columns)}",
        probe=probes.duplicates(judge, found, columns, where, raw=raw),
    )


def foreign_key(judge: Judge, op: ops.Operation, table: str, key: ForeignKey) -> None:
    """A foreign key over rows that refer to nothing."""
    found = judge.known.tables.get(table)
    if found is None or not judge.can_ask(found, key.columns):
        return
    parent = judge.known.table(key.table)
    if parent.written or parent.new:
        return
    called = f" '{key.name}'" if key.name else ""
    judge.add(
        "SM623",
        ERROR,
        op,
        f"Foreign key{called} of table '{table}' to '{key.table}': {{count}} {{row|rows}} "
        f"of {listed(key.columns)} {{refers|refer}} to a row that is not there, "
        "{an orphan|orphans} with which the statement fails.",
        "delete these rows, or set the column to NULL, before it",
        f"{table}.{','.join(key.columns)}",
        probe=probes.orphans(judge, found, key),
    )


def check(judge: Judge, op: ops.Operation, table: str, name: str, expression: str) -> None:
    """A CHECK over rows that break it."""
    found = judge.known.tables.get(table)
    if found is None or found.new or found.written:
        return
    called = f" '{name}'" if name else ""
    judge.add(
        "SM624",
        ERROR,
        op,
        f"CHECK{called} of table '{table}' ({expression}): {{count}} {{row|rows}} "
        "{violates|violate} it, with which the statement fails.",
        "change these rows before it",
        f"{table}.{name}",
        probe=probes.breaking(judge, found, expression),
    )


def refused_values(
    judge: Judge,
    op: ops.Operation,
    table: KnownTable,
    column: str,
    kind: str,
    condition: str,
    *,
    strict: bool = False,
) -> None:
    """Values that a new type refuses.

    :param condition: of the rows with such a value, "" where there can be none.
    :param strict: whether the server refuses them in strict mode only.
    """
    if condition:
        fails = "in strict mode the statement fails, else they are cut" if strict else (
            "the statement fails"
        )  # fmt: skip
        judge.add(
            "SM625",
            ERROR,
            op,
            f"Column '{column}' of table '{table.name}' is to be {kind}, which refuses the values "
            f"of {{count}} {{row|rows}} (too long, out of range or of another form): {fails}.",
            "change these values before it",
            f"{table.name}.{column}",
            probe=probes.matching(judge, table, condition),
        )


def rounded_values(
    judge: Judge, op: ops.Operation, table: KnownTable, column: str, kind: str, condition: str
) -> None:
    """Values that a new type rounds or cuts.

    :param condition: of the rows with such a value, "" where there can be none.
    """
    if condition:
        judge.add(
            "SM635",
            ERROR,
            op,
            f"Column '{column}' of table '{table.name}' is to be {kind}: the values of {{count}} "
            "{row|rows} are rounded or cut, what is beyond that is lost.",
            "keep the old column beside the new one until nobody misses it",
            f"{table.name}.{column}",
            probe=probes.matching(judge, table, condition),
        )


def emptied(judge: Judge, op: ops.Write, *, cascades: bool) -> None:
    """DELETE and TRUNCATE: rows go, also those of tables that refer to them.

    :param cascades: whether foreign keys are obeyed.
    """
    table = judge.known.tables.get(op.table)
    if table is not None and table.new:
        return
    if op.replaces and cascades:
        _replaced(judge, op)
    if op.verb not in ("DELETE", "TRUNCATE"):
        return
    if op.verb == "TRUNCATE" and op.cascade:
        along = _all_referring(judge, op.table, lambda key: True)
    elif op.verb == "DELETE" and cascades:
        along = _all_referring(judge, op.table, lambda key: "DELETE CASCADE" in key.actions)
    else:
        along = []
    also = f", and rows of {listed(along)} that refer to them" if along else ""
    if not op.where or op.where.startswith("partition "):
        what = f"{op.verb} of table '{op.table}'"
        judge.add(
            "SM632",
            ERROR,
            op,
            f"{what} deletes all its rows, {{count}} of them{also}: they are lost.",
            f'safemigrate_allow = {{"SM632:{op.table}": "why they may go"}}, and keep a snapshot',
            op.table,
            probe=probes.rows(judge, op.table),
            unknown=WARNING,
        )
        return
    asks = table is not None and not op.bound and not table.written
    probe = probes.matching(judge, judge.known.table(op.table), op.where) if asks else None
    deletes = f"DELETE from table '{op.table}' deletes {{count}} {{row|rows}}"
    if along:
        judge.add(
            "SM632",
            WARNING,
            op,
            f"{deletes}{also}, by ON DELETE CASCADE: those are lost too.",
            "delete or move the rows that refer to them first, by name",
            op.table,
            probe=probe,
            unknown=WARNING,
        )
    elif table is not None:
        if probe is not None:
            _deletes_most(judge, op, probe)
            probe = probe._replace(amount=_share(judge, op, probe, "<"))
        judge.add(
            "SM632",
            INFO,
            op,
            f"{deletes}: {{it is|they are}} lost.",
            "keep a snapshot",
            op.table,
            probe=probe,
        )


def _deletes_most(judge: Judge, op: ops.Write, probe: Probe) -> None:
    """A condition that most rows meet is hardly what it was meant to be."""
    judge.add(
        "SM632",
        WARNING,
        op,
        f"DELETE from table '{op.table}' deletes {{count}} {{row|rows}}, half of all or more: "
        "{it is|they are} lost.",
        f'safemigrate_allow = {{"SM632:{op.table}": "why they may go"}}, and keep a snapshot',
        op.table,
        probe=Probe(_share(judge, op, probe, ">=")),
        unknown=None,
    )


def _share(judge: Judge, op: ops.Write, probe: Probe, than: str) -> str:
    """A query of how many rows meet a condition, 0 unless twice as many compare so with all."""
    total = probes.rows(judge, op.table).amount
    counted = probe.amount.replace("count(*)", "count(*) AS n", 1)
    return f"SELECT CASE WHEN 2 * n {than} ({total}) THEN n ELSE 0 END FROM ({counted}) AS found"


def _replaced(judge: Judge, op: ops.Write) -> None:
    """REPLACE deletes the row of the same key first, and what refers to it goes along."""
    along = [
        name
        for name in _all_referring(judge, op.table, lambda key: "DELETE CASCADE" in key.actions)
        if judge.known.tables[name].rows != 0
    ]
    if along:
        judge.add(
            "SM632",
            WARNING,
            op,
            f"REPLACE deletes the row of table '{op.table}' that has the key already, and with it "
            f"rows of {listed(along)} that refer to it, by ON DELETE CASCADE: they are lost.",
            "INSERT ... ON DUPLICATE KEY UPDATE"
            if judge.context.dialect != "sqlite"
            else "INSERT ... ON CONFLICT (...) DO UPDATE SET",
            op.table,
        )


def _all_referring(judge: Judge, table: str, counts: object) -> list[str]:
    found: list[str] = []
    todo = [table]
    while todo:
        current = todo.pop()
        for name, key in judge.known.referring(current):
            if name not in found and name != table and counts(key):  # type: ignore[operator]
                found.append(name)
                todo.append(name)
    return sorted(found)


def overwritten(judge: Judge, op: ops.Write) -> None:
    """UPDATE without WHERE that gives every row the same value."""
    table = judge.known.tables.get(op.table)
    if op.verb != "UPDATE" or op.where or op.limit or table is None or table.new:
        return
    for column in op.constants:
        if column not in table.columns or column in table.added or table.written:
            continue
        judge.add(
            "SM634",
            WARNING,
            op,
            f"UPDATE without WHERE gives every row of table '{op.table}' the same value in "
            f"'{column}': {{count}} {{value|values}} that {{is|are}} there {{is|are}} lost.",
            f"add WHERE {column} IS NULL, or what it is meant for",
            f"{op.table}.{column}",
            probe=probes.values(judge, op.table, column),
        )


def leaves_out(judge: Judge, op: ops.Write) -> None:
    """INSERT of values without one for a NOT NULL column that has no default."""
    table = judge.known.tables.get(op.table)
    if op.verb != "INSERT" or not op.columns or op.reads or table is None or not table.complete:
        return
    given = {each.lower() for each in op.columns}
    for column in table.columns.values():
        fills = column.nullable or column.default is not None or column.counts or column.generated
        key = judge.context.dialect == "sqlite" and column.name in table.primary_key
        if fills or key or column.name.lower() in given:
            continue
        lenient = judge.context.dialect in ("mysql", "mariadb")
        judge.add(
            "SM603",
            ERROR,
            op,
            f"INSERT into table '{op.table}' gives no value for column '{column.name}', which is "
            f"NOT NULL and has no default: {'in strict mode ' if lenient else ''}the statement "
            "fails.",
            f"give '{column.name}' a value",
            f"{op.table}.{column.name}",
        )


def exists(judge: Judge, op: ops.Operation) -> None:
    """What the operation names is not there, or is there already."""
    known = judge.known
    if not known.complete:
        return
    problem, object = _missing(judge, op)
    if problem:
        judge.add(
            "SM604",
            ERROR,
            op,
            f"{problem}: the statement fails.",
            "name it as the database does; where that is what differs, bring the database to the "
            "state of the history",
            object,
        )


def _has(table: KnownTable, column: str) -> bool:
    if column in table.columns or column.lower() in ("rowid", "oid", "_rowid_"):
        return True
    return column.lower() in {each.lower() for each in table.columns}


_ON_TABLE = (
    ops.AddColumn, ops.DropColumn, ops.RenameColumn, ops.SetType, ops.SetNull, ops.SetDefault,
    ops.ModifyColumn, ops.CreateIndex, ops.AddKey, ops.AddForeignKey, ops.AddCheck,
)  # fmt: skip


def _missing(judge: Judge, op: ops.Operation) -> tuple[str, str]:
    tables = judge.known.tables
    name = getattr(op, "table", "")
    table = tables.get(name)
    if isinstance(op, ops.CreateTable):
        if table is not None and not op.if_not_exists:
            return f"Table '{name}' exists already", name
        return "", ""
    if isinstance(op, ops.DropTable) and table is None and not op.if_exists:
        there = name in judge.known.views or name in judge.known.touched
        return ("", "") if there else (f"Table '{name}' does not exist", name)
    if isinstance(op, ops.RenameTable) and op.new in tables:
        return f"Table '{op.new}' exists already", op.new
    if isinstance(op, ops.CreateEnum) and op.name in judge.known.enums:
        return f"Type '{op.name}' exists already", op.name
    on_table = isinstance(op, _ON_TABLE) and not getattr(op, "if_exists", False)
    asked = isinstance(op, ops.Write) and judge.context.dialect != "postgresql"
    if table is None and (on_table or asked):
        known = name in judge.known.views or name in judge.known.touched or "." in name
        return ("", "") if known or not name else (f"Table '{name}' does not exist", name)
    if table is None or not table.complete:
        return "", ""
    if isinstance(op, ops.AddColumn) and op.column.name in table.columns and not op.if_not_exists:
        return (
            f"Table '{name}' has a column '{op.column.name}' already",
            f"{name}.{op.column.name}",
        )
    if (
        isinstance(op, (ops.DropColumn, ops.SetNull, ops.SetType, ops.SetDefault))
        and op.column not in table.columns
        and not getattr(op, "if_exists", False)
    ):
        return f"Table '{name}' has no column '{op.column}'", f"{name}.{op.column}"
    if isinstance(op, ops.RenameColumn):
        if op.column not in table.columns:
            return f"Table '{name}' has no column '{op.column}'", f"{name}.{op.column}"
        if op.new in table.columns:
            return f"Table '{name}' has a column '{op.new}' already", f"{name}.{op.new}"
    if isinstance(op, ops.ModifyColumn) and op.old not in table.columns:
        return f"Table '{name}' has no column '{op.old}'", f"{name}.{op.old}"
    if isinstance(op, ops.Write):
        missing = [c for c in op.columns if not _has(table, c)]
        if missing:
            return f"Table '{name}' has no column '{missing[0]}'", f"{name}.{missing[0]}"
    if isinstance(op, ops.CreateIndex) and op.made.name and not op.if_not_exists:
        owner = judge.known.index_owner(op.made.name)
        if op.made.name in table.indexes or (
            owner is not None and judge.context.dialect in ("postgresql", "sqlite")
        ):
            return f"An index '{op.made.name}' exists already", op.made.name
        missing = [c for c in op.made.columns if c not in table.columns and c.isidentifier()]
        if missing and op.made.plain:
            return f"Table '{name}' has no column '{missing[0]}'", f"{name}.{missing[0]}"
    return "", ""
