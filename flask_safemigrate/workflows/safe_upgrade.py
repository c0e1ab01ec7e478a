"""The guarded way up or down."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.errors import Blocked, LockLost, SafeMigrateError
from flask_safemigrate.findings import Finding
from flask_safemigrate.outcome import Outcome, Progress, Status, status_away, status_of
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning import plan_downgrade, plan_upgrade, why_not
from flask_safemigrate.planning.phases import left_over
from flask_safemigrate.state import UNFINISHED_KINDS, State
from flask_safemigrate.workflows.ports import Ports, Request

_FIRST_PAUSE = 0.5  # seconds
_LONGEST_PAUSE = 5.0


def told(command: str, work: Callable[[], Outcome], *, stopped: str = "") -> Outcome:
    """Run the work; an error that is meant for a person becomes an outcome.

    :param stopped: what a signal leaves behind that nothing else has told of.
    """
    started = time.perf_counter()
    try:
        outcome = work()
    except SafeMigrateError as error:
        outcome = Outcome(command, status_of(error), error=error.message, hint=error.hint or "")
    except KeyboardInterrupt as stop:
        left = stopped or "No change was under way; flask db status tells where the databases are."
        message = f"Stopped by {str(stop) or 'Ctrl-C'}. {left}"
        outcome = Outcome(command, Status.FAILED, error=message)
    return outcome._replace(seconds=time.perf_counter() - started)


def plans_for(state: State, request: Request) -> tuple[Plan, ...]:
    """One plan a database, empty ones included."""
    history, databases = state.history, state.databases
    if request.direction == "downgrade":
        return tuple(plan_downgrade(history, d, request.revision) for d in databases)
    return tuple(plan_upgrade(history, d, request.revision, request.phase) for d in databases)


def blocked(state: State, findings: Sequence[Finding], request: Request) -> Outcome | None:
    """The outcome of a run that must not start, None where it may."""
    reasons = why_not(findings, request.allow)
    if not reasons:
        return None
    away = [d.unreachable for d in state.databases if d.unreachable is not None]
    return Outcome(
        request.command,
        status_away(*(reason.kind for reason in away)) if away else Status.REFUSED,
        databases=state.databases,
        state=state,
        findings=tuple(reasons),
        error=f"{request.command} was not started because of {_first(reasons)}.",
    )


def _first(reasons: Sequence[Finding]) -> str:
    codes = list(dict.fromkeys(finding.code for finding in reasons))
    return codes[0] + (f" and {len(codes) - 1} more" if len(codes) > 1 else "")


def safe_upgrade(ports: Ports, request: Request) -> Outcome:
    """Read, check, plan, stop if blocked or empty, lock, read again, apply, report.

    The snapshot, the revisions and the proof are one step, because they share a transaction.
    """
    outcome = told(request.command, lambda: _line(ports, request))
    return outcome._replace(dry_run=request.dry_run)


def _line(ports: Ports, request: Request) -> Outcome:
    first = look(ports, request)
    if request.direction == "downgrade" and first.status is Status.DONE and first.state:
        gone = ports.losses(first.plans, first.state)
        first = first._replace(notes=(*first.notes, *gone))
    if request.dry_run:
        return _rehearse(ports, request, first) if first.status is Status.DONE else first
    if first.status is not Status.DONE and not may_be_passing(first):
        return first
    if first.status is Status.DONE and not agreed(request, first):
        return first._replace(status=Status.FAILED, error="Nothing was changed.")

    def work() -> Outcome:
        second = look(ports, request)
        if second.status is not Status.DONE:
            return second
        if first.status is not Status.DONE and not agreed(request, second):
            return second._replace(status=Status.FAILED, error="Nothing was changed.")
        try:
            return _apply(ports, request, second)
        finally:
            ports.prune_snapshots()

    return under_lock(nullcontext() if request.locked else locked(ports, request, first), work)


def _apply(ports: Ports, request: Request, looked: Outcome) -> Outcome:
    """Run the plans; a failure still says what was planned and which snapshot was taken."""
    taken: list[str] = []

    def say(news: Progress) -> None:
        if news.stage == "snapshot":
            taken.append(news.subject)
        request.say(news)

    try:
        return _until_unblocked(ports, request._replace(say=say), looked)
    except SafeMigrateError as error:
        notes = tuple(
            f"Taken before: snapshot {name} (flask db restore {name})." for name in taken
        )
        return looked._replace(
            status=status_of(error),
            error=error.message,
            hint=error.hint or "",
            notes=(*looked.notes, *notes),
        )


def _until_unblocked(ports: Ports, request: Request, looked: Outcome) -> Outcome:
    """Run the plans; where another session has a table's lock for too long, make way and begin
    again, with plans made anew, until the wait for locks is over.

    :raises Blocked: it is over.
    """
    wait = ports.settings.lock_wait if request.lock_wait is None else request.lock_wait
    started = time.monotonic()
    pause = _FIRST_PAUSE
    while True:
        try:
            return looked._replace(applied=ports.apply(looked.plans, request))
        except Blocked as error:
            waited = time.monotonic() - started
            if waited >= wait:
                raise
            text = f"{error.message} Trying again ({waited:.0f} of {wait:.0f} s)"
            request.say(Progress("waiting", "lock", text, waited))
            # Those who queued up behind the lock that we waited for have their turn meanwhile.
            time.sleep(min(pause * random.uniform(0.5, 1.5), wait - waited))
            pause = min(pause * 2, _LONGEST_PAUSE)
        looked = look(ports, request)
        if looked.status is not Status.DONE:
            return looked


def agreed(request: Request, looked: Outcome) -> bool:
    """Whether whoever may be asked lets the plan go on."""
    return request.confirm is None or request.confirm(looked)


def locked(ports: Ports, request: Request, looked: Outcome) -> AbstractContextManager[None]:
    """The lock on every database that the plans change, or on all where there is no plan."""
    binds = [p.bind for p in looked.plans if not p.empty] or [d.bind for d in looked.databases]
    wait = ports.settings.lock_wait if request.lock_wait is None else request.lock_wait
    return ports.lock(binds, wait, request.say)


def under_lock(lock: AbstractContextManager[None], work: Callable[[], Outcome]) -> Outcome:
    """Do the work while the lock is held.

    A server that goes away takes the work and the lock; what happened to the work is told then,
    for it names the revision and what is in.

    :raises LockLost: the lock was not held to the end of work that succeeded.
    """
    outcome: Outcome | None = None
    try:
        with lock:
            outcome = work()
    except LockLost as lost:
        if outcome is None or outcome.status in (Status.DONE, Status.NOTHING_TO_DO):
            raise
        return outcome._replace(notes=(*outcome.notes, lost.message))
    return outcome


def may_be_passing(looked: Outcome) -> bool:
    """Whether what stopped the run may be the middle of another process's run.

    Servers that commit every DDL statement show tables before the version table names a
    revision, and an SQLite file is locked while a transaction is written to it. Under the lock
    it shows whether it passes.
    """
    if looked.status in (Status.UNAVAILABLE, Status.NEEDS_PERSON):
        away = [d.unreachable for d in looked.databases if d.unreachable is not None]
        return all(reason.kind in ("locked", *UNFINISHED_KINDS) for reason in away)
    codes = [finding.code for finding in looked.findings]
    return looked.status is Status.REFUSED and all(c.startswith(("SM3", "SM4")) for c in codes)


def look(ports: Ports, request: Request) -> Outcome:
    """Read, check and plan; the status is DONE where there is work that may start."""
    state = ports.read(thorough=request.command == "deploy")
    findings = run_checks(state, command=request.command)
    stopped = blocked(state, findings, request)
    if stopped is not None:
        return stopped
    plans = plans_for(state, request)
    empty = all(plan.empty for plan in plans)
    return Outcome(
        request.command,
        Status.NOTHING_TO_DO if empty else Status.DONE,
        databases=state.databases,
        state=state,
        findings=findings,
        plans=plans,
        notes=_left(state, plans, request),
    )


def _left(state: State, plans: Sequence[Plan], request: Request) -> tuple[str, ...]:
    told = (left_over(state.history, p.location, p.left, request.phase) for p in plans)
    return (*filter(None, told), *_commits(state, plans))


#: What ``transaction_per_migration`` means, by dialect.
_PER_REVISION = {
    "postgresql": "Each revision is committed by itself, as transaction_per_migration asks for: a "
    "failure undoes the revision that fails, and not those before it.",
    "sqlite": "transaction_per_migration has no part in it: on SQLite all revisions share one "
    "transaction, and a failure undoes all of them.",
}


def _commits(state: State, plans: Sequence[Plan]) -> list[str]:
    if not state.project.per_revision:
        return []
    several = {plan.bind for plan in plans if len(plan.steps) > 1}
    dialects = sorted({d.dialect for d in state.databases if d.bind in several})
    return [_PER_REVISION[each] for each in dialects if each in _PER_REVISION]


def _rehearse(ports: Ports, request: Request, looked: Outcome) -> Outcome:
    servers = sorted({d.dialect for d in looked.databases if d.dialect != "sqlite"})
    if servers and request.sql:
        return looked._replace(script=ports.script(looked.plans))
    if servers:
        note = (
            f"A rehearsal on a copy is for SQLite; on {', '.join(servers)} only the plan is shown."
        )
        return looked._replace(notes=(*looked.notes, note))
    applied = ports.rehearse(looked.plans, request)
    return looked._replace(applied=applied, notes=(*looked.notes, "Nothing was changed."))
