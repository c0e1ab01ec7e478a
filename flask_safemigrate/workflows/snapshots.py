"""Taking, listing and putting back snapshots."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from flask_safemigrate.errors import (
    DatabaseUnavailable,
    Interrupted,
    LockLost,
    LockTimeout,
    ProgramUnfit,
    SafeMigrateError,
    SnapshotFailed,
    UsageError,
)
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.state import State
from flask_safemigrate.outcome import Outcome, Progress, Status
from flask_safemigrate.workflows.guarded import told
from flask_safemigrate.workflows.ports import Ports
from flask_safemigrate.workflows.requests import (
    RestoreOptions,
    Say,
    SnapshotOptions,
    SnapshotsOptions,
    patience,
    silent,
)


def _chosen(state: State, bind: str | None) -> tuple[DatabaseState, ...]:
    unusable = [m for kind, m in state.project.config_problems if kind == "url"]
    if not state.databases:
        unusable += [message for _, message in state.project.config_problems]
    if unusable:
        raise UsageError(unusable[0], hint="flask db doctor")
    if bind is None:
        return state.databases
    # Reports call the one that has no name so.
    found = tuple(d for d in state.databases if d.bind == bind) or tuple(
        d for d in state.databases if bind == "default" and not d.bind
    )
    if not found:
        names = ", ".join(f"'{d.bind}'" for d in state.databases)
        raise UsageError(f"There is no bind '{bind}'.", hint=f"use one of {names}")
    return found


def _has(ports: Ports, database: DatabaseState, name: str) -> bool:
    """Whether a snapshot of the database begins so."""
    return any(each.id.startswith(name) for each in ports.snapshots(database.bind))


def _there(database: DatabaseState) -> DatabaseState:
    reason = database.unreachable
    if reason is not None:
        raise DatabaseUnavailable(reason.message, kind=reason.kind, hint=reason.hint)
    return database


def take(ports: Ports, options: SnapshotOptions) -> Outcome:
    """Copy one database, or all."""

    def work() -> Outcome:
        state = ports.read()
        chosen = [_there(d) for d in _chosen(state, options.get("bind"))]
        empty = [d.location for d in chosen if not d.exists]
        if empty:
            raise UsageError(
                f"There is no database at {empty[0]} yet.", hint="flask db safe-upgrade"
            )
        why, say = options.get("why", "by hand"), options.get("say") or silent
        taken = tuple(ports.take_snapshot(d.bind, why, say) for d in chosen)
        _prune(ports, [d.bind for d in chosen])
        return Outcome("snapshot", Status.DONE, databases=tuple(chosen), snapshots=taken)

    left = "What was not finished is no snapshot; flask db snapshots lists those that are."
    return told("snapshot", work, stopped=left)


def _prune(ports: Ports, binds: Sequence[str]) -> None:
    """Remove the oldest, unless another process is at work and may need them; the next one does.

    :param binds: of the databases that were copied.
    """
    busy = contextlib.suppress(LockTimeout, LockLost, DatabaseUnavailable)
    with busy, ports.lock(binds, 0, lambda progress: None):
        ports.prune_snapshots()


def listed(ports: Ports, options: SnapshotsOptions) -> Outcome:
    """The snapshots that are there, newest first."""

    def work() -> Outcome:
        state = ports.read()
        chosen = _chosen(state, options.get("bind"))
        found = tuple(s for d in chosen for s in ports.snapshots(d.bind))
        outcome = Outcome("snapshots", Status.DONE, databases=chosen, snapshots=found)
        if not options.get("verify"):
            return outcome
        return _verified(ports, outcome, options.get("say") or silent)

    return told("snapshots", work)


def _verified(ports: Ports, outcome: Outcome, say: Say) -> Outcome:
    damaged: list[str] = []
    unread: list[ProgramUnfit] = []
    total = len(outcome.snapshots)
    for done, snapshot in enumerate(outcome.snapshots):
        say(Progress("verifying", snapshot.id, bind=snapshot.bind, done=done, total=total))
        try:
            ports.verify_snapshot(snapshot)
        except ProgramUnfit as error:
            unread.append(error)
        except SnapshotFailed as error:
            damaged.append(error.message)
    notes = []
    if total:
        whole = total - len(damaged) - len(unread)
        many = f"{total} snapshots are" if total > 1 else "1 snapshot is"
        notes.append(f"{whole} of {many} whole.")
    if unread:
        notes.append(f"{len(unread)} cannot be read by the programs of this machine.")
    if not damaged and not unread:
        return outcome._replace(notes=tuple(notes))
    hint = "flask db snapshot  # takes a new one"
    if unread:
        hint = unread[0].hint or ""
    return outcome._replace(
        status=Status.FAILED,
        notes=tuple(notes),
        error="\n".join([*damaged, *(error.message for error in unread)]),
        hint=hint,
    )


def restore(ports: Ports, name: str | None, options: RestoreOptions) -> Outcome:
    """Prove the snapshot, keep the present state, put the snapshot back, look at the result.

    Where it goes into another database, nothing is kept or locked.
    """
    into, confirm, say = options.get("into"), options.get("confirm"), options.get("say") or silent

    def work() -> Outcome:
        state = ports.read()
        chosen = _chosen(state, options.get("bind"))
        if len(chosen) > 1 and name is not None:
            chosen = tuple(d for d in chosen if _has(ports, d, name)) or chosen
        if len(chosen) > 1:
            names = ", ".join(f"'{d.bind}'" for d in chosen)
            raise UsageError(
                f"There are several databases: {names}.", hint="flask db restore --bind NAME"
            )
        database = chosen[0]
        snapshot = ports.find_snapshot(database.bind, name)
        shown = Outcome(
            "restore", Status.DONE, databases=(database,), snapshots=(snapshot,), state=state
        )
        if into is not None:
            filled = ports.put_back_into(into, snapshot, say)
            notes = [f"Put snapshot {snapshot.id} into {filled.location}."]
            return shown._replace(databases=(filled,), notes=tuple(notes))
        if confirm is not None and not confirm(shown):
            return shown._replace(status=Status.FAILED, error="Nothing was changed.")
        kept = None
        with ports.lock([database.bind], patience(options, ports.settings), say):
            if database.exists and database.unreachable is None:
                kept = ports.take_snapshot(database.bind, "restore", say)
            say(Progress("restoring", snapshot.id, snapshot.path, bind=database.bind))
            try:
                proven = ports.put_back(snapshot, say)
            except KeyboardInterrupt as stop:
                raise Interrupted(
                    f"Stopped by {str(stop) or 'Ctrl-C'}. The database is as it was, or as the "
                    "snapshot is.",
                    hint=f"flask db restore {snapshot.id}",
                ) from stop
            except SafeMigrateError as error:
                if kept is not None:
                    error.message += f"\nWhat was there before is snapshot {kept.id}."
                raise
            ports.prune_snapshots(keep=[snapshot.id])
        after = ports.read()
        now = _chosen(after, database.bind)[0]
        notes = [f"Put back snapshot {snapshot.id}."]
        notes.extend(f"Verified: {sentence}." for sentence in proven)
        if kept is not None:
            notes.append(f"What was there before is snapshot {kept.id}.")
        wrong = set(now.version_rows or ()) != set(snapshot.revisions)
        if wrong:
            notes.append(
                f"The database names {', '.join(now.version_rows or ()) or 'no revision'}, the "
                f"snapshot {', '.join(snapshot.revisions) or 'none'}."
            )
        heads = set(after.history.heads)
        if set(snapshot.revisions) != heads:
            notes.append(
                "The restored database is not at head; the code may expect a newer schema. "
                "To go there: flask db safe-upgrade"
            )
        taken = (snapshot,) if kept is None else (snapshot, kept)
        return Outcome(
            "restore",
            Status.FAILED if wrong else Status.DONE,
            databases=(now,),
            state=after,
            snapshots=taken,
            notes=tuple(notes),
        )

    return told("restore", work, stopped="Nothing was put back.")
