"""Reading files of a project, which may be anything that a name can lead to."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_file(path: str | Path) -> bytes:
    """Return what a file holds.

    :raises OSError: it cannot be read, or is no regular file: a pipe would never answer, a device
        never end.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def read_text_file(path: str | Path, *, errors: str = "strict") -> str:
    """Return the text of a file in UTF-8, with or without a mark, line ends as ``\\n``.

    :raises OSError: as :func:`read_file`.
    :raises UnicodeDecodeError: it is no UTF-8.
    """
    text = read_file(path).decode("utf-8-sig", errors)
    return text.replace("\r\n", "\n").replace("\r", "\n")
