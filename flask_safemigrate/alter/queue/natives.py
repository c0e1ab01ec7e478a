"""SQLite's own ALTER TABLE, where it makes the very change that is wanted."""

from __future__ import annotations

from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.alter.queue.queue import Native, Queue, Rule, is_database_error
from flask_safemigrate.alter.queue.tracked import TrackedTable
from flask_safemigrate.ddl.rebuild import same_text
from flask_safemigrate.ddl.tokens import quote


def gives(queue: Queue, table: TrackedTable, sql: str, wanted: str) -> bool:
    """Let SQLite make a change; undo it and say no where it cannot, or makes another one."""
    queue.scratch.db.execute("SAVEPOINT trying")
    try:
        queue.scratch.execute(sql)
        if same_text(queue.text(table), wanted):
            return True
        queue.scratch.db.execute("ROLLBACK TO trying")
        return False
    except Exception as error:
        queue.scratch.db.execute("ROLLBACK TO trying")
        if not is_database_error(error):
            raise
        return False
    finally:
        queue.scratch.db.execute("RELEASE trying")


def rewrite_or_alter(
    queue: Queue,
    table: TrackedTable,
    wanted: str,
    alter: str,
    origin: Origin,
    rule: Rule | None = None,
) -> None:
    """Give the table another text; by a statement that SQLite has since 3.53, where it has it.

    :param alter: the statement after the table's name
        (https://sqlite.org/lang_altertable.html#alter_table_drop_constraint).
    """
    before = queue.text(table)
    sql = f"ALTER TABLE {quote(table.name)} {alter}"
    if (
        queue.scratch.version < (3, 53)
        or table.origin is None
        or table.pending
        or wanted == before
        or not gives(queue, table, sql, wanted)
    ):
        queue.rewrite(table, wanted, origin)
        return
    table.realign(before, queue.text(table), origin)
    queue.also_native(Native(table.name, sql, origin, owner=table, rule=rule))
