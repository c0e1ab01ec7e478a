"""Questions to the rows that are there: would they break a new rule?"""

from __future__ import annotations

from collections.abc import Sequence

from flask_safemigrate.facts.schema import ForeignKey
from flask_safemigrate.hazards.hazard import Judge, Probe
from flask_safemigrate.hazards.known import KnownTable

_FEW = 5


def keys(judge: Judge, table: KnownTable, condition: str) -> str:
    """A query of the keys of the first rows for which a condition holds."""
    key = table.primary_key or tuple(table.columns)[:1]
    if not key:
        return ""
    name = judge.quote(table.name)
    return f"SELECT {judge.quoted(key)} FROM {name} WHERE {condition} LIMIT {_FEW}"


def matching(judge: Judge, table: KnownTable, condition: str, mend: str = "") -> Probe:
    """How many rows meet a condition."""
    count = f"SELECT count(*) FROM {judge.quote(table.name)} WHERE {condition}"
    return Probe(count, keys(judge, table, condition), mend)


def rows(judge: Judge, table: str) -> Probe:
    """How many rows a table has."""
    return Probe(f"SELECT count(*) FROM {judge.quote(table)}")


def values(judge: Judge, table: str, column: str) -> Probe:
    """How many rows have a value in a column."""
    return Probe(f"SELECT count({judge.quote(column)}) FROM {judge.quote(table)}")


def nulls(judge: Judge, table: KnownTable, column: str) -> Probe:
    """How many rows have NULL in a column."""
    name = judge.quote(column)
    mend = f"UPDATE {judge.quote(table.name)} SET {name} = ... WHERE {name} IS NULL"
    return matching(judge, table, f"{name} IS NULL", mend)


def duplicates(
    judge: Judge, table: KnownTable, columns: Sequence[str], where: str = "", *, raw: bool = False
) -> Probe:
    """How many values stand more than once.

    :param raw: the columns are expressions.
    """
    listed = ", ".join(columns) if raw else judge.quoted(columns)
    present = " AND ".join(f"{each if raw else judge.quote(each)} IS NOT NULL" for each in columns)
    condition = f"{present} AND ({where})" if where else present
    name = judge.quote(table.name)
    grouped = f"FROM {name} WHERE {condition} GROUP BY {listed} HAVING count(*) > 1"
    return Probe(
        f"SELECT count(*) FROM (SELECT 1 AS one {grouped}) AS found",
        f"SELECT {listed} {grouped} LIMIT {_FEW}",
    )


def orphans(judge: Judge, table: KnownTable, key: ForeignKey) -> Probe | None:
    """How many rows refer to a row that is not there."""
    referred = key.referred or judge.known.table(key.table).primary_key
    if len(referred) != len(key.columns):
        return None
    present = " AND ".join(f"c.{judge.quote(each)} IS NOT NULL" for each in key.columns)
    joined = " AND ".join(
        f"p.{judge.quote(theirs)} = c.{judge.quote(ours)}"
        for ours, theirs in zip(key.columns, referred, strict=True)
    )
    condition = (
        f"{present} AND NOT EXISTS (SELECT 1 FROM {judge.quote(key.table)} AS p WHERE {joined})"
    )
    name = judge.quote(table.name)
    own = table.primary_key or key.columns
    shown = ", ".join(f"c.{judge.quote(each)}" for each in own)
    return Probe(
        f"SELECT count(*) FROM {name} AS c WHERE {condition}",
        f"SELECT {shown} FROM {name} AS c WHERE {condition} LIMIT {_FEW}",
    )


def breaking(judge: Judge, table: KnownTable, expression: str) -> Probe:
    """How many rows a CHECK would refuse."""
    return matching(judge, table, f"NOT ({expression})")
