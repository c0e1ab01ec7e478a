"""From what revisions do to what is to be said of it."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from flask_safemigrate.findings import Severity
from flask_safemigrate.hazards import downgrade, mysql, postgresql, sqlite
from flask_safemigrate.hazards import operations as ops
from flask_safemigrate.hazards.hazard import Context, Hazard, Judge
from flask_safemigrate.hazards.known import Known


def judge(recorded: Sequence[ops.Recorded], known: Known, context: Context) -> list[Hazard]:
    """Return the hazards of revisions, in the order of their operations.

    :param known: the database before the first of them; it is left as it is.
    """
    looked = Judge(copy.deepcopy(known), context)
    run = [op for each in recorded for op in each.upgrade]
    module = {"postgresql": postgresql, "sqlite": sqlite}.get(context.dialect, mysql)
    module.judge(looked, run)
    for op in run:
        _unseen(looked, op)
    after = looked.known
    # What asks first can run again, whatever is there.
    ways = [(() if each.asks else each.upgrade, each.downgrade) for each in reversed(recorded)]
    return looked.found + downgrade.judge(after, context, ways)


def _is_refused(looked: Judge, op: ops.Unseen) -> bool:
    """Whether the parser that refused a text knows all that the server does."""
    # A driver's own place of a value is none of PostgreSQL's.
    return (0,) < looked.context.version[:1] <= op.refused[:1] and "%" not in op.place.statement


def _unseen(looked: Judge, op: ops.Operation) -> None:
    if isinstance(op, ops.Unseen) and _is_refused(looked, op):
        looked.add(
            "SM603",
            Severity.ERROR,
            op,
            f"{op.why}: the statement fails.",
            "write it as this server's grammar has it",
            op.place.revision,
        )
    elif isinstance(op, ops.Unseen):
        said = f" ({op.place.statement[:80]})" if op.place.statement else ""
        looked.add(
            "SM601",
            Severity.INFO,
            op,
            f"What a statement does was not seen: {op.why}.{said}",
            "read it yourself",
            op.place.revision,
        )
    elif isinstance(op, ops.Raised):
        sure = op.sure
        looked.add(
            "SM602",
            Severity.WARNING if sure else Severity.INFO,
            op,
            f"upgrade() raised {op.error} while it was recorded"
            + (
                ": it fails."
                if sure
                else "; it reads the database, so what it does after that was not seen."
            ),
            "flask db safe-upgrade --dry-run",
            op.place.revision,
        )
