"""Keeps DROP TABLE from reaching the rows of other tables.

While foreign keys are enforced it deletes all rows first
(https://sqlite.org/foreignkeys.html#fk_schemacommands).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flask_safemigrate.alter.apply.database import Database
from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.alter.queue.queue import (
    refused,
)
from flask_safemigrate.ddl.tokens import fold, quote

#: ``SQLITE_DBCONFIG_ENABLE_FKEY``, which may change inside a transaction, other than the pragma
#: (https://sqlite.org/c3ref/c_dbconfig_defensive.html).
_ENABLE_FOREIGN_KEYS = 1002

HINT = "let schema edits on, which need no DROP TABLE of a table that others refer to"


@contextlib.contextmanager
def without_cascades(
    database: Database, table: str, origin: Origin, drops: bool
) -> Iterator[None]:
    """DROP TABLE deletes all rows first, which must not reach the rows of other tables.

    Enforcement is put off inside, where the driver can do that in a transaction (Python 3.12).

    :raises OperationRefused: it cannot, and rows would be reached.
    """
    children = referring(database, table) if drops and database.foreign_keys() else []
    if not children:
        yield
        return
    driver = database.driver
    if hasattr(driver, "setconfig"):
        driver.setconfig(_ENABLE_FOREIGN_KEYS, False)
    if database.foreign_keys():
        raise refused(
            origin,
            f"table {quote(table)} must be dropped, and rows of"
            f" {', '.join(map(quote, children))} refer to it, which foreign_keys=ON would"
            " delete or change",
            HINT,
        )
    try:
        yield
    finally:
        driver.setconfig(_ENABLE_FOREIGN_KEYS, True)


def reaches_rows(database: Database) -> bool:
    """Whether DROP TABLE cannot be kept from reaching the rows of other tables."""
    return database.foreign_keys() and not hasattr(database.driver, "setconfig")


def relatives(database: Database, table: str) -> list[str]:
    """The tables whose rows refer to a table, directly or through others, parents first."""
    found = [table]
    for each in found:
        found += [
            name
            for name in referring(database, each)
            if fold(name) not in {fold(known) for known in found}
        ]
    return found[1:]


def referring(database: Database, table: str) -> list[str]:
    """Other tables with rows that refer to a table."""
    found = []
    for child, column, _ in database.foreign_keys_to(table):
        if fold(child) != fold(table) and database.value(
            f"SELECT 1 FROM {quote(child)} WHERE {quote(column)} IS NOT NULL LIMIT 1"
        ):
            found.append(child)
    return list(dict.fromkeys(found))
