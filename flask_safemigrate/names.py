"""Names that are written into databases, or read there, in more than one place."""

from __future__ import annotations

#: What our commands did to a database.
JOURNAL = "safemigrate_journal"

#: Keeps the row that is the lock where the locks of sessions do not reach far enough.
LOCK_TABLE = "safemigrate_lock"

#: Keeps what a revision has done so far where the server commits every DDL statement.
PROGRESS_TABLE = "safemigrate_progress"

#: There while a database is emptied or filled on a server that commits every statement.
UNFINISHED_TABLE = "safemigrate_unfinished"

#: Never counted, compared, proposed to be dropped or blamed for a change of its rows.
OWN_TABLES = frozenset((JOURNAL, LOCK_TABLE, PROGRESS_TABLE, UNFINISHED_TABLE))

#: Begins the name of the table that a batch migration of Alembic's fills, and leaves if it fails.
LEFTOVER = "_alembic_tmp_"

#: What SQLite calls a database that is in no file.
MEMORY = ":memory:"

#: The dialects that we serve, as SQLAlchemy names them.
DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb")
