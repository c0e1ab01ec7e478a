"""What a version table names, and an index that is missing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext

from flask_safemigrate.backends.contract import Target


def remove_version(target: Target, revision: str) -> str:
    """Remove one row of the version table."""
    table = sa.table(target.version_table, sa.column("version_num"), schema=target.version_schema)
    with target.engine.begin() as connection:
        connection.execute(sa.delete(table).where(table.c.version_num == revision))
    return f"Removed the row '{revision}' from \"{target.version_table}\"."


def _empty(connection: sa.Connection, table: sa.TableClause) -> None:
    """Delete every row of a version table, each by its key.

    Some servers refuse a DELETE without one:
    https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html#sysvar_sql_safe_updates
    """
    for row in connection.execute(sa.select(table.c.version_num).distinct()).scalars().all():
        connection.execute(sa.delete(table).where(table.c.version_num == row))


def stamp(target: Target, revisions: tuple[str, ...]) -> str:
    """Let the version table name these revisions and no other."""
    with target.engine.begin() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": target.version_table,
                "version_table_schema": target.version_schema,
            },
        )
        # As alembic.command.stamp does, which cannot leave a revision that no file has.
        context._ensure_version_table()
        _empty(connection, context._version)
        for revision in revisions:
            connection.execute(context._version.insert().values(version_num=revision))
    named = " and ".join(f"'{revision}'" for revision in revisions) or "base"
    return f'Stamped {named} in "{target.version_table}" of {target.engine.url.database}.'


def unstamp(target: Target, before: tuple[str, ...] | None, stamped: tuple[str, ...]) -> None:
    """Take a stamp back, unless the version table names something else by now."""
    table = sa.table(target.version_table, sa.column("version_num"), schema=target.version_schema)
    with target.engine.begin() as connection:
        rows = connection.execute(sa.select(table.c.version_num)).scalars().all()
        if set(rows) != set(stamped):
            return
        _empty(connection, table)
        for revision in before or ():
            connection.execute(table.insert().values(version_num=revision))
        if before is None:
            name = connection.dialect.identifier_preparer.format_table(
                sa.Table(target.version_table, sa.MetaData(), schema=target.version_schema)
            )
            connection.exec_driver_sql(f"DROP TABLE {name}")


def make_index(target: Target, table: str, name: str, *columns: str) -> str:
    """Make an index that the history has and the database has lost."""
    here = sa.Table(table, sa.MetaData(), *(sa.Column(column) for column in columns))
    with target.engine.begin() as connection:
        sa.Index(name, *here.c).create(connection)
    return f'Made index "{name}" of "{table}" again.'
