#!/usr/bin/env bash
# sqlite-utils 4.2.1: table.transform(rename=...) of one column also takes away what it was not asked
# about: the collation of another column, so that a query finds other rows, the length of its type, a
# generated column, DEFERRABLE of a foreign key, and the trigger of the table.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install -q --disable-pip-version-check sqlite-utils==4.2.1
"$scratch/env/bin/python" - <<'PROGRAM'
import sqlite_utils

db = sqlite_utils.Database(memory=True)
db.execute("CREATE TABLE p (id INTEGER PRIMARY KEY)")
db.execute(
    "CREATE TABLE t (id INTEGER PRIMARY KEY, n VARCHAR(20) COLLATE NOCASE, q TEXT,"
    " p INTEGER REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED, g AS (n || '!'))"
)
db.execute("CREATE TRIGGER tr AFTER INSERT ON t BEGIN UPDATE t SET q = 1; END")
db.execute("INSERT INTO t (id, n) VALUES (1, 'A')")
find = "SELECT count(*) FROM t WHERE n = 'a'"
before = db.execute(find).fetchone()[0]
db["t"].transform(rename={"q": "r"})
after = db.execute(find).fetchone()[0]
sql = db["t"].schema
triggers = db.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone()[0]
print("rows found before and after:", before, after, "  triggers left:", triggers)
print(sql)
assert (before, after, triggers) == (1, 0, 0)
assert not any(word in sql for word in ("NOCASE", "VARCHAR", "DEFERRABLE", '"g"'))
PROGRAM
