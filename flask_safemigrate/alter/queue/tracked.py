"""What became of the tables of the real database while changes are queued."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.ddl import questions
from flask_safemigrate.ddl.create_table import ConstraintKind, CreateTable, read_create_table
from flask_safemigrate.ddl.rebuild import Lineage
from flask_safemigrate.ddl.shape import TableShape
from flask_safemigrate.ddl.tokens import same_name, significant, tokenize

#: Constraints whose introduction has to be proven on the rows.
RULES: tuple[ConstraintKind, ...] = ("CHECK", "FOREIGN KEY", "UNIQUE", "PRIMARY KEY")


@dataclass
class TrackedColumn:
    """A column as it is now.

    :ivar origin: its name in the real table, None for a new one.
    :ivar fill: what rows get that exist when it is added; see :class:`Lineage`.
    :ivar real: its name in the real table once the native statements of the queue have run, None
        where they do not make it.
    :ivar not_null_by: what made it NOT NULL.
    :ivar not_null_as: the names of table and column then.
    :ivar typed_by: what changed its type.
    :ivar cast: as of :class:`Lineage`.
    :ivar added_by: what added it.
    :ivar default_by: what changed its default.
    """

    name: str
    origin: str | None
    fill: str | None = None
    constant: bool = True
    real: str | None = None
    not_null_by: Origin | None = None
    typed_by: Origin | None = None
    not_null_as: tuple[str, str] | None = None
    added_by: Origin | None = None
    default_by: Origin | None = None
    cast: bool = False

    def set_not_null(self, origin: Origin, table: str) -> None:
        """Note what made the column NOT NULL, and what both were called then."""
        self.not_null_by = origin
        self.not_null_as = table, self.name

    def set_type(self, origin: Origin) -> None:
        """Note what changed the type."""
        self.typed_by = origin

    def set_cast(self, cast: bool) -> None:
        """Note what the change of the affinity means for text and bytes."""
        self.cast = cast

    def set_default(self, origin: Origin) -> None:
        """Note what changed the default."""
        self.default_by = origin

    def rename(self, new: str, *, real: bool) -> None:
        """Give it another name.

        :param real: whether the real table has it by that name too.
        """
        self.name = new
        self.real = new if real else None

    @property
    def lineage(self) -> Lineage:
        return Lineage(self.name, self.origin, self.fill, self.constant, self.cast)


@dataclass
class TrackedTable:
    """A table that changes.

    :ivar origin: its name in the real database, None for one that is not there yet.
    :ivar before: the real table, None for one that is not there yet.
    :ivar rules: for each kind of constraint, in the order of the text: what made it, None for
        those that the real table has.
    :ivar forced: what demands a copy.
    :ivar forbidden: what forbids a copy.
    :ivar pending: whether its text changes in a way that SQLite has no statement for.
    :ivar ghosts: columns that the real table still has after the native statements of the queue,
        though they are dropped.
    """

    name: str
    origin: str | None
    before: TableShape | None
    columns: list[TrackedColumn]
    rules: dict[ConstraintKind, list[Origin | None]] = field(default_factory=dict)
    forced: Origin | None = None
    forbidden: Origin | None = None
    origins: list[Origin] = field(default_factory=list)
    pending: bool = False
    ghosts: list[str] = field(default_factory=list)

    def column(self, name: str) -> TrackedColumn | None:
        return next((each for each in self.columns if same_name(each.name, name)), None)

    @property
    def lineage(self) -> tuple[Lineage, ...]:
        return tuple(each.lineage for each in self.columns)

    @property
    def real_lineage(self) -> tuple[Lineage, ...]:
        """The same, as the real table is after the native statements of the queue."""
        return tuple(each.lineage._replace(origin=each.real) for each in self.columns)

    def force(self, origin: Origin) -> None:
        """Demand a copy."""
        self.forced = origin

    def forbid(self, origin: Origin) -> None:
        """Forbid a copy."""
        self.forbidden = origin

    def insert(self, place: int, column: TrackedColumn) -> None:
        """Take a new column in."""
        self.columns.insert(place, column)

    def leave(self, name: str) -> None:
        """Let the real table keep a column that is dropped here, as far as it has it."""
        column = self.column(name)
        if column is not None and column.real is not None:
            self.ghosts.append(column.real)

    def remove(self, name: str) -> None:
        """Forget a column that is dropped."""
        self.columns = [each for each in self.columns if not same_name(each.name, name)]

    def sort(self, order: Sequence[str]) -> None:
        """Put the columns in another order."""
        self.columns.sort(key=lambda each: order.index(each.name))

    def set_primary_key(self, origin: Origin) -> None:
        """Note what made the primary key."""
        self.rules["PRIMARY KEY"] = [origin]

    def note(self, origin: Origin) -> None:
        """Remember who touched the table."""
        if origin not in self.origins:
            self.origins.append(origin)

    def realign(self, before: str, after: str, origin: Origin) -> None:
        """Follow the constraints from one text to the next; new ones come from ``origin``."""
        one, other = read_create_table(before), read_create_table(after)
        for kind in RULES:
            old, new = _texts(one, kind), _texts(other, kind)
            known = self.rules.get(kind) or [None] * len(old)
            self.rules[kind] = _aligned(old, new, known, origin)


def _texts(table: CreateTable, kind: ConstraintKind) -> list[str]:
    found = []
    for constraint in questions.constraints_of_kind(table, kind):
        words = [token.text for token in significant(tokenize(constraint.span.of(table.sql)))]
        found.append(f"{constraint.column or ''} {' '.join(words)}")
    return found


def _aligned(
    old: Sequence[str], new: Sequence[str], known: Sequence[Origin | None], origin: Origin
) -> list[Origin | None]:
    if len(old) == len(new):
        return list(known)
    result: list[Origin | None] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, first, last, start, end in matcher.get_opcodes():
        if tag == "equal" or (tag == "replace" and last - first == end - start):
            result += known[first:last]
        else:
            result += [origin] * (end - start)
    return result
