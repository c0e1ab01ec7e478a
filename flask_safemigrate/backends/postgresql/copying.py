"""A copy of a PostgreSQL database in a scratch database, by pg_dump and psql."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text

from flask_safemigrate.backends.contract import Say, Target
from flask_safemigrate.backends.postgresql.programs import (
    connected,
    server_of,
    tool_path,
    trusted,
    version_of,
)
from flask_safemigrate.backends.postgresql.restore import Understood, pipe, restricts
from flask_safemigrate.backends.postgresql.snapshot import exported
from flask_safemigrate.backends.postgresql.wipe import LOCK_SECONDS
from flask_safemigrate.backends.tools import news
from flask_safemigrate.ddl.reaching import reaches_out
from flask_safemigrate.errors import NoRehearsal
from flask_safemigrate.names import LOCK_TABLE

#: From this release on pg_dump knows the statistics of the planner.
#: https://www.postgresql.org/docs/18/app-pgdump.html
_STATISTICS = 18

_FOREIGN = text("SELECT srvname FROM pg_foreign_server ORDER BY srvname")
# What code a database keeps, but for what belongs to an extension.
_FUNCTIONS = text("""
    SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND p.prokind <> 'a'
        AND NOT EXISTS (
            SELECT FROM pg_depend d
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        )
    ORDER BY 1
""")


def copy(target: Target, scratch: Connection, rows: bool, say: Say) -> None:
    """Fill a scratch database with the schema of the database, and with its rows if asked.

    Owners and privileges stay behind: the user owns what is in the scratch database.

    :raises NoRehearsal: what is in the database could reach outside of the copy.
    :raises SnapshotFailed: a program is missing or fails.
    """
    name = str(scratch.execute(text("SELECT current_database()")).scalar())
    scratch.rollback()
    with connected(target) as source:
        _prove_confined(source)
        server = server_of(source, target)
        dump, psql = tool_path("pg_dump", server.major), tool_path("psql")
        known = frozenset(source.execute(text("SELECT name FROM pg_settings")).scalars())
        moment = exported(source)
        tell = news(say, "dumping", Path(name), target.bind)
        there = server._replace(
            conninfo=f"{server.conninfo} dbname='{name}'",
            identity=tuple(
                (word, expression, name if word == "database" else value)
                for word, expression, value in server.identity
            ),
        )
        statistics = server.major >= _STATISTICS and version_of(dump)[0] >= _STATISTICS
        with trusted(server, source) as server, trusted(there, source) as there:
            reader = [
                dump,
                f"--dbname={server.conninfo}",
                *([] if rows else ["--no-data" if statistics else "--schema-only"]),
                *(["--statistics"] if statistics else []),
                "--no-password",
                "--no-owner",
                "--no-privileges",
                "--no-security-labels",
                "--no-tablespaces",
                "--no-publications",
                "--no-subscriptions",
                f"--exclude-table=*.{LOCK_TABLE}",
                f"--lock-wait-timeout={LOCK_SECONDS}s",
                f"--snapshot={moment}",
                *([f"--role={server.role}"] if server.role else []),
            ]
            # The schemas of the search path are there already; a dump makes all but "public".
            drops = "".join(f"DROP SCHEMA {schema};\n" for schema in _schemas(scratch))
            start = f"SET client_encoding = 'UTF8';\nBEGIN;\n{there.proof}{drops}"
            understood = Understood(known, restricts(psql))
            pipe(reader, server.environment, psql, start, understood, there, target, tell)
    if rows:
        scratch.execute(text("ANALYZE"))
    scratch.commit()


def _schemas(scratch: Connection) -> list[str]:
    found = scratch.execute(
        text(
            "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^pg_' "
            "AND nspname NOT IN ('information_schema', 'public')"
        )
    )
    names = [str(name) for name in found.scalars()]
    scratch.rollback()
    return names


def _prove_confined(connection: Connection) -> None:
    """
    :raises NoRehearsal: a statement could reach another server or a file by what is there.
    """
    servers = list(connection.execute(_FOREIGN).scalars())
    if servers:
        raise NoRehearsal(
            f'the database has the foreign server "{servers[0]}", and what is done to its tables '
            "would be done there"
        )
    for name, definition in connection.execute(_FUNCTIONS):
        if says := reaches_out("postgresql", definition):
            raise NoRehearsal(
                f"the database has the function {name}, which {says}, and a trigger or statement "
                "may call it"
            )
