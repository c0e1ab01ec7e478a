"""Which revision a database's schema proves, in words that checks share."""

from __future__ import annotations

from typing import NamedTuple

from flask_safemigrate.checks.found import at_places, listed, things
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Step


class Proof(NamedTuple):
    """The revision whose schema a database has.

    :param place: as messages name it.
    :param stamp: its ids, as ``flask db stamp`` takes them.
    :param newest: whether nothing comes after it.
    """

    place: str
    stamp: str
    newest: bool

    @property
    def step(self) -> Step:
        """The step of a repair that writes it down."""
        return Step("stamp", tuple(self.stamp.split()))


def proven(state: State, database: DatabaseState) -> Proof | None:
    """The revision whose schema a database has, None where it has none's."""
    comparison = state.comparisons.get(database.bind)
    if comparison is None or not comparison.equals or not comparison.equals[0]:
        return None
    first = comparison.equals[0]
    newest = state.history.ancestors(first) == frozenset(state.history.by_id)
    place = at_places(state.history, first) + (", the newest" if newest else "")
    if comparison.but:
        place += f" (but for {things(comparison.but, 3)})"
    others = [id for ids in comparison.equals[1:] for id in ids]
    if others:
        place += (
            f"; so {'does' if len(others) == 1 else 'do'} {listed(others, 3)}, which "
            "changes rows at most"
        )
    return Proof(place, " ".join(first), newest)
