"""Outcomes as JSON, in a schema whose number changes when a field changes its meaning or goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum, IntEnum
from typing import Any

from flask_safemigrate.outcome import Outcome, Status, exit_code
from flask_safemigrate.report.redaction import without_passwords

#: Number of the schema. New fields do not raise it.
SCHEMA = 1

#: Fields that the schema had before they were renamed: name in the record -> in the document.
_NAMES = {
    "comparisons": "evidence",
    "examination": "condition",
    "past": "provenance",
    "setup": "checkout",
}


def document(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as plain data: every field under its own name, or its first one."""
    plain: dict[str, Any] = {"schema": SCHEMA, "exit_code": exit_code(outcome.status)}
    plain.update(_plain(outcome))
    return plain


def text(outcome: Outcome) -> str:
    """Return the document as ASCII text, which every stream can carry."""
    # To a CI runner that shows it, two of them would begin a command of its own.
    return json.dumps(document(outcome), indent=2).replace("##", "#\\u0023") + "\n"


def crash(command: str, error: BaseException) -> Outcome:
    """Return the outcome of a command that met an error nobody foresaw."""
    return Outcome(
        command=command,
        status=Status.FAILED,
        error=f"{type(error).__name__}: {error}",
        hint="This is a bug, of the application or of Flask-SafeMigrate; standard error has "
        "the traceback.",
    )


def _plain(value: object) -> Any:
    names = [each.name for each in fields(value)] if is_dataclass(value) else None
    if names := names or getattr(value, "_fields", None):
        return {
            _NAMES.get(name, name): (
                # SQL with one character replaced would be other SQL.
                [*getattr(value, name)] if name == "statements" else _plain(getattr(value, name))
            )
            for name in names
        }
    if isinstance(value, IntEnum):
        return value.name.lower()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(item) for item in value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return without_passwords(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    raise TypeError(f"{type(value).__name__} has no place in the schema")
