from __future__ import annotations

from flask_safemigrate.comparison.losses import Brought, brought
from flask_safemigrate.facts.comparison import Fact, ReplayedHistory

Change = dict[Fact, tuple[str | None, str | None]]


def table(name: str, *columns: str, gone: bool = False) -> Change:
    facts = [(Fact("table", name, ""), ""), *((Fact("column", name, c), "TEXT") for c in columns)]
    return {fact: (value, None) if gone else (None, value) for fact, value in facts}


def replay(*changes: Change) -> ReplayedHistory:
    facts = [fact for change in changes for fact in change]
    names = {fact: fact.name or fact.table for fact in facts}
    return ReplayedHistory(
        {f"r{number}": change for number, change in enumerate(changes, 1)}, names
    )


def test_tables_and_columns_that_came() -> None:
    column: Change = {
        Fact("column", "t", "x"): (None, "TEXT"),
        Fact("column", "t", "a"): ("TEXT", "INTEGER"),
        Fact("index", "t", "x"): (None, ""),
    }
    history = replay(table("t", "a"), column, table("u", "b"))
    assert brought(history, ["r3"]) == (Brought("u", ""),)
    assert brought(history, ["r3", "r2"]) == (Brought("t", "x"), Brought("u", ""))
    assert brought(history, ["r3", "r2", "r1"]) == (Brought("t", ""), Brought("u", ""))
    assert brought(history, ["unknown"]) == ()


def test_what_came_and_went_again_is_not_there_to_go() -> None:
    history = replay(table("u", "b"), table("u", "b", gone=True))
    assert brought(history, ["r2", "r1"]) == ()


def test_another_name_is_nothing_new() -> None:
    tables = table("t", "a", "b", gone=True) | table("things", "a", "b")
    columns: Change = {
        Fact("column", "t", "old"): ("TEXT", None),
        Fact("column", "t", "new"): (None, "TEXT"),
    }
    assert brought(replay(tables), ["r1"]) == ()
    assert brought(replay(columns), ["r1"]) == ()
