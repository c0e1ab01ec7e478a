from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from flask_safemigrate.errors import Refused
from flask_safemigrate.facts.database import Table
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Outcome
from flask_safemigrate.workflows.doctor import doctor
from flask_safemigrate.workflows.ports import Repaired
from tests.checks.states import at, state
from tests.workflows.memory import Memory


def _left(*names: str) -> State:
    return state(at("c3", leftovers=tuple(Table(f"_alembic_tmp_{n}", 0) for n in names)))


def _fix(ports: Memory, **options: Any) -> Outcome:
    given: Any = {"select": ["SM401"], "fix": [], "fast": True, **options}
    return doctor(ports, given)


def test_a_repair_that_brings_another_finding_is_followed_up_five_times() -> None:
    ports = Memory(_left("1"))
    done: list[str] = []

    def repairing(finding: Finding) -> Repaired:
        done.append(finding.subject)
        ports.state = _left(str(len(done) + 1))
        return Repaired(f"dropped {finding.subject}")

    ports.repairing = repairing
    outcome = _fix(ports)
    assert outcome.repairs == tuple(f"dropped _alembic_tmp_{number}" for number in range(1, 6))
    assert [f.subject for f in outcome.findings] == ["_alembic_tmp_6"]
    assert ports.heard.count("lock") == ports.heard.count("prune") == 5


@pytest.mark.parametrize("says", [True, False])
def test_nothing_is_repaired_unless_it_is_agreed_to(says: bool) -> None:
    ports = Memory(_left("1"))

    def repairing(finding: Finding) -> Repaired:
        ports.state = state(at("c3"))
        return Repaired("dropped it")

    ports.repairing = repairing
    outcome = _fix(ports, confirm=lambda asked: says)
    assert outcome.repairs == (("dropped it",) if says else ())
    assert ("Nothing was changed." in outcome.notes) is not says
    assert ("lock" in ports.heard) is says


def test_a_repair_that_did_not_help_is_taken_back() -> None:
    ports = Memory(_left("1"))
    back: list[str] = []
    ports.repairing = lambda finding: Repaired("tried", lambda: back.append("back"))
    outcome = _fix(ports)
    assert back == ["back"]
    assert outcome.repairs == ()
    assert outcome.notes == (
        "SM401 was not repaired: the repair did not help, and was taken back.",
    )


def test_a_repair_that_fails_leaves_the_others_their_turn() -> None:
    ports = Memory(_left("1", "2"))
    ports.raising["repair"] = [Refused("it holds 3 rows now", hint="look at them")]

    def repairing(finding: Finding) -> Repaired:
        ports.state = _left("1")
        return Repaired(f"dropped {finding.subject}")

    ports.repairing = repairing
    outcome = _fix(ports)
    assert outcome.repairs == ("dropped _alembic_tmp_2",)
    assert outcome.notes == ("SM401 was not repaired: it holds 3 rows now Hint: look at them",)


def test_what_another_process_repaired_meanwhile_is_left_alone() -> None:
    ports = Memory(state(at("c3")))
    ports.later = [_left("1")]
    outcome = _fix(ports)
    assert outcome.repairs == ("SM401 is gone; nothing was done about it.",)
    assert "repair" not in ports.heard


class _Judging(Memory):
    def hazards(self, *arguments: Any, **options: Any) -> Sequence[Finding]:
        self._hear("hazards")
        return self.hazardous


@pytest.mark.parametrize(
    ("at_", "options", "asked"),
    [
        ("b2", {"select": [], "fast": False}, True),
        ("b2", {"select": ["SM6"], "fast": False}, True),
        ("b2", {"select": [], "fast": True}, False),
        ("b2", {"select": ["SM2"], "fast": False}, False),
        ("c3", {"select": [], "fast": False}, False),
    ],
)
def test_what_is_pending_is_judged(at_: str, options: dict[str, Any], asked: bool) -> None:
    ports = _Judging(state(at(at_)))
    ports.hazardous = [Finding("SM630", Severity.ERROR, "loses 3 values", "w", "h", bind="")]
    outcome = _fix(ports, fix=None, **options)
    assert ("hazards" in ports.heard) is asked
    assert ("SM630" in [f.code for f in outcome.findings]) is asked


def test_what_cannot_be_judged_is_said() -> None:
    ports = _Judging(state(at("b2")))
    ports.raising["hazards"] = [ValueError("odd\nmore")]
    outcome = _fix(ports, fix=None, select=[], fast=False)
    assert outcome.notes == ("What the pending revisions do could not be judged: odd",)
