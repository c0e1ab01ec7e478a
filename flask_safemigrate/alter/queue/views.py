"""Renames a column under views that SQLite's own RENAME COLUMN cannot follow.

SQLite renames the words that mean the column, so that a view which lists it gets another column
too; what reads the view by the old name then fails ("error in view v after rename: no such
column"). Here such a view keeps its columns, as in PostgreSQL: it reads the table through a
subquery that gives the column its old name.
"""

from __future__ import annotations

from flask_safemigrate.alter.queue.scratch import Entry, Scratch
from flask_safemigrate.ddl.queries import Query, queries_of
from flask_safemigrate.ddl.references import (
    mentions_column,
    mentions_table,
    read_view,
    rename_trigger_column,
)
from flask_safemigrate.ddl.splice import Change, splice
from flask_safemigrate.ddl.tokens import (
    ImpossibleEdit,
    fold,
    quote,
    quote_string,
    same_name,
    unquote,
)

_ROWIDS = frozenset({"rowid", "_rowid_", "oid"})


def rename_under(scratch: Scratch, table: str, alter: str, old: str, new: str) -> list[str]:
    """The statements that rename a column and keep the columns of all views.

    :param alter: SQLite's own statement for it.
    :raises ImpossibleEdit: a view or trigger cannot be read with certainty.
    """
    columns = [row[1] for row in scratch.db.execute(f"PRAGMA table_xinfo({quote_string(table)})")]
    views, triggers = _over(scratch, table)
    drops = [f"DROP TRIGGER {quote(each.name)}" for each in triggers]
    drops += [f"DROP VIEW {quote(each.name)}" for each in reversed(views)]
    made = [_through(each.sql or "", table, columns, old, new) for each in views]
    for each in triggers:
        sql = each.sql or ""
        made.append(
            rename_trigger_column(sql, table, old, new)
            if mentions_column(sql, table, old)
            else sql
        )
    return [*drops, alter, *made]


def _over(scratch: Scratch, table: str) -> tuple[list[Entry], list[Entry]]:
    """The views that read the table, directly or not, and the triggers that need one of these."""
    entries = [each for each in scratch.entries() if each.sql is not None]
    names = {fold(table)}
    while True:
        views = [
            each
            for each in entries
            if each.type == "view" and any(mentions_table(each.sql or "", name) for name in names)
        ]
        found = names | {fold(each.name) for each in views}
        if found == names:
            break
        names = found
    names.discard(fold(table))
    triggers = [
        each
        for each in entries
        if each.type == "trigger" and any(mentions_table(each.sql or "", name) for name in names)
    ]
    return views, triggers


def _through(sql: str, table: str, columns: list[str], old: str, new: str) -> str:
    """The view with a subquery wherever it reads the table.

    The subquery has the columns that the view may mean and no more, so that others can go.
    """
    view = read_view(sql)
    words = {fold(unquote(each.text)) for each in view.tokens}
    meant = [each for each in columns if words & {"*", "natural"} or fold(each) in words]
    listed = ", ".join(
        f"{quote(new)} AS {quote(each)}" if same_name(each, old) else quote(each) for each in meant
    )
    if not any(same_name(each, old) for each in meant):
        return sql
    changes = []
    for query in queries_of(view.tokens):
        reads = [each for each in query.tables if same_name(unquote(each.text), table)]
        if not reads:
            continue
        if any(same_name(unquote(each.text), table) for each in query.common_tables):
            raise ImpossibleEdit("it is unclear which table this is", reads[0].text)
        own = {fold(each) for each in columns}
        for each in query.tokens:
            if fold(unquote(each.text)) in _ROWIDS - own:
                raise ImpossibleEdit("a subquery has no rowid", each.text)
        changes += [_subquery(query, query.tokens.index(each), listed) for each in reads]
    return splice(sql, changes)


def _subquery(query: Query, at: int, listed: str) -> Change:
    token = query.tokens[at]
    first = query.tokens[at - 2] if query.is_qualified(at) else token
    text = f"(SELECT {listed} FROM {token.text})"
    after = [each for each in query.tokens[at + 1 : at + 3] if each.word != "AS"][:1]
    aliased = bool(after) and after[0] in query.aliases.values()
    if query.tokens[at - 1].word != "IN" and not aliased:
        text += f" AS {token.text}"
    return Change(first.start, token.end, text)
