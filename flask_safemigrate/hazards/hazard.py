"""A hazard, and the question to the rows that decides it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from flask_safemigrate.findings import Severity
from flask_safemigrate.hazards.known import Known, KnownTable
from flask_safemigrate.hazards.operations import Operation, Place

_FORMS = re.compile(r"\{([\w ]+)\|([\w ]+)\}")  # of one, of several


class Probe(NamedTuple):
    """A question to the rows that are there.

    :param amount: a query of one number.
    :param keys: a query of one text a row, at most five, that shows which rows; "" for none.
    :param mend: the statement that mends them, "" where a person must decide.
    """

    amount: str
    keys: str = ""
    mend: str = ""


class Hazard(NamedTuple):
    """What an operation would lock, lose, break or fail on.

    :param message: a sentence; ``{count}`` stands for the answer of the probe, ``{row|rows}`` for
        the word that fits it.
    :param cure: the corrected code or the command.
    :param probe: where it is given, it is a hazard only if the answer is not 0.
    :param unknown: how bad it is where the probe cannot be asked; None for no hazard then.
    :param object: what a waiver names, such as ``account.old``.
    :param rows: how many rows the table has, None where nobody knows.
    :param trial: a text that the server is asked to read and not to run; where it is given, it is
        a hazard only if the server refuses it, and ``{error}`` stands for what it says.
    """

    code: str
    severity: Severity
    place: Place
    message: str
    cure: str = ""
    object: str = ""
    probe: Probe | None = None
    unknown: Severity | None = Severity.INFO
    rows: int | None = None
    trial: str = ""

    def told(self, count: int | None, error: str = "") -> str:
        """The message with the answers of the probe, None where there is none, and the trial."""
        number = "an unknown number of" if count is None else f"{count:,}"
        text = _FORMS.sub(lambda forms: forms[1 if count == 1 else 2], self.message)
        return text.replace("{count}", number).replace("{error}", error)


class Context(NamedTuple):
    """What decides beside the operations.

    :param version: of the server, (0,) where it is unknown.
    :param many: from how many rows on a table counts as large.
    :param each: whether every revision has a transaction of its own.
    :param time_zone: of the session, "" where it is unknown.
    """

    dialect: str
    version: tuple[int, ...] = (0,)
    many: int = 10_000
    each: bool = False
    time_zone: str = ""


#: How many times smaller than a large table one is of whose locks nothing is said at all.
_TINY = 100


class Judge:
    """The database at the moment of an operation, and what is found.

    :ivar known: what came before has happened in it.
    """

    def __init__(self, known: Known, context: Context) -> None:
        self.known = known
        self.context = context
        self.found: list[Hazard] = []
        self.tried: set[tuple[int | None, str]] = set()
        self._quotes = '""' if context.dialect in ("postgresql", "sqlite") else "``"

    def quote(self, name: str) -> str:
        """A name as it stands in a statement, its schema apart."""
        mark = self._quotes[0]
        return ".".join(f"{mark}{part.replace(mark, mark * 2)}{mark}" for part in name.split("."))

    def quoted(self, names: Iterable[str]) -> str:
        """Names of a list in a statement."""
        return ", ".join(map(self.quote, names))

    def is_old(self, name: str) -> bool:
        """Whether a table was there before this run."""
        table = self.known.tables.get(name)
        return table is None or not table.new

    def is_large(self, table: KnownTable) -> bool:
        """Whether work on every row takes long; unknown is taken for yes."""
        return not table.new and (table.rows is None or table.rows >= self.context.many)

    def by_size(self, table: KnownTable) -> Severity:
        """How bad it is to keep others from a table while all its rows are worked on."""
        return Severity.WARNING if self.is_large(table) else Severity.INFO

    def rows(self, table: KnownTable) -> str:
        """The number of rows in words."""
        if table.rows is None:
            return "its rows"
        return f"its {table.rows:,} rows" if table.rows != 1 else "its one row"

    def can_ask(self, table: KnownTable, columns: Iterable[str] = ()) -> bool:
        """Whether the rows are today as the operation will find them."""
        return (
            not table.new
            and not table.written
            and not table.added.intersection(columns)
            and all(column in table.columns for column in columns)
        )

    def add(
        self,
        code: str,
        severity: Severity,
        op: Operation,
        message: str,
        cure: str = "",
        object: str = "",
        probe: Probe | None = None,
        unknown: Severity | None = Severity.INFO,
        trial: str = "",
    ) -> None:
        """Note a hazard, once a line and object."""
        table = self.known.tables.get(getattr(op, "table", "") or object.partition(".")[0])
        rows = table.rows if table is not None else None
        waits = severity is Severity.INFO and code.startswith("SM61") and probe is None
        if waits and rows is not None and rows * _TINY < self.context.many:
            return
        hazard = Hazard(
            code, severity, op.place, message, cure, object, probe, unknown, rows, trial
        )
        if not any(
            h.code == code
            and h.place[:3] == hazard.place[:3]
            and h.object == object
            and (h.message, h.trial) == (message, trial)
            for h in self.found
        ):
            self.found.append(hazard)


def listed(names: Iterable[str]) -> str:
    """``'a', 'b' and 'c'``."""
    every = [f"'{name}'" for name in names]
    return " and ".join(part for part in (", ".join(every[:-1]), *every[-1:]) if part)


Rule = Callable[[Judge, Operation], None]
