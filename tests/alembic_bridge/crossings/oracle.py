"""The slow way: SQLite's own procedure from the parts of a table, and how two files compare."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.alembic_bridge.crossings.model import Feature, Model
from tests.alembic_bridge.crossings.operations import Outcome
from tests.alembic_bridge.sqlite_run import dump


def apply(path: Path, before: Model, outcome: Outcome) -> None:
    """A new table, INSERT ... SELECT, DROP and RENAME (lang_altertable.html, section 7).

    :raises sqlite3.IntegrityError: rows break a rule.
    """
    after = outcome.after
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for pragma in ("synchronous=OFF", "foreign_keys=OFF", "legacy_alter_table=ON"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("BEGIN")
        orphans = db.execute("PRAGMA foreign_key_check").fetchall()
        for kind, name in db.execute(
            "SELECT type, name FROM sqlite_master WHERE sql IS NOT NULL AND type <> 'table'"
        ).fetchall():
            db.execute(f'DROP {kind} IF EXISTS "{name}"')
        counter = _counter(db, before.name)
        db.execute(after.text("slow_copy"))
        computed = {name for name, col in after.cols.items() if " AS (" in f" {col.more}"}
        back = {new: old for old, new in reversed(after.renamed)}
        into, values = [], []
        if "WITHOUT ROWID" not in before.options + after.options:
            free = next(each for each in ("rowid", "oid") if each not in after.cols)
            into.append(free)
            values.append(free)
        for name in after.cols:
            if name in computed:
                continue
            into.append(_quoted(name))
            source = outcome.sources.get(name, name)
            while source in outcome.sources and source not in before.cols and source != name:
                source = outcome.sources[source]
            values.append(_quoted(source) if source in before.cols else source)
        del back
        db.execute("PRAGMA ignore_check_constraints=ON")
        db.execute(
            f"INSERT OR ABORT INTO slow_copy ({', '.join(into)})"
            f" SELECT {', '.join(values)} FROM {before.name}"
        )
        db.execute(f"DROP TABLE {before.name}")
        db.execute(f"ALTER TABLE slow_copy RENAME TO {after.name}")
        _rename_in_children(db, after)
        if counter is not None:
            db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (counter, after.name))
        for sql in after.objects:
            db.execute(sql)
        _prove(db, before, after, orphans)
        db.execute("COMMIT")


def _quoted(name: str) -> str:
    return name if name.startswith('"') else f'"{name}"'


def _counter(db: sqlite3.Connection, table: str) -> int | None:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
        return None
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return None if row is None else int(row[0])


def _rename_in_children(db: sqlite3.Connection, after: Model) -> None:
    if not after.renamed:
        return
    for name, sql in db.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name IN ('child', 'kid')"
    ).fetchall():
        new = after.swap(sql)
        if new == sql:
            continue
        listed = ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({name})"))
        rows = db.execute(f"SELECT {listed} FROM {name}").fetchall()
        counter = _counter(db, name)
        db.execute(f"DROP TABLE {name}")
        db.execute(new)
        for row in rows:
            marks = ", ".join("?" * len(row))
            db.execute(f"INSERT INTO {name} ({listed}) VALUES ({marks})", row)
        if counter is not None:
            db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (counter, name))


def _prove(db: sqlite3.Connection, before: Model, after: Model, orphans: list[Any]) -> None:
    """New rules hold on the rows; what broke an old one may stay."""
    old = {after.swap(each) for each in before.constraints}
    for text in set(after.constraints) - old:
        found = re.search(r"CHECK \((.*)\)$", text)
        if (
            found
            and db.execute(
                f"SELECT 1 FROM {after.name} WHERE NOT ({found.group(1)}) LIMIT 1"
            ).fetchone()
        ):
            raise sqlite3.IntegrityError(text)
    try:
        now = db.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.OperationalError as error:
        raise sqlite3.IntegrityError(str(error)) from error
    if len(now) > len(orphans):
        raise sqlite3.IntegrityError("orphans")


# ---------------------------------------------------------------- comparing


def described(path: Path, table: str) -> dict[str, Any]:
    """What SQLite says about the table and everything else."""
    with closing(sqlite3.connect(path)) as db:
        columns = [
            (row[1], row[2].replace(" ", "").upper(), row[3], _value(db, row[4]), row[5], row[6])
            for row in db.execute("SELECT * FROM pragma_table_xinfo(?)", (table,)).fetchall()
        ]
        indexes = sorted(
            (
                repr((unique, origin, partial, name if origin == "c" else "")),
                repr(
                    [
                        row[2:6]
                        for row in db.execute("SELECT * FROM pragma_index_xinfo(?)", (name,))
                        if row[5]
                    ]
                ),
            )
            for _, name, unique, origin, partial in db.execute(
                "SELECT * FROM pragma_index_list(?)", (table,)
            ).fetchall()
        )
        keys = sorted(
            repr(row[1:])
            for row in db.execute("SELECT * FROM pragma_foreign_key_list(?)", (table,))
        )
        kinds = (
            db.execute(
                "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main'"
            ).fetchall()
            if sqlite3.sqlite_version_info >= (3, 37)
            else []
        )
        objects = sorted(
            db.execute(
                "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
            ).fetchall()
        )
        return {
            "columns": columns,
            "indexes": indexes,
            "keys": [each.partition(",")[2] for each in keys],
            "kinds": sorted(kinds),
            "objects": objects,
        }


def _value(db: sqlite3.Connection, default: str | None) -> Any:
    if default is None:
        return None
    try:
        _, value = db.execute(f"SELECT typeof({default}), {default}").fetchone()
    except sqlite3.OperationalError:
        return default
    return (str(value),)


def rows(path: Path) -> dict[str, Any]:
    """All rows of all tables but what FTS and ANALYZE keep."""
    return {
        # Counters have no order.
        name: sorted(map(repr, found.values())) if name == "sqlite_sequence" else found
        for name, found in dump(path)["rows"].items()
        if not name.startswith(("sqlite_stat", "fts"))
    }


def behaviour(path: Path, feature: Feature, model: Model) -> list[Any]:
    """What statements do to the file, each undone."""
    table = model.name
    plain = [name for name, col in model.cols.items() if " AS (" not in f" {col.more}"]
    tries: list[tuple[str, ...]] = [tuple(map(model.swap, each)) for each in feature.probes]
    for name in plain:
        column = _quoted(name)
        tries += [
            (f"UPDATE {table} SET {column} = {value} WHERE {column} IS NOT {value}",)
            for value in ("NULL", "1", "-3", "777", "'zz'", "'a)'", "1.5")
        ]
        tries.append((f"INSERT INTO {table} ({column}) VALUES (3)",))
    tries += [
        (f"INSERT INTO {table} DEFAULT VALUES",),
        (f"INSERT INTO {table} ({_quoted(plain[1])}) VALUES ('new')",),
        (f"DELETE FROM {table} WHERE {_quoted(plain[0])} = 1",),
        (f"UPDATE {table} SET {_quoted(plain[0])} = 70 WHERE {_quoted(plain[0])} = 7",),
        (f"DELETE FROM {table}",),
        ("INSERT INTO child VALUES (9, 99)",),
        ("INSERT INTO kid (ck, k) VALUES (9, 'k99')",),
        ("DELETE FROM p WHERE pk = 1",),
        ("DELETE FROM p",),
        ("SELECT * FROM v",),
        ("SELECT * FROM w",),
    ]
    found: list[Any] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA foreign_keys=ON")
        tables = [
            name
            for (name,) in db.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name IN"
                " ('log', 'child', 'kid', 'grand', 'p', 'q', ?) ORDER BY name",
                (table,),
            )
        ]
        for statements in tries:
            outside = not statements[0].startswith("BEGIN")
            if outside:
                db.execute("BEGIN")
            try:
                for statement in statements:
                    last = db.execute(statement).fetchall()
                state = [
                    sorted(db.execute(f"SELECT * FROM {name}").fetchall(), key=repr)
                    for name in tables
                ]
                found.append((statements, sorted(last, key=repr), state))
            except sqlite3.Error as error:
                found.append((statements, type(error).__name__))
            if db.in_transaction:
                db.execute("ROLLBACK")
            elif not outside:
                break
    return found
