"""Replaces pieces of a text without gluing tokens together."""

from __future__ import annotations

from typing import NamedTuple

from flask_safemigrate.ddl.tokens import DDLError, Token, excerpt, tokenize

_APART = frozenset(" \t\n\v\f\r(),;.=<>+-*/%|&~!")


class Change(NamedTuple):
    """Put ``text`` where ``start`` to ``end`` of the old text was; both are token boundaries."""

    start: int
    end: int
    text: str


def splice(sql: str, changes: list[Change]) -> str:
    """Make all changes at once; everything else stays byte for byte.

    Where two pieces would run together a space is put between them, and a line break behind a
    ``--`` comment. Changes at the same place are made in the order given; deletions may overlap.

    :raises DDLError: the changed text would not have the tokens it should have.
    """
    ordered = sorted(changes, key=lambda change: (change.start, change.end))
    pieces: list[str] = []
    at = 0
    for change in ordered:
        pieces += [sql[at : max(at, change.start)], change.text]
        at = max(at, change.end)
    pieces.append(sql[at:])
    wanted: list[str] = []
    result = ""
    tail: Token | None = None
    for piece in pieces:
        if not piece:
            continue
        tokens = tokenize(piece)
        result += _between(result, tail, piece) + piece
        tail = tokens[-1]
        wanted += [token.text for token in tokens if token.significant]
    got = [token.text for token in tokenize(result) if token.significant]
    if got != wanted:
        raise DDLError("an edit would change more than it should", excerpt(result, 0))
    return result


def _between(left: str, tail: Token | None, right: str) -> str:
    if tail is None:
        return ""
    if tail.is_line_comment:
        return "" if right.startswith("\n") else "\n"
    return " " if left[-1] not in _APART and right[0] not in _APART else ""
