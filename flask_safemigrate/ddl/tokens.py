"""SQLite's tokens, so that the texts of all tokens joined give the input back.

The rules are those of SQLite's own tokenizer (``src/tokenize.c``), the lax ones included: a
``/*`` that never ends is a comment, ``$`` may stand inside a bare name, names and keywords are
compared in ASCII only. Keywords: https://sqlite.org/lang_keywords.html.
"""

from __future__ import annotations

import re
import string
from typing import Final, Literal, NamedTuple

from flask_safemigrate.errors import SafeMigrateError

Kind = Literal[
    "space", "comment", "name", "quoted", "string", "blob", "number", "parameter", "operator"
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Words that SQLite never takes for a name unless they are quoted.
RESERVED: Final = _words("""
    ADD ALL ALTER AND AS AUTOINCREMENT BETWEEN CASE CHECK COLLATE COMMIT CONSTRAINT CREATE DEFAULT
    DEFERRABLE DELETE DISTINCT DROP ELSE ESCAPE EXCEPT EXISTS FOREIGN FROM GROUP HAVING IN INDEX
    INSERT INTERSECT INTO IS ISNULL JOIN LIMIT NOT NOTHING NOTNULL NULL ON OR ORDER PRIMARY
    REFERENCES RETURNING SELECT SET TABLE THEN TO TRANSACTION UNION UNIQUE UPDATE USING VALUES WHEN
    WHERE
    """)

#: Words that can name a table or a column, but not be part of a type.
JOIN_WORDS: Final = _words("CROSS FULL INDEXED INNER LEFT NATURAL OUTER RIGHT")

#: All words with a meaning; what is not in RESERVED may be used as a bare name.
KEYWORDS: Final = (
    RESERVED
    | JOIN_WORDS
    | _words("""
    ABORT ACTION AFTER ALWAYS ANALYZE ASC ATTACH BEFORE BEGIN BY CASCADE CAST COLUMN CONFLICT
    CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP DATABASE DEFERRED DESC DETACH DO EACH END
    EXCLUDE EXCLUSIVE EXPLAIN FAIL FILTER FIRST FOLLOWING FOR GENERATED GLOB GROUPS IF IGNORE
    IMMEDIATE INITIALLY INSTEAD KEY LAST LIKE MATCH MATERIALIZED NO NULLS OF OFFSET OTHERS OVER
    PARTITION PLAN PRAGMA PRECEDING QUERY RAISE RANGE RECURSIVE REGEXP REINDEX RELEASE RENAME
    REPLACE RESTRICT ROLLBACK ROW ROWS SAVEPOINT TEMP TEMPORARY TIES TRIGGER UNBOUNDED VACUUM VIEW
    VIRTUAL WINDOW WITH WITHIN WITHOUT
    """)
)


class DDLError(SafeMigrateError):
    """Text that cannot be read, or an edit that cannot be made.

    :param message: what is wrong.
    :param where: an excerpt of the text at the place, or the name of the thing concerned.
    """

    def __init__(self, message: str, where: str = "", *, hint: str | None = None) -> None:
        super().__init__(f"{message}: {where}" if where else message, hint=hint)
        self.where = where


class UnreadableDDL(DDLError):
    """The text is not DDL that can be read without guessing."""


class ImpossibleEdit(DDLError):
    """The text was read, but the asked edit does not apply to it."""


class Span(NamedTuple):
    """A range of characters, half-open: ``text[start:end]``."""

    start: int
    end: int

    def of(self, sql: str) -> str:
        """The part of ``sql`` that it covers."""
        return sql[self.start : self.end]


class Token(NamedTuple):
    """One token: its kind, exact text and offset.

    A ``name`` is a bare word (keywords too), ``quoted`` a name in double quotes, backticks or
    square brackets, ``operator`` any operator or punctuation.
    """

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        """Offset just past the token."""
        return self.start + len(self.text)

    @property
    def span(self) -> Span:
        """The characters it covers."""
        return Span(self.start, self.end)

    @property
    def significant(self) -> bool:
        """Whether SQLite's parser sees it: all but space and comments."""
        return self.kind != "space" and self.kind != "comment"

    @property
    def is_line_comment(self) -> bool:
        """Whether it is a comment that only a line break ends."""
        return self.kind == "comment" and self.text.startswith("--")

    @property
    def word(self) -> str:
        """The upper-cased text of a bare word, "" of everything else."""
        return ascii_upper(self.text) if self.kind == "name" else ""

    def is_op(self, text: str) -> bool:
        """Whether it is this operator or punctuation mark."""
        return self.kind == "operator" and self.text == text


_TO_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_TO_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


def ascii_upper(text: str) -> str:
    """Upper case of ASCII letters only, as SQLite compares keywords."""
    return text.translate(_TO_UPPER)


def fold(name: str) -> str:
    """The form in which two names are equal for SQLite: ASCII letters in lower case."""
    return name.translate(_TO_LOWER)


def same_name(one: str, other: str) -> bool:
    """Whether SQLite takes two (unquoted) names for the same."""
    return fold(one) == fold(other)


# ASCII letters, digits, _, $ and all beyond ASCII; said by what is left out, such a class is
# compiled ten times faster.
_ID = r"[^\x00-\x23\x25-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]"
_FIRST = r"[^\x00-\x40\x5b-\x5e\x60\x7b-\x7f]"
_TOKEN = re.compile(
    rf"""
      (?P<space>   (?:[ \t\n\f\r]|\ufeff)[ \t\n\v\f\r]* )
    | (?P<comment> --[^\n]* | /\*(?=[\s\S]) )
    | (?P<blob>    [xX]' )
    | (?P<name>    {_FIRST}{_ID}* )
    | (?P<quote>   ["`'\[] )
    | (?P<number>  0[xX][0-9a-fA-F][0-9a-fA-F_]*
                 | (?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9][0-9_]*)? )
    | (?P<parameter> \?[0-9]*
                 | [$@:\#](?:::)*{_ID}(?:{_ID}|::)*(?:\([^\s)]*\))? )
    | (?P<operator> ->>|->|\|\||<<|<=|<>|<|>>|>=|>|==|=|!=|[-()+*/%&|~,;.] )
    """,
    re.VERBOSE,
)
_IS_ID = re.compile(_ID)
_BLOB = re.compile(r"[xX]'(?:[0-9a-fA-F]{2})*'")
_CLOSING = {'"': '"', "`": "`", "'": "'", "[": "]"}


def tokenize(sql: str) -> tuple[Token, ...]:
    """Split any text into SQLite's tokens, in time linear in its length.

    :raises UnreadableDDL: at the first place that is no token of SQLite's: an unterminated quote,
        a bad blob or number, a stray character, a NUL.
    """
    tokens: list[Token] = []
    at, size = 0, len(sql)
    while at < size:
        match = _TOKEN.match(sql, at)
        if match is None:
            raise UnreadableDDL("unrecognized token", excerpt(sql, at))
        kind, end = match.lastgroup, match.end()
        if kind == "quote":
            end = _end_of_quoted(sql, at)
            kind = "string" if sql[at] == "'" else "quoted"
        elif kind == "blob":
            blob = _BLOB.match(sql, at)
            if blob is None:
                raise UnreadableDDL("malformed blob", excerpt(sql, at))
            end = blob.end()
        elif kind == "comment" and sql[at] == "/":
            closing = sql.find("*/", at + 2)
            end = size if closing < 0 else closing + 2
        elif kind == "number" and _IS_ID.match(sql, end):
            raise UnreadableDDL("malformed number", excerpt(sql, at))
        elif kind == "parameter" and sql[at] != "?" and sql.startswith("(", end):
            raise UnreadableDDL("malformed parameter", excerpt(sql, at))
        text = sql[at:end]
        tokens.append(Token(kind, text, at))  # type: ignore[arg-type]
        at = end
    if "\0" in sql:
        raise UnreadableDDL("NUL character", excerpt(sql, sql.index("\0")))
    return tuple(tokens)


def _end_of_quoted(sql: str, start: int) -> int:
    closing = _CLOSING[sql[start]]
    at = sql.find(closing, start + 1)
    while at >= 0 and closing != "]" and sql.startswith(closing, at + 1):
        at = sql.find(closing, at + 2)
    if at < 0:
        raise UnreadableDDL("unterminated quote", excerpt(sql, start))
    return at + 1


def significant(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """The tokens without space and comments."""
    return tuple(token for token in tokens if token.significant)


def excerpt(sql: str, at: int) -> str:
    """A short piece of ``sql`` from ``at``, for a message."""
    piece = " ".join(sql[at : at + 40].split())
    return repr(piece + ("..." if at + 40 < len(sql) else ""))


def unquote(text: str) -> str:
    """The name or string that a token's text stands for; a bare word stands for itself.

    https://sqlite.org/lang_keywords.html; a doubled closing quote stands for one.
    """
    closing = _CLOSING.get(text[:1])
    if closing is None:
        return text
    inner = text[1:-1]
    return inner if closing == "]" else inner.replace(closing * 2, closing)


def quote(name: str) -> str:
    """``name`` in double quotes: right in every place and every version."""
    return '"' + name.replace('"', '""') + '"'


def quote_string(text: str) -> str:
    """``text`` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def quote_if_needed(name: str) -> str:
    """``name`` bare where that is safe, in double quotes where it is a keyword or has other
    characters than ASCII letters, digits and the underscore."""
    if _PLAIN.match(name) and ascii_upper(name) not in KEYWORDS:
        return name
    return quote(name)


def op_execute(sql: str) -> str:
    """The call by which a revision runs a statement, as Python."""
    return f"op.execute({in_python(sql)})"


def in_python(text: str) -> str:
    """``text`` as a Python string literal, in double quotes where that needs no escapes."""
    return repr(text) if re.search(r'["\\\n]', text) else f'"{text}"'
