"""Where revision files came from, and where lost ones went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Commit(NamedTuple):
    """A commit as a person knows it.

    :param id: the short form of its hash.
    :param date: ISO 8601, the day.
    """

    id: str
    author: str
    date: str
    subject: str


#: What may have become of a file, as git tells it. "" where git knows nothing.
FATES = (
    "uncommitted",  # the last commit has it, the working tree does not
    "deleted",  # a commit before the present one deleted it
    "renumbered",  # a commit gave it another revision id
    "elsewhere",  # only commits that are not part of the present branch have it
)


class Lost(NamedTuple):
    """A revision that a database or a file names and no file has.

    :param parents: what comes before it, as its lost file says; None where nobody has its text.
    :param fate: one of :data:`FATES`, or "".
    :param commit: the commit that took it away, or that has it (``elsewhere``).
    :param path: where git has it, relative to the repository.
    :param blob: git's name for its text.
    :param branches: the branches that have it, where it is ``elsewhere``.
    :param became: the id that the file has now, where it is ``renumbered``.
    :param kept: whether the journal of a database has its text, with the checksum that ran.
    :param spoiled: whether the journal has a text of another checksum instead.
    :param bytecode: what Python compiled from it, still beside the other files; "" for none.
    :param other_path: a file with this id outside of the folder of revisions, "" for none.
    """

    id: str
    parents: tuple[str, ...] | None = None
    message: str = ""
    fate: str = ""
    commit: Commit | None = None
    path: str = ""
    blob: str = ""
    branches: tuple[str, ...] = ()
    became: str = ""
    kept: bool = False
    spoiled: bool = False
    bytecode: str = ""
    other_path: str = ""

    @property
    def in_git(self) -> bool:
        """Whether git has its text as a part of this history."""
        return self.fate in ("uncommitted", "deleted")

    @property
    def restorable(self) -> bool:
        """Whether its text can be had, and nothing says that it should be elsewhere."""
        return self.kept or self.in_git


class Origin(NamedTuple):
    """What git knows of a file that is there.

    :param added: the commit that brought it, None where it is not committed.
    :param shared: whether a branch of a remote has it; None where there is no remote.
    :param tracked: whether git knows the file at all.
    """

    added: Commit | None = None
    shared: bool | None = None
    tracked: bool = False

    @property
    def private(self) -> bool:
        """Whether it is certain that nobody else has it."""
        return self.shared is False or not self.tracked


class Edit(NamedTuple):
    """How a revision file differs from what ran.

    :param lines: the difference as ``diff -u`` shows it, without its head.
    :param harmless: whether nothing but comments, docstrings, blanks or the order of imports
        differ.
    :param commit: the commit that changed it last, None where the change is not committed.
    :param before: what ``git checkout`` takes to bring the text back that ran, "" where git does
        not have it.
    """

    lines: tuple[str, ...] = ()
    commit: Commit | None = None
    before: str = ""
    harmless: bool = False


class Past(NamedTuple):
    """What was found out about files; only what a finding needs is looked for.

    :param git: whether there is a repository; None where nobody asked.
    :param shallow: whether its history is cut off.
    :param gave_up: whether git did not answer what it was asked about its commits.
    :param lost: by revision id.
    :param origins: by path.
    :param edits: by revision id.
    :param same: pairs of paths whose content is the same.
    """

    git: bool | None = None
    shallow: bool = False
    gave_up: bool = False
    lost: Mapping[str, Lost] = {}
    origins: Mapping[str, Origin] = {}
    edits: Mapping[str, Edit] = {}
    same: frozenset[tuple[str, str]] = frozenset()
