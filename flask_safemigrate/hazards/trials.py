"""Texts that the server itself is asked to read, without running them."""

from __future__ import annotations

import re

from flask_safemigrate.findings import Severity
from flask_safemigrate.hazards import operations as ops
from flask_safemigrate.hazards.hazard import Judge

#: A value that comes from outside of the text.
_VALUE = re.compile(r"(?<![:\w'])[$:]\w+")
_OF_DRIVER = re.compile(r"%[(s]")
_ROWS = re.compile(r"\s*(UPDATE|DELETE|INSERT|REPLACE|WITH)\b", re.IGNORECASE)
#: A name with its table before it.
DOTTED = re.compile(r"[\w`]\s*\.\s*[A-Za-z_`]")
_WORD = re.compile(r"\w+")
_MODE = re.compile(r"\s*SET\b.*\bsql_mode\b", re.IGNORECASE)


def statement(judge: Judge, op: ops.Operation) -> None:
    """Let the server read a statement of the revision, where it can as things are now."""
    sql = op.place.sql.strip().rstrip(";")
    if not sql or (op.place.line, sql) in judge.tried or ";" in sql or _OF_DRIVER.search(sql):
        return
    judge.tried.add((op.place.line, sql))
    for trial in _trials(judge, op, sql):
        judge.add(
            "SM603",
            Severity.ERROR,
            op,
            "The server refuses the statement ({error}): it fails.",
            "write it for this server, with the names that its tables have by then",
            getattr(op, "table", "") or op.place.revision,
            trial=trial,
        )


def _trials(judge: Judge, op: ops.Operation, sql: str) -> list[str]:
    found = [_trial(judge, sql)]
    if judge.context.dialect in ("mysql", "mariadb") and isinstance(op, ops.Write):
        # There nothing that writes is so much as read in a transaction that may not write.
        alone = op.where and not op.reads and not op.bound and not _VALUE.search(op.where)
        if alone and not DOTTED.search(op.where) and is_as_it_was(judge, sql):
            table = judge.quote(op.table)
            found.append(f"EXPLAIN SELECT 1 FROM {table} WHERE {op.where}")
    return [each for each in found if each]


def _trial(judge: Judge, sql: str) -> str:
    dialect = judge.context.dialect
    if dialect == "postgresql":
        # Its syntax is known by its own parser.
        fits = _ROWS.match(sql) and not _VALUE.search(sql) and is_as_it_was(judge, sql)
        return f"EXPLAIN {sql}" if fits else ""
    if dialect == "sqlite":
        return f"EXPLAIN {sql}" if is_as_it_was(judge, sql) else ""
    if _MODE.match(sql) or "sql_mode" in judge.known.touched:
        judge.known.touched.add("sql_mode")
        return ""
    text = _VALUE.sub("?", sql).replace("\\", "\\\\").replace("'", "''")
    return f"PREPARE safemigrate FROM '{text}'"


def is_as_it_was(judge: Judge, text: str) -> bool:
    """Whether nothing that a text may name was changed or made by this run."""
    return judge.known.complete and judge.known.touched.isdisjoint(_WORD.findall(text))
