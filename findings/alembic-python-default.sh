#!/usr/bin/env bash
# Alembic 1.20.1 on SQLite: whether add_column(Column(..., default=10)) in a batch block fills the rows
# that are there depends on what else stands in the block. Alone it leaves them NULL; beside an
# operation that needs the table to be made anew, here a change of NULL, every row gets 10.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install -q --disable-pip-version-check alembic==1.20.1 SQLAlchemy==2.1.9
"$scratch/env/bin/python" - <<'PROGRAM'
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations


def rows(beside):
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER)")
        connection.exec_driver_sql("INSERT INTO t VALUES (1, 1)")
        op = Operations(MigrationContext.configure(connection))
        with op.batch_alter_table("t") as batch:
            batch.add_column(sa.Column("n", sa.Integer, default=10))
            if beside:
                batch.alter_column("x", existing_type=sa.Integer, nullable=True)
        return connection.exec_driver_sql("SELECT n FROM t").fetchall()


alone, beside = rows(False), rows(True)
print("add_column alone:", alone, "  beside alter_column:", beside)
assert alone == [(None,)]
assert beside == [(10,)]
PROGRAM
