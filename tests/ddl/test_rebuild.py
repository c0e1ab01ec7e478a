"""Which way a table takes to its new form, decided on plain data."""

from __future__ import annotations

import pytest

from flask_safemigrate.ddl.rebuild import (
    Lineage,
    Transition,
    changed_defaults,
    converts,
    copy_rows,
    decide,
    index_survives,
    match_automatic,
    plain_table,
    same_text,
)
from flask_safemigrate.ddl.shape import IndexShape, KeyColumn, TableShape, read_shape

OLD = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER DEFAULT 5, r REAL)"


def index(name: str, *columns: str | None, origin: str = "c", partial: bool = False) -> IndexShape:
    key = tuple(KeyColumn(column, False, "BINARY") for column in columns)
    return IndexShape(name, origin != "c", origin, partial, key)


def shape(sql: str, *indexes: IndexShape) -> TableShape:
    return read_shape(sql, indexes)


def same(*names: str, **renamed: str) -> tuple[Lineage, ...]:
    """Columns that stay; ``new="old"`` for those that are renamed."""
    return (
        *(Lineage(name, name) for name in names),
        *(Lineage(new, old) for new, old in renamed.items()),
    )


ALL = same("id", "a", "b", "r")


@pytest.mark.parametrize(
    ("new", "columns", "way", "reason"),
    [
        ("id INTEGER PRIMARY KEY, a VARCHAR(9) NOT NULL, b INT, r FLOAT", ALL, "text", ""),
        ("id INTEGER PRIMARY KEY, a TEXT, b NUMERIC, r REAL", ALL, "text", ""),
        ("id INTEGER PRIMARY KEY, a BLOB, b INTEGER, r REAL", ALL, "text", ""),
        ("id INTEGER PRIMARY KEY, a TEXT, b TEXT, r REAL", ALL, "in place", '"b" stores other'),
        ("id INTEGER PRIMARY KEY, a TEXT, b INTEGER, r INTEGER", ALL, "in place", '"r"'),
        ("id INTEGER PRIMARY KEY, a TEXT, b INTEGER, r TEXT", ALL, "rebuild", "whole floats"),
        (
            "id INTEGER PRIMARY KEY, b INTEGER, a TEXT, r REAL",
            same("id", "b", "a", "r"),
            "rebuild",
            "order",
        ),
        ("id INTEGER PRIMARY KEY, a TEXT, b INTEGER", same("id", "a", "b"), "rebuild", '"r" goes'),
        ("id TEXT PRIMARY KEY, a TEXT, b INTEGER, r REAL", ALL, "rebuild", "INTEGER PRIMARY KEY"),
        (
            "id INTEGER PRIMARY KEY, a TEXT, b INTEGER, r REAL, n TEXT DEFAULT 'x'",
            (*ALL, Lineage("n", None, "'x'")),
            "text",
            "",
        ),
        (
            "id INTEGER PRIMARY KEY, a TEXT, b INTEGER, r REAL, n TEXT DEFAULT 'y'",
            (*ALL, Lineage("n", None, "'x'")),
            "in place",
            "rows store",
        ),
        (
            "id INTEGER PRIMARY KEY, a TEXT, b INTEGER, r REAL, n TEXT",
            (*ALL, Lineage("n", None, "lower('X')", False)),
            "in place",
            '"n" is filled',
        ),
        (
            "id INTEGER PRIMARY KEY, a TEXT, b INTEGER, r REAL, n INT AS (b + 1) STORED",
            (*ALL, Lineage("n", None)),
            "rebuild",
            "computed and stored",
        ),
        (
            "id INTEGER PRIMARY KEY, a TEXT, b INTEGER, r REAL, n INT AS (b + 1)",
            (*ALL, Lineage("n", None)),
            "text",
            "",
        ),
    ],
)
def test_the_cheapest_way(new: str, columns: tuple[Lineage, ...], way: str, reason: str) -> None:
    found = decide(shape(OLD), shape(f"CREATE TABLE t ({new})"), columns)
    assert found.way == way
    assert reason in found.reason


def test_an_empty_table_writes_no_rows() -> None:
    new = shape("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, r REAL)")
    assert decide(shape(OLD), new, ALL, table_filled=False).way == "text"


def test_columns_that_others_refer_to_are_not_converted_in_place() -> None:
    new = shape("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, r REAL)")
    assert decide(shape(OLD), new, ALL, parent_keys=frozenset({"b"})).way == "rebuild"


def test_stored_expressions_follow_the_columns_they_read() -> None:
    old = shape("CREATE TABLE t (r REAL, g TEXT AS (r || '') STORED)")
    new = shape("CREATE TABLE t (r INTEGER, g TEXT AS (r || '') STORED)")
    found = decide(old, new, same("r", "g"))
    assert found.way == "rebuild"
    assert "stored expressions" in found.reason


def test_rows_that_lean_on_an_old_default_are_written() -> None:
    new = shape(OLD.replace("DEFAULT 5", "DEFAULT 7"))
    assert changed_defaults(shape(OLD), new, ALL) == ("b",)
    assert decide(shape(OLD), new, ALL).way == "text"
    found = decide(shape(OLD), new, ALL, short={"b": "5"})
    assert found.update == 'UPDATE OR ABORT "t" SET "b" = "b" WHERE "b" IS 5'


@pytest.mark.parametrize(
    ("old", "new", "cast", "expected"),
    [
        ("INTEGER", "NUMERIC", True, False),
        ("TEXT", "BLOB", False, False),
        ("TEXT", "BLOB", True, True),
        ("BLOB", "BLOB", True, True),
        ("BLOB", "BLOB", False, False),
        ("TEXT", "TEXT", True, False),
        ("REAL", "BLOB", False, True),
        ("TEXT", "INTEGER", False, True),
        ("INTEGER", "REAL", False, True),
        ("BLOB", "TEXT", False, True),
    ],
)
def test_which_affinities_store_alike(old: str, new: str, cast: bool, expected: bool) -> None:
    assert converts(old, new, cast) is expected


def test_an_index_over_bytes_that_were_anything_is_made_anew() -> None:
    old, new = shape("CREATE TABLE t (a, b TEXT)"), shape("CREATE TABLE t (a BLOB, b TEXT)")
    columns = (Lineage("a", "a", cast=True), Lineage("b", "b"))
    found = decide(old, new, columns)
    assert found.way == "in place"
    assert not index_survives(index("i", "a"), index("i", "a"), columns, found)
    assert index_survives(index("i", "b"), index("i", "b"), columns, found)


def test_a_plain_table_has_no_rules_and_no_foreign_names() -> None:
    table = shape(
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a MONEY NOT NULL CHECK (a > 0)"
        " DEFAULT 3 COLLATE NOCASE UNIQUE REFERENCES p, g INT AS (a * 2) VIRTUAL)"
    )
    assert plain_table("c", table, defaults={"a": "'3'"}) == (
        'CREATE TABLE "c" ("id" INTEGER PRIMARY KEY, "a" NUMERIC COLLATE "NOCASE" DEFAULT \'3\','
        ' "g" INTEGER AS (a * 2) VIRTUAL)'
    )


def test_unique_keys_keep_their_numbers_around_the_primary_key() -> None:
    key = (KeyColumn("k", True, "BINARY"),)
    table = read_shape(
        "CREATE TABLE t (k, a, b, UNIQUE (a), PRIMARY KEY (k DESC), UNIQUE (b)) WITHOUT ROWID",
        [
            IndexShape(
                "sqlite_autoindex_t_1", True, "u", False, (KeyColumn("a", False, "BINARY"),)
            ),
            IndexShape("sqlite_autoindex_t_2", True, "pk", False, key),
            IndexShape(
                "sqlite_autoindex_t_3", True, "u", False, (KeyColumn("b", False, "BINARY"),)
            ),
        ],
    )
    text = plain_table("c", table, uniques=table.automatic)
    assert text.endswith(
        'UNIQUE ("a" COLLATE "BINARY"), PRIMARY KEY ("k" COLLATE "BINARY" DESC),'
        ' UNIQUE ("b" COLLATE "BINARY")) WITHOUT ROWID'
    )


def test_a_copy_keeps_rowids_and_skips_what_is_computed() -> None:
    old = shape("CREATE TABLE t (a INTEGER, rowid TEXT, g INT AS (a))")
    new = shape("CREATE TABLE t (b TEXT, rowid TEXT, g INT AS (b), n)")
    columns = (*same("rowid", "g", b="a"), Lineage("n", None, "7"))
    assert copy_rows(old, "t", new, "c", columns) == (
        'INSERT INTO "c" (_rowid_, "rowid", "b", "n") SELECT _rowid_, "rowid",'
        ' CASE WHEN typeof("a") = \'real\' AND CAST(CAST("a" AS TEXT) AS REAL) <> "a"'
        ' THEN printf(\'%!.17g\', "a") ELSE "a" END, 7 FROM "t"'
    )


KEPT = Transition("rebuild", "", frozenset({"b"}), same_rowids=True)


@pytest.mark.parametrize(
    ("before", "now", "transition", "expected"),
    [
        (index("i", "a"), index("i", "a"), KEPT, True),
        (index("i", "a"), index("i", "c"), KEPT, False),
        (index("i", "old"), index("i", "new"), KEPT, True),
        (index("i", "b"), index("i", "b"), KEPT, False),
        (index("i", None), index("i", None), KEPT, False),
        (index("i", "a", partial=True), index("i", "a", partial=True), KEPT, False),
        (index("i", None), index("i", None), Transition("rebuild", "", frozenset(), True), True),
        (index("i", "a"), index("i", "a"), Transition("rebuild", "", frozenset(), False), False),
    ],
)
def test_which_indexes_need_not_be_made_anew(
    before: IndexShape, now: IndexShape, transition: Transition, expected: bool
) -> None:
    columns = same("a", "b", "c", new="old")
    assert index_survives(before, now, columns, transition) is expected


def test_automatic_indexes_are_matched_by_what_they_hold() -> None:
    old = shape(
        "CREATE TABLE t (a, b)",
        index("sqlite_autoindex_t_1", "a", origin="u"),
        index("sqlite_autoindex_t_2", "b", origin="u"),
    )
    new = shape(
        "CREATE TABLE t (a, c)",
        index("sqlite_autoindex_t_1", "c", origin="u"),
        index("sqlite_autoindex_t_2", "a", "c", origin="u"),
    )
    transition = Transition("text", "", frozenset(), same_rowids=True)
    assert match_automatic(old, new, same("a", c="b"), transition) == {
        "sqlite_autoindex_t_1": "sqlite_autoindex_t_2"
    }


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("(a > 0)", "( a>0 ) -- note", True),
        ("a IN (1)", "a in (1)", True),
        ("'A'", "'a'", False),
        (None, None, True),
        (None, "a", False),
    ],
)
def test_text_is_compared_by_its_words(one: str | None, other: str | None, expected: bool) -> None:
    assert same_text(one, other) is expected
