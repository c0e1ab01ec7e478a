"""Splits a text of MariaDB or MySQL into the statements that the server makes of it.

A driver that allows it sends the text as one (https://dev.mysql.com/doc/c-api/8.4/en/
c-api-multiple-queries.html), and the server runs up to the next semicolon that is in no string,
comment or body of a stored program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flask_safemigrate.ddl.reaching import PARTS_MYSQL

#: What ``CREATE`` and ``ALTER`` make, up to the first of these words; the second have a body.
_MADE = frozenset(("TABLE", "VIEW", "INDEX", "DATABASE", "SCHEMA", "USER", "ROLE", "SEQUENCE"))
_STORED = frozenset(("PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"))
#: What ends with ``END`` and the same word.
_BLOCKS = frozenset(("IF", "LOOP", "REPEAT", "WHILE", "FOR"))
#: What a statement inside of a body follows.
_BEFORE = frozenset((";", ":", "THEN", "ELSE", "BEGIN", "ATOMIC", "DO", "LOOP", "REPEAT", "ROW"))


class _Part(NamedTuple):
    """A word in capitals, or a sign; "" for a string and a quoted name."""

    word: str
    end: int


def statements_of(text: str) -> tuple[str, ...]:
    """Return the statements of a text, without their semicolons.

    :return: the text alone where it cannot be told where the body of a stored program ends.
    """
    if ";" not in text:
        return (text,)
    parts = [
        _Part(part.group().upper() if part.lastgroup in ("word", "sign") else "", part.end())
        for part in PARTS_MYSQL.finditer(text)
        if part.lastgroup != "comment" or part.group().startswith(("/*!", "/*M!"))
    ]
    found: list[str] = []
    start = first = 0
    for at, part in enumerate((*parts, _Part(";", len(text) + 1))):
        if part.word != ";":
            continue
        inside = parts[first:at]
        depth = _depth(inside) if _has_body(inside) else 0
        if depth > 0 and at < len(parts):
            continue
        if depth:
            return (text,)
        if inside:
            found.append(text[start : part.end - 1].strip())
        start, first = part.end, at + 1
    return tuple(found)


def _has_body(parts: Sequence[_Part]) -> bool:
    words = [part.word for part in parts[:40]]
    if not words or words[0] not in ("CREATE", "ALTER"):
        # MariaDB has blocks outside of stored programs too.
        return words[:2] == ["BEGIN", "NOT"] or (bool(words) and words[0] in {"CASE", *_BLOCKS})
    return next((word in _STORED for word in words if word in _MADE | _STORED), False)


def _depth(parts: Sequence[_Part]) -> int:
    """How many blocks are open at the end."""
    depth = 0
    before = ";"
    for at, part in enumerate(parts):
        word = part.word
        if before != "END":
            depth += word in ("BEGIN", "CASE") or (word in _BLOCKS and _opens(parts, at, before))
        depth -= word == "END"
        before = word
    return depth


def _opens(parts: Sequence[_Part], at: int, before: str) -> bool:
    """Whether a word begins a block; IF and REPEAT are functions as well, FOR is everywhere."""
    word = parts[at].word
    follows = parts[at + 1].word if at + 1 < len(parts) else ""
    if word in ("LOOP", "WHILE"):
        return True
    if follows == "(":
        return (before in _BEFORE or word == "IF") and not _lists(parts, at + 1)
    if word == "IF":
        # DROP TABLE IF EXISTS t
        return before in _BEFORE or follows not in ("EXISTS", "NOT")
    return before in _BEFORE and (word, follows) != ("FOR", "EACH")


def _lists(parts: Sequence[_Part], at: int) -> bool:
    """Whether what is in the parentheses that begin here is a list, as of a function."""
    depth = 0
    for part in parts[at:]:
        depth += (part.word == "(") - (part.word == ")")
        if depth == 0:
            return False
        if depth == 1 and part.word == ",":
            return True
    return False
