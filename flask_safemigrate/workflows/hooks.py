"""The application's hooks: which are to run, and running them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from datetime import datetime, timezone

from flask_safemigrate.checks.found import counted
from flask_safemigrate.errors import HookFailed, SafeMigrateError, UsageError
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.outcome import HookPlan, HookRun, Progress
from flask_safemigrate.workflows.ports import Hook, Ports
from flask_safemigrate.workflows.requests import Say


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


def _said(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it called sys.exit({'' if error.code is None else error.code})"
    said = str(error).strip()
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _so_far(ran: Sequence[HookRun], hooks: Sequence[Hook]) -> str:
    has = "has" if len(hooks) == 1 else "have"
    return f"The databases are at head; {len(ran)} of {counted(len(hooks), 'hook')} {has} run."


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


def hooks_to_run(hooks: Sequence[Hook], databases: Sequence[DatabaseState]) -> tuple[Hook, ...]:
    """Return those that are to run, by the journal of the first database."""
    plans = plan_hooks(hooks, databases)
    return tuple(hook for hook, plan in zip(hooks, plans, strict=True) if not plan.ran)


def require_journal(hooks: Sequence[Hook], ports: Ports) -> None:
    """Stop where nothing would say that a hook has run that is to run once.

    :raises UsageError: no journal is kept.
    """
    once = [hook.name for hook in hooks if hook.once]
    if once and not ports.keeps_journal:
        raise UsageError(
            f'Hook "{once[0]}" is to run once per database, but no journal is kept that would '
            "say that it has run.",
            hint='app.config["SAFEMIGRATE_JOURNAL"] = True, with SafeMigrate in place of Migrate',
        )
