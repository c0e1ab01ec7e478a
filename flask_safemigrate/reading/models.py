"""The models of an application, and what autogenerate leaves alone of its databases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.project import ProjectState
from flask_safemigrate.reading.filtering import Filters

if TYPE_CHECKING:
    from flask_safemigrate.alembic_bridge.configured import Configured

_FILTERS = frozenset({"include_name", "include_object"})


class Models:
    """The models' tables by bind key, and the filters of autogenerate.

    :param migrate: what the application keeps of its migrations.
    :param project: as its files say.
    """

    def __init__(self, migrate: Any, project: ProjectState) -> None:
        self._migrate = migrate
        self._project = project
        self._configured: Mapping[str, Configured] = {}

    @property
    def are_complete(self) -> bool:
        """Whether everything is known without asking ``env.py``."""
        own = self._project.own_metadata
        return not own and not _FILTERS & self._project.configure_keywords

    def ask(self, configured: Callable[[], Mapping[str, Configured]]) -> None:
        """Let ``env.py`` say what it alone knows."""
        self._configured = configured()

    @property
    def metadatas(self) -> Mapping[str, Sequence[sa.MetaData]]:
        """The models' tables, as far as they are known without running ``env.py``."""
        if self._project.own_metadata:
            return {bind: found.metadatas for bind, found in self._configured.items()}
        found = self._migrate.db.metadatas
        return {key or "": (metadata,) for key, metadata in found.items()}

    def filters(self, bind: str) -> Filters | None:
        """What autogenerate is to leave alone; None where only ``env.py`` knows it."""
        if found := self._configured.get(bind):
            return Filters(found.include_name, found.include_object, found.metadatas)
        if _FILTERS & self._project.configure_keywords:
            return None
        given = self._migrate.migrate.alembic_ctx_kwargs
        metadatas = self.metadatas.get(bind, ())
        return Filters(given.get("include_name"), given.get("include_object"), metadatas)

    def added_to(self, project: ProjectState, databases: Sequence[DatabaseState]) -> ProjectState:
        """Return the project with its models, and with what autogenerate leaves alone."""
        models = {
            bind: tuple(name for metadata in several for name in metadata.tables)
            for bind, several in self.metadatas.items()
        }
        filters = {d.bind: self.filters(d.bind) for d in databases}
        hidden = {
            d.bind: tuple(t.name for t in d.tables if known.hides_table(t.name))
            for d in databases
            if (known := filters[d.bind]) is not None
        }
        complete = len(hidden) == len(databases)
        return project._replace(models=models, hidden=hidden if complete else None)
