"""Which processes hold a file, as far as the system tells."""

from __future__ import annotations

import os
from pathlib import Path


def writers_of(path: Path) -> tuple[str, ...]:
    """Name the other processes that hold a write lock on an SQLite database.

    Reads ``/proc/locks`` (proc_locks(5)), so it knows nothing outside Linux, nor about processes
    of other containers. In WAL mode writers lock the ``-shm`` file.
    """
    pids = _lockers(path, ("WRITE",)) or ()
    return tuple(_describe(pid) for pid in pids if pid != os.getpid())


def readers_of(path: Path) -> tuple[str, ...]:
    """Name the other processes that read a database which has no log, and so keep it from COMMIT.

    With a log everybody who has the file open holds that lock, and keeps nobody from anything.
    """
    if path.with_name(path.name + "-shm").exists():
        return ()
    pids = _lockers(path, ("READ",)) or ()
    return tuple(_describe(pid) for pid in pids if pid != os.getpid())


def in_use(path: Path) -> bool:
    """Whether anybody, this process too, has a database in WAL mode open; yes where unknown.

    Every connection keeps a shared lock on its ``-shm`` file.
    """
    pids = _lockers(path, ("READ", "WRITE"))
    return pids is None or bool(pids)


def _lockers(path: Path, kinds: tuple[str, ...]) -> tuple[int, ...] | None:
    """The processes that hold such a lock; None where the system does not tell."""
    wanted = set()
    for file in (path, path.with_name(path.name + "-shm")):
        try:
            found = file.stat()
        except OSError:
            continue
        wanted.add((os.major(found.st_dev), os.minor(found.st_dev), found.st_ino))
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    pids: dict[int, None] = {}
    for line in lines:
        fields = line.split()
        if len(fields) < 8 or fields[1] == "->" or fields[3] not in kinds:
            continue
        major, minor, inode = fields[5].split(":")
        if (int(major, 16), int(minor, 16), int(inode)) in wanted:
            pids[int(fields[4])] = None
    return tuple(pid for pid in pids if pid > 0)


def _describe(pid: int) -> str:
    # Only the program's name: arguments may hold a password.
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return f"pid {pid}"
    return f"{name} (pid {pid})"
