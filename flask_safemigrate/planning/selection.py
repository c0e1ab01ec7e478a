"""Which revisions a person names to have them judged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from flask_safemigrate.errors import UsageError
from flask_safemigrate.facts.history import History
from flask_safemigrate.planning.graph import built_on
from flask_safemigrate.planning.targets import shown_all, target_of

_DOWN = re.compile(r"(?:.+@)?-\d+")


class Selection(NamedTuple):
    """Revisions as they were named; nothing named means the pending ones.

    :param revision: ``REV`` or ``REV:REV``.
    :param since: what comes after this one.
    :param ids: these very ones.
    """

    revision: str | None = None
    since: str | None = None
    ids: frozenset[str] | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing was named."""
        return self == Selection()


def select(
    history: History, selection: Selection, current: Sequence[str] = ()
) -> frozenset[str] | None:
    """Return the ids of the revisions that were named; None where none was.

    :param current: revisions that the database is at, for ``+1``.
    :raises UsageError: something names no revision.
    """
    if selection.ids is not None:
        return selection.ids
    if selection.since is not None:
        behind = history.ancestors(_ends(history, selection.since, current))
        return history.ancestors(history.heads) - behind
    if selection.revision is None:
        return None
    text = selection.revision.strip()
    first, colon, last = text.partition(":")
    if colon:
        return _between(history, text, first or "base", last or "heads", current)
    found = frozenset(_ends(history, text, current))
    if not found:
        raise UsageError(f"'{text}' is no revision.", hint="flask db lint base:heads, for all")
    return found


def _between(
    history: History, text: str, first: str, last: str, current: Sequence[str]
) -> frozenset[str]:
    """The revisions from one to another, both included."""
    if ":" in last:
        raise UsageError(f"'{text}' is not a range of revisions.", hint="flask db lint FIRST:LAST")
    starts, ends = _ends(history, first, current), _ends(history, last, current)
    up_to = history.ancestors(ends)
    if not starts:
        return up_to
    if not up_to.issuperset(starts):
        turned = history.ancestors(starts).issuperset(ends)
        raise UsageError(
            f"{shown_all(history, starts)} does not come before {shown_all(history, ends)}.",
            hint=f"flask db lint {last}:{first}" if turned and ends else "flask db history",
        )
    return built_on(history, starts, up_to)


def _ends(history: History, text: str, current: Sequence[str]) -> tuple[str, ...]:
    if _DOWN.fullmatch(text.strip()):
        raise UsageError(
            f"'{text.strip()}' is a way down and no revision.", hint="flask db history"
        )
    return target_of(history, text, current)
