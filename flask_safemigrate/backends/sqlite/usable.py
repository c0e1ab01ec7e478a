"""Tables and views that SQLite takes, and then compiles no statement for.

A DEFAULT, a CHECK or a generated column may call a function that there is not: SQLite looks for it
when a statement needs it, and not when the table is made.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flask_safemigrate.backends.sqlite.files import quoted
from flask_safemigrate.ddl.create_table import read_create_table
from flask_safemigrate.ddl.references import read_trigger
from flask_safemigrate.ddl.tokens import DDLError, quote_string
from flask_safemigrate.facts.examination import Unusable

Ask = Callable[[str], Iterable[Any]]

_LACKS = re.compile(
    r"(?:no such|unknown) function: ([^ ()]+)"
    r"|no such collation sequence: (.+)"
    r"|(?:wrong number of arguments to|misuse of aggregate|misuse of window) function ([^ ()]+)"
    r"|no such module: (.+)"
    r"|unsafe use of ([^ ()]+)\(\)"
)


def unusable(ask: Ask, names: Iterable[str] | None = None) -> list[Unusable]:
    """Return what cannot be read or written; compiles statements and runs none (EXPLAIN).

    :param ask: runs a statement and returns its rows.
    :param names: the tables and views to look at, in any case; every one unless given.
    """
    wanted = None if names is None else {name.lower() for name in names}
    objects = list(
        ask(
            "SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'view') "
            r"AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY rowid"
        )
    )
    return [
        fault
        for kind, name, sql in objects
        if wanted is None or name.lower() in wanted
        for fault in _faults(ask, kind, name, sql or "")
    ]


def _faults(ask: Ask, kind: str, name: str, sql: str) -> Iterator[Unusable]:
    known: set[str] = set()
    for verb, statement in _statements(ask, kind, name, sql):
        try:
            list(ask(f"EXPLAIN {statement}"))
        except Exception as error:
            reason = str(getattr(error, "orig", error)).strip()
            lacks = _LACKS.search(reason)
            word = next((each for each in lacks.groups() if each), "") if lacks else ""
            if word and word not in known:
                known.add(word)
                yield Unusable(kind, name, _column(sql, word), verb, reason, word)


def _statements(ask: Ask, kind: str, name: str, sql: str) -> Iterator[tuple[str, str]]:
    """What an application may say, by its verb."""
    table = quoted(name)
    if kind == "view" or _is_virtual(sql):
        yield "SELECT", f"SELECT * FROM {table}"
        # Its module writes to a virtual table, and a trigger to a view.
        events = _events(ask, name) if kind == "view" else set()
    else:
        events = {"INSERT", "UPDATE", "DELETE"}
    try:
        columns = [(quoted(row[1]), row[6]) for row in ask(f"PRAGMA table_xinfo({table})")]
    except Exception:
        # Of a view that cannot be read.
        return
    stored = [column for column, hidden in columns if not hidden]
    if kind == "table" and not _is_virtual(sql):
        # What is put in order needs its collation.
        order = ", ".join(column for column, _ in columns)
        yield "SELECT", f"SELECT * FROM {table} ORDER BY {order}"
    if "INSERT" in events:
        values = f"({', '.join(stored)}) VALUES ({', '.join('NULL' for _ in stored)})"
        yield "INSERT", f"INSERT INTO {table} {values if kind == 'view' else 'DEFAULT VALUES'}"
    if "UPDATE" in events and stored:
        yield "UPDATE", f"UPDATE {table} SET {', '.join(f'{c} = {c}' for c in stored)}"
    if "DELETE" in events:
        yield "DELETE", f"DELETE FROM {table}"


def _is_virtual(sql: str) -> bool:
    return sql[:14].upper() == "CREATE VIRTUAL"


def _events(ask: Ask, view: str) -> set[str]:
    """What the triggers of a view stand in for."""
    texts = ask(
        "SELECT sql FROM sqlite_master WHERE type = 'trigger' "
        f"AND tbl_name = {quote_string(view)} COLLATE NOCASE"
    )
    events = set()
    for (sql,) in texts:
        with contextlib.suppress(DDLError):
            events.add(read_trigger(sql).event)
    return events


def _column(sql: str, word: str) -> str:
    """The column whose definition has a word, "" where there is none."""
    try:
        table = read_create_table(sql)
    except DDLError:
        return ""
    has = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
    return next((c.name.value for c in table.columns if has.search(c.span.of(table.sql))), "")
