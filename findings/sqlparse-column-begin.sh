#!/usr/bin/env bash
# sqlparse 0.6.1: a column called begin, which SQL allows, hides the end of its statement. split() takes
# that statement and all that follow for one; with the name in quotes it finds three.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install -q --disable-pip-version-check sqlparse==0.6.1
"$scratch/env/bin/python" - <<'PROGRAM'
import sqlparse

script = "INSERT INTO log (id, {0}) VALUES (1, 2); DELETE FROM t; SELECT 1;"
bare, quoted = (sqlparse.split(script.format(name)) for name in ("begin", '"begin"'))
print(bare, quoted, sep="\n")
assert len(bare) == 1
assert len(quoted) == 3
PROGRAM
