"""A place in a row of tokens, and the small pieces of grammar that every statement shares."""

from __future__ import annotations

from typing import NamedTuple

from flask_safemigrate.ddl.tokens import (
    JOIN_WORDS,
    RESERVED,
    Span,
    Token,
    UnreadableDDL,
    excerpt,
    significant,
    tokenize,
    unquote,
)


class Name(NamedTuple):
    """A name as it stands in a text: what it means, unquoted, and where it is."""

    value: str
    span: Span


class KeyPart(NamedTuple):
    """One column of a key or index.

    :ivar column: the column's name, None where the part is an expression.
    :ivar collation: the outermost ``COLLATE``, if any.
    :ivar order: ``"ASC"``, ``"DESC"``, or None where nothing is written.
    :ivar span: the whole part.
    """

    column: Name | None
    collation: Name | None
    order: str | None
    span: Span


def can_name(token: Token) -> bool:
    """Whether a token can be the name of a table or column (SQLite's ``nm``)."""
    return token.kind in ("quoted", "string") or (
        token.kind == "name" and token.word not in RESERVED
    )


def can_be_type_word(token: Token) -> bool:
    """Whether a token can be part of a type or name a collation (SQLite's ``ids``)."""
    return can_name(token) and token.word not in JOIN_WORDS


class Cursor:
    """Reads the significant tokens of one statement from left to right."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.all_tokens = tokenize(sql)
        self.tokens = significant(self.all_tokens)
        self.at = 0

    def expected(self, what: str) -> UnreadableDDL:
        """The error that says what should stand at the present place."""
        where = "end of text" if self.done else excerpt(self.sql, self.tokens[self.at].start)
        return UnreadableDDL(f"expected {what}", where)

    @property
    def done(self) -> bool:
        """Whether every token has been read."""
        return self.at >= len(self.tokens)

    def peek(self, ahead: int = 0) -> Token | None:
        """The token ``ahead`` places on, None past the end."""
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def take(self) -> Token:
        """The present token; the next becomes present."""
        token = self.peek()
        if token is None:
            raise self.expected("more text")
        self.at += 1
        return token

    @property
    def last_end(self) -> int:
        """Offset just past the token read last."""
        return self.tokens[self.at - 1].end if self.at else 0

    def sees(self, *words: str) -> bool:
        """Whether these words come next, in this order."""
        return all(
            (token := self.peek(ahead)) is not None and token.word == word
            for ahead, word in enumerate(words)
        )

    def accept(self, *words: str) -> bool:
        """Read these words if they come next, in this order."""
        if not self.sees(*words):
            return False
        self.at += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Read these words, or refuse."""
        if not self.accept(*words):
            raise self.expected(" ".join(words))

    def sees_op(self, text: str) -> bool:
        """Whether this punctuation mark comes next."""
        token = self.peek()
        return token is not None and token.is_op(text)

    def accept_op(self, text: str) -> bool:
        """Read this punctuation mark if it comes next."""
        if not self.sees_op(text):
            return False
        self.at += 1
        return True

    def expect_op(self, text: str) -> Token:
        """Read this punctuation mark, or refuse."""
        if not self.sees_op(text):
            raise self.expected(repr(text))
        return self.take()

    def name(self, what: str) -> Name:
        """Read a name in any of its quotings, or refuse."""
        token = self.peek()
        if token is None or not can_name(token):
            raise self.expected(what)
        self.at += 1
        return Name(unquote(token.text), token.span)

    def collation(self) -> Name:
        """Read the name of a collation, or refuse."""
        token = self.peek()
        if token is None or not can_be_type_word(token):
            raise self.expected("a collation")
        self.at += 1
        return Name(unquote(token.text), token.span)

    def qualified_name(self, what: str) -> tuple[Name | None, Name]:
        """Read ``name`` or ``schema.name``."""
        first = self.name(what)
        if self.accept_op("."):
            return first, self.name(what)
        return None, first

    def parenthesized(self) -> Span:
        """Read ``( ... )`` with whatever balanced tokens; the span excludes the parentheses."""
        opening = self.expect_op("(")
        closing = self.skip_to_closing()
        return Span(opening.end, closing.start)

    def skip_to_closing(self) -> Token:
        """Read up to and including the ``)`` of an already read ``(``."""
        depth = 1
        while True:
            token = self.take()
            if token.is_op("("):
                depth += 1
            elif token.is_op(")"):
                depth -= 1
                if not depth:
                    return token

    def key_parts(self, *, expressions: bool) -> tuple[KeyPart, ...]:
        """Read the parts of a key or index up to its ``)``, which is left unread.

        :param expressions: whether a part may be something else than a column.
        """
        parts = [self._key_part(expressions)]
        while self.accept_op(","):
            parts.append(self._key_part(expressions))
        return tuple(parts)

    def _key_part(self, expressions: bool) -> KeyPart:
        start = self.at
        part = self._column_part()
        if part is not None:
            return part
        self.at = start
        if not expressions:
            raise self.expected("a column")
        return self._expression_part()

    def _column_part(self) -> KeyPart | None:
        first, depth, collation = self.at, 0, None
        while self.accept_op("("):
            depth += 1
        token = self.peek()
        if token is None or not can_name(token):
            return None
        column = self.name("a column")
        while True:
            if self.accept("COLLATE"):
                collation = self.collation()
            elif depth and self.accept_op(")"):
                depth -= 1
            else:
                break
        order = self._order()
        if depth or not (self.sees_op(",") or self.sees_op(")") or self.sees("AUTOINCREMENT")):
            return None
        return KeyPart(column, collation, order, Span(self.tokens[first].start, self.last_end))

    def _expression_part(self) -> KeyPart:
        start = self.at
        while not (self.sees_op(",") or self.sees_op(")")):
            if self.take().is_op("("):
                self.skip_to_closing()
        if self.at == start:
            raise self.expected("an expression")
        order = self.tokens[self.at - 1].word
        return KeyPart(
            None,
            None,
            order if order in ("ASC", "DESC") else None,
            Span(self.tokens[start].start, self.last_end),
        )

    def _order(self) -> str | None:
        if self.sees("ASC") or self.sees("DESC"):
            return self.take().word
        return None
