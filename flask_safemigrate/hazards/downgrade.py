"""Whether the way back works: what downgrade() names is there, and upgrade() can run again."""

from __future__ import annotations

from collections.abc import Iterable

from flask_safemigrate.ddl.tokens import op_execute, quote
from flask_safemigrate.findings import Severity
from flask_safemigrate.hazards import operations as ops
from flask_safemigrate.hazards.hazard import Context, Hazard, Judge
from flask_safemigrate.hazards.known import Known

_SEVERAL = 3  # of what stays behind is named one by one

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


def judge(
    known: Known,
    context: Context,
    recorded: Iterable[tuple[tuple[ops.Operation, ...], tuple[ops.Operation, ...]]],
) -> list[Hazard]:
    """Look at the downgrades of revisions, newest first.

    :param known: the database after all of them went up.
    :param recorded: the operations up and down of each.
    """
    found: list[Hazard] = []
    for up, down in recorded:
        found += _fails(known, context, up, down)
        found += _again(known, up, down)
    return found


def _fails(
    known: Known,
    context: Context,
    up: tuple[ops.Operation, ...],
    down: tuple[ops.Operation, ...],
) -> list[Hazard]:
    from flask_safemigrate.hazards import mysql, postgresql, sqlite

    unseen = any(isinstance(each, (ops.Raised, ops.Unseen)) for each in up)
    more = [] if unseen else _takes_more(known, up, down)
    looked = Judge(known, context)
    module = {"postgresql": postgresql, "sqlite": sqlite}.get(context.dialect, mysql)
    module.judge(looked, down)
    found = [
        hazard._replace(
            code="SM650",
            severity=WARNING,
            message=f"The downgrade fails: {hazard.message}",
        )
        for hazard in looked.found
        if hazard.code in ("SM603", "SM604")
    ]
    found += more
    for op in down:
        if isinstance(op, ops.Raised) and not op.sure:
            found.append(
                Hazard(
                    "SM601",
                    INFO,
                    op.place,
                    f"What the downgrade does was not seen to its end: it raised {op.error} while "
                    "it was recorded, and it reads the database.",
                    "read it yourself",
                    op.place.revision,
                )
            )
        elif isinstance(op, ops.Raised):
            found.append(
                Hazard(
                    "SM650",
                    WARNING,
                    op.place,
                    f"The downgrade fails: it raises {op.error}, so that there is no way back.",
                    "write what takes the upgrade back, or keep a snapshot",
                    op.place.revision,
                )
            )
        elif isinstance(op, ops.AddColumn):
            column, table = op.column, known.tables.get(op.table)
            needs = not (column.nullable or column.default or column.generated or column.counts)
            fills = context.dialect in ("mysql", "mariadb")
            if needs and not fills and table is not None and not table.new and table.rows != 0:
                found.append(
                    Hazard(
                        "SM650",
                        WARNING,
                        op.place,
                        f"The downgrade fails as soon as table '{op.table}' has rows: column "
                        f"'{column.name}' is NOT NULL and has no default.",
                        "add it with a server_default, then drop the default",
                        f"{op.table}.{column.name}",
                    )
                )
    return found


def _takes_more(
    known: Known, up: tuple[ops.Operation, ...], down: tuple[ops.Operation, ...]
) -> list[Hazard]:
    """What the downgrade drops and the upgrade has not made."""
    tables = {each.table for each in up if isinstance(each, ops.CreateTable)}
    tables |= {each.new for each in (*up, *down) if isinstance(each, ops.RenameTable)}
    columns = {(each.table, each.column.name) for each in (*up, *down) if isinstance(
        each, (ops.AddColumn, ops.ModifyColumn))}  # fmt: skip
    columns |= {(each.table, each.new) for each in (*up, *down) if isinstance(
        each, ops.RenameColumn)}  # fmt: skip
    found = []
    for op in down:
        table = known.tables.get(getattr(op, "table", ""))
        if table is None or op.table in tables:  # type: ignore[union-attr]
            continue
        if isinstance(op, ops.DropTable):
            what = f"table '{op.table}'"
        elif (
            isinstance(op, ops.DropColumn)
            and op.column in table.columns
            and (op.table, op.column) not in columns
        ):
            what = f"column '{op.column}' of table '{op.table}'"
        else:
            continue
        found.append(
            Hazard(
                "SM650",
                WARNING,
                op.place,
                f"The downgrade drops {what}, which the upgrade has not made: what was there "
                "before it is lost, and does not come back.",
                "drop in downgrade() what upgrade() makes",
                what,
            )
        )
    return found


def _again(
    known: Known, up: tuple[ops.Operation, ...], down: tuple[ops.Operation, ...]
) -> list[Hazard]:
    """What the upgrade made and the downgrade leaves, so that the upgrade cannot run again."""
    if any(isinstance(each, (ops.Raised, ops.Unseen)) for each in down):
        return []
    left = [
        (op, what) for at, op in enumerate(up) if (what := _left(known, op, up[:at])) is not None
    ]
    if left and (not down or len(left) > _SEVERAL):
        op, what = left[0]
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        does = "leaves" if down else "does nothing and leaves"
        return [
            Hazard(
                "SM651",
                WARNING,
                op.place,
                f"The downgrade {does} {what}{more}: after it the upgrade cannot "
                "be run again, it fails.",
                "write what takes the upgrade back, or raise an error that says why not",
                what,
            )
        ]
    return [
        Hazard(
            "SM651",
            WARNING,
            op.place,
            f"The downgrade leaves {what}: after it the upgrade cannot be run again, it fails.",
            f"{op_execute(f'DROP TYPE {quote(op.name)}')}  # at the end of downgrade()"
            if isinstance(op, ops.CreateEnum)
            else "drop it in downgrade()",
            what,
        )
        for op, what in left
    ]


def _left(known: Known, op: ops.Operation, before: tuple[ops.Operation, ...]) -> str | None:
    """What an operation has made and is still there; None where it was there before, too."""
    table = known.tables.get(getattr(op, "table", ""))
    if getattr(op, "if_not_exists", False):
        return None
    if isinstance(op, ops.CreateTable) and op.table in known.tables:
        gone = any(isinstance(each, ops.DropTable) and each.table == op.table for each in before)
        return None if gone else f"table '{op.table}'"
    if isinstance(op, ops.CreateEnum) and op.name in known.enums:
        gone = any(
            isinstance(each, (ops.DropType, ops.RenameOther)) and each.name == op.name
            for each in before
        )
        return None if gone else f"type '{op.name}'"
    if table is None:
        return None
    if isinstance(op, ops.AddColumn) and op.column.name in table.columns:
        gone = any(
            isinstance(each, (ops.DropColumn, ops.RenameColumn))
            and (each.table, each.column) == (op.table, op.column.name)
            for each in before
        )
        return None if gone else f"column '{op.column.name}' of table '{op.table}'"
    if isinstance(op, ops.CreateIndex) and op.made.name in table.indexes:
        gone = any(
            (isinstance(each, (ops.DropIndex, ops.DropConstraint)) and each.name == op.made.name)
            or (isinstance(each, ops.RenameTable) and each.new == op.table)
            for each in before
        )
        return None if gone else f"index '{op.made.name}' of table '{op.table}'"
    if isinstance(op, (ops.AddForeignKey, ops.AddCheck, ops.AddKey)):
        name = op.key.name if isinstance(op, ops.AddForeignKey) else op.name
        gone = any(
            isinstance(each, (ops.DropConstraint, ops.DropIndex)) and each.name in (name, None)
            for each in before
        )
        if name and name in table.constraint_names() and not gone:
            return f"constraint '{name}' of table '{op.table}'"
    return None
