"""How a text of several statements is split, as MariaDB's and MySQL's own grammar does."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine

from flask_safemigrate.ddl.scripts import statements_of

SPLIT = {
    "one": ["UPDATE t SET n = 1"],
    "two": ["UPDATE t SET n = 1", "ALTER TABLE t ADD COLUMN b INTEGER"],
    "a string and quoted names": [
        "UPDATE t SET s = 'a;b\\';c', r = \"d;''\"",
        "ALTER TABLE t ADD COLUMN `e;f` INTEGER",
    ],
    "comments": ["UPDATE t SET n = 1 /* a;b */ -- c;d\n , s = 'x'", "# e;f\nDELETE FROM t"],
    "a transaction": ["BEGIN", "UPDATE t SET n = 1", "COMMIT"],
    "a dump": ["/*!40101 SET NAMES utf8mb4 */", "/*!40000 ALTER TABLE t DISABLE KEYS */"],
    "a trigger of one statement": [
        "CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW SET NEW.n = IF(NEW.n > 1, 1, 2)",
        "UPDATE t SET n = 3",
    ],
    "a trigger with a block": [
        "CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW BEGIN SET NEW.n = 1; SET NEW.s = 'a;'; "
        "END",
        "UPDATE t SET n = 3",
    ],
    "a trigger with IF alone": [
        "CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW IF (NEW.n > 1) THEN SET NEW.n = 1; "
        "ELSEIF NEW.n < 0 THEN SET NEW.n = 0; END IF",
        "UPDATE t SET n = 3",
    ],
    "a procedure with all kinds of blocks": [
        "CREATE PROCEDURE p(IN x INTEGER) COMMENT 'BEGIN;' DETERMINISTIC\nbegin\n"
        " DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; END;\n"
        " a: LOOP LEAVE a; END LOOP;\n"
        " REPEAT SET x = x - 1; UNTIL x < 0 END REPEAT;\n"
        " WHILE x > 0 DO SET x = REPEAT('1', 2); END WHILE;\n"
        " CASE x WHEN 1 THEN SELECT 1; ELSE BEGIN END; END CASE;\n"
        " IF EXISTS (SELECT 1 FROM t) THEN DROP TABLE IF EXISTS gone; ELSE IF x THEN DO 0; END IF;"
        " END IF;\n"
        " SELECT CASE WHEN x THEN IF(x, 1, 2) ELSE IF(x, 3, 4) END, SUBSTRING('ab' FROM 1 FOR 1)"
        " FOR UPDATE;\n"
        "end",
        "CALL p(1)",
    ],
    "an event": [
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY ENDS '2037-01-01' DO BEGIN DO 1; END",
        "DROP EVENT e",
    ],
    "a procedure of somebody": [
        "CREATE DEFINER=`root`@`%` PROCEDURE p() BEGIN DO 1; END",
        "CREATE OR REPLACE VIEW v AS SELECT CASE WHEN 1 THEN 2 END",
        "DROP VIEW v",
    ],
}


@pytest.mark.parametrize("case", SPLIT)
def test_a_text_is_split_where_the_server_splits_it(case: str) -> None:
    expected = SPLIT[case]
    assert list(statements_of(";".join(expected))) == expected
    assert list(statements_of(";\n".join(expected) + " ;\n -- the end\n;")) == expected


def test_what_cannot_be_told_is_one_text() -> None:
    text = "CREATE PROCEDURE p() BEGIN DO 1; UPDATE t SET n = 1"
    assert statements_of(text) == (text,)


@pytest.mark.parametrize("case", SPLIT)
def test_each_of_them_is_a_statement_to_the_server(mysql_url: str, case: str) -> None:
    engine = create_engine(mysql_url)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, s VARCHAR(9), r VARCHAR(9))"
        )
        for statement in SPLIT[case]:
            connection.exec_driver_sql(statement.replace("%", "%%"))
    engine.dispose()
