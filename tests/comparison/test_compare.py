"""Which revision a schema equals: tables of cases on plain facts."""

from __future__ import annotations

import random

import pytest

from flask_safemigrate.comparison.compare import compare, history_facts
from flask_safemigrate.facts.comparison import Fact, Facts, ReplayedHistory
from flask_safemigrate.facts.history import History, Revision


def table(name: str) -> Fact:
    return Fact("table", name, "")


def column(of: str, name: str) -> Fact:
    return Fact("column", of, name)


def replay(steps: dict[str, dict[Fact, str | None]]) -> ReplayedHistory:
    """A replay from what each revision sets (None: drops)."""
    values: dict[Fact, str] = {}
    changes: dict[str, dict[Fact, tuple[str | None, str | None]]] = {}
    for id, change in steps.items():
        changes[id] = {fact: (values.get(fact), after) for fact, after in change.items()}
        for fact, after in change.items():
            if after is None:
                values.pop(fact, None)
            else:
                values[fact] = after
    return ReplayedHistory(changes)


LINE = History(
    tuple(
        Revision(id, (before,) if before else ())
        for before, id in zip(("", "a", "b", "c", "d"), ("a", "b", "c", "d", "e"), strict=True)
    )
)
#: a makes t, b changes rows, c adds t.x, d changes rows, e makes u and drops t.x.
STEPS = replay(
    {
        "a": {table("t"): "", column("t", "id"): "INTEGER"},
        "b": {},
        "c": {column("t", "x"): "TEXT"},
        "d": {},
        "e": {table("u"): "", column("u", "id"): "INTEGER", column("t", "x"): None},
    }
)


def at(*ids: str) -> Facts:
    return Facts(dict(history_facts(STEPS, LINE, ids) or {}))


@pytest.mark.parametrize(
    ("have", "version", "journal", "equals"),
    [
        ("e", (), (), [("e",)]),
        ("c", (), (), [("d",), ("c",)]),  # the newest
        ("c", (), ("a", "b", "c"), [("c",), ("d",)]),  # as the journal says
        ("c", (), ("a",), [("d",), ("c",)]),  # the journal says nothing about it
        ("c", ("a",), (), [("c",), ("d",)]),  # up: the first that fits
        ("a", ("e",), (), [("b",), ("a",)]),  # down: the last that fits
    ],
)
def test_the_likeliest_revision_comes_first(
    have: str, version: tuple[str, ...], journal: tuple[str, ...], equals: list[tuple[str, ...]]
) -> None:
    found = compare(LINE, STEPS, at(have), None, at=version, applied=journal)
    assert list(found.equals) == equals
    assert found.compared


def test_others_tables_do_not_count_and_columns_do() -> None:
    others = {table("celery"): "", column("celery", "id"): "INTEGER", Fact("view", "", "v"): "x"}
    assert compare(LINE, STEPS, Facts({**at("e").values, **others}), None).equals == (("e",),)
    more = {**at("e").values, column("t", "phone"): "TEXT"}
    found = compare(LINE, STEPS, Facts(more), None)
    assert found.equals == ()
    assert found.nearest == ("e",)
    assert [(d.kind, d.table, d.name) for d in found.apart] == [("column", "t", "phone")]


def test_what_a_batch_migration_loses_proves_nothing() -> None:
    steps = replay(
        {
            "a": {table("t"): "", column("t", "id"): "INTEGER", Fact("check", "t", "id > 0"): ""},
            "b": {table("u"): ""},
        }
    )
    history = History(LINE.revisions[:2])
    have = {table("t"): "", column("t", "id"): "INTEGER", Fact("index", "t", "id"): ""}
    found = compare(history, steps, Facts(have), None, at=("a",))
    assert found.equals == (("a",),)
    assert found.at_version is True
    assert [(d.kind, d.here, d.there) for d in found.drift] == [
        ("index", "", None),
        ("check", None, ""),
    ]
    assert [(d.kind, d.name) for d in found.but] == [(d.kind, d.name) for d in found.drift]
    assert [d.made_by for d in found.drift] == ["", "a"]


def test_an_index_that_is_missing_proves_something() -> None:
    steps = replay({"a": {table("t"): "", Fact("index", "t", "id"): ""}, "b": {}})
    found = compare(History(LINE.revisions[:2]), steps, Facts({table("t"): ""}), None, at=("b",))
    assert (found.equals, found.at_version) == ((), False)


def test_without_tables_it_is_base() -> None:
    found = compare(LINE, STEPS, Facts({}), None, at=("e",))
    assert (found.equals, found.at_version) == (((),), False)


def test_an_unknown_version_leaves_the_place() -> None:
    found = compare(LINE, STEPS, at("e"), None, at=("gone",))
    assert (found.equals, found.at_version, found.drift) == ((("e",),), None, ())


def test_half_of_a_pending_revision() -> None:
    have = {**at("c").values, table("u"): ""}
    found = compare(LINE, STEPS, Facts(have), None, at=("c",))
    (half,) = found.already
    assert half.revision == "e"
    assert [(d.kind, d.table) for d in half.done] == [("table", "u")]
    assert [(d.kind, d.table, d.name) for d in half.missing] == [
        ("column", "t", "x"),
        ("column", "u", "id"),
    ]
    assert found.drift == ()


def test_where_a_replay_stopped_nothing_is_said_of_the_rest() -> None:
    stopped = ReplayedHistory(
        {id: STEPS.changes[id] for id in ("a", "b")}, stopped_at="c", problem="no"
    )
    found = compare(LINE, stopped, at("a"), Facts({table("x"): ""}), at=("c",))
    assert found.equals == (("b",), ("a",))
    assert (found.at_version, found.models, found.stopped_at) == (None, None, "c")


def test_models_beside_the_newest_revision() -> None:
    models = {table("t"): "", column("t", "id"): "BIGINT", column("t", "y"): "TEXT"}
    found = compare(LINE, STEPS, None, Facts(models))
    assert not found.compared
    assert [(d.kind, d.table, d.name, d.here, d.there) for d in found.models or ()] == [
        ("table", "u", "", None, ""),
        ("column", "t", "id", "BIGINT", "INTEGER"),
        ("column", "t", "y", "TEXT", None),
    ]


def test_tables_of_another_history_are_its_own() -> None:
    """One set of models, and each history makes some of its tables."""
    theirs = {table("their"): "", column("their", "id"): "INTEGER"}
    models = Facts({**at("e").values, **theirs, table("new"): ""})
    database = Facts({**at("e").values, **theirs})
    alone = compare(LINE, STEPS, database, models, at=("e",))
    assert [d.table for d in alone.drift] == ["their"]
    assert {d.table for d in alone.models or ()} == {"their", "new"}
    shared = compare(LINE, STEPS, database, models, at=("e",), shared=True)
    assert (shared.at_version, shared.drift) == (True, ())
    assert [d.table for d in shared.models or ()] == ["new"]


@pytest.mark.parametrize("seed", range(40))
def test_every_place_of_a_branched_history_is_found(seed: int) -> None:
    """The walk along the graph counts as a comparison with each place by itself would."""
    chance = random.Random(seed)
    revisions: list[Revision] = []
    steps: dict[str, dict[Fact, str | None]] = {}
    for number in range(14):
        ids = [r.id for r in revisions]
        count = min(len(ids), chance.choice((0, 1, 1, 1, 1, 2)) if ids else 0)
        depends = tuple(chance.sample(ids, 1)) if ids and chance.random() < 0.15 else ()
        id = f"r{number:02}"
        revisions.append(Revision(id, tuple(chance.sample(ids, count)), depends))
        steps[id] = {table(id): "", column(id, "c"): str(chance.randrange(3))}
    history, made = History(tuple(revisions)), replay(steps)
    for id in steps:
        have = Facts(dict(history_facts(made, history, (id,)) or {}))
        found = compare(history, made, have, None)
        assert (id,) in found.equals
        for ids in found.equals:
            assert history_facts(made, history, ids) == have.values
