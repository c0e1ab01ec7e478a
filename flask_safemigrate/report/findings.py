"""Findings as text, worst first."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.report.layout import hanging, hint, indented
from flask_safemigrate.report.wording import clean, count

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.INFO: "bold blue"}
_INDENT = 6


def findings(found: Sequence[Finding], width: int) -> list[Text]:
    """Return every finding: code, severity and message, where, and what helps."""
    lines: list[Text] = []
    for finding in sorted(found, key=lambda f: (-f.severity, f.code, f.bind or "", f.where)):
        if lines:
            lines.append(Text())
        lines.extend(_finding(finding, width))
    return lines


def verdict(found: Sequence[Finding]) -> Text:
    """Return the line that counts findings and says what can be repaired."""
    if not found:
        return Text("No problems found.", style="bold green")
    parts = [
        count(number, severity.word, "infos" if severity is Severity.INFO else "")
        for severity in sorted(Severity, reverse=True)
        if (number := sum(f.severity is severity for f in found))
    ]
    counted = (f"{', '.join(parts)}.", _STYLES[max(f.severity for f in found)])
    repairable = sum(f.repair is not None for f in found)
    if not repairable:
        return Text.assemble(counted)
    word = " --from-journal" if any(f.from_journal for f in found) else ""
    possible = f" {count(repairable, 'repair')} possible: flask db doctor --fix{word}"
    return Text.assemble(counted, possible)


def repairs(found: Sequence[Finding], width: int) -> list[Text]:
    """Return what ``doctor --fix`` would do, one entry a finding."""
    lines: list[Text] = []
    for finding in found:
        if finding.repair is not None:
            head = f"  {clean(finding.code)}  "
            lines.extend(hanging(head, finding.repair, width, len(head)))
    return lines


def _finding(finding: Finding, width: int) -> list[Text]:
    head = f"{clean(finding.code)} {finding.severity.word}  "
    style = _STYLES[finding.severity]
    lines = hanging(head, finding.message, width, _INDENT, bold=style)
    if finding.where:
        lines.extend(indented(finding.where, width, _INDENT, "dim"))
    if finding.hint:
        lines.extend(hint(finding.hint, width, _INDENT))
    return lines
