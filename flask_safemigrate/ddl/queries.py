"""Which tables the statements of a trigger or view use, under which names."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from flask_safemigrate.ddl.cursor import can_be_type_word, can_name
from flask_safemigrate.ddl.tokens import ImpossibleEdit, Token, fold, same_name, unquote


class Insert(NamedTuple):
    """An INSERT that lists no columns.

    :ivar at: where its list of columns would stand in the text.
    :ivar shows_all: whether it reads "*" of something.
    """

    table: str
    at: int
    shows_all: bool


class Query(NamedTuple):
    """One statement inside a trigger or view, or a trigger's header.

    :ivar tokens: its significant tokens.
    :ivar tables: the tokens that stand where a table is named.
    :ivar aliases: aliases (folded) with their tokens.
    :ivar alias_of: alias (folded) to table; a subquery's alias is to None.
    :ivar common_tables: the names that WITH introduces.
    :ivar by_position: the INSERT, if it is one that lists no columns.
    """

    tokens: tuple[Token, ...]
    tables: tuple[Token, ...]
    aliases: dict[str, Token]
    alias_of: dict[str, str | None]
    common_tables: tuple[Token, ...]
    by_position: Insert | None

    def is_qualifier(self, at: int) -> bool:
        """Whether a dot follows the token."""
        return at + 1 < len(self.tokens) and self.tokens[at + 1].is_op(".")

    def is_qualified(self, at: int) -> bool:
        """Whether a dot stands before the token."""
        return at > 0 and self.tokens[at - 1].is_op(".")

    def is_function(self, at: int) -> bool:
        """Whether an opening parenthesis follows the token."""
        return at + 1 < len(self.tokens) and self.tokens[at + 1].is_op("(")

    def column_is_of(self, at: int, table: str, row_of: str | None) -> bool:
        """Whether the column named at ``at`` is one of ``table``.

        :param row_of: the table whose rows NEW and OLD are.
        :raises ImpossibleEdit: it cannot be told from the tokens.
        """
        used = {fold(unquote(token.text)) for token in self.tables}
        if self.is_qualified(at):
            qualifier = fold(unquote(self.tokens[at - 2].text))
            if qualifier in self.alias_of:
                target = self.alias_of[qualifier]
            elif qualifier in used:
                target = qualifier
            elif row_of is not None and qualifier in ("new", "old"):
                target = row_of
            else:
                target = None
            if target is None or any(
                same_name(unquote(t.text), target) for t in self.common_tables
            ):
                raise ImpossibleEdit("it is unclear whose column this is", self.tokens[at].text)
            return same_name(target, table)
        if fold(table) not in used:
            return False
        simple = used == {fold(table)} and not self.common_tables
        renamed = at > 0 and self.tokens[at - 1].word == "AS"
        if not simple or renamed or None in self.alias_of.values():
            raise ImpossibleEdit("it is unclear whose column this is", self.tokens[at].text)
        return True


def queries_of(tokens: tuple[Token, ...]) -> tuple[Query, ...]:
    """The statements of a CREATE TRIGGER (its header first) or CREATE VIEW (all of it is one)."""
    row = [token for token in tokens if token.significant]
    if "TRIGGER" not in (token.word for token in row[1:3]):
        return (_read_query(row, header=False),)
    pieces: list[list[Token]] = [[]]
    depth = 0
    for at, token in enumerate(row):
        pieces[-1].append(token)
        depth += token.is_op("(") - token.is_op(")")
        begins = len(pieces) == 1 and token.word == "BEGIN" and at + 1 < len(row)
        if not depth and (token.is_op(";") or (begins and row[at + 1].word in _VERBS)):
            pieces.append([])
    return tuple(_read_query(piece, header=not at) for at, piece in enumerate(pieces) if piece)


_VERBS = frozenset({"INSERT", "UPDATE", "DELETE", "SELECT", "REPLACE", "WITH", "VALUES"})
_ENDS_FROM = frozenset(
    {
        *("SELECT", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "UNION", "EXCEPT", "INTERSECT"),
        *("SET", "RETURNING", "VALUES"),
    }
)


class _Reader:
    """Walks over one statement, noting tables where the grammar has a table."""

    def __init__(self, row: list[Token]) -> None:
        self.row = row
        self.tables: list[Token] = []
        self.aliases: dict[str, Token] = {}
        self.alias_of: dict[str, str | None] = {}

    def word(self, at: int) -> str:
        return self.row[at].word if 0 <= at < len(self.row) else ""

    def is_op(self, at: int, text: str) -> bool:
        return 0 <= at < len(self.row) and self.row[at].is_op(text)

    def names(self, at: int) -> bool:
        return at < len(self.row) and can_name(self.row[at])

    def table(self, at: int) -> int:
        """Note the (qualified) table at ``at`` and its alias; the place behind them."""
        while self.is_op(at + 1, ".") and self.names(at + 2):
            at += 2
        self.tables.append(self.row[at])
        return self.alias(at + 1, unquote(self.row[at].text))

    def alias(self, at: int, table: str | None) -> int:
        """Note an alias at ``at`` if there is one; the place behind it."""
        if self.word(at) == "AS":
            at += 1
        if at < len(self.row) and can_be_type_word(self.row[at]) and not self.is_op(at + 1, "."):
            name = fold(unquote(self.row[at].text))
            self.aliases[name] = self.row[at]
            known = self.alias_of.get(name, table)
            self.alias_of[name] = table if known == table else None
            return at + 1
        return at


def _read_query(row: list[Token], *, header: bool) -> Query:
    reader = _Reader(row)
    by_position: Insert | None = None
    target: str | None = None
    stack: list[tuple[bool, bool]] = []
    in_from = expects = False
    at = 0
    while at < len(row):
        token, word = row[at], row[at].word
        if token.is_op("("):
            query = reader.word(at + 1) in ("SELECT", "WITH", "VALUES")
            stack.append((in_from, expects))
            in_from = expects = expects and not query
        elif token.is_op(")"):
            in_from, was_table = stack.pop() if stack else (False, False)
            expects = False
            if was_table:
                at = reader.alias(at + 1, None)
                continue
        elif header:
            if word == "ON" and not reader.tables and reader.names(at + 1):
                at = _header_table(reader, at + 1)
                continue
        elif expects and can_name(token):
            expects = False
            at = reader.table(at)
            continue
        elif (
            (word == "FROM" and reader.word(at - 1) != "DISTINCT")
            or word == "JOIN"
            or (token.is_op(",") and in_from)
        ):
            in_from = expects = True
        elif word == "INTO" and reader.names(at + 1):
            at = reader.table(at + 1)
            target = unquote(reader.tables[-1].text)
            if not (reader.is_op(at, "(") or reader.word(at) == "DEFAULT"):
                by_position = Insert(target, row[at - 1].end, _shows_all(row[at:]))
            continue
        elif word == "UPDATE" and reader.word(at - 1) not in ("DO", "ON"):
            skip = 3 if reader.word(at + 1) == "OR" else 1
            if reader.names(at + skip):
                at = reader.table(at + skip)
                continue
        elif word == "IN" and reader.names(at + 1):
            at += 1
            while reader.is_op(at + 1, ".") and reader.names(at + 2):
                at += 2
            reader.tables.append(row[at])
        elif word in _ENDS_FROM:
            in_from = expects = False
        at += 1
    if target is not None:
        reader.alias_of.setdefault("excluded", target)
    return Query(
        tokens=tuple(row),
        tables=tuple(reader.tables),
        aliases=reader.aliases,
        alias_of=reader.alias_of,
        common_tables=tuple(_common_tables(reader)),
        by_position=by_position,
    )


def _shows_all(row: list[Token]) -> bool:
    """Whether a star stands where a column of a result may."""
    return any(
        token.is_op("*")
        and (before.word in ("SELECT", "DISTINCT", "ALL") or before.text in (",", "."))
        for before, token in itertools.pairwise(row)
    )


def _header_table(reader: _Reader, at: int) -> int:
    while reader.is_op(at + 1, ".") and reader.names(at + 2):
        at += 2
    reader.tables.append(reader.row[at])
    return at + 1


def _common_tables(reader: _Reader) -> list[Token]:
    """Names followed by ``AS (SELECT``, perhaps with a list of columns and a hint between."""
    found: list[Token] = []
    for at, token in enumerate(reader.row):
        if not can_name(token) or not (
            reader.word(at - 1) in ("WITH", "RECURSIVE") or reader.is_op(at - 1, ",")
        ):
            continue
        place = at + 1
        if reader.is_op(place, "("):
            depth = 1
            while depth and place + 1 < len(reader.row):
                place += 1
                depth += reader.is_op(place, "(") - reader.is_op(place, ")")
            place += 1
        if reader.word(place) != "AS":
            continue
        place += 1
        while reader.word(place) in ("NOT", "MATERIALIZED"):
            place += 1
        if reader.is_op(place, "(") and reader.word(place + 1) in ("SELECT", "VALUES", "WITH"):
            found.append(token)
    return found
