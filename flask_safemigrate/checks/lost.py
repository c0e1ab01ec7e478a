"""SM3xx: a database is at a revision that no file has, and what became of the file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import PurePath

from flask_safemigrate.checks.found import (
    Found,
    commit,
    file,
    in_shell,
    listed,
    plain,
    reached,
    searching,
    stamping,
    tables,
    versions,
)
from flask_safemigrate.checks.proof import Proof, proven
from flask_safemigrate.checks.tracing import (
    by_hand,
    chain,
    cut_from,
    fixing,
    looked,
    nearly,
    restoring,
    went,
)
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.past import Lost
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Step

_Row = tuple[DatabaseState, str, Lost]


def _joins(state: State, ids: tuple[str, ...]) -> frozenset[str]:
    """The revisions that are there on which lost ones stand."""
    lost = state.past.lost
    parents = {parent for id in ids for parent in lost[id].parents or ()}
    return frozenset(parents & state.history.by_id.keys())


def _written_anew(state: State, id: str) -> bool:
    """Whether what is lost belongs to a history of its own, and another has taken its place.

    A file that was given another id ends the way back: it is part of the new history.
    """
    lost, known = state.past.lost, state.history.by_id
    seen: set[str] = set()
    waiting = [id]
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        found = lost.get(place)
        if place in known or found is None or not (found.restorable or found.became):
            return False
        waiting.extend(found.parents or ())
    return bool(known)


def _unknown(state: State, database: DatabaseState) -> list[str]:
    """Rows that no revision file explains, not even a broken one."""
    history = state.history
    return [
        row
        for row in dict.fromkeys(database.version_rows or ())
        if row not in history.by_id
        and not any(b.id == row or row in file(b.path) for b in history.broken)
        and not cut_from(state, row)
        and not nearly(state, row)
    ]


def _parent_is_reported(state: State, row: str) -> bool:
    """Whether the file is missed by another file too; that is one cause."""
    return row in state.history.children and not state.past.lost.get(row, Lost(row)).became


def _lost_rows(state: State) -> Iterator[_Row]:
    for database in reached(state):
        for row in _unknown(state, database):
            if not _parent_is_reported(state, row):
                yield database, row, state.past.lost.get(row, Lost(row))


def _proof(state: State, database: DatabaseState) -> Proof | None:
    """The proof, where what is known beside the lost revision does not speak against it."""
    comparison = state.comparisons.get(database.bind)
    # A table that nobody knows may be the work of the revision that is lost.
    proof = None if comparison and comparison.strangers else proven(state, database)
    known = set(database.version_rows or ()) - set(_unknown(state, database))
    if proof is None or not known <= state.history.ancestors(tuple(proof.stamp.split())):
        return None
    return proof


def _applied_by_us(database: DatabaseState, id: str) -> tuple[str, str] | None:
    """When and where our commands applied a revision to this database last."""
    return next(
        (
            ((row.finished or row.started)[:16].replace("T", " ") + " UTC", row.host)
            for row in reversed(database.journal)
            if row.kind == "revision" and row.subject == id and row.direction == "upgrade"
        ),
        None,
    )


def _kind(state: State, database: DatabaseState, lost: Lost) -> str:
    """Which of the checks below tells what became of a revision."""
    ids = chain(state, lost.id)
    if lost.other_path:
        return "other folder"
    if lost.became and lost.became in state.history.by_id:
        return "rewritten"
    by_git = lost.fate in ("uncommitted", "deleted")
    if _written_anew(state, lost.id) or (not ids and by_git and _proof(state, database)):
        return "rewritten"
    if by_git:
        return "gone"
    if lost.fate == "elsewhere":
        return "other branch"
    if _applied_by_us(database, lost.id):
        # A file between others, or one whose bytecode is here, was here and went.
        on_top = not ids or _joins(state, ids) <= set(state.history.heads)
        return "newer" if on_top and not lost.bytecode else "gone"
    return "rewritten" if _proof(state, database) else "gone"


def _is_at(state: State, database: DatabaseState, row: str) -> str:
    return (
        f"Database \"{database.label}\" is at revision '{plain(row)}', which no file in "
        f"{versions(state.project)} has"
    )


def unknown_revision(state: State) -> Iterator[Found]:
    """The database is at a revision whose file is gone.

    Cause
        The file was deleted after it had been applied, or was never committed, or this is another
        application's database. Alembic says ``Can't locate revision identified by ...``. Git is
        asked who deleted the file and when; the journal of the database keeps the text of every
        revision that our commands applied.
    Example
        ``alembic_version`` holds ``a1b2``; the file was removed to "start afresh".
    Fix
        ``flask db doctor --fix`` restores the file from git or from the journal, and those before
        it that are gone too. What only the journal has, whoever can write to the database may
        have written, so it wants ``--from-journal`` and shows the whole text first. Where neither
        has it, look for it on the machine that made it. Do not empty ``alembic_version``: the next
        upgrade would create every table again.
    Prevention
        Never delete a revision that any database has applied.
    """
    for database, row, lost in _lost_rows(state):
        if _kind(state, database, lost) != "gone":
            continue
        ids = chain(state, row)
        if ids is None:
            if state.history.revisions or lost.fate:
                yield _untraceable(state, database, row, lost)
            continue
        if not state.history.by_id and not lost.fate:
            # Nothing is here at all: the files were not shipped, which is reported.
            continue
        repair, steps = restoring(state, ids)
        yield Found(
            f"{_is_at(state, database, row)}: {went(lost)}.",
            database.location,
            f"{fixing(repair, steps)}{by_hand(lost)}; never delete the row",
            bind=database.bind,
            repair=repair,
            steps=steps,
            subject=row,
        )


def _untraceable(state: State, database: DatabaseState, row: str, lost: Lost) -> Found:
    """Nobody knows where the file, or one before it, went."""
    needs = [
        id for id in lost.parents or () if id not in state.history.by_id and not chain(state, id)
    ]
    seen = f": {went(lost)}" if lost.fate or lost.kept or lost.spoiled else ""
    if needs and seen:
        seen += f"; but it needs {listed(needs)}, of which nobody has the file"
    left = f' Only "{file(lost.bytecode)}" is left of it.' if lost.bytecode and not seen else ""
    models = set(state.project.models.get(database.bind, ()))
    others = models and tables(database) and not models & set(tables(database))
    if others:
        left += " None of its tables is a model's: it may be another application's."
    return Found(
        f"{_is_at(state, database, row)}{seen}.{left}{'' if seen else looked(state, row)}",
        database.location,
        f"{_search(state, row)}; never delete the row",
        bind=database.bind,
        subject=row,
    )


def _search(state: State, id: str) -> str:
    if state.past.git and state.past.shallow:
        return "git fetch --unshallow, then flask db doctor"
    if state.past.git:
        return (
            "git fetch --all, then flask db doctor; or copy the file from the machine that made "
            f"it ({searching(id)} there)"
        )
    return (
        f"find the file where the repository is: {searching(id)}, then git checkout COMMIT -- PATH"
    )


def _spoiled(lost: Lost) -> str:
    return f"{went(lost).capitalize()}." if lost.spoiled else ""


def database_ahead(state: State) -> Iterator[Found]:
    """The database is newer than this code.

    Cause
        A newer version of the application applied a revision that this one does not have: an older
        release was deployed again, or a branch without the revision is checked out. The journal
        proves that it was applied here, on top of the newest revision of this code.
    Example
        Release 12 was rolled back to 11; the database stays at 12's revision.
    Fix
        Run the newer code. To go back, ``flask db doctor --fix --from-journal`` shows the missing
        files and writes them from the journal, and ``flask db safe-downgrade`` to the newest
        revision of this code undoes them; or restore the snapshot that was taken before that
        upgrade. Do not stamp: the newer schema stays.
    Prevention
        Before a rollback, ``flask db safe-downgrade`` with the code that is leaving.
    """
    for database, row, lost in _lost_rows(state):
        if _kind(state, database, lost) != "newer":
            continue
        when, host = _applied_by_us(database, row) or ("", "")
        ids = (chain(state, row) if state.history.by_id else None) or ()
        repair, steps = restoring(state, ids) if ids else (None, ())
        heads = sorted(_joins(state, ids))
        down = f"flask db safe-downgrade {' '.join(heads)}"
        back = (
            f". If its file was deleted here, {fixing(repair or '', steps)}; to go back, then "
            f"{down}, or "
        )
        more = f", {len(ids)} revisions after {listed(heads)}" if len(ids) > 1 else ""
        yield Found(
            f'Database "{database.label}" is newer than this code: '
            f"revision '{plain(row)}'{more}, which {versions(state.project)} does not have, "
            f"was applied {when}"
            + (f" from host '{plain(host)}'" if host else "")
            + (". The journal has its text." if ids else f". {_spoiled(lost)}".rstrip()),
            database.location,
            f"run the code that has '{plain(row)}'{back if ids else '. To go back: '}"
            "flask db snapshots and flask db restore ID; do not stamp",
            bind=database.bind,
            repair=repair,
            steps=steps,
            subject=row,
        )


def on_another_branch(state: State) -> Iterator[Found]:
    """The database is at a revision of another branch of the repository.

    Cause
        The revision was applied while another branch was checked out, which has its file; this
        one does not. Alembic says ``Can't locate revision identified by ...``.
    Example
        ``flask db upgrade`` on ``feature``, then ``git switch main``.
    Fix
        Go back to that branch and downgrade before leaving it, merge the branch, or use a database
        of its own for each branch. Bringing the one file over works too, while both branches are
        going to be merged.
    Prevention
        ``flask db safe-downgrade`` before ``git switch``, or a database for each branch.
    """
    for database, row, lost in _lost_rows(state):
        if _kind(state, database, lost) != "other branch":
            continue
        name = PurePath(lost.path).name
        # Where its parents are not here either, one file would not do.
        whole = not all(p in state.history.by_id for p in lost.parents or ())
        path = in_shell(f":/{PurePath(lost.path).parent if whole else lost.path}")
        brings = "brings its revisions over" if whole else "brings the file over"
        if lost.branches:
            first = lost.branches[0]
            others = listed(lost.branches)
            where = (
                f"branch {others} has" if len(lost.branches) == 1 else f"branches {others} have"
            )
            switch = first.partition("/")[2] if first.startswith("origin/") else first
            here = next((p for p in lost.parents or () if p in state.history.by_id), "REVISION")
            hint = (
                f"git switch {shlex.quote(switch)}, flask db safe-downgrade {here}, "
                f"git switch -; or git checkout {shlex.quote(first)} -- {path} {brings}"
            )
        else:
            id = lost.commit.id if lost.commit else "COMMIT"
            where = f"{commit(lost.commit)}, which no branch holds any more, has"
            hint = f"git checkout {id} -- {path}"
            if lost.commit and lost.commit.subject.startswith(("untracked files on", "WIP on")):
                where, hint = "a stash of git has", f"git stash pop, or {hint}"
        yield Found(
            f"{_is_at(state, database, row)}; {where} it ({name}"
            + (f", {commit(lost.commit)})." if lost.branches else ")."),
            database.location,
            f"{hint}; never delete the row",
            bind=database.bind,
            subject=row,
        )


def ids_rewritten(state: State) -> Iterator[Found]:
    """The history was rewritten, and the database names an id that it had before.

    Cause
        Revisions were given other ids, or many were squashed into one, after this database had
        applied them. Git shows which id a file has now; else the history is replayed in a scratch
        database, and the revision whose schema the database has is the one.
    Example
        The folder was emptied, and ``flask db migrate`` wrote one new "initial" revision.
    Fix
        ``flask db doctor --fix`` stamps the revision that is proven. Where none is, go back to the
        old files, upgrade to the last of them, and stamp the revision that begins the new history.
    Prevention
        Squash only what every database has applied, and stamp each in the same release.
    """
    for database, row, lost in _lost_rows(state):
        if _kind(state, database, lost) != "rewritten":
            continue
        proof = _proof(state, database)
        if lost.became in state.history.by_id:
            rows = (*(r for r in database.version_rows or () if r != row), lost.became)
            why = (
                f"{commit(lost.commit)} gave \"{PurePath(lost.path).name}\" the id '{lost.became}'"
            )
            steps = (Step("stamp", rows),)
        elif proof is not None:
            anew = _written_anew(state, row)
            why = f"its schema equals {proof.place}: the ids were rewritten" + (
                "" if anew else ", or the file that is gone changed no table"
            )
            rows, steps = tuple(proof.stamp.split()), (proof.step,)
        else:
            yield _no_place_in_new(state, database, row, lost)
            continue
        if lost.fate == "deleted" and not lost.became:
            why = f"{went(lost)}, and {why}"
        stamp = " ".join(rows)
        yield Found(
            f"{_is_at(state, database, row)}; {why}.",
            database.location,
            f"flask db doctor --fix stamps '{stamp}' in its place",
            bind=database.bind,
            repair=f"stamps '{stamp}' in place of '{plain(row)}'",
            steps=steps,
            subject=stamp,
        )


def _no_place_in_new(state: State, database: DatabaseState, row: str, lost: Lost) -> Found:
    begins = [r.id for r in state.history.by_id.values() if not r.parents]
    comparison = state.comparisons.get(database.bind)
    near = (
        f" (the nearest is {listed(comparison.nearest)})"
        if comparison and comparison.nearest
        else ""
    )
    old = (
        f"git worktree add ../before {lost.commit.id}^, flask db upgrade there"
        if lost.fate == "deleted" and lost.commit
        else "upgrade to the last revision of the old files"
    )
    return Found(
        f"{_is_at(state, database, row)}: {went(lost)}, and the history begins anew with "
        f"{listed(begins)}. No revision of it has the schema of this database{near}.",
        database.location,
        f"{old}, then {stamping(begins[:1] or ['REVISION'])} here; never delete the row",
        bind=database.bind,
        subject=row,
    )


def _quoted(path: object) -> str:
    return shlex.quote(str(path))


def in_another_folder(state: State) -> Iterator[Found]:
    """The database belongs to the revisions of another folder.

    Cause
        The file lies where Alembic does not look: in another migrations folder of the project
        (``-d`` names the wrong one, or a bind's database is the other history's), in a folder that
        was moved or renamed, or beside ``versions/`` instead of in it.
    Example
        ``migrations_stats/versions/a1b2.py``, while ``flask db`` reads ``migrations/``.
    Fix
        Name the folder that belongs to this database with ``-d``, or move the file into the folder
        that is read, where it was only mislaid.
    Prevention
        One folder for each database, named where the extension is made:
        ``SafeMigrate(directory="...")``.
    """
    for database, row, lost in _lost_rows(state):
        if _kind(state, database, lost) != "other folder":
            continue
        path = PurePath(lost.other_path)
        root = PurePath(state.project.directory).parent
        shown = path.relative_to(root) if path.is_relative_to(root) else path
        project = state.project
        folder, target = PurePath(project.directory), versions(project)
        mislaid = folder in path.parents and project.versions_exists
        repair = f'moves "{path.name}" into "{target}"' if mislaid else None
        yield Found(
            f'{_is_at(state, database, row)}, but "{shown}" has.',
            database.location,
            f"flask db doctor --fix # {repair}"
            if mislaid
            else f"mkdir {_quoted(target)}; mv {_quoted(shown.parent)}/*_*.py {_quoted(target)}"
            if path.parent == folder
            else f"mv {_quoted(shown.parent)} {_quoted(target)}, if that folder is {target} under "
            "another name"
            if folder in path.parents
            else f"flask db doctor -d {_quoted(shown.parent.parent)}, if this database belongs to "
            f"that history; or mv {_quoted(shown)} {_quoted(target)}, if the file was mislaid",
            repair=repair,
            steps=(Step("move", (str(path),)),) if mislaid else (),
            bind=database.bind,
            subject=row,
            file=str(path),
        )
