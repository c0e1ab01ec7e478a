"""A schema in canonical form: what differs in spelling only becomes the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase

from flask_safemigrate.ddl.questions import affinity_of_type
from flask_safemigrate.ddl.tokens import DDLError, significant, tokenize, unquote
from flask_safemigrate.facts.comparison import Fact, Facts
from flask_safemigrate.facts.schema import Column, Index, Schema, Table

#: Kinds of facts without which a schema is another one. The rest may be lost in a plain batch
#: migration or written in another way, so it proves little.
HARD = frozenset(
    {"table", "column", "primary key", "unique", "foreign key", "index", "type"},
)

# Spellings that SQLite's affinities and SQLAlchemy's reflection take for the same type.
_SAME_TYPES = {
    "INT": "INTEGER",
    "BOOL": "BOOLEAN",
    "DEC": "NUMERIC",
    "DECIMAL": "NUMERIC",
    "CHARACTER": "CHAR",
    "CHARACTER VARYING": "VARCHAR",
    "VARYING CHARACTER": "VARCHAR",
    "DOUBLE PRECISION": "DOUBLE",
    "REAL": "FLOAT",
}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_DOUBLE_QUOTED = re.compile(r'"([^"]|"")*"')
_BOOLEAN_CHECK = re.compile(r"\w+ IN \( (0 , 1|1 , 0) \)")


_Rows = list[tuple[Fact, str, str]]
#: What was said of tables before: name -> table, primary keys that it depends on, facts.
Known = dict[str, tuple[Table, tuple[tuple[str, ...], ...], _Rows]]


def facts_of(schema: Schema, without: Iterable[str] = (), known: Known | None = None) -> Facts:
    """Return what a schema says, in canonical form.

    :param without: names of tables that do not count, or patterns such as ``celery_*``.
    :param known: what earlier calls found out, for tables that stay as they are.
    """
    known = {} if known is None else known
    fold: Callable[[str], str] = _as_it_is if schema.dialect == "postgresql" else str.lower
    patterns = [fold(pattern) for pattern in without]

    def counts(table: str) -> bool:
        return not any(fnmatchcase(fold(table), pattern) for pattern in patterns)

    values: dict[Fact, str] = {}
    names: dict[Fact, str] = {}
    primary = {fold(t.name): t.primary_key for t in schema.tables}
    for table in schema.tables:
        if counts(table.name):
            needed = tuple(primary.get(fold(key.table), ()) for key in table.foreign_keys)
            before = known.get(table.name)
            if before is None or before[:2] != (table, needed):
                rows = list(_table(table, schema.dialect, fold, primary))
                before = known[table.name] = table, needed, rows
            for fact, value, name in before[2]:
                values[fact] = value
                names.setdefault(fact, name)
    for view in schema.views:
        if counts(view.name):
            fact = Fact("view", "", fold(view.name))
            values[fact], names[fact] = _sql(view.text, schema.dialect), view.name
    for trigger in schema.triggers:
        if counts(trigger.table):
            fact = Fact("trigger", fold(trigger.table), fold(trigger.name))
            values[fact], names[fact] = _sql(trigger.text, schema.dialect), trigger.name
    for enumeration in schema.enumerations:
        fact = Fact("type", "", enumeration.name)
        values[fact], names[fact] = ", ".join(enumeration.labels), enumeration.name
    return Facts(values, names)


def _as_it_is(name: str) -> str:
    return name


def _table(
    table: Table,
    dialect: str,
    fold: Callable[[str], str],
    primary: dict[str, tuple[str, ...]],
) -> Iterator[tuple[Fact, str, str]]:
    own = fold(table.name)

    def listed(columns: Iterable[str]) -> str:
        return ", ".join(fold(column) for column in columns)

    yield Fact("table", own, ""), "", table.name
    if table.options:
        options = ", ".join(sorted(_spaced(option) for option in table.options))
        yield Fact("options", own, ""), options, table.name
    for column in table.columns:
        yield from _column(column, own, fold(column.name), table, dialect)
    if table.primary_key:
        yield Fact("primary key", own, ""), listed(table.primary_key), listed(table.primary_key)
    keys = {listed(key.columns) for key in table.foreign_keys}
    for index in table.indexes:
        fact = _index(index, own, fold, dialect)
        # MariaDB and MySQL make an index for every foreign key that has none of its own.
        if dialect not in ("mysql", "mariadb") or fact.name not in keys:
            yield fact, "", index.name or listed(index.columns)
    for key in table.foreign_keys:
        referred = key.referred or primary.get(fold(key.table), ())
        name = f"{listed(key.columns)} -> {fold(key.table)} ({listed(referred)})"
        yield Fact("foreign key", own, name), "", key.name or name
        if key.actions:
            yield Fact("actions", own, name), key.actions, key.name or name
    for check in table.checks:
        expression = _sql(_bare(check.expression), dialect)
        if not _BOOLEAN_CHECK.fullmatch(expression):
            yield Fact("check", own, expression), "", check.name or expression


def _column(
    column: Column, table: str, name: str, of: Table, dialect: str
) -> Iterator[tuple[Fact, str, str]]:
    key = column.name in of.primary_key
    what = _type(column.type, dialect)
    if not column.nullable or key:
        what = f"{what} NOT NULL".strip()
    if column.generated:
        what += " GENERATED"
        yield Fact("expression", table, name), _sql(_bare(column.generated), dialect), column.name
    yield Fact("column", table, name), what, column.name
    default = _default(column, dialect)
    if default is not None and not column.counts:
        yield Fact("default", table, name), default, column.name
    if column.counts:
        yield Fact("default", table, name), "numbered by the server", column.name
    if column.collation and column.collation.upper() != "BINARY":
        yield Fact("collation", table, name), column.collation.upper(), column.name


def _index(index: Index, table: str, fold: Callable[[str], str], dialect: str) -> Fact:
    if index.plain:
        columns = [fold(column) for column in index.columns]
        if index.unique:
            # UNIQUE (a, b) and UNIQUE (b, a) forbid the same, as do a constraint and an index.
            return Fact("unique", table, ", ".join(sorted(columns)))
        return Fact("index", table, ", ".join(columns))
    text = ", ".join(_sql(_bare(part), dialect) for part in index.columns)
    where = f" WHERE {_sql(_bare(index.where), dialect)}" if index.where else ""
    return Fact("index", table, ("UNIQUE " if index.unique else "") + text + where)


def _type(declared: str, dialect: str) -> str:
    if dialect != "sqlite":
        return _spaced(declared)
    text = re.sub(r"\s*([(),])\s*", r"\1", _spaced(declared).upper())
    base, bracket, rest = text.partition("(")
    base = _SAME_TYPES.get(base, base)
    if base == "NUMERIC" and rest.endswith(",0)"):
        rest = rest[: -len(",0)")] + ")"
    return base + bracket + rest.replace(",", ", ")


def _default(column: Column, dialect: str) -> str | None:
    if column.default is None:
        return None
    bare = _bare(column.default)
    if dialect == "sqlite" and _DOUBLE_QUOTED.fullmatch(bare):
        # No column can be meant here, so SQLite reads a string.
        bare = "'" + bare[1:-1].replace('""', '"').replace("'", "''") + "'"
    text = _sql(bare, dialect)
    if text.upper() == "NULL":
        return None
    if dialect != "sqlite":
        return text
    if text.upper() in ("TRUE", "FALSE"):
        text = str(int(text.upper() == "TRUE"))
    inner = text[1:-1] if text.startswith("'") and text.endswith("'") else text
    # A quoted number is stored as a number, and a bare one as a text, by the affinity.
    if affinity_of_type(column.type) in ("NUMERIC", "INTEGER", "REAL"):
        return _number(inner) if _NUMBER.fullmatch(inner) else text
    if affinity_of_type(column.type) == "TEXT" and _NUMBER.fullmatch(text):
        return f"'{text}'"
    return text


def _number(text: str) -> str:
    number = float(text)
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _bare(expression: str) -> str:
    """Without the parentheses around all of it."""
    text = expression.strip()
    while text.startswith("(") and text.endswith(")") and _closes_last(text):
        text = text[1:-1].strip()
    return text


def _closes_last(text: str) -> bool:
    depth = 0
    quoted = ""
    for place, character in enumerate(text):
        if quoted:
            quoted = "" if character == quoted else quoted
        elif character in "'\"`":
            quoted = character
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                return place == len(text) - 1
    return False


def _sql(text: str, dialect: str) -> str:
    """SQL with one space between its words, names without quotes and keywords in capitals.

    Servers spell what they keep in one way already.
    """
    if dialect != "sqlite":
        return _spaced(text)
    try:
        words = significant(tokenize(text))
    except DDLError:
        return _spaced(text)
    return " ".join(
        word.text
        if word.kind == "string"
        else unquote(word.text).lower()
        if word.kind == "quoted"
        else word.text.upper()
        if _is_keyword(word.word)
        else word.text.lower()
        for word in words
        if not word.is_op(";")
    )


def _is_keyword(word: str) -> bool:
    return word in _KEYWORDS


_KEYWORDS = frozenset(
    [
        "AND",
        "AS",
        "ASC",
        "BETWEEN",
        "CASE",
        "CAST",
        "COLLATE",
        "CREATE",
        "CURRENT_DATE",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP",
        "DESC",
        "DISTINCT",
        "ELSE",
        "END",
        "EXISTS",
        "FALSE",
        "FROM",
        "GLOB",
        "GROUP",
        "HAVING",
        "IN",
        "INNER",
        "IS",
        "ISNULL",
        "JOIN",
        "LEFT",
        "LIKE",
        "LIMIT",
        "NOT",
        "NOTNULL",
        "NULL",
        "ON",
        "OR",
        "ORDER",
        "OUTER",
        "SELECT",
        "THEN",
        "TRUE",
        "UNION",
        "WHEN",
        "WHERE",
        "WITH",
    ]
)
