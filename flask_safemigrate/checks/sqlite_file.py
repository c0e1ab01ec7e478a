"""SM5xx: an SQLite database, which is a file and what lies beside it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from flask_safemigrate.checks.found import Found, counted, in_memory, listed, reached, tables
from flask_safemigrate.checks.unusable import remedy, told
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.examination import Mismatch
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity, Step
from flask_safemigrate.names import MEMORY


def relative_path(state: State) -> Iterator[Found]:
    """The path of the SQLite file is relative.

    Cause
        Flask-SQLAlchemy 3 resolves a relative path from the instance folder, version 2 did from
        the application's; another version, or another folder, means another file.
    Example
        ``sqlite:///app.db`` is ``instance/app.db``, not the ``app.db`` beside ``app.py``.
    Fix
        Nothing is wrong. If it is not the file that you mean, write an absolute path.
    Prevention
        ``"sqlite:///" + os.path.join(app.instance_path, "app.db")``.
    """
    for database in state.databases:
        if database.configured:
            yield Found(
                f'SQLite path "{database.configured}" is relative; it means '
                f'"{database.location}".',
                database.location,
                "if that is not the file, write an absolute path (four slashes): "
                f"sqlite:///{database.location}",
                bind=database.bind,
            )


def file_not_made_yet(state: State) -> Iterator[Found]:
    """The SQLite file does not exist yet.

    Cause
        Nothing has been written to this database. The first upgrade makes the file.
    Example
        A fresh clone.
    Fix
        ``flask db safe-upgrade``. If you expected data here, the path is another one: look at
        the absolute path in the message.
    Prevention
        None is needed.
    """
    for database in state.databases:
        if not database.exists and not database.unreachable and not in_memory(database.location):
            yield Found(
                f'Database "{database.label}" does not exist yet; the first upgrade makes it.',
                database.location,
                "flask db safe-upgrade; if there should be data, correct the path",
                bind=database.bind,
            )


def database_in_memory(state: State) -> Iterator[Found]:
    """The database lives in memory.

    Cause
        The URL names no file, so every process has an empty database of its own, which goes when
        the process ends. What a command changes there, nobody sees.
    Example
        ``sqlite://`` or ``sqlite:///:memory:`` from a test configuration.
    Fix
        Name a file: ``sqlite:///app.db``.
    Prevention
        Set the test configuration only where tests run.
    """
    for database in state.databases:
        if database.dialect == "sqlite" and in_memory(database.location):
            yield Found(
                f'Database "{database.label}" lives in the memory of this process; what is '
                "upgraded there is gone when the command ends.",
                database.location or MEMORY,
                'app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///app.db"',
                bind=database.bind,
            )


def foreign_keys_violated(state: State) -> Iterator[Found]:
    """Rows of an SQLite database point to rows that are not there.

    Cause
        SQLite enforces foreign keys only where ``PRAGMA foreign_keys`` is on, which is off unless
        the application sets it on every connection. So rows were deleted that others point to, or
        a plain batch migration dropped a table under its children.
    Example
        ``orders.user_id`` is 17, and no user has the id 17.
    Fix
        Look at the rows with the statement of the hint; then delete them, point them elsewhere, or
        set the column to NULL. What is right only a person knows, so ``--fix`` leaves them alone.
    Prevention
        Turn enforcement on (SM528).
    """
    for database in reached(state):
        gone = {wrong.parent.lower() for wrong in database.examination.mismatches if wrong.gone}
        for orphans in database.examination.orphans:
            if orphans.parent.lower() in gone:
                continue  # that there is no such table is the cause
            key = ", ".join(orphans.columns)
            some = ", ".join(map(str, orphans.rowids))
            more = orphans.count > len(orphans.rowids)
            which = f" (rowid {some}{' and more' if more else ''})" if some else ""
            column, table = (_quoted(n) for n in (orphans.columns[0], orphans.table))
            parent = _quoted(orphans.parent)
            first = f"rowid IN ({some})" if some else f"{column} IS NOT NULL"
            look = f"SELECT {'rowid, ' if some else ''}* FROM {table} WHERE {first};"
            yield Found(
                f'In database "{database.label}" {counted(orphans.count, "row")} of table '
                f"'{orphans.table}'{which} "
                f"{'points' if orphans.count == 1 else 'point'} by '{key}' to rows of "
                f"'{orphans.parent}' that are not there.",
                database.location,
                f"{look} then delete them, or UPDATE {table} SET {column} = an existing row of "
                f"{parent}",
                bind=database.bind,
                subject=f"{orphans.table}.{key}",
            )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def foreign_keys_not_enforced(state: State) -> Iterator[Found]:
    """Models declare foreign keys that SQLite does not enforce.

    Cause
        SQLite leaves ``PRAGMA foreign_keys`` off on every new connection, and the application does
        not turn it on. ``ON DELETE CASCADE`` does nothing then, and rows may point nowhere.
    Example
        Deleting a user leaves the orders behind, while PostgreSQL in production refuses.
    Fix
        Turn it on for every connection of the application:
        ``@event.listens_for(Engine, "connect")`` with a function that executes ``PRAGMA
        foreign_keys=ON``. Migrations stay safe: ``flask db safe-upgrade`` changes tables without
        setting off cascades.
    Prevention
        Test on the database that production uses.
    """
    for database in reached(state):
        references = state.project.references.get(database.bind, ())
        if database.dialect != "sqlite" or database.examination.enforces is not False:
            continue
        if references:
            keys = listed(dict.fromkeys(f"{r.table}.{r.column}" for r in references), 3)
            yield Found(
                f"The models declare {counted(len(references), 'foreign key')} ({keys}), but the "
                f'application\'s connections to "{database.label}" do not enforce '
                f"{'it' if len(references) == 1 else 'them'}: PRAGMA foreign_keys is off.",
                database.location,
                '@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "connect")\n'
                "def enforce(connection, record):\n"
                '    connection.execute("PRAGMA foreign_keys=ON")',
                bind=database.bind,
            )


def foreign_key_mismatch(state: State) -> Iterator[Found]:
    """A foreign key points to columns that are no key, or to a table that is not there.

    Cause
        The columns that a foreign key refers to must be the primary key, or have a UNIQUE
        constraint or index. Where that was dropped, SQLite refuses every write to either table as
        soon as foreign keys are enforced. A key to a table that does not exist SQLite takes
        without a word, and refuses to add rows then. A warning, as long as nothing enforces them.
    Example
        ``foreign key mismatch - "orders" referencing "users"``, after the unique index of
        ``users.email`` was dropped; ``no such table: main.city``.
    Fix
        Make the columns unique again, in a revision: ``op.create_index("ix_users_email", "users",
        ["email"], unique=True)``; or point the foreign key to the primary key. Make the table
        that is missing, correct its name, or drop the foreign key.
    Prevention
        Turn enforcement on (SM528), so that tests see it.
    """
    for database in reached(state):
        comparison = state.comparisons.get(database.bind)
        # That a table was dropped by hand is told by the comparison.
        drift = comparison.drift if comparison else ()
        dropped = {each.table.lower() for each in drift if each.kind == "table"}
        by_parent: dict[str, list[Mismatch]] = {}
        for wrong in database.examination.mismatches:
            if not (wrong.gone and wrong.parent.lower() in dropped):
                by_parent.setdefault(wrong.parent.lower(), []).append(wrong)
        for all_wrong in by_parent.values():
            if all_wrong[0].gone:
                yield _leads_nowhere(database, all_wrong)
                continue
            parent = all_wrong[0].parent
            keys = [f"{wrong.table}.{', '.join(wrong.columns)}".rstrip(".") for wrong in all_wrong]
            wanted = dict.fromkeys(wrong.referred for wrong in all_wrong)
            named = [", ".join(columns) for columns in wanted if columns]
            yield Found(
                f'In database "{database.label}" {listed(keys)} '
                f"{'refers' if len(keys) == 1 else 'refer'} to "
                f"{' and to '.join(named) or 'columns'} of '{parent}', neither its primary key "
                "nor unique; with enforcement on, SQLite refuses every write to them.",
                database.location,
                "\n".join(_made_unique(parent, columns) for columns in wanted)
                + "\nin a new revision: flask db revision",
                bind=database.bind,
                severity=Severity.WARNING if database.examination.enforces is False else None,
                subject=parent,
            )


def _leads_nowhere(database: DatabaseState, wrong: Sequence[Mismatch]) -> Found:
    parent = wrong[0].parent
    keys = [f"{each.table}.{', '.join(each.columns)}" for each in wrong]
    near = difflib.get_close_matches(parent, tables(database), n=1)
    meant = f" Did you mean '{near[0]}'?" if near else ""
    drop = ", ".join(
        f'op.drop_constraint("...", "{table}", type_="foreignkey")'
        for table in dict.fromkeys(each.table for each in wrong)
    )
    return Found(
        f'In database "{database.label}" {listed(keys)} '
        f"{'refers' if len(keys) == 1 else 'refer'} to table '{parent}', which does not exist: "
        f"with enforcement on, SQLite refuses to add rows.{meant}",
        database.location,
        f"in a new revision make table '{parent}', or drop the foreign key: {drop}",
        bind=database.bind,
        severity=Severity.WARNING if database.examination.enforces is False else None,
        subject=parent,
    )


def _made_unique(parent: str, columns: tuple[str, ...]) -> str:
    if not columns:
        return f"give '{parent}' a primary key, or name in the foreign key what it refers to"
    name = f"ix_{parent}_{'_'.join(columns)}"
    return f"op.create_index({name!r}, {parent!r}, {list(columns)!r}, unique=True)"


def journal_left(state: State) -> Iterator[Found]:
    """A process died in the middle of a change.

    Cause
        A process was killed, or the machine lost power, while it wrote. What it had written so far
        is undone from the file ``-journal`` by whoever opens the database next, the doctor
        included.
    Example
        ``app.db-journal`` beside ``app.db``, and no process that works on it.
    Fix
        Nothing is to be done: the change is undone now. Look whether what was running is to be
        run again. Had the journal been deleted, the database would be damaged.
    Prevention
        Never delete or move a ``-journal``, and copy databases with ``flask db snapshot``.
    """
    for database in reached(state):
        if database.left_behind == "journal":
            yield Found(
                f'Database "{database.label}" was left in the middle of a change by a process '
                f'that died; "{database.name}-journal" undid it when the database was opened now.',
                database.location,
                "flask db status  # shows where it stands; run again what was interrupted",
                bind=database.bind,
            )


def log_left(state: State) -> Iterator[Found]:
    """The last commits are in a file beside the database.

    Cause
        A database in WAL mode keeps commits in the file ``-wal`` until they are written back. The
        last process that had it open did not close it: it was killed, or its files were copied
        while it ran.
    Example
        ``app.db`` is copied to another machine without ``app.db-wal``: the last orders are gone.
    Fix
        ``flask db doctor --fix SM531`` writes them into the database file. They are not lost as
        long as both files stay together.
    Prevention
        Copy databases with ``flask db snapshot``, not with ``cp``.
    """
    for database in reached(state):
        if database.left_behind == "log":
            yield Found(
                f'The last commits of database "{database.label}" are in '
                f'"{database.name}-wal", which no process on this machine has open: the last one '
                "did not close it.",
                database.location,
                f'keep "{database.name}-wal" beside it, or flask db doctor --fix SM531',
                bind=database.bind,
                repair=None if database.refuses else "writes the log into the database file",
                steps=() if database.refuses else (Step("checkpoint"),),
                subject=database.location,
            )


def network_file_system(state: State) -> Iterator[Found]:
    """The SQLite file is on a network file system.

    Cause
        SQLite relies on locks that many network file systems do not keep as a local disk does. Two
        machines that write at once damage the file; WAL mode does not work there at all.
    Example
        ``app.db`` on an NFS share that two containers mount.
    Fix
        Move the file to a local disk, or use a server such as PostgreSQL where several machines
        write.
    Prevention
        One machine, one local disk for each SQLite file.
    """
    for database in reached(state):
        kind = database.examination.file_system
        if kind:
            yield Found(
                f'Database "{database.label}" is on a network file system ({kind}), whose locks '
                "SQLite cannot rely on.",
                database.location,
                "move it to a local disk, or use PostgreSQL where several machines write",
                bind=database.bind,
            )


def table_unusable(state: State) -> Iterator[Found]:
    """A table of SQLite cannot be read or written.

    Cause
        A DEFAULT, a CHECK, a generated column, a view or a trigger calls a function that SQLite
        does not have, or a column has a collation that it does not know. SQLite looks for them
        when a statement needs them, so the migration that wrote them went through.
    Example
        ``server_default=sa.text("now()")``: every INSERT that leaves the column out fails with
        ``unknown function: now()``.
    Fix
        A new revision that writes the expression with what SQLite has, such as
        ``CURRENT_TIMESTAMP``; or register the function for every connection of the application
        in a listener for ``connect``, where the commands find it too.
    Prevention
        ``flask db safe-upgrade`` refuses to leave such a table behind.
    """
    for database in reached(state):
        for fault in database.examination.unusable:
            yield Found(
                f'In database "{database.label}" {told(fault)}.',
                database.location,
                remedy(fault),
                bind=database.bind,
                subject=f"{fault.name}.{fault.column}" if fault.column else fault.name,
            )


def boolean_default_is_text(state: State) -> Iterator[Found]:
    """The default of a Boolean column is a text.

    Cause
        ``server_default="false"`` is written as ``DEFAULT 'false'``. PostgreSQL reads that as a
        Boolean; SQLite has none, and stores the text, which is true to Python.
    Example
        ``sa.Column(sa.Boolean, server_default="false")``: every row that leaves the column out
        reads ``True``.
    Fix
        A new revision with ``op.alter_column("users", "active", server_default=sa.false())``,
        which every database understands, and an UPDATE of the rows that have the text.
    Prevention
        Write ``server_default=sa.false()`` or ``sa.true()``.
    """
    for database in reached(state):
        for each in database.examination.text_defaults:
            word = each.default.strip("()'\" ").lower()
            right = "sa.true()" if word in ("true", "t", "yes", "y", "on") else "sa.false()"
            value = 1 if right == "sa.true()" else 0
            rows = f" {counted(each.rows, 'row')} " + ("has" if each.rows == 1 else "have")
            update = (
                f"; then UPDATE {_quoted(each.table)} SET {_quoted(each.column)} = {value} "
                f"WHERE {_quoted(each.column)} = {each.default}"
            )
            yield Found(
                f'In database "{database.label}" the default {each.default} of the Boolean column '
                f"'{each.table}.{each.column}' is a text, which reads as True."
                + (f"{rows} a text there." if each.rows else ""),
                database.location,
                f'op.alter_column("{each.table}", "{each.column}", server_default={right}) in a '
                f"new revision, and {right} in the model" + (update if each.rows else ""),
                bind=database.bind,
                subject=f"{each.table}.{each.column}",
            )
