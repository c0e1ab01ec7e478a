"""SM5xx: whether the databases can be reached and written."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from flask_safemigrate.checks.found import (
    UPWARD,
    Found,
    at_head,
    in_memory,
    listed,
    reached,
    tables,
)
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.examination import Lacking
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity, Step

_ANYWAY = "SAFEMIGRATE_EXCLUDE_TABLES names such tables, and --allow SM505 goes on in spite of it"
_ROLE_HINT = (
    'env.py says SET ROLE {role}, which its own connection has alone: say it in a "connect" '
    'listener of the engine (sqlalchemy.event.listens_for(db.engine, "connect")), or add '
    "?options=-c%20role%3D{role} to the URL"
)
_SHOWN = 3  # privileges that one message names


def _unreachable(state: State, kind: str) -> Iterator[Found]:
    for database in state.databases:
        why = database.unreachable
        if why and why.kind == kind:
            yield Found(why.message, database.location, why.hint, bind=database.bind)


def server_down(state: State) -> Iterator[Found]:
    """The database server does not answer.

    Cause
        The server is not running, listens on another port, or a firewall is between.
    Example
        ``connection refused`` on ``localhost:5432``, because the container of the database is
        not up.
    Fix
        Start the server, or correct host and port in the URL. ``flask db deploy --wait 60``
        waits for a server that is on its way up.
    Prevention
        Let the release phase wait: ``flask db deploy --wait 60``.
    """
    yield from _unreachable(state, "server down")


def host_unknown(state: State) -> Iterator[Found]:
    """The name of the database server is unknown.

    Cause
        The host in the URL has no address here: a slip, or a name that only exists inside a
        network of containers.
    Example
        ``postgresql://...@db/shop`` on a developer's machine, where ``db`` is a name of Docker
        Compose.
    Fix
        Correct the host, or run the command where the name is known: ``docker compose exec web
        flask db doctor``.
    Prevention
        Keep the URL in the environment, not in the code.
    """
    yield from _unreachable(state, "host unknown")


def wrong_password(state: State) -> Iterator[Found]:
    """The database server refuses user or password.

    Cause
        User or password is wrong, the user may not connect from this host, or a special
        character in the password is not escaped in the URL.
    Example
        ``password authentication failed for user "shop"``.
    Fix
        Correct the URL; escape the password with ``urllib.parse.quote_plus``.
    Prevention
        Build URLs with ``sqlalchemy.engine.URL.create``, which escapes by itself.
    """
    yield from _unreachable(state, "wrong password")


def database_missing(state: State) -> Iterator[Found]:
    """The server has no such database.

    Cause
        The server answers, but the database in the URL was never created there, or its name is
        mistyped.
    Example
        ``database "shop" does not exist``.
    Fix
        Create it: ``createdb shop``, or ``CREATE DATABASE shop``.
    Prevention
        Create the database where the server is set up; migrations begin inside of one.
    """
    yield from _unreachable(state, "missing database")


def privilege_missing(state: State) -> Iterator[Found]:
    """The user lacks a privilege.

    Cause
        The user may connect, but not read or change what a migration needs.
    Example
        ``permission denied for schema public``, since PostgreSQL 15 the default for new users.
        ``must be owner of table users``, when another user made the tables.
    Fix
        Grant it as the owner: ``GRANT CREATE ON SCHEMA public TO shop``, ``ALTER TABLE users
        OWNER TO shop``. Tables that belong to others and that no pending revision names stop
        nothing. Where ``env.py`` says ``SET ROLE``, say it for every connection of the engine.
    Prevention
        Let one user own the database and run its migrations.
    """
    for found in _unreachable(state, "missing privilege"):
        if state.project.env_role:
            # The application's own connections have another role than env.py's.
            yield found._replace(hint=_ROLE_HINT.format(role=state.project.env_role))
        else:
            yield found
    for database in reached(state):
        named = ("", *tables(database))
        lacking = [one for one in database.examination.lacking if one.table in named]
        applied = state.history.ancestors(database.version_rows or ())
        pending = [r for r in state.history.revisions if r.id not in applied]
        touched = {name for revision in pending for name in revision.tables}
        # One who only reads needs none of it until there is something to apply.
        behind = not at_head(state, database)
        needed = [one for one in lacking if not one.table or one.table in touched]
        if behind and lacking and not needed:
            yield _of_others(database, lacking, unknown=any(not r.tables for r in pending))
            continue
        if behind:
            lacking = needed
        if not lacking:
            continue
        shown = [one.what for one in lacking[:_SHOWN]]
        if more := len(lacking) - len(shown):
            shown.append(f"{more} more")
        stays = any(one.table for one in lacking)
        yield Found(
            f'User "{database.examination.user}" may not {"; nor ".join(shown)} (database '
            f'"{database.label}"): migrations will fail.',
            database.location,
            "as an administrator: "
            + " ".join(one.hint for one in lacking[:_SHOWN])
            + (f" If a table is to stay another user's: {_ANYWAY}" if stays else ""),
            bind=database.bind,
            severity=Severity.ERROR if behind else Severity.WARNING,
            blocks=UPWARD if behind else (),
            subject=lacking[0].table,
        )


def _of_others(database: DatabaseState, lacking: Sequence[Lacking], *, unknown: bool) -> Found:
    """What is said of tables that no pending revision is known to change.

    :param unknown: whether there is a revision whose tables are not known.
    """
    shown = listed([one.table for one in lacking], _SHOWN)
    return Found(
        f'User "{database.examination.user}" may not change {shown} '
        f'(database "{database.label}"), '
        + (
            "and what the pending revisions change could not be told from all of them."
            if unknown
            else "which no pending revision names."
        ),
        database.location,
        f"nothing, as long as no revision changes them; {_ANYWAY}",
        bind=database.bind,
        severity=Severity.WARNING if unknown else Severity.INFO,
        blocks=(),
        subject=lacking[0].table,
    )


def folder_missing(state: State) -> Iterator[Found]:
    """The folder of the SQLite file does not exist.

    Cause
        SQLite makes the file, but not the folder that it lies in.
    Example
        ``sqlite:////var/lib/shop/app.db`` without ``/var/lib/shop``.
    Fix
        Make the folder: ``mkdir -p``. Mind the slashes: three begin a relative path, four an
        absolute one.
    Prevention
        Make the folder where the application is installed.
    """
    yield from _unreachable(state, "missing folder")


def database_file_missing(state: State) -> Iterator[Found]:
    """The SQLite file does not exist and cannot be made.

    Cause
        The URL opens an existing file only (``mode=rw`` or ``mode=ro``), and there is none.
    Example
        ``sqlite:///file:app.db?mode=ro&uri=true`` before the first upgrade.
    Fix
        Correct the path, or allow the file to be made with ``mode=rwc``.
    Prevention
        Show the resolved path with ``flask db status``.
    """
    yield from _unreachable(state, "missing file")


def not_a_database(state: State) -> Iterator[Found]:
    """The file is no SQLite database.

    Cause
        The path names another file, an encrypted database, or one whose beginning was
        overwritten.
    Example
        ``file is not a database``, after ``app.db`` was saved by a text editor.
    Fix
        Correct the path. If it was the database, put a snapshot back: ``flask db restore``.
    Prevention
        Keep snapshots; copy a database with ``flask db snapshot``, not with ``cp``.
    """
    yield from _unreachable(state, "not a database")


def database_read_only(state: State) -> Iterator[Found]:
    """The database cannot be written.

    Cause
        File or folder is not writable for this user (SQLite needs to write in the folder too),
        the disk is mounted read-only, or the server or the user is set to read only.
    Example
        ``attempt to write a readonly database`` in a container with another user than the file's
        owner.
    Fix
        Give the user the right to write in the folder, or take back the setting that the message
        names.
    Prevention
        Run migrations as the same user as the application.
    """
    yield from _unreachable(state, "read-only")
    yield from _refused(state, "read-only")


def _refused(state: State, kind: str) -> Iterator[Found]:
    for database in reached(state):
        why = database.refuses
        if why and why.kind == kind:
            yield Found(why.message, database.location, why.hint, bind=database.bind)


def database_locked(state: State) -> Iterator[Found]:
    """The database is locked.

    Cause
        Another process holds a lock: a shell with an open transaction, a backup, another
        upgrade.
    Example
        ``database is locked`` while a database browser has uncommitted changes.
    Fix
        End that process or its transaction, then try again; ``--lock-wait SECONDS`` waits
        longer.
    Prevention
        Close database tools before an upgrade.
    """
    yield from _unreachable(state, "locked")


def too_many_connections(state: State) -> Iterator[Found]:
    """The server has no connection left.

    Cause
        Every connection that the server allows is taken, often by worker processes with large
        pools.
    Example
        ``FATAL: sorry, too many clients already``.
    Fix
        Stop some of the workers, or raise the server's limit.
    Prevention
        Make pools smaller: workers times pool size must be less than the limit.
    """
    yield from _unreachable(state, "too many connections")


def server_starting(state: State) -> Iterator[Found]:
    """The server is starting up.

    Cause
        The server answers, but is not ready: it recovers after a crash, or was started a moment
        ago.
    Example
        ``the database system is starting up``.
    Fix
        Wait: ``flask db deploy --wait 60``.
    Prevention
        Let the release phase wait: ``flask db deploy --wait 60``.
    """
    yield from _unreachable(state, "starting")


def database_damaged(state: State) -> Iterator[Found]:
    """The database file is damaged.

    Cause
        Pages of the file are wrong: a copy taken while it was written, a disk fault, a network
        share. SQLite may go on working for a long time until it meets one of them, so the doctor
        reads the whole file (not with ``--fast``).
    Example
        ``database disk image is malformed``.
    Fix
        Put a snapshot back: ``flask db snapshots``, then ``flask db restore ID``. Where only an
        index is wrong, ``flask db doctor --fix SM513`` makes it anew from the rows. Without a
        snapshot, SQLite's ``.recover`` saves what can be read.
    Prevention
        Copy databases with ``flask db snapshot``; keep SQLite off network shares.
    """
    yield from _unreachable(state, "damaged")
    for database in reached(state):
        faults = database.examination.damage
        if not faults:
            continue
        path = f'"{database.location}"'
        lost = database.examination.unreadable
        indexes = all(" index " in fault for fault in faults) and not lost
        what = (
            f"; {listed(lost)} cannot be read to the end"
            if lost
            else "; every row of every table can be read"
        )
        yield Found(
            f'Database "{database.label}" is damaged: {"; ".join(faults[:_SHOWN])}'
            f"{'; and more' if len(faults) > _SHOWN else ''}{what}.",
            database.location,
            "flask db doctor --fix SM513 makes the indexes anew from the rows (REINDEX)"
            if indexes
            else f"flask db snapshots  # then flask db restore ID; without one: sqlite3 {path} "
            "\"VACUUM INTO 'recovered.db'\""
            if not lost
            else "flask db snapshots  # then flask db restore ID; without one: "
            f"sqlite3 {path} .recover | sqlite3 {shlex.quote(f'{database.name}.recovered')}",
            bind=database.bind,
            repair="makes every index anew from the rows (REINDEX)" if indexes else None,
            steps=(Step("reindex"),) if indexes else (),
            subject=database.location,
        )


def tls_failed(state: State) -> Iterator[Found]:
    """The connection cannot be encrypted as it is asked for.

    Cause
        The server's certificate is not for this name, has expired or was signed by an authority
        that is not known here; a file of the certificates is not there; or one side asks for TLS
        and the other one does not offer it.
    Example
        ``certificate verify failed: Hostname mismatch`` after the server has moved.
    Fix
        Name the server as its certificate does, or hand the authority's certificate to the
        driver: ``?sslrootcert=ca.pem`` of PostgreSQL, ``?ssl_ca=ca.pem`` of MariaDB and MySQL.
    Prevention
        ``flask db doctor`` in the environment that will be deployed. Waiting does not help, so
        ``flask db deploy --wait`` does not wait for it.
    """
    yield from _unreachable(state, "tls")


def database_unreachable(state: State) -> Iterator[Found]:
    """The database cannot be reached.

    Cause
        The driver gives an error that is not known by name; it is quoted in the message.
    Example
        A server that asks for a plugin which the driver does not have.
    Fix
        Do what the quoted error asks for.
    Prevention
        ``flask db doctor`` in the environment that will be deployed.
    """
    yield from _unreachable(state, "unknown")


def own_table_strange(state: State) -> Iterator[Found]:
    """What has the name of a table of ours is not as we made it.

    Cause
        Somebody who may create tables made ``safemigrate_journal``, ``safemigrate_lock`` or
        ``safemigrate_progress`` before us, as a view or as another role's table, or gave it a
        trigger, a rule or row security. What is written into it, or read from it, would run their
        code with the rights of whoever migrates.
    Example
        On PostgreSQL 13 and 14 every role may create tables in ``public``.
    Fix
        Look at it with ``\\d+``. Drop it, or the trigger that the message names; or, where it is
        known to be right, ``ALTER TABLE ... OWNER TO`` the role that migrates.
    Prevention
        ``REVOKE CREATE ON SCHEMA public FROM PUBLIC``, and one role that migrates.
    """
    yield from _unreachable(state, "own table")


def database_shared_by_binds(state: State) -> Iterator[Found]:
    """Two binds are the same database.

    Cause
        Two bind keys have the same URL. Both histories would be written into one version table,
        and the two connections of one upgrade wait for each other.
    Example
        ``SQLALCHEMY_BINDS = {"stats": SQLALCHEMY_DATABASE_URI}``.
    Fix
        Give each bind a database of its own, or remove the bind.
    Prevention
        Models that share a database need no bind key.
    """
    binds: dict[str, list[str]] = {}
    for database in state.databases:
        if database.location and not in_memory(database.location):
            binds.setdefault(database.location, []).append(database.bind)
    for location, keys in binds.items():
        if len(keys) > 1:
            yield Found(
                f'"{location}" is the database of {len(keys)} binds: '
                f"{listed(key or 'default' for key in keys)}.",
                location,
                "give each bind a database of its own, or remove the bind key from its models",
                bind=keys[-1],
            )


def database_is_replica(state: State) -> Iterator[Found]:
    """The server is a copy of another one.

    Cause
        The URL leads to a standby or a replica: to the address for reading, or to the old primary
        after a failover.
    Example
        ``cannot execute CREATE TABLE in a read-only transaction`` on PostgreSQL. A MariaDB replica
        may even take the change, which then stops its replication.
    Fix
        Name the primary server in the URL. For PostgreSQL several hosts may stand there:
        ``postgresql://a,b/shop?target_session_attrs=read-write``.
    Prevention
        Give migrations a URL of their own that leads to the primary.
    """
    yield from _unreachable(state, "replica")
    yield from _refused(state, "replica")


def restore_unfinished(state: State) -> Iterator[Found]:
    """A database was left in the middle of being put back or emptied.

    Cause
        ``flask db restore`` or ``flask db reset`` was killed, or lost its server, after it had
        begun to drop tables. MariaDB and MySQL commit every statement, so what was dropped is
        gone.
    Example
        A container that is stopped while a large snapshot is loaded. Without this, an empty
        database would pass for a new one, and the next deploy would build it without its rows.
    Fix
        Run the command again that the hint names, with the same snapshot. What was there before
        is in a snapshot of its own: ``flask db snapshots``.
    Prevention
        Let a user restore who may create databases: then the snapshot is first loaded into a
        scratch database. Give the process the time it takes.
    """
    yield from _unreachable(state, "half restored")
    yield from _unreachable(state, "half emptied")


def version_too_old(state: State) -> Iterator[Found]:
    """The server or library is too old.

    Cause
        Commands need what the version does not have yet, such as the catalogue tables that tell
        what a database holds.
    Example
        PostgreSQL 11, MySQL 5.7, SQLite 3.31.
    Fix
        Upgrade the server to the version that the message names. Until then Flask-Migrate's own
        ``flask db upgrade`` goes on working.
    Prevention
        Follow the server's end-of-life dates.
    """
    yield from _unreachable(state, "too old")
