"""Reads and renames inside the text of indexes, triggers, views and other tables' foreign keys.

A question may be answered yes too often, but never no wrongly; a rename that could be wrong is
refused. (SQLite's own ``ALTER TABLE ... RENAME`` knows more of triggers and views than any reader
of tokens; these functions are for the cases where it cannot be used.)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from flask_safemigrate.ddl.create_table import CreateTable, read_create_table
from flask_safemigrate.ddl.cursor import Cursor, KeyPart, Name
from flask_safemigrate.ddl.edits import set_references, spelled
from flask_safemigrate.ddl.expressions import column_tokens
from flask_safemigrate.ddl.queries import Insert, Query, queries_of
from flask_safemigrate.ddl.questions import foreign_keys_to
from flask_safemigrate.ddl.splice import Change, splice
from flask_safemigrate.ddl.statements import (
    Statement,
    split_statements,
    statement_at,
    statement_targets,
)
from flask_safemigrate.ddl.tokens import (
    RESERVED,
    ImpossibleEdit,
    Span,
    Token,
    quote,
    quote_string,
    same_name,
    tokenize,
    unquote,
)

__all__ = [
    "CreateIndex",
    "CreateTrigger",
    "CreateView",
    "Statement",
    "index_mentions_column",
    "inserts_by_position",
    "mentions_column",
    "mentions_table",
    "name_inserted_columns",
    "quote_strings_in_index",
    "read_index",
    "read_trigger",
    "read_view",
    "rename_index",
    "rename_index_table",
    "rename_referenced_table",
    "rename_trigger_column",
    "rename_trigger_table",
    "split_statements",
    "statement_targets",
]


class CreateIndex(NamedTuple):
    """A ``CREATE INDEX`` that was read (https://sqlite.org/lang_createindex.html).

    :ivar parts: columns and expressions, in order.
    :ivar where: the condition of a partial index.
    """

    sql: str
    tokens: tuple[Token, ...]
    schema: Name | None
    name: Name
    table: Name
    unique: bool
    parts: tuple[KeyPart, ...]
    where: Span | None


class CreateTrigger(NamedTuple):
    """A ``CREATE TRIGGER`` that was read (https://sqlite.org/lang_createtrigger.html).

    :ivar table: the table or view it is on.
    :ivar timing: ``"BEFORE"`` (also where nothing is written), ``"AFTER"`` or ``"INSTEAD OF"``.
    :ivar event: ``"INSERT"``, ``"UPDATE"`` or ``"DELETE"``.
    :ivar update_of: the columns after ``UPDATE OF``.
    :ivar when: the condition after WHEN.
    :ivar body: what stands between BEGIN and END.
    :ivar writes: the tables that its statements write, in order, each once.
    """

    sql: str
    tokens: tuple[Token, ...]
    schema: Name | None
    name: Name
    table: Name
    timing: str
    event: str
    update_of: tuple[Name, ...]
    when: Span | None
    body: Span
    writes: tuple[str, ...]


class CreateView(NamedTuple):
    """A ``CREATE VIEW`` that was read (https://sqlite.org/lang_createview.html).

    :ivar columns: the list of columns after the name, if any.
    :ivar select: everything after AS.
    """

    sql: str
    tokens: tuple[Token, ...]
    schema: Name | None
    name: Name
    columns: tuple[Name, ...]
    select: Span


def read_index(sql: str) -> CreateIndex:
    """Read a ``CREATE INDEX`` statement.

    :raises UnreadableDDL: it is something else, or cannot be read.
    """
    cursor = Cursor(sql)
    cursor.expect("CREATE")
    unique = cursor.accept("UNIQUE")
    cursor.expect("INDEX")
    cursor.accept("IF", "NOT", "EXISTS")
    schema, name = cursor.qualified_name("an index name")
    cursor.expect("ON")
    table = cursor.name("a table name")
    cursor.expect_op("(")
    parts = cursor.key_parts(expressions=True)
    cursor.expect_op(")")
    where = None
    if cursor.accept("WHERE"):
        start = cursor.peek()
        if start is None:
            raise cursor.expected("a condition")
        while not cursor.done and not cursor.sees_op(";"):
            cursor.take()
        where = Span(start.start, cursor.last_end)
    _expect_end(cursor)
    return CreateIndex(sql, cursor.all_tokens, schema, name, table, unique, parts, where)


def _expect_end(cursor: Cursor) -> None:
    cursor.accept_op(";")
    if not cursor.done:
        raise cursor.expected("the end of the statement")


def read_trigger(sql: str) -> CreateTrigger:
    """Read a ``CREATE TRIGGER`` statement.

    :raises UnreadableDDL: it is something else, or cannot be read.
    """
    cursor = Cursor(sql)
    _expect_create(cursor, "TRIGGER")
    schema, name = cursor.qualified_name("a trigger name")
    timing = "BEFORE"
    if cursor.accept("AFTER"):
        timing = "AFTER"
    elif cursor.accept("INSTEAD", "OF"):
        timing = "INSTEAD OF"
    else:
        cursor.accept("BEFORE")
    event = cursor.take().word
    if event not in ("INSERT", "UPDATE", "DELETE"):
        cursor.at -= 1
        raise cursor.expected("INSERT, UPDATE or DELETE")
    update_of: list[Name] = []
    if event == "UPDATE" and cursor.accept("OF"):
        update_of.append(cursor.name("a column name"))
        while cursor.accept_op(","):
            update_of.append(cursor.name("a column name"))
    cursor.expect("ON")
    _, table = cursor.qualified_name("a table name")
    cursor.accept("FOR", "EACH", "ROW")
    when = _read_when(cursor)
    cursor.expect("BEGIN")
    start = cursor.last_end
    writes: list[str] = []
    while not cursor.sees("END"):
        first = cursor.at
        statement = statement_at(cursor)
        cursor.at = first
        _skip_statement(cursor)
        for target in statement.targets:
            if not any(same_name(target, known) for known in writes):
                writes.append(target)
    end = cursor.take().start
    _expect_end(cursor)
    return CreateTrigger(
        sql=sql,
        tokens=cursor.all_tokens,
        schema=schema,
        name=name,
        table=table,
        timing=timing,
        event=event,
        update_of=tuple(update_of),
        when=when,
        body=Span(start, end),
        writes=tuple(writes),
    )


_STATEMENT_WORDS = frozenset({"INSERT", "UPDATE", "DELETE", "SELECT", "REPLACE", "WITH", "VALUES"})


def _read_when(cursor: Cursor) -> Span | None:
    if not cursor.accept("WHEN"):
        return None
    start = cursor.at
    while True:
        following = cursor.peek(1)
        if (
            cursor.at > start
            and cursor.sees("BEGIN")
            and following is not None
            and following.word in _STATEMENT_WORDS
        ):
            return Span(cursor.tokens[start].start, cursor.last_end)
        if cursor.take().is_op("("):
            cursor.skip_to_closing()


def _skip_statement(cursor: Cursor) -> None:
    while True:
        token = cursor.take()
        if token.is_op("("):
            cursor.skip_to_closing()
        elif token.is_op(";"):
            return


def _expect_create(cursor: Cursor, what: str) -> None:
    cursor.expect("CREATE")
    if not cursor.accept("TEMP"):
        cursor.accept("TEMPORARY")
    cursor.expect(what)
    cursor.accept("IF", "NOT", "EXISTS")


def read_view(sql: str) -> CreateView:
    """Read a ``CREATE VIEW`` statement.

    :raises UnreadableDDL: it is something else, or cannot be read.
    """
    cursor = Cursor(sql)
    _expect_create(cursor, "VIEW")
    schema, name = cursor.qualified_name("a view name")
    columns: list[Name] = []
    if cursor.accept_op("("):
        parts = cursor.key_parts(expressions=False)
        columns = [part.column for part in parts if part.column is not None]
        cursor.expect_op(")")
    cursor.expect("AS")
    first = cursor.peek()
    if first is None or (first.word not in ("SELECT", "VALUES", "WITH")):
        raise cursor.expected("a SELECT")
    while not cursor.done and not cursor.sees_op(";"):
        cursor.take()
    select = Span(first.start, cursor.last_end)
    _expect_end(cursor)
    return CreateView(sql, cursor.all_tokens, schema, name, tuple(columns), select)


# ---------------------------------------------------------------- does it mention?


def mentions_table(sql: str, table: str) -> bool:
    """Whether the text of any object may name a table or view.

    Exact for an index (the table it is on) and a ``CREATE TABLE`` (its foreign keys); for triggers
    and views any word that could be the name counts.
    """
    cursor = Cursor(sql)
    kind = statement_at(cursor).kind
    if kind == "create index":
        return same_name(read_index(sql).table.value, table)
    if kind == "create table":
        return bool(foreign_keys_to(read_create_table(sql), table))
    return any(
        same_name(unquote(token.text), table)
        for token in cursor.tokens
        if _may_name(token) or token.kind == "string"
    )


def uses_table(sql: str, table: str) -> bool:
    """Whether a view or trigger has the name of a table or view where one is named."""
    return any(
        same_name(unquote(token.text), table)
        and not any(same_name(unquote(each.text), table) for each in query.common_tables)
        for query in queries_of(tuple(tokenize(sql)))
        for token in query.tables
    )


def mentions_column(sql: str, table: str, column: str) -> bool:
    """Whether the text of any object may name a column of a table.

    Exact for an index and for a ``CREATE TABLE`` (foreign keys to that column; one that points to
    the primary key without naming it does not count). ``SELECT *`` names no column.
    """
    if not mentions_table(sql, table):
        return False
    cursor = Cursor(sql)
    kind = statement_at(cursor).kind
    if kind == "create index":
        return index_mentions_column(read_index(sql), column)
    if kind == "create table":
        return any(
            same_name(name.value, column)
            for key in foreign_keys_to(read_create_table(sql), table)
            if key.references is not None
            for name in key.references.columns
        )
    return any(
        same_name(unquote(token.text), column)
        for at, token in enumerate(cursor.tokens)
        if _may_name(token) or (token.kind == "string" and _string_names(cursor.tokens, at))
    )


def _may_name(token: Token) -> bool:
    return token.kind == "quoted" or (token.kind == "name" and token.word not in RESERVED)


def _string_names(tokens: tuple[Token, ...], at: int) -> bool:
    """Whether a string may be a name: SQLite takes one after a dot and in lists of columns."""
    before = tokens[at - 1] if at else None
    after = tokens[at + 1] if at + 1 < len(tokens) else None
    if before is None or after is None:
        return False
    if before.is_op(".") or before.word in ("OF", "SET"):
        return True
    if before.is_op(",") and after.is_op("="):
        return True
    place = at - 1
    while place > 0 and (
        tokens[place].is_op(",")
        or tokens[place].kind in ("string", "quoted")
        or (_may_name(tokens[place]) and tokens[place].word != "OF")
    ):
        place -= 1
    if tokens[place].word == "OF":
        return True
    if not tokens[place].is_op("(") or place < 2:
        return False
    if tokens[place - 1].word in ("USING", "CONFLICT"):
        return True
    is_qualified = tokens[place - 2].is_op(".") and place > 3
    return tokens[place - (4 if is_qualified else 2)].word == "INTO"


def index_mentions_column(index: CreateIndex, column: str) -> bool:
    """Whether an index has the column as a part, in an expression or in its WHERE."""
    return any(same_name(name, column) for name, _ in _index_columns(index))


def _index_columns(index: CreateIndex) -> list[tuple[str, Span]]:
    found: list[tuple[str, Span]] = []
    for part in index.parts:
        if part.column is not None:
            found.append((part.column.value, part.column.span))
        else:
            found += [(name, token.span) for name, token in column_tokens(index.tokens, part.span)]
    if index.where is not None:
        found += [(name, token.span) for name, token in column_tokens(index.tokens, index.where)]
    return found


def inserts_by_position(sql: str, table: str) -> bool:
    """Whether a trigger inserts into the table without naming columns: such a trigger breaks when
    a column comes, goes or moves."""
    return bool(_by_position(sql, table))


def _by_position(sql: str, table: str) -> list[Insert]:
    found = [query.by_position for query in queries_of(read_trigger(sql).tokens)]
    return [each for each in found if each is not None and same_name(each.table, table)]


def name_inserted_columns(sql: str, table: str, columns: Iterable[str]) -> str:
    """Write the columns into the INSERTs of a trigger that name none.

    Those that read "*" stay: how many columns that gives may change too.
    """
    listed = f"({', '.join(map(quote, columns))})"
    return splice(
        sql,
        [
            Change(each.at, each.at, f" {listed}")
            for each in _by_position(sql, table)
            if not each.shows_all
        ],
    )


# ---------------------------------------------------------------- renames: indexes, foreign keys


def rename_index(sql: str, new: str) -> str:
    """Give an index another name."""
    return _renamed(sql, [read_index(sql).name.span], new)


def rename_index_table(sql: str, new: str) -> str:
    """Put an index on another table (its table's new name)."""
    index = read_index(sql)
    spans = [index.table.span]
    expressions = [part.span for part in index.parts if part.column is None]
    expressions += [index.where] if index.where is not None else []
    for expression in expressions:
        for at, token in enumerate(index.tokens):
            if (
                expression.start <= token.start < expression.end
                and (_may_name(token) or token.kind == "string")
                and same_name(unquote(token.text), index.table.value)
                and _next_is_dot(index.tokens, at)
            ):
                spans.append(token.span)
    return _renamed(sql, spans, new)


def _next_is_dot(tokens: tuple[Token, ...], at: int) -> bool:
    following = next((token for token in tokens[at + 1 :] if token.significant), None)
    return following is not None and following.is_op(".")


def quote_strings_in_index(sql: str, name: str) -> str:
    """Make proper strings of the double-quoted words ``name`` in an index's expressions.

    SQLite takes such a word for a string while no column has that name; do this before the table
    gets one.
    """
    index = read_index(sql)
    columns = {part.column.span for part in index.parts if part.column is not None}
    changes = [
        Change(*span, quote_string(value))
        for value, span in _index_columns(index)
        if span not in columns and same_name(value, name) and sql[span.start] == '"'
    ]
    return splice(sql, changes) if changes else sql


def rename_referenced_table(table: CreateTable, old: str, new: str) -> str:
    """Point every foreign key of a table that points to ``old`` to ``new``."""
    while (keys := foreign_keys_to(table, old)) and not same_name(old, new):
        table = read_create_table(set_references(table, keys[0], new))
    return table.sql


def _renamed(sql: str, spans: list[Span], new: str) -> str:
    changes = [
        Change(*span, spelled(sql, span, new)) for span in spans if unquote(span.of(sql)) != new
    ]
    return splice(sql, changes) if changes else sql


# ---------------------------------------------------------------- renames: triggers and views


def rename_trigger_table(sql: str, old: str, new: str) -> str:
    """Rename a table in a trigger: the table it is on, its WHEN and its statements.

    :raises ImpossibleEdit: an alias, a common table expression or another word of the old or the
        new name makes it unclear what is meant.
    """
    trigger = read_trigger(sql)
    spans = _table_spans(trigger.name, queries_of(trigger.tokens), old, new)
    return _renamed(sql, spans, new)


def _table_spans(own: Name, queries: tuple[Query, ...], old: str, new: str) -> list[Span]:
    spans: list[Span] = []
    for query in queries:
        for token in (*query.aliases.values(), *query.common_tables):
            if same_name(unquote(token.text), old) or same_name(unquote(token.text), new):
                raise ImpossibleEdit("this name is also an alias", quote(own.value))
        if any(same_name(unquote(token.text), new) for token in query.tables):
            raise ImpossibleEdit("the new name is used already", quote(own.value))
        tables = [token for token in query.tables if same_name(unquote(token.text), old)]
        for at, token in enumerate(query.tokens):
            if token in tables:
                spans.append(token.span)
            elif _may_name(token) and same_name(unquote(token.text), old):
                if query.is_qualifier(at):
                    spans.append(token.span)
                elif not query.is_qualified(at) and token.span != own.span:
                    raise ImpossibleEdit("a word of this name may mean something else", token.text)
    return spans


def rename_trigger_column(sql: str, table: str, old: str, new: str) -> str:
    """Rename a column of a table in a trigger: ``UPDATE OF``, ``NEW.x``, ``OLD.x``, statements.

    :raises ImpossibleEdit: it is unclear whether a word means this column.
    """
    trigger = read_trigger(sql)
    queries = queries_of(trigger.tokens)
    spans = _column_spans(trigger.name, queries, trigger.table.value, table, old, new)
    return _renamed(sql, spans, new)


def _column_spans(
    own: Name, queries: tuple[Query, ...], row_of: str | None, table: str, old: str, new: str
) -> list[Span]:
    spans: list[Span] = []
    for query in queries:
        for at, token in enumerate(query.tokens):
            named = _may_name(token) or (
                token.kind == "string" and _string_names(query.tokens, at)
            )
            if not named or token in query.tables or token.span == own.span:
                continue
            value = unquote(token.text)
            if same_name(value, new) and not same_name(old, new) and not query.is_qualifier(at):
                raise ImpossibleEdit("the new name is used already", token.text)
            if (
                same_name(value, old)
                and not query.is_qualifier(at)
                and not query.is_function(at)
                and query.column_is_of(at, table, row_of)
            ):
                spans.append(token.span)
    return spans
