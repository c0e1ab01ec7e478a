from __future__ import annotations

from typing import Any

import pytest

from flask_safemigrate.errors import LockLost, MigrationFailed
from flask_safemigrate.facts.database import JournalRow
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Status
from flask_safemigrate.workflows.deploy import deploy
from flask_safemigrate.workflows.ports import Hook
from flask_safemigrate.workflows.requests import request_of
from flask_safemigrate.workflows.safe_upgrade import safe_upgrade
from tests.checks.states import at, state
from tests.workflows.memory import Memory

BEHIND = state(at("a1"))
_RAN = JournalRow("hook", "warm", "done", "2024-01-01T00:00:00", "2024-01-01T00:00:01")


def _fails() -> None:
    raise ValueError("no cache")


@pytest.mark.parametrize(
    ("called", "ran", "error"),
    [
        ({"warm": lambda: 3}, [("warm", "done", "3")], ""),
        (
            {"warm": lambda: None, "send": _fails, "last": lambda: None},
            [("warm", "done", ""), ("send", "failed", "ValueError: no cache")],
            'Hook "send" failed: ValueError: no cache\n'
            "The databases are at head; 1 of 3 hooks have run.",
        ),
    ],
    ids=["done", "the second fails"],
)
def test_hooks_run_in_order_until_one_fails(
    called: dict[str, Any], ran: list[tuple[str, str, str]], error: str
) -> None:
    ports = Memory(BEHIND, hooks=[Hook(name, call) for name, call in called.items()])
    outcome = deploy(ports, {})
    assert [(run.name, run.ended, run.result) for run in ports.noted] == ran
    assert outcome.error == error
    assert outcome.status is (Status.FAILED if error else Status.DONE)

    assert ports.heard[-1] == "unlock"
    assert ports.state.databases[0].version_rows == ("c3",)


def test_no_hook_runs_once_the_lock_is_lost() -> None:
    ports = Memory(BEHIND, hooks=[Hook("warm", _fails)])
    ports.raising["check lock"] = [LockLost("the lock was lost")]
    outcome = deploy(ports, {})
    assert (outcome.status, outcome.error) == (Status.FAILED, "the lock was lost")
    assert ports.noted == []


def test_a_hook_that_is_to_run_once_does_not_run_again() -> None:
    ports = Memory(state(at("c3", journal=(_RAN,))), hooks=[Hook("warm", _fails, once=True)])
    assert deploy(ports, {}).status is Status.NOTHING_TO_DO
    assert ports.noted == []


def test_what_was_judged_is_told_behind_hooks_too() -> None:
    ports = Memory(BEHIND, hooks=[Hook("warm", lambda: 3)])
    ports.hazardous = [Finding("SM610", Severity.WARNING, "waits.", "b2", "", bind="")]
    outcome = deploy(ports, {})
    assert outcome.status is Status.DONE
    assert [finding.code for finding in outcome.findings] == ["SM610"]


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        ("mend it, then run: flask db safe-upgrade", "mend it, then run: flask db deploy"),
        ("flask db safe-upgrade --allow SM315", "flask db deploy --allow SM315"),
        ("run flask db safe-upgrade again: it", "run flask db deploy again: it"),
        ("flask db safe-upgrade b2", "flask db safe-upgrade b2"),
        ("flask db safe-upgrade --dry-run", "flask db safe-upgrade --dry-run"),
    ],
)
def test_hints_name_the_command_that_was_run(hint: str, shown: str) -> None:
    for hooks in ([], [Hook("warm", lambda: 3)]):
        ports = Memory(BEHIND, hooks=hooks)
        ports.raising["apply"] = [MigrationFailed("b2 fails", revision="b2", hint=hint)]
        assert deploy(ports, {}).hint == shown
    ports = Memory(BEHIND)
    ports.hazardous = [Finding("SM620", Severity.ERROR, "fails.", "b2", hint, bind="")]
    (refused,) = deploy(ports, {}).findings
    assert refused.hint == shown
    ports.raising["apply"] = [MigrationFailed("b2 fails", revision="b2", hint=hint)]
    assert safe_upgrade(ports, request_of("safe-upgrade", {})).hint == hint
