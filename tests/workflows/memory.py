"""The ports of the workflows, in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from flask_safemigrate.facts.database import DatabaseState, Table
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Finding
from flask_safemigrate.outcome import Applied, Cured, HookRun, Snapshot
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning.plan_file import PlannedDatabase, PlannedRevision
from flask_safemigrate.settings import Settings, read_settings
from flask_safemigrate.workflows.ports import Hook, Repaired
from flask_safemigrate.workflows.requests import Request, Say


class Memory:
    """Keeps a state, changes it as databases would be, and hears every verb that is called.

    :ivar heard: the verbs, in order.
    :ivar raising: errors by verb, each raised once in the order given.
    :ivar later: what the next readings find, before the state itself is found again.
    :ivar repairing: changes the state as a repair would.
    """

    def __init__(self, state: State, *, hooks: Sequence[Hook] = (), **settings: object) -> None:
        given = {f"SAFEMIGRATE_{name.upper()}": value for name, value in settings.items()}
        self.settings: Settings = read_settings(given)
        self.state = state
        self.later: list[State] = []
        self.heard: list[str] = []
        self.raising: dict[str, list[BaseException]] = {}
        self.noted: list[HookRun] = []
        self.hazardous: Sequence[Finding] = ()
        self.repairing: Callable[[Finding], Repaired] = lambda finding: Repaired("done")
        self.described: dict[str, str] = {}
        self.planned = ""
        self.keeps_journal = True
        self.keeps_environment = True
        self._hooks = tuple(hooks)

    def _hear(self, verb: str) -> None:
        self.heard.append(verb)
        if self.raising.get(verb):
            raise self.raising[verb].pop(0)

    def read(self, *, thorough: bool = False, compare: bool = False) -> State:
        self._hear("read")
        return self.later.pop(0) if self.later else self.state

    def count_rows(self, bind: str) -> tuple[Table, ...]:
        return next(d.tables for d in self.state.databases if d.bind == bind)

    def losses(self, plans: Sequence[Plan], state: State) -> tuple[str, ...]:
        return ()

    def unasked(self, dialect: str | None = None) -> tuple[DatabaseState, ...]:
        return ()

    def missing_in(self, branch: str, state: State) -> frozenset[str]:
        return frozenset()

    def hazards(
        self,
        plans: Sequence[Plan],
        state: State,
        *,
        small: bool = True,
        only: frozenset[str] | None = None,
        replay: bool = False,
    ) -> Sequence[Finding]:
        return self.hazardous

    def cures(self, findings: Sequence[Finding]) -> tuple[tuple[Cured, ...], tuple[str, ...]]:
        cured = tuple(Cured(f.file, (f.code,), "") for f in findings)
        return cured, ()

    def write_cures(self, cured: Sequence[Cured]) -> None:
        self._hear("write cures")
        self.hazardous = ()

    def describe(self, plans: Sequence[Plan], state: State) -> tuple[PlannedDatabase, ...]:
        return tuple(
            PlannedDatabase(
                plan.bind,
                plan.location,
                "sqlite",
                plan.start,
                plan.target,
                self.described,
                tuple(PlannedRevision(step.id, "", ()) for step in plan.steps),
            )
            for plan in plans
        )

    def write_plan(self, path: str, text: str) -> None:
        self._hear("write plan")
        self.planned = text

    def read_plan(self, path: str) -> str:
        return self.planned

    @contextlib.contextmanager
    def lock(self, binds: Sequence[str], wait: float, say: Say) -> Iterator[None]:
        self._hear("lock")
        try:
            yield
        finally:
            self._hear("unlock")

    def apply(self, plans: Sequence[Plan], request: Request) -> tuple[Applied, ...]:
        self._hear("apply")
        for plan in plans:
            self._put(plan.bind, version_rows=plan.target)
        return tuple(Applied(p.bind, p.location, p.start, p.target, (), 0.0) for p in plans)

    def _put(self, bind: str, **changes: object) -> None:
        databases = tuple(
            d._replace(**changes) if d.bind == bind else d for d in self.state.databases
        )
        self.state = self.state._replace(databases=databases)

    def rehearse(self, plans: Sequence[Plan], request: Request) -> tuple[Applied, ...]:
        self._hear("rehearse")
        return tuple(Applied(p.bind, p.location, p.start, p.target, (), 0.0) for p in plans)

    def script(self, plans: Sequence[Plan]) -> str:
        self._hear("script")
        return "SELECT 1;"

    def take_snapshot(self, bind: str, why: str, say: Say) -> Snapshot:
        self._hear("take")
        return Snapshot("s1", "/s1", bind, "sqlite", "", (), 1, "", "2024-01-01T00:00:00", why)

    def prune_snapshots(self, keep: Sequence[str] = ()) -> None:
        self._hear("prune")

    def snapshots(self, bind: str) -> tuple[Snapshot, ...]:
        return ()

    def verify_snapshot(self, snapshot: Snapshot) -> None:
        self._hear("verify")

    def find_snapshot(self, bind: str, name: str | None) -> Snapshot:
        return Snapshot("s0", "/s0", bind, "sqlite", "", (), 1, "", "2024-01-01T00:00:00", "")

    def put_back(self, snapshot: Snapshot, say: Say) -> tuple[str, ...]:
        self._hear("put back")
        self._put(snapshot.bind, version_rows=snapshot.revisions)
        return ()

    def put_back_into(self, name: str, snapshot: Snapshot, say: Say) -> DatabaseState:
        self._hear("put back")
        return self.state.databases[0]

    def drop_everything(self, bind: str) -> None:
        self._hear("drop")
        self._put(bind, version_rows=None, tables=())

    def reset_allowed(self) -> bool:
        return True

    def note_deploy(self, binds: Sequence[str], started: str) -> None:
        self._hear("note deploy")

    def check_lock(self) -> None:
        self._hear("check lock")

    def note_hook(self, run: HookRun, started: str) -> None:
        self.noted.append(run)

    def hooks(self, kind: Literal["deploy", "seed"]) -> tuple[Hook, ...]:
        return self._hooks

    def preview(self, finding: Finding) -> tuple[str, ...]:
        return ()

    def repair(self, finding: Finding, say: Say) -> Repaired:
        self._hear("repair")
        return self.repairing(finding)
