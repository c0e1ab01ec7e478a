"""The guarded way up or down."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import nullcontext

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.checks.found import restoring
from flask_safemigrate.errors import Blocked, NoRehearsal, SafeMigrateError
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import LOSSES, Finding, Severity
from flask_safemigrate.outcome import Outcome, Progress, Status, status_of
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning.phases import left_over
from flask_safemigrate.planning.waivers import waive, waivers_of
from flask_safemigrate.workflows.guarded import (
    agreed,
    blocked,
    locked,
    may_be_passing,
    plans_for,
    told,
    under_lock,
)
from flask_safemigrate.workflows.ports import Ports
from flask_safemigrate.workflows.requests import (
    DowngradeOptions,
    Request,
    UpgradeOptions,
    patience,
    request_of,
)
from flask_safemigrate.workflows.reviewed import as_reviewed, proven, written

_FIRST_PAUSE = 0.5  # seconds
_LONGEST_PAUSE = 5.0


def upgrade(ports: Ports, revision: str, options: UpgradeOptions) -> Outcome:
    """The guarded upgrade."""
    return safe_upgrade(ports, request_of("safe-upgrade", options, revision))


def downgrade(ports: Ports, revision: str, options: DowngradeOptions) -> Outcome:
    """The guarded downgrade."""
    request = request_of("safe-downgrade", options, revision, "downgrade")
    return safe_upgrade(ports, request)


def safe_upgrade(ports: Ports, request: Request) -> Outcome:
    """Read, check, plan, stop if blocked or empty, lock, read again, apply, report.

    The snapshot, the revisions and the proof are one step, because they share a transaction.
    """
    outcome = told(request.command, lambda: _line(ports, request))
    only = request.options.get("dry_run", False) or bool(request.options.get("plan_out"))
    return outcome._replace(dry_run=only)


def _line(ports: Ports, request: Request) -> Outcome:
    request = as_reviewed(ports, request)
    first = look(ports, request)
    if not request.locked:
        first = judged(ports, request, first)
    first = proven(ports, request, first)
    if request.options.get("plan_out"):
        ready = first.status in (Status.DONE, Status.NOTHING_TO_DO)
        return written(ports, request, first) if ready else first
    if request.direction == "downgrade" and first.status is Status.DONE and first.state:
        gone = ports.losses(first.plans, first.state)
        first = first._replace(notes=(*first.notes, *gone))
    if request.options.get("dry_run"):
        return _rehearse(ports, request, first) if first.status is Status.DONE else first
    if first.status is not Status.DONE and not may_be_passing(first):
        return first
    if first.status is Status.DONE and not agreed(request, first):
        return first._replace(status=Status.FAILED, error="Nothing was changed.")

    def work() -> Outcome:
        second = proven(ports, request, look(ports, request))
        if first.status is not Status.DONE or first.plans != second.plans:
            second = judged(ports, request, second)
        else:
            second = second._replace(findings=(*second.findings, *hazards_in(first)))
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
    taken: list[tuple[str, str]] = []

    def say(news: Progress) -> None:
        if news.stage == "snapshot":
            taken.append((news.subject, news.bind))
        request.say(news)

    try:
        return _until_unblocked(ports, request._replace(say=say), looked)
    except SafeMigrateError as error:
        notes = tuple(
            f"Taken before: snapshot {name}\n`{restoring(name, bind)}`" for name, bind in taken
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
    wait = patience(request.options, ports.settings)
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
        again = look(ports, request)
        if again.status is not Status.DONE:
            return again
        looked = again._replace(findings=(*again.findings, *hazards_in(looked)))


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


def judged(ports: Ports, request: Request, looked: Outcome) -> Outcome:
    """Add what the plans would lock, lose, break or fail on; refused where an error stands.

    What goes is told, as before a downgrade: ``safe-upgrade`` asks for it, ``deploy`` stops where
    it is much. Where nobody is asked and all databases are SQLite's there is nothing to gain:
    nothing waits for locks of tables there, and a run that fails is undone.
    """
    ready = looked.status is Status.DONE and looked.state is not None
    if not ready or request.direction != "upgrade" or not ports.settings.gate:
        return looked
    assert looked.state is not None
    deploys = request.command == "deploy"
    asked = request.confirm is not None and request.options.get("asks", True)
    sqlite = all(d.dialect == "sqlite" for d in looked.databases)
    rehearsed = request.options.get("dry_run") and not request.options.get("sql")
    tried = sqlite and not deploys and rehearsed
    if sqlite and not (deploys or asked or tried):
        return looked
    try:
        steps = {step.id: step for plan in looked.plans for step in plan.steps}
        left = waive(
            ports.hazards(looked.plans, looked.state, small=False),
            [*waivers_of(steps.values()), *ports.settings.allow],
            whole=False,
        )
    except SafeMigrateError:
        raise
    except Exception as error:
        said = str(error).splitlines() or [type(error).__name__]
        note = f"What the pending revisions do could not be judged: {said[0]}"
        return looked._replace(notes=(*looked.notes, note))
    if left == ((), ()):
        return looked
    state = looked.state._replace(hazards=left.hazards, waived=left.waived)
    looked = looked._replace(notes=(*looked.notes, *left.notes))
    found = tuple(
        f._replace(
            blocks=f.severity is Severity.ERROR
            and (deploys or f.code not in LOSSES)
            # The copy shows it.
            and not tried
        )
        for f in run_checks(state, ["SM6"], command=request.command, settings=ports.settings)
        if f.severity > Severity.INFO or f.code in LOSSES
    )
    stopped = blocked(state, found, request)
    if stopped is not None:
        return stopped._replace(plans=looked.plans)
    return looked._replace(findings=(*looked.findings, *found), state=state)


def hazards_in(looked: Outcome) -> tuple[Finding, ...]:
    """What :func:`judged` has added."""
    return tuple(f for f in looked.findings if f.code.startswith("SM6"))


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
    if servers and request.options.get("sql"):
        return looked._replace(script=ports.script(looked.plans))
    try:
        applied = ports.rehearse(looked.plans, request)
    except NoRehearsal as error:
        why = f"{error.message.rstrip('.')}."
        note = f"Only the plan is shown, and nothing was tried: {why}"
        hint = (f"Hint: {error.hint}",) if error.hint else ()
        return looked._replace(notes=(*looked.notes, note, *hint))
    return looked._replace(applied=applied, notes=(*looked.notes, "Nothing was changed."))
