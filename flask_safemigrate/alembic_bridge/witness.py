"""Whether anything was committed to an SQLite file since the run began."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any


class Witness:
    """A connection that only looks on.

    ``PRAGMA data_version`` changes for it when another connection commits
    (https://sqlite.org/pragma.html#pragma_data_version). Another program's commit counts too, so
    that it never says "nothing" where there was something.

    :param driver: the run's connection.
    """

    def __init__(self, driver: Any) -> None:
        self._connection: sqlite3.Connection | None = None
        self._version: int | None = None
        if not isinstance(driver, sqlite3.Connection):
            return
        file = next(row[2] for row in driver.execute("PRAGMA database_list") if row[0] == 0)
        if file:
            with contextlib.suppress(sqlite3.Error, TypeError, ValueError):
                # Where it has to wait, it does not know; nothing waits for it.
                self._connection = sqlite3.connect(file, timeout=0.2, check_same_thread=False)
                self._version = self._look()

    def _look(self) -> int | None:
        if self._connection is None:
            return None
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            return None

    def saw_nothing(self) -> bool:
        """Whether it is certain that nothing was committed."""
        return self._version is not None and self._look() == self._version

    def close(self) -> None:
        """Look no more."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
