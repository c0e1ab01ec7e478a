"""Keeping code that is only tried in the databases that it is tried on.

A revision is Python: it may open connections of its own, write files, start programs. While a
replay or a rehearsal runs, what reaches outside is stopped before it happens and remembered, also
where the revision catches the exception. Statements are read (:mod:`ddl.reaching`), SQLite asks an
authorizer, connections are seen by SQLAlchemy's events, and the interpreter itself tells of files,
sockets and processes by its audit events (https://docs.python.org/3/library/audit_events.html).
That is no jail for code that means harm: a driver in C connects without a word, unless it is
one of those that are known here.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

import sqlalchemy.engine.default
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import Pool

from flask_safemigrate.alembic_bridge.sqlite.sharing import (
    is_second,
    is_stood_for,
    speaks_for_another,
)
from flask_safemigrate.errors import NotConfined
from flask_safemigrate.names import MEMORY

T = TypeVar("T")

_active: ContextVar[Confinement | None] = ContextVar("confinement", default=None)
_SHOWN = 120  # characters of a statement in a message

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: Audit events that change something outside of the process, or reach another one.
_CHANGES = {
    "os.remove": "remove",
    "os.rename": "rename",
    "os.rmdir": "remove",
    "os.mkdir": "make folder",
    "os.link": "link",
    "os.symlink": "link",
    "os.truncate": "cut",
    "os.chmod": "change the mode of",
    "os.chown": "change the owner of",
    "os.utime": "change the times of",
    "os.setxattr": "change",
    "os.removexattr": "change",
}
_PROCESSES = {
    "subprocess.Popen": "start a program",
    "os.system": "start a program",
    "os.exec": "become another program",
    "os.fork": "start a process",
    "os.forkpty": "start a process",
    "os.posix_spawn": "start a program",
    "os.spawn": "start a program",
    "os.startfile": "start a program",
    "pty.spawn": "start a program",
    "os.kill": "send a signal",
    "os.killpg": "send a signal",
    "_thread.start_new_thread": "start a thread",
    "_thread.start_joinable_thread": "start a thread",
    "builtins.input": "ask a question at the terminal",
}
_NETWORK = frozenset(
    [
        "socket.connect",
        "socket.bind",
        "socket.sendto",
        "socket.sendmsg",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.gethostbyaddr",
    ]
)
#: Drivers that connect without an audit event: module, then its functions. Those of psycopg and
#: psycopg2 are what every way to connect calls in the end, ``from psycopg import connect`` too.
_DRIVERS = {
    "psycopg2": ("connect", "_connect"),
    "psycopg.waiting": ("wait_conn", "wait_conn_async"),
    "MySQLdb": ("connect", "Connect", "Connection"),
    "mariadb": ("connect",),
    "asyncpg": ("connect", "create_pool"),
}
#: What makes files without an audit event, or leaves code for when nothing looks any more.
_UNHEARD: tuple[tuple[Any, str, str], ...] = (
    (os, "mkfifo", "make a pipe"),
    (os, "mknod", "make a file"),
    (atexit, "register", "leave code for the end of the process"),
    (ThreadPoolExecutor, "submit", "hand work to a thread"),
)
#: Functions of a database of PostgreSQL that run SQL which they put together.
_DYNAMIC = """
    SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND p.prosrc ~* '\\mexecute\\M'
"""
_ENDS = re.compile(r"\s*(?:COMMIT|END)\b", re.IGNORECASE)
#: What ``env.py`` may say to the application's own database: nothing that changes it.
_HARMLESS = frozenset(
    [
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT",
        "RELEASE",
        "SELECT",
        "SHOW",
        "VALUES",
        "DESCRIBE",
        "EXPLAIN",
    ]
)
#: Pragmas that ask, or set what holds for their connection alone (https://sqlite.org/pragma.html).
_OF_CONNECTION = re.compile(
    r"PRAGMA\s+(?:\w+\s*\.\s*)?(?:ANALYSIS_LIMIT|AUTOMATIC_INDEX|BUSY_TIMEOUT|CACHE_SIZE"
    r"|CACHE_SPILL|CASE_SENSITIVE_LIKE|CELL_SIZE_CHECK|DEFER_FOREIGN_KEYS|FOREIGN_KEYS"
    r"|FOREIGN_KEY_CHECK|FOREIGN_KEY_LIST|IGNORE_CHECK_CONSTRAINTS|INDEX_INFO|INDEX_LIST"
    r"|INDEX_XINFO|INTEGRITY_CHECK|JOURNAL_SIZE_LIMIT|KEY|LEGACY_ALTER_TABLE|MMAP_SIZE"
    r"|QUERY_ONLY|QUICK_CHECK|READ_UNCOMMITTED|RECURSIVE_TRIGGERS|SYNCHRONOUS|TABLE_INFO"
    r"|TABLE_LIST|TABLE_XINFO|TEMP_STORE|THREADS|TRUSTED_SCHEMA|WAL_AUTOCHECKPOINT)\b"
)
_CODE = re.compile(r"\s*(?:DO|CALL)\b", re.IGNORECASE)
# Changes of a catalogue hold this lock until the end of the transaction. Every object has rows in
# pg_shdepend. https://www.postgresql.org/docs/current/explicit-locking.html
_SHARED_CATALOGUES = """
    SELECT c.relname FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    WHERE l.pid = pg_backend_pid() AND l.database = 0 AND l.mode = 'RowExclusiveLock'
        AND c.relkind = 'r' AND c.relname <> 'pg_shdepend'
"""
# Functions that a query may call and that change something.
_LOCKS = re.compile(r"advisory|set_config|get_lock|nextval|setval|pg_\w*notify", re.IGNORECASE)
_ATTACH = 24  # SQLITE_ATTACH of https://sqlite.org/c3ref/c_alter_table.html
_FUNCTION = 31
_SQLITE_FUNCTIONS = frozenset({"load_extension", "writefile", "edit", "fts3_tokenizer"})


class Confinement:
    """What the code of this thread may reach while it is tried.

    :param connections: to the scratch databases.
    :param directory: the migrations folder, whose lines are named.
    :param running: the revision or function() whose code runs; "" while ``env.py`` does.
    :param place: where the code is tried, in words.
    :ivar strayed: the first thing that was stopped; None as long as there is none.
    :ivar on_driver: what to do when the code has imported a driver.
    """

    def __init__(
        self,
        connections: Sequence[Connection],
        directory: Path,
        running: Callable[[], str],
        place: str = "in the scratch database",
    ) -> None:
        self.directory = directory.resolve()
        self.strayed: NotConfined | None = None
        self._running = running
        self._deferred: list[str] = []
        self._tried = place
        self.on_driver: Callable[[], None] = lambda: None
        self._engines: dict[int, Engine] = {}
        self._others: dict[int, frozenset[str]] = {}
        self._asked: list[Any] = []
        self._asking = False
        for connection in connections:
            self.admit(connection)

    @property
    def revision(self) -> str:
        """The revision whose code runs; "" while ``env.py`` does."""
        return self._running()

    def admit(self, connection: Connection) -> None:
        """Let one more connection be used, with its engine."""
        engine = connection.engine
        if self.is_ours(engine):
            return
        self._engines[id(engine)] = engine
        _reaches_out(connection.dialect.name, "")
        self._others[id(engine)] = _other_databases(connection)
        _watch_cursors(self, connection, self._others[id(engine)])

    def stop(self, what: str, *, frame: FrameType | None = None) -> NoReturn:
        """Remember that the code reaches outside, and stop it.

        :param what: what it would do, behind "it would".
        :raises NotConfined: always.
        """
        raise self.remember(what, frame=frame)

    def remember(self, what: str, *, frame: FrameType | None = None) -> NotConfined:
        """Remember it, where the caller has a way of its own to stop the code."""
        where = self._place(frame or sys._getframe(1))
        name = self.revision
        who = (name if name.endswith(")") else f"revision '{name}'") if name else "env.py"
        error = NotConfined(
            f"{who} was not run {self._tried}, because{where} it would {what}", hint=_hint(what)
        )
        if self.strayed is None:
            self.strayed = error
        return error

    def check(self) -> None:
        """:raises NotConfined: something was stopped, and the code has caught the exception."""
        if self._asking and self._asked:
            # No statement is being compiled here.
            gc.collect(1)
        if self.strayed is not None:
            raise self.strayed

    def ask(self, driver: Any) -> None:
        """Let SQLite ask before each step of a statement that it compiles, inside the block."""
        self._asked.append(driver)
        if self._asking:
            self._set_authorizer(driver)

    def _set_authorizer(self, driver: Any) -> None:
        gc.disable()
        driver.set_authorizer(_authorizer(self))

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Let SQLite ask for the length of a block, in which Python collects no garbage.

        SQLite asks in the middle of compiling a statement, when nothing may be done to its
        connection (https://sqlite.org/c3ref/set_authorizer.html). Garbage may be cursors of that
        connection, and what answers is Python, which may collect at any call.
        """
        collects = gc.isenabled()
        self._asking = True
        try:
            for driver in self._asked:
                self._set_authorizer(driver)
            yield
        finally:
            self._asking = False
            for driver in self._asked:
                # It may be closed by now. Python before 3.11 takes no None here.
                with contextlib.suppress(Exception):
                    driver.set_authorizer(None if sys.version_info >= (3, 11) else _allow)
            if collects:
                gc.enable()

    def _place(self, frame: FrameType | None) -> str:
        """The line of a migration file that runs, in words."""
        while frame is not None:
            name = frame.f_code.co_filename
            # Above a revision's line there is always one of env.py, which is no news.
            passed = self.revision and name.endswith("env.py")
            ours = name.endswith(".py") and not passed
            if ours and Path(name).resolve().is_relative_to(self.directory):
                shown = Path(name).resolve().relative_to(self.directory.parent)
                return f' in "{shown}", line {frame.f_lineno},'
            frame = frame.f_back
        return ""

    def is_ours(self, engine: Any) -> bool:
        """Whether an engine leads to a scratch database."""
        return id(engine) in self._engines

    def judge(self, dialect: str, statement: str, others: Collection[str] = ()) -> None:
        """
        :param others: the names of the server's other databases.
        :raises NotConfined: a statement reaches outside of its scratch database, by its text.
        """
        if says := _reaches_out(dialect, statement, others):
            self.stop(f"run a statement that {says}: {_short(statement)}")

    def statement(self, connection: Connection, statement: str) -> None:
        """:raises NotConfined: a statement reaches outside of its scratch database."""
        others = self._others.get(id(connection.engine), frozenset())
        self.judge(connection.dialect.name, statement, others)
        driver: Any = connection.connection.driver_connection
        alone = getattr(driver, "autocommit", None) is True
        if alone and (_CODE.match(statement) or _calls_dynamic(connection, statement)):
            self.stop(
                "run a statement that is code outside of a transaction, which nothing takes back: "
                f"{_short(statement)}"
            )
        if _ENDS.match(statement):
            self.commit(connection)

    def commit(self, connection: Connection) -> None:
        """Ask PostgreSQL whether what is to be committed is about its one database alone.

        :raises NotConfined: the transaction has changed what all databases of the server share,
            by code that could not be read.
        """
        if connection.dialect.name != "postgresql":
            return
        with contextlib.suppress(SQLAlchemyError, connection.dialect.loaded_dbapi.Error):
            with contextlib.closing(connection.connection.cursor()) as cursor:
                cursor.execute(_SHARED_CATALOGUES)
                row = cursor.fetchone()
            if row is not None:
                self.stop(f"change {row[0]}, which all databases of the server share")

    def of_others(self, statement: str) -> str:
        """Return what to run in the place of a statement for a database that is not ours.

        :raises NotConfined: a revision says it.
        """
        word = statement.split(None, 1)[0].upper().rstrip(";") if statement.strip() else ""
        plain = statement.upper().strip("; \n")
        if self.revision:
            self.stop(
                "use another connection than op.get_bind(), such as db.session, db.engine or one "
                f"of its own: {_short(statement)}"
            )
        harmless = word in _HARMLESS or plain == "START TRANSACTION"
        asks = word == "PRAGMA" and (
            not {"=", "("} & set(statement) or bool(_OF_CONNECTION.match(plain))
        )
        sets = word == "SET" and not _is_global(plain)
        changes = " INTO " in plain or "FOR UPDATE" in plain or _LOCKS.search(statement)
        if (harmless or asks or sets) and not changes:
            return statement
        # What env.py prepares, such as a schema, is prepared in the scratch database.
        self._deferred.append(statement)
        return "SELECT 1"

    def prepare(self, connection: Connection) -> None:
        """Run on a scratch connection what ``env.py`` has said to the connection that it made.

        :raises NotConfined: that reaches outside.
        """
        said, self._deferred = self._deferred, []
        for statement in said:
            with contextlib.suppress(SQLAlchemyError):
                connection.exec_driver_sql(statement.replace("%", "%%"))
        if said:
            connection.commit()

    def audit(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Judge an audit event.

        :raises NotConfined: it is something that reaches outside.
        """
        if name == "open":
            self._opened(*arguments[:3])
        elif name in _CHANGES:
            if not self._may_write(arguments[0]):
                self.stop(f'{_CHANGES[name]} "{os.fsdecode(arguments[0])}"')
        elif name in _PROCESSES:
            shown = _program(name, arguments)
            self.stop(_PROCESSES[name] + shown)
        elif name in _NETWORK:
            if not self._is_env_connecting():
                self.stop("use the network")
        elif name == "sqlite3.connect":
            self._sqlite(arguments[0])
        elif name == "import" and arguments[0] in _DRIVERS and arguments[0] not in sys.modules:
            # A driver that only a revision imports is there before its first connection.
            with contextlib.suppress(ImportError):
                of_our_own(importlib.import_module, arguments[0])
                self.on_driver()

    def _opened(self, path: Any, mode: Any, flags: Any) -> None:
        writes = isinstance(flags, int) and flags & _WRITES
        if not writes or isinstance(path, int) or self._may_write(path):
            return
        # A log that is only added to is the application's way to speak, and nothing is said now.
        # What env.py sets up is set up by every command; a revision's own log would be a new file.
        adds = isinstance(mode, str) and "a" in mode
        if adds and _comes_from(logging.__file__) and (not self.revision or os.path.exists(path)):
            return
        self.stop(f'write to the file "{os.fsdecode(path)}"')

    def _may_write(self, path: Any) -> bool:
        return not isinstance(path, int) and os.fsdecode(path) == os.devnull

    def _sqlite(self, database: Any) -> None:
        shown = os.fsdecode(database) if not isinstance(database, str) else database
        memory = shown in ("", MEMORY) or "mode=memory" in shown or "::memory:" in shown
        if memory or self._is_env_connecting():
            return
        self.stop(f'open the SQLite database "{shown}"')

    def _is_env_connecting(self) -> bool:
        """Whether ``env.py`` connects to the database that it migrates, as it must."""
        return not self.revision and _comes_from(sqlalchemy.engine.default.__file__)


def _hint(what: str) -> str:
    """What helps, by what the code would do."""
    if "connection" in what or "connect by" in what or "SQLite database" in what:
        return "use op.get_bind() there; for the ORM: Session(bind=op.get_bind())"
    if "statement" in what or "which all databases" in what or "attach" in what:
        return (
            "nothing, if that is meant: flask db safe-upgrade runs it. flask db doctor --fast "
            "leaves the comparison out"
        )
    return "move it out of the migration, into a function under @migrate.on_deploy"


def _comes_from(file: str) -> bool:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename == file:
            return True
        frame = frame.f_back
    return False


def _short(statement: str) -> str:
    line = " ".join(statement.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}..."


def _is_global(plain: str) -> bool:
    return any(word in plain for word in ("GLOBAL", "PERSIST", "PASSWORD", "DEFAULT ROLE"))


def _program(name: str, arguments: tuple[Any, ...]) -> str:
    """Which program, without what is handed to it: that may be secret."""
    if name == "subprocess.Popen" and arguments[0]:
        return f' ("{os.path.basename(str(arguments[0]))}")'
    return ""


def _calls_dynamic(connection: Connection, statement: str) -> bool:
    """Whether a statement for PostgreSQL calls a function that runs SQL which it puts together."""
    if connection.dialect.name != "postgresql" or "(" not in statement:
        return False
    with contextlib.closing(connection.connection.cursor()) as cursor:
        cursor.execute(_DYNAMIC)
        names = [re.escape(name) for (name,) in cursor.fetchall()]
    called = rf"(?<!\w)\"?(?:{'|'.join(names)})\"?\s*\("
    return bool(names) and re.search(called, statement, re.IGNORECASE) is not None


def _reaches_out(dialect: str, statement: str, others: Collection[str] = ()) -> str:
    """How a statement for a server reaches outside; SQLite is asked itself (``_authorizer``)."""
    if dialect == "sqlite":
        return ""
    from flask_safemigrate.ddl.reaching import reaches_out

    return reaches_out(dialect, statement, others)


def _other_databases(connection: Connection) -> frozenset[str]:
    if connection.dialect.name not in ("mysql", "mariadb"):
        return frozenset()
    known = connection.exec_driver_sql("SELECT schema_name FROM information_schema.schemata")
    names = {str(name) for name in known.scalars()}
    # What is read there is about the server and is never changed by a name.
    readable = {"information_schema", "performance_schema", "sys"}
    own = str(connection.exec_driver_sql("SELECT DATABASE()").scalar())
    connection.commit()
    return frozenset(names - readable - {own})


def _watch_cursors(
    confinement: Confinement, connection: Connection, others: Collection[str]
) -> None:
    """See what is said to the driver itself, behind SQLAlchemy's back."""
    driver: Any = connection.connection.driver_connection
    dialect = connection.dialect.name
    if dialect == "sqlite":
        confinement.ask(driver)
        return
    if dialect in ("mysql", "mariadb"):
        _watch_mysql(confinement, driver, dialect, others)
    if connection.dialect.driver == "pg8000":
        _watch_pg8000(confinement, connection, others)
    if connection.dialect.driver in ("psycopg", "psycopg2"):
        stock_commit = driver.commit

        def commit() -> None:
            if _current() is confinement and not connection.closed:
                confinement.commit(connection)
            stock_commit()

        # psycopg2's own class, which a creator= of the application hands over, takes no attribute.
        with contextlib.suppress(AttributeError):
            driver.commit = commit
    attribute = next((a for a in ("cursor_factory", "cursorclass") if hasattr(driver, a)), "")
    if not attribute:
        return
    stock = getattr(driver, attribute)
    if stock is None:
        stock = importlib.import_module("psycopg2.extensions").cursor
    setattr(driver, attribute, _confined(confinement, stock, dialect, others))


def _confined(
    confinement: Confinement, stock: type, dialect: str, others: Collection[str]
) -> type[Any]:
    """A driver's class of cursors, with methods that judge what they are given."""

    def judged(method: Any) -> Any:
        def execute(self: Any, query: Any, *args: Any, **kw: Any) -> Any:
            if _current() is confinement:
                text = query.decode("utf-8", "replace") if isinstance(query, bytes) else query
                if hasattr(text, "as_string"):  # SQL that psycopg's module sql puts together
                    text = text.as_string(self)
                if isinstance(text, str):
                    confinement.judge(dialect, text, others)
            return method(self, query, *args, **kw)

        return execute

    names = ("execute", "executemany", "copy", "copy_expert", "stream")
    methods = {name: judged(getattr(stock, name)) for name in names if hasattr(stock, name)}
    return type("ConfinedCursor", (stock,), methods)


def _watch_pg8000(
    confinement: Confinement, connection: Connection, others: Collection[str]
) -> None:
    """See what is said by the methods that every other one, of a cursor too, calls in the end."""
    driver: Any = connection.connection.driver_connection

    def judged(method: Any) -> Any:
        def execute(statement: Any, *args: Any, **kw: Any) -> Any:
            if _current() is confinement and isinstance(statement, str):
                confinement.judge("postgresql", statement, others)
                if _ENDS.match(statement) and not connection.closed:
                    confinement.commit(connection)
            return method(statement, *args, **kw)

        return execute

    for name in ("execute_simple", "execute_unnamed", "prepare_statement"):
        setattr(driver, name, judged(getattr(driver, name)))


def _watch_mysql(
    confinement: Confinement, driver: Any, dialect: str, others: Collection[str]
) -> None:
    """See what is said by the methods of a connection that need no cursor."""

    def judged(method: Any) -> Any:
        def query(sql: Any, *args: Any, **kw: Any) -> Any:
            text = sql.decode("utf-8", "replace") if isinstance(sql, (bytes, bytearray)) else sql
            if _current() is confinement and isinstance(text, str):
                confinement.judge(dialect, text, others)
            return method(sql, *args, **kw)

        return query

    def select(*_: Any, **__: Any) -> NoReturn:
        confinement.stop("choose another database on the connection")

    # PyMySQL and mysqlclient have query() and select_db(), MySQL Connector/Python cmd_query() and
    # cmd_init_db(); their cursors call these.
    for name in ("query", "cmd_query"):
        if hasattr(driver, name):
            setattr(driver, name, judged(getattr(driver, name)))
    for name in ("select_db", "cmd_init_db"):
        if hasattr(driver, name):
            setattr(driver, name, select)
    if not (hasattr(driver, "query") or hasattr(driver, "cmd_query")):
        # MariaDB Connector/Python: its cursors reach the server by themselves. A cursor counts no
        # reference to its connection and yet drops one where the collector of cycles finds it
        # (MrdbCursor_tpclear), so that nothing is kept in a cursor that leads back to it.
        stock_cursor = driver.cursor
        stock_class = importlib.import_module("mariadb.cursors").Cursor

        @functools.cache
        def confined_class(stock: type) -> type[Any]:
            return _confined(confinement, stock, dialect, others)

        def cursor(cursorclass: type = stock_class, **kw: Any) -> Any:
            return stock_cursor(confined_class(cursorclass), **kw)

        driver.cursor = cursor


def _allow(*_: Any) -> int:
    return 0


def _authorizer(confinement: Confinement) -> Callable[..., int]:
    """SQLite's own question before each step (https://sqlite.org/c3ref/set_authorizer.html)."""

    def authorize(action: int, first: Any, second: Any, *_: Any) -> int:
        if action == _ATTACH and first not in ("", MEMORY, None):
            confinement.remember(f'attach the file "{first}"')
            return 1
        if action == _ATTACH and first is None:
            confinement.remember("attach a file")
            return 1
        if action == _FUNCTION and second in _SQLITE_FUNCTIONS:
            confinement.remember(f"call {second}()")
            return 1
        return 0

    return authorize


_installed: list[bool] = []
#: Confinements of now, with the threads that were there before.
_running: list[tuple[Confinement, frozenset[int]]] = []


def _current() -> Confinement | None:
    """The confinement that holds for what runs here, threads that it began included."""
    confinement = _active.get()
    if confinement is None and _running:
        newest, before = _running[-1]
        if threading.get_ident() not in before:
            return newest
    return confinement


def _hook(name: str, arguments: tuple[Any, ...]) -> None:
    confinement = _current()
    if confinement is not None:
        confinement.audit(name, arguments)


def _install() -> None:
    """Audit hooks stay for the life of the process; without a confinement ours does nothing."""
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_hook)


def of_our_own(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function of ours, which is asked from within, and let it reach what it must."""
    token = _active.set(None)
    try:
        return function(*arguments)
    finally:
        _active.reset(token)


@contextlib.contextmanager
def confined(confinement: Confinement) -> Iterator[None]:
    """Confine what this thread does for the length of the block."""
    _install()
    bytecode = sys.dont_write_bytecode

    def on_statement(
        connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any
    ) -> tuple[str, Any]:
        if _current() is not confinement:
            return statement, parameters
        if confinement.is_ours(connection.engine):
            confinement.statement(connection, statement)
            return statement, parameters
        if is_second(connection):
            return statement, parameters
        instead = confinement.of_others(statement)
        return instead, parameters if instead == statement else ()

    def on_commit(connection: Any) -> None:
        if _current() is confinement and confinement.is_ours(connection.engine):
            confinement.commit(connection)

    def on_checkout(_driver: Any, _record: Any, fairy: Any) -> None:
        pool = getattr(fairy, "_pool", None)
        ours = any(engine.pool is pool for engine in confinement._engines.values())
        ours = ours or speaks_for_another(fairy)
        if _current() is confinement and confinement.revision and not ours:
            confinement.stop(
                "use another connection than op.get_bind(), such as db.session, db.engine or one "
                "of its own"
            )

    def on_connect(dialect: Any, _record: Any, places: Any, _arguments: Any) -> None:
        if is_stood_for(dialect, places):
            return
        if _current() is confinement and confinement.revision:
            confinement.stop(
                "open another connection than op.get_bind(), by db.session, db.engine or an "
                "engine of its own"
            )

    listeners: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
        (Engine, "before_cursor_execute", on_statement),
        (Engine, "commit", on_commit),
        (Engine, "do_connect", on_connect),
        (Pool, "checkout", on_checkout),
    )
    with contextlib.ExitStack() as stack:
        for target, name, listener in listeners:
            changes = {"retval": True} if name == "before_cursor_execute" else {}
            event.listen(target, name, listener, **changes)
            stack.callback(event.remove, target, name, listener)
        stack.enter_context(_unheard(confinement))
        stack.enter_context(confinement.asking())
        sys.dont_write_bytecode = True
        stack.callback(setattr, sys, "dont_write_bytecode", bytecode)
        entry = (confinement, frozenset(sys._current_frames()))
        _running.append(entry)
        stack.callback(_running.remove, entry)
        token = _active.set(confinement)
        try:
            yield
        finally:
            _active.reset(token)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported, which may prepare what it will tidy up itself."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        if frame.f_code.co_name in ("upgrade", "downgrade"):
            return False
        frame = frame.f_back
    return False


@contextlib.contextmanager
def _unheard(confinement: Confinement) -> Iterator[None]:
    """Stop revisions from what no audit event tells of: drivers that connect, pipes, later code.

    There is no hook for it. What SQLAlchemy and our own code open goes on as before.
    """
    kept: list[tuple[Any, str, Any]] = []

    def stopping(stock: Any, what: str) -> Any:
        def call(*args: Any, **kw: Any) -> Any:
            of_revision = _current() is confinement and confinement.revision
            if of_revision and not _is_importing(sys._getframe(1)):
                confinement.stop(what)
            return stock(*args, **kw)

        return call

    def replace(place: Any, function: str, what: str) -> None:
        stock = getattr(place, function, None)
        there = any(place is each and function == name for each, name, _ in kept)
        if stock is not None and not isinstance(stock, type) and not there:
            kept.append((place, function, stock))
            setattr(place, function, stopping(stock, what))

    def replace_drivers() -> None:
        for name, functions in _DRIVERS.items():
            for function in functions:
                replace(sys.modules.get(name), function, f"connect by {name.partition('.')[0]}")

    confinement.on_driver = replace_drivers
    try:
        replace_drivers()
        for place, function, what in _UNHEARD:
            replace(place, function, what)
        yield
    finally:
        for place, function, stock in reversed(kept):
            setattr(place, function, stock)
