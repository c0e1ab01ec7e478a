"""SM3xx: what the version table of a database says."""

from __future__ import annotations

from collections.abc import Iterator

from flask_safemigrate.checks.found import (
    Found,
    at_places,
    counted,
    listed,
    named,
    plain,
    reached,
    rows,
    stamping,
    tables,
    things,
)
from flask_safemigrate.checks.proof import proven
from flask_safemigrate.checks.tracing import cut_from, nearly
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity, Step


def _unversioned(state: State, database: DatabaseState) -> tuple[str, Severity | None]:
    """What tables without a version mean; the severity is None where it is an error."""
    there = tables(database)
    if state.history.revisions and database.named == frozenset():
        return f"no revision makes any of them: {listed(there)}", Severity.WARNING
    wanted = state.project.models.get(database.bind, ())
    known = [name for name in wanted if name in set(there)]
    if wanted and not known:
        return f"none of them is a model's: {listed(there)}", Severity.WARNING
    if wanted and len(known) == len(wanted):
        every = "that of the model" if len(wanted) == 1 else f"all {len(wanted)} of the models"
        return f"{every} among them, as db.create_all() makes them", None
    if wanted:
        return f"{len(known)} of the {len(wanted)} tables of the models among them", None
    return listed(there), None


def _unproven(state: State, database: DatabaseState) -> tuple[str, str]:
    """What is told, and advised, where the schema is no revision's."""
    comparison = state.comparisons.get(database.bind)
    if comparison is None:
        return "", "flask db doctor compares these tables with the history and says what to stamp"
    if not comparison.nearest:
        return "", _STAMP
    near = at_places(state.history, comparison.nearest)
    stamp = " ".join(comparison.nearest)
    gone = [d for d in comparison.apart if d.here is None]
    more = [d for d in comparison.apart if d.there is None]
    other = [d for d in comparison.apart if d.here is not None and d.there is not None]
    parts = [
        *([f"{things(gone)} missing"] if gone else []),
        *([f"{things(more)} added"] if more else []),
        *([f"{things(other)} different"] if other else []),
    ]
    which = f"up to '{comparison.stopped_at}' " if comparison.stopped_at else ""
    told = f" No revision {which}has this schema; the nearest is {near}: {'; '.join(parts)}."
    if comparison.stopped_at:
        return told, _STAMP
    if comparison.like_models:
        return (
            f"{told} It is that of the models, which are ahead of the history.",
            "write the missing revision on another database that is at head (flask db migrate), "
            "then flask db stamp head here",
        )
    return (
        told,
        f"make the schema equal to '{stamp}', or if it is meant so, {stamping(stamp.split())}",
    )


def _create_all(state: State) -> str:
    places = state.project.create_all
    return f" create_all() is called in {listed(places, 3)}." if places else ""


def _without_version(state: State, database: DatabaseState, lacks: str) -> Found:
    """Tables whose version nobody has written down."""
    proof = proven(state, database)
    there = tables(database)
    begin = (
        f'Database "{database.label}" has {counted(len(there), "table")}{rows(database, there)}, '
        f"but {lacks}"
    )
    if proof is not None:
        then = "" if proof.newest else ", then flask db safe-upgrade"
        up = "" if proof.newest else " and upgrades to the newest"
        return Found(
            f"{begin}. The schema equals {proof.place}.{_create_all(state)}",
            database.location,
            f"flask db doctor --fix ({stamping(proof.stamp.split())}{then})"
            + ("; remove create_all()" if state.project.create_all else ""),
            bind=database.bind,
            repair=f"stamps '{proof.stamp}'{up}",
            steps=(proof.step, *(() if proof.newest else (Step("upgrade"),))),
            subject=proof.stamp,
        )
    what, severity = _unversioned(state, database)
    told, advice = _unproven(state, database) if severity is None else ("", "")
    return Found(
        f"{begin}: {what}.{told}{_create_all(state)}",
        database.location,
        advice
        or "flask db doctor, if these tables are not yours; "
        "nothing is in the way of flask db safe-upgrade",
        bind=database.bind,
        severity=severity,
        blocks=() if severity else None,
    )


def _of_others(database: DatabaseState) -> bool:
    """Whether another history has its version written down, and this one has made nothing."""
    return bool(database.other_versions) and database.named == frozenset()


_STAMP = (
    "if they equal the newest revision, flask db stamp head; otherwise flask db stamp REVISION, "
    "then flask db safe-upgrade"
)


def no_version_table(state: State) -> Iterator[Found]:
    """The database has tables, but no version table.

    Cause
        The tables were not made by migrations: ``db.create_all()`` runs in the application, or the
        database is older than the migrations. An upgrade would begin at the first revision and
        fail with ``table ... already exists``, or worse, change what it takes for its own.
    Example
        ``with app.app_context(): db.create_all()`` in ``create_app``, then ``flask db upgrade``.
    Fix
        Find the revision whose schema the tables have and write it down: ``flask db stamp
        REVISION``, then ``flask db safe-upgrade``. Tables that ``create_all()`` has just made from
        the present models are at ``head``.
    Prevention
        Remove ``create_all()`` from an application that has migrations; keep it in tests at most.
    """
    for database in reached(state):
        if database.version_rows is None and tables(database) and not _of_others(database):
            lacks = f"no table '{database.version_table}'"
            yield _without_version(state, database, lacks)


def version_table_empty(state: State) -> Iterator[Found]:
    """The version table is empty, but there are tables.

    Cause
        Its row was deleted to get rid of an error, or ``flask db upgrade`` ran through an empty
        history, which makes the table and writes nothing.
    Example
        ``DELETE FROM alembic_version`` after ``Can't locate revision``.
    Fix
        Find the revision whose schema the tables have and write it down: ``flask db stamp
        REVISION``, then ``flask db safe-upgrade``.
    Prevention
        Correct the version with ``flask db stamp``, never by deleting the row.
    """
    for database in reached(state):
        if database.version_rows == () and tables(database) and not _of_others(database):
            lacks = f"'{database.version_table}' is empty"
            yield _without_version(state, database, lacks)


def version_rows_overlap(state: State) -> Iterator[Found]:
    """The version table names a revision and its ancestor.

    Cause
        A row was inserted by hand, or two upgrades ran at once. Two rows are right only for two
        branches that were not merged; Alembic says ``overlaps with other requested revisions``.
    Example
        Rows ``90`` and ``a1``, where ``a1`` comes after ``90``.
    Fix
        ``flask db doctor --fix`` removes the ancestor's row; the other one says it all.
    Prevention
        Let one process at a time upgrade: ``flask db deploy`` takes a lock.
    """
    history = state.history
    for database in reached(state):
        found = database.version_rows or ()
        for row in dict.fromkeys(found):
            if found.count(row) > 1:
                yield Found(
                    f"Table '{database.version_table}' of database \"{database.label}\" names "
                    f"revision '{plain(row)}' {found.count(row)} times.",
                    database.location,
                    "flask db doctor --fix leaves one of the rows",
                    bind=database.bind,
                    repair=f"leaves one row '{plain(row)}' in '{database.version_table}'",
                    steps=(Step("stamp", tuple(dict.fromkeys(found))),),
                    subject=row,
                )
            after = [
                other
                for other in found
                if other != row and row in history.ancestors((other,)) and other in history.by_id
            ]
            if after:
                yield Found(
                    f"Table '{database.version_table}' of database \"{database.label}\" names "
                    f"{named(history, row)} beside {named(history, after[0])}, which comes after "
                    "it.",
                    database.location,
                    "flask db doctor --fix removes the row of the ancestor",
                    bind=database.bind,
                    repair=f"removes the row '{plain(row)}' from '{database.version_table}'",
                    steps=(Step("remove version", (row,)),),
                    subject=row,
                )


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def version_misspelt(state: State) -> Iterator[Found]:
    """The version table misspells a revision id.

    Cause
        The row was written by hand, with blanks, quotes or capitals that the id does not have.
        Alembic says ``Can't locate revision identified by ...``.
    Example
        ``UPDATE alembic_version SET version_num = 'A1B2 '``.
    Fix
        ``flask db doctor --fix`` writes the id as the file has it.
    Prevention
        Correct the version with ``flask db stamp``, never by SQL.
    """
    for database in reached(state):
        found = database.version_rows or ()
        for row in dict.fromkeys(found):
            id = nearly(state, row)
            if id:
                yield Found(
                    f"Database \"{database.label}\" is at revision '{plain(row)}', which no file "
                    f"has; the id is {named(state.history, id)}.",
                    database.location,
                    f"flask db doctor --fix stamps '{id}'",
                    bind=database.bind,
                    repair=f"stamps '{id}' in place of '{plain(row)}'",
                    steps=(Step("stamp", tuple(id if r == row else r for r in found)),),
                    subject=row,
                )


def database_behind(state: State) -> Iterator[Found]:
    """The database is behind the history.

    Cause
        Revisions were added since the last upgrade of this database.
    Example
        ``git pull`` brought two new revision files.
    Fix
        ``flask db safe-upgrade``; ``--dry-run`` shows what it would do.
    Prevention
        Let ``flask db deploy`` run with every release, and ``flask db status --check`` before the
        application starts.
    """
    history = state.history
    heads = history.tips(history.by_id)
    for database in reached(state):
        have = history.ancestors(database.version_rows or ())
        pending = [id for id in _in_order(state) if id not in have]
        if not heads or not pending:
            continue
        if any(row.changes and row.revision in pending for row in database.progress):
            continue  # how that one goes on is told
        shown = ", ".join(named(history, id) for id in pending[:5])
        more = f" and {len(pending) - 5} more" if len(pending) > 5 else ""
        place = " and ".join(named(history, row) for row in database.version_rows or ())
        yield Found(
            f'Database "{database.label}" is '
            + (f"at {place}" if place else "empty")
            + f", {counted(len(pending), 'revision')} behind: {shown}{more}.",
            database.location,
            "flask db safe-upgrade",
            bind=database.bind,
            severity=None if database.version_rows else Severity.INFO,
        )


def _in_order(state: State) -> list[str]:
    """Ids of the whole history, oldest first."""
    history = state.history
    done: dict[str, None] = {}
    for start in history.by_id:
        todo = [start]
        while todo:
            id = todo[-1]
            needs = [n for n in history.needs(history.by_id[id]) if n in history.by_id]
            waiting = [n for n in needs if n not in done and n not in todo]
            if id in done or not waiting:
                done.setdefault(id)
                todo.pop()
            else:
                todo.extend(waiting[:1])
    return list(done)


def version_cut_off(state: State) -> Iterator[Found]:
    """The version table holds the beginning of a longer revision id.

    Cause
        The id is longer than the column ``version_num`` (32 characters), and the server cut it off
        without an error, as MySQL does outside strict mode.
    Example
        ``2024_01_31_add_the_column_title_t`` for an id that goes on.
    Fix
        Make the column wider, then write the whole id:
        ``ALTER TABLE alembic_version MODIFY version_num VARCHAR(255) NOT NULL`` and
        ``UPDATE alembic_version SET version_num = 'ID'``.
    Prevention
        Keep revision ids short; the words belong into the message.
    """
    for database in reached(state):
        for row in dict.fromkeys(database.version_rows or ()):
            whole = cut_from(state, row)
            if whole:
                yield Found(
                    f"Database \"{database.label}\" is at revision '{plain(row)}', which is cut "
                    f"off: the id is '{whole[0]}'.",
                    database.location,
                    f"make the column version_num wider, then UPDATE {database.version_table} "
                    f"SET version_num = {_literal(whole[0])} WHERE version_num = {_literal(row)}",
                    bind=database.bind,
                    subject=row,
                )
