"""Going on with a revision that was stopped, where the server commits every DDL statement.

A revision is a conversation: it says statements, the server answers. Every statement is written
down with its answer, those in a transaction with the transaction's own commit. A revision that
is run again says the same statements; as far as they were done they are answered from the
record and not run, so its code takes the same way, and what it says next is run.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from sqlalchemy import Connection, event

from flask_safemigrate.alembic_bridge import answers, progress
from flask_safemigrate.alembic_bridge.failure import short
from flask_safemigrate.alembic_bridge.progress import Entry, Group
from flask_safemigrate.checks.found import by_hand, counted
from flask_safemigrate.errors import HalfApplied, LockTimeout, Refused
from flask_safemigrate.facts.history import Revision
from flask_safemigrate.names import PROGRESS_TABLE
from flask_safemigrate.outcome import Progress

_PAUSE_SECONDS = 0.5


class Catalogue(Protocol):
    """What the database's dialect knows of statements."""

    #: A statement that does nothing.
    NOTHING: str

    def statements_of(self, text: str) -> Sequence[str]:
        """The statements of a text."""

    def takes_several(self, connection: Connection) -> bool:
        """Whether the driver sends several statements as one text."""

    def kind_of(self, statement: str) -> str:
        """``reads``, ``held``, ``commits``, ``setting``, ``passing``, ``bounds``, ``undoes``."""

    def before(self, connection: Connection, statement: str) -> str | None:
        """What :meth:`happened` must know; None where it could not tell."""

    def happened(self, connection: Connection, statement: str, picture: str | None) -> bool | None:
        """Whether a statement that was cut off has taken effect, None where nobody can tell."""

    def left_behind(
        self,
        connection: Connection,
        statement: str,
        picture: str | None,
        error: BaseException,
    ) -> bool:
        """Whether a statement that ended with an error may have changed something for good."""

    def loose_tables(self, connection: Connection) -> frozenset[str]:
        """Tables whose rows do not go back with the transaction."""

    def changing_functions(self, connection: Connection) -> frozenset[str]:
        """Functions that may change rows."""

    def calls(self, statement: str, functions: frozenset[str]) -> bool:
        """Whether a statement names one of these functions."""

    def touches(self, statement: str, tables: frozenset[str]) -> bool:
        """Whether a statement changes rows and names one of these tables."""

    def running(self, connection: Connection, session: int, statement: str) -> bool:
        """Whether a session that nobody listens to is still at work at a statement."""

    def session_of(self, connection: Connection) -> int:
        """Number of a connection's session."""

    def server_of(self, connection: Connection) -> str:
        """What tells this server, and since when it runs, from others."""

    def whereabouts(self, connection: Connection, server: str) -> str:
        """Whether sessions of that server can be seen: ``here``, ``gone``, or its name."""

    def commits_each(self, connection: Connection) -> bool:
        """Whether the session commits every statement by itself."""

    def commit_together(self, connection: Connection) -> None:
        """Let the session's statements be committed when it is told to, and not before."""

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
        self._server: str | None = None
        self._group: Group | None = None
        self._done: list[Entry] = []
        self._place = 0
        self._news: list[Entry] = []
        self._changed: list[Entry] = []  # rows that are there and must be marked
        self._open: Entry | None = None
        self._answering: Entry | None = None
        self._answered: Any = None  # a cursor
        self._takes_several: bool | None = None
        self._comparing: str | None = None
        self._loose: frozenset[str] | None = None
        self._functions: frozenset[str] | None = None
        self._each = False  # whether the revision wants each statement committed
        self._asking = False
        self._lost = False
        self._errors: dict[int, BaseException] = {}  # by position
        self._refusal: HalfApplied | None = None
        self._parents: dict[str, tuple[str, ...]] = {}
        self.resumed: dict[str, int] = {}

    # -- around the run ----------------------------------------------------------------------

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hear every statement of the connection for the length of the block."""
        listeners: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
            (self._connection, "before_cursor_execute", self._before),
            (self._connection.engine, "do_executemany", self._once),
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
        self._parents = {step.id: step.parents for step in steps}
        progress.make(connection)
        self._session = self._catalogue.session_of(connection)
        self._server = self._catalogue.server_of(connection)
        for group in map(self._known, progress.groups(connection)):
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
            f"revision '{revision}' went on after {counted(count, 'statement')} that "
            f"{'was' if count == 1 else 'were'} in before, none of which ran again"
            for revision, count in self.resumed.items()
        )

    def _known(self, group: Group) -> Group:
        return replace(group, parents=self._parents.get(group.revision, ()))

    def _settle(self, group: Group) -> bool:
        """Find out what became of statements that were begun; whether anything was done."""
        connection = self._connection
        found = progress.entries(connection, group)
        if [entry.position for entry in found] != list(range(len(found))):
            raise HalfApplied(
                f"The record of revision '{group.revision}' in {PROGRESS_TABLE} has gaps: the "
                "revision went back behind a statement that was recorded.",
                hint=_by_hand(group),
            )
        while found and found[-1].state != "done":
            last = found.pop()
            if last.state == "begun":
                self._wait_for(group, last)
                # MySQL's information_schema shows what there was when the transaction began to
                # read: https://dev.mysql.com/doc/refman/8.4/en/information-schema-optimization.html
                progress.commit(connection)
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

    def _wait_for(self, group: Group, entry: Entry) -> None:
        """Wait until the server has ended the statement of a process that was killed.

        :raises LockTimeout: it did not in time.
        :raises HalfApplied: it was begun on a server that cannot be asked.
        """
        if entry.session is None:
            return
        connection = self._connection
        place = self._catalogue.whereabouts(connection, entry.server) if entry.server else "here"
        if place == "gone":
            return
        if place != "here":
            raise HalfApplied(
                f"Revision '{group.revision}' was stopped in its statement {entry.position + 1} "
                f'on server "{place}", which is not the one that answers now and may still be at '
                f"it: {short(entry.statement)}",
                hint=_elsewhere(group, entry),
            )
        started = time.monotonic()
        while self._catalogue.running(connection, entry.session, entry.statement):
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
            group = self._known(Group(revision, self._direction))
            self._done = progress.entries(connection, group)
            changed = sum(entry.changes for entry in self._done)
            if changed:
                self.resumed[revision] = changed
            self._place, self._news, self._changed = 0, [], []
            self._errors = {}
            self._open = self._answering = self._comparing = self._loose = None
            self._answered = self._functions = None
            self._each = False
            self._group = group
            try:
                answer = migration(**kw)
                # The version is written next, in one transaction with the end of the record.
                self._take_charge()
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
                if self._may_be_in(found[-1]):
                    break
                tail.append(found.pop().position)
            if not any(entry.changes or entry.state == "begun" for entry in found):
                progress.forget(connection, group)
            elif tail:
                progress.forget(connection, group, tail)
            progress.commit(connection)

    def _may_be_in(self, entry: Entry) -> bool:
        """Whether a statement that is not known to be done may have left something behind."""
        if entry.kind != "commits" or entry.state != "begun":
            return False
        catalogue, connection = self._catalogue, self._connection
        error = self._errors.get(entry.position)
        if error is None:
            return catalogue.happened(connection, entry.statement, entry.picture) is not False
        return catalogue.left_behind(connection, entry.statement, entry.picture, error)

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
        context: Any,
        executemany: bool,
    ) -> tuple[str, Any]:
        """Return what is to run: the statement, or nothing where it was done before."""
        if self._deaf:
            return statement, parameters
        assert self._group is not None
        none: Any = type(parameters[0])() if executemany else type(parameters)()
        nothing = (self._catalogue.NOTHING, [none] if executemany else none)
        if several := self._several(statement, parameters, executemany):
            self._answered = self._each_by_itself(several, context)
            return nothing
        self._hear_errors()
        if self._refusal is not None:
            # The revision went on over it.
            raise self._refusal
        self._take_charge()
        kind = self._catalogue.kind_of(statement)
        if kind == "reads" and self._changes(statement):
            kind = "held"
        if kind == "bounds":
            self._flush()
        if kind == "setting" and "autocommit" in statement.lower():
            self._each = False  # the next statement finds out
        if kind in ("bounds", "undoes", "setting"):
            return statement, parameters
        sum_ = progress.checksum(statement, parameters)
        place = self._place
        self._place += 1
        if place >= len(self._done):
            begun = Entry(place, kind, "begun", sum_, progress.kept(statement, kind))
            self._begin(begun._replace(session=self._session, server=self._server))
            return statement, parameters
        known = self._done[place]
        self._refusal = _unlike(self._group, known, sum_, statement)
        if self._refusal is not None:
            raise self._refusal
        if known.kind == "reads" and (digest := answers.digest_of(known.answer)):
            self._comparing = digest
            return statement, parameters
        self._answering = known
        return nothing

    def _take_charge(self) -> None:
        """Commit what the revision wants committed at once, but together with the record of it."""
        if self._lost:
            return
        with self._aside():
            if self._catalogue.commits_each(self._connection):
                self._each = True
                self._catalogue.commit_together(self._connection)

    def _changes(self, statement: str) -> bool:
        """Whether a SELECT may change rows, by a function of the database."""
        if "(" not in statement:
            return False
        if self._functions is None:
            with self._aside():
                self._functions = self._catalogue.changing_functions(self._connection)
        return self._catalogue.calls(statement, self._functions)

    def _several(self, text: str, parameters: Any, executemany: bool) -> Sequence[tuple[str, Any]]:
        """The statements of a text with their parameters, nothing where it is only one.

        Some would be committed by others after them, and a driver may not say that one failed.
        """
        if ";" not in text:
            return ()
        statements = self._catalogue.statements_of(text)
        if len(statements) < 2:
            return ()
        shared = _shared_out(statements, list(parameters) if executemany else [parameters])
        if shared and self._takes_several is None:
            with self._aside():
                self._takes_several = self._catalogue.takes_several(self._connection)
        return shared if self._takes_several else ()

    def _each_by_itself(self, several: Sequence[tuple[str, Any]], context: Any) -> Any:
        """Run statements one after the other; return the cursor of the first."""
        options = {"no_parameters": True} if context.no_parameters else {}
        results = [
            self._connection.exec_driver_sql(statement, parameters, execution_options=options)
            for statement, parameters in several
        ]
        return results[0].context.cursor

    def _once(self, cursor: Any, statement: str, _parameters: Any, context: Any) -> bool | None:
        """Run nothing once, where a statement that is answered had a list of parameters.

        MariaDB Connector/Python sends such a list in bulk and refuses a row without parameters.
        """
        unanswered = self._answering is None and self._answered is None
        if unanswered or context.root_connection is not self._connection:
            return None
        cursor.execute(statement)
        return True

    def beside(self, statement: str, parameters: Any, said: str, *, writes: bool) -> None:
        """Before the revision says something on another connection.

        What was done here is committed, so that it is seen there and nothing waits for it. What
        is changed there is not for the record to undo or to repeat; it is noted, so that a later
        run does not do it twice.

        :param said: the line and the statement, for a message.
        :raises HalfApplied: an earlier run has said the same already.
        """
        if self._deaf:
            return
        assert self._group is not None
        if self._refusal is not None:
            raise self._refusal
        if writes:
            sum_ = progress.checksum(statement, parameters)
            place = self._place
            self._place += 1
            if place < len(self._done):
                known = self._done[place]
                self._refusal = _unlike(self._group, known, sum_, statement)
                self._refusal = self._refusal or _said_beside(self._group, known, said)
                raise self._refusal
            noted = progress.kept(statement, "beside")
            entry = Entry(place, "beside", "done", sum_, noted, answer=_SILENT)
            self._news.append(entry)
        self._flush()
        progress.commit(self._connection)

    def _hear_errors(self) -> None:
        """Keep errors from passing unheard, which would leave a statement without an end.

        SQLAlchemy's reflection of MySQL turns the event off for the connection, not only for the
        statement that it asks.
        """
        if self._connection.get_execution_options().get(_UNHEARD):
            self._connection.execution_options(**{_UNHEARD: False})
        entry, self._open = self._open, None
        if entry is not None:
            self._settled(entry._replace(state="failed", answer=_SOME_ERROR), later=True)

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
            self._loose = self._functions = None
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
        answered, self._answered = self._answered, None
        digest, self._comparing = self._comparing, None
        if answered is not None:
            context.cursor = answered
        elif known is not None:
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
        # SQLAlchemy keeps these listeners on the dialect, so the errors of every connection of
        # the application come here, those of the threads that watch this very run among them.
        if about.connection is not self._connection or self._deaf:
            return
        entry, self._open = self._open, None
        self._answering = self._comparing = self._answered = None
        if entry is None:
            return
        error = about.original_exception
        if about.is_disconnect or isinstance(error, OSError) or not isinstance(error, Exception):
            self._lost = True
            self._refusal = _cut_off(self._group, entry)
            return
        self._errors[entry.position] = error
        kept = answers.kept_error(error)
        self._settled(entry._replace(state="failed", answer=kept), later=True)

    def _settled(self, entry: Entry, *, later: bool = False) -> None:
        assert self._group is not None
        if entry.kind != "commits":
            self._news.append(entry)
            if self._each and entry.kind == "held" and not later:
                self._flush()
                progress.commit(self._connection)
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
_SOME_ERROR = '{"error": "Error", "args": ["an error that nobody heard"]}'
_UNHEARD = "skip_user_error_events"


_PLACE = re.compile(r"%(?:(%)|s|\(\w+\)s)")


def _shared_out(statements: Sequence[str], rows: Sequence[Any]) -> Sequence[tuple[str, Any]]:
    """Statements with their parameters, once for each row of these; nothing where that is unknown.

    A driver with other placeholders than ``%s`` prepares the text, which must be one statement.
    """
    found: list[tuple[str, Any]] = []
    for row in rows:
        at = 0
        for statement in statements:
            if isinstance(row, Mapping):
                found.append((statement, row))
                continue
            wanted = sum(match[1] is None for match in _PLACE.finditer(statement)) if row else 0
            found.append((statement, tuple(row[at : at + wanted])))
            at += wanted
        if not isinstance(row, Mapping) and at != len(row):
            return ()
    return found


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
        "undo the edit: what is in must stay as it was, only what comes after it may change. Or "
        + _by_hand(group)
    )


def _by_hand(group: Group) -> str:
    return by_hand(group.revision, group.direction, group.parents)


def _undecided(group: Group, entry: Entry) -> str:
    return (
        f"Revision '{group.revision}' was stopped in its statement {entry.position + 1}, and "
        f"nobody can tell whether it has happened: {short(entry.statement)}"
    )


def _said_beside(group: Group, known: Entry, said: str) -> HalfApplied:
    return HalfApplied(
        f"Statement {known.position + 1} of revision '{group.revision}' was said on another "
        f"connection than the migration's, or past it to the driver, and may be in: {said}",
        hint=f"look whether it is; then {_by_hand(group)}. With op.get_bind() in place of "
        "db.session, an engine or its connection, a stopped revision goes on by itself",
    )


def _cut_off(group: Group | None, entry: Entry) -> HalfApplied:
    of = f" of revision '{group.revision}'" if group else ""
    return HalfApplied(
        f"The connection broke in statement {entry.position + 1}{of}, and the revision went on "
        f"over it: {short(entry.statement)}",
        hint="let the error pass; the next run finds out whether the statement has happened",
    )


def _elsewhere(group: Group, entry: Entry) -> str:
    where = f"{_named(group)} AND position = {entry.position}"
    return (
        "look there whether it still runs: SELECT * FROM information_schema.processlist WHERE "
        f"id = {entry.session};\nonce it does not, and its changes have come here, run\n"
        f"  UPDATE {PROGRESS_TABLE} SET session = NULL WHERE {where};\nthen run the command again"
    )


def _either(group: Group, entry: Entry) -> str:
    where = f"{_named(group)} AND position = {entry.position}"
    return (
        "look; if it has happened,\n"
        f"  UPDATE {PROGRESS_TABLE} SET state = 'done', answer = '{_SILENT}' WHERE {where};\n"
        f"and if not,\n  DELETE FROM {PROGRESS_TABLE} WHERE {where};\n"
        "then run the command again"
    )
