from __future__ import annotations

import pytest

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.facts.comparison import AlreadyThere, Comparison, Difference
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Finding, Severity
from tests.checks.states import LINE, assert_finds, at, database, findings, state

COLUMN = Difference("column", "users", "phone", "VARCHAR(20)", None)
GONE = Difference("column", "users", "phone", None, "VARCHAR(20)")
RENAMED = Difference("column", "users", "mobile", "VARCHAR(20)", None)
MODELLED = Difference("table", "orders", "orders", "", None)
TABLE_GONE = Difference("table", "orders", "orders", None, "")
CHANGED = Difference("column", "users", "name", "TEXT", "VARCHAR(20) NOT NULL")
INDEX = Difference("index", "users", "fast", "", None)
CHECK_GONE = Difference("check", "users", "positive", None, "")
MODEL_COLUMN = Difference("column", "users", "nick", "TEXT", None)


def with_evidence(found: DatabaseState, **comparison: object) -> State:
    base = state(found)
    more = Comparison(compared=True, **comparison)  # type: ignore[arg-type]
    return State(base.project, LINE, base.databases, comparisons={"": more})


FINDS = [
    (
        "SM406",
        with_evidence(at("c3"), at_version=False, equals=(("a1",),), drift=(GONE,)),
        ["at 'c3' (make c3)", "schema is that of revision 'a1'", "flask db stamp a1"],
    ),
    (
        "SM406",
        with_evidence(at("c3"), at_version=False, equals=((),), drift=(TABLE_GONE,)),
        ["none of the history's tables", "flask db stamp base"],
    ),
    (
        "SM406",
        with_evidence(at("c3"), at_version=False, equals=(("a1",),), but=(CHECK_GONE,)),
        ["revision 'a1' (make a1) (but for CHECK 'positive' of 'users')"],
    ),
    (
        "SM407",
        with_evidence(at("c3"), at_version=False, drift=(TABLE_GONE, GONE)),
        ["table 'orders' and column 'users.phone' are missing", "up to revision 'c3'"],
    ),
    (
        "SM408",
        with_evidence(at("c3"), at_version=False, drift=(COLUMN,)),
        [
            "has column 'users.phone', which the history up to",
            "to keep it: add it to the models, run flask db migrate on",
        ],
    ),
    (
        "SM408",
        with_evidence(at("c3"), at_version=False, drift=(RENAMED, GONE)),
        ['RENAME COLUMN "mobile" TO "phone"; to keep it: add it to the models'],
    ),
    (
        "SM407",
        with_evidence(at("c3"), at_version=False, drift=(RENAMED, GONE)),
        [
            "if column 'mobile' of table 'users' is 'phone' under another name: ALTER TABLE"
            ' "users" RENAME COLUMN "mobile" TO "phone"; if it should be gone',
        ],
    ),
    (
        "SM408",
        with_evidence(at("c3"), at_version=False, drift=(INDEX,)),
        ['to drop it: DROP INDEX "fast"; to keep it'],
    ),
    (
        "SM408",
        with_evidence(at("c3"), at_version=False, drift=(MODELLED,)),
        [
            "has table 'orders', which the history up to",
            "run flask db migrate on a database that does not have it",
        ],
    ),
    (
        "SM409",
        with_evidence(at("c3"), at_version=False, drift=(CHANGED,)),
        ["column 'users.name' is TEXT and not VARCHAR(20) NOT NULL"],
    ),
    (
        "SM410",
        with_evidence(at("a1"), at_version=False, equals=(("b2",),)),
        ["says that it is at revision 'a1'", "already that of revision 'b2'"],
    ),
    (
        "SM410",
        with_evidence(at("a1"), at_version=False, already=(AlreadyThere("b2", (COLUMN,)),)),
        [
            "'b2' (make b2) is pending",
            "in it already: column 'users.phone' is there",
            "flask db stamp b2",
        ],
    ),
    (
        "SM411",
        with_evidence(
            at("a1"), at_version=False, already=(AlreadyThere("b2", (COLUMN,), (TABLE_GONE,)),)
        ),
        [
            "half applied",
            "column 'users.phone' is there; not done yet: table 'orders'.",
            'ALTER TABLE "users" DROP COLUMN "phone", then flask db safe-upgrade',
        ],
    ),
    (
        "SM411",
        with_evidence(
            at("a1"), at_version=False, already=(AlreadyThere("b2", (GONE,), (TABLE_GONE,)),)
        ),
        ["column 'users.phone' is gone; not done yet", "flask db restore ID"],
    ),
    (
        "SM412",
        with_evidence(at("c3"), at_version=True, models=(MODEL_COLUMN, TABLE_GONE)),
        ["no revision makes column 'users.nick'; no model has table 'orders'", "flask db migrate"],
    ),
    (
        "SM413",
        with_evidence(at("c3"), stopped_at="b2", problem="Revision 'b2' failed: no such table."),
        ["cannot build a database from nothing. Revision 'b2' failed: no such table."],
    ),
    ("SM414", with_evidence(at("c3"), refused="permission denied"), ["permission denied."]),
    (
        "SM414",
        with_evidence(
            at("c3"),
            stopped_at="b2",
            problem="revision 'b2' was not run in the scratch database, because it would dance",
            unconfined=True,
        ),
        ["was not compared with all of the history: revision 'b2' was not run"],
    ),
    (
        "SM414",
        with_evidence(at("c3"), at_version=True, unmodelled=("schema 'x' (1 table)",)),
        ["Not compared", "schema 'x' (1 table).", "flask db check"],
    ),
    (
        "SM415",
        with_evidence(at("c3"), direct=(MODEL_COLUMN, TABLE_GONE)),
        ["at head, but not as its models say: column 'users.nick' is missing", "flask db migrate"],
    ),
]


@pytest.mark.parametrize(("code", "of", "parts"), FINDS)
def test_finds(code: str, of: State, parts: list[str]) -> None:
    assert_finds(code, of, *parts)
    # One cause, one finding.
    others = [f.code for f in run_checks(of) if f.code != code]
    assert others in ([], ["SM306"]) or code not in ("SM406", "SM410", "SM411"), others


SILENT = [
    with_evidence(at("c3"), at_version=True, equals=(("c3",),)),
    with_evidence(at("c3"), at_version=True, equals=(("c3",),), models=()),
    with_evidence(at("c3")),
    with_evidence(at("c3"), direct=()),
    with_evidence(at("zz"), equals=(("c3",),), at_version=None),
    with_evidence(database(version_rows=None), equals=((),)),
]


@pytest.mark.parametrize("of", SILENT)
def test_silent(of: State) -> None:
    codes = {f"SM4{number:02}" for number in range(6, 16)}
    assert not codes & {f.code for f in run_checks(of)}


@pytest.mark.parametrize(
    ("code", "drift", "severity"),
    [
        ("SM407", GONE, Severity.ERROR),
        ("SM407", CHECK_GONE, Severity.WARNING),
        ("SM408", COLUMN, Severity.WARNING),
        ("SM408", INDEX, Severity.INFO),
    ],
)
def test_how_bad_it_is(code: str, drift: Difference, severity: Severity) -> None:
    of = with_evidence(at("c3"), at_version=False, drift=(drift,))
    assert assert_finds(code, of).severity is severity


def test_mysql_is_told_to_undo_in_its_own_words() -> None:
    done = (COLUMN, Difference("index", "users", "ix", "", None))
    of = with_evidence(
        at("a1", dialect="mariadb"),
        at_version=False,
        already=(AlreadyThere("b2", done, (TABLE_GONE,)),),
    )
    undo = "ALTER TABLE `users` DROP COLUMN `phone`; DROP INDEX `ix` ON `users`"
    assert_finds("SM411", of, undo)


PROVEN = [
    ("SM302", database("users:37", version_rows=None), "equals revision 'b2' (make b2)."),
    ("SM303", database("users:37", version_rows=()), "equals revision 'b2' (make b2)."),
    ("SM311", at("zz"), "equals revision 'b2' (make b2): the ids were rewritten"),
]


@pytest.mark.parametrize(("code", "found", "message"), PROVEN)
def test_a_proven_revision_can_be_stamped(code: str, found: DatabaseState, message: str) -> None:
    finding = assert_finds(code, with_evidence(found, equals=(("b2",),)), message, "--fix")
    assert (finding.subject, finding.severity) == ("b2", Severity.ERROR)
    assert finding.repair is not None
    assert "stamps 'b2'" in finding.repair
    assert [plain.repair for plain in findings(code, state(found))] in ([None], [])


def test_a_schema_of_no_revision_is_told_apart() -> None:
    of = with_evidence(
        database("users:37", version_rows=None), nearest=("b2",), apart=(COLUMN, TABLE_GONE)
    )
    finding = assert_finds(
        "SM302",
        of,
        "nearest is revision 'b2' (make b2): table 'orders' missing; column 'users.phone' added",
        "flask db stamp b2",
    )
    assert finding.repair is None


def test_the_newer_database_is_not_stamped() -> None:
    from flask_safemigrate.facts.database import JournalRow

    row = JournalRow("revision", "zz", "upgrade", "2026-01-01T10:00", "2026-01-01T10:00")
    of = with_evidence(at("zz", journal=(row,)), equals=(("c3",),))
    assert assert_finds("SM304", of, "newer than this code").repair is None
    assert findings("SM301", of) == []


def test_default_alone_is_no_work_for_autogenerate() -> None:
    default = Difference("default", "users", "age", "7", "0")
    of = with_evidence(at("c3"), at_version=True, models=(default,))
    finding = assert_finds("SM412", of, "default of 'users.age' is 7 in the models, 0 in the")
    assert finding.severity is Severity.INFO
    assert finding.hint.startswith("flask db revision")


@pytest.mark.parametrize("code", ["SM407", "SM408"])
@pytest.mark.parametrize("more", [COLUMN._replace(name="third"), COLUMN._replace(here="TEXT")])
def test_of_several_columns_none_is_said_to_be_renamed(code: str, more: Difference) -> None:
    """Or of two that have not the same type; no advice takes values away."""
    drift = (GONE, more) if more.here == "TEXT" else (GONE, RENAMED, more)
    found = assert_finds(code, with_evidence(at("c3"), at_version=False, drift=drift))
    assert "RENAME" not in found.hint
    assert "DROP COLUMN" not in found.hint


@pytest.mark.parametrize(("line", "told"), [(12, 0), (13, 1)])
def test_what_is_judged_of_the_same_line_is_told_once(line: int, told: int) -> None:
    of = state(at("a1"))
    path = of.history.by_id["b2"].path
    hazard = Finding("SM604", Severity.ERROR, "fails.", "", "", bind="", file=path, line=line)
    comparison = Comparison(
        at_version=True, stopped_at="b2", problem='Revision \'b2\' failed in "b2.py", line 12: no',
        cure="make the table",
    )  # fmt: skip
    of = of._replace(comparisons={"": comparison}, hazards=(hazard,))
    assert len(findings("SM413", of)) == told
