from __future__ import annotations

from dataclasses import replace

import pytest

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.checks.found import stamping
from flask_safemigrate.facts.comparison import Comparison
from flask_safemigrate.facts.database import DatabaseState, JournalRow, ProgressRow
from flask_safemigrate.facts.history import BrokenFile, History
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity, Step
from tests.checks.states import (
    LINE,
    assert_finds,
    at,
    database,
    findings,
    history,
    revision,
    state,
)

WIDE = "2024_01_31_add_the_column_title_to_posts"
DONE = JournalRow(
    "revision",
    "d4",
    "upgrade",
    "2024-02-03T10:00:00+00:00",
    "2024-02-03T10:00:05+00:00",
    checksum="11",
    host="web1",
)
OPEN = DONE._replace(subject="c3", finished="")
B2 = (DONE._replace(subject="b2"),)
LEFT = OPEN._replace(kind="half-applied", stays=("UPDATE t SET n=n+1", "COMMIT", "a", "b"))

FINDS = [
    (
        "SM301",
        state(at("d4")),
        ["\"app.db\" is at revision 'd4', which no file in migrations/versions has", "'*d4*'"],
    ),
    (
        "SM302",
        state(database("users:37", "orders:1200")),
        [
            "has 2 tables with 1,237 rows, but no table 'alembic_version'",
            "all 2 of the models among them, as db.create_all() makes them",
            "flask db doctor compares these tables with the history",
        ],
    ),
    (
        "SM302",
        state(database("users", "old")),
        ["2 tables, but", "1 of the 2 tables of the models"],
    ),
    ("SM302", state(database("users"), models={}), ["1 table, but", "'users'", "flask db doctor"]),
    (
        "SM302",
        state(database("spatial", "other")),
        ["none of them is a model's: 'spatial' and 'other'", "nothing is in the way"],
    ),
    (
        "SM303",
        state(at()),
        ["2 tables with 1,237 rows, but 'alembic_version' is empty", "flask db doctor compares"],
    ),
    (
        "SM304",
        state(at("d4", journal=(DONE,))),
        [
            "newer than this code: revision 'd4'",
            "2024-02-03 10:00 UTC from host 'web1'",
            "flask db restore ID",
        ],
    ),
    (
        "SM305",
        state(at("a1", "c3")),
        ["'a1' (make a1) beside 'c3' (make c3), which comes after it", "flask db doctor --fix"],
    ),
    ("SM305", state(at("c3", "c3")), ["names revision 'c3' 2 times", "leaves one of the rows"]),
    (
        "SM306",
        state(at("a1")),
        ["at 'a1' (make a1), 2 revisions behind: 'b2' (make b2), 'c3'", "flask db safe-upgrade"],
    ),
    ("SM306", state(database()), ["\"app.db\" is empty, 3 revisions behind: 'a1'"]),
    (
        "SM306",
        state(
            at("r0"),
            found=history(revision("r0"), *(revision(f"r{n}", f"r{n - 1}") for n in range(1, 8))),
        ),
        ["7 revisions behind: 'r1' (make r1)", "'r5' (make r5) and 2 more."],
    ),
    (
        "SM307",
        state(at("c3", journal=B2))._replace(checksums={"b2": "22"}),
        [
            "\"b2_make.py\" was changed after revision 'b2' (make b2)",
            "2024-02-03",
            "undo the edit",
        ],
    ),
    (
        "SM308",
        state(at("b2", journal=(OPEN,))),
        ["upgrade of revision 'c3'", "2024-02-03 10:00 UTC on host 'web1'", "safe-upgrade"],
    ),
    (
        "SM308",
        state(at("c3", journal=(JournalRow("hook", "add_roles", "", "2024-02-03T10", ""),))),
        ["hook 'add_roles'", "did not finish", "flask db deploy"],
    ),
    (
        "SM315",
        state(at("b2", journal=(LEFT,))),
        [
            "The upgrade of revision 'c3'",
            "this of it stays: UPDATE t SET n=n+1; COMMIT; a; and 1 more.",
            "flask db safe-upgrade --allow SM315",
        ],
    ),
    (
        "SM315",
        state(at("c3", journal=(LEFT._replace(direction="downgrade"),))),
        ["The downgrade of revision 'c3'", "flask db safe-downgrade --allow SM315 -- -1"],
    ),
    (
        "SM309",
        state(at(WIDE[:32]), found=history(revision(WIDE))),
        [f"'{WIDE[:32]}', which is cut off: the id is '{WIDE}'", f"SET version_num = '{WIDE}'"],
    ),
]


@pytest.mark.parametrize(("code", "of", "parts"), FINDS)
def test_finds(code: str, of: State, parts: list[str]) -> None:
    assert_finds(code, of, *parts)


FORK = history(revision("a1"), revision("b2", "a1"), revision("c3", "a1"))


def broken(path: str, id: str = "") -> History:
    return replace(LINE, broken=(BrokenFile(path, "syntax", "bad", 1, id),))


OTHERS = {"other_versions": ("plug_version",), "named": frozenset()}

SILENT = [
    ("SM315", state(at("c3", journal=(LEFT,)))),
    ("SM315", state(at("b2", journal=(LEFT, OPEN._replace(direction="downgrade"))))),
    ("SM302", state(database("users", "orders", **OTHERS))),
    ("SM303", state(database("users", version_rows=(), **OTHERS))),
    ("SM301", state(at("c3"))),
    ("SM301", state(at("d4", journal=(DONE,)))),
    ("SM301", state(at("d4"), found=History())),
    ("SM301", state(at("d4"), found=broken("/v/x.py", "d4"))),
    ("SM301", state(at("d4"), found=broken("/v/d4_x.py"))),
    ("SM301", state(at(WIDE[:32]), found=history(revision(WIDE)))),
    ("SM302", state(database())),
    ("SM302", state(database(exists=False))),
    ("SM302", state(at())),
    ("SM303", state(database(version_rows=()))),
    ("SM303", state(at("a1"))),
    ("SM304", state(at("d4", journal=(DONE._replace(direction="downgrade"),)))),
    ("SM304", state(at("d4", journal=(DONE._replace(subject="c3"),)))),
    ("SM305", state(at("c3"))),
    ("SM305", state(at("b2", "c3"), found=FORK)),
    ("SM306", state(at("c3"))),
    ("SM306", state(database(exists=False))),
    ("SM306", state(database("users"))),
    ("SM307", state(at("c3", journal=B2))._replace(checksums={"b2": "11"})),
    ("SM307", state(at("a1", journal=B2))._replace(checksums={"b2": "22"})),
    ("SM307", state(at("c3", journal=B2))),
    ("SM308", state(at("c3", journal=(OPEN, OPEN._replace(finished="2024-02-03"))))),
    ("SM308", state(at("c3", journal=(OPEN._replace(kind="deploy"),)))),
    ("SM309", state(at("2024"), found=history(revision(WIDE)))),
]


@pytest.mark.parametrize(("code", "of"), SILENT)
def test_silent(code: str, of: State) -> None:
    assert findings(code, of) == []


def test_a_history_that_has_made_none_of_the_tables_is_in_nobodys_way() -> None:
    of = database("users", "orders", named=frozenset())
    finding = assert_finds("SM302", state(of), "no revision makes any of them: 'users' and")
    assert (finding.severity, finding.blocks) == (Severity.WARNING, False)
    for mine in (of._replace(named=None), of._replace(named=frozenset({"users"}))):
        assert assert_finds("SM302", state(mine)).severity is Severity.ERROR
    # A second history does not hide that this one's tables are there.
    both = of._replace(named=frozenset({"users"}), other_versions=("plug_version",))
    assert assert_finds("SM302", state(both)).severity is Severity.ERROR


def test_databases_are_judged_one_by_one() -> None:
    of = state(at("c3"), at("a1", bind="stats"), multidb=True)
    (finding,) = run_checks(of)
    assert (finding.code, finding.bind) == ("SM306", "stats")
    assert '"stats.db (bind stats)" is at' in finding.message


@pytest.mark.parametrize(
    ("of", "codes"),
    [
        (state(at("d4")), ["SM301"]),
        (state(at("d4", journal=(DONE,))), ["SM304"]),
        (state(database("users")), ["SM302"]),
        (state(at()), ["SM303"]),
        (state(at("a1", "b2")), ["SM305"]),
        (state(at("d4", "e5")), ["SM301", "SM301"]),
    ],
)
def test_one_cause_gives_one_finding(of: State, codes: list[str]) -> None:
    assert [f.code for f in run_checks(of)] == codes


def test_the_ancestor_row_is_repaired() -> None:
    finding = assert_finds("SM305", state(at("a1", "c3")))
    assert finding.subject == "a1"
    assert finding.repair == "removes the row 'a1' from 'alembic_version'"
    twice = assert_finds("SM305", state(at("c3", "c3")))
    assert twice.steps == (Step("stamp", ("c3",)),)


def test_tables_of_others_do_not_block() -> None:
    for here in (database("spatial"), database("spatial", version_rows=())):
        findings_found = run_checks(state(here), command="deploy")
        assert [(f.severity, f.blocks) for f in findings_found] == [(Severity.WARNING, False)]
    assert [f.blocks for f in run_checks(state(database("users")), command="deploy")] == [True]


def test_being_behind_is_for_doctor_and_status() -> None:
    assert [f.severity for f in run_checks(state(at("a1")))] == [Severity.WARNING]
    assert [f.severity for f in run_checks(state(database()))] == [Severity.INFO]
    assert [f.code for f in run_checks(state(at("a1")), command="status")] == ["SM306"]
    assert run_checks(state(at("a1")), command="safe-upgrade") == ()


def test_half_a_revision_is_an_error_where_ddl_is_committed() -> None:
    for dialect, severity in [
        ("sqlite", Severity.WARNING),
        ("postgresql", Severity.WARNING),
        ("mysql", Severity.ERROR),
        ("mariadb", Severity.ERROR),
    ]:
        of = state(at("c3", journal=(OPEN,), dialect=dialect))
        finding = assert_finds("SM308", of)
        assert finding.severity is severity
        assert not finding.blocks


def _half(direction: str = "upgrade", *, beside: bool = False) -> DatabaseState:
    kinds = ["commits", *(["beside"] if beside else [])]
    rows = (
        ProgressRow("b2" if direction == "upgrade" else "c3", direction, at_, kind, "done",
                    "UPDATE t SET a = 1", "2024-02-03T10:00")
        for at_, kind in enumerate(kinds)
    )  # fmt: skip
    where = "a1" if direction == "upgrade" else "c3"
    return at(where, dialect="mariadb", progress=tuple(rows))


@pytest.mark.parametrize(
    ("direction", "beside", "hint"),
    [
        ("upgrade", False, "flask db safe-upgrade goes on after it"),
        ("downgrade", False, "flask db doctor --fix goes on after it"),
        ("upgrade", True, "finish the upgrade of 'b2' by hand and run: flask db stamp b2"),
        ("downgrade", True, "finish the downgrade of 'c3' by hand and run: flask db stamp b2"),
    ],
)
def test_how_a_half_applied_revision_goes_on(direction: str, beside: bool, hint: str) -> None:
    of = state(_half(direction, beside=beside))
    found = assert_finds("SM308", of, hint)
    assert bool(found.repair) is not beside
    # What is in the way is told once.
    assert findings("SM306", of) == []
    comparison = Comparison(stopped_at="b2", problem="Revision 'b2' failed")
    wrong = of._replace(comparisons={"": comparison})
    assert len(findings("SM413", wrong)) == (direction == "downgrade")


def test_several_revisions_are_stamped_one_after_the_other() -> None:
    assert stamping(["a", "b c"]) == "flask db stamp a && flask db stamp 'b c'"
    assert stamping([]) == "flask db stamp base"


def test_what_was_not_compared_is_not_stamped_by_guess() -> None:
    for of in (state(database("users:37", "orders:1200")), state(at())):
        for code in ("SM302", "SM303"):
            for found in findings(code, of, "deploy"):
                assert "stamp head" not in found.hint


def test_who_goes_down_is_not_told_to_go_up() -> None:
    of = state(at("a1"))
    assert len(findings("SM306", of)) == len(findings("SM306", of, "status")) == 1
    for command in ("downgrade", "upgrade", "deploy"):
        assert findings("SM306", of, command) == []
