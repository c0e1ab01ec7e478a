#!/usr/bin/env bash
# Alembic 1.20.1, batch mode on SQLite: a unique or CHECK constraint over a column that the table has not
# is left out of the new table without an error, and add_column() of one that it has empties that column.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install -q --disable-pip-version-check alembic==1.20.1 sqlalchemy==2.1.9
"$scratch/env/bin/python" - <<'PROGRAM'
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

with sa.create_engine("sqlite://").begin() as connection:
    connection.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)")
    connection.exec_driver_sql("INSERT INTO t VALUES (1, 7)")
    op = Operations(MigrationContext.configure(connection))
    with op.batch_alter_table("t") as batch:
        batch.create_unique_constraint("u", ["nope"])
        batch.create_check_constraint("k", sa.column("nope") > 0)
    sql = connection.exec_driver_sql("SELECT sql FROM sqlite_master").scalar_one()
    with op.batch_alter_table("t", recreate="always") as batch:
        batch.add_column(sa.Column("a", sa.Integer))
    rows = [tuple(row) for row in connection.exec_driver_sql("SELECT * FROM t")]
print(" ".join(sql.split()), rows)
assert "CONSTRAINT" not in sql
assert rows == [(1, None)]
PROGRAM
