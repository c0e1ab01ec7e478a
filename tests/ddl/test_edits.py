"""Each edit of a CREATE TABLE: SQLite reads the new text as planned, and the rest is untouched."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flask_safemigrate.ddl import edits, questions
from flask_safemigrate.ddl.create_table import Column, Constraint, CreateTable, read_create_table
from flask_safemigrate.ddl.tokens import ImpossibleEdit, fold, quote, tokenize, unquote
from tests.ddl import oracle
from tests.ddl.oracle import ColumnFacts, Facts, altered, stored_text
from tests.ddl.strategies import examples, table_texts

LAID_OUT = """CREATE TABLE person (  -- people
    id INTEGER PRIMARY KEY,  -- the key
    name VARCHAR(20) NOT NULL,  /* their name */
    -- how to reach them
    email TEXT CONSTRAINT mail UNIQUE DEFAULT 'none',
    age INT CHECK (age > 0)  -- in years
    ,
    CONSTRAINT sane CHECK (age < 200),  -- nobody is older
    UNIQUE (name, email)  -- both
)"""

LEADING_COMMAS = """CREATE TABLE t
( a INTEGER -- one
, b TEXT    -- two
, c REAL    -- three
)"""

ONE_LINE = "CREATE TABLE t(a INT, b TEXT NOT NULL DEFAULT 'x', c, CHECK (a <> c))"


def plain(facts: Facts) -> Facts:
    """Facts without the comments that SQLite keeps in a type before GENERATED ALWAYS."""
    return replace(
        facts,
        columns=tuple(
            replace(
                column, type=re.sub(r"\s*(/\*.*?\*/|--[^\n]*(\n|$))\s*", " ", column.type).strip()
            )
            for column in facts.columns
        ),
    )


def facts_of_sqlite(sql: str) -> Facts:
    return plain(oracle.facts_of_sqlite(sql))


def facts_of_text(sql: str) -> Facts:
    return plain(oracle.facts_of_text(sql))


def facts_of_table(table: CreateTable) -> Facts:
    return plain(oracle.facts_of_table(table))


def texts(sql: str) -> list[str]:
    """The tokens that matter to a reader: comments too, blanks not."""
    return [token.text for token in tokenize(sql) if token.kind != "space"]


def meaning(sql: str) -> list[str]:
    """Tokens as SQLite's parser sees them, names without their quotes."""
    return [
        unquote(token.text) if token.kind in ("quoted", "name") else token.text
        for token in tokenize(sql)
        if token.significant
    ]


def is_part_of(part: Iterable[str], whole: Iterable[str]) -> bool:
    """Whether the first can be had from the second by leaving things out."""
    rest = iter(whole)
    return all(item in rest for item in part)


def pick(data: st.DataObject, table: CreateTable) -> Column:
    return data.draw(st.sampled_from(table.columns), label="column")


def without(table: CreateTable, gone: Iterable[Constraint]) -> CreateTable:
    """A copy of what was read that lacks some constraints."""
    starts = {constraint.span for constraint in gone}
    return table._replace(
        columns=tuple(
            column._replace(
                constraints=tuple(c for c in column.constraints if c.span not in starts),
            )
            for column in table.columns
        ),
        constraints=tuple(c for c in table.constraints if c.span not in starts),
    )


def unless_deferral_moves(edit: Callable[[], str]) -> str | None:
    """The new text, or None where a stray DEFERRABLE would come to change another foreign key."""
    try:
        return edit()
    except ImpossibleEdit as error:
        if "DEFERRABLE" in str(error):
            return None
        raise


# ---------------------------------------------------------------- random tables

NEW_COLUMNS = [
    ("extra TEXT", ColumnFacts("extra", "TEXT", False, None, 0, 0, "TEXT")),
    (
        '"ex tra" INT NOT NULL DEFAULT 5 -- five',
        ColumnFacts("ex tra", "INT", True, "5", 0, 0, "INTEGER"),
    ),
    (
        "/* new */ [extra] real CHECK ([extra] > 0) DEFAULT (1.5)",
        ColumnFacts("extra", "REAL", False, "1.5", 0, 0, "REAL"),
    ),
]


@given(table_texts(), st.sampled_from(NEW_COLUMNS), st.data())
@examples(80)
def test_add_column(sql: str, new: tuple[str, ColumnFacts], data: st.DataObject) -> None:
    table = read_create_table(sql)
    definition, added = new
    side = data.draw(st.sampled_from(("last", "before", "after")))
    beside = pick(data, table)
    place = len(table.columns)
    if side == "last":
        text = edits.add_column(table, definition)
    elif side == "before":
        text = edits.add_column(table, definition, before=fold(beside.name.value))
        place = table.columns.index(beside)
    else:
        text = edits.add_column(table, definition, after=beside.name.value)
        place = table.columns.index(beside) + 1
    facts = facts_of_sqlite(sql)
    columns = (*facts.columns[:place], added, *facts.columns[place:])
    assert facts_of_sqlite(text) == replace(facts, columns=columns)
    assert is_part_of(texts(sql), texts(text))
    # SQLite's own ADD COLUMN lets a comment at the definition's end swallow what follows.
    if side == "last" and "--" not in definition:
        theirs = altered(sql, f"ALTER TABLE {quote(table.name.value)} ADD COLUMN {definition}")
        if theirs is not None:
            assert meaning(stored_text(text)) == meaning(theirs)


@given(table_texts(), st.data())
@examples(120)
def test_drop_column(sql: str, data: st.DataObject) -> None:
    table = read_create_table(sql)
    column = pick(data, table)
    name = column.name.value
    gone = questions.constraints_mentioning(table, name)
    assume(len(table.columns) > 1)
    computed = any(c.kind == "GENERATED" and c.column != name for c in gone)
    if computed:
        with pytest.raises(ImpossibleEdit, match="computed from"):
            edits.drop_column(table, name)
        return
    assume(not (table.without_rowid and any(c.kind == "PRIMARY KEY" for c in gone)))
    left = tuple(other for other in table.columns if other is not column)
    assume(any(questions.is_generated(other) is False for other in left))
    text = unless_deferral_moves(lambda: edits.drop_column(table, name))
    if text is None:
        return
    rest = without(table._replace(columns=left), gone)
    assert facts_of_sqlite(text) == facts_of_table(rest)
    assert is_part_of(texts(text), texts(sql))
    kept = [c.body.of(sql) for c in rest.all_constraints if c.kind == "CHECK"]
    checks = questions.constraints_of_kind(read_create_table(text), "CHECK")
    assert [c.body.of(text) for c in checks] == kept
    theirs = altered(sql, f"ALTER TABLE {quote(table.name.value)} DROP COLUMN {quote(name)}")
    if theirs is not None and not gone:
        assert meaning(stored_text(text)) == meaning(theirs)


@given(table_texts(), st.data())
@examples(60)
def test_reorder_columns(sql: str, data: st.DataObject) -> None:
    table = read_create_table(sql)
    order = data.draw(st.permutations(table.columns))
    names = [column.name.value for column in order]
    text = unless_deferral_moves(lambda: edits.reorder_columns(table, names))
    if text is None:
        return
    if tuple(order) == table.columns:
        assert text == sql
    expected = facts_of_table(table._replace(columns=tuple(order)))
    got = facts_of_sqlite(text)
    assert replace(got, foreign_keys=tuple(sorted(got.foreign_keys, key=repr))) == replace(
        expected, foreign_keys=tuple(sorted(expected.foreign_keys, key=repr))
    )
    assert sorted(texts(text)) == sorted(texts(sql))


@given(table_texts(), st.sampled_from(["new", "New Name", "select", 'q"x', "T"]))
@examples(100)
def test_rename_table_does_what_sqlite_does(sql: str, new: str) -> None:
    table = read_create_table(sql)
    text = edits.rename_table(table, new)
    assert facts_of_sqlite(text).name == new
    theirs = altered(
        stored_text(sql), f"ALTER TABLE {quote(table.name.value)} RENAME TO {quote(new)}"
    )
    if theirs is not None:
        assert meaning(stored_text(text)) == meaning(theirs)
    kept = facts_of_sqlite(edits.rename_table(table, new, self_references=False))
    assert kept == replace(facts_of_sqlite(sql), name=new)


@given(
    table_texts(),
    st.sampled_from(
        [
            ("", "", "BLOB"),
            ("TEXT", "TEXT", "TEXT"),
            ("varchar(5,6)", "varchar(5,6)", "TEXT"),
            ("unsigned big int", "unsigned big int", "INTEGER"),
            ('"a b"', "a b", "NUMERIC"),
        ]
    ),
    st.data(),
)
@examples(60)
def test_set_type(sql: str, new: tuple[str, str, str], data: st.DataObject) -> None:
    table = read_create_table(sql)
    column = pick(data, table)
    in_key = column.name.value in questions.primary_key_columns(table)
    assume(not table.strict and not (in_key and questions.has_autoincrement(table)))
    assume(questions.rowid_alias(table) is None or not in_key)
    assume(not (in_key and table.without_rowid))
    written, declared, affinity = new
    text = edits.set_type(table, column.name.value, written)
    facts = facts_of_sqlite(sql)
    place = table.columns.index(column)
    changed = replace(facts.columns[place], type=declared, affinity=affinity)
    columns = (*facts.columns[:place], changed, *facts.columns[place + 1 :])
    assert facts_of_sqlite(text) == replace(facts, columns=columns)
    if column.type_span is not None and column.type_span.of(sql) == written:
        assert text == sql


@given(table_texts(), st.data())
@examples(80)
def test_not_null(sql: str, data: st.DataObject) -> None:
    table = read_create_table(sql)
    column = pick(data, table)
    name, place = column.name.value, table.columns.index(column)
    facts = facts_of_sqlite(sql)
    text = edits.set_not_null(table, name)
    columns = list(facts.columns)
    columns[place] = replace(columns[place], not_null=True)
    assert facts_of_sqlite(text) == replace(facts, columns=tuple(columns))
    if questions.is_not_null(column):
        assert text == sql
    loose = edits.drop_not_null(table, name)
    expected = without(table, column.of_kind("NOT NULL"))
    assert facts_of_sqlite(loose) == facts_of_table(expected)
    assert is_part_of(texts(loose), texts(sql))
    if not questions.is_not_null(column):
        assert loose == sql


@given(
    table_texts(),
    st.sampled_from(
        [("7", "7"), ("-7", "-7"), ("'x'", "'x'"), ("(1+1)", "1+1"), ("lower('A')", "lower('A')")]
    ),
    st.data(),
)
@examples(80)
def test_default(sql: str, new: tuple[str, str], data: st.DataObject) -> None:
    table = read_create_table(sql)
    column = pick(data, table)
    assume(not questions.is_generated(column))
    name, place = column.name.value, table.columns.index(column)
    facts = facts_of_sqlite(sql)
    columns = list(facts.columns)
    columns[place] = replace(columns[place], default=new[1])
    text = edits.set_default(table, name, new[0])
    assert facts_of_sqlite(text) == replace(facts, columns=tuple(columns))
    assert edits.set_default(read_create_table(text), name, new[0]) == text
    columns[place] = replace(columns[place], default=None)
    bare = edits.drop_default(table, name)
    assert facts_of_sqlite(bare) == replace(facts, columns=tuple(columns))
    assert is_part_of(texts(bare), texts(sql))


@given(table_texts(), st.sampled_from(["NOCASE", "x y", None]), st.data())
@examples(60)
def test_collation(sql: str, new: str | None, data: st.DataObject) -> None:
    table = read_create_table(sql)
    column = pick(data, table)
    text = edits.set_collation(table, column.name.value, new)
    got = read_create_table(text)
    changed = questions.find_column(got, column.name.value)
    assert changed is not None
    assert (questions.collation_of(changed) or "").upper() == (new or "").upper()
    assert facts_of_text(text) == facts_of_sqlite(text)
    assert facts_of_sqlite(text).columns == facts_of_sqlite(sql).columns


@given(table_texts(), st.data())
@examples(80)
def test_add_constraints(sql: str, data: st.DataObject) -> None:
    table = read_create_table(sql)
    column = quote(pick(data, table).name.value)
    facts = facts_of_sqlite(sql)
    checked = edits.add_constraint(table, f"CONSTRAINT ck CHECK ({column} IS NOT 5) -- why")
    assert facts_of_sqlite(checked) == facts
    assert is_part_of(texts(sql), texts(checked))
    pointed = edits.add_constraint(
        table, f"FOREIGN KEY ({column}) REFERENCES other (x) ON DELETE CASCADE"
    )
    key = ("other", "NO ACTION", "CASCADE", ((unquote(column), "x"),))
    assert facts_of_sqlite(pointed) == replace(facts, foreign_keys=(key, *facts.foreign_keys))
    unique = edits.add_constraint(table, f"UNIQUE ({column} COLLATE odd)")
    assert [(unquote(column), "odd")] in [
        [(name, collation) for name, _, collation in parts]
        for _, parts in facts_of_sqlite(unique).indexes
    ]
    assert facts_of_sqlite(unique).columns == facts.columns
    names = questions.constraints_named(read_create_table(checked), "CK")
    assert names[-1].expression is not None
    assert edits.drop_constraint(read_create_table(checked), names[-1])


@given(table_texts(), st.data())
@examples(150)
def test_drop_and_name_each_constraint(sql: str, data: st.DataObject) -> None:
    table = read_create_table(sql)
    droppable = [
        found
        for found in table.all_constraints
        if found.kind != "PRIMARY KEY" or not table.without_rowid
    ]
    assume(droppable)
    chosen = data.draw(st.sampled_from(droppable))
    generated = questions.generated_columns(table)
    text = edits.drop_constraint(table, chosen)
    assert facts_of_sqlite(text) == facts_of_table(without(table, [chosen]))
    assert is_part_of(texts(text), texts(sql))
    if chosen.kind == "NAME" or generated:
        return
    named = edits.name_constraint(table, chosen, "New name")
    assert facts_of_sqlite(named) == facts_of_sqlite(sql)
    again = questions.constraints_named(read_create_table(named), "new NAME")
    assert [found.kind for found in again] == [chosen.kind]
    assert edits.name_constraint(read_create_table(named), again[0], "New name") == named


@given(table_texts())
@examples(80)
def test_drop_primary_key(sql: str) -> None:
    table = read_create_table(sql)
    if table.without_rowid:
        with pytest.raises(ImpossibleEdit):
            edits.drop_primary_key(table)
        return
    keys = questions.constraints_of_kind(table, "PRIMARY KEY")
    assert facts_of_sqlite(edits.drop_primary_key(table)) == facts_of_table(without(table, keys))


@given(table_texts())
@examples(80)
def test_autoincrement(sql: str) -> None:
    table = read_create_table(sql)
    facts = facts_of_sqlite(sql)
    off = edits.set_autoincrement(table, False)
    assert facts_of_sqlite(off) == replace(facts, autoincrement=False)
    if questions.rowid_alias(table) is None:
        with pytest.raises(ImpossibleEdit, match="INTEGER PRIMARY KEY"):
            edits.set_autoincrement(table, True)
        return
    on = edits.set_autoincrement(table, True)
    assert facts_of_sqlite(on) == replace(facts, autoincrement=True)
    assert edits.set_autoincrement(read_create_table(on), True) == on


@given(table_texts())
@examples(80)
def test_options(sql: str) -> None:
    table = read_create_table(sql)
    assert edits.set_strict(table, table.strict) == sql
    assert edits.set_without_rowid(table, table.without_rowid) == sql
    loose = edits.set_strict(table, False)
    assert facts_of_sqlite(loose) == facts_of_table(
        table._replace(options=tuple(o for o in table.options if o.name != "STRICT"))
    )
    keyed = edits.set_without_rowid(table, False)
    assert facts_of_sqlite(keyed) == facts_of_table(
        table._replace(options=tuple(o for o in table.options if o.name != "WITHOUT ROWID"))
    )
    assert facts_of_text(edits.set_strict(table, True)).strict
    if questions.primary_key(table) is None or questions.has_autoincrement(table):
        with pytest.raises(ImpossibleEdit, match="WITHOUT ROWID"):
            edits.set_without_rowid(table, True)
    elif not any(found.conflict for found in table.all_constraints):
        bare = facts_of_sqlite(edits.set_without_rowid(table, True))
        assert bare.without_rowid
        assert bare.strict == table.strict


# ---------------------------------------------------------------- chosen texts


def test_a_new_last_column_keeps_comments_with_their_columns() -> None:
    text = edits.add_column(read_create_table(LAID_OUT), "born DATE")
    assert text == LAID_OUT.replace("  -- in years\n", "  -- in years\n    , born DATE\n")


def test_a_new_first_column_stands_on_its_own_line() -> None:
    text = edits.add_column(read_create_table(LAID_OUT), "tag TEXT", before="id")
    assert text == LAID_OUT.replace("    id INT", "    tag TEXT,\n    id INT")


def test_a_new_middle_column_stands_behind_the_others_comment() -> None:
    text = edits.add_column(read_create_table(LAID_OUT), "tag TEXT", after="id")
    assert text == LAID_OUT.replace("-- the key\n", "-- the key\n    tag TEXT,\n")


def test_columns_with_leading_commas() -> None:
    table = read_create_table(LEADING_COMMAS)
    assert edits.add_column(table, "d INT") == LEADING_COMMAS.replace(
        "-- three\n", "-- three\n, d INT\n"
    )
    assert edits.add_column(table, "d INT", before="b") == LEADING_COMMAS.replace(
        "-- one\n", "-- one\n, d INT\n"
    )
    assert edits.drop_column(table, "b") == LEADING_COMMAS.replace(", b TEXT    -- two\n", "")
    assert edits.drop_column(table, "c") == LEADING_COMMAS.replace("\n, c REAL    -- three", "")


def test_one_line_stays_one_line() -> None:
    table = read_create_table(ONE_LINE)
    assert edits.add_column(table, "d INT") == ONE_LINE.replace("c, CH", "c, d INT, CH")
    assert edits.drop_column(table, "b") == ONE_LINE.replace(" b TEXT NOT NULL DEFAULT 'x',", "")
    assert edits.drop_column(table, "c") == "CREATE TABLE t(a INT, b TEXT NOT NULL DEFAULT 'x')"
    assert edits.drop_not_null(table, "b") == ONE_LINE.replace(" NOT NULL", "")
    assert edits.drop_default(table, "b") == ONE_LINE.replace(" DEFAULT 'x'", "")
    assert edits.set_type(table, "c", "TEXT") == ONE_LINE.replace(" c,", " c TEXT,")
    assert edits.set_type(table, "a", "VARCHAR(9)") == ONE_LINE.replace("INT", "VARCHAR(9)")
    assert edits.set_default(table, "a", "now()") == ONE_LINE.replace(
        "a INT", "a INT DEFAULT (now())"
    )


def test_a_dropped_column_takes_its_comment_and_leaves_the_others() -> None:
    table = read_create_table(LAID_OUT)
    assert edits.drop_column(table, "name") == LAID_OUT.replace(
        "    name VARCHAR(20) NOT NULL,  /* their name */\n", ""
    ).replace(",  -- nobody is older\n    UNIQUE (name, email)  -- both", "  -- nobody is older")


def test_a_dropped_column_takes_constraints_of_every_kind_along() -> None:
    table = read_create_table(
        "CREATE TABLE t(id INT REFERENCES t(junk), junk INT UNIQUE, a INT CHECK (a < junk) UNIQUE,"
        " b TEXT CHECK (b <> 'junk' AND CAST(b AS junk) IS NOT junk(b)), PRIMARY KEY (id, junk),"
        " FOREIGN KEY (a, junk) REFERENCES p, CHECK (t.junk > 0), UNIQUE (a))"
    )
    assert edits.drop_column(table, "JUNK") == (
        "CREATE TABLE t(id INT, a INT UNIQUE,"
        " b TEXT CHECK (b <> 'junk' AND CAST(b AS junk) IS NOT junk(b)), UNIQUE (a))"
    )


@pytest.mark.parametrize(
    ("sql", "column", "named"),
    [
        ("CREATE TABLE t(a, b, CHECK (a > 0))", "b", False),
        ("CREATE TABLE t(a, end, CHECK (CASE WHEN a THEN 1 END))", "end", False),
        ("CREATE TABLE t(a, end, CHECK (CASE WHEN end THEN 1 END))", "end", True),
        ("CREATE TABLE t(a, end, CHECK (CASE WHEN a THEN end END))", "end", True),
        ('CREATE TABLE t(a, end, CHECK (a < "end"))', "end", True),
        ("CREATE TABLE t(a, like, CHECK (a LIKE 'x' OR a NOT LIKE 'y'))", "like", False),
        ("CREATE TABLE t(a, like, CHECK (NOT like))", "like", True),
        ("CREATE TABLE t(a, nocase, CHECK (a COLLATE nocase = 'x'))", "nocase", False),
        ("CREATE TABLE t(a, text, CHECK (CAST(a AS text) = 'x'))", "text", False),
        ("CREATE TABLE t(a, text, CHECK (CAST(text AS INT) = text))", "text", True),
        ("CREATE TABLE t(a, lower, CHECK (lower(a) = 'x'))", "lower", False),
        ("CREATE TABLE t(a, t, CHECK (t.a = 'x'))", "t", False),
        ("CREATE TABLE t(a, t, CHECK (t.t = 'x'))", "t", True),
        ("CREATE TABLE t(a, current_date, CHECK (a < current_date))", "current_date", False),
        ("CREATE TABLE t(a, x, CHECK (a = 'x'))", "x", False),
        ("CREATE TABLE t(a, x, CHECK (a = /* x */ 1))", "x", False),
        ("CREATE TABLE t(a, first, CHECK (a NOTNULL AND first ISNULL))", "FIRST", True),
    ],
)
def test_a_check_names_a_column_only_where_sqlite_says_so(
    sql: str, column: str, named: bool
) -> None:
    table = read_create_table(sql)
    check = questions.constraints_of_kind(table, "CHECK")[0]
    assert questions.mentions(table, check, column) is named
    # SQLite refuses to drop a column that a CHECK names.
    assert (altered(sql, f"ALTER TABLE t DROP COLUMN {quote(column)}") is None) is named


def test_a_string_in_double_quotes_stays_a_string_when_a_column_of_that_name_comes() -> None:
    sql = 'CREATE TABLE t(a, b, CHECK (a IN ("new", "old") OR b = "new"))'
    safe = "CHECK (a IN ('new', \"old\") OR b = 'new'))"
    table = read_create_table(sql)
    assert edits.add_column(table, "new INT") == f"CREATE TABLE t(a, b, new INT, {safe}"
    table = read_create_table("CREATE TABLE t(a, b, CHECK (a = true))")
    with pytest.raises(ImpossibleEdit, match="another meaning"):
        edits.add_column(table, '"TRUE"')


def test_on_conflict_belongs_to_its_constraint() -> None:
    sql = "CREATE TABLE t(a NOT NULL ON CONFLICT FAIL UNIQUE ON CONFLICT REPLACE)"
    table = read_create_table(sql)
    assert edits.drop_not_null(table, "a") == "CREATE TABLE t(a UNIQUE ON CONFLICT REPLACE)"
    assert edits.set_not_null(table, "a", conflict="FAIL") == sql
    assert edits.set_not_null(table, "a", conflict="ABORT") == sql.replace("FAIL", "ABORT")
    unique = questions.constraints_of_kind(table, "UNIQUE")[0]
    assert edits.drop_constraint(table, unique) == "CREATE TABLE t(a NOT NULL ON CONFLICT FAIL)"


def test_a_nullable_column_says_not_null_where_it_said_null() -> None:
    table = read_create_table("CREATE TABLE t(a INT NULL DEFAULT 1)")
    assert edits.set_not_null(table, "a") == "CREATE TABLE t(a INT NOT NULL DEFAULT 1)"


@pytest.mark.parametrize(
    ("sql", "constraint", "expected"),
    [
        ("CREATE TABLE t(a -- end\n)", "CHECK (a)", "CREATE TABLE t(a, -- end\n CHECK (a)\n)"),
        ("CREATE TABLE t(a, UNIQUE(a)) STRICT", "CHECK (a)", None),
        ("CREATE TABLE t(a, UNIQUE(a) CHECK(a))", "CHECK (1) -- one", None),
        ("CREATE TABLE t(a, CONSTRAINT x)", "CHECK (a)", None),
        ("CREATE TABLE t(a\n) WITHOUT ROWID", "PRIMARY KEY (a)", None),
        ("CREATE TABLE t(a)", " \n/* x */ UNIQUE (a)\n", "CREATE TABLE t(a, /* x */ UNIQUE (a))"),
    ],
)
def test_add_constraint_text(sql: str, constraint: str, expected: str | None) -> None:
    table = read_create_table(sql)
    text = edits.add_constraint(table, constraint)
    again = read_create_table(text)
    assert len(again.constraints) == len(table.constraints) + 1
    assert again.constraints[-1].body.of(text) == constraint.split("--")[0].split("*/")[-1].strip()
    assert again.options == tuple(
        option._replace(span=again.options[at].span) for at, option in enumerate(table.options)
    )
    if expected is not None:
        assert text == expected


def test_removing_from_constraints_without_commas() -> None:
    sql = "CREATE TABLE t(a, CHECK(a>1) UNIQUE(a) CHECK(a>2), CHECK(a>3))"
    table = read_create_table(sql)
    first, unique, second, third = table.constraints
    assert edits.drop_constraint(table, first) == sql.replace("CHECK(a>1) ", "")
    assert edits.drop_constraint(table, unique) == sql.replace("UNIQUE(a) ", "")
    assert edits.drop_constraint(table, second) == sql.replace(" CHECK(a>2)", "")
    assert edits.drop_constraint(table, third) == sql.replace(", CHECK(a>3)", "")


def test_tokens_are_never_glued() -> None:
    table = read_create_table("CREATE TABLE t(a'TEXT'NOT NULL DEFAULT'x')")
    assert facts_of_sqlite(edits.drop_not_null(table, "a")).columns[0].default == "'x'"
    assert facts_of_sqlite(edits.set_type(table, "a", "INT")).columns[0].type == "INT"


def test_a_line_comment_never_swallows_what_follows() -> None:
    sql = "CREATE TABLE t(a -- one\n NOT NULL -- two\n, b -- three\n)"
    table = read_create_table(sql)
    for text in (
        edits.drop_not_null(table, "a"),
        edits.drop_column(table, "a"),
        edits.drop_column(table, "b"),
        edits.set_type(table, "b", "INT"),
        edits.add_column(table, "c INT -- four"),
        edits.reorder_columns(table, ["b", "a"]),
        edits.set_without_rowid(
            read_create_table(edits.add_constraint(table, "PRIMARY KEY (a) -- five\n")), True
        ),
    ):
        facts_of_sqlite(text)


def test_a_comment_moves_with_its_column() -> None:
    table = read_create_table(LEADING_COMMAS)
    assert edits.reorder_columns(table, ["c", "b", "a"]) == LEADING_COMMAS.replace(
        "a INTEGER -- one", "c REAL    -- three"
    ).replace(", c REAL    -- three", ", a INTEGER -- one")


def test_foreign_keys_point_elsewhere() -> None:
    sql = 'CREATE TABLE t(a REFERENCES p(x) ON DELETE CASCADE, FOREIGN KEY(a) REFERENCES "p")'
    table = read_create_table(sql)
    inline, listed = questions.foreign_keys_to(table, "P")
    assert edits.set_references(table, inline, "q r") == sql.replace("p(x)", '"q r"(x)')
    assert edits.set_references(table, listed, "q") == sql.replace('"p"', '"q"')
    assert edits.set_references(table, listed, "p") == sql


def test_a_dropped_foreign_key_takes_its_stray_deferral_along() -> None:
    sql = "CREATE TABLE t(a REFERENCES p, b REFERENCES q NOT NULL DEFERRABLE INITIALLY DEFERRED)"
    table = read_create_table(sql)
    key = questions.foreign_keys_to(table, "q")[0]
    assert edits.drop_constraint(table, key) == "CREATE TABLE t(a REFERENCES p, b NOT NULL)"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: edits.add_column(t, "A INT"), 'has this column already: "A"'),
        (lambda t: edits.add_column(t, "x INT, y INT"), "not one column definition"),
        (lambda t: edits.add_column(t, "x INT) STRICT --"), "cannot be read"),
        (lambda t: edits.add_column(t, "x INT("), "cannot be read"),
        (lambda t: edits.add_column(t, "x", after="zz"), 'no column: "zz"'),
        (lambda t: edits.drop_column(t, "zz"), 'table "t" has no column: "zz"'),
        (lambda t: edits.set_type(t, "a", "INT NOT NULL"), "not a type"),
        (lambda t: edits.set_type(t, "a", "INT, b"), "not one column definition"),
        (lambda t: edits.set_type(t, "a", "INT -- x"), "not a type"),
        (lambda t: edits.set_default(t, "a", "1) NOT NULL --"), "not a default"),
        (lambda t: edits.set_default(t, "a", "5)"), "not a default"),
        (lambda t: edits.add_constraint(t, "CHECK (a), CHECK (b)"), "not one table constraint"),
        (lambda t: edits.add_constraint(t, "x INT"), "not one table constraint"),
        (lambda t: edits.add_constraint(t, "CHECK (a) CHECK (b)"), "not one table constraint"),
        (lambda t: edits.reorder_columns(t, ["a", "a"]), "every column once"),
    ],
)
def test_what_does_not_apply_is_refused(edit: object, message: str) -> None:
    table = read_create_table("CREATE TABLE t(a, b)")
    with pytest.raises(ImpossibleEdit) as caught:
        edit(table)  # type: ignore[operator]
    assert message in str(caught.value)


def test_the_key_of_a_table_without_rowids_cannot_go() -> None:
    table = read_create_table("CREATE TABLE t(a, b, PRIMARY KEY (a, b)) WITHOUT ROWID")
    for edit in (
        lambda: edits.drop_primary_key(table),
        lambda: edits.drop_column(table, "b"),
        lambda: edits.drop_constraint(table, table.constraints[0]),
    ):
        with pytest.raises(ImpossibleEdit, match="needs a primary key"):
            edit()


def test_the_last_column_cannot_go() -> None:
    with pytest.raises(ImpossibleEdit, match="not generated"):
        edits.drop_column(read_create_table("CREATE TABLE t(a)"), "a")


def test_checks_work_after_a_rename() -> None:
    sql = (
        "CREATE TABLE t(end INT CHECK (CASE WHEN end > 1 THEN end ELSE 0 END), t INT CHECK (t.t))"
    )
    text = edits.rename_table(read_create_table(sql), "u v")
    assert text == (
        'CREATE TABLE "u v"(end INT CHECK (CASE WHEN end > 1 THEN end ELSE 0 END),'
        ' t INT CHECK ("u v".t))'
    )
    connection = sqlite3.connect(":memory:")
    connection.execute(text)
    connection.execute('INSERT INTO "u v" VALUES (2, 1)')
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute('INSERT INTO "u v" VALUES (1, 1)')
    connection.close()
