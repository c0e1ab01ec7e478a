"""The tokenizer loses nothing, never hangs, and splits as SQLite does."""

from __future__ import annotations

import contextlib
import sqlite3
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_safemigrate.ddl.tokens import (
    KEYWORDS,
    RESERVED,
    UnreadableDDL,
    fold,
    quote,
    quote_if_needed,
    quote_string,
    same_name,
    tokenize,
    unquote,
)
from tests.ddl.strategies import examples

SQL_LIKE = st.lists(
    st.sampled_from(
        [
            *(
                "'",
                '"',
                "`",
                "[",
                "]",
                "''",
                '""',
                "/*",
                "*/",
                "--",
                "\n",
                " ",
                "x'",
                "X'ab'",
                "0x",
            ),
            *(
                "0xf_f",
                "1",
                "1.",
                ".5",
                "e",
                "1e5",
                "1e+",
                "_",
                "$",
                "$a(",
                "@",
                ":a",
                "::",
                "?1",
                "#",
            ),
            *(
                "(",
                ")",
                ",",
                ";",
                ".",
                "->",
                "->>",
                "||",
                "|",
                "<",
                "<>",
                "!",
                "!=",
                "==",
                "~",
                "&",
            ),
            *("a", "B_1", "é", "\ufeff", "\v", "\t", "\\", "{", "SELECT", "*", "/", "-", "+", "%"),
        ]
    ),
    max_size=20,
).map("".join)


@given(st.one_of(st.text(), SQL_LIKE))
@examples(500)
def test_tokens_joined_give_the_text_back(text: str) -> None:
    try:
        tokens = tokenize(text)
    except UnreadableDDL:
        return
    assert "".join(token.text for token in tokens) == text
    at = 0
    for token in tokens:
        assert token.start == at
        assert token.text
        at = token.end


@given(SQL_LIKE)
@examples(300)
def test_what_is_refused_sqlite_refuses_too(text: str) -> None:
    """A text whose tokens cannot be told is no SQL to SQLite either (inside a trigger's body, so
    that SQLite reads on to the end of the text)."""
    try:
        tokenize(text)
    except UnreadableDDL:
        connection = sqlite3.connect(":memory:")
        with pytest.raises((sqlite3.Error, sqlite3.Warning, ValueError)):
            connection.execute("SELECT 1 AS a/**/" + text)
        connection.close()


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("a b", "name space name"),
        ("a/*b*/c", "name comment name"),
        ("a--b\nc", "name comment space name"),
        ("/* open", "comment"),
        ("/*/", "comment"),
        ("/**/x", "comment name"),
        ("/*", "operator operator"),
        ("--", "comment"),
        ("'a''b'", "string"),
        ('"a""b"`c``d`[e"f]', "quoted quoted quoted"),
        ("x'0aF1'X''", "blob blob"),
        ("xy'a'", "name string"),
        ("1 .5 5. 1.5e-3 1E5 0xFf 1_000 0x1_f 1_0.5_0e1_0", " space ".join(["number"] * 9)),
        ("1.a", None),
        ("1e", None),
        ("12abc", None),
        ("0x", None),
        ("1..2", "number number"),
        ("a.b.c", "name operator name operator name"),
        ("?1 ? :a @b $c $d::e(f) #g", " space ".join(["parameter"] * 7)),
        ("a->b->>c", "name operator name operator name"),
        ("a<>b!=c||d<<e==f", "name" + " operator name" * 5),
        ("$a$b", "parameter"),
        ("a$b é_1 \u00a0", "name space name space name"),
        ("\ufeffa\ufeff", "space name"),
        (" \v\n", "space"),
        ("\v", None),
        ("'open", None),
        ('"open', None),
        ("[open", None),
        ("x'abc'", None),
        ("x'ag'", None),
        ("!", None),
        ("@", None),
        ("\\", None),
        ("{", None),
        ("a\0", None),
        ("'\0'", None),
        ("$a(b c)", None),
        ("", ""),
    ],
)
def test_kinds(text: str, kinds: str | None) -> None:
    if kinds is None:
        with pytest.raises(UnreadableDDL):
            tokenize(text)
    else:
        assert [token.kind for token in tokenize(text)] == kinds.split()


@pytest.mark.parametrize(
    "piece", ["(", "'", '"a" ', "/*", "--", "[a]", "1_", ".", "a ", "x''", "$a::", "$a(", "\ufeff"]
)
def test_time_is_linear(piece: str) -> None:
    def seconds(times: int) -> float:
        text = piece * times
        start = time.process_time()
        with contextlib.suppress(UnreadableDDL):
            tokenize(text)
        return time.process_time() - start

    seconds(1000)
    # Quadratic work would take 400 times as long.
    assert min(seconds(40_000) for _ in range(3)) < 200 * max(seconds(2_000), 0.001)


@given(st.text(alphabet="aB_1 \"'`[]$é.-\ufeff", max_size=8))
@examples(200)
def test_quoted_names_are_what_they_were(name: str) -> None:
    assert unquote(quote(name)) == name
    assert unquote(quote_if_needed(name)) == name
    assert unquote(quote_string(name)) == name
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE t({quote_if_needed(name)} INT, {quote(name + '2')} INT)")
    found = [row[1] for row in connection.execute("PRAGMA table_info(t)")]
    assert found == [name, name + "2"]
    connection.close()


@pytest.mark.parametrize("word", sorted(KEYWORDS))
def test_keywords_are_sqlites(word: str) -> None:
    """Reserved words cannot name a column bare; all others can, and get quotes nevertheless."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(f"CREATE TABLE t({word} INT)")
        accepted = True
    except sqlite3.OperationalError:
        accepted = False
    assert accepted is (word not in RESERVED)
    assert quote_if_needed(word.lower()) == f'"{word.lower()}"'
    connection.execute(f"CREATE TABLE u({quote_if_needed(word)} INT)")
    connection.close()


@given(
    st.text(alphabet="aAzZéÉİ\u0131\u017fsK\u212a", max_size=4),
    st.text(alphabet="aAéÉİ\u0131\u017fsK\u212a", max_size=4),
)
@examples(200)
def test_names_are_the_same_when_sqlite_says_so(one: str, other: str) -> None:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(f"CREATE TABLE t({quote(one)}, {quote(other)})")
        differ = True
    except sqlite3.OperationalError:
        differ = False
    connection.close()
    assert same_name(one, other) is not differ
    assert (fold(one) == fold(other)) is not differ


def test_the_error_shows_the_place() -> None:
    with pytest.raises(UnreadableDDL, match=r"unterminated quote: '\"name TEXT, more text'"):
        tokenize('CREATE TABLE t(a, "name TEXT,\n  more text')
