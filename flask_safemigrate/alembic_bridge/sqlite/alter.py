"""SQLite's own ALTER TABLE, where it makes the very change that is wanted."""

from __future__ import annotations

from flask_safemigrate.alembic_bridge.sqlite.replay import Native, Replay, Rule, is_database_error
from flask_safemigrate.alembic_bridge.sqlite.tracked import TrackedTable
from flask_safemigrate.ddl.changes import Origin
from flask_safemigrate.ddl.rebuild import same_text
from flask_safemigrate.ddl.tokens import quote


def gives(replay: Replay, table: TrackedTable, sql: str, wanted: str) -> bool:
    """Let SQLite make a change; undo it and say no where it cannot, or makes another one."""
    replay.mirror.db.execute("SAVEPOINT trying")
    try:
        replay.mirror.execute(sql)
        if same_text(replay.text(table), wanted):
            return True
        replay.mirror.db.execute("ROLLBACK TO trying")
        return False
    except Exception as error:
        replay.mirror.db.execute("ROLLBACK TO trying")
        if not is_database_error(error):
            raise
        return False
    finally:
        replay.mirror.db.execute("RELEASE trying")


def rewrite_or_alter(
    replay: Replay,
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
    before = replay.text(table)
    sql = f"ALTER TABLE {quote(table.name)} {alter}"
    if (
        replay.mirror.version < (3, 53)
        or table.origin is None
        or table.pending
        or wanted == before
        or not gives(replay, table, sql, wanted)
    ):
        replay.rewrite(table, wanted, origin)
        return
    table.realign(before, replay.text(table), origin)
    replay.also_native(Native(table.name, sql, origin, owner=table, rule=rule))
