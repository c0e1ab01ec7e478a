"""What a downgrade would take along, with how many rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.comparison.losses import Brought, brought
from flask_safemigrate.facts.comparison import ReplayedHistory
from flask_safemigrate.plan import Plan
from flask_safemigrate.project.history import does_nothing


def losses_of(
    plans: Sequence[Plan], replays: Mapping[str, ReplayedHistory], targets: Mapping[str, Target]
) -> Iterator[str]:
    """A sentence for everything that the plans of a downgrade would take along.

    :param replays: what each revision does, by bind key.
    """
    for plan in plans:
        if plan.bind not in replays:
            continue
        where = f' of "{plan.location}"' if len(plans) > 1 else ""
        idle = [step.id for step in plan.steps if does_nothing(step.path, "downgrade")]
        ways = [step.id for step in plan.steps if step.id not in idle]
        gone = brought(replays[plan.bind], ways)
        yield from _counted(targets[plan.bind].engine, where, gone)
        for id in idle:
            if brought(replays[plan.bind], [id]):
                yield (
                    f"downgrade() of revision '{id}' does nothing: what it brought stays, and "
                    "the next upgrade meets it."
                )


def _counted(engine: sa.Engine, where: str, gone: Iterable[Brought]) -> Iterator[str]:
    """A sentence for each table and column that is there now.

    :param where: the database, where there are several.
    """
    quote = engine.dialect.identifier_preparer.quote
    for each in gone:
        wanted = quote(each.column) if each.column else "*"
        query = f"SELECT count({wanted}) FROM {quote(each.table)}"
        try:
            with engine.connect() as connection:
                number = int(connection.exec_driver_sql(query.replace("%", "%%")).scalar() or 0)
        except SQLAlchemyError:
            # It went already.
            continue
        rows = f"{number:,} row" if number == 1 else f"{number:,} rows"
        if each.column:
            yield f'Column "{each.column}" of table "{each.table}"{where} goes: a value in {rows}.'
        else:
            yield f'Table "{each.table}"{where} goes: {rows}.'
