"""Fixtures of every test; tests/support holds what they are made of."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.projects import ProjectFactory
from tests.support.servers import DIALECTS, Databases, Server, find_server

pytest_plugins = ["tests.support.checkout"]

SKIPPED = pytest.StashKey[dict[str, Server]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SKIPPED] = {}
    # PyMySQL reads the system's certificates for every connection, encrypted or not, in 22 of 24
    # milliseconds of CPU. No server of the tests has one that they would prove.
    os.environ["SSL_CERT_FILE"] = os.environ["SSL_CERT_DIR"] = os.devnull
    # A shell starts background jobs with SIGINT ignored, and every process of ours would inherit
    # that; the tests that send it mean a terminal.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def require_server(pytestconfig: pytest.Config) -> Callable[[str], Server]:
    """`require_server("postgresql")`: the server, or skip (with CI=true: fail)."""
    found: dict[str, Server] = {}

    def require(dialect: str) -> Server:
        if dialect not in found:
            found[dialect] = find_server(dialect)
        server = found[dialect]
        if server.reachable:
            return server
        where = server.url.render_as_string(hide_password=True)
        reason = f"no {dialect} server at {where} (set {server.variable})"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason}: {server.problem}", pytrace=False)
        pytestconfig.stash[SKIPPED][dialect] = server
        pytest.skip(reason)

    return require


@pytest.fixture
def databases(require_server: Callable[[str], Server]) -> Iterator[Databases]:
    """`databases.create("mysql")` -> URL of an empty database that goes when the test ends."""
    databases = Databases(require_server)
    yield databases
    databases.close()


@pytest.fixture(scope="module")
def module_databases(require_server: Callable[[str], Server]) -> Iterator[Databases]:
    """As `databases`, kept until the module's last test has run."""
    databases = Databases(require_server)
    yield databases
    databases.close()


@pytest.fixture
def postgresql_url(databases: Databases) -> str:
    return databases.create("postgresql")


@pytest.fixture
def mysql_url(databases: Databases) -> str:
    return databases.create("mysql")


@pytest.fixture(params=["sqlite", *DIALECTS])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Runs the test three times: on an SQLite file, on PostgreSQL, on MariaDB/MySQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'database.db'}"
    databases: Databases = request.getfixturevalue("databases")
    return databases.create(request.param)


# The databases are asked for first so that they are dropped last, after every process of the
# project has gone.
@pytest.fixture
def project(databases: Databases, tmp_path: Path) -> Iterator[ProjectFactory]:
    """`project(models=..., revisions=[...])` -> a real Flask project on disk."""
    factory = ProjectFactory(tmp_path / "projects")
    yield factory
    factory.close()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    skipped = config.stash[SKIPPED]
    if skipped:
        names = ", ".join(f"{s.dialect} ({s.variable})" for s in skipped.values())
        terminalreporter.write_line(f"Tests skipped for want of a server: {names}", yellow=True)
