"""Facts that were read: the project, its history and its databases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from flask_safemigrate.checkout import Checkout
from flask_safemigrate.condition import Condition
from flask_safemigrate.evidence import Evidence
from flask_safemigrate.findings import Finding
from flask_safemigrate.provenance import Provenance

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


class Revision(NamedTuple):
    """The header of one revision file, read without running it.

    :param id: revision id.
    :param parents: ids in ``down_revision``.
    :param depends_on: ids or labels in ``depends_on``.
    :param labels: branch labels.
    :param message: first line of the docstring.
    :param created: text of ``Create Date:``, "" where the file has none.
    :param path: the file.
    :param tables: tables that its ``op`` calls name, as far as they are literals.
    :param phase: ``before`` the new code is live or ``after``, as ``safemigrate_phase`` says.
    :param revises: what its docstring says after ``Revises:``, as Alembic's template writes it.
    """

    id: str
    parents: tuple[str, ...]
    depends_on: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    message: str = ""
    created: str = ""
    path: str = ""
    tables: tuple[str, ...] = ()
    phase: str = "before"
    revises: tuple[str, ...] = ()


class BrokenFile(NamedTuple):
    """A file in ``versions/`` that is no readable revision.

    A file whose header could be read is in :attr:`History.revisions` too.

    :param problem: ``syntax``, ``merge marker``, ``no revision``, ``not literal`` (the header is
        computed, not written down) or ``unreadable``.
    :param line: 1 is the first; None where it cannot be told.
    :param id: the revision id that it seems to have, "" where it cannot be told.
    """

    path: str
    problem: str
    message: str
    line: int | None = None
    id: str = ""


@dataclass(frozen=True)
class History:
    """Every revision file of the project."""

    revisions: tuple[Revision, ...] = ()
    broken: tuple[BrokenFile, ...] = ()

    @cached_property
    def by_id(self) -> Mapping[str, Revision]:
        """The first revision of each id."""
        found: dict[str, Revision] = {}
        for revision in self.revisions:
            found.setdefault(revision.id, revision)
        return found

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """Ids that no other revision names as its parent, in file order."""
        parents = {p for r in self.revisions for p in r.parents}
        return tuple(dict.fromkeys(r.id for r in self.revisions if r.id not in parents))

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """The revision that carries each branch label."""
        return {label: r.id for r in self.revisions for label in r.labels}

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """Ids of the revisions that name each id as their parent, in file order."""
        found: dict[str, list[str]] = {}
        for revision in self.by_id.values():
            for parent in revision.parents:
                found.setdefault(parent, []).append(revision.id)
        return {parent: tuple(ids) for parent, ids in found.items()}

    def depends(self, revision: Revision) -> tuple[str, ...]:
        """Ids in ``depends_on``, branch labels resolved."""
        return tuple(self.labels.get(d, d) for d in revision.depends_on)

    def needs(self, revision: Revision) -> tuple[str, ...]:
        """Ids that must be applied before this revision: parents and dependencies."""
        if not revision.depends_on:
            return revision.parents
        return tuple(dict.fromkeys((*revision.parents, *self.depends(revision))))

    def tips(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Those of these revisions that none of the others needs, in file order."""
        chosen = set(ids)
        needed = {n for i in chosen for n in self.needs(self.by_id[i])}
        return tuple(i for i in self.by_id if i in chosen and i not in needed)

    def since_fork(self, heads: tuple[str, ...]) -> frozenset[str]:
        """What only some of several heads have behind them, themselves included."""
        behind = [self.ancestors((head,)) for head in heads]
        return frozenset().union(*behind) - frozenset.intersection(*behind)

    def descendants(self, id: str) -> frozenset[str]:
        """This revision and all that come after it."""
        seen: set[str] = set()
        todo = [id]
        while todo:
            current = todo.pop()
            if current not in seen:
                seen.add(current)
                todo.extend(self.children.get(current, ()))
        return frozenset(seen)

    @cached_property
    def _behind(self) -> dict[tuple[str, ...], frozenset[str]]:
        return {}

    def ancestors(self, ids: tuple[str, ...]) -> frozenset[str]:
        """These revisions and all that they need; unknown ids are left out."""
        if ids not in self._behind:
            self._behind[ids] = self._walk_back(ids)
        return self._behind[ids]

    def _walk_back(self, ids: tuple[str, ...]) -> frozenset[str]:
        seen: set[str] = set()
        todo = [i for i in ids if i in self.by_id]
        while todo:
            current = todo.pop()
            if current in seen:
                continue
            seen.add(current)
            todo.extend(i for i in self.needs(self.by_id[current]) if i in self.by_id)
        return frozenset(seen)


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
    :param condition: what the doctor asked besides; empty where nobody did.
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
    condition: Condition = Condition()

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


class GitFacts(NamedTuple):
    """What git says about the migrations folder; all empty outside a repository.

    :param ignored: revision files or folders that git ignores.
    :param untracked: revision files that git does not track (and does not ignore).
    :param ignored_by: the rule that ignores the first of them, as ``file:line: pattern``.
    """

    present: bool = False
    ignored: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    ignored_by: str = ""


class Reference(NamedTuple):
    """A column of a model that is a foreign key."""

    table: str
    column: str
    other: str
    referred: str


class ProjectState(NamedTuple):
    """The project as it was found.

    :param directory: the migrations folder, absolute.
    :param env_problem: why ``env.py`` cannot be used, "" where it can.
    :param multidb: whether ``env.py`` migrates every bind.
    :param models: tables that the models define, per bind key; empty if that was not read.
    :param own_metadata: whether ``env.py`` takes the models from elsewhere than Flask-SQLAlchemy.
    :param hidden: tables of the databases that the filters of autogenerate keep from it, per bind
        key; None where ``env.py`` has filters that were not asked.
    :param config_problems: pairs of (kind, message) about the configuration:
        ``no url``, ``driver``, ``dialect``, ``async``, ``url``.
    :param ini_problem: why ``alembic.ini`` cannot be read, "" where it can.
    :param locations: the folders that hold revision files, absolute.
    :param configure_keywords: keywords that ``env.py`` itself passes to ``context.configure``,
        ``**`` where it passes a mapping too.
    :param version_table: the version table that ``env.py`` names, None where it names none.
    :param per_revision: whether ``transaction_per_migration`` is asked for, as far as is known.
    :param env_role: the role that ``env.py`` takes by ``SET ROLE``, "" for none.
    :param tenants: whether ``env.py`` migrates several schemas of one database in a loop.
    :param create_all: where the application calls ``create_all()``, as ``app.py:12``; empty if
        nobody looked.
    :param references: foreign keys of the models, per bind key; empty if that was not read.
    """

    app: str
    directory: str
    directory_exists: bool = True
    versions_exists: bool = True
    ini_exists: bool = True
    env_exists: bool = True
    env_problem: str = ""
    env_problem_line: int | None = None
    is_async: bool = False
    multidb: bool = False
    models: Mapping[str, tuple[str, ...]] = {}
    own_metadata: bool = False
    hidden: Mapping[str, tuple[str, ...]] | None = {}
    config_problems: tuple[tuple[str, str], ...] = ()
    git: GitFacts = GitFacts()
    ini_problem: str = ""
    locations: tuple[str, ...] = ()
    configure_keywords: frozenset[str] = frozenset()
    version_table: str | None = None
    per_revision: bool = False
    env_role: str = ""
    tenants: bool = False
    create_all: tuple[str, ...] = ()
    checkout: Checkout = Checkout()
    references: Mapping[str, tuple[Reference, ...]] = {}


class Ignored(NamedTuple):
    """A code that the settings keep quiet.

    :param code: code, name or family, as the setting writes it.
    :param reason: why, "" where the setting does not say.
    :param findings: how many findings it kept quiet.
    """

    code: str
    reason: str = ""
    findings: int = 0


class State(NamedTuple):
    """All that was read, the input of every check and plan.

    :param checksums: SHA-256 of the file of each revision, by revision id.
    :param evidence: what the comparison of schemas says, by bind key; empty where none was made.
    :param ignored: what ``SAFEMIGRATE_IGNORE`` did; empty until the other checks have run.
    :param provenance: what became of lost files, and where others came from.
    :param hazards: what was judged of the pending revisions; empty where nobody asked.
    """

    project: ProjectState
    history: History = History()
    databases: tuple[DatabaseState, ...] = ()
    checksums: Mapping[str, str] = {}
    evidence: Mapping[str, Evidence] = {}
    ignored: tuple[Ignored, ...] = ()
    provenance: Provenance = Provenance()
    hazards: tuple[Finding, ...] = ()
