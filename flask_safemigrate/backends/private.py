"""Folders and files that only their owner can read.

A process of root may work in a folder of the application's user, who may rename, replace and link
what is in there at any moment. So a folder is opened once, looked at, and from then on nothing in
it is reached by its path: files are made, written, given away and renamed through descriptors.

Windows opens no folders, and knows neither these owners nor modes. There names are used, links are
refused, and whose a folder is is left to the system's own rights.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shlex
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from flask_safemigrate.errors import Refused

FOLDER_NAME = ".safemigrate"
_WRITABLE_BY_OTHERS = 0o022
_OPENS_FOLDERS = (
    os.open in os.supports_dir_fd and hasattr(os, "O_DIRECTORY") and hasattr(os, "O_NOFOLLOW")
)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)  # Windows translates line ends without it


class Folder(NamedTuple):
    """An open folder.

    :param descriptor: None where the system opens no folders.
    """

    path: Path
    descriptor: int | None

    def at(self, name: str) -> str:
        """The name for a call that is told :attr:`descriptor` as its ``dir_fd``."""
        return name if self.descriptor is not None else str(self.path / name)


def user() -> int | None:
    """The number of the user that this process acts as; None on Windows."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def set_mode(file: int, mode: int) -> None:
    """Set the mode of an open file, where the system has modes (:func:`os.fchmod`)."""
    if hasattr(os, "fchmod"):
        os.fchmod(file, mode)


def give(file: int, owner: tuple[int, int] | None) -> None:
    """Give an open file or folder to a user and a group; None changes nothing."""
    if owner is not None:
        os.fchown(file, *owner)


def owner_of(like: Path | None) -> tuple[int, int] | None:
    """The user and group that a database file belongs to, if it is for root to heed that.

    A deploy run by root must not lock out the user that the application runs as; SQLite does
    the same with the journals that root's connections create.
    """
    if like is None:
        return None
    try:
        return as_owned(like.stat())
    except OSError:
        return None


def as_owned(facts: os.stat_result) -> tuple[int, int] | None:
    """The user and group of a file, if this process may give other files to them."""
    return (facts.st_uid, facts.st_gid) if user() == 0 else None


@contextlib.contextmanager
def folder(path: Path, *, like: Path | None = None, parents: bool = False) -> Iterator[Folder]:
    """Open a folder of ours, and make it where it is missing.

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
    with opened(path, like=like) as place:
        owner = owner_of(like)
        if made and place.descriptor is not None:
            give(place.descriptor, owner)
        # In a folder of the user's own, other content is not ours to ignore.
        if made or path.name == FOLDER_NAME:
            with contextlib.suppress(FileExistsError):
                write_new(place, ".gitignore", b"*\n", owner)
        yield place


@contextlib.contextmanager
def inner_folder(
    place: Folder, name: str, *, owner: tuple[int, int] | None = None
) -> Iterator[Folder]:
    """Open a folder in an open folder, without following a link, and make it where it is missing.

    :raises OSError: as :func:`os.mkdir` and :func:`os.open`; it is a link.
    """
    made = False
    with contextlib.suppress(FileExistsError):
        os.mkdir(place.at(name), 0o700, dir_fd=place.descriptor)
        made = True
    with _open(place.path / name, within=place, follow=False) as inner:
        if made and inner.descriptor is not None:
            give(inner.descriptor, owner)
        yield inner


@contextlib.contextmanager
def opened(path: Path, *, like: Path | None = None) -> Iterator[Folder]:
    """Open a folder of ours that is there.

    :raises Refused: somebody else made it, or can write to it.
    :raises OSError: it cannot be opened.
    """
    ours = path.name == FOLDER_NAME
    with contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(_open(path, follow=not ours))
        except OSError:
            if ours and _is_link(path):
                raise _refused(path, "is a symbolic link") from None
            raise
        why = _why_not(place, like, ours=ours)
        if why:
            raise _refused(path, why)
        yield place


@contextlib.contextmanager
def _open(path: Path, *, within: Folder | None = None, follow: bool) -> Iterator[Folder]:
    if not _OPENS_FOLDERS:
        if not follow and _is_link(path):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        os.scandir(path).close()  # raises what opening it would
        yield Folder(path, None)
        return
    flags = os.O_RDONLY | os.O_DIRECTORY | (0 if follow else _NOFOLLOW)
    parent = None if within is None else within.descriptor
    name = str(path) if within is None else within.at(path.name)
    descriptor = os.open(name, flags, dir_fd=parent)
    try:
        yield Folder(path, descriptor)
    finally:
        os.close(descriptor)


def _is_link(path: Path) -> bool:
    # Junctions of Windows; Path.is_junction is there from Python 3.12.
    tag = getattr(path.lstat(), "st_reparse_tag", 0) if os.path.lexists(path) else 0
    return path.is_symlink() or tag == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1)


def _why_not(place: Folder, like: Path | None, *, ours: bool) -> str:
    """Say why what is in an open folder cannot be trusted, "" where it can.

    :param ours: whether its name is ours; another one was chosen by whoever configured it.
    """
    if user() is None:
        return ""
    if place.descriptor is None:
        # What it was found to be may be something else at the next look.
        safe = is_safe_by_name(place.path)
        return "" if safe else "can be changed by others while root works in it"
    found = os.fstat(place.descriptor)
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
            os.fchmod(place.descriptor, stat.S_IMODE(found.st_mode) & ~_WRITABLE_BY_OTHERS)
    elif not ours and found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        why = "can be written to by everybody"
    return why if why and _keeps_owners(place) else ""


def _trusted(like: Path | None) -> set[int]:
    owner = owner_of(like)
    return {0, user() or 0, *((owner[0],) if owner else ())}


def _keeps_owners(place: Folder) -> bool:
    """Whether the file system knows owners and modes; mounts of other systems may not."""
    name = f".tmp-{secrets.token_hex(4)}"
    try:
        file = _new(place, name)
    except OSError:
        return True
    try:
        found = os.fstat(file)
        return found.st_uid == user() and not found.st_mode & 0o077
    finally:
        os.close(file)
        with contextlib.suppress(OSError):
            remove(place, name)


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


def _new(place: Folder, name: str) -> int:
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | _NOFOLLOW | _BINARY
    file = os.open(place.at(name), flags, 0o600, dir_fd=place.descriptor)
    set_mode(file, 0o600)  # whatever the umask
    return file


def create(place: Folder, name: str, owner: tuple[int, int] | None = None) -> int:
    """Create an empty file of mode 0600 in an open folder; returns its descriptor.

    :raises FileExistsError: it is there already, as a link too.
    """
    file = _new(place, name)
    try:
        give(file, owner)
    except BaseException:
        os.close(file)
        raise
    return file


def open_file(place: Folder, name: str, *, write: bool = False) -> int:
    """Open a file of an open folder that is there, without following a link or waiting for a pipe.

    :raises OSError: it cannot be opened, or is a link.
    """
    flags = (os.O_RDWR if write else os.O_RDONLY) | _NOFOLLOW | _NONBLOCK | _BINARY
    before = None if _NOFOLLOW and _NONBLOCK else facts(place, name)
    if before is not None and not stat.S_ISREG(before.st_mode):
        raise OSError(f"{name} is no regular file")
    file = os.open(place.at(name), flags, dir_fd=place.descriptor)
    if before is not None and not os.path.samestat(before, os.fstat(file)):
        os.close(file)
        raise OSError(f"another process put something else in the place of {name}")
    return file


def names(place: Folder) -> list[str]:
    """Return the names of what is in an open folder."""
    return os.listdir(place.path if place.descriptor is None else place.descriptor)


def facts(place: Folder, name: str) -> os.stat_result:
    """Return what the system says of something in an open folder, of a link itself."""
    return os.stat(place.at(name), dir_fd=place.descriptor, follow_symlinks=False)


def remove(place: Folder, name: str) -> None:
    """Remove a file from an open folder."""
    os.unlink(place.at(name), dir_fd=place.descriptor)


def rename(place: Folder, file: int, name: str, new: str) -> None:
    """Give an open file of an open folder another name, in the place of what has that name.

    The file is closed: Windows renames none that is open.

    :raises OSError: the name was not the file's any more; somebody else changes the folder.
    """
    if place.descriptor is None:
        os.close(file)
        os.replace(place.at(name), place.at(new))
        return
    try:
        os.replace(name, new, src_dir_fd=place.descriptor, dst_dir_fd=place.descriptor)
        if not os.path.samestat(facts(place, new), os.fstat(file)):
            with contextlib.suppress(OSError):
                remove(place, new)
            raise OSError(f"another process put something else in the place of {name}")
    finally:
        os.close(file)


def write_new(
    place: Folder, name: str, content: bytes, owner: tuple[int, int] | None = None
) -> None:
    """Write a file of mode 0600 that is not there yet, as :func:`create`."""
    with os.fdopen(create(place, name, owner), "wb") as file:
        file.write(content)


def write(place: Folder, name: str, content: bytes, owner: tuple[int, int] | None = None) -> None:
    """Write a file of mode 0600 so that others see the old content or the new, never a part."""
    temporary = f".tmp-{secrets.token_hex(4)}-{name}"
    try:
        file = create(place, temporary, owner)
        try:
            with os.fdopen(file, "wb", closefd=False) as sink:
                sink.write(content)
            os.fsync(file)
        except BaseException:
            os.close(file)
            raise
        rename(place, file, temporary, name)
    except BaseException:
        with contextlib.suppress(OSError):
            remove(place, temporary)
        raise


def write_json(
    place: Folder,
    name: str,
    content: Mapping[str, object],
    owner: tuple[int, int] | None = None,
) -> None:
    """Write a mapping as JSON, as :func:`write` does."""
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    write(place, name, text.encode(), owner)


def read(place: Folder, name: str, *, at_most: int = 1 << 20) -> tuple[bytes, os.stat_result]:
    """Read a regular file of an open folder, and what the system says about it.

    :raises OSError: it cannot be read, or is no regular file.
    """
    with os.fdopen(open_file(place, name), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{name} is no regular file")
        return file.read(at_most), found


def is_safe_by_name(path: Path) -> bool:
    """Whether nobody but this user can change what the path of a folder leads to.

    Programs and libraries that write files want a path.
    """
    if user() != 0:
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
    """Force the entries of a folder to disk (fsync(2)), where the system can."""
    if _OPENS_FOLDERS:
        with _open(path, follow=True) as place:
            assert place.descriptor is not None
            os.fsync(place.descriptor)
