"""Outcomes as hypothesis makes them."""

from __future__ import annotations

from hypothesis import strategies as st

from flask_safemigrate.facts.database import DatabaseState, JournalRow, Table, Unreachable
from flask_safemigrate.facts.history import BrokenFile, History, Revision
from flask_safemigrate.facts.project import GitFacts, ProjectState
from flask_safemigrate.facts.state import Ignored, State
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import (
    Applied,
    AppliedRevision,
    Cured,
    Disk,
    Doomed,
    Effect,
    HookPlan,
    HookRun,
    Outcome,
    Progress,
    Snapshot,
    Status,
    TableWork,
    Traced,
)
from flask_safemigrate.plan import Plan

COMMANDS = (
    "status",
    "doctor",
    "safe-upgrade",
    "safe-downgrade",
    "deploy",
    "reset",
    "snapshot",
    "snapshots",
    "restore",
)

seconds = st.floats(0, 10_000, allow_nan=False)
sizes = st.none() | st.integers(0, 10**13)
counts = st.integers(0, 10**10)

#: Anything at all, control characters and lone surrogates too.
anything = st.text(st.characters(), max_size=60)

_letter = st.characters(exclude_categories=("Z", "C"), exclude_characters="`")
_word = st.text(_letter, min_size=1, max_size=9)  # nine wide letters are eighteen cells
#: Sentences of short words, in any script.
sentences = st.lists(_word, max_size=30).map(" ".join)


def outcomes(
    text: st.SearchStrategy[str], *, name: st.SearchStrategy[str] | None = None
) -> st.SearchStrategy[Outcome]:
    """Outcomes whose free text is drawn from `text`, and names from `name` where given."""
    name = text if name is None else name

    def several(strategy: st.SearchStrategy, most: int = 2) -> st.SearchStrategy:
        return st.lists(strategy, max_size=most).map(tuple)

    names = several(name)
    revision = st.builds(
        Revision, name, names, names, names, text, text, name, several(name, most=5)
    )
    history = st.builds(
        History,
        several(revision, most=5),
        several(st.builds(BrokenFile, name, name, text, st.none() | counts)),
    )
    table = st.builds(Table, name, st.none() | counts, st.booleans())
    tables = several(table, most=4)
    row = st.builds(JournalRow, *([name] * 8))
    database = st.builds(
        DatabaseState,
        bind=name,
        dialect=st.sampled_from(["sqlite", "postgresql", "mysql", "mariadb"]) | name,
        location=name,
        name=name,
        exists=st.booleans(),
        read_only=st.booleans(),
        size=sizes,
        server=text,
        tables=tables,
        version_table=name,
        version_rows=st.none() | names,
        leftovers=tables,
        journal=several(row, most=1),
        configured=name,
        unreachable=st.none() | st.builds(Unreachable, name, text, text),
    )
    databases = several(database)
    project = st.builds(
        ProjectState,
        name,
        name,
        env_problem=text,
        models=st.dictionaries(name, names, max_size=2),
        config_problems=several(st.tuples(name, text)),
        git=st.builds(GitFacts, st.booleans(), names, names),
    )
    ignored = st.builds(Ignored, name, text, counts)
    state = st.builds(
        State,
        project,
        history,
        databases,
        st.dictionaries(name, name, max_size=2),
        ignored=several(ignored),
    )
    finding = st.builds(
        Finding,
        st.sampled_from(["SM101", "SM301", "SM602"]),
        st.sampled_from(Severity),
        text,
        text,
        text,
        st.none() | name,
        st.booleans(),
        st.none() | text,
        name,
        name,
        st.none() | counts,
    )
    plan = st.builds(
        Plan,
        name,
        name,
        names,
        names,
        several(revision, most=4),
        st.sampled_from(["upgrade", "downgrade"]),
    )
    snapshot = st.builds(
        Snapshot, name, name, name, name, name, names, counts, name, name, text, name
    )
    work = st.builds(TableWork, name, name, text, seconds, counts, several(text), names)
    effect = st.builds(
        Effect,
        name,
        name,
        st.sampled_from(["nobody", "writers", "readers and writers"]),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        sizes,
        sizes,
    )
    traced = st.builds(
        Traced, name, st.none() | counts, text, seconds, several(effect, most=3), name
    )
    applied = st.builds(
        Applied,
        name,
        name,
        names,
        names,
        several(st.builds(AppliedRevision, name, text, seconds)),
        seconds,
        several(text),
        several(work),
        st.none() | snapshot,
        st.sampled_from(["upgrade", "downgrade"]),
        several(text),
        several(text),
        st.booleans(),
        several(traced),
        st.none() | st.builds(Disk, sizes, sizes),
    )
    doomed = st.builds(Doomed, name, name, name, sizes, tables)
    whole = st.builds(
        Outcome,
        st.sampled_from(COMMANDS),
        st.sampled_from(Status),
        databases,
        st.none() | state,
        several(finding, most=3),
        several(plan),
        several(applied),
        several(st.builds(HookRun, name, seconds, st.sampled_from(["done", "failed"]), text)),
        several(snapshot),
        several(text),
        several(doomed),
        seconds,
        text,
        text,
        several(text),
        st.booleans(),
        several(st.builds(HookPlan, name, st.booleans(), st.booleans())),
        text,
        several(st.builds(Cured, name, names, st.just("--- a\n+++ a\n-x\n+y"))),
    )
    # Usually the revisions of plans and databases are those of the history.
    return whole.map(_related)


def _related(outcome: Outcome) -> Outcome:
    if outcome.state is None or not outcome.state.history.revisions:
        return outcome
    revisions = outcome.state.history.revisions
    databases = tuple(
        d._replace(version_rows=(revisions[0].id,)) if d.version_rows else d
        for d in outcome.databases
    )
    return outcome._replace(databases=databases)


def news(text: st.SearchStrategy[str]) -> st.SearchStrategy[Progress]:
    """Pieces of news."""
    from flask_safemigrate.outcome import STAGES

    small = st.integers(0, 2000)
    return st.builds(
        Progress, st.sampled_from(STAGES), text, text, st.none() | seconds, text, small, small
    )
