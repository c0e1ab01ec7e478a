"""Putting a dump back into a PostgreSQL database, by pg_restore and psql."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from sqlalchemy import Connection, text

from flask_safemigrate.backends.contract import Say, Target
from flask_safemigrate.backends.postgresql.others import Others, others_in
from flask_safemigrate.backends.postgresql.programs import (
    Server,
    connected,
    fail_unless,
    failed,
    literal,
    quoted,
    server_of,
    tool_path,
    trusted,
    version_of,
)
from flask_safemigrate.backends.postgresql.snapshot import check, unreadable
from flask_safemigrate.backends.postgresql.wipe import (
    LOCK_SECONDS,
    Object,
    drop_statement,
    objects_in,
)
from flask_safemigrate.backends.tools import (
    news,
    output_of,
    private_folder,
    running,
)
from flask_safemigrate.errors import SnapshotFailed
from flask_safemigrate.outcome import Progress

_CHUNK = 1 << 20

# Schemas that stay: an extension lives in them, or they are not this user's to drop.
_SCHEMAS = text("""
    SELECT n.nspname AS name, n.oid::bigint AS oid,
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


class _Plan(NamedTuple):
    """How a dump comes into the database.

    :param script: SQL that drops what the dump brings back.
    :param schemas: names of those that stay.
    :param not_ours: those of them that belong to another role.
    """

    script: str
    schemas: frozenset[str]
    not_ours: frozenset[str]
    extensions: frozenset[str]
    others: Others


def _plan(connection: Connection, target: Target) -> _Plan:
    others = others_in(connection, target.version_table)
    schemas = connection.execute(_SCHEMAS).all()
    stay = [row for row in schemas if row.stays or row.oid in others.spaces]
    stay_names = frozenset(row.name for row in stay)
    lines = [
        "SET client_min_messages = warning",
        f"SET lock_timeout = '{LOCK_SECONDS}s'",
        *(f"DROP {kind.upper()} IF EXISTS {name} CASCADE" for kind, name in _loose(connection)),
        *(drop_statement(o) for o in objects_in(connection, sorted(stay_names)) if o.ours),
        *(
            f"DROP SCHEMA {quoted(row.name)} CASCADE"
            for row in schemas
            if row.name not in stay_names
        ),
        "SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE pg_has_role(lomowner, 'USAGE')",
    ]
    script = "".join(f"{line};\n" for line in lines)
    if others.objects:
        counted = _counts(others.objects)
        before = str(connection.exec_driver_sql(f"SELECT {counted}").scalar())
        names = ", ".join(f"{o.type} {o.identity} of {o.owner}" for o in others.objects[:5])
        script += fail_unless(
            f"{counted} = {literal(before)}",
            f"something of other owners hangs on what would be replaced; theirs are {names}",
        )
    return _Plan(
        script,
        stay_names,
        frozenset(row.name for row in schemas if not row.ours),
        frozenset(connection.execute(text("SELECT extname FROM pg_extension")).scalars()),
        others,
    )


def _counts(objects: Sequence[Object]) -> str:
    """SQL for numbers that change where a CASCADE took something of these along."""

    def counted(catalogue: str, table: str, column: str, more: str = "") -> str:
        oids = ", ".join(str(o.oid) for o in objects if o.catalogue == catalogue)
        return f"(SELECT count(*) FROM {table} WHERE {column} = ANY (ARRAY[{oids}]::oid[]){more})"

    parts = [
        counted("pg_class", "pg_class", "oid"),
        counted("pg_class", "pg_constraint", "conrelid"),
        counted("pg_class", "pg_attrdef", "adrelid"),
        counted("pg_class", "pg_index", "indrelid"),
        counted("pg_class", "pg_policy", "polrelid"),
        counted("pg_class", "pg_trigger", "tgrelid", " AND NOT tgisinternal"),
        counted("pg_class", "pg_attribute", "attrelid", " AND NOT attisdropped"),
        counted("pg_proc", "pg_proc", "oid"),
        counted("pg_type", "pg_type", "oid"),
    ]
    return f"concat_ws(' ', {', '.join(parts)})"


def wanted_entries(listed: str, plan: _Plan) -> str:
    """Choose from the list of a dump what is to be made anew.

    What stays in place stays out: extensions, schemas, and what belongs to roles that this user
    is no member of. A line is the entry's number, the oids of its catalogue and object, its kind,
    schema, name and owner; names may have blanks.
    https://www.postgresql.org/docs/current/app-pgrestore.html

    :param listed: by ``pg_restore --list``.
    :raises SnapshotFailed: it cannot be told whose an entry is.
    """
    return "".join(
        line for line in listed.splitlines(keepends=True) if not _stays(line.rstrip("\n"), plan)
    )


_ENTRY = re.compile(r"(\d+); (\d+) \d+ (.*)", re.DOTALL)
_PG_NAMESPACE, _PG_EXTENSION, _NONE = "2615", "3079", "0"


def _stays(line: str, plan: _Plan) -> bool:
    entry = _ENTRY.fullmatch(line)
    if entry is None:
        return False  # a comment
    catalogue, rest = entry[2], entry[3]
    if catalogue == _PG_EXTENSION and rest.startswith("EXTENSION - "):
        return rest.removeprefix("EXTENSION - ").rstrip(" ") in plan.extensions
    if catalogue == _PG_NAMESPACE and rest.startswith("SCHEMA - "):
        return _is_one_of(rest.removeprefix("SCHEMA - "), plan.schemas, plan)
    for kind in ("COMMENT", "ACL", "SECURITY LABEL"):
        if catalogue == _NONE and rest.startswith(f"{kind} - EXTENSION "):
            name = rest.removeprefix(f"{kind} - EXTENSION ").rstrip(" ")
            if name in plan.extensions or _is_one_of(name, plan.extensions, plan):
                return True
        if catalogue == _NONE and rest.startswith(f"{kind} - SCHEMA "):
            name = rest.removeprefix(f"{kind} - SCHEMA ")
            if _is_one_of(name, plan.not_ours, plan):
                return True
    theirs = {role for role in plan.others.roles if rest.endswith(f" {role}")}
    if theirs and any(rest.endswith(f" {role}") for role in plan.others.ours):
        longest = max((*theirs, *plan.others.ours), key=lambda r: rest.endswith(f" {r}") * len(r))
        raise SnapshotFailed(
            f"It cannot be told whether '{longest}' or a role with the end of that name owns an "
            f"entry of the snapshot: {rest}",
            hint="let a superuser restore it",
        )
    return bool(theirs)


def _is_one_of(name_and_owner: str, names: frozenset[str], plan: _Plan) -> bool:
    """Whether this is one of the names and the name of a role, or of none."""
    for name in names:
        if name_and_owner.startswith(f"{name} "):
            owner = name_and_owner[len(name) + 1 :]
            if owner == "" or owner in plan.others.roles or owner in plan.others.ours:
                return True
    return False


def _loose(connection: Connection) -> list[tuple[str, str]]:
    words = {"server": "SERVER", "foreign-data wrapper": "FOREIGN DATA WRAPPER"}
    found = connection.execute(_LOOSE).all()
    return [(words.get(kind, kind), identity) for kind, identity in found]


def contents(target: Target) -> tuple[str, ...]:
    """Return what :func:`put_back` would drop, whoever owns it."""
    with connected(target) as connection:
        schemas = connection.execute(_SCHEMAS).all()
        found = [
            f"{o.type} {o.identity}" for o in objects_in(connection, [s.name for s in schemas])
        ]
        found += [f"schema {quoted(s.name)}" for s in schemas if not s.stays]
        found += [f"{kind} {name}" for kind, name in _loose(connection)]
        large = connection.execute(text("SELECT count(*) FROM pg_largeobject_metadata")).scalar()
        return (*found, *([f"large objects: {large}"] if large else []))


def put_back(target: Target, path: Path, say: Say) -> None:
    """Replace the content of the database by that of a dump, in one transaction.

    Everything is dropped and made anew between one BEGIN and one COMMIT, so whatever fails or is
    killed leaves the database as it was. Extensions, schemas they live in, and what other roles
    own stay. Before anything else the script proves that it runs in the database, on the server
    and as the role that the application is connected to. Readers wait meanwhile.

    :raises SnapshotFailed: the dump is damaged, a program is missing, another session kept a
        lock, or an object cannot be made; the database is as it was.
    """
    check(path)
    restore, psql = tool_path("pg_restore"), tool_path("psql")
    tell = news(say, "restoring", path, target.bind)
    with connected(target) as connection:
        server = server_of(connection, target)
        plan = _plan(connection, target)
        known = frozenset(connection.execute(text("SELECT name FROM pg_settings")).scalars())
        with trusted(server, connection) as server, private_folder() as folder:
            entries = folder / "entries"
            listed = output_of([restore, "--list", str(path)])
            if not listed:
                raise unreadable(path, "its list of entries cannot be read", restore)
            entries.write_text(wanted_entries(listed, plan), encoding="utf-8")
            reader = [restore, "--file=-", f"--use-list={entries}", str(path)]
            start = f"SET client_encoding = 'UTF8';\nBEGIN;\n{server.proof}{plan.script}"
            understood = Understood(known, restricts(psql))
            done = pipe(reader, {}, psql, start, understood, server, target, tell)
    say(Progress("restoring", path.name, f"{done / 1_000_000:.0f} MB", bind=target.bind))
    # A dump has no statistics, and the planner is lost without them. The other connection has
    # said nothing for so long that the server may have ended it.
    with connected(target) as connection:
        connection.execute(text("ANALYZE"))


#: The releases from which psql knows ``\\restrict``, which pg_restore of these and later writes.
#: https://www.postgresql.org/docs/release/17.6/
_RESTRICTS = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}


def restricts(psql: str) -> bool:
    major, minor = version_of(psql)
    return major > max(_RESTRICTS) or minor >= _RESTRICTS.get(major, 1000)


class Understood(NamedTuple):
    """What server and psql know of what pg_restore writes, which may be newer than both.

    :param settings: names that the server knows.
    :param restricts: whether psql knows ``\\restrict``.
    """

    settings: frozenset[str]
    restricts: bool

    def text(self, stream: IO[bytes]) -> Iterator[bytes]:
        """Give the text in pieces, without what would fail in the lines before the first object.

        So ``\\unrestrict``, the last line, goes where the first one went.
        """
        last = None
        for line in stream:
            setting, restrict = _SETTING.match(line), _RESTRICT.match(line)
            if restrict and not self.restricts:
                last = b"\\unrestrict " + restrict[1]
            elif not setting or setting[1].decode() in self.settings:
                yield line
            if not (setting or restrict or _BEFORE.match(line)):
                break
        kept = b""
        while chunk := stream.read(_CHUNK):
            kept += chunk
            if last is None or len(kept) > 2 * _END:
                yield kept[: -_END if last else None]
                kept = kept[-_END:] if last else b""
        yield kept.replace(last, b"") if last else kept


_END = 1000  # bytes, in which the last line is
_SETTING = re.compile(rb"SET (\w+) = ")
_BEFORE = re.compile(rb"\s*$|--|SELECT pg_catalog\.set_config\(")
_RESTRICT = re.compile(rb"\\restrict (\S+)")


def pipe(
    reader: list[str],
    environment: Mapping[str, str],
    psql: str,
    start: str,
    understood: Understood,
    server: Server,
    target: Target,
    tell: Callable[[int], Any],
) -> int:
    """Run a script and then what the reader prints, in one transaction; return the bytes.

    :param environment: what the reader gets besides.
    """
    writer = [
        psql,
        f"--dbname={server.conninfo}",
        "--no-psqlrc",
        "--quiet",
        "--no-password",
        "--set=ON_ERROR_STOP=1",
        "--set=VERBOSITY=terse",
    ]
    done = 0
    broken = False
    with (
        running(
            reader, environment=environment, secrets=server.secrets, stdout=subprocess.PIPE
        ) as source,
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
            sink.process.stdin.write(start.encode())
            for piece in understood.text(source.process.stdout):
                sink.process.stdin.write(piece)
                done += len(piece)
                tell(done)
            if source.process.wait():
                # Without a COMMIT the end of the input undoes everything.
                raise failed(Path(reader[0]).name, source, target)
            sink.process.stdin.write(b"\nCOMMIT;\n")
            sink.process.stdin.close()
        except BrokenPipeError:
            broken = True
        if sink.process.wait() or broken:
            raise failed("psql", sink, target)
    return done
