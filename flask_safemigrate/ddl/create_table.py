"""Reads a ``CREATE TABLE`` text into spans, guessing nothing.

The grammar is https://sqlite.org/lang_createtable.html with the laxities of SQLite's own parser
(``src/parse.y``): table constraints without commas between them, ``CONSTRAINT name`` with nothing
behind it, several constraints of one kind on a column, keywords and strings as names.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

from flask_safemigrate.ddl.cursor import Cursor, KeyPart, Name, can_be_type_word
from flask_safemigrate.ddl.tokens import (
    RESERVED,
    Span,
    Token,
    UnreadableDDL,
    ascii_upper,
    excerpt,
)

ConstraintKind = Literal[
    "PRIMARY KEY",
    "UNIQUE",
    "NOT NULL",
    "NULL",
    "CHECK",
    "DEFAULT",
    "COLLATE",
    "FOREIGN KEY",
    "GENERATED",
    "DEFERRABLE",
    "NAME",
]


class References(NamedTuple):
    """The ``REFERENCES`` part of a foreign key.

    :ivar table: the referenced table.
    :ivar columns: the referenced columns, empty where the parent's primary key is meant.
    :ivar on_delete: upper case; ``"NO ACTION"`` where nothing is written.
    :ivar on_update: the same.
    :ivar match: the word after ``MATCH``, which SQLite ignores.
    :ivar deferred: whether SQLite checks it at COMMIT (``DEFERRABLE INITIALLY DEFERRED``).
    :ivar deferrable: span of the ``[NOT] DEFERRABLE ...`` clause, if one is written.
    :ivar span: from ``REFERENCES`` to the end of its last clause.
    """

    table: Name
    columns: tuple[Name, ...]
    on_delete: str
    on_update: str
    match: str | None
    deferred: bool
    deferrable: Span | None
    span: Span


class Constraint(NamedTuple):
    """One constraint, on a column or of the table. Its span is its identity.

    :ivar kind: what it is. ``NULL`` (does nothing), ``DEFERRABLE`` (a stray clause that changes
        the table's last foreign key) and ``NAME`` (``CONSTRAINT x`` with nothing behind it) are
        things SQLite accepts. ``DEFAULT``, ``COLLATE`` and ``GENERATED`` count as constraints
        because SQLite's grammar has them so, a name before them included.
    :ivar span: everything, from ``CONSTRAINT`` or the first keyword to the last token.
    :ivar body: the same without ``CONSTRAINT name``.
    :ivar name: the name, if one is written directly before it.
    :ivar column: for an inline constraint, the name of the column that it stands on.
    :ivar parts: the columns of a table-level PRIMARY KEY, UNIQUE or FOREIGN KEY.
    :ivar conflict: the word after ``ON CONFLICT``, upper case.
    :ivar expression: CHECK and GENERATED: what stands between the parentheses.
    :ivar value: DEFAULT: the value as written, parentheses and sign included.
    :ivar collation: COLLATE: the collation.
    :ivar order: inline PRIMARY KEY: ``"ASC"``, ``"DESC"`` or None.
    :ivar autoincrement: PRIMARY KEY: the span of the word AUTOINCREMENT.
    :ivar deferred: DEFERRABLE: whether it says ``INITIALLY DEFERRED``.
    :ivar storage: GENERATED: ``"STORED"``, ``"VIRTUAL"``, or None (which means virtual).
    :ivar references: FOREIGN KEY: what it points to.
    """

    kind: ConstraintKind
    span: Span
    body: Span
    name: Name | None = None
    column: str | None = None
    parts: tuple[KeyPart, ...] = ()
    conflict: str | None = None
    expression: Span | None = None
    value: Span | None = None
    collation: Name | None = None
    order: str | None = None
    autoincrement: Span | None = None
    deferred: bool = False
    storage: str | None = None
    references: References | None = None

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns of a key: those listed, or the one that an inline constraint stands on."""
        if self.parts:
            return tuple(part.column.value for part in self.parts if part.column)
        return (self.column,) if self.column is not None else ()


class Column(NamedTuple):
    """One column definition.

    :ivar name: its name.
    :ivar span: from the name to the last token of the last constraint.
    :ivar type_span: the type as written, None where there is none.
    :ivar type: the declared type as SQLite reports it, "" where there is none.
    :ivar constraints: in the order they are written.
    """

    name: Name
    span: Span
    type_span: Span | None
    type: str
    constraints: tuple[Constraint, ...]

    def of_kind(self, kind: ConstraintKind) -> tuple[Constraint, ...]:
        """Its constraints of one kind; of several DEFAULTs or COLLATEs SQLite heeds the last."""
        return tuple(constraint for constraint in self.constraints if constraint.kind == kind)


class Option(NamedTuple):
    """A table option: ``"STRICT"`` or ``"WITHOUT ROWID"``."""

    name: str
    span: Span


class CreateTable(NamedTuple):
    """A ``CREATE TABLE`` statement that was read.

    :ivar sql: the text, unchanged; every span is a range of it.
    :ivar tokens: all its tokens, space and comments too.
    :ivar schema: the schema before the name, if one is written.
    :ivar columns: the column definitions.
    :ivar constraints: the table-level constraints.
    :ivar commas: for each item (columns, then constraints) the offset of the comma before it,
        None for the first and where SQLite let it be omitted.
    :ivar opening: offset of the ``(`` that starts the items.
    :ivar closing: offset of its ``)``.
    :ivar options: the table options, in the order they are written.
    """

    sql: str
    tokens: tuple[Token, ...]
    schema: Name | None
    name: Name
    temporary: bool
    if_not_exists: bool
    columns: tuple[Column, ...]
    constraints: tuple[Constraint, ...]
    commas: tuple[int | None, ...]
    opening: int
    closing: int
    options: tuple[Option, ...]

    @property
    def strict(self) -> bool:
        """Whether the table is STRICT."""
        return any(option.name == "STRICT" for option in self.options)

    @property
    def without_rowid(self) -> bool:
        """Whether the table is WITHOUT ROWID."""
        return any(option.name == "WITHOUT ROWID" for option in self.options)

    @property
    def items(self) -> tuple[Column | Constraint, ...]:
        """Columns, then table constraints: what stands between the outer parentheses."""
        return (*self.columns, *self.constraints)

    @property
    def all_constraints(self) -> tuple[Constraint, ...]:
        """Every constraint, inline ones first, in the order of the text."""
        inline = (constraint for column in self.columns for constraint in column.constraints)
        return (*inline, *self.constraints)


@lru_cache(maxsize=64)
def read_create_table(sql: str) -> CreateTable:
    """Read a ``CREATE TABLE`` statement, a trailing semicolon allowed.

    :raises UnreadableDDL: the text is no ``CREATE TABLE``, is ``CREATE VIRTUAL TABLE`` or
        ``CREATE TABLE ... AS SELECT``, or has something in it that SQLite's grammar has not.
    """
    cursor = Cursor(sql)
    cursor.expect("CREATE")
    if cursor.sees("VIRTUAL", "TABLE"):
        cursor.at += 2
        if cursor.sees("IF", "NOT", "EXISTS"):
            cursor.at += 3
        _, virtual = cursor.qualified_name("a table name")
        raise UnreadableDDL("a virtual table cannot be edited", f'"{virtual.value}"')
    temporary = cursor.accept("TEMP") or cursor.accept("TEMPORARY")
    cursor.expect("TABLE")
    if_not_exists = cursor.accept("IF", "NOT", "EXISTS")
    schema, name = cursor.qualified_name("a table name")
    opening = cursor.expect_op("(").start
    columns, constraints, commas = _read_items(cursor)
    closing = cursor.expect_op(")").start
    options = _read_options(cursor)
    cursor.accept_op(";")
    if not cursor.done:
        raise cursor.expected("the end of the statement")
    return CreateTable(
        sql=sql,
        tokens=cursor.all_tokens,
        schema=schema,
        name=name,
        temporary=temporary,
        if_not_exists=if_not_exists,
        columns=columns,
        constraints=constraints,
        commas=commas,
        opening=opening,
        closing=closing,
        options=options,
    )


def _read_items(
    cursor: Cursor,
) -> tuple[tuple[Column, ...], tuple[Constraint, ...], tuple[int | None, ...]]:
    columns = [_read_column(cursor)]
    constraints: list[Constraint] = []
    commas: list[int | None] = [None]
    while not cursor.sees_op(")"):
        comma = cursor.take().start if cursor.sees_op(",") else None
        if any(cursor.sees(word) for word in _TABLE_CONSTRAINT_WORDS):
            if comma is None and not constraints:
                raise cursor.expected("','")
            constraints.append(_read_table_constraint(cursor))
        elif comma is None or constraints:
            raise cursor.expected("a table constraint" if constraints else "',' or ')'")
        else:
            columns.append(_read_column(cursor))
        commas.append(comma)
    return _with_stray_deferrals(columns), tuple(constraints), tuple(commas)


def _with_stray_deferrals(columns: list[Column]) -> tuple[Column, ...]:
    """SQLite applies a DEFERRABLE that follows no REFERENCES to the table's last foreign key."""
    result = [list(column.constraints) for column in columns]
    last: tuple[int, int] | None = None
    for i, column in enumerate(columns):
        for j, constraint in enumerate(column.constraints):
            if constraint.kind == "FOREIGN KEY":
                last = (i, j)
            elif constraint.kind == "DEFERRABLE" and last is not None:
                key = result[last[0]][last[1]]
                assert key.references is not None
                result[last[0]][last[1]] = key._replace(
                    references=key.references._replace(deferred=constraint.deferred)
                )
    return tuple(
        column._replace(constraints=tuple(constraints))
        for column, constraints in zip(columns, result, strict=True)
    )


_TABLE_CONSTRAINT_WORDS = ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN")


def _read_column(cursor: Cursor) -> Column:
    name = cursor.name("a column name")
    type_span, declared = _read_type(cursor)
    constraints: list[Constraint] = []
    while not (cursor.sees_op(",") or cursor.sees_op(")")):
        constraints.append(_read_column_constraint(cursor, name.value))
    span = Span(name.span.start, cursor.last_end)
    return Column(name, span, type_span, declared, tuple(constraints))


def _read_type(cursor: Cursor) -> tuple[Span | None, str]:
    start = cursor.at
    while (token := cursor.peek()) is not None and can_be_type_word(token):
        if cursor.sees("GENERATED", "ALWAYS", "AS"):
            break
        cursor.take()
    if cursor.sees("GENERATED", "ALWAYS", "AS"):
        # To SQLite's parser these words are part of the type; it cuts them off by their spelling.
        first, last = cursor.tokens[start], cursor.tokens[cursor.at + 1]
        raw = cursor.sql[first.start : last.end]
    elif cursor.at == start:
        raw = ""
    else:
        if cursor.accept_op("("):
            _read_signed_number(cursor)
            if cursor.accept_op(","):
                _read_signed_number(cursor)
            cursor.expect_op(")")
        raw = cursor.sql[cursor.tokens[start].start : cursor.last_end]
    if cursor.at == start:
        return None, declared_type(raw)
    return Span(cursor.tokens[start].start, cursor.last_end), declared_type(raw)


def _read_signed_number(cursor: Cursor) -> None:
    if not cursor.accept_op("+"):
        cursor.accept_op("-")
    if cursor.take().kind != "number":
        cursor.at -= 1
        raise cursor.expected("a number")


_STANDARD_TYPES = ("ANY", "BLOB", "INT", "INTEGER", "REAL", "TEXT")


def declared_type(raw: str) -> str:
    """The type SQLite reports for a type as written (``sqlite3AddColumn`` in ``src/build.c``).

    Quotes are taken off and the six standard types put in capitals; a closing ``GENERATED
    ALWAYS``, which SQLite's parser takes for a part of the type, is cut off by its spelling.
    """
    space = " \t\n\v\f\r"
    if len(raw.encode(errors="surrogatepass")) >= 16 and ascii_upper(raw[-6:]) == "ALWAYS":
        raw = raw[:-6].rstrip(space)
        if ascii_upper(raw[-9:]) == "GENERATED":
            raw = raw[:-9].rstrip(space)
    if len(raw.encode(errors="surrogatepass")) >= 3:
        raw = _stripped(raw)
        if ascii_upper(raw) in _STANDARD_TYPES:
            return ascii_upper(raw)
    return _dequoted(raw)


def _stripped(raw: str) -> str:
    """SQLite takes the first and last character off where the first is a quote and no other quote
    is between; it does not look at what the last one is."""
    if raw[0] not in _QUOTES or any(mark in raw[1:-1] for mark in _QUOTES):
        return raw
    return raw[1:-1]


_QUOTES = ('"', "'", "`", "[")


def _dequoted(raw: str) -> str:
    if raw[:1] not in _QUOTES:
        return raw
    closing = "]" if raw[0] == "[" else raw[0]
    result, at = "", 1
    while at < len(raw):
        if raw[at] == closing:
            if raw[at + 1 : at + 2] != closing:
                break
            at += 1
        result += raw[at]
        at += 1
    return result


def _read_name_prefix(cursor: Cursor) -> tuple[int, Name | None]:
    token = cursor.peek()
    start = token.start if token is not None else len(cursor.sql)
    if cursor.accept("CONSTRAINT"):
        return start, cursor.name("the name of a constraint")
    return start, None


def _read_column_constraint(cursor: Cursor, column: str) -> Constraint:
    start, name = _read_name_prefix(cursor)
    token = cursor.peek()
    if token is None:
        raise cursor.expected("a constraint")
    if name is not None and (token.is_op(",") or token.is_op(")") or token.word == "CONSTRAINT"):
        return Constraint("NAME", Span(start, cursor.last_end), Span(start, start), name, column)
    body_start = token.start
    constraint = _read_column_constraint_body(cursor)
    return constraint._replace(
        span=Span(start, cursor.last_end),
        body=Span(body_start, cursor.last_end),
        name=name,
        column=column,
    )


_NOWHERE = Span(0, 0)


def _read_column_constraint_body(cursor: Cursor) -> Constraint:
    if cursor.accept("DEFAULT"):
        return Constraint("DEFAULT", _NOWHERE, _NOWHERE, value=_read_default(cursor))
    if cursor.accept("NULL"):
        return _with_conflict(cursor, Constraint("NULL", _NOWHERE, _NOWHERE))
    if cursor.accept("NOT", "NULL"):
        return _with_conflict(cursor, Constraint("NOT NULL", _NOWHERE, _NOWHERE))
    if cursor.accept("PRIMARY", "KEY"):
        order = None
        if cursor.sees("ASC") or cursor.sees("DESC"):
            order = cursor.take().word
        key = _with_conflict(cursor, Constraint("PRIMARY KEY", _NOWHERE, _NOWHERE, order=order))
        return key._replace(autoincrement=_read_autoincrement(cursor))
    if cursor.accept("UNIQUE"):
        return _with_conflict(cursor, Constraint("UNIQUE", _NOWHERE, _NOWHERE))
    if cursor.accept("CHECK"):
        return Constraint("CHECK", _NOWHERE, _NOWHERE, expression=cursor.parenthesized())
    if cursor.sees("REFERENCES"):
        return Constraint("FOREIGN KEY", _NOWHERE, _NOWHERE, references=_read_references(cursor))
    if cursor.accept("COLLATE"):
        return Constraint("COLLATE", _NOWHERE, _NOWHERE, collation=cursor.collation())
    if cursor.accept("GENERATED", "ALWAYS", "AS") or cursor.accept("AS"):
        expression = cursor.parenthesized()
        storage = None
        if cursor.sees("STORED") or cursor.sees("VIRTUAL"):
            storage = cursor.take().word
        return Constraint("GENERATED", _NOWHERE, _NOWHERE, expression=expression, storage=storage)
    if cursor.sees("DEFERRABLE") or cursor.sees("NOT", "DEFERRABLE"):
        return Constraint("DEFERRABLE", _NOWHERE, _NOWHERE, deferred=_read_deferrable(cursor))
    raise cursor.expected("a column constraint, ',' or ')'")


def _read_table_constraint(cursor: Cursor) -> Constraint:
    start, name = _read_name_prefix(cursor)
    token = cursor.peek()
    if token is None:
        raise cursor.expected("a constraint")
    if name is not None and (token.is_op(",") or token.is_op(")") or token.word == "CONSTRAINT"):
        return Constraint("NAME", Span(start, cursor.last_end), Span(start, start), name)
    constraint = _read_table_constraint_body(cursor)
    return constraint._replace(
        span=Span(start, cursor.last_end),
        body=Span(token.start, cursor.last_end),
        name=name,
    )


def _read_table_constraint_body(cursor: Cursor) -> Constraint:
    if cursor.accept("PRIMARY", "KEY"):
        cursor.expect_op("(")
        key = Constraint(
            "PRIMARY KEY", _NOWHERE, _NOWHERE, parts=cursor.key_parts(expressions=False)
        )
        key = key._replace(autoincrement=_read_autoincrement(cursor))
        cursor.expect_op(")")
        return _with_conflict(cursor, key)
    if cursor.accept("UNIQUE"):
        cursor.expect_op("(")
        key = Constraint("UNIQUE", _NOWHERE, _NOWHERE, parts=cursor.key_parts(expressions=False))
        cursor.expect_op(")")
        return _with_conflict(cursor, key)
    if cursor.accept("CHECK"):
        check = Constraint("CHECK", _NOWHERE, _NOWHERE, expression=cursor.parenthesized())
        return _with_conflict(cursor, check)
    if cursor.accept("FOREIGN", "KEY"):
        cursor.expect_op("(")
        parts = cursor.key_parts(expressions=False)
        cursor.expect_op(")")
        references = _read_references(cursor)
        return Constraint("FOREIGN KEY", _NOWHERE, _NOWHERE, parts=parts, references=references)
    raise cursor.expected("a table constraint")


def _read_autoincrement(cursor: Cursor) -> Span | None:
    return cursor.take().span if cursor.sees("AUTOINCREMENT") else None


def _with_conflict(cursor: Cursor, constraint: Constraint) -> Constraint:
    if not cursor.accept("ON", "CONFLICT"):
        return constraint
    word = cursor.take().word
    if word not in ("ROLLBACK", "ABORT", "FAIL", "IGNORE", "REPLACE"):
        cursor.at -= 1
        raise cursor.expected("a way to resolve a conflict")
    return constraint._replace(conflict=word)


def _read_default(cursor: Cursor) -> Span:
    token = cursor.peek()
    if token is None:
        raise cursor.expected("a default")
    if token.is_op("("):
        cursor.parenthesized()
        return Span(token.start, cursor.last_end)
    signed = cursor.accept_op("+") or cursor.accept_op("-")
    value = cursor.take()
    literal = value.kind in ("number", "string", "blob") or value.word in (
        "NULL",
        "CURRENT_DATE",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP",
    )
    name = value.kind == "quoted" or (value.word and value.word not in RESERVED)
    if not literal and (signed or not name):
        cursor.at -= 1
        raise cursor.expected("a default")
    return Span(token.start, cursor.last_end)


_ACTIONS = (("SET", "NULL"), ("SET", "DEFAULT"), ("CASCADE",), ("RESTRICT",), ("NO", "ACTION"))


def _read_references(cursor: Cursor) -> References:
    token = cursor.peek()
    start = token.start if token is not None else 0
    cursor.expect("REFERENCES")
    table = cursor.name("a table name")
    columns: tuple[Name, ...] = ()
    if cursor.accept_op("("):
        parts = cursor.key_parts(expressions=False)
        cursor.expect_op(")")
        columns = tuple(part.column for part in parts if part.column is not None)
    actions = {"DELETE": "NO ACTION", "UPDATE": "NO ACTION", "INSERT": "NO ACTION"}
    match = None
    while True:
        if cursor.accept("MATCH"):
            match = cursor.name("a kind of match").value
        elif any(cursor.sees("ON", event) for event in actions):
            cursor.take()
            event = cursor.take().word
            for words in _ACTIONS:
                if cursor.accept(*words):
                    actions[event] = " ".join(words)
                    break
            else:
                raise cursor.expected("a foreign key action")
        else:
            break
    deferred, deferrable = False, None
    if cursor.sees("DEFERRABLE") or cursor.sees("NOT", "DEFERRABLE"):
        first = cursor.tokens[cursor.at].start
        deferred = _read_deferrable(cursor)
        deferrable = Span(first, cursor.last_end)
    return References(
        table=table,
        columns=columns,
        on_delete=actions["DELETE"],
        on_update=actions["UPDATE"],
        match=match,
        deferred=deferred,
        deferrable=deferrable,
        span=Span(start, cursor.last_end),
    )


def _read_deferrable(cursor: Cursor) -> bool:
    negated = cursor.accept("NOT")
    cursor.expect("DEFERRABLE")
    deferred = False
    if cursor.accept("INITIALLY"):
        if cursor.accept("DEFERRED"):
            deferred = True
        else:
            cursor.expect("IMMEDIATE")
    return deferred and not negated


def _read_options(cursor: Cursor) -> tuple[Option, ...]:
    options: list[Option] = []
    while not cursor.done and not cursor.sees_op(";"):
        if options:
            cursor.expect_op(",")
        token = cursor.take()
        if token.word == "WITHOUT":
            word = cursor.take()
            if word.word != "ROWID":
                raise UnreadableDDL("unknown table option", excerpt(cursor.sql, token.start))
            options.append(Option("WITHOUT ROWID", Span(token.start, word.end)))
        elif token.word == "STRICT":
            options.append(Option("STRICT", token.span))
        else:
            raise UnreadableDDL("unknown table option", excerpt(cursor.sql, token.start))
    return tuple(options)
