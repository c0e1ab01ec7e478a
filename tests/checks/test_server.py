from __future__ import annotations

import pytest

from flask_safemigrate.facts.comparison import Comparison, Difference
from flask_safemigrate.facts.database import DatabaseState, InvalidIndex
from flask_safemigrate.facts.examination import (
    Examination,
    Idle,
    LateSequence,
    OtherVersionTable,
    UnusedType,
)
from flask_safemigrate.facts.state import State
from tests.checks.states import assert_finds, at, database, findings, state

BAD = InvalidIndex("public.ix", "users", "CREATE INDEX ix ON users (email)")
MOOD = UnusedType("public.mood", "mood")
APP = OtherVersionTable("app", ("c3",), False)
THEIRS = OtherVersionTable("other", ("zz",), False)
SEEN = OtherVersionTable("public", ("a1",), True)
SAME = OtherVersionTable("public", ("c3",), True)
LATE = LateSequence("users_id_seq", "users", "users", "id", 21, 500)
SHELL = Idle(77, 'user "ann" ("psql") from 10.0.0.9', 3600, "SELECT 1", ("users",))


def on(dialect: str, *rows: str, **facts: object) -> DatabaseState:
    facts = {"user": "shop", **facts}
    return at(*rows, dialect=dialect, examination=Examination(**facts))  # type: ignore[arg-type]


def postgresql(**facts: object) -> DatabaseState:
    return on("postgresql", "c3", **facts)


def compared(of: DatabaseState, **known: object) -> State:
    plain = state(of)
    comparison = Comparison(compared=True, **known)  # type: ignore[arg-type]
    return State(plain.project, plain.history, plain.databases, comparisons={"": comparison})


MISSING = Difference("index", "users", "ix", None, "")

FINDS = [
    (
        "SM524",
        state(at("c3", invalid_indexes=(BAD,))),
        ['Index public.ix of table "users" is invalid', "--fix SM524", "REINDEX"],
    ),
    (
        "SM533",
        state(postgresql(unused_types=(MOOD,))),
        ["Type 'mood' of database \"app.db\" is used by no column.", "DROP TYPE public.mood;"],
    ),
    (
        "SM533",
        compared(postgresql(unused_types=(MOOD,)), unused_types={"mood": "b2"}),
        ["revision 'b2', which is pending, makes it and will fail", "--fix SM533"],
    ),
    (
        "SM534",
        state(postgresql(version_tables=(SEEN,))),
        [
            "more than one version table in its search path: the first, which counts, holds 'c3'",
            "\"public.alembic_version\" ('a1')",
            'version_table_schema="public"',
        ],
    ),
    (
        "SM534",
        state(
            database(
                "users",
                dialect="postgresql",
                examination=Examination(user="shop", version_tables=(APP,)),
            )
        ),
        [
            'no version table where user "shop" looks',
            "there is \"app.alembic_version\" ('c3')",
            'SET search_path = "app", public;',
        ],
    ),
    (
        "SM534",
        state(
            database(
                dialect="postgresql", examination=Examination(user="x", version_tables=(APP,))
            )
        ),
        ['is empty where user "x" looks', "as it should be"],
    ),
    (
        "SM534",
        state(
            database(
                "users",
                dialect="postgresql",
                examination=Examination(user="shop", version_tables=(THEIRS,)),
            )
        ),
        ["\"other.alembic_version\" ('zz'), of another history", "as it should be"],
    ),
    (
        "SM535",
        state(postgresql(idle=(SHELL,))),
        [
            'Session 77 of database "app.db" (user "ann" ("psql") from 10.0.0.9) is idle in a '
            "transaction for 3,600 s; it keeps 'users' locked",
            "pg_terminate_backend(77)",
        ],
    ),
    (
        "SM535",
        state(on("mariadb", "c3", idle=(Idle(9, 'user "a" from b', None),))),
        ["idle in a transaction: a migration", "KILL 9;"],
    ),
    (
        "SM536",
        state(postgresql(late_sequences=(LATE,))),
        ["'users_id_seq'", "gives 21 next, but 'users.id' is at 500 already", "--fix SM536"],
    ),
    (
        "SM546",
        state(postgresql(no_snapshot=('"pg_dump" is version 15.', "apt install x"))),
        ['"pg_dump" is version 15.', "apt install x"],
    ),
    (
        "SM540",
        state(postgresql(version_tables=(SAME,))),
        ["holds the same", 'DROP TABLE "public"."alembic_version";'],
    ),
]


@pytest.mark.parametrize(("code", "of", "parts"), FINDS)
def test_finds(code: str, of: State, parts: list[str]) -> None:
    assert_finds(code, of, *parts)


SILENT = [
    ("SM546", state(postgresql())),
    ("SM524", state(at("c3", dialect="postgresql"))),
    ("SM533", state(postgresql())),
    # The history has it at this version, for a column that is to come.
    ("SM533", compared(postgresql(unused_types=(MOOD,)))),
    ("SM534", state(postgresql(version_tables=(SAME,)))),
    # Each tenant has a schema of its own.
    ("SM534", state(postgresql(version_tables=(APP,)))),
    ("SM535", state(postgresql())),
    ("SM535", state(postgresql(idle=(Idle(9, "x", 1, "", ("celery",)),)))),
    ("SM536", state(postgresql())),
    (
        "SM536",
        state(postgresql(late_sequences=(LateSequence("s", "celery", "celery", "id", 1, 2),))),
    ),
    ("SM540", state(postgresql(version_tables=(SEEN,)))),
    ("SM540", state(postgresql(version_tables=(APP,)))),
]


@pytest.mark.parametrize(("code", "of"), SILENT)
def test_silent(code: str, of: State) -> None:
    assert findings(code, of) == []


def test_an_index_that_the_history_has_is_built_and_any_other_dropped() -> None:
    invalid = at("c3", dialect="postgresql", invalid_indexes=(BAD,))
    assert (assert_finds("SM524", state(invalid)).repair or "").startswith("DROP INDEX")
    known = assert_finds("SM524", compared(invalid, drift=(MISSING,), at_version=True))
    assert (known.repair or "").startswith("REINDEX INDEX")
    assert findings("SM407", compared(invalid, drift=(MISSING,), at_version=True)) == []


def test_a_type_is_dropped_only_where_the_history_was_compared() -> None:
    assert assert_finds("SM533", state(postgresql(unused_types=(MOOD,)))).repair is None
    of = compared(postgresql(unused_types=(MOOD,)), unused_types={"mood": ""})
    assert assert_finds("SM533", of).repair == "DROP TYPE public.mood"


def test_the_wrong_version_table_explains_the_wrong_revision() -> None:
    lost = on("postgresql", "gone", version_tables=(SAME,))
    assert findings("SM301", state(on("postgresql", "gone")))
    assert findings("SM301", state(lost)) == []
    assert assert_finds("SM534", state(lost)).blocks


def test_the_sequences_of_a_database_are_told_together() -> None:
    several = tuple(LATE._replace(name=f"s{n}", highest=n) for n in range(1, 6))
    found = assert_finds("SM536", state(postgresql(late_sequences=several)))
    assert "sequence 's1' gives 21 next" in found.message
    assert "; and so do 2 more: the next row" in found.message
    assert "SELECT setval('s1', 1); SELECT setval('s2', 2);" in found.hint
    assert [step.names for step in found.steps] == [("s1",), ("s2",), ("s3",), ("s4",), ("s5",)]
    assert found.repair == "sets " + ", ".join(f"sequence 's{n}' to {n}" for n in range(1, 6))
