"""What pending revisions would lock, lose, break or fail on."""

from __future__ import annotations

from collections.abc import Sequence

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Outcome, Status
from flask_safemigrate.workflows.guarded import blocked, plans_for, told
from flask_safemigrate.workflows.ports import Ports, Request


def lint(ports: Ports, *, revision: str, strict: bool, offline: bool) -> Outcome:
    """Read, plan, record what the plans would do, judge it."""

    def work() -> Outcome:
        request = Request("lint", revision)
        state = ports.read()
        stopped = blocked(state, run_checks(state, command="status"), request)
        if stopped is not None and not offline:
            return stopped
        plans = plans_for(state, request)
        state = state._replace(hazards=tuple(ports.hazards(plans, state)))
        findings = run_checks(state, ["SM6"], command="lint", settings=ports.settings)
        return Outcome(
            "lint",
            _verdict(findings, strict),
            databases=state.databases,
            state=state,
            findings=findings,
            plans=plans,
        )

    return told("lint", work)


def _verdict(findings: Sequence[Finding], strict: bool) -> Status:
    worst = max((f.severity for f in findings), default=Severity.INFO)
    if worst is Severity.ERROR or (strict and worst is Severity.WARNING):
        return Status.REFUSED
    return Status.DONE
