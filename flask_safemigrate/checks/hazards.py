"""SM6xx: what pending revisions would lock, lose, break or fail on."""

from __future__ import annotations

from collections.abc import Iterator

from flask_safemigrate.checks.found import Found
from flask_safemigrate.facts.state import State


def _seen(state: State, code: str) -> Iterator[Found]:
    """What was judged of the pending revisions, for one code."""
    for hazard in state.hazards:
        if hazard.code == code:
            yield Found(
                hazard.message,
                hazard.where,
                hazard.hint,
                bind=hazard.bind,
                severity=hazard.severity,
                subject=hazard.subject,
                file=hazard.file,
                line=hazard.line,
            )


def statement_unseen(state: State) -> Iterator[Found]:
    """What a statement of a pending revision does was not seen.

    Cause
        It is built while it runs (``EXECUTE`` in a DO block), no parser reads it, or the
        package that reads SQL is not installed.
    Example
        ``EXECUTE format('DROP TABLE %I', name)``.
    Fix
        Read it yourself; ``pip install 'flask-safemigrate[postgresql]'`` or ``[mysql]``
        brings the parser.
    Prevention
        Operations of ``op`` instead of text, where there are some.
    """
    yield from _seen(state, "SM601")


def revision_raises(state: State) -> Iterator[Found]:
    """A pending revision raised an error while it was recorded.

    Cause
        ``upgrade()`` ran without a database and failed: a name or an import that does not
        exist, or a result that only the real database has.
    Example
        ``NameError: name 'Text' is not defined``.
    Fix
        Mend the line that is named; where it reads rows, ``flask db safe-upgrade
        --dry-run`` runs it on a copy.
    Prevention
        ``flask db lint`` before the commit.
    """
    yield from _seen(state, "SM602")


def statement_always_fails(state: State) -> Iterator[Found]:
    """A statement of a pending revision fails on every database.

    Cause
        It cannot run inside a transaction (``CREATE INDEX CONCURRENTLY``, ``VACUUM``),
        uses an ENUM value in the transaction that adds it, casts what the server casts
        only with ``USING``, or drops what a view or a foreign key depends on.
    Example
        ``CREATE INDEX CONCURRENTLY cannot run inside a transaction block``.
    Fix
        The code in the hint, most often ``with op.get_context().autocommit_block():``.
    Prevention
        ``flask db lint`` before the commit.
    """
    yield from _seen(state, "SM603")


def waiver_unfounded(state: State) -> Iterator[Found]:
    """A revision waives a hazard without a reason, or none that there is.

    Cause
        ``safemigrate_allow`` is to be a dictionary of reasons by code, or by code and object.
    Example
        ``safemigrate_allow = ["SM630"]``.
    Fix
        ``safemigrate_allow = {"SM630:account.old": "copied to the archive"}``.
    Prevention
        ``flask db lint`` before the commit.
    """
    yield from _seen(state, "SM605")


def waiver_stale(state: State) -> Iterator[Found]:
    """A waiver covers nothing.

    Cause
        What it let stand was mended, or depends on rows that this database does not have.
    Example
        ``safemigrate_allow = {"SM630:account.old": "..."}``, while the column is empty.
    Fix
        Remove it, unless another database has what it is about.
    Prevention
        Waivers of one object, in the revision that they are about.
    """
    yield from _seen(state, "SM606")


def object_missing(state: State) -> Iterator[Found]:
    """A pending revision names what is not there, or makes what is there already.

    Cause
        Somebody changed the database by hand, the name is misspelt, or the revision was
        written against another database.
    Example
        ``Index 'ix_user_mail' does not exist``.
    Fix
        ``flask db doctor`` says how database and history differ; then name the object as
        the database does.
    Prevention
        No changes by hand; ``flask db migrate`` on a database that is at head.
    """
    yield from _seen(state, "SM604")


def index_blocks_writes(state: State) -> Iterator[Found]:
    """An index is made while nobody can write to its table.

    Cause
        ``CREATE INDEX`` on PostgreSQL, and a FULLTEXT or SPATIAL one on MariaDB and
        MySQL, keep writers out until every row is read.
    Example
        ``op.create_index('ix_orders_status', 'orders', ['status'])`` over forty million
        rows.
    Fix
        On PostgreSQL ``postgresql_concurrently=True`` in an ``autocommit_block()``, as
        the hint writes it.
    Prevention
        Large tables get their indexes in revisions of their own.
    """
    yield from _seen(state, "SM610")


def foreign_key_scans(state: State) -> Iterator[Found]:
    """A foreign key is added while nobody can write to its tables.

    Cause
        The server looks every row up; PostgreSQL keeps writers out of both tables,
        MariaDB and MySQL copy the table.
    Example
        ``op.create_foreign_key('fk', 'orders', 'customers', ['customer_id'], ['id'])``.
    Fix
        On PostgreSQL ``postgresql_not_valid=True``, then ``VALIDATE CONSTRAINT`` in an
        ``autocommit_block()``.
    Prevention
        Foreign keys together with the table, while it is empty.
    """
    yield from _seen(state, "SM611")


def check_scans(state: State) -> Iterator[Found]:
    """A CHECK is added while nobody can use its table.

    Cause
        Every row is looked at under a lock that keeps readers out too on PostgreSQL;
        MariaDB and MySQL copy the table.
    Example
        ``op.create_check_constraint('ck_total', 'orders', 'total >= 0')``.
    Fix
        On PostgreSQL ``postgresql_not_valid=True``, then ``VALIDATE CONSTRAINT`` in an
        ``autocommit_block()``.
    Prevention
        Constraints together with the table, while it is empty.
    """
    yield from _seen(state, "SM612")


def not_null_scans(state: State) -> Iterator[Found]:
    """A column becomes NOT NULL while nobody can use its table.

    Cause
        PostgreSQL looks at every row under a lock that keeps readers out, unless a valid
        CHECK proves the rule already (since 12).
    Example
        ``op.alter_column('orders', 'customer_id', nullable=False)``.
    Fix
        A CHECK that is NOT VALID, ``VALIDATE`` in an ``autocommit_block()``, then NOT
        NULL, as the hint writes it.
    Prevention
        NOT NULL with a default when the column is added.
    """
    yield from _seen(state, "SM613")


def type_rewrites(state: State) -> Iterator[Found]:
    """A change of a column rewrites its table.

    Cause
        Every row is stored anew, on PostgreSQL with everybody kept out, on MariaDB and
        MySQL with writers kept out.
    Example
        ``op.alter_column('orders', 'id', type_=sa.BigInteger())``.
    Fix
        A second column that the code fills, rows filled in batches, the old one dropped
        in a later deploy.
    Prevention
        ``BigInteger`` keys and ``Text`` from the start.
    """
    yield from _seen(state, "SM614")


def new_column_rewrites(state: State) -> Iterator[Found]:
    """A new column rewrites its table.

    Cause
        Its value differs from row to row: a volatile default such as
        ``gen_random_uuid()``, a stored generated column, a sequence.
    Example
        ``server_default=sa.text('gen_random_uuid()')``.
    Fix
        Add the column without the default, then set the default, then fill the rows in
        batches.
    Prevention
        Values that the application makes.
    """
    yield from _seen(state, "SM615")


def key_scans(state: State) -> Iterator[Found]:
    """A unique constraint or a key is added while nobody can use its table.

    Cause
        Its index is built under a lock that keeps readers out too.
    Example
        ``op.create_unique_constraint('uq_mail', 'user', ['mail'])``.
    Fix
        A unique index, made concurrently, that the constraint takes over with ``USING
        INDEX``.
    Prevention
        Keys together with the table, while it is empty.
    """
    yield from _seen(state, "SM616")


def lock_kept(state: State) -> Iterator[Found]:
    """A table stays locked while something else takes long.

    Cause
        A lock is held until the transaction ends, and all pending revisions share one:
        after a quick ``ADD COLUMN`` nobody reads the table until the UPDATE behind it is
        done.
    Example
        ``op.add_column(...)`` followed by ``op.execute('UPDATE ...')``.
    Fix
        ``with op.get_context().autocommit_block():`` around the long statement.
    Prevention
        Data in revisions of their own, and in batches.
    """
    yield from _seen(state, "SM617")


def rows_in_one_transaction(state: State) -> Iterator[Found]:
    """Many rows are written in one transaction.

    Cause
        Whoever writes to one of them waits until it ends, the log grows, and replicas
        lag.
    Example
        ``op.execute('UPDATE orders SET year = ...')``.
    Fix
        Batches by primary key, each committed, as the hint writes them.
    Prevention
        Data moves outside of migrations of the schema.
    """
    yield from _seen(state, "SM618")


def table_kept_from_others(state: State) -> Iterator[Found]:
    """A statement keeps everybody from a table.

    Cause
        ``VACUUM FULL``, ``CLUSTER``, ``REINDEX``, ``LOCK TABLE``, ``CONVERT TO CHARACTER
        SET`` and their like work on the whole table under a lock.
    Example
        ``op.execute('VACUUM FULL orders')``.
    Fix
        The concurrent form where there is one, else a quiet hour.
    Prevention
        Maintenance outside of migrations.
    """
    yield from _seen(state, "SM619")


def new_column_needs_value(state: State) -> Iterator[Found]:
    """A NOT NULL column without a default is added to a table with rows.

    Cause
        There is no value for the rows that are there. ``default=`` of a column is
        Python's and fills none.
    Example
        ``column "channel" contains null values``.
    Fix
        ``server_default=...``, or add it nullable, fill it, then tighten it.
    Prevention
        ``flask db migrate`` on a database with rows, and ``flask db lint``.
    """
    yield from _seen(state, "SM620")


def rows_have_nulls(state: State) -> Iterator[Found]:
    """A column is to be NOT NULL but has NULLs.

    Cause
        The rows were asked, and some of them break the new rule.
    Example
        ``column "nickname" contains null values``.
    Fix
        The UPDATE in the hint, before the operation.
    Prevention
        ``flask db lint`` against a copy of production.
    """
    yield from _seen(state, "SM621")


def rows_have_duplicates(state: State) -> Iterator[Found]:
    """A unique rule is to be made over duplicates.

    Cause
        The rows were asked, and some values stand more than once.
    Example
        ``could not create unique index ... Key (mail)=(a@b) is duplicated``.
    Fix
        Merge or change these rows before the operation.
    Prevention
        Unique rules together with the table.
    """
    yield from _seen(state, "SM622")


def rows_are_orphans(state: State) -> Iterator[Found]:
    """A foreign key is to be made over rows that refer to nothing.

    Cause
        The rows were asked, and some refer to a row that is not there.
    Example
        ``insert or update on table "orders" violates foreign key constraint``.
    Fix
        Delete them, or set the column to NULL, before the operation.
    Prevention
        Foreign keys together with the table, and enforced.
    """
    yield from _seen(state, "SM623")


def rows_break_check(state: State) -> Iterator[Found]:
    """A CHECK is to be made over rows that break it.

    Cause
        The rows were asked, and the expression is false for some.
    Example
        ``check constraint "ck_total" is violated by some row``.
    Fix
        Change these rows before the operation.
    Prevention
        CHECKs together with the table.
    """
    yield from _seen(state, "SM624")


def values_refused(state: State) -> Iterator[Found]:
    """A column is to get a type that refuses some of its values.

    Cause
        The rows were asked: values are too long, out of range, outside of an ENUM, or of
        another form.
    Example
        ``value too long for type character varying(30)``.
    Fix
        Change these values before the operation.
    Prevention
        Wider types; limits in the application.
    """
    yield from _seen(state, "SM625")


def rows_are_referred(state: State) -> Iterator[Found]:
    """Rows are to be deleted to which other rows refer.

    Cause
        The rows were asked, and a foreign key without ``ON DELETE`` leads to some of what
        goes.
    Example
        ``update or delete on table "customers" violates foreign key constraint``.
    Fix
        Delete the rows that refer to them first, or let them refer to others.
    Prevention
        ``flask db lint`` against a copy of production.
    """
    yield from _seen(state, "SM626")


def column_dropped(state: State) -> Iterator[Found]:
    """A column with values is dropped.

    Cause
        The values are gone for good, and the version that still runs names the column in
        its statements.
    Example
        ``op.drop_column('orders', 'note')``.
    Fix
        Drop it in a later deploy, when no code uses it, with a snapshot; ``--allow
        SM630`` when it is meant.
    Prevention
        Expand and contract: see the page on phases.
    """
    yield from _seen(state, "SM630")


def table_dropped(state: State) -> Iterator[Found]:
    """A table with rows is dropped.

    Cause
        The rows are gone for good, and the version that still runs reads the table.
    Example
        ``op.drop_table('orders')``, which autogenerate also writes for a model that was
        not imported.
    Fix
        Rename it, and drop it in a later deploy.
    Prevention
        Import every model before ``flask db migrate``.
    """
    yield from _seen(state, "SM631")


def rows_deleted(state: State) -> Iterator[Found]:
    """Rows of a table are deleted, or rows of tables that refer to it.

    Cause
        A ``DELETE`` or ``TRUNCATE``; with ``CASCADE``, and by ``ON DELETE CASCADE``, they take
        along what the statement does not name. Some rows of one table are an information, all of
        them an error.
    Example
        ``op.execute('TRUNCATE TABLE customers CASCADE')``.
    Fix
        Delete by name what may go, and keep a snapshot.
    Prevention
        ``ON DELETE RESTRICT`` where rows matter.
    """
    yield from _seen(state, "SM632")


def renamed_as_drop(state: State) -> Iterator[Found]:
    """A column is dropped and one of the same type is added, as if it were renamed.

    Cause
        Autogenerate cannot know a rename and writes a new column, which is empty.
    Example
        ``add_column('remark')`` and ``drop_column('note')``.
    Fix
        ``op.alter_column(..., new_column_name=...)``, as the hint writes it.
    Prevention
        Read what autogenerate writes.
    """
    yield from _seen(state, "SM633")


def values_overwritten(state: State) -> Iterator[Found]:
    """An UPDATE without WHERE gives every row the same value.

    Cause
        The values that were there are gone.
    Example
        ``op.execute("UPDATE orders SET status = 'new'")``.
    Fix
        Add the condition.
    Prevention
        Conditions in every UPDATE of a migration.
    """
    yield from _seen(state, "SM634")


def values_rounded(state: State) -> Iterator[Found]:
    """A column is to get a type that rounds or cuts its values.

    Cause
        Digits or times beyond what the new type holds are dropped without an error.
    Example
        ``NUMERIC(10, 2)`` to ``NUMERIC(10, 0)``.
    Fix
        Keep the old column beside the new one until nobody misses it.
    Prevention
        Types that hold what is stored.
    """
    yield from _seen(state, "SM635")


def name_of_old_code(state: State) -> Iterator[Found]:
    """A name that the running version uses goes away.

    Cause
        During a deploy old processes still run, and their statements name the column,
        value or view as it was.
    Example
        ``op.alter_column('customers', 'name', new_column_name='full_name')``.
    Fix
        A new column that both versions fill; the old one goes in a later deploy.
    Prevention
        Expand and contract: see the page on phases.
    """
    yield from _seen(state, "SM640")


def table_renamed(state: State) -> Iterator[Found]:
    """A table is renamed under the running version.

    Cause
        During a deploy old processes still run, and their statements name the table as it
        was.
    Example
        ``op.rename_table('orders', 'order')``.
    Fix
        A view of the old name until no code uses it, as the hint writes it.
    Prevention
        ``__tablename__`` of a model can stay when its class is renamed.
    """
    yield from _seen(state, "SM641")


def insert_of_old_code(state: State) -> Iterator[Found]:
    """The running version's INSERTs fail: a NOT NULL column has no default.

    Cause
        Old processes do not know the column and do not fill it.
    Example
        ``Field 'channel' doesn't have a default value``.
    Fix
        ``server_default=...``, dropped in a later deploy.
    Prevention
        NOT NULL columns come with a default, or nullable first.
    """
    yield from _seen(state, "SM642")


def rows_hidden(state: State) -> Iterator[Found]:
    """Row level security hides rows from the running version.

    Cause
        Without a policy nobody but the owner of the table sees any row.
    Example
        ``ALTER TABLE orders ENABLE ROW LEVEL SECURITY``.
    Fix
        ``CREATE POLICY`` in the same transaction.
    Prevention
        Policies tried with the application's role.
    """
    yield from _seen(state, "SM643")


def modify_forgets(state: State) -> Iterator[Found]:
    """MODIFY of MariaDB or MySQL loses what it does not repeat.

    Cause
        The whole column is defined anew; a default, NOT NULL or AUTO_INCREMENT that the
        revision does not name is gone.
    Example
        ``op.alter_column('orders', 'status', type_=sa.String(40))`` without
        ``existing_server_default``.
    Fix
        The ``existing_*`` argument in the hint.
    Prevention
        ``flask db migrate``, which writes them.
    """
    yield from _seen(state, "SM644")


def downgrade_fails(state: State) -> Iterator[Found]:
    """The downgrade of a pending revision fails.

    Cause
        It names what is not there, has no name for a constraint, raises, or adds a NOT
        NULL column without default.
    Example
        ``op.drop_constraint(None, 'settings', type_='foreignkey')``.
    Fix
        Name it as the upgrade does.
    Prevention
        A naming convention, and ``flask db lint``.
    """
    yield from _seen(state, "SM650")


def downgrade_leaves(state: State) -> Iterator[Found]:
    """After the downgrade the upgrade cannot run again.

    Cause
        The downgrade leaves what the upgrade makes, such as the ENUM type of a table on
        PostgreSQL.
    Example
        ``type "ticket_state" already exists``.
    Fix
        Drop it at the end of ``downgrade()``.
    Prevention
        ``flask db lint``.
    """
    yield from _seen(state, "SM651")


def plain_upgrade_differs(state: State) -> Iterator[Found]:
    """Plain Flask-Migrate would fail or lose rows where this package does not.

    Cause
        On SQLite Alembic cannot alter outside of a batch block, and inside of one drops
        the table, which deletes what refers to it.
    Example
        ``near "ALTER": syntax error``, or child rows that are gone.
    Fix
        ``flask db safe-upgrade`` everywhere, or ``SAFEMIGRATE_GUARD_UPGRADE = True``.
    Prevention
        Batch blocks; no ``ON DELETE CASCADE`` to tables that still change.
    """
    yield from _seen(state, "SM645")
