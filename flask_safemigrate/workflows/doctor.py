"""Everything that is wrong, and its repair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from flask_safemigrate.checks import catalogue
from flask_safemigrate.errors import SafeMigrateError
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Outcome, Status
from flask_safemigrate.state import State
from flask_safemigrate.workflows.ports import Confirm, Ports, Say
from flask_safemigrate.workflows.safe_upgrade import told


def doctor(
    ports: Ports,
    *,
    select: Sequence[str],
    ignore: Sequence[str],
    fix: Sequence[str] | None,
    strict: bool,
    fast: bool,
    confirm: Confirm | None,
    say: Say,
) -> Outcome:
    """Read, check; with ``fix`` repair what can be repaired, then read and check again.

    :param fast: do not compare the schemas, for which the history is replayed.
    """

    def examine() -> Outcome:
        state, findings = catalogue.examine(
            ports.read(thorough=True, compare=not fast), select, ignore, settings=ports.settings
        )
        return Outcome(
            "doctor",
            _verdict(state, findings, strict),
            databases=state.databases,
            state=state,
            findings=findings,
        )

    def work() -> Outcome:
        outcome = examine()
        if fix is None:
            return outcome
        todo = [f for f in outcome.findings if f.repair and (not fix or f.code in fix)]
        if not todo:
            return replace(outcome, notes=("Nothing here can be repaired by this command.",))
        if confirm is not None and not confirm(replace(outcome, findings=tuple(todo))):
            return replace(outcome, notes=("Nothing was changed.",))
        binds = sorted({f.bind for f in todo if f.bind is not None})
        with ports.lock(binds, ports.settings.lock_wait, say):
            # Another process may have changed something since.
            done, not_done = _repair(ports, examine().findings, todo, examine, say)
        proven = replace(examine(), repairs=tuple(done), notes=tuple(not_done))
        if not_done and proven.status is Status.DONE:
            return replace(proven, status=Status.FAILED, error="Not everything was repaired.")
        return proven

    return told("doctor", work)


def _repair(
    ports: Ports,
    found: Sequence[Finding],
    todo: Sequence[Finding],
    examine: Callable[[], Outcome],
    say: Say,
) -> tuple[list[str], list[str]]:
    """Repair one finding after the other, each proven by checks; what was done, and what not.

    Files come first: what a database needs shows once the history is whole.
    """
    done: list[str] = []
    not_done: list[str] = []
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
    return done, not_done


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


def _identity(finding: Finding) -> tuple[str, str | None, str, str | None]:
    return finding.code, finding.bind, finding.subject, finding.repair


def _verdict(state: State, findings: Sequence[Finding], strict: bool) -> Status:
    checkout = state.project.checkout
    if checkout.failure is not None or not checkout.initialised:
        return Status.USAGE
    worst = max((f.severity for f in findings), default=Severity.INFO)
    if any(d.unreachable for d in state.databases) and worst is Severity.ERROR:
        return Status.UNAVAILABLE
    if worst is Severity.ERROR or (strict and worst is Severity.WARNING):
        return Status.REFUSED
    return Status.DONE
