"""What operations lose and break on SQLite, as this package carries them out.

Nothing is said of locks: one transaction holds the file for as long as the run takes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask_safemigrate.findings import Severity
from flask_safemigrate.hazards import operations as ops
from flask_safemigrate.hazards import probes, shared, trials
from flask_safemigrate.hazards.hazard import Judge, listed

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


def judge(judge: Judge, run: Sequence[ops.Operation]) -> None:
    """Look at every operation of a run in order, and let it happen."""
    for op in run:
        shared.exists(judge, op)
        trials.statement(judge, op)
        _missing(judge, op)
        if isinstance(op, ops.DropColumn):
            shared.drop_column(judge, op, run)
            shared.drop_under_trigger(judge, op)
            _drop_by_text(judge, op)
        elif isinstance(op, ops.DropOther):
            shared.drop_view(judge, op, run)
        elif isinstance(op, ops.Alone):
            if not op.place.outside:
                judge.add(
                    "SM603", ERROR, op,
                    f"{op.what} cannot run inside a transaction: the statement fails.",
                    "run it beside the migrations", op.what,
                )  # fmt: skip
        elif isinstance(op, ops.DropTable):
            shared.drop_table(judge, op, run)
        elif isinstance(op, ops.RenameColumn):
            shared.rename_column(judge, op, op.table, op.column, op.new)
        elif isinstance(op, ops.RenameTable):
            shared.rename_table(judge, op, run)
        elif isinstance(op, ops.AddColumn):
            shared.add_column_without_default(judge, op, fills=False)
            _stock_default(judge, op)
        elif isinstance(op, ops.SetNull) and not op.nullable:
            shared.not_null(judge, op, op.table, op.column)
        elif isinstance(op, ops.SetDefault):
            shared.drop_default(judge, op, run)
        elif isinstance(op, ops.SetType):
            _set_type(judge, op)
        elif isinstance(op, (ops.StockCopy, ops.StockFails)):
            _stock(judge, op)
        elif isinstance(op, ops.CreateIndex) and op.made.unique:
            shared.unique(judge, op, op.table, op.made.name, op.made.columns, op.made.where)
        elif isinstance(op, ops.AddKey):
            if op.kind == "primary key":
                for column in op.columns:
                    shared.not_null(judge, op, op.table, column)
            shared.unique(judge, op, op.table, op.name, op.columns)
        elif isinstance(op, ops.AddForeignKey):
            shared.foreign_key(judge, op, op.table, op.key)
        elif isinstance(op, ops.AddCheck):
            shared.check(judge, op, op.table, op.name, op.expression)
        elif isinstance(op, ops.Write):
            shared.emptied(judge, op, cascades=True)
            shared.overwritten(judge, op)
            shared.rows_referred(judge, op, run)
            shared.leaves_out(judge, op)
        judge.known.apply(op)
    shared.leads_nowhere(judge, run)
    shared.drop_under_views(judge, run)


def _drop_by_text(judge: Judge, op: ops.DropColumn) -> None:
    """SQLite's own DROP COLUMN refuses a column that an index, a key or a CHECK names."""
    table = judge.known.tables.get(op.table)
    if table is None or not op.place.sql:
        return
    word = re.compile(rf"(?<!\w){re.escape(op.column)}(?!\w)", re.IGNORECASE)
    used = [
        *(f"index '{name}'" for name, index in table.indexes.items() if any(
            word.search(part) for part in (*index.columns, index.where))),
        *(f"foreign key '{key.name}'" for key in table.foreign_keys if op.column in key.columns),
        *(f"CHECK '{each.name}'" for each in table.checks if word.search(each.expression)),
    ]  # fmt: skip
    for what in used:
        judge.add(
            "SM603", ERROR, op,
            f"SQLite's own DROP COLUMN refuses column '{op.column}' of table '{op.table}', which "
            f"{what} names: the statement fails.",
            f'op.drop_column("{op.table}", "{op.column}")',
            f"{op.table}.{op.column}:{what}",
        )  # fmt: skip


def _stock(judge: Judge, op: ops.StockCopy | ops.StockFails) -> None:
    """What plain ``flask db upgrade`` would do; this package does it otherwise."""
    if isinstance(op, ops.StockFails):
        judge.add(
            "SM645",
            INFO,
            op,
            f"Plain `flask db upgrade` fails at {op.what} of table '{op.table}' outside of a "
            "batch block, which SQLite does not support; `flask db safe-upgrade` does it.",
            f'with op.batch_alter_table("{op.table}") as batch_op:',
            op.table,
        )
        return
    lost = sorted(
        {
            name
            for name, key in judge.known.referring(op.table)
            if "DELETE CASCADE" in key.actions or "DELETE SET" in key.actions
        }
    )
    held = sorted({name for name, _ in judge.known.referring(op.table)} - {*lost, op.table})
    if held and not lost and judge.is_old(op.table):
        judge.add(
            "SM645",
            INFO,
            op,
            f"Plain `flask db upgrade` drops table '{op.table}' in this batch block, which fails "
            f"where foreign keys are enforced and rows of {listed(held)} refer to it (FOREIGN KEY "
            "constraint failed). `flask db safe-upgrade` does it.",
            "flask db safe-upgrade",
            op.table,
        )
    if lost and judge.is_old(op.table):
        judge.add(
            "SM645",
            INFO,
            op,
            f"Plain `flask db upgrade` drops table '{op.table}' in this batch block, which "
            f"deletes or changes the rows of {listed(lost)} that refer to it where foreign keys "
            "are enforced: they are lost. `flask db safe-upgrade` keeps them.",
            "flask db safe-upgrade",
            op.table,
        )


def _stock_default(judge: Judge, op: ops.AddColumn) -> None:
    """SQLite's own ADD COLUMN takes no default that is worked out, as soon as there are rows."""
    default = (op.column.default or "").strip()
    worked_out = default.startswith("(") or default.upper().startswith("CURRENT_")
    old = judge.is_old(op.table) and judge.known.table(op.table).rows != 0
    if worked_out and old and op.place.sql:
        judge.add(
            "SM603",
            ERROR,
            op,
            f"Column '{op.column.name}' of table '{op.table}' has the default {default}, which "
            "SQLite's own ADD COLUMN refuses as soon as there are rows (Cannot add a column with "
            "non-constant default): the statement fails.",
            f'op.add_column("{op.table}", sa.Column("{op.column.name}", ..., server_default=...))',
            f"{op.table}.{op.column.name}",
            probe=probes.rows(judge, op.table),
        )
    elif worked_out and old:
        judge.add(
            "SM645",
            INFO,
            op,
            f"Plain `flask db upgrade` fails at column '{op.column.name}' of table '{op.table}' "
            f"(Cannot add a column with non-constant default): its default is {default}. `flask "
            "db safe-upgrade` does it.",
            f'with op.batch_alter_table("{op.table}", recreate="always") as batch_op:',
            f"{op.table}.{op.column.name}",
        )


def _missing(judge: Judge, op: ops.Operation) -> None:
    if not judge.known.complete or getattr(op, "if_exists", False):
        return
    if isinstance(op, ops.DropIndex):
        owner = judge.known.index_owner(op.name)
        if owner is None and all(table.complete for table in judge.known.tables.values()):
            judge.add(
                "SM604", ERROR, op, f"Index '{op.name}' does not exist: the statement fails.",
                "flask db doctor", op.name,
            )  # fmt: skip
    elif isinstance(op, ops.DropConstraint):
        table = judge.known.tables.get(op.table)
        if op.name is None:
            judge.add(
                "SM604", ERROR, op,
                f"A constraint of table '{op.table}' is to be dropped without a name: the "
                "operation fails.",
                f'op.drop_constraint("its name", "{op.table}", type_=...)', op.table,
            )  # fmt: skip
        elif table is not None and table.complete and op.kind != "primary key":
            named = table.constraint_names()
            # SQLite keeps constraints without names, which a naming convention may call so.
            unnamed = (
                any(not k.name for k in table.foreign_keys)
                or any(not c.name for c in table.checks)
                or any(not i.name or i.name.startswith("(") for i in table.indexes.values())
            )
            if op.name not in named and not unnamed:
                judge.add(
                    "SM604", ERROR, op,
                    f"Table '{op.table}' has no constraint '{op.name}': the operation fails.",
                    "name it as the database does", f"{op.table}.{op.name}",
                )  # fmt: skip


def _set_type(judge: Judge, op: ops.SetType) -> None:
    """Values are kept as they are, so those that the new type cannot take stay what they were."""
    table = judge.known.tables.get(op.table)
    column = table.columns.get(op.column) if table is not None else None
    if table is None or column is None or table.new or not judge.can_ask(table, [op.column]):
        return
    before, after = _affinity(column.type), _affinity(op.type)
    if before == after or after in ("TEXT", "BLOB"):
        return
    quoted = judge.quote(op.column)
    word = "INTEGER" if after == "INTEGER" else "REAL"
    judge.add(
        "SM625",
        INFO,
        op,
        f"Column '{op.column}' of table '{op.table}' is to be {op.type}, but {{count}} "
        "{row|rows} {has|have} a value that is no number. Such values are kept as text; plain "
        "`flask db upgrade` would convert them to 0, so that they are lost.",
        "change these values before it",
        f"{op.table}.{op.column}",
        probe=probes.matching(
            judge,
            table,
            f"typeof({quoted}) = 'text' AND CAST({quoted} AS {word}) || '' <> {quoted}",
        ),
    )
    if after == "INTEGER":
        judge.add(
            "SM635",
            INFO,
            op,
            f"Column '{op.column}' of table '{op.table}' is to be {op.type}, but {{count}} "
            "{row has|rows have} a value with a fraction. They are kept; plain `flask db upgrade` "
            "would cut them, so that the fractions are lost.",
            "change these values before it",
            f"{op.table}.{op.column}",
            probe=probes.matching(
                judge,
                table,
                f"typeof({quoted}) = 'real' AND CAST({quoted} AS INTEGER) <> {quoted}",
            ),
        )


def _affinity(kind: str) -> str:
    """https://www.sqlite.org/datatype3.html#determination_of_column_affinity"""
    name = kind.upper()
    if "INT" in name:
        return "INTEGER"
    if any(word in name for word in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if "BLOB" in name or not name:
        return "BLOB"
    if any(word in name for word in ("REAL", "FLOA", "DOUB")):
        return "REAL"
    return "NUMERIC"
