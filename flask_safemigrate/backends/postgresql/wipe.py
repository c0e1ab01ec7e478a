"""Emptying a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.driver_errors import text_of
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.postgresql.address import address_of, connect_defaults
from flask_safemigrate.backends.postgresql.explain import unavailable
from flask_safemigrate.backends.reach import numbered
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.errors import SafeMigrateError
from flask_safemigrate.names import LOCK_TABLE

LOCK_SECONDS = 10

# In the order in which they are dropped, without what belongs to an extension or goes with
# another object, as the functions of a range type do.
# https://www.postgresql.org/docs/current/catalogs.html
_REST = {
    "pg_operator": ("opr", 5),
    "pg_opclass": ("opc", 6),
    "pg_opfamily": ("opf", 7),
    "pg_conversion": ("con", 9),
    "pg_ts_config": ("cfg", 9),
    "pg_ts_dict": ("dict", 9),
    "pg_ts_parser": ("prs", 9),
    "pg_ts_template": ("tmpl", 9),
    "pg_statistic_ext": ("stx", 9),
    "pg_collation": ("coll", 10),
}
_OF_SUPERUSERS = ("prs", "tmpl")  # they have no owner
_UNIONS = " ".join(
    f"UNION ALL SELECT {rank}, '{catalogue}'::regclass, oid, {word}namespace, "
    f"{'10::oid' if word in _OF_SUPERUSERS else word + 'owner'} FROM {catalogue} "
    f"WHERE {word}namespace IN (SELECT oid FROM spaces)"
    for catalogue, (word, rank) in _REST.items()
)
_OBJECTS = text(f"""
    WITH spaces AS (SELECT oid FROM pg_namespace WHERE nspname = ANY (:schemas)),
    objects (rank, classid, objid, space, owner) AS (
        SELECT CASE WHEN relkind IN ('v', 'm') THEN 1 WHEN relkind = 'S' THEN 3 ELSE 2 END,
            'pg_class'::regclass, oid, relnamespace, relowner
        FROM pg_class WHERE relnamespace IN (SELECT oid FROM spaces)
            AND relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND NOT relispartition
            AND relname <> :lock_table
        UNION ALL SELECT 4, 'pg_proc'::regclass, oid, pronamespace, proowner
        FROM pg_proc WHERE pronamespace IN (SELECT oid FROM spaces)
        UNION ALL SELECT 8, 'pg_type'::regclass, t.oid, t.typnamespace, t.typowner
        FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
        WHERE t.typnamespace IN (SELECT oid FROM spaces)
            AND (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c')
                OR (t.typtype = 'b' AND t.typcategory <> 'A'))
        {_UNIONS}
    )
    SELECT identified.type, identified.identity, o.classid::regclass::text AS catalogue,
        o.objid::bigint AS oid, o.space::bigint AS space, pg_get_userbyid(o.owner) AS owner,
        pg_has_role(o.owner, 'USAGE') AS ours
    FROM objects o, pg_identify_object(o.classid, o.objid, 0) identified
    WHERE NOT EXISTS (
        SELECT FROM pg_depend d
        WHERE d.classid = o.classid AND d.objid = o.objid AND d.deptype IN ('e', 'i')
            AND d.refobjid <> o.objid  -- a partitioned table hangs on its own key column
    )
    ORDER BY rank, identity
""")

_WORDS = {"statistics object": "STATISTICS", "composite type": "TYPE"}

# What a CASCADE could take along: everything in other schemas that can hang on something in ours.
_OUTSIDE = text("""
    WITH spaces AS (
        SELECT oid FROM pg_namespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND nspname <> ALL (:schemas)
    ),
    relations AS (SELECT oid FROM pg_class WHERE relnamespace IN (SELECT oid FROM spaces)),
    objects (classid, objid, part) AS (
        SELECT 'pg_class'::regclass, oid, 0 FROM relations
        UNION ALL SELECT 'pg_class'::regclass, attrelid, attnum FROM pg_attribute
        WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (SELECT oid FROM relations)
        UNION ALL SELECT 'pg_constraint'::regclass, oid, 0 FROM pg_constraint
        WHERE connamespace IN (SELECT oid FROM spaces)
        UNION ALL SELECT 'pg_attrdef'::regclass, oid, 0 FROM pg_attrdef
        WHERE adrelid IN (SELECT oid FROM relations)
        UNION ALL SELECT 'pg_trigger'::regclass, oid, 0 FROM pg_trigger
        WHERE NOT tgisinternal AND tgrelid IN (SELECT oid FROM relations)
        UNION ALL SELECT 'pg_policy'::regclass, oid, 0 FROM pg_policy
        WHERE polrelid IN (SELECT oid FROM relations)
        UNION ALL SELECT 'pg_proc'::regclass, oid, 0 FROM pg_proc
        WHERE pronamespace IN (SELECT oid FROM spaces)
        UNION ALL SELECT 'pg_type'::regclass, oid, 0 FROM pg_type
        WHERE typnamespace IN (SELECT oid FROM spaces)
    )
    SELECT classid::oid::bigint, objid::bigint, part, pg_describe_object(classid, objid, part)
    FROM objects
""")


class Object(NamedTuple):
    """An object in a schema.

    :param catalogue: where it is listed, such as ``pg_class``.
    :param space: oid of its schema.
    :param ours: whether this user may do with it what its owner may.
    """

    type: str
    identity: str
    catalogue: str
    oid: int
    space: int
    owner: str
    ours: bool


def objects_in(connection: Connection, schemas: Iterable[str]) -> tuple[Object, ...]:
    """Return what is in these schemas, in the order in which it can be dropped.

    Without what belongs to an extension, and without the table of locks: whoever empties the
    database holds one.
    """
    values = {"schemas": list(schemas), "lock_table": LOCK_TABLE}
    return tuple(Object(*row) for row in connection.execute(_OBJECTS, values))


def drop_statement(found: Object) -> str:
    """Return the statement that drops an object."""
    kind = _WORDS.get(found.type, found.type.upper())
    return f"DROP {kind} IF EXISTS {found.identity} CASCADE"


def drop_statements(connection: Connection, schemas: Iterable[str]) -> tuple[str, ...]:
    """Return the statements that empty these schemas, in order; see :func:`objects_in`."""
    return tuple(map(drop_statement, objects_in(connection, schemas)))


def _outside(connection: Connection, schemas: list[str]) -> dict[tuple[int, int, int], str]:
    rows = connection.execute(_OUTSIDE, {"schemas": schemas})
    return {(classid, objid, part): words for classid, objid, part, words in rows}


def _drop(connection: Connection, target: Target) -> None:
    connection.execute(text("SET LOCAL client_min_messages = warning"))
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
    found = connection.execute(text("SELECT unnest(current_schemas(false))")).scalars()
    schemas = list(found)
    if target.version_schema and target.version_schema not in schemas:
        schemas.append(target.version_schema)
    before = _outside(connection, schemas)
    for statement in drop_statements(connection, schemas):
        connection.execute(plain(statement))
    where = address_of(target.engine.url).location
    after = _outside(connection, schemas)
    lost = sorted(words for key, words in before.items() if key not in after)
    if lost:
        raise SafeMigrateError(
            f'Emptying "{where}" would also drop objects of other schemas that depend on it: '
            f"{'; '.join(lost[:5])}{' and more' if len(lost) > 5 else ''}. Nothing was dropped.",
            hint="drop these first, or give each application a database of its own",
        )
    rest = drop_statements(connection, schemas)
    if rest:
        raise SafeMigrateError(
            f'"{where}" would not be empty: {numbered(len(rest), "object")} left. Nothing was '
            "dropped.",
            hint=f"find out why this fails: {rest[0]};",
        )


def drop_everything(target: Target) -> None:
    """Drop every object in the schemas of the search path and in the version table's schema.

    In one transaction. Other schemas may belong to other applications and stay; so do the
    schemas themselves, extensions and what they own.

    :raises SafeMigrateError: an object in another schema would go too; nothing was dropped.
    :raises DatabaseUnavailable: the server cannot be reached, a privilege is missing or another
        session kept a lock; nothing was dropped.
    """
    try:
        with own_connection(target.engine, connect_defaults(target.engine)) as connection:
            _drop(connection, target)
            connection.commit()
    except SQLAlchemyError as error:
        refusal = unavailable(error, target)
        if refusal.kind != "unknown":
            raise refusal from error
        where = address_of(target.engine.url).location
        raise SafeMigrateError(
            f'"{where}" could not be emptied: {text_of(error)} Nothing was dropped.',
            hint="with thousands of tables, raise max_locks_per_transaction in postgresql.conf"
            if "shared memory" in str(error)
            else None,
        ) from error
