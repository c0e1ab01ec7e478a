"""What a thorough look at a database finds besides its tables and its version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Orphans:
    """Rows whose foreign key points nowhere.

    :param columns: of the key, as far as they are known.
    :param count: how many rows.
    :param rowids: the first of them; empty where the table has no rowid.
    """

    table: str
    columns: tuple[str, ...]
    parent: str
    count: int
    rowids: tuple[int, ...] = ()


class Mismatch(NamedTuple):
    """A foreign key whose parent columns are no unique key, so that SQLite refuses every write.

    :param referred: the parent's columns, () where the key names none.
    :param gone: whether there is no such parent at all.
    """

    table: str
    parent: str
    columns: tuple[str, ...] = ()
    referred: tuple[str, ...] = ()
    gone: bool = False


class Unusable(NamedTuple):
    """A table or view of SQLite for which it compiles no statement of a kind.

    :param kind: ``table`` or ``view``.
    :param column: whose definition is at fault, "" where that cannot be told.
    :param verb: ``SELECT``, ``INSERT``, ``UPDATE`` or ``DELETE``.
    :param reason: what SQLite says.
    :param lacks: the function, collation or module that there is not.
    """

    kind: str
    name: str
    column: str
    verb: str
    reason: str
    lacks: str


class TextDefault(NamedTuple):
    """A Boolean column of SQLite whose DEFAULT is a text that is no number.

    :param default: as it is written.
    :param rows: how many rows have a text in the column.
    """

    table: str
    column: str
    default: str
    rows: int


class Idle(NamedTuple):
    """A session that has a transaction open, does nothing, and keeps tables locked.

    :param id: of the session on the server.
    :param who: user, program and host, in words.
    :param seconds: how long it has been idle; None where that is not told.
    :param query: the last thing it did, "" where that is not told.
    :param tables: that it has locked, as far as that is known.
    """

    id: int
    who: str
    seconds: int | None
    query: str = ""
    tables: tuple[str, ...] = ()


class UnusedType(NamedTuple):
    """An ENUM type that no column, function or domain uses.

    :param name: as it stands in a statement, with its schema.
    :param plain: its name alone.
    """

    name: str
    plain: str


class OtherVersionTable(NamedTuple):
    """A version table in another schema than the one that is used.

    :param rows: what it holds; None where it may not be read.
    :param visible: whether its schema is in the search path.
    """

    schema: str
    rows: tuple[str, ...] | None
    visible: bool


class LateSequence(NamedTuple):
    """A sequence whose next value is in its column already.

    :param name: as it stands in a statement.
    :param place: the table as it stands in a statement.
    :param next: the value that it gives next.
    :param highest: the highest value of the column.
    """

    name: str
    table: str
    place: str
    column: str
    next: int
    highest: int


class Lacking(NamedTuple):
    """Something that a migration does and this user may not.

    :param what: goes on after "may not".
    :param hint: the statement that allows it, for an administrator.
    :param table: the table that it is about, "" where it is about the database.
    """

    what: str
    hint: str
    table: str = ""


class Storage(NamedTuple):
    """How MariaDB or MySQL keeps a table.

    :param texts: (column, character set, collation) of every column that has them.
    """

    table: str
    engine: str
    collation: str
    texts: tuple[tuple[str, str, str], ...] = ()


class Examination(NamedTuple):
    """What the doctor alone asks of a database; empty where nobody asked.

    :param damage: what SQLite's integrity check says.
    :param unreadable: tables that cannot be read from the first row to the last.
    :param orphans: rows that break a foreign key of SQLite.
    :param mismatches: foreign keys of SQLite that cannot be enforced.
    :param no_snapshot: why no snapshot could be taken and put back here, and what helps.
    :param unusable: tables and views of SQLite that cannot be read or written.
    :param text_defaults: Boolean columns of SQLite whose default is a text.
    :param enforces: whether the application's connections enforce foreign keys on SQLite.
    :param file_system: the name of the network file system that an SQLite file is on.
    :param user: as the server knows it, "" for SQLite.
    :param lacking: what this user may not do.
    :param idle: sessions that would be in a migration's way.
    :param version_tables: those that are not used.
    :param unused_types: of PostgreSQL.
    :param late_sequences: of PostgreSQL.
    :param storage: of MariaDB and MySQL, every table.
    :param collation: the database's own there, that new tables get.
    :param sql_mode: of the application's connections there; None where nobody asked.
    """

    damage: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    orphans: tuple[Orphans, ...] = ()
    mismatches: tuple[Mismatch, ...] = ()
    unusable: tuple[Unusable, ...] = ()
    text_defaults: tuple[TextDefault, ...] = ()
    enforces: bool | None = None
    file_system: str = ""
    user: str = ""
    lacking: tuple[Lacking, ...] = ()
    idle: tuple[Idle, ...] = ()
    version_tables: tuple[OtherVersionTable, ...] = ()
    unused_types: tuple[UnusedType, ...] = ()
    late_sequences: tuple[LateSequence, ...] = ()
    storage: tuple[Storage, ...] = ()
    collation: str = ""
    sql_mode: str | None = None
    no_snapshot: tuple[str, str] | None = None
