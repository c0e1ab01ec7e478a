"""Putting a dump back into a PostgreSQL database, by pg_restore and psql."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from flask_safemigrate.backends.contract import Say, Target
from flask_safemigrate.backends.postgresql.programs import (
    Server,
    connected,
    failed,
    server_of,
    tool_path,
)
from flask_safemigrate.backends.postgresql.read import quoted
from flask_safemigrate.backends.postgresql.snapshot import check
from flask_safemigrate.backends.postgresql.wipe import LOCK_SECONDS, drop_statements
from flask_safemigrate.backends.tools import (
    news,
    output_of,
    private_folder,
    running,
)
from flask_safemigrate.outcome import Progress

_CHUNK = 1 << 20

# Schemas that stay: an extension lives in them, or they are not this user's to drop.
_SCHEMAS = text("""
    SELECT n.nspname AS name,
        n.nspname = 'public' OR NOT pg_has_role(n.nspowner, 'USAGE')
            OR EXISTS (SELECT FROM pg_extension e WHERE e.extnamespace = n.oid)
            OR EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_namespace'::regclass
                AND d.refobjid = n.oid AND EXISTS (
                    SELECT FROM pg_depend x WHERE x.classid = d.classid AND x.objid = d.objid
                    AND x.deptype = 'e')) AS stays,
        pg_has_role(n.nspowner, 'USAGE') AS ours
    FROM pg_namespace n
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (
        SELECT FROM pg_depend d
        WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e'
    )
""")

# Objects of the whole database that this user owns and that a dump makes anew.
_LOOSE = text("""
    WITH objects (rank, classid, objid, owner) AS (
        SELECT 1, 'pg_event_trigger'::regclass, oid, evtowner FROM pg_event_trigger
        UNION ALL SELECT 2, 'pg_publication'::regclass, oid, pubowner FROM pg_publication
        UNION ALL SELECT 3, 'pg_cast'::regclass, c.oid, t.typowner
        FROM pg_cast c JOIN pg_type t ON t.oid = c.castsource WHERE c.oid >= 16384
        UNION ALL SELECT 4, 'pg_foreign_server'::regclass, oid, srvowner FROM pg_foreign_server
        UNION ALL SELECT 5, 'pg_foreign_data_wrapper'::regclass, oid, fdwowner
        FROM pg_foreign_data_wrapper
    )
    SELECT identified.type, identified.identity
    FROM objects o, pg_identify_object(o.classid, o.objid, 0) identified
    WHERE pg_has_role(o.owner, 'USAGE') AND NOT EXISTS (
        SELECT FROM pg_depend d
        WHERE d.classid = o.classid AND d.objid = o.objid AND d.deptype IN ('e', 'i')
    )
    ORDER BY rank, identity
""")


def _empty_script(connection: Connection) -> tuple[str, tuple[str, ...]]:
    """Return SQL that drops what a dump brings back, and the entries of it that stay in place."""
    schemas = connection.execute(_SCHEMAS).all()
    lines = [
        "SET client_min_messages = warning",
        f"SET lock_timeout = '{LOCK_SECONDS}s'",
        *(f"DROP {kind.upper()} IF EXISTS {name} CASCADE" for kind, name in _loose(connection)),
        *drop_statements(connection, [row.name for row in schemas if row.stays]),
        *(f"DROP SCHEMA {quoted(row.name)} CASCADE" for row in schemas if not row.stays),
        "SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE pg_has_role(lomowner, 'USAGE')",
    ]
    kept = [f" SCHEMA - {row.name} " for row in schemas if row.stays]
    kept += [
        f" {what} - SCHEMA {row.name} "
        for row in schemas
        if not row.ours
        for what in ("COMMENT", "ACL")
    ]
    for name in connection.execute(text("SELECT extname FROM pg_extension")).scalars():
        kept += [f" EXTENSION - {name} ", f" COMMENT - EXTENSION {name} "]
    return "".join(f"{line};\n" for line in lines), tuple(kept)


def _loose(connection: Connection) -> list[tuple[str, str]]:
    words = {"server": "SERVER", "foreign-data wrapper": "FOREIGN DATA WRAPPER"}
    found = connection.execute(_LOOSE).all()
    return [(words.get(kind, kind), identity) for kind, identity in found]


def put_back(target: Target, path: Path, say: Say) -> None:
    """Replace the content of the database by that of a dump, in one transaction.

    Everything is dropped and made anew between one BEGIN and one COMMIT, so whatever fails or is
    killed leaves the database as it was. Extensions, and schemas they live in, stay. Readers wait
    meanwhile.

    :raises SnapshotFailed: the dump is damaged, a program is missing, another session kept a
        lock, or an object cannot be made; the database is as it was.
    """
    check(path)
    with connected(target) as connection:
        server = server_of(connection, target)
        script, kept = _empty_script(connection)
    restore = tool_path("pg_restore")
    with private_folder() as folder:
        entries = output_of([restore, "--list", str(path)]).splitlines(keepends=True)
        wanted = folder / "entries"
        wanted.write_text(
            "".join(e for e in entries if not any(words in f"{e.strip()} " for words in kept)),
            encoding="utf-8",
        )
        reader = [restore, "--file=-", f"--use-list={wanted}", str(path)]
        done = _pipe(reader, script, server, target, news(say, "restoring", path, target.bind))
    say(Progress("restoring", path.name, f"{done / 1_000_000:.0f} MB", bind=target.bind))
    # A dump has no statistics, and the planner is lost without them.
    with connected(target) as connection:
        connection.execute(text("ANALYZE"))


def _pipe(
    reader: list[str], script: str, server: Server, target: Target, tell: Callable[[int], Any]
) -> int:
    """Run a script and then what the reader prints, in one transaction; return the bytes."""
    writer = [
        tool_path("psql"),
        "--no-psqlrc",
        "--quiet",
        "--no-password",
        "--set=ON_ERROR_STOP=1",
        "--set=VERBOSITY=terse",
    ]
    done = 0
    broken = False
    with (
        running(reader, environment={}, secrets=(), stdout=subprocess.PIPE) as source,
        running(
            writer,
            environment=server.environment,
            secrets=server.secrets,
            stdin=subprocess.PIPE,
        ) as sink,
    ):
        assert source.process.stdout is not None
        assert sink.process.stdin is not None
        try:
            sink.process.stdin.write(f"BEGIN;\n{script}".encode())
            while chunk := source.process.stdout.read(_CHUNK):
                sink.process.stdin.write(chunk)
                done += len(chunk)
                tell(done)
            if source.process.wait():
                # Without a COMMIT the end of the input undoes everything.
                raise failed("pg_restore", source, target)
            sink.process.stdin.write(b"\nCOMMIT;\n")
            sink.process.stdin.close()
        except BrokenPipeError:
            broken = True
        if sink.process.wait() or broken:
            raise failed("psql", sink, target)
    return done
