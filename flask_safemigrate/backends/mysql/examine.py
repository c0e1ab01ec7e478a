"""What the doctor asks of a MariaDB or MySQL database besides its tables."""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.mysql.address import connect_defaults
from flask_safemigrate.backends.mysql.quoting import quoted
from flask_safemigrate.backends.mysql.read import ANSWER_SECONDS
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.facts.examination import Examination, Idle, Lacking, Storage
from flask_safemigrate.names import OWN_TABLES

_QUERY_WIDTH = 80
#: What revisions do.
_NEEDED = (
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "ALTER",
    "DROP",
    "INDEX",
    "REFERENCES",
)

_SELF = "SELECT database() AS name, current_user() AS username, @@collation_database AS collation"

_TABLES = """
    SELECT table_name AS name, engine AS engine, table_collation AS collation
    FROM information_schema.tables
    WHERE table_schema = database() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    ORDER BY table_name
"""

_TEXTS = """
    SELECT table_name AS name, column_name AS `column`, character_set_name AS charset,
        collation_name AS collation
    FROM information_schema.columns
    WHERE table_schema = database() AND collation_name IS NOT NULL
    ORDER BY table_name, ordinal_position
"""

# Whoever has read or written in a transaction keeps its tables from being altered. Another
# user's sessions are seen with the privilege PROCESS alone.
_IDLE = """
    SELECT p.id AS id, p.user AS username, p.host AS client, p.time AS seconds
    FROM information_schema.innodb_trx t
        JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
    WHERE p.db = database() AND p.command = 'Sleep' AND p.id <> connection_id()
    ORDER BY p.time DESC
"""

_GRANT = re.compile(
    r"^(?P<verb>GRANT|REVOKE) (?P<what>.+?) ON (?P<on>(?:`(?:[^`]|``)*`|\*)\.\*) (?:TO|FROM) ",
    re.IGNORECASE,
)


def examine(target: Target, *, thorough: bool) -> Examination:
    """Ask by a connection of its own that changes nothing.

    :param thorough: the same here.
    :raises SQLAlchemyError: the server cannot be reached.
    """
    defaults = connect_defaults(target.engine, answer_seconds=ANSWER_SECONDS)
    with own_connection(target.engine, defaults) as connection:
        # What the application's listeners have set, before anything of ours.
        mode = str(connection.execute(text("SELECT @@sql_mode")).scalar() or "")
        connection.execute(text("SET SESSION lock_wait_timeout = 2"))
        connection.execute(text("SET SESSION TRANSACTION READ ONLY"))
        connection.commit()
        own = connection.execute(plain(_SELF)).one()
        return Examination(
            user=own.username,
            lacking=_lacking(connection, own.name, own.username),
            idle=tuple(
                Idle(row.id, f'user "{row.username}" from {row.client}', int(row.seconds))
                for row in _asked(connection, _IDLE)
            ),
            storage=_storage(connection),
            collation=own.collation,
            sql_mode=mode,
        )


def _asked(connection: Connection, query: str) -> list[Row[Any]]:
    with contextlib.suppress(SQLAlchemyError):
        return list(connection.execute(plain(query)))
    return []


def _storage(connection: Connection) -> tuple[Storage, ...]:
    texts: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for row in _asked(connection, _TEXTS):
        texts[row.name].append((row.column, row.charset, row.collation))
    return tuple(
        Storage(row.name, row.engine or "", row.collation or "", tuple(texts[row.name]))
        for row in _asked(connection, _TABLES)
        if row.name not in OWN_TABLES
    )


def _lacking(connection: Connection, database: str, user: str) -> tuple[Lacking, ...]:
    grants = [str(row[0]) for row in _asked(connection, "SHOW GRANTS")]
    missing = missing_privileges(grants, database) if grants else ()
    if not missing:
        return ()
    name, _, host = user.rpartition("@")
    what = ", ".join(missing)
    return (
        Lacking(
            f"use {what}",
            f"GRANT {what} ON {quoted(database)}.* TO '{name}'@'{host}';",
        ),
    )


def missing_privileges(grants: Iterable[str], database: str) -> tuple[str, ...]:
    """Return what a migration needs of a database and these grants do not give.

    :param grants: as ``SHOW GRANTS`` writes them; those of a role that is active among them.
    """
    given: set[str] = set()
    everywhere: set[str] = set()
    revoked: set[str] = set()
    for grant in grants:
        found = _GRANT.match(grant)
        if found is None or not _covers(found["on"], database):
            continue
        words = found["what"].upper()
        named = {word.strip() for word in words.split(",")}
        whole = set(_NEEDED) if "ALL PRIVILEGES" in words else named
        if found["verb"].upper() == "REVOKE":
            # A partial revoke of MySQL takes from what the account has on every database; what it
            # is given on the one itself stays.
            revoked |= whole
        elif found["on"] == "*.*":
            everywhere |= whole
        else:
            given |= whole
    given |= everywhere - revoked
    return tuple(privilege for privilege in _NEEDED if privilege not in given)


def _covers(place: str, database: str) -> bool:
    """Whether the place of a grant, which may be a pattern, means this database."""
    pattern = place.removesuffix(".*").strip("`").replace("``", "`")
    parts = re.split(r"(\\.|[%_])", pattern)
    wild = {"%": ".*", "_": "."}
    expression = "".join(
        wild.get(part) or re.escape(part[1:] if part[:1] == "\\" else part) for part in parts
    )
    return pattern == "*" or re.fullmatch(expression, database, re.IGNORECASE) is not None
