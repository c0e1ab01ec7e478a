"""Tables of our own, which are not the application's."""

from __future__ import annotations

from collections.abc import Iterable

from flask_safemigrate.facts.database import Unreachable


class NotOurs(Exception):
    """What has the name of a table of ours is not as we made it, and must not be touched."""

    def __init__(self, reason: Unreachable) -> None:
        super().__init__(reason.message)
        self.reason = reason


def prove_own(location: str, strange: Iterable[tuple[str, str]], remedy: str) -> None:
    """Stop before anything is read from or written to what is not ours.

    Reading a view and writing into a table with a trigger run somebody's code with our rights.

    :param strange: pairs of a name and what is wrong with it, as ``has the trigger "x"``.
    :param remedy: a statement that takes the first of them away, or gives it to us.
    :raises NotOurs: there are some.
    """
    found = [f'"{name}" {what}' for name, what in strange]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise NotOurs(
            Unreachable(
                "own table",
                f'In database "{location}" {found[0]}{more}: we did not make it so, and what it '
                "does would be done with our rights.",
                remedy,
            )
        )
