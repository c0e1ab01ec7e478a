"""Where the items of a ``CREATE TABLE`` stand: commas, line breaks, and whose comment is whose."""

from __future__ import annotations

from bisect import bisect_left

from flask_safemigrate.ddl.create_table import CreateTable
from flask_safemigrate.ddl.splice import Change
from flask_safemigrate.ddl.tokens import Token


def item_gap(table: CreateTable, index: int) -> tuple[Token, ...]:
    """The tokens between an item's end and the next item's start, or the closing parenthesis."""
    items = table.items
    end = items[index + 1].span.start if index + 1 < len(items) else table.closing
    return tokens_from(table, items[index].span.end, end)


def tokens_from(table: CreateTable, start: int, end: int) -> tuple[Token, ...]:
    """All tokens of the text from one offset to another."""
    return table.tokens[_place(table, start) : _place(table, end)]


def _place(table: CreateTable, offset: int) -> int:
    """Index of the first token that starts at or behind an offset."""
    return bisect_left(table.tokens, offset, key=lambda token: token.start)


def own_comments(table: CreateTable, index: int) -> tuple[Token, ...]:
    """The comments that belong to an item: those behind it on its line, if the line ends there."""
    gap = item_gap(table, index)
    own: list[Token] = []
    for token in gap:
        if token.kind == "space" and "\n" in token.text:
            return tuple(own)
        if token.kind == "comment":
            own.append(token)
            if "\n" in token.text:
                return tuple(own)
    # The next item stands on the same line: the comments may be its own.
    is_last = index + 1 == len(table.items)
    return tuple(own) if is_last else ()


def own_end(table: CreateTable, index: int) -> int:
    """Offset just past an item, the comma behind it on its line, and its own comments."""
    end = table.items[index].span.end
    comma = comma_after(table, index)
    comments = own_comments(table, index)
    if comma is not None and "\n" not in table.sql[end:comma]:
        end = comma + 1
    return max(end, comments[-1].end) if comments else end


def comma_after(table: CreateTable, index: int) -> int | None:
    """Offset of the comma between an item and the next, None where there is none."""
    return table.commas[index + 1] if index + 1 < len(table.commas) else None


def line_start(table: CreateTable, index: int) -> str | None:
    """The line break and indentation before an item, None where it begins no line."""
    start = table.items[index].span.start
    before = table.sql[:start]
    blank = before[len(before.rstrip(" \t\n\v\f\r")) :]
    return "\n" + blank.rsplit("\n", 1)[1] if "\n" in blank else None


def separator(table: CreateTable, index: int) -> str:
    """What to put before a new item near this one: a line break where items have lines."""
    near = (index, *range(len(table.items)))
    found = (line_start(table, place) for place in near)
    return next((start for start in found if start is not None), " ")


def insert_before_first(table: CreateTable, text: str) -> list[Change]:
    """Put a new item before all others."""
    start = table.items[0].span.start
    return [Change(start, start, piece) for piece in (text, ",", separator(table, 0))]


def insert_after(table: CreateTable, index: int, text: str) -> list[Change]:
    """Put a new item behind an item and its own comments."""
    item = table.items[index]
    comma = comma_after(table, index)
    is_last = index + 1 == len(table.items)
    if comma is None and not is_last:
        # SQLite lets the comma between table constraints be left out.
        end = item.span.end
        return [Change(end, end, piece) for piece in (", ", text, ",")]
    place = own_end(table, index)
    leading = _leading_comma(table, index)
    if leading is not None:
        return [Change(place, place, leading), Change(place, place, text)]
    new = [Change(place, place, piece) for piece in (separator(table, index), text)]
    if is_last:
        return [Change(item.span.end, item.span.end, ","), *new]
    return [*new, Change(place, place, ",")]


def _leading_comma(table: CreateTable, index: int) -> str | None:
    """The text before an item where commas begin the lines, None where they do not."""
    for place in (index + 1, index):
        comma = table.commas[place] if 0 < place < len(table.commas) else None
        if comma is None:
            continue
        before = table.sql[table.items[place - 1].span.end : comma]
        if "\n" in before:
            return "\n" + before.rsplit("\n", 1)[1] + table.sql[comma] + " "
        return None
    return None


def remove_item(table: CreateTable, index: int) -> list[Change]:
    """Take an item out, with its own comments and one comma; other comments stay."""
    item = table.items[index]
    after, before = comma_after(table, index), table.commas[index]
    gap = item_gap(table, index)
    own = own_comments(table, index)
    changes = [Change(item.span.start, item.span.end, "")]
    if own:
        changes += [
            Change(token.start, token.end, "")
            for token in gap
            if token.end <= own[-1].end and not token.significant
        ]
    if after is not None and (before is not None or index == 0):
        changes.append(Change(after, after + 1, ""))
        for token in gap:
            if token.kind == "space":
                changes.append(Change(token.start, token.end, ""))
            elif token.kind == "comment" and token not in own:
                break
        return changes
    if before is not None and index + 1 == len(table.items):
        changes.append(Change(before, before + 1, ""))
    return changes + _blank_before(table, index, own)


def _blank_before(table: CreateTable, index: int, own: tuple[Token, ...]) -> list[Change]:
    """The blank before a last item goes too, unless a ``--`` comment needs its line break."""
    item = table.items[index]
    follows = table.sql[own[-1].end if own else item.span.end]
    start = table.items[index - 1].span.end if index else table.opening + 1
    changes: list[Change] = []
    gap = tokens_from(table, start, item.span.start)
    for place in range(len(gap) - 1, -1, -1):
        token = gap[place]
        if token.kind == "comment":
            break
        if token.kind == "space":
            behind = gap[place - 1] if place else None
            if behind is not None and behind.is_line_comment and follows != "\n":
                break
            changes.append(Change(token.start, token.end, ""))
    return changes


def remove_inline(table: CreateTable, start: int, end: int) -> list[Change]:
    """Take a piece out of an item, with the blank before it or, failing that, behind it."""
    first, after = _place(table, start), _place(table, end)
    blank = table.tokens[first - 1] if first else None
    behind = table.tokens[first - 2] if first > 1 else None
    follows = table.tokens[after] if after < len(table.tokens) else None
    if (
        blank is not None
        and blank.kind == "space"
        and not (behind is not None and behind.is_line_comment)
    ):
        return [Change(blank.start, end, "")]
    if follows is not None and follows.kind == "space":
        return [Change(start, follows.end, "")]
    return [Change(start, end, "")]
