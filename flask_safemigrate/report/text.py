"""Outcomes as text.

What a command found and did goes to standard output; progress, questions and errors go to
standard error.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import RenderableType
from rich.text import Text

from flask_safemigrate.findings import LOSSES, Finding, Severity
from flask_safemigrate.outcome import Outcome, Status
from flask_safemigrate.report.databases import databases
from flask_safemigrate.report.findings import findings, repairs, verdict
from flask_safemigrate.report.graph import graph
from flask_safemigrate.report.layout import hanging, hint, indented
from flask_safemigrate.report.plans import doomed, plans
from flask_safemigrate.report.wording import clean, duration
from flask_safemigrate.report.work import applied, hooks, planned_hooks, snapshot, snapshots

Blocks = list[RenderableType]


def before(outcome: Outcome, width: int) -> Blocks:
    """Return what a person must know to answer whether to go on."""
    sections: list[Iterable[RenderableType]] = [
        databases(outcome, width),
        findings(_worth_saying(outcome), width),
        plans(outcome, width),
        *(doomed(one, width) for one in outcome.doomed),
        *(_diff(each.diff) for each in outcome.cured),
        _notes(outcome, width),
    ]
    if outcome.command == "doctor" and (fixes := repairs(outcome.findings, width)):
        sections.append([Text("Repairs:", style="bold"), *fixes])
    if outcome.command == "restore":
        sections.extend(snapshot(one, width, way_back=False) for one in outcome.snapshots)
    return _joined(sections)


def report(
    outcome: Outcome,
    width: int,
    *,
    shown: Outcome | None = None,
    with_graph: bool = False,
) -> Blocks:
    """Return what a command found and did; its error is not in it.

    :param shown: what :func:`before` has shown already, and need not be said again.
    :param with_graph: list every revision of the project.
    """
    known = shown or Outcome(command=outcome.command, status=outcome.status)
    sections: list[Iterable[RenderableType]] = []
    if not known.databases:
        sections.append(databases(outcome, width))
    again = outcome.command == "doctor"
    # The second look, under the lock, may find what the first did not.
    found = [f for f in _worth_saying(outcome) if again or f not in known.findings]
    sections.append(findings(found, width))
    if with_graph and outcome.state:
        sections.append(graph(outcome.state.history, outcome.databases, width))
    elif not known.plans and (outcome.dry_run or not outcome.applied):
        limit = 10 if outcome.command == "status" else 50
        sections.append(plans(outcome, width, limit=limit))
    if not known.doomed and not outcome.applied:
        sections.extend(doomed(one, width) for one in outcome.doomed)
    sections.extend(applied(work, width, rehearsal=outcome.dry_run) for work in outcome.applied)
    if not known.cured:
        sections.extend(_diff(each.diff) for each in outcome.cured)
    sections.append(hooks(outcome.hooks, width))
    sections.append(planned_hooks(outcome.planned_hooks, width))
    sections.append(_snapshots(outcome, known, width))
    sections.append(
        [line for text in outcome.repairs for line in indented(f"Repaired: {text}", width, 0)]
    )
    fresh = [note for note in outcome.notes if note not in known.notes]
    sections.append([line for note in fresh for line in indented(note, width, 0)])
    sections.append(_ending(outcome))
    return _joined(sections)


def error(outcome: Outcome, width: int) -> Blocks:
    """Return the error of an outcome and its hint, nothing where there is none."""
    if not outcome.error:
        return []
    lines = hanging("Error: ", outcome.error, width, 0, bold="bold red")
    return [*lines, *(hint(outcome.hint, width) if outcome.hint else [])]


def statements(outcome: Outcome) -> str:
    """Return the SQL of a rehearsal as a script, with comments that say why."""
    parts: list[str] = [outcome.script.rstrip("\n")] if outcome.script else []
    for work in outcome.applied:
        parts.append(
            _comment(
                f"{work.location}: {', '.join(work.start) or 'base'} to "
                f"{', '.join(work.target) or 'base'}"
            )
        )
        for table in work.tables:
            parts.append(_comment(f"{table.table}: {table.way}, {table.reason}"))
        if "PRAGMA writable_schema=ON" in work.script:
            # https://sqlite.org/cli.html#dot_dbconfig; a shell that goes on after an error would
            # commit the half of it.
            parts.append(
                _comment("For the shell: sqlite3 -bail -cmd '.dbconfig defensive off' DATABASE")
            )
        if work.script:
            script = ("BEGIN IMMEDIATE", *work.script, "COMMIT")
            parts.extend(f"{s.rstrip().rstrip(';')};" for s in script)
    return "".join(f"{part}\n" for part in parts)


def _comment(text: str) -> str:
    return f"-- {clean(text)}".replace("\n", " ")


def _worth_saying(outcome: Outcome) -> list[Finding]:
    # Who asks for an upgrade did not ask what else there is to know.
    everything = outcome.command == "doctor"
    return [
        f for f in outcome.findings if everything or f.severity > Severity.INFO or f.code in LOSSES
    ]


def _diff(diff: str) -> Blocks:
    styles = {"+": "green", "-": "red", "@": "cyan"}
    return [Text(line, style=styles.get(line[:1], "")) for line in clean(diff).split("\n")]


def _notes(outcome: Outcome, width: int) -> Blocks:
    return [line for note in outcome.notes for line in indented(note, width, 0)]


def _snapshots(outcome: Outcome, known: Outcome, width: int) -> Blocks:
    if outcome.command == "snapshots":
        return list(snapshots(outcome.snapshots, width))
    mentioned = {*known.snapshots, *(work.snapshot for work in outcome.applied)}
    return [
        block
        for one in outcome.snapshots
        if one not in mentioned
        for block in snapshot(one, width)
    ]


def _ending(outcome: Outcome) -> Blocks:
    if outcome.command == "doctor":
        return [verdict(outcome.findings)] if not outcome.error else []
    if outcome.status is Status.NOTHING_TO_DO and not outcome.notes:
        word = "Nothing is pending." if outcome.command == "status" else "Nothing to do."
        return [Text(word, style="green")]
    if outcome.applied and outcome.seconds:
        return [Text(f"Took {duration(outcome.seconds)} in all.", style="dim")]
    return []


def _joined(sections: Iterable[Iterable[RenderableType]]) -> Blocks:
    blocks: Blocks = []
    for section in sections:
        lines = list(section)
        if lines:
            blocks.extend([Text(), *lines] if blocks else lines)
    return blocks
