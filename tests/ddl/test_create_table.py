"""Our reading of CREATE TABLE against SQLite's own."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_safemigrate.ddl import questions
from flask_safemigrate.ddl.create_table import declared_type, read_create_table
from flask_safemigrate.ddl.tokens import DDLError, UnreadableDDL
from tests.ddl.oracle import facts_of_sqlite, facts_of_text, stored_text
from tests.ddl.strategies import examples, table_texts

TEXTS = [
    "CREATE TABLE t(a)",
    "create table t(a,b,c)",
    "CREATE TABLE t(a);",
    "CREATE TABLE t(a) ; -- end",
    "CREATE TABLE t(a) /* never ends",
    "CREATE TABLE\n-- name\nt -- open\n(a -- first\n, b)",
    "CREATE TEMP TABLE t(a)",
    "CREATE TEMPORARY TABLE t(a)",
    "CREATE TABLE IF NOT EXISTS t(a)",
    "CREATE TABLE main.t(a)",
    'CREATE TABLE "main".[t](a)',
    "CREATE TABLE temp.t(a)",
    # names of every kind
    'CREATE TABLE "t"("a", `b`, [c], \'d\', e)',
    "CREATE TABLE 't'('a' TEXT, \"b\"\"c\" INT, `d``e`, [f g])",
    'CREATE TABLE "a""b"("x y" INTEGER PRIMARY KEY)',
    'CREATE TABLE ""("" TEXT)',
    "CREATE TABLE täglich(größe INT, 名前 TEXT)",
    "CREATE TABLE t(a$b, _c, d1)",
    "CREATE TABLE t(\ufeffa INT)",
    "CREATE TABLE row(key, action, end, like, row, no, first, temp, replace, desc, view)",
    "CREATE TABLE glob(match, left, cross, natural, indexed, offset, abort, plan, with, without)",
    "CREATE TABLE t(current_date, current_time TEXT, window, over, filter, generated, always)",
    "CREATE TABLE t(rowid TEXT, oid INTEGER, _rowid_)",
    "CREATE TABLE t(strict, stored INT, virtual TEXT)",
    # types
    "CREATE TABLE t(a VARCHAR(10), b VARCHAR(10, 2), c NUMERIC(+10, -2), d FLOAT(1.5))",
    "CREATE TABLE t(a VARCHAR ( 10 /* wide */ ), b DECIMAL(10,\n2))",
    "CREATE TABLE t(a unsigned big int, b native character(70), c double precision)",
    "CREATE TABLE t(a integer, b Int, c iNTEGER, d any, e Blob, f real, g text)",
    "CREATE TABLE t(a INT(11), b INTEGER(5), c TEXT(5), d BLOB(4))",
    'CREATE TABLE t(a "INTEGER", b [text], c `real`, d \'any\', e "a b" c)',
    'CREATE TABLE t(a "INTEGER" PRIMARY KEY, b "char""s")',
    "CREATE TABLE t(a 'x' \"y\", b [a]b)",
    "CREATE TABLE t(a STRING, c BOOLEAN, d JSON, e POINT, f CHARINT)",
    "CREATE TABLE t(a VARCHAR /* int */ (5), b x/**/y, c long -- type\n text)",
    "CREATE TABLE t(a, b, PRIMARY KEY(a, a, a, b))",
    "CREATE TABLE t(a INTEGER, b, PRIMARY KEY(a COLLATE nocase DESC)) WITHOUT ROWID",
    "CREATE TABLE t(a BLOBINT, b XCHARBLOB, c REALBLOB, d CLOB)",
    "CREATE TABLE t(a DOUBLE, b \u0131NT, c \u017f, d X\u0131NTEGER)",
    "CREATE TABLE t(a [x]int, b [int]x, c 'a'int, d []int, e [], f \"\")",
    "CREATE TABLE t(a key INT, b action NOT NULL, c no desc asc, d cast(3))",
    # defaults
    "CREATE TABLE t(a DEFAULT 5, b DEFAULT +5, c DEFAULT -5, d DEFAULT - 5, e DEFAULT + /**/ 5)",
    "CREATE TABLE t(a DEFAULT 1.5e-3, b DEFAULT .5, c DEFAULT 5., d DEFAULT 0xFf, e DEFAULT -0x1)",
    "CREATE TABLE t(a DEFAULT 'it''s', b DEFAULT \"x\", c DEFAULT x'ab', d DEFAULT X'')",
    "CREATE TABLE t(a DEFAULT NULL, b DEFAULT true, c DEFAULT False, d DEFAULT foo)",
    "CREATE TABLE t(a DEFAULT CURRENT_TIMESTAMP, b DEFAULT current_date, c DEFAULT CURRENT_TIME)",
    "CREATE TABLE t(a DEFAULT (1+(2)), b DEFAULT ( 'x)' ), c DEFAULT (datetime('now') /*)*/ ))",
    "CREATE TABLE t(a DEFAULT(5)NOT NULL, b DEFAULT 'x'UNIQUE)",
    "CREATE TABLE t(a DEFAULT 1 DEFAULT 2, b INT DEFAULT -'x', c DEFAULT key, d DEFAULT +'5')",
    "CREATE TABLE t(a DEFAULT -NULL, b DEFAULT -CURRENT_TIME, c DEFAULT indexed_ NOT NULL)",
    "CREATE TABLE t(a DEFAULT ( -- five\n 5 ))",
    # NULL and NOT NULL
    "CREATE TABLE t(a NOT NULL, b NULL, c NOT NULL NULL, d NULL NOT NULL, e NOT/**/NULL)",
    "CREATE TABLE t(a NOT NULL ON CONFLICT FAIL, b NULL ON CONFLICT IGNORE)",
    "CREATE TABLE t(a NOT NULL NOT NULL ON CONFLICT ABORT DEFAULT 1)",
    # keys
    "CREATE TABLE t(a INTEGER PRIMARY KEY)",
    "CREATE TABLE t(a INTEGER PRIMARY KEY ASC)",
    "CREATE TABLE t(a INTEGER PRIMARY KEY DESC)",
    "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT)",
    "CREATE TABLE t(a INTEGER PRIMARY KEY ASC ON CONFLICT REPLACE AUTOINCREMENT NOT NULL)",
    "CREATE TABLE t(a INT PRIMARY KEY)",
    "CREATE TABLE t(a INTEGER(5) PRIMARY KEY)",
    "CREATE TABLE t(a integer, PRIMARY KEY(a))",
    "CREATE TABLE t(a INTEGER, PRIMARY KEY(a DESC))",
    "CREATE TABLE t(a INTEGER, PRIMARY KEY(a AUTOINCREMENT))",
    "CREATE TABLE t(a INTEGER, PRIMARY KEY(a COLLATE nocase ASC AUTOINCREMENT) ON CONFLICT ABORT)",
    "CREATE TABLE t(a INTEGER, b, PRIMARY KEY(b, a DESC))",
    "CREATE TABLE t(a, b, c, PRIMARY KEY(c, A) ON CONFLICT IGNORE)",
    "CREATE TABLE t(a, b, PRIMARY KEY('a', \"b\"), UNIQUE([b]), UNIQUE('b', a))",
    "CREATE TABLE t(a, b, UNIQUE((a), ((b) COLLATE nocase) DESC))",
    "CREATE TABLE t(a UNIQUE UNIQUE, b, UNIQUE(a), UNIQUE(a DESC), UNIQUE(a COLLATE nocase))",
    "CREATE TABLE t(a PRIMARY KEY UNIQUE)",
    "CREATE TABLE t(a UNIQUE PRIMARY KEY)",
    "CREATE TABLE t(a INTEGER UNIQUE PRIMARY KEY)",
    "CREATE TABLE t(a UNIQUE ON CONFLICT REPLACE, b UNIQUE ON CONFLICT ROLLBACK NOT NULL)",
    "CREATE TABLE t(a UNIQUE COLLATE nocase, b COLLATE rtrim UNIQUE, UNIQUE(b COLLATE binary))",
    "CREATE TABLE t(a, UNIQUE(a COLLATE nocase COLLATE rtrim))",
    "CREATE TABLE t(a COLLATE nocase COLLATE binary PRIMARY KEY)",
    "CREATE TABLE t(a COLLATE 'nocase', b COLLATE \"odd\" UNIQUE, c COLLATE [x y] UNIQUE)",
    # CHECK
    "CREATE TABLE t(a CHECK(a>0) CHECK (a<9), CHECK((a)), CHECK(a<>')' ) ON CONFLICT IGNORE)",
    "CREATE TABLE t(a CHECK(a IN (1,(2))), b CONSTRAINT pos CHECK(b>0/*)*/))",
    "CREATE TABLE t(a, CHECK (a -- )\n > 0))",
    # names of constraints
    "CREATE TABLE t(a CONSTRAINT x NOT NULL CONSTRAINT y UNIQUE CONSTRAINT z DEFAULT 5)",
    "CREATE TABLE t(a CONSTRAINT x)",
    "CREATE TABLE t(a CONSTRAINT x CONSTRAINT y NOT NULL, b INT CONSTRAINT 'z', CONSTRAINT q)",
    'CREATE TABLE t(a, CONSTRAINT x CONSTRAINT y UNIQUE(a), CONSTRAINT "p k" PRIMARY KEY(a))',
    "CREATE TABLE t(a CONSTRAINT c COLLATE nocase CONSTRAINT n NULL CONSTRAINT f REFERENCES p)",
    "CREATE TABLE t(a CONSTRAINT d DEFAULT 1 CONSTRAINT key CHECK (a), CONSTRAINT if UNIQUE(a))",
    # no commas between table constraints
    "CREATE TABLE t(a, b, UNIQUE(a) CHECK(a>0)PRIMARY KEY(a,b)FOREIGN KEY(a)REFERENCES p)",
    "CREATE TABLE t(a, CONSTRAINT x CHECK(a) CONSTRAINT y CHECK(a), CONSTRAINT z UNIQUE(a))",
    "CREATE TABLE t(a, UNIQUE(a) CONSTRAINT x, CHECK(a))",
    # foreign keys
    "CREATE TABLE t(a REFERENCES p, b REFERENCES p(x), c REFERENCES 'p q'(\"x y\"))",
    "CREATE TABLE t(a REFERENCES p ON DELETE CASCADE ON UPDATE SET NULL)",
    "CREATE TABLE t(a REFERENCES p(x) ON UPDATE SET DEFAULT MATCH FULL ON DELETE RESTRICT)",
    "CREATE TABLE t(a REFERENCES p ON DELETE NO ACTION ON DELETE CASCADE ON INSERT RESTRICT)",
    "CREATE TABLE t(a REFERENCES p MATCH 'simple' DEFERRABLE INITIALLY DEFERRED NOT NULL)",
    "CREATE TABLE t(a REFERENCES p NOT DEFERRABLE INITIALLY IMMEDIATE UNIQUE)",
    "CREATE TABLE t(a REFERENCES p NOT NULL DEFERRABLE, b INT DEFERRABLE INITIALLY DEFERRED)",
    "CREATE TABLE t(a DEFERRABLE INITIALLY DEFERRED)",
    "CREATE TABLE t(a REFERENCES p REFERENCES q(b) ON DELETE CASCADE)",
    "CREATE TABLE t(a, b, FOREIGN KEY(a, b) REFERENCES p(x, y) ON DELETE SET NULL DEFERRABLE)",
    "CREATE TABLE t(a, b, FOREIGN KEY(B) REFERENCES p, FOREIGN KEY('a') REFERENCES t(b))",
    "CREATE TABLE t(id INTEGER PRIMARY KEY, up REFERENCES t, top REFERENCES T(ID))",
    # generated
    "CREATE TABLE t(a, b AS (a+1), c INT AS (a*2) STORED, d TEXT GENERATED ALWAYS AS (a) VIRTUAL)",
    "CREATE TABLE t(a, b GENERATED ALWAYS AS (1))",
    "CREATE TABLE t(a, b INT GENERATED ALWAYS AS (a) STORED NOT NULL UNIQUE CHECK(b>0))",
    "CREATE TABLE t(a, b INT NOT NULL GENERATED ALWAYS AS (a) CONSTRAINT x CHECK(b))",
    "CREATE TABLE t(a, b VARCHAR(5) generated always AS (a) stored)",
    "CREATE TABLE t(a, b INT GENERATED /* why */ ALWAYS AS (a))",
    "CREATE TABLE t(a, b INT GENERATED\n  ALWAYS AS (a), c generated AS (a), d ALWAYS AS (1))",
    "CREATE TABLE t(a something_long always, b xgenerated always AS (a), c abcdefghi always)",
    "CREATE TABLE t(a, b GENERATED, c ALWAYS, d GENERATED ALWAYS NOT NULL)",
    "CREATE TABLE t(a, b INT CONSTRAINT g GENERATED ALWAYS AS (a) COLLATE nocase)",
    # options
    "CREATE TABLE t(a PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE t(a INTEGER PRIMARY KEY, b) without\nrowid",
    "CREATE TABLE t(a INTEGER PRIMARY KEY DESC, b) WITHOUT ROWID;",
    "CREATE TABLE t(a, b, c, PRIMARY KEY(b, c, b, b COLLATE nocase)) WITHOUT ROWID",
    "CREATE TABLE t(a INT UNIQUE, b TEXT, PRIMARY KEY(b DESC)) WITHOUT ROWID -- end",
    "CREATE TABLE t(a INT, b INTEGER PRIMARY KEY, c ANY, d TEXT NOT NULL) STRICT",
    "CREATE TABLE t(a INT PRIMARY KEY, b ANY) STRICT, WITHOUT ROWID",
    "CREATE TABLE t(a BLOB, b REAL, PRIMARY KEY(a, b)) WITHOUT ROWID/**/,\nSTRICT /* x */",
    "CREATE TABLE t(a 'int' PRIMARY KEY) STRICT",
    # everything at once
    """CREATE TABLE "order" ( -- orders of customers
      id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, -- the id
      customer_id INTEGER NOT NULL
        CONSTRAINT fk_customer REFERENCES customer (id) ON DELETE CASCADE, /* who */
      status VARCHAR(10) DEFAULT 'new' NOT NULL COLLATE NOCASE CHECK (status IN ('new', 'paid')),
      price DECIMAL(10, 2) DEFAULT (0.0),
      total DECIMAL(10, 2) GENERATED ALWAYS AS (price * 1.2) STORED,
      CONSTRAINT uq UNIQUE (customer_id, status) ON CONFLICT IGNORE,
      -- a note of its own
      CHECK (price >= 0)
    )""",
]


@pytest.mark.parametrize("sql", TEXTS)
def test_reads_as_sqlite_does(sql: str) -> None:
    assert facts_of_text(sql) == facts_of_sqlite(sql)


@pytest.mark.parametrize("sql", TEXTS)
def test_reads_what_sqlite_stored(sql: str) -> None:
    assert facts_of_text(stored_text(sql)) == facts_of_sqlite(sql)


@pytest.mark.parametrize("sql", TEXTS)
def test_spans_lie_within_the_text_and_in_order(sql: str) -> None:
    table = read_create_table(sql)
    assert table.name.span.of(sql)
    end = table.opening
    for item in table.items:
        assert end <= item.span.start < item.span.end <= table.closing
        end = item.span.end
    for column in table.columns:
        end = (column.type_span or column.name.span).end
        for constraint in column.constraints:
            assert end <= constraint.span.start < constraint.span.end <= column.span.end
            end = constraint.span.end


REFUSED = {
    "CREATE VIRTUAL TABLE v USING fts5(a)": '"v"',
    "CREATE VIRTUAL TABLE IF NOT EXISTS main.v USING fts5(a)": '"v"',
    "CREATE TABLE t AS SELECT 1": "AS SELECT 1",
    "CREATE VIEW v AS SELECT 1": "TABLE",
    "CREATE TABLE t()": "column name",
    "CREATE TABLE t(a,)": "column name",
    "CREATE TABLE t(a": "end of text",
    "CREATE TABLE t(a CHECK(a)": "end of text",
    "CREATE TABLE t(a CHECK(a": "end of text",
    "CREATE TABLE t(a, CHECK(a), b)": "table constraint",
    "CREATE TABLE t(a INT UNIQUE(a))": "column constraint",
    "CREATE TABLE t(select INT)": "column name",
    "CREATE TABLE t(a VARCHAR(max))": "a number",
    "CREATE TABLE t(a DEFAULT foo(1))": "column constraint",
    "CREATE TABLE t(a DEFAULT select)": "a default",
    "CREATE TABLE t(a DEFAULT -x)": "a default",
    "CREATE TABLE t(a NOT NULL ON CONFLICT EXPLODE)": "resolve a conflict",
    "CREATE TABLE t(a REFERENCES p ON DELETE EXPLODE)": "foreign key action",
    "CREATE TABLE t(a, UNIQUE(a+1))": "a column",
    "CREATE TABLE t(a, UNIQUE(lower(a)))": "a column",
    "CREATE TABLE t(a) WITHOUT OID": "unknown table option",
    "CREATE TABLE t(a) ENGINE=InnoDB": "unknown table option",
    "CREATE TABLE t(a) STRICT STRICT": "','",
    "CREATE TABLE t(a); SELECT 1": "end of the statement",
    "CREATE TABLE t(a INT AUTO_INCREMENT, b COMMENT 'x' ON UPDATE now())": "column constraint",
    "CREATE TABLE t(a 'unterminated": "unterminated quote",
    "": "end of text",
    "-- nothing": "end of text",
    "CREATE TABLE t(a INT \\ b)": "unrecognized token",
    "CREATE TABLE t(a 5)": "column constraint",
    "CREATE TABLE t(a CONSTRAINT select)": "name of a constraint",
    "CREATE TABLE t(a COLLATE left)": "a collation",
}


@pytest.mark.parametrize("sql", REFUSED)
def test_refuses_with_the_place(sql: str) -> None:
    with pytest.raises(UnreadableDDL) as caught:
        read_create_table(sql)
    assert REFUSED[sql] in str(caught.value)


@given(st.text())
@examples(200)
def test_arbitrary_text_is_read_or_refused(text: str) -> None:
    try:
        table = read_create_table(text)
    except DDLError:
        return
    assert table.sql == text


WORDS = """
    CREATE TABLE t ( ) , a b "c" 'd' INT CHECK NOT NULL DEFAULT 5 - ( ) PRIMARY KEY UNIQUE ON
    CONFLICT REFERENCES FOREIGN CONSTRAINT x COLLATE nocase AS GENERATED ALWAYS STORED WITHOUT
    ROWID STRICT DEFERRABLE INITIALLY DEFERRED AUTOINCREMENT ; . /* -- DESC IGNORE MATCH
"""


@given(st.lists(st.sampled_from(WORDS.split()), max_size=25), st.booleans())
@examples(300)
def test_what_sqlite_takes_of_random_words_is_read_alike_or_refused(
    words: list[str], closed: bool
) -> None:
    sql = "CREATE TABLE t(a " + " ".join(words) + ("\n)" if closed else "")
    try:
        mine = facts_of_text(sql)
    except (DDLError, AssertionError):
        return
    try:
        theirs = facts_of_sqlite(sql)
    except sqlite3.Error:
        return
    assert mine == theirs


@given(table_texts())
@examples(150)
def test_random_tables_are_read_as_sqlite_does(sql: str) -> None:
    assert facts_of_text(sql) == facts_of_sqlite(sql)
    assert facts_of_text(stored_text(sql)) == facts_of_sqlite(sql)


def test_stray_deferral_goes_to_the_last_foreign_key() -> None:
    table = read_create_table(
        "CREATE TABLE t(a REFERENCES p, b REFERENCES q NOT NULL, c DEFERRABLE INITIALLY DEFERRED)"
    )
    first, second = questions.constraints_of_kind(table, "FOREIGN KEY")
    assert first.references is not None
    assert second.references is not None
    assert (first.references.deferred, second.references.deferred) == (False, True)


@pytest.mark.parametrize(
    ("clause", "deferred"),
    [
        ("", False),
        ("DEFERRABLE", False),
        ("DEFERRABLE INITIALLY DEFERRED", True),
        ("DEFERRABLE INITIALLY IMMEDIATE", False),
        ("NOT DEFERRABLE INITIALLY DEFERRED", False),
        ("NOT NULL DEFERRABLE INITIALLY DEFERRED", True),
        ("DEFERRABLE INITIALLY DEFERRED NOT DEFERRABLE", False),
    ],
)
def test_deferral_is_what_sqlite_does(clause: str, deferred: bool) -> None:
    sql = f"CREATE TABLE t(a INT REFERENCES p(x) {clause})"
    (key,) = questions.constraints_of_kind(read_create_table(sql), "FOREIGN KEY")
    assert key.references is not None
    assert key.references.deferred is deferred
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(f"PRAGMA foreign_keys = ON; CREATE TABLE p(x UNIQUE); {sql}; BEGIN")
    try:
        connection.execute("INSERT INTO t VALUES (1)")
        accepted = True
    except sqlite3.IntegrityError:
        accepted = False
    assert accepted is deferred
    connection.close()


@given(st.text(alphabet="aCHARBLOBINTREALFLOADOUB x\u017f\u0131(5)\"'", max_size=12))
@examples(100)
def test_affinity_is_sqlites(text: str) -> None:
    quoted = "[" + text + "]"
    sql = f"CREATE TABLE t(a {quoted})"
    assert facts_of_text(sql) == facts_of_sqlite(sql)
    if text:
        assert questions.affinity_of_type(text) == facts_of_sqlite(sql).columns[0].affinity


def test_declared_type_keeps_what_is_written() -> None:
    assert declared_type("VARCHAR ( 5 )") == "VARCHAR ( 5 )"
    assert declared_type("integer") == "INTEGER"
    assert declared_type("") == ""
