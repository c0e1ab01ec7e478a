"""For release phases and container starts."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from flask_safemigrate.errors import HookFailed, SafeMigrateError, UsageError
from flask_safemigrate.outcome import Outcome, Progress, Status
from flask_safemigrate.workflows.guarded import agreed, locked, may_be_passing, told, under_lock
from flask_safemigrate.workflows.hooks import hooks_to_run, plan_hooks, require_journal, run_hooks
from flask_safemigrate.workflows.ports import Ports
from flask_safemigrate.workflows.requests import DeployOptions, Say, request_of
from flask_safemigrate.workflows.reviewed import as_reviewed, proven
from flask_safemigrate.workflows.safe_upgrade import hazards_in, judged, look, safe_upgrade

#: What a database that is on its way up answers; everything else does not change by waiting.
_WORTH_WAITING = ("server down", "starting", "too many connections", "locked", "host unknown")

_FIRST_PAUSE = 0.25  # seconds
_LONGEST_PAUSE = 5.0


def _require_environment(ports: Ports) -> None:
    """Stop where the environment's name would be lost, by which ``reset`` knows production.

    The journal is left out where Flask-Migrate's own commands would propose to drop it.
    """
    name = ports.settings.environment
    if name and not ports.keeps_environment:
        raise UsageError(
            f"SAFEMIGRATE_ENVIRONMENT is '{name}', which cannot be kept in the database: that "
            "takes SafeMigrate in place of Migrate, and an env.py that hands on its arguments.",
            hint="where the app sets up its extensions, write\n"
            "    from flask_safemigrate import SafeMigrate as Migrate\n"
            "and in env.py context.configure(..., "
            "**current_app.extensions['migrate'].configure_args); or unset "
            "SAFEMIGRATE_ENVIRONMENT",
        )


def _wait_for_databases(ports: Ports, seconds: float, say: Say) -> None:
    """Return when every database answers, when waiting cannot help, or when time is up."""
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while True:
        state = ports.read()
        away = [d for d in state.databases if d.unreachable is not None]
        kinds = {d.unreachable.kind for d in away if d.unreachable is not None}
        left = deadline - time.monotonic()
        if not away or not kinds.issubset(_WORTH_WAITING) or left <= 0:
            return
        first = away[0]
        assert first.unreachable is not None
        say(Progress("waiting", first.location, f"{first.unreachable.kind}, {left:.0f} s left"))
        time.sleep(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE)


def _noted(ports: Ports, outcome: Outcome, started: str) -> Outcome:
    """Write down which databases were deployed, and as which environment."""
    changed = {a.bind for a in outcome.applied}
    name = ports.settings.environment
    renamed = {d.bind for d in outcome.databases if name and d.environment != name}
    if outcome.status in (Status.DONE, Status.NOTHING_TO_DO) and changed | renamed:
        try:
            ports.note_deploy(sorted(changed | renamed), started)
        except SafeMigrateError as error:
            message = f"{error.message}\nThe databases are at head."
            return outcome._replace(status=Status.FAILED, error=message, hint=error.hint or "")
    return outcome


def deploy(ports: Ports, options: DeployOptions) -> Outcome:
    """Wait for the database, lock, check, upgrade, verify, run the deploy hooks.

    Hooks run under the same lock as the upgrade, so that two deploys never run them at once.
    """
    request = request_of("deploy", options, phase=options.get("phase", "all"))
    rehearsed = options.get("dry_run", False)

    def work() -> Outcome:
        started = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        if options.get("plan_out"):
            return safe_upgrade(ports, request)
        _require_environment(ports)
        wait = options.get("wait")
        wait = ports.settings.wait if wait is None else wait
        if wait:
            _wait_for_databases(ports, wait, request.say)
        hooks = ports.hooks("deploy")
        require_journal(hooks, ports)
        if not hooks or rehearsed:
            outcome = safe_upgrade(ports, request)
            if rehearsed:
                return outcome._replace(planned_hooks=plan_hooks(hooks, outcome.databases))
            return _noted(ports, outcome, started)
        reviewed = as_reviewed(ports, request)
        looked = proven(ports, reviewed, judged(ports, reviewed, look(ports, reviewed)))
        ready = looked.status in (Status.DONE, Status.NOTHING_TO_DO)
        if not ready and not may_be_passing(looked):
            return looked
        if looked.status is Status.NOTHING_TO_DO and not hooks_to_run(hooks, looked.databases):
            return _noted(ports, looked, started)
        if looked.status is Status.DONE and not agreed(request, looked):
            return looked._replace(status=Status.FAILED, error="Nothing was changed.")

        def both() -> Outcome:
            outcome = safe_upgrade(ports, request._replace(locked=True, confirm=None))
            outcome = _noted(ports, outcome, started)
            if outcome.applied:
                shown = (*outcome.findings, *hazards_in(looked))
                outcome = outcome._replace(findings=shown)
            if outcome.status not in (Status.DONE, Status.NOTHING_TO_DO):
                return outcome
            try:
                # What was read under the lock: another process may have run them meanwhile.
                ran = run_hooks(hooks_to_run(hooks, outcome.databases), ports, request.say)
            except HookFailed as error:
                return outcome._replace(
                    status=Status.FAILED, error=error.message, hint=error.hint or ""
                )
            done = Status.DONE if ran else outcome.status
            return outcome._replace(status=done, hooks=ran)

        return under_lock(locked(ports, request, looked._replace(plans=())), both)

    return told("deploy", work)
