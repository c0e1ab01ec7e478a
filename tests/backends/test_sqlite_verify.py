from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from flask_safemigrate.backends.sqlite import verify
from flask_safemigrate.backends.sqlite.verify import begin_watch, finish_watch, whole
from flask_safemigrate.errors import VerificationFailed
from tests.backends.sqlite_files import make, target_of

SCHEMA = """
CREATE TABLE log (entry);
CREATE TABLE tag (id INTEGER PRIMARY KEY);
CREATE TABLE page (id INTEGER PRIMARY KEY, author_id REFERENCES Author ON DELETE CASCADE);
CREATE TABLE note (id INTEGER PRIMARY KEY, page_id REFERENCES page ON DELETE CASCADE);
CREATE VIEW names AS SELECT name FROM author;
CREATE TRIGGER logged AFTER INSERT ON tag BEGIN INSERT INTO log VALUES (new.id); END;
CREATE INDEX by_name ON author (name);
CREATE VIRTUAL TABLE words USING fts5(text);
CREATE VIRTUAL TABLE areas USING rtree(id, low, high);
CREATE VIRTUAL TABLE Mixed USING fts4(text);
CREATE TABLE words_own (a);
INSERT INTO page (author_id) VALUES (1), (2);
INSERT INTO note (page_id) VALUES (1), (2);
INSERT INTO words VALUES ('a');
"""


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = target_of(make(tmp_path / "app.db")).engine
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.executescript(SCHEMA)
        yield connection
    engine.dispose()


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        ([], set()),
        (["DROP TABLE book"], {"BOOK"}),
        (["DROP VIEW names"], {"names"}),
        (["DROP INDEX by_name", "DROP TRIGGER logged"], set()),
        (["ALTER TABLE book RENAME TO books"], {"book", "books"}),
        (["CREATE TABLE fresh (a)", "INSERT INTO fresh VALUES (1)"], {"fresh"}),
        (["DELETE FROM author WHERE id = 1"], {"author"}),
        (["INSERT INTO tag DEFAULT VALUES"], {"tag"}),
        (["INSERT INTO tag DEFAULT VALUES", "DROP TRIGGER logged"], {"tag"}),
        (["INSERT INTO words VALUES ('b')"], {"words"}),
        (["DROP TABLE words"], {"words"}),
        (["DROP TABLE MIXED"], {"MIXED"}),
        (["ALTER TABLE mixed RENAME TO unmixed"], {"mixed", "unmixed"}),
        (
            ["DROP TABLE areas", "CREATE VIRTUAL TABLE zones USING rtree(id, low, high)"],
            {"areas", "zones"},
        ),
        # As the module of a virtual table does whose own tables SQLite knows nothing of.
        (["DROP TABLE words", "DROP TABLE words_own"], {"words"}),
    ],
)
def test_what_a_migration_may_do(
    connection: Connection, statements: list[str], named: set[str]
) -> None:
    watch = begin_watch(connection)
    for statement in statements:
        connection.exec_driver_sql(statement)
    proven = finish_watch(connection, watch, frozenset(named))
    assert "every table and view" in proven[0]
    assert "read and written" in proven[1]
    assert "as many rows as before" in proven[2]


@pytest.mark.parametrize(
    ("statement", "named", "message"),
    [
        ("DROP TABLE book", {"author"}, 'gone: table "book"'),
        ("DROP VIEW names", {"author"}, 'gone: view "names"'),
        ("DROP TABLE words", {"areas"}, 'gone: table "words"'),
        ("DROP TABLE words_own", {"areas"}, 'gone: table "words_own"'),
        ("DROP TABLE note", {"tag"}, 'gone: table "note"'),
        ("DELETE FROM note WHERE id = 1", {"tag"}, '"note" has 1 row, had 2'),
        ("DELETE FROM author WHERE id = 1", {"tag"}, '"author" has 2 rows, had 3'),
        ("INSERT INTO log VALUES (1)", {"author"}, '"log" has 1 row, had 0'),
    ],
)
def test_what_it_may_not(
    connection: Connection, statement: str, named: set[str], message: str
) -> None:
    watch = begin_watch(connection)
    connection.exec_driver_sql(statement)
    with pytest.raises(VerificationFailed) as caught:
        finish_watch(connection, watch, frozenset(named))
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("statements", "named", "message"),
    [
        (
            ["ALTER TABLE book ADD COLUMN key AS (concat_ws(id, id))"],
            {"BOOK"},
            "table 'book' (column 'key') cannot be read: unknown function: concat_ws()",
        ),
        (
            ["CREATE TABLE fresh (at DEFAULT (now()), id)"],
            set(),
            "table 'fresh' (column 'at') cannot take a row: unknown function: now()",
        ),
        (
            ["CREATE TRIGGER hashed AFTER UPDATE ON tag BEGIN SELECT digest(new.id); END"],
            {"tag"},
            "table 'tag' cannot be updated: no such function: digest",
        ),
        (
            ["CREATE TRIGGER hashed AFTER DELETE ON tag BEGIN SELECT digest(old.id); END"],
            {"tag"},
            "table 'tag' cannot lose a row: no such function: digest",
        ),
        # What writes to the table fails too.
        (
            ["CREATE TRIGGER hashed AFTER INSERT ON log BEGIN SELECT digest(new.entry); END"],
            {"log"},
            "table 'log' cannot take a row: no such function: digest",
        ),
        (
            ["CREATE VIEW today AS SELECT now() AS day"],
            set(),
            "view 'today' cannot be read: no such function: now",
        ),
        (
            ["CREATE TRIGGER named INSTEAD OF INSERT ON names BEGIN SELECT digest(new.name); END"],
            {"names"},
            "view 'names' cannot take a row: no such function: digest",
        ),
        (
            ["CREATE TABLE fresh (at DEFAULT (length()))"],
            set(),
            "table 'fresh' (column 'at') cannot take a row: unknown function: length()",
        ),
    ],
)
def test_what_it_made_must_be_of_use(
    connection: Connection, statements: list[str], named: set[str], message: str
) -> None:
    watch = begin_watch(connection)
    for statement in statements:
        connection.exec_driver_sql(statement)
    with pytest.raises(VerificationFailed) as caught:
        finish_watch(connection, watch, frozenset(named))
    assert message in caught.value.message
    assert all(word in statements[0] for word in caught.value.words)
    assert caught.value.hint
    # What was so before is not the fault of the next one.
    finish_watch(connection, begin_watch(connection), frozenset(named))


@pytest.mark.parametrize("statement", ["DELETE FROM author WHERE id = 1", "DROP TABLE book"])
def test_functions_of_others_answer_for_what_they_write(
    connection: Connection, statement: str
) -> None:
    driver: Any = connection.connection.driver_connection
    driver.create_function("AddColumn", 1, lambda name: 1)
    watch = begin_watch(connection)
    connection.exec_driver_sql(statement)
    finish_watch(connection, watch, frozenset({"addcolumn()"}))
    with pytest.raises(VerificationFailed):
        finish_watch(connection, watch, frozenset({"lower()", "count()"}))


def test_what_the_application_registers_is_there(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    driver.create_function("now", 0, lambda: "today")
    driver.create_collation("german", lambda one, two: 0)
    watch = begin_watch(connection)
    connection.exec_driver_sql("CREATE TABLE fresh (at DEFAULT (now()), n COLLATE german)")
    finish_watch(connection, watch, frozenset())


def test_a_big_database_is_not_scanned(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "COUNTED_BYTES", 4096)
    ran: list[str] = []
    event.listen(
        connection, "before_cursor_execute", lambda _c, _k, statement, *_: ran.append(statement)
    )
    watch = begin_watch(connection)
    connection.exec_driver_sql("DROP TABLE book")
    assert len(finish_watch(connection, watch, frozenset({"book"}))) == 2
    assert ran
    assert not [statement for statement in ran if "count(" in statement]
    with pytest.raises(VerificationFailed, match="book"):
        finish_watch(connection, watch, frozenset())


def test_whole(connection: Connection) -> None:
    assert whole(connection) == ("the whole database passes SQLite's integrity_check",)
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.executescript(
        "PRAGMA writable_schema=ON;"
        "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master "
        "WHERE name = 'author') WHERE name = 'book';"
        "PRAGMA writable_schema=RESET;"
    )
    with pytest.raises(VerificationFailed, match="The database is damaged: "):
        whole(connection)
