"""Every report fits its width, steers no terminal and says what there is to say."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from flask_safemigrate.checks.catalogue import CATALOGUE, Check, checks_of
from flask_safemigrate.facts.database import DatabaseState, Table, Unreachable
from flask_safemigrate.facts.history import History, Revision
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Outcome, Status
from flask_safemigrate.plan import Plan
from flask_safemigrate.report import explanation, findings, progress, text
from flask_safemigrate.report.graph import newest_first
from flask_safemigrate.report.screen import render
from tests.report.outcomes import anything, news, outcomes, sentences

EVERY = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def everything(outcome: Outcome, width: int, *, color: bool = False) -> str:
    """All that any command may show of an outcome."""
    blocks = [
        *text.before(outcome, width),
        *text.report(outcome, width),
        *text.report(outcome._replace(dry_run=True), width),
        *text.report(outcome, width, with_graph=True),
        *text.error(outcome, width),
    ]
    return render(blocks, width=width, color=color)


@EVERY
@given(outcomes(sentences, name=sentences), st.sampled_from([80, 120]))
def test_no_line_is_longer_than_the_width(outcome: Outcome, width: int) -> None:
    for line in everything(outcome, width).split("\n"):
        assert cell_len(line) <= width, line


@EVERY
@given(outcomes(anything))
def test_no_text_steers_a_terminal(outcome: Outcome) -> None:
    assert all(c == "\n" or c.isprintable() for c in everything(outcome, 80))


@EVERY
@given(news(anything))
def test_no_news_takes_two_lines_or_steers_a_terminal(piece: progress.Progress) -> None:
    assert progress.line(piece).plain.isprintable()


@given(outcomes(sentences, name=sentences))
@settings(EVERY, max_examples=15)
def test_colours_change_nothing_but_colours(outcome: Outcome) -> None:
    import re

    colored = re.sub(r"\x1b\[[0-9;]*m", "", everything(outcome, 80, color=True))
    plain = everything(outcome, 80)
    assert [line.rstrip() for line in colored.split("\n")] == plain.split("\n")


DATABASE = DatabaseState("", "sqlite", "/srv/app.db", "app.db", server="3.40.1")
CHAIN = History((Revision("a1", (), message="one"), Revision("b2", ("a1",), message="two")))


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, ["Database  SQLite 3.40.1 /srv/app.db", "          size unknown, 0 tables"]),
        ({"exists": False}, ["          does not exist yet"]),
        ({"size": 4096, "tables": (Table("a", 1),)}, ["          4.1 kB, 1 table, 1 row"]),
        ({"tables": (Table("a", 5000, False),)}, ["about 5,000 rows"]),
        ({"tables": (Table("a", None), Table("b", 2))}, ["size unknown, 2 tables\n"]),
        ({"read_only": True, "configured": "app.db"}, ['read-only, configured as "app.db"']),
        ({"version_rows": ()}, ['Revision  none: table "alembic_version" is empty']),
        ({"version_rows": None}, ['Revision  none: there is no table "alembic_version"']),
        ({"version_rows": ("b2",)}, ['Revision  b2 "two" (head)']),
        ({"version_rows": ("a1",)}, ['Revision  a1 "one", 1 revision behind head b2']),
        ({"version_rows": ("zz",)}, ["Revision  zz (no file has it)"]),
        ({"bind": "audit"}, ["Bind      audit\nDatabase  SQLite"]),
        (
            {"dialect": "postgresql", "server": "PostgreSQL 15.3 (Debian)", "location": "h:1/x"},
            ["Database  PostgreSQL 15.3 (Debian) h:1/x"],
        ),
        (
            {"unreachable": Unreachable("server down", "No answer.", "start it")},
            ["Problem   server down: No answer.\n          Hint: start it\n"],
        ),
    ],
)
def test_database_lines(changes: dict[str, object], lines: list[str]) -> None:
    from flask_safemigrate.facts.project import ProjectState
    from flask_safemigrate.facts.state import State

    database = DATABASE._replace(**changes)  # type: ignore[arg-type]
    state = State(ProjectState("app", "/srv/migrations"), CHAIN, (database,))
    outcome = Outcome("status", Status.DONE, databases=(database,), state=state)
    shown = render(text.report(outcome, 80))
    for line in lines:
        assert line in shown


def test_what_a_finding_says_is_not_said_twice() -> None:
    away = DATABASE._replace(unreachable=Unreachable("server down", "No answer.", "start it"))
    finding = Finding("SM501", Severity.ERROR, "No answer.", "app.db", "start it")
    outcome = Outcome("status", Status.UNAVAILABLE, databases=(away,), findings=(finding,))
    shown = render(text.report(outcome, 80))
    assert shown.count("No answer.") == shown.count("start it") == 1
    assert "Problem   server down\n" in shown


def test_several_databases_are_told_apart() -> None:
    outcome = Outcome("status", Status.DONE, databases=(DATABASE, DATABASE._replace(bind="b")))
    shown = render(text.report(outcome, 80))
    assert [line for line in shown.splitlines() if line.startswith("Bind")] == [
        "Bind      default",
        "Bind      b",
    ]


def test_a_command_in_a_hint_stays_in_one_piece() -> None:
    command = "git checkout 9f3e1c2~1 -- migrations/versions/a1b2c3_add_users_to_the_table.py"
    finding = Finding(
        "SM301", Severity.ERROR, "It is gone.", "x", f"bring it back with `{command}`"
    )
    shown = render(findings.findings([finding], 80))
    assert f"`{command}`\n" in shown
    ours = "flask db doctor --select SM301 --fix"
    finding = finding._replace(hint=f"{'word ' * 10} and then run {ours} to see it done")
    assert ours in render(findings.findings([finding], 80))


def test_findings_come_worst_first() -> None:
    found = [
        Finding(code, severity, "m", "w", "h")
        for code, severity in (
            ("SM102", Severity.INFO),
            ("SM501", Severity.ERROR),
            ("SM101", Severity.WARNING),
            ("SM301", Severity.ERROR),
        )
    ]
    shown = render(findings.findings(found, 80))
    order = [line[:5] for line in shown.splitlines() if line.startswith("SM")]
    assert order == ["SM301", "SM501", "SM101", "SM102"]
    assert findings.verdict(found).plain == "2 errors, 1 warning, 1 info."


@pytest.mark.parametrize("command", ["status", "safe-upgrade", "deploy", "doctor"])
def test_only_the_doctor_says_what_is_merely_good_to_know(command: str) -> None:
    found = tuple(
        Finding(f"SM90{n}", severity, f"this is {severity.word}.", "", "")
        for n, severity in enumerate(Severity)
    )
    outcome = Outcome(command=command, status=Status.DONE, findings=found)
    for blocks in (text.before(outcome, 80), text.report(outcome, 80)):
        shown = render(blocks, width=80, color=False)
        assert "this is error." in shown
        assert "this is warning." in shown
        assert ("this is info." in shown) == (command == "doctor")


def test_an_explanation_says_what_it_forbids_and_has_its_sections() -> None:
    (check,) = checks_of("SM115")
    blocking = check._replace(blocks=("upgrade", "deploy", "status"))
    assert render(explanation.explanation(blocking, 60)).startswith(
        "SM115 revisions-ignored\n"
        "Git ignores revision files.\n"
        "Error; safe-upgrade and deploy do not start.\n"
        "\n"
        "Cause       A rule in `.gitignore` covers the migrations\n"
        "            folder or the files in it, so they are never\n"
    )
    assert explanation.effect(check._replace(blocks=())) == "Error; forbids nothing."
    assert (
        explanation.effect(check._replace(blocks=("deploy",))) == "Error; deploy does not start."
    )
    both = check._replace(blocks=("reset",), sometimes=("deploy", "reset"))
    assert explanation.effect(both) == (
        "Error; reset does not start; deploy may not start, by what is found."
    )


def test_a_family_is_listed() -> None:
    listed = render(explanation.family(checks_of("SM3"), 80)).splitlines()
    assert listed[0] == "SM3xx version table"
    assert listed[1].startswith("  SM301  error    ")
    assert listed[-1] == "Hint: flask db doctor --explain SM301"
    assert len(max(listed, key=len)) <= 80


@pytest.mark.parametrize("check", CATALOGUE, ids=lambda check: check.code)
def test_every_explanation_fits(check: Check) -> None:
    shown = render(explanation.explanation(check, 80))
    assert "``" not in shown
    # What is to be copied stays in one piece.
    assert all(len(line) <= 80 or "`" in line or "flask db" in line for line in shown.splitlines())


def test_a_long_plan_is_cut_and_says_so() -> None:
    steps = tuple(Revision(f"r{n}", (), message="m") for n in range(1000))
    plan = Plan("", "/srv/app.db", (), ("r999",), steps)
    outcome = Outcome("safe-upgrade", Status.DONE, plans=(plan,))
    assert "  ... and 950 more revisions\n" in render(text.report(outcome, 80))
    status = outcome._replace(command="status")
    assert "  ... and 990 more revisions\n" in render(text.report(status, 80))


def test_the_graph_has_every_revision_before_those_it_needs() -> None:
    history = History(
        (
            Revision("a", ()),
            Revision("b", ("a",)),
            Revision("c", ("a",)),
            Revision("d", ("b", "c")),
            Revision("e", ("gone",), depends_on=("d",)),
            Revision("x", ("y",)),
            Revision("y", ("x",)),
        )
    )
    order = [r.id for r in newest_first(history)]
    assert sorted(order) == ["a", "b", "c", "d", "e", "x", "y"]
    for revision in history.revisions[:5]:
        for need in history.needs(revision):
            assert need == "gone" or order.index(revision.id) < order.index(need)


@settings(deadline=None)
@given(st.data())
def test_the_graph_takes_any_history(data: st.DataObject) -> None:
    ids = st.sampled_from(["a", "b", "c", "d", "e"])
    revision = st.builds(Revision, ids, st.lists(ids, max_size=2).map(tuple))
    history = History(tuple(data.draw(st.lists(revision, max_size=6))))
    order = [r.id for r in newest_first(history)]
    assert sorted(order) == sorted(history.by_id)


def test_the_graph_of_a_long_history_is_quick() -> None:
    import time

    history = History(tuple(Revision(f"r{n}", (f"r{n - 1}",) if n else ()) for n in range(20_000)))
    started = time.perf_counter()
    assert newest_first(history)[0].id == "r19999"
    assert time.perf_counter() - started < 2


def test_what_the_second_look_finds_is_said_too() -> None:
    old, new = (
        Finding(code, Severity.ERROR, f"{code} is wrong.", "app.db", "mend it")
        for code in ("SM113", "SM514")
    )
    shown = Outcome("deploy", Status.DONE, findings=(old,))
    stopped = Outcome("deploy", Status.UNAVAILABLE, findings=(old, new))
    said = render(text.report(stopped, 80, shown=shown))
    assert "SM514 is wrong." in said
    assert "SM113 is wrong." not in said
