"""A copy of a MariaDB or MySQL database in a scratch database, by its own programs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Connection, text

from flask_safemigrate.backends.contract import Say, Target
from flask_safemigrate.backends.mysql.programs import connected, led, server_of, tool_path
from flask_safemigrate.backends.mysql.restore import Load, definers_to_replace
from flask_safemigrate.backends.mysql.snapshot import inspect, write
from flask_safemigrate.backends.tools import news, private_folder
from flask_safemigrate.ddl.reaching import reaches_out
from flask_safemigrate.errors import NoRehearsal

_READABLE = ("information_schema", "performance_schema", "sys")
_CODE = text("""
    SELECT concat('trigger ', trigger_name) AS name, action_statement AS code
    FROM information_schema.triggers WHERE trigger_schema = database()
    UNION ALL SELECT concat(lower(routine_type), ' ', routine_name), routine_definition
    FROM information_schema.routines WHERE routine_schema = database()
    UNION ALL SELECT concat('view ', table_name), view_definition FROM information_schema.views
    WHERE table_schema = database()
""")


def copy(target: Target, scratch: Connection, rows: bool, say: Say) -> None:
    """Fill a scratch database with the schema of the database, and with its rows if asked.

    Events stay behind, which the server would run there by itself.

    :raises NoRehearsal: what is in the database could reach outside of the copy.
    :raises SnapshotFailed: a program is missing or fails.
    """
    name = str(scratch.execute(text("SELECT database()")).scalar())
    scratch.commit()
    with private_folder() as folder:
        path = Path(folder) / f"{name}.sql.gz"
        write(target, path, say, rows=rows, events=False)
        with path.open("rb") as file, connected(target) as connection:
            dump = inspect(path, file)
            server = server_of(connection, target)
            replaced = definers_to_replace(scratch, dump.definers)
            scratch.commit()
            with led(tool_path(server, "mariadb", "mysql"), server) as program:
                tell = news(say, "restoring", path, target.bind)
                Load(program, server, target, file, tell, replaced)(name)
            databases = text("SELECT schema_name FROM information_schema.schemata")
            known = {str(each) for each in connection.execute(databases).scalars()}
    _prove_confined(scratch, known - {name, *_READABLE}, server.mariadb)
    if rows:
        for table in scratch.execute(text("SHOW FULL TABLES WHERE table_type <> 'VIEW'")).all():
            quoted = scratch.dialect.identifier_preparer.quote(str(table[0]))
            scratch.exec_driver_sql(f"ANALYZE TABLE {quoted}").all()
    scratch.commit()


def _prove_confined(scratch: Connection, others: Collection[str], mariadb: bool) -> None:
    """
    :raises NoRehearsal: what is kept in the copy names another database.
    """
    dialect = "mariadb" if mariadb else "mysql"
    for name, code in scratch.execute(_CODE):
        if code and (says := reaches_out(dialect, str(code), others)):
            raise NoRehearsal(f"the database has the {name}, which {says}")
