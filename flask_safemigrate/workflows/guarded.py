"""What the commands share: an outcome whatever happens, the reasons not to start, the lock."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from flask_safemigrate.errors import LockLost, SafeMigrateError
from flask_safemigrate.facts.database import UNFINISHED_KINDS, DatabaseState
from flask_safemigrate.facts.history import History
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Finding
from flask_safemigrate.outcome import Outcome, Status, status_away, status_of
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning import plan_downgrade, plan_upgrade, why_not
from flask_safemigrate.workflows.ports import Ports
from flask_safemigrate.workflows.requests import Request, patience


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
    outcome = _as_it_was_called(command, outcome)
    return outcome._replace(seconds=time.perf_counter() - started)


#: How hints say that a run is to be begun again; what has more options is another thing.
_AGAIN = re.compile(r"\bflask db safe-upgrade\b(?! --(?:dry-run|sql|yes)\b)")


def _as_it_was_called(command: str, outcome: Outcome) -> Outcome:
    """Let hints name the command that was run, where ``safe-upgrade`` is a part of it."""
    if command not in ("deploy", "reset"):
        return outcome
    ids = {step.id for plan in outcome.plans for step in plan.steps}

    def called(text: str) -> str:
        def name(found: re.Match[str]) -> str:
            # To a revision only the other one can go.
            word = text[found.end() :].split(maxsplit=1)[:1]
            return found[0] if ids.intersection(word) else f"flask db {command}"

        return _AGAIN.sub(name, text)

    outcome = outcome._replace(hint=called(outcome.hint))
    if command == "deploy":
        findings = tuple(each._replace(hint=called(each.hint)) for each in outcome.findings)
        outcome = outcome._replace(findings=findings)
    return outcome


def plans_for(state: State, request: Request) -> tuple[Plan, ...]:
    """One plan a database, empty ones included."""
    plans = (_plan(state.history, each, request) for each in state.databases)
    return tuple(
        plan._replace(steps=tuple(step.of_bind(plan.bind) for step in plan.steps))
        for plan in plans
    )


def _plan(history: History, database: DatabaseState, request: Request) -> Plan:
    if request.direction == "downgrade":
        return plan_downgrade(history, database, request.revision)
    return plan_upgrade(history, database, request.revision, request.phase)


def blocked(state: State, findings: Sequence[Finding], request: Request) -> Outcome | None:
    """The outcome of a run that must not start, None where it may."""
    reasons = why_not(findings, request.options.get("allow", ()))
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


def agreed(request: Request, looked: Outcome) -> bool:
    """Whether whoever may be asked lets the plan go on."""
    return request.confirm is None or request.confirm(looked)


def locked(ports: Ports, request: Request, looked: Outcome) -> AbstractContextManager[None]:
    """The lock on every database that the plans change, or on all where there is no plan."""
    binds = [p.bind for p in looked.plans if not p.empty] or [d.bind for d in looked.databases]
    return ports.lock(binds, patience(request.options, ports.settings), request.say)


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
