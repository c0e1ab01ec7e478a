"""Where each database stands."""

from __future__ import annotations

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.outcome import Outcome, Status
from flask_safemigrate.planning.phases import two_phases
from flask_safemigrate.workflows.guarded import blocked, plans_for, told
from flask_safemigrate.workflows.ports import Ports
from flask_safemigrate.workflows.requests import Request


def status(ports: Ports) -> Outcome:
    """Read and plan, cheaply: no file is compiled, no scratch database is made."""

    def work() -> Outcome:
        request = Request("status")
        state = ports.read()
        findings = run_checks(state, command="status")
        stopped = blocked(state, findings, request)
        if stopped is not None:
            return stopped
        plans = plans_for(state, request)
        behind = any(not plan.empty for plan in plans)
        phases = (two_phases(state.history, p.location, p.steps) for p in plans)
        return Outcome(
            "status",
            Status.DONE if behind else Status.NOTHING_TO_DO,
            databases=state.databases,
            state=state,
            findings=findings,
            plans=plans,
            notes=tuple(filter(None, phases)),
        )

    return told("status", work)
