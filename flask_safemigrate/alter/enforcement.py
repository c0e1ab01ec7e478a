"""PRAGMA foreign_keys in revisions, which SQLite takes outside of a transaction alone.

"This pragma is a no-op within a transaction" (https://sqlite.org/pragma.html#pragma_foreign_keys).
Alembic's own runs have none open between the statements of a revision, and all revisions of ours
share one.
"""

from __future__ import annotations

import contextlib
import re
import tokenize
from collections.abc import Callable, Iterable
from typing import Any

#: ``SQLITE_DBCONFIG_ENABLE_FKEY``, which may change inside a transaction
#: (https://sqlite.org/c3ref/c_dbconfig_defensive.html); Python 3.12 has it.
_ENABLE_FOREIGN_KEYS = 1002

_PRAGMA = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*PRAGMA\s+(?:\w+\s*\.\s*)?foreign_keys\b\s*"
    r"(?:[=(]\s*['\"]?(?P<value>\w+)['\"]?\s*\)?\s*)?;?\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_MENTIONED = re.compile(r"\bforeign_keys\b", re.IGNORECASE)
_ON = ("1", "on", "yes", "true")


def is_switched_in(paths: Iterable[str]) -> bool:
    """Whether the text of one of these revision files may switch foreign keys on or off."""
    for path in filter(None, paths):
        # As Python reads it: a comment may declare another encoding than UTF-8.
        with contextlib.suppress(OSError, SyntaxError, ValueError), tokenize.open(path) as file:
            if _MENTIONED.search(file.read()):
                return True
    return False


class TooLate(Exception):
    """Enforcement cannot be switched off any more."""


class Enforcement:
    """Whether foreign keys are enforced, as the revisions want it.

    Where the driver cannot change that inside of a transaction, and a revision is known to do it,
    the run begins without enforcement, and :class:`proofs.ForeignKeys` looks after each statement
    whether enforcement would have minded.

    :param known: whether a revision is known to switch it; asked where that matters.
    :ivar wanted: what the revisions want.
    """

    def __init__(self, driver: Any, known: Callable[[], bool]) -> None:
        self._driver = driver
        self._before = self.wanted = self.actual
        self._prepared = self.wanted and not hasattr(driver, "setconfig") and known()
        if self._prepared:
            driver.execute("PRAGMA foreign_keys=OFF")

    @property
    def actual(self) -> bool:
        """What SQLite does."""
        return bool(self._driver.execute("PRAGMA foreign_keys").fetchone()[0])

    @property
    def watched(self) -> bool:
        """Whether it is wanted, and SQLite does not do it."""
        return self._prepared and self.wanted

    def restore(self) -> None:
        """Leave the connection as it was, once the transaction is over."""
        self._driver.execute(f"PRAGMA foreign_keys={int(self._before)}")

    def hear(self, statement: str) -> str | None:
        """Heed a statement of a revision.

        :return: what is to be run in its place, None where it is to be run as it is.
        :raises TooLate: it switches enforcement off where that cannot be done any more.
        """
        found = _PRAGMA.match(statement)
        if found is None:
            return None
        if found["value"] is None:
            return f"SELECT {int(self.wanted)} AS foreign_keys"
        wanted = found["value"].lower() in _ON
        if hasattr(self._driver, "setconfig"):
            self._driver.setconfig(_ENABLE_FOREIGN_KEYS, wanted)
        elif self.actual and not wanted:
            raise TooLate
        self.wanted = wanted
        return None
