"""Answers of a server, kept and given again."""

from __future__ import annotations

import datetime as dt
import sqlite3
from decimal import Decimal
from types import SimpleNamespace

import pytest

from flask_safemigrate.alembic_bridge import answers
from flask_safemigrate.alembic_bridge.progress import checksum

ROW = (
    1,
    None,
    2.5,
    "ä",
    b"\0\xff",
    Decimal("1.10"),
    dt.datetime(2024, 1, 2, 3, 4, 5, 6),
    dt.date(2024, 1, 2),
    dt.timedelta(days=-1, seconds=3),
    {"a", "b"},
)


def cursor(rows: list[tuple[object, ...]]) -> SimpleNamespace:
    described = [(f"c{i}", i, None) for i in range(len(rows[0]))] if rows else None
    return SimpleNamespace(
        description=described,
        fetchall=lambda: rows,
        rowcount=len(rows),
        lastrowid=7,
        close=lambda: None,
    )


def test_rows_come_back_as_they_were() -> None:
    heard, kept = answers.hear(cursor([ROW, ROW]))
    again = answers.repeat(kept, cursor([]), sqlite3)
    assert heard.fetchone() == again.fetchone() == ROW
    assert heard.fetchall() == again.fetchall() == [ROW]
    assert again.fetchone() is None
    assert (again.rowcount, again.lastrowid) == (2, 7)
    assert again.description is not None
    assert [column[:2] for column in again.description] == [(f"c{i}", i) for i in range(10)]
    assert answers.digest_of(kept) is None


def test_of_a_long_answer_only_a_digest_is_kept() -> None:
    long = [("x" * answers.MOST_KEPT,)]
    heard, kept = answers.hear(cursor(list(long)))
    assert heard.fetchall() == long
    assert len(kept) < 200
    assert answers.digest_of(kept) == answers.digest_of(answers.hear(cursor(list(long)))[1])
    assert answers.digest_of(kept) != answers.digest_of(answers.hear(cursor(long * 2))[1])


def test_an_error_is_raised_again() -> None:
    kept = answers.kept_error(sqlite3.OperationalError(1091, "no such index"))
    with pytest.raises(sqlite3.OperationalError) as caught:
        answers.repeat(kept, cursor([]), sqlite3)
    assert caught.value.args == (1091, "no such index")


def test_statements_are_told_apart_by_text_and_values() -> None:
    known = checksum("UPDATE t SET a = %s", (1,))
    assert known == checksum("UPDATE t SET a = %s", (1,))
    others = {
        checksum("UPDATE t SET b = %s", (1,)),
        checksum("UPDATE t SET a = %s", (2,)),
        checksum("UPDATE t SET a = %s", ("1",)),
        checksum("UPDATE t SET a = %s", [(1,), (1,)]),
        checksum("UPDATE t SET a = %(a)s", {"a": 1}),
    }
    assert known not in others
    assert len(others) == 5


def test_the_present_time_is_the_present_time() -> None:
    now = dt.datetime.now(dt.timezone.utc)
    earlier = now - dt.timedelta(seconds=20)
    assert checksum("x", (now,)) == checksum("x", (earlier,))
    assert checksum("x", (now.replace(tzinfo=None),)) == checksum("x", (earlier,))
    assert checksum("x", (now,)) != checksum("x", (now - dt.timedelta(days=1),))
