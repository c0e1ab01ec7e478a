"""The example application: its history, its data through every revision, its pages and hooks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import create_engine, func, inspect, select, table

from scripts import demo
from tests.support import forked

EARLY = "2a7be04c51f8"


def flask(url: str, *arguments: str, plain: bool = False) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "FLASK_APP": "library",
        "LIBRARY_DATABASE_URL": url,
        "EXAMPLE_PLAIN": "1" if plain else "",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SSL_CERT_FILE": os.devnull,
        "NO_COLOR": "1",
    }
    done = forked.run(demo.APP, *arguments, environment=environment, input="", timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def counts(url: str) -> dict[str, int]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            names = inspect(connection).get_table_names()
            return {
                name: connection.scalar(select(func.count()).select_from(table(name)))
                for name in names
                if name in demo.TABLES
            }
    finally:
        engine.dispose()


@pytest.fixture(autouse=True)
def _copy_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What commands leave beside an application is not left in the checkout."""
    folder = tmp_path / "example_app"
    made = shutil.ignore_patterns(".safemigrate", "instance", "__pycache__")
    shutil.copytree(demo.APP, folder, ignore=made)
    monkeypatch.setattr(demo, "APP", folder)


@pytest.fixture
def populated(database_url: str) -> str:
    """A database of 52,000 rows at the early revision."""
    flask(database_url, "db", "upgrade", EARLY, plain=True)
    flask(database_url, "populate", plain=True)
    return database_url


def test_every_row_survives_the_whole_history_up_and_down_and_up(populated: str) -> None:
    before = counts(populated)
    assert sum(before.values()) == 52_108

    flask(populated, "db", "safe-upgrade", "--yes")
    assert counts(populated) == before
    assert "heads\n" not in flask(populated, "db", "current").stdout

    flask(populated, "db", "safe-downgrade", EARLY, "--yes")
    assert counts(populated) == before

    flask(populated, "db", "safe-upgrade", "--yes")
    assert counts(populated) == before


def test_the_models_are_what_the_history_builds(database_url: str) -> None:
    flask(database_url, "db", "deploy")

    report = json.loads(flask(database_url, "db", "status", "--format", "json").stdout)
    assert report["status"] == "nothing to do"
    engine = create_engine(database_url)
    tables = set(inspect(engine).get_table_names())
    engine.dispose()
    assert {*demo.TABLES, "membership_kind", "member_audit"} <= tables


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_sqlite_keeps_what_plain_upgrade_loses(populated: str, tmp_path: Path) -> None:
    file = Path(populated.removeprefix("sqlite:///"))
    copy = tmp_path / "plain.db"
    copy.write_bytes(file.read_bytes())
    before = demo.facts(file)

    flask(populated, "db", "safe-upgrade", "--yes")
    flask(f"sqlite:///{copy}", "db", "upgrade", plain=True)

    assert demo.facts(file) == before
    lost = {old.what for old, new in zip(before, demo.facts(copy), strict=True) if old != new}
    assert {"rows of loan", "trigger keeps an audit", "first member joined"} <= lost
    assert [fact.value for fact in demo.pages(file)] == ["200 OK"] * 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_deploy_twice_inserts_each_membership_kind_once(database_url: str) -> None:
    flask(database_url, "db", "deploy")
    flask(database_url, "db", "deploy")

    engine = create_engine(database_url)
    with engine.connect() as connection:
        names = connection.exec_driver_sql("SELECT name FROM membership_kind").scalars().all()
    engine.dispose()
    assert sorted(names) == ["adult", "child", "staff", "student"]


def test_reset_builds_a_small_library(database_url: str) -> None:
    flask(database_url, "--debug", "db", "reset", "--yes")

    assert counts(database_url) == dict.fromkeys(demo.TABLES, 1) | {"copy": 2, "reservation": 0}
