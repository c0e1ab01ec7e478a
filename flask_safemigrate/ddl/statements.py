"""Splits scripts into statements and says what one statement does to which tables."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from flask_safemigrate.ddl.cursor import Cursor
from flask_safemigrate.ddl.tokens import DDLError, tokenize


class Statement(NamedTuple):
    """What a statement does.

    :ivar kind: ``select``, ``insert`` (REPLACE too), ``update``, ``delete``, ``create table``,
        ``create index``, ``create trigger``, ``create view``, ``create virtual table``, ``drop
        table`` (and so on), ``alter table``, ``pragma``, ``explain``, ``empty``; for BEGIN,
        COMMIT, SAVEPOINT, VACUUM and their like the word in lower case; else ``other``.
    :ivar targets: the tables or views it writes, creates, changes or drops; for an index or
        trigger that it creates, the table that one is on. Schemas are left out. Empty where the
        statement does not say (DROP INDEX) or cannot be read.
    """

    kind: str
    targets: tuple[str, ...]


_PLAIN = frozenset(
    {
        *("PRAGMA", "EXPLAIN", "BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"),
        *("VACUUM", "ANALYZE", "REINDEX", "ATTACH", "DETACH"),
    }
)


@lru_cache(maxsize=64)
def statement_targets(sql: str) -> Statement:
    """What the (first) statement of ``sql`` does; text of another dialect may be ``other``."""
    try:
        cursor = Cursor(sql)
    except DDLError:
        return Statement("other", ())
    while cursor.accept_op(";"):
        pass
    return statement_at(cursor)


def statement_at(cursor: Cursor) -> Statement:
    """The same for the statement that begins at the cursor, which moves on."""
    if cursor.done:
        return Statement("empty", ())
    start = cursor.at
    try:
        if cursor.sees("WITH"):
            _skip_common_tables(cursor)
    except DDLError:
        return Statement("other", ())
    word = cursor.tokens[cursor.at].word if not cursor.done else ""
    if cursor.at == start and word in _PLAIN:
        return Statement(word.lower(), ())
    if word in ("SELECT", "VALUES") or cursor.sees_op("("):
        return Statement("select", ())
    kind = _kind(cursor)
    if kind is None:
        return Statement("other", ())
    try:
        return Statement(kind, _targets(cursor, kind))
    except DDLError:
        return Statement(kind, ())


def _skip_common_tables(cursor: Cursor) -> None:
    cursor.expect("WITH")
    cursor.accept("RECURSIVE")
    while True:
        cursor.name("a table name")
        if cursor.sees_op("("):
            cursor.parenthesized()
        cursor.expect("AS")
        cursor.accept("NOT")
        cursor.accept("MATERIALIZED")
        cursor.parenthesized()
        if not cursor.accept_op(","):
            return


def _kind(cursor: Cursor) -> str | None:
    """Read the words that say what is done; the cursor then stands before the name or its
    ``IF [NOT] EXISTS``."""
    if cursor.accept("INSERT") or cursor.accept("REPLACE"):
        return "insert"
    if cursor.accept("UPDATE"):
        return "update"
    if cursor.accept("DELETE"):
        return "delete"
    if cursor.accept("ALTER", "TABLE"):
        return "alter table"
    if cursor.accept("CREATE"):
        if not cursor.accept("TEMP"):
            cursor.accept("TEMPORARY")
        cursor.accept("UNIQUE")
        verb = "create"
    elif cursor.accept("DROP"):
        verb = "drop"
    else:
        return None
    if cursor.accept("VIRTUAL", "TABLE"):
        return f"{verb} virtual table"
    for what in ("TABLE", "INDEX", "VIEW", "TRIGGER"):
        if cursor.accept(what):
            return f"{verb} {what.lower()}"
    return None


def _targets(cursor: Cursor, kind: str) -> tuple[str, ...]:
    if kind in ("insert", "update") and cursor.accept("OR"):
        cursor.take()
    if kind == "insert":
        cursor.expect("INTO")
    if kind == "delete":
        cursor.expect("FROM")
    if kind.startswith(("create", "drop")) and not cursor.accept("IF", "NOT", "EXISTS"):
        cursor.accept("IF", "EXISTS")
    if kind in ("drop index", "drop trigger"):
        return ()
    _, name = cursor.qualified_name("a name")
    if kind in ("create index", "create trigger"):
        while not cursor.accept("ON"):
            cursor.take()
        _, name = cursor.qualified_name("a table name")
    if kind == "alter table" and cursor.accept("RENAME", "TO"):
        return name.value, cursor.name("a table name").value
    return (name.value,)


def split_statements(script: str) -> tuple[str, ...]:
    """The statements of a script, each with its semicolon, blank ends taken off.

    A semicolon inside ``CREATE TRIGGER ... END`` ends nothing, as in ``sqlite3_complete()``.

    :raises UnreadableDDL: the script has something that is no token.
    """
    pieces: list[str] = []
    start, state, begun = 0, "START", False
    for token in tokenize(script):
        if not token.significant:
            continue
        state = _NEXT[state].get(";" if token.is_op(";") else token.word, _OTHERWISE[state])
        begun = begun or not token.is_op(";")
        if state == "START":
            if begun:
                pieces.append(script[start : token.end].strip())
            start, begun = token.end, False
    if begun:
        pieces.append(script[start:].strip())
    return tuple(pieces)


# The states of sqlite3_complete() (src/complete.c): a trigger goes on until "; END ;".
_NEXT = {
    "START": {";": "START", "EXPLAIN": "EXPLAIN", "CREATE": "CREATE"},
    "NORMAL": {";": "START"},
    "EXPLAIN": {
        ";": "START",
        "CREATE": "CREATE",
        **dict.fromkeys(("EXPLAIN", "TEMP", "TEMPORARY", "TRIGGER", "END"), "NORMAL"),
    },
    "CREATE": {";": "START", "TEMP": "CREATE", "TEMPORARY": "CREATE", "TRIGGER": "TRIGGER"},
    "TRIGGER": {";": "SEMICOLON"},
    "SEMICOLON": {";": "SEMICOLON", "END": "END"},
    "END": {";": "START"},
}
_OTHERWISE = {
    **dict.fromkeys(("START", "NORMAL", "CREATE"), "NORMAL"),
    **dict.fromkeys(("TRIGGER", "SEMICOLON", "END"), "TRIGGER"),
    "EXPLAIN": "EXPLAIN",
}
