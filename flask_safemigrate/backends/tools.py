"""The servers' own programs for dumps, run as child processes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from flask_safemigrate.backends import private
from flask_safemigrate.backends.contract import Say
from flask_safemigrate.errors import ProgramUnfit, SnapshotFailed
from flask_safemigrate.outcome import Progress

_NEWS_SECONDS = 1.0
_LINES = 6
# What leads the programs elsewhere than where the application's connection went: servers,
# databases, services, roles, files of options and passwords. They are told all of it by us.
_THEIR_VARIABLES = ("PG", "PSQL", "MYSQL_", "MARIADB_")


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_THEIR_VARIABLES)}
    return {**kept, "LC_ALL": "C", **more}


def find_tool(
    names: Iterable[str], *, package: str, fits: Callable[[str], bool] = lambda path: True
) -> str:
    """Return the path of the first of these programs that ``PATH`` has.

    :param package: where a person gets it from.
    :param fits: asked for each path; one that fits goes before one that does not.
    :raises ProgramUnfit: none is there.
    """
    wanted = tuple(names)
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    paths = [shutil.which(name, path=folder) for name in wanted for folder in folders]
    found = [path for path in paths if path]
    if found:
        return next(filter(fits, found), found[0])
    raise ProgramUnfit(
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
    pass_fds: tuple[int, ...] = (),
) -> Iterator[Running]:
    """Run a program for the length of the block; it is killed if the block ends before it.

    :param environment: what the child gets beside this process's own environment, without the
        variables that the programs of the servers read.
    """
    started: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryFile() as errors:

        def start() -> None:
            process = subprocess.Popen(
                command,
                env=_environment(environment),
                stdin=stdin,
                stdout=stdout,
                stderr=errors,
                pass_fds=pass_fds,
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
        env=_environment(environment or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return done.stdout if done.returncode == 0 else ""


def make_private(path: Path) -> None:
    """Create an empty file of mode 0600, whatever the umask, in a folder that is safe by name.

    :raises FileExistsError: it is there already, as a link too.
    """
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        private.set_mode(file, 0o600)
    finally:
        os.close(file)


@contextmanager
def new_file(path: Path) -> Iterator[None]:
    """Create a file that only its owner can read; remove it when the block fails.

    :raises SnapshotFailed: the file cannot be written, for want of space for instance.
    """
    try:
        make_private(path)
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
def nameless(*contents: str) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Give paths under which a child process can read these texts, and nobody else.

    They have no place in any folder, so nothing of them is left behind by a kill.

    :return: the paths, and the descriptors that the child must inherit.
    """
    if not os.path.isdir("/dev/fd"):
        raise ProgramUnfit(
            "This system cannot hand a password to the servers' programs so that nobody else "
            "can read it.",
            hint="run the command on Linux or macOS, in a container for instance",
        )
    with contextlib.ExitStack() as stack:
        descriptors = []
        for content in contents:
            file = stack.enter_context(tempfile.TemporaryFile())
            private.set_mode(file.fileno(), 0o600)
            file.write(content.encode())
            file.seek(0)
            descriptors.append(file.fileno())
        yield tuple(f"/dev/fd/{each}" for each in descriptors), tuple(descriptors)


@contextmanager
def private_folder() -> Iterator[Path]:
    """Give a folder that only its owner may enter, for the length of the block.

    What killed processes of this machine and user left of theirs goes first.
    """
    _sweep(Path(tempfile.gettempdir()))
    prefix = f"{_FOLDERS}{socket.gethostname()}-{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        yield Path(folder)


_FOLDERS = "safemigrate-"


def _sweep(parent: Path) -> None:
    ours = re.compile(rf"{_FOLDERS}{re.escape(socket.gethostname())}-(\d+)-\w+")
    with contextlib.suppress(OSError):
        for entry in os.scandir(parent):
            made_by = ours.fullmatch(entry.name)
            if made_by is None or not is_gone(int(made_by[1])):
                continue
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False) and (
                    entry.stat(follow_symlinks=False).st_uid == (private.user() or 0)
                ):
                    shutil.rmtree(entry.path, ignore_errors=True)


def is_gone(process: int) -> bool:
    """Whether there is no process of this number any more; False where that cannot be asked."""
    if os.name == "nt":
        return False  # signal 0 is Ctrl-C there
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


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
