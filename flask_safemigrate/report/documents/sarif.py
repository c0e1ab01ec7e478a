"""Findings as SARIF 2.1.0, which code scanning reads.

Source of the rules: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0, and
docs.github.com, "SARIF support for code scanning".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask_safemigrate.checks.catalogue import CATALOGUE, FAMILIES, Check
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Outcome, exit_code
from flask_safemigrate.report.documents.places import relative, source
from flask_safemigrate.report.wording import clean

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
# What code scanning calls them.
_PROBLEMS = {
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "recommendation",
}
_ROOT = "SRCROOT"
_INDEX = {check.code: number for number, check in enumerate(CATALOGUE)}
_NUMBER = re.compile(r"\d[\d,.]*")


def text(outcome: Outcome, root: Path) -> str:
    """Return the document as ASCII text.

    :param root: the folder that file names begin at, that of the repository.
    """
    # To a CI runner that shows it, two of them would begin a command of its own.
    written = json.dumps(document(outcome, root), indent=2)
    return written.replace("##", "#\\u0023") + "\n"


def document(outcome: Outcome, root: Path) -> dict[str, Any]:
    """Return one run with every check as a rule and every finding as a result."""
    prints = fingerprints(outcome.findings, outcome, root)
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "Flask-SafeMigrate",
                        "version": version("flask-safemigrate"),
                        "rules": [_rule(check) for check in CATALOGUE],
                    }
                },
                "automationDetails": {"id": "flask-safemigrate/"},
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {_ROOT: {"uri": root.as_uri().rstrip("/") + "/"}},
                "invocations": [_invocation(outcome)],
                "results": [
                    _result(finding, print_, outcome, root)
                    for finding, print_ in zip(outcome.findings, prints, strict=True)
                ],
            }
        ],
    }


def fingerprints(findings: Sequence[Finding], outcome: Outcome, root: Path) -> list[str]:
    """Return what tells each finding from the others, the same in every run and on every machine.

    Neither line numbers, nor numbers of rows, nor the folder of the repository count.
    """
    seen: Counter[str] = Counter()
    found = []
    for finding in findings:
        message = _NUMBER.sub("#", finding.message.replace(str(root), "."))
        about = (
            finding.code,
            finding.bind or "",
            relative(finding.file, root) if finding.file else "",
            finding.subject.replace(str(root), ".") or message,
        )
        key = hashlib.sha256("\0".join(about).encode("utf-8", "backslashreplace")).hexdigest()
        seen[key] += 1
        found.append(f"{key[:32]}:{seen[key]}")
    return found


def _rule(check: Check) -> dict[str, Any]:
    sections = check.sections
    title = check.title.replace("``", "`")
    name = "".join(word.capitalize() for word in check.name.split("-"))
    return {
        "id": check.code,
        "name": name,
        "shortDescription": {"text": title},
        "fullDescription": {"text": f"{title} {dict(sections)['Cause']}"},
        "help": {
            "text": "\n\n".join(f"{heading}: {told}" for heading, told in sections),
            "markdown": "\n\n".join(
                (f"## {title}", *(f"**{heading}.** {told}" for heading, told in sections))
            ),
        },
        "defaultConfiguration": {"level": _LEVELS[check.severity]},
        "properties": {
            "tags": [FAMILIES[check.family]],
            "problem.severity": _PROBLEMS[check.severity],
        },
    }


def _result(finding: Finding, fingerprint: str, outcome: Outcome, root: Path) -> dict[str, Any]:
    message = f"{finding.message}\nHint: {finding.hint}" if finding.hint else finding.message
    properties = {"where": clean(finding.where), "blocks": finding.blocks}
    if finding.repair is not None:
        properties["repair"] = clean(finding.repair)
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "level": _LEVELS[finding.severity],
        "message": {"text": clean(message)},
        "partialFingerprints": {
            "flaskSafeMigrate/v1": fingerprint,
            # Code scanning takes two results of one rule on one line for the same without it.
            "primaryLocationLineHash": fingerprint,
        },
        "properties": properties,
    }
    if finding.code in _INDEX:
        result["ruleIndex"] = _INDEX[finding.code]
    if location := _location(finding, outcome, root):
        result["locations"] = [location]
    return result


def _location(finding: Finding, outcome: Outcome, root: Path) -> dict[str, Any]:
    location: dict[str, Any] = {}
    if file := source(finding, outcome):
        location["physicalLocation"] = {
            "artifactLocation": _artifact(file, root),
            "region": {"startLine": max(finding.line or 1, 1)},
        }
    names = [d.name for d in outcome.databases if d.bind == finding.bind]
    if finding.bind is not None:
        name = clean(names[0] if names else finding.bind)
        full = f"{clean(finding.bind)}/{name}" if finding.bind else name
        location["logicalLocations"] = [
            {"name": name, "fullyQualifiedName": full, "kind": "database"}
        ]
    return location


def _artifact(file: str, root: Path) -> dict[str, Any]:
    path = relative(file, root)
    uri = quote(path, safe="/", errors="backslashreplace")
    # A URI without a base must say what it is.
    return {"uri": "file://" + uri} if path.startswith("/") else {"uri": uri, "uriBaseId": _ROOT}


def _invocation(outcome: Outcome) -> dict[str, Any]:
    code = exit_code(outcome.status)
    invocation: dict[str, Any] = {"executionSuccessful": not outcome.error, "exitCode": code}
    if outcome.error:
        told = f"{outcome.error}\nHint: {outcome.hint}" if outcome.hint else outcome.error
        invocation["toolExecutionNotifications"] = [
            {"level": "error", "message": {"text": clean(told)}}
        ]
    return invocation
