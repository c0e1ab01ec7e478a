"""Finding out where revision files came from and went, where a finding needs it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import sqlalchemy as sa
import sqlalchemy.exc

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.past import Edit, Lost, Past
from flask_safemigrate.facts.state import State
from flask_safemigrate.names import JOURNAL
from flask_safemigrate.project.calls import sources
from flask_safemigrate.project.git_past import GitPast, Removal
from flask_safemigrate.project.headers import read_header
from flask_safemigrate.project.history import checksum, is_text_of, read_text, same_code

_MOST_LINES = 12  # of a difference in a finding
_MOST_LOST = 2000  # revisions that are looked for
#: Ids of which a file's name can be made: none that leads into another folder.
_PLAIN_ID = re.compile(r"\w[\w.+=~-]*")


@dataclass(frozen=True)
class Inquiry:
    """What is asked about the past of one project.

    :param folder: the migrations folder.
    """

    folder: Path
    locations: tuple[str, ...]
    targets: Mapping[str, Target]

    @cached_property
    def past(self) -> GitPast:
        """What git knows."""
        return GitPast(self.folder, [Path(place) for place in self.locations])

    def answer(self, state: State, *, thorough: bool) -> Past:
        """Find out what the findings about this state need, nothing where there are none.

        :param thorough: also who made the heads, and how an applied file was changed.
        """
        found = Past()
        lost = lost_ids(state)
        heads = state.history.heads if len(state.history.heads) > 1 else ()
        twins = _twins(state)
        edited = _edited(state) if thorough else ()
        if not (lost or twins or edited or (heads and thorough)):
            return found
        found = found._replace(
            git=self.past.present, shallow=self.past.present and self.past.shallow
        )
        paths = [path for several in twins for path in several]
        if thorough:
            paths += _since_fork(state, heads)
        lost_now = self._lost(state, lost)
        return found._replace(
            gave_up=self.past.gave_up,
            lost=lost_now,
            origins={path: self.past.origin(path) for path in dict.fromkeys(paths)},
            edits={id: self._edit(state, id) for id in edited},
            same=frozenset(
                (one, two)
                for one, *others in twins
                for two in others
                if checksum(one) == checksum(two)
            ),
        )

    def _lost(self, state: State, ids: Iterable[str]) -> Mapping[str, Lost]:
        """What is lost, and what was lost along with it before."""
        found: dict[str, Lost] = {}
        waiting = list(ids)
        while waiting and len(found) < _MOST_LOST:
            id = waiting.pop()
            if id in found or id in state.history.by_id or id in state.history.labels:
                continue
            found[id] = self._one(state, id)
            waiting.extend(found[id].parents or ())
        return found

    def _one(self, state: State, id: str) -> Lost:
        kept = any(row.kept and row.subject == id for d in state.databases for row in d.journal)
        text = self.kept_text(id, state.databases) if kept else ""
        found = Lost(
            id,
            kept=bool(text),
            spoiled=kept and not text,
            bytecode=self._bytecode(id),
            other_path=self._other_files.get(id, ""),
        )
        removal = self.past.removed(id)
        if removal is not None:
            change, revision = removal.change, removal.revision
            fate = "renumbered" if removal.became else "deleted"
            if change.commit is None and not removal.became:
                fate = "uncommitted"
            return found._replace(
                parents=(*revision.parents, *revision.depends_on),
                message=revision.message,
                fate=fate,
                commit=change.commit,
                path=change.path,
                blob=change.old,
                became=removal.became,
            )
        if text:
            header = read_header(text, f"{id}.py").revision
            if header is not None:
                needs = (*header.parents, *header.depends_on)
                found = found._replace(parents=needs, message=header.message)
        other = self.past.elsewhere(id)
        return found if other is None else self._elsewhere(found, other)

    def _elsewhere(self, found: Lost, other: Removal) -> Lost:
        revision = other.revision
        return found._replace(
            parents=(*revision.parents, *revision.depends_on),
            message=revision.message,
            fate="elsewhere",
            commit=other.change.commit,
            path=other.change.new_path,
            blob=other.change.new,
            branches=self.past.branches(other),
        )

    def _bytecode(self, id: str) -> str:
        for place in self.locations:
            for path in Path(place, "__pycache__").glob("*.pyc"):
                if id in path.name:
                    return str(path)
        return ""

    @cached_property
    def _other_files(self) -> Mapping[str, str]:
        """Revision files that lie where Alembic does not look."""
        found: dict[str, str] = {}
        known = {Path(place) for place in self.locations}
        for path in sources(self.folder.parent):
            near = path.parent.name == "versions" or self.folder in path.parents
            if near and path.parent not in known and path.name != "env.py":
                text = read_text(str(path))
                revision = read_header(text, str(path)).revision if text else None
                if revision is not None:
                    found.setdefault(revision.id, str(path))
        return found

    def kept_text(self, id: str, databases: Iterable[DatabaseState]) -> str:
        """The text of a revision that ran, as the journal of a database has it; "" for none."""
        if not _PLAIN_ID.fullmatch(id):
            return ""
        for database in databases:
            if any(row.kept and row.subject == id for row in database.journal):
                text = self._from_journal(self.targets[database.bind], id)
                if text:
                    return text
        return ""

    def _from_journal(self, target: Target, id: str) -> str:
        columns = ("id", "kind", "subject", "direction", "checksum", "source")
        table = sa.table(JOURNAL, *map(sa.column, columns))
        ran = sa.select(table.c.checksum).where(
            table.c.kind == "revision", table.c.subject == id, table.c.direction == "upgrade"
        )
        # The same text is kept once, however often it ran.
        text = sa.select(table.c.source).where(table.c.subject == id, table.c.source.is_not(None))
        try:
            with target.engine.connect() as connection:
                last = connection.execute(ran.order_by(table.c.id.desc()).limit(1)).scalar()
                found = connection.execute(text.where(table.c.checksum == last).limit(1)).scalar()
        except sqlalchemy.exc.SQLAlchemyError:
            return ""
        # This finds accidents; who can write the text can write its checksum too.
        return found if isinstance(found, str) and is_text_of(found, str(last)) else ""

    def committed_text(self, lost: Lost) -> str:
        """The text of a lost revision as git has it, "" where it cannot be had."""
        return self.past.texts([lost.blob]).get(lost.blob, "") if lost.in_git else ""

    def _edit(self, state: State, id: str) -> Edit:
        path = state.history.by_id[id].path
        ran = self.kept_text(id, state.databases)
        now = read_text(path)
        if not ran or not now:
            return Edit(commit=self.past.changed_by(path))
        lines = difflib.unified_diff(ran.splitlines(), now.splitlines(), lineterm="", n=0)
        shown = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
        if len(shown) > _MOST_LINES:
            more = f"... and {len(shown) - _MOST_LINES} lines more"
            shown = [*shown[:_MOST_LINES], more]
        if same_code(ran, now):
            return Edit(tuple(shown), harmless=True)
        commit = self.past.changed_by(path)
        return Edit(tuple(shown), commit, self.past.version_of(path, ran))


def lost_ids(state: State) -> tuple[str, ...]:
    """Ids that a version table or a file names and no file has."""
    known = state.history.by_id
    rows = [row for d in state.databases for row in d.version_rows or ()]
    parents = [parent for r in state.history.revisions for parent in r.parents]
    return tuple(dict.fromkeys(id for id in (*rows, *parents) if id not in known))


def _twins(state: State) -> list[list[str]]:
    paths: dict[str, list[str]] = {}
    for revision in state.history.revisions:
        paths.setdefault(revision.id, []).append(revision.path)
    return [several for several in paths.values() if len(several) > 1]


def _edited(state: State) -> tuple[str, ...]:
    ran = {
        row.subject: row.checksum
        for database in state.databases
        for row in database.journal
        if row.kind == "revision" and row.direction == "upgrade" and row.checksum
    }
    return tuple(
        id for id, sum in ran.items() if state.checksums.get(id) and state.checksums[id] != sum
    )


def _since_fork(state: State, heads: tuple[str, ...]) -> list[str]:
    """Files of the revisions that only some of the heads have behind them."""
    history = state.history
    if not heads:
        return []
    paths = [history.by_id[id].path for id in sorted(history.since_fork(heads))]
    return paths if len(paths) <= 20 else [history.by_id[head].path for head in heads]
