"""Each rule with a bad side, which it names, and a good one, of which it says nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence

import pytest

from flask_safemigrate.facts.schema import Column
from flask_safemigrate.findings import Severity
from flask_safemigrate.hazards import read_mysql, read_postgresql, read_sqlite
from flask_safemigrate.hazards.hazard import Context, Hazard
from flask_safemigrate.hazards.judging import judge
from flask_safemigrate.hazards.known import Known, KnownTable
from flask_safemigrate.hazards.operations import Operation, Place, Recorded

READERS: Mapping[str, Callable[[str, Place], list[Operation]]] = {
    "postgresql": read_postgresql.read,
    "mariadb": read_mysql.read,
    "mysql": read_mysql.read,
    "sqlite": read_sqlite.read,
}
VERSIONS = {"postgresql": (15, 4), "mariadb": (10, 11), "mysql": (9, 7), "sqlite": (3, 40)}
#: Many rows in big and few in small.
TABLES = {
    "postgresql": """
        CREATE TYPE mood AS ENUM ('sad', 'ok');
        CREATE TABLE small (id int PRIMARY KEY, name varchar(40) NOT NULL DEFAULT 'x', m mood);
        CREATE TABLE big (id int PRIMARY KEY, name varchar(40), amount numeric(10, 2),
            small_id int, at timestamp without time zone, title varchar(40), seen timestamp,
            CONSTRAINT fk FOREIGN KEY (small_id) REFERENCES small (id) ON DELETE CASCADE,
            CONSTRAINT proven CHECK (name IS NOT NULL));
        CREATE INDEX ix_big_at ON big (at);
        CREATE TABLE note (id int PRIMARY KEY, small_id int REFERENCES small (id));
        CREATE TABLE many (id serial PRIMARY KEY, name text);
        CREATE VIEW report AS SELECT amount FROM big;
    """,
    "mariadb": """
        CREATE TABLE small (id int NOT NULL PRIMARY KEY, name varchar(40) NOT NULL DEFAULT 'x');
        CREATE TABLE big (id int NOT NULL PRIMARY KEY, name varchar(40), amount decimal(10, 2),
            small_id int, kind ENUM('a', 'b'), short varchar(20), at datetime,
            CONSTRAINT fk FOREIGN KEY (small_id) REFERENCES small (id) ON DELETE CASCADE);
        CREATE INDEX ix_big_at ON big (at);
        CREATE VIEW report AS SELECT amount FROM big;
    """,
}
TABLES["mysql"] = TABLES["mariadb"]
SQLITE = """
    CREATE TABLE small (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'x');
    CREATE TABLE big (id INTEGER PRIMARY KEY, name TEXT, amount NUMERIC(10, 2));
    CREATE VIEW report AS SELECT amount FROM big;
"""


def sqlite_database() -> Known:
    """What :data:`SQLITE` makes."""
    number, text = Column("id", "INTEGER"), Column("name", "TEXT")
    small = {"id": number, "name": text._replace(nullable=False, default="'x'")}
    big = {"id": number, "name": text, "amount": Column("amount", "NUMERIC(10, 2)")}
    return Known(
        "sqlite",
        {"small": KnownTable("small", small, ("id",)), "big": KnownTable("big", big, ("id",))},
        {"report": "CREATE VIEW report AS SELECT amount FROM big"},
    )


OUTSIDE = "-- outside\n"

#: dialect, name -> code, what the message names, the bad statements, the good ones.
Case = tuple[str, Sequence[str], Sequence[str], Sequence[str]]
CASES: dict[tuple[str, str], Case] = {
    ("postgresql", "index"): (
        "SM610",
        ["big", "ix"],
        ["CREATE INDEX ix ON big (name)"],
        [OUTSIDE + "CREATE INDEX CONCURRENTLY ix ON big (name)"],
    ),
    ("postgresql", "index of a small table"): (
        "SM610",
        ["big", "ix"],
        ["CREATE INDEX ix ON big (name)"],
        ["CREATE INDEX ix ON small (name)"],
    ),
    ("postgresql", "index of a table of this run"): (
        "SM610",
        ["big", "ix"],
        ["CREATE INDEX ix ON big (name)"],
        ["CREATE TABLE fresh (a int)", "CREATE INDEX ix ON fresh (a)"],
    ),
    ("postgresql", "concurrently in a transaction"): (
        "SM603",
        ["small", "ix"],
        ["CREATE INDEX CONCURRENTLY ix ON small (name)"],
        [OUTSIDE + "CREATE INDEX CONCURRENTLY ix ON small (name)"],
    ),
    ("postgresql", "vacuum in a transaction"): (
        "SM603",
        ["small"],
        ["VACUUM small"],
        [OUTSIDE + "VACUUM small"],
    ),
    ("postgresql", "label used at once"): (
        "SM603",
        ["mood", "great"],
        [
            "ALTER TYPE mood ADD VALUE 'great'",
            "ALTER TABLE small ALTER COLUMN m SET DEFAULT 'great'",
        ],
        [
            OUTSIDE + "ALTER TYPE mood ADD VALUE 'great'",
            "ALTER TABLE small ALTER COLUMN m SET DEFAULT 'great'",
        ],
    ),
    ("postgresql", "cast without USING"): (
        "SM603",
        ["small", "name"],
        ["ALTER TABLE small ALTER COLUMN name TYPE integer"],
        ["ALTER TABLE small ALTER COLUMN id TYPE bigint"],
    ),
    ("postgresql", "column under a view"): (
        "SM603",
        ["big", "amount", "report"],
        ["ALTER TABLE big ALTER COLUMN amount TYPE numeric(12, 2)"],
        ["DROP VIEW report", "ALTER TABLE big ALTER COLUMN amount TYPE numeric(12, 2)"],
    ),
    ("postgresql", "index that is not there"): (
        "SM604",
        ["ix_nope"],
        ["DROP INDEX ix_nope"],
        ["DROP INDEX ix_big_at"],
    ),
    ("postgresql", "column that is there"): (
        "SM604",
        ["small", "name"],
        ["ALTER TABLE small ADD COLUMN name text"],
        ["ALTER TABLE small ADD COLUMN IF NOT EXISTS name text"],
    ),
    ("postgresql", "foreign key to a table that is not there"): (
        "SM604",
        ["big", "f", "city"],
        ["ALTER TABLE big ADD CONSTRAINT f FOREIGN KEY (small_id) REFERENCES city (id)"],
        ["ALTER TABLE big ADD CONSTRAINT f FOREIGN KEY (small_id) REFERENCES small (id)"],
    ),
    ("postgresql", "foreign key"): (
        "SM611",
        ["big", "small", "fk2"],
        ["ALTER TABLE big ADD CONSTRAINT fk2 FOREIGN KEY (small_id) REFERENCES small (id)"],
        [
            "ALTER TABLE big ADD CONSTRAINT fk2 FOREIGN KEY (small_id) REFERENCES small (id)"
            " NOT VALID",
            OUTSIDE + "ALTER TABLE big VALIDATE CONSTRAINT fk2",
        ],
    ),
    ("postgresql", "validate in the transaction of the key"): (
        "SM617",
        ["big"],
        [
            "ALTER TABLE big ADD CONSTRAINT fk2 FOREIGN KEY (small_id) REFERENCES small (id)"
            " NOT VALID",
            "ALTER TABLE big VALIDATE CONSTRAINT fk2",
        ],
        [
            "ALTER TABLE big ADD CONSTRAINT fk2 FOREIGN KEY (small_id) REFERENCES small (id)"
            " NOT VALID",
            OUTSIDE + "ALTER TABLE big VALIDATE CONSTRAINT fk2",
        ],
    ),
    ("postgresql", "check"): (
        "SM612",
        ["big", "ck"],
        ["ALTER TABLE big ADD CONSTRAINT ck CHECK (amount > 0)"],
        ["ALTER TABLE big ADD CONSTRAINT ck CHECK (amount > 0) NOT VALID"],
    ),
    ("postgresql", "not null"): (
        "SM613",
        ["big", "at"],
        ["ALTER TABLE big ALTER COLUMN at SET NOT NULL"],
        ["ALTER TABLE big ALTER COLUMN name SET NOT NULL"],
    ),
    ("postgresql", "type"): (
        "SM614",
        ["big", "small_id"],
        ["ALTER TABLE big ALTER COLUMN small_id TYPE bigint"],
        ["ALTER TABLE big ALTER COLUMN title TYPE varchar(80)"],
    ),
    ("postgresql", "timestamp with time zone"): (
        "SM614",
        ["big", "at"],
        ["ALTER TABLE big ALTER COLUMN at TYPE timestamptz USING at AT TIME ZONE 'UTC'"],
        ["ALTER TABLE big ALTER COLUMN seen TYPE timestamptz"],
    ),
    ("postgresql", "type under a CHECK"): (
        "SM614",
        ["big", "name", "proven"],
        ["ALTER TABLE big ALTER COLUMN name TYPE varchar(80)"],
        ["ALTER TABLE big DROP CONSTRAINT proven", "ALTER TABLE big ALTER COLUMN name TYPE text"],
    ),
    ("postgresql", "type under an index"): (
        "SM614",
        ["big", "at", "ix_big_at"],
        ["ALTER TABLE big ALTER COLUMN at TYPE timestamptz"],
        ["DROP INDEX ix_big_at", "ALTER TABLE big ALTER COLUMN at TYPE timestamptz"],
    ),
    ("postgresql", "default of a new column"): (
        "SM615",
        ["big", "token"],
        ["ALTER TABLE big ADD COLUMN token uuid DEFAULT gen_random_uuid()"],
        ["ALTER TABLE big ADD COLUMN made timestamp DEFAULT now()"],
    ),
    ("postgresql", "unique"): (
        "SM616",
        ["big", "uq"],
        ["ALTER TABLE big ADD CONSTRAINT uq UNIQUE (name)"],
        [
            OUTSIDE + "CREATE UNIQUE INDEX CONCURRENTLY uq ON big (name)",
            "ALTER TABLE big ADD CONSTRAINT uq UNIQUE USING INDEX uq",
        ],
    ),
    ("postgresql", "lock kept while rows are written"): (
        "SM617",
        ["small"],
        ["ALTER TABLE small ADD COLUMN n int", "UPDATE big SET name = lower(name)"],
        ["ALTER TABLE small ADD COLUMN n int", "UPDATE small SET n = 1"],
    ),
    ("postgresql", "rows in one statement"): (
        "SM618",
        ["big"],
        ["UPDATE big SET name = lower(name)"],
        ["UPDATE small SET name = lower(name)"],
    ),
    ("postgresql", "vacuum full"): (
        "SM619",
        ["big"],
        [OUTSIDE + "VACUUM FULL big"],
        [OUTSIDE + "VACUUM big"],
    ),
    ("postgresql", "new column without value"): (
        "SM620",
        ["small", "n"],
        ["ALTER TABLE small ADD COLUMN n int NOT NULL"],
        ["ALTER TABLE small ADD COLUMN n int NOT NULL DEFAULT 0"],
    ),
    ("postgresql", "shorter"): (
        "SM625",
        ["small", "name"],
        ["ALTER TABLE small ALTER COLUMN name TYPE varchar(3)"],
        ["ALTER TABLE small ALTER COLUMN name TYPE varchar(50)"],
    ),
    ("postgresql", "rounded"): (
        "SM635",
        ["big", "amount"],
        ["DROP VIEW report", "ALTER TABLE big ALTER COLUMN amount TYPE numeric(10, 0)"],
        ["DROP VIEW report", "ALTER TABLE big ALTER COLUMN amount TYPE numeric(12, 2)"],
    ),
    ("postgresql", "column dropped"): (
        "SM630",
        ["big", "at"],
        ["ALTER TABLE big DROP COLUMN at"],
        ["ALTER TABLE big ADD COLUMN b int", "ALTER TABLE big DROP COLUMN b"],
    ),
    ("postgresql", "renamed as drop"): (
        "SM633",
        ["small", "name", "title"],
        ["ALTER TABLE small ADD COLUMN title varchar(40)", "ALTER TABLE small DROP COLUMN name"],
        ["ALTER TABLE small ADD COLUMN title varchar(40)"],
    ),
    ("postgresql", "table dropped"): (
        "SM631",
        ["big"],
        ["DROP VIEW report", "DROP TABLE big"],
        ["CREATE TABLE fresh (a int)", "DROP TABLE fresh"],
    ),
    ("postgresql", "table made anew"): (
        "SM631",
        ["big"],
        [
            "CREATE TABLE fresh (id int, name varchar(40))",
            "INSERT INTO fresh SELECT id, name FROM big WHERE id > 1",
            "DROP VIEW report",
            "DROP TABLE big",
            "ALTER TABLE fresh RENAME TO big",
        ],
        [
            "CREATE TABLE fresh (id int, name varchar(40), amount numeric(10, 2), small_id int,"
            " at timestamp, title varchar(40), seen timestamp)",
            "INSERT INTO fresh SELECT id, name, amount, small_id, at, title, seen FROM big",
            "DROP VIEW report",
            "DROP TABLE big",
            "ALTER TABLE fresh RENAME TO big",
        ],
    ),
    ("postgresql", "table put aside"): (
        "SM631",
        ["big"],
        ["DROP VIEW report", "DROP TABLE big"],
        [
            "ALTER TABLE big RENAME TO aside",
            "CREATE TABLE big (id int, name varchar(40), amount numeric(10, 2), small_id int,"
            " at timestamp, title varchar(40), seen timestamp)",
            "INSERT INTO big SELECT id, name, amount, small_id, at, title, seen FROM aside",
            "DROP VIEW report",
            "DROP TABLE aside",
        ],
    ),
    ("postgresql", "truncate"): (
        "SM632",
        ["small", "big"],
        ["TRUNCATE small CASCADE"],
        ["CREATE TABLE fresh (a int)", "TRUNCATE fresh CASCADE"],
    ),
    ("postgresql", "children go along"): (
        "SM632",
        ["small", "big"],
        ["DELETE FROM small WHERE id = 1"],
        ["DELETE FROM big WHERE id = 1"],
    ),
    ("postgresql", "overwritten"): (
        "SM634",
        ["small", "name"],
        ["UPDATE small SET name = 'new'"],
        ["UPDATE small SET name = upper(name)"],
    ),
    ("postgresql", "column renamed"): (
        "SM640",
        ["small", "name", "title"],
        ["ALTER TABLE small RENAME COLUMN name TO title"],
        ["ALTER TABLE small ADD COLUMN title text"],
    ),
    ("postgresql", "table renamed"): (
        "SM641",
        ["small", "little"],
        ["ALTER TABLE small RENAME TO little"],
        ["ALTER TABLE small RENAME TO little", "CREATE VIEW small AS SELECT * FROM little"],
    ),
    ("postgresql", "default dropped"): (
        "SM642",
        ["small", "name"],
        ["ALTER TABLE small ALTER COLUMN name DROP DEFAULT"],
        ["ALTER TABLE small ALTER COLUMN name SET DEFAULT 'y'"],
    ),
    ("postgresql", "row level security"): (
        "SM643",
        ["small"],
        ["ALTER TABLE small ENABLE ROW LEVEL SECURITY"],
        ["CREATE TABLE fresh (a int)", "ALTER TABLE fresh ENABLE ROW LEVEL SECURITY"],
    ),
    ("postgresql", "not read"): (
        "SM601",
        [],
        ["DO $$ BEGIN EXECUTE 'DROP TABLE small'; END $$"],
        ["DO $$ BEGIN UPDATE small SET name = upper(name); END $$"],
    ),
    ("mariadb", "fulltext index"): (
        "SM610",
        ["big", "ix"],
        ["CREATE FULLTEXT INDEX ix ON big (name)"],
        ["CREATE INDEX ix ON big (name)"],
    ),
    ("mariadb", "foreign key"): (
        "SM611",
        ["big", "fk2"],
        ["ALTER TABLE big ADD CONSTRAINT fk2 FOREIGN KEY (small_id) REFERENCES small (id)"],
        ["ALTER TABLE small ADD INDEX ix (name)"],
    ),
    ("mariadb", "type"): (
        "SM614",
        ["big", "small_id"],
        ["ALTER TABLE big MODIFY small_id BIGINT NULL"],
        ["ALTER TABLE big MODIFY small_id INTEGER NULL"],
    ),
    ("mariadb", "varchar"): (
        "SM614",
        ["big", "name"],
        ["ALTER TABLE big MODIFY name VARCHAR(200) NULL"],
        ["ALTER TABLE big MODIFY short VARCHAR(200) NULL"],
    ),
    ("mariadb", "enum"): (
        "SM614",
        ["big", "kind", "c"],
        ["ALTER TABLE big MODIFY kind ENUM('a','c','b') NULL"],
        ["ALTER TABLE big MODIFY kind ENUM('a','b','c') NULL"],
    ),
    ("mariadb", "stored column"): (
        "SM615",
        ["big", "y"],
        ["ALTER TABLE big ADD COLUMN y INTEGER GENERATED ALWAYS AS (id + 1) STORED"],
        ["ALTER TABLE big ADD COLUMN y INTEGER GENERATED ALWAYS AS (id + 1) VIRTUAL"],
    ),
    ("mariadb", "new column without value"): (
        "SM642",
        ["small", "n"],
        ["ALTER TABLE small ADD COLUMN n INTEGER NOT NULL"],
        ["ALTER TABLE small ADD COLUMN n INTEGER NOT NULL DEFAULT 0"],
    ),
    ("mariadb", "modify forgets"): (
        "SM644",
        ["small", "name", "x"],
        ["ALTER TABLE small MODIFY name VARCHAR(50) NOT NULL"],
        ["ALTER TABLE small MODIFY name VARCHAR(50) NOT NULL DEFAULT 'x'"],
    ),
    ("mariadb", "rounded"): (
        "SM635",
        ["big", "amount"],
        ["ALTER TABLE big MODIFY amount DECIMAL(10, 0) NULL"],
        ["ALTER TABLE big MODIFY amount DECIMAL(10, 2) NULL"],
    ),
    ("mariadb", "character set"): (
        "SM619",
        ["big"],
        ["ALTER TABLE big CONVERT TO CHARACTER SET utf16"],
        ["ALTER TABLE small CONVERT TO CHARACTER SET utf8mb4"],
    ),
    ("postgresql", "type under a column"): (
        "SM603",
        ["mood", "small", "m"],
        ["DROP TYPE mood"],
        ["ALTER TABLE small DROP COLUMN m", "DROP TYPE mood"],
    ),
    ("postgresql", "type with its columns"): (
        "SM630",
        ["mood", "small", "m"],
        ["DROP TYPE mood CASCADE"],
        ["CREATE TYPE fresh AS ENUM ('a')", "DROP TYPE fresh CASCADE"],
    ),
    ("postgresql", "type that is there"): (
        "SM604",
        ["mood"],
        ["CREATE TYPE mood AS ENUM ('sad')"],
        ["CREATE TYPE mood2 AS ENUM ('sad')"],
    ),
    ("postgresql", "type that is not there"): (
        "SM604",
        ["small", "k", "kind"],
        ["ALTER TABLE small ADD COLUMN k kind"],
        ["CREATE TYPE kind AS ENUM ('a')", "ALTER TABLE small ADD COLUMN k kind"],
    ),
    ("postgresql", "foreign key to what is not unique"): (
        "SM603",
        ["small", "name", "big"],
        ["ALTER TABLE big ADD CONSTRAINT f FOREIGN KEY (name) REFERENCES small (name) NOT VALID"],
        [
            "ALTER TABLE small ADD CONSTRAINT u UNIQUE (name)",
            "ALTER TABLE big ADD CONSTRAINT f FOREIGN KEY (name) REFERENCES small (name)"
            " NOT VALID",
        ],
    ),
    ("postgresql", "foreign key to another type"): (
        "SM603",
        ["big", "name", "small"],
        ["ALTER TABLE big ADD CONSTRAINT f FOREIGN KEY (name) REFERENCES small (id) NOT VALID"],
        [
            "ALTER TABLE big ADD COLUMN s bigint",
            "ALTER TABLE big ADD CONSTRAINT f FOREIGN KEY (s) REFERENCES small (id)",
        ],
    ),
    ("postgresql", "column that a key leads to"): (
        "SM603",
        ["small", "id", "fk"],
        ["ALTER TABLE small DROP COLUMN id"],
        [
            "ALTER TABLE big DROP CONSTRAINT fk",
            "DROP TABLE note",
            "ALTER TABLE small DROP COLUMN id",
        ],
    ),
    ("postgresql", "constraint that a key leads to"): (
        "SM603",
        ["small", "small_pkey", "fk"],
        ["ALTER TABLE small DROP CONSTRAINT small_pkey"],
        [
            "ALTER TABLE big DROP CONSTRAINT fk",
            "DROP TABLE note",
            "ALTER TABLE small DROP CONSTRAINT small_pkey",
        ],
    ),
    ("postgresql", "truncate of what others refer to"): (
        "SM603",
        ["small", "big"],
        ["TRUNCATE small"],
        ["TRUNCATE small, big, note"],
    ),
    ("postgresql", "default that is no value"): (
        "SM603",
        ["big", "amount"],
        ["ALTER TABLE big ALTER COLUMN amount SET DEFAULT 'cheap'"],
        ["ALTER TABLE big ALTER COLUMN amount SET DEFAULT '7'"],
    ),
    ("postgresql", "view dropped"): (
        "SM640",
        ["report"],
        ["DROP VIEW report"],
        ["DROP VIEW report", "CREATE VIEW report AS SELECT amount, id FROM big"],
    ),
    ("postgresql", "other schema"): (
        "SM641",
        ["small"],
        ["CREATE SCHEMA attic", "ALTER TABLE small SET SCHEMA attic"],
        ["CREATE SCHEMA attic"],
    ),
    ("postgresql", "sequence of a default"): (
        "SM642",
        ["many_id_seq", "many"],
        ["DROP SEQUENCE many_id_seq CASCADE"],
        ["CREATE SEQUENCE fresh", "DROP SEQUENCE fresh CASCADE"],
    ),
    ("postgresql", "rows that others refer to"): (
        "SM626",
        ["small", "note"],
        ["DELETE FROM small WHERE id = 2"],
        ["DELETE FROM note", "DELETE FROM small WHERE id = 2"],
    ),
    ("postgresql", "revoke"): (
        "SM643",
        ["small"],
        ["REVOKE SELECT ON small FROM PUBLIC"],
        ["GRANT SELECT ON small TO PUBLIC"],
    ),
    ("mariadb", "foreign key to a table that is not there"): (
        "SM604",
        ["big", "f", "city"],
        ["ALTER TABLE big ADD CONSTRAINT f FOREIGN KEY (small_id) REFERENCES city (id)"],
        ["ALTER TABLE big ADD CONSTRAINT f FOREIGN KEY (small_id) REFERENCES small (id)"],
    ),
    ("mariadb", "table under a view"): (
        "SM640",
        ["big", "report"],
        ["DROP TABLE big"],
        ["CREATE OR REPLACE VIEW report AS SELECT 1 AS amount", "ALTER TABLE big ADD note int"],
    ),
    ("mariadb", "foreign key to another type"): (
        "SM603",
        ["big", "s", "small"],
        [
            "ALTER TABLE big ADD COLUMN s BIGINT NULL",
            "ALTER TABLE big ADD CONSTRAINT f FOREIGN KEY (s) REFERENCES small (id)",
        ],
        [
            "ALTER TABLE big ADD COLUMN s INTEGER NULL",
            "ALTER TABLE big ADD CONSTRAINT f FOREIGN KEY (s) REFERENCES small (id)",
        ],
    ),
    ("mariadb", "column of a foreign key"): (
        "SM603",
        ["big", "small_id", "fk"],
        ["ALTER TABLE big DROP COLUMN small_id"],
        ["ALTER TABLE big DROP FOREIGN KEY fk", "ALTER TABLE big DROP COLUMN small_id"],
    ),
    ("mariadb", "column of a unique index"): (
        "SM603",
        ["big", "short", "uq"],
        ["CREATE UNIQUE INDEX uq ON big (id, short)", "ALTER TABLE big DROP COLUMN short"],
        ["CREATE INDEX ix ON big (id, short)", "ALTER TABLE big DROP COLUMN short"],
    ),
    ("mariadb", "truncate of what others refer to"): (
        "SM603",
        ["small", "big"],
        ["TRUNCATE TABLE small"],
        ["TRUNCATE TABLE big"],
    ),
    ("mariadb", "view dropped"): (
        "SM640",
        ["report"],
        ["DROP VIEW report"],
        ["CREATE OR REPLACE VIEW report AS SELECT amount, id FROM big"],
    ),
    ("mariadb", "another character set"): (
        "SM625",
        ["big", "name", "latin1"],
        ["ALTER TABLE big CONVERT TO CHARACTER SET latin1"],
        ["ALTER TABLE big CONVERT TO CHARACTER SET utf8mb4"],
    ),
    ("mariadb", "text that is no JSON"): (
        "SM625",
        ["small", "name"],
        ["ALTER TABLE small MODIFY name JSON NOT NULL"],
        ["ALTER TABLE small ADD COLUMN doc JSON NULL"],
    ),
    ("mysql", "index over a text"): (
        "SM603",
        ["big", "t"],
        ["ALTER TABLE big ADD COLUMN t TEXT NULL", "CREATE INDEX ix ON big (t)"],
        ["ALTER TABLE big ADD COLUMN t VARCHAR(100) NULL", "CREATE INDEX ix ON big (t)"],
    ),
    ("mysql", "index that is too long"): (
        "SM603",
        ["big", "u", "3072"],
        ["ALTER TABLE big ADD COLUMN u VARCHAR(1000) NULL", "CREATE INDEX ix ON big (u)"],
        ["ALTER TABLE big ADD COLUMN u VARCHAR(700) NULL", "CREATE INDEX ix ON big (u)"],
    ),
    ("sqlite", "table made anew"): (
        "SM631",
        ["big"],
        [
            "CREATE TABLE fresh (id int, name varchar(40))",
            "INSERT INTO fresh SELECT id, name FROM big WHERE id > 1",
            "DROP VIEW report",
            "DROP TABLE big",
            "ALTER TABLE fresh RENAME TO big",
        ],
        [
            "CREATE TABLE fresh (id int, name varchar(40), amount numeric)",
            "INSERT INTO fresh SELECT id, name, amount FROM big",
            "DROP VIEW report",
            "DROP TABLE big",
            "ALTER TABLE fresh RENAME TO big",
        ],
    ),
    ("sqlite", "table put aside"): (
        "SM631",
        ["big"],
        ["DROP TABLE big"],
        [
            "DROP VIEW report",
            "ALTER TABLE big RENAME TO aside",
            "CREATE TABLE big (id int, name varchar(40), amount numeric)",
            "INSERT INTO big (id, name, amount) SELECT id, name, amount FROM aside",
            "DROP TABLE aside",
        ],
    ),
    ("sqlite", "vacuum in a transaction"): (
        "SM603",
        ["VACUUM"],
        ["VACUUM"],
        ["ANALYZE"],
    ),
    ("sqlite", "column under a view"): (
        "SM603",
        ["big", "amount", "report"],
        ["ALTER TABLE big DROP COLUMN amount"],
        ["DROP VIEW report", "ALTER TABLE big DROP COLUMN amount"],
    ),
    ("sqlite", "view dropped"): (
        "SM640",
        ["report"],
        ["DROP VIEW report"],
        ["DROP VIEW report", "CREATE VIEW report AS SELECT amount, id FROM big"],
    ),
    ("sqlite", "overwritten"): (
        "SM634",
        ["small", "name"],
        ["UPDATE small SET name = 'new'"],
        ["UPDATE small SET name = upper(name)"],
    ),
    ("postgresql", "rows that a VALIDATE refuses"): (
        "SM624",
        ["big", "low"],
        [
            "ALTER TABLE big ADD CONSTRAINT low CHECK (amount < 9) NOT VALID",
            OUTSIDE + "ALTER TABLE big VALIDATE CONSTRAINT low",
        ],
        [
            "ALTER TABLE big ADD CONSTRAINT low CHECK (amount > 0) NOT VALID",
            OUTSIDE + "ALTER TABLE big VALIDATE CONSTRAINT low",
        ],
    ),
    ("postgresql", "another collation under an index"): (
        "SM614",
        ["big", "title", "ix_title"],
        [
            "CREATE INDEX ix_title ON big (title)",
            'ALTER TABLE big ALTER COLUMN title TYPE varchar(40) COLLATE "C"',
        ],
        ['ALTER TABLE big ALTER COLUMN title TYPE varchar(40) COLLATE "C"'],
    ),
    ("postgresql", "deferred keys wait"): (
        "SM603",
        ["late"],
        [
            "CREATE TABLE late (s int REFERENCES small (id) DEFERRABLE INITIALLY DEFERRED)",
            "INSERT INTO late (s) VALUES (1)",
            "ALTER TABLE late ADD COLUMN n int",
        ],
        [
            "CREATE TABLE late (s int REFERENCES small (id) DEFERRABLE INITIALLY DEFERRED)",
            "INSERT INTO late (s) VALUES (1)",
            "SET CONSTRAINTS ALL IMMEDIATE",
            "ALTER TABLE late ADD COLUMN n int",
        ],
    ),
    ("postgresql", "INSERT without a value"): (
        "SM603",
        ["big", "id"],
        ["INSERT INTO big (name) VALUES ('x')"],
        ["INSERT INTO big (id, name) VALUES (9999, 'x')"],
    ),
    ("postgresql", "column that UPDATE names"): (
        "SM604",
        ["small", "nam"],
        ["UPDATE small SET nam = 'x' WHERE id = 1"],
        ["UPDATE small SET name = 'x' WHERE id = 1"],
    ),
    ("postgresql", "new column that stays empty"): (
        "SM621",
        ["small", "n"],
        ["ALTER TABLE small ADD COLUMN n int", "ALTER TABLE small ALTER COLUMN n SET NOT NULL"],
        [
            "ALTER TABLE small ADD COLUMN n int",
            "UPDATE small SET n = 1",
            "ALTER TABLE small ALTER COLUMN n SET NOT NULL",
        ],
    ),
    ("postgresql", "number for a boolean"): (
        "SM603",
        ["small", "b", "boolean"],
        ["ALTER TABLE small ADD COLUMN b boolean DEFAULT 1"],
        ["ALTER TABLE small ADD COLUMN b boolean DEFAULT '1'"],
    ),
    ("postgresql", "default that comes back"): (
        "SM642",
        ["small", "name"],
        ["ALTER TABLE small ALTER COLUMN name DROP DEFAULT"],
        [
            "ALTER TABLE small ALTER COLUMN name DROP DEFAULT",
            "ALTER TABLE small ALTER COLUMN name SET DEFAULT 'y'",
        ],
    ),
    ("postgresql", "table in another's place"): (
        "SM630",
        ["small", "twin", "m"],
        [
            "CREATE TABLE twin (id int PRIMARY KEY, name varchar(40) NOT NULL DEFAULT 'x')",
            "INSERT INTO twin (id, name) SELECT id, name FROM small",
            "DROP TABLE small CASCADE",
            "ALTER TABLE twin RENAME TO small",
        ],
        [
            "CREATE TABLE twin (id int PRIMARY KEY, name varchar(40) DEFAULT 'x', m mood)",
            "INSERT INTO twin (id, name, m) SELECT id, name, m FROM small",
            "DROP TABLE small CASCADE",
            "ALTER TABLE twin RENAME TO small",
        ],
    ),
    ("postgresql", "most rows deleted"): (
        "SM632",
        ["big"],
        ["DELETE FROM big WHERE id > 0"],
        ["CREATE TABLE fresh (a int)", "DELETE FROM fresh WHERE a > 0"],
    ),
    ("mariadb", "OR for texts"): (
        "SM634",
        ["small", "name"],
        ["UPDATE small SET name = '7' || '8'"],
        ["UPDATE small SET name = concat(name, '')"],
    ),
    ("mariadb", "REPLACE deletes"): (
        "SM632",
        ["small", "big"],
        ["REPLACE INTO small (id, name) VALUES (1, 'new')"],
        ["INSERT INTO small (id, name) VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = name"],
    ),
    ("mariadb", "algorithm that is refused"): (
        "SM603",
        ["small", "INSTANT"],
        ["ALTER TABLE small MODIFY name VARCHAR(900) NOT NULL DEFAULT 'x', ALGORITHM=INSTANT"],
        ["ALTER TABLE small ADD COLUMN q INT NULL, ALGORITHM=INSTANT"],
    ),
    ("mariadb", "lock that is refused"): (
        "SM603",
        ["big", "NONE"],
        ["ALTER TABLE big ADD CONSTRAINT c CHECK (id > 0), LOCK=NONE"],
        ["ALTER TABLE big ADD INDEX ix (name), LOCK=NONE"],
    ),
    ("mariadb", "INSERT without a value"): (
        "SM603",
        ["small", "id"],
        ["INSERT INTO small (name) VALUES ('q')"],
        ["INSERT INTO small (id, name) VALUES (9, 'q')"],
    ),
    ("mariadb", "column that UPDATE names"): (
        "SM604",
        ["small", "nam"],
        ["UPDATE small SET nam = 'x' WHERE id = 1"],
        ["UPDATE small SET name = 'x' WHERE id = 1"],
    ),
    ("mariadb", "table that ALTER names"): (
        "SM604",
        ["smal"],
        ["ALTER TABLE smal ADD COLUMN x INT NULL"],
        ["CREATE TEMPORARY TABLE smal (a INT)", "DROP TEMPORARY TABLE smal"],
    ),
    ("sqlite", "column of an index"): (
        "SM603",
        ["big", "name", "ix"],
        ["CREATE INDEX ix ON big (name)", "ALTER TABLE big DROP COLUMN name"],
        ["ALTER TABLE big DROP COLUMN name"],
    ),
    ("sqlite", "default that is worked out"): (
        "SM603",
        ["big", "at"],
        ["ALTER TABLE big ADD COLUMN at TEXT DEFAULT CURRENT_TIMESTAMP"],
        ["ALTER TABLE big ADD COLUMN at TEXT DEFAULT '2024-01-01'"],
    ),
    ("sqlite", "table in another's place"): (
        "SM630",
        ["big", "twin", "amount"],
        [
            "CREATE TABLE twin (id INTEGER PRIMARY KEY, name TEXT)",
            "INSERT INTO twin (id, name) SELECT id, name FROM big",
            "DROP VIEW report",
            "DROP TABLE big",
            "ALTER TABLE twin RENAME TO big",
        ],
        [
            "CREATE TABLE twin (id INTEGER PRIMARY KEY, name TEXT, amount NUMERIC(10, 2))",
            "INSERT INTO twin (id, name, amount) SELECT id, name, amount FROM big",
            "DROP VIEW report",
            "DROP TABLE big",
            "ALTER TABLE twin RENAME TO big",
        ],
    ),
    ("mariadb", "not read"): (
        "SM601",
        [],
        ["LOAD DATA INFILE 'x' INTO TABLE small"],
        ["REPLACE INTO small (id) VALUES (9)"],
    ),
}


def recorded(dialect: str, statements: Sequence[str]) -> Recorded:
    operations: list[Operation] = []
    for line, sql in enumerate(statements, 1):
        text = " ".join(sql.split())
        place = Place("r1", "r1.py", line, text, sql.startswith(OUTSIDE), sql=sql)
        operations += READERS[dialect](sql, place)
    return Recorded("r1", "r1.py", tuple(operations))


def database(dialect: str) -> Known:
    known = Known(dialect)
    if dialect == "sqlite":
        known = sqlite_database()
    else:
        for operation in READERS[dialect](TABLES[dialect], Place("", "", None)):
            known.apply(operation)
    for table in known.tables.values():
        table.new, table.rows = False, 3
        table.added.clear()
    known.tables["big"].rows = 1_000_000
    return known


def hazards(dialect: str, statements: Sequence[str]) -> list[Hazard]:
    context = Context(dialect, VERSIONS[dialect], time_zone="UTC")
    found = judge([recorded(dialect, statements)], database(dialect), context)
    # Only a server can tell what it refuses to read.
    return [h for h in found if h.code not in ("SM650", "SM651") and not h.trial]


@pytest.mark.parametrize(("dialect", "name"), CASES)
def test_the_bad_side_is_named_and_the_good_one_left_in_peace(dialect: str, name: str) -> None:
    code, names, bad, good = CASES[dialect, name]
    found = [h for h in hazards(dialect, bad) if h.code == code]
    assert len(found) >= 1, [h.message for h in hazards(dialect, bad)]
    assert all(f"'{each}'" in found[0].message or each in found[0].message for each in names)
    assert found[0].severity > Severity.INFO or code == "SM601"
    # Questions that the rows decide are none of the code alone.
    alarms = [h for h in hazards(dialect, good) if h.severity > Severity.INFO and h.probe is None]
    assert [(h.code, h.message) for h in alarms if h.code == code] == []


@pytest.mark.parametrize(("rows", "severities"), [(3, set()), (3000, {Severity.INFO})])
def test_little_is_said_of_locks_on_small_tables(rows: int, severities: set[Severity]) -> None:
    statements = [
        "CREATE INDEX ix ON small (name)",
        "ALTER TABLE small ADD CONSTRAINT ck CHECK (id > 0)",
    ]
    known = database("postgresql")
    known.tables["small"].rows = rows
    context = Context("postgresql", VERSIONS["postgresql"])
    found = judge([recorded("postgresql", statements)], known, context)
    assert {h.severity for h in found if h.code in ("SM610", "SM612")} == severities


def test_a_table_that_is_emptied_first_is_small() -> None:
    key = "ALTER TABLE big ADD CONSTRAINT k FOREIGN KEY (small_id) REFERENCES small (id)"
    for first, code in ((["TRUNCATE big"], set()), ([], {"SM611"})):
        found = hazards("postgresql", [*first, key])
        assert {h.code for h in found if h.code in ("SM611", "SM617")} == code


def test_many_things_that_stay_behind_are_said_once() -> None:
    names = ("a", "b", "c", "d", "e")
    up = recorded("sqlite", [f"CREATE TABLE {name} (id INTEGER)" for name in names])
    down = recorded("sqlite", ["DROP TABLE big"]).upgrade
    found = judge([up._replace(downgrade=down)], database("sqlite"), Context("sqlite"))
    (left,) = [h for h in found if h.code == "SM651"]
    assert left.message.startswith("The downgrade leaves table 'a' and 4 more: ")


@pytest.mark.parametrize("dialect", TABLES)
def test_the_way_back(dialect: str) -> None:
    up = recorded(dialect, ["CREATE TABLE tag (id int)", "CREATE INDEX ix_tag ON tag (id)"])
    for statements, codes in (
        (["DROP TABLE tag"], []),
        ([], ["SM651"]),
        (["DROP TABLE tags"], ["SM650", "SM651", "SM651"]),
    ):
        down = recorded(dialect, statements).upgrade
        found = judge(
            [up._replace(downgrade=down)],
            database(dialect),
            Context(dialect, VERSIONS[dialect]),
        )
        assert [h.code for h in found if not h.trial] == codes, statements


def test_an_enum_type_stays_behind() -> None:
    up = recorded("postgresql", ["CREATE TYPE state AS ENUM ('a')", "CREATE TABLE t (s state)"])
    down = recorded("postgresql", ["DROP TABLE t"]).upgrade
    context = Context("postgresql", (15,))
    found = judge([up._replace(downgrade=down)], database("postgresql"), context)
    assert [(h.code, h.object) for h in found] == [("SM651", "type 'state'")]


def test_hints_are_code_also_where_a_name_is_a_word_of_sql() -> None:
    columns = {"id": Column("id", "integer"), "group": Column("group", "text")}
    known = Known("postgresql", {"user": KnownTable("user", columns, ("id",), rows=50_000)})
    statements = [
        'ALTER TABLE "user" ALTER COLUMN "group" SET NOT NULL',
        """ALTER TABLE "user" ADD CONSTRAINT ck CHECK ("group" <> 'x')""",
        'ALTER TABLE "user" ADD CONSTRAINT uq UNIQUE ("group")',
        'ALTER TABLE "user" ADD CONSTRAINT fk FOREIGN KEY (id) REFERENCES "user" (id)',
    ]
    context = Context("postgresql", (15,))
    found = {h.code: h.cure for h in judge([recorded("postgresql", statements)], known, context)}
    for code in ("SM611", "SM612", "SM613", "SM616"):
        tree = ast.parse(found[code])
        (sql,) = (
            node.args[0].value
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "execute"
            and isinstance(node.args[0], ast.Constant)
        )
        assert str(sql).startswith('ALTER TABLE "user" '), code
    assert '"group" IS NOT NULL' in found["SM613"]


def test_of_several_columns_none_is_said_to_be_the_new_name() -> None:
    added = ["ALTER TABLE big ADD COLUMN word TEXT", "ALTER TABLE big ADD COLUMN title TEXT"]
    for statements, code in ((added[:1], "SM633"), (added, "SM630")):
        found = hazards("sqlite", [*statements, "ALTER TABLE big DROP COLUMN name"])
        assert [h.code for h in found if h.code in ("SM630", "SM633")] == [code]


def test_messages_agree_with_the_number_of_rows() -> None:
    for dialect, name in CASES:
        for each in hazards(dialect, CASES[dialect, name][2]):
            for number, wrong in (
                (1, r"\b1 \w+s\b|\bits 1 row"),
                (None, r"\bnumber of \w+[^s]\b:"),
            ):
                said = each.told(number)
                assert not re.search(wrong, said), said
                assert "{" not in said, said
    most, found = (h for h in hazards("sqlite", ["DELETE FROM big WHERE id = 1"]) if h.probe)
    assert (most.code, most.severity) == ("SM632", Severity.WARNING)
    assert (found.code, found.severity) == ("SM632", Severity.INFO)
    assert found.told(1) == "DELETE from table 'big' deletes 1 row: it is lost."
    assert found.told(1200) == "DELETE from table 'big' deletes 1,200 rows: they are lost."
    assert found.told(None).startswith("DELETE from table 'big' deletes an unknown number of rows")


@pytest.mark.parametrize(
    ("code", "says", "bad", "good"),
    [
        (
            "SM603",
            "view 'report' reads it",
            ["DROP TABLE big"],
            [["DROP TABLE big", "DROP VIEW report"], ["DROP TABLE small"]],
        ),
        (
            "SM604",
            "leads to table 'city', which does not exist",
            ["CREATE TABLE town (id INTEGER PRIMARY KEY, city_id INTEGER REFERENCES city (id))"],
            [
                [
                    "CREATE TABLE town (id INTEGER, town_id INTEGER REFERENCES Town (id))",
                    "CREATE TABLE street (town_id INTEGER, FOREIGN KEY (town_id) REFERENCES city)",
                    "CREATE TABLE City (id INTEGER PRIMARY KEY)",
                ]
            ],
        ),
    ],
)
def test_what_sqlite_takes_and_the_engine_does_not(
    code: str, says: str, bad: Sequence[str], good: Sequence[Sequence[str]]
) -> None:
    (found,) = [each for each in hazards("sqlite", bad) if each.code == code]
    assert says in found.message
    for statements in good:
        assert [each for each in hazards("sqlite", statements) if each.code == code] == []
