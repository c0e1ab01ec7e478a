"""Repairs of the revision files and of what a version table says; each can be taken back."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from flask_safemigrate.errors import Refused
from flask_safemigrate.facts.history import History
from flask_safemigrate.facts.past import Lost
from flask_safemigrate.project.headers import read_header
from flask_safemigrate.project.history import encoded
from flask_safemigrate.project.rewrite import with_id, with_parents

_WORD = re.compile(r"\w+")


@dataclass
class Files:
    """Files that are changed one after the other, and the way back.

    Each is there in full, with its old or its new content, whenever the process ends.
    """

    _before: list[tuple[Path, bytes | None]] = field(default_factory=list)

    def write(self, path: Path, content: bytes) -> None:
        """Make a file, or replace it and keep its mode."""
        before = path.read_bytes() if path.exists() else None
        _replace(path, content)
        self._before.append((path, before))

    def remove(self, path: Path) -> None:
        """Delete a file."""
        before = path.read_bytes()
        path.unlink()
        self._before.append((path, before))

    def rename(self, path: Path, to: Path) -> None:
        """Give a file another name."""
        self.write(to, path.read_bytes())
        self.remove(path)

    def take_back(self) -> None:
        """Leave every file as it was before the first change."""
        while self._before:
            path, before = self._before.pop()
            if before is None:
                with suppress(FileNotFoundError):
                    path.unlink()
            else:
                _replace(path, before)


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~mask
        temporary.chmod(mode)
        temporary.replace(path)
        # Python would take what it compiled before for this file, if it is as long and as old.
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def restore(
    files: Files,
    folder: Path,
    lost: Sequence[Lost],
    history: History,
    text_of: Callable[[Lost], str],
) -> str:
    """Write the files of lost revisions back.

    :raises Refused: the text of one cannot be had, or a file of its name is there.
    """
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    for each in lost:
        if each.id in history.by_id:
            continue
        text = text_of(each)
        found = read_header(text, "x.py").revision if text else None
        if found is None or found.id != each.id:
            raise Refused(f"The text of revision '{each.id}' cannot be had any more.")
        path = folder / _name_of(each, found.message)
        if path.exists():
            raise Refused(
                f'"{path.name}" is there and holds something else; it was not replaced.',
                hint=f"move {path.name} elsewhere, then flask db doctor --fix",
            )
        files.write(path, encoded(text))
        written.append(path.name)
    names = ", ".join(f'"{name}"' for name in written[:5])
    more = f" and {len(written) - 5} more" if len(written) > 5 else ""
    return f'Restored {names}{more} in "{folder}".'


def _name_of(lost: Lost, message: str) -> str:
    """The name that the file of a lost revision had, or as Alembic would give it."""
    return Path(lost.path).name if lost.path else _file_name(lost.id, message)


def preview(lost: Lost, text: str) -> str:
    """What a person must have read before a text out of a database is written and run.

    :param text: of the revision, as the journal has it.
    """
    found = read_header(text, "x.py").revision
    lines = "\n".join(f"    {line}" for line in text.splitlines())
    return (
        f'"{_name_of(lost, found.message if found else "")}" is only in the journal of the '
        "database, where whoever can write to it may have written it. This will be written, and "
        f"will run:\n{lines}"
    )


def _file_name(id: str, message: str) -> str:
    """As Alembic names a file unless it is told otherwise."""
    slug = "_".join(_WORD.findall(message or "")).lower()
    if len(slug) > 40:
        slug = slug[:40].rsplit("_", 1)[0] + "_"
    return f"{id}_{slug}.py"


def reparent(files: Files, history: History, id: str, parents: tuple[str, ...]) -> str:
    """Let a revision come after others."""
    path = Path(history.by_id[id].path)
    files.write(path, with_parents(_raw(path), parents).encode())
    after = " and ".join(f"'{parent}'" for parent in parents) or "nothing"
    return f"Revision '{id}' comes after {after} now (down_revision in \"{path.name}\")."


def renumber(
    files: Files, path: Path, parents: tuple[str, ...], taken: Mapping[str, object]
) -> str:
    """Give a copy an id of its own, and its file the name that goes with it."""
    text = _raw(path)
    old = read_header(text, path.name).revision
    if old is None:
        raise Refused(f'"{path.name}" is no revision any more.')
    new = secrets.token_hex(6)
    while new in taken:
        new = secrets.token_hex(6)
    files.write(path, with_parents(with_id(text, new), parents).encode())
    if path.name.startswith(old.id):
        path, before = path.with_name(new + path.name[len(old.id) :]), path
        files.rename(before, path)
    after = " and ".join(f"'{parent}'" for parent in parents) or "nothing"
    return f"The copy is revision '{new}' now, after {after} (\"{path.name}\")."


def delete(files: Files, path: Path, same_as: Path) -> str:
    """Delete a file of which there is another.

    :raises Refused: they are not the same.
    """
    if path.read_bytes() != same_as.read_bytes():
        raise Refused(f'"{path.name}" and "{same_as.name}" are not the same any more.')
    files.remove(path)
    return f'Deleted "{path.name}", of which "{same_as.name}" is the same.'


def _raw(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(f'"{path.name}" is not UTF-8 text; it was not changed.') from None
