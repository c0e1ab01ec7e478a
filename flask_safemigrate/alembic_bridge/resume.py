"""Going on with a revision that was stopped, where the server commits every DDL statement.

A revision is a conversation: it says statements, the server answers. Every statement is written
down with its answer, those in a transaction with the transaction's own commit. A revision that
is run again says the same statements; as far as they were done they are answered from the
record and not run, so its code takes the same way, and what it says next is run.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

from flask_safemigrate.alembic_bridge import answers, progress
from flask_safemigrate.alembic_bridge.failure import short
from flask_safemigrate.alembic_bridge.progress import Entry, Group
from flask_safemigrate.errors import HalfApplied, LockTimeout, Refused
from flask_safemigrate.outcome import Progress
from flask_safemigrate.state import Revision

_PAUSE_SECONDS = 0.5


class Catalogue(Protocol):
    """What the database's dialect knows of statements."""

    #: A statement that does nothing.
    NOTHING: str

    def kind_of(self, statement: str) -> str:
        """``reads``, ``held``, ``commits``, ``setting``, ``passing``, ``bounds``, ``undoes``."""

    def before(self, connection: Connection, statement: str) -> str | None:
        """What :meth:`happened` must know; None where it could not tell."""

    def happened(self, connection: Connection, statement: str, picture: str | None) -> bool | None:
        """Whether a statement that was cut off has taken effect, None where nobody can tell."""

    def loose_tables(self, connection: Connection) -> frozenset[str]:
        """Tables whose rows do not go back with the transaction."""

    def touches(self, statement: str, tables: frozenset[str]) -> bool:
        """Whether a statement changes rows and names one of these tables."""

    def running(self, connection: Connection, session: int) -> bool:
        """Whether a session that nobody listens to is still at work."""

    def session_of(self, connection: Connection) -> int:
        """Number of a connection's session."""

    def in_transactions(self, connection: Connection) -> Callable[[], None]:
        """Let a session that commits every statement use transactions; returns what undoes it."""


class Recorder:
    """Writes down the statements of one run, and answers those that were done before.

    :param patience: seconds to wait for a statement of a killed process.
    """

    def __init__(
        self,
        connection: Connection,
        catalogue: Catalogue,
        direction: str,
        patience: float,
        say: Callable[[Progress], None],
        bind: str,
    ) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._direction = direction
        self._patience = patience
        self._say = say
        self._bind = bind
        self._session: int | None = None
        self._group: Group | None = None
        self._done: list[Entry] = []
        self._place = 0
        self._news: list[Entry] = []
        self._changed: list[Entry] = []  # rows that are there and must be marked
        self._open: Entry | None = None
        self._answering: Entry | None = None
        self._comparing: str | None = None
        self._loose: frozenset[str] | None = None
        self._asking = False
        self._lost = False
        self._refusal: HalfApplied | None = None
        self.resumed: dict[str, int] = {}

    # -- around the run ----------------------------------------------------------------------

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hear every statement of the connection for the length of the block."""
        listeners: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
            (self._connection, "before_cursor_execute", self._before),
            (self._connection, "after_cursor_execute", self._after),
            (self._connection, "commit", self._at_commit),
            (self._connection.engine, "handle_error", self._failed),
        )
        for target, name, listener in listeners:
            event.listen(target, name, listener, retval=name == "before_cursor_execute")
        restore = self._catalogue.in_transactions(self._connection)
        try:
            yield
        finally:
            for target, name, listener in listeners:
                event.remove(target, name, listener)
            restore()

    def begin(self, steps: Sequence[Revision], applied: frozenset[str]) -> Sequence[Revision]:
        """Find out what was done before; return the steps with the one that was begun first.

        :param applied: revisions that the version table names, and all that they need.
        :raises Refused: another revision, or the other direction, must be finished first.
        :raises HalfApplied: nobody can tell whether a statement has happened.
        """
        connection = self._connection
        progress.make(connection)
        self._session = self._catalogue.session_of(connection)
        for group in progress.groups(connection):
            if (group.revision in applied) == (group.direction == "upgrade"):
                # It was finished, or its version was written by hand.
                progress.forget(connection, group)
            elif not self._settle(group):
                progress.forget(connection, group)
            else:
                steps = self._first(group, steps)
        progress.commit(connection)
        return steps

    def end(self, *, keep: bool) -> tuple[str, ...]:
        """After the last revision; says what was resumed.

        :param keep: leave the table where it is, for the next run.
        """
        if not keep:
            progress.drop(self._connection)
        return tuple(
            f"revision '{revision}' went on after {count} statements that were in before, none "
            "of which ran again"
            for revision, count in self.resumed.items()
        )

    def _settle(self, group: Group) -> bool:
        """Find out what became of statements that were begun; whether anything was done."""
        connection = self._connection
        found = progress.entries(connection, group)
        if [entry.position for entry in found] != list(range(len(found))):
            raise HalfApplied(
                f"The record of revision '{group.revision}' in {progress.NAME} has gaps: the "
                "revision went back behind a statement that was recorded.",
                hint=_by_hand(group),
            )
        while found and found[-1].state != "done":
            last = found.pop()
            if last.state == "begun":
                self._wait_for(last)
                happened = self._catalogue.happened(connection, last.statement, last.picture)
                if happened is None:
                    raise HalfApplied(_undecided(group, last), hint=_either(group, last))
                if happened:
                    last = last._replace(state="done", answer=_SILENT)
                    progress.mark(connection, group, last)
                    found.append(last)
                    break
            progress.forget(connection, group, [last.position])
        return any(entry.changes for entry in found)

    def _wait_for(self, entry: Entry) -> None:
        """Wait until the server has ended the statement of a process that was killed."""
        started = time.monotonic()
        while entry.session is not None and self._catalogue.running(
            self._connection, entry.session
        ):
            waited = time.monotonic() - started
            if waited >= self._patience:
                raise LockTimeout(
                    f"The server is still at a statement of a process that is gone: "
                    f"{short(entry.statement)}",
                    hint=f"wait, or end it: KILL {entry.session};",
                )
            news = f"the server finishes: {short(entry.statement)}"
            self._say(Progress("waiting", "lock", news, waited, self._bind))
            time.sleep(_PAUSE_SECONDS)

    def _first(self, group: Group, steps: Sequence[Revision]) -> Sequence[Revision]:
        begun = [step for step in steps if step.id == group.revision]
        if group.direction != self._direction or not begun:
            raise Refused(
                f"The {group.direction} of revision '{group.revision}' is half applied and must "
                "be finished first.",
                hint="flask db doctor --fix SM308 finishes it",
            )
        # What it needs is applied, for it was begun; so it may come before all others.
        return (*begun, *(step for step in steps if step.id != group.revision))

    # -- around each revision ----------------------------------------------------------------

    def watch(self, revision: str, migration: Callable[..., Any]) -> Callable[..., Any]:
        """Return a revision's function that is recorded."""

        def recorded(**kw: Any) -> Any:
            connection = self._connection
            group = Group(revision, self._direction)
            self._done = progress.entries(connection, group)
            changed = sum(entry.changes for entry in self._done)
            if changed:
                self.resumed[revision] = changed
            self._place, self._news, self._changed = 0, [], []
            self._open = self._answering = self._comparing = self._loose = None
            self._group = group
            try:
                answer = migration(**kw)
            except BaseException:
                self._abandon()
                raise
            self._group = None
            if self._refusal is not None:
                raise self._refusal
            if self._place < len(self._done):
                missing = self._done[self._place]
                raise HalfApplied(
                    f"Revision '{revision}' no longer has its statement {missing.position + 1}, "
                    f"which is in: {short(missing.statement)}",
                    hint=_undo_edit(group),
                )
            return answer

        return recorded

    def finish(self, revision: str) -> None:
        """Forget a revision, in the transaction that writes its version."""
        progress.forget(self._connection, Group(revision, self._direction))

    def settled(self) -> None:
        """Commit a revision's version, its rows and the end of its record.

        ``env.py`` of several databases begins a transaction itself and ends it after the last of
        them; until then a failure elsewhere would take the version back, but not the schema.
        """
        progress.commit(self._connection)

    def _abandon(self) -> None:
        """After an error: what is not committed goes, and so does the record of it."""
        group, self._group = self._group, None
        if group is None or self._lost:
            return
        connection = self._connection
        # The connection may be the very thing that failed; the next run finds out.
        with contextlib.suppress(Exception):
            progress.rollback(connection)
            found = progress.entries(connection, group)
            tail = []
            while found and found[-1].state != "done":
                tail.append(found.pop().position)
            if not any(entry.changes for entry in found):
                progress.forget(connection, group)
            elif tail:
                progress.forget(connection, group, tail)
            progress.commit(connection)

    # -- around each statement ---------------------------------------------------------------

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        """Statements of our own."""
        self._asking = True
        try:
            yield
        finally:
            self._asking = False

    @property
    def _deaf(self) -> bool:
        return self._group is None or self._asking

    def _before(
        self,
        _c: Any,
        _cursor: Any,
        statement: str,
        parameters: Any,
        _context: Any,
        executemany: bool,
    ) -> tuple[str, Any]:
        """Return what is to run: the statement, or nothing where it was done before."""
        if self._deaf:
            return statement, parameters
        assert self._group is not None
        if self._refusal is not None:
            # The revision went on over it.
            raise self._refusal
        kind = self._catalogue.kind_of(statement)
        if kind == "bounds":
            self._flush()
        if kind in ("bounds", "undoes", "setting"):
            return statement, parameters
        sum_ = progress.checksum(statement, parameters)
        place = self._place
        self._place += 1
        if place >= len(self._done):
            self._begin(Entry(place, kind, "begun", sum_, statement, session=self._session))
            return statement, parameters
        known = self._done[place]
        self._refusal = _unlike(self._group, known, sum_, statement)
        if self._refusal is not None:
            raise self._refusal
        if known.kind == "reads" and (digest := answers.digest_of(known.answer)):
            self._comparing = digest
            return statement, parameters
        self._answering = known
        none: Any = type(parameters[0])() if executemany else type(parameters)()
        return self._catalogue.NOTHING, [none] if executemany else none

    def _begin(self, entry: Entry) -> None:
        if self._loose is None and entry.kind == "held":
            with self._aside():
                self._loose = self._catalogue.loose_tables(self._connection)
        if entry.kind == "held" and self._loose:
            if self._catalogue.touches(entry.statement, self._loose):
                entry = entry._replace(kind="commits")
        elif entry.kind == "commits":
            with self._aside():
                picture = self._catalogue.before(self._connection, entry.statement)
            entry = entry._replace(picture=picture)
            self._loose = None
        if entry.kind == "commits":
            self._news.append(entry)
            self._flush()
            progress.commit(self._connection)
        self._open = entry

    def _flush(self) -> None:
        """Write down what was done since the last commit; it is committed with it."""
        if self._group is None:
            return
        with self._aside():
            for entry in self._changed:
                progress.mark(self._connection, self._group, entry)
            progress.write(self._connection, self._group, self._news)
        self._changed = []
        self._news = []

    def _at_commit(self, _c: Any) -> None:
        if not self._deaf:
            self._flush()

    def _after(
        self, _c: Any, cursor: Any, _statement: str, _parameters: Any, context: Any, *_rest: Any
    ) -> None:
        if self._deaf:
            return
        entry, self._open = self._open, None
        known, self._answering = self._answering, None
        digest, self._comparing = self._comparing, None
        if known is not None:
            context.cursor = answers.repeat(known.answer, cursor, context.dialect.loaded_dbapi)
        elif digest is not None:
            context.cursor, kept = answers.hear(cursor)
            self._same(digest, kept)
        elif entry is not None and _many_values(context):
            # SQLAlchemy reads these by itself, part by part.
            self._settled(entry._replace(state="done", answer=_UNKNOWN))
        elif entry is not None:
            context.cursor, kept = answers.hear(cursor)
            self._settled(entry._replace(state="done", answer=kept))

    def _same(self, digest: str, kept: str) -> None:
        assert self._group is not None
        if answers.digest_of(kept) != digest:
            known = self._done[self._place - 1]
            self._refusal = HalfApplied(
                f"Statement {known.position + 1} of revision '{self._group.revision}' reads "
                f"something else than it did before statements after it changed it, and its "
                f"answer was too long to be kept: {short(known.statement)}",
                hint=_by_hand(self._group),
            )
            raise self._refusal

    def _failed(self, about: Any) -> None:
        entry, self._open = self._open, None
        self._answering = self._comparing = None
        if entry is None or self._deaf or about.connection is not self._connection:
            return
        if about.is_disconnect or not isinstance(about.sqlalchemy_exception, DBAPIError):
            self._lost = True
            return
        kept = answers.kept_error(about.original_exception)
        self._settled(entry._replace(state="failed", answer=kept), later=True)

    def _settled(self, entry: Entry, *, later: bool = False) -> None:
        assert self._group is not None
        if entry.kind != "commits":
            self._news.append(entry)
            return
        if later:
            self._changed.append(entry)
            return
        with self._aside():
            progress.mark(self._connection, self._group, entry)
        progress.commit(self._connection)


#: What a statement answers of which it is only known that it has happened.
_SILENT = '{"columns": null, "rows": [], "rowcount": 0, "lastrowid": 0}'
_UNKNOWN = '{"digest": "unknown"}'


def _unlike(group: Group, known: Entry, sum_: str, statement: str) -> HalfApplied | None:
    """Why a statement cannot be answered from the record, None where it can."""
    which = f"Statement {known.position + 1} of revision '{group.revision}'"
    if known.checksum != sum_:
        same = " (with other values)" if short(statement) == short(known.statement) else ""
        return HalfApplied(
            f"{which} is not the one that is in.\n"
            f"  in: {short(known.statement)}\n  now: {short(statement)}{same}",
            hint=_undo_edit(group),
        )
    if known.kind == "passing":
        return HalfApplied(
            f"{which} ended with its session, and later ones may build on it: {short(statement)}",
            hint=_by_hand(group),
        )
    if known.kind != "reads" and answers.digest_of(known.answer):
        return HalfApplied(
            f"{which} answered rows that were too many to be kept: {short(statement)}",
            hint=_by_hand(group),
        )
    return None


def _many_values(context: Any) -> bool:
    return getattr(context.execute_style, "name", "") == "INSERTMANYVALUES"


def _named(group: Group) -> str:
    return f"revision = '{group.revision}' AND direction = '{group.direction}'"


def _undo_edit(group: Group) -> str:
    return (
        "undo the edit: what is in must stay as it was, only what comes after it may change. "
        + _by_hand(group)
    )


def _by_hand(group: Group) -> str:
    if group.direction == "upgrade":
        return (
            "or restore the snapshot (flask db restore), or finish the revision by hand and run "
            f"flask db stamp {group.revision}"
        )
    return "or restore the snapshot (flask db restore), or finish the way down by hand and stamp"


def _undecided(group: Group, entry: Entry) -> str:
    return (
        f"Revision '{group.revision}' was stopped in its statement {entry.position + 1}, and "
        f"nobody can tell whether it has happened: {short(entry.statement)}"
    )


def _either(group: Group, entry: Entry) -> str:
    where = f"{_named(group)} AND position = {entry.position}"
    return (
        "look; if it has happened,\n"
        f"  UPDATE {progress.NAME} SET state = 'done', answer = '{_SILENT}' WHERE {where};\n"
        f"and if not,\n  DELETE FROM {progress.NAME} WHERE {where};\n"
        "then run the command again"
    )
