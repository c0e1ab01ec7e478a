"""Output, questions and exit codes of the commands."""

from __future__ import annotations

import json

import click
import pytest

from flask_safemigrate import errors
from flask_safemigrate.cli import asking
from flask_safemigrate.facts.database import Unreachable
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Doomed, Outcome, Progress, Status
from tests.cli.conftest import Run
from tests.cli.fake import (
    DATABASE,
    PLAN,
    SNAPSHOT,
    STATE,
    WORK,
    FakeMigrate,
    looked,
    make_app,
)

FINDING = Finding(
    "SM301", Severity.ERROR, "Revision 'x' has no file.", "app.db", "flask db doctor --fix"
)
PLANNED = looked("safe-upgrade", plans=(PLAN,))
DOOMED = Doomed("", "app.db", DATABASE.location, DATABASE.size, DATABASE.tables)


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody sits at standard input."""
    monkeypatch.setattr(asking, "can_ask", lambda: True)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.DONE, 0),
        (Status.NOTHING_TO_DO, 0),
        (Status.FAILED, 1),
        (Status.USAGE, 2),
        (Status.REFUSED, 3),
        (Status.UNAVAILABLE, 4),
        (Status.NEEDS_PERSON, 5),
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_the_exit_code_is_that_of_the_status(
    run: Run, status: Status, code: int, form: str
) -> None:
    outcome = Outcome("deploy", status, error="It stopped.", hint="do this")
    result = run(FakeMigrate(outcome=outcome), "deploy", "--format", form)
    assert result.exit_code == code
    if form == "text":
        assert "Error: It stopped.\nHint: do this\n" in result.stderr
        assert "It stopped" not in result.stdout
    else:
        document = json.loads(result.stdout)
        assert (document["status"], document["exit_code"]) == (status.value, code)
        assert (document["error"], document["hint"]) == ("It stopped.", "do this")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("Setting X is wrong.", hint="write Y"), 2),
        (errors.Refused("Not here."), 3),
        (errors.LockTimeout("Another process holds it."), 4),
        (errors.DatabaseUnavailable("Gone.", kind="server down"), 4),
        (errors.HalfApplied("Statement 3 of 5."), 5),
        (errors.MigrationFailed("Revision 'b2' failed."), 1),
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_an_error_of_ours_has_message_hint_and_code(
    run: Run, error: errors.SafeMigrateError, code: int, form: str
) -> None:
    result = run(FakeMigrate(raises=error), "deploy", "--format", form)
    assert result.exit_code == code
    assert "Traceback" not in result.output
    if form == "json":
        assert json.loads(result.stdout)["error"] == error.message
    else:
        assert error.message in result.stderr
        assert ("Hint: write Y" in result.stderr) == (error.hint is not None)


def test_an_error_that_nobody_foresaw_is_not_hidden(run: Run) -> None:
    result = run(FakeMigrate(raises=ZeroDivisionError("by zero")), "status")
    assert isinstance(result.exception, ZeroDivisionError)
    result = run(FakeMigrate(raises=ZeroDivisionError("by zero")), "status", "--format", "json")
    assert isinstance(result.exception, ZeroDivisionError)
    document = json.loads(result.stdout)
    assert document["status"] == "failed"
    assert document["error"] == "ZeroDivisionError: by zero"


def test_without_the_extension_the_line_to_add_is_shown(run: Run) -> None:
    result = run(None, "status")
    assert result.exit_code == 2
    assert 'The app "shop" has no SafeMigrate.' in result.stderr
    assert "    from flask_safemigrate import SafeMigrate\n" in result.stderr
    assert "    SafeMigrate(app, db)" in result.stderr
    document = json.loads(run(None, "status", "--format", "json").stdout)
    assert document["exit_code"] == 2
    assert "SafeMigrate(app, db)" in document["hint"]


def test_the_plan_is_shown_before_the_work_and_not_again(run: Run) -> None:
    migrate = FakeMigrate(outcome=PLANNED._replace(applied=(WORK,)), asks=PLANNED)
    result = run(migrate, "safe-upgrade", "--yes")
    assert result.exit_code == 0
    assert result.stdout.startswith("Database  SQLite 3.40.1 /srv/shop/instance/app.db\n")
    assert result.stdout.count("/srv/shop/instance/app.db") == 1
    assert result.stdout.count("Upgrade from a1 to b2, 1 revision:") == 1
    assert "upgraded from a1 to b2, 1 revision in 3.4 s" in result.stdout
    assert "flask db restore 20240506T101112-a1" in result.stdout


@pytest.mark.parametrize("answer", ["y\n", "Y\n", "yes\n"])
@pytest.mark.usefixtures("person")
def test_yes_goes_on(run: Run, answer: str) -> None:
    migrate = FakeMigrate(outcome=PLANNED._replace(applied=(WORK,)), asks=PLANNED)
    result = run(migrate, "safe-upgrade", input=answer)
    assert result.exit_code == 0
    assert migrate.changed
    assert "Upgrade? [y/N]" in result.stderr


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
@pytest.mark.parametrize(
    "line", ["safe-upgrade", "safe-downgrade a1", "doctor --fix", "restore", "reset"]
)
@pytest.mark.usefixtures("person")
def test_anything_else_changes_nothing(run: Run, line: str, answer: str) -> None:
    migrate = FakeMigrate(asks=looked(line.split()[0], plans=(PLAN,), doomed=(DOOMED,)))
    result = run(migrate, *line.split(), input=answer)
    assert result.exit_code == 1
    assert not migrate.changed
    assert result.stderr.endswith("Nothing was changed.\n")
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("person")
def test_ctrl_c_at_the_question_changes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(click, "confirm", interrupted)
    migrate = FakeMigrate(asks=PLANNED)
    result = run(migrate, "safe-upgrade")
    assert (result.exit_code, migrate.changed) == (1, False)
    assert result.stderr.endswith("Nothing was changed.\n")


@pytest.mark.parametrize(
    "line", ["safe-upgrade", "safe-downgrade a1", "doctor --fix", "restore", "reset"]
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_where_nobody_can_be_asked_yes_is_needed(run: Run, line: str, form: str) -> None:
    name = line.split()[0]
    migrate = FakeMigrate(asks=looked(name, plans=(PLAN,), doomed=(DOOMED,)))
    result = run(migrate, *line.split(), "--format", form, input="y\n")
    assert result.exit_code == 2
    assert not migrate.changed
    said = result.stderr if form == "text" else json.loads(result.stdout)["error"]
    assert f"{name} needs --yes where nobody can be asked" in said
    hint = result.stderr if form == "text" else json.loads(result.stdout)["hint"]
    assert f"db {name} --yes" in hint


def test_nothing_to_do_needs_no_yes(run: Run) -> None:
    outcome = looked("safe-upgrade")._replace(status=Status.NOTHING_TO_DO)
    result = run(FakeMigrate(outcome=outcome), "safe-upgrade")
    assert result.exit_code == 0
    assert result.stdout.endswith("Nothing to do.\n")


def test_the_hint_repeats_the_command_that_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    line = ["flask", "--app", "shop.web", "db", "safe-upgrade", "-x", "a b", "head"]
    monkeypatch.setattr("sys.argv", line)
    root = click.Context(click.Group("flask"), info_name="flask")
    group = click.Context(click.Group("db"), parent=root, info_name="db")
    ctx = click.Context(click.Command("safe-upgrade"), parent=group, info_name="safe-upgrade")
    expected = "flask --app shop.web db safe-upgrade --yes -x 'a b' head"
    assert asking.command_line(ctx, "--yes") == expected


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize(
    ("answer", "code"), [("app.db\n", 0), ("App.db\n", 1), ("y\n", 1), ("\n", 1)]
)
def test_reset_wants_the_name(run: Run, answer: str, code: int) -> None:
    asked = looked("reset", doomed=(DOOMED,))
    migrate = FakeMigrate(outcome=asked._replace(applied=(WORK,)), asks=asked)
    result = run(migrate, "reset", input=answer)
    assert (result.exit_code, migrate.changed) == (code, code == 0)
    assert 'Everything in "app.db" goes: 1 table, 52,000 rows, 1.4 MB.' in result.stdout
    assert 'Type the name of the database, "app.db"' in result.stderr


@pytest.mark.usefixtures("person")
def test_reset_wants_the_name_of_every_database(run: Run) -> None:
    other = DOOMED._replace(bind="audit", name="audit.db")
    migrate = FakeMigrate(asks=looked("reset", doomed=(DOOMED, other)))
    assert run(migrate, "reset", input="app.db\napp.db\n").exit_code == 1
    assert run(migrate, "reset", input="app.db\naudit.db\n").exit_code == 0


def test_deploy_never_asks(run: Run) -> None:
    migrate = FakeMigrate(outcome=looked("deploy", applied=(WORK,)), asks=PLANNED)
    result = run(migrate, "deploy")
    assert result.exit_code == 0
    assert result.stdout.startswith("Database  SQLite")


def test_progress_goes_to_standard_error(run: Run) -> None:
    news = (
        Progress("snapshot", "20240506T101112-a1", "/srv/x.db"),
        Progress("revision", "b2", "add column", done=0, total=12),
        Progress("applied", "b2", "add column", 0.25, done=1, total=12),
        Progress("committed", "/srv/shop/instance/app.db"),
    )
    migrate = FakeMigrate(outcome=looked("deploy", applied=(WORK,)), news=news)
    for form in ("text", "json"):
        result = run(migrate, "deploy", "--format", form)
        assert [line.split() for line in result.stderr.splitlines()] == [
            ["snapshot", "20240506T101112-a1", "/srv/x.db"],
            ["applied", "1/12", "b2", "add", "column", "250", "ms"],
            ["committed", "/srv/shop/instance/app.db"],
        ]
        assert "1/12" not in result.stdout


def test_json_is_one_document_whatever_a_revision_prints(run: Run) -> None:
    migrate = FakeMigrate(outcome=PLANNED, asks=PLANNED, during=lambda: print("noise"))  # noqa: T201
    result = run(migrate, "safe-upgrade", "--yes", "--format", "json")
    document = json.loads(result.stdout)
    assert document["schema"] == 1
    assert document["dry_run"] is False
    assert document["plans"][0]["steps"][0]["id"] == "b2"
    assert "noise" in result.stderr
    assert "Upgrade from a1 to b2" in result.stderr


def test_a_dry_run_never_asks_and_shows_plan_and_rehearsal(run: Run) -> None:
    applied = (WORK._replace(snapshot=None),)
    migrate = FakeMigrate(outcome=PLANNED._replace(applied=applied, dry_run=True))
    result = run(migrate, "safe-upgrade", "--dry-run")
    assert result.exit_code == 0
    assert "Upgrade from a1 to b2, 1 revision:" in result.stdout
    assert "Rehearsed on a copy, from a1 to b2" in result.stdout
    assert "rebuild" in result.stdout
    document = json.loads(run(migrate, "safe-upgrade", "--dry-run", "--format", "json").stdout)
    assert document["dry_run"] is True


def test_sql_prints_statements_alone(run: Run) -> None:
    work = WORK._replace(script=("CREATE TABLE x (a)",))
    migrate = FakeMigrate(outcome=PLANNED._replace(applied=(work,)))
    result = run(migrate, "safe-upgrade", "--sql")
    assert result.stdout.splitlines() == [
        "-- /srv/shop/instance/app.db: a1 to b2",
        "-- user: rebuild, UNIQUE (email)",
        "BEGIN IMMEDIATE;",
        "CREATE TABLE x (a);",
        "COMMIT;",
    ]
    refused = Outcome("safe-upgrade", Status.REFUSED, findings=(FINDING,), error="Not started.")
    result = run(FakeMigrate(outcome=refused), "safe-upgrade", "--sql")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "Not started." in result.stderr


BEHIND = looked("status", plans=(PLAN,))
HEAD = looked("status")._replace(
    status=Status.NOTHING_TO_DO,
    databases=(DATABASE._replace(version_rows=("b2",)),),
)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (BEHIND, 1),
        (BEHIND._replace(plans=()), 1),
        (HEAD, 0),
        (HEAD._replace(databases=(DATABASE._replace(version_rows=("gone",)),)), 1),
        (HEAD._replace(databases=(DATABASE._replace(version_rows=None),)), 1),
        (HEAD._replace(databases=(*HEAD.databases, DATABASE)), 1),
        (
            HEAD._replace(
                databases=(DATABASE._replace(unreachable=Unreachable("server down", "x", "y")),),
                status=Status.UNAVAILABLE,
                error="status was not started.",
            ),
            4,
        ),
    ],
)
def test_status_check(run: Run, outcome: Outcome, code: int) -> None:
    assert run(FakeMigrate(outcome=outcome), "status", "--check").exit_code == code
    if not outcome.error:
        assert run(FakeMigrate(outcome=outcome), "status").exit_code == 0


def test_status_shows_place_and_pending(run: Run) -> None:
    result = run(FakeMigrate(outcome=BEHIND), "status")
    assert result.stdout.splitlines()[:3] == [
        "Database  SQLite 3.40.1 /srv/shop/instance/app.db",
        "          1.4 MB, 1 table, 52,000 rows",
        'Revision  a1 "create tables", 1 revision behind head b2',
    ]
    assert "b2  2024-01-03  add column" in result.stdout
    assert result.stderr == ""


def test_status_graph_lists_every_revision(run: Run) -> None:
    result = run(FakeMigrate(outcome=BEHIND), "status", "--graph")
    rows = [line.split() for line in result.stdout.splitlines() if "2024-" in line]
    assert rows == [
        [">", "b2", "2024-01-03", "add", "column", "head"],
        ["*", "a1", "2024-01-02", "create", "tables", "app.db;", "base"],
    ]


def test_doctor_shows_findings_and_counts_them(run: Run) -> None:
    warning = FINDING._replace(code="SM106", severity=Severity.WARNING, repair="repair it")
    outcome = looked("doctor", findings=(warning, FINDING))._replace(
        status=Status.REFUSED, state=STATE
    )
    result = run(FakeMigrate(outcome=outcome), "doctor")
    assert result.exit_code == 3
    assert result.stdout.index("SM301 error  Revision 'x'") < result.stdout.index("SM106 warning")
    assert "\n      app.db\n      Hint: flask db doctor --fix\n" in result.stdout
    assert "1 error, 1 warning. 1 repair possible: flask db doctor --fix\n" in result.stdout


def test_doctor_fix_shows_the_repairs_before_it_asks(run: Run) -> None:
    fixable = FINDING._replace(repair="restore the file from git")
    asked = looked("doctor", findings=(fixable,))
    migrate = FakeMigrate(outcome=looked("doctor", repairs=("SM301: done",)), asks=asked)
    result = run(migrate, "doctor", "--fix", "--yes")
    assert "Repairs:\n  SM301  restore the file from git\n" in result.stdout
    assert "Repaired: SM301: done\n" in result.stdout
    assert result.stdout.endswith("No problems found.\n")


def test_snapshots_are_listed(run: Run) -> None:
    result = run(FakeMigrate(outcome=looked("snapshots", snapshots=(SNAPSHOT,))), "snapshots")
    assert "20240506T101112-a1 2024-05-06 10:11:12 UTC 1.4 MB\n" in result.stdout
    assert SNAPSHOT.path in result.stdout
    none = run(FakeMigrate(outcome=looked("snapshots")), "snapshots")
    assert "There are no snapshots.\n" in none.stdout


def test_restore_says_what_it_puts_back(run: Run) -> None:
    asked = looked("restore", snapshots=(SNAPSHOT,))
    result = run(FakeMigrate(outcome=asked, asks=asked), "restore", "--yes")
    assert "Snapshot  20240506T101112-a1, 1.4 MB\n" in result.stdout
    assert "taken 2024-05-06 10:11:12 UTC, safe-upgrade\n" in result.stdout


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [("db", "flask db", "flask db"), ("database", "flask database", "flask db")],
)
def test_hints_call_the_commands_by_the_name_of_their_group(
    monkeypatch: pytest.MonkeyPatch, name: str, ours: str, theirs: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    hint = f"{'word ' * 13}flask db doctor --fix, or flask db safe-upgrade; flask db migrate"
    outcome = Outcome("status", Status.FAILED, error="It stopped.", hint=hint)
    app = make_app(FakeMigrate(outcome=outcome))
    app.cli.add_command(app.cli.commands["db"], name)
    for form in ("text", "json"):
        result = app.test_cli_runner().invoke(args=[name, "status", "--format", form])
        assert f"{ours} doctor --fix" in result.output
        assert f"{ours} safe-upgrade" in result.output
        # The group of this test has our commands alone.
        assert f"{theirs} migrate" in result.output
        if form == "text":
            assert all(len(line) <= 80 for line in result.output.splitlines())
