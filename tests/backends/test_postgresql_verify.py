"""What the server's own counters prove about a migration, and what they cannot see."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, create_engine, text

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.postgresql import BACKEND
from flask_safemigrate.errors import VerificationFailed

SCHEMA = """
CREATE TABLE parent (id integer PRIMARY KEY, name text);
CREATE TABLE child (id integer PRIMARY KEY, parent integer REFERENCES parent ON DELETE CASCADE);
CREATE TABLE strict_child (id integer PRIMARY KEY, parent integer REFERENCES parent);
CREATE TABLE audit (what text);
CREATE TABLE alone (id integer);
CREATE TABLE hollow (id integer);
CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO audit VALUES ('x'); RETURN NULL; END $$;
CREATE TRIGGER logs AFTER INSERT OR UPDATE OR DELETE ON parent FOR EACH ROW
EXECUTE FUNCTION log();
CREATE TABLE part (n integer) PARTITION BY LIST (n);
CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part2 PARTITION OF part FOR VALUES IN (2);
CREATE VIEW seen AS SELECT id FROM alone;
CREATE FUNCTION fill() RETURNS void LANGUAGE sql AS $$ INSERT INTO alone VALUES (7) $$;
CREATE FUNCTION outer_fill() RETURNS void LANGUAGE sql AS $$ SELECT fill() $$;
CREATE FUNCTION clean() RETURNS void LANGUAGE sql AS $$ DELETE FROM parent WHERE id = 1 $$;
CREATE PROCEDURE any_of(t text) LANGUAGE plpgsql AS
$$ BEGIN EXECUTE format('DELETE FROM %I', t); END $$;
INSERT INTO parent VALUES (1, 'a'), (2, 'b');
INSERT INTO child VALUES (1, 1), (2, 1), (3, 2);
INSERT INTO strict_child VALUES (1, 2);
INSERT INTO alone SELECT generate_series(1, 1000);
INSERT INTO part VALUES (1), (1);
"""


@pytest.fixture
def target(postgresql_url: str) -> Iterator[Target]:
    engine = create_engine(postgresql_url)
    with engine.begin() as connection:
        connection.connection.cursor().execute(SCHEMA)
    yield Target("", engine)
    engine.dispose()


@pytest.fixture
def migrate(target: Target) -> Callable[..., tuple[str, ...]]:
    def run(*statements: str, written: tuple[str, ...] = ()) -> tuple[str, ...]:
        with target.engine.connect() as connection, connection.begin() as transaction:
            watch = BACKEND.begin_watch(connection)
            for statement in statements:
                connection.execute(text(statement))
            try:
                return BACKEND.finish_watch(connection, watch, frozenset(written))
            finally:
                transaction.rollback()

    return run


@pytest.mark.parametrize(
    ("statements", "written"),
    [
        (["DELETE FROM parent WHERE id = 1"], ["parent"]),
        (["UPDATE parent SET name = 'c'"], ["public.parent"]),
        (["INSERT INTO part VALUES (2)", "UPDATE part SET n = 2"], ["part"]),
        (["INSERT INTO part1 VALUES (1)"], ["part1"]),
        (["INSERT INTO seen VALUES (7)"], ["seen"]),
        (["SELECT fill()"], ["fill"]),
        (["DO $$ BEGIN PERFORM outer_fill(); END $$"], ["DO", "outer_fill"]),
        (["SELECT clean()"], ["clean"]),
        (["CALL any_of('alone')"], ["CALL", "any_of"]),
        (["DELETE FROM alone"], ['"Alone"']),
        (["ALTER TABLE parent ALTER name TYPE varchar(5)"], []),
        (["ALTER TABLE hollow ALTER id TYPE bigint"], []),
        (["ALTER TABLE alone ADD COLUMN r float DEFAULT random()"], []),
        (["ALTER TABLE alone RENAME TO lonely"], []),
        (["ALTER TABLE alone RENAME TO lonely", "DELETE FROM lonely"], ["lonely"]),
        (["ALTER TABLE alone RENAME TO lonely", "DELETE FROM lonely"], ["alone"]),
        (["CREATE TABLE copy AS SELECT * FROM alone"], []),
        (["CREATE INDEX i ON alone (id)", "ALTER TABLE alone ADD PRIMARY KEY (id)"], []),
        (["TRUNCATE alone"], ["alone"]),
        (["TRUNCATE hollow"], []),
        (["TRUNCATE parent CASCADE"], ["parent", "child", "strict_child"]),
        (
            [
                "CREATE TABLE tmp AS SELECT * FROM strict_child",
                "DROP TABLE strict_child",
                "ALTER TABLE tmp RENAME TO strict_child",
            ],
            [],
        ),
    ],
)
def test_accepts(
    migrate: Callable[..., tuple[str, ...]], statements: list[str], written: list[str]
) -> None:
    proven = migrate(*statements, written=tuple(written))
    assert any("no row inserted or deleted" in sentence for sentence in proven)


@pytest.mark.parametrize(
    ("statements", "written", "message"),
    [
        (["DELETE FROM alone WHERE id < 11"], [], '"alone" lost 10 and gained 0 rows'),
        (["INSERT INTO alone VALUES (1)"], [], '"alone" lost 0 and gained 1 row'),
        (["DELETE FROM alone", "INSERT INTO alone VALUES (1)"], [], "lost 1000 and gained 1 row"),
        (["DELETE FROM alone WHERE id < 11"], ["clean"], '"alone" lost 10'),
        (["TRUNCATE alone"], ["parent"], '"alone" lost all of its rows'),
        (["TRUNCATE parent CASCADE"], ["parent"], '"strict_child" lost all of its rows'),
        (["INSERT INTO alone SELECT 1 FROM parent"], ["parent"], '"alone" lost 0 and gained 2'),
        (["DROP TABLE alone CASCADE"], ["alone"], '"seen"'),
        (["DROP VIEW seen"], ["alone"], '"seen"'),
        (["DELETE FROM child"], ["alone"], '"child" lost 3'),
    ],
)
def test_finds(
    migrate: Callable[..., tuple[str, ...]],
    statements: list[str],
    written: list[str],
    message: str,
) -> None:
    with pytest.raises(VerificationFailed) as caught:
        migrate(*statements, written=tuple(written))
    assert message in caught.value.message
    assert caught.value.hint


def test_rows_of_a_moment_before_do_not_count(target: Target) -> None:
    """The session's last transaction is not in the shared statistics yet."""
    with target.engine.connect() as connection:
        connection.execute(text("DELETE FROM alone WHERE id = 1"))
        connection.commit()
        with connection.begin():
            watch = BACKEND.begin_watch(connection)
            assert BACKEND.finish_watch(connection, watch, frozenset())


def test_others_may_write_meanwhile(target: Target) -> None:
    with target.engine.begin() as connection:
        watch = BACKEND.begin_watch(connection)
        with target.engine.begin() as other:
            other.execute(text("DELETE FROM child"))
            other.execute(text("INSERT INTO alone VALUES (5)"))
        assert BACKEND.finish_watch(connection, watch, frozenset())


def test_watching_keeps_no_lock(target: Target) -> None:
    with target.engine.begin() as connection:
        BACKEND.begin_watch(connection)
        with target.engine.begin() as other:
            other.execute(text("SET LOCAL lock_timeout = '1s'"))
            other.execute(text("ALTER TABLE alone ADD COLUMN c integer"))


def test_watching_does_not_wait_for_a_locked_table(target: Target) -> None:
    with target.engine.begin() as other:
        other.execute(text("LOCK TABLE alone IN ACCESS EXCLUSIVE MODE"))
        with target.engine.begin() as connection:
            watch = BACKEND.begin_watch(connection)
            assert connection.execute(text("SHOW lock_timeout")).scalar() == "0"
            assert BACKEND.finish_watch(connection, watch, frozenset())


def _as_role(connection: Connection, role: str) -> None:
    connection.execute(text(f"CREATE ROLE {role}"))
    connection.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"))
    connection.execute(text(f"SET LOCAL ROLE {role}"))


def test_says_that_the_server_does_not_count(target: Target) -> None:
    with target.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(text("SET LOCAL track_counts = off"))
        _as_role(connection, f"{target.engine.url.database}_r")
        watch = BACKEND.begin_watch(connection)
        connection.execute(text("DELETE FROM alone"))
        proven = BACKEND.finish_watch(connection, watch, frozenset())
        transaction.rollback()
    assert "rows were not compared: the server's track_counts is off" in proven


def test_superuser_turns_counting_on(target: Target) -> None:
    with target.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(text("SET LOCAL track_counts = off"))
        watch = BACKEND.begin_watch(connection)
        connection.execute(text("DELETE FROM alone"))
        with pytest.raises(VerificationFailed):
            BACKEND.finish_watch(connection, watch, frozenset())
        transaction.rollback()


def test_says_that_the_transaction_was_cut(target: Target) -> None:
    with target.engine.connect() as connection:
        watch = BACKEND.begin_watch(connection)
        connection.execute(text("DELETE FROM alone"))
        connection.commit()
        proven = BACKEND.finish_watch(connection, watch, frozenset())
    assert "rows were not compared: the migration ended its transaction itself" in proven
