"""What a statement does to which tables, and where statements end."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_safemigrate.ddl.statements import split_statements, statement_targets
from flask_safemigrate.ddl.tokens import DDLError, tokenize
from tests.ddl.strategies import examples


@pytest.mark.parametrize(
    ("sql", "kind", "targets"),
    [
        ("", "empty", ()),
        (" -- nothing\n;", "empty", ()),
        ("SELECT * FROM t", "select", ()),
        ("(SELECT 1)", "select", ()),
        ("VALUES (1)", "select", ()),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "select", ()),
        ("insert into t values (1)", "insert", ("t",)),
        ('INSERT OR REPLACE INTO main."a b"(x) SELECT 1', "insert", ("a b",)),
        ("REPLACE INTO [t] DEFAULT VALUES", "insert", ("t",)),
        (
            "WITH RECURSIVE a(x, y) AS NOT MATERIALIZED (SELECT ')'), b AS (SELECT 2)"
            " INSERT INTO `t` SELECT * FROM a",
            "insert",
            ("t",),
        ),
        ("UPDATE t SET a = 1", "update", ("t",)),
        ("update or ignore 't' set a = 1 from u", "update", ("t",)),
        ("DELETE FROM main . t WHERE a", "delete", ("t",)),
        ("WITH a AS (SELECT 1) DELETE FROM t", "delete", ("t",)),
        ("/* c */ CREATE TABLE IF NOT EXISTS t(a)", "create table", ("t",)),
        ("CREATE TEMPORARY TABLE t AS SELECT 1", "create table", ("t",)),
        ("CREATE VIRTUAL TABLE IF NOT EXISTS v USING fts5(a)", "create virtual table", ("v",)),
        ('CREATE UNIQUE INDEX IF NOT EXISTS main.i ON "t"(a)', "create index", ("t",)),
        ("CREATE INDEX i ON t(a)", "create index", ("t",)),
        ("CREATE TEMP VIEW v AS SELECT 1", "create view", ("v",)),
        (
            "CREATE TRIGGER x AFTER UPDATE OF a, b ON t BEGIN DELETE FROM u; END",
            "create trigger",
            ("t",),
        ),
        ("DROP TABLE IF EXISTS main.t", "drop table", ("t",)),
        ("DROP VIEW v", "drop view", ("v",)),
        ("DROP INDEX i", "drop index", ()),
        ("DROP TRIGGER x", "drop trigger", ()),
        ("ALTER TABLE t ADD COLUMN a", "alter table", ("t",)),
        ("ALTER TABLE main.t RENAME TO 'u v'", "alter table", ("t", "u v")),
        ("ALTER TABLE t RENAME a TO b", "alter table", ("t",)),
        ("PRAGMA foreign_keys = ON", "pragma", ()),
        ("EXPLAIN QUERY PLAN DELETE FROM t", "explain", ()),
        ("BEGIN IMMEDIATE", "begin", ()),
        ("COMMIT", "commit", ()),
        ("ROLLBACK TO x", "rollback", ()),
        ("SAVEPOINT x", "savepoint", ()),
        ("RELEASE x", "release", ()),
        ("VACUUM", "vacuum", ()),
        ("ATTACH 'x' AS y", "attach", ()),
        ("TRUNCATE t", "other", ()),
        ("CREATE EXTENSION x", "other", ()),
        ("INSERT", "insert", ()),
        ("UPDATE", "update", ()),
        ("WITH a", "other", ()),
        ("UPDATE t SET a = %(a)s, b = :b, c = ?", "update", ("t",)),
        ("SELECT 'open", "other", ()),
        ("INSERT INTO t VALUES (E'a\\'b')", "other", ()),
    ],
)
def test_statement_targets(sql: str, kind: str, targets: tuple[str, ...]) -> None:
    assert statement_targets(sql) == (kind, targets)


@given(st.text())
@examples(200)
def test_any_text_is_classified(text: str) -> None:
    kind, targets = statement_targets(text)
    assert kind
    assert isinstance(targets, tuple)


SCRIPT = """
-- first; not the end
CREATE TABLE t(a TEXT DEFAULT ';', "b;" INT); /* ; */
CREATE TEMP TRIGGER x AFTER INSERT ON t WHEN NEW.a <> 'END;'
BEGIN
  UPDATE t SET a = CASE WHEN a THEN 1 ELSE 2 END;
  SELECT CASE 1 WHEN 1 THEN 2 END; -- END;
END;
;;
INSERT INTO t VALUES ('a;b', 1);
SELECT count(*) FROM t -- no semicolon
"""


def test_split_statements() -> None:
    pieces = split_statements(SCRIPT)
    assert [statement_targets(piece).kind for piece in pieces] == [
        "create table",
        "create trigger",
        "insert",
        "select",
    ]
    connection = sqlite3.connect(":memory:")
    for piece in pieces:
        connection.execute(piece)
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)
    connection.close()


PARTS = st.sampled_from(
    [
        *(
            "CREATE ",
            "TEMP ",
            "TRIGGER ",
            "EXPLAIN ",
            "QUERY PLAN ",
            "TABLE ",
            "x ",
            "BEGIN ",
            "END",
        ),
        *(
            ";",
            "; ",
            ";",
            "CASE ",
            "'a;b' ",
            '"END;" ',
            "-- c;\n",
            "/* END; */ ",
            "SELECT 1",
            "\n",
        ),
    ]
)


@given(st.lists(PARTS, max_size=25).map("".join))
@examples(300)
def test_statements_end_where_sqlite_says(script: str) -> None:
    """Every piece but the last is complete to sqlite3_complete(), and no earlier semicolon is."""
    try:
        pieces = split_statements(script)
    except DDLError:
        return
    assert sum(map(len, pieces)) <= len(script)
    for piece in pieces[:-1]:
        assert sqlite3.complete_statement(piece)
    for piece in pieces:
        stops = [token.end for token in tokenize(piece) if token.is_op(";")]
        assert not any(sqlite3.complete_statement(piece[:stop]) for stop in stops[:-1])
