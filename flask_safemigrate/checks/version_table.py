"""SM3xx: what the version table and the journal of a database say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flask_safemigrate.checks.found import (
    Found,
    at_places,
    counted,
    file,
    listed,
    named,
    reached,
    rows,
    tables,
    things,
    versions,
)
from flask_safemigrate.findings import Severity
from flask_safemigrate.state import DatabaseState, State

# The width of Alembic's column, where servers cut or refuse what is longer.
_WIDTH = 32


def _unknown(state: State, database: DatabaseState) -> list[str]:
    """Rows that no revision file explains, not even a broken one."""
    history = state.history
    return [
        row
        for row in dict.fromkeys(database.version_rows or ())
        if row not in history.by_id
        and not any(b.id == row or row in file(b.path) for b in history.broken)
        and not _cut_from(state, row)
    ]


def _cut_from(state: State, row: str) -> list[str]:
    if len(row) < _WIDTH or row in state.history.by_id:
        return []
    return [id for id in state.history.by_id if len(id) > len(row) and id.startswith(row)]


def _applied_by_us(database: DatabaseState, id: str) -> list[tuple[str, str]]:
    """When and where our commands applied a revision to this database."""
    return [
        (row.finished or row.started, row.host)
        for row in database.journal
        if row.kind == "revision" and row.subject == id and row.direction == "upgrade"
    ]


def unknown_revision(state: State) -> Iterator[Found]:
    """The database is at a revision that no file has.

    Cause
        The file was deleted, was never committed, lives on another branch, or this is another
        application's database. Alembic says ``Can't locate revision identified by ...``.
    Example
        ``alembic_version`` holds ``a1b2``; the file was removed to "start afresh".
    Fix
        Bring the file back: ``git log --all --oneline -- '*a1b2*'`` finds its commit, and
        ``git checkout COMMIT -- PATH`` restores it. Do not empty ``alembic_version``: the next
        upgrade would create every table again. If it is certain which revision the schema equals,
        ``UPDATE alembic_version SET version_num = 'REVISION'`` says so.
    Prevention
        Never delete a revision that any database has applied.
    """
    for database in reached(state):
        unknown = _unknown(state, database)
        proof = (
            _proven(state, database) if set(unknown) == set(database.version_rows or ()) else None
        )
        for row in unknown:
            if not _applied_by_us(database, row):
                find = (
                    f"find the file: git log --all --oneline -- '*{row}*', "
                    "then git checkout COMMIT -- PATH"
                )
                yield Found(
                    f"Database \"{database.label}\" is at revision '{row}', which no file in "
                    f"{versions(state.project)} has."
                    + (
                        f" Its schema equals {proof.place}: the ids were rewritten, or the file "
                        "that is gone changed no table."
                        if proof
                        else ""
                    ),
                    database.location,
                    f"flask db doctor --fix stamps '{proof.stamp}'; or, if the file should be "
                    f"there, {find}"
                    if proof
                    else f"{find}; never delete the row",
                    bind=database.bind,
                    repair=f"stamps '{proof.stamp}' in place of '{row}'" if proof else None,
                    subject=proof.stamp if proof else row,
                )


def database_ahead(state: State) -> Iterator[Found]:
    """The database is newer than this code.

    Cause
        A newer version of the application applied a revision that this one does not have: an older
        release was deployed again, or a branch without the revision is checked out. The journal
        proves that it was applied here.
    Example
        Release 12 was rolled back to 11; the database stays at 12's revision.
    Fix
        Run the newer code. To go back, restore the snapshot that was taken before that upgrade, or
        let the newer code downgrade first. Do not stamp: the newer schema stays.
    Prevention
        Before a rollback, ``flask db safe-downgrade`` with the code that is leaving.
    """
    for database in reached(state):
        for row in _unknown(state, database):
            applied = _applied_by_us(database, row)
            if applied:
                when, host = applied[-1]
                by = f" from host '{host}'" if host else ""
                yield Found(
                    f"Database \"{database.label}\" is newer than this code: revision '{row}', "
                    f"which {versions(state.project)} does not have, was applied "
                    f"{when[:16].replace('T', ' ')} UTC{by}.",
                    database.location,
                    f"run the code that has '{row}', or go back with flask db snapshots and "
                    "flask db restore ID; do not stamp",
                    bind=database.bind,
                    subject=row,
                )


def _unversioned(state: State, database: DatabaseState) -> tuple[str, Severity | None]:
    """What tables without a version mean; the severity is None where it is an error."""
    there = tables(database)
    wanted = state.project.models.get(database.bind, ())
    known = [name for name in wanted if name in set(there)]
    if wanted and not known:
        return f"none of them is a model's: {listed(there)}", Severity.WARNING
    if wanted and len(known) == len(wanted):
        return f"all {len(wanted)} of the models among them, as db.create_all() makes them", None
    if wanted:
        return f"{len(known)} of the {len(wanted)} tables of the models among them", None
    return listed(there), None


@dataclass(frozen=True)
class _Proof:
    """The revision whose schema a database has.

    :param place: as messages name it.
    :param stamp: its ids, as ``flask db stamp`` takes them.
    :param newest: whether nothing comes after it.
    """

    place: str
    stamp: str
    newest: bool


def _proven(state: State, database: DatabaseState) -> _Proof | None:
    evidence = state.evidence.get(database.bind)
    if evidence is None or not evidence.equals or not evidence.equals[0]:
        return None
    first = evidence.equals[0]
    newest = state.history.ancestors(first) == frozenset(state.history.by_id)
    place = at_places(state.history, first) + (", the newest" if newest else "")
    if evidence.but:
        place += f" (but for {things(evidence.but, 3)})"
    others = [id for ids in evidence.equals[1:] for id in ids]
    if others:
        place += (
            f"; so {'does' if len(others) == 1 else 'do'} {listed(others, 3)}, which "
            "changes rows at most"
        )
    return _Proof(place, " ".join(first), newest)


def _unproven(state: State, database: DatabaseState) -> tuple[str, str]:
    """What is told, and advised, where the schema is no revision's."""
    evidence = state.evidence.get(database.bind)
    if evidence is None or not evidence.nearest:
        return "", _STAMP
    near = at_places(state.history, evidence.nearest)
    stamp = " ".join(evidence.nearest)
    gone = [d for d in evidence.apart if d.here is None]
    more = [d for d in evidence.apart if d.there is None]
    other = [d for d in evidence.apart if d.here is not None and d.there is not None]
    parts = [
        *([f"{things(gone)} missing"] if gone else []),
        *([f"{things(more)} added"] if more else []),
        *([f"{things(other)} different"] if other else []),
    ]
    which = f"up to '{evidence.stopped_at}' " if evidence.stopped_at else ""
    told = f" No revision {which}has this schema; the nearest is {near}: {'; '.join(parts)}."
    if evidence.stopped_at:
        return told, _STAMP
    if evidence.like_models:
        return (
            f"{told} It is that of the models, which are ahead of the history.",
            "write the missing revision on another database that is at head (flask db migrate), "
            "then flask db stamp head here",
        )
    return (
        told,
        f"make the schema equal to '{stamp}', or if it is meant so, flask db stamp {stamp}",
    )


def _create_all(state: State) -> str:
    places = state.project.create_all
    return f" create_all() is called in {listed(places, 3)}." if places else ""


def _without_version(state: State, database: DatabaseState, lacks: str) -> Found:
    """Tables whose version nobody has written down."""
    proof = _proven(state, database)
    there = tables(database)
    begin = (
        f'Database "{database.label}" has {counted(len(there), "table")}{rows(database, there)}, '
        f"but {lacks}"
    )
    if proof is not None:
        then = "" if proof.newest else ", then flask db safe-upgrade"
        return Found(
            f"{begin}. The schema equals {proof.place}.{_create_all(state)}",
            database.location,
            f"flask db doctor --fix (flask db stamp {proof.stamp}){then}",
            bind=database.bind,
            repair=f"stamps '{proof.stamp}'",
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


_SHOWN = 120  # characters of a statement in a finding

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
        if database.version_rows is None and tables(database):
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
        if database.version_rows == () and tables(database):
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
                    f"revision '{row}' {found.count(row)} times.",
                    database.location,
                    f"delete all but one of the rows '{row}'",
                    bind=database.bind,
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
                    repair=f"removes the row '{row}' from '{database.version_table}'",
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


def applied_file_changed(state: State) -> Iterator[Found]:
    """A revision was changed after it was applied.

    Cause
        The file was edited since our commands ran it here (the journal keeps its checksum). What
        was added to it later never ran on this database, but runs on every new one.
    Example
        A column added to ``create_table`` in last month's revision.
    Fix
        Undo the edit, and put the change into a new revision: ``flask db revision -m "..."``.
    Prevention
        Treat a revision as read-only once anyone has applied it.
    """
    history = state.history
    for database in reached(state):
        have = history.ancestors(database.version_rows or ())
        ran = {
            row.subject: row
            for row in database.journal
            if row.kind == "revision" and row.direction == "upgrade" and row.checksum
        }
        for id, row in ran.items():
            now = state.checksums.get(id)
            if id in have and now and now != row.checksum:
                yield Found(
                    f'"{file(history.by_id[id].path)}" was changed after revision '
                    f'{named(history, id)} was applied to database "{database.label}" '
                    f"on {row.started[:10]}.",
                    history.by_id[id].path,
                    "undo the edit and put the change into a new revision: flask db revision",
                    bind=database.bind,
                    subject=id,
                    file=history.by_id[id].path,
                )


def journal_unfinished(state: State) -> Iterator[Found]:
    """Work on the database was begun and not finished.

    Cause
        The process was killed while a revision or a hook ran, or it is still running. MySQL and
        MariaDB commit every statement that changes the schema, so a part of the revision may be
        there; on SQLite and PostgreSQL the revision itself was undone.
    Example
        The container was stopped in the middle of a release.
    Fix
        If nothing runs any more, start the same command again. MariaDB and MySQL go on after the
        last statement that is in, and run none twice; ``flask db doctor --fix`` does the same.
    Prevention
        Give the release phase a time limit that its migrations can keep.
    """
    for database in reached(state):
        yield from _half_applied(state, database)
        last = {(row.kind, row.subject): row for row in database.journal}
        for (kind, subject), row in last.items():
            if row.finished or kind not in ("revision", "hook"):
                continue
            half = kind == "revision" and database.dialect in ("mysql", "mariadb")
            by = f" on host '{row.host}'" if row.host else ""
            what = f"{row.direction} of revision" if kind == "revision" else "hook"
            yield Found(
                f"The {what} '{subject}' of database \"{database.label}\" was begun "
                f"{row.started[:16].replace('T', ' ')} UTC{by} and did not finish"
                + ("; a part of it may be there." if half else "."),
                database.location,
                "flask db safe-upgrade, once no other one is running"
                if kind == "revision"
                else "flask db deploy runs the hooks again",
                bind=database.bind,
                severity=Severity.ERROR if half else None,
                subject=subject,
            )


def _half_applied(state: State, database: DatabaseState) -> Iterator[Found]:
    """The revision whose statements are in only in part, and which."""
    have = state.history.ancestors(database.version_rows or ())
    for revision, direction in dict.fromkeys((r.revision, r.direction) for r in database.progress):
        done = [
            row
            for row in database.progress
            if (row.revision, row.direction) == (revision, direction) and row.changes
        ]
        finished = (revision in have) == (direction == "upgrade")
        if finished or not done:
            continue
        last = " ".join(done[-1].statement.split())
        last = last if len(last) <= _SHOWN else last[: _SHOWN - 3] + "..."
        by = f" on host '{done[0].host}'" if done[0].host else ""
        yield Found(
            f"The {direction} of revision {named(state.history, revision)} is half applied to "
            f'database "{database.label}": it was begun '
            f"{done[0].started[:16].replace('T', ' ')} UTC{by}, "
            f"{counted(len(done), 'statement')} that "
            f"change{'s' if len(done) == 1 else ''} something {'is' if len(done) == 1 else 'are'} "
            f"in, the last of them number {done[-1].position + 1}: {last}",
            database.location,
            "flask db safe-upgrade goes on after it"
            if direction == "upgrade"
            else "flask db doctor --fix goes on after it",
            bind=database.bind,
            severity=Severity.ERROR,
            repair=f"runs the rest of '{revision}'" if revision in state.history.by_id else None,
            subject=revision,
        )


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
            whole = _cut_from(state, row)
            if whole:
                yield Found(
                    f"Database \"{database.label}\" is at revision '{row}', which is cut off: "
                    f"the id is '{whole[0]}'.",
                    database.location,
                    f"make the column version_num wider, then UPDATE {database.version_table} "
                    f"SET version_num = '{whole[0]}' WHERE version_num = '{row}'",
                    bind=database.bind,
                    subject=row,
                )
