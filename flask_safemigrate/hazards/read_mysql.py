"""MariaDB's and MySQL's statements as operations, read by sqlglot (https://sqlglot.com).

What sqlglot takes for a mere ``Command`` is read here where a few words tell all, and is unseen
otherwise.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

from flask_safemigrate.facts.schema import Check, ForeignKey, Index
from flask_safemigrate.hazards.operations import (
    AddCheck,
    AddColumn,
    AddForeignKey,
    AddKey,
    CreateIndex,
    CreateOther,
    CreateTable,
    CreateView,
    DropColumn,
    DropConstraint,
    DropIndex,
    DropOther,
    DropTable,
    LockTable,
    ModifyColumn,
    Named,
    Operation,
    Place,
    Quick,
    Rebuild,
    RenameColumn,
    RenameOther,
    RenameTable,
    SetDefault,
    Unseen,
    Write,
)

_NAME = r"`?((?:[\w$]+`?\.`?)?[\w$]+)`?"
_SPECIAL_INDEX = re.compile(r"\s*CREATE\s+(FULLTEXT|SPATIAL)\s+INDEX\b", re.IGNORECASE)
_CONVERT = re.compile(
    rf"\s*ALTER\s+TABLE\s+{_NAME}\s+CONVERT\s+TO\s+CHARACTER\s+SET\b", re.IGNORECASE
)
_RENAME = re.compile(r"\s*RENAME\s+TABLE\s+(.*)", re.IGNORECASE | re.DOTALL)
_ONE_RENAME = re.compile(rf"{_NAME}\s+TO\s+{_NAME}", re.IGNORECASE)
_OPTIMIZE = re.compile(rf"\s*OPTIMIZE\s+(?:\w+\s+)?TABLE\s+{_NAME}", re.IGNORECASE)
_LOCK = re.compile(rf"\s*LOCK\s+TABLES?\s+{_NAME}\s+.*?(READ|WRITE)", re.IGNORECASE)
_RENAME_INDEX = re.compile(
    rf"\s*ALTER\s+TABLE\s+{_NAME}\s+RENAME\s+(?:INDEX|KEY)\s+{_NAME}\s+TO\s+{_NAME}\s*;?\s*$",
    re.IGNORECASE,
)
_SPECIAL_KEY = re.compile(
    rf"\s*ALTER\s+TABLE\s+{_NAME}\s+ADD\s+(FULLTEXT|SPATIAL)\s+(?:INDEX|KEY)?\s*{_NAME}?",
    re.IGNORECASE,
)
_PARTITION = re.compile(
    rf"\s*ALTER\s+TABLE\s+{_NAME}\s+(ADD|DROP|TRUNCATE|REORGANIZE|COALESCE)\s+PARTITION\s+(\S+)",
    re.IGNORECASE,
)
_FORCE = re.compile(rf"\s*ALTER\s+TABLE\s+{_NAME}\s+FORCE\b", re.IGNORECASE)
_REPLACE = re.compile(rf"\s*REPLACE\s+(?:INTO\s+)?{_NAME}", re.IGNORECASE)
_TRIGGER = re.compile(
    rf"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:DEFINER\s*=\s*\S+\s+)?TRIGGER\b.*?\bON\s+{_NAME}",
    re.IGNORECASE | re.DOTALL,
)
_HARMLESS = re.compile(
    r"\s*(SET|USE|SHOW|UNLOCK|ANALYZE|FLUSH|GRANT|REVOKE|COMMIT|BEGIN|START|ROLLBACK|SAVEPOINT"
    r"|RELEASE|DESC|DESCRIBE|EXPLAIN|CHECK|DO|CREATE\s+(OR\s+REPLACE\s+)?(\S+\s+)?"
    r"(USER|ROLE|FUNCTION|PROCEDURE|EVENT|SEQUENCE)|DROP\s+(USER|ROLE|FUNCTION|PROCEDURE|EVENT))\b",
    re.IGNORECASE,
)


def read(sql: str, place: Place) -> list[Operation]:
    """Return what the statements of a text do.

    :raises ImportError: sqlglot is not installed.
    """
    import sqlglot
    from sqlglot.errors import SqlglotError

    logger = logging.getLogger("sqlglot")
    level = logger.level
    # It warns of what it takes for a Command, which is told as a finding.
    logger.setLevel(logging.ERROR)
    try:
        known = _known(sql, place)
        if known is not None:
            return known
        parsed = sqlglot.parse(_without_kind(sql), read="mysql")
    except (SqlglotError, RecursionError):
        return [] if _HARMLESS.match(sql) else [Unseen(place, "sqlglot cannot read it")]
    finally:
        logger.setLevel(level)
    found: list[Operation] = []
    for each in parsed:
        if each is None:
            continue
        reader = _READERS.get(type(each).__name__)
        text = each.sql(dialect="mysql")
        if reader is not None:
            found += reader(each, place, sql)
        elif type(each).__name__ not in _PLAIN and not _HARMLESS.match(text):
            found.append(Unseen(place, "sqlglot cannot read it"))
    return found


def _without_kind(sql: str) -> str:
    return _SPECIAL_INDEX.sub("CREATE INDEX", sql)


def _known(sql: str, place: Place) -> list[Operation] | None:
    """What sqlglot cannot read and a few words tell."""
    if match := _CONVERT.match(sql):
        return [Rebuild(place, match[1], "CONVERT TO CHARACTER SET", "writes")]
    if match := _OPTIMIZE.match(sql):
        return [Rebuild(place, match[1], "OPTIMIZE TABLE", "")]
    if match := _RENAME.match(sql):
        return [RenameTable(place, old, new) for old, new in _ONE_RENAME.findall(match[1])]
    if match := _RENAME_INDEX.match(sql):
        return [RenameOther(place, "index", match[1], match[2], match[3])]
    if match := _LOCK.match(sql):
        blocks = "reads" if match[2].upper() == "WRITE" else "writes"
        return [LockTable(place, match[1], match[2].upper(), blocks)]
    if match := _PARTITION.match(sql):
        if match[2].upper() in ("DROP", "TRUNCATE"):
            return [Write(place, "TRUNCATE", match[1], where=f"partition {match[3]}")]
        return [Quick(place, match[1], f"{match[2].upper()} PARTITION", "")]
    if match := _FORCE.match(sql):
        return [Rebuild(place, match[1], "FORCE", "")]
    if match := _REPLACE.match(sql):
        return [Write(place, "INSERT", match[1], replaces=True)]
    if match := _TRIGGER.match(sql):
        return [Quick(place, match[1], "CREATE TRIGGER", "")]
    if match := _SPECIAL_KEY.match(sql):
        index = Index(match[3] or "", ())
        return [CreateIndex(place, match[1], index, kind=match[2].upper())]
    return None


def _table(node: Any) -> str:
    parts = [node.args[part].name for part in ("db", "this") if node.args.get(part)]
    return ".".join(parts)


def _sql(node: Any) -> str:
    return "" if node is None else str(node.sql(dialect="mysql"))


def _column(node: Any) -> Named:
    nullable, default, generated, stored, counts = True, None, "", False, False
    for each in node.args.get("constraints") or ():
        kind = type(each.kind).__name__
        if kind == "NotNullColumnConstraint":
            nullable = bool(each.kind.args.get("allow_null"))
        elif kind == "PrimaryKeyColumnConstraint":
            nullable = False
        elif kind == "DefaultColumnConstraint":
            default = _sql(each.kind.this)
        elif kind == "AutoIncrementColumnConstraint":
            counts = True
        elif kind in ("ComputedColumnConstraint", "GeneratedAsRowColumnConstraint"):
            generated = _sql(each.kind.this)
            stored = bool(each.kind.args.get("persisted"))
    kind = _sql(node.args.get("kind")).lower() if node.args.get("kind") else ""
    return Named(node.name, _kept(node, kind), nullable, default, generated, stored, counts)


def _kept(node: Any, lowered: str) -> str:
    """A type in lower case, with the values of an ENUM as they are."""
    kind = node.args.get("kind")
    if kind is None:
        return ""
    return _sql(kind) if lowered.startswith(("enum", "set")) else lowered


def _key(node: Any, name: str = "") -> ForeignKey:
    reference = node.args.get("reference")
    target = reference.this
    table = target.this if type(target).__name__ == "Schema" else target
    referred = tuple(e.name for e in target.expressions) if target is not table else ()
    options = " ".join(str(each) for each in reference.args.get("options") or ())
    for option in ("delete", "update"):
        if action := node.args.get(option):
            options += f" ON {option.upper()} {action}"
    return ForeignKey(
        name, tuple(e.name for e in node.expressions), _table(table), referred, options.strip()
    )


def _listed(nodes: Any) -> tuple[str, ...]:
    found = []
    for each in nodes or ():
        inner = each.this if type(each).__name__ == "Ordered" else each
        found.append(inner.name or _sql(inner))
    return tuple(found)


def _constraint(table: str, node: Any, place: Place, name: str = "") -> Iterator[Operation]:
    kind = type(node).__name__
    if kind == "Constraint":
        for each in node.expressions:
            yield from _constraint(table, each, place, node.name)
    elif kind == "ForeignKey":
        yield AddForeignKey(place, table, _key(node, name))
    elif kind == "UniqueColumnConstraint":
        inner = node.this
        columns = _listed(getattr(inner, "expressions", ()))
        own = name or (inner.name if type(inner).__name__ == "Schema" and inner.this else "")
        yield AddKey(place, table, "unique", own, columns)
    elif kind in ("PrimaryKey", "PrimaryKeyColumnConstraint"):
        yield AddKey(place, table, "primary key", name, _listed(node.expressions))
    elif kind == "CheckColumnConstraint":
        yield AddCheck(place, table, name, _sql(node.this))
    elif kind == "IndexColumnConstraint":
        own = node.this.name if node.this else ""
        word = str(node.args.get("kind") or "")
        yield CreateIndex(place, table, Index(own, _listed(node.expressions)), kind=word.upper())
    else:
        yield Unseen(place, f"what it adds to {table!r} could not be read")


def _alter(node: Any, place: Place, sql: str) -> Iterator[Operation]:
    if str(node.args.get("kind")).upper() != "TABLE":
        yield Unseen(place, "sqlglot cannot read it")
        return
    table = _table(node.this)
    actions = node.args.get("actions") or ()
    for action in actions:
        yield from _action(table, action, place, sql)
    options = {type(each).__name__ for each in node.args.get("options") or ()}
    if options & {"EngineProperty", "RowFormatProperty"}:
        yield Rebuild(place, table, "ENGINE=" if "EngineProperty" in options else "ROW_FORMAT=")
    elif options & {"CharacterSetProperty", "CollateProperty"} and not actions:
        yield Quick(place, table, "DEFAULT CHARACTER SET", "")


def _action(table: str, node: Any, place: Place, sql: str) -> Iterator[Operation]:
    kind = type(node).__name__
    if kind == "ColumnDef":
        column = _column(node)
        yield AddColumn(place, table, column)
        for each in node.args.get("constraints") or ():
            word = type(each.kind).__name__
            if word == "UniqueColumnConstraint":
                yield AddKey(place, table, "unique", "", (column.name,))
            elif word == "PrimaryKeyColumnConstraint":
                yield AddKey(place, table, "primary key", "", (column.name,))
            elif word == "CheckColumnConstraint":
                yield AddCheck(place, table, "", _sql(each.kind.this))
    elif kind == "Schema":
        for each in node.expressions:
            yield from _action(table, each, place, sql)
    elif kind == "ModifyColumn":
        new = _column(node.this)
        # sqlglot 30.30 keeps the old name of CHANGE under a key of its own.
        old = node.args.get("rename_from")
        before = old.name if old is not None else _changed(sql, new.name)
        moved = node.args.get("position") is not None or bool(
            re.search(r"\b(FIRST|AFTER)\b", sql, re.IGNORECASE)
        )
        yield ModifyColumn(place, table, before, new, moved)
    elif kind == "AddConstraint":
        for each in node.expressions:
            yield from _constraint(table, each, place)
    elif kind == "AlterColumn":
        default = node.args.get("default")
        if node.args.get("drop") or default is not None:
            yield SetDefault(place, table, node.name, _sql(default) if default else None)
        else:
            yield Unseen(place, f"how column {node.name!r} changes could not be read")
    elif kind == "RenameColumn":
        yield RenameColumn(place, table, node.this.name, node.args["to"].name)
    elif kind == "AlterRename":
        yield RenameTable(place, table, _table(node.this))
    elif kind == "DropPrimaryKey":
        yield DropConstraint(place, table, "PRIMARY", "primary key")
    elif kind == "Drop":
        yield from _drop_part(table, node, place)
    elif kind == "RenameIndex":
        yield RenameOther(place, "index", table, node.name, node.args["to"].name)
    else:
        yield Unseen(place, f"how {table!r} changes could not be read")


def _changed(sql: str, new: str) -> str:
    match = re.search(rf"\bCHANGE\s+(?:COLUMN\s+)?{_NAME}\s+`?{re.escape(new)}`?\s", sql, re.I)
    return match[1] if match else new


def _drop_part(table: str, node: Any, place: Place) -> Iterator[Operation]:
    kind = str(node.args.get("kind") or "").upper()
    exists = bool(node.args.get("exists"))
    for each in node.args.get("tables") or ([node.this] if node.this else []):
        name = each.name
        if kind in ("COLUMN", ""):
            yield DropColumn(place, table, name, if_exists=exists)
        elif kind in ("INDEX", "KEY"):
            yield DropIndex(place, table, name, if_exists=exists)
        elif kind in ("FOREIGN KEY", "CONSTRAINT", "CHECK"):
            word = {"FOREIGN KEY": "foreign key", "CHECK": "check"}.get(kind, "")
            yield DropConstraint(place, table, name, word, if_exists=exists)
        else:
            yield Unseen(place, f"what it takes from {table!r} could not be read")


def _create(node: Any, place: Place, sql: str) -> Iterator[Operation]:
    kind = str(node.args.get("kind") or "").upper()
    exists = bool(node.args.get("exists"))
    if kind == "INDEX":
        index = node.this
        special = _SPECIAL_INDEX.match(sql)
        parts = _listed(index.args.get("params") and index.args["params"].args.get("columns"))
        made = Index(index.name, parts, bool(node.args.get("unique")))
        word = special[1].upper() if special else ""
        yield CreateIndex(place, _table(index.args["table"]), made, kind=word)
    elif kind == "TABLE":
        yield from _create_table(node, place, exists)
    elif kind == "VIEW":
        yield CreateView(place, _table(node.this), _sql(node.expression))
    elif kind == "TRIGGER":
        yield Quick(place, "", "CREATE TRIGGER", "")
    elif kind not in ("PROCEDURE", "FUNCTION", "SEQUENCE", "DATABASE", "SCHEMA"):
        yield Unseen(place, "sqlglot cannot read it")


def _create_table(node: Any, place: Place, exists: bool) -> Iterator[Operation]:
    properties = node.args.get("properties")
    temporary = properties and any(
        type(e).__name__ == "TemporaryProperty" for e in properties.expressions
    )
    body = node.this
    if temporary:
        target = body.this if type(body).__name__ == "Schema" else body
        yield CreateOther(place, "table", _table(target))
        return
    table = _table(body.this if type(body).__name__ == "Schema" else body)
    columns: list[Named] = []
    primary: tuple[str, ...] = ()
    indexes: list[Index] = []
    keys: list[ForeignKey] = []
    checks: list[Check] = []
    for each in body.expressions if type(body).__name__ == "Schema" else ():
        if type(each).__name__ == "ColumnDef":
            column = _column(each)
            columns.append(column)
            for constraint in each.args.get("constraints") or ():
                word = type(constraint.kind).__name__
                if word == "PrimaryKeyColumnConstraint":
                    primary = (column.name,)
                elif word == "UniqueColumnConstraint":
                    indexes.append(Index(column.name, (column.name,), True))
            continue
        for part in _constraint(table, each, place):
            if isinstance(part, AddKey) and part.kind == "primary key":
                primary = part.columns
            elif isinstance(part, AddKey):
                indexes.append(Index(part.name or part.columns[0], part.columns, True))
            elif isinstance(part, AddForeignKey):
                keys.append(part.key)
            elif isinstance(part, AddCheck):
                checks.append(Check(part.name, part.expression))
            elif isinstance(part, CreateIndex):
                indexes.append(part.made)
    yield CreateTable(
        place, table, tuple(columns), primary, tuple(indexes), tuple(keys), tuple(checks),
        node.expression is not None, exists,
    )  # fmt: skip


def _drop(node: Any, place: Place, _sql_text: str) -> Iterator[Operation]:
    kind = str(node.args.get("kind") or "").upper()
    exists = bool(node.args.get("exists"))
    targets = node.args.get("tables") or [node.this, *node.expressions]
    for each in targets:
        if kind == "TABLE":
            if not node.args.get("temporary"):
                yield DropTable(place, _table(each), if_exists=exists)
        elif kind == "INDEX":
            on = node.args.get("cluster") or node.args.get("on")
            table = on.this if on is not None else None
            name = each.name
            yield DropIndex(place, _table(table) if table else _on(_sql_text), name)
        elif kind == "VIEW":
            yield DropOther(place, "view", _table(each))
        else:
            yield DropOther(place, kind.lower(), each.name if each else "")


def _on(sql: str) -> str:
    match = re.search(rf"\bON\s+{_NAME}", sql, re.IGNORECASE)
    return match[1] if match else ""


def _tables_in(node: Any) -> tuple[str, ...]:
    from sqlglot import exp

    if node is None:
        return ()
    return tuple(dict.fromkeys(_table(each) for each in node.find_all(exp.Table)))


def _write(verb: str) -> Callable[[Any, Place, str], Iterator[Operation]]:
    def reader(node: Any, place: Place, _sql_text: str) -> Iterator[Operation]:
        from sqlglot import exp

        target = node.this.this if type(node.this).__name__ == "Schema" else node.this
        if target is None or type(target).__name__ != "Table":
            tables = node.args.get("tables") or [*node.find_all(exp.Table)]
            if not tables:
                yield Unseen(place, "sqlglot cannot read it")
                return
            target = tables[0]
        where = node.args.get("where")
        joined = [each for key in ("from_", "from", "joins", "using", "expression") if
                  (each := node.args.get(key))]  # fmt: skip
        reads: list[str] = []
        for part in joined:
            for each in part if isinstance(part, list) else [part]:
                if hasattr(each, "find_all"):
                    reads += _tables_in(each)
        reads += _tables_in(where)
        columns = tuple(
            each.this.name for each in node.expressions if type(each).__name__ == "EQ"
        ) if verb == "UPDATE" else tuple(
            each.name for each in getattr(node.this, "expressions", ()) if verb == "INSERT"
        )  # fmt: skip
        constants = tuple(
            each.this.name
            for each in (node.expressions if verb == "UPDATE" else ())
            if type(each).__name__ == "EQ"
            and type(each.expression).__name__ in ("Literal", "Placeholder", "Null", "Boolean")
        )
        bound = where is not None and any(
            True for _ in where.find_all(exp.Placeholder, exp.Parameter)
        )
        limit = node.args.get("limit") is not None
        yield Write(
            place, verb, _table(target), _sql(where.this) if where else "", bound, columns,
            tuple(dict.fromkeys(reads)), limit=limit, constants=constants,
        )  # fmt: skip

    return reader


def _truncate(node: Any, place: Place, _sql_text: str) -> Iterator[Operation]:
    for each in node.expressions:
        yield Write(place, "TRUNCATE", _table(each))


_READERS: dict[str, Callable[[Any, Place, str], Iterator[Operation]]] = {
    "Alter": _alter,
    "Create": _create,
    "Drop": _drop,
    "Insert": _write("INSERT"),
    "Update": _write("UPDATE"),
    "Delete": _write("DELETE"),
    "TruncateTable": _truncate,
}
_PLAIN = frozenset({"Select", "Union", "Set", "Use", "Show", "Commit", "Rollback", "Transaction",
                    "Describe", "Analyze", "Semicolon", "Comment", "Grant", "Revoke"})  # fmt: skip
