"""What revisions do, one record an operation, the same for every dialect."""

from __future__ import annotations

from typing import NamedTuple

from flask_safemigrate.facts.schema import Check, Column, ForeignKey, Index


class Place(NamedTuple):
    """Where an operation stands.

    :param file: the revision file, absolute.
    :param line: the line of the revision file that asks for it, 1 is the first; None where no
        line of it does.
    :param statement: the SQL, on one line.
    :param outside: whether it runs outside of the transaction that the revisions share.
    :param down: whether it belongs to ``downgrade()``.
    :param sql: the text as it is sent, "" for an operation that no text stands for.
    """

    revision: str
    file: str
    line: int | None
    statement: str = ""
    outside: bool = False
    down: bool = False
    sql: str = ""


class Named(NamedTuple):
    """A column that an operation makes or changes.

    :param type: as the dialect spells it in DDL.
    :param default: the text after ``DEFAULT``, None where there is none.
    :param generated: the expression of a computed column, "" for any other.
    :param stored: whether a computed column is stored.
    :param counts: whether it numbers rows by itself.
    """

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    generated: str = ""
    stored: bool = False
    counts: bool = False

    def as_column(self) -> Column:
        """The column as a catalogue would tell it."""
        return Column(
            self.name, self.type, self.nullable, self.default, self.generated, self.counts
        )


class CreateTable(NamedTuple):
    """``CREATE TABLE``.

    :param filled: whether it takes rows along (``AS SELECT``).
    :param partition_of: the table that it becomes a part of, "" for none.
    """

    place: Place
    table: str
    columns: tuple[Named, ...] = ()
    primary_key: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    filled: bool = False
    if_not_exists: bool = False
    partition_of: str = ""


class DropTable(NamedTuple):
    """``DROP TABLE``."""

    place: Place
    table: str
    cascade: bool = False
    if_exists: bool = False


class RenameTable(NamedTuple):
    """A table gets another name."""

    place: Place
    table: str
    new: str


class AddColumn(NamedTuple):
    """A table gets a column."""

    place: Place
    table: str
    column: Named
    check: str = ""
    if_not_exists: bool = False


class DropColumn(NamedTuple):
    """A column goes."""

    place: Place
    table: str
    column: str
    cascade: bool = False
    if_exists: bool = False


class RenameColumn(NamedTuple):
    """A column gets another name."""

    place: Place
    table: str
    column: str
    new: str


class SetType(NamedTuple):
    """A column gets another type.

    :param using: the expression after ``USING``, "" for none.
    :param collation: "" for the default one.
    """

    place: Place
    table: str
    column: str
    type: str
    using: str = ""
    collation: str = ""


class SetNull(NamedTuple):
    """A column takes NULL from now on, or no longer does."""

    place: Place
    table: str
    column: str
    nullable: bool


class SetDefault(NamedTuple):
    """A column gets a default, or loses it (None)."""

    place: Place
    table: str
    column: str
    default: str | None


class ModifyColumn(NamedTuple):
    """``MODIFY`` or ``CHANGE`` of MariaDB and MySQL: the whole column is defined anew.

    :param old: what the column was called before.
    :param first: whether its place among the columns changes.
    """

    place: Place
    table: str
    old: str
    column: Named
    moved: bool = False


class CreateIndex(NamedTuple):
    """An index is made.

    :param kind: such as ``FULLTEXT``, "" for an ordinary one.
    """

    place: Place
    table: str
    made: Index
    concurrently: bool = False
    kind: str = ""
    if_not_exists: bool = False


class DropIndex(NamedTuple):
    """An index goes.

    :param table: "" where the statement does not name it.
    """

    place: Place
    table: str
    name: str
    concurrently: bool = False
    if_exists: bool = False


class AddKey(NamedTuple):
    """A PRIMARY KEY, UNIQUE or EXCLUDE constraint is added.

    :param kind: ``primary key``, ``unique`` or ``exclude``.
    :param by_index: the index that it takes over, "" where one is built.
    """

    place: Place
    table: str
    kind: str
    name: str
    columns: tuple[str, ...]
    by_index: str = ""


class AddForeignKey(NamedTuple):
    """A foreign key is added."""

    place: Place
    table: str
    key: ForeignKey
    not_valid: bool = False


class AddCheck(NamedTuple):
    """A CHECK is added."""

    place: Place
    table: str
    name: str
    expression: str
    not_valid: bool = False


class DropConstraint(NamedTuple):
    """A constraint goes.

    :param name: None where the revision names none.
    :param kind: ``foreign key``, ``unique``, ``check``, ``primary key``, or "" where the
        statement does not say.
    """

    place: Place
    table: str
    name: str | None
    kind: str = ""
    cascade: bool = False
    if_exists: bool = False


class Validate(NamedTuple):
    """``VALIDATE CONSTRAINT``."""

    place: Place
    table: str
    name: str


class CreateEnum(NamedTuple):
    """An ENUM type of PostgreSQL is made."""

    place: Place
    name: str
    labels: tuple[str, ...] = ()


class DropType(NamedTuple):
    """A type of PostgreSQL goes."""

    place: Place
    name: str
    cascade: bool = False
    if_exists: bool = False


class AddLabel(NamedTuple):
    """An ENUM type of PostgreSQL gets a value."""

    place: Place
    type: str
    label: str
    if_not_exists: bool = False


class RenameLabel(NamedTuple):
    """A value of an ENUM type is called otherwise."""

    place: Place
    type: str
    label: str
    new: str


class Write(NamedTuple):
    """Rows are written.

    :param verb: ``INSERT``, ``UPDATE``, ``DELETE`` or ``TRUNCATE``.
    :param table: the table whose rows change.
    :param where: the condition as text, "" for none.
    :param bound: whether values from outside of the text bound the condition, as in batches.
    :param columns: columns that are written.
    :param reads: tables that it takes rows from.
    :param cascade: whether tables that refer to it are emptied too.
    :param limit: whether a LIMIT bounds it.
    :param constants: columns that get the same value in every row.
    :param times: how often the revision runs it.
    :param replaces: whether a row of the same key is deleted first.
    """

    place: Place
    verb: str
    table: str
    where: str = ""
    bound: bool = False
    columns: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    cascade: bool = False
    limit: bool = False
    constants: tuple[str, ...] = ()
    times: int = 1
    replaces: bool = False


class Rebuild(NamedTuple):
    """A table is written anew by a statement of its own, such as ``VACUUM FULL`` or ``CLUSTER``.

    :param what: the command, such as ``VACUUM FULL``.
    :param blocks: ``reads`` or ``writes``, "" where it keeps nobody out.
    :param rewrites: whether every row is written.
    :param alone: whether it cannot run inside a transaction.
    """

    place: Place
    table: str
    what: str
    blocks: str = "reads"
    rewrites: bool = True
    alone: bool = False


class LockTable(NamedTuple):
    """A lock is taken by a statement of its own.

    :param blocks: ``reads`` or ``writes``.
    """

    place: Place
    table: str
    mode: str
    blocks: str


class Quick(NamedTuple):
    """A change of the catalogue that takes a lock on a table for a moment.

    :param blocks: ``reads`` or ``writes``, "" where it keeps nobody out.
    """

    place: Place
    table: str
    what: str
    blocks: str = "reads"


class RenameOther(NamedTuple):
    """An index, a constraint or a type gets another name.

    :param kind: ``index``, ``constraint`` or ``type``.
    :param table: "" where the statement does not name it.
    """

    place: Place
    kind: str
    table: str
    name: str
    new: str


class DropOther(NamedTuple):
    """A view, sequence, function or the like goes.

    :param kind: such as ``view``.
    """

    place: Place
    kind: str
    name: str
    cascade: bool = False


class CreateOther(NamedTuple):
    """A type other than an ENUM, a function, a temporary table, or an extension.

    :param kind: such as ``domain`` or ``extension``.
    """

    place: Place
    kind: str
    name: str


class CreateView(NamedTuple):
    """A view is made; ``text`` is what it selects."""

    place: Place
    name: str
    text: str


class LookedUp(NamedTuple):
    """``SET CONSTRAINTS ... IMMEDIATE``: what waits for the end of the transaction is done."""

    place: Place


class Alone(NamedTuple):
    """A statement that cannot run inside a transaction, such as ``CREATE DATABASE``."""

    place: Place
    what: str


class StockCopy(NamedTuple):
    """A batch block for which Alembic itself puts a copy in the place of an SQLite table."""

    place: Place
    table: str


class StockFails(NamedTuple):
    """An operation outside of a batch block that Alembic itself cannot do on SQLite."""

    place: Place
    table: str
    what: str


class Unseen(NamedTuple):
    """What could not be read, or depends on what could not be known.

    :param why: a sentence.
    :param refused: since which version the server's own parser, which refused it, is right about
        servers; (0,) where the parser is not the server's own.
    """

    place: Place
    why: str
    refused: tuple[int, ...] = (0,)


class Raised(NamedTuple):
    """The revision raised an error while it was recorded.

    :param error: its class and message.
    :param sure: whether it does not depend on the rows of the database.
    """

    place: Place
    error: str
    sure: bool = False


Operation = (
    CreateTable
    | DropTable
    | RenameTable
    | AddColumn
    | DropColumn
    | RenameColumn
    | SetType
    | SetNull
    | SetDefault
    | ModifyColumn
    | CreateIndex
    | DropIndex
    | AddKey
    | AddForeignKey
    | AddCheck
    | DropConstraint
    | Validate
    | CreateEnum
    | DropType
    | AddLabel
    | RenameLabel
    | Write
    | Rebuild
    | LockTable
    | Quick
    | RenameOther
    | DropOther
    | CreateOther
    | CreateView
    | LookedUp
    | Alone
    | StockCopy
    | StockFails
    | Unseen
    | Raised
)


class Recorded(NamedTuple):
    """What one revision does.

    :param upgrade: in order.
    :param downgrade: in order; empty where it does nothing.
    :param asks: whether it asks the database before it does something.
    """

    revision: str
    file: str
    upgrade: tuple[Operation, ...]
    downgrade: tuple[Operation, ...] = ()
    asks: bool = False
