"""Read what an SQLite database is and holds."""

from __future__ import annotations

from typing import Any, NamedTuple

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.journal import journal_query, journal_rows
from flask_safemigrate.backends.own_tables import NotOurs, prove_own
from flask_safemigrate.backends.sqlite import errors, files
from flask_safemigrate.backends.sqlite.spatialite import kept_by_spatialite
from flask_safemigrate.facts.database import DatabaseState, Table, Unreachable
from flask_safemigrate.names import JOURNAL, LEFTOVER, MEMORY, OWN_TABLES

#: Older ones lose their way in tables that are renamed, and in schemas that are edited.
OLDEST = (3, 34)


def read(target: Target) -> DatabaseState:
    """Read one database; create nothing and change nothing.

    Tables carry no row counts, which cost a scan of each; those of ``leftovers`` do. What a
    killed process left half done is undone by SQLite, as by any reader.

    :return: with ``unreachable`` set where it cannot be read.
    """
    driver = files.driver_of(target.engine)
    state = DatabaseState(
        bind=target.bind,
        dialect="sqlite",
        location=MEMORY,
        name=MEMORY,
        server=driver.sqlite_version,
        version_table=target.version_table,
        configured=target.configured,
    )
    too_old = _too_old(driver)
    try:
        file = files.find(target)
        if file is None:
            if too_old is not None:
                return state._replace(unreachable=too_old)
            with files.in_memory(target) as connection:
                return _read_content(connection, state)
    except driver.Error as error:
        return state._replace(unreachable=errors.explain(error, target))
    state = state._replace(location=str(file.path), name=file.path.name)
    problem = too_old or errors.inspect(file)
    if problem is not None:
        exists = not problem.kind.startswith("missing f")
        return state._replace(exists=exists, unreachable=problem)
    if file.read_only:
        state = state._replace(read_only=True, refuses=errors.not_writable(file))
    try:
        if not file.path.exists():
            return state._replace(exists=False)
        state = state._replace(size=file.size, left_behind=files.left_behind(file))
        with files.reading(file) as connection:
            state = _read_content(connection, state)
        # A journal that is still there belongs to a writer whom nobody here can see.
        if state.left_behind == "journal" and files.left_behind(file) == "journal":
            state = state._replace(left_behind="")
        return state
    except (driver.Error, OSError) as error:
        return state._replace(unreachable=errors.of_file(error, file))


def _too_old(driver: Any) -> Unreachable | None:
    if tuple(driver.sqlite_version_info) >= OLDEST:
        return None
    wanted = ".".join(map(str, OLDEST))
    return Unreachable(
        "too old",
        f"The SQLite library of this Python is version {driver.sqlite_version}; {wanted} is the"
        " oldest that is served.",
        "use a Python that comes with a newer one, or pip install pysqlite3 and give the engine"
        ' its module: SQLALCHEMY_ENGINE_OPTIONS = {"module": pysqlite3}',
    )


def _count(connection: Any, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {files.quoted(table)}").fetchone()
    return int(row[0])


class _Names(NamedTuple):
    """The objects of a database that have rows.

    :param versions: tables whose only column is ``version_num``, as Alembic makes them.
    """

    tables: list[str]
    views: list[str]
    versions: list[str]


def _names(connection: Any) -> _Names:
    rows = connection.execute(
        "SELECT name, type, sql LIKE 'CREATE VIRTUAL%', sql LIKE '%version_num%' "
        "FROM sqlite_master WHERE type IN ('table', 'view') "
        r"AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name"
    ).fetchall()
    shadows: set[str] = set()
    if any(virtual for _, _, virtual, _ in rows):
        # Tables in which a virtual table keeps its data go and come with it. SQLite before 3.37
        # has no such list and answers with no row.
        listed = connection.execute("PRAGMA table_list").fetchall()
        shadows = {row[1] for row in listed if row[2] == "shadow"}
    shadows |= kept_by_spatialite(name for name, *_ in rows)
    return _Names(
        [name for name, kind, *_ in rows if kind == "table" and name not in shadows],
        [name for name, kind, *_ in rows if kind == "view" and name not in shadows],
        [
            name
            for name, kind, _, spoken_of in rows
            if kind == "table" and spoken_of and _is_version_table(connection, name)
        ],
    )


def _is_version_table(connection: Any, table: str) -> bool:
    columns = connection.execute(f"PRAGMA table_info({files.quoted(table)})").fetchall()
    return [column[1].lower() for column in columns] == ["version_num"]


def _prove_own(connection: Any, location: str) -> None:
    """See that the tables of ours are tables, and that nobody gave them a trigger.

    :raises NotOurs: one is not.
    """
    marks = ", ".join("?" * len(OWN_TABLES))
    rows = connection.execute(
        "SELECT name, type, tbl_name, sql LIKE 'CREATE VIRTUAL%' FROM sqlite_master "
        f"WHERE type IN ('view', 'trigger', 'table') AND lower(tbl_name) IN ({marks}) "
        "ORDER BY type, name",
        tuple(OWN_TABLES),
    ).fetchall()
    strange = [
        (
            table,
            f'has the trigger "{name}"' if kind == "trigger" else "is no plain table",
            kind,
            name,
        )
        for name, kind, table, virtual in rows
        if kind != "table" or virtual
    ]
    prove_own(
        location,
        [(table, what) for table, what, _, _ in strange],
        f"look at it, then DROP {strange[0][2].upper()} {files.quoted(strange[0][3])};"
        if strange
        else "",
    )


def _read_content(connection: Any, state: DatabaseState) -> DatabaseState:
    try:
        _prove_own(connection, state.location)
    except NotOurs as stop:
        return state._replace(unreachable=stop.reason)
    names, views, versions = _names(connection)
    by_folded = {name.lower(): name for name in names}
    version_table = by_folded.get(state.version_table.lower())
    others = tuple(name for name in versions if name.lower() != state.version_table.lower())
    own = {state.version_table.lower(), *OWN_TABLES, *map(str.lower, others)}
    journal = connection.execute(journal_query(JOURNAL)) if JOURNAL in by_folded else ()
    left = [name for name in names if name.startswith(LEFTOVER)]
    # Whether the tables that those were made for hold anything tells what they are.
    counted = {name: _count(connection, name) for name in left}
    for original in {name.removeprefix(LEFTOVER) for name in left} & set(names):
        counted[original] = _count(connection, original)
    state = state._replace(
        tables=tuple(Table(name, counted.get(name)) for name in names if name.lower() not in own),
        views=tuple(views),
        other_versions=others,
        leftovers=tuple(Table(name, counted[name]) for name in left),
        journal=journal_rows(journal),
    )
    if version_table is None:
        return state
    cursor = connection.execute(f"SELECT * FROM {files.quoted(version_table)}")
    columns = [column[0].lower() for column in cursor.description]
    if "version_num" not in columns:
        return state._replace(unreachable=_strange_version_table(state))
    place = columns.index("version_num")
    return state._replace(version_rows=tuple(str(row[place]) for row in cursor.fetchall()))


def _strange_version_table(state: DatabaseState) -> Unreachable:
    return Unreachable(
        "unknown",
        f'Table "{state.version_table}" of database "{state.location}" has no column '
        '"version_num", so Alembic did not make it.',
        'set another name by Migrate(..., version_table="...")',
    )
