"""What an error of the driver or the system means for an SQLite database."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from pathlib import Path

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.driver_errors import driver_error
from flask_safemigrate.backends.sqlite import files, holders
from flask_safemigrate.facts.database import Unreachable

#: What a write beyond a size limit is, and one that makes the index of a write-ahead log larger.
_FULL = ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE")


def _shell(path: Path) -> str:
    return shlex.quote(str(path))


def _first_missing(folder: Path) -> Path:
    # A parent may itself be a file; then the folder below it is what is missing.
    missing = folder
    while not missing.parent.is_dir():
        missing = missing.parent
    return missing


def missing_folder(path: Path) -> Unreachable:
    """The folder of the file does not exist."""
    folder = path.parent
    blocker = _first_missing(folder)
    if blocker.exists():
        return Unreachable(
            "missing folder",
            f'Database "{path}" needs the folder "{blocker}", but that is a file.',
            f"mv {_shell(blocker)} {_shell(blocker.with_name(blocker.name + '.old'))} && "
            f"mkdir -p {_shell(folder)}",
        )
    return Unreachable(
        "missing folder",
        f'Folder "{folder}" of database "{path.name}" does not exist.',
        f"mkdir -p {_shell(folder)}",
    )


def missing_file(path: Path) -> Unreachable:
    """The application's URI forbids SQLite to create the file."""
    return Unreachable(
        "missing file",
        f'Database "{path}" does not exist, and the database URL forbids to create it.',
        "use mode=rwc in the URL's query instead of mode=rw or mode=ro",
    )


def no_access(path: Path) -> Unreachable:
    """This user may not read the file, or not enter its folder."""
    return Unreachable(
        "missing privilege",
        f'Database "{path}" may not be read by user "{_me()}".',
        f"namei -l {_shell(path)}  # shows which folder or file refuses; then chmod or chown it",
    )


def not_a_file(path: Path, what: str) -> Unreachable:
    """The path leads to something that is no regular file."""
    return Unreachable(
        "not a database",
        f'Database "{path}" is {what}, not a file.',
        "name the database file in SQLALCHEMY_DATABASE_URI or SQLALCHEMY_BINDS",
    )


def not_a_database(path: Path) -> Unreachable:
    """The header is not that of an SQLite database."""
    return Unreachable(
        "not a database",
        f'File "{path}" is not an SQLite database, or it is encrypted or its header is damaged.',
        f"file {_shell(path)}  # shows what it is; flask db restore puts a snapshot in its place",
    )


def damaged(path: Path, detail: str) -> Unreachable:
    """SQLite found a contradiction inside the file."""
    return Unreachable(
        "damaged",
        f'Database "{path}" is damaged: {detail}.',
        "flask db snapshots  # then flask db restore ID; without one: "
        f"sqlite3 {_shell(path)} .recover",
    )


def locked(path: Path) -> Unreachable:
    """Another connection holds the file."""
    who = holders.writers_of(path) or holders.readers_of(path)
    by = f" by {', '.join(who)}" if who else " by another process"
    return Unreachable(
        "locked",
        f'Database "{path}" is locked{by}.',
        f"fuser -v {_shell(path)}  # shows who has it open; try again when it is done",
    )


def read_only(path: Path) -> Unreachable:
    """The file or its folder cannot be written, and that is needed."""
    journal = path.with_name(path.name + "-journal")
    if journal.exists() and journal.stat().st_size and not os.access(path, os.W_OK):
        return Unreachable(
            "read-only",
            f'Database "{path}" was left in the middle of a change, which must be undone from '
            f'"{journal.name}" first, but the file is read-only.',
            f"chmod u+w {_shell(path)}  # or run as its owner",
        )
    if os.access(path.parent, os.W_OK):
        return Unreachable(
            "read-only",
            f'Database "{path}" is read-only.',
            f"chmod u+w {_shell(path)}  # or run as its owner; remount a read-only mount",
        )
    return Unreachable(
        "read-only",
        f'Folder "{path.parent}" of database "{path.name}" is read-only; SQLite must create its '
        "journal there.",
        f"chmod u+w {_shell(path.parent)}  # or run as its owner; remount a read-only mount",
    )


def not_writable(file: files.DatabaseFile) -> Unreachable:
    """Why a file that can be read cannot be written."""
    path = file.path
    if file.read_only_by_url:
        return Unreachable(
            "read-only",
            f'Database "{path}" can be read, but not written: the database URL says so '
            "(mode=ro or immutable=1).",
            "take mode=ro and immutable=1 out of SQLALCHEMY_DATABASE_URI or SQLALCHEMY_BINDS "
            "for migrations",
        )
    blocked = path if path.exists() and not os.access(path, os.W_OK) else path.parent
    what = "the file" if blocked == path else f'its folder "{blocked}", where SQLite must make '
    what += "" if blocked == path else "its journal,"
    if _mounted_read_only(blocked):
        return Unreachable(
            "read-only",
            f'Database "{path}" can be read, but not written: it is on a file system that is '
            "mounted read-only.",
            f"findmnt -T {_shell(path)}  # shows it; mount it writable, or move the database",
        )
    return Unreachable(
        "read-only",
        f'Database "{path}" can be read, but not written: {what} belongs to {_owner(blocked)} '
        f"and is not writable for {_me()}.",
        f"run as {_owner(blocked)}, or chown {_me()} {_shell(blocked)}",
    )


def _mounted_read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except (OSError, AttributeError):
        return False


def _user(number: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return str(number)


def _me() -> str:
    return _user(os.geteuid()) if hasattr(os, "geteuid") else "this user"


def _owner(path: Path) -> str:
    return _user(path.stat().st_uid)


def disk_full(path: Path) -> Unreachable:
    """No space, quota or file size is left."""
    return Unreachable(
        "unknown",
        f'Database "{path}" cannot grow: the disk is full or a size limit is reached.',
        f"df -h {_shell(path.parent)}; ulimit -f",
    )


def _of_system(error: OSError, path: Path) -> Unreachable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return disk_full(path)
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return read_only(path)
    if error.errno in (errno.ENOENT, errno.ENOTDIR) and not path.parent.is_dir():
        return missing_folder(path)
    return _unknown(path, error.strerror or str(error))


def _unknown(path: Path, detail: str) -> Unreachable:
    return Unreachable(
        "unknown",
        f'Database "{path}" cannot be used: {detail}.',
        f"ls -ld {_shell(path.parent)} {_shell(path)}",
    )


def inspect(file: files.DatabaseFile) -> Unreachable | None:
    """Look at a path without opening it: why it cannot be a database, None where it can.

    A file that is not there yet is no fault, as SQLite creates it.
    """
    path = file.path
    try:
        found = path.stat()
    except PermissionError:
        return no_access(path)
    except (FileNotFoundError, NotADirectoryError):
        if not path.parent.is_dir():
            return missing_folder(path)
        return missing_file(path) if file.parameters.get("mode") in ("ro", "rw") else None
    except OSError as error:
        return _of_system(error, path)
    if stat.S_ISDIR(found.st_mode):
        return not_a_file(path, "a folder")
    if not stat.S_ISREG(found.st_mode):
        return not_a_file(path, "a device, pipe or socket")
    return None if os.access(path, os.R_OK) else no_access(path)


def of_file(error: BaseException, file: files.DatabaseFile) -> Unreachable:
    """Say what an error that a connection to this file raised means.

    Goes by the text of the message (https://www.sqlite.org/rescode.html gives one for each
    code): Python 3.10 does not tell the code.
    """
    path = file.path
    error = driver_error(error)
    if isinstance(error, OSError):
        return _of_system(error, path)
    text = str(error)
    if "is locked" in text:
        return locked(path)
    if "not a database" in text:
        return not_a_database(path)
    if "malformed" in text or "unsupported file format" in text:
        return damaged(path, text)
    if "readonly" in text:
        return read_only(path)
    if "disk is full" in text or getattr(error, "sqlite_errorname", "") in _FULL:
        return disk_full(path)
    return inspect(file) or _unknown(path, text)


def explain(error: BaseException, target: Target) -> Unreachable:
    """Say why an error of the driver means that the database cannot be reached."""
    try:
        file = files.find(target)
    except files.driver_of(target.engine).Error:
        file = None
    if file is None:
        error = driver_error(error)
        return Unreachable(
            "locked" if "is locked" in str(error) else "unknown",
            f"The database in memory cannot be used: {error}.",
            "look at the engine options of the application",
        )
    return of_file(error, file)
