"""What other roles own in a PostgreSQL database, which this user can neither drop nor make."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, text

from flask_safemigrate.backends.postgresql.wipe import Object, objects_in

_SCHEMAS = text("""
    SELECT nspname FROM pg_namespace n
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT EXISTS (
        SELECT FROM pg_depend d
        WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e'
    )
""")

# Objects of others that a CASCADE from what is ours would take along.
_HANGING = text("""
    SELECT DISTINCT pg_describe_object(x.classid, x.objid, 0) || ' of '
        || pg_get_userbyid(x.owner) || ' needs '
        || pg_describe_object(d.refclassid, d.refobjid, 0)
    FROM (
        SELECT 'pg_constraint'::regclass::oid AS classid, o.oid AS objid, c.relowner AS owner
        FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
        UNION ALL SELECT 'pg_rewrite'::regclass::oid, r.oid, c.relowner
        FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
        UNION ALL SELECT 'pg_attrdef'::regclass::oid, a.oid, c.relowner
        FROM pg_attrdef a JOIN pg_class c ON c.oid = a.adrelid
        UNION ALL SELECT 'pg_trigger'::regclass::oid, t.oid, c.relowner
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
        UNION ALL SELECT 'pg_policy'::regclass::oid, p.oid, c.relowner
        FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
        UNION ALL SELECT 'pg_class'::regclass::oid, oid, relowner FROM pg_class
        UNION ALL SELECT 'pg_proc'::regclass::oid, oid, proowner FROM pg_proc
        UNION ALL SELECT 'pg_type'::regclass::oid, oid, typowner FROM pg_type
    ) x
    JOIN pg_depend d ON d.classid = x.classid AND d.objid = x.objid AND d.deptype <> 'e'
    LEFT JOIN pg_class rc ON d.refclassid = 'pg_class'::regclass AND rc.oid = d.refobjid
    LEFT JOIN pg_proc rp ON d.refclassid = 'pg_proc'::regclass AND rp.oid = d.refobjid
    LEFT JOIN pg_type rt ON d.refclassid = 'pg_type'::regclass AND rt.oid = d.refobjid
    WHERE NOT pg_has_role(x.owner, 'USAGE')
        AND coalesce(rc.oid, rp.oid, rt.oid) >= 16384
        AND pg_has_role(coalesce(rc.relowner, rp.proowner, rt.typowner), 'USAGE')
        AND NOT EXISTS (
            SELECT FROM pg_depend e
            WHERE e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e'
        )
    ORDER BY 1
""")

_UNREADABLE = text("""
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = ANY (:oids) AND c.relkind IN ('r', 'p', 'm', 'S')
        AND (NOT has_table_privilege(c.oid, 'SELECT') OR EXISTS (
            -- pg_dump takes a sequence along with the table that owns it.
            SELECT FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
            WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                AND d.refobjid = c.oid AND d.deptype IN ('a', 'i')
                AND NOT has_table_privilege(s.oid, 'SELECT')
        ))
""")

# Tables of others whose rows a revision may change. Those in schemas that a name without one does
# not reach, as a platform keeps its own, are left out.
_CHANGEABLE = text("""
    SELECT format('table %I.%I of %s', n.nspname, c.relname, pg_get_userbyid(c.relowner))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = ANY (:oids) AND c.relkind IN ('r', 'p')
        AND (n.nspname = ANY (current_schemas(false)) OR c.relname = :version_table)
        AND has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')
    ORDER BY 1
""")


class Others(NamedTuple):
    """What other roles own.

    :param roles: names of all roles that this user is no member of.
    :param objects: what they own in schemas that a dump brings back.
    :param spaces: oids of schemas that hold some of it.
    :param hanging: sentences about what of it would go along if ours was dropped.
    :param changeable: tables whose rows this user may change all the same, and their owners.
    :param unreadable: tables and sequences whose rows this user may not read, as patterns of
        pg_dump.
    """

    user: str
    roles: frozenset[str]
    ours: frozenset[str]
    objects: tuple[Object, ...] = ()
    spaces: frozenset[int] = frozenset()
    hanging: tuple[str, ...] = ()
    changeable: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


def others_in(connection: Connection, version_table: str) -> Others:
    """Look for what this user could not drop and make again."""
    rows = connection.execute(
        text("SELECT rolname AS name, pg_has_role(oid, 'USAGE') AS ours FROM pg_roles")
    ).all()
    user = str(connection.execute(text("SELECT current_user")).scalar())
    roles = frozenset(row.name for row in rows if not row.ours)
    ours = frozenset(row.name for row in rows if row.ours)
    if not roles:
        return Others(user, roles, ours)
    schemas = connection.execute(_SCHEMAS).scalars().all()
    objects = tuple(o for o in objects_in(connection, schemas) if not o.ours)
    oids = [o.oid for o in objects if o.catalogue == "pg_class"]
    return Others(
        user,
        roles,
        ours,
        objects,
        frozenset(o.space for o in objects),
        tuple(connection.execute(_HANGING).scalars()),
        tuple(
            connection.execute(
                _CHANGEABLE, {"oids": oids, "version_table": version_table}
            ).scalars()
        ),
        tuple(connection.execute(_UNREADABLE, {"oids": oids}).scalars()),
    )
