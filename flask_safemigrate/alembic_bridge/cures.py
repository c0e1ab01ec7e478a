"""What helps against an error of a revision, by its cause and not by where it came up."""

from __future__ import annotations

import re
import traceback
from typing import Any, NamedTuple

from sqlalchemy import (
    CheckConstraint,
    Constraint,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
)
from sqlalchemy.exc import (
    ArgumentError,
    CompileError,
    DBAPIError,
    NoSuchTableError,
    ObjectNotExecutableError,
)

from flask_safemigrate.ddl.tokens import quote_string
from flask_safemigrate.errors import OperationRefused

_BLOCK = "with op.get_context().autocommit_block(): around the statement, alone in its revision"
_VIEW = (
    'op.execute("DROP VIEW ...") before it, and make the view again after it, in the same revision'
)
_MISSING_TABLE = "make the table in an earlier revision, or mind the order of the operations"
_MISSING_COLUMN = "add the column in an earlier revision, or mind the order of the operations"
_MISSING_TYPE = "create the type, role, collation or extension before what uses it"
_MISSING_FUNCTION = "create the function or its extension before what uses it"
_MISSING_SCHEMA = 'op.execute("CREATE SCHEMA IF NOT EXISTS ...") before what is made in it'
_MISSING = (_MISSING_TABLE, _MISSING_COLUMN, _MISSING_TYPE, _MISSING_FUNCTION, _MISSING_SCHEMA)
_REFERENCE = (
    "the table that the foreign key refers to must be there before it, with an index over the "
    "columns, of the same types: make it in an earlier revision, or mind the order of the "
    "operations"
)
_TWICE = "two revisions make it: take it out of one of them"
_AHEAD = "flask db doctor tells whether the database is ahead of what its version says; if "
_ROWS = "look for the rows that break the rule, and change them by op.execute() before it"
_EMPTY_COLUMN = "give the new column a server_default, or fill it by op.execute() before NOT NULL"
_OTHER_DBMS = 'if op.get_context().dialect.name == "...":  around what only one DBMS understands'

#: By SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
_STATES = {
    "25001": _BLOCK,
    "55P04": f"{_BLOCK}; the new value can be used in the next one",
    "2BP01": _VIEW,
    "42P01": _MISSING_TABLE,
    "42703": _MISSING_COLUMN,
    "42704": _MISSING_TYPE,
    "42883": _MISSING_FUNCTION,
    "3F000": _MISSING_SCHEMA,
    "42P07": _TWICE,
    "42701": _TWICE,
    "42710": _TWICE,
    "42804": 'pass postgresql_using="column::type" to op.alter_column',
    "42501": "grant the privilege that the message names",
    "23502": _EMPTY_COLUMN,
    "23503": _ROWS,
    "23505": _ROWS,
    "23514": _ROWS,
    "42830": "make the columns that the foreign key refers to unique before it",
    "25P02": "with op.get_bind().begin_nested(): around what may fail and is caught",
}
#: What PostgreSQL does not support, and the files that it lacks, are many things: by their text.
_NOT_SUPPORTED = (
    (re.compile("used by a view or rule"), _VIEW),
    (
        re.compile("extension .* is not available|open extension control file"),
        "install the extension on the database server, from a package of its system",
    ),
)
#: By number: https://mariadb.com/kb/en/mariadb-error-code-reference/
_NUMBERS = {
    1044: "grant the privilege that the message names",
    1142: "grant the privilege that the message names",
    1227: "grant the privilege that the message names",
    1146: _MISSING_TABLE,
    1051: _MISSING_TABLE,
    1054: _MISSING_COLUMN,
    1072: _MISSING_COLUMN,
    1050: _TWICE,
    1060: _TWICE,
    1061: _TWICE,
    1064: _OTHER_DBMS,
    1048: _EMPTY_COLUMN,
    1138: _EMPTY_COLUMN,
    1265: _ROWS,
    1062: _ROWS,
    1452: _ROWS,
    1005: _REFERENCE,
    1824: _REFERENCE,
    1553: "drop the foreign key that needs the index before it",
    1170: "give the column a length, sa.String(255), or the index mysql_length=",
    1071: "shorten the columns of the index: it is too long",
}
#: SQLite puts the schema before a table that it looks for by itself, for a foreign key or trigger.
_LOOKED_FOR = re.compile(r"no such table: main\.(.+)")
_SQLITE = (
    (re.compile("no such table"), _MISSING_TABLE),
    (re.compile("no such column|has no column named"), _MISSING_COLUMN),
    (re.compile("already exists|duplicate column name"), _TWICE),
    (re.compile("syntax error|unrecognized token|no such function"), _OTHER_DBMS),
    (re.compile("from within a transaction"), "take it out: SQLite cannot do it in a transaction"),
    (re.compile("NOT NULL"), _EMPTY_COLUMN),
    (re.compile("constraint failed"), _ROWS),
)
_REFUSED = (
    (re.compile("there is no table"), _MISSING_TABLE),
    (re.compile("has no column"), _MISSING_COLUMN),
    (re.compile("already"), _TWICE),
)
_ADDRESS = re.compile(r"<(?:[\w.]*\.)?(\w+) (?:object )?at 0x[0-9a-fA-F]+[^<>]*>")


def without_addresses(said: str) -> str:
    """A text without the addresses of objects, which are others at every run."""
    return _ADDRESS.sub(r"\1", said)


class Unnamed(NamedTuple):
    """What ``op.drop_constraint(None, ...)`` or ``op.drop_index(None, ...)`` is about.

    :param kind: as ``type_`` takes it, "" where it was not given.
    """

    what: str
    table: str
    kind: str = ""

    @property
    def call(self) -> str:
        """The operation, without its name."""
        kind = f', type_="{self.kind}"' if self.kind else ""
        return f'op.drop_{self.what}({{}}, "{self.table}"{kind})'

    @property
    def cure(self) -> str:
        """How the name is found, and what to write."""
        call = self.call.format('"NAME"')
        if self.what == "index":
            return f"write its name, {call}"
        of = _KINDS.get(self.kind, "")
        which = f" AND constraint_type = '{of}'" if of else ""
        return (
            "look for its name\n"
            "    SELECT constraint_name FROM information_schema.table_constraints\n"
            f"    WHERE table_name = {quote_string(self.table)}{which};\n"
            f"and write {call}"
        )


_KINDS = {
    "foreignkey": "FOREIGN KEY",
    "unique": "UNIQUE",
    "check": "CHECK",
    "primary": "PRIMARY KEY",
}


def unnamed(error: BaseException) -> Unnamed | None:
    """The operation that was to drop something without a name, None where it was another.

    SQLAlchemy and Alembic say so in words of their own on each server, or in none.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        what = frame.f_code.co_name.removeprefix("visit_").removeprefix("drop_")
        if what not in ("constraint", "index"):
            continue
        for value in frame.f_locals.values():
            if isinstance(value, (Constraint, Index)) and not isinstance(value.name, str):
                table = value.table.name if value.table is not None else ""
                return Unnamed(what, table, _TYPES.get(type(value), ""))
    return None


_TYPES: dict[type, str] = {
    ForeignKeyConstraint: "foreignkey",
    UniqueConstraint: "unique",
    CheckConstraint: "check",
    PrimaryKeyConstraint: "primary",
}


def cure_of(error: BaseException) -> str:
    """What a person can write in the revision, "" where nothing is known.

    It does not end a sentence.
    """
    if isinstance(error, ObjectNotExecutableError):
        return 'put the SQL into sa.text("..."), as SQLAlchemy 2 wants it'
    if isinstance(error, ArgumentError) and "select(" in str(error):
        return "sa.select(a, b) instead of sa.select([a, b]), as SQLAlchemy 2 wants it"
    nameless = unnamed(error)
    if nameless is not None:
        return nameless.cure
    if isinstance(error, CompileError):
        return (
            "the type is of another DBMS: give one that this has, with the other as a variant, "
            'sa.Text().with_variant(..., "postgresql")'
        )
    if isinstance(error, NoSuchTableError):
        return _MISSING_TABLE
    if isinstance(error, ModuleNotFoundError):
        return f"pip install what brings the module {error.name}, or take the import out"
    if isinstance(error, OperationRefused):
        return next((cure for pattern, cure in _REFUSED if pattern.search(error.message)), "")
    if isinstance(error, DBAPIError):
        return _of_reference(error) or _of_driver(error.orig)
    return ""


def _of_reference(error: DBAPIError) -> str:
    """What to write where a reference leads to a table that is gone, "" elsewhere."""
    found = _LOOKED_FOR.search(str(error.orig))
    if found is None or found[1].lower() in (error.statement or "").lower():
        return ""
    return (
        f"""a foreign key or trigger of another table names '{found[1]}', which is gone. """
        f"""Where a table was renamed to it, as in op.rename_table("...", "{found[1]}"), SQLite """
        "took the references along; in place of renaming, creating, copying and dropping, write\n"
        '      with op.batch_alter_table("...") as batch_op:  # by the name that it had before\n'
        "          batch_op.alter_column(...)\n"
        "which keeps them"
    )


def cure_here(error: BaseException) -> str:
    """The same for a database that is used, and may have more than the history has made."""
    cure = cure_of(error)
    return _AHEAD + cure if cure == _TWICE else cure


def is_missing(error: BaseException) -> bool:
    """Whether an error says that something does not exist which the revision may have made."""
    return cure_of(error) in _MISSING


def _of_driver(error: Any) -> str:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    first = error.args[0] if getattr(error, "args", None) else None
    said = str(error)
    if isinstance(first, dict):
        # pg8000 has the fields of the protocol, under its letters.
        state, said = first.get("C"), str(first.get("M"))
    if state in ("0A000", "58P01"):
        return next((cure for pattern, cure in _NOT_SUPPORTED if pattern.search(said)), "")
    if isinstance(state, str) and state in _STATES:
        return _STATES[state]
    if isinstance(first, int):
        return _NUMBERS.get(first, "")
    if type(error).__module__.startswith("sqlite3") or "sqlite" in type(error).__module__:
        return next((cure for pattern, cure in _SQLITE if pattern.search(str(error))), "")
    return ""
