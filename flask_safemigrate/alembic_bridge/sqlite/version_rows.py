"""The rows of the version table, which wait for a barrier as the changes of tables do."""

from __future__ import annotations

from collections.abc import Iterable

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Delete, Update

from flask_safemigrate.errors import VerificationFailed


class VersionRows:
    """What the version table says, and what it is to say.

    Alembic makes a statement of its own for every revision, which SQLAlchemy compiles anew each
    time: a sixth of the time of a thousand revisions.
    """

    def __init__(self) -> None:
        self._heads: frozenset[str] | None = None
        self._written: frozenset[str] = frozenset()

    @property
    def known(self) -> bool:
        """Whether the rows are known, so that Alembic's own statements need not run."""
        return self._heads is not None

    @property
    def waiting(self) -> bool:
        """Whether the table does not say yet what it is to say."""
        return self._heads is not None and self._heads != self._written

    def begin(self, heads: Iterable[str]) -> None:
        """Note what the table says."""
        self._heads = self._written = frozenset(heads)

    def stand_at(self, heads: Iterable[str]) -> None:
        """Note what the table is to say."""
        self._heads = frozenset(heads)

    def write(self, context: MigrationContext, connection: Connection) -> None:
        """Let the table say it.

        :raises VerificationFailed: the table says something else than it did.
        """
        assert self._heads is not None
        table, heads = context._version, self._heads
        old, new = sorted(self._written - heads), sorted(heads - self._written)
        row = table.c.version_num

        def change(statement: Update | Delete, was: str) -> None:
            if connection.execute(statement).rowcount != 1:
                raise VerificationFailed(
                    f'no row of "{context.version_table}" names {was} any more: a migration has '
                    "changed that table.",
                    hint="take the statement out; the rows follow the revisions by themselves",
                )

        for was, now in zip(old, new, strict=False):
            change(table.update().values(version_num=now).where(row == was), was)
        for was in old[len(new) :]:
            change(table.delete().where(row == was), was)
        for now in new[len(old) :]:
            connection.execute(table.insert().values(version_num=now))
        self._written = heads
