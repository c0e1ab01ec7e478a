"""The operations of one ``batch_alter_table`` block, in an order in which each can be made.

Alembic gathers a block into one new table, so that for SQLite its operations may stand in any
order: a constraint is dropped after the column that it is over, an index is made before its column
is added, a renamed column is still called by its old name. Elsewhere only one order works. Here
each is made as it stands, where that can be done, and otherwise as Alembic would.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from alembic.util.sqla_compat import _is_type_bound
from sqlalchemy import CheckConstraint, Constraint

from flask_safemigrate.ddl.tokens import DDLError, fold, significant, tokenize, unquote

Call = tuple[str, tuple[Any, ...], dict[str, Any]]

_DROPS = ("drop_constraint", "drop_index")
_MAKES = ("add_constraint", "create_index")


class Block:
    """A block while it is put in order.

    :ivar calls: the calls of the implementation's methods, in order.
    :ivar aliases: folded names that columns had before they were renamed here, with the new ones.
    """

    def __init__(self, calls: Sequence[Call], columns: Iterable[str]) -> None:
        self.aliases: dict[str, str] = {}
        self._names = {fold(name) for name in columns}
        self.calls: list[Call] = []
        waiting: list[Call] = []
        ordered = _drops_first(calls)
        for place, (name, args, keywords) in enumerate(ordered):
            if name in _MAKES:
                listed = _columns(args[0])
                for column in listed:
                    column.name = self.now(column.name)
                coming = _coming(ordered[place + 1 :])
                named = {fold(column.name) for column in listed} | (_words(args[0]) & coming)
                missing = named - self._names
                if missing and missing <= coming:
                    waiting.append((name, args, keywords))
                    continue
            elif name == "alter_column" and keywords.get("name") is not None:
                self._make_room(args[0], self.now(args[1]), keywords["name"], ordered, place + 1)
            self.calls.append(self._named_now(name, args, keywords))
        self.calls += waiting

    def now(self, name: str) -> str:
        """What a column is called now."""
        return name if fold(name) in self._names else self.aliases.get(fold(name), name)

    def _make_room(
        self, table: str, column: str, new: str, ordered: list[Call], start: int
    ) -> None:
        """Where a column is to get the name of one that gives it up only later, as in a swap."""
        if fold(new) not in self._names or fold(new) == fold(column):
            return
        for place in range(start, len(ordered)):
            name, args, keywords = ordered[place]
            spare = f"_safemigrate_{place}_{new}_"
            if name == "drop_column" and fold(args[1].name) == fold(new):
                args[1].name = spare
            elif (
                name == "alter_column"
                and fold(args[1]) == fold(new)
                and keywords.get("name") is not None
            ):
                ordered[place] = name, (table, spare, *args[2:]), keywords
            else:
                continue
            self.calls.append(("alter_column", (table, new), {"name": spare}))
            self._names = self._names - {fold(new)} | {spare}
            return

    def _named_now(self, name: str, args: tuple[Any, ...], keywords: dict[str, Any]) -> Call:
        if name == "alter_column":
            table, column, *rest = args
            column = self.now(column)
            new = keywords.get("name")
            if new is not None and fold(column) in self._names:
                self._names = self._names - {fold(column)} | {fold(new)}
                self.aliases |= {
                    old: new for old, known in self.aliases.items() if fold(known) == fold(column)
                }
                self.aliases[fold(column)] = new
            return name, (table, column, *rest), keywords
        if name == "drop_column":
            args[1].name = self.now(args[1].name)
            self._names.discard(fold(args[1].name))
        elif name == "add_column":
            for key in ("insert_before", "insert_after"):
                if keywords.get(key) is not None:
                    keywords = {**keywords, key: self.now(keywords[key])}
            self._names.add(fold(args[1].name))
        return name, args, keywords


def _drops_first(calls: Sequence[Call]) -> list[Call]:
    """Constraints and indexes go before the columns that would take them along."""
    ordered: list[Call] = []
    for call in calls:
        at = len(ordered)
        if call[0] in _DROPS and call[1][0].name is not None:
            made = {str(each[1][0].name) for each in ordered if each[0] in _MAKES}
            columns = [place for place, each in enumerate(ordered) if each[0] == "drop_column"]
            if columns and str(call[1][0].name) not in made:
                at = columns[0]
        ordered.insert(at, call)
    return ordered


def _columns(made: Any) -> list[Any]:
    if isinstance(made, Constraint) and _is_type_bound(made):
        # What a column's new type demands follows that column by itself.
        return []
    return list(getattr(made, "columns", ()))


def _words(made: Any) -> set[str]:
    """Folded words of a CHECK, which may mean columns."""
    if not isinstance(made, CheckConstraint) or _is_type_bound(made):
        return set()
    try:
        return {fold(unquote(token.text)) for token in significant(tokenize(str(made.sqltext)))}
    except DDLError:
        # It is refused when its turn comes, by its name.
        return set()


def _coming(calls: Sequence[Call]) -> set[str]:
    """Folded names of the columns that calls add, or give to a column."""
    added = {fold(args[1].name) for name, args, _ in calls if name == "add_column"}
    return added | {
        fold(keywords["name"])
        for name, _, keywords in calls
        if name == "alter_column" and keywords.get("name") is not None
    }
