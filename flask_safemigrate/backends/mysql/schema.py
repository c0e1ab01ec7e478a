"""Read the whole schema of a MariaDB or MySQL database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, text

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.mysql.address import connect_defaults
from flask_safemigrate.backends.mysql.read import ANSWER_SECONDS
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.facts.schema import (
    Check,
    Column,
    ForeignKey,
    Index,
    Schema,
    Table,
    Trigger,
    View,
)

# Aliases, because MySQL 8 answers with column names in capitals.
_COLUMNS = """
    SELECT c.table_name AS `table`, c.column_name AS name, c.column_type AS type,
        c.is_nullable = 'YES' AS nullable, c.column_default AS `default`, c.extra AS extra,
        c.generation_expression AS expression
    FROM information_schema.columns c JOIN information_schema.tables t
        ON t.table_schema = c.table_schema AND t.table_name = c.table_name
    WHERE c.table_schema = database() AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    ORDER BY c.table_name, c.ordinal_position
"""

_INDEXES = """
    SELECT table_name AS `table`, index_name AS name, non_unique = 0 AS `unique`,
        column_name AS `column`, sub_part AS part, collation AS direction, index_type AS method
    FROM information_schema.statistics WHERE table_schema = database()
    ORDER BY table_name, index_name, seq_in_index
"""

_FOREIGN_KEYS = """
    SELECT k.table_name AS `table`, k.constraint_name AS name, k.column_name AS `column`,
        k.referenced_table_name AS other, k.referenced_column_name AS referred,
        r.delete_rule AS on_delete, r.update_rule AS on_update
    FROM information_schema.key_column_usage k
        JOIN information_schema.referential_constraints r
            ON r.constraint_schema = k.constraint_schema
            AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name
    WHERE k.table_schema = database() AND k.referenced_table_name IS NOT NULL
    ORDER BY k.table_name, k.constraint_name, k.ordinal_position
"""

_CHECKS = {
    "mariadb": """
        SELECT table_name AS `table`, constraint_name AS name, check_clause AS clause
        FROM information_schema.check_constraints WHERE constraint_schema = database()
        ORDER BY constraint_name
    """,
    "mysql": """
        SELECT t.table_name AS `table`, c.constraint_name AS name, c.check_clause AS clause
        FROM information_schema.check_constraints c JOIN information_schema.table_constraints t
            ON t.constraint_schema = c.constraint_schema AND t.constraint_name = c.constraint_name
        WHERE c.constraint_schema = database() ORDER BY c.constraint_name
    """,
}

_VIEWS = """
    SELECT table_name AS name, view_definition AS definition
    FROM information_schema.views WHERE table_schema = database() ORDER BY table_name
"""

_TRIGGERS = """
    SELECT trigger_name AS name, event_object_table AS `table`, action_timing AS timing,
        event_manipulation AS event, action_statement AS action
    FROM information_schema.triggers WHERE trigger_schema = database() ORDER BY trigger_name
"""


_SETTINGS = """
    SHOW VARIABLES WHERE Variable_name IN ('sql_mode', 'sql_generate_invisible_primary_key',
        'explicit_defaults_for_timestamp', 'default_storage_engine', 'character_set_database',
        'collation_database', 'character_set_collations', 'lower_case_table_names',
        'innodb_strict_mode', 'default_collation_for_utf8mb4')
"""


def settings_of(target: Target) -> tuple[str, ...]:
    """Return the settings of the application's sessions that say what its statements make.

    :raises SQLAlchemyError: they cannot be read.
    """
    defaults = connect_defaults(target.engine, answer_seconds=ANSWER_SECONDS)
    with own_connection(target.engine, defaults) as connection:
        return tuple(sorted(f"{row[0]}={row[1]}" for row in connection.exec_driver_sql(_SETTINGS)))


def read_schema(target: Target, schemas: Collection[str] = ()) -> Schema:
    """Read the schema of a database by a connection of its own.

    :param schemas: not read: they are other databases.
    :raises SQLAlchemyError: it cannot be read.
    """
    defaults = connect_defaults(target.engine, answer_seconds=ANSWER_SECONDS)
    with own_connection(target.engine, defaults) as connection:
        connection.execute(text("SET SESSION lock_wait_timeout = 5"))
        connection.execute(text("SET SESSION TRANSACTION READ ONLY"))
        connection.commit()
        return schema_on(connection, {})


def schema_on(connection: Connection, known: object) -> Schema:
    """Read the schema that an open connection sees, in seven statements."""

    def grouped(query: str) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = defaultdict(list)
        for row in connection.execute(plain(query)):
            found[row.table].append(row)
        return found

    name, version = connection.execute(plain("SELECT database(), version()")).one()
    dialect = "mariadb" if "mariadb" in version.lower() else "mysql"
    columns, indexes, keys = grouped(_COLUMNS), grouped(_INDEXES), grouped(_FOREIGN_KEYS)
    checks = grouped(_CHECKS[dialect])
    here = f"`{name}`."
    return Schema(
        dialect,
        tuple(
            _table(table, rows, indexes[table], keys[table], checks[table])
            for table, rows in columns.items()
        ),
        tuple(
            View(row.name, (row.definition or "").replace(here, ""))
            for row in connection.execute(plain(_VIEWS))
        ),
        tuple(
            Trigger(row.name, row.table, f"{row.timing} {row.event} {row.action}")
            for row in connection.execute(plain(_TRIGGERS))
        ),
    )


def _by_name(rows: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.name, []).append(row)
    return found


def _table(
    name: str, columns: list[Any], indexes: list[Any], keys: list[Any], checks: list[Any]
) -> Table:
    by_name = _by_name(indexes)
    return Table(
        name,
        tuple(_column(row) for row in columns),
        tuple(row.column for row in by_name.pop("PRIMARY", ())),
        tuple(_index(rows) for rows in by_name.values()),
        tuple(_foreign_key(rows) for rows in _by_name(keys).values()),
        tuple(Check(row.name, row.clause) for row in checks),
    )


def _column(row: Any) -> Column:
    extra = (row.extra or "").lower()
    default = row.default
    if default is not None and "on update" in extra:
        default = f"{default} {extra.partition('default_generated')[2].strip() or extra}"
    return Column(
        row.name,
        row.type,
        bool(row.nullable),
        default,
        row.expression or "",
        "auto_increment" in extra,
    )


def _index(rows: list[Any]) -> Index:
    first = rows[0]
    columns = tuple(
        (row.column or "(expression)")
        + (f"({row.part})" if row.part else "")
        + (" DESC" if row.direction == "D" else "")
        for row in rows
    )
    plain = first.method in ("BTREE", "HASH") and all(row.column for row in rows)
    if not plain:
        columns = (f"{first.method} {columns[0]}", *columns[1:])
    return Index(first.name, columns, bool(first.unique), plain=plain)


def _foreign_key(rows: list[Any]) -> ForeignKey:
    first = rows[0]
    # The two words mean the same to InnoDB.
    actions = [
        f"ON {verb} {what}"
        for verb, what in (("DELETE", first.on_delete), ("UPDATE", first.on_update))
        if what not in ("NO ACTION", "RESTRICT")
    ]
    return ForeignKey(
        first.name,
        tuple(row.column for row in rows),
        first.other,
        tuple(row.referred for row in rows),
        " ".join(actions),
    )
