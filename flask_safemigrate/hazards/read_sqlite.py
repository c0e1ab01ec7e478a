"""SQLite's statements as operations, read by the package's own reader of its grammar."""

from __future__ import annotations

import re

from flask_safemigrate.ddl.create_table import read_create_table
from flask_safemigrate.ddl.statements import split_statements, statement_targets
from flask_safemigrate.ddl.tokens import UnreadableDDL
from flask_safemigrate.facts.schema import ForeignKey, Index
from flask_safemigrate.hazards.operations import (
    AddColumn,
    Alone,
    CreateIndex,
    CreateOther,
    CreateTable,
    CreateView,
    DropColumn,
    DropIndex,
    DropOther,
    DropTable,
    Named,
    Operation,
    Place,
    RenameColumn,
    RenameTable,
    Unseen,
    Write,
)

_NAME = r"""(?:"([^"]+)"|`([^`]+)`|\[([^\]]+)\]|([\w$]+))"""
_ALTER = re.compile(rf"\s*ALTER\s+TABLE\s+(?:main\.)?{_NAME}\s+(.*)", re.I | re.S)
_RENAME = re.compile(rf"RENAME\s+TO\s+{_NAME}", re.I)
_RENAME_COLUMN = re.compile(rf"RENAME\s+(?:COLUMN\s+)?{_NAME}\s+TO\s+{_NAME}", re.I)
_DROP_COLUMN = re.compile(rf"DROP\s+(?:COLUMN\s+)?{_NAME}", re.I)
_ADD_COLUMN = re.compile(rf"ADD\s+(?:COLUMN\s+)?{_NAME}\s*(.*)", re.I | re.S)
_DEFAULT = re.compile(r"\bDEFAULT\s+(\([^)]*\)|'[^']*'|\S+)", re.I)
_INDEX = re.compile(
    rf"\s*CREATE\s+(UNIQUE\s+)?INDEX\s+(IF\s+NOT\s+EXISTS\s+)?{_NAME}\s+ON\s+{_NAME}\s*\((.*)\)"
    r"(\s*WHERE\s+(.*?))?;?\s*$",
    re.I | re.S,
)
_WHERE = re.compile(r"\bWHERE\b(.*)", re.I | re.S)
_SET = re.compile(r"\bSET\b(.*?)(\bWHERE\b|\bFROM\b|$)", re.I | re.S)
_CONSTANT = re.compile(
    r"([^,=\s]+)\s*=\s*('(?:[^']|'')*'|[-+]?[\d.]+|NULL|[:?]\w*)\s*(?:,|$)", re.I
)
_INTO = re.compile(
    rf"\s*(?:INSERT|REPLACE)\b.*?\bINTO\s+{_NAME}\s*\(([^()]*)\)\s*(?:VALUES|SELECT)", re.I | re.S
)
_LENIENT = re.compile(r"\s*INSERT\s+OR\s+IGNORE\b", re.I)
_REPLACES = re.compile(r"\s*(REPLACE|INSERT\s+OR\s+REPLACE)\b", re.I)
_FROM = re.compile(rf"\b(?:FROM|JOIN)\s+{_NAME}", re.I)


def _picked(groups: tuple[str | None, ...]) -> str:
    return next((each for each in groups if each), "")


def _names(match: re.Match[str]) -> list[str]:
    groups = match.groups()
    return [_picked(groups[at : at + 4]) for at in range(0, len(groups) // 4 * 4, 4)]


def read(sql: str, place: Place) -> list[Operation]:
    """Return what the statements of a text do."""
    found: list[Operation] = []
    for statement in split_statements(sql):
        found += _read(statement, place)
    return found


def _read(sql: str, place: Place) -> list[Operation]:
    kind, tables = statement_targets(sql)
    table = tables[0] if tables else ""
    if kind in ("select", "pragma", "analyze", "savepoint", "begin", "commit"):
        return []
    if kind in ("update", "delete", "insert"):
        return [_write(kind, table, sql, place)]
    words = sql.split()
    start = " ".join(words[:2]).upper()
    if start.startswith("ALTER TABLE"):
        return _alter(sql, place)
    if match := _INDEX.match(sql):
        name, on = _picked(match.groups()[2:6]), _picked(match.groups()[6:10])
        columns = tuple(part.strip().strip('"') for part in match[11].split(","))
        index = Index(name, columns, bool(match[1]), (match[13] or "").strip())
        return [CreateIndex(place, on, index, if_not_exists=bool(match[2]))]
    if re.match(r"\s*CREATE\s+(TEMP|TEMPORARY)\b", sql, re.I):
        return [CreateOther(place, "table", table)]
    if re.match(r"\s*CREATE\s+(VIRTUAL\s+)?TABLE\b", sql, re.I):
        exists = bool(re.match(r"\s*CREATE\s+TABLE\s+IF\s+NOT", sql, re.I))
        return [
            CreateTable(place, table, _columns(sql), foreign_keys=_keys(sql), if_not_exists=exists)
        ]
    if match := re.match(
        rf"\s*DROP\s+(TABLE|INDEX|VIEW|TRIGGER)\s+(IF\s+EXISTS\s+)?{_NAME}", sql, re.I
    ):
        name, word, exists = _picked(match.groups()[2:6]), match[1].upper(), bool(match[2])
        if word == "TABLE":
            return [DropTable(place, name, if_exists=exists)]
        if word == "INDEX":
            return [DropIndex(place, "", name, if_exists=exists)]
        return [DropOther(place, word.lower(), name)]
    if match := re.match(rf"\s*CREATE\s+VIEW\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}", sql, re.I):
        return [CreateView(place, _picked(match.groups()[:4]), sql)]
    if re.match(r"\s*VACUUM\b", sql, re.I):
        return [Alone(place, "VACUUM")]
    if re.match(r"\s*(CREATE\s+TRIGGER|REINDEX|ATTACH|DETACH|RELEASE|ROLLBACK|END)\b", sql, re.I):
        return []
    return [Unseen(place, "it is no statement that SQLite's grammar knows")]


def _columns(sql: str) -> tuple[Named, ...]:
    try:
        read = read_create_table(sql)
    except UnreadableDDL:
        return ()
    keys = [each for each in read.all_constraints if each.kind == "PRIMARY KEY"]
    key = keys[0].column_names if keys else ()
    return tuple(
        Named(
            column.name.value,
            column.type,
            not column.of_kind("NOT NULL"),
            # What it is has no part in anything here.
            "DEFAULT" if column.of_kind("DEFAULT") or column.name.value in key else None,
        )
        for column in read.columns
    )


def _keys(sql: str) -> tuple[ForeignKey, ...]:
    try:
        read = read_create_table(sql)
    except UnreadableDDL:
        return ()
    return tuple(
        ForeignKey(
            each.name.value if each.name else "",
            each.column_names,
            each.references.table.value,
            tuple(name.value for name in each.references.columns),
        )
        for each in read.all_constraints
        if each.references is not None
    )


def _alter(sql: str, place: Place) -> list[Operation]:
    match = _ALTER.match(sql)
    if match is None:
        return [Unseen(place, "how the table changes could not be read")]
    table, rest = _picked(match.groups()[:4]), match[5].strip().rstrip(";")
    if found := _RENAME.match(rest):
        return [RenameTable(place, table, _names(found)[0])]
    if found := _RENAME_COLUMN.match(rest):
        old, new = _names(found)
        return [RenameColumn(place, table, old, new)]
    if found := _DROP_COLUMN.match(rest):
        return [DropColumn(place, table, _names(found)[0])]
    if found := _ADD_COLUMN.match(rest):
        name, rule = _names(found)[0], found[5]
        default = _DEFAULT.search(rule)
        words = re.split(
            r"\b(?:NOT|NULL|DEFAULT|CHECK|UNIQUE|REFERENCES|COLLATE|CONSTRAINT)\b",
            rule,
            flags=re.I,
        )
        column = Named(
            name,
            words[0].strip(),
            not re.search(r"\bNOT\s+NULL\b", rule, re.I),
            default[1] if default else None,
        )
        return [AddColumn(place, table, column)]
    return [Unseen(place, f"how table {table!r} changes could not be read")]


def _write(kind: str, table: str, sql: str, place: Place) -> Write:
    where = _WHERE.search(sql)
    written = _SET.search(sql) if kind == "update" else None
    columns = (
        tuple(part.split("=")[0].strip().strip('"') for part in written[1].split(","))
        if written
        else ()
    )
    if kind == "insert" and (into := _INTO.match(sql)) and not _LENIENT.match(sql):
        columns = tuple(part.strip().strip('"`[]') for part in into[5].split(","))
    constants = tuple(
        name.strip().strip('"')
        for name, value in (_CONSTANT.findall(written[1]) if written else ())
    )
    body = sql[where.start() :] if kind != "insert" and where else sql if kind == "insert" else ""
    reads = tuple(dict.fromkeys(_picked(each) for each in _FROM.findall(body)))
    condition = where[1].strip().rstrip(";") if where and kind != "insert" else ""
    bound = bool(re.search(r"[:?@$]\w*", condition)) and "'" not in condition
    return Write(
        place, kind.upper(), table, condition, bound, columns, reads, constants=constants,
        replaces=bool(_REPLACES.match(sql)),
    )  # fmt: skip
