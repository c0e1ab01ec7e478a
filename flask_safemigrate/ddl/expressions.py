"""Which words of an expression are columns."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from flask_safemigrate.ddl.tokens import RESERVED, Span, Token, significant, unquote

#: Words that are keywords after an operand and names before one.
_AFTER_OPERAND = frozenset(
    {
        *("LIKE", "GLOB", "REGEXP", "MATCH", "END", "ASC", "DESC", "NULLS", "FIRST", "LAST"),
        *("COLLATE", "BY"),
    }
)
_CLOCK = frozenset({"CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP"})
_POSTFIX = frozenset({"ISNULL", "NOTNULL", "NULL", "END", "ASC", "DESC", "FIRST", "LAST"})


def tokens_within(tokens: tuple[Token, ...], span: Span) -> tuple[Token, ...]:
    """The significant tokens inside a span."""
    first = bisect_left(tokens, span.start, key=lambda token: token.start)
    after = bisect_left(tokens, span.end, key=lambda token: token.start)
    return significant(tokens[first:after])


def column_tokens(tokens: tuple[Token, ...], span: Span) -> Iterator[tuple[str, Token]]:
    """The names in an expression without subqueries that may be columns, each with its token.

    Left out are keywords, functions, tables (before a dot), collations and the types of CAST.
    Words like LIKE or END, which can also name a column, are told apart as SQLite's parser does:
    by whether an operand stands before them.
    """
    row = tokens_within(tokens, span)
    after_operand = False
    type_depth: int | None = None
    depth = 0
    for at, token in enumerate(row):
        before = row[at - 1].word if at else ""
        following = row[at + 1] if at + 1 < len(row) else None
        if token.is_op("("):
            depth += 1
        elif token.is_op(")"):
            depth -= 1
            if type_depth is not None and depth < type_depth:
                type_depth = None
        elif token.word == "AS" and type_depth is None:
            type_depth = depth
        if token.kind == "operator":
            after_operand = token.text == ")"
        elif _is_keyword(token, after_operand):
            # NOT between an operand and LIKE, IN or BETWEEN leaves that word an operator.
            keeps = token.word == "NOT" and after_operand
            after_operand = keeps or token.word in _POSTFIX or token.word in _CLOCK
        else:
            after_operand = True
            if (
                token.kind in ("name", "quoted")
                and type_depth is None
                and before != "COLLATE"
                and not (following is not None and (following.is_op("(") or following.is_op(".")))
            ):
                yield unquote(token.text), token


def _is_keyword(token: Token, after_operand: bool) -> bool:
    word = token.word
    return word in RESERVED or word in _CLOCK or (word in _AFTER_OPERAND and after_operand)
