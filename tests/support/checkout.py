"""Fails a run that leaves files in the checkout, as a relative path of a database does.

A plugin of pytest; the conftest registers it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

#: What tools keep there: pytest, Hypothesis, linters and the targets of the Makefile.
_TOOLS = frozenset(
    (
        *(".git", ".hypothesis", ".import_linter_cache"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache"),
        *("__pycache__", "_build", "_generated", "build", "dist", "htmlcov"),
    )
)
_SLACK = 0.1  # seconds: the clock of files is a coarse one


def files(root: Path) -> frozenset[Path]:
    """Every file below the folder but those of tools."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in _TOOLS and not _is_environment(f)]
        found += [Path(folder, name) for name in names if not name.startswith(".coverage")]
    return frozenset(found)


def _is_environment(name: str) -> bool:
    return name.startswith(".venv") or name.endswith(".egg-info")


class Checkout:
    """Compares the files of the start with those of the end."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._before = files(root)
        self._ran: list[tuple[float, float, str]] = []
        self._left: tuple[Path, ...] = ()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._ran.append((report.start, report.stop, report.nodeid))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._left = tuple(sorted(files(self._root) - self._before))
        if self._left and session.exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for path in self._left:
            terminalreporter.write_line(
                f"ERROR {path.relative_to(self._root)} was written into the checkout, while one"
                f" of these ran: {', '.join(_during(path, self._ran)) or 'none'}",
                red=True,
            )


def _during(path: Path, ran: Iterable[tuple[float, float, str]]) -> list[str]:
    """The tests that ran when the file was last written."""
    try:
        moment = path.lstat().st_mtime
    except FileNotFoundError:
        return []
    found = (name for start, stop, name in ran if start - _SLACK <= moment <= stop + _SLACK)
    return list(dict.fromkeys(found))


def pytest_configure(config: pytest.Config) -> None:
    # With xdist, the process that hands the tests out looks.
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Checkout(config.rootpath), "checkout-guard")
