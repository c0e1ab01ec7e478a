"""Repairs inside of a database; what was read before may have changed, so each looks again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.reach import numbered
from flask_safemigrate.backends.sqlite import files
from flask_safemigrate.backends.sqlite.files import quoted
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.errors import Refused
from flask_safemigrate.names import LEFTOVER


def drop_leftover(target: Target, table: str) -> str:
    """Drop a table that a failed migration left.

    :raises Refused: it is not empty any more.
    """
    quote = target.engine.dialect.identifier_preparer.quote_identifier
    with target.engine.begin() as connection:
        rows = connection.exec_driver_sql(f"SELECT count(*) FROM {quote(table)}").scalar()
        if rows:
            raise Refused(
                f'Table "{table}" holds {numbered(rows, "row")} now; it was not dropped.'
            )
        connection.exec_driver_sql(f"DROP TABLE {quote(table)}")
    return f'Dropped the empty table "{table}".'


@contextlib.contextmanager
def _writing(target: Target) -> Iterator[Any]:
    """A connection of our own to the SQLite file, with a transaction that holds the file."""
    file = files.find(target)
    if file is None:
        raise Refused("A database in memory has nothing to repair.")
    connection = files.connect(file, "rw")
    try:
        yield connection
    finally:
        connection.close()


def recover(target: Target, leftover: str, *indexes: str) -> str:
    """Give a leftover that holds the data its name back, with the indexes that the table had.

    Children, views and triggers that name the table find it again; those that name the leftover
    follow it.

    :param indexes: statements; those that there are already or that do not fit are left out.
    :raises Refused: the table is there, and not empty.
    """
    table = leftover.removeprefix(LEFTOVER)
    with _writing(target) as connection:
        # Children's references to the leftover are rewritten only so.
        connection.execute("PRAGMA foreign_keys=ON")
        # A view that names the missing table would stop the statement.
        connection.execute("PRAGMA legacy_alter_table=ON")
        connection.execute("BEGIN IMMEDIATE")
        try:
            made = _recover(connection, leftover, table, indexes)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    also = f" and made {', '.join(made)} again" if made else ""
    return f'Renamed "{leftover}" to "{table}"{also}.'


def _recover(connection: Any, leftover: str, table: str, indexes: Sequence[str]) -> list[str]:
    there = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND lower(name) = lower(?)", (table,)
    ).fetchone()
    if there is not None:
        rows = connection.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()[0]
        if rows:
            raise Refused(
                f'Table "{table}" holds {numbered(rows, "row")} now; nothing was renamed.'
            )
        connection.execute(f"DROP TABLE {quoted(table)}")
    connection.execute(f"ALTER TABLE {quoted(leftover)} RENAME TO {quoted(table)}")
    made = []
    for statement in indexes:
        connection.execute("SAVEPOINT one")
        # The table may have been changed before it was left: a column may be gone.
        with contextlib.suppress(connection.DatabaseError):
            before = _indexed(connection, table)
            connection.execute(statement)
            name = next(iter(_indexed(connection, table).keys() - before.keys()))
            if _indexed(connection, table)[name] in before.values():
                connection.execute("ROLLBACK TO one")
            else:
                made.append(f'index "{name}"')
        if connection.in_transaction:
            connection.execute("RELEASE one")
    return made


def _indexed(connection: Any, table: str) -> dict[str, tuple[Any, ...]]:
    """What each index of a table is over: unique or not, partial or not, columns."""
    return {
        row[1]: (
            row[2],
            row[4],
            tuple(
                (part[2], part[3])
                for part in connection.execute(f"PRAGMA index_xinfo({quoted(row[1])})")
                if part[5]
            ),
        )
        for row in connection.execute(f"PRAGMA index_list({quoted(table)})").fetchall()
    }


def make_indexes_anew(target: Target) -> str:
    """Rebuild every index of an SQLite database from the rows.

    :raises Refused: it does not help.
    """
    with _writing(target) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute("REINDEX")
            answers = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
            if answers != ["ok"]:
                raise Refused(f"It did not help: {answers[0]}; nothing was changed.")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    return "Made every index anew; the database passes SQLite's integrity_check."


def mend_index(target: Target, index: str, statement: str) -> str:
    """Build an invalid index of PostgreSQL again, or drop it.

    :param statement: does either.
    :raises Refused: it is not invalid any more.
    """
    invalid = {i.name: i for i in backend_for(target.engine).read(target).invalid_indexes}
    if index not in invalid:
        raise Refused(f"Index {index} is not invalid any more; nothing was done.")
    with target.engine.connect() as connection:
        outside = connection.execution_options(isolation_level="AUTOCOMMIT")
        outside.execute(plain(statement))
    if statement.startswith("REINDEX"):
        return f"Built index {index} anew."
    return f"Dropped the invalid index {index}. It was: {invalid[index].definition}"


def write_log_back(target: Target) -> str:
    """Write the log of an SQLite database into its file.

    :raises Refused: somebody reads it.
    """
    with _writing(target) as connection:
        busy, pages, written = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise Refused(
            f"Another process reads the database; {written} of {pages} pages of its log were "
            "written back.",
            hint="try again when it is done",
        )
    return "Wrote the log into the database file."


def drop_type(target: Target, name: str) -> str:
    """Drop a type that no column uses.

    :param name: as it stands in a statement.
    """
    with target.engine.begin() as connection:
        # The server refuses where a column uses it.
        connection.execute(plain(f"DROP TYPE {name}"))
    return f"Dropped the unused type {name}."


def move_sequence(target: Target, name: str) -> str:
    """Set a sequence to the highest number of its column.

    :raises Refused: it is not behind any more.
    """
    late = backend_for(target.engine).examine(target, thorough=True).late_sequences
    found = next((each for each in late if each.name == name), None)
    if found is None:
        raise Refused(f"Sequence {name} is not behind any more; it was not changed.")
    column = target.engine.dialect.identifier_preparer.quote_identifier(found.column)
    with target.engine.begin() as connection:
        # Rows that are added meanwhile wait.
        connection.execute(plain(f"LOCK TABLE {found.place} IN SHARE MODE"))
        literal = name.replace("'", "''")
        reached = connection.execute(
            plain(f"SELECT setval('{literal}', max({column})) FROM {found.place}")
        ).scalar()
    return f"Set sequence {name} to {reached:,}, the highest '{found.table}.{found.column}'."
