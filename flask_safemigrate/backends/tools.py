"""The servers' own programs for dumps, run as child processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from flask_safemigrate.backends.contract import Say
from flask_safemigrate.backends.private import create
from flask_safemigrate.errors import SnapshotFailed
from flask_safemigrate.outcome import Progress

_NEWS_SECONDS = 1.0
_LINES = 6


def find_tool(names: Iterable[str], *, package: str) -> str:
    """Return the path of the first of these programs that ``PATH`` has.

    :param package: where a person gets it from.
    :raises SnapshotFailed: none is there.
    """
    wanted = tuple(names)
    for name in wanted:
        path = shutil.which(name)
        if path:
            return path
    raise SnapshotFailed(
        f"{' or '.join(wanted)} is needed for this and was not found on PATH.",
        hint=f"install it, on Debian or Ubuntu: apt install {package}",
    )


@dataclass
class Running:
    """A program at work.

    :param process: with pipes as they were asked for.
    :param secrets: words that must not be shown.
    """

    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    secrets: tuple[str, ...]

    def complaint(self) -> str:
        """Return the last lines that it wrote to stderr, without secrets."""
        self.errors.seek(0)
        text = self.errors.read().decode(errors="replace")
        for secret in filter(None, self.secrets):
            text = text.replace(secret, "***")
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        return "\n".join(lines[-_LINES:])


@contextmanager
def running(
    command: list[str],
    *,
    environment: Mapping[str, str],
    secrets: tuple[str, ...],
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
) -> Iterator[Running]:
    """Run a program for the length of the block; it is killed if the block ends before it.

    :param environment: what the child gets beside this process's own environment.
    """
    started: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryFile() as errors:

        def start() -> None:
            process = subprocess.Popen(
                command,
                env={**os.environ, "LC_ALL": "C", **environment},
                stdin=stdin,
                stdout=stdout,
                stderr=errors,
            )
            started.append(process)

        try:
            # In a thread, which no signal interrupts: a program that had begun would stay.
            with ThreadPoolExecutor(1) as pool:
                pool.submit(start).result()
            yield Running(started[0], errors, secrets)
        finally:
            for process in started:
                _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            # A pipe to a child that has gone cannot be flushed.
            with contextlib.suppress(OSError):
                pipe.close()
    process.wait()


def output_of(command: list[str], *, environment: Mapping[str, str] | None = None) -> str:
    """Return what a program prints, "" where it fails."""
    done = subprocess.run(
        command,
        env={**os.environ, "LC_ALL": "C", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return done.stdout if done.returncode == 0 else ""


@contextmanager
def new_file(path: Path) -> Iterator[None]:
    """Create a file that only its owner can read; remove it when the block fails.

    :raises SnapshotFailed: the file cannot be written, for want of space for instance.
    """
    try:
        create(path)
        yield
    except BaseException as error:
        if not isinstance(error, FileExistsError):
            with contextlib.suppress(OSError):
                path.unlink()
        if isinstance(error, OSError):
            raise SnapshotFailed(
                f'"{path}" cannot be written: {error.strerror or error}.',
                hint=f"df -h {path.parent}; or name another folder in SAFEMIGRATE_SNAPSHOTS",
            ) from error
        raise


@contextmanager
def private_folder() -> Iterator[Path]:
    """Give a folder that only its owner may enter, for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="safemigrate-") as folder:
        yield Path(folder)


def news(say: Say, stage: str, path: Path, bind: str) -> Callable[[int], Any]:
    """Return a function that tells, at most once a second, how many bytes are done."""
    start = time.monotonic()
    told = [start]

    def tell(size: int) -> None:
        now = time.monotonic()
        if now - told[0] >= _NEWS_SECONDS:
            told[0] = now
            say(Progress(stage, path.name, f"{size / 1_000_000:.0f} MB", now - start, bind))

    return tell
