"""A plan that was reviewed is applied as it is, or nothing is done."""

from __future__ import annotations

from typing import Any

import pytest

from flask_safemigrate.outcome import Outcome, Status
from flask_safemigrate.workflows.deploy import deploy
from flask_safemigrate.workflows.ports import Hook
from flask_safemigrate.workflows.requests import UpgradeOptions, request_of
from flask_safemigrate.workflows.safe_upgrade import safe_upgrade
from tests.checks.states import at, state
from tests.workflows.memory import Memory

BEHIND = state(at("a1"))


def _upgrade(ports: Memory, revision: str = "heads", **options: Any) -> Outcome:
    given: UpgradeOptions = {**options}  # type: ignore[typeddict-item]
    return safe_upgrade(ports, request_of("safe-upgrade", given, revision))


def _planned(revision: str = "heads") -> Memory:
    ports = Memory(BEHIND)
    done = _upgrade(ports, revision, plan_out="plan.json")
    assert done.status is Status.DONE, done.error
    assert done.dry_run
    assert ports.heard == ["read", "write plan"]
    assert ports.state == BEHIND
    ports.heard.clear()
    return ports


def test_it_is_applied() -> None:
    ports = _planned()
    assert _upgrade(ports, plan="plan.json").status is Status.DONE
    assert ports.state.databases[0].version_rows == ("c3",)


def test_the_plan_says_the_revision() -> None:
    ports = _planned("b2")
    assert _upgrade(ports, "c3", plan="plan.json").status is Status.USAGE
    assert _upgrade(ports, plan="plan.json").status is Status.DONE
    assert ports.state.databases[0].version_rows == ("b2",)


def test_another_schema_is_refused_before_the_lock() -> None:
    ports = _planned()
    ports.described = {'table "t"': "1"}
    done = _upgrade(ports, plan="plan.json")
    assert done.status is Status.REFUSED
    assert 'table "t"' in done.error
    assert ports.heard == ["read"]


def test_what_changes_before_the_lock_is_held_is_refused_under_it() -> None:
    ports = _planned()
    ports.later = [BEHIND, state(at("b2"))]
    done = _upgrade(ports, plan="plan.json")
    assert done.status is Status.REFUSED
    assert "is at b2; the plan begins at a1" in done.error
    assert ports.heard == ["read", "lock", "read", "unlock"]


def test_a_database_that_is_there_already_needs_nothing() -> None:
    ports = _planned()
    assert _upgrade(ports, plan="plan.json").status is Status.DONE
    assert _upgrade(ports, plan="plan.json").status is Status.NOTHING_TO_DO


@pytest.mark.parametrize("hooks", [(), (Hook("h", lambda: None),)])
def test_deploy_applies_it_too(hooks: tuple[Hook, ...]) -> None:
    ports = Memory(BEHIND, hooks=hooks)
    done = deploy(ports, {"plan_out": "plan.json"})
    assert done.status is Status.DONE, done.error
    assert ports.heard == ["read", "write plan"]
    ports.described = {'table "t"': "1"}
    assert deploy(ports, {"plan": "plan.json"}).status is Status.REFUSED
    assert "lock" not in ports.heard
    ports.described = {}
    assert deploy(ports, {"plan": "plan.json"}).status is Status.DONE
    assert ports.state.databases[0].version_rows == ("c3",)


def test_both_at_once_is_a_mistake() -> None:
    assert _upgrade(_planned(), plan="a", plan_out="b").status is Status.USAGE
