"""Facts of a MariaDB or MySQL database."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Target, TooOld
from flask_safemigrate.backends.journal import journal_query, journal_rows
from flask_safemigrate.backends.mysql.address import address_of, connect_defaults
from flask_safemigrate.backends.mysql.explain import explain
from flask_safemigrate.backends.mysql.lock import in_cluster
from flask_safemigrate.backends.mysql.quoting import quoted
from flask_safemigrate.backends.mysql.unfinished import unfinished
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.own_tables import NotOurs, prove_own
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.facts.database import DatabaseState, ProgressRow, Table, Unreachable
from flask_safemigrate.names import (
    JOURNAL,
    LEFTOVER,
    OWN_TABLES,
    PROGRESS_TABLE,
    UNFINISHED_TABLE,
)

#: Older ones do not tell the CHECKs of a table, and have passed their end of life.
OLDEST = {"mariadb": ("MariaDB", (10, 3)), "mysql": ("MySQL", (8, 0, 16))}

ANSWER_SECONDS = 60

_FACTS = text("""
    SELECT database() AS name, version() AS version, current_user() AS username,
        @@global.read_only AS read_only, @@global.innodb_read_only AS innodb_read_only
""")

# MariaDB lists sequences beside tables; SYSTEM VERSIONED is its word for a table with history.
_TABLES = text("""
    SELECT table_schema AS place, table_name AS name, table_rows AS estimate,
        coalesce(data_length, 0) + coalesce(index_length, 0) AS size, table_type AS kind
    FROM information_schema.tables
    WHERE (table_schema = database() OR table_schema = :schema)
        AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW')
    ORDER BY table_name
""")

# Alembic's version table has one column.
_VERSION_TABLES = text("""
    SELECT table_name AS name FROM information_schema.columns WHERE table_schema = database()
    GROUP BY table_name HAVING count(*) = 1 AND max(column_name) = 'version_num'
""")

_PROGRESS = text(f"""
    SELECT revision, direction, position, kind, state, statement, started, host
    FROM {PROGRESS_TABLE} ORDER BY revision, direction, position
""")


_TRIGGERS = text("""
    SELECT event_object_table AS name, min(trigger_name) AS trigger_name
    FROM information_schema.triggers
    WHERE event_object_schema = :place AND event_object_table IN :names
    GROUP BY event_object_table ORDER BY event_object_table
""").bindparams(bindparam("names", expanding=True))


def _prove_own(connection: Connection, location: str, listed: Sequence[Row[Any]]) -> None:
    """See that the tables of ours are tables, and that nobody gave them a trigger.

    :param listed: tables and views.
    :raises NotOurs: one is not.
    """
    own = [row for row in listed if row.name.lower() in OWN_TABLES]
    strange = [(r.name, "is no plain table", "VIEW") for r in own if r.kind == "VIEW"]
    for place in sorted({row.place for row in own}):
        names = sorted({row.name for row in own if row.place == place})
        strange += [
            (row.name, f'has the trigger "{row.trigger_name}"', f"TRIGGER {row.trigger_name}")
            for row in connection.execute(_TRIGGERS, {"place": place, "names": names})
        ]
    prove_own(
        location,
        [(name, what) for name, what, _ in strange],
        f"look at it, then DROP {_dropped(*strange[0])};" if strange else "",
    )


def _dropped(name: str, what: str, dropped: str) -> str:
    kind, _, trigger = dropped.partition(" ")
    return f"{kind} {quoted(trigger or name)}"


def numbers_of(version: str) -> tuple[int, ...]:
    """Return the numbers of a server's version, those of MariaDB itself."""
    # MariaDB before 11 puts a number in front that old replicas understand.
    own = re.search(r"(\d+(?:\.\d+)+)(?=-MariaDB)", version, re.IGNORECASE)
    found = own or re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _prove_age(version: str, target: Target) -> None:
    """Stop at a server that knows too little to be asked anything else.

    :raises TooOld: it is older than :data:`OLDEST`.
    """
    dialect = "mariadb" if "mariadb" in version.lower() else "mysql"
    name, oldest = OLDEST[dialect]
    numbers = numbers_of(version)
    if numbers and numbers < oldest:
        wanted = ".".join(map(str, oldest))
        raise TooOld(
            Unreachable(
                "too old",
                f'{name} at "{address_of(target.engine.url).server}" is version '
                f"{'.'.join(map(str, numbers))}; {wanted} is the oldest that is served.",
                f"upgrade the server to {name} {wanted} or later",
            )
        )


class Unfinished(Exception):
    """The database was left in the middle of being emptied or filled."""

    def __init__(self, reason: Unreachable) -> None:
        super().__init__(reason.message)
        self.reason = reason


def _replicates(connection: Connection, dialect: str) -> bool:
    """Whether the server follows another one; no, where this user may not ask."""
    # MySQL 8.4 has forgotten the old word, MariaDB 10.5 has learnt the new one.
    word = "SLAVE" if dialect == "mariadb" else "REPLICA"
    with contextlib.suppress(SQLAlchemyError):
        return bool(connection.execute(plain(f"SHOW {word} STATUS")).all())
    return False


def _refuses(facts: Row[Any], location: str, replica: bool) -> Unreachable | None:
    if replica:
        return Unreachable(
            "replica",
            f'Database "{location}" is on a replica, a copy of another server; what is changed '
            "here is not changed there, and stops the replication.",
            "name the primary server in SQLALCHEMY_DATABASE_URI; its address is in: "
            "SHOW REPLICA STATUS;",
        )
    why = "innodb_read_only" if _on(facts.innodb_read_only) else "read_only"
    if not (_on(facts.read_only) or _on(facts.innodb_read_only)):
        return None
    return Unreachable(
        "read-only",
        f'Database "{location}" can be read, but not written: {why} is on for the whole server.',
        "SET GLOBAL read_only = OFF;  # as an administrator, unless the server is a copy"
        if why == "read_only"
        else "take innodb_read_only out of the server's configuration and start it again",
    )


def _read(connection: Connection, target: Target) -> DatabaseState:
    _prove_age(str(connection.execute(text("SELECT version()")).scalar()), target)
    # A reader that waits behind a running ALTER would hang as long as that does.
    connection.execute(text("SET SESSION lock_wait_timeout = 5"))
    if in_cluster(connection):
        # What another node has committed may not have come here yet.
        connection.execute(text("SET SESSION wsrep_sync_wait = 1"))
    connection.execute(text("SET SESSION TRANSACTION READ ONLY"))
    connection.commit()
    facts = connection.execute(_FACTS).one()
    listed = connection.execute(_TABLES, {"schema": target.version_schema}).all()
    rows = [row for row in listed if row.kind != "VIEW"]
    location = f"{address_of(target.engine.url).server}/{facts.name}"
    _prove_own(connection, location, listed)
    places = {(row.place, row.name) for row in rows}
    if (facts.name, UNFINISHED_TABLE) in places:
        raise Unfinished(unfinished(connection, location))
    version = (target.version_schema or facts.name, target.version_table)
    journals = [p for p in ((version[0], JOURNAL), (facts.name, JOURNAL)) if p in places]
    versions = journal = None
    if version in places:
        table = ".".join(map(quoted, version))
        versions = connection.execute(plain(f"SELECT version_num FROM {table} ORDER BY 1"))
    if journals:
        journal = connection.execute(plain(journal_query(".".join(map(quoted, journals[0])))))
    own = [row for row in rows if row.place == facts.name]
    others = tuple(
        name
        for name in connection.execute(_VERSION_TABLES).scalars()
        if (facts.name, name) != version
    )
    done: tuple[ProgressRow, ...] = ()
    if (facts.name, PROGRESS_TABLE) in places:
        done = tuple(ProgressRow(*row) for row in connection.execute(_PROGRESS))
    tables = tuple(
        Table(row.name, None if row.estimate is None else int(row.estimate), exact=False)
        for row in own
        if (row.place, row.name) != version and row.name not in (*OWN_TABLES, *others)
    )
    dialect = "mariadb" if "mariadb" in facts.version.lower() else "mysql"
    return DatabaseState(
        bind=target.bind,
        dialect=dialect,
        location=location,
        name=facts.name,
        refuses=_refuses(facts, location, _replicates(connection, dialect)),
        read_only=_on(facts.read_only) or _on(facts.innodb_read_only),
        size=int(sum(row.size for row in own)),
        server=facts.version,
        tables=tables,
        version_table=target.version_table,
        version_rows=None if versions is None else tuple(versions.scalars()),
        views=tuple(row.name for row in listed if row.kind == "VIEW" and row.place == facts.name),
        other_versions=others,
        leftovers=tuple(t for t in tables if t.name.startswith(LEFTOVER)),
        journal=() if journal is None else journal_rows(journal),
        progress=done,
    )


def _on(value: Any) -> bool:
    # MariaDB 12 made read_only a word with several degrees of ON.
    return str(value).upper() not in ("0", "OFF")


def read(target: Target) -> DatabaseState:
    """Read the facts of a database in one read-only transaction of its own connection.

    ``tables`` are those of the URL's database, with the server's estimate of their rows.
    """
    try:
        defaults = connect_defaults(target.engine, answer_seconds=ANSWER_SECONDS)
        with own_connection(target.engine, defaults) as connection:
            return _read(connection, target)
    except (TooOld, NotOurs, Unfinished) as stop:
        unreachable = stop.reason
    except (SQLAlchemyError, OSError) as error:  # some drivers let the socket's error through
        unreachable = explain(error, target)
    address = address_of(target.engine.url)
    return DatabaseState(
        bind=target.bind,
        dialect=target.engine.dialect.name,
        location=address.location,
        name=address.name,
        exists=unreachable.kind != "missing database",
        version_table=target.version_table,
        unreachable=unreachable,
    )
