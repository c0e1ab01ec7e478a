"""Types of STRICT tables, which know five and ``ANY`` (https://sqlite.org/stricttables.html)."""

from __future__ import annotations

from flask_safemigrate.ddl import questions
from flask_safemigrate.ddl.create_table import read_create_table

_BY_AFFINITY = {
    "INTEGER": "INTEGER",
    "TEXT": "TEXT",
    "REAL": "REAL",
    "BLOB": "BLOB",
    "NUMERIC": "ANY",
}


def type_of(declared: str) -> str:
    """The type that a STRICT table has for a declared one."""
    if declared.upper() in ("INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY", ""):
        return declared
    if declared.upper().startswith(("DATE", "TIME")):
        return "TEXT"
    if declared.upper() == "BOOLEAN":
        return "INTEGER"
    return _BY_AFFINITY[questions.affinity_of_type(declared)]


def definition(column: str) -> str:
    """A column definition with a type that a STRICT table has."""
    read = read_create_table(f"CREATE TABLE x ({column}\n)")
    span = read.columns[0].type_span
    if span is None:
        return column
    text = read.sql[: span.start] + type_of(read.columns[0].type) + read.sql[span.end :]
    return read_create_table(text).columns[0].span.of(text)
