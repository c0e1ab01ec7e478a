"""The revision files of a project, as their headers describe them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from flask_safemigrate.findings import Waiver


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
    :param tables_by_bind: the same by bind key, where there is a function for each bind.
    :param phase: ``before`` the new code is live or ``after``, as ``safemigrate_phase`` says.
    :param waivers: what its ``safemigrate_allow`` says.
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
    tables_by_bind: tuple[tuple[str, tuple[str, ...]], ...] = ()
    waivers: tuple[Waiver, ...] = ()

    def of_bind(self, bind: str) -> Revision:
        """The revision with the tables that it touches there."""
        if not self.tables_by_bind:
            return self
        return self._replace(tables=dict(self.tables_by_bind).get(bind, ()))


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
