"""Random CREATE TABLE texts that SQLite accepts."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st

from flask_safemigrate.ddl.tokens import fold
from tests.ddl.oracle import facts_of_sqlite


def examples(count: int) -> Callable[[Any], Any]:
    """Settings with so many examples, times SAFEMIGRATE_TEST_EXAMPLES."""
    times = float(os.environ.get("SAFEMIGRATE_TEST_EXAMPLES", "1"))
    return settings(
        max_examples=max(1, int(count * times)),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


NAMES = (
    *("a", "B", "c_1", "id", "name", "end", "key", "like", "left", "action", "größe", "text"),
    *("select", "x y", "it's", 'say "hi"', "b]", "tick`", "", "a.b", "Order", "nocase", "-- no"),
    *("first", "cast", "window", "generated", "always", "no", "current_date", "replace", "1st"),
)
TYPES = (
    *("", "", "INT", "INTEGER", "INTEGER", "TEXT", "VARCHAR ( 20 )", "DECIMAL(10 , 2 )", "BLOB"),
    *("REAL", "double precision", "unsigned big int", '"quoted type"', "[int]", "'text'", "any"),
    *("DATETIME", "BOOLEAN", "numeric(+5)", "key", "JSON"),
)
DEFAULTS = (
    *("5", "+ 5", "-5", "- 1.5e3", "'it''s -- x'", "NULL", "x'ab'", "(1 + 2)", "(')')", "true"),
    *("CURRENT_TIMESTAMP", '"quoted"', "foo", "0x1F", "( datetime('now') )"),
)
CONFLICTS = ("", "", "", " ON CONFLICT IGNORE", " on conflict replace", " ON CONFLICT FAIL")
GAPS = (" ", " ", " ", "\n  ", "\t", " /* , ) */ ", " -- it's (\n", "/**/")
INLINE = (
    *("NOT NULL", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES", "NAME"),
    "DEFERRABLE",
)
ACTIONS = ("CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION")
DEFERRALS = ("", "", "DEFERRABLE", "NOT DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED")


def spelled(name: str, style: int) -> str:
    """A name in one of its quotings, whichever is possible."""
    plain = name.isascii() and name.replace("_", "").isalnum() and not name[:1].isdigit()
    if style == 0 and plain and name.lower() not in ("select", "order"):
        return name
    if style == 1 and "]" not in name:
        return f"[{name}]"
    if style == 2:
        return "`" + name.replace("`", "``") + "`"
    return '"' + name.replace('"', '""') + '"'


@st.composite
def names(draw: st.DrawFn) -> str:
    return spelled(draw(st.sampled_from(NAMES)), draw(st.integers(0, 3)))


@st.composite
def expressions(draw: st.DrawFn, columns: list[str], table: str) -> str:
    style = draw(st.integers(0, 3))
    column = spelled(draw(st.sampled_from(columns)), style)
    other = spelled(draw(st.sampled_from(columns)), 3)
    if column.lower() in ("cast", "current_date", "like", "replace", "left"):
        column = f'"{column}"'
    form = draw(
        st.sampled_from(
            (
                "{c} > 0",
                "length({c}) < 10 AND {o} IS NOT NULL",
                "{c} IN ('a', ')', (1))",
                "CASE WHEN {c} > 1 THEN {o} ELSE 'end' END",
                "{c} COLLATE nocase = 'x' OR {c} NOT LIKE 'b%'",
                "CAST({c} AS text) || {o} <> ''",
                "{t}.{c} BETWEEN 1 AND 2",
                "({c}) IS {o}",
                "{c} /* ) */ != -- (\n 5",
                "coalesce({c}, {o}, 'text') NOTNULL",
            )
        )
    )
    return form.format(c=column, o=other, t=spelled(table, 3))


@st.composite
def foreign_keys(draw: st.DrawFn, columns: list[str], table: str, width: int) -> str:
    parent = draw(st.sampled_from(("parent", "p q", table)))
    text = f"REFERENCES {spelled(parent, draw(st.integers(0, 3)))}"
    if draw(st.booleans()):
        targets = draw(st.permutations(columns)) if parent == table else ["x", "y z", "w"]
        assume(len(targets) >= width)
        text += "(" + ",".join(spelled(name, 3) for name in targets[:width]) + ")"
    for event in draw(st.lists(st.sampled_from(("DELETE", "UPDATE")), max_size=2)):
        text += f" ON {event} {draw(st.sampled_from(ACTIONS))}"
    if draw(st.integers(0, 4)) == 0:
        text += " MATCH FULL"
    return f"{text} {draw(st.sampled_from(DEFERRALS))}"


@st.composite
def column_definitions(
    draw: st.DrawFn, name: str, columns: list[str], table: str, *, may_be_key: bool
) -> str:
    pieces = [spelled(name, draw(st.integers(0, 3)))]
    declared = draw(st.sampled_from(TYPES))
    kinds = draw(
        st.lists(
            st.sampled_from(INLINE),
            max_size=4,
        )
    )
    if may_be_key:
        kinds = ["PRIMARY KEY", *kinds]
        declared = draw(st.sampled_from(("INTEGER", "INTEGER", "integer", "INT", "TEXT", "")))
    generated = not may_be_key and len(columns) > 1 and draw(st.integers(0, 5)) == 0
    if generated:
        kinds = [kind for kind in kinds if kind not in ("DEFAULT", "DEFERRABLE")]
        kinds.insert(draw(st.integers(0, len(kinds))), "GENERATED")
    pieces.append(declared)
    for kind in kinds:
        prefix = f"CONSTRAINT {draw(names())} " if draw(st.integers(0, 5)) == 0 else ""
        conflict = draw(st.sampled_from(CONFLICTS))
        if kind == "PRIMARY KEY":
            kind += draw(st.sampled_from(("", " ASC", " DESC"))) + conflict
            if declared.upper() == "INTEGER" and "DESC" not in kind and draw(st.booleans()):
                kind += " AUTOINCREMENT"
        elif kind in ("NOT NULL", "NULL", "UNIQUE"):
            kind += conflict
        elif kind == "CHECK":
            kind += f" ({draw(expressions(columns, table))})"
        elif kind == "DEFAULT":
            kind += f" {draw(st.sampled_from(DEFAULTS))}"
        elif kind == "COLLATE":
            kind += " " + draw(st.sampled_from(("nocase", "BINARY", "'rtrim'", "[x y]", "odd")))
        elif kind == "REFERENCES":
            kind = draw(foreign_keys(columns, table, 1))
        elif kind == "NAME":
            prefix, kind = "", f"CONSTRAINT {draw(names())}"
        elif kind == "GENERATED":
            others = [column for column in columns if column != name]
            # Told by spelling, not by grammar: a comment inside would make it part of the type.
            words = draw(st.sampled_from(("AS", "GENERATED\nALWAYS AS")))
            storage = draw(st.sampled_from(("", "STORED", "VIRTUAL")))
            kind = f"{words} ({draw(expressions(others[:1], table))}) {storage}"
        pieces.append(prefix + kind)
    return " ".join(piece for piece in pieces if piece)


@st.composite
def table_constraints(draw: st.DrawFn, columns: list[str], table: str) -> str:
    some = draw(st.permutations(columns))[: draw(st.integers(1, len(columns)))]
    prefix = f"CONSTRAINT {draw(names())} " if draw(st.booleans()) else ""
    kind = draw(st.sampled_from(("UNIQUE", "CHECK", "FOREIGN KEY", "NAME")))
    if kind == "UNIQUE":
        return f"{prefix}UNIQUE ({draw(key_parts(some))}){draw(st.sampled_from(CONFLICTS[:4]))}"
    if kind == "CHECK":
        return f"{prefix}CHECK ({draw(expressions(columns, table))})"
    if kind == "NAME":
        return f"CONSTRAINT {draw(names())}"
    listed = ",".join(spelled(name, draw(st.integers(0, 3))) for name in some)
    return f"{prefix}FOREIGN KEY ({listed}) {draw(foreign_keys(columns, table, len(some)))}"


@st.composite
def key_parts(draw: st.DrawFn, columns: list[str]) -> str:
    parts = []
    for name in columns:
        text = spelled(name, draw(st.integers(0, 3)))
        if draw(st.integers(0, 5)) == 0:
            text = "'" + name.replace("'", "''") + "'"
        text += draw(st.sampled_from(("", "", " COLLATE nocase", " COLLATE [x y]")))
        parts.append(text + draw(st.sampled_from(("", "", " ASC", " DESC"))))
    return " , ".join(parts)


@st.composite
def table_texts(draw: st.DrawFn) -> str:
    """A CREATE TABLE text with any of SQLite's features, quotings, comments and layouts."""
    table = draw(st.sampled_from(("t", "my table", "Select", "t", 'x"y')))
    columns = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique_by=fold))
    key_place = draw(st.sampled_from((None, None, 0, 1, "table")))
    items = []
    for at, name in enumerate(columns):
        items.append(draw(column_definitions(name, columns, table, may_be_key=at == key_place)))
    constraints = [draw(table_constraints(columns, table)) for _ in range(draw(st.integers(0, 3)))]
    if key_place == "table":
        some = draw(st.permutations(columns))[: draw(st.integers(1, len(columns)))]
        constraints.insert(
            draw(st.integers(0, len(constraints))), f"PRIMARY KEY ({draw(key_parts(some))})"
        )
    option = draw(
        st.sampled_from(("", "", "", "", "WITHOUT ROWID", "STRICT", "STRICT , WITHOUT ROWID"))
    )
    gaps = draw(st.lists(st.sampled_from(GAPS), min_size=1, max_size=7))
    comma = draw(st.sampled_from((",", " , ", ",\n    ", "\n  , ", ", -- of it\n  ", ",/* x */")))
    between = "" if draw(st.integers(0, 5)) == 0 else comma
    body = comma.join(items)
    if constraints:
        body += comma + (between or " ").join(constraints)
    head = draw(st.sampled_from(("CREATE TABLE ", "create table ", "CREATE TABLE IF NOT EXISTS ")))
    opening, closing = draw(st.sampled_from((("(", ")"), (" (\n    ", "\n)"), ("( ", " -- z\n)"))))
    text = head + spelled(table, draw(st.integers(0, 3))) + opening + body + closing + " " + option
    if draw(st.booleans()):
        text = _with_gaps(text, gaps)
    try:
        facts_of_sqlite(text)
    except sqlite3.Error:
        assume(False)
    return text


def _with_gaps(text: str, gaps: list[str]) -> str:
    """Replace every single space outside quotes and comments by one of the gaps in turn."""
    result, at, turn = "", 0, 0
    while at < len(text):
        closing = {'"': '"', "'": "'", "`": "`", "[": "]"}.get(text[at])
        if closing is not None:
            end = text.index(closing, at + 1) + 1
        elif text.startswith("--", at):
            end = text.index("\n", at) + 1
        elif text.startswith("/*", at):
            end = text.index("*/", at + 2) + 2
        else:
            end = at + 1
        if text[at:end] == " ":
            result += gaps[turn % len(gaps)]
            turn += 1
        else:
            result += text[at:end]
        at = end
    return result
