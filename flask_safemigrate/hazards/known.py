"""What is known of a database at one moment of a run, and what operations make of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask_safemigrate.facts.schema import Check, Column, ForeignKey, Index, Schema
from flask_safemigrate.hazards import operations as ops


@dataclass
class KnownTable:
    """One table.

    :param rows: how many it has, None where nobody knows.
    :param new: whether this run makes it, so that nobody else uses it yet.
    :param written: whether this run writes to rows of it.
    :param complete: whether its columns are known.
    :param added: columns that this run adds.
    :param not_valid: constraints that this run makes and that hold for new rows alone.
    :param validated: constraints whose rows this run has looked at.
    :param filled: columns that this run writes.
    :param pending: whether rows were written whose foreign keys are looked up at the end of the
        open transaction.
    """

    name: str
    columns: dict[str, Column] = field(default_factory=dict)
    primary_key: tuple[str, ...] = ()
    indexes: dict[str, Index] = field(default_factory=dict)
    foreign_keys: list[ForeignKey] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    rows: int | None = None
    new: bool = False
    written: bool = False
    complete: bool = True
    added: set[str] = field(default_factory=set)
    not_valid: set[str] = field(default_factory=set)
    validated: set[str] = field(default_factory=set)
    filled: set[str] = field(default_factory=set)
    pending: bool = False

    def primary_key_named(self, name: str) -> bool:
        """Whether a constraint may be the primary key, whose name no catalogue here keeps."""
        return bool(self.primary_key) and name.startswith(("pk", f"{self.name}_pk"))

    def constraint_names(self) -> set[str]:
        """The names of its constraints and unique indexes."""
        return {
            *(key.name for key in self.foreign_keys),
            *(check.name for check in self.checks),
            *(name for name, index in self.indexes.items() if index.unique),
        } - {""}


@dataclass
class Known:
    """A database.

    :param dialect: ``sqlite``, ``postgresql``, ``mysql`` or ``mariadb``.
    :param views: text by name.
    :param enums: values of ENUM types by name.
    :param labels: values that an ENUM type got in the open transaction, as (type, value).
    :param triggers: table and text by name.
    :param types: types that are no ENUM and that this run makes; ``*`` where an extension may
        have brought others.
    :param renamed: names that this run gives tables.
    :param touched: names of what this run makes, changes or drops.
    :param complete: whether every object is known; without a database and with a history that
        could not be read whole it is not.
    """

    dialect: str
    tables: dict[str, KnownTable] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)
    enums: dict[str, tuple[str, ...]] = field(default_factory=dict)
    labels: set[tuple[str, str]] = field(default_factory=set)
    triggers: dict[str, tuple[str, str]] = field(default_factory=dict)
    types: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    renamed: set[str] = field(default_factory=set)
    complete: bool = True

    def table(self, name: str) -> KnownTable:
        """The table of a name; one of which nothing is known where there is none."""
        found = self.tables.get(name)
        if found is None:
            found = KnownTable(name, complete=False)
        return found

    def referring(self, name: str) -> list[tuple[str, ForeignKey]]:
        """The foreign keys that lead to a table, with the tables that have them."""
        return [
            (table.name, key)
            for table in self.tables.values()
            for key in table.foreign_keys
            if key.table == name
        ]

    def views_on(self, table: str, column: str = "") -> list[str]:
        """The views whose text names a table, and a column where one is given."""
        words = [table.rpartition(".")[2], *([column] if column else [])]
        return [
            name
            for name, text in self.views.items()
            if all(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) for word in words)
        ]

    def triggers_on(self, column: str) -> list[str]:
        """The triggers whose text names a column."""
        word = re.compile(rf"(?<!\w){re.escape(column)}(?!\w)", re.IGNORECASE)
        return [name for name, (_, text) in self.triggers.items() if word.search(text)]

    def of_type(self, kind: str) -> list[tuple[str, str]]:
        """The columns of a type or of arrays of it, with their tables."""
        return [
            (table.name, column.name)
            for table in self.tables.values()
            for column in table.columns.values()
            if column.type.removesuffix("[]") == kind
        ]

    def index_owner(self, name: str) -> KnownTable | None:
        """The table that has an index of this name."""
        for table in self.tables.values():
            if name in table.indexes:
                return table
        return None

    def commit(self) -> None:
        """Note that the open transaction ended."""
        self.labels.clear()
        self.look_up()

    def look_up(self) -> None:
        """Note that no foreign key waits for the end of the transaction any more."""
        for table in self.tables.values():
            table.pending = False

    def apply(self, op: ops.Operation) -> None:
        """Let an operation have happened."""
        if type(op).__name__ not in _LEAVE_NAMES:
            self.touched |= _names(op)
        change = _CHANGES.get(type(op).__name__)
        if change is not None:
            change(self, op)


#: Operations after which everything is called and made as before.
_LEAVE_NAMES = frozenset({"Write", "Validate", "Rebuild", "LockTable", "Quick"})


def _names(op: ops.Operation) -> set[str]:
    """The names that an operation makes, changes or drops."""
    found = {getattr(op, word, "") for word in ("table", "new", "name", "type", "old")}
    column = getattr(op, "column", "")
    found.add(getattr(column, "name", column))
    return {name for name in found if isinstance(name, str)} - {""}


def known_from(schema: Schema, rows: Mapping[str, int | None]) -> Known:
    """What the catalogue of a database tells."""
    return Known(
        schema.dialect,
        {
            table.name: KnownTable(
                table.name,
                {column.name: column for column in table.columns},
                table.primary_key,
                {index.name or f"({', '.join(index.columns)})": index for index in table.indexes},
                list(table.foreign_keys),
                list(table.checks),
                rows.get(table.name),
            )
            for table in schema.tables
        },
        {view.name: view.text for view in schema.views},
        {each.name: each.labels for each in schema.enumerations},
        triggers={each.name: (each.table, each.text) for each in schema.triggers},
    )


def _create_table(known: Known, op: ops.CreateTable) -> None:
    if op.table in known.tables and op.if_not_exists:
        return
    indexes = {i.name or f"({', '.join(i.columns)})": i for i in op.indexes}
    known.tables[op.table] = KnownTable(
        op.table,
        {column.name: column.as_column() for column in op.columns},
        op.primary_key,
        indexes,
        list(op.foreign_keys),
        list(op.checks),
        rows=0,
        new=True,
        complete=bool(op.columns),
    )


def _drop_table(known: Known, op: ops.DropTable) -> None:
    known.tables.pop(op.table, None)
    known.triggers = {n: each for n, each in known.triggers.items() if each[0] != op.table}


def _rename_table(known: Known, op: ops.RenameTable) -> None:
    if op.table in known.views:
        known.views[op.new] = known.views.pop(op.table)
    table = known.tables.pop(op.table, None)
    if table is None:
        return
    table.name = op.new
    known.renamed.add(op.new)
    known.tables[op.new] = table
    for _, other in known.tables.items():
        other.foreign_keys = [
            key._replace(table=op.new) if key.table == op.table else key
            for key in other.foreign_keys
        ]


def _add_column(known: Known, op: ops.AddColumn) -> None:
    table = known.tables.get(op.table)
    if table is not None and op.column.name not in table.columns:
        table.columns[op.column.name] = op.column.as_column()
        table.added.add(op.column.name)


def _drop_column(known: Known, op: ops.DropColumn) -> None:
    table = known.tables.get(op.table)
    if table is None:
        return
    table.columns.pop(op.column, None)
    table.indexes = {n: i for n, i in table.indexes.items() if op.column not in i.columns}
    table.foreign_keys = [k for k in table.foreign_keys if op.column not in k.columns]
    table.checks = [
        c
        for c in table.checks
        if not re.search(rf"(?<!\w){re.escape(op.column)}(?!\w)", c.expression)
    ]


def _rename_column(known: Known, table: str, old: str, new: str) -> None:
    found = known.tables.get(table)
    if found is None or old not in found.columns:
        return

    def now(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(new if name == old else name for name in names)

    found.columns = {
        (new if name == old else name): (column._replace(name=new) if name == old else column)
        for name, column in found.columns.items()
    }
    if old in found.added:
        found.added = {*found.added, new} - {old}
    found.primary_key = now(found.primary_key)
    found.indexes = {n: i._replace(columns=now(i.columns)) for n, i in found.indexes.items()}
    found.foreign_keys = [k._replace(columns=now(k.columns)) for k in found.foreign_keys]
    for other in known.tables.values():
        other.foreign_keys = [
            k._replace(referred=now(k.referred)) if k.table == table else k
            for k in other.foreign_keys
        ]


def _change(known: Known, table: str, column: str, **changes: object) -> None:
    found = known.tables.get(table)
    if found is not None and column in found.columns:
        found.columns[column] = found.columns[column]._replace(**changes)  # type: ignore[arg-type]


def _set_null(known: Known, op: ops.SetNull) -> None:
    _change(known, op.table, op.column, nullable=op.nullable)


def _set_type(known: Known, op: ops.SetType) -> None:
    _change(known, op.table, op.column, type=op.type)


def _set_default(known: Known, op: ops.SetDefault) -> None:
    _change(known, op.table, op.column, default=op.default)


def _modify(known: Known, op: ops.ModifyColumn) -> None:
    if op.old != op.column.name:
        _rename_column(known, op.table, op.old, op.column.name)
    found = known.tables.get(op.table)
    if found is not None and op.column.name in found.columns:
        found.columns[op.column.name] = op.column.as_column()


def _create_index(known: Known, op: ops.CreateIndex) -> None:
    table = known.tables.get(op.table)
    if table is not None:
        table.indexes.setdefault(op.made.name, op.made)


def _drop_index(known: Known, op: ops.DropIndex) -> None:
    table = known.tables.get(op.table) if op.table else known.index_owner(op.name)
    if table is not None:
        table.indexes.pop(op.name, None)


def _add_key(known: Known, op: ops.AddKey) -> None:
    table = known.tables.get(op.table)
    if table is None:
        return
    columns = op.columns
    if op.by_index and op.by_index in table.indexes:
        columns = table.indexes.pop(op.by_index).columns
    if op.kind == "primary key":
        table.primary_key = columns
        for column in columns:
            _change(known, op.table, column, nullable=False)
    else:
        name = op.name or f"{op.table}_{'_'.join(columns)}_key"
        table.indexes[name] = Index(name, columns, op.kind == "unique")


def _add_foreign_key(known: Known, op: ops.AddForeignKey) -> None:
    table = known.tables.get(op.table)
    if table is not None:
        key = op.key
        if not key.name and known.dialect == "postgresql":
            key = key._replace(name=f"{op.table}_{'_'.join(key.columns)}_fkey")
        table.foreign_keys.append(key)
        if op.not_valid:
            table.not_valid.add(key.name)


def _add_check(known: Known, op: ops.AddCheck) -> None:
    table = known.tables.get(op.table)
    if table is not None:
        table.checks.append(Check(op.name, op.expression))
        (table.not_valid if op.not_valid else table.validated).add(op.name)


def _drop_constraint(known: Known, op: ops.DropConstraint) -> None:
    table = known.tables.get(op.table)
    if table is None:
        return
    table.foreign_keys = [k for k in table.foreign_keys if k.name != op.name]
    table.checks = [c for c in table.checks if c.name != op.name]
    if op.kind == "primary key" or op.name == f"{op.table}_pkey":
        table.primary_key = ()
    elif op.name is not None:
        table.indexes.pop(op.name, None)


def _validate(known: Known, op: ops.Validate) -> None:
    table = known.table(op.table)
    table.not_valid.discard(op.name)
    table.validated.add(op.name)


def _create_enum(known: Known, op: ops.CreateEnum) -> None:
    known.enums[op.name] = op.labels


def _drop_type(known: Known, op: ops.DropType) -> None:
    known.enums.pop(op.name, None)
    for table, column in known.of_type(op.name) if op.cascade else ():
        known.tables[table].columns.pop(column)


def _create_other(known: Known, op: ops.CreateOther) -> None:
    if op.kind == "extension":
        known.types.add("*")
    elif op.kind in ("domain", "type"):
        known.types.add(op.name)


def _add_label(known: Known, op: ops.AddLabel) -> None:
    labels = known.enums.get(op.type, ())
    if op.label not in labels:
        known.enums[op.type] = (*labels, op.label)
        if not op.place.outside:
            known.labels.add((op.type, op.label))


def _rename_other(known: Known, op: ops.RenameOther) -> None:
    if op.kind == "type" and op.name in known.enums:
        known.enums[op.new] = known.enums.pop(op.name)
        for table in known.tables.values():
            for name, column in table.columns.items():
                if column.type == op.name:
                    table.columns[name] = column._replace(type=op.new)
        return
    table_ = known.tables.get(op.table) if op.table else known.index_owner(op.name)
    if table_ is None:
        return
    if op.name in table_.indexes:
        table_.indexes[op.new] = table_.indexes.pop(op.name)._replace(name=op.new)
    if op.kind == "constraint":
        table_.foreign_keys = [
            k._replace(name=op.new) if k.name == op.name else k for k in table_.foreign_keys
        ]
        table_.checks = [
            c._replace(name=op.new) if c.name == op.name else c for c in table_.checks
        ]


def _write(known: Known, op: ops.Write) -> None:
    table = known.tables.get(op.table)
    if table is not None:
        table.written = True
        if op.verb in ("TRUNCATE", "DELETE") and not op.where and not op.limit:
            table.rows = 0
        elif op.verb == "INSERT" and op.reads:
            rows = [known.table(name).rows for name in op.reads]
            table.rows = None if None in rows else max([table.rows or 0, *filter(None, rows)])
        table.filled |= set(op.columns)
        keys = [*table.foreign_keys, *(key for _, key in known.referring(op.table))]
        if not op.place.outside and any("INITIALLY DEFERRED" in key.actions for key in keys):
            table.pending = True


def _create_view(known: Known, op: ops.CreateView) -> None:
    known.views[op.name] = op.text


def _lose_sight(known: Known, op: ops.Unseen | ops.Raised) -> None:
    # What else was made or dropped is not known.
    known.complete = False


def _drop_other(known: Known, op: ops.DropOther) -> None:
    if op.kind == "view":
        known.views.pop(op.name, None)
    elif op.kind == "trigger":
        known.triggers.pop(op.name, None)


_CHANGES: dict[str, Callable[[Known, Any], None]] = {
    "CreateTable": _create_table,
    "DropTable": _drop_table,
    "RenameTable": _rename_table,
    "AddColumn": _add_column,
    "DropColumn": _drop_column,
    "RenameColumn": lambda known, op: _rename_column(known, op.table, op.column, op.new),
    "SetType": _set_type,
    "SetNull": _set_null,
    "SetDefault": _set_default,
    "ModifyColumn": _modify,
    "CreateIndex": _create_index,
    "DropIndex": _drop_index,
    "AddKey": _add_key,
    "AddForeignKey": _add_foreign_key,
    "AddCheck": _add_check,
    "DropConstraint": _drop_constraint,
    "Validate": _validate,
    "CreateEnum": _create_enum,
    "CreateOther": _create_other,
    "DropType": _drop_type,
    "AddLabel": _add_label,
    "RenameOther": _rename_other,
    "Write": _write,
    "CreateView": _create_view,
    "DropOther": _drop_other,
    "LookedUp": lambda known, _: known.look_up(),
    "Unseen": _lose_sight,
    "Raised": _lose_sight,
}
