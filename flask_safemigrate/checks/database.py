"""SM5xx: whether the database can be reached and written."""

from __future__ import annotations

from collections.abc import Iterator

from flask_safemigrate.checks.found import Found, listed, reached
from flask_safemigrate.state import State


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
    Fix
        Grant it as the owner: ``GRANT ALL ON SCHEMA public TO shop``.
    Prevention
        Let one user own the database and run its migrations.
    """
    yield from _unreachable(state, "missing privilege")


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
        the disk is mounted read-only, or the server is a replica.
    Example
        ``attempt to write a readonly database`` in a container with another user than the file's
        owner.
    Fix
        Give the user the right to write in the folder, or connect to the primary server.
    Prevention
        Run migrations as the same user as the application.
    """
    yield from _unreachable(state, "read-only")
    for database in reached(state):
        if database.read_only:
            yield Found(
                f'Database "{database.label}" can be read, but not written.',
                database.location,
                "give this user the right to write the file and its folder"
                if database.dialect == "sqlite"
                else "connect to the primary server, as a user who may write",
                bind=database.bind,
            )


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
        share.
    Example
        ``database disk image is malformed``.
    Fix
        Put a snapshot back: ``flask db snapshots``, then ``flask db restore ID``. Without one,
        SQLite's ``.recover`` saves what can be read.
    Prevention
        Copy databases with ``flask db snapshot``; keep SQLite off network shares.
    """
    yield from _unreachable(state, "damaged")


def database_unreachable(state: State) -> Iterator[Found]:
    """The database cannot be reached.

    Cause
        The driver gives an error that is not known by name; it is quoted in the message.
    Example
        A TLS certificate that has expired.
    Fix
        Do what the quoted error asks for.
    Prevention
        ``flask db doctor`` in the environment that will be deployed.
    """
    yield from _unreachable(state, "unknown")


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
        if not database.exists and not database.unreachable and not _in_memory(database.location):
            yield Found(
                f'Database "{database.label}" does not exist yet; the first upgrade makes it.',
                database.location,
                "flask db safe-upgrade; if there should be data, correct the path",
                bind=database.bind,
            )


def _in_memory(location: str) -> bool:
    return location == "" or ":memory:" in location or "mode=memory" in location


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
        if database.dialect == "sqlite" and _in_memory(database.location):
            yield Found(
                f'Database "{database.label}" lives in the memory of this process; what is '
                "upgraded there is gone when the command ends.",
                database.location or ":memory:",
                'app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///app.db"',
                bind=database.bind,
            )


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
        if database.location and not _in_memory(database.location):
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


def index_invalid(state: State) -> Iterator[Found]:
    """An index is invalid.

    Cause
        ``CREATE INDEX CONCURRENTLY`` failed or was stopped on PostgreSQL: by a duplicate under a
        unique index, a deadlock, a timeout. What it leaves costs every write and serves no query,
        and its name is in the way of the next attempt.
    Example
        ``CREATE UNIQUE INDEX CONCURRENTLY ix_users_email`` over two equal addresses.
    Fix
        ``flask db doctor --fix SM524`` drops it; the next ``flask db safe-upgrade`` does so by
        itself where a pending revision builds it again. To build it where it stands:
        ``REINDEX INDEX CONCURRENTLY ix_users_email``.
    Prevention
        Look for what may be in the way before, and give the index a revision of its own.
    """
    for database in reached(state):
        for index in database.invalid_indexes:
            yield Found(
                f'Index {index.name} of table "{index.table}" is invalid: an attempt to build it '
                "failed.",
                database.location,
                f"flask db doctor --fix SM524, or REINDEX INDEX CONCURRENTLY {index.name};",
                bind=database.bind,
                repair=f"DROP INDEX CONCURRENTLY {index.name}",
                subject=index.name,
            )
