"""Plans that are written down, reviewed, and then applied as they are or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from flask_safemigrate.errors import UsageError

#: Number of the format; raised when a field changes its meaning or goes.
FORMAT = 1

_SHOWN = 120  # characters of a statement in a message


class PlannedRevision(NamedTuple):
    """One step.

    :param checksum: SHA-256 of its file.
    :param statements: what it says, without secrets; on SQLite Alembic's operations.
    """

    id: str
    checksum: str
    statements: tuple[str, ...]


class PlannedDatabase(NamedTuple):
    """What is to be done to a database.

    :param name: for the reader; a plan may be made on one server and applied on another.
    :param schema: what it has now: the sum of an object's definition by its name.
    """

    bind: str
    name: str
    dialect: str
    start: tuple[str, ...]
    target: tuple[str, ...]
    schema: Mapping[str, str]
    revisions: tuple[PlannedRevision, ...]


class PlanFile(NamedTuple):
    """A plan for every database.

    :param made: UTC, ISO 8601.
    :param revision: what was asked for, as on the command line.
    :param phase: of which the revisions are, as with ``deploy --phase``.
    """

    made: str
    revision: str
    phase: str
    databases: tuple[PlannedDatabase, ...]

    @property
    def targets(self) -> dict[str, frozenset[str]]:
        """Where it leads each database, by bind key."""
        return {each.bind: frozenset(each.target) for each in self.databases}


def to_text(plan: PlanFile) -> str:
    """Return a plan as JSON."""
    databases = [
        {**each._asdict(), "revisions": [one._asdict() for one in each.revisions]}
        for each in plan.databases
    ]
    found = {"plan": FORMAT, **plan._asdict(), "databases": databases}
    return json.dumps(found, indent=2) + "\n"


def from_text(text: str, path: str) -> PlanFile:
    """Read a plan.

    :param path: where it is from, for the message.
    :raises UsageError: it is none.
    """
    hint = "flask db safe-upgrade --plan-out FILE writes one"
    try:
        found = json.loads(text)
        number = found["plan"]
        if number != FORMAT:
            raise UsageError(
                f'"{path}" is a plan of format {number}, and this release reads {FORMAT}.',
                hint=hint,
            )
        databases = tuple(_database(each) for each in found["databases"])
        return PlanFile(str(found["made"]), str(found["revision"]), str(found["phase"]), databases)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f'"{path}" is no plan of flask db safe-upgrade.', hint=hint) from error


def _database(found: Any) -> PlannedDatabase:
    return PlannedDatabase(
        found["bind"],
        found["name"],
        found["dialect"],
        tuple(found["start"]),
        tuple(found["target"]),
        dict(found["schema"]),
        tuple(
            PlannedRevision(one["id"], one["checksum"], tuple(one["statements"]))
            for one in found["revisions"]
        ),
    )


def differences(reviewed: PlanFile, now: PlanFile) -> list[str]:
    """Say in what the plan of now is another one, a sentence each."""
    then = {each.bind: each for each in reviewed.databases}
    found: list[str] = []
    for each in now.databases:
        if each.bind in then:
            found += _in_database(then.pop(each.bind), each)
        else:
            found.append(f"the plan knows nothing of {_named(each)}")
    return [*found, *(f"{_named(each)} is not there" for each in then.values())]


def _named(database: PlannedDatabase) -> str:
    bind = f' (bind "{database.bind}")' if database.bind else ""
    return f'database "{database.name}"{bind}'


def _in_database(then: PlannedDatabase, now: PlannedDatabase) -> Iterator[str]:
    where = _named(now)
    if then.dialect != now.dialect:
        yield f"{where} is one of {now.dialect}; the plan is for {then.dialect}"
    if set(then.start) != set(now.start):
        yield f"{where} is at {_ids(now.start)}; the plan begins at {_ids(then.start)}"
    planned, pending = [r.id for r in then.revisions], [r.id for r in now.revisions]
    if planned != pending:
        yield from (
            f"revision '{id}' would run, which the plan does not have"
            for id in pending
            if id not in planned
        )
        yield from (
            f"revision '{id}' of the plan would not run" for id in planned if id not in pending
        )
        if set(planned) == set(pending):
            yield f"the revisions would run in the order {', '.join(pending)}"
    by_id = {one.id: one for one in then.revisions}
    for one in now.revisions:
        if one.id in by_id:
            yield from _in_revision(by_id[one.id], one)
    before, after = then.schema, now.schema
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    for name in changed[:5]:
        if name not in before:
            yield f"{name} of {where} is new"
        elif name not in after:
            yield f"{name} of {where} is gone"
        else:
            yield f"{name} of {where} is another one"
    if changed[5:]:
        yield f"and {len(changed) - 5} more objects of {where} differ"


def _in_revision(then: PlannedRevision, now: PlannedRevision) -> Iterator[str]:
    if then.checksum != now.checksum:
        yield f"the file of revision '{now.id}' was changed"
    for before, after in zip_longest(then.statements, now.statements):
        if before != after:
            yield (
                f"revision '{now.id}' would say {_short(after)} where the plan has "
                f"{_short(before)}"
            )
            return


def _ids(ids: Sequence[str]) -> str:
    return ", ".join(ids) or "base"


def _short(statement: str | None) -> str:
    if statement is None:
        return "nothing"
    return f'"{statement if len(statement) <= _SHOWN else statement[: _SHOWN - 3] + "..."}"'
