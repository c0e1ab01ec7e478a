"""What counting proves about a migration on MariaDB and MySQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.mysql import BACKEND
from flask_safemigrate.errors import VerificationFailed

SCHEMA = (
    "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER, "
    "FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE)",
    "CREATE TABLE audit (what VARCHAR(10))",
    "CREATE TABLE alone (id INTEGER)",
    "CREATE TRIGGER logs AFTER DELETE ON parent FOR EACH ROW INSERT INTO audit VALUES ('x')",
    "CREATE VIEW seen AS SELECT id FROM alone",
    "CREATE PROCEDURE fill() INSERT INTO alone VALUES (7)",
    "CREATE PROCEDURE outer_fill() CALL fill()",
    "CREATE PROCEDURE clean() DELETE FROM parent WHERE id = 1",
    "INSERT INTO parent VALUES (1), (2)",
    "INSERT INTO child VALUES (1, 1), (2, 1), (3, 2)",
    "INSERT INTO alone VALUES (1), (2), (3)",
)


@pytest.fixture
def target(mysql_url: str) -> Iterator[Target]:
    engine = create_engine(mysql_url)
    with engine.begin() as connection:
        for statement in SCHEMA:
            connection.execute(text(statement))
    yield Target("", engine)
    engine.dispose()


def migrate(target: Target, *statements: str, written: tuple[str, ...] = ()) -> tuple[str, ...]:
    with target.engine.begin() as connection:
        watch = BACKEND.begin_watch(connection)
        for statement in statements:
            connection.execute(text(statement))
        return BACKEND.finish_watch(connection, watch, frozenset(written))


@pytest.mark.parametrize(
    ("statements", "written"),
    [
        (["DELETE FROM parent WHERE id = 1"], ["parent"]),
        (["INSERT INTO seen VALUES (9)"], ["seen"]),
        (["CALL fill()"], ["CALL", "fill"]),
        (["CALL outer_fill()"], ["CALL", "outer_fill"]),
        (["CALL clean()"], ["CALL", "clean"]),
        (["ALTER TABLE alone ADD COLUMN c INTEGER", "UPDATE alone SET c = 1"], ["alone"]),
        (["TRUNCATE alone"], ["ALONE"]),
        (["CREATE TABLE copy AS SELECT * FROM alone"], []),
    ],
)
def test_accepts(target: Target, statements: list[str], written: list[str]) -> None:
    proven = migrate(target, *statements, written=tuple(written))
    assert any("as many rows as before" in sentence for sentence in proven)


@pytest.mark.parametrize(
    ("statements", "written", "message"),
    [
        (["DELETE FROM alone WHERE id = 1"], [], "`alone` has 2 rows, had 3"),
        (["TRUNCATE alone"], ["parent"], "`alone` has 0 rows, had 3"),
        (["DELETE FROM alone WHERE id = 1"], ["clean"], "`alone` has 2 rows, had 3"),
        (["INSERT INTO alone VALUES (1)", "CREATE TABLE t (i INT)"], ["t"], "`alone` has 4 rows"),
        (["DROP TABLE alone"], ["parent"], "`alone`"),
    ],
)
def test_finds(target: Target, statements: list[str], written: list[str], message: str) -> None:
    # Where other tests use the server at the same moment, the difference is told, not raised.
    try:
        told = " ".join(migrate(target, *statements, written=tuple(written)))
        assert "other sessions were writing" in told
    except VerificationFailed as error:
        told = error.message
    assert message in told


def test_a_difference_is_an_error_when_nobody_else_writes(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "flask_safemigrate.backends.mysql.verify._writes_of_others", lambda connection: 7
    )
    with pytest.raises(VerificationFailed, match="`alone` has 0 rows, had 3"):
        migrate(target, "DELETE FROM alone", written=("parent",))


def test_others_may_write_meanwhile(target: Target) -> None:
    with target.engine.begin() as connection:
        watch = BACKEND.begin_watch(connection)
        with target.engine.begin() as other:
            other.execute(text("DELETE FROM child"))
        connection.execute(text("CREATE TABLE t (id INTEGER)"))
        proven = BACKEND.finish_watch(connection, watch, frozenset({"t"}))
    assert any("other sessions were writing" in s and "`child`" in s for s in proven)


def test_says_what_is_too_big_to_count(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_safemigrate.backends.mysql.verify.COUNTED_ROWS", 2)
    with target.engine.begin() as connection:
        connection.execute(text("ANALYZE TABLE parent, child, audit, alone"))
    proven = migrate(target, "DELETE FROM alone")
    assert "2 tables of more than 2 rows not counted" in proven
