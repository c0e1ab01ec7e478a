"""Everything that is wrong, and its repair."""

from __future__ import annotations

from collections.abc import Sequence
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

    def examine(repairs: tuple[str, ...] = ()) -> Outcome:
        state, findings = catalogue.examine(
            ports.read(thorough=True, compare=not fast), select, ignore, settings=ports.settings
        )
        return Outcome(
            "doctor",
            _verdict(state, findings, strict),
            databases=state.databases,
            state=state,
            findings=findings,
            repairs=repairs,
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
        wait = ports.settings.lock_wait
        binds = sorted({f.bind for f in todo if f.bind is not None})
        done: list[str] = []
        with ports.lock(binds, wait, say):
            # Another process may have changed something since.
            still = {_identity(f) for f in examine().findings}
            for finding in todo:
                if _identity(finding) not in still:
                    done.append(f"{finding.code} is gone; nothing was done about it.")
                    continue
                try:
                    done.append(ports.repair(finding))
                except SafeMigrateError as error:
                    done.append(f"{finding.code} was not repaired: {error.message}")
        return examine(tuple(done))

    return told("doctor", work)


def _identity(finding: Finding) -> tuple[str, str | None, str, str | None]:
    return finding.code, finding.bind, finding.subject, finding.repair


def _verdict(state: State, findings: Sequence[Finding], strict: bool) -> Status:
    worst = max((f.severity for f in findings), default=Severity.INFO)
    if any(d.unreachable for d in state.databases) and worst is Severity.ERROR:
        return Status.UNAVAILABLE
    if worst is Severity.ERROR or (strict and worst is Severity.WARNING):
        return Status.REFUSED
    return Status.DONE
