"""The table of faults on SQLite: what both tools leave behind, and whether a re-run heals it."""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench.harness import OURS, TOOLS, audit_quietly, changed, project, run, to_the_middle
from tests.support import forked
from tests.support.ledger import content
from tests.support.projects import Project

_SMALL = 300_000  # bytes of a disk that is about to be full


def _limit(bytes_: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))


@contextlib.contextmanager
def _read_only(path: Path) -> Iterator[None]:
    """Let nobody write to a file or folder, root included, who may write to any other."""
    _run("mount", "--bind", str(path), str(path))
    try:
        _run("mount", "-o", "remount,ro,bind", str(path))
        yield
    finally:
        _run("umount", str(path))


@contextlib.contextmanager
def _small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        _run("mount", "-t", "tmpfs", "-o", f"size={_SMALL}", "tmpfs", folder)
        try:
            yield Path(folder)
        finally:
            _run("umount", folder)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def _other(p: Project, *statements: str) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(p.database, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement).fetchall()
        yield


@contextlib.contextmanager
def _filled(p: Project) -> Iterator[None]:
    """Leave the small disk with a few pages."""
    ballast = p.database.parent / "ballast"
    free = os.statvfs(p.database.parent)
    ballast.write_bytes(b"x" * max(free.f_bavail * free.f_bsize - 16_384, 0))
    try:
        yield
    finally:
        ballast.unlink()


@dataclass(frozen=True)
class Fault:
    """One way to be stopped.

    :param env: what stops the eighth revision between its statements, see `tests.support.ledger`.
    :param around: what goes on while the tool runs.
    :param before: prepares the process.
    """

    name: str
    env: str = ""
    around: Callable[[Project], AbstractContextManager[None]] = lambda p: contextlib.nullcontext()
    before: Callable[[Project], Callable[[], None] | None] = lambda p: None
    small: bool = False
    more: tuple[str, ...] = field(default=())


FAULTS = (
    Fault("exception in Python", env="python"),
    Fault("failing SQL", env="sql"),
    Fault("failing DDL", env="ddl"),
    Fault("SIGINT", env="SIGINT"),
    Fault("SIGTERM", env="SIGTERM"),
    Fault("SIGKILL", env="SIGKILL"),
    Fault("disk full", around=_filled, small=True, more=("--no-snapshot",)),
    Fault(
        "file size limit",
        before=lambda p: functools.partial(_limit, p.database.stat().st_size + 4096),
        more=("--no-snapshot",),
    ),
    Fault("read-only file", around=lambda p: _read_only(p.database)),
    Fault("read-only folder", around=lambda p: _read_only(p.path)),
    Fault(
        "another writer",
        around=lambda p: _other(p, "BEGIN IMMEDIATE"),
        more=("--lock-wait", "2"),
    ),
    Fault(
        "a long reader",
        around=lambda p: _other(p, "BEGIN", "SELECT * FROM account"),
        more=("--lock-wait", "2"),
    ),
)


def _tried(fault: Fault, tool: str, url: str | None) -> str:
    with project(tool, "sqlite", url) as p:
        to_the_middle(p)
        before = content(p.url)
        more = fault.more if tool == OURS else ()
        with fault.around(p):
            copy = forked.flask(
                p, *TOOLS[tool], *more, env={"FAULT": fault.env}, before=fault.before(p)
            )
            code = copy.wait()
        message = copy.said.partition("Error: ")[2] if tool == OURS else copy.said
        lines = len([line for line in message.splitlines() if line.strip()])
        trace = "traceback" if "Traceback" in copy.said else f"{lines} lines"
        left = "half" if changed(p, before) else "as before"
        if not audit_quietly(p, tool):
            left = "at head"
        again = run(p, tool, *more)
        healed = not audit_quietly(p, tool) and again.code == 0
        wrong = "WRONG DATA, exit 0" if again.code == 0 else f"STUCK, exit {again.code}"
        return f"exit {code}, {trace}, {left}, then {'head' if healed else wrong}"


def show() -> None:
    """Print the table; mounting small and read-only folders takes root."""
    print(f"{'fault':22}" + "".join(f"{tool:58}" for tool in TOOLS))
    for fault in FAULTS:
        cells = []
        for tool in TOOLS:
            with contextlib.ExitStack() as stack:
                folder = stack.enter_context(_small_disk()) if fault.small else None
                cells.append(_tried(fault, tool, folder and f"sqlite:///{folder}/app.db"))
        print(f"{fault.name:22}" + "".join(f"{cell:58}" for cell in cells), flush=True)
