"""Everything that is wrong, and its repair."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask_safemigrate.checks import catalogue
from flask_safemigrate.errors import SafeMigrateError
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Outcome, Status, status_away
from flask_safemigrate.planning import why_not
from flask_safemigrate.planning.waivers import waive, waivers_of
from flask_safemigrate.workflows.guarded import plans_for, told
from flask_safemigrate.workflows.ports import Ports
from flask_safemigrate.workflows.requests import DoctorOptions, Request, Say, silent

_Identity = tuple[str, "str | None", str, "str | None"]

_ROUNDS = 5


def doctor(ports: Ports, options: DoctorOptions) -> Outcome:
    """Read, check; with ``fix`` repair what can be repaired, then read and check again."""
    select, ignore = options.get("select", ()), options.get("ignore", ())
    fast, fix, confirm = options.get("fast", False), options.get("fix"), options.get("confirm")
    say = options.get("say") or silent

    def examine() -> Outcome:
        read = ports.read(thorough=True, compare=not fast)
        wanted = (catalogue.codes_of(select) or catalogue.codes_of(["SM6"])) - catalogue.codes_of(
            ignore
        )
        notes: tuple[str, ...] = ()
        if not fast and any(code.startswith("SM6") for code in wanted):
            read, notes = _with_hazards(ports, read)
        state, findings = catalogue.examine(read, select, ignore, settings=ports.settings)
        return Outcome(
            "doctor",
            _verdict(state, findings, options.get("strict", False)),
            databases=state.databases,
            state=state,
            findings=findings,
            notes=notes,
        )

    def work() -> Outcome:
        outcome = examine()
        if fix is None:
            return outcome
        done: list[str] = []
        not_done: list[str] = []
        tried: set[_Identity] = set()
        # Behind one fault another may show, as a table that comes back makes a revision pending.
        for _ in range(_ROUNDS):
            wanted = [
                f
                for f in outcome.findings
                if f.repair and (not fix or f.code in fix) and _identity(f) not in tried
            ]
            todo = [f for f in wanted if options.get("from_journal") or not f.from_journal]
            if not todo:
                not_done += map(_withheld, wanted)
                break
            shown = tuple(text for f in todo for text in ports.preview(f))
            asked = outcome._replace(findings=tuple(todo), notes=shown)
            if confirm is not None and not confirm(asked):
                refused = _ended(outcome, done, not_done)
                note = "Nothing more was changed." if done else "Nothing was changed."
                return refused._replace(notes=(*refused.notes, note))
            tried.update(map(_identity, todo))
            binds = sorted({f.bind for f in todo if f.bind is not None})
            with ports.lock(binds, ports.settings.lock_wait, say):
                # Another process may have changed something since.
                _repair(ports, examine().findings, todo, examine, say, done, not_done)
                ports.prune_snapshots()
            outcome = examine()
        if not tried and not not_done:
            said = "Nothing here can be repaired by this command."
            return outcome._replace(notes=(*outcome.notes, said))
        return _ended(outcome, done, not_done)

    return told("doctor", work)


def _with_hazards(ports: Ports, state: State) -> tuple[State, tuple[str, ...]]:
    """Return the state with what its pending revisions would do, and notes.

    It stays as it is where nothing is pending, or something must be mended before that can run.
    """
    try:
        plans = plans_for(state, Request("doctor"))
    except SafeMigrateError:
        return state, ()
    if all(plan.empty for plan in plans) or why_not(catalogue.run_checks(state)):
        return state, ()
    try:
        found = ports.hazards(plans, state)
        steps = {step.id: step for plan in plans for step in plan.steps}
        judged = waive(found, [*waivers_of(steps.values()), *ports.settings.allow])
        return state._replace(hazards=judged.hazards, waived=judged.waived), judged.notes
    except SafeMigrateError as error:
        said = error.message
    except Exception as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
    return state, (f"What the pending revisions do could not be judged: {said}",)


def _withheld(finding: Finding) -> str:
    return (
        f"{finding.code} was not repaired: the text of the file is only in the journal, where "
        "whoever can write to the database may have written it, and it would run. Hint: flask db "
        "doctor --fix --from-journal shows the whole text first"
    )


def _ended(outcome: Outcome, done: Sequence[str], not_done: Sequence[str]) -> Outcome:
    notes = (*outcome.notes, *not_done)
    ended = outcome._replace(repairs=tuple(done), notes=notes)
    if not_done and outcome.status is Status.DONE:
        return ended._replace(status=Status.FAILED, error="Not everything was repaired.")
    return ended


def _repair(
    ports: Ports,
    found: Sequence[Finding],
    todo: Sequence[Finding],
    examine: Callable[[], Outcome],
    say: Say,
    done: list[str],
    not_done: list[str],
) -> None:
    """Repair one finding after the other, each proven by checks; tells what was done, what not.

    Files come first: what a database needs shows once the history is whole.
    """
    for finding in sorted(todo, key=lambda f: f.code[:3]):
        if _identity(finding) not in map(_identity, found):
            done.append(f"{finding.code} is gone; nothing was done about it.")
            continue
        try:
            repaired = ports.repair(finding, say)
        except SafeMigrateError as error:
            hint = f" Hint: {error.hint}" if error.hint else ""
            not_done.append(f"{finding.code} was not repaired: {error.message}{hint}")
            continue
        after = examine().findings
        worse = _worse(finding, found, after)
        if worse is not None and repaired.take_back is not None:
            repaired.take_back()
            not_done.append(
                f"{finding.code} was not repaired: the repair brought {worse.code} "
                f"({worse.message}), and was taken back."
                if worse.code != finding.code
                else f"{finding.code} was not repaired: the repair did not help, and was taken "
                "back."
            )
            continue
        done.append(repaired.said)
        found = after


def _worse(
    repaired: Finding, before: Sequence[Finding], after: Sequence[Finding]
) -> Finding | None:
    """What a repair left or brought, None where it did good.

    Findings that were hidden behind it and show now are none of its doing.
    """
    known = set(map(_identity, before)) - {_identity(repaired)}
    return next(
        (
            f
            for f in after
            if _identity(f) not in known
            and (
                _identity(f) == _identity(repaired)
                or (f.blocks and f.code.startswith("SM2") and f.code != "SM209")
            )
        ),
        None,
    )


def _identity(finding: Finding) -> _Identity:
    return finding.code, finding.bind, finding.subject, finding.repair


def _verdict(state: State, findings: Sequence[Finding], strict: bool) -> Status:
    checkout = state.project.setup
    if checkout.failure is not None or not checkout.initialised:
        return Status.USAGE
    worst = max((f.severity for f in findings), default=Severity.INFO)
    away = [d.unreachable.kind for d in state.databases if d.unreachable is not None]
    if away and worst is Severity.ERROR:
        return status_away(*away)
    if worst is Severity.ERROR or (strict and worst is Severity.WARNING):
        return Status.REFUSED
    return Status.DONE
