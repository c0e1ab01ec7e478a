"""Plans that were written down and reviewed: to write one, and to run no other."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime, timezone

from flask_safemigrate.errors import Refused, UsageError
from flask_safemigrate.facts.state import State
from flask_safemigrate.outcome import Outcome, Status
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning.plan_file import PlanFile, differences, from_text, to_text
from flask_safemigrate.workflows.ports import Ports
from flask_safemigrate.workflows.requests import Request


def as_reviewed(ports: Ports, request: Request) -> Request:
    """The request with the revision and the phase of the plan that it names.

    :raises UsageError: there is no such plan, or the request asks for something else.
    """
    path = request.options.get("plan")
    if not path:
        return request
    if request.options.get("plan_out"):
        raise UsageError("A plan is either written (--plan-out) or applied (--plan).")
    plan = from_text(ports.read_plan(path), path)
    for word, asked, planned, usual in (
        ("revision", request.revision, plan.revision, "heads"),
        ("phase", request.phase, plan.phase, "all"),
    ):
        if asked not in (usual, planned):
            raise UsageError(f"The plan \"{path}\" is for the {word} '{planned}', not '{asked}'.")
    return request._replace(revision=plan.revision, phase=plan.phase)


def written(ports: Ports, request: Request, looked: Outcome) -> Outcome:
    """Write the plan down.

    :raises Refused: it would be another one at each run.
    """
    path = request.options.get("plan_out") or ""
    assert looked.state is not None
    plan = _plan(ports, request, looked.plans, looked.state)
    again = differences(plan, _plan(ports, request, looked.plans, looked.state))
    if again:
        raise Refused(
            f"This cannot be planned, for it is something else at each run: {again[0]}.",
            hint="leave out of the revision's SQL what changes from run to run, such as the time",
        )
    ports.write_plan(path, to_text(plan))
    note = (
        f'The plan is in "{path}", and nothing was changed. To apply it: flask db '
        f"{request.command} --plan {shlex.quote(path)}"
    )
    return looked._replace(notes=(*looked.notes, note))


def proven(ports: Ports, request: Request, looked: Outcome) -> Outcome:
    """The outcome as it is where what would be done is the plan that was reviewed.

    A database that has got there already needs nothing.

    :raises Refused: it is another one.
    """
    path = request.options.get("plan")
    ready = looked.status in (Status.DONE, Status.NOTHING_TO_DO)
    if not path or not ready or looked.state is None:
        return looked
    reviewed = from_text(ports.read_plan(path), path)
    there = {database.bind: database.version_rows or () for database in looked.databases}
    done = all(frozenset(there.get(bind, ())) == at for bind, at in reviewed.targets.items())
    if looked.status is Status.NOTHING_TO_DO and done and there.keys() == reviewed.targets.keys():
        return looked
    found = differences(reviewed, _plan(ports, request, looked.plans, looked.state))
    if found:
        listed = "".join(f"\n  {each}" for each in found)
        raise Refused(
            f'What would be done is not the plan "{path}":{listed}',
            hint="review what there is now: flask db "
            f"{request.command} --plan-out {shlex.quote(path)}",
        )
    return looked


def _plan(ports: Ports, request: Request, plans: Sequence[Plan], state: State) -> PlanFile:
    made = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return PlanFile(made, request.revision, request.phase, ports.describe(plans, state))
