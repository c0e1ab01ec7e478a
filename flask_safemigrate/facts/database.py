"""A database as it was found."""

from __future__ import annotations

from typing import NamedTuple

from flask_safemigrate.facts.examination import Examination

#: Why a database could not be read; every backend uses these words.
UNREACHABLE_KINDS = (
    "server down",
    "host unknown",
    "wrong password",
    "missing database",
    "missing privilege",
    "missing folder",
    "missing file",
    "not a database",
    "read-only",
    "locked",
    "too many connections",
    "starting",
    "damaged",
    "replica",
    "too old",
    "own table",
    "misconfigured",
    "missing package",
    "tls",
    "half restored",
    "half emptied",
    "unknown",
)


#: Those that only a person ends, by running the command again that did not finish.
UNFINISHED_KINDS = ("half restored", "half emptied")


class Table(NamedTuple):
    """A table of a database.

    :param rows: row count; an estimate where ``exact`` is false; None where unknown.
    """

    name: str
    rows: int | None = None
    exact: bool = True


class InvalidIndex(NamedTuple):
    """An index that the server keeps up to date but does not use, for its building failed.

    :param name: as it stands in a statement, with its schema.
    :param definition: the statement that would build it again.
    """

    name: str
    table: str
    definition: str


class JournalRow(NamedTuple):
    """One line of the journal that our commands keep in the database.

    :param kind: ``revision``, ``half-applied``, ``deploy`` or ``hook``.
    :param subject: revision id, or name of the hook.
    :param started: UTC, ISO 8601.
    :param finished: UTC, ISO 8601; "" while it has not finished.
    :param checksum: SHA-256 of the revision file as it ran, hexadecimal.
    :param kept: whether the journal has the text of that file.
    :param stays: what of a half applied revision is committed, a statement each.
    """

    kind: str
    subject: str
    direction: str
    started: str
    finished: str
    checksum: str = ""
    environment: str = ""
    host: str = ""
    kept: bool = False
    stays: tuple[str, ...] = ()


class ProgressRow(NamedTuple):
    """A statement of a revision that was begun and is not finished (MariaDB and MySQL).

    :param position: its number in the revision, from 0.
    :param kind: ``held`` or ``commits`` where it changes something, ``beside`` where it was said
        on another connection and may have.
    :param state: ``begun``, ``done``, or ``failed`` where the revision went on after an error.
    :param started: UTC, ISO 8601.
    """

    revision: str
    direction: str
    position: int
    kind: str
    state: str
    statement: str
    started: str
    host: str = ""

    @property
    def changes(self) -> bool:
        """Whether it may have changed something for good."""
        changing = self.kind in ("held", "commits", "beside")
        return changing and self.state in ("done", "begun")


class Unreachable(NamedTuple):
    """Why a database could not be read.

    :param kind: one of :data:`UNREACHABLE_KINDS`.
    """

    kind: str
    message: str
    hint: str


class DatabaseState(NamedTuple):
    """One database as it was found.

    :param bind: bind key, "" for the default database.
    :param dialect: ``sqlite``, ``postgresql``, ``mysql`` or ``mariadb``.
    :param location: resolved path, or ``host:port/name``; never a password.
    :param name: what a person types to confirm a reset: the file's or the database's name.
    :param exists: whether there is a database at all (an SQLite file may not be there yet).
    :param size: bytes, None where unknown.
    :param server: version of the server or the SQLite library.
    :param tables: every table but version tables and the journal.
    :param views: names of views and of tables that are elsewhere, which a model may map.
    :param version_rows: content of the version table, None where there is no such table.
    :param leftovers: tables that a failed batch migration left (``_alembic_tmp_*``).
    :param journal: lines of the journal, oldest first.
    :param configured: the path as the application wrote it, where that is a relative one.
    :param invalid_indexes: those of PostgreSQL.
    :param progress: what a revision that is half applied has done, in order.
    :param refuses: why nothing should be written here, ``read-only`` or ``replica``.
    :param left_behind: ``journal`` or ``log``, which a process that died left beside an SQLite
        file, before it was read.
    :param other_versions: version tables of other histories: those whose only column is
        ``version_num``.
    :param named: those of its tables that a revision file names, where the version is not
        written down; None where nobody looked.
    :param examination: what the doctor asked besides; empty where nobody did.
    """

    bind: str
    dialect: str
    location: str
    name: str
    exists: bool = True
    read_only: bool = False
    size: int | None = None
    server: str = ""
    tables: tuple[Table, ...] = ()
    version_table: str = "alembic_version"
    version_rows: tuple[str, ...] | None = None
    leftovers: tuple[Table, ...] = ()
    journal: tuple[JournalRow, ...] = ()
    configured: str = ""
    unreachable: Unreachable | None = None
    invalid_indexes: tuple[InvalidIndex, ...] = ()
    progress: tuple[ProgressRow, ...] = ()
    refuses: Unreachable | None = None
    left_behind: str = ""
    views: tuple[str, ...] = ()
    other_versions: tuple[str, ...] = ()
    named: frozenset[str] | None = None
    examination: Examination = Examination()

    @property
    def label(self) -> str:
        """How messages name it: its name, with the bind key where there is one."""
        return f"{self.name} (bind {self.bind})" if self.bind else self.name

    @property
    def environment(self) -> str:
        """The environment that was written down last, "" where none was."""
        return self.environments[-1] if self.environments else ""

    @property
    def environments(self) -> tuple[str, ...]:
        """Every environment that was ever written down, the last one last."""
        return tuple(row.environment for row in self.journal if row.environment)
