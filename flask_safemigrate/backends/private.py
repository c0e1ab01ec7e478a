"""Folders and files that only their owner can read.

A process of root may work in a folder of the application's user, who may rename, replace and link
what is in there at any moment. So a folder is opened once, looked at, and from then on nothing in
it is reached by its path: files are made, written, given away and renamed through descriptors.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from flask_safemigrate.errors import Refused

FOLDER_NAME = ".safemigrate"
_WRITABLE_BY_OTHERS = 0o022


def owner_of(like: Path | None) -> tuple[int, int] | None:
    """The user and group that a database file belongs to, if it is for root to heed that.

    A deploy run by root must not lock out the user that the application runs as; SQLite does
    the same with the journals that root's connections create.
    """
    if like is None or os.geteuid() != 0:
        return None
    try:
        found = like.stat()
    except OSError:
        return None
    return found.st_uid, found.st_gid


@contextlib.contextmanager
def folder(path: Path, *, like: Path | None = None, parents: bool = False) -> Iterator[int]:
    """Open a folder of ours, and make it where it is missing; yields its descriptor.

    A new one can be entered by its owner only, and git ignores it.

    :param like: the database's file, whose owner becomes the folder's owner when root creates it.
    :param parents: create missing parent folders too.
    :raises Refused: somebody else made it, or can write to it.
    :raises OSError: as :func:`os.mkdir` and :func:`os.open`.
    """
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
    made = False
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
        made = True
    with opened(path, like=like) as descriptor:
        owner = owner_of(like)
        if made and owner is not None:
            os.fchown(descriptor, *owner)
        # In a folder of the user's own, other content is not ours to ignore.
        if made or path.name == FOLDER_NAME:
            with contextlib.suppress(FileExistsError):
                write_new(descriptor, ".gitignore", b"*\n", owner)
        yield descriptor


@contextlib.contextmanager
def opened(path: Path, *, like: Path | None = None) -> Iterator[int]:
    """Open a folder of ours that is there.

    :raises Refused: somebody else made it, or can write to it.
    :raises OSError: it cannot be opened.
    """
    ours = path.name == FOLDER_NAME
    flags = os.O_RDONLY | os.O_DIRECTORY | (os.O_NOFOLLOW if ours else 0)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        if ours and path.is_symlink():
            raise _refused(path, "is a symbolic link") from None
        raise
    try:
        why = _why_not(descriptor, like, ours=ours)
        if why:
            raise _refused(path, why)
        yield descriptor
    finally:
        os.close(descriptor)


def _why_not(descriptor: int, like: Path | None, *, ours: bool) -> str:
    """Say why what is in an open folder cannot be trusted, "" where it can.

    :param ours: whether its name is ours; another one was chosen by whoever configured it.
    """
    found = os.fstat(descriptor)
    why = ""
    if ours and found.st_uid not in _trusted(like):
        why = f"belongs to user {found.st_uid}, who is neither this process' user nor the owner "
        why += "of the database"
    elif ours and found.st_mode & stat.S_IWOTH:
        why = "can be written to by everybody"
    elif ours and found.st_mode & stat.S_IWGRP:
        # Volumes of containers are opened to a group when they are mounted. Whose each file is
        # is looked at besides.
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & ~_WRITABLE_BY_OTHERS)
    elif not ours and found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        why = "can be written to by everybody"
    return why if why and _keeps_owners(descriptor) else ""


def _trusted(like: Path | None) -> set[int]:
    owner = owner_of(like)
    return {0, os.geteuid(), *((owner[0],) if owner else ())}


def _keeps_owners(descriptor: int) -> bool:
    """Whether the file system knows owners and modes; mounts of other systems may not."""
    name = f".tmp-{secrets.token_hex(4)}"
    try:
        file = _new(descriptor, name)
    except OSError:
        return True
    try:
        found = os.fstat(file)
        return found.st_uid == os.geteuid() and not found.st_mode & 0o077
    finally:
        os.close(file)
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=descriptor)


def _refused(path: Path, why: str) -> Refused:
    quoted = shlex.quote(str(path))
    return Refused(
        f'Folder "{path}" {why}, so what is in it cannot be trusted and nothing is put there.',
        hint=f"ls -ld {quoted}; then remove it, or, if what is in it is yours: "
        f"chown -R $(id -u) {quoted}; chmod -R go-w {quoted}",
    )


def is_ours(file: os.stat_result, like: Path | None) -> bool:
    """Whether a file in a folder of ours was put there by us or by the database's owner."""
    return stat.S_ISREG(file.st_mode) and file.st_uid in _trusted(like)


def _new(descriptor: int, name: str) -> int:
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW
    file = os.open(name, flags, 0o600, dir_fd=descriptor)
    os.fchmod(file, 0o600)  # whatever the umask
    return file


def create(descriptor: int, name: str, owner: tuple[int, int] | None = None) -> int:
    """Create an empty file of mode 0600 in an open folder; returns its descriptor.

    :raises FileExistsError: it is there already, as a link too.
    """
    file = _new(descriptor, name)
    try:
        if owner is not None:
            os.fchown(file, *owner)
    except BaseException:
        os.close(file)
        raise
    return file


def rename(descriptor: int, file: int, name: str, new: str) -> None:
    """Give an open file of an open folder another name, in the place of what has that name.

    :raises OSError: the name was not the file's any more; somebody else changes the folder.
    """
    os.replace(name, new, src_dir_fd=descriptor, dst_dir_fd=descriptor)
    found = os.stat(new, dir_fd=descriptor, follow_symlinks=False)
    if not os.path.samestat(found, os.fstat(file)):
        with contextlib.suppress(OSError):
            os.unlink(new, dir_fd=descriptor)
        raise OSError(f"another process put something else in the place of {name}")


def write_new(
    descriptor: int, name: str, content: bytes, owner: tuple[int, int] | None = None
) -> None:
    """Write a file of mode 0600 that is not there yet, as :func:`create`."""
    with os.fdopen(create(descriptor, name, owner), "wb") as file:
        file.write(content)


def write(
    descriptor: int, name: str, content: bytes, owner: tuple[int, int] | None = None
) -> None:
    """Write a file of mode 0600 so that others see the old content or the new, never a part."""
    temporary = f".tmp-{secrets.token_hex(4)}-{name}"
    try:
        with os.fdopen(create(descriptor, temporary, owner), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            rename(descriptor, file.fileno(), temporary, name)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=descriptor)
        raise


def write_json(
    descriptor: int,
    name: str,
    content: Mapping[str, object],
    owner: tuple[int, int] | None = None,
) -> None:
    """Write a mapping as JSON, as :func:`write` does."""
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    write(descriptor, name, text.encode(), owner)


def read(descriptor: int, name: str, *, at_most: int = 1 << 20) -> tuple[bytes, os.stat_result]:
    """Read a regular file of an open folder, and what the system says about it.

    :raises OSError: it cannot be read, or is no regular file.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with os.fdopen(os.open(name, flags, dir_fd=descriptor), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{name} is no regular file")
        return file.read(at_most), found


def is_safe_by_name(path: Path) -> bool:
    """Whether nobody but this user can change what the path of a folder leads to.

    Programs and libraries that write files want a path.
    """
    user = os.geteuid()
    if user != 0:
        return True  # what others may do to this user's files, they may do without us
    for each in (path, *path.parents):
        try:
            found = each.lstat()
        except OSError:
            return False
        open_to_others = found.st_mode & _WRITABLE_BY_OTHERS and not found.st_mode & stat.S_ISVTX
        if stat.S_ISLNK(found.st_mode) or found.st_uid != 0 or open_to_others:
            return False
    return True


def sync(path: Path) -> None:
    """Force a file, or the entries of a folder, to disk (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
