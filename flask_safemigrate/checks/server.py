"""SM5xx: what PostgreSQL holds beside tables, and who else is on a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flask_safemigrate.checks.found import UPWARD, Found, in_sql, listed, reached, tables
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.examination import OtherVersionTable
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity, Step

_SHOWN = 3


def snapshot_impossible(state: State) -> Iterator[Found]:
    """No snapshot of this database could be taken here and put back.

    Cause
        A program of the server is missing or older than the server, MariaDB's would dump generated
        columns of MySQL, a pooler stands before the server, or something that another role made
        hangs on what is ours.
    Example
        An image with ``pg_dump`` 15 before a server of PostgreSQL 18.
    Fix
        As the hint says. Until then ``deploy --snapshot``, ``snapshot``, ``reset`` and
        ``restore`` stop before anything is changed.
    Prevention
        Put the server's own programs of its version into the image that deploys.
    """
    for database in state.databases:
        if database.examination.no_snapshot is not None:
            message, hint = database.examination.no_snapshot
            yield Found(message, database.location, hint, bind=database.bind)


def index_invalid(state: State) -> Iterator[Found]:
    """An index is invalid.

    Cause
        ``CREATE INDEX CONCURRENTLY`` failed or was stopped on PostgreSQL: by a duplicate under a
        unique index, a deadlock, a timeout. What it leaves costs every write and serves no query,
        and its name is in the way of the next attempt.
    Example
        ``CREATE UNIQUE INDEX CONCURRENTLY ix_users_email`` over two equal addresses.
    Fix
        ``flask db doctor --fix SM524`` drops it, or builds it anew where the history has it. The
        next ``flask db safe-upgrade`` drops it by itself where a pending revision builds it again.
        To build it where it stands: ``REINDEX INDEX CONCURRENTLY ix_users_email``.
    Prevention
        Look for what may be in the way before, and give the index a revision of its own.
    """
    for database in reached(state):
        comparison = state.comparisons.get(database.bind)
        missing = {d.name for d in (comparison.drift if comparison else ()) if d.here is None}
        for index in database.invalid_indexes:
            wanted = index.name.rpartition(".")[2].strip('"') in missing
            rebuild = f"REINDEX INDEX CONCURRENTLY {index.name}"
            drop = f"DROP INDEX CONCURRENTLY {index.name}"
            yield Found(
                f'Index {index.name} of table "{index.table}" is invalid: an attempt to build it '
                f"failed{'; the history has it, so it is to be built' if wanted else ''}.",
                database.location,
                f"flask db doctor --fix SM524, or {rebuild};",
                bind=database.bind,
                repair=rebuild if wanted else drop,
                steps=(Step("mend index", (index.name, rebuild if wanted else drop)),),
                subject=index.name,
            )


def enum_type_unused(state: State) -> Iterator[Found]:
    """PostgreSQL has an enum type that nothing uses.

    Cause
        ``op.drop_table`` and ``op.drop_column`` leave the type of an ``Enum`` column behind. The
        next revision that makes it, or the same one after a downgrade, stops with ``type "mood"
        already exists``.
    Example
        ``flask db downgrade`` and ``flask db upgrade`` of a revision with ``sa.Enum("sad", "glad",
        name="mood")``.
    Fix
        ``flask db doctor --fix SM533`` drops it; a type that is in use cannot be dropped.
    Prevention
        In ``downgrade()``: ``sa.Enum(name="mood").drop(op.get_bind())``.
    """
    for database in reached(state):
        comparison = state.comparisons.get(database.bind)
        for unused in database.examination.unused_types:
            maker = comparison.unused_types.get(unused.plain) if comparison else None
            compared = comparison is not None and comparison.compared
            if compared and maker is None:
                continue  # the history has it so at this version
            next_one = (
                f"; revision '{maker}', which is pending, makes it and will fail" if maker else ""
            )
            yield Found(
                f"Type '{unused.plain}' of database \"{database.label}\" is used by no column"
                f"{next_one}.",
                database.location,
                f"flask db doctor --fix SM533, or DROP TYPE {unused.name};"
                if compared
                else f"if no pending revision needs it: DROP TYPE {unused.name};",
                bind=database.bind,
                severity=Severity.ERROR if maker else None,
                blocks=UPWARD if maker else (),
                repair=f"DROP TYPE {unused.name}" if compared else None,
                steps=(Step("drop type", (unused.name,)),) if compared else (),
                subject=unused.name,
            )


def version_table_elsewhere(state: State) -> Iterator[Found]:
    """The version table is in another schema than the one that is looked at.

    Cause
        The search path of PostgreSQL was another one when the database was upgraded: for another
        user, or before a schema of the user's name was made. Which table counts depends on who
        connects, and an upgrade begins anew beside the old tables.
    Example
        ``public.alembic_version`` is at head; after ``CREATE SCHEMA app AUTHORIZATION app`` the
        user ``app`` makes a second one, as ``"$user"`` comes first.
    Fix
        Let one place count: ``SafeMigrate(version_table_schema="public")``, or the search path in
        the URL. Then drop the table that is not used.
    Prevention
        Set the search path with ``ALTER ROLE app SET search_path = public``.
    """
    for database in reached(state):
        used = database.version_rows
        others = [o for o in database.examination.version_tables if o.visible or used is None]
        if not others or all(other.rows == used for other in others):
            continue
        first, told = others[0], _places(others, database)
        use = f'SafeMigrate(version_table_schema="{first.schema}")'
        if used is not None:
            here = ", ".join(f"'{row}'" for row in used) or "is empty"
            yield Found(
                f'Database "{database.label}" has more than one version table in its search path: '
                f"the first, which counts, {'holds ' if used else ''}{here}; there is also "
                f"{told}.",
                database.location,
                f"{use}, if that one is right; then drop the other one",
                bind=database.bind,
                subject=first.schema,
            )
        elif tables(database) and any(_may_be_ours(other, state) for other in others):
            yield Found(
                f'Database "{database.label}" has no version table where user '
                f'"{database.examination.user}" looks, but there is {told}.',
                database.location,
                f'{use}, or ALTER ROLE "{database.examination.user}" SET search_path = '
                f'"{first.schema}", public;',
                bind=database.bind,
                subject=first.schema,
            )
        else:
            has = "has no version table" if tables(database) else "is empty"
            whose = ", of another history" if tables(database) else ""
            yield Found(
                f'Database "{database.label}" {has} where user "{database.examination.user}" '
                f"looks, but there is {told}{whose}. Where each schema is a database of its own, "
                "that is as it should be.",
                database.location,
                f'if not: ALTER ROLE "{database.examination.user}" SET search_path = '
                f'"{first.schema}";',
                bind=database.bind,
                severity=Severity.INFO,
                blocks=(),
                subject=first.schema,
            )


def _may_be_ours(other: OtherVersionTable, state: State) -> bool:
    """Whether it may have been written by this history, and not by another application's."""
    return not other.rows or any(row in state.history.by_id for row in other.rows)


def _places(others: Sequence[OtherVersionTable], database: DatabaseState) -> str:
    told = [_place_of(other, database.version_table) for other in others[:_SHOWN]]
    if more := len(others) - len(told):
        told.append(f"{more} more")
    return " and ".join(told)


def version_table_twice(state: State) -> Iterator[Found]:
    """A second version table holds the same.

    Cause
        The search path of PostgreSQL changed once, and the tables were made, copied or stamped a
        second time. As only one of the two moves on, the other will soon be wrong.
    Example
        ``app.alembic_version`` and ``public.alembic_version``, both at ``'a1b2'``.
    Fix
        Drop the one that is not used: the message says which one counts.
    Prevention
        Set the search path with ``ALTER ROLE app SET search_path = public``.
    """
    for database in reached(state):
        used = database.version_rows
        others = [o for o in database.examination.version_tables if o.visible]
        if used is not None and others and all(other.rows == used for other in others):
            first = others[0]
            yield Found(
                f'Database "{database.label}" has more than one version table in its search path; '
                f"the first counts, and {_places(others, database)} holds the same.",
                database.location,
                f"DROP TABLE {in_sql(first.schema)}.{in_sql(database.version_table)};",
                bind=database.bind,
                subject=first.schema,
            )


def _place_of(other: OtherVersionTable, table: str) -> str:
    rows = "unreadable" if other.rows is None else ", ".join(f"'{r}'" for r in other.rows)
    return f'"{other.schema}.{table}" ({rows or "empty"})'


def session_idle_in_transaction(state: State) -> Iterator[Found]:
    """A session has a transaction open and does nothing.

    Cause
        A shell, a notebook or a worker began a transaction and did not end it. As long as it is
        open, no statement can alter the tables that it has read, and all who come after that
        statement wait too.
    Example
        ``>>> User.query.first()`` in ``flask shell`` on the production database, before lunch.
    Fix
        End the transaction where it was begun, or the session:
        ``SELECT pg_terminate_backend(PID)`` on PostgreSQL, ``KILL ID`` on MariaDB and MySQL.
    Prevention
        ``idle_in_transaction_session_timeout`` on PostgreSQL, ``idle_transaction_timeout`` on
        MariaDB.
    """
    for database in reached(state):
        own = {*tables(database), database.version_table}
        for session in database.examination.idle:
            if session.tables and not own & {*session.tables}:
                continue
            age = f" for {session.seconds:,} s" if session.seconds is not None else ""
            locked = f"; it keeps {listed(session.tables, 3)} locked" if session.tables else ""
            query = f". Its last statement: {session.query}" if session.query else ""
            end = (
                f"SELECT pg_terminate_backend({session.id});"
                if database.dialect == "postgresql"
                else f"KILL {session.id};"
            )
            yield Found(
                f'Session {session.id} of database "{database.label}" ({session.who}) is idle in '
                f"a transaction{age}{locked}: a migration would wait for it{query}.",
                database.location,
                f"end the transaction there, or {end}",
                bind=database.bind,
                subject=str(session.id),
            )


def sequence_behind(state: State) -> Iterator[Found]:
    """A sequence will give a number that is taken.

    Cause
        Rows were imported with their ids, by ``COPY``, a fixture or another database's dump, which
        does not move the sequence on. The next row that the application adds fails.
    Example
        ``duplicate key value violates unique constraint "users_pkey"``, ``Key (id)=(1) already
        exists``.
    Fix
        ``flask db doctor --fix SM536`` sets the sequence to the highest number.
    Prevention
        After an import: ``SELECT setval(pg_get_serial_sequence('users', 'id'), max(id)) FROM
        users``.
    """
    for database in reached(state):
        late = [s for s in database.examination.late_sequences if s.table in tables(database)]
        if not late:
            continue
        shown = [
            f"sequence '{one.name}' gives {one.next:,} next, but '{one.table}.{one.column}' is at "
            f"{one.highest:,} already"
            for one in late[:_SHOWN]
        ]
        more = (
            f"; and so {'does' if len(late) == _SHOWN + 1 else 'do'} {len(late) - _SHOWN} more"
            if len(late) > _SHOWN
            else ""
        )
        by_hand = " ".join(f"SELECT setval('{one.name}', {one.highest});" for one in late[:_SHOWN])
        yield Found(
            f'In database "{database.label}" {"; ".join(shown)}{more}: the next row that is added '
            "will fail.",
            database.location,
            f"flask db doctor --fix SM536, or {by_hand}",
            bind=database.bind,
            repair="sets "
            + ", ".join(f"sequence '{one.name}' to {one.highest:,}" for one in late),
            steps=tuple(Step("advance sequence", (one.name,)) for one in late),
            subject=" ".join(one.name for one in late),
        )
