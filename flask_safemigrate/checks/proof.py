"""Which revision a database's schema proves, in words that checks share."""

from __future__ import annotations

from typing import NamedTuple

from flask_safemigrate.checks.found import at_places, listed, things
from flask_safemigrate.findings import Step
from flask_safemigrate.state import DatabaseState, State


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
    evidence = state.evidence.get(database.bind)
    if evidence is None or not evidence.equals or not evidence.equals[0]:
        return None
    first = evidence.equals[0]
    newest = state.history.ancestors(first) == frozenset(state.history.by_id)
    place = at_places(state.history, first) + (", the newest" if newest else "")
    if evidence.but:
        place += f" (but for {things(evidence.but, 3)})"
    others = [id for ids in evidence.equals[1:] for id in ids]
    if others:
        place += (
            f"; so {'does' if len(others) == 1 else 'do'} {listed(others, 3)}, which "
            "changes rows at most"
        )
    return Proof(place, " ".join(first), newest)
