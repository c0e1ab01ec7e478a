#!/usr/bin/env bash
# sqlglot 30.30.0, dialect "sqlite": of four tables that SQLite makes, three are refused (two CHECKs
# without a comma between them, a conflict clause of NOT NULL, a type of three words) and one with two
# options, WITHOUT ROWID and STRICT, comes back as a Command that says nothing of its columns.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install -q --disable-pip-version-check sqlglot==30.30.0
"$scratch/env/bin/python" - <<'PROGRAM'
import logging
import sqlite3

import sqlglot

logging.disable()
tables = [
    "CREATE TABLE a (x, y, CHECK (x > y) CHECK (y > 0))",
    "CREATE TABLE b (x TEXT NOT NULL ON CONFLICT REPLACE DEFAULT 1)",
    "CREATE TABLE c (x UNSIGNED BIG INT)",
    "CREATE TABLE d (x TEXT PRIMARY KEY) WITHOUT ROWID, STRICT",
]
found = []
for sql in tables:
    if not (sql.endswith("STRICT") and sqlite3.sqlite_version_info < (3, 37)):
        sqlite3.connect(":memory:").execute(sql)
    try:
        found.append(type(sqlglot.parse_one(sql, read="sqlite")).__name__)
    except sqlglot.errors.ParseError:
        found.append("refused")
print(*zip(found, tables), sep="\n")
assert found == ["refused", "refused", "refused", "Command"]
PROGRAM
