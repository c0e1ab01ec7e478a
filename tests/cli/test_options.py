"""What every command's options become when the migrate is called."""

from __future__ import annotations

import inspect
from typing import Any

import click
import pytest
from flask_migrate.cli import db

from flask_safemigrate import SafeMigrate
from flask_safemigrate.cli import commands, guarded_upgrade
from flask_safemigrate.workflows import requests
from tests.cli.conftest import Run
from tests.cli.fake import PLAN, FakeMigrate, looked, make_app

DOWNGRADE = {
    "directory": None,
    "x_arg": (),
    "dry_run": False,
    "sql": False,
    "with_rows": False,
    "allow": (),
    "snapshot": None,
    "lock_wait": None,
}
UPGRADE = {**DOWNGRADE, "plan": None, "plan_out": None}
DOCTOR = {
    "directory": None,
    "select": (),
    "ignore": (),
    "fix": None,
    "from_journal": False,
    "strict": False,
    "fast": False,
    "offline": False,
}
DEPLOY = {
    "directory": None,
    "x_arg": (),
    "dry_run": False,
    "allow": (),
    "wait": None,
    "snapshot": None,
    "lock_wait": None,
    "phase": "all",
    "plan": None,
    "plan_out": None,
}
RESET = {"directory": None, "x_arg": (), "snapshot": None, "lock_wait": None}

CASES: list[tuple[str, str, dict[Any, Any]]] = [
    ("status", "status", {"directory": None}),
    ("status -d m", "status", {"directory": "m"}),
    ("doctor", "doctor", DOCTOR),
    ("doctor --fix", "doctor", {**DOCTOR, "fix": ()}),
    ("doctor --fix --yes", "doctor", {**DOCTOR, "fix": ()}),
    ("doctor --fix --from-journal", "doctor", {**DOCTOR, "fix": (), "from_journal": True}),
    ("doctor --fix sm301 -y", "doctor", {**DOCTOR, "fix": ("SM301",)}),
    ("doctor --fix=SM301,SM302", "doctor", {**DOCTOR, "fix": ("SM301", "SM302")}),
    ("doctor --fix SM301 --fix SM302", "doctor", {**DOCTOR, "fix": ("SM301", "SM302")}),
    (
        "doctor --select SM3 --select sm1,SM2",
        "doctor",
        {**DOCTOR, "select": ("SM3", "SM1", "SM2")},
    ),
    ("doctor --fast", "doctor", {**DOCTOR, "fast": True}),
    ("doctor --offline", "doctor", {**DOCTOR, "offline": True}),
    ("doctor --ignore SM3 --strict", "doctor", {**DOCTOR, "ignore": ("SM3",), "strict": True}),
    ("safe-upgrade", "upgrade", {"revision": "heads", **UPGRADE, "asks": True}),
    ("safe-upgrade a1 --yes", "upgrade", {"revision": "a1", **UPGRADE, "asks": False}),
    ("safe-upgrade +1", "upgrade", {"revision": "+1", **UPGRADE, "asks": True}),
    (
        "safe-upgrade --dry-run",
        "upgrade",
        {"revision": "heads", **UPGRADE, "asks": True, "dry_run": True},
    ),
    (
        "safe-upgrade --sql",
        "upgrade",
        {"revision": "heads", **UPGRADE, "asks": True, "dry_run": True, "sql": True},
    ),
    (
        "safe-upgrade --no-snapshot",
        "upgrade",
        {"revision": "heads", **UPGRADE, "asks": True, "snapshot": False},
    ),
    (
        "safe-upgrade --snapshot",
        "upgrade",
        {"revision": "heads", **UPGRADE, "asks": True, "snapshot": True},
    ),
    (
        "safe-upgrade --lock-wait 1.5",
        "upgrade",
        {"revision": "heads", **UPGRADE, "asks": True, "lock_wait": 1.5},
    ),
    (
        "safe-upgrade --allow sm601 --allow SM602",
        "upgrade",
        {"revision": "heads", **UPGRADE, "asks": True, "allow": ("SM601", "SM602")},
    ),
    (
        "safe-upgrade -d m -x a=1 -x b=2",
        "upgrade",
        {"revision": "heads", **UPGRADE, "asks": True, "directory": "m", "x_arg": ("a=1", "b=2")},
    ),
    (
        "safe-upgrade --with-rows",
        "upgrade",
        {"revision": "heads", **UPGRADE, "asks": True, "dry_run": True, "with_rows": True},
    ),
    (
        "safe-upgrade --plan-out p.json",
        "upgrade",
        {"revision": "heads", **UPGRADE, "asks": True, "plan_out": "p.json"},
    ),
    ("deploy --plan p.json", "deploy", {**DEPLOY, "plan": "p.json"}),
    ("safe-downgrade -1 --yes", "downgrade", {"revision": "-1", **DOWNGRADE}),
    ("safe-downgrade base", "downgrade", {"revision": "base", **DOWNGRADE}),
    ("safe-downgrade a1 --dry-run", "downgrade", {"revision": "a1", **DOWNGRADE, "dry_run": True}),
    ("deploy", "deploy", DEPLOY),
    ("deploy --yes", "deploy", DEPLOY),
    ("deploy --dry-run", "deploy", {**DEPLOY, "dry_run": True}),
    ("deploy --phase after", "deploy", {**DEPLOY, "phase": "after"}),
    (
        "deploy --wait 30 --lock-wait 0 --snapshot --allow SM601",
        "deploy",
        {**DEPLOY, "wait": 30.0, "lock_wait": 0.0, "snapshot": True, "allow": ("SM601",)},
    ),
    ("reset", "reset", RESET),
    ("reset --no-snapshot --lock-wait 5", "reset", {**RESET, "snapshot": False, "lock_wait": 5.0}),
    ("snapshot", "take_snapshot", {"bind": None}),
    ("snapshot --bind audit", "take_snapshot", {"bind": "audit"}),
    ("snapshots --bind audit", "snapshots", {"bind": "audit", "verify": False}),
    ("snapshots --verify", "snapshots", {"bind": None, "verify": True}),
    ("restore", "restore", {"snapshot": None, "bind": None, "into": None, "lock_wait": None}),
    (
        "restore x --bind a --yes",
        "restore",
        {"snapshot": "x", "bind": "a", "into": None, "lock_wait": None},
    ),
    (
        "restore --into b",
        "restore",
        {"snapshot": None, "bind": None, "into": "b", "lock_wait": None},
    ),
]


@pytest.mark.parametrize(("line", "method", "arguments"), CASES, ids=[case[0] for case in CASES])
def test_options_reach_the_extension(
    run: Run, line: str, method: str, arguments: dict[Any, Any]
) -> None:
    migrate = FakeMigrate()
    result = run(migrate, *line.split())
    assert result.exit_code == 0, result.output
    assert migrate.calls == [(method, arguments)]


@pytest.mark.parametrize(
    ("before", "after", "directory", "x_arg"),
    [
        ("-d group -x g=1", "", "group", ("g=1",)),
        ("-d group -x g=1", "-d own", "own", ("g=1",)),
        ("-d group -x g=1", "-x o=1", "group", ("o=1",)),
    ],
)
def test_own_options_go_before_the_groups(
    run: Run, before: str, after: str, directory: str, x_arg: tuple[str, ...]
) -> None:
    migrate = FakeMigrate()
    run(migrate, *before.split(), "deploy", *after.split())
    assert migrate.calls[0][1]["directory"] == directory
    assert migrate.calls[0][1]["x_arg"] == x_arg


@pytest.mark.parametrize(
    "line",
    [
        "safe-upgrade --lock-wait nan",
        "safe-upgrade --lock-wait -3",
        "deploy --wait inf",
        "deploy --wait soon",
        "deploy --phase later",
        "safe-downgrade",
        "safe-downgrade --dryrun",
        "safe-upgrade --dryrun",
        "safe-upgrade -q",
        "status --format yaml",
        "snapshots x",
    ],
)
def test_wrong_options_are_usage_errors(run: Run, line: str) -> None:
    migrate = FakeMigrate()
    result = run(migrate, *line.split())
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert result.stdout == ""
    assert migrate.calls == []


def test_a_mistyped_option_names_the_near_one(run: Run) -> None:
    assert "--dry-run" in run(FakeMigrate(), "safe-upgrade", "--dryrun").stderr


@pytest.mark.parametrize("command", commands(), ids=lambda c: c.name)
def test_every_command_takes_directory_x_and_format(run: Run, command: Any) -> None:
    names = {name for p in command.params for name in p.opts}
    assert {"-d", "--directory", "-x", "--x-arg", "--format"} <= names
    shown = run(FakeMigrate(), command.name, "--help")
    assert shown.exit_code == 0
    assert all(len(line) <= 80 for line in shown.output.splitlines())


def test_what_changes_something_takes_yes() -> None:
    taking = {c.name for c in commands() if any("--yes" in p.opts for p in c.params)}
    assert taking == {
        "doctor",
        "lint",
        "safe-upgrade",
        "safe-downgrade",
        "deploy",
        "reset",
        "restore",
    }


def test_the_guarded_upgrade_upgrades_by_the_extension_without_asking() -> None:
    migrate = FakeMigrate(asks=looked("safe-upgrade", plans=(PLAN,)))
    app = make_app(migrate)
    group = app.cli.commands["db"]
    group.add_command(guarded_upgrade(db.commands["upgrade"]))  # type: ignore[attr-defined]
    result = app.test_cli_runner().invoke(args=["db", "upgrade", "-d", "m", "a1"])
    assert result.exit_code == 0, result.output
    assert migrate.calls == [
        ("upgrade", {"revision": "a1", "directory": "m", "x_arg": (), "asks": False})
    ]


def test_the_guarded_upgrade_leaves_sql_to_the_stock_command() -> None:
    seen: dict[str, Any] = {}

    @click.command()
    @click.option("-d", "--directory")
    @click.option("--sql", is_flag=True)
    @click.option("--tag")
    @click.option("-x", "--x-arg", multiple=True)
    @click.argument("revision", default="head")
    def stock(**options: Any) -> None:
        seen.update(options)

    migrate = FakeMigrate()
    app = make_app(migrate)
    app.cli.commands["db"].add_command(guarded_upgrade(stock))  # type: ignore[attr-defined]
    app.test_cli_runner().invoke(args=["db", "upgrade", "--sql", "-x", "a", "a1:b2"])
    assert seen == {
        "directory": None,
        "sql": True,
        "tag": None,
        "x_arg": ("a",),
        "revision": "a1:b2",
    }
    assert migrate.calls == []


@pytest.mark.parametrize(("method", "options"), requests.OPTIONS.items())
def test_a_method_takes_the_options_that_its_signature_names(
    method: str, options: frozenset[str]
) -> None:
    taken = inspect.signature(getattr(SafeMigrate, method)).parameters["options"]
    assert taken.kind is taken.VAR_KEYWORD
    name = taken.annotation.removeprefix("Unpack[").removesuffix("]")
    assert getattr(requests, name).__optional_keys__ == options


@pytest.mark.parametrize(
    ("method", "given", "error"),
    [
        ("upgarde", {}, AttributeError),
        ("upgrade", {"dryrun": True}, TypeError),
        ("downgrade", {}, TypeError),
        ("status", {"x_arg": ()}, TypeError),
    ],
)
def test_a_command_cannot_call_what_the_extension_does_not_have(
    method: str, given: dict[str, Any], error: type[Exception]
) -> None:
    for migrate in (FakeMigrate(), SafeMigrate()):
        with pytest.raises(error):
            getattr(migrate, method)(**given)
