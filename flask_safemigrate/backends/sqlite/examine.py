"""What the doctor asks of an SQLite database besides its tables."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.sqlite import files, scratch
from flask_safemigrate.backends.sqlite.snapshot import UNKNOWN, quick_check
from flask_safemigrate.errors import Refused
from flask_safemigrate.facts.examination import (
    Examination,
    Mismatch,
    Orphans,
    TextDefault,
    Unusable,
)

# A text that no affinity makes a number of.
_TEXT = re.compile(r"(['\"])(?!\s*[+-]?[\d.]+\s*\1$).*\1")
_FAULTS = 5  # of a damaged file, named
_ROWIDS = 5  # of a table with orphans, named
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "afs", "lustre")
_NETWORK_PROGRAMS = ("fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse")


def examine(target: Target, *, thorough: bool) -> Examination:
    """Ask what it takes to say whether the database is sound.

    :param thorough: read all of it: its pages, and the foreign keys of every row.
    :raises sqlite3.Error: the driver's own.
    """
    enforces = _enforces(target)
    file = files.find(target)
    if file is None or not file.path.exists():
        return Examination(enforces=enforces)
    examination = Examination(enforces=enforces, file_system=_network(file.path))
    if not thorough:
        return examination
    error = files.driver_of(file.engine).DatabaseError
    with files.reading(file) as connection:
        damage = _damage(connection, error)
        if damage:
            # What a damaged table answers is worth nothing.
            lost = _unreadable(connection, error)
            return examination._replace(damage=damage, unreadable=lost)
        orphans, mismatches = _foreign_keys(connection, error)
        texts = _text_defaults(connection, error)
    return examination._replace(
        orphans=orphans,
        mismatches=mismatches,
        unusable=_unusable(target, file),
        text_defaults=texts,
    )


def _text_defaults(connection: Any, error: type[Exception]) -> tuple[TextDefault, ...]:
    """Booleans that are told to be ``'false'``, which is a text to SQLite."""
    found = []
    # A virtual table whose module is missing has no columns, and a column may fail to compute.
    with contextlib.suppress(error):
        for table, column, default in connection.execute(
            "SELECT m.name, x.name, x.dflt_value FROM sqlite_master m, pragma_table_xinfo(m.name) "
            "x WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%' "
            "AND x.type LIKE 'BOOL%' AND x.dflt_value IS NOT NULL ORDER BY m.name, x.cid"
        ).fetchall():
            if _TEXT.fullmatch(default.strip().strip("()").strip()):
                rows = connection.execute(
                    f"SELECT count(*) FROM {files.quoted(table)} "
                    f"WHERE typeof({files.quoted(column)}) = 'text'"
                ).fetchone()[0]
                found.append(TextDefault(table, column, default, rows))
    return tuple(found)


def _unusable(target: Target, file: files.DatabaseFile) -> tuple[Unusable, ...]:
    from flask_safemigrate.backends.sqlite.usable import unusable

    # A connection that read all of the file was given stand-ins for what it lacked.
    with files.reading(file) as connection:
        suspects = {fault.name for fault in unusable(connection.execute)}
    if not suspects:
        return ()
    # One of the application may know more.
    with files.in_memory(target) as connection:
        return tuple(unusable(connection.execute, suspects))


def _enforces(target: Target) -> bool | None:
    """Whether a connection that the application makes has the pragma on.

    Asked of a database in memory: the application's listeners may write to the real one.
    """
    with contextlib.suppress(Refused), scratch.scratch(target) as connection:
        return bool(connection.exec_driver_sql("PRAGMA foreign_keys").scalar())
    return None


def _damage(connection: Any, error: type[Exception]) -> tuple[str, ...]:
    try:
        try:
            rows = connection.execute(f"PRAGMA integrity_check({_FAULTS})").fetchall()
            answers = [str(row[0]) for row in rows]
        except error as problem:
            if UNKNOWN.search(str(problem)) is None:
                raise
            # An index needs what only the application has; the pages can still be read.
            answers = quick_check(connection)
    except error as problem:
        return (str(problem),)
    # A row that breaks NOT NULL or CHECK is a fault of the data, not of the file.
    return tuple(_fault(a) for a in answers if a != "ok" and not _of_the_data(a))


def _fault(answer: str) -> str:
    return " ".join(answer.removeprefix("*** in database main ***").split())


def _unreadable(connection: Any, error: type[Exception]) -> tuple[str, ...]:
    """The tables that cannot be read from the first row to the last."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    found = []
    for (name,) in names.fetchall():
        try:
            # Reads every column of every row, overflow pages too.
            row = connection.execute(f"SELECT * FROM {files.quoted(name)} NOT INDEXED")
            while row.fetchmany(1000):
                pass
        except error:
            found.append(name)
    return tuple(found)


def _of_the_data(answer: str) -> bool:
    return answer.startswith(("NULL value in ", "CHECK constraint failed in "))


class _Key(NamedTuple):
    parent: str
    columns: tuple[str, ...]
    referred: tuple[str, ...]


def _foreign_keys(
    connection: Any, error: type[Exception]
) -> tuple[tuple[Orphans, ...], tuple[Mismatch, ...]]:
    tables = [
        name
        for (name,) in connection.execute(
            "SELECT m.name FROM sqlite_master m WHERE m.type = 'table' AND EXISTS "
            "(SELECT 1 FROM pragma_foreign_key_list(m.name)) ORDER BY m.name"
        ).fetchall()
    ]
    there = {
        name
        for (name,) in connection.execute(
            "SELECT lower(name) FROM sqlite_master WHERE type = 'table'"
        ).fetchall()
    }
    found: list[Orphans] = []
    mismatches: list[Mismatch] = []
    for table in tables:
        keys = _keys(connection, table)
        mismatches += (
            Mismatch(table, key.parent, key.columns, key.referred, gone=True)
            for key in keys.values()
            if key.parent.lower() not in there
        )
        counts: dict[int, list[Any]] = {}
        try:
            for _, rowid, _, number in connection.execute(
                f"PRAGMA foreign_key_check({files.quoted(table)})"
            ):
                entry = counts.setdefault(number, [0, []])
                entry[0] += 1
                if rowid is not None and len(entry[1]) < _ROWIDS:
                    entry[1].append(rowid)
        except error as problem:
            if "foreign key mismatch" not in str(problem):
                raise
            parent = str(problem).rpartition('referencing "')[2].rstrip('"')
            mismatches.append(_mismatch(connection, table, parent, keys.values()))
            continue
        for number, (count, rowids) in counts.items():
            parent, columns, _ = keys[number]
            found.append(Orphans(table, columns, parent, count, tuple(rowids)))
    return tuple(found), tuple(mismatches)


def _keys(connection: Any, table: str) -> dict[int, _Key]:
    keys: dict[int, _Key] = {}
    for number, _, parent, column, referred, *_ in connection.execute(
        f"PRAGMA foreign_key_list({files.quoted(table)})"
    ):
        known = keys.get(number, _Key(parent, (), ()))
        # A key that names no columns refers to the primary key.
        more = () if referred is None else (referred,)
        keys[number] = _Key(parent, (*known.columns, column), (*known.referred, *more))
    return keys


def _mismatch(connection: Any, table: str, parent: str, keys: Iterable[_Key]) -> Mismatch:
    """Say which key SQLite means, which names no more than the two tables."""
    members: dict[str, set[str | None]] = {}
    for index, column in connection.execute(
        "SELECT l.name, lower(i.name) FROM pragma_index_list(?) l, pragma_index_info(l.name) i "
        'WHERE l."unique" AND NOT l.partial UNION ALL '
        "SELECT '', lower(name) FROM pragma_table_info(?) WHERE pk",
        (parent, parent),
    ):
        members.setdefault(index, set()).add(column)
    unique = list(members.values())
    to = [key for key in keys if key.parent.lower() == parent.lower()]
    # Where all seem well, one differs in the collation.
    wrong = (k for k in to if {c.lower() for c in k.referred} not in unique)
    key = next(wrong, to[0] if to else _Key(parent, (), ()))
    return Mismatch(table, parent, key.columns, key.referred)


def _network(path: Path) -> str:
    with contextlib.suppress(OSError):
        return network_of(path, Path("/proc/self/mountinfo").read_text(errors="replace"))
    return ""


def network_of(path: Path, mounts: str) -> str:
    """Return the network file system that a path is on, "" for a local one.

    :param mounts: what the system says in ``/proc/self/mountinfo`` (proc_pid_mountinfo(5)).
    """
    kind, longest = "", -1
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        parts = fields.split(" ")
        if len(parts) < 5 or not rest:
            continue
        # Blanks and the like are written as three octal digits.
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), parts[4])
        # The last of several mounts at one place is the one that is seen.
        if len(point) >= longest and path.is_relative_to(point):
            kind, longest = rest.split(" ")[0], len(point)
    return kind if kind in (*_NETWORK, *_NETWORK_PROGRAMS) else ""
