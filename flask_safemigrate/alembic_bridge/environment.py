"""Running a project's ``env.py`` with our transaction, SQLite implementation and steps."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.schema import CreateSchema

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.errors import UsageError


class Stage(NamedTuple):
    """One ``context.run_migrations()`` of an ``env.py``: a database whose transaction is open.

    :param bind: bind key, "" for the default database.
    :param apart: whether ``env.py`` asks for a transaction of its own for each revision.
    :param autocommit: whether its connection committed every statement by itself.
    """

    bind: str
    connection: Connection
    context: MigrationContext
    script: ScriptDirectory
    apart: bool = False
    autocommit: bool = False


def end_transaction(stage: Stage) -> None:
    """Commit what a stage has done, and begin its next transaction."""
    context = stage.context
    if context._transaction is not None and not context._transaction.is_active:
        # A revision has ended it by the connection, which has begun another one that Alembic
        # knows nothing of and would not commit.
        context._transaction = stage.connection.get_transaction() or stage.connection.begin()
    if context._transaction is None:
        stage.connection.commit()
    else:
        with context.autocommit_block():
            pass


#: What PostgreSQL begins transactions with unless told otherwise.
_LEVEL: Literal["READ COMMITTED"] = "READ COMMITTED"

Autocommit = Callable[[], contextlib.AbstractContextManager[None]]
Steps = Callable[[Stage, tuple[str, ...]], Iterable[Any]]


@contextlib.contextmanager
def logging_kept() -> Iterator[None]:
    """Undo what ``fileConfig`` in ``env.py`` does to the application's loggers.

    It disables every logger that exists, replaces the root's handlers and closes all handlers
    (https://docs.python.org/3/library/logging.config.html#logging.config.fileConfig). A file's
    handler that writes anew (mode "w") stays silent once it was closed, so they are kept out of
    its sight.
    """
    root = logging.getLogger()
    named = [
        x for x in logging.Logger.manager.loggerDict.values() if isinstance(x, logging.Logger)
    ]
    kept = [(x, x.level, x.disabled, x.propagate, list(x.handlers)) for x in (root, *named)]
    by_name: Any = getattr(logging, "_handlers", {})
    known: Any = getattr(logging, "_handlerList", [])
    named_handlers, handlers_kept = dict(by_name), list(known)
    known.clear()
    try:
        yield
    finally:
        by_name.update(named_handlers)
        known[:0] = handlers_kept
        for logger, level, disabled, propagate, handlers in kept:
            logger.setLevel(level)
            logger.disabled = disabled
            logger.propagate = propagate
            logger.handlers[:] = handlers


def _begin(driver: Any, patience: float, waiting: Callable[[float], None]) -> None:
    """Begin a transaction that may write, waiting for other writers.

    :param patience: seconds.
    :param waiting: told about once a second how many seconds have passed.
    """
    started = time.monotonic()
    while True:
        waited = time.monotonic() - started
        pause = min(1.0, max(patience - waited, 0.0))
        driver.execute(f"PRAGMA busy_timeout = {int(pause * 1000)}")
        try:
            driver.execute("BEGIN IMMEDIATE")
        except Exception as error:
            if "locked" not in str(error) or time.monotonic() - started >= patience:
                raise
            waiting(time.monotonic() - started)
        else:
            # COMMIT waits as long for readers, where the journal mode lets them block it.
            driver.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
            return


def _text(factory: Callable[[bytes], Any], raw: bytes) -> Any:
    """Read text as what it is; the application's own ``text_factory`` reads what is not UTF-8.

    Alembic and the engine know revisions, tables and columns by ``str`` alone.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return factory(raw)


def _own_transaction(
    connection: Connection,
    patience: float,
    waiting: Callable[[float], None],
    before: Callable[[Any], Callable[[], None]],
) -> Callable[[], None]:
    """Begin an SQLite transaction that holds DDL too; returns what undoes the settings.

    Python's driver by itself begins only before INSERT, UPDATE and DELETE, so that DDL before
    them is committed at once
    (https://docs.python.org/3/library/sqlite3.html#transaction-control).
    """
    driver: Any = connection.connection.driver_connection
    level, autocommit = driver.isolation_level, getattr(driver, "autocommit", None)
    text = driver.text_factory
    undo: list[Callable[[], None]] = []
    if driver.in_transaction:
        driver.rollback()
    if autocommit is not None and autocommit != -1:
        driver.autocommit = -1
    driver.isolation_level = None
    timeout = driver.execute("PRAGMA busy_timeout").fetchone()[0]
    if text is not str:
        driver.text_factory = functools.partial(_text, text)

    def restore() -> None:
        # The pool may have closed the connection by now; then there is nothing to restore.
        with contextlib.suppress(Exception):
            driver.text_factory = text
            if driver.in_transaction:
                driver.rollback()
            for each in undo:
                each()
            driver.execute(f"PRAGMA busy_timeout = {timeout}")
            driver.isolation_level = level
            if autocommit is not None and autocommit != -1:
                driver.autocommit = autocommit

    try:
        undo.append(before(driver))
        _begin(driver, patience, waiting)
    except BaseException:
        restore()
        raise
    return restore


def _no_autocommit(connection: Connection) -> Callable[[], None] | None:
    """Take a connection with ``isolation_level="AUTOCOMMIT"`` back to transactions.

    :return: undoes it; None where it was none.
    """
    # PostgreSQL's drivers have it as an attribute; MySQL's, where DDL commits anyway, as a method.
    driver: Any = connection.connection.driver_connection
    if getattr(driver, "autocommit", None) is not True:
        return None
    if not connection.in_transaction():
        connection.execution_options(isolation_level=_LEVEL)
        return lambda: None
    # env.py has said something before, which began a transaction for SQLAlchemy, but none for the
    # server. SQLAlchemy lets nobody change the level in it.
    driver.autocommit = False

    def restore() -> None:
        with contextlib.suppress(Exception):
            driver.rollback()
            driver.autocommit = True

    return restore


@contextlib.contextmanager
def _ended_block(own: Autocommit, connection: Connection) -> Iterator[None]:
    """Alembic's block, with the transaction ended that asking pg8000 for the level began."""
    with own():
        driver: Any = connection.connection.driver_connection
        driver.commit()
        yield


@contextlib.contextmanager
def _driver_block(connection: Connection) -> Iterator[None]:
    """Leave the server's transaction for a while, where SQLAlchemy's is not ours to end."""
    driver: Any = connection.connection.driver_connection
    driver.commit()
    driver.autocommit = True
    try:
        yield
    finally:
        driver.autocommit = False


def _enforcement(
    impl: sqlite.LosslessSQLiteImpl, known: Callable[[], bool], driver: Any
) -> Callable[[], None]:
    """Get ready for revisions that switch foreign keys; returns what undoes it."""
    impl.enforcement = sqlite.Enforcement(driver, known)
    return impl.enforcement.restore


@contextlib.contextmanager
def _operations_installed(operations: Operations) -> Iterator[None]:
    operations._install_proxy()
    try:
        yield
    finally:
        operations._remove_proxy()


def run_environment(
    config: Config,
    script: ScriptDirectory,
    steps: Steps,
    *,
    bind_of: Callable[[Connection], str],
    destination: str,
    options: sqlite.EngineOptions,
    patience: float,
    waiting: Callable[[str, float], None],
    applied: Callable[[], None],
    outside: Callable[[Autocommit], contextlib.AbstractContextManager[None]] = lambda own: own(),
    ended: Callable[[], None] = lambda: None,
    connect: Callable[[str], Connection] | None = None,
    switches_keys: Callable[[str], bool] = lambda bind: False,
    waits: Callable[[Connection], str | None] = lambda connection: None,
) -> None:
    """Run ``env.py`` online; ``steps`` decides for every database what runs.

    The steps are asked for after the transaction has begun and before anything was read or
    written in it, and what they raise undoes the transaction.

    :param bind_of: the bind key of a connection that ``env.py`` made.
        :raises UsageError: the connection leads to a database that is not the application's.
    :param destination: the revision asked for, as ``env.py`` may ask for it.
    :param patience: seconds to wait for other writers of an SQLite database.
    :param waiting: told the bind key and the seconds that have passed while it waits.
    :param applied: called when a revision and its row in the version table are done, inside the
        transaction that holds the row.
    :param outside: stands in for ``autocommit_block`` and gets Alembic's own; not on SQLite.
    :param ended: called when the revisions of a database have run or failed, while the
        connection is still open.
    :param connect: where given, the migrations run on the connection that it returns for a
        bind key, and not on that of ``env.py``.
    :param switches_keys: whether a revision of a bind key may switch foreign keys on or off.
    :param waits: the bind key of a connection whose own revisions are still to run.
    """
    undo: list[Callable[[], None]] = []
    stages: dict[int, tuple[str, Connection]] = {}
    manners: dict[int, tuple[bool, bool]] = {}
    sharing = sqlite.Sharing(Path(script.dir), waits)

    def decide(heads: tuple[str, ...], context: MigrationContext) -> Iterable[Any]:
        connection = context.connection
        assert connection is not None
        if isinstance(context.impl, sqlite.LosslessSQLiteImpl):
            context.impl.version_rows.begin(heads)
        bind, _ = stages[id(context)]
        stage = Stage(bind, connection, context, script, *manners[id(context)])
        for step in steps(stage, heads):
            if isinstance(context.impl, sqlite.LosslessSQLiteImpl):
                step.migration_fn = functools.partial(within, step.revision, step.migration_fn)
            yield step

    def within(revision: Script, migrate: Callable[..., None], **arguments: Any) -> None:
        with sharing.revision(revision.revision, revision.path):
            migrate(**arguments)

    environment = EnvironmentContext(
        config, script, fn=decide, as_sql=False, destination_rev=destination
    )
    stock_configure = environment.configure

    def moved(ctx: MigrationContext, heads: set[str], **news: Any) -> None:
        if isinstance(ctx.impl, sqlite.LosslessSQLiteImpl):
            ctx.impl.stand_at(heads)

    def configure(connection: Connection | None = None, *args: Any, **kw: Any) -> None:
        if connection is None:
            raise UsageError(
                'env.py calls "context.configure" without a connection.',
                hint="pass connection=..., as the env.py of Flask-Migrate does",
            )
        logging.getLogger("alembic").setLevel(logging.WARNING)
        bind = bind_of(connection)
        target = connect(bind) if connect is not None else connection
        theirs = kw.get("on_version_apply") or ()
        theirs = theirs if isinstance(theirs, Iterable) else (theirs,)
        kw["on_version_apply"] = (moved, *theirs, lambda **news: applied())
        # Between revisions there is more to do than Alembic's commit.
        apart = bool(kw.pop("transaction_per_migration", False))
        back = _no_autocommit(target) if target.dialect.name != "sqlite" else None
        if back is not None:
            undo.append(back)
        schema = kw.get("version_table_schema")
        if connect is not None and schema and target.dialect.name == "postgresql":
            # It is there in the application's database, and in no scratch database.
            target.execute(CreateSchema(schema, if_not_exists=True))
            target.commit()
        stock_configure(target, *args, **kw)
        context = environment.get_context()
        manners[id(context)] = apart, back is not None
        stages[id(context)] = bind, connection
        if target.dialect.name == "sqlite":
            sqlite.install(context, options)
            # A block without transaction would commit half of the upgrade; on SQLite nothing
            # that a revision may want to do there needs one.
            setattr(context, "autocommit_block", contextlib.nullcontext)  # noqa: B010
            begin = functools.partial(begin_once, context.begin_transaction)
            setattr(context, "begin_transaction", begin)  # noqa: B010
        else:
            own: Autocommit = context.autocommit_block
            if back is not None and context._in_external_transaction:
                own = functools.partial(_driver_block, target)
            elif target.dialect.driver == "pg8000":
                own = functools.partial(_ended_block, own, target)
            block = functools.partial(outside, own)
            setattr(context, "autocommit_block", block)  # noqa: B010

    def begin_once(stock: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        # To Alembic, which takes SQLite's DDL for no part of a transaction, it is nothing there.
        return contextlib.nullcontext() if sharing.running else stock(*args, **kw)

    def run_migrations(**kw: Any) -> None:
        context = environment.get_context()
        connection = context.connection
        assert connection is not None
        is_sqlite = connection.dialect.name == "sqlite"
        with contextlib.ExitStack() as stack:
            stack.callback(ended)
            if is_sqlite and not connection.in_transaction():
                stack.enter_context(connection.begin())
            if is_sqlite:
                bind, given = stages[id(context)]
                news = functools.partial(waiting, bind)
                impl = context.impl
                assert isinstance(impl, sqlite.LosslessSQLiteImpl)
                driver: Any = connection.connection.driver_connection
                level = driver.isolation_level
                enforce = functools.partial(
                    _enforcement, impl, functools.partial(switches_keys, bind)
                )
                undo.append(_own_transaction(connection, patience, news, enforce))
                shared = sharing.begin(connection, given, level)
                stack.callback(sqlite.serve_raw_calls(connection, sharing.stop, level))
                stack.callback(sqlite.serve_commits(connection, lambda: sharing.running))
                impl.must_be_free = shared.must_be_free
                assert impl.enforcement is not None
                impl.outside = sqlite.Outside(
                    connection, impl.enforcement, lambda: sharing.running, impl.count, sharing.stop
                )
                undo.append(impl.outside.leave)
                stack.callback(impl.outside.detach)
                stack.enter_context(_operations_installed(sqlite.operations(context)))
                stack.callback(getattr(context.impl, "detach"))  # noqa: B009
            else:
                stack.enter_context(_operations_installed(Operations(context)))
            context.run_migrations(**kw)

    # env.py reaches these through the module alembic.context, which takes them from the object.
    setattr(environment, "configure", configure)  # noqa: B010
    setattr(environment, "run_migrations", run_migrations)  # noqa: B010
    with logging_kept():
        try:
            with environment:
                script.run_env()
        finally:
            sharing.end()
            for restore in undo:
                restore()
