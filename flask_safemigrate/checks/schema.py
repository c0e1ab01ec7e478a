"""SM4xx: the tables of a database, beside models and history."""

from __future__ import annotations

from collections.abc import Iterator

from flask_safemigrate.checks.found import (
    Found,
    at_head,
    counted,
    in_sql,
    listed,
    reached,
    rows,
    tables,
)
from flask_safemigrate.facts.database import DatabaseState, Table
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity, Step
from flask_safemigrate.names import LEFTOVER


def _left(database: DatabaseState) -> Iterator[tuple[Table, str, Table | None]]:
    """Each leftover, the name of the table that it was made for, and that table."""
    by_name = {table.name: table for table in database.tables}
    for leftover in database.leftovers:
        original = leftover.name.removeprefix(LEFTOVER)
        yield leftover, original, by_name.get(original)


def leftover_empty(state: State) -> Iterator[Found]:
    """A failed batch migration left an empty table.

    Cause
        Alembic changes an SQLite table by copying it into ``_alembic_tmp_NAME``. A failure before
        the copy leaves that table behind, and the next try stops with ``table _alembic_tmp_NAME
        already exists``. The table itself is whole.
    Example
        ``NOT NULL constraint failed: _alembic_tmp_users.title`` in last week's upgrade.
    Fix
        ``flask db doctor --fix`` drops the leftover.
    Prevention
        ``flask db safe-upgrade`` undoes everything when it fails.
    """
    for database in reached(state):
        for leftover, original, table in _left(database):
            if leftover.rows == 0 and (table or not _wanted(state, database, original)):
                whole = (
                    f"'{original}' is whole{_holds(table)}"
                    if table
                    else f"no table and no model '{original}' is there any more"
                )
                yield Found(
                    f"Table '{leftover.name}' in database \"{database.label}\" was left by a "
                    f"failed migration and is empty; {whole}.",
                    database.location,
                    "flask db doctor --fix drops it",
                    bind=database.bind,
                    repair=f"drops the empty table '{leftover.name}'",
                    steps=(Step("drop table", (leftover.name,)),),
                    subject=leftover.name,
                )


def _holds(table: Table | None) -> str:
    return f" with {counted(table.rows, 'row')}" if table and table.rows is not None else ""


def leftover_copy(state: State) -> Iterator[Found]:
    """A failed batch migration left a table with rows.

    Cause
        The migration failed after rows were copied into ``_alembic_tmp_NAME``. As the table that
        they came from is there with rows of its own, they are a copy; but only a look can tell
        whether rows were changed on the way, or since. The same is said where nothing knows of
        the original any more.
    Example
        ``FOREIGN KEY constraint failed`` when the old table was to be dropped.
    Fix
        Compare the two tables, then drop the leftover.
    Prevention
        ``flask db safe-upgrade`` undoes everything when it fails.
    """
    for database in reached(state):
        for leftover, original, table in _left(database):
            if leftover.rows == 0 or _is_the_data(state, database, leftover, original, table):
                continue
            other = (
                f"'{original}' is there{_holds(table)}"
                if table
                else f"no table and no model '{original}' is there any more"
            )
            yield Found(
                f"Table '{leftover.name}'{_holds(leftover)} in database \"{database.label}\" was "
                f"left by a failed migration; {other}.",
                database.location,
                f"compare the two: SELECT * FROM {in_sql(leftover.name)} EXCEPT SELECT * FROM "
                f"{in_sql(original)}; then DROP TABLE {in_sql(leftover.name)};"
                if table
                else f"if nothing needs its rows, DROP TABLE {in_sql(leftover.name)};",
                bind=database.bind,
                subject=leftover.name,
            )


def _wanted(state: State, database: DatabaseState, table: str) -> bool:
    """Whether a table should be there, as far as anyone knows."""
    models = state.project.models.get(database.bind, ())
    made = any(table in revision.tables for revision in state.history.revisions)
    return not models or table in models or made


def _is_the_data(
    state: State, database: DatabaseState, leftover: Table, original: str, table: Table | None
) -> bool:
    """Whether a leftover holds the only rows of its table."""
    if table is not None:
        return table.rows == 0 and bool(leftover.rows)
    return _wanted(state, database, original)


def leftover_is_the_table(state: State) -> Iterator[Found]:
    """A failed batch migration left the data under another name.

    Cause
        Alembic copied the table into ``_alembic_tmp_NAME``, dropped the old one, and failed before
        the new one was renamed. The leftover is the only copy of the rows. The same is said where
        an empty table of the old name was made since, as by ``create_all()``.
    Example
        ``error in view active_users: no such table: main.users`` at the last step.
    Fix
        ``flask db doctor --fix`` renames it back, after a snapshot, and makes the indexes again
        that the table had. Do not drop it. It may be as the failed revision left it; what is to be
        done about that is told next.
    Prevention
        ``flask db safe-upgrade`` undoes everything when it fails.
    """
    for database in reached(state):
        comparison = state.comparisons.get(database.bind)
        for leftover, original, table in _left(database):
            if not _is_the_data(state, database, leftover, original, table):
                continue
            count = "" if leftover.rows is None else f" ({counted(leftover.rows, 'row')})"
            gone = "is empty" if table else "is missing"
            indexes = comparison.indexes.get(original, ()) if comparison else ()
            drops = f"drops the empty '{original}' and " if table else ""
            yield Found(
                f"Table '{original}' {gone} in database \"{database.label}\"; its data"
                f"{count} is in '{leftover.name}', which a "
                "failed migration left.",
                database.location,
                f"flask db doctor --fix renames it to '{original}'; do not drop it",
                bind=database.bind,
                repair=f"{drops}renames '{leftover.name}' to '{original}'",
                subject=leftover.name,
                steps=(Step("recover", (leftover.name, *indexes)),),
            )


def tables_without_model(state: State) -> Iterator[Found]:
    """The database has tables that no model defines.

    Cause
        The tables belong to another application or an extension, their models were removed
        without a revision, or a module with models is not imported.
    Example
        ``celery_taskmeta``. ``flask db migrate`` writes ``op.drop_table`` for each of them.
    Fix
        Import the module that defines them; or name tables of others in
        ``SAFEMIGRATE_EXCLUDE_TABLES``, which keeps autogenerate away from them too.
    Prevention
        Read every generated revision before it is applied.
    """
    hidden = state.project.hidden
    if hidden is None:
        return
    for database in reached(state):
        models = state.project.models.get(database.bind, ())
        if not models or not at_head(state, database):
            continue
        comparison = state.comparisons.get(database.bind)
        made = {
            d.table for d in (comparison.models if comparison else None) or () if d.here is None
        }
        # Those that the history makes are told by the comparison of models and history.
        told = {c.table for c in state.project.setup.unimported if c.bind == database.bind}
        known = {*models, *made, *told, *hidden.get(database.bind, ())}
        # A model may name the schema that the database leaves away.
        known |= {name.rpartition(".")[2] for name in models}
        strange = [
            name
            for name in tables(database)
            if name not in known and name.rpartition(".")[2] != database.version_table
        ]
        if strange:
            most = len(strange) * 2 > len(tables(database))
            yield Found(
                f'Database "{database.label}" has {counted(len(strange), "table")} that no model '
                f"defines ({listed(strange)}){rows(database, strange)}: flask db migrate would "
                f"write a revision that drops {'it' if len(strange) == 1 else 'them'}.",
                database.location,
                "import the module with their models, or set "
                f'app.config["SAFEMIGRATE_EXCLUDE_TABLES"] = {strange[:3]!r}',
                bind=database.bind,
                severity=Severity.WARNING if most else None,
            )


def model_tables_missing(state: State) -> Iterator[Found]:
    """The database is at head, but tables of the models are missing.

    Cause
        Either no revision creates the tables yet, or the version is wrong: the database was
        stamped without being upgraded, or a table was dropped by hand.
    Example
        ``flask db stamp head`` on an empty database: every command says that it is up to date.
    Fix
        If the models are newer than the history, ``flask db migrate``. If a revision should have
        made the tables, stamp the revision whose schema is really there, then
        ``flask db safe-upgrade``.
    Prevention
        Stamp only what is proven; ``flask db safe-upgrade`` verifies what it did.
    """
    for database in reached(state):
        models = state.project.models.get(database.bind, ())
        comparison = state.comparisons.get(database.bind)
        if comparison is not None and comparison.at_version is not None:
            continue  # the comparison of schemas knows better
        # What is in another schema, or in an attached file, was not looked at.
        there = {*tables(database), *database.views}
        missing = [name for name in models if name not in there and "." not in name]
        left = {table.name.removeprefix(LEFTOVER) for table in database.leftovers}
        missing = [name for name in missing if name not in left]
        if not missing or not at_head(state, database):
            continue
        made = {name for revision in state.history.revisions for name in revision.tables}
        lost = [name for name in missing if name in made] or (
            missing if not tables(database) else []
        )
        if lost:
            yield Found(
                f'Database "{database.label}" is at head, but {listed(lost)}, which the history '
                f"creates, {'is' if len(lost) == 1 else 'are'} not there: it was stamped without "
                "an upgrade, or the table was dropped by hand.",
                database.location,
                "flask db stamp REVISION with the revision whose schema is there "
                "(base for an empty database), then flask db safe-upgrade",
                bind=database.bind,
                severity=Severity.ERROR,
            )
        else:
            yield Found(
                f'Database "{database.label}" is at head, but {listed(missing)} of the models '
                f"{'is' if len(missing) == 1 else 'are'} not there.",
                database.location,
                "flask db migrate, if the models are newer than the history",
                bind=database.bind,
            )
