from __future__ import annotations

import pytest

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.facts.database import DatabaseState, Table
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity
from tests.checks.states import assert_finds, at, database, findings, history, revision, state


def left(name: str, count: int | None, *tables: str) -> DatabaseState:
    leftover = Table(f"_alembic_tmp_{name}", count)
    here = database(*tables, version_rows=("c3",), leftovers=(leftover,))
    return here._replace(tables=(*here.tables, leftover))


MAKES = history(revision("c3", tables=("users", "orders")))

FINDS = [
    (
        "SM401",
        state(left("users", 0, "users:37", "orders")),
        [
            "'_alembic_tmp_users'",
            "is empty; 'users' is whole with 37 rows",
            "doctor --fix drops it",
        ],
    ),
    (
        "SM402",
        state(left("users", 37, "users:37", "orders")),
        ["'_alembic_tmp_users' with 37 rows", "'users' is there with 37 rows", "compare the two"],
    ),
    (
        "SM402",
        state(left("users", None, "users", "orders")),
        ["'_alembic_tmp_users' in database", 'DROP TABLE "_alembic_tmp_users"'],
    ),
    (
        "SM402",
        state(left("old", 5, "users", "orders")),
        ["no table and no model 'old' is there any more", "if nothing needs its rows"],
    ),
    (
        "SM403",
        state(left("users", 37, "orders")),
        ["'users' is missing", "its data (37 rows) is in '_alembic_tmp_users'", "do not drop it"],
    ),
    ("SM403", state(left("users", 0, "orders")), ["'users' is missing", "renames it to 'users'"]),
    ("SM403", state(left("old", 5, "users"), models={}), ["'old' is missing"]),
    (
        "SM404",
        state(at("c3", tables=(Table("users"), Table("orders"), Table("celery", 41)))),
        [
            "1 table that no model defines ('celery') with 41 rows",
            "drops it",
            "SAFEMIGRATE_EXCLUDE_TABLES",
        ],
    ),
    (
        "SM405",
        state(database("users", version_rows=("c3",))),
        ["is at head, but 'orders' of the models is not there", "flask db migrate"],
    ),
    (
        "SM405",
        state(database("users", version_rows=("c3",)), found=MAKES),
        ["'orders', which the history creates, is not there", "flask db stamp REVISION"],
    ),
    (
        "SM405",
        state(database(version_rows=("c3",))),
        ["'users' and 'orders', which the history creates, are not there", "base for an empty"],
    ),
]


@pytest.mark.parametrize(("code", "of", "parts"), FINDS)
def test_finds(code: str, of: State, parts: list[str]) -> None:
    assert_finds(code, of, *parts)


SILENT = [
    (
        "SM404",
        state(at("c3"), models={"": ("public.users", "public.orders")}),
    ),
    (
        "SM405",
        state(at("c3", views=("seen",)), models={"": ("users", "orders", "seen", "other.log")}),
    ),
    ("SM401", state(left("users", 37, "users:37"))),
    ("SM401", state(left("users", 0, "orders"))),
    ("SM402", state(left("users", 0, "users:37"))),
    ("SM402", state(left("users", 37, "orders"))),
    ("SM403", state(left("users", 37, "users:37"))),
    ("SM403", state(left("old", 37, "users"))),
    ("SM404", state(at("a1", tables=(Table("celery"),)))),
    ("SM404", state(at("c3", tables=(Table("celery"),)), models={})),
    (
        "SM404",
        state(at("c3", tables=(Table("celery"),)), hidden=None),
    ),
    (
        "SM404",
        state(at("c3", tables=(Table("celery"),)), hidden={"": ("celery",)}),
    ),
    ("SM404", state(left("users", 0, "users", "orders"))),
    ("SM405", state(database("users", version_rows=("a1",)))),
    ("SM405", state(database(version_rows=("c3",)), models={})),
    ("SM405", state(left("users", 37, "orders"))),
    ("SM405", state(database(exists=False))),
]


@pytest.mark.parametrize(("code", "of"), SILENT)
def test_silent(code: str, of: State) -> None:
    assert findings(code, of) == []


def test_leftovers_are_one_finding_each() -> None:
    assert [f.code for f in run_checks(state(left("users", 37, "orders")))] == ["SM403"]
    assert [f.code for f in run_checks(state(left("users", 0, "users", "orders")))] == ["SM401"]


@pytest.mark.parametrize(
    ("code", "of", "repair"),
    [
        ("SM401", state(left("users", 0, "users", "orders")), "drops"),
        ("SM402", state(left("users", 37, "users", "orders")), None),
        ("SM403", state(left("users", 37, "orders")), "renames"),
    ],
)
def test_repairs_of_leftovers(code: str, of: State, repair: str | None) -> None:
    finding = assert_finds(code, of)
    assert finding.subject == "_alembic_tmp_users"
    assert (finding.repair or "").split(" ")[0] == (repair or "")
    assert finding.blocks is (code == "SM403")


def test_most_tables_without_a_model_are_a_warning() -> None:
    few = state(at("c3", tables=(Table("users"), Table("orders"), Table("celery"))))
    most = state(at("c3", tables=(Table("users"), Table("orders"), *map(Table, "abc"))))
    assert assert_finds("SM404", few).severity is Severity.INFO
    assert assert_finds("SM404", most).severity is Severity.WARNING


def test_tables_that_were_lost_are_an_error() -> None:
    lost = state(database("users", version_rows=("c3",)), found=MAKES)
    assert assert_finds("SM405", lost).severity is Severity.ERROR
    new = state(database("users", version_rows=("c3",)))
    assert assert_finds("SM405", new).severity is Severity.WARNING
