"""Drop everything and build it again."""

from __future__ import annotations

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.errors import HookFailed, Refused
from flask_safemigrate.findings import Finding
from flask_safemigrate.outcome import Doomed, Outcome, Status
from flask_safemigrate.state import State
from flask_safemigrate.workflows.deploy import run_hooks
from flask_safemigrate.workflows.ports import Ports, Request
from flask_safemigrate.workflows.safe_upgrade import blocked, safe_upgrade, told


def _refuse(ports: Ports, state: State) -> None:
    if not ports.reset_allowed():
        raise Refused(
            f'Application "{state.project.app}" is neither in debug nor in testing mode.',
            hint="flask --debug db reset, or set SAFEMIGRATE_ALLOW_RESET",
        )
    for database in state.databases:
        if database.environment in ports.settings.protected_environments:
            raise Refused(
                f"{database.location} was deployed as '{database.environment}'; it is not reset.",
                hint="if it is a copy that may go, delete the database itself and run "
                "flask db safe-upgrade",
            )


def _in_the_way(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Findings that would leave the database empty: those about the history and the project.

    What is wrong with the present content goes away with it.
    """
    return tuple(f for f in findings if f.bind is None or f.code.startswith("SM5"))


def reset(ports: Ports, request: Request) -> Outcome:
    """Show what goes, refuse outside development, snapshot, drop, upgrade, verify, seed."""

    def work() -> Outcome:
        state = ports.read(thorough=True)
        findings = run_checks(state, command="reset")
        stopped = blocked(state, _in_the_way(findings), request)
        if stopped is not None:
            return stopped
        _refuse(ports, state)
        doomed = tuple(
            Doomed(d.bind, d.name, d.location, d.size, ports.count_rows(d.bind))
            for d in state.databases
        )
        shown = Outcome(
            "reset", Status.DONE, databases=state.databases, state=state, doomed=doomed
        )
        if request.confirm is not None and not request.confirm(shown):
            return shown._replace(status=Status.FAILED, error="Nothing was changed.")
        binds = [d.bind for d in state.databases]
        patience = ports.settings.lock_wait if request.lock_wait is None else request.lock_wait
        snapshots = []
        with ports.lock(binds, patience, request.say):
            for database, going in zip(state.databases, doomed, strict=True):
                if request.snapshot is not False and database.exists and going.tables:
                    snapshots.append(ports.take_snapshot(database.bind, "reset", request.say))
            for bind in binds:
                ports.drop_everything(bind)
            upgrade = request._replace(confirm=None, locked=True, snapshot=False, revision="heads")
            outcome = safe_upgrade(ports, upgrade)._replace(
                doomed=doomed, snapshots=tuple(snapshots)
            )
            if outcome.status not in (Status.DONE, Status.NOTHING_TO_DO):
                return outcome
            try:
                hooks = run_hooks(ports.hooks("seed"), ports, request.say)
            except HookFailed as error:
                return outcome._replace(
                    status=Status.FAILED, error=error.message, hint=error.hint or ""
                )
        return outcome._replace(status=Status.DONE, hooks=hooks)

    return told("reset", work)
