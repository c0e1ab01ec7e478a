"""What pending revisions would lock, lose, break or fail on."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Sequence

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.errors import UsageError
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Outcome, Status
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning import Selection, plan_up_to, select
from flask_safemigrate.planning.waivers import allowed, waive, waivers_of
from flask_safemigrate.workflows.guarded import blocked, plans_for, told
from flask_safemigrate.workflows.ports import Ports
from flask_safemigrate.workflows.requests import LintOptions, Request

#: What keeps a database from being connected to, which offline nobody does.
_OF_CONNECTIONS = ("SM102", "SM103", "SM104")


def lint(ports: Ports, revision: str | None, options: LintOptions) -> Outcome:
    """Read, plan, record what the plans would do, judge it.

    :param revision: as :class:`Selection` reads it.
    """
    base, offline = options.get("base"), options.get("offline", False)

    def work() -> Outcome:
        request = Request("lint")
        named = Selection(revision, options.get("since"))
        if offline and base is None and named.empty:
            raise UsageError(
                "Without a database nobody knows which revisions are pending.",
                hint="name those to judge: flask db lint --offline heads, or --base main",
            )
        state = ports.read()
        if offline:
            state = state._replace(databases=ports.unasked(options.get("dialect")))
        unasked = _OF_CONNECTIONS if offline else ()
        stopped = blocked(state, run_checks(state, ignore=unasked, command="status"), request)
        if stopped is not None:
            return stopped
        if base is not None:
            named = Selection(ids=ports.missing_in(base, state))
        if named.empty:
            plans = plans_for(state, request)
            found = ports.hazards(plans, state)
            revisions = {step.id for plan in plans for step in plan.steps}
        else:
            plans, found, revisions = _named(ports, state, named, offline=offline)
        judged = waive(
            found,
            [
                *waivers_of(r for r in state.history.revisions if r.id in revisions),
                *ports.settings.allow,
                *allowed(options.get("allow", ())),
            ],
            whole=named.empty and not offline,
        )
        state = state._replace(hazards=judged.hazards, waived=judged.waived)
        findings = run_checks(state, ["SM6"], command="lint", settings=ports.settings)
        return Outcome(
            "lint",
            _verdict(findings, options.get("strict", False)),
            databases=() if offline else state.databases,
            state=state,
            findings=findings,
            plans=plans,
            notes=(*judged.notes, *(("No database was looked at.",) if offline else ())),
        )

    return told("lint", lambda: _fixed(ports, work, options) if options.get("fix") else work())


def _fixed(ports: Ports, work: Callable[[], Outcome], options: LintOptions) -> Outcome:
    """Judge, show the cures, ask, write them, and judge again."""
    if options.get("offline"):
        raise UsageError(
            "Without a database nobody knows which revisions are applied, and those are not "
            "changed.",
            hint="flask db lint --fix",
        )
    found = work()
    if found.state is None or found.error:
        return found
    applied = _applied(found.state)
    mine = [f for f in found.findings if f.severity > Severity.INFO and f.file]
    open_ = [f for f in mine if os.path.realpath(f.file) not in applied]
    notes = [
        f"{_place(f)} is left: revision '{applied[os.path.realpath(f.file)]}' is applied, and its "
        "file stays as it ran."
        for f in mine
        if os.path.realpath(f.file) in applied
    ]
    cured, left = ports.cures(open_)
    looked = found._replace(cured=cured, notes=(*found.notes, *notes, *left))
    confirm = options.get("confirm")
    if not cured:
        return looked
    if confirm is not None and not confirm(looked):
        return looked._replace(status=Status.FAILED, error="Nothing was changed.")
    ports.write_cures(cured)
    again = work()
    done = tuple(f'"{each.path}" has the cures of {", ".join(each.codes)}' for each in cured)
    return again._replace(cured=cured, repairs=done, notes=(*again.notes, *notes, *left))


def _applied(state: State) -> dict[str, str]:
    """The revisions that a database has, by the path of the file."""
    heads = [row for database in state.databases for row in database.version_rows or ()]
    ids = state.history.ancestors(tuple(heads))
    return {os.path.realpath(r.path): r.id for r in state.history.revisions if r.id in ids}


def _place(finding: Finding) -> str:
    return f"{finding.code} in line {finding.line}"


def _named(
    ports: Ports, state: State, selection: Selection, *, offline: bool
) -> tuple[tuple[Plan, ...], list[Finding], set[str]]:
    """Judge what was named: pending revisions against the database, applied ones against the
    history before them."""
    plans: list[Plan] = []
    every: set[str] = set()
    found: list[Finding] = []
    history = state.history
    for database in state.databases:
        rows = tuple(database.version_rows or ())
        named = select(history, selection, rows) or frozenset()
        pending = frozenset() if offline else named - history.ancestors(rows)
        plan = plan_up_to(history, database, pending)
        past = plan_up_to(history, database._replace(version_rows=()), named - pending)
        found += ports.hazards([past], state, only=named - pending, replay=True)
        found += ports.hazards([plan], state, only=pending)
        plans.append(plan)
        every |= named
    return tuple(plans), found, every


def _verdict(findings: Sequence[Finding], strict: bool) -> Status:
    worst = max((f.severity for f in findings), default=Severity.INFO)
    if worst is Severity.ERROR or (strict and worst is Severity.WARNING):
        return Status.REFUSED
    return Status.DONE
