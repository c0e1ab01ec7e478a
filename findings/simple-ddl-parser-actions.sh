#!/usr/bin/env bash
# simple-ddl-parser 1.13.0: the action of a foreign key. At a column, SET NULL and SET DEFAULT both come
# back as "SET", while at the end of the table they are read right; with NO ACTION in either place the
# whole table is missing from the result, without an error.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install -q --disable-pip-version-check simple-ddl-parser==1.13.0
"$scratch/env/bin/python" - <<'PROGRAM'
from simple_ddl_parser import DDLParser


def read(action):
    found = DDLParser(
        f"CREATE TABLE t (id INT PRIMARY KEY, p INT REFERENCES q (id) ON DELETE {action});"
    ).run()
    return found[0]["columns"][1]["references"]["on_delete"] if found else "no table"


def read_at_end(action):
    found = DDLParser(
        "CREATE TABLE t (id INT PRIMARY KEY, p INT,"
        f" FOREIGN KEY (p) REFERENCES q (id) ON DELETE {action});"
    ).run()
    return found[0]["columns"][1]["references"]["on_delete"] if found else "no table"


actions = ["CASCADE", "SET NULL", "SET DEFAULT", "NO ACTION"]
found = [(action, read(action), read_at_end(action)) for action in actions]
print(*found, sep="\n")
assert [each[1] for each in found] == ["CASCADE", "SET", "SET", "no table"]
assert [each[2] for each in found] == [*actions[:3], "no table"]
PROGRAM
