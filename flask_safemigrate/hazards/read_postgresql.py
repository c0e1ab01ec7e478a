"""PostgreSQL's statements as operations, read by the server's own parser.

pglast has the parser of PostgreSQL itself (https://pglast.readthedocs.io), so that what it refuses
the server refuses too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from flask_safemigrate.facts.schema import Check, ForeignKey, Index
from flask_safemigrate.hazards.operations import (
    AddCheck,
    AddColumn,
    AddForeignKey,
    AddKey,
    AddLabel,
    Alone,
    CreateEnum,
    CreateIndex,
    CreateOther,
    CreateTable,
    CreateView,
    DropColumn,
    DropConstraint,
    DropIndex,
    DropOther,
    DropTable,
    DropType,
    LockTable,
    LookedUp,
    Named,
    Operation,
    Place,
    Quick,
    Rebuild,
    RenameColumn,
    RenameLabel,
    RenameOther,
    RenameTable,
    SetDefault,
    SetNull,
    SetType,
    Unseen,
    Validate,
    Write,
)

#: Modes of LOCK TABLE by number (``src/include/storage/lockdefs.h``); from SHARE on, writers wait.
_MODES = {
    1: "ACCESS SHARE",
    2: "ROW SHARE",
    3: "ROW EXCLUSIVE",
    4: "SHARE UPDATE EXCLUSIVE",
    5: "SHARE",
    6: "SHARE ROW EXCLUSIVE",
    7: "EXCLUSIVE",
    8: "ACCESS EXCLUSIVE",
}
_ACTIONS = {"c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT", "r": "RESTRICT"}
_SERIALS = {"serial": "integer", "bigserial": "bigint", "smallserial": "smallint"}
#: What ``pg_catalog`` calls types, and what ``format_type`` does.
_TYPES = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "bool": "boolean",
    "float4": "real",
    "float8": "double precision",
    "varchar": "character varying",
    "bpchar": "character",
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "timetz": "time with time zone",
    "time": "time without time zone",
    "varbit": "bit varying",
    "decimal": "numeric",
}


def read(sql: str, place: Place) -> list[Operation]:
    """Return what the statements of a text do.

    :raises ImportError: pglast is not installed.
    """
    import pglast

    try:
        parsed = pglast.parse_sql(sql)
    except pglast.parser.ParseError as error:
        refused = pglast.get_postgresql_version()
        return [Unseen(place, f"PostgreSQL cannot read it: {error.args[0]}", refused)]
    found: list[Operation] = []
    for each in parsed:
        statement = each.stmt
        reader = _READERS.get(type(statement).__name__)
        if reader is None:
            if type(statement).__name__ not in _HARMLESS:
                name = type(statement).__name__.removesuffix("Stmt")
                found.append(Unseen(place, f"nothing is known of statements of its kind ({name})"))
            continue
        found += reader(statement, place)
    return found


def _text(node: Any) -> str:
    from pglast.stream import RawStream

    return "" if node is None else str(RawStream()(node))


def _name(relation: Any) -> str:
    schema = relation.schemaname
    return f"{schema}.{relation.relname}" if schema and schema != "public" else relation.relname


def _dotted(names: Any) -> str:
    parts = [part.sval for part in names]
    return ".".join(parts[1:] if len(parts) > 1 and parts[0] == "public" else parts)


def _type(node: Any) -> str:
    """A type as ``format_type`` spells it."""
    parts = [part.sval for part in node.names]
    base = parts[-1] if parts[0] in ("pg_catalog", "public") else ".".join(parts)
    base = _TYPES.get(base, base)
    mods = [str(each.val.ival) for each in node.typmods or () if hasattr(each, "val")]
    if base == "character" and not mods:
        mods = ["1"]
    if base == "interval":
        mods = []
    if mods:
        word, _, rest = base.partition(" with")
        base = f"{word}({','.join(mods)})" + (f" with{rest}" if rest else "")
    return base + "[]" * len(node.arrayBounds or ())


def _enum(value: Any) -> str:
    return str(getattr(value, "name", value))


def _constraints(node: Any) -> Iterator[tuple[str, Any]]:
    for each in node.constraints or ():
        yield _enum(each.contype).removeprefix("CONSTR_"), each


def _column(node: Any) -> Named:
    kind = _type(node.typeName)
    counts = kind in _SERIALS
    kind = _SERIALS.get(kind, kind)
    nullable, default, generated = not counts, None, ""
    for what, each in _constraints(node):
        if what in ("NOTNULL", "PRIMARY"):
            nullable = False
        elif what == "DEFAULT":
            default = _text(each.raw_expr)
        elif what == "IDENTITY":
            counts, nullable = True, False
        elif what == "GENERATED":
            generated = _text(each.raw_expr)
    return Named(node.colname, kind, nullable, default, generated, bool(generated), counts)


def _is_deferred(column: Any) -> bool:
    """Whether INITIALLY DEFERRED stands behind a column, where it is a constraint of its own."""
    return any(what == "ATTR_DEFERRED" for what, _ in _constraints(column))


def _key(each: Any, own: tuple[str, ...] = (), deferred: bool = False) -> ForeignKey:
    actions = " ".join(
        f"ON {event} {_ACTIONS[code]}"
        for event, code in (("DELETE", each.fk_del_action), ("UPDATE", each.fk_upd_action))
        if code in _ACTIONS
    )
    if each.initdeferred or deferred:
        actions = f"{actions} DEFERRABLE INITIALLY DEFERRED".strip()
    return ForeignKey(
        each.conname or "",
        own or tuple(part.sval for part in each.fk_attrs or ()),
        _name(each.pktable),
        tuple(part.sval for part in each.pk_attrs or ()),
        actions,
    )


def _named(key: ForeignKey, table: str) -> ForeignKey:
    """A foreign key with the name that PostgreSQL gives one without."""
    return key if key.name else key._replace(name=f"{table}_{'_'.join(key.columns)}_fkey")


def _names(parts: Any) -> tuple[str, ...]:
    return tuple(part.sval for part in parts or ())


def _create_table(node: Any, place: Place) -> Iterator[Operation]:
    table = _name(node.relation)
    if node.relation.relpersistence == "t":
        yield CreateOther(place, "table", table)
        return
    columns: list[Named] = []
    primary: tuple[str, ...] = ()
    indexes: list[Index] = []
    keys: list[ForeignKey] = []
    checks: list[Check] = []
    for element in node.tableElts or ():
        kind = type(element).__name__
        if kind == "ColumnDef":
            column = _column(element)
            columns.append(column)
            for what, each in _constraints(element):
                if what == "PRIMARY":
                    primary = (column.name,)
                elif what == "UNIQUE":
                    name = each.conname or f"{table}_{column.name}_key"
                    indexes.append(Index(name, (column.name,), True))
                elif what == "FOREIGN":
                    keys.append(_named(_key(each, (column.name,), _is_deferred(element)), table))
                elif what == "CHECK":
                    checks.append(Check(each.conname or "", _text(each.raw_expr)))
        elif kind == "Constraint":
            what = _enum(element.contype).removeprefix("CONSTR_")
            if what == "PRIMARY":
                primary = _names(element.keys)
            elif what == "UNIQUE":
                listed = _names(element.keys)
                name = element.conname or f"{table}_{'_'.join(listed)}_key"
                indexes.append(Index(name, listed, True))
            elif what == "FOREIGN":
                keys.append(_named(_key(element), table))
            elif what == "CHECK":
                checks.append(Check(element.conname or "", _text(element.raw_expr)))
    yield CreateTable(
        place, table, tuple(columns), primary, tuple(indexes), tuple(keys), tuple(checks),
        if_not_exists=bool(node.if_not_exists),
        partition_of=_name(node.inhRelations[0]) if node.partbound else "",
    )  # fmt: skip


def _create_as(node: Any, place: Place) -> Iterator[Operation]:
    name = _name(node.into.rel)
    if _enum(node.objtype) == "OBJECT_MATVIEW":
        yield CreateView(place, name, _text(node.query))
    else:
        yield from _made_by_query(node.into.rel, place)


def _made_by_query(relation: Any, place: Place) -> Iterator[Operation]:
    name = _name(relation)
    if relation.relpersistence == "t":
        yield CreateOther(place, "table", name)
    else:
        yield CreateTable(place, name, filled=True)


def _alter_table(node: Any, place: Place) -> Iterator[Operation]:
    table = _name(node.relation)
    kind = _enum(node.objtype)
    for command in node.cmds:
        what = _enum(command.subtype).removeprefix("AT_")
        if kind == "OBJECT_INDEX":
            yield Quick(place, table, what, "")
            continue
        if kind not in ("OBJECT_TABLE", "OBJECT_FOREIGN_TABLE"):
            yield Quick(place, table, what)
            continue
        yield from _command(table, what, command, place)


def _command(table: str, what: str, command: Any, place: Place) -> Iterator[Operation]:
    name, cascade = command.name, _enum(command.behavior) == "DROP_CASCADE"
    missing_ok = bool(command.missing_ok)
    if what == "AddColumn":
        column = _column(command.def_)
        check = next(
            (_text(e.raw_expr) for w, e in _constraints(command.def_) if w == "CHECK"), ""
        )
        yield AddColumn(place, table, column, check, missing_ok)
        for kind, each in _constraints(command.def_):
            if kind == "FOREIGN":
                # With the column, whose rows are all NULL, nothing has to be looked up.
                yield AddForeignKey(
                    place,
                    table,
                    _key(each, (column.name,), _is_deferred(command.def_)),
                    not_valid=True,
                )
            elif kind in ("UNIQUE", "PRIMARY"):
                word = "unique" if kind == "UNIQUE" else "primary key"
                yield AddKey(place, table, word, each.conname or "", (column.name,))
    elif what == "DropColumn":
        yield DropColumn(place, table, name, cascade, missing_ok)
    elif what == "AlterColumnType":
        using = _text(command.def_.raw_default)
        sorted_by = command.def_.collClause
        collation = _dotted(sorted_by.collname) if sorted_by is not None else ""
        yield SetType(place, table, name, _type(command.def_.typeName), using, collation)
    elif what in ("SetNotNull", "DropNotNull"):
        yield SetNull(place, table, name, what == "DropNotNull")
    elif what == "ColumnDefault":
        yield SetDefault(place, table, name, _text(command.def_) if command.def_ else None)
    elif what == "AddConstraint":
        yield from _add_constraint(table, command.def_, place)
    elif what == "DropConstraint":
        yield DropConstraint(place, table, name, "", cascade, missing_ok)
    elif what == "ValidateConstraint":
        yield Validate(place, table, name)
    elif what in ("SetLogged", "SetUnLogged", "SetTableSpace", "SetAccessMethod"):
        yield Rebuild(place, table, f"SET {what.removeprefix('Set').upper()}")
    elif what == "AttachPartition":
        yield Rebuild(place, _name(command.def_.name), "ATTACH PARTITION", "reads", rewrites=False)
    elif what == "DetachPartition":
        if command.def_.concurrent:
            yield Rebuild(
                place, table, "DETACH PARTITION CONCURRENTLY", "", rewrites=False, alone=True
            )
        else:
            yield Quick(place, table, "DETACH PARTITION")
    elif what == "AddIdentity":
        yield Quick(place, table, "ADD GENERATED AS IDENTITY")
    elif what in ("EnableRowSecurity", "ForceRowSecurity"):
        yield Quick(place, table, "ENABLE ROW LEVEL SECURITY")
    elif what in ("SetStatistics", "SetOptions", "ResetOptions", "ClusterOn"):
        yield Quick(place, table, what, "")
    elif what in ("EnableTrig", "DisableTrig", "EnableTrigAll", "DisableTrigAll"):
        yield Quick(place, table, what, "writes")
    else:
        yield Quick(place, table, what)


def _add_constraint(table: str, node: Any, place: Place) -> Iterator[Operation]:
    what = _enum(node.contype).removeprefix("CONSTR_")
    late = bool(node.skip_validation)
    if what == "FOREIGN":
        yield AddForeignKey(place, table, _key(node), late)
    elif what == "CHECK":
        yield AddCheck(place, table, node.conname or "", _text(node.raw_expr), late)
    elif what in ("UNIQUE", "PRIMARY", "EXCLUSION"):
        kind = {"UNIQUE": "unique", "PRIMARY": "primary key", "EXCLUSION": "exclude"}[what]
        columns = _names(node.keys)
        yield AddKey(place, table, kind, node.conname or "", columns, node.indexname or "")
    elif what == "NOTNULL":
        column = _names(node.keys)[0]
        if late:
            yield Quick(place, table, "ADD NOT NULL NOT VALID")
        else:
            yield SetNull(place, table, column, False)
    else:
        yield Quick(place, table, what)


def _create_index(node: Any, place: Place) -> Iterator[Operation]:
    parts = tuple(part.name or _text(part.expr) for part in node.indexParams)
    plain = all(part.name for part in node.indexParams) and node.whereClause is None
    index = Index(node.idxname or "", parts, bool(node.unique), _text(node.whereClause), plain)
    kind = "" if node.accessMethod == "btree" else node.accessMethod
    yield CreateIndex(
        place, _name(node.relation), index, bool(node.concurrent), kind, bool(node.if_not_exists)
    )


def _drop(node: Any, place: Place) -> Iterator[Operation]:
    kind = _enum(node.removeType).removeprefix("OBJECT_").lower()
    cascade, missing_ok = _enum(node.behavior) == "DROP_CASCADE", bool(node.missing_ok)
    for each in node.objects:
        if kind == "table":
            yield DropTable(place, _dotted(each), cascade, missing_ok)
        elif kind == "index":
            yield DropIndex(place, "", _dotted(each), bool(node.concurrent), missing_ok)
        elif kind == "type":
            yield DropType(place, _dotted(each.names), cascade, missing_ok)
        elif kind in ("view", "matview", "sequence"):
            yield DropOther(place, "view" if kind != "sequence" else kind, _dotted(each), cascade)
        elif kind in ("trigger", "policy", "rule"):
            yield Quick(place, _dotted(each[:-1]), f"DROP {kind.upper()}")
        elif kind == "schema":
            yield DropOther(place, kind, each.sval, cascade)
        elif cascade:
            yield Unseen(place, f"what goes along with a {kind} by CASCADE is not known")


def _rename(node: Any, place: Place) -> Iterator[Operation]:
    kind = _enum(node.renameType).removeprefix("OBJECT_")
    if kind == "COLUMN":
        yield RenameColumn(place, _name(node.relation), node.subname, node.newname)
    elif kind == "TABLE":
        yield RenameTable(place, _name(node.relation), node.newname)
    elif kind == "TABCONSTRAINT":
        yield RenameOther(place, "constraint", _name(node.relation), node.subname, node.newname)
    elif kind == "INDEX":
        yield RenameOther(place, "index", "", _name(node.relation), node.newname)
    elif kind == "TYPE":
        yield RenameOther(place, "type", "", _dotted(node.object), node.newname)
    elif kind in ("VIEW", "MATVIEW"):
        yield RenameTable(place, _name(node.relation), node.newname)


def _set_schema(node: Any, place: Place) -> Iterator[Operation]:
    kind = _enum(node.objectType).removeprefix("OBJECT_")
    if kind in ("TABLE", "VIEW", "MATVIEW", "FOREIGN_TABLE"):
        name = node.relation.relname
        yield RenameTable(place, _name(node.relation), f"{node.newschema}.{name}")


def _create_other(kind: str) -> Callable[[Any, Place], Iterator[Operation]]:
    def reader(node: Any, place: Place) -> Iterator[Operation]:
        names = next(
            (
                each
                for word in (
                    "domainname",
                    "typeName",
                    "typevar",
                    "defnames",
                    "funcname",
                    "sequence",
                )
                if (each := getattr(node, word, None)) is not None
            ),
            None,
        )
        name = "" if names is None else names.relname if hasattr(names, "relname") else (
            _dotted(names)
        )  # fmt: skip
        yield CreateOther(place, kind, name)

    return reader


def _grant(node: Any, place: Place) -> Iterator[Operation]:
    if node.is_grant or _enum(node.objtype) != "OBJECT_TABLE":
        return
    for each in node.objects or ():
        if hasattr(each, "relname"):
            yield Quick(place, _name(each), "REVOKE", "")


def _alter_enum(node: Any, place: Place) -> Iterator[Operation]:
    name = _dotted(node.typeName)
    if node.oldVal:
        yield RenameLabel(place, name, node.oldVal, node.newVal)
    else:
        yield AddLabel(place, name, node.newVal, bool(node.skipIfNewValExists))


def _create_enum(node: Any, place: Place) -> Iterator[Operation]:
    yield CreateEnum(place, _dotted(node.typeName), tuple(each.sval for each in node.vals or ()))


def _tables_in(node: Any) -> tuple[str, ...]:
    """Every table that a part of a statement reads."""
    from pglast.visitors import Visitor

    found: list[str] = []

    class Tables(Visitor):
        def visit_RangeVar(self, _ancestors: Any, each: Any) -> None:
            found.append(_name(each))

    if node is not None:
        Tables()(node)
    return tuple(dict.fromkeys(found))


def _has_parameter(node: Any) -> bool:
    from pglast.visitors import Visitor

    found: list[bool] = []

    class Parameters(Visitor):
        def visit_ParamRef(self, _ancestors: Any, _each: Any) -> None:
            found.append(True)

    if node is not None:
        Parameters()(node)
    return bool(found)


def _write(verb: str) -> Callable[[Any, Place], Iterator[Operation]]:
    def reader(node: Any, place: Place) -> Iterator[Operation]:
        table = _name(node.relation)
        condition = getattr(node, "whereClause", None)
        yield from _in_ctes(node, place)
        columns = getattr(node, "targetList", None) or getattr(node, "cols", None) or ()
        source = {
            "INSERT": lambda: node.selectStmt,
            "UPDATE": lambda: node.fromClause,
            "DELETE": lambda: node.usingClause,
        }[verb]()
        reads = tuple(t for part in (source, condition) for t in _tables_in(part))
        limited = "LIMIT" in _text(condition).upper() if condition is not None else False
        constants = tuple(
            each.name
            for each in columns
            if verb == "UPDATE" and type(each.val).__name__ in ("A_Const", "ParamRef")
        )
        where = _text(condition)
        others = source if verb != "INSERT" else None
        if where and (others or node.relation.alias is not None):
            # Asked of the table alone, its condition has to bring along what it names.
            own = node.relation.alias.aliasname if node.relation.alias else table
            tables = ", ".join(map(_text, (node.relation, *(others or ()))))
            where = f"ctid IN (SELECT {own}.ctid FROM {tables} WHERE {where})"
        yield Write(
            place, verb, table, where, _has_parameter(condition),
            tuple(each.name for each in columns if each.name), reads, limit=limited,
            constants=constants,
        )  # fmt: skip

    return reader


def _in_ctes(node: Any, place: Place) -> Iterator[Operation]:
    for each in node.withClause.ctes if getattr(node, "withClause", None) else ():
        reader = _READERS.get(type(each.ctequery).__name__)
        if reader is not None:
            yield from reader(each.ctequery, place)


def _truncate(node: Any, place: Place) -> Iterator[Operation]:
    cascade = _enum(node.behavior) == "DROP_CASCADE"
    for each in node.relations:
        yield Write(place, "TRUNCATE", _name(each), cascade=cascade)


def _select(node: Any, place: Place) -> Iterator[Operation]:
    yield from _in_ctes(node, place)
    if getattr(node, "intoClause", None):
        yield from _made_by_query(node.intoClause.rel, place)


def _lock(node: Any, place: Place) -> Iterator[Operation]:
    mode = int(node.mode)
    for each in node.relations:
        blocks = "reads" if mode == 8 else "writes" if mode >= 5 else ""
        yield LockTable(place, _name(each), _MODES.get(mode, str(mode)), blocks)


def _has_option(node: Any, name: str) -> bool:
    for each in node.options or getattr(node, "params", None) or ():
        if each.defname == name:
            value = getattr(each.arg, "sval", getattr(each.arg, "boolval", True))
            return value not in ("false", "off", False)
    return False


def _vacuum(node: Any, place: Place) -> Iterator[Operation]:
    tables = [_name(each.relation) for each in node.rels or ()] or [""]
    for table in tables:
        if not node.is_vacuumcmd:
            continue
        if _has_option(node, "full"):
            yield Rebuild(place, table, "VACUUM FULL", alone=True)
        else:
            yield Rebuild(place, table, "VACUUM", "", rewrites=False, alone=True)


def _cluster(node: Any, place: Place) -> Iterator[Operation]:
    yield Rebuild(place, _name(node.relation) if node.relation else "", "CLUSTER")


def _reindex(node: Any, place: Place) -> Iterator[Operation]:
    concurrent = any(each.defname == "concurrently" for each in node.params or ())
    kind = _enum(node.kind).removeprefix("REINDEX_OBJECT_")
    table = _name(node.relation) if node.relation and kind == "TABLE" else ""
    index = _name(node.relation) if node.relation and kind == "INDEX" else ""
    yield Rebuild(
        place, table or index, "REINDEX CONCURRENTLY" if concurrent else "REINDEX",
        "" if concurrent else "writes", rewrites=False,
        alone=concurrent or kind not in ("TABLE", "INDEX"),
    )  # fmt: skip


def _refresh(node: Any, place: Place) -> Iterator[Operation]:
    concurrent = bool(node.concurrent)
    what = "REFRESH MATERIALIZED VIEW" + (" CONCURRENTLY" if concurrent else "")
    yield Rebuild(place, _name(node.relation), what, "" if concurrent else "reads")


def _view(node: Any, place: Place) -> Iterator[Operation]:
    yield CreateView(place, _name(node.view), _text(node.query))


def _trigger(node: Any, place: Place) -> Iterator[Operation]:
    yield Quick(place, _name(node.relation), "CREATE TRIGGER", "writes")


def _on_table(what: str) -> Callable[[Any, Place], Iterator[Operation]]:
    def reader(node: Any, place: Place) -> Iterator[Operation]:
        relation = getattr(node, "table", None) or getattr(node, "relation", None)
        if relation is not None:
            yield Quick(place, _name(relation), what)

    return reader


_NOT_INSIDE = {
    "CreatedbStmt": "CREATE DATABASE",
    "DropdbStmt": "DROP DATABASE",
    "AlterSystemStmt": "ALTER SYSTEM",
    "CreateTableSpaceStmt": "CREATE TABLESPACE",
    "DropTableSpaceStmt": "DROP TABLESPACE",
}


def _alone(what: str) -> Callable[[Any, Place], Iterator[Operation]]:
    return lambda node, place: iter([Alone(place, what)])


_WRITES_IN_TEXT = re.compile(r"\b(UPDATE|DELETE|INSERT|TRUNCATE|ALTER|DROP|CREATE)\b", re.I)


def _do(node: Any, place: Place) -> Iterator[Operation]:
    body = next((each.arg.sval for each in node.args if each.defname == "as"), "")
    if re.search(r"\bEXECUTE\b", body, re.I):
        yield Unseen(place, "the DO block makes statements while it runs")
        return
    if not _WRITES_IN_TEXT.search(body):
        return
    import pglast

    inside = re.sub(
        r"^\s*(<<\w+>>\s*)?(DECLARE\b.*?)?\bBEGIN\b", "", body, count=1, flags=re.I | re.S
    )
    inside = re.sub(
        r"\b(EXCEPTION\s+WHEN\b.*|END(\s+LOOP|\s+IF)?\s*;?\s*$)", "", inside, flags=re.I | re.S
    )
    try:
        pglast.parse_sql(inside)
    except pglast.parser.ParseError:
        yield Unseen(place, "the body of the DO block could not be read")
        return
    yield from read(inside, place)


_READERS: dict[str, Callable[[Any, Place], Iterator[Operation]]] = {
    "CreateStmt": _create_table,
    "CreateTableAsStmt": _create_as,
    "AlterTableStmt": _alter_table,
    "IndexStmt": _create_index,
    "DropStmt": _drop,
    "RenameStmt": _rename,
    "AlterEnumStmt": _alter_enum,
    "CreateEnumStmt": _create_enum,
    "InsertStmt": _write("INSERT"),
    "UpdateStmt": _write("UPDATE"),
    "DeleteStmt": _write("DELETE"),
    "TruncateStmt": _truncate,
    "SelectStmt": _select,
    "LockStmt": _lock,
    "VacuumStmt": _vacuum,
    "ClusterStmt": _cluster,
    "ReindexStmt": _reindex,
    "RefreshMatViewStmt": _refresh,
    "ViewStmt": _view,
    "CreateTrigStmt": _trigger,
    "CreatePolicyStmt": _on_table("CREATE POLICY"),
    "RuleStmt": _on_table("CREATE RULE"),
    "DoStmt": _do,
    "AlterObjectSchemaStmt": _set_schema,
    "CreateDomainStmt": _create_other("domain"),
    "CompositeTypeStmt": _create_other("type"),
    "CreateRangeStmt": _create_other("type"),
    "DefineStmt": _create_other("type"),
    "CreateExtensionStmt": _create_other("extension"),
    "CreateFunctionStmt": _create_other("function"),
    "CreateSeqStmt": _create_other("sequence"),
    "GrantStmt": _grant,
    "ConstraintsSetStmt": lambda node, place: iter(() if node.deferred else [LookedUp(place)]),
    **{kind: _alone(what) for kind, what in _NOT_INSIDE.items()},
}
#: What takes no lock that matters and touches no row.
_HARMLESS = frozenset(
    {
        "VariableSetStmt", "VariableShowStmt", "TransactionStmt", "CommentStmt",
        "GrantRoleStmt", "CreateSchemaStmt",
        "AlterSeqStmt", "AlterFunctionStmt", "AlterOwnerStmt",
        "CreateRoleStmt", "AlterRoleStmt", "AlterRoleSetStmt", "AlterDefaultPrivilegesStmt",
        "ExplainStmt", "NotifyStmt",
        "ListenStmt", "CreateStatsStmt", "AlterExtensionStmt",
        "CreateCastStmt", "AlterDatabaseSetStmt", "DiscardStmt",
        "CheckPointStmt", "CreatePublicationStmt", "AlterPublicationStmt",
        "AlterPolicyStmt", "DeclareCursorStmt", "FetchStmt", "ClosePortalStmt", "PrepareStmt",
    }
)  # fmt: skip
