"""SQL that is already whole."""

from __future__ import annotations

from sqlalchemy import TextClause, text


def plain(sql: str) -> TextClause:
    """Return a statement without parameters, in which colons and percent signs are just that.

    A name such as ``odd:name`` would otherwise ask for a value called ``name``.
    """
    return text(sql.replace(":", "\\:"))
