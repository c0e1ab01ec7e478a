"""What a user may decide about the way SQLite tables change."""

from __future__ import annotations

from typing import NamedTuple


class EngineOptions(NamedTuple):
    """
    :param schema_edits: whether the stored schema text may be edited
        (``PRAGMA writable_schema``, https://sqlite.org/lang_altertable.html, section 7).
        Without, tables are rebuilt by CREATE, INSERT, DROP and RENAME alone.
    :param record: whether the script of the run has the migration's own statements too, every row
        that they write as a statement of its own.
    :param secure_delete: whether SQLite overwrites what is deleted; None leaves the setting.
    """

    schema_edits: bool = True
    secure_delete: bool | None = None
    record: bool = False
