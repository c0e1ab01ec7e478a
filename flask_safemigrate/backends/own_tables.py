"""Tables of our own, which are not the application's."""

from __future__ import annotations

from flask_safemigrate.backends.journal import JOURNAL

#: Keeps the row that is the lock where the locks of sessions do not reach far enough.
LOCK_TABLE = "safemigrate_lock"

#: Keeps what a revision has done so far where the server commits every DDL statement.
PROGRESS_TABLE = "safemigrate_progress"

#: Never counted, compared, proposed to be dropped or blamed for a change of its rows.
OWN_TABLES = frozenset((JOURNAL, LOCK_TABLE, PROGRESS_TABLE))
