"""The changes that a migration asks for, as plain data; text in them is SQL of SQLite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple


class _Keep:
    def __repr__(self) -> str:
        return "KEEP"


#: The default of a column stays as it is.
KEEP: Final = _Keep()

ConstraintType = Literal["check", "unique", "foreignkey", "primary"]


class Origin(NamedTuple):
    """Where a change comes from, for messages.

    :ivar revision: revision id, None where no revision runs.
    :ivar operation: the call, as the author would recognise it: ``add_column("t", "c")``.
    """

    revision: str | None
    operation: str

    def __str__(self) -> str:
        if self.revision is None:
            return self.operation
        return f'revision "{self.revision}", {self.operation}'


class CreateTable(NamedTuple):
    table: str
    sql: str
    if_not_exists: bool = False


class DropTable(NamedTuple):
    table: str
    if_exists: bool = False


class RenameTable(NamedTuple):
    table: str
    new: str


class Fill(NamedTuple):
    """What rows that exist get in a new column, instead of its DEFAULT.

    :ivar sql: a literal, or an expression over the columns of the table.
    :ivar constant: whether it is a literal.
    """

    sql: str
    constant: bool


class AddColumn(NamedTuple):
    """
    :ivar definition: as inside CREATE TABLE, name included.
    :ivar fill: None where rows get what the definition says.
    """

    table: str
    column: str
    definition: str
    before: str | None = None
    after: str | None = None
    if_not_exists: bool = False
    fill: Fill | None = None


class DropColumn(NamedTuple):
    table: str
    column: str
    if_exists: bool = False


class AlterColumn(NamedTuple):
    """
    :ivar cast: the type is another kind of value, so that text becomes bytes, and bytes text.
    :ivar default: text after ``DEFAULT``, None to have none.
    :ivar collation: set together with a type that names one; None leaves it.
    """

    table: str
    column: str
    type: str | None = None
    collation: str | None = None
    nullable: bool | None = None
    default: str | _Keep | None = KEEP
    new_name: str | None = None
    cast: bool = False


class AddConstraint(NamedTuple):
    """
    :ivar sql: the table constraint, ``CONSTRAINT name`` included.
    :ivar restates: leave it away where the table has the same one already.
    :ivar retyped: the column whose new type demands it, in place of what the old type demanded.
    :ivar type_name: that type's own name, which the constraint may have too.
    :ivar replaces: take away the one of that name first, and the primary key for another.
    """

    table: str
    kind: ConstraintType
    sql: str
    name: str | None = None
    columns: tuple[str, ...] = ()
    restates: bool = False
    retyped: str | None = None
    type_name: str | None = None
    replaces: bool = False


class Known(NamedTuple):
    """A constraint whose name is known from elsewhere.

    :ivar expression: of a CHECK.
    """

    name: str
    kind: ConstraintType
    columns: tuple[str, ...]
    expression: str | None = None


class NameConstraints(NamedTuple):
    """Name the constraints that have no name, as far as there is one for them.

    :ivar convention: a naming convention, as SQLAlchemy has it.
    """

    table: str
    convention: dict[str, Any]
    known: tuple[Known, ...] = ()


class DropConstraint(NamedTuple):
    """
    :ivar names: the name as given and as the naming convention completes it.
    :ivar kind: None where the author did not say.
    :ivar conventions: naming conventions, best first, that may give an unnamed one this name.
    :ivar columns: columns known otherwise, for an unnamed one.
    :ivar expression: CHECK: its text, known otherwise.
    :ivar implied: of a Boolean or Enum type; no error where there is none.
    :ivar guess: whether it may be one that the database has under another name or none.
    """

    table: str
    kind: ConstraintType | None
    names: tuple[str, ...]
    columns: tuple[str, ...] | None = None
    expression: str | None = None
    if_exists: bool = False
    implied: bool = False
    conventions: tuple[dict[str, str], ...] = ()
    guess: bool = True


@dataclass(frozen=True)
class CreateIndex:
    """
    :ivar restates: whether one that is there and says the same will do.
    :ivar replaces: whether one of that name gives way.
    """

    table: str
    index: str
    sql: str
    if_not_exists: bool = False
    restates: bool = False
    replaces: bool = False


@dataclass(frozen=True)
class DropIndex:
    index: str
    table: str | None = None
    if_exists: bool = False


class Reorder(NamedTuple):
    """
    :ivar groups: names that shall stand in this order, each group for itself.
    """

    table: str
    groups: tuple[tuple[str, ...], ...]


class SetOptions(NamedTuple):
    table: str
    autoincrement: bool | None = None
    without_rowid: bool | None = None
    strict: bool | None = None


class Recreate(NamedTuple):
    """The author demands a new copy of the table (``recreate="always"``)."""

    table: str


Change = (
    CreateTable
    | DropTable
    | RenameTable
    | AddColumn
    | DropColumn
    | AlterColumn
    | AddConstraint
    | DropConstraint
    | NameConstraints
    | CreateIndex
    | DropIndex
    | Reorder
    | SetOptions
    | Recreate
)
