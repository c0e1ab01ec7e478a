"""Prove that a migration changed no rows but those of the tables that it wrote to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from flask_safemigrate.backends.postgresql.read import limit_waits, quoted
from flask_safemigrate.backends.reach import grouped, numbered, reached_from, run_by
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.errors import VerificationFailed
from flask_safemigrate.names import OWN_TABLES

_BATCH = 100


class _Relation(NamedTuple):
    """A table or view.

    :param kind: ``pg_class.relkind``.
    :param file: ``relfilenode``: another one after TRUNCATE and after a rewrite.
    :param inserted: rows inserted by this session that the statistics do not count yet.
    """

    schema: str
    name: str
    kind: str
    file: int
    readable: bool
    inserted: int
    deleted: int

    @property
    def full(self) -> str:
        """The name as it stands in a statement."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def words(self) -> frozenset[str]:
        """Every way in which a migration may have named it."""
        name, schema = self.name.lower(), self.schema.lower()
        return frozenset((name, f"{schema}.{name}", schema + ".*"))


class Watch(NamedTuple):
    """What there was before.

    :param transaction: when the transaction began, which tells it from the next one.
    :param counting: whether the server counts changed rows.
    :param filled: oids of the tables that had rows.
    """

    transaction: str
    counting: bool
    relations: Mapping[int, _Relation]
    filled: frozenset[int]
    reach: Mapping[int, frozenset[int]]


# https://www.postgresql.org/docs/current/monitoring-stats.html: the xact view counts what is not
# in the shared statistics yet. That may include a moment before this transaction, so the
# difference of two readings counts.
_RELATIONS = text("""
    SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
        c.relfilenode::bigint AS file, has_table_privilege(c.oid, 'SELECT') AS readable,
        coalesce(s.n_tup_ins, 0) AS inserted, coalesce(s.n_tup_del, 0) AS deleted
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_stat_xact_user_tables s ON s.relid = c.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname !~ '^pg_'
        AND n.nspname <> 'information_schema'
""")

# Foreign keys with an action, partitions both ways, rules (a view is one) and triggers, whose
# function may write to any table that its text mentions.
_REACH = text("""
    SELECT confrelid::bigint, conrelid::bigint FROM pg_constraint
    WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))
    UNION SELECT inhparent::bigint, inhrelid::bigint FROM pg_inherits
    UNION SELECT inhrelid::bigint, inhparent::bigint FROM pg_inherits
    UNION SELECT r.ev_class::bigint, d.refobjid::bigint
    FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    WHERE d.refclassid = 'pg_class'::regclass AND r.ev_class >= 16384
    UNION SELECT t.tgrelid::bigint, c.oid::bigint
    FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        JOIN pg_language l ON l.oid = p.prolang
        CROSS JOIN pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND c.relkind IN ('r', 'p', 'v') AND n.nspname !~ '^pg_'
        AND n.nspname <> 'information_schema'
        AND (l.lanname = 'c' OR position(lower(c.relname) IN lower(p.prosrc)) > 0)
""")

# The body of a function of SQL (BEGIN ATOMIC) is no text; what it needs is not looked up.
_ROUTINES = text("""
    SELECT lower(p.proname), lower(nullif(string_agg(p.prosrc, ' '), ''))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        JOIN pg_language l ON l.oid = p.prolang
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND l.lanname <> 'c'
    GROUP BY 1
""")


def _relations(connection: Connection) -> dict[int, _Relation]:
    found = {oid: _Relation(*rest) for oid, *rest in connection.execute(_RELATIONS)}
    return {oid: relation for oid, relation in found.items() if relation.name not in OWN_TABLES}


def _reach(connection: Connection) -> dict[int, frozenset[int]]:
    return grouped((source, other) for source, other in connection.execute(_REACH))


def _filled(connection: Connection, relations: Mapping[int, _Relation]) -> frozenset[int]:
    """Return which of these tables have rows; none where that cannot be told in short time.

    TRUNCATE is not counted, so it must be seen by its result.
    """
    tables = [(oid, r.full) for oid, r in relations.items() if r.kind == "r" and r.readable]
    found: set[int] = set()
    # Going back to the savepoint frees the tables' locks and restores the timeouts.
    savepoint = connection.begin_nested()
    try:
        limit_waits(connection, lock=2, statement=5)
        for first in range(0, len(tables), _BATCH):
            parts = (
                f"SELECT {oid} WHERE EXISTS (SELECT FROM ONLY {name})"
                for oid, name in tables[first : first + _BATCH]
            )
            found |= set(connection.execute(plain(" UNION ALL ".join(parts))).scalars())
    except DBAPIError:
        found = set()
    finally:
        savepoint.rollback()
    return frozenset(found)


def _counting(connection: Connection) -> bool:
    if connection.execute(text("SHOW track_counts")).scalar() == "on":
        return True
    savepoint = connection.begin_nested()
    try:
        connection.execute(text("SET LOCAL track_counts = on"))  # a superuser may
    except DBAPIError:
        savepoint.rollback()
        return False
    savepoint.commit()
    return True


def _transaction(connection: Connection) -> str:
    return str(connection.execute(text("SELECT transaction_timestamp()::text")).scalar())


def begin_watch(connection: Connection) -> Watch:
    """Note which tables and views there are, and how far the server has counted."""
    relations = _relations(connection)
    return Watch(
        _transaction(connection),
        _counting(connection),
        relations,
        _filled(connection, relations),
        _reach(connection),
    )


def finish_watch(connection: Connection, watch: Watch, written: frozenset[str]) -> tuple[str, ...]:
    """Prove that the migration left alone what it did not write to.

    The server itself counts the rows that this transaction inserted and deleted
    (``pg_stat_xact_user_tables``), so the application may write meanwhile. Tables that a foreign
    key's action, a trigger or a rule leads to from a written one are left out.

    :param written: names of tables and views, with or without schema.
    :raises VerificationFailed: naming the tables and the rows they lost or gained.
    """
    words = {name.lower().replace('"', "") for name in written}
    now = _relations(connection)
    named = {oid for oid, r in watch.relations.items() if r.words & words}
    named |= {oid for oid, r in now.items() if r.words & words}
    _prove_presence(watch, now, named)
    proven = ["every table and view that the migration does not name is still there"]
    if _transaction(connection) != watch.transaction:
        return (*proven, "rows were not compared: the migration ended its transaction itself")
    reached = reached_from(named, watch.reach, _reach(connection))
    others = {
        oid: (before, now[oid])
        for oid, before in watch.relations.items()
        if oid not in reached and oid in now and before.kind == "r"
    }
    truncated = _truncated(connection, watch, others)
    changed = [(r, f"{r.full} lost all of its rows") for r in truncated]
    changed += [
        (
            after,
            f"{after.full} lost {after.deleted - before.deleted} and gained "
            f"{numbered(after.inserted - before.inserted, 'row')}",
        )
        for before, after in others.values()
        if (before.inserted, before.deleted) != (after.inserted, after.deleted)
        and after not in truncated
    ]
    if changed:
        runs = run_by(frozenset(words), dict(map(tuple, connection.execute(_ROUTINES))))
        by_routines = {oid for oid, r in now.items() if runs(r.name)}
        led = reached_from(by_routines, watch.reach, _reach(connection))
        away = {now[oid].full for oid in led if oid in now}
        changed = [(r, says) for r, says in changed if r.full not in away]
    if changed:
        these = ", ".join(sorted(says for _, says in changed))
        raise VerificationFailed(
            f"The migration does not write to these, but: {these}.",
            hint="write the statement so that it names the table",
        )
    if not watch.counting:
        proven.append("rows were not compared: the server's track_counts is off")
    elif others:
        count = numbered(len(others), "table")
        proven.append(f"{count} without a write: no row inserted or deleted")
    return tuple(proven)


def _prove_presence(watch: Watch, now: Mapping[int, _Relation], named: Iterable[int]) -> None:
    # A table that was built anew under the old name counts as the same.
    names = {r.full for r in now.values()}
    gone = sorted(
        r.full
        for oid, r in watch.relations.items()
        if oid not in now and oid not in named and r.full not in names
    )
    if gone:
        raise VerificationFailed(
            f"The migration does not name these, but they are gone: {', '.join(gone)}.",
            hint="name them in the migration, if it is meant to drop them",
        )


def _truncated(
    connection: Connection, watch: Watch, others: Mapping[int, tuple[_Relation, _Relation]]
) -> list[_Relation]:
    suspects = {
        oid: after
        for oid, (before, after) in others.items()
        if before.file != after.file and oid in watch.filled
    }
    filled = _filled(connection, suspects) if suspects else frozenset()
    return [relation for oid, relation in suspects.items() if oid not in filled]
