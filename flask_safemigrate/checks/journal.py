"""SM3xx: what the journal of a database says."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from flask_safemigrate.checks.found import (
    Found,
    by_hand,
    commit,
    counted,
    file,
    named,
    plain,
    reached,
    things,
    versions,
)
from flask_safemigrate.checks.tracing import changed_since
from flask_safemigrate.ddl.secrets import without_secrets
from flask_safemigrate.facts.database import DatabaseState, JournalRow
from flask_safemigrate.facts.past import Edit
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity, Step

_LINES = 3  # of a difference in a finding
_SHOWN = 120  # characters of a statement in a finding

#: How to go on with what stays of a revision, by whether it was going up.
_COMMANDS = {
    True: "flask db safe-upgrade --allow SM315",
    False: "flask db safe-downgrade --allow SM315 -- -1",
}


def applied_file_changed(state: State) -> Iterator[Found]:
    """A revision was changed after it was applied.

    Cause
        The file was edited since our commands ran it here (the journal keeps its checksum and its
        text). What was added to it later never ran on this database, but runs on every new one.
        Comments, blanks and docstrings do not count.
    Example
        A column added to ``create_table`` in last month's revision.
    Fix
        Undo the edit, and put the change into a new revision: ``flask db revision -m "..."``. The
        finding shows what differs, names the commit that did it, and the command that brings the
        text back that ran.
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
        changed = changed_since(state, database)
        for id, row in ran.items():
            if id in have and id in changed:
                yield _changed(state, database, row, state.past.edits.get(id, Edit()))


def _changed(state: State, database: DatabaseState, row: JournalRow, edit: Edit) -> Found:
    id, path = row.subject, state.history.by_id[row.subject].path
    comparison = state.comparisons.get(database.bind)
    missing = [d for d in (comparison.drift if comparison else ()) if d.made_by == id]
    parts = []
    if edit.lines:
        shown = [" ".join(line[1:].split()) for line in edit.lines if line[1:].strip()]
        signs = [line[0] for line in edit.lines if line[1:].strip()]
        lines = (
            f"{'added' if sign == '+' else 'gone' if sign == '-' else ''}: {text}"
            for sign, text in zip(signs[:_LINES], shown, strict=False)
        )
        more = f"; and {len(shown) - _LINES} lines more" if len(shown) > _LINES else ""
        parts.append(f" ({'; '.join(lines)}{more})")
    by = f", by {commit(edit.commit)}" if edit.commit else ""
    therefore = (
        f" Therefore {things(missing)} {'is' if len(missing) == 1 else 'are'} not in the database "
        "as the file says."
        if missing
        else ""
    )
    undo = "undo the edit"
    if edit.before:
        place = shlex.quote(f"{versions(state.project)}/{file(path)}")
        undo = f"git checkout {edit.before} -- {place}"
    return Found(
        f'"{file(path)}" was changed after revision {named(state.history, id)} was applied to '
        f'database "{database.label}" on {row.started[:10]}{by}{"".join(parts)}.{therefore}',
        path,
        f"{undo}, and put the change into a new revision: flask db revision",
        bind=database.bind,
        severity=Severity.ERROR if missing else None,
        subject=id,
        file=path,
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
        The other way is closed until then. What was said on another connection (``db.session``)
        no run can go on over: finish that revision by hand, and stamp it.
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
            by = f" on host '{plain(row.host)}'" if row.host else ""
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


def revision_half_applied(state: State) -> Iterator[Found]:
    """A revision failed, and a part of it was committed before.

    Cause
        It cut its transaction by ``autocommit_block()`` or ``COMMIT``, or committed on a
        connection of its own, and failed after that. What was committed stays, while the version
        table does not name the revision: run again as it is, it does that part twice.
    Example
        ``UPDATE account SET cents = cents + 1``, then an ``autocommit_block()`` with an index,
        then a statement that fails: the next run would add to every row once more.
    Fix
        Undo the statements that the finding lists by hand, or take them out of the revision if
        they may stay. Then start the command again with ``--allow SM315``.
    Prevention
        Give every ``autocommit_block()`` a revision of its own, with one statement in it.
    """
    for database in reached(state):
        have = state.history.ancestors(database.version_rows or ())
        kinds = ("revision", "half-applied")
        last = {row.subject: row for row in database.journal if row.kind in kinds}
        for revision, row in last.items():
            finished = (revision in have) == (row.direction == "upgrade")
            if row.kind != "half-applied" or finished:
                continue
            lines = [" ".join(without_secrets(line[:2_000]).split()) for line in row.stays]
            shown = (x if len(x) <= _SHOWN else x[: _SHOWN - 3] + "..." for x in lines[:_LINES])
            more = f"; and {len(lines) - _LINES} more" if len(lines) > _LINES else ""
            said = "; ".join(map(plain, shown))
            by = f" on host '{plain(row.host)}'" if row.host else ""
            yield Found(
                f"The {row.direction} of revision {named(state.history, revision)} failed on "
                f'database "{database.label}" {row.started[:16].replace("T", " ")} UTC{by}, and '
                f"this of it stays: {said}{more}. Run again, it would be done twice.",
                database.location,
                "undo these statements by hand, or take them out of the revision if they may "
                f"stay; then run: {_COMMANDS[row.direction == 'upgrade']}",
                bind=database.bind,
                subject=revision,
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
        # A record of an earlier release may have what a later one would not write down.
        last = " ".join(without_secrets(done[-1].statement[:2_000]).split())
        last = last if len(last) <= _SHOWN else last[: _SHOWN - 3] + "..."
        by = f" on host '{plain(done[0].host)}'" if done[0].host else ""
        found = state.history.by_id.get(revision)
        beside = any(row.kind == "beside" for row in done)
        hint = (
            "flask db safe-upgrade goes on after it"
            if direction == "upgrade"
            else "flask db doctor --fix goes on after it"
        )
        if beside:
            parents = found.parents if found is not None else ()
            hint = (
                "no run goes on over what was said on another connection: look whether it is in, "
                f"then {by_hand(revision, direction, parents)}"
            )
        yield Found(
            f"The {direction} of revision {named(state.history, revision)} is half applied to "
            f'database "{database.label}": it was begun '
            f"{done[0].started[:16].replace('T', ' ')} UTC{by}, "
            f"{counted(len(done), 'statement')} that "
            f"change{'s' if len(done) == 1 else ''} something {'is' if len(done) == 1 else 'are'} "
            f"in, the last of them number {done[-1].position + 1}: {last.rstrip('.')}.",
            database.location,
            hint,
            bind=database.bind,
            severity=Severity.ERROR,
            # The other way there may be nothing to do, which would pass for a whole schema.
            blocks=("downgrade",) if direction == "upgrade" else ("upgrade", "deploy"),
            repair=f"runs the rest of '{revision}'" if found and not beside else None,
            steps=(Step("finish", (revision,)),) if found and not beside else (),
            subject=revision,
        )
