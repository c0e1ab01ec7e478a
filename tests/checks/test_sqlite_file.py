from __future__ import annotations

import pytest

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.facts.comparison import Comparison, Difference
from flask_safemigrate.facts.database import DatabaseState, Table, Unreachable
from flask_safemigrate.facts.examination import (
    Examination,
    Mismatch,
    Orphans,
    TextDefault,
    Unusable,
)
from flask_safemigrate.facts.project import Reference
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity
from tests.checks.states import assert_finds, at, database, findings, state

REFERENCES = {"": (Reference("orders", "user_id", "users", "id"),)}


def with_condition(**facts: object) -> DatabaseState:
    return at("c3", examination=Examination(**facts))  # type: ignore[arg-type]


def orphans(count: int, *rowids: int, parent: str = "users") -> DatabaseState:
    return with_condition(orphans=(Orphans("orders", ("user_id",), parent, count, rowids),))


NO_NOW = Unusable("table", "event", "at", "INSERT", "unknown function: now()", "now")
UNSORTED = Unusable(
    "table", "city", "name", "SELECT", "no such collation sequence: de_DE", "de_DE"
)
NO_MODULE = Unusable("table", "idx", "", "SELECT", "no such module: vec0", "vec0")

FINDS = [
    (
        "SM520",
        state(at("c3", configured="app.db")),
        ['"app.db" is relative; it means "/shop/app.db"', "sqlite:////shop/app.db"],
    ),
    ("SM521", state(database(exists=False)), ['"app.db" does not exist yet', "safe-upgrade"]),
    ("SM522", state(at("c3", location=":memory:")), ["lives in the memory", "sqlite:///app.db"]),
    ("SM522", state(at("c3", location="file:x?mode=memory&uri=true")), ["lives in the memory"]),
    (
        "SM527",
        state(orphans(7, 1, 2, 3, 4, 5)),
        [
            "7 rows of table 'orders' (rowid 1, 2, 3, 4, 5 and more) point by 'user_id' to rows "
            "of 'users' that are not there",
            'SELECT rowid, * FROM "orders" WHERE rowid IN (1, 2, 3, 4, 5);',
        ],
    ),
    ("SM527", state(orphans(1, 9)), ["1 row of table 'orders' (rowid 9) points by"]),
    ("SM527", state(orphans(2)), ["2 rows of table 'orders' point", "SELECT * FROM"]),
    ("SM527", state(orphans(2, parent="gone")), ["rows of 'gone' that are not there"]),
    (
        "SM528",
        state(with_condition(enforces=False), references=REFERENCES),
        ["declare 1 foreign key ('orders.user_id')", "do not enforce it", "foreign_keys=ON"],
    ),
    (
        "SM529",
        state(with_condition(mismatches=(Mismatch("orders", "users", ("email",), ("mail",)),))),
        ["'orders.email' refers to mail of 'users', neither its primary key", "unique=True"],
    ),
    (
        "SM530",
        state(at("c3", left_behind="journal")),
        ['in the middle of a change by a process that died; "app.db-journal" undid it', "status"],
    ),
    (
        "SM531",
        state(at("c3", left_behind="log")),
        ['"app.db-wal", which no process on this machine has open', "flask db doctor --fix SM531"],
    ),
    (
        "SM532",
        state(with_condition(file_system="nfs4")),
        ["is on a network file system (nfs4)", "local disk"],
    ),
    (
        "SM548",
        state(with_condition(text_defaults=(TextDefault("users", "active", "'false'", 0),))),
        [
            "default 'false' of the Boolean column 'users.active' is a text, which reads as True.",
            'op.alter_column("users", "active", server_default=sa.false())',
        ],
    ),
    (
        "SM548",
        state(with_condition(text_defaults=(TextDefault("users", "active", "'t'", 1),))),
        ["1 row has a text there", "sa.true()", 'UPDATE "users" SET "active" = 1 WHERE'],
    ),
    (
        "SM541",
        state(with_condition(unusable=(NO_NOW,))),
        ["table 'event' (column 'at') cannot take a row: unknown function", "CURRENT_TIMESTAMP"],
    ),
    (
        "SM541",
        state(with_condition(unusable=(NO_NOW._replace(verb="SELECT", kind="view", column=""),))),
        ["view 'event' cannot be read", "create_function"],
    ),
    (
        "SM541",
        state(with_condition(unusable=(UNSORTED,))),
        ["no such collation sequence: de_DE", "leave the collation 'de_DE' away"],
    ),
    (
        "SM541",
        state(with_condition(unusable=(NO_MODULE,))),
        ["table 'idx' cannot be read: no such module: vec0", "load the extension with 'vec0'"],
    ),
]


@pytest.mark.parametrize(("code", "of", "parts"), FINDS)
def test_finds(code: str, of: State, parts: list[str]) -> None:
    assert_finds(code, of, *parts)


LEFT = Table("_alembic_tmp_users", 37)
SILENT = [
    ("SM520", state(at("c3"))),
    ("SM521", state(at("c3"))),
    ("SM521", state(database(exists=False, location=":memory:"))),
    ("SM522", state(at("c3"))),
    ("SM522", state(at("c3", dialect="postgresql", location=""))),
    ("SM527", state(at("c3"))),
    # Where the parent is under another name, its children point to it again after the repair.
    (
        "SM527",
        state(
            database(
                "orders",
                "_alembic_tmp_users",
                version_rows=("c3",),
                leftovers=(LEFT,),
                examination=orphans(3, 1).examination,
            )
        ),
    ),
    ("SM528", state(with_condition(enforces=True), references=REFERENCES)),
    ("SM528", state(with_condition(enforces=None), references=REFERENCES)),
    ("SM528", state(with_condition(enforces=False))),
    ("SM529", state(at("c3"))),
    ("SM530", state(at("c3", left_behind="log"))),
    ("SM531", state(at("c3", left_behind="journal"))),
    ("SM532", state(at("c3"))),
    ("SM541", state(at("c3"))),
    ("SM548", state(at("c3"))),
]


@pytest.mark.parametrize(("code", "of"), SILENT)
def test_silent(code: str, of: State) -> None:
    assert findings(code, of) == []


GONE = Mismatch("orders", "user", ("user_id",), ("id",), gone=True)


@pytest.mark.parametrize(("enforces", "severity"), [(False, "warning"), (True, "error")])
def test_a_parent_that_is_not_there(enforces: bool, severity: str) -> None:
    examination = orphans(2, parent="user").examination
    of = state(with_condition(mismatches=(GONE,), orphans=examination.orphans, enforces=enforces))
    found = assert_finds("SM529", of)
    assert "'orders.user_id' refers to table 'user', which does not exist" in found.message
    assert found.severity.word == severity
    # Its rows are the same fault.
    assert findings("SM527", of) == []


def test_a_parent_that_the_comparison_misses_is_told_once() -> None:
    of = state(with_condition(mismatches=(GONE,)))
    drift = (Difference("table", "user", "", None, "table"),)
    compared = of._replace(comparisons={"": Comparison(compared=True, drift=drift)})
    assert findings("SM529", compared) == []


def test_a_log_is_not_written_back_where_nothing_can_be_written() -> None:
    why = Unreachable("read-only", "no.", "chmod")
    assert assert_finds("SM531", state(at("c3", left_behind="log"))).repair
    assert assert_finds("SM531", state(at("c3", left_behind="log", refuses=why))).repair is None


def test_what_is_only_told_blocks_nothing() -> None:
    of = state(database(exists=False, configured="app.db"))
    assert [(f.code, f.severity) for f in run_checks(of)] == [
        ("SM520", Severity.INFO),
        ("SM521", Severity.INFO),
    ]
    assert [f.code for f in run_checks(of, command="deploy") if f.blocks] == []


def test_keys_to_the_same_table_are_told_once_with_its_columns() -> None:
    wrong = (
        Mismatch("orders", "users", ("email",), ("mail",)),
        Mismatch("notes", "Users", ("a", "b"), ("mail", "name")),
        Mismatch("visits", "users", ("who",), ("mail",)),
    )
    found = assert_finds("SM529", state(with_condition(mismatches=wrong)))
    assert "'orders.email', 'notes.a, b' and 'visits.who' refer to mail and to mail, name of" in (
        found.message
    )
    assert found.hint.splitlines()[:2] == [
        "op.create_index('ix_users_mail', 'users', ['mail'], unique=True)",
        "op.create_index('ix_users_mail_name', 'users', ['mail', 'name'], unique=True)",
    ]
    assert found.subject == "users"


def test_a_key_that_names_no_columns_needs_a_primary_key() -> None:
    found = assert_finds("SM529", state(with_condition(mismatches=(Mismatch("a", "b", ("c",)),))))
    assert "give 'b' a primary key" in found.hint
    assert "create_index" not in found.hint


@pytest.mark.parametrize(("enforces", "severity"), [(False, "warning"), (True, "error")])
def test_a_key_that_nothing_enforces_is_no_error(enforces: bool, severity: str) -> None:
    wrong = (Mismatch("orders", "users", ("email",)),)
    of = state(with_condition(mismatches=wrong, enforces=enforces))
    assert assert_finds("SM529", of).severity.word == severity
