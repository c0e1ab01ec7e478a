"""Running a command against the migrate in memory."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.cli.fake import make_app

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(migrate, "status", "--check")` -> click's result, streams apart, 80 columns."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    # Before click 8.2 the streams were one unless asked for.
    apart = "mix_stderr" in inspect.signature(CliRunner.__init__).parameters
    runner = make_app(None).test_cli_runner(**({"mix_stderr": False} if apart else {}))

    def invoke(migrate: Any, *arguments: str, **options: Any) -> Result:
        runner.app = make_app(migrate)
        return runner.invoke(args=["db", *arguments], **options)

    return invoke
