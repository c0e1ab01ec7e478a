from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flask_safemigrate.errors import (
    Blocked,
    HalfApplied,
    LockLost,
    LockTimeout,
    MigrationFailed,
    Refused,
)
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Outcome, Status
from flask_safemigrate.report.screen import render
from flask_safemigrate.report.text import report
from flask_safemigrate.workflows import safe_upgrade as module
from flask_safemigrate.workflows.deploy import deploy
from flask_safemigrate.workflows.requests import UpgradeOptions, request_of
from flask_safemigrate.workflows.safe_upgrade import safe_upgrade
from tests.checks.states import at, state
from tests.workflows.memory import Memory

if TYPE_CHECKING:
    from typing_extensions import Unpack

BEHIND = state(at("a1"))
ALL = ["read", "lock", "read", "apply", "prune", "unlock"]
WITHOUT = ["read", "lock", "read", "unlock"]


def _upgrade(
    ports: Memory,
    *,
    revision: str = "heads",
    locked: bool = False,
    **options: Unpack[UpgradeOptions],
) -> Outcome:
    request = request_of("safe-upgrade", options, revision)
    return safe_upgrade(ports, request._replace(locked=locked))


@pytest.mark.parametrize(
    ("found", "request_", "status", "heard", "at_end"),
    [
        pytest.param(BEHIND, {}, Status.DONE, ALL, ("c3",), id="behind"),
        pytest.param(BEHIND, {"revision": "b2"}, Status.DONE, ALL, ("b2",), id="to a revision"),
        pytest.param(
            BEHIND,
            {"locked": True},
            Status.DONE,
            ["read", "read", "apply", "prune"],
            ("c3",),
            id="under a lock of the caller's",
        ),
        pytest.param(state(at("c3")), {}, Status.NOTHING_TO_DO, ["read"], ("c3",), id="at head"),
        # That may be the middle of another process's run.
        pytest.param(state(at("gone")), {}, Status.REFUSED, WITHOUT, ("gone",), id="away"),
        pytest.param(
            state(at("a1"), env_problem="it does not compile"),
            {},
            Status.REFUSED,
            ["read"],
            ("a1",),
            id="blocked",
        ),
        pytest.param(
            BEHIND,
            {"confirm": lambda outcome: False},
            Status.FAILED,
            ["read"],
            ("a1",),
            id="not agreed to",
        ),
        pytest.param(
            BEHIND, {"dry_run": True}, Status.DONE, ["read", "rehearse"], ("a1",), id="rehearsed"
        ),
    ],
)
def test_what_is_called_in_which_order(
    found: State,
    request_: dict[str, Any],
    status: Status,
    heard: list[str],
    at_end: tuple[str, ...],
) -> None:
    ports = Memory(found)
    outcome = _upgrade(ports, **request_)
    assert (outcome.status, ports.heard) == (status, heard), outcome.error
    assert ports.state.databases[0].version_rows == at_end
    assert outcome.notes == (("Nothing was changed.",) if "rehearse" in heard else ())


def _hazard(code: str) -> Finding:
    return Finding(code, Severity.ERROR, "rows go.", "b2", "keep them", bind="")


def test_a_plan_that_would_fail_is_not_started() -> None:
    ports = Memory(BEHIND)
    ports.hazardous = [_hazard("SM620")]
    outcome = _upgrade(ports, confirm=lambda _outcome: True)
    assert outcome.status is Status.REFUSED
    assert [finding.code for finding in outcome.findings] == ["SM620"]
    assert ports.heard == ["read"]


def test_sqlite_is_not_judged_where_nobody_is_asked() -> None:
    ports = Memory(BEHIND)
    ports.hazardous = [_hazard("SM620")]
    assert _upgrade(ports).status is Status.DONE
    shown = _upgrade(Memory(BEHIND), confirm=lambda _outcome: True, asks=False)
    assert shown.status is Status.DONE


@pytest.mark.parametrize(("says", "status"), [(True, Status.DONE), (False, Status.FAILED)])
def test_what_a_plan_would_lose_is_asked_for(says: bool, status: Status) -> None:
    ports = Memory(BEHIND)
    ports.hazardous = [_hazard("SM630")]
    asked: list[Outcome] = []

    def confirm(outcome: Outcome) -> bool:
        asked.append(outcome)
        return says

    assert _upgrade(ports, confirm=confirm).status is status
    assert ports.heard == (ALL if says else ["read"])
    assert "SM630" in [finding.code for finding in asked[0].findings]


@pytest.mark.parametrize(
    ("verb", "error", "status", "heard"),
    [
        ("lock", LockTimeout("held"), Status.UNAVAILABLE, ["read", "lock"]),
        ("apply", MigrationFailed("b2 fails", revision="b2"), Status.FAILED, ALL),
        ("apply", HalfApplied("b2 is half in"), Status.NEEDS_PERSON, ALL),
        ("apply", Refused("it is at b2 now"), Status.REFUSED, ALL),
        ("unlock", LockLost("the lock was lost"), Status.FAILED, ALL),
    ],
    ids=["lock held", "revision fails", "half applied", "stale plan", "lock lost"],
)
def test_what_stops_a_run_is_told(verb: str, error: Any, status: Status, heard: list[str]) -> None:
    ports = Memory(BEHIND)
    ports.raising[verb] = [error]
    outcome = _upgrade(ports)
    assert (outcome.status, outcome.error) == (status, error.message)
    assert ports.heard == heard


def test_the_plan_is_made_anew_under_the_lock() -> None:
    ports = Memory(state(at("c3")))
    ports.later = [BEHIND]
    outcome = _upgrade(ports)
    assert outcome.status is Status.NOTHING_TO_DO
    assert ports.heard == WITHOUT


def test_a_failure_that_took_the_lock_along_is_told_first() -> None:
    ports = Memory(BEHIND)
    ports.raising = {
        "apply": [MigrationFailed("b2 fails", revision="b2")],
        "unlock": [LockLost("the lock was lost")],
    }
    outcome = _upgrade(ports)
    assert (outcome.status, outcome.error) == (Status.FAILED, "b2 fails")
    assert outcome.notes[-1] == "the lock was lost"


def test_a_run_makes_way_for_who_has_a_table_and_plans_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    ports = Memory(BEHIND)
    ports.raising["apply"] = [Blocked("busy"), Blocked("busy")]
    outcome = _upgrade(ports, lock_wait=60)
    assert outcome.status is Status.DONE
    again = ["apply", "read"]
    assert ports.heard == ["read", "lock", "read", *again, *again, "apply", "prune", "unlock"]
    assert len(pauses) == 2


def test_a_run_makes_way_no_longer_than_it_may_wait() -> None:
    ports = Memory(BEHIND)
    ports.raising["apply"] = [Blocked("busy")]
    outcome = _upgrade(ports, lock_wait=0)
    assert (outcome.status, outcome.error) == (Status.UNAVAILABLE, "busy")
    assert ports.heard == ALL


def test_what_goes_is_told_however_little_it_is() -> None:
    ports = Memory(BEHIND)
    ports.hazardous = [
        _hazard("SM630")._replace(severity=Severity.INFO),
        _hazard("SM645")._replace(severity=Severity.INFO),
    ]
    for outcome in (
        _upgrade(ports, dry_run=True),
        deploy(ports, {"dry_run": True}),
        deploy(ports, {}),
    ):
        assert outcome.status is Status.DONE
        assert [finding.code for finding in outcome.findings] == ["SM630"]
        assert "rows go." in render(report(outcome, 80))


def test_what_the_rehearsal_of_a_copy_shows_stops_none() -> None:
    ports = Memory(BEHIND)
    ports.hazardous = [_hazard("SM620")]
    outcome = _upgrade(ports, dry_run=True)
    assert (outcome.status, ports.heard) == (Status.DONE, ["read", "rehearse"])
    assert [finding.code for finding in outcome.findings] == ["SM620"]


def test_a_plan_that_has_changed_is_judged_again() -> None:
    ports = Memory(state(at("b2")))
    ports.later = [state(at("a1"))]
    judged: list[str] = []

    def hazards(plans: Any, *_arguments: Any, **_options: Any) -> list[Finding]:
        judged.append(plans[0].start[0])
        return [
            _hazard("SM630")._replace(message=f"{plans[0].start[0]} goes.", severity=Severity.INFO)
        ]

    ports.hazards = hazards  # type: ignore[method-assign]
    outcome = _upgrade(ports, confirm=lambda _outcome: True)
    assert judged == ["a1", "b2"]
    assert [finding.message for finding in outcome.findings] == ["b2 goes."]
