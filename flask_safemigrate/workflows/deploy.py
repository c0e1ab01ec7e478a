"""For release phases and container starts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from datetime import datetime, timezone

from flask_safemigrate.checks.found import counted
from flask_safemigrate.errors import HookFailed, SafeMigrateError, UsageError
from flask_safemigrate.outcome import HookPlan, HookRun, Outcome, Progress, Status
from flask_safemigrate.state import DatabaseState
from flask_safemigrate.workflows.ports import Hook, Ports, Request, Say
from flask_safemigrate.workflows.safe_upgrade import (
    agreed,
    locked,
    look,
    may_be_passing,
    safe_upgrade,
    told,
    under_lock,
)

#: What a database that is on its way up answers; everything else does not change by waiting.
_WORTH_WAITING = ("server down", "starting", "too many connections", "locked", "host unknown")

_FIRST_PAUSE = 0.25  # seconds
_LONGEST_PAUSE = 5.0


def _said(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it called sys.exit({'' if error.code is None else error.code})"
    said = str(error).strip()
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _so_far(ran: Sequence[HookRun], hooks: Sequence[Hook]) -> str:
    has = "has" if len(hooks) == 1 else "have"
    return f"The databases are at head; {len(ran)} of {counted(len(hooks), 'hook')} {has} run."


def run_hooks(hooks: Sequence[Hook], ports: Ports, say: Say) -> tuple[HookRun, ...]:
    """Run the hooks in order and write each down with its result.

    :raises HookFailed: one raised an error; it is named, the later ones did not run.
    :raises LockLost: another process may have begun to run them too.
    """
    ran: list[HookRun] = []
    for hook in hooks:
        ports.check_lock()
        say(Progress("hook", hook.name, done=len(ran), total=len(hooks)))
        begun = time.perf_counter()
        started = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        try:
            returned = hook.call()
        except BaseException as error:
            seconds = time.perf_counter() - begun
            with contextlib.suppress(Exception):  # the hook's own error counts
                ports.note_hook(HookRun(hook.name, seconds, "failed", _said(error)), started)
            if isinstance(error, SafeMigrateError):
                raise
            raise _failed(hook, error, _so_far(ran, hooks)) from error
        result = "" if returned is None else str(returned)
        run = HookRun(hook.name, time.perf_counter() - begun, "done", result)
        ports.note_hook(run, started)
        ran.append(run)
        say(Progress("hooked", hook.name, seconds=run.seconds, done=len(ran), total=len(hooks)))
    return tuple(ran)


def _failed(hook: Hook, error: BaseException, so_far: str) -> HookFailed:
    if isinstance(error, KeyboardInterrupt):
        return HookFailed(
            f'Stopped by {str(error) or "Ctrl-C"} in hook "{hook.name}".\n{so_far}',
            hook=hook.name,
            hint="run the command again; a hook that did not end runs again",
        )
    return HookFailed(
        f'Hook "{hook.name}" failed: {_said(error)}\n{so_far}',
        hook=hook.name,
        hint="mend the hook, then run the command again",
    )


def plan_hooks(hooks: Sequence[Hook], databases: Sequence[DatabaseState]) -> tuple[HookPlan, ...]:
    """Say which hooks are to run, by the journal of the first database."""
    journal = databases[0].journal if databases else ()
    succeeded = {r.subject for r in journal if r.kind == "hook" and r.direction != "failed"}
    return tuple(HookPlan(h.name, h.once, h.once and h.name[:255] in succeeded) for h in hooks)


def _to_run(hooks: Sequence[Hook], looked: Outcome) -> tuple[Hook, ...]:
    plans = plan_hooks(hooks, looked.databases)
    return tuple(hook for hook, plan in zip(hooks, plans, strict=True) if not plan.ran)


def _require_journal(hooks: Sequence[Hook], ports: Ports) -> None:
    once = [hook.name for hook in hooks if hook.once]
    if once and not ports.keeps_journal:
        raise UsageError(
            f'Hook "{once[0]}" is to run once per database, but no journal is kept that would '
            "say that it has run.",
            hint='app.config["SAFEMIGRATE_JOURNAL"] = True, with SafeMigrate in place of Migrate',
        )


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


def deploy(ports: Ports, request: Request) -> Outcome:
    """Wait for the database, lock, check, upgrade, verify, run the deploy hooks.

    Hooks run under the same lock as the upgrade, so that two deploys never run them at once.
    """

    def work() -> Outcome:
        started = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        _require_environment(ports)
        wait = ports.settings.wait if request.wait is None else request.wait
        if wait:
            _wait_for_databases(ports, wait, request.say)
        hooks = ports.hooks("deploy")
        _require_journal(hooks, ports)
        if not hooks or request.dry_run:
            outcome = safe_upgrade(ports, request)
            if request.dry_run:
                return outcome._replace(planned_hooks=plan_hooks(hooks, outcome.databases))
            return _noted(ports, outcome, started)
        looked = look(ports, request)
        ready = looked.status in (Status.DONE, Status.NOTHING_TO_DO)
        if not ready and not may_be_passing(looked):
            return looked
        if looked.status is Status.NOTHING_TO_DO and not _to_run(hooks, looked):
            return _noted(ports, looked, started)
        if looked.status is Status.DONE and not agreed(request, looked):
            return looked._replace(status=Status.FAILED, error="Nothing was changed.")

        def both() -> Outcome:
            outcome = safe_upgrade(ports, request._replace(locked=True, confirm=None))
            outcome = _noted(ports, outcome, started)
            if outcome.status not in (Status.DONE, Status.NOTHING_TO_DO):
                return outcome
            try:
                # What was read under the lock: another process may have run them meanwhile.
                ran = run_hooks(_to_run(hooks, outcome), ports, request.say)
            except HookFailed as error:
                return outcome._replace(
                    status=Status.FAILED, error=error.message, hint=error.hint or ""
                )
            done = Status.DONE if ran else outcome.status
            return outcome._replace(status=done, hooks=ran)

        return under_lock(locked(ports, request, looked._replace(plans=())), both)

    return told("deploy", work)
