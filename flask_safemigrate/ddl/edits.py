"""Edits of a ``CREATE TABLE`` by span: each returns the new text, to be read anew.

Every byte that an edit does not concern stays; an edit that changes nothing returns the text as it
was. What SQLite would make of the new text is not judged here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from flask_safemigrate.ddl.create_table import (
    Column,
    Constraint,
    ConstraintKind,
    CreateTable,
    read_create_table,
)
from flask_safemigrate.ddl.expressions import column_tokens, tokens_within
from flask_safemigrate.ddl.layout import (
    insert_after,
    insert_before_first,
    own_comments,
    own_end,
    remove_inline,
    remove_item,
)
from flask_safemigrate.ddl.questions import (
    constraints_mentioning,
    constraints_of_kind,
    find_column,
    is_generated,
    primary_key,
    rowid_alias,
)
from flask_safemigrate.ddl.splice import Change, splice
from flask_safemigrate.ddl.tokens import (
    DDLError,
    ImpossibleEdit,
    Span,
    Token,
    fold,
    quote,
    quote_if_needed,
    quote_string,
    same_name,
    tokenize,
    unquote,
)

# ---------------------------------------------------------------- columns


def add_column(
    table: CreateTable, definition: str, *, before: str | None = None, after: str | None = None
) -> str:
    """Add a column: the last one, or beside another.

    :param definition: as in ``CREATE TABLE``: name, type, constraints.
    :raises ImpossibleEdit: the definition is not one column, its name is taken, or the column
        beside which it should stand does not exist.
    """
    new = _read_definition(definition)
    if find_column(table, new.name.value) is not None:
        raise ImpossibleEdit("the table has this column already", quote(new.name.value))
    changes = _keep_strings(table, new.name.value)
    if before is not None and (place := _index(table, before)) == 0:
        changes += insert_before_first(table, definition.strip())
    else:
        if before is not None:
            place -= 1
        else:
            place = len(table.columns) - 1 if after is None else _index(table, after)
        changes += insert_after(table, place, definition.strip())
    return _keep_deferrals(table, splice(table.sql, changes))


def drop_column(table: CreateTable, column: str) -> str:
    """Drop a column and every constraint that names it, as PostgreSQL does.

    :raises ImpossibleEdit: it is the only column that is not generated, a generated column is
        computed from it, or it is in the primary key of a WITHOUT ROWID table.
    """
    index = _index(table, column)
    target = table.columns[index]
    others = [
        found
        for found in constraints_mentioning(table, column)
        if not (target.span.start <= found.span.start < target.span.end)
    ]
    for other in others:
        if other.kind == "GENERATED":
            raise ImpossibleEdit(
                f"the generated column {quote(other.column or '')} is computed from the column",
                quote(column),
            )
    if all(other is target or is_generated(other) for other in table.columns):
        raise ImpossibleEdit(
            "a table needs a column that is not generated",
            quote(column),
            hint="add the new columns before, or drop the table",
        )
    _keep_key(table, [*others, *target.constraints])
    text = table.sql
    for other in sorted(others, key=lambda found: found.span.start, reverse=True):
        text = _without(read_create_table(text), other)
    rest = read_create_table(text)
    changes = remove_item(rest, _index(rest, column))
    for inline in _column(rest, column).of_kind("FOREIGN KEY"):
        changes += [
            change
            for stray in _stray_deferrals(rest, inline)
            if stray.column is not None and not same_name(stray.column, column)
            for change in remove_inline(rest, stray.span.start, stray.span.end)
        ]
    return _keep_deferrals(table, splice(text, changes))


def reorder_columns(table: CreateTable, names: Iterable[str]) -> str:
    """Put the columns in another order; a comment behind a column on its line goes with it.

    :param names: every column once.
    """
    order = [_index(table, name) for name in names]
    if sorted(order) != list(range(len(table.columns))):
        raise ImpossibleEdit("the new order must name every column once", _named(table))
    changes: list[Change] = []
    for place, source in enumerate(order):
        if place == source:
            continue
        old, new = table.columns[place], table.columns[source]
        changes.append(Change(old.span.start, old.span.end, new.span.of(table.sql)))
        changes += _swap_comments(table, place, source)
    return _keep_deferrals(table, splice(table.sql, changes))


def _swap_comments(table: CreateTable, place: int, source: int) -> list[Change]:
    changes = []
    for comment in own_comments(table, place):
        start = comment.start - len(_blank_left_of(table, comment.start))
        changes.append(Change(start, comment.end, ""))
    text = "".join(
        _blank_left_of(table, comment.start) + comment.text
        for comment in own_comments(table, source)
    )
    end = own_end(table, place)
    if text:
        changes.append(Change(end, end, text))
    return changes


def _blank_left_of(table: CreateTable, at: int) -> str:
    before = table.sql[:at]
    return before[len(before.rstrip(" \t")) :]


def set_type(table: CreateTable, column: str, declared: str) -> str:
    """Replace a column's type text; "" takes it away.

    :param declared: any type SQLite reads, such as ``VARCHAR(20)``.
    """
    target, declared = _column(table, column), declared.strip()
    if declared:
        read = _read_definition(f"x {declared}")
        if read.type_span is None or read.constraints or _ends_in_comment(declared):
            raise ImpossibleEdit("this is not a type", declared)
    if target.type_span is not None:
        if target.type_span.of(table.sql) == declared:
            return table.sql
        if not declared:
            return splice(table.sql, remove_inline(table, *target.type_span))
        return splice(table.sql, [Change(*target.type_span, declared)])
    if not declared:
        return table.sql
    return splice(table.sql, [_inserted(target.name.span.end, declared)])


# ---------------------------------------------------------------- what stands on a column


def set_not_null(table: CreateTable, column: str, *, conflict: str | None = None) -> str:
    """Make a column NOT NULL; one that is stays as it is, unless ``conflict`` differs.

    :param conflict: the word for ``ON CONFLICT``.
    """
    target = _column(table, column)
    text = "NOT NULL" + (f" ON CONFLICT {conflict}" if conflict is not None else "")
    present = target.of_kind("NOT NULL")
    if present:
        if conflict is None or present[-1].conflict == conflict.upper():
            return table.sql
        return splice(table.sql, [Change(*present[-1].body, text)])
    allowed = target.of_kind("NULL")
    if allowed:
        return splice(table.sql, [Change(*allowed[-1].body, text)])
    return splice(table.sql, [_inserted(_type_end(target), text)])


def drop_not_null(table: CreateTable, column: str) -> str:
    """Take away every NOT NULL of a column."""
    return _without_kind(table, column, "NOT NULL")


def set_default(table: CreateTable, column: str, value: str) -> str:
    """Give a column a default.

    :param value: what stands after DEFAULT; an expression that SQLite wants in parentheses gets
        them if it has none.
    """
    target, value = _column(table, column), _default_text(value)
    present = target.of_kind("DEFAULT")
    if present and present[-1].value is not None:
        if present[-1].value.of(table.sql) == value:
            return table.sql
        return splice(table.sql, [Change(*present[-1].value, value)])
    not_null = target.of_kind("NOT NULL")
    place = not_null[-1].span.end if not_null else _type_end(target)
    return splice(table.sql, [_inserted(place, f"DEFAULT {value}")])


def drop_default(table: CreateTable, column: str) -> str:
    """Take away every DEFAULT of a column."""
    return _without_kind(table, column, "DEFAULT")


def set_collation(table: CreateTable, column: str, collation: str | None) -> str:
    """Set a column's collation, or take it away with None."""
    if collation is None:
        return _without_kind(table, column, "COLLATE")
    target = _column(table, column)
    present = target.of_kind("COLLATE")
    if present and present[-1].collation is not None:
        if same_name(present[-1].collation.value, collation):
            return table.sql
        return splice(table.sql, [Change(*present[-1].collation.span, quote_if_needed(collation))])
    text = f"COLLATE {quote_if_needed(collation)}"
    return splice(table.sql, [_inserted(_type_end(target), text)])


# ---------------------------------------------------------------- constraints


def add_constraint(table: CreateTable, text: str) -> str:
    """Add a table-level constraint, the last one.

    :param text: such as ``CONSTRAINT x CHECK (a > 0)``.
    :raises ImpossibleEdit: the text is not exactly one table constraint.
    """
    probe = _probe(f"CREATE TABLE x (x, {text.strip()}\n)", text)
    if len(probe.columns) != 1 or len(probe.constraints) != 1:
        raise ImpossibleEdit("this is not one table constraint", text)
    return splice(table.sql, insert_after(table, len(table.items) - 1, text.strip()))


def drop_constraint(table: CreateTable, constraint: Constraint) -> str:
    """Drop one constraint, inline or table-level, with its name.

    :param constraint: one of ``table.all_constraints``.
    :raises ImpossibleEdit: it is none of them, or the primary key of a WITHOUT ROWID table.
    """
    if constraint not in table.all_constraints:
        raise ImpossibleEdit("the table has no such constraint", quote(table.name.value))
    _keep_key(table, [constraint])
    return _without(table, constraint)


def name_constraint(table: CreateTable, constraint: Constraint, name: str) -> str:
    """Give a constraint a name, or another one."""
    if constraint not in table.all_constraints or constraint.kind == "NAME":
        raise ImpossibleEdit("the table has no such constraint", quote(table.name.value))
    if constraint.name is None:
        place = constraint.body.start
        text = f"CONSTRAINT {quote_if_needed(name)} "
        return splice(table.sql, [Change(place, place, text)])
    if constraint.name.value == name:
        return table.sql
    text = spelled(table.sql, constraint.name.span, name)
    return splice(table.sql, [Change(*constraint.name.span, text)])


def set_references(table: CreateTable, constraint: Constraint, parent: str) -> str:
    """Point a foreign key to another table."""
    target = constraint.references
    if constraint not in table.all_constraints or target is None:
        raise ImpossibleEdit("the table has no such foreign key", quote(table.name.value))
    if target.table.value == parent:
        return table.sql
    span = target.table.span
    return splice(table.sql, [Change(*span, spelled(table.sql, span, parent))])


def drop_primary_key(table: CreateTable) -> str:
    """Take the primary key away.

    :raises ImpossibleEdit: the table is WITHOUT ROWID and needs one.
    """
    key = primary_key(table)
    return table.sql if key is None else drop_constraint(table, key)


def set_autoincrement(table: CreateTable, on: bool) -> str:
    """Add AUTOINCREMENT to an INTEGER PRIMARY KEY, or take it away.

    :raises ImpossibleEdit: the table has no column that is its rowid.
    """
    key = primary_key(table)
    present = key.autoincrement if key is not None else None
    if not on:
        return table.sql if present is None else splice(table.sql, remove_inline(table, *present))
    if present is not None:
        return table.sql
    if key is None or rowid_alias(table) is None:
        raise ImpossibleEdit("AUTOINCREMENT needs an INTEGER PRIMARY KEY", quote(table.name.value))
    place = key.parts[-1].span.end if key.parts else key.span.end
    return splice(table.sql, [_inserted(place, "AUTOINCREMENT")])


# ---------------------------------------------------------------- the table


def rename_table(table: CreateTable, new: str, *, self_references: bool = True) -> str:
    """Rename the table in its own text, in ``table.column`` inside expressions too.

    :param self_references: whether its foreign keys to itself follow.
    """
    old = table.name.value
    spans = [table.name.span]
    for constraint in table.all_constraints:
        target = constraint.references
        if self_references and target is not None and same_name(target.table.value, old):
            spans.append(target.table.span)
        if constraint.expression is not None:
            spans += [token.span for token in _qualifiers(table, constraint.expression, old)]
    changes = [
        Change(*span, spelled(table.sql, span, new))
        for span in spans
        if unquote(span.of(table.sql)) != new
    ]
    return splice(table.sql, changes) if changes else table.sql


def _qualifiers(table: CreateTable, expression: Span, name: str) -> Iterator[Token]:
    row = tokens_within(table.tokens, expression)
    for token, following in pairwise(row):
        if (
            following.is_op(".")
            and token.kind in ("name", "quoted", "string")
            and same_name(unquote(token.text), name)
        ):
            yield token


def set_strict(table: CreateTable, on: bool) -> str:
    """Add or take away the option STRICT."""
    return _with_option(table, "STRICT", on)


def set_without_rowid(table: CreateTable, on: bool) -> str:
    """Add or take away the option WITHOUT ROWID.

    :raises ImpossibleEdit: it would be added to a table without a primary key or with
        AUTOINCREMENT.
    """
    if on and not table.without_rowid:
        key = primary_key(table)
        if key is None:
            raise ImpossibleEdit(
                "a WITHOUT ROWID table needs a primary key", quote(table.name.value)
            )
        if key.autoincrement is not None:
            raise ImpossibleEdit(
                "a WITHOUT ROWID table has no AUTOINCREMENT", quote(table.name.value)
            )
    return _with_option(table, "WITHOUT ROWID", on)


def _with_option(table: CreateTable, name: str, on: bool) -> str:
    present = [at for at, option in enumerate(table.options) if option.name == name]
    if on == bool(present):
        return table.sql
    if on:
        place = table.options[-1].span.end if table.options else table.closing + 1
        text = f", {name}" if table.options else f" {name}"
        return splice(table.sql, [Change(place, place, text)])
    at = present[0]
    start, end = table.options[at].span
    if at > 0:
        start = table.options[at - 1].span.end
    elif len(table.options) > 1:
        return splice(table.sql, [Change(start, table.options[1].span.start, "")])
    return splice(table.sql, remove_inline(table, start, end))


# ---------------------------------------------------------------- shared


def _index(table: CreateTable, name: str) -> int:
    for index, column in enumerate(table.columns):
        if same_name(column.name.value, name):
            return index
    raise ImpossibleEdit(f"the table {quote(table.name.value)} has no column", quote(name))


def _column(table: CreateTable, name: str) -> Column:
    return table.columns[_index(table, name)]


def _named(table: CreateTable) -> str:
    return ", ".join(quote(column.name.value) for column in table.columns)


def _type_end(column: Column) -> int:
    """Where a constraint can be put in: behind the type, and behind a GENERATED that follows it,
    whose words SQLite's parser takes for a part of the type."""
    first = column.constraints[0] if column.constraints else None
    if first is not None and first.kind == "GENERATED" and first.name is None:
        return first.span.end
    return (column.type_span or column.name.span).end


def _inserted(place: int, text: str) -> Change:
    return Change(place, place, " " + text)


def spelled(sql: str, span: Span, new: str) -> str:
    """The new name, quoted where it must be or the old one was."""
    return quote_if_needed(new) if span.of(sql) == unquote(span.of(sql)) else quote(new)


def _probe(sql: str, shown: str) -> CreateTable:
    try:
        return read_create_table(sql)
    except DDLError as error:
        raise ImpossibleEdit(f"cannot be read ({error.message})", shown) from error


def _read_definition(definition: str) -> Column:
    read = _probe(f"CREATE TABLE x ({definition}\n)", definition)
    if len(read.columns) != 1 or read.constraints or read.options:
        raise ImpossibleEdit("this is not one column definition", definition)
    return read.columns[0]


def _ends_in_comment(text: str) -> bool:
    tokens = tokenize(text)
    return bool(tokens) and tokens[-1].kind == "comment"


def _default_text(value: str) -> str:
    value = value.strip()
    for text in (value, f"({value})"):
        try:
            column = read_create_table(f"CREATE TABLE x (x DEFAULT {text})").columns[0]
        except DDLError:
            continue
        found = column.constraints[0]
        if len(column.constraints) == 1 and found.value is not None and found.name is None:
            return text
    raise ImpossibleEdit("this is not a default", value)


def _without_kind(table: CreateTable, column: str, kind: ConstraintKind) -> str:
    changes = [
        change
        for found in _column(table, column).of_kind(kind)
        for change in remove_inline(table, *found.span)
    ]
    return splice(table.sql, changes) if changes else table.sql


def _without(table: CreateTable, constraint: Constraint) -> str:
    changes = [
        change
        for stray in _stray_deferrals(table, constraint)
        for change in remove_inline(table, *stray.span)
    ]
    starts = [item.span.start for item in table.items[len(table.columns) :]]
    if constraint.span.start in starts:
        index = len(table.columns) + starts.index(constraint.span.start)
        changes += remove_item(table, index)
    else:
        changes += remove_inline(table, *constraint.span)
    return splice(table.sql, changes)


def _keep_key(table: CreateTable, gone: Iterable[Constraint]) -> None:
    if table.without_rowid and any(constraint.kind == "PRIMARY KEY" for constraint in gone):
        raise ImpossibleEdit("a WITHOUT ROWID table needs a primary key", quote(table.name.value))


def _stray_deferrals(table: CreateTable, key: Constraint) -> list[Constraint]:
    """The DEFERRABLE clauses elsewhere in the text that change this foreign key."""
    if key.kind != "FOREIGN KEY":
        return []
    strays = []
    for constraint in table.all_constraints:
        if constraint.span.start <= key.span.start:
            continue
        if constraint.kind == "FOREIGN KEY":
            break
        if constraint.kind == "DEFERRABLE":
            strays.append(constraint)
    return strays


def _keep_deferrals(table: CreateTable, text: str) -> str:
    """Refuse an edit by which a stray DEFERRABLE would come to change another foreign key."""
    if not constraints_of_kind(table, "DEFERRABLE"):
        return text
    before, after = _deferrals(table), _deferrals(read_create_table(text))
    if any(after.get(key, deferred) != deferred for key, deferred in before.items()):
        raise ImpossibleEdit(
            "a DEFERRABLE without its REFERENCES would change another foreign key",
            quote(table.name.value),
        )
    return text


def _deferrals(table: CreateTable) -> dict[tuple[str, ...], bool]:
    return {
        (*map(fold, key.column_names), fold(target.table.value)): target.deferred
        for key in constraints_of_kind(table, "FOREIGN KEY")
        if (target := key.references) is not None
    }


def _keep_strings(table: CreateTable, name: str) -> list[Change]:
    """Before a column ``name`` comes to be: SQLite takes a double-quoted word that no column has
    for a string, and would from then on take it for the column. Make such words proper strings.

    :raises ImpossibleEdit: a bare word of that name would change its meaning.
    """
    changes = []
    for constraint in table.all_constraints:
        if constraint.expression is None:
            continue
        for value, token in column_tokens(table.tokens, constraint.expression):
            if not same_name(value, name):
                continue
            if not token.text.startswith('"'):
                raise ImpossibleEdit("an expression gives this word another meaning", quote(name))
            changes.append(Change(token.start, token.end, quote_string(value)))
    return changes
