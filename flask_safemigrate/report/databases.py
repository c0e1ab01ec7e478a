"""Which database it is and where it stands: the first lines of every report."""

from __future__ import annotations

from collections.abc import Container, Sequence

from rich.text import Text

from flask_safemigrate.facts.database import DatabaseState, Table
from flask_safemigrate.facts.history import History
from flask_safemigrate.outcome import Outcome
from flask_safemigrate.report.layout import hint, labelled
from flask_safemigrate.report.wording import count, dialect_name, size


def databases(outcome: Outcome, width: int) -> list[Text]:
    """Return the lines of every database that a command looked at."""
    history = outcome.state.history if outcome.state else None
    found = {finding.message for finding in outcome.findings}
    lines: list[Text] = []
    for database in outcome.databases:
        if lines:
            lines.append(Text())
        if database.bind or len(outcome.databases) > 1:
            lines.extend(labelled("Bind", database.bind or "default", width))
        lines.extend(_database(database, history, found, width))
    return lines


def _database(
    database: DatabaseState, history: History | None, found: Container[str], width: int
) -> list[Text]:
    lines: list[Text] = []
    lines.extend(
        labelled("Database", f"{product(database)}  {database.location}", width, "bold cyan")
    )
    if database.unreachable:
        why = database.unreachable
        told = why.message in found
        problem = why.kind if told else f"{why.kind}: {why.message}"
        lines.extend(labelled("Problem", problem, width, "red"))
        if why.hint and not told:
            lines.extend(hint(why.hint, width, indent=10))
        return lines
    lines.extend(labelled("", ", ".join(facts(database)), width))
    if database.exists:
        text, style = _revision(database, history)
        lines.extend(labelled("Revision", text, width, style))
    return lines


def rows_of(tables: Sequence[Table]) -> str:
    """Return how many rows tables have together, "" where that is not known."""
    known = [t.rows for t in tables if t.rows is not None]
    if not known or len(known) < len(tables):
        return ""
    about = "" if all(t.exact for t in tables) else "about "
    return about + count(sum(known), "row")


def product(database: DatabaseState) -> str:
    """Return the database product and its version."""
    server = database.server.split("\n")[0].strip()
    name = dialect_name(database.dialect)
    if not server or server.lower().startswith(name.lower()):
        return server or name
    return f"{name} {server}"


def facts(database: DatabaseState) -> list[str]:
    """Return size, tables, rows and what else is to be known of a database."""
    facts: list[str] = []
    if database.exists:
        facts += [size(database.size), count(len(database.tables), "table")]
        facts += [rows] if (rows := rows_of(database.tables)) else []
    else:
        facts.append("does not exist yet")
    if database.read_only:
        facts.append("read-only")
    if database.environment:
        facts.append(f'deployed as "{database.environment}"')
    if database.configured:
        facts.append(f'configured as "{database.configured}"')
    return facts


def _revision(database: DatabaseState, history: History | None) -> tuple[str, str]:
    rows = database.version_rows
    if rows is None:
        return f'none: there is no table "{database.version_table}"', "yellow"
    if not rows:
        return f'none: table "{database.version_table}" is empty', "yellow"
    if history is None:
        return ", ".join(rows), ""
    named = [_named(row, history) for row in rows]
    unknown = [row for row in rows if row not in history.by_id]
    if unknown:
        return ", ".join(named), "red"
    behind = len(history.by_id) - len(history.ancestors(rows))
    if not behind:
        return f"{', '.join(named)} (head)", "green"
    heads = ", ".join(history.heads)
    word = "head" if len(history.heads) == 1 else "heads"
    return f"{', '.join(named)}, {count(behind, 'revision')} behind {word} {heads}", "yellow"


def place_of(database: DatabaseState, history: History) -> tuple[str, str]:
    """Return how good the place of a database in the history is, and the place in words.

    The first is ``good``, ``warning`` or ``error``.
    """
    rows = database.version_rows
    if not database.exists:
        return "warning", "not there yet"
    if not rows:
        return "warning", "no revision applied"
    unknown = sum(row not in history.by_id for row in rows)
    if unknown:
        return "error", "at a revision that no file has"
    behind = len(history.by_id) - len(history.ancestors(rows))
    if behind:
        return "warning", f"{count(behind, 'revision')} behind"
    return "good", "at head"


def _named(revision: str, history: History) -> str:
    found = history.by_id.get(revision)
    if found is None:
        return f"{revision} (no file has it)"
    return f'{revision} "{found.message}"' if found.message else revision
