"""Copy an SQLite database and put a copy back, both through SQLite."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from flask_safemigrate.backends import private
from flask_safemigrate.backends.contract import Say, Target
from flask_safemigrate.backends.sqlite import errors, files
from flask_safemigrate.backends.tools import make_private
from flask_safemigrate.errors import DatabaseUnavailable, SafeMigrateError, SnapshotFailed
from flask_safemigrate.outcome import Progress

#: Four megabytes at a time with pages of the usual size: no slower than the whole at once, and
#: a writer waits some milliseconds.
PAGES = 1024
#: Seconds to wait for a lock that another connection holds.
WAIT_SECONDS = 30.0
#: Copies that a writer may spoil before it has to wait.
RESTARTS = 3
#: What SQLite says of what only the application adds to its connections.
UNKNOWN = re.compile(r"(?:no such|unknown) (function|collation sequence): ([^()]+)")
#: A file that is not there yet, not even as a link (O_EXCL).
_NEW = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
_BUSY, _LOCKED = 5, 6  # https://www.sqlite.org/rescode.html


class _Restarted(Exception):
    """A writer changed the source, so the copy began again."""


def _file_of(target: Target) -> files.DatabaseFile:
    file = files.find(target)
    if file is None:
        raise SnapshotFailed(
            "A database in memory has no snapshots: it is gone when its process ends.",
            hint="name a file in SQLALCHEMY_DATABASE_URI, or set SAFEMIGRATE_SNAPSHOT = False",
        )
    if file.encrypted:
        raise SnapshotFailed(
            f'Database "{file.path}" is encrypted by SQLCipher; no snapshot can be taken of it.',
            hint="copy it by SQLCipher's own tools, and set SAFEMIGRATE_SNAPSHOT = False",
        )
    return file


def needs(target: Target) -> int | None:
    """Bytes that a copy would take; None for a database in memory."""
    file = files.find(target)
    return None if file is None else file.size


def take(target: Target, path: Path, say: Say) -> None:
    """Write a consistent copy of the database to a path that does not exist yet.

    By the online backup API (https://www.sqlite.org/backup.html), so other connections go on:
    readers always; writers always in WAL mode, between two steps otherwise, until they have made
    the copy begin anew :data:`RESTARTS` times. Then they wait. The file has mode 0600, is whole
    when it appears under its name, though not yet forced to disk, and a failure leaves nothing.

    :raises SnapshotFailed: no such database, no space, or an error of SQLite.
    :raises DatabaseUnavailable: another connection kept it locked.
    """
    file = _file_of(target)
    if not file.path.exists():
        problem = errors.inspect(file)
        raise SnapshotFailed(
            problem.message if problem else f'Database "{file.path}" does not exist yet.',
            hint=problem.hint if problem else "flask db safe-upgrade",
        )
    if path.exists():
        raise SnapshotFailed(f'File "{path}" exists already.', hint="choose another name")
    temporary = path.with_name(path.name + ".part")
    try:
        with _failures_named(f'Snapshot of "{file.path.name}" failed', file, path):
            make_private(temporary)
            with files.reading(file) as source:
                _copy_out(source, temporary, file, target, say)
            temporary.rename(path)
    finally:
        for left in (temporary, temporary.with_name(temporary.name + "-journal")):
            with contextlib.suppress(OSError):
                left.unlink()


@contextlib.contextmanager
def _failures_named(what: str, file: files.DatabaseFile, path: Path) -> Iterator[None]:
    """Turn errors of the driver and the system into ours."""
    try:
        yield
    except SafeMigrateError:
        raise
    except (files.driver_of(file.engine).Error, sqlite3.Error, OSError) as error:
        full = "disk is full" in str(error) or "disk I/O error" in str(error)
        reason = errors.of_file(error, file)
        if reason.kind == "locked":
            raise DatabaseUnavailable(reason.message, kind="locked", hint=reason.hint) from error
        if full or isinstance(error, OSError):
            detail = error.strerror if isinstance(error, OSError) else str(error)
            raise SnapshotFailed(
                f'{what}: writing "{path}" ended with: {detail}.',
                hint=f"df -h '{path.parent}'; ls -ld '{path.parent}'; ulimit -f",
            ) from error
        raise SnapshotFailed(f"{what}: {reason.message}", hint=reason.hint) from error


def _copy_out(source: Any, path: Path, file: files.DatabaseFile, target: Target, say: Say) -> None:
    def news(done: int, total: int) -> None:
        say(Progress("dumping", file.path.name, bind=target.bind, done=done, total=total))

    # A log pins what a reader sees and lets writers append; without one, a reader that stays
    # makes them wait.
    hold = source.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    while True:
        path.write_bytes(b"")  # a copy that was given up has no journal to undo it
        destination = files.driver_of(file.engine).connect(str(path), isolation_level=None)
        try:
            # The copy counts only when it is complete, so it needs no journal.
            destination.execute("PRAGMA journal_mode=OFF")
            destination.execute("PRAGMA synchronous=OFF")
            # Every page passes once; keeping it costs a tenth of the time.
            for connection in (source, destination):
                connection.execute("PRAGMA cache_size=10")
            if hold:
                source.execute("BEGIN")
                source.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
            _copy(source, destination, news, restarts=None if hold else RESTARTS)
            return
        except _Restarted:
            hold = True
        finally:
            destination.close()
            if source.in_transaction:
                source.execute("ROLLBACK")


def _copy(
    source: Any,
    destination: Any,
    news: Callable[[int, int], None],
    *,
    restarts: int | None = None,
    waiting: Callable[[], None] = lambda: None,
) -> None:
    """Copy all pages, telling (done, total) after each step; wait a bounded time for locks."""
    before, spoiled, waited_since = None, 0, None

    def step(status: int, remaining: int, total: int) -> None:
        nonlocal before, spoiled, waited_since
        if status in (_BUSY, _LOCKED):
            waited_since = waited_since or time.monotonic()
            if time.monotonic() - waited_since >= WAIT_SECONDS:
                raise sqlite3.OperationalError("database is locked")
            waiting()
            return
        waited_since = None
        if before is not None and remaining >= before and remaining:
            spoiled += 1
            if restarts is not None and spoiled > restarts:
                raise _Restarted
        before = remaining
        news(total - remaining, total)

    source.backup(destination, pages=PAGES, progress=step, sleep=0.02)


def check(path: Path) -> None:
    """Prove that a snapshot file is a whole SQLite database, by ``PRAGMA quick_check``.

    :raises SnapshotFailed: it is not, or it is not there.
    """
    if not path.is_file():
        raise SnapshotFailed(f'Snapshot file "{path}" is missing.', hint="flask db snapshots")
    try:
        with contextlib.closing(_open_snapshot(path)) as connection:
            answers = quick_check(connection)
    except sqlite3.Error as error:
        answers = [str(error)]
    if answers != ["ok"]:
        raise SnapshotFailed(
            f'Snapshot file "{path}" is damaged: {answers[0] if answers else "no answer"}.',
            hint="flask db snapshots  # and choose another one",
        )


def _open_snapshot(path: Path) -> sqlite3.Connection:
    # Immutable: a snapshot of a WAL database would get a log beside it otherwise.
    uri = files.uri_of(path.resolve(), {"mode": "ro", "immutable": "1"})
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def quick_check(connection: sqlite3.Connection) -> list[str]:
    """Run the check; functions and collations that only the application knows do not matter.

    quick_check reads every page and row and evaluates NOT NULL and CHECK, but compares no index.
    """
    for _ in range(100):
        try:
            return [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
        except sqlite3.OperationalError as error:
            unknown = UNKNOWN.search(str(error))
            if unknown is None:
                raise
            if unknown[1] == "function":
                connection.create_function(unknown[2], -1, lambda *values: 1)
            else:
                connection.create_collation(unknown[2], lambda a, b: (a > b) - (a < b))
    raise sqlite3.OperationalError("too many functions of the application's own")


def contents(target: Target) -> tuple[str, ...]:
    """Return what :func:`put_back` would replace."""
    file = _file_of(target)
    if not file.path.exists() or file.path.stat().st_size == 0:
        return ()
    named = _failures_named(f'Reading "{file.path.name}" failed', file, file.path)
    with named, files.reading(file) as connection:
        rows = connection.execute("SELECT type, name FROM sqlite_master ORDER BY name")
        return tuple(f"{kind} {files.quoted(name)}" for kind, name in rows.fetchall())


def put_back(target: Target, path: Path, say: Say) -> None:
    """Replace the content of the database by that of a snapshot file.

    Goes through SQLite's own locks and journal, so connections that have the file open see the
    old content or the new, and a crash in between leaves the old. The journal mode stays. A file
    that is no SQLite database is moved aside (``NAME.damaged-TIME``) and replaced.

    :raises SnapshotFailed: the database is as it was.
    :raises DatabaseUnavailable: other connections kept it locked; the database is as it was.
    """
    file = _file_of(target)
    check(path)
    with _failures_named(f'Restoring "{file.path.name}" failed', file, file.path):
        problem = errors.inspect(file)
        if problem is not None:
            raise SnapshotFailed(problem.message, hint=problem.hint)
        try:
            _copy_in(file, path, target, say)
        except files.driver_of(file.engine).DatabaseError as error:
            if errors.of_file(error, file).kind not in ("not a database", "damaged"):
                raise
            _replace(file, path, target, say)


def _copy_in(file: files.DatabaseFile, path: Path, target: Target, say: Say) -> None:
    subject, told = file.path.name, 0.0

    def news(done: int, total: int) -> None:
        say(Progress("restoring", subject, bind=target.bind, done=done, total=total))

    def waiting() -> None:
        nonlocal told
        if time.monotonic() - told >= 1:
            told = time.monotonic()
            text = "waiting for other connections to let go of the database"
            say(Progress("waiting", subject, text, bind=target.bind))

    new = not file.path.exists() or file.path.stat().st_size == 0
    _make_like(file.path, path)
    with (
        contextlib.closing(_open_snapshot(path)) as source,
        contextlib.closing(files.connect(file, "rwc")) as live,
    ):
        mode = "" if new else live.execute("PRAGMA journal_mode").fetchone()[0]
        if mode == "wal" and _page_size(live) != _page_size(source):
            # In WAL mode the size of a page cannot change.
            live.execute("PRAGMA journal_mode=DELETE")
        live.execute("PRAGMA synchronous=FULL")
        # While SQLite waits by itself it keeps new readers out, so that the last one can finish;
        # between two such waits the person at the terminal learns about it.
        live.execute("PRAGMA busy_timeout=1000")
        _copy(source, live, news, waiting=waiting)
        live.execute(f"PRAGMA busy_timeout={int(files.BUSY_SECONDS * 1000)}")
        if mode and (live.execute("PRAGMA journal_mode").fetchone()[0] == "wal") != (
            mode == "wal"
        ):
            live.execute(f"PRAGMA journal_mode={mode}")


def _make_like(database: Path, snapshot: Path) -> None:
    """Make an empty file with mode and owner of the snapshot, if there is no file yet."""
    with contextlib.suppress(FileExistsError):
        new = os.open(database, _NEW, 0o600)
        try:
            like = snapshot.stat()
            private.set_mode(new, stat.S_IMODE(like.st_mode))
            private.give(new, private.as_owned(like))
        finally:
            os.close(new)


def _page_size(connection: Any) -> int:
    return int(connection.execute("PRAGMA page_size").fetchone()[0])


def _replace(file: files.DatabaseFile, path: Path, target: Target, say: Say) -> None:
    """Put a copy in the place of a file that SQLite cannot read; keep that file."""
    before = file.path.stat()
    moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%f")
    aside = file.path.with_name(f"{file.path.name}.damaged-{moment}")
    fresh = file.path.with_name(f"{file.path.name}.restoring-{moment}")
    try:
        # The snapshot is a whole database in one file, so its bytes will do; and bytes can be
        # written without reaching the new file by its name.
        new = os.open(fresh, _NEW, 0o600)
        with path.open("rb") as source, os.fdopen(new, "wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
            private.set_mode(new, stat.S_IMODE(before.st_mode))
            private.give(new, private.as_owned(before))
            os.fsync(new)
        # A log or journal of the old content would be played into the new file.
        for ending in ("-wal", "-shm", "-journal"):
            with contextlib.suppress(FileNotFoundError):
                file.path.with_name(file.path.name + ending).rename(f"{aside}{ending}")
        _keep(file.path, aside)
        fresh.replace(file.path)
    except BaseException:
        for ending in ("-wal", "-shm", "-journal"):
            with contextlib.suppress(OSError):
                Path(f"{aside}{ending}").rename(f"{file.path}{ending}")
        raise
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()
    private.sync(file.path.parent)
    text = f'the unreadable file is kept as "{aside.name}"'
    say(Progress("restoring", file.path.name, text, bind=target.bind))


def _keep(path: Path, aside: Path) -> None:
    """Give a file a second name; a new one on a disk that knows no second names."""
    try:
        os.link(path, aside)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        path.rename(aside)
