"""Full text tables that keep no text but read it out of a plain table.

``content=`` names that table; the columns have to have the names that it gives them
(https://sqlite.org/fts5.html#external_content_tables).
"""

from __future__ import annotations

from typing import NamedTuple

from flask_safemigrate.ddl.splice import Change, splice
from flask_safemigrate.ddl.tokens import (
    Token,
    quote,
    quote_string,
    same_name,
    significant,
    tokenize,
    unquote,
)


class _Argument(NamedTuple):
    """One argument of the module: an option with its value, or a column without one."""

    name: Token
    value: Token | None


def reads(sql: str, table: str) -> bool:
    """Whether a CREATE VIRTUAL TABLE makes a full text table that reads the text of a table."""
    content = _option(sql, "content")
    return content is not None and same_name(unquote(content.text), table)


def read_from(sql: str, table: str) -> str:
    """Let it read another table, or the same under another name."""
    content = _option(sql, "content")
    assert content is not None
    return splice(sql, [Change(content.start, content.end, quote_string(table))])


def columns(sql: str) -> tuple[str, ...]:
    """Its columns."""
    return tuple(unquote(each.name.text) for each in _arguments(sql) if each.value is None)


def rename_column(sql: str, old: str, new: str) -> str:
    """Follow the column of the table that it reads."""
    changes = []
    for name, value in _arguments(sql):
        if value is None and same_name(unquote(name.text), old):
            changes.append(Change(name.start, name.end, quote(new)))
        elif (
            value is not None
            and name.word in ("CONTENT_ROWID", "NOTINDEXED")
            and same_name(unquote(value.text), old)
        ):
            changes.append(Change(value.start, value.end, quote_string(new)))
    return splice(sql, changes)


def _option(sql: str, option: str) -> Token | None:
    return next((each.value for each in _arguments(sql) if each.name.word == option.upper()), None)


def _arguments(sql: str) -> list[_Argument]:
    tokens = significant(tokenize(sql))
    using = next((at for at, each in enumerate(tokens) if each.word == "USING"), None)
    if using is None or using + 2 >= len(tokens):
        return []
    if unquote(tokens[using + 1].text).lower() not in ("fts3", "fts4", "fts5"):
        return []
    found = []
    depth = 0
    start = using + 3
    for at in range(using + 2, len(tokens)):
        text = tokens[at].text
        depth += (text == "(") - (text == ")")
        if start < at and (depth == 0 or (depth == 1 and text == ",")):
            is_option = start + 2 < at and tokens[start + 1].text == "="
            found.append(_Argument(tokens[start], tokens[start + 2] if is_option else None))
        if depth == 0 or (depth == 1 and text == ","):
            start = at + 1
        if depth == 0:
            break
    return found
