"""Whether the way back works: what downgrade() names is there, and upgrade() can run again."""

from __future__ import annotations

from collections.abc import Iterable

from flask_safemigrate.findings import Severity
from flask_safemigrate.hazards import operations as ops
from flask_safemigrate.hazards.hazard import Context, Hazard, Judge
from flask_safemigrate.hazards.known import Known

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
        found += _fails(known, context, down)
        found += _again(known, up, down)
    return found


def _fails(known: Known, context: Context, down: tuple[ops.Operation, ...]) -> list[Hazard]:
    from flask_safemigrate.hazards import mysql, postgresql, sqlite

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
    for op in down:
        if isinstance(op, ops.Raised):
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


def _again(
    known: Known, up: tuple[ops.Operation, ...], down: tuple[ops.Operation, ...]
) -> list[Hazard]:
    """What the upgrade made and the downgrade leaves, so that the upgrade cannot run again."""
    if any(isinstance(each, (ops.Raised, ops.Unseen)) for each in down):
        return []
    found = []
    for op in up:
        left = ""
        if isinstance(op, ops.CreateTable) and op.table in known.tables and not op.if_not_exists:
            left = f"table '{op.table}'"
        elif isinstance(op, ops.CreateEnum) and op.name in known.enums:
            left = f"type '{op.name}'"
        elif isinstance(op, ops.AddColumn) and not op.if_not_exists:
            table = known.tables.get(op.table)
            if table is not None and op.column.name in table.columns:
                left = f"column '{op.column.name}' of table '{op.table}'"
        elif isinstance(op, ops.CreateIndex) and not op.if_not_exists:
            table = known.tables.get(op.table)
            if table is not None and op.made.name in table.indexes:
                left = f"index '{op.made.name}' of table '{op.table}'"
        elif isinstance(op, (ops.AddForeignKey, ops.AddCheck, ops.AddKey)):
            table = known.tables.get(op.table)
            name = op.key.name if isinstance(op, ops.AddForeignKey) else op.name
            if table is not None and name and name in table.constraint_names():
                left = f"constraint '{name}' of table '{op.table}'"
        if left:
            cure = "drop it in downgrade()"
            if isinstance(op, ops.CreateEnum):
                cure = f'op.execute("DROP TYPE {op.name}")  # at the end of downgrade()'
            found.append(
                Hazard(
                    "SM651",
                    WARNING,
                    op.place,
                    f"The downgrade leaves {left}: after it the upgrade cannot be run again, it "
                    "fails.",
                    cure,
                    left,
                )
            )
    return found
