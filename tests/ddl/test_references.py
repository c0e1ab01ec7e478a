"""Mentions and renames in indexes, triggers, views and foreign keys, beside SQLite's own."""

from __future__ import annotations

import sqlite3

import pytest

from flask_safemigrate.ddl import references
from flask_safemigrate.ddl.create_table import read_create_table
from flask_safemigrate.ddl.tokens import ImpossibleEdit, UnreadableDDL, quote, tokenize, unquote

SCHEMA = """
CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, "end" INT, status TEXT);
CREATE TABLE audit (person_id, name TEXT, note TEXT);
CREATE TABLE other (id, person_name TEXT, name TEXT);
"""

INDEXES = [
    "CREATE INDEX i ON person(name)",
    "CREATE UNIQUE INDEX IF NOT EXISTS i ON person('name' COLLATE nocase DESC, [end] ASC)",
    "CREATE INDEX i ON \"person\" (lower(name), name || 'x' DESC) WHERE person.name NOT NULL",
    'CREATE INDEX i ON person("end") WHERE CASE WHEN "end" > 1 THEN name END IS NOT NULL',
    "CREATE INDEX i ON person(name /* name */, status) WHERE status <> 'name' -- name",
    "CREATE INDEX i ON person(CAST(name AS name), (name), ((status)), name COLLATE nocase)",
]

TRIGGERS = [
    'CREATE TRIGGER x AFTER UPDATE OF name, "end" ON person WHEN NEW.name IS NOT OLD.name'
    " BEGIN INSERT INTO audit(person_id, note) VALUES (NEW.id, NEW.name || OLD.name); END",
    "CREATE TRIGGER x BEFORE DELETE ON person FOR EACH ROW BEGIN"
    " UPDATE person SET name = 'x', status = person.name WHERE id = OLD.id;"
    " DELETE FROM audit WHERE note IN (SELECT p.name FROM person AS p); END",
    "CREATE TRIGGER x INSERT ON audit BEGIN SELECT CASE WHEN NEW.note THEN 1 END;"
    " UPDATE OR IGNORE person SET name = NEW.note WHERE person.id = NEW.person_id; END",
    "CREATE TRIGGER x AFTER INSERT ON person BEGIN"
    " INSERT INTO person(id, name) VALUES (5, 'x') ON CONFLICT(id) DO UPDATE"
    " SET name = excluded.name; END",
]

VIEWS = [
    "CREATE VIEW v AS SELECT id, name FROM person",
    "CREATE VIEW v(a, b) AS SELECT person.id, person.name FROM person WHERE name <> 'name'",
    "CREATE VIEW v AS SELECT p.name, o.id FROM person AS p JOIN other o ON o.person_name = p.name",
    'CREATE VIEW v AS SELECT lower(name) FROM main.person WHERE "end" IS DISTINCT FROM 5',
]


def meaning(sql: str) -> list[str]:
    return [
        unquote(token.text) if token.kind in ("quoted", "name", "string") else token.text
        for token in tokenize(sql)
        if token.significant
    ]


def by_sqlite(sql: str, statement: str) -> str:
    """What SQLite makes of an object's text when it alters the table."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    connection.execute(sql)
    connection.execute(statement)
    text: str = connection.execute(
        "SELECT sql FROM sqlite_master WHERE name IN ('i', 'x', 'v')"
    ).fetchone()[0]
    connection.close()
    return text


def stored(sql: str) -> str:
    return by_sqlite(sql, "SELECT 1")


RENAMES = ["title", "first name", "select", "KEY"]


@pytest.mark.parametrize("new", RENAMES)
@pytest.mark.parametrize("sql", INDEXES)
def test_index_renames_are_sqlites(sql: str, new: str) -> None:
    table = references.rename_index_table(stored(sql), new)
    theirs = by_sqlite(sql, f"ALTER TABLE person RENAME TO {quote(new)}")
    assert meaning(table) == meaning(theirs)


@pytest.mark.parametrize("new", RENAMES)
@pytest.mark.parametrize("sql", TRIGGERS)
def test_trigger_renames_are_sqlites(sql: str, new: str) -> None:
    column = references.rename_trigger_column(sql, "person", "name", new)
    theirs = by_sqlite(sql, f"ALTER TABLE person RENAME COLUMN name TO {quote(new)}")
    assert meaning(column) == meaning(theirs)
    table = references.rename_trigger_table(sql, "Person", new)
    if "excluded" not in sql:
        theirs = by_sqlite(sql, f"ALTER TABLE person RENAME TO {quote(new)}")
        assert meaning(table) == meaning(theirs)


def test_excluded_is_no_table() -> None:
    """SQLite's own RENAME TABLE takes the ``excluded`` of an upsert for the renamed table."""
    text = references.rename_trigger_table(TRIGGERS[3], "person", "people")
    assert text == TRIGGERS[3].replace("person", "people")


@pytest.mark.parametrize(
    "select",
    [
        "SELECT name FROM person, other",
        "SELECT name FROM person JOIN other USING (name)",
        "SELECT id AS name FROM person",
        "WITH c AS (SELECT name FROM person) SELECT name FROM c",
        "SELECT z.name FROM (SELECT * FROM person) AS z",
        "SELECT name FROM person WHERE title = 1",
    ],
)
def test_an_unclear_column_is_refused(select: str) -> None:
    sql = f"CREATE TRIGGER x AFTER INSERT ON audit BEGIN {select}; END"
    with pytest.raises(ImpossibleEdit):
        references.rename_trigger_column(sql, "person", "name", "title")


@pytest.mark.parametrize(
    "select",
    [
        "SELECT person.name FROM other AS person",
        "WITH person AS (SELECT 1) SELECT * FROM person",
        "SELECT * FROM person JOIN people",
        "SELECT person FROM person",
        "SELECT * FROM person JOIN other people",
    ],
)
def test_an_unclear_table_is_refused(select: str) -> None:
    sql = f"CREATE TRIGGER x AFTER INSERT ON audit BEGIN {select}; END"
    with pytest.raises(ImpossibleEdit):
        references.rename_trigger_table(sql, "person", "people")


@pytest.mark.parametrize(
    ("sql", "table", "column", "mentions_table", "mentions_column"),
    [
        ("CREATE INDEX i ON t(a)", "T", "A", True, True),
        ("CREATE INDEX i ON t(a)", "t", "b", True, False),
        ("CREATE INDEX t ON u(a)", "t", "a", False, False),
        ("CREATE INDEX i ON t(b) WHERE a > 0", "t", "a", True, True),
        ("CREATE INDEX i ON t(b) WHERE b = 'a'", "t", "a", True, False),
        ("CREATE INDEX i ON t('a')", "t", "a", True, True),
        ("CREATE INDEX i ON t(b COLLATE a)", "t", "a", True, False),
        ("CREATE VIEW v AS SELECT a FROM t", "t", "a", True, True),
        ("CREATE VIEW v AS SELECT * FROM t", "t", "a", True, False),
        ("CREATE VIEW v AS SELECT b FROM t WHERE b = 'a'", "t", "a", True, False),
        ("CREATE VIEW v AS SELECT b FROM t WHERE b IN ('x', 'a')", "t", "a", True, False),
        ("CREATE VIEW v AS SELECT t.'a' FROM t", "t", "a", True, True),
        ("CREATE VIEW v AS SELECT a FROM 't'", "t", "a", True, True),
        ("CREATE VIEW v AS SELECT * FROM t JOIN u USING ('a')", "t", "a", True, True),
        ("CREATE VIEW v AS SELECT a FROM u", "t", "a", False, False),
        ("CREATE VIEW v AS SELECT b FROM u ORDER BY b", "order", "b", False, False),
        ("CREATE TRIGGER x DELETE ON u BEGIN DELETE FROM t WHERE a; END", "t", "a", True, True),
        ("CREATE TRIGGER x UPDATE OF 'a' ON t BEGIN SELECT 1; END", "t", "a", True, True),
        ("CREATE TRIGGER x UPDATE OF b, 'a' ON t BEGIN SELECT 1; END", "t", "a", True, True),
        (
            "CREATE TRIGGER x DELETE ON u BEGIN INSERT INTO t(b, 'a') VALUES (1, 2); END",
            "t",
            "a",
            True,
            True,
        ),
        (
            "CREATE TRIGGER x DELETE ON u BEGIN UPDATE t SET b = 1, 'a' = 2; END",
            "t",
            "a",
            True,
            True,
        ),
        ("CREATE TABLE c(a REFERENCES t)", "t", "a", True, False),
        ("CREATE TABLE c(x REFERENCES t(a))", "t", "A", True, True),
        ("CREATE TABLE t(a CHECK (t.a))", "t", "a", False, False),
    ],
)
def test_mentions(
    sql: str, table: str, column: str, mentions_table: bool, mentions_column: bool
) -> None:
    assert references.mentions_table(sql, table) is mentions_table
    assert references.mentions_column(sql, table, column) is mentions_column


@pytest.mark.parametrize("sql", [*INDEXES, *TRIGGERS, *VIEWS])
def test_what_sqlite_renames_is_mentioned(sql: str) -> None:
    for column in ("id", "name", "end", "status"):
        theirs = by_sqlite(sql, f'ALTER TABLE person RENAME COLUMN "{column}" TO zz')
        if "zz" in meaning(theirs):
            assert references.mentions_column(sql, "person", column)
    assert references.mentions_table(sql, "person") is (
        "zz" in meaning(by_sqlite(sql, "ALTER TABLE person RENAME TO zz"))
    )


def test_read_index() -> None:
    index = references.read_index(
        "CREATE UNIQUE INDEX main.[i x] ON t(a, 'b' COLLATE nocase DESC, c + 1 ASC) WHERE a > 0;"
    )
    assert (index.name.value, index.table.value, index.unique) == ("i x", "t", True)
    assert [part.column.value if part.column else None for part in index.parts] == ["a", "b", None]
    assert [part.order for part in index.parts] == [None, "DESC", "ASC"]
    assert index.where is not None
    assert index.where.of(index.sql) == "a > 0"


def test_read_trigger() -> None:
    trigger = references.read_trigger(TRIGGERS[0])
    assert (trigger.name.value, trigger.table.value) == ("x", "person")
    assert (trigger.timing, trigger.event) == ("AFTER", "UPDATE")
    assert [name.value for name in trigger.update_of] == ["name", "end"]
    assert trigger.when is not None
    assert trigger.when.of(trigger.sql) == "NEW.name IS NOT OLD.name"
    assert trigger.writes == ("audit",)
    assert references.read_trigger(TRIGGERS[1]).writes == ("person", "audit")
    assert references.read_trigger(TRIGGERS[2]).timing == "BEFORE"
    tricky = (
        "CREATE TEMP TRIGGER IF NOT EXISTS main.x INSTEAD OF INSERT ON v WHEN begin > (1)"
        " BEGIN WITH c AS (SELECT 1) INSERT INTO [a b] SELECT * FROM c; REPLACE INTO z VALUES(1);"
        " SELECT CASE WHEN 1 THEN 2 END; END;"
    )
    trigger = references.read_trigger(tricky)
    assert (trigger.timing, trigger.writes) == ("INSTEAD OF", ("a b", "z"))
    assert trigger.when is not None
    assert trigger.when.of(tricky) == "begin > (1)"


def test_read_view() -> None:
    view = references.read_view("CREATE TEMP VIEW IF NOT EXISTS v('a', b) AS VALUES (1, 2);")
    assert [name.value for name in view.columns] == ["a", "b"]
    assert view.select.of(view.sql) == "VALUES (1, 2)"


def test_inserts_by_position() -> None:
    head = "CREATE TRIGGER x AFTER INSERT ON u BEGIN SELECT 1; "
    for body, expected in [
        ("INSERT INTO t VALUES (1); END", True),
        ("INSERT INTO t SELECT 1; END", True),
        ("INSERT INTO t(a) VALUES (1); END", False),
        ("INSERT INTO t DEFAULT VALUES; END", False),
        ("INSERT INTO u VALUES (1); END", False),
    ]:
        assert references.inserts_by_position(head + body, "T") is expected


def test_name_inserted_columns() -> None:
    head = "CREATE TRIGGER x AFTER INSERT ON u BEGIN SELECT 1; "
    for body, expected in [
        ("INSERT INTO t VALUES (1); END", 'INSERT INTO t ("a", "b b") VALUES (1); END'),
        ("INSERT INTO t/**/VALUES(1); END", 'INSERT INTO t ("a", "b b")/**/VALUES(1); END'),
        ("REPLACE INTO T SELECT 1; END", 'REPLACE INTO T ("a", "b b") SELECT 1; END'),
        (
            "INSERT INTO t SELECT a*2 FROM w; END",
            'INSERT INTO t ("a", "b b") SELECT a*2 FROM w; END',
        ),
        ("INSERT INTO t SELECT * FROM w; END", None),
        ("INSERT INTO t SELECT 1, w.* FROM w; END", None),
        ("INSERT INTO t (a) VALUES (1); END", None),
        ("INSERT INTO u VALUES (1); END", None),
    ]:
        named = references.name_inserted_columns(head + body, "T", ["a", "b b"])
        assert named == head + (expected or body), named


def test_strings_in_double_quotes_stay_strings() -> None:
    sql = 'CREATE INDEX i ON t(a, "b") WHERE a <> "new" OR a = "b"'
    assert references.quote_strings_in_index(sql, "New") == sql.replace('"new"', "'new'")


def test_foreign_keys_follow_a_rename() -> None:
    sql = (
        "CREATE TABLE c(a REFERENCES p(x), b REFERENCES 'P'(y, x), FOREIGN KEY(a) REFERENCES q(x))"
    )
    sql = sql.replace("(y, x)", "(x)")
    table = read_create_table(sql)
    assert references.rename_referenced_table(table, "p", "new p") == sql.replace(
        "p(x)", '"new p"(x)'
    ).replace("'P'", '"new p"')
    assert references.rename_referenced_table(table, "zz", "y") == sql


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t(a)",
        "CREATE INDEX i ON t()",
        "CREATE INDEX i ON t(a) WHERE",
        "CREATE INDEX i ON t(a) b",
        "CREATE TRIGGER x AFTER SELECT ON t BEGIN SELECT 1; END",
        "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1;",
        "CREATE TRIGGER x AFTER INSERT ON t WHEN 1",
        "CREATE VIEW v AS DELETE FROM t",
        "CREATE VIEW v",
    ],
)
def test_what_cannot_be_read_is_refused(sql: str) -> None:
    for read in (references.read_index, references.read_trigger, references.read_view):
        with pytest.raises(UnreadableDDL):
            read(sql)
