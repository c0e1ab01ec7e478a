"""What is queued waits for a barrier: a statement from elsewhere, or the end.

Then it is applied, and before the end of the run proven. The rows of the version table wait as the
changes of tables do.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from alembic.ddl.sqlite import SQLiteImpl
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Delete, Update, event

from flask_safemigrate.alembic_bridge.sqlite.caught import (
    as_stock,
    is_swallowed,
    may_be_caught,
    uses_driver,
)
from flask_safemigrate.alembic_bridge.sqlite.literals import is_read, with_literals
from flask_safemigrate.alembic_bridge.sqlite.outside import Outside
from flask_safemigrate.alter.enforcement import Enforcement
from flask_safemigrate.alter.engine import Executor
from flask_safemigrate.alter.options import EngineOptions
from flask_safemigrate.ddl.tokens import quote
from flask_safemigrate.errors import OperationRefused, SafeMigrateError, VerificationFailed
from flask_safemigrate.outcome import TableWork


class VersionRows:
    """What the version table says, and what it is to say.

    Alembic makes a statement of its own for every revision, which SQLAlchemy compiles anew each
    time: a sixth of the time of a thousand revisions.
    """

    def __init__(self) -> None:
        self._heads: frozenset[str] | None = None
        self._written: frozenset[str] = frozenset()

    @property
    def known(self) -> bool:
        """Whether the rows are known, so that Alembic's own statements need not run."""
        return self._heads is not None

    @property
    def waiting(self) -> bool:
        """Whether the table does not say yet what it is to say."""
        return self._heads is not None and self._heads != self._written

    def begin(self, heads: Iterable[str]) -> None:
        """Note what the table says."""
        self._heads = self._written = frozenset(heads)

    def stand_at(self, heads: Iterable[str]) -> None:
        """Note what the table is to say."""
        self._heads = frozenset(heads)

    def write(self, context: MigrationContext, connection: Connection) -> None:
        """Let the table say it.

        :raises VerificationFailed: the table says something else than it did.
        """
        assert self._heads is not None
        table, heads = context._version, self._heads
        old, new = sorted(self._written - heads), sorted(heads - self._written)
        row = table.c.version_num

        def change(statement: Update | Delete, was: str) -> None:
            if connection.execute(statement).rowcount != 1:
                raise VerificationFailed(
                    f'no row of "{context.version_table}" names {was} any more: a migration has '
                    "changed that table.",
                    hint="take the statement out; the rows follow the revisions by themselves",
                )

        for was, now in zip(old, new, strict=False):
            change(table.update().values(version_num=now).where(row == was), was)
        for was in old[len(new) :]:
            change(table.delete().where(row == was), was)
        for now in new[len(old) :]:
            connection.execute(table.insert().values(version_num=now))
        self._written = heads


class BarrierImpl(SQLiteImpl):
    """Applies what is queued at the next barrier, and says what was done.

    A barrier is a statement that comes from elsewhere: the migration's own SQL, a read through
    ``get_bind()``. What the run does to ``alembic_version`` is none; it waits for one too.

    :ivar revision: the revision that runs; names errors and work.
    :ivar named: the tables that operations name, by the names they had then.
    :ivar version_rows: what the version table says, and is to say.
    :ivar bookkeeping: whether the statement that runs is about the version table.
    :ivar enforcement: whether foreign keys are to be enforced.
    :ivar outside: what is kept for after COMMIT.
    :ivar over: what to say where a revision has ended the transaction; None where it is open.
    :ivar caught: whether the revision may catch what the operation raises that is performed now.
    """

    transactional_ddl = True

    # Alembic registers an implementation by the ``__dialect__`` in its class body; there must be
    # none here, so that the stock commands keep Alembic's own.

    def __init__(
        self, context: MigrationContext, stock: SQLiteImpl, options: EngineOptions
    ) -> None:
        super().__init__(
            stock.dialect,
            stock.connection,
            stock.as_sql,
            True,
            stock.output_buffer,
            stock.context_opts,
        )
        self.stock = stock
        self._failure: Exception | None = None
        self._performing = False
        self._asking = False
        self.caught = False
        self.revision: str | None = None
        self.named: set[str] = set()
        self.context = context
        self._options = options
        self._executor: Executor | None = None
        self.bookkeeping = False
        self.enforcement: Enforcement | None = None
        self.outside: Outside | None = None
        self.over: Callable[[], SafeMigrateError | None] = lambda: None
        self.version_rows = VersionRows()
        self._watched: bool | None = None
        self._script: list[str] = []
        if self.connection is not None:
            event.listen(self.connection, "before_cursor_execute", self._before_statement)
            event.listen(self.connection, "after_cursor_execute", self._after_statement)

    # ------------------------------------------------------------ what the runner calls

    def run(self, migrate: Callable[..., None], **arguments: Any) -> None:
        """Run a revision's function.

        :raises SafeMigrateError: an operation was refused, whether the revision caught that or
            not, and stock Alembic would not have raised an error there.
        """
        migrate(**arguments)
        self._must_go_on()

    def flush(self) -> None:
        """Apply everything that is queued.

        :raises OperationRefused: a change cannot be made without harm; it is named.
        :raises VerificationFailed: the database is not what it should be afterwards.
        """
        if self._asking:
            return
        self._must_go_on()
        with self._final():
            if self._executor is not None and not self._executor.queue.empty:
                self._must_be_open()
                self._executor.flush()
            self._write_version_rows()

    def stand_at(self, heads: Iterable[str]) -> None:
        """Note what the version table is to say once a revision has run.

        A trigger on that table is to see every revision, so the table says it at once there.
        """
        self.version_rows.stand_at(heads)
        if self._watched is None:
            assert self.connection is not None
            schema = quote(self.context.version_table_schema or "main")
            driver: Any = self.connection.connection.driver_connection
            self._watched = bool(
                driver.execute(
                    f"SELECT 1 FROM {schema}.sqlite_master"
                    " WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE",
                    (self.context.version_table,),
                ).fetchall()
            )
        if self._watched:
            self._write_version_rows()

    def follow_leak(self) -> None:
        """Let the version table say what a revision did that has ended the transaction.

        Changes that are still queued are not made without one; then the row would be wrong too.
        """
        if self._executor is None or self._executor.queue.empty:
            self._write_version_rows()

    def _write_version_rows(self) -> None:
        if self.version_rows.waiting:
            assert self.connection is not None
            self.bookkeeping = True
            try:
                self.version_rows.write(self.context, self.connection)
            finally:
                self.bookkeeping = False

    def prove(self) -> tuple[str, ...]:
        """Apply what is queued, then prove everything that was done; what was proven is returned.

        :raises VerificationFailed: something is not as it should be.
        """
        self.flush()
        return self._executor.prove() if self._executor is not None else ()

    @property
    def warned(self) -> tuple[str, ...]:
        """What :meth:`prove` did not refuse and a person should know, one sentence each."""
        return self._executor.warned if self._executor is not None else ()

    @property
    def work(self) -> tuple[TableWork, ...]:
        """What was done, table by table, in the order in which the tables were first touched."""
        return self._executor.work if self._executor is not None else ()

    def count(self) -> int:
        """How many statements the engine itself has run on tables."""
        return sum(len(each.statements) for each in self.work)

    @property
    def script(self) -> tuple[str, ...]:
        """The statements that changed something, in order; the sqlite3 shell can replay them.

        With the option ``record`` the migration's own and the version table's too, with their
        parameters in them.
        """
        return tuple(self._script)

    def detach(self) -> None:
        """Stop listening to the connection; the queue is given up."""
        if self.connection is not None:
            for name, listener in (
                ("before_cursor_execute", self._before_statement),
                ("after_cursor_execute", self._after_statement),
            ):
                if event.contains(self.connection, name, listener):
                    event.remove(self.connection, name, listener)
        if self._executor is not None:
            self._executor.close()
            self._executor = None

    # ------------------------------------------------------------ errors

    def _must_go_on(self) -> None:
        """
        :raises Exception: what was raised before, and caught by somebody who may not.
        """
        if self._failure is not None:
            raise self._failure

    def _must_be_open(self) -> None:
        """
        :raises SafeMigrateError: a revision has ended the transaction.
        """
        if (over := self.over()) is not None:
            raise over

    @contextlib.contextmanager
    def _final(self) -> Iterator[None]:
        """An error inside stays one: a revision that catches it comes no further.

        What was queued is half made then, or not at all.
        """
        try:
            yield
        except Exception as error:
            self._failure = error
            raise

    def perform(
        self, work: Callable[[], None], stock: Callable[[], None], *, beyond_stock: bool
    ) -> None:
        """Do what an operation asks for.

        :param work: queues it.
        :param stock: does it as Alembic's own implementation does.
        :param beyond_stock: whether the queue may do what stock Alembic raises an error for, so
            that a revision may have planned for that.
        """
        self._must_go_on()
        if self._performing:
            work()
            return
        with self._final():
            self._must_be_open()
        self._performing = True
        self.caught = may_be_caught(BarrierImpl.run.__code__)
        try:
            if not self.caught:
                with self._final():
                    work()
                if uses_driver(BarrierImpl.run.__code__):
                    self.flush()
                return
            self.flush()
            if beyond_stock:
                error = self._ask(stock)
                if error is not None and is_swallowed(error, BarrierImpl.run.__code__):
                    raise error
            self._attempt(work, stock)
        finally:
            self._performing = self.caught = False

    def _attempt(self, work: Callable[[], None], stock: Callable[[], None]) -> None:
        """Do it at once, or leave everything as it was and raise what stock Alembic raises."""
        engine = self.engine()
        named = set(self.named)
        try:
            with engine.attempt():
                work()
                engine.flush()
        except SafeMigrateError as refusal:
            self.named = named
            error = self._ask(stock)
            if error is None:
                self._failure = refusal
                raise
            raise as_stock(refusal, error) from error

    def _ask(self, stock: Callable[[], None]) -> Exception | None:
        """What stock Alembic raises, if it does; nothing of what it does stays."""
        before, self.bookkeeping = self.bookkeeping, True
        self._asking = True
        try:
            with self.engine().database.savepoint(keep=False), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                stock()
        except Exception as error:
            return error
        finally:
            self._asking, self.bookkeeping = False, before
        return None

    # ------------------------------------------------------------ barriers

    @property
    def bind(self) -> Connection | None:
        self.flush()
        return self.connection

    def _exec(
        self,
        construct: Any,
        execution_options: Mapping[str, Any] | None = None,
        multiparams: Sequence[Mapping[str, Any]] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        ours = getattr(construct, "table", None) is self.context._version
        if ours and self.version_rows.known:
            return None
        if not ours:
            self.flush()
        self.bookkeeping = ours
        try:
            return super()._exec(construct, execution_options, multiparams, params or {})
        finally:
            self.bookkeeping = False

    def _before_statement(
        self,
        connection: Any,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        many: Any,
    ) -> None:
        if self.bookkeeping:
            return
        # It may make or drop a trigger.
        self._watched = None
        if self._executor is None and self.revision is None:
            # What the runner itself asks before the first revision.
            return
        self.flush()
        with self._final():
            self.engine().before_foreign(statement)

    def _after_statement(
        self,
        connection: Any,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        many: Any,
    ) -> None:
        if self._asking:
            return
        if self._options.record and not is_read(statement):
            driver = self.connection.connection.driver_connection if self.connection else None
            for row in parameters if many else (parameters,):
                self._script.append(with_literals(statement, row, driver))
        if not self.bookkeeping and self._executor is not None:
            with self._final():
                self._executor.after_foreign(statement, self.revision)

    def engine(self) -> Executor:
        if self._executor is None:
            assert self.connection is not None
            driver: Any = self.connection.connection.driver_connection
            if not all(hasattr(driver, name) for name in ("execute", "isolation_level")):
                raise OperationRefused(
                    f"the driver {type(driver).__module__} is not one of the sqlite3 kind",
                    hint='use the default driver: "sqlite:///..."',
                )
            if not driver.in_transaction:
                raise OperationRefused("no transaction is open on the SQLite connection")
            module = self.dialect.dbapi or sys.modules[type(driver).__module__]
            self._executor = Executor(
                driver, module, self._options, self._script, self.enforcement
            )
        return self._executor
