"""The system's locks of open files, which end with the process that holds them.

filelock, portable as it is, opens the lock file itself and by its path: it cannot be told a folder
that is open already, so who may change that folder would lead root elsewhere; nor does it share a
lock, as those do who read one snapshot.
"""

from __future__ import annotations

import errno
import importlib
from types import ModuleType


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_fcntl = _module("fcntl")
_msvcrt = _module("msvcrt")  # Windows


def lock(file: int) -> None:
    """Lock an open file for this process alone, or fail at once.

    :raises BlockingIOError: somebody else has it locked.
    :raises OSError: the system or the file's disk knows no locks.
    """
    if _fcntl is not None:
        _fcntl.flock(file, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    elif _msvcrt is not None:
        try:
            _msvcrt.locking(file, _msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(error.errno, error.strerror) from error
    else:
        raise OSError(errno.ENOSYS, "this system has no locks of files")


def share(file: int) -> None:
    """Lock an open file against :func:`lock` by others, or fail at once.

    Windows needs none: it removes no file that is open.

    :raises BlockingIOError: somebody else has it locked alone.
    :raises OSError: the system or the file's disk knows no locks.
    """
    if _fcntl is not None:
        _fcntl.flock(file, _fcntl.LOCK_SH | _fcntl.LOCK_NB)
    elif _msvcrt is None:
        raise OSError(errno.ENOSYS, "this system has no locks of files")


def unlock(file: int) -> None:
    """Give up what :func:`lock` locked."""
    if _fcntl is not None:
        _fcntl.flock(file, _fcntl.LOCK_UN)
    elif _msvcrt is not None:
        _msvcrt.locking(file, _msvcrt.LK_UNLCK, 1)
