"""What ANALYZE found stays with the indexes that stay (https://sqlite.org/optoverview.html)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from flask_safemigrate.alter.apply.database import Database
from flask_safemigrate.ddl.tokens import fold, quote_string

_AUTOMATIC = "sqlite_autoindex_"

#: Tables of SQLite's own, with the column that names a table.
KEPT_BY_NAME = (("sqlite_sequence", "name"), ("sqlite_stat1", "tbl"), ("sqlite_stat4", "tbl"))


class Found(NamedTuple):
    """A row of ``sqlite_stat1``.

    :ivar idx: the index, or the table's name for the key of one WITHOUT ROWID; None for the
        table itself.
    """

    tbl: str
    idx: str | None
    stat: str | None


def read(database: Database) -> list[Found]:
    """What ANALYZE found, nothing where it never ran."""
    if not database.has_table("sqlite_stat1"):
        return []
    return [Found(*row) for row in database.read("SELECT tbl, idx, stat FROM sqlite_stat1")]


def put_back(
    database: Database, before: list[Found], names: Mapping[str, str], gone: Collection[str]
) -> None:
    """Let the rows follow tables to their new names, and return those of indexes made anew.

    :param names: what tables are called now, by the names that they had.
    :param gone: folded names of tables and indexes that are others now, or none.
    """
    if not before:
        return
    columns = {
        fold(name): int(count)
        for name, count in database.read(
            "SELECT m.name, (SELECT count(*) FROM pragma_index_info(m.name)) FROM sqlite_master"
            " AS m WHERE m.type = 'index'"
        )
    }
    wanted = []
    for each in before:
        if fold(each.tbl) in gone or (each.idx is not None and fold(each.idx) in gone):
            continue
        table = names.get(each.tbl, each.tbl)
        index = each.idx
        if index is not None and index.startswith(_AUTOMATIC):
            index = automatic_name(table, index)
        elif index == each.tbl:
            index = table
        of_table = index is None or index == table
        if not of_table and columns.get(fold(index or "")) != _columns(each):
            continue
        if database.has_table(table):
            wanted.append(Found(table, index, each.stat))
    now = read(database)
    touched = {*names, *names.values()}
    for stale in now:
        if stale in wanted or stale.tbl not in touched or not _is_old(stale, before):
            continue
        index = "IS NULL" if stale.idx is None else f"= {quote_string(stale.idx)}"
        database.run(
            f"DELETE FROM sqlite_stat1 WHERE tbl = {quote_string(stale.tbl)} AND idx {index}"
        )
    for each in wanted:
        if each not in now:
            values = ", ".join("NULL" if part is None else quote_string(part) for part in each)
            database.run(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ({values})")


def _columns(found: Found) -> int:
    """How many columns the index has; the first number is that of the rows."""
    return sum(part.isdigit() for part in (found.stat or "").split()) - 1


def _is_old(found: Found, before: list[Found]) -> bool:
    """Whether the migration's own ANALYZE did not find it."""
    return any(found[1:] == each[1:] for each in before)


def automatic_name(table: str, old: str) -> str:
    """The name of an automatic index after its table was renamed."""
    return f"sqlite_autoindex_{table}_{old.rpartition('_')[2]}"
