"""Every command that a message, a hint or an explanation names can be typed."""

from __future__ import annotations

import re

import pytest
from flask_migrate.cli import db as stock

from flask_safemigrate import cli
from flask_safemigrate.checks.catalogue import CATALOGUE, run_checks
from flask_safemigrate.checks.found import in_sql, plain, searching
from flask_safemigrate.facts.state import State
from tests.checks import (
    test_database,
    test_history,
    test_project,
    test_schema,
    test_setup,
    test_version_table,
)

COMMANDS = {**stock.commands, **{command.name or "": command for command in cli.commands()}}
TABLES = (
    test_project,
    test_setup,
    test_history,
    test_version_table,
    test_schema,
    test_database,
)
STATES = [of for module in TABLES for _, of, _ in module.FINDS]


def assert_typable(text: str) -> None:
    for name, rest in re.findall(r"flask db ([a-z][\w-]*)((?: --?[a-z][\w-]*)*)", text):
        command = COMMANDS.get(name)
        assert command is not None, text
        known = {option for param in command.params for option in param.opts}
        assert set(rest.split()) <= known, text


@pytest.mark.parametrize("check", CATALOGUE, ids=lambda check: check.code)
def test_explanations(check: object) -> None:
    assert_typable(" ".join(check.explanation.split()))  # type: ignore[attr-defined]


@pytest.mark.parametrize("of", STATES)
def test_findings(of: State) -> None:
    found = run_checks(of)
    assert found
    for finding in found:
        assert_typable(f"{finding.message} {finding.hint}")
        assert finding.hint
        assert not finding.hint.endswith(".")
        assert "\n" not in finding.message


def test_names_out_of_a_database_stay_names() -> None:
    assert searching("x'; rm -rf /; '") == (
        """git log --all --oneline -- '*x'"'"'; rm -rf /; '"'"'*'"""
    )
    assert in_sql('a"; DROP TABLE b') == '"a""; DROP TABLE b"'
    assert plain("a\nb\x1b\u202e") == "a\\nb\\x1b\\u202e"
