"""What stopped a run, and what it left behind."""

from __future__ import annotations

import contextlib
import itertools
import shlex
from collections.abc import Sequence
from typing import Any

from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.alembic_bridge import journal
from flask_safemigrate.alembic_bridge.cures import cure_here, is_missing, without_addresses
from flask_safemigrate.alembic_bridge.failure import (
    cause_of,
    half_applied,
    migration_failed,
    short,
)
from flask_safemigrate.alembic_bridge.run_record import Position, Run, directory_of, is_untouched
from flask_safemigrate.errors import (
    Blocked,
    DatabaseUnavailable,
    HalfApplied,
    Interrupted,
    LockTimeout,
    MigrationFailed,
    OperationRefused,
    Refused,
    SafeMigrateError,
    UsageError,
)
from flask_safemigrate.names import JOURNAL, PROGRESS_TABLE
from flask_safemigrate.plan import Plan


def where_it_is(plan: Plan, now: tuple[str, ...] | None) -> str:
    if now is None:
        return f"{plan.location} cannot be looked at now"
    if set(now) == set(plan.start):
        return f"{plan.location} is as it was"
    if set(now) == set(plan.target):
        return f"{plan.location} was finished before that and is at {', '.join(now) or 'base'}"
    return f"{plan.location} is at {', '.join(now) or 'base'}"


def _aftermath(run: Run, position: Position) -> str:
    """Where every database is now, by looking."""
    plans = [plan for plan in run.plans.values() if not plan.empty]
    now = {plan.bind: run.databases.heads_now(plan.bind) for plan in plans}
    said = "; ".join(where_it_is(plan, now[plan.bind]) for plan in plans)
    heads = [now[plan.bind] for plan in plans]
    undone = all(
        h is not None and set(h) == set(p.start) for h, p in zip(heads, plans, strict=True)
    )
    if position.leaked is not None and not is_untouched(position):
        back = run.databases.way_back(position.bind)
        look = f"flask db restore {back}, or look" if back else "Look"
        return (
            f"Revision '{position.leaked}'{_at(position)} ended the transaction by itself, so "
            f"what was done before that stayed; by its version table {said}. {look} what is there."
        )
    undone = undone and not position.beside
    return f"Everything was undone; {said}." if undone else f"{said}."


def _at(position: Position) -> str:
    return position.leaked_at and f"{position.leaked_at},"


def _partly_outside(what: str, position: Position, run: Run) -> HalfApplied:
    """A revision failed, and what it did before and inside its ``autocommit_block`` stays."""
    # One that was run by itself was heard twice.
    said = [statement for statement, _ in itertools.groupby(position.stays)]
    shown = [short(statement) for statement in said]
    listed = "\n".join(f"  {statement}" for statement in shown)
    again = _go_on(run, position, shown)
    plan = run.plans[position.bind]
    where = where_it_is(plan, run.databases.heads_now(position.bind))
    if position.leaked is not None:
        return HalfApplied(
            f"{what}\nRevision '{position.leaked}'{_at(position)} ended the transaction by "
            f"itself, so this of it is in, though by the version table {where}:\n{listed}",
            hint=f"{again}. In place of COMMIT, best in a revision of its own,\n"
            "      with op.get_context().autocommit_block():\n"
            "          op.execute(...)  # what allows no transaction",
        )
    return HalfApplied(
        f"{what}\n{where}. Revision '{position.cut}' cuts the transaction by "
        f"autocommit_block(), so this of it is in:\n{listed}",
        hint=f"{again}. One block a revision, and nothing else in it, avoids this",
    )


def _leaked_unseen(position: Position, run: Run) -> bool:
    """Whether the transaction was committed where nobody heard it, as a procedure can."""
    guard = position.guard
    if guard is None or not guard.transactional_ddl or run.rehearse is not None:
        return False
    seen = position.leaked or position.cut or position.bind in position.committed
    return not seen and bool(position.statements) and guard.was_committed()


def _beside(what: str, position: Position, run: Run) -> HalfApplied:
    """A revision failed, and what it had committed on another connection stays."""
    listed = "\n".join(f"  {said}" for said in position.beside)
    return HalfApplied(
        f"{what}\nBut this was committed on another connection than the migration's:\n{listed}",
        hint=f"{_go_on(run, position, position.beside)}. Use op.get_bind() in place of "
        "db.session, an engine or its connection, so that they go and come with the rest of the "
        "revision. What is for another database belongs in a revision of that database",
    )


def half_applied_row(run: Run, revision: str, stays: Sequence[str]) -> dict[str, Any]:
    """The line of the journal that keeps the next run from doing statements twice."""
    return {
        "kind": "half-applied",
        "subject": revision,
        "direction": run.direction,
        "started": journal.now(),
        "source": "\n".join(short(statement) for statement in stays),
    }


def _go_on(run: Run, position: Position, stays: Sequence[str]) -> str:
    """Note what stays where the next run looks, and say how to go on without running it twice."""
    revision = position.leaked or position.revision
    allow = ""
    if run.keep_journal and revision is not None:
        # The message says all of it, also where the server is gone and nothing can be noted.
        with contextlib.suppress(SafeMigrateError, SQLAlchemyError):
            run.databases.note(position.bind, **half_applied_row(run, revision, stays))
            allow = " --allow SM315"
    return (
        "undo these statements by hand, or take them out of the revision if they may stay, for "
        f"they would be done twice; then run: {_again(run)}{allow}"
    )


def _again(run: Run) -> str:
    if run.direction == "upgrade":
        return "flask db safe-upgrade"
    targets = {plan.target for plan in run.plans.values() if not plan.empty}
    if len(targets) == 1 and len(target := targets.pop()) < 2:
        # A relative one would go further down from where a part of the way was committed.
        return f"flask db safe-downgrade {shlex.quote(target[0]) if target else 'base'}"
    return f"flask db safe-downgrade {shlex.quote(run.revision)}"


def _in_part(run: Run, position: Position, told: SafeMigrateError) -> HalfApplied | None:
    """What is in, where a server has kept a part; None where everything is as it was."""
    plans = [plan for plan in run.plans.values() if not plan.empty]
    in_pieces = run.rehearse is None and any(
        run.databases.catalogue_of(plan.bind) for plan in plans
    )
    if position.guard is None or not in_pieces:
        return None
    now = {plan.bind: run.databases.heads_now(plan.bind) for plan in plans}
    left = {
        plan.bind: [r for r in run.databases.progress_of(plan.bind) if r.changes] for plan in plans
    }
    moved = any(at is None or set(at) != set(run.plans[bind].start) for bind, at in now.items())
    if not moved and not any(left.values()):
        return None
    places = {plan.bind: where_it_is(plan, now[plan.bind]) for plan in plans}
    away = [bind for bind, at in now.items() if at is None]
    if away:
        running = f"revision '{position.revision}'" if position.revision else "a revision"
        places |= {
            bind: f"{places[bind]}; it commits every DDL statement, so {running} may be half "
            "applied there, which the next run finds out and goes on from"
            for bind in away
        }
        told.hint = f"once the server answers, run: {_again(run)}"
    ways_back = {plan.bind: run.databases.way_back(plan.bind) for plan in plans}
    return half_applied(told, plans, places, left, ways_back, away, again=_again(run))


def described(error: BaseException, position: Position, run: Run) -> SafeMigrateError:
    """Say what stopped the run, and what it left behind."""
    in_pieces = position.guard is not None and not position.guard.transactional_ddl
    if isinstance(error, KeyboardInterrupt):
        told: SafeMigrateError = Interrupted(f"Stopped by {str(error) or 'Ctrl-C'}.")
    elif isinstance(error, SafeMigrateError):
        told = error
        if isinstance(error, OperationRefused) and not error.hint and (cure := cure_here(error)):
            told.hint = f"{cure}, then run: {_again(run)}"
    else:
        told = _of_failure(error, position, run)
    if run.rehearse is not None:
        # What a copy has kept of it goes with the copy.
        position.stays.clear()
        position.leaked = None
    position.beside += filter(None, (written() for written in position.opened))
    clean = isinstance(told, Blocked) and not position.statements
    early = position.revision is None and isinstance(told, (Refused, LockTimeout))
    if not clean and not early:
        in_part = _in_part(run, position, told)
        if in_part is not None:
            return _beside(in_part.message, position, run) if position.beside else in_part
    if _leaked_unseen(position, run):
        position.leaked = position.revision or "?"
        position.stays[:] = position.statements
    if position.stays and not in_pieces:
        return _partly_outside(told.message, position, run)
    if position.beside:
        return _beside(f"{told.message}\n{_aftermath(run, position)}", position, run)
    if isinstance(told, (DatabaseUnavailable, LockTimeout, Refused, UsageError)):
        return told
    told.message = f"{told.message}\n{_aftermath(run, position)}"
    if isinstance(told, Interrupted):
        told.hint = "flask db safe-upgrade" if run.direction == "upgrade" else None
    return told


def _is_ours(error: Exception) -> bool:
    """Whether a statement of our own failed, for which the revision is not to blame."""
    statement = getattr(error, "statement", None) or ""
    return any(name in statement for name in (JOURNAL, PROGRESS_TABLE))


def _of_failure(error: BaseException, position: Position, run: Run) -> SafeMigrateError:
    if position.guard is not None and (said := position.guard.waits_for_itself):
        return MigrationFailed(
            f"Revision '{position.revision}' waits for itself: another connection than the "
            f"migration's waits for what the migration has locked, in\n  {said}",
            revision=position.revision,
            hint="use op.get_bind() in place of db.session, an engine or its connection; "
            f"then run: {_again(run)}",
        )
    held = position.guard is not None and position.guard.transactional_ddl
    if held and position.asked_beside and is_missing(error):
        return MigrationFailed(
            f"Revision '{position.revision}' asks on another connection than the migration's, "
            "which does not see what this run has not committed yet: "
            f"{without_addresses(cause_of(error))}\nin\n  {position.asked_beside}",
            revision=position.revision,
            hint="use op.get_bind() in place of db.session, an engine or its connection; "
            f"then run: {_again(run)}",
        )
    if position.guard is not None and position.revision is not None:
        blocked = position.guard.blocked(error, position.revision)
        if blocked is not None:
            return blocked
    if isinstance(error, Exception) and (position.revision is None or _is_ours(error)):
        known = run.databases.explain(position.bind, error)
        if known is not None:
            return known
        if isinstance(error, CommandError):
            return UsageError(str(error), hint="flask db doctor")
    inside = position.revision is not None
    return migration_failed(
        error,
        revision=position.revision,
        directory=directory_of(run),
        again=_again(run),
        remedy=run.databases.remedy(position.bind, error) if inside else None,
    )
