"""Statements of the migration as they would be typed, parameters and all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask_safemigrate.ddl.tokens import tokenize

_READ = re.compile(r"\s*(SELECT|EXPLAIN|VALUES|PRAGMA[^=]*\Z)", re.IGNORECASE)


def is_read(statement: str) -> bool:
    """Whether a statement changes nothing; ``WITH`` counts as one that may."""
    return _READ.match(statement) is not None


def with_literals(statement: str, parameters: Any, driver: Any) -> str:
    """A statement with its parameters written into it.

    :param parameters: a sequence for ``?``, a mapping for names.
    :param driver: the connection, whose adapters and ``quote()`` write the values.
    """
    if not parameters:
        return statement
    values = None if isinstance(parameters, Mapping) else iter(parameters)
    parts = []
    for token in tokenize(statement):
        if token.kind != "parameter":
            parts.append(token.text)
        elif values is not None:
            parts.append(literal(next(values), driver))
        else:
            parts.append(literal(parameters[token.text[1:]], driver))
    return "".join(parts)


def literal(value: Any, driver: Any) -> str:
    """A value as the driver would bind it, as SQL."""
    if isinstance(value, str) and "\0" in value:
        # quote() stops at a NUL.
        return f"CAST(x'{value.encode().hex()}' AS TEXT)"
    return str(driver.execute("SELECT quote(?)", (value,)).fetchone()[0])
