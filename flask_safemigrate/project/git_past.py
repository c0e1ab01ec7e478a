"""Asks git what became of revision files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from flask_safemigrate.facts.history import Revision
from flask_safemigrate.facts.past import Commit, Origin
from flask_safemigrate.project.git import git
from flask_safemigrate.project.headers import read_header
from flask_safemigrate.project.history import decoded, read_text

_FORMAT = "--format=%x01%H%x00%an%x00%as%x00%s"
_RAW = ("--raw", "--no-abbrev", "-z", "-M")
#: Wherever revisions may have lain: folders are moved and renamed.
_ANYWHERE = ":(top,glob)**/versions/**/*.py"
_NOTHING = "0" * 40
_PATIENCE = 15.0  # seconds that git may take to go through all commits
_SHORT = 9  # characters of a commit's id, as git itself shortens it in a large repository
#: Changes to revision files that are looked at; the newest.
_MOST = 20_000


class Change(NamedTuple):
    """A file that a commit changed; ``commit`` is None for what is not committed.

    :param old: git's name for the text before, "" where there was none.
    :param new: the same for after.
    """

    commit: Commit | None
    old: str
    new: str
    path: str
    new_path: str


class Removal(NamedTuple):
    """The change after which no file has an id any more.

    :param revision: what the file said before.
    :param became: the id that it has since, "" where it is gone.
    """

    change: Change
    revision: Revision
    became: str = ""


class GitPast:
    """The past of the revision files of one project; git is asked when something is asked.

    :param directory: the migrations folder.
    :param folders: the folders of revision files, there or not.
    :ivar gave_up: whether git did not answer something about commits, in time or at all.
    """

    def __init__(self, directory: Path, folders: Sequence[Path]) -> None:
        self._place = next((p for p in (directory, *directory.parents) if p.is_dir()), directory)
        self._folders = [str(folder) for folder in folders]
        self.gave_up = False

    @cached_property
    def _facts(self) -> list[str]:
        asked = ["rev-parse", "--is-shallow-repository", "--show-toplevel"]
        return os.fsdecode(git(self._place, asked) or b"").splitlines()

    @property
    def present(self) -> bool:
        """Whether there is a repository that git reads."""
        return len(self._facts) == 2

    @property
    def shallow(self) -> bool:
        """Whether commits are missing, as in a clone with ``--depth``."""
        return self._facts[:1] == ["true"]

    def _paths(self) -> list[str]:
        top = self._facts[1] if self.present else "/"
        inside = [f for f in self._folders if os.path.realpath(f).startswith(top + os.sep)]
        return ["--", *inside, _ANYWHERE]

    def _changes(self, arguments: Sequence[str]) -> list[Change]:
        output = git(self._place, [*arguments, *_RAW, *self._paths()], timeout=_PATIENCE)
        self.gave_up = self.gave_up or output is None
        return list(_parsed(os.fsdecode(output or b"")))[:_MOST]

    def texts(self, blobs: Sequence[str]) -> Mapping[str, str]:
        """The text of each blob that git has, by its name."""
        asked = "".join(f"{blob}\n" for blob in dict.fromkeys(blobs))
        output = git(self._place, ["cat-file", "--batch"], asked.encode()) if asked else b""
        found: dict[str, str] = {}
        rest = output or b""
        while rest:
            head, _, rest = rest.partition(b"\n")
            words = head.split()
            if len(words) == 3:
                size = int(words[2])
                with contextlib.suppress(UnicodeDecodeError):
                    found[words[0].decode()] = decoded(rest[:size])
                rest = rest[size + 1 :]
        return found

    @cached_property
    def _removed(self) -> Mapping[str, Removal]:
        """By id: the newest change, here and on the way to here, that took it away."""
        if not self.present:
            return {}
        # Merges come last: what a commit before them did is not theirs.
        changes = [
            *self._changes(["diff", "HEAD", "--diff-filter=DRM"]),
            *self._changes(["log", "HEAD", "--diff-filter=DRM", _FORMAT]),
            *self._changes(["log", "HEAD", "--merges", "-m", "--diff-filter=D", _FORMAT]),
        ]
        texts = self.texts([blob for c in changes for blob in (c.old, c.new) if blob])
        found: dict[str, Removal] = {}
        for change in changes:
            before = _revision(texts.get(change.old, ""), change.path)
            if before is None or before.id in found:
                continue
            text = texts.get(change.new, "")
            if (not change.new and change.new_path != change.path) or change.commit is None:
                text = text or read_text(os.path.join(self._facts[1], change.new_path))
            after = _revision(text, change.new_path)
            if after is None or after.id != before.id:
                found[before.id] = Removal(change, before, after.id if after else "")
        return found

    @cached_property
    def _elsewhere(self) -> Mapping[str, Removal]:
        """By id: a commit outside of the present branch that has a file with it."""
        if not self.present:
            return {}
        changes = self._changes(
            [
                "log",
                "--all",
                "--reflog",
                "--full-history",
                "--not",
                "HEAD",
                "--diff-filter=AMR",
                _FORMAT,
            ]
        )
        texts = self.texts([change.new for change in changes if change.new])
        found: dict[str, Removal] = {}
        for change in changes:
            revision = _revision(texts.get(change.new, ""), change.new_path)
            if revision is not None:
                found.setdefault(revision.id, Removal(change, revision))
        return found

    def removed(self, id: str) -> Removal | None:
        """What took the file of a revision away."""
        return self._removed.get(id)

    def elsewhere(self, id: str) -> Removal | None:
        """The commit that has a revision which the present branch never had."""
        return self._elsewhere.get(id)

    def removals(self) -> Mapping[str, Removal]:
        """Every revision that was taken away, by id."""
        return self._removed

    def branches(self, removal: Removal) -> tuple[str, ...]:
        """The branches whose last commit has a file, local ones first."""
        if removal.change.commit is None:
            return ()
        output = git(
            self._place,
            [
                "for-each-ref",
                f"--contains={removal.change.commit.id}",
                "--format=%(refname:short)",
                "refs/heads",
                "refs/remotes",
            ],
        )
        names = os.fsdecode(output or b"").split()
        names = [name for name in names if not name.endswith("/HEAD")]
        asked = "".join(f"{name}:{removal.change.new_path}\n" for name in names)
        answer = git(self._place, ["cat-file", "--batch-check"], asked.encode()) if asked else b""
        lines = os.fsdecode(answer or b"").splitlines()
        return tuple(
            name for name, line in zip(names, lines, strict=False) if line.split()[1:2] == ["blob"]
        )

    @cached_property
    def _remotes(self) -> bool:
        return bool(git(self._place, ["for-each-ref", "--count=1", "refs/remotes"]))

    def origin(self, path: str) -> Origin:
        """What git knows of a file that is there."""
        if not self.present:
            return Origin(tracked=True)
        tracked = bool(git(self._place, ["ls-files", "-z", "--", path]))
        if not tracked:
            return Origin()
        added = self._commit(["log", "HEAD", "-1", "--diff-filter=A", "--follow"], path)
        shared = None
        if self._remotes:
            shared = self._commit(["log", "--remotes", "-1"], path) is not None
        return Origin(added, shared, tracked=True)

    def _commit(self, arguments: Sequence[str], path: str) -> Commit | None:
        output = git(self._place, [*arguments, _FORMAT, "--", path])
        parts = os.fsdecode(output or b"").strip().lstrip("\x01").split("\0")
        return Commit(parts[0][:_SHORT], *parts[1:]) if len(parts) == 4 else None

    def changed_by(self, path: str) -> Commit | None:
        """The commit that changed a file last; None where the change is not committed."""
        if not self.present or git(self._place, ["status", "--porcelain", "-z", "--", path]):
            return None
        return self._commit(["log", "HEAD", "-1"], path)

    def version_of(self, path: str, text: str) -> str:
        """The commit in which a file had this text last, "" where none had."""
        if not self.present:
            return ""
        output = git(self._place, ["log", "HEAD", *_RAW[:3], _FORMAT, "--", path])
        changes = list(_parsed(os.fsdecode(output or b"")))
        texts = self.texts([change.new for change in changes if change.new])
        for change in changes:
            if change.commit is not None and texts.get(change.new) == text:
                return change.commit.id
        return ""


def _revision(text: str, path: str) -> Revision | None:
    return read_header(text, PurePosixPath(path).name).revision if text else None


def _parsed(output: str) -> Iterator[Change]:
    """Read what ``git log`` and ``git diff`` write with ``--raw -z``."""
    fields = output.split("\0")
    commit: Commit | None = None
    place = 0
    while place < len(fields):
        field = fields[place].lstrip("\n")
        if field.startswith("\x01"):
            author, date, subject = fields[place + 1 : place + 4]
            commit = Commit(field[1 : 1 + _SHORT], author, date, subject)
            place += 4
            continue
        if not field.startswith(":"):
            place += 1
            continue
        _, _, old, new, kind = field.split()
        two = kind[0] in "RC"
        path = fields[place + 1]
        new_path = fields[place + 2] if two else path
        blank = {_NOTHING, "0" * len(old)}
        yield Change(
            commit, "" if old in blank else old, "" if new in blank else new, path, new_path
        )
        place += 3 if two else 2
