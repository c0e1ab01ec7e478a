"""Processes of `flask`, copied from one that has imported everything.

Starting Python and importing takes most of a run. A copy is at the database within a few
hundredths of a second, so that many start at once and a random moment mostly falls into the work.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path

from tests.support.projects import Project

_PRELOAD = (
    "flask.cli",
    "flask_migrate",
    "flask_sqlalchemy",
    "alembic.command",
    "alembic.autogenerate",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.mysql",
    "psycopg",
    "pymysql",
    "flask_safemigrate.cli",
    "flask_safemigrate.wiring",
    "flask_safemigrate.workflows.deploy",
    "flask_safemigrate.report.text",
    "flask_safemigrate.report.progress",
    "flask_safemigrate.checks.catalogue",
    "tests.support.forked",
)

#: What processes of tests are made by.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(list(_PRELOAD))


@dataclass
class Copy:
    """A process that runs or has run."""

    process: BaseProcess
    output: Path

    @property
    def code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self.process.exitcode

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        assert self.process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def wait(self, seconds: float = 240) -> int:
        """Return its exit code, minus the number of the signal that ended it."""
        self.process.join(seconds)
        code = self.process.exitcode
        if code is None:
            self.process.kill()
            self.process.join()
            raise TimeoutError(f"it still ran after {seconds} s: {self.said}")
        return code

    @property
    def said(self) -> str:
        """What it wrote to standard output and standard error so far."""
        return self.output.read_text("utf-8", "replace") if self.output.exists() else ""


def flask(
    project: Project,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
    together: Barrier | None = None,
) -> Copy:
    """Run `flask ARGUMENTS` in the project's folder.

    :param before: prepares the process, as by a limit; a function of a module.
    :param together: has it wait, application loaded, for the others of its crowd.
    """
    descriptor, name = tempfile.mkstemp(dir=project.path.parent, suffix=".said")
    os.close(descriptor)
    process = CONTEXT.Process(
        target=_run,
        args=(project.path, arguments, project._environment(env), name, before, together),
        daemon=True,
    )
    process.start()
    return Copy(process, Path(name))


def crowd_of(size: int) -> Barrier:
    """What lets so many processes begin at one moment."""
    return CONTEXT.Barrier(size)


def _run(
    folder: Path,
    arguments: tuple[str, ...],
    environment: Mapping[str, str],
    output: str,
    before: Callable[[], None] | None,
    together: Barrier | None,
) -> None:
    from flask.cli import main

    descriptor = os.open(output, os.O_WRONLY | os.O_APPEND)
    empty = os.open(os.devnull, os.O_RDONLY)
    for number, each in ((0, empty), (1, descriptor), (2, descriptor)):
        os.dup2(each, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, str(folder))
    sys.argv = ["flask", *arguments]
    if before is not None:
        before()
    if together is not None:
        importlib.import_module("app")
        together.wait()
    code = 99
    try:
        main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
