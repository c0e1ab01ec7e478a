"""What a downgrade would take along, with how many rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.comparison.losses import Brought


def told(engine: sa.Engine, where: str, brought: Iterable[Brought]) -> Iterator[str]:
    """A sentence for each table and column that is there now.

    :param where: the database, where there are several.
    """
    quote = engine.dialect.identifier_preparer.quote
    for each in brought:
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
