"""One upgrade of a database file at a time."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from sqlalchemy import Connection

from flask_safemigrate.backends import file_locks, private
from flask_safemigrate.backends.contract import Held, Say, Target
from flask_safemigrate.backends.sqlite import errors, files
from flask_safemigrate.errors import DatabaseUnavailable, LockTimeout
from flask_safemigrate.outcome import Progress

POLL_SECONDS = 0.05
NEWS_SECONDS = 1.0


def lock_path(file: files.DatabaseFile, version_table: str) -> Path:
    """The lock file: in ``.safemigrate`` beside the database, one for each version table.

    Its name depends on the file's name alone: containers mount one folder at many places.
    """
    key = f"{file.path.name}\0{version_table}"
    readable = re.sub(r"[^\w.-]", "_", f"{file.path.name}.{version_table}")[:100]
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return file.path.parent / private.FOLDER_NAME / f"{readable}.{digest}.lock"


class _FileHeld:
    """The system's own lock, which nothing but the end of the process takes away."""

    def note(self, revision: str) -> None:
        """Those who wait see the command."""

    def check(self) -> None:
        """It cannot be lost."""

    def prove(self, connection: Connection) -> None:
        """It cannot be lost."""

    def let_go(self) -> None:
        """Nothing is kept for the commit."""


@contextlib.contextmanager
def lock(target: Target, seconds: float, say: Say, how: str = "auto") -> Iterator[Held]:
    """Hold the lock of this database and version table for the length of the block.

    The lock is the system's (flock(2) where there is one), so it ends with the process that holds
    it, however that ends. It excludes threads of one process from each other too, and is not
    inherited: a child process that is forked meanwhile does not hold it. A database in memory
    needs none.

    :param seconds: how long to wait at most; 0 tries once.
    :param say: told about once a second who holds it.
    :param how: without effect; there is but this way.
    :raises LockTimeout: the time is up.
    :raises DatabaseUnavailable: the lock file cannot be made.
    """
    file = files.find(target)
    if file is None:
        yield _FileHeld()
        return
    path = lock_path(file, target.version_table)
    holder = path.with_suffix(".json").name
    database = file.path if file.path.exists() else None
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(private.folder(path.parent, like=database))
            owned = private.owner_of(database)
            handle = _open(folder, path.name, owned)
            stack.callback(os.close, handle)
            _wait(handle, folder, holder, seconds, say, file, target)
        except OSError as error:
            raise _cannot_lock(error, path, file) from error
        owner = os.getpid()
        try:
            with contextlib.suppress(OSError):  # without it waiters cannot tell who, nothing more
                private.write_json(folder, holder, _myself(), owned)
            yield _FileHeld()
        finally:
            # In a forked child, the lock and the note are still the parent's.
            if os.getpid() == owner:
                with contextlib.suppress(OSError):
                    private.remove(folder, holder)
                file_locks.unlock(handle)


def _open(folder: private.Folder, name: str, owner: tuple[int, int] | None) -> int:
    """Open the lock file, whose content is nothing, and make it where it is missing."""
    with contextlib.suppress(FileExistsError):
        return private.create(folder, name, owner)
    return private.open_file(folder, name, write=True)


def _wait(
    handle: int,
    folder: private.Folder,
    holder: str,
    seconds: float,
    say: Say,
    file: files.DatabaseFile,
    target: Target,
) -> None:
    start = time.monotonic()
    for attempt in itertools.count():
        try:
            file_locks.lock(handle)
            return
        except BlockingIOError:
            waited = time.monotonic() - start
        if waited >= seconds:
            raise LockTimeout(
                f'Database "{file.path.name}" is being changed by {who_holds(folder, holder)}; '
                f"gave up after {seconds:g} s.",
                hint="wait until it is done and run the same command again, with --lock-wait "
                f"{max(60, int(seconds * 5))} for instance",
            )
        if attempt % round(NEWS_SECONDS / POLL_SECONDS) == 0:
            say(
                Progress(
                    "waiting",
                    subject=file.path.name,
                    text=f"waiting for {who_holds(folder, holder)}",
                    seconds=waited,
                    bind=target.bind,
                )
            )
        time.sleep(min(POLL_SECONDS, seconds - waited))


def who_holds(folder: private.Folder, holder: str) -> str:
    """Say who holds a lock, by the note that the holder left in the open folder."""
    try:
        note = json.loads(private.read(folder, holder)[0])
        return f"{note['command']} (pid {note['pid']} on {note['host']}, since {note['since']})"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"


def _myself() -> dict[str, object]:
    return {
        "command": command_line(sys.argv),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def command_line(arguments: list[str]) -> str:
    """Return program and subcommands of a command line, without options and their values.

    They may hold a password.
    """
    program = Path(arguments[0]) if arguments and arguments[0] else Path("python")
    name = program.parent.name if program.name == "__main__.py" else program.name
    words = itertools.takewhile(re.compile(r"[a-z][a-z-]*").fullmatch, arguments[1:4])
    return " ".join((name, *words))


def _cannot_lock(error: OSError, path: Path, file: files.DatabaseFile) -> DatabaseUnavailable:
    reason = errors.of_file(error, file)
    if reason.kind == "missing folder":
        return DatabaseUnavailable(reason.message, kind=reason.kind, hint=reason.hint)
    why = error.strerror or error
    what = f'Lock file "{path}" of database "{file.path.name}" cannot be used: {why}.'
    if path.parent.exists():
        hint = f"ls -la {shlex.quote(str(path.parent))}  # run as its owner, or chown -R it"
        return DatabaseUnavailable(what, kind="missing privilege", hint=hint)
    return DatabaseUnavailable(what, kind=reason.kind, hint=reason.hint)
