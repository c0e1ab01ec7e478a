"""A Python whose system is as Windows is: no fcntl, no users, no folders that can be opened.

Its text is a ``sitecustomize.py``, so it is there before anything else is imported.
"""

from __future__ import annotations

from pathlib import Path

_TEXT = """
import fcntl, os, subprocess, sys, types  # subprocess takes Windows for what has msvcrt

_scandir = os.scandir
LOCKS, USERS = {locks!r}, {users!r}


def locking(file, mode, count):
    try:
        fcntl.flock(file, fcntl.LOCK_UN if mode == 0 else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None


if LOCKS:
    sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_UNLCK=0, LK_NBLCK=2)
sys.modules["fcntl"] = sys.modules["pwd"] = sys.modules["grp"] = None
gone = ["O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "fchmod", "fchown", "pread"]
for name in gone + ([] if USERS else ["geteuid"]):
    delattr(os, name)
os.supports_dir_fd, os.supports_fd = set(), set()


def _is_open(path):
    try:
        found = os.lstat(path)
    except OSError:
        return False
    for entry in _scandir("/proc/self/fd"):
        try:
            if os.path.samestat(found, os.fstat(int(entry.name))):
                return True
        except OSError:
            pass
    return False


def _guarded(stock, is_opening):
    def call(path, *arguments, **keywords):
        if any(k.endswith("dir_fd") and v is not None for k, v in keywords.items()):
            raise NotImplementedError("dir_fd unavailable on this platform")
        if isinstance(path, int) or (is_opening and os.path.isdir(path)):
            raise PermissionError(13, "Permission denied", path)
        if not is_opening and _is_open(path):
            raise PermissionError(13, "used by another process", path)
        return stock(path, *arguments, **keywords)

    return call


os.open = _guarded(os.open, True)
for name in ("unlink", "remove", "rename", "replace"):
    setattr(os, name, _guarded(getattr(os, name), False))
"""


def bare_system(folder: Path, *, locks: bool = True, users: bool = False) -> dict[str, str]:
    """Return the environment of such a process.

    :param folder: where the file is put; made if it is not there.
    :param locks: whether there is ``msvcrt``.
    :param users: whether the system knows users all the same.
    """
    folder.mkdir(exist_ok=True)
    text = _TEXT.format(locks=locks, users=users)
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    return {"PYTHONPATH": str(folder)}
