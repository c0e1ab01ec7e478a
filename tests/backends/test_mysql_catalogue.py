"""What statements are to the server, and whether one that was cut off has happened."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError

from flask_safemigrate.backends.mysql import catalogue


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT 1", "reads"),
        ("/* why */ select * from t", "reads"),
        ("(SELECT 1) UNION (SELECT 2)", "reads"),
        ("SHOW CREATE TABLE t", "reads"),
        ("SELECT '@x = 1'", "reads"),
        ("INSERT INTO t VALUES (1)", "held"),
        ("-- note\n  update t set a = 1", "held"),
        ("REPLACE INTO t SELECT 1", "held"),
        ("WITH x AS (SELECT 1) DELETE FROM t", "held"),
        ("ALTER TABLE t ADD COLUMN a INT", "commits"),
        ("CREATE INDEX i ON t (a)", "commits"),
        ("/*!40101 CREATE TABLE t (a INT) */", "commits"),
        ("TRUNCATE t", "commits"),
        ("CALL p()", "commits"),
        ("RENAME TABLE a TO b", "commits"),
        ("SET PASSWORD = PASSWORD('x')", "commits"),
        ("CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET @n = 1", "commits"),
        ("SOMETHING NEW", "commits"),
        ("SET foreign_key_checks = 0", "setting"),
        ("SET @@session.sql_mode = ''", "setting"),
        ("USE other", "setting"),
        ("SET @n = (SELECT count(*) FROM t)", "passing"),
        ("SELECT count(*) INTO @n FROM t", "passing"),
        ("CREATE TEMPORARY TABLE x (a INT)", "passing"),
        ("DROP TEMPORARY TABLE x", "passing"),
        ("PREPARE s FROM 'SELECT 1'", "passing"),
        ("COMMIT", "bounds"),
        ("START TRANSACTION", "bounds"),
        ("ROLLBACK TO SAVEPOINT a", "undoes"),
        ("SAVEPOINT a", "undoes"),
    ],
)
def test_what_a_statement_is_to_the_transaction(statement: str, kind: str) -> None:
    assert catalogue.kind_of(statement) == kind


@pytest.fixture
def connection(mysql_url: str) -> Iterator[Connection]:
    engine = create_engine(mysql_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in (
            "CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(10), KEY ib (b))",
            "CREATE TABLE u (id INT PRIMARY KEY, t INT)",
            "CREATE TABLE loose (id INT) ENGINE=MyISAM",
            "CREATE VIEW v AS SELECT id FROM t",
            "INSERT INTO t (id) VALUES (1)",
        ):
            connection.exec_driver_sql(statement)
        yield connection
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE fresh (id INT)",
        "CREATE TABLE fresh AS SELECT id FROM t",
        "DROP TABLE u",
        "ALTER TABLE t ADD COLUMN c INT DEFAULT 5",
        "ALTER TABLE t DROP COLUMN a",
        "ALTER TABLE t CHANGE a z BIGINT",
        "ALTER TABLE t MODIFY b VARCHAR(20) DEFAULT 'x'",
        "ALTER TABLE t ALTER COLUMN a SET DEFAULT 3",
        "CREATE UNIQUE INDEX ia ON t (a)",
        "ALTER TABLE t ADD INDEX ia (a)",
        "DROP INDEX ib ON t",
        "ALTER TABLE u ADD CONSTRAINT fk FOREIGN KEY (t) REFERENCES t (id)",
        "ALTER TABLE u ADD CONSTRAINT c CHECK (t > 0)",
        "ALTER TABLE t COMMENT 'of `u`'",
        "RENAME TABLE u TO w",
        "ALTER TABLE u RENAME TO w",
        "CREATE OR REPLACE VIEW v AS SELECT a FROM t",
        "DROP VIEW v",
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1",
        "CREATE PROCEDURE p() SELECT 1",
        "ALTER TABLE t CONVERT TO CHARACTER SET latin1",
    ],
)
def test_whether_it_has_happened_is_seen(connection: Connection, statement: str) -> None:
    before = catalogue.before(connection, statement)
    assert before is not None
    assert catalogue.happened(connection, statement, before) is False
    # What others do meanwhile to rows does not count.
    connection.exec_driver_sql("INSERT INTO t (id) VALUES (2)")
    assert catalogue.happened(connection, statement, before) is False
    connection.exec_driver_sql(statement)
    assert catalogue.happened(connection, statement, before) is True


@pytest.mark.parametrize(
    "statement",
    [
        "CALL p()",
        "CREATE DATABASE x",
        "ALTER TABLE mysql.t ADD COLUMN a INT",
        "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u",
        "ALTER TABLE t IMPORT TABLESPACE",
    ],
)
def test_what_nobody_can_tell_is_said(connection: Connection, statement: str) -> None:
    before = catalogue.before(connection, statement)
    assert before is None
    assert catalogue.happened(connection, statement, before) is None


def test_a_drop_of_several_that_came_half_way_is_for_a_person(connection: Connection) -> None:
    both = "DROP TABLE loose, u"
    before = catalogue.before(connection, both)
    connection.exec_driver_sql("DROP TABLE loose")
    assert catalogue.happened(connection, both, before) is None
    connection.exec_driver_sql("DROP TABLE u")
    assert catalogue.happened(connection, both, before) is True


def test_an_emptied_table_was_truncated(connection: Connection) -> None:
    before = catalogue.before(connection, "TRUNCATE TABLE t")
    assert catalogue.happened(connection, "TRUNCATE TABLE t", before) is None
    connection.exec_driver_sql("TRUNCATE TABLE t")
    assert catalogue.happened(connection, "TRUNCATE TABLE t", before) is True


def test_what_does_no_harm_twice_is_done_again(connection: Connection) -> None:
    before = catalogue.before(connection, "ANALYZE TABLE t")
    assert catalogue.happened(connection, "ANALYZE TABLE t", before) is False


def test_tables_without_transactions_are_known(connection: Connection) -> None:
    loose = catalogue.loose_tables(connection)
    assert loose == {"loose"}
    assert catalogue.touches("INSERT INTO `loose` VALUES (1)", loose)
    assert not catalogue.touches("INSERT INTO t VALUES (1)", loose)
    assert not catalogue.touches("SELECT * FROM loose", loose)


@pytest.mark.parametrize(
    ("statement", "left"),
    [
        ("ALTER TABLE t ADD COLUMN a INT", False),
        ("CREATE TABLE t (id INT)", False),
        ("DROP TABLE nosuch", False),
        # MySQL drops all or none, MariaDB those that are there.
        ("DROP TABLE u, nosuch", None),
        ("UPDATE loose SET nosuch = 1", False),
        ("INSERT INTO strict_loose VALUES (1), (2), (1)", True),
        ("CALL nosuch()", False),
        ("CALL (", False),
        ("CALL stops()", True),
        ("GRANT SELECT ON nosuch.* TO nobody_at_all", False),
    ],
)
def test_what_a_statement_with_an_error_has_left_behind(
    connection: Connection, statement: str, left: bool | None
) -> None:
    connection.exec_driver_sql("CREATE TABLE strict_loose (id INT PRIMARY KEY) ENGINE=MyISAM")
    connection.exec_driver_sql(
        "CREATE PROCEDURE stops() BEGIN INSERT INTO t (id) VALUES (7); COMMIT;"
        " INSERT INTO t (id) VALUES (7); END"
    )
    if left is None:
        left = "MariaDB" in str(connection.exec_driver_sql("SELECT version()").scalar())
    before = catalogue.before(connection, statement)
    with pytest.raises(DBAPIError) as failed:
        connection.exec_driver_sql(statement)
    assert failed.value.orig is not None
    found = catalogue.left_behind(connection, statement, before, failed.value.orig)
    assert found is left


def test_a_session_counts_only_at_its_own_statement(
    connection: Connection, mysql_url: str
) -> None:
    number = catalogue.session_of(connection)
    statement = "SELECT SLEEP(3), 'the statement', %s"
    other = create_engine(mysql_url)
    thread = threading.Thread(
        target=lambda: connection.exec_driver_sql(statement, ("x",)), daemon=True
    )
    thread.start()
    with other.connect() as looking:
        deadline = time.monotonic() + 2
        while not catalogue.running(looking, number, statement):
            assert time.monotonic() < deadline
        assert catalogue.running(looking, number, "\n  " + statement)
        assert not catalogue.running(looking, number, "ALTER TABLE t ADD COLUMN c INT")
        assert not catalogue.running(looking, number + 100_000, statement)
    thread.join()
    other.dispose()


def test_sessions_of_another_server_cannot_be_seen(connection: Connection) -> None:
    here = json.loads(catalogue.server_of(connection))

    def whereabouts(**news: object) -> str:
        return catalogue.whereabouts(connection, json.dumps({**here, **news}))

    assert whereabouts() == "here"
    # It was started anew since then, so that its sessions are gone.
    before = {"since": here["since"] - 100, "now": here["since"] - 50}
    assert whereabouts(**before) == "gone"
    assert whereabouts(id="another", name="db2:3306") == "db2:3306"


def test_a_session_that_commits_every_statement_is_brought_back(connection: Connection) -> None:
    undo = catalogue.in_transactions(connection)
    assert connection.exec_driver_sql("SELECT @@session.autocommit").scalar() == 0
    undo()
    assert connection.exec_driver_sql("SELECT @@session.autocommit").scalar() == 1
