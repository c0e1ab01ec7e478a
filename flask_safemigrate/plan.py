"""What an upgrade or a downgrade would do."""

from __future__ import annotations

from typing import NamedTuple

from flask_safemigrate.facts.history import Revision


class Plan(NamedTuple):
    """The way of one database from where it is to where it should be.

    :param bind: bind key, "" for the default database.
    :param start: revisions that the version table names now.
    :param target: revisions that it must name afterwards.
    :param steps: the revisions to run, in order.
    :param direction: ``upgrade`` or ``downgrade``.
    :param left: revisions on the way that belong to another phase, in order; nobody runs them now.
    """

    bind: str
    location: str
    start: tuple[str, ...]
    target: tuple[str, ...]
    steps: tuple[Revision, ...]
    direction: str = "upgrade"
    left: tuple[Revision, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps
