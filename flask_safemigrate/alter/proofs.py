"""What must be true before COMMIT, compared with how it was when the run began."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flask_safemigrate.alter.apply.database import Database
from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.alter.enforcement import Enforcement
from flask_safemigrate.alter.queue.queue import no_key, refused
from flask_safemigrate.alter.queue.scratch import Scratch, is_virtual
from flask_safemigrate.checks.found import counted
from flask_safemigrate.ddl.rebuild import same_statement
from flask_safemigrate.ddl.references import read_trigger, statement_targets
from flask_safemigrate.ddl.tokens import (
    fold,
    op_execute,
    quote,
    quote_string,
)
from flask_safemigrate.errors import VerificationFailed

#: Settings in the header of the file.
SETTINGS = ("user_version", "application_id", "encoding", "auto_vacuum")

#: Foreign keys: child table, number, parent table, child column, parent column.
LINKS = (
    'SELECT m.name, f.id, f."table", f."from", f."to" FROM sqlite_master AS m,'
    " pragma_foreign_key_list(m.name) AS f WHERE m.type = 'table'"
)


_READERS = ("view", "trigger")
_ORDER = "make what it reads in the same migration, or make it where that is there"


class Baseline(NamedTuple):
    """The database before the first change.

    :ivar readable: folded names of the views and virtual tables that can be read.
    :ivar broken: folded names of objects that do not work.
    :ivar failing: folded names of triggers whose event SQLite cannot compile.
    :ivar dangling: foreign keys that lead nowhere: child and parent, folded.
    :ivar tables: folded names of all tables.
    :ivar names: folded names of all views and triggers.
    :ivar sequences: the AUTOINCREMENT counters by table name.
    """

    readable: frozenset[str]
    broken: frozenset[str]
    failing: frozenset[str]
    dangling: frozenset[tuple[str, str]]
    tables: frozenset[str]
    names: frozenset[str]
    sequences: dict[str, int]
    settings: dict[str, object]


def take(database: Database, scratch: Scratch) -> Baseline:
    """Note how things are; reads the schema, and no table."""
    return Baseline(
        readable=frozenset(
            fold(name) for name, sql in _read(database) if _fault(database, sql) is None
        ),
        broken=frozenset(name for _, name in scratch.loaded.aside),
        failing=frozenset(_failing_triggers(scratch)),
        dangling=frozenset(_dangling(scratch)),
        tables=frozenset(fold(each.name) for each in scratch.entries() if each.type == "table"),
        names=frozenset(fold(row.name) for row in database.master() if row.type in _READERS),
        sequences=_sequences(database),
        settings=_settings(database),
    )


def _settings(database: Database) -> dict[str, object]:
    return {name: database.value(f"PRAGMA {name}") for name in SETTINGS}


def _sequences(database: Database) -> dict[str, int]:
    if not database.has_table("sqlite_sequence"):
        return {}
    return dict(database.read("SELECT name, seq FROM sqlite_sequence"))


def _read(database: Database) -> Iterable[tuple[str, str]]:
    """Views, and virtual tables, of which some read a plain one, with what reads them."""
    for name, kind, sql in database.read("SELECT name, type, sql FROM sqlite_master"):
        if kind == "view":
            yield name, f"SELECT * FROM {quote(name)} LIMIT 0"
        elif kind == "table" and sql is not None and is_virtual(sql):
            # A virtual table looks for what it reads when it is asked for a row.
            yield name, f"SELECT * FROM {quote(name)} LIMIT 1"


def _fault(database: Database, sql: str) -> Exception | None:
    try:
        database.read(sql)
    except Exception as error:
        return error
    return None


def _failing_triggers(scratch: Scratch) -> dict[str, str]:
    """Folded names of triggers whose event SQLite cannot compile, and what it says.

    A trigger's statements are compiled when its event happens: only then SQLite finds that an
    INSERT has too few values.
    """
    found = {}
    events: dict[tuple[str, str], list[str]] = {}
    for each in scratch.entries():
        if each.type == "trigger" and each.sql is not None:
            events.setdefault((each.table, read_trigger(each.sql).event), []).append(each.name)
    for (table, event), names in events.items():
        columns = [
            quote(row[1])
            for row in scratch.db.execute(f"PRAGMA table_xinfo({quote_string(table)})")
            if row[6] == 0
        ]
        statement = {
            "INSERT": f"INSERT INTO {quote(table)} ({', '.join(columns)})"
            f" VALUES ({', '.join(['NULL'] * len(columns))})",
            "UPDATE": f"UPDATE {quote(table)} SET "
            + ", ".join(f"{column} = NULL" for column in columns),
            "DELETE": f"DELETE FROM {quote(table)}",
        }[event]
        try:
            scratch.execute(f"EXPLAIN {statement}")
        except Exception as error:
            found.update({fold(name): str(error) for name in names})
    return found


def _dangling(scratch: Scratch) -> Iterable[tuple[str, str]]:
    """Foreign keys whose parent is missing or has no such key."""
    links = scratch.db.execute(LINKS).fetchall()
    tables = {fold(each.name) for each in scratch.entries() if each.type == "table"}
    for child, _, parent, _, _ in links:
        if fold(parent) not in tables:
            yield fold(child), fold(parent)
    for child in {row[0] for row in links}:
        try:
            scratch.db.execute(f"PRAGMA foreign_key_check({quote_string(child)})").fetchall()
        except Exception as error:
            if "mismatch" not in str(error):
                raise
            # "foreign key mismatch - "child" referencing "parent""
            yield fold(child), fold(str(error).rpartition('" referencing "')[2].rstrip('"'))


def schema(database: Database, scratch: Scratch) -> None:
    """The real schema is the scratch database's, object by object.

    :raises VerificationFailed: something is missing, left over, or has another text.
    """
    aside = scratch.loaded.aside
    virtual = scratch.loaded.virtual
    original = {(row.type, fold(row.name)): row.sql for row in scratch.loaded.rows}
    real = {
        (row.type, fold(row.name)): row
        for row in database.master()
        if not (row.type == "table" and fold(row.name).startswith("sqlite_"))
    }
    wanted = {(each.type, fold(each.name)): each for each in scratch.entries()}
    for key, row in real.items():
        if key in aside or (row.sql is not None and is_virtual(row.sql)):
            continue
        expected = wanted.get(key)
        if expected is None:
            raise VerificationFailed(f"{row.type} {quote(row.name)} should not be there")
        same = (
            row.sql == expected.sql
            or row.sql == original.get(key)
            or same_statement(row.sql, expected.sql)
        )
        if not same or (fold(row.table) != fold(expected.table)):
            raise VerificationFailed(f"{row.type} {quote(row.name)} is not as planned: {row.sql}")
    for key, expected in wanted.items():
        if key not in real and key[1] not in virtual:
            raise VerificationFailed(f"{expected.type} {quote(expected.name)} is missing")


def _now(name: str, baseline: Baseline) -> str:
    return " any more" if fold(name) in baseline.names else ""


def _way_out(kind: str, name: str) -> str:
    """What to write in the revision where a view or trigger that was there does not work."""
    drop = f"DROP {kind.upper()} {quote(name)}"
    return (
        "change or drop it in the same migration, before the operation:\n"
        f"      {op_execute(drop)}\n"
        "and make it again after it where it is still wanted"
    )


def nothing_broke(
    database: Database,
    scratch: Scratch,
    baseline: Baseline,
    keys: Mapping[tuple[str, str], Origin],
    makers: Mapping[str, Origin],
    *,
    enforced: bool,
) -> list[str]:
    """Views and triggers that worked still do; no foreign key leads nowhere that led somewhere.

    Nor does one that the migration makes, where foreign keys are enforced; where they are not,
    SQLite takes such a key, and so does stock Alembic.

    :param scratch: freshly loaded.
    :param keys: what made foreign keys, by the folded names of child and parent.
    :param makers: what made tables, by their folded names.
    :param enforced: whether foreign keys are.
    :return: foreign keys of new tables that lead nowhere.
    :raises VerificationFailed: naming what broke.
    :raises OperationRefused: naming the operation.
    """
    for (kind, name), reason in scratch.loaded.aside.items():
        if name not in baseline.broken:
            raise VerificationFailed(
                f"{kind} {quote(name)} does not work{_now(name, baseline)}: {reason}",
                hint=_way_out(kind, name) if fold(name) in baseline.names else _ORDER,
                words=_lacks(reason),
            )
    for name, reason in _failing_triggers(scratch).items():
        if name not in baseline.failing | baseline.broken:
            found = scratch.find("trigger", name)
            trigger = found.name if found is not None else name
            raise VerificationFailed(
                f"trigger {quote(trigger)} does not work{_now(name, baseline)}: {reason}",
                hint=_way_out("trigger", trigger) if fold(name) in baseline.names else _ORDER,
                words=_lacks(reason),
            )
    for name, sql in _read(database):
        error = _fault(database, sql) if fold(name) in baseline.readable else None
        if error is not None:
            kind = "view" if scratch.find("view", name) is not None else "virtual table"
            raise VerificationFailed(
                f"{kind} {quote(name)} cannot be read any more: {error}",
                hint="change or drop it in the same migration",
                words=_lacks(str(error)),
            ) from error
    loose = []
    names = {fold(each.name): each.name for each in scratch.entries() if each.type == "table"}
    for child, parent in sorted(set(_dangling(scratch)) - baseline.dangling):
        made = keys.get((child, parent))
        is_new = child not in baseline.tables
        if not enforced and (made is not None or is_new):
            why = ", which has no such key" if parent in names else ""
            loose.append(f"{quote(child)} to {quote(parent)}{why}")
            continue
        if made is None and is_new:
            made = makers.get(child)
        was_there = parent in baseline.tables or parent in makers
        if made is not None and (parent in names or not was_there):
            if parent in names:
                said = f'foreign key mismatch - "{names.get(child, child)}" referencing "{parent}"'
                raise no_key(made, names.get(child, child), said)
            raise refused(
                made,
                f"there is no table {quote(parent)} to refer to",
                "create it in the same migration",
            )
        fault = "is gone" if was_there else "is not there"
        if parent in names:
            fault = "has no such unique key"
        raise VerificationFailed(
            f"the foreign key of table {quote(names.get(child, child))} leads to"
            f" {quote(parent)}, which {fault}",
            hint="drop the foreign key, or the table that has it, in the same migration",
            words=(names.get(child, child) if is_new and parent in names else parent,),
        )
    return loose


def _lacks(reason: str) -> tuple[str, ...]:
    """The name that SQLite does not find, where it says one."""
    found = re.search(r"no such \w+: (?:\S+\.)?(\S+?)\"?$", reason)
    return (found[1],) if found is not None else ()


def bookkeeping(database: Database, baseline: Baseline, touched: frozenset[str]) -> None:
    """File settings are kept, and no AUTOINCREMENT counter goes back.

    :param touched: what statements of the migration itself changed: names of settings, and
        ``sqlite_sequence``.
    """
    for name, value in _settings(database).items():
        if name not in touched and value != baseline.settings[name]:
            raise VerificationFailed(
                f"PRAGMA {name} was {baseline.settings[name]!r}, is {value!r}"
            )
    if "sqlite_sequence" in touched:
        return
    now = _sequences(database)
    for table, counter in baseline.sequences.items():
        if table in now and now[table] < counter:
            raise VerificationFailed(
                f"the AUTOINCREMENT counter of table {quote(table)} was {counter}, is {now[table]}"
            )


def content(database: Database, table: str) -> None:
    """``PRAGMA quick_check`` of a table whose rows were written anew.

    Rows that break an old CHECK or NOT NULL did so before; new rules were proven.

    :raises VerificationFailed: the table is damaged.
    """
    whole = database.version < (3, 33)
    argument = "" if whole else f"({quote_string(table)})"
    found = [
        str(row[0])
        for row in database.read(f"PRAGMA quick_check{argument}")
        if row[0] != "ok"
        and not str(row[0]).startswith(("CHECK constraint failed", "NULL value in"))
    ]
    if found:
        raise VerificationFailed(f"table {quote(table)} is damaged: {found[0]}")


class ForeignKeys:
    """Rows without parents, before and after the migration's own statements.

    Compared only for tables that a statement may have affected, and only while SQLite does not
    enforce foreign keys itself.

    :param enforcement: what the revisions want of it.
    """

    def __init__(self, database: Database, enforcement: Enforcement | None = None) -> None:
        self.database = database
        self._enforcement = enforcement
        self._watched: dict[str, int] = {}
        self._before: dict[str, int] = {}
        self._named: dict[str, tuple[str, ...]] = {}
        self._seen: set[str] = set()
        self._kinds: set[tuple[str, tuple[str, ...]]] = set()
        self._dropping: dict[str, tuple[int, ...]] = {}
        self._columns: dict[str, list[str]] = {}

    def before(self, statement: str) -> None:
        """A statement of the migration is about to run."""
        watched = self._enforcement is not None and self._enforcement.watched
        if statement in self._seen and not watched:
            return
        kind, targets = statement_targets(statement)
        if kind != "drop table" and (kind, targets) in self._kinds and not watched:
            return
        if kind == "drop table" and self.database.foreign_keys():
            self._before_drop(targets)
            return
        if len(self._seen) < 1000:
            self._seen.add(statement)
        self._kinds.add((kind, targets))
        if kind in ("select", "pragma", "explain", "empty", "savepoint", "release"):
            return
        if self.database.foreign_keys():
            return
        names = {fold(name) for name in targets}
        for child, _, parent, _, _ in self.database.read(LINKS):
            affected = not names or fold(child) in names or fold(parent) in names
            if affected and (watched or fold(child) not in self._before):
                count = self.violations(child)
                self._before.setdefault(fold(child), count)
                self._named.setdefault(fold(child), targets or (child,))
                if watched:
                    self._watched[child] = count

    def violations(self, table: str) -> int:
        """How many rows of a table have no parent."""
        try:
            return len(self.database.read(f"PRAGMA foreign_key_check({quote_string(table)})"))
        except Exception:
            # A foreign key mismatch; whether it is new is asked elsewhere.
            return 0

    def _before_drop(self, targets: tuple[str, ...]) -> None:
        for child, counts in self._references(targets).items():
            self._dropping[child] = counts

    def _references(self, parents: Iterable[str]) -> dict[str, tuple[int, ...]]:
        names = {fold(name) for name in parents}
        columns: dict[str, list[str]] = {}
        for child, _, parent, column, _ in self.database.read(LINKS):
            if fold(parent) in names and fold(child) not in names:
                columns.setdefault(child, []).append(column)
        return {child: self._counts(child, listed) for child, listed in columns.items()}

    def _counts(self, child: str, columns: list[str]) -> tuple[int, ...]:
        counted = ", ".join(["count(*)", *(f"count({quote(each)})" for each in columns)])
        self._columns[child] = columns
        return tuple(self.database.read(f"SELECT {counted} FROM {quote(child)}")[0])

    def after(self, statement: str, revision: str | None = None) -> None:
        """It has run.

        :param revision: the one that it is of.
        :raises VerificationFailed: it dropped a table, and rows of others went along; or foreign
            keys are to be enforced, SQLite does not do it in this run, and it would have minded.
        """
        watched, self._watched = self._watched, {}
        for child, count in watched.items():
            if self.database.has_table(child) and self.violations(child) > count:
                said = " ".join(statement.split())
                raise VerificationFailed(
                    f"Revision '{revision}': \"{said}\" leaves rows of table {quote(child)}"
                    " without the row that their foreign key leads to. Foreign keys are not"
                    " enforced in this run, because another of its revisions switches them off",
                    hint=f"run it apart from that one: flask db safe-upgrade {revision}",
                )
        dropping, self._dropping = self._dropping, {}
        for child, counts in dropping.items():
            if not self.database.has_table(child):
                continue
            now = self._counts(child, self._columns[child])
            if now != counts:
                lost = counts[0] - now[0] or max(counts[1:]) - max(now[1:])
                were = "was deleted" if lost == 1 else "were deleted"
                what = were if now[0] != counts[0] else "lost what it referred to"
                raise VerificationFailed(
                    f'"{" ".join(statement.split())}" cascades: {counted(lost, "row")} of table'
                    f" {quote(child)} {what}",
                    hint="use op.drop_table or op.batch_alter_table, which do not cascade",
                )

    def renamed(self, names: Mapping[str, str]) -> None:
        """Tables have other names now: new by old."""
        moved = {new: self._before.pop(fold(old), None) for old, new in names.items()}
        self._before.update(
            {fold(new): count for new, count in moved.items() if count is not None}
        )

    def prove(self) -> list[str]:
        """Compare.

        :raises VerificationFailed: a table has more rows without parents than before.
        """
        proven = []
        for table, before in self._before.items():
            name = self.database.value(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
                f" AND name = {quote_string(table)} COLLATE NOCASE"
            )
            if name is None:
                continue
            now = self.violations(name)
            if now > before:
                raise VerificationFailed(
                    f"{counted(now - before, 'row')} of table {quote(name)} lost the row that the"
                    " foreign key leads to",
                    hint="delete or change these rows in the same migration",
                    words=self._named.get(table, (name,)),
                )
            proven.append(f"no new row without parent in {quote(name)}")
        return proven
