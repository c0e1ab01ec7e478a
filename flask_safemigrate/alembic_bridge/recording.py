"""What revisions would do, recorded while they run without a database.

``upgrade()`` and ``downgrade()`` run as they are, on a connection of SQLAlchemy's whose driver
keeps statements instead of sending them; helpers, loops and conditions come out as the operations
that they are. Nothing is connected to.
"""

from __future__ import annotations

import ast
import contextlib
import datetime
import inspect
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from alembic.config import Config
from alembic.operations import Operations
from alembic.operations.base import BatchOperations
from alembic.operations.batch import BatchOperationsImpl
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine
from sqlalchemy.dialects.mysql.base import MySQLDialect
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.engine.url import make_url
from sqlalchemy.pool import StaticPool

from flask_safemigrate.alembic_bridge.confinement import Confinement, confined
from flask_safemigrate.alembic_bridge.failure import line_now
from flask_safemigrate.alembic_bridge.recording_sqlite import RecordingSQLiteImpl
from flask_safemigrate.alembic_bridge.reflecting import Reflecting, answer
from flask_safemigrate.alembic_bridge.replay import silence
from flask_safemigrate.errors import NotConfined
from flask_safemigrate.hazards.known import Known
from flask_safemigrate.hazards.operations import (
    Operation,
    Place,
    Raised,
    Rebuild,
    Recorded,
    StockCopy,
    Unseen,
    Write,
)

#: Reads a text: its operations.
Reader = Callable[[str, Place], "list[Operation]"]

_READS = re.compile(r"\s*(?:\(\s*)?(SELECT|SHOW|PRAGMA|EXPLAIN|VALUES|DESC|DESCRIBE)\b", re.I)
_RETURNS = re.compile(r"\bRETURNING\b", re.I)
_COUNTS = re.compile(r"\s*SELECT\s+(COUNT|SUM|EXISTS)\s*\(", re.I)
_AGGREGATE = re.compile(
    r"""\s*SELECT\s+(COUNT|MAX|MIN)\s*\([^)]*\)(?:\s+AS\s+\w+)?\s+FROM\s+["`]?([\w.]+)["`]?\s*;?\s*$""",
    re.I,
)
_ADDRESS = re.compile(r"<([\w.]+) object at 0x[0-9a-f]+>")
_CATALOGUE = re.compile(r"\b(information_schema|pg_catalog|pg_class|pg_type|SHOW)\b", re.I)
_MOST = 20_000  # calls of the driver by one revision


#: A parameter in a text: ``$1`` of PostgreSQL, ``:name`` elsewhere.
_VALUE = re.compile(r"(?<![:\w'])[$:](\w+)")


def _literals(parameters: Any) -> dict[str, str]:
    """The values of a statement as SQL, those that can be written so."""
    if isinstance(parameters, Mapping):
        pairs = [(str(name), value) for name, value in parameters.items()]
    elif isinstance(parameters, (list, tuple)):
        pairs = [(str(number), value) for number, value in enumerate(parameters, 1)]
    else:
        return {}
    found = {}
    for name, value in pairs:
        if value is None:
            found[name] = "NULL"
        elif isinstance(value, (bool, int)):
            found[name] = str(value).lower()
        elif isinstance(value, (str, datetime.date)) and "\\" not in str(value):
            found[name] = "'" + str(value).replace("'", "''") + "'"
    return found


def _filled(text: str, given: Mapping[str, str]) -> str:
    return _VALUE.sub(lambda match: given.get(match[1], match[0]), text)


class _Endless(BaseException):
    """A revision does not come to an end."""


class _Error(Exception):
    """What PEP 249 wants a driver to have."""


class Recorder:
    """The operations of one revision after the other.

    :param read: reads a text of SQL.
    :param known: the database at the moment; what is recorded is applied to it.
    """

    def __init__(self, dialect: str, read: Reader, known: Known) -> None:
        self.dialect = dialect
        self.read = read
        self.known = known
        self.found: list[Operation] = []
        self.revision, self.file = "", ""
        self.outside = self.down = self.batch = False
        self.asked = 0
        self._at: int | None = None
        self._calls = 0
        self._heard: dict[tuple[int | None, str, bool], range] = {}
        self._given: dict[int, dict[str, str]] = {}

    def begin(self, revision: str, file: str, *, down: bool) -> None:
        """Go on with another revision, or with its way down."""
        self.revision, self.file, self.down = revision, os.path.realpath(file), down
        self.found, self.outside, self.asked, self._calls = [], False, 0, 0
        self._heard.clear()
        self._given.clear()

    def place(self, statement: str = "") -> Place:
        """Where the revision is now."""
        line = self._at if self._at is not None else self.line()
        text = " ".join(statement.split())
        return Place(self.revision, self.file, line, text, self.outside, self.down)

    def line(self) -> int | None:
        """The line of the revision file that is being run."""
        return line_now(self.file)

    @contextlib.contextmanager
    def at(self, line: int | None) -> Iterator[None]:
        """Say that what follows was asked for at another line."""
        before, self._at = self._at, line
        try:
            yield
        finally:
            self._at = before

    @contextlib.contextmanager
    def in_batch(self) -> Iterator[None]:
        """Say that what follows stands in a batch block."""
        self.batch = True
        try:
            yield
        finally:
            self.batch = False

    def add(self, *operations: Operation) -> None:
        """Keep operations, and let them have happened."""
        for operation in operations:
            self.found.append(operation)
            self.known.apply(operation)

    def _answer(self, sql: str) -> list[tuple[Any, ...]]:
        """What the database would answer, as far as its numbers of rows tell.

        So a loop over batches runs as often as there are batches.
        """
        match = _AGGREGATE.match(sql)
        if match is None:
            if _CATALOGUE.search(sql):
                # What it then makes or drops depends on what it was told.
                self.known.complete = False
            return [(0,)] if _COUNTS.match(sql) else []
        rows = self.known.table(match[2]).rows or 0
        if match[1].upper() == "MIN":
            return [(1 if rows else None,)]
        return [(rows if rows or match[1].upper() == "COUNT" else None,)]

    def _again(self, key: tuple[int | None, str, bool]) -> None:
        for at in self._heard[key]:
            operation = self.found[at]
            if isinstance(operation, Write):
                self.found[at] = operation._replace(times=operation.times + 1)

    def settle(self) -> None:
        """Put its values into the condition of every statement that ran once.

        What ran several times is a loop over batches, whose values bound it.
        """
        for at, operation in enumerate(self.found):
            given = self._given.get(at)
            if isinstance(operation, Write) and operation.times == 1 and given:
                where = _filled(operation.where, given)
                bound = _VALUE.search(where) is not None
                self.found[at] = operation._replace(where=where, bound=bound)

    def hear(self, sql: str, parameters: Any = None) -> list[tuple[Any, ...]] | None:
        """Keep a statement; the rows that it answers with, None where it has none."""
        self._calls += 1
        if self._calls > _MOST:
            raise _Endless(f"more than {_MOST:,} statements")
        if _READS.match(sql):
            self.asked += 1
            return self._answer(sql)
        place = self.place(sql)._replace(sql=sql)
        key = (place.line, place.statement, self.outside)
        if key in self._heard:
            self._again(key)
        else:
            first = len(self.found)
            self.add(*self.read(sql, place))
            self._heard[key] = range(first, len(self.found))
            self._given.update(dict.fromkeys(self._heard[key], _literals(parameters)))
        return [] if _RETURNS.search(sql) else None


class _Cursor:
    """A cursor as PEP 249 has it (https://peps.python.org/pep-0249/#cursor-objects)."""

    arraysize, rowcount, lastrowid = 1, 0, None
    #: How many columns a result has.
    width = 1

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._rows: list[tuple[Any, ...]] = []
        self.description: list[tuple[Any, ...]] | None = None

    def execute(self, sql: str, parameters: Any = None) -> None:
        rows = self._recorder.hear(sql, parameters)
        self.description = None if rows is None else [("value", *[None] * 6)] * self.width
        self._rows = rows or []
        if self._recorder.dialect == "sqlite" and rows == []:
            self.description, self._rows = answer(self._recorder.known, sql, parameters)

    def executemany(self, sql: str, parameters: Any = None) -> None:
        self.execute(sql)

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        rows, self._rows = self._rows, []
        return rows

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        return self.fetchall()

    def setinputsizes(self, *_: Any) -> None: ...

    def close(self) -> None: ...


class _Driver:
    """A connection as PEP 249 has it."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def cursor(self, *_: Any, **__: Any) -> _Cursor:
        return _Cursor(self._recorder)

    def execute(self, sql: str, *_: Any) -> _Cursor:
        cursor = self.cursor()
        cursor.execute(sql)
        return cursor

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


#: The exceptions of PEP 249.
_CLASSES = (
    "Error",
    "Warning",
    "InterfaceError",
    "DatabaseError",
    "DataError",
    "NotSupportedError",
    "OperationalError",
    "IntegrityError",
    "InternalError",
    "ProgrammingError",
)
_DBAPI = SimpleNamespace(
    paramstyle="named",
    apilevel="2.0",
    threadsafety=1,
    Binary=bytes,
    # What SQLAlchemy's dialects ask a driver at once.
    sqlite_version_info=(3, 54, 0),
    **dict.fromkeys(_CLASSES, _Error),
)


def _engine(recorder: Recorder, version: tuple[int, ...]) -> Engine:
    """An engine whose driver keeps statements and answers nothing."""
    base: type[DefaultDialect] = {
        "postgresql": PGDialect,
        "sqlite": SQLiteDialect,
    }.get(recorder.dialect, MySQLDialect)
    driver = {PGDialect: "psycopg", SQLiteDialect: "pysqlite"}.get(base, "pymysql")
    more_of = {"known": recorder.known, "driver": driver}
    kind = type("Recording", (Reflecting, base), more_of)
    style = "numeric_dollar" if base is PGDialect else "named"
    more: dict[str, Any] = {"is_mariadb": True} if recorder.dialect == "mariadb" else {}
    dialect = kind(paramstyle=style, dbapi=_DBAPI, **more)
    dialect.server_version_info = version or (99,)
    dialect.default_schema_name = "public" if base is PGDialect else None
    dialect.supports_statement_cache = True
    name = recorder.dialect if recorder.dialect != "mariadb" else "mysql"
    pool = StaticPool(lambda: _Driver(recorder), dialect=dialect)  # type: ignore[arg-type]
    return Engine(pool, dialect, make_url(f"{name}://"))


class _Confinement(Confinement):
    """Stops what a revision does beside its connection, whose statements reach nothing."""

    def admit(self, connection: Connection) -> None:
        self._engines[id(connection.engine)] = connection.engine

    def statement(self, connection: Connection, statement: str) -> None: ...

    def commit(self, connection: Connection) -> None: ...


class _Calls(list[Any]):
    """The operations of a batch block, with the lines that ask for them."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder
        self.lines: list[int | None] = []

    def append(self, call: Any) -> None:
        self.lines.append(self.recorder.line())
        super().append(call)


class _Batch(BatchOperationsImpl):
    """A batch block whose operations are recorded one by one."""

    recorder: Recorder

    def flush(self) -> None:
        calls: Any = self.batch
        if self.recorder.dialect == "sqlite" and self.is_copied_by_stock(calls):
            line = next(iter(calls.lines), None)
            with self.recorder.at(line):
                self.recorder.add(StockCopy(self.recorder.place(), self.table_name))
        if self.recreate == "always" and self.recorder.dialect != "sqlite":
            place = self.recorder.place()
            self.recorder.add(Rebuild(place, self.table_name, "batch_alter_table(recreate=...)"))
        for (name, arguments, keywords), line in zip(calls, calls.lines, strict=True):
            with self.recorder.at(line):
                method = getattr(self.operations.impl, name, None)
                if method is not None:
                    with self.recorder.in_batch():
                        method(*arguments, **keywords)

    def is_copied_by_stock(self, calls: Any) -> bool:
        """Whether Alembic itself would put a copy in the table's place."""
        quick = ("add_column", "create_index", "drop_index")
        return self.recreate == "always" or any(call[0] not in quick for call in calls)

    def add_column(self, *arguments: Any, **keywords: Any) -> None:
        self.batch.append(("add_column", arguments, keywords))

    def drop_constraint(self, const: Any, **keywords: Any) -> None:
        self.batch.append(("drop_constraint", (const,), keywords))

    def create_column_comment(self, column: Any) -> None: ...


def _operations(context: Any, recorder: Recorder) -> Operations:
    made = Operations(context)

    @contextlib.contextmanager
    def batch_alter_table(
        table_name: str, schema: str | None = None, recreate: Any = "auto", *_: Any, **options: Any
    ) -> Iterator[BatchOperations]:
        make: Any = _Batch
        batch = make(
            made, table_name, schema, recreate, options.get("copy_from"), (), {}, (), {},
            options.get("naming_convention"), None,
        )  # fmt: skip
        batch.recorder = recorder
        batch.batch = _Calls(recorder)
        yield BatchOperations(context, impl=batch)
        batch.flush()

    # Alembic finds the names of its ``op`` proxy by class, so an instance attribute is used.
    setattr(made, "batch_alter_table", batch_alter_table)  # noqa: B010
    return made


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Stop what runs for longer, where a signal can be used for it."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(
        signal, "setitimer"
    ):
        yield
        return

    def stop(*_: Any) -> None:
        raise _Endless(f"more than {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def record(
    config: Config,
    order: Sequence[str],
    recorder: Recorder,
    *,
    bind: str = "",
    metadata: Any = None,
    version: tuple[int, ...] = (),
    way_down: bool = True,
    seconds: float = 20.0,
) -> list[Recorded]:
    """Run revisions and return what each would do.

    :param order: their ids, in the order in which they run.
    :param version: of the server.
    :param way_down: record ``downgrade()`` of each too, newest first, after all of them went up.
    :param seconds: how long one revision may take.
    """
    # As Flask-Migrate's env.py does, whose revisions may make an engine of it: that is stopped.
    config.set_main_option("sqlalchemy.url", f"{recorder.dialect}://")
    script = ScriptDirectory.from_config(config)
    engine = _engine(recorder, version)
    ups: dict[str, tuple[Operation, ...]] = {}
    downs: dict[str, tuple[Operation, ...]] = {}
    files: dict[str, str] = {}
    asking: set[str] = set()
    with (
        silence(),
        EnvironmentContext(config, script) as environment,
        engine.connect() as connection,
    ):
        running: list[str] = []
        confinement = _Confinement(
            [connection], Path(script.dir), lambda: "".join(running), "while it was recorded"
        )
        environment.configure(connection=connection, target_metadata=metadata)
        context = environment.get_context()
        if recorder.dialect == "sqlite":
            context.impl = RecordingSQLiteImpl(recorder, context)

        @contextlib.contextmanager
        def autocommit_block() -> Iterator[None]:
            before, recorder.outside = recorder.outside, True
            recorder.known.commit()
            try:
                yield
            finally:
                recorder.outside = before

        setattr(context, "autocommit_block", autocommit_block)  # noqa: B010
        setattr(context, "begin_transaction", contextlib.nullcontext)  # noqa: B010
        made = _operations(context, recorder)
        made._install_proxy()
        try:
            for down, id in [
                *((False, id) for id in order),
                *((True, id) for id in (reversed(order) if way_down else ())),
            ]:
                running[:] = [id]
                confinement.strayed = None
                with confined(confinement):
                    found = _run(script, id, recorder, files, bind, seconds, down=down)
                running.clear()
                if confinement.strayed is not None and not any(
                    isinstance(each, Unseen) for each in found
                ):
                    place = Place(id, files.get(id, ""), None, down=down)
                    found = (*found, Unseen(place, confinement.strayed.message))
                (downs if down else ups)[id] = found
                if recorder.asked and not down:
                    asking.add(id)
        finally:
            made._remove_proxy()
    return [
        Recorded(id, files.get(id, ""), ups[id], downs.get(id, ()), id in asking) for id in order
    ]


def _run(
    script: ScriptDirectory,
    id: str,
    recorder: Recorder,
    files: dict[str, str],
    bind: str,
    seconds: float,
    *,
    down: bool,
) -> tuple[Operation, ...]:
    recorder.begin(id, files.get(id, ""), down=down)
    try:
        with _limit(seconds):
            revision = script.get_revision(id)
            assert revision is not None
            files[id] = revision.path
            recorder.begin(id, revision.path, down=down)
            function = getattr(revision.module, "downgrade" if down else "upgrade", None)
            if function is not None:
                function(*[bind][: len(inspect.signature(function).parameters)])
    except NotConfined as error:
        recorder.add(Unseen(_raised_at(error, recorder), error.message))
    except _Endless as error:
        recorder.add(Unseen(recorder.place(), f"it does not come to an end ({error})"))
    except (Exception, SystemExit) as error:
        place = _raised_at(error, recorder)
        said = _said(error)
        recorder.add(Raised(place, said, sure=not recorder.asked))
    recorder.settle()
    return tuple(recorder.found)


def _raised_at(error: BaseException, recorder: Recorder) -> Place:
    line, trace = None, error.__traceback__
    while trace is not None:
        if os.path.realpath(trace.tb_frame.f_code.co_filename) == recorder.file:
            line = trace.tb_lineno
        trace = trace.tb_next
    said = _source(recorder.file, line) if line is not None else ""
    return Place(recorder.revision, recorder.file, line, said, recorder.outside, recorder.down)


def _source(path: str, line: int) -> str:
    """The statement of a file that stands at a line, on one line."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        found = [
            each
            for each in ast.walk(ast.parse(text))
            if isinstance(each, ast.stmt) and each.lineno <= line <= (each.end_lineno or line)
        ]
    except (OSError, ValueError, SyntaxError):
        return ""
    inmost = max(found, key=lambda each: each.lineno, default=None)
    return " ".join((ast.get_source_segment(text, inmost) or "").split()) if inmost else ""


def _said(error: BaseException) -> str:
    """An error on one line, without what only SQLAlchemy's authors need."""
    text = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    text = re.sub(r"\s*\(Background on this error at: \S+\)", "", _ADDRESS.sub(r"\1", text))
    return re.sub(r"Compiler [\w.<>]+ can't render", "this dialect cannot render", text)
