#!/usr/bin/env bash
# SQLAlchemy 2.1.9: reading a MySQL or MariaDB table through a connection (inspect(connection), as Alembic
# does) puts an execution option on that connection for good, after which it tells its listeners of
# "handle_error" nothing more. A module of a few lines stands for driver and server here.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install -q --disable-pip-version-check sqlalchemy==2.1.9
"$scratch/env/bin/python" - <<'PROGRAM'
import sqlite3
import types

import sqlalchemy as sa

TABLE = "SELECT 't', 'CREATE TABLE `t` (\n  `a` int(11) NOT NULL\n)'"


class Cursor(sqlite3.Cursor):
    def execute(self, statement, parameters=()):
        if statement.startswith("SHOW CREATE TABLE"):
            statement = TABLE
        elif statement.startswith(("SELECT", "SET")):  # what SQLAlchemy asks a new connection
            statement = "SELECT '9'"
        return super().execute(statement)


class Connection(sqlite3.Connection):
    character_set_name = lambda self: "utf8mb4"

    def cursor(self):
        return super().cursor(Cursor)


driver = types.SimpleNamespace(**{name: getattr(sqlite3, name) for name in dir(sqlite3)})
driver.paramstyle, driver.connect = "format", lambda **_: Connection(":memory:")
engine = sa.create_engine("mysql+mysqldb://", module=driver)
heard = []
sa.event.listen(engine, "handle_error", lambda context: heard.append(context.statement))


def fail(connection, statement):
    try:
        connection.exec_driver_sql(statement)
    except sa.exc.DBAPIError:
        pass


with engine.connect() as connection:
    fail(connection, "DROP TABLE before")
    columns = sa.inspect(connection).get_columns("t")
    fail(connection, "DROP TABLE after")
print([column["name"] for column in columns], heard)
assert heard == ["DROP TABLE before"]
PROGRAM
