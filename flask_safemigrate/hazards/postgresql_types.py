"""PostgreSQL's types: which changes keep the rows, casts, and which values they take."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask_safemigrate.facts.schema import Column
from flask_safemigrate.hazards import operations as ops
from flask_safemigrate.hazards import shared
from flask_safemigrate.hazards.hazard import Judge
from flask_safemigrate.hazards.known import KnownTable

_TEXTS = ("text", "character varying", "character", "citext", "name")
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
#: What ``ASSIGNMENT`` or implicit casts of ``pg_cast`` turn into what; all become text.
_CASTS = {
    **dict.fromkeys(_NUMBERS, (*_NUMBERS,)),
    "integer": (*_NUMBERS, "money", "oid"),
    "bigint": (*_NUMBERS, "money", "oid"),
    "numeric": (*_NUMBERS, "money"),
    "date": ("timestamp without time zone", "timestamp with time zone"),
    "timestamp without time zone": ("date", "time without time zone", "timestamp with time zone"),
    "timestamp with time zone": (
        "date", "time without time zone", "timestamp without time zone", "time with time zone",
    ),
    "time without time zone": ("interval", "time with time zone"),
    "time with time zone": ("time without time zone",),
    "interval": ("time without time zone",),
    "json": ("jsonb",),
    "jsonb": ("json",),
    "cidr": ("inet",),
    "inet": ("cidr",),
    "bit": ("bit varying",),
    "bit varying": ("bit",),
    "xml": (),
}  # fmt: skip
KNOWN = {
    *_CASTS, *_TEXTS, "boolean", "uuid", "bytea", "interval", "money", "oid", "tsvector", "point",
    "macaddr", "macaddr8", "tsquery", "bit", "line", "box", "path", "polygon", "circle", "lseg",
    "hstore", "geometry", "geography", "int4range", "int8range", "numrange", "tsrange",
    "tstzrange", "daterange", "jsonpath", "pg_lsn", "regclass",
}  # fmt: skip
_INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}


def _split(kind: str) -> tuple[str, tuple[int, ...]]:
    match = re.match(r"([^(]+?)\s*\(([\d, ]+)\)(.*)", kind)
    if match is None:
        return kind.strip(), ()
    numbers = tuple(int(part) for part in match[2].split(","))
    return (match[1] + match[3]).strip(), numbers


def keeps_rows(old: str, new: str, using: bool, zone: str) -> bool:
    """Whether a type changes without a row being written.

    https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
    """
    (before, had), (after, has) = _split(old), _split(new)
    if using:
        return False
    if old == new:
        return True
    if before in ("character varying", "text") and after == "text":
        return True
    if after == "character varying" and before in ("character varying", "text"):
        return not has or (bool(had) and before != "text" and had[0] <= has[0])
    if before == after and before in ("bit varying",):
        return not has or (bool(had) and had[0] <= has[0])
    if before == after == "numeric":
        return not has or (len(had) == len(has) == 2 and had[1] == has[1] and had[0] <= has[0])
    if before == after and before.startswith(("timestamp", "time")):
        return not has or (bool(had) and had[0] <= has[0])
    if {before, after} == {"timestamp without time zone", "timestamp with time zone"}:
        return zone.upper() in ("UTC", "ETC/UTC", "GMT", "ZULU")
    return (before, after) == ("cidr", "inet")


def has_cast(old: str, new: str, enums: Sequence[str]) -> bool | None:
    """Whether PostgreSQL casts by itself; None where it cannot be told."""
    before, after = _split(old)[0], _split(new)[0]
    if before == after or after in _TEXTS:
        return True
    if before in enums or after in enums:
        return False
    if before in _TEXTS and after in KNOWN:
        return after in _TEXTS
    if before in KNOWN and after in KNOWN:
        return after in _CASTS.get(before, ())
    return None


def default_stays_behind(column: Column, kind: str, judge: Judge) -> bool:
    before, after = _split(column.type)[0], _split(kind)[0]
    return (
        before != after
        and after not in _TEXTS
        and (before in _TEXTS or before in judge.known.enums or after in judge.known.enums)
    )


def judge_values(judge: Judge, op: ops.SetType, table: KnownTable, column: Column) -> None:
    """Values that a new type refuses or changes."""
    if not judge.can_ask(table, [op.column]):
        return
    quoted = judge.quote(op.column)
    (before, _), (after, has) = _split(column.type), _split(op.type)
    refused = changed = ""
    if after in ("character varying", "character") and has and not op.using:
        refused = f"char_length({quoted}::text) > {has[0]}"
    elif before in _NUMBERS and after in _INTEGERS and not op.using:
        most = _INTEGERS[after]
        if before not in _INTEGERS or _INTEGERS[before] > most:
            refused = f"{quoted} >= {most} OR {quoted} < -{most}"
        if before not in _INTEGERS:
            changed = f"{quoted} <> trunc({quoted}::numeric)"
    elif after == "numeric" and before in _NUMBERS and has and not op.using:
        digits = has[0] - (has[1] if len(has) > 1 else 0)
        refused = f"abs({quoted}) >= 10::numeric ^ {digits}"
        changed = f"{quoted} <> round({quoted}::numeric, {has[1] if len(has) > 1 else 0})"
    elif after == "date" and before.startswith("timestamp"):
        changed = f"{quoted} <> date_trunc('day', {quoted})"
    elif before in _TEXTS and after in (*_INTEGERS, "numeric"):
        pattern = (
            r"^\s*[-+]?\d+\s*$" if after in _INTEGERS else r"^\s*[-+]?\d*\.?\d+([eE][-+]?\d+)?\s*$"
        )
        refused = f"{quoted} !~ '{pattern}'"
    elif before in _TEXTS and after == "uuid":
        refused = f"{quoted} !~* '^[{{]?[0-9a-f]{{4}}([-]?[0-9a-f]{{4}}){{7}}[}}]?$'"
    elif before in _TEXTS and after == "boolean" and op.using:
        refused = (
            f"lower(trim({quoted})) NOT IN ('t','tr','tru','true','y','ye','yes','on','1','f',"
            "'fa','fal','fals','false','n','no','of','off','0')"
        )
    elif after in judge.known.enums and (before in _TEXTS or before in judge.known.enums):
        labels = ", ".join(
            "'" + each.replace("'", "''") + "'" for each in judge.known.enums[after]
        )
        refused = f"{quoted}::text NOT IN ({labels})"
    shared.refused_values(judge, op, table, op.column, op.type, refused)
    shared.rounded_values(judge, op, table, op.column, op.type, changed)
