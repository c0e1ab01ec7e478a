#!/usr/bin/env bash
# SQLAlchemy 2.1.9, SQLite: get_unique_constraints() finds a UNIQUE that stands behind a column, but not
# where the type of that column has a length or its DEFAULT is in parentheses, which SQLite enforces all
# the same.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install -q --disable-pip-version-check sqlalchemy==2.1.9
"$scratch/env/bin/python" - <<'PROGRAM'
import sqlalchemy as sa

found = []
for column in ("TEXT UNIQUE", "VARCHAR(8) UNIQUE", "TEXT DEFAULT ('') UNIQUE"):
    with sa.create_engine("sqlite://").connect() as connection:
        connection.exec_driver_sql(f"CREATE TABLE a (x {column}, y TEXT)")
        indexes = connection.exec_driver_sql("PRAGMA index_list(a)").all()
        constraints = sa.inspect(connection).get_unique_constraints("a")
        found.append((column, len(indexes), len(constraints)))
print(*found, sep="\n")
assert [counts[1:] for counts in found] == [(1, 1), (1, 0), (1, 0)]
PROGRAM
