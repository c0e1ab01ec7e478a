"""Hearing what revisions ask of the database, and keeping them in their transaction."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import event

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.alembic_bridge.confinement import of_our_own
from flask_safemigrate.alembic_bridge.environment import Stage
from flask_safemigrate.alembic_bridge.failure import place_now
from flask_safemigrate.alembic_bridge.run_record import Guard, Position, is_untouched
from flask_safemigrate.alembic_bridge.statementwise import each_by_itself
from flask_safemigrate.alembic_bridge.witness import Witness
from flask_safemigrate.ddl.references import read_trigger, statement_targets
from flask_safemigrate.ddl.tokens import DDLError
from flask_safemigrate.errors import MigrationFailed
from flask_safemigrate.names import PROGRESS_TABLE


@contextlib.contextmanager
def listening(stage: Stage, position: Position, written: set[str]) -> Iterator[None]:
    """Note the tables that revisions write to, and keep them from ending the transaction.

    On SQLite it is refused. A server's revision may have to (``ALTER TYPE ... ADD VALUE``); there
    it is remembered, because a failure leaves behind what was before it.
    """
    connection, impl = stage.connection, stage.context.impl
    dialect = connection.dialect.name
    written.add(stage.context.version_table)

    def ends(how: str) -> None:
        if not position.running or position.cutting or position.outside:
            return
        rolls_back = how in ("ROLLBACK", "ABORT")
        if dialect == "postgresql" and rolls_back and _has_done(position):
            position.rolled_back = place_now(Path(stage.script.dir))
            raise _rolled_back(position)
        position.leaked = position.revision
        position.leaked_at = place_now(Path(stage.script.dir))
        if dialect == "postgresql" and how in ("COMMIT", "END"):
            position.stays[:] = position.statements
            if position.stays:
                position.mark()
        if dialect == "sqlite":
            position.running, position.leaked = False, None
            place = place_now(Path(stage.script.dir))
            raise MigrationFailed(
                f"Revision '{position.revision}'{place and f'{place},'} calls for {how}, but all"
                " revisions share one transaction.",
                revision=position.revision,
                hint=_NESTED
                if how == "ROLLBACK"
                else "take it out of the revision; on SQLite nothing needs it",
            )

    def on_statement(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        # What is known to be about the version table need not be read.
        if PROGRESS_TABLE in statement or getattr(impl, "bookkeeping", False):
            return
        if dialect == "sqlite" and position.running and _is_over(stage):
            # Each statement more would be committed by itself.
            raise _undone(stage, position)
        if ending := _ENDS.match(statement):
            ends(ending[1].upper())
        written.update(_named_by(dialect, statement))

    def after_statement(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        # What asks first whether it is done already can be run again.
        if PROGRESS_TABLE in statement:
            return
        # A function can end the transaction from within.
        if position.running and _CALLS.match(statement) and _is_over(stage):
            position.running = False
            if not is_untouched(position):
                position.leaked = position.revision
            raise _ended_within(position.revision, statement)
        if position.running and not (_READS.match(statement) or _ASKS_FIRST.search(statement)):
            position.statements.append(statement)
            if position.outside:
                position.stays[:] = position.statements
                position.mark()

    def on_commit(_c: Any) -> None:
        ends("COMMIT")

    def on_rollback(_c: Any) -> None:
        if sys.exc_info()[0] is None:
            ends("ROLLBACK")
        elif position.running and not position.outside and dialect in ("sqlite", "postgresql"):
            # A session does so before it hands an error on; the error then says what is wrong.
            position.rolled_back = place_now(Path(stage.script.dir))

    listeners: tuple[tuple[str, Callable[..., None]], ...] = (
        ("before_cursor_execute", on_statement),
        ("after_cursor_execute", after_statement),
        ("commit", on_commit),
        ("rollback", on_rollback),
    )
    for name, listener in listeners:
        event.listen(connection, name, listener)
    if isinstance(impl, sqlite.LosslessSQLiteImpl):
        if position.witness is not None:
            position.witness.close()
        position.witness = of_our_own(Witness, connection.connection.driver_connection)
        impl.over = lambda: _undone(stage, position) if _is_over(stage) else None
    alone = contextlib.ExitStack()
    if stage.autocommit and dialect == "postgresql":
        block = stage.context.autocommit_block
        alone.enter_context(each_by_itself(connection, lambda: position.running, block))
    try:
        with alone:
            yield
    finally:
        position.running = False
        for name, listener in listeners:
            event.remove(connection, name, listener)


def _ended_within(revision: str | None, statement: str) -> MigrationFailed:
    """Say that a function has ended the transaction, and what it was called for did not happen."""
    spatial = _SPATIAL.search(statement)
    hint = "call nothing that begins and ends a transaction of its own"
    if spatial is not None:
        hint = (
            f"write {spatial[1]}() without the 1, which begins and ends a transaction of its own"
        )
    shown = " ".join(statement.split())
    return MigrationFailed(
        f"Revision '{revision}' ended the transaction that all revisions share: "
        f"{shown if len(shown) <= 200 else shown[:197] + '...'}",
        revision=revision,
        hint=hint,
    )


def undid(stage: Stage) -> bool:
    """Whether the transaction of an SQLite database was undone, by its version table."""
    if not _is_over(stage):
        return False
    driver: Any = stage.connection.connection.driver_connection
    query = "SELECT 1 FROM sqlite_master WHERE name = ? COLLATE NOCASE"
    return driver.execute(query, (stage.context.version_table,)).fetchone() is None


def _is_over(stage: Stage) -> bool:
    """Whether SQLite has no transaction open any more."""
    driver = stage.connection.connection.driver_connection
    # mysql.connector has an attribute of that name too; there it is false after every DDL.
    return (
        stage.connection.dialect.name == "sqlite"
        and getattr(driver, "in_transaction", True) is False
    )


def _undone(stage: Stage, position: Position) -> MigrationFailed:
    """What to say of a transaction that is over while its revisions still run."""
    who = f"Revision '{position.revision}'"
    if position.rolled_back is not None:
        place = position.rolled_back and f"{position.rolled_back},"
        return MigrationFailed(
            f"{who}{place} called rollback(), which undid all revisions of this run.",
            revision=position.revision,
            hint=_NESTED,
        )
    if is_untouched(position):
        return MigrationFailed(
            f"{who} met an error or a clause (OR ROLLBACK, RAISE(ROLLBACK)) for which SQLite"
            " undid all revisions of this run.",
            revision=position.revision,
            hint="let one statement alone fail: OR ABORT, RAISE(ABORT)",
        )
    position.leaked = position.revision
    return MigrationFailed(
        f"{who} ended the transaction that all revisions share.",
        revision=position.revision,
        hint="use op.execute(), one statement a call, not executescript() or commit()",
    )


def still_begun(stage: Stage, position: Position) -> None:
    """Notice a transaction that was ended behind SQLAlchemy's back, as executescript() does.

    https://docs.python.org/3/library/sqlite3.html#sqlite3.Cursor.executescript
    """
    if _is_over(stage):
        error = _undone(stage, position)
        if position.leaked and isinstance(stage.context.impl, sqlite.LosslessSQLiteImpl):
            stage.context.impl.follow_leak()
        raise error


def kept_together(
    stage: Stage, position: Position, guard: Guard, migrate: Callable[..., None], **arguments: Any
) -> None:
    """Run a revision of PostgreSQL, and see whether the transaction it began in is still open.

    :raises MigrationFailed: it has rolled that back, and would pass for done.
    """
    migrate(**arguments)
    if position.rolled_back is not None:
        raise _rolled_back(position)
    if position.revision in (position.cut, position.leaked):
        return
    position.running = False
    if not guard.is_open():
        # The driver's own connection did it, of which SQLAlchemy knows nothing.
        if _has_done(position) and not guard.was_committed():
            raise _rolled_back(position)
        position.leaked = position.revision
    position.running = True


def _has_done(position: Position) -> bool:
    """Whether a run loses something by a ROLLBACK now."""
    return bool(position.statements or position.uncommitted)


def _rolled_back(position: Position) -> MigrationFailed:
    place = position.rolled_back and f"{position.rolled_back},"
    return MigrationFailed(
        f"Revision '{position.revision}'{place or ''} rolled back the transaction of the run, and "
        "all that was done in it.",
        revision=position.revision,
        hint=_NESTED,
    )


def watched(
    stage: Stage, position: Position, migrate: Callable[..., None], **arguments: Any
) -> None:
    """Run a revision; where it fails outside of the transaction, note that it has ended it."""
    try:
        migrate(**arguments)
        if _is_over(stage) and (position.rolled_back is not None or is_untouched(position)):
            raise _undone(stage, position)
    except BaseException as error:
        # What was raised here has looked already.
        known = isinstance(error, MigrationFailed) or _rolls_back(error)
        if _is_over(stage) and not known and position.rolled_back is None:
            position.leaked = position.revision
        position.running = False
        raise


def _rolls_back(error: BaseException) -> bool:
    """Whether SQLite itself undoes the transaction with it.

    https://sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction"; a conflict
    clause or ``RAISE(ROLLBACK)`` does too.
    """
    cause = getattr(error, "orig", None) or error
    return type(cause).__name__ == "IntegrityError" or bool(_UNDOES.search(str(cause)))


_NESTED = "use op.get_bind().begin_nested() around what may fail, and roll back that"
_UNDOES = re.compile(r"is full|disk I/O|out of memory|is locked|interrupted", re.IGNORECASE)
_ENDS = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(COMMIT|END|ROLLBACK(?!\s+TO\b|\s+TRANSACTION\s+TO\b)|ABORT)\b"
    r"(?!\s+PREPARED)",
    re.IGNORECASE | re.DOTALL,
)
_CALLS = re.compile(r"\s*SELECT\b.*?\w\s*\(", re.IGNORECASE | re.DOTALL)
_CALLED = re.compile(r"([^\W\d]\w*)\s*\(")
_SPATIAL = re.compile(r"(InitSpatialMetaData(?:Full)?)\s*\(\s*(?:1|\?)", re.IGNORECASE)
_NAME = re.compile(r'"((?:[^"]|"")+)"|`((?:[^`]|``)+)`|([^\W\d][\w$]*)')
_ASKS_FIRST = re.compile(r"\bIF\s+(?:NOT\s+)?EXISTS\b", re.IGNORECASE)
_READS = re.compile(r"\s*(?:SELECT|SHOW|EXPLAIN|SET|VALUES|SAVEPOINT|RELEASE)\b", re.IGNORECASE)


def is_reading(statement: str) -> bool:
    """Whether a statement of a server changes nothing, by its first word."""
    return _READS.match(statement) is not None


def _named_by(dialect: str, statement: str) -> Iterable[str]:
    """Tables that a statement may write to.

    SQLite's statements are read. Those of a server have a grammar of their own, with statements
    inside others (``WITH x AS (DELETE ...)``, ``DO $$ ... $$``): there every name counts, which
    watches too little rather than to stop an upgrade that did nothing wrong.
    """
    if dialect == "sqlite":
        kind, tables = statement_targets(statement)
        if kind == "create trigger":
            # It may be gone at the end, and what it wrote to with it.
            with contextlib.suppress(DDLError):
                return (*tables, *read_trigger(statement).writes)
        if kind == "select":
            return (f"{name.lower()}()" for name in _CALLED.findall(statement))
        if kind != "other":
            return () if kind == "pragma" else tables
    if _READS.match(statement):
        # What a function of the database does is read where it counts, from its text.
        return _CALLED.findall(statement)
    return (quoted or ticked or word for quoted, ticked, word in _NAME.findall(statement))
