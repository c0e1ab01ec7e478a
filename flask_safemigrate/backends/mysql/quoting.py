"""Identifiers of MariaDB and MySQL."""

from __future__ import annotations


def quoted(name: str) -> str:
    """Return an identifier as MariaDB and MySQL read it back unchanged."""
    return "`" + name.replace("`", "``") + "`"
