"""Processes of `flask`, copied from one that has imported everything.

Starting Python and importing takes most of a run. A copy is at the database within a few
hundredths of a second, so that many start at once and a random moment mostly falls into the work.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    "flask_safemigrate.alembic_bridge.run",
    "flask_safemigrate.alembic_bridge.sqlite.batch",
    "flask_safemigrate.backends.mysql",
    "flask_safemigrate.backends.postgresql",
    "flask_safemigrate.backends.sqlite",
    "flask_safemigrate.reading.comparison",
    "flask_safemigrate.report.documents.json",
    "flask_safemigrate.standalone",
    "flask_safemigrate.workflows.doctor",
    "pytest",
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
    streams = (os.devnull, name, name)
    process = CONTEXT.Process(
        target=_run,
        args=(project.path, arguments, project._environment(env), streams, before, together),
        daemon=True,
    )
    process.start()
    return Copy(process, Path(name))


def run(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str],
    input: str,
    timeout: float,
) -> subprocess.CompletedProcess[str]:
    """Run `flask ARGUMENTS` in a folder as `subprocess.run` does, and wait for its end.

    :param timeout: seconds until it is killed.
    :raises subprocess.TimeoutExpired: it has been.
    """
    with tempfile.TemporaryDirectory(prefix="flask-") as place:
        streams = tuple(Path(place, name) for name in ("input", "output", "errors"))
        for stream in streams:
            stream.write_text(input if stream.name == "input" else "", encoding="utf-8")
        process = CONTEXT.Process(
            target=_run,
            args=(folder, arguments, environment, tuple(map(str, streams)), None, None),
            daemon=True,
        )
        process.start()
        process.join(timeout)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join()
        _, output, errors = (stream.read_text(encoding="utf-8") for stream in streams)
        command = ["flask", *arguments]
        if code is None:
            raise subprocess.TimeoutExpired(command, timeout, output, errors)
        return subprocess.CompletedProcess(command, code, output, errors)


def crowd_of(size: int) -> Barrier:
    """What lets so many processes begin at one moment."""
    return CONTEXT.Barrier(size)


def _run(
    folder: Path,
    arguments: tuple[str, ...],
    environment: Mapping[str, str],
    streams: tuple[str, str, str],
    before: Callable[[], None] | None,
    together: Barrier | None,
) -> None:
    from flask.cli import main

    _connect(*streams)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # Python looks at it once, when it starts.
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
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
        # What Python does at the end of its main thread.
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _connect(source: str, output: str, errors: str) -> None:
    """Make files of the standard streams, and streams of the files as Python does at its start."""
    for number, path, flags in (
        (0, source, os.O_RDONLY),
        (1, output, os.O_WRONLY | os.O_APPEND),
        (2, errors, os.O_WRONLY | os.O_APPEND),
    ):
        descriptor = os.open(path, flags)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = sys.__stdin__ = os.fdopen(0, encoding="utf-8", closefd=False)
    # Alembic has kept the object since it was imported.
    assert isinstance(sys.stdout, io.TextIOWrapper)
    assert isinstance(sys.stderr, io.TextIOWrapper)
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=False)
    sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
