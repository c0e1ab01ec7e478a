"""SM5xx: how MariaDB and MySQL keep tables and take values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from flask_safemigrate.checks.found import Found, counted, listed, reached, tables
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.examination import Storage
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity

_SHOWN = 3
_TRANSACTIONAL = ("INNODB", "ROCKSDB", "TOKUDB", "NDBCLUSTER", "")


def table_not_transactional(state: State) -> Iterator[Found]:
    """A table of MariaDB or MySQL has no transactions.

    Cause
        The table was made with MyISAM or Aria, by an old dump or by another default. What a failed
        request or upgrade has written to it stays, a crash may damage it, and no foreign key can
        point to it.
    Example
        ``Can't create table ... errno: 150 "Foreign key constraint is incorrectly formed"``.
    Fix
        ``ALTER TABLE users ENGINE=InnoDB``, which copies the table; in a revision, so that every
        database gets it.
    Prevention
        ``default_storage_engine = InnoDB``, and ``mysql_engine="InnoDB"`` in ``__table_args__``.
    """
    for database in reached(state):
        names = set(tables(database))
        old = [
            s
            for s in database.examination.storage
            if s.engine.upper() not in _TRANSACTIONAL and s.table in names
        ]
        if not old:
            continue
        engines = " and ".join(dict.fromkeys(s.engine for s in old))
        referred = {r.other for r in state.project.references.get(database.bind, ())}
        keys = [s.table for s in old if s.table in referred]
        also = f"; foreign keys of the models lead to {listed(keys)}" if keys else ""
        yield Found(
            f'In database "{database.label}" {counted(len(old), "table")} '
            f"({listed(s.table for s in old)}) {'is' if len(old) == 1 else 'are'} of the engine "
            f"{engines}, which has no transactions{also}.",
            database.location,
            " ".join(f"ALTER TABLE `{s.table}` ENGINE=InnoDB;" for s in old[:_SHOWN])
            + " in a revision: flask db revision",
            bind=database.bind,
            severity=Severity.ERROR if keys else None,
            subject=old[0].table,
        )


def collations_differ(state: State) -> Iterator[Found]:
    """Texts of MariaDB or MySQL that belong together have different collations.

    Cause
        The database's default was changed, or some tables came from an older dump. Foreign keys
        take only columns of the same character set and collation, and a comparison of two
        collations fails.
    Example
        ``Foreign key constraint is incorrectly formed`` for a ``VARCHAR`` key; ``Illegal mix of
        collations`` in a join.
    Fix
        ``ALTER TABLE users CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci``, after a
        snapshot; in a revision, so that every database gets it.
    Prevention
        Make the database with the collation that all tables shall have.
    """
    for database in reached(state):
        storage = {s.table: s for s in database.examination.storage if s.table in tables(database)}
        broken = [*_broken_keys(state, database, storage)]
        for message, table, collation in broken:
            yield Found(
                f'In database "{database.label}" {message}.',
                database.location,
                f"{_convert(table, collation)} in a revision: flask db revision",
                bind=database.bind,
                severity=Severity.ERROR,
                subject=table,
            )
        counts = Counter(s.collation for s in storage.values() if s.collation)
        if broken or len(counts) < 2:
            continue
        usual = database.examination.collation
        usual = usual if usual in counts else counts.most_common(1)[0][0]
        others = [s for s in storage.values() if s.collation not in ("", usual)]
        yield Found(
            f'Tables of database "{database.label}" have different collations: '
            f"{listed(s.table for s in others)} "
            f"{' and '.join(dict.fromkeys(s.collation for s in others))}, "
            f"{counted(counts[usual], 'table')} {usual}; their texts cannot be compared or be "
            "foreign keys of each other.",
            database.location,
            "nothing, where the models want it so (collation=...); else, in a revision, "
            f"{_convert(others[0].table, usual)} which changes every column of it, those with a "
            "collation of their own included",
            bind=database.bind,
            subject=others[0].table,
        )


def _convert(table: str, collation: str) -> str:
    charset = collation.partition("_")[0]
    return f"ALTER TABLE `{table}` CONVERT TO CHARACTER SET {charset} COLLATE {collation};"


def _broken_keys(
    state: State, database: DatabaseState, storage: dict[str, Storage]
) -> Iterator[tuple[str, str, str]]:
    """What keeps a foreign key of the models from being made: words, table, collation to have."""
    default = database.examination.collation
    texts = {
        (s.table, column): collation for s in storage.values() for column, _, collation in s.texts
    }
    for key in state.project.references.get(database.bind, ()):
        other = texts.get((key.other, key.referred))
        if other is None:
            continue
        mine = texts.get((key.table, key.column))
        if mine is not None and mine != other:
            yield (
                f"'{key.table}.{key.column}' ({mine}) cannot be a foreign key to "
                f"'{key.other}.{key.referred}' ({other})",
                key.table,
                other,
            )
        elif key.table not in storage and default and other != default:
            yield (
                f"'{key.table}.{key.column}', which is to be made ({default}), cannot be a "
                f"foreign key to '{key.other}.{key.referred}' ({other})",
                key.other,
                default,
            )


def sql_mode_lenient(state: State) -> Iterator[Found]:
    """MariaDB or MySQL changes values that do not fit instead of refusing them.

    Cause
        ``sql_mode`` has neither ``STRICT_TRANS_TABLES`` nor ``STRICT_ALL_TABLES``. Texts that are
        too long are cut off and wrong numbers become 0, also by a migration that makes a column
        narrower.
    Example
        ``op.alter_column("users", "name", type_=sa.String(20))`` cuts names to 20 characters, with
        a warning that nobody sees.
    Fix
        ``SET GLOBAL sql_mode = CONCAT(@@GLOBAL.sql_mode, ',STRICT_TRANS_TABLES')``, and the same
        in the server's configuration.
    Prevention
        Keep the server's default, which is strict.
    """
    for database in reached(state):
        mode = database.examination.sql_mode
        if mode is None or "STRICT_" in mode.upper():
            continue
        yield Found(
            f'The sql_mode of database "{database.label}" ({mode or "empty"}) is not strict: a '
            "migration that makes a column narrower cuts values off instead of failing.",
            database.location,
            "SET GLOBAL sql_mode = CONCAT(@@GLOBAL.sql_mode, ',STRICT_TRANS_TABLES');  "
            "# and in the server's configuration; or take sql_mode out of the engine's options",
            bind=database.bind,
        )
