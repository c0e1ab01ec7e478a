"""Statements that stay in their database, and statements that reach out of it."""

from __future__ import annotations

import pytest

from flask_safemigrate.ddl.reaching import reaches_out

POSTGRESQL_OUT = [
    "CREATE ROLE x",
    "create /* a */ user x",
    "-- first\nDROP USER x",
    "ALTER ROLE x SUPERUSER",
    "GRANT a TO b",
    "REVOKE a FROM b",
    "GRANT CONNECT ON DATABASE x TO y",
    "ALTER DATABASE x SET search_path = y",
    "CREATE DATABASE x",
    "select 1; drop database x",
    "CREATE TABLESPACE x LOCATION '/tmp'",
    "COMMENT ON DATABASE x IS 'a'",
    "ALTER SYSTEM SET x = 1",
    "REASSIGN OWNED BY a TO b",
    "DO $$ BEGIN CREATE ROLE a; END $$",
    "DO 'BEGIN CREATE ROLE a; END'",
    "DO $x$ BEGIN EXECUTE 'CREATE DATABASE ' || 'x'; END $x$",
    "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP ROLE a; END $$",
    "CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u AS 'pass'",
    "COPY t TO '/tmp/x'",
    "COPY t FROM '/tmp/x'",
    "COPY (SELECT 1) TO PROGRAM 'sh'",
    "SELECT dblink_exec('x')",
    "SELECT \"dblink_exec\"('x')",
    "SELECT lo_import ('/etc/passwd')",
    "WITH a AS (SELECT pg_reload_conf()) SELECT * FROM a",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
    "PREPARE TRANSACTION 'x'",
    "IMPORT FOREIGN SCHEMA public FROM SERVER s INTO x",
    "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
    "SET SESSION AUTHORIZATION x",
    "DO $$ BEGIN COPY t TO '/tmp/x'; END $$",
    "DO 'BEGIN COPY t (a, b) FROM ''/tmp/x''; END'",
    "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $f$ COPY t TO '/tmp/x' $f$",
    "DO $$ BEGIN EXECUTE 'COPY t TO ' || quote_literal('/tmp/x'); END $$",
    "COPY t TO U&'/tmp/x'",
    "DO LANGUAGE plpython3u $$ pass $$",
    "DO $$ 1 $$ LANGUAGE plperlu",
    "CREATE FUNCTION f() RETURNS int LANGUAGE \"c\" AS 'x'",
    "SELECT pg_stat_statements_reset()",
    "SELECT * FROM http_post('http://x', 'y', 'text/plain')",
    "SELECT net.http_post(url := 'http://x')",
    "SELECT cron.schedule('* * * * *', 'DELETE FROM t')",
    "SELECT aws_s3.query_export_to_s3('SELECT 1', x)",
]
POSTGRESQL_IN = [
    "CREATE TABLE role (id int)",
    "ALTER TABLE t ADD COLUMN role text",
    'ALTER TABLE t DROP COLUMN "user"',
    "INSERT INTO t VALUES ('create role x')",
    "COMMENT ON TABLE t IS 'on database x'",
    "GRANT SELECT ON t TO b",
    "CREATE USER MAPPING FOR x SERVER y",
    "COPY t FROM STDIN",
    "CREATE INDEX CONCURRENTLY a ON b (c)",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1'",
    "SELECT a #> '{b}' FROM t",
    "DO $$ BEGIN INSERT INTO copy (a) SELECT a FROM t; END $$",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT a FROM c'",
    'CREATE TABLE "c" (id int)',
    "DO LANGUAGE plpgsql $$ BEGIN PERFORM 1; END $$",
]
MYSQL_OUT = [
    "UPDATE t SET a = 1--1; DELETE FROM other.audit",
    "UPDATE performance_schema.setup_instruments SET enabled = 'YES'",
    "TRUNCATE TABLE `performance_schema`.events_waits_history",
    "INSERT IGNORE INTO sys.sys_config VALUES (1)",
    "CALL sys.ps_setup_enable_instrument('x')",
    "CREATE PROCEDURE p() CREATE USER x",
    "CREATE PROCEDURE p() SQL SECURITY INVOKER GRANT ALL ON *.* TO x",
    "CREATE PROCEDURE p() MODIFIES SQL DATA DROP USER x",
    "CREATE PROCEDURE p() COMMENT 'a' KILL 3",
    "ALTER DEFINER = CURRENT_USER EVENT e DISABLE",
    "INSERT INTO other.audit VALUES (1)",
    "CREATE TABLE `other`.`report` (id int)",
    "DROP TABLE t, OTHER.audit",
    "DROP TABLE `shop`, shop.a",
    "DELETE FROM /*!50000 other.*/audit",
    "/*M! DELETE FROM other.audit */",
    "DELETE other.a FROM other.a",
    "UPDATE t, other.b SET b.x = 1",
    "TRUNCATE other.audit",
    "RENAME TABLE t TO other.t",
    "ALTER TABLE t RENAME other.t",
    "CREATE TABLE t LIKE other.audit",
    "CREATE INDEX i ON other.t (a)",
    "CREATE TRIGGER shop.a BEFORE INSERT ON t FOR EACH ROW SET @x = 1",
    "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW INSERT INTO other.audit VALUES (1)",
    "PREPARE s FROM 'DROP TABLE other.audit'",
    "PREPARE s FROM @x",
    "CREATE PROCEDURE p() BEGIN PREPARE q FROM @s; EXECUTE q; END",
    "CREATE PROCEDURE p() BEGIN SELECT 1; FLUSH TABLES; END",
    "CREATE PROCEDURE p() BEGIN IF 1 THEN GRANT ALL ON x TO y; END IF; END",
    "BEGIN NOT ATOMIC CREATE USER x; END",
    "SET STATEMENT a = 1 FOR DROP DATABASE x",
    "USE other",
    "# hello\nUSE other",
    "GRANT ALL ON *.* TO x",
    "CREATE USER x",
    "DROP DATABASE shop",
    "SET GLOBAL x = 1",
    "SET @@global.x = 1",
    "SET a = 1, GLOBAL b = 2",
    "LOAD DATA INFILE 'x' INTO TABLE t",
    "SELECT * FROM t INTO OUTFILE '/tmp/x'",
    "CREATE DEFINER=`a`@`b` EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
    "CREATE TABLE t (id int) DATA DIRECTORY='/tmp'",
    "CREATE FUNCTION f RETURNS STRING SONAME 'x.so'",
    "KILL 3",
    "START SLAVE",
]
MYSQL_IN = [
    "SELECT * FROM performance_schema.threads",
    "INSERT INTO t SELECT table_name FROM information_schema.tables",
    "UPDATE t SET a = 1 -- DELETE FROM other.audit",
    "CREATE PROCEDURE p() COMMENT 'a' UPDATE t SET a = 1",
    "SELECT shop.name FROM shop",
    "SELECT a.id FROM shop a JOIN x ON shop.id = a.id, shop",
    "UPDATE t SET a = 'other.x'",
    "SET NAMES utf8",
    "/*!40101 SET NAMES utf8 */",
    "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET NEW.x = 1",
    "CREATE PROCEDURE p() BEGIN DECLARE x INT; WHILE x > 0 DO SET x = 1; END WHILE; END",
    "ALTER TABLE t ADD COLUMN `role` int, DROP user",
    "CREATE TABLE t (id int) COMMENT='data directory'",
    "INSERT INTO t (`a.b`) VALUES ('it''s')",
    "START TRANSACTION",
    "SHOW CREATE TABLE t",
    "(SELECT 1)",
]


@pytest.mark.parametrize("statement", POSTGRESQL_OUT)
def test_out_of_a_postgresql_database(statement: str) -> None:
    assert reaches_out("postgresql", statement)


@pytest.mark.parametrize("statement", POSTGRESQL_IN)
def test_inside_a_postgresql_database(statement: str) -> None:
    assert reaches_out("postgresql", statement) == ""


@pytest.mark.parametrize("statement", MYSQL_OUT)
def test_out_of_a_mysql_database(statement: str) -> None:
    assert reaches_out("mysql", statement, ["shop", "other", "mysql"])


@pytest.mark.parametrize("statement", MYSQL_IN)
def test_inside_a_mysql_database(statement: str) -> None:
    assert reaches_out("mariadb", statement, ["shop", "other", "mysql"]) == ""
