"""Copies of databases on which plans are tried."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping

import sqlalchemy as sa
from sqlalchemy import Connection

from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Room, Say, Target
from flask_safemigrate.backends.tools import private_folder
from flask_safemigrate.errors import NoRehearsal, Refused, SafeMigrateError, SnapshotFailed
from flask_safemigrate.outcome import Applied, Disk, Effect, Progress, Traced


@contextlib.contextmanager
def copied_databases(
    targets: Mapping[str, Target],
    starts: Mapping[str, Collection[str]],
    say: Say,
    *,
    rows: bool = False,
) -> Iterator[Callable[[str], Connection]]:
    """Give a function that connects to the copy of a bind's database; all go at the end.

    The copy of an SQLite file has its rows. On a server it is a scratch database beside the
    application's.

    :param starts: the binds with work to do, and what their version tables name.
    :param rows: copy the rows of servers too.
    :raises NoRehearsal: a server gives no place, or the database cannot be copied.
    """
    with private_folder() as folder, contextlib.ExitStack() as stack:
        engines: dict[str, sa.Engine] = {}
        scratch = {
            bind: stack.enter_context(_scratch(targets[bind], starts.get(bind), rows, say))
            for bind in targets
            if targets[bind].engine.dialect.name != "sqlite"
        }

        def connect(bind: str) -> Connection:
            if bind in scratch:
                return scratch[bind]
            target = targets[bind]
            copied = folder / f"{len(engines)}.db"
            if bind not in engines:
                backend = backend_for(target.engine)
                if backend.needs(target) is None:
                    raise SnapshotFailed(
                        "A database in memory is not rehearsed on: it is gone when its process"
                        " ends.",
                        hint="name a file in SQLALCHEMY_DATABASE_URI",
                    )
                if backend.read(target).exists:
                    backend.take(target, copied, say)
                url = target.engine.url.set(database=str(copied), query={})
                engines[bind] = sa.create_engine(url, poolclass=sa.NullPool)
                stack.callback(engines[bind].dispose)
            return stack.enter_context(engines[bind].connect())

        yield connect


@contextlib.contextmanager
def _scratch(
    target: Target, heads: Collection[str] | None, rows: bool, say: Say
) -> Iterator[Connection]:
    """Make a scratch database, and fill it where there is work to do."""
    backend = backend_for(target.engine)
    with contextlib.ExitStack() as stack:
        try:
            connection = stack.enter_context(backend.scratch(target))
            if heads is not None and backend.copy is not None:
                say(Progress("dumping", target.engine.url.database or "", "for the rehearsal"))
                backend.copy(target, connection, rows, say)
                if not rows:
                    _note_heads(connection, target, heads)
        except (Refused, SnapshotFailed) as error:
            raise NoRehearsal(error.message, hint=error.hint) from error
        yield connection


def _note_heads(connection: Connection, target: Target, heads: Collection[str]) -> None:
    """Write down where the database is, which is a row too."""
    table = sa.table(target.version_table, sa.column("version_num"), schema=target.version_schema)
    for head in heads:
        connection.execute(table.insert().values(version_num=head))
    connection.commit()


def measured(work: Applied, target: Target, *, rows: bool) -> Applied:
    """Add to what a rehearsal on a server did how large the real tables are."""
    backend = backend_for(target.engine)
    if backend.room is None:
        return work
    try:
        room = backend.room(target)
    except SafeMigrateError:
        room = Room({}, None)

    def of_size(effect: Effect) -> Effect:
        number, size = room.tables.get(effect.table, (None, None))
        return effect._replace(rows=number, size=size)

    statements = tuple(
        each._replace(effects=tuple(map(of_size, each.effects))) for each in work.traced
    )
    return work._replace(rows=rows, traced=statements, disk=_disk(statements, room))


def _disk(statements: Collection[Traced], room: Room) -> Disk | None:
    """What the tables need that are rewritten: the old one goes when the new one is committed."""
    sizes = {e.table: e.size for each in statements for e in each.effects if e.rewritten}
    if not sizes:
        return None
    known = [size for size in sizes.values() if size is not None]
    return Disk(sum(known) if len(known) == len(sizes) else None, room.free)
