"""What README and docs say about commands, options, settings, exit codes and checks is so."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from flask_migrate.cli import db as stock

from docs import generate
from flask_safemigrate import cli
from flask_safemigrate.checks import catalogue
from flask_safemigrate.outcome import Status, exit_code

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.rst"))]
COMMANDS = {command.name: command for command in cli.commands()}
# Flask-Migrate has it since 4.0.2.
LATER = {"check"} - set(stock.commands)


def page_id(page: Path) -> str:
    return page.name


def test_the_settings_of_the_tests_are_listed() -> None:
    written = (ROOT / "docs/development.rst").read_text(encoding="utf-8")
    named = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"SAFEMIGRATE_TEST_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))
    }
    assert {name for name in named if f"``{name}``" not in written} == set()


def test_readme_lists_every_setting() -> None:
    assert f"{generate.readme_settings()}\n\n" in README, "run: python docs/generate.py"


def test_readme_lists_every_exit_code() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d) \|", README, re.M)}
    assert listed == {exit_code(status) for status in Status}


def test_readme_lists_every_command() -> None:
    table = README.partition("| command | does |")[2].partition("\n\n")[0]
    named = {word for span in re.findall(r"`([^`]*)`", table) for word in span.split()}
    assert set(COMMANDS) <= named


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_command_and_option_that_is_named_exists(page: Path) -> None:
    for line in page.read_text(encoding="utf-8").splitlines():
        for name, rest in re.findall(r"flask (?:db|safemigrate) ([a-z][\w-]*)([^`\n]*)", line):
            if name in LATER:
                continue
            command: click.Command | None = COMMANDS.get(name) or stock.commands.get(name)
            assert command is not None, f"{page.name}: {line.strip()}"
            known = {option for param in command.params for option in param.opts}
            unknown = set(re.findall(r"(?<= )--[a-z-]+", rest)) - known
            assert not unknown, f"{page.name}: {line.strip()}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_code_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"\bSM\d{3}\b", page.read_text(encoding="utf-8")))
    assert named <= {check.code for check in catalogue.CATALOGUE}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"\bSAFEMIGRATE_(?!TEST_)[A-Z_]*[A-Z]", text))
    assert named <= {key for key, _, _ in generate.setting_rows()}


def test_the_page_of_checks_explains_every_code() -> None:
    page = generate.checks()
    assert [check.code for check in catalogue.CATALOGUE if check.code not in page] == []
