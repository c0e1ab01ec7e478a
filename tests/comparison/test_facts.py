"""Differences in spelling are none; real ones are."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.sqlite.schema import read_schema
from flask_safemigrate.comparison.facts import facts_of
from flask_safemigrate.facts.comparison import Fact, Facts
from flask_safemigrate.facts.schema import Column, Enumeration, ForeignKey, Index, Schema, Table


def facts(tmp_path: Path, script: str, *without: str) -> Facts:
    file = tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
    connection = sqlite3.connect(file)
    connection.executescript(script)
    connection.close()
    engine = sa.create_engine(f"sqlite:///{file}")
    try:
        return facts_of(read_schema(Target("", engine)), without)
    finally:
        engine.dispose()


SAME = [
    ("CREATE TABLE t (a INTEGER)", 'create table "T" ([A] int)'),
    ("CREATE TABLE t (a VARCHAR(20))", "CREATE TABLE t (a varchar ( 20 ))"),
    ("CREATE TABLE t (a VARCHAR(20))", "CREATE TABLE t (a CHARACTER VARYING(20))"),
    ("CREATE TABLE t (a NUMERIC(10, 2))", "CREATE TABLE t (a DECIMAL(10,2))"),
    ("CREATE TABLE t (a NUMERIC(10))", "CREATE TABLE t (a NUMERIC(10, 0))"),
    ("CREATE TABLE t (a BOOLEAN)", "CREATE TABLE t (a BOOL)"),
    ("CREATE TABLE t (a BOOLEAN)", "CREATE TABLE t (a BOOLEAN, CHECK (a IN (0, 1)))"),
    ("CREATE TABLE t (a FLOAT)", "CREATE TABLE t (a REAL)"),
    ("CREATE TABLE t (a INTEGER DEFAULT 0)", "CREATE TABLE t (a INTEGER DEFAULT '0')"),
    ("CREATE TABLE t (a INTEGER DEFAULT 0)", "CREATE TABLE t (a INTEGER DEFAULT ((0)))"),
    ("CREATE TABLE t (a FLOAT DEFAULT 1.50)", "CREATE TABLE t (a FLOAT DEFAULT '1.5')"),
    ("CREATE TABLE t (a BOOLEAN DEFAULT 0)", "CREATE TABLE t (a BOOLEAN DEFAULT false)"),
    ("CREATE TABLE t (a TEXT DEFAULT 'x')", 'CREATE TABLE t (a TEXT DEFAULT "x")'),
    ("CREATE TABLE t (a TEXT DEFAULT '7')", "CREATE TABLE t (a TEXT DEFAULT 7)"),
    ("CREATE TABLE t (a INTEGER)", "CREATE TABLE t (a INTEGER DEFAULT NULL)"),
    (
        "CREATE TABLE t (a DATETIME DEFAULT CURRENT_TIMESTAMP)",
        "CREATE TABLE t (a DATETIME DEFAULT (current_timestamp))",
    ),
    (
        "CREATE TABLE t (a INTEGER NOT NULL, PRIMARY KEY (a))",
        "CREATE TABLE t (a INTEGER PRIMARY KEY)",
    ),
    ("CREATE TABLE t (a INTEGER, b INTEGER)", "CREATE TABLE t (b INTEGER, a INTEGER)"),
    (
        "CREATE TABLE t (a INTEGER UNIQUE)",
        "CREATE TABLE t (a INTEGER); CREATE UNIQUE INDEX u ON t (a)",
    ),
    (
        "CREATE TABLE t (a INTEGER, b INTEGER, UNIQUE (a, b))",
        "CREATE TABLE t (a INTEGER, b INTEGER, CONSTRAINT uq UNIQUE (b, a))",
    ),
    (
        "CREATE TABLE t (a INTEGER, CONSTRAINT c CHECK (a > 0 AND a<5))",
        'CREATE TABLE t (a INTEGER CHECK(("a">0   and A < 5)))',
    ),
    (
        "CREATE TABLE t (a INTEGER); CREATE INDEX one ON t (a)",
        'CREATE TABLE t (a INTEGER); CREATE INDEX "two" ON "t" ("a")',
    ),
    (
        "CREATE TABLE t (a INTEGER); CREATE INDEX one ON t (a) WHERE a > 0",
        "CREATE TABLE t (a INTEGER); CREATE INDEX one ON t (a) WHERE (A>0)",
    ),
    (
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (a INTEGER REFERENCES p (id))",
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t "
        "(a INTEGER, CONSTRAINT f FOREIGN KEY (a) REFERENCES P ON DELETE NO ACTION)",
    ),
    (
        "CREATE TABLE t (a INTEGER); CREATE VIEW v AS SELECT a FROM t -- all",
        'CREATE TABLE t (a INTEGER); create view "v" as select A from "t"',
    ),
    ("CREATE TABLE t (a TEXT)", "CREATE TABLE t (a TEXT COLLATE BINARY)"),
]

DIFFERENT = [
    ("CREATE TABLE t (a VARCHAR(20))", "CREATE TABLE t (a VARCHAR(30))", "column"),
    ("CREATE TABLE t (a INTEGER)", "CREATE TABLE t (a INTEGER NOT NULL)", "column"),
    ("CREATE TABLE t (a INTEGER DEFAULT 0)", "CREATE TABLE t (a INTEGER DEFAULT 1)", "default"),
    ("CREATE TABLE t (a TEXT DEFAULT 'x')", "CREATE TABLE t (a TEXT DEFAULT 'X')", "default"),
    ("CREATE TABLE t (a TEXT)", "CREATE TABLE t (a TEXT COLLATE NOCASE)", "collation"),
    ("CREATE TABLE t (a INTEGER)", "CREATE TABLE t (a INTEGER CHECK (a > 0))", "check"),
    (
        "CREATE TABLE t (a TEXT CHECK (a = 'x'))",
        "CREATE TABLE t (a TEXT CHECK (a = 'X'))",
        "check",
    ),
    ("CREATE TABLE t (a INTEGER)", "CREATE TABLE t (a INTEGER UNIQUE)", "unique"),
    (
        "CREATE TABLE t (a INTEGER PRIMARY KEY)",
        "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT)",
        "options",
    ),
    (
        "CREATE TABLE t (a INTEGER PRIMARY KEY)",
        "CREATE TABLE t (a INTEGER PRIMARY KEY) WITHOUT ROWID",
        "options",
    ),
    (
        "CREATE TABLE t (a, b); CREATE INDEX i ON t (a, b)",
        "CREATE TABLE t (a, b); CREATE INDEX i ON t (b, a)",
        "index",
    ),
    (
        "CREATE TABLE t (a); CREATE INDEX i ON t (a)",
        "CREATE TABLE t (a); CREATE INDEX i ON t (a DESC)",
        "index",
    ),
    (
        "CREATE TABLE t (a); CREATE INDEX i ON t (a)",
        "CREATE TABLE t (a); CREATE INDEX i ON t (lower(a))",
        "index",
    ),
    (
        "CREATE TABLE p (id PRIMARY KEY); CREATE TABLE t (a REFERENCES p)",
        "CREATE TABLE p (id PRIMARY KEY); CREATE TABLE t (a REFERENCES p ON DELETE CASCADE)",
        "actions",
    ),
    (
        "CREATE TABLE t (a INTEGER)",
        "CREATE TABLE t (a INTEGER); CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END",
        "trigger",
    ),
    (
        "CREATE TABLE t (a, b AS (a + 1))",
        "CREATE TABLE t (a, b AS (a + 2))",
        "expression",
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spelling(tmp_path: Path, one: str, other: str) -> None:
    assert facts(tmp_path, one).values == facts(tmp_path, other).values


@pytest.mark.parametrize(("one", "other", "kind"), DIFFERENT)
def test_difference(tmp_path: Path, one: str, other: str, kind: str) -> None:
    here, there = facts(tmp_path, one).values, facts(tmp_path, other).values
    kinds = {f.kind for f in here.keys() | there.keys() if here.get(f) != there.get(f)}
    assert kinds == {kind}


def test_tables_that_do_not_count(tmp_path: Path) -> None:
    script = "CREATE TABLE t (a); CREATE TABLE celery_a (a); CREATE VIEW CELERY_v AS SELECT 1"
    assert {f.table or f.name for f in facts(tmp_path, script, "celery_*").values} == {"t"}


def test_a_virtual_table_is_one_object(tmp_path: Path) -> None:
    found = facts(tmp_path, "CREATE VIRTUAL TABLE docs USING fts5(body)")
    assert {f.table for f in found.values} == {"docs"}


def test_postgresql_keeps_capitals_and_knows_enumerations() -> None:
    schema = Schema(
        "postgresql",
        (Table("User", (Column("Id", "integer", False, counts=True),), ("Id",)),),
        enumerations=(Enumeration("mood", ("sad", "glad")),),
    )
    assert facts_of(schema).values == {
        Fact("table", "User", ""): "",
        Fact("column", "User", "Id"): "integer NOT NULL",
        Fact("default", "User", "Id"): "numbered by the server",
        Fact("primary key", "User", ""): "Id",
        Fact("type", "", "mood"): "sad, glad",
    }


def test_mysql_indexes_of_foreign_keys_do_not_count() -> None:
    key = ForeignKey("f", ("a",), "p", ("id",))
    table = Table("t", (Column("a", "int(11)"),), foreign_keys=(key,))
    with_index = Table("t", table.columns, (), (Index("ix", ("a",)),), (key,))
    one, other = (facts_of(Schema("mariadb", (t,))).values for t in (table, with_index))
    assert one == other
    assert one != facts_of(Schema("sqlite", (with_index,))).values
