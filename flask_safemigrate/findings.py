"""What a check found."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

#: Codes of what takes rows or values away: who upgrades is told, however few they are.
LOSSES = ("SM630", "SM631", "SM632", "SM633", "SM634", "SM635")


class Severity(IntEnum):
    """How bad a finding is; larger is worse."""

    INFO = 10
    WARNING = 20
    ERROR = 30

    @property
    def word(self) -> str:
        """The name used in every output, in lower case."""
        return self.name.lower()


#: The step whose text comes out of a database, where others may have written it.
FROM_JOURNAL = "restore from journal"


class Step(NamedTuple):
    """One thing that a repair does.

    :param verb: one of those that ``repairs.steps.VERBS`` has.
    :param names: what it is about: ids for ``restore`` and ``restore from journal``; an id and its
        new parents (``reparent``); a path, a new id and parents (``renumber``); a path and that of
        the same content (``delete``); a path (``move``); revisions (``stamp``,
        ``remove version``, ``finish``); a table that holds the data of another and the statements
        of its indexes (``recover``); a table, name and columns (``index``); an index and a
        statement (``mend index``); a table, type or sequence.
    """

    verb: str
    names: tuple[str, ...] = ()


class Finding(NamedTuple):
    """One thing that is wrong.

    :param code: stable code, such as ``SM301``.
    :param severity: how bad it is.
    :param message: what is wrong and why, names quoted.
    :param where: the file, database or object that it is about.
    :param hint: the exact command or code that helps.
    :param bind: bind key of the database it is about; "" is the default database,
        None means that it is about the project and not one database.
    :param blocks: whether ``safe-upgrade`` and ``deploy`` must not start.
    :param repair: what ``doctor --fix`` does about it, in words; None where a person must act.
    :param subject: the exact name that a repair works on (a table, a revision id, a path).
    :param file: the source file that it is about, absolute; "" where it is about none.
    :param line: line of that file, 1 is the first; None where it is about no single one.
    :param steps: what the repair does, in order.
    """

    code: str
    severity: Severity
    message: str
    where: str
    hint: str
    bind: str | None = None
    blocks: bool = False
    repair: str | None = None
    subject: str = ""
    file: str = ""
    line: int | None = None
    steps: tuple[Step, ...] = ()

    @property
    def from_journal(self) -> bool:
        """Whether its repair writes text of a database where it will be run as code."""
        return any(step.verb == FROM_JOURNAL for step in self.steps)


class Waiver(NamedTuple):
    """What lets hazards stand.

    :param code: code, name of a check, or family.
    :param object: the object or table that it is about, "" for every one.
    :param source: who says so: ``--allow``, ``SAFEMIGRATE_ALLOW`` or a revision.
    :param path: the file of the revision that alone it is about, "" for every revision.
    """

    code: str
    object: str = ""
    reason: str = ""
    source: str = ""
    path: str = ""

    def __str__(self) -> str:
        return f"{self.code}:{self.object}" if self.object else self.code


class Waived(NamedTuple):
    """A finding that stands, and what lets it."""

    finding: Finding
    waiver: Waiver
