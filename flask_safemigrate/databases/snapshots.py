"""The snapshots of one application's databases."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from flask import Flask

from flask_safemigrate.backends import backend_for, elsewhere, snapshots
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.databases.stopping import Stopping
from flask_safemigrate.errors import Refused, SnapshotFailed
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.names import MEMORY
from flask_safemigrate.outcome import Progress, Snapshot
from flask_safemigrate.plan import Plan
from flask_safemigrate.settings import Settings
from flask_safemigrate.workflows.requests import Request, Say


class Snapshots(NamedTuple):
    """Takes, finds and puts back.

    :param targets: the databases by bind key.
    """

    app: Flask
    settings: Settings
    targets: Mapping[str, Target]
    stopping: Stopping

    def wanted(self, state: DatabaseState, plan: Plan, request: Request) -> bool:
        """Whether one is to be taken before a plan runs.

        :param state: the database as it was read when the plan was made.
        """
        if not state.exists or not (state.tables or state.version_rows) or plan.empty:
            return False
        if state.location == MEMORY:
            return False
        snapshot = request.options.get("snapshot")
        return self._by_settings(state) if snapshot is None else snapshot

    def wanted_by_repair(self, state: DatabaseState) -> bool:
        """Whether the settings want one before the database is repaired."""
        return self._by_settings(state) and state.location != MEMORY

    def _by_settings(self, state: DatabaseState) -> bool:
        on = state.dialect == "sqlite"
        return self.settings.snapshot if on else self.settings.snapshot_servers

    def _folder(self, state: DatabaseState) -> Path:
        beside = Path(self.app.instance_path)
        if state.dialect == "sqlite" and state.location != MEMORY:
            beside = Path(state.location).parent
        return snapshots.folder_for(self.settings.snapshots, beside)

    @property
    def _beside(self) -> str | None:
        return None if self.settings.snapshots else self.app.name

    def take(self, state: DatabaseState, why: str, say: Say) -> Snapshot:
        """Copy a database.

        :param state: the database as it was read just before.
        """
        target = self.targets[state.bind]
        backend = backend_for(target.engine)
        with self.stopping.raising():
            taken = snapshots.new_snapshot(
                self._folder(state),
                state,
                lambda path: backend.take(target, path, say),
                needs=backend.needs(target),
                suffix=backend.suffix,
                why=why,
                app=self.app.name,
            )
        say(Progress("snapshot", taken.id, taken.path, bind=state.bind))
        return taken

    def prune(self, state: DatabaseState, taken: Snapshot, keep: Sequence[str]) -> None:
        """Remove the oldest of a database beyond the number of the settings.

        :param state: the database as it is now.
        :param taken: one of that database.
        :param keep: ids that stay.
        """
        if state.unreachable is not None:
            return  # what is half applied, and so which one is the way back, cannot be asked
        stay = (taken.id, self.way_back(state), *keep)
        with contextlib.suppress(
            OSError, SnapshotFailed, Refused
        ):  # one that stays spoils nothing
            snapshots.prune(
                self._folder(state),
                self.settings.keep_snapshots,
                pinned=stay,
                of=taken,
                database=snapshots.database_file(state),
                beside=self._beside,
            )

    def way_back(self, state: DatabaseState) -> str:
        """The snapshot from before a revision that is half applied; newer ones hold half of it."""
        begun = [datetime.fromisoformat(row.started) for row in state.progress]
        if not begun:
            return ""
        older = (s.id for s in self.of(state) if _when(s) <= min(begun))
        return next(older, "")

    def of(self, state: DatabaseState) -> tuple[Snapshot, ...]:
        """Those of a database, newest first."""
        found = snapshots.list_snapshots(
            self._folder(state), database=snapshots.database_file(state), beside=self._beside
        )
        return tuple(s for s in found if s.bind == state.bind and s.database == state.location)

    def find(self, state: DatabaseState, name: str | None) -> Snapshot:
        """One by id or unique beginning, the newest for None; proven to be whole."""
        found = snapshots.find(self._folder(state), name, among=self.of(state))
        self.verify(found)
        return found

    def verify(self, snapshot: Snapshot) -> None:
        """Read one to its end."""
        snapshots.verify(snapshot)
        with snapshots.in_use(snapshot) as path:
            backend_for(self.targets[snapshot.bind].engine).check(path)

    def put_back(self, snapshot: Snapshot, say: Say) -> tuple[str, ...]:
        """Replace the content of its database; says what was proven."""
        target = self.targets[snapshot.bind]
        target.engine.dispose()
        backend = backend_for(target.engine)
        with snapshots.in_use(snapshot) as path:
            backend.put_back(target, path, say)
        with target.engine.connect() as connection:
            return backend.whole(connection)

    def put_back_into(self, name: str, snapshot: Snapshot, say: Say) -> DatabaseState:
        """Fill another database, which must be empty; returns what is there then."""
        target = self.targets[snapshot.bind]
        given = self.app.config.get("SQLALCHEMY_ENGINE_OPTIONS") or {}
        backend = backend_for(target.engine)
        with elsewhere.empty_database(target, name, given.get("connect_args")) as other:
            with self.stopping.raising(), snapshots.in_use(snapshot) as path:
                backend.put_back(other, path, say)
            return backend.read(other)


def _when(snapshot: Snapshot) -> datetime:
    return datetime.fromisoformat(snapshot.created)
