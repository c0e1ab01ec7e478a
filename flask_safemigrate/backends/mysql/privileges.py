"""What a user may do in a database, by asking the server for things that are not there.

It looks at the privileges first, so what it says of a table that does not exist tells whether the
statement would be let through: roles, patterns and partial revokes are its own business, and
nothing is changed.
"""

from __future__ import annotations

import secrets as random
from collections.abc import Collection, Iterator

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.driver_errors import error_number
from flask_safemigrate.backends.mysql.quoting import quoted
from flask_safemigrate.backends.statements import plain

# Privilege -> a statement that needs it, about names that are not there.
_ASKED = {
    "DROP": "DROP TABLE {0}",
    "CREATE": "CREATE TABLE {0} LIKE {1}",
    "ALTER": "ALTER TABLE {0} COMMENT 'x'",
    "INSERT": "INSERT INTO {0} VALUES (1)",
    "LOCK TABLES": "LOCK TABLES {0} WRITE",
    "TRIGGER": "CREATE TRIGGER {0} BEFORE INSERT ON {0} FOR EACH ROW SET NEW.x = 1",
    "CREATE VIEW": "CREATE VIEW {0} AS SELECT 1 AS x FROM {1}",
    "ALTER ROUTINE": "DROP PROCEDURE {0}",
    "EVENT": "DROP EVENT {0}",
}
# https://mariadb.com/kb/en/mariadb-error-code-reference/
_DENIED = frozenset((1044, 1142, 1370))

_KINDS = text("""
    SELECT (SELECT count(*) FROM information_schema.views
            WHERE table_schema = database()) AS views,
        (SELECT count(*) FROM information_schema.routines
            WHERE routine_schema = database()) AS routines,
        (SELECT count(*) FROM information_schema.events WHERE event_schema = database()) AS events
""")


def to_restore(connection: Connection) -> tuple[str, ...]:
    """Return what this user lacks to replace the content of the database by a dump.

    Without TRIGGER nobody can see whether there are triggers: a dump would not have them, and they
    go with their tables.
    """
    there = connection.execute(_KINDS).one()
    wanted = {"DROP", "CREATE", "ALTER", "INSERT", "LOCK TABLES", "TRIGGER"}
    wanted |= {"CREATE VIEW"} if there.views else set()
    wanted |= {"ALTER ROUTINE"} if there.routines else set()
    wanted |= {"EVENT"} if there.events else set()
    return tuple(_lacking(connection, wanted))


def _lacking(connection: Connection, wanted: Collection[str]) -> Iterator[str]:
    absent = f"safemigrate_absent_{random.token_hex(4)}"
    for privilege, statement in _ASKED.items():
        if privilege not in wanted:
            continue
        try:
            connection.execute(plain(statement.format(quoted(absent), quoted(f"{absent}2"))))
        except SQLAlchemyError as error:
            if error_number(error) in _DENIED:
                yield privilege
