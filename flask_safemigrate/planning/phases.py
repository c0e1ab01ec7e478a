"""Which revisions run before the new code is live, and which after."""

from __future__ import annotations

from collections.abc import Sequence

from flask_safemigrate.errors import Refused, UsageError
from flask_safemigrate.facts.history import History, Revision
from flask_safemigrate.planning.targets import shown

PHASES = ("before", "after")

Steps = tuple[Revision, ...]


def in_phase(
    history: History, location: str, steps: Sequence[Revision], phase: str
) -> tuple[Steps, Steps]:
    """Part the revisions to run into those of the phase and those that stay for later.

    The order of history is kept: what a revision needs runs before it or has run.

    :param location: the database, for the message.
    :param steps: what is pending, in the order in which it runs.
    :param phase: ``before``, ``after`` or ``all``.
    :raises UsageError: a revision names a phase that there is not.
    :raises Refused: a revision of the phase needs one of the other phase; before new code goes
        live, going on without it would let that code meet a schema that it does not know.
    """
    for step in steps:
        if step.phase not in PHASES:
            raise UsageError(
                f"Revision {shown(history, step.id)} says safemigrate_phase = '{step.phase}'.",
                hint='safemigrate_phase = "before" or "after"',
            )
    if phase == "all":
        return tuple(steps), ()
    pending = {step.id for step in steps}
    now: dict[str, Revision] = {}
    held: dict[str, str] = {}  # a revision of the phase, and the first of the other it waits for
    cause: dict[str, str] = {}
    for step in steps:
        needs = [need for need in history.needs(step) if need in pending and need not in now]
        if step.phase == phase and not needs:
            now[step.id] = step
        else:
            cause[step.id] = cause[needs[0]] if needs else step.id
            if step.phase == phase:
                held[step.id] = cause[step.id]
    if held and (phase == "before" or not now):
        raise _held_up(history, location, phase, held)
    return tuple(now.values()), tuple(step for step in steps if step.id not in now)


def _held_up(history: History, location: str, phase: str, held: dict[str, str]) -> Refused:
    waiting, first = next(iter(held.items()))
    before = phase == "before"
    is_now, is_not = ("before", "after") if before else ("after", "before")
    more = f" (and {len(held) - 1} more)" if len(held) > 1 else ""
    return Refused(
        f"Revision {shown(history, waiting)}{more} is to run {is_now} the new code is live, but "
        f"comes after {shown(history, first)}, which is to run {is_not} it is and has not run "
        f"on {location}.",
        hint="finish the release before: flask db deploy --phase after; or if both are of one "
        "release, take both in one go (flask db deploy) or set safemigrate_phase of "
        f"'{waiting}' to \"after\""
        if before
        else "flask db deploy --phase before, then start the new code, then this again",
    )


def left_over(history: History, location: str, left: Sequence[Revision], phase: str) -> str:
    """Say what a phase leaves, "" where it leaves nothing."""
    if not left:
        return ""
    named = ", ".join(shown(history, step.id) for step in left)
    then = (
        "once the new code is live: flask db deploy --phase after"
        if phase == "before"
        else "flask db deploy --phase before, then start the code that needs it"
    )
    return f"Left on {location}: {named}. Next, {then}"


def two_phases(history: History, location: str, steps: Sequence[Revision]) -> str:
    """Say how pending revisions of both phases are brought in, "" where all are of one."""
    late = [step.id for step in steps if step.phase == "after"]
    if not late:
        return ""
    named = ", ".join(shown(history, id) for id in late)
    told = f"To run on {location} after the new code is live: {named}."
    try:
        in_phase(history, location, steps, "before")
    except Refused as error:
        return f"{told} {error.message} {(error.hint or '').capitalize()}"
    return (
        f"{told} So: flask db deploy --phase before, start the new code, "
        "flask db deploy --phase after"
    )
