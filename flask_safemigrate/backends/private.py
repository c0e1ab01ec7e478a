"""Folders and files that only their owner can read."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

FOLDER_NAME = ".safemigrate"


def _hand_over(path: Path, like: Path) -> None:
    # A deploy run by root must not lock out the user that the application runs as; SQLite does
    # the same with the journals that root's connections create.
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def make_folder(folder: Path, *, like: Path | None = None, parents: bool = False) -> None:
    """Create a folder that only its owner may enter and that git ignores; keep one that exists.

    :param like: whose owner becomes the folder's owner when root creates it; the parent folder
        unless given.
    :param parents: create missing parent folders too.
    :raises OSError: as :meth:`pathlib.Path.mkdir`.
    """
    if parents:
        folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
        if folder.name != FOLDER_NAME:
            return  # a folder of the user's own: its other content is not ours to ignore
    else:
        _hand_over(folder, like or folder.parent)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        write(ignore, b"*\n")


def create(path: Path) -> None:
    """Create an empty file with mode 0600, whatever the umask, owned as its folder is.

    :raises FileExistsError: it is there already.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    _hand_over(path, path.parent)


def write(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 so that others see the old content or the new, never a part."""
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    try:
        create(temporary)
        temporary.write_bytes(content)
        sync(temporary)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write a mapping as JSON, as :func:`write` does."""
    write(path, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())


def sync(path: Path) -> None:
    """Force a file, or the entries of a folder, to disk (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
