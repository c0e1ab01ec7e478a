"""Prove that a migration changed no rows but those of the tables that it wrote to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import DBAPIError

from flask_safemigrate.backends.driver_errors import error_number
from flask_safemigrate.backends.mysql.quoting import quoted
from flask_safemigrate.backends.reach import grouped, numbered, reached_from, run_by
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.errors import VerificationFailed
from flask_safemigrate.names import OWN_TABLES

#: The server does not know how many rows a table has, it must count them: InnoDB reads some five
#: million a second from memory, far fewer from disk. Tables up to this estimate cost some 20 ms.
COUNTED_ROWS = 100_000

_NO_TABLE = 1146


class Watch(NamedTuple):
    """What there was before; all names in lower case.

    :param objects: names of all tables and views.
    :param rows: rows of every table that is small enough to count.
    :param others: statements of other sessions that changed rows, on the whole server.
    """

    objects: frozenset[str]
    rows: Mapping[str, int]
    others: int
    reach: Mapping[str, frozenset[str]]


_OBJECTS = text("""
    SELECT table_name AS name, table_type AS kind, coalesce(table_rows, 0) AS estimate
    FROM information_schema.tables
    WHERE table_schema = database() AND table_type <> 'SEQUENCE'
""")

# Foreign keys with an action; triggers and views, which may write to what their text mentions.
_REACH = text("""
    SELECT lower(referenced_table_name), lower(table_name)
    FROM information_schema.referential_constraints
    WHERE constraint_schema = database() AND NOT (delete_rule IN ('RESTRICT', 'NO ACTION')
        AND update_rule IN ('RESTRICT', 'NO ACTION'))
    UNION SELECT lower(g.event_object_table), lower(t.table_name)
    FROM information_schema.triggers g JOIN information_schema.tables t
        ON t.table_schema = database() AND locate(lower(t.table_name), lower(g.action_statement))
    WHERE g.trigger_schema = database()
    UNION SELECT lower(v.table_name), lower(t.table_name)
    FROM information_schema.views v JOIN information_schema.tables t
        ON t.table_schema = database() AND locate(lower(t.table_name), lower(v.view_definition))
    WHERE v.table_schema = database()
""")

_ROUTINES = text("""
    SELECT lower(routine_name), lower(routine_definition) FROM information_schema.routines
    WHERE routine_schema = database()
""")

_WRITES = "'Com_insert', 'Com_insert_select', 'Com_replace', 'Com_replace_select', "
_WRITES += "'Com_delete', 'Com_delete_multi', 'Com_load', 'Com_truncate', 'Com_call_procedure'"


def _objects(connection: Connection) -> list[Row[Any]]:
    return [row for row in connection.execute(_OBJECTS) if row.name not in OWN_TABLES]


def _writes_of_others(connection: Connection) -> int:
    def total(scope: str) -> int:
        rows = connection.execute(text(f"SHOW {scope} STATUS WHERE variable_name IN ({_WRITES})"))
        return sum(int(value) for _, value in rows)

    return total("GLOBAL") - total("SESSION")


def _reach(connection: Connection) -> dict[str, frozenset[str]]:
    return grouped((source, other) for source, other in connection.execute(_REACH))


def _count(connection: Connection, tables: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for table in tables:
        query = plain(f"SELECT count(*) FROM {quoted(table)}")
        try:
            found[table] = int(connection.execute(query).scalar_one())
        except DBAPIError as error:
            # The server may still be at the DROP or RENAME of a process that was killed.
            if error_number(error) != _NO_TABLE:
                raise
    return found


def begin_watch(connection: Connection) -> Watch:
    """Note which tables and views there are, and count the rows of the small tables."""
    objects = _objects(connection)
    small = [o.name for o in objects if o.kind != "VIEW" and o.estimate <= COUNTED_ROWS]
    others = _writes_of_others(connection)
    return Watch(
        frozenset(o.name for o in objects), _count(connection, small), others, _reach(connection)
    )


def finish_watch(connection: Connection, watch: Watch, written: frozenset[str]) -> tuple[str, ...]:
    """Prove that the migration left alone what it did not write to.

    Only tables of at most :data:`COUNTED_ROWS` rows are counted. The server cannot tell whose
    rows they are, so where other sessions were writing meanwhile a difference is told, not held
    against the migration. Tables that a foreign key's action, a trigger or a view leads to from
    a written one are left out, and what a routine that the migration calls may write to.

    :param written: names of tables and views; upper and lower case are the same.
    :raises VerificationFailed: naming the tables and their counts.
    """
    named = {name.lower().replace("`", "").rpartition(".")[2] for name in written}
    objects = _objects(connection)
    now = {o.name for o in objects}
    gone = sorted(n for n in watch.objects - now if n.lower() not in named)
    if gone:
        raise VerificationFailed(
            f"The migration does not name these, but they are gone: "
            f"{', '.join(map(quoted, gone))}.",
            hint="name them in the migration, if it is meant to drop them",
        )
    reached = reached_from(named, watch.reach, _reach(connection))
    before = {t: n for t, n in watch.rows.items() if t.lower() not in reached and t in now}
    after = _count(connection, before)
    busy = _writes_of_others(connection) != watch.others
    differ = [table for table, rows in before.items() if after.get(table, rows) != rows]
    if differ:
        runs = run_by(frozenset(named), dict(map(tuple, connection.execute(_ROUTINES))))
        led = reached_from(filter(runs, map(str.lower, now)), watch.reach, _reach(connection))
        before = {t: n for t, n in before.items() if t.lower() not in led}
    changed = [
        f"{quoted(table)} has {numbered(after[table], 'row')}, had {before[table]}"
        for table in differ
        if table in before
    ]
    if changed and not busy:
        raise VerificationFailed(
            f"The migration does not write to these, but: {', '.join(changed)}.",
            hint="write the statement so that it names the table",
        )
    proven = ["every table and view that the migration does not name is still there"]
    same = len(before) - len(changed)
    if same:
        proven.append(f"{numbered(same, 'table')} without a write: as many rows as before")
    if changed:
        proven.append(f"other sessions were writing meanwhile: {', '.join(changed)}")
    big = [o.name for o in objects if o.kind != "VIEW" and o.name not in watch.rows]
    unknown = [n for n in big if n in watch.objects and n.lower() not in reached]
    if unknown:
        proven.append(
            f"{numbered(len(unknown), 'table')} of more than {COUNTED_ROWS} rows not counted"
        )
    return tuple(proven)
