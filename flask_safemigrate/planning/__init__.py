"""State and target -> plan, or why not."""

from __future__ import annotations

from collections.abc import Iterable

from flask_safemigrate.checks.catalogue import codes_of
from flask_safemigrate.errors import UsageError
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.history import History, Revision
from flask_safemigrate.findings import Finding
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning.graph import built_on, line_below, newest_first
from flask_safemigrate.planning.phases import in_phase
from flask_safemigrate.planning.selection import Selection, select
from flask_safemigrate.planning.targets import (
    downgrade_target,
    resolve,
    shown,
    shown_all,
    target_of,
)
from flask_safemigrate.planning.waivers import allowed, covers

__all__ = [
    "Selection",
    "plan_downgrade",
    "plan_half_applied",
    "plan_up_to",
    "plan_upgrade",
    "select",
    "target_of",
    "why_not",
]


def plan_upgrade(
    history: History, database: DatabaseState, target: str = "heads", phase: str = "all"
) -> Plan:
    """Plan the way up.

    :param target: as :func:`target_of` understands it.
    :param phase: ``before`` or ``after`` the new code is live, or ``all``.
    :return: a plan whose steps are in the order in which Alembic runs them; empty if the database
        is at the target or past it.
    :raises UsageError: the target is not understood, or the database is at a revision that no
        file has.
    :raises Refused: the order of history keeps the phase from being run.
    """
    rows = _rows(history, database)
    aims = target_of(history, target, rows)
    have = history.ancestors(rows)
    todo = history.ancestors(aims) - have
    steps = tuple(reversed(newest_first(history, aims, todo)))
    now, left = in_phase(history, database.location, steps, phase)
    run = have.union(step.id for step in now)
    return _plan(history, database, "upgrade", rows, run, now)._replace(left=left)


def plan_up_to(history: History, database: DatabaseState, ids: Iterable[str]) -> Plan:
    """Plan the way up to some revisions and no further.

    :raises UsageError: the database is at a revision that no file has.
    """
    rows = _rows(history, database)
    aims = history.tips(ids)
    have = history.ancestors(rows)
    todo = history.ancestors(aims) - have
    steps = tuple(reversed(newest_first(history, aims, todo)))
    return _plan(history, database, "upgrade", rows, have | todo, steps)


def plan_downgrade(history: History, database: DatabaseState, target: str) -> Plan:
    """Plan the way down.

    :param target: ``base``, a revision, or a relative form such as ``-1``; the revisions that it
        names stay, everything that was built on them goes.
    :raises UsageError: the target is not understood or was never applied, or the database is at
        a revision that no file has.
    """
    rows = _rows(history, database)
    branch, aim = downgrade_target(history, target, rows)
    have = history.ancestors(rows)
    if aim is None:
        roots = {r.id for r in history.by_id.values() if not r.parents}
    else:
        roots = set(history.children.get(aim, ()))
    if branch and len(roots) > 1:
        line = line_below(history, (resolve(history, branch).id,))
        roots &= line
        if not roots:
            raise UsageError(
                f"Branch '{branch}' has nothing above {shown(history, aim)}.",
                hint="flask db history",
            )
    todo = built_on(history, roots, have)
    if aim is not None and not todo and aim not in rows:
        raise UsageError(
            f"{database.location} cannot go down to {shown(history, aim)}, which is not below "
            f"{shown_all(history, rows) or 'base'}, where it is.",
            hint="flask db status",
        )
    steps = tuple(newest_first(history, rows, todo))
    return _plan(history, database, "downgrade", rows, have - todo, steps)


def plan_half_applied(
    history: History, database: DatabaseState, revision: str, direction: str
) -> Plan:
    """Plan to finish one revision that a database has only in part, and nothing else.

    :raises UsageError: no file has the revision.
    """
    if revision not in history.by_id:
        raise UsageError(
            f"{database.location} is half-way through revision '{revision}', which no revision "
            "file has.",
            hint="bring its file back",
        )
    rows = _rows(history, database)
    have = history.ancestors(rows)
    after = have | {revision} if direction == "upgrade" else have - {revision}
    return _plan(history, database, direction, rows, after, (history.by_id[revision],))


def why_not(findings: Iterable[Finding], allow: Iterable[str] = ()) -> tuple[Finding, ...]:
    """The findings that forbid the work and were not allowed.

    :param allow: codes, names of checks or families (``SM2``), alone or with what they are about.
    :raises UsageError: one of them is unknown.
    """
    waivers = allowed(allow)
    codes_of(each.code for each in waivers)
    return tuple(f for f in findings if f.blocks and not any(covers(w, f) for w in waivers))


def _plan(
    history: History,
    database: DatabaseState,
    direction: str,
    rows: tuple[str, ...],
    after: Iterable[str],
    steps: tuple[Revision, ...],
) -> Plan:
    return Plan(
        bind=database.bind,
        location=database.location,
        start=rows,
        target=history.tips(after) if steps else rows,
        steps=steps,
        direction=direction,
    )


def _rows(history: History, database: DatabaseState) -> tuple[str, ...]:
    rows = tuple(dict.fromkeys(database.version_rows or ()))
    unknown = [row for row in rows if row not in history.by_id]
    if unknown:
        raise UsageError(
            f"{database.location} is at revision '{unknown[0]}', which no revision file has.",
            hint="flask db doctor",
        )
    return rows
