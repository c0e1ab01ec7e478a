"""What a statement is to the server, and whether one that was cut off has taken effect."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.driver_errors import error_number
from flask_safemigrate.backends.mysql.lock import in_cluster
from flask_safemigrate.backends.mysql.quoting import quoted
from flask_safemigrate.backends.mysql.session import session_of
from flask_safemigrate.backends.statements import plain
from flask_safemigrate.ddl.scripts import statements_of

#: ``reads``: it changes nothing. ``held``: what it changes lies in the transaction. ``commits``:
#: it ends the transaction and is for good at once. ``setting``: it is about the session and does
#: no harm twice. ``passing``: what it makes ends with the session. ``bounds``: it begins or ends
#: a transaction, ``undoes``: it goes back in one.
Kind = Literal["reads", "held", "commits", "setting", "passing", "bounds", "undoes"]

#: A statement that does nothing.
NOTHING = "DO 0"

_COMMENT = re.compile(r"\s+|/\*(?![!M]).*?\*/|--\s[^\n]*\n?|#[^\n]*\n?", re.DOTALL)
_EXECUTABLE = re.compile(r"/\*M?!\d*")
_BOUNDS = re.compile(r"(?:BEGIN|COMMIT|START\s+TRANSACTION|XA)\b", re.I)
_UNDOES = re.compile(r"(?:ROLLBACK|SAVEPOINT|RELEASE\s+SAVEPOINT)\b", re.I)
_PASSING = re.compile(
    r"(?:CREATE\s+(?:OR\s+REPLACE\s+)?TEMPORARY|DROP\s+TEMPORARY|PREPARE|DEALLOCATE|HANDLER"
    r"|LOCK\s+TABLES?|UNLOCK\s+TABLES?)\b",
    re.I,
)
# A variable of the session that is given a value.
_VARIABLE = re.compile(r"(?<!@)@[\w.$`'\"]+\s*:?=(?!=)|\bINTO\s+@(?!@)", re.I)
_SETTING = re.compile(r"(?:SET(?!\s+PASSWORD)|USE|FLUSH\s+STATUS)\b", re.I)
_READS = re.compile(r"(?:SELECT|VALUES|TABLE|SHOW|EXPLAIN|DESCRIBE|DESC|HELP)\b|\(", re.I)
_HELD = re.compile(r"(?:INSERT|UPDATE|DELETE|REPLACE|WITH|DO|LOAD\s+DATA|LOAD\s+XML)\b", re.I)
_STRING = re.compile(r"'(?:[^'\\]|\\.|'')*'", re.DOTALL)
_NAME = re.compile(r'`((?:[^`]|``)+)`|"((?:[^"]|"")+)"|([^\W\d][\w$]*)')
_QUALIFIED = re.compile(r"(?:`((?:[^`]|``)+)`|([^\W\d][\w$]*))\s*\.")

# https://mariadb.com/kb/en/atomic-ddl/: each of these is done or not done.
_DECIDABLE = re.compile(
    r"(?:ALTER\s+(?:ONLINE\s+|IGNORE\s+)*TABLE"
    r"|CREATE\s+(?:OR\s+REPLACE\s+)?(?:ALGORITHM\s*=\s*\w+\s+|DEFINER\s*=\s*\S+\s+"
    r"|SQL\s+SECURITY\s+\w+\s+|AGGREGATE\s+|ONLINE\s+|OFFLINE\s+|UNIQUE\s+|FULLTEXT\s+"
    r"|SPATIAL\s+)*(?:TABLE|INDEX|VIEW|TRIGGER|PROCEDURE|FUNCTION|SEQUENCE)"
    r"|ALTER\s+(?:ALGORITHM\s*=\s*\w+\s+|DEFINER\s*=\s*\S+\s+|SQL\s+SECURITY\s+\w+\s+)*"
    r"(?:VIEW|SEQUENCE)"
    r"|DROP\s+(?:TABLE|INDEX|VIEW|TRIGGER|PROCEDURE|FUNCTION|SEQUENCE)|RENAME\s+TABLES?)\b",
    re.I,
)
# What they do is not seen in the catalogue, and doing it twice is something else.
_UNSEEN = re.compile(r"\b(?:EXCHANGE|TRUNCATE)\s+PARTITION\b|\bTABLESPACE\b", re.I)
_HARMLESS = re.compile(
    r"(?:ANALYZE|OPTIMIZE|CHECK|REPAIR|FLUSH|GRANT|REVOKE|CHECKSUM|CACHE|RESET)\b", re.I
)
_TRUNCATE = re.compile(r"TRUNCATE\b", re.I)
_SEVERAL = re.compile(r"DROP\b", re.I)
_CALL = re.compile(r"CALL\b", re.I)
_WORD = re.compile(r"\w+")
_UNCHANGED = re.compile(r"[ -~\s]*?(?=[%'\"\\]|[^ -~\s]|\Z)")
#: What the server says before it begins a statement: it cannot be read, or may not be run.
_NOT_UNDERSTOOD = frozenset({1064, 1044, 1045, 1227, 1318, 1370})
#: The same, but said by what a procedure or trigger does too: no such table, column, right.
_NOT_THERE = frozenset({1054, 1136, 1142, 1143, 1146})
_NO_ROUTINE = 1305
_CLOCK_SECONDS = 5
_COUNTER = re.compile(r" AUTO_INCREMENT=\d+")

_TABLES = text("""
    SELECT table_name AS name, table_type AS kind FROM information_schema.tables
    WHERE table_schema = database()
""")
_TRIGGERS = text("""
    SELECT trigger_name AS name,
        concat_ws('|', event_manipulation, event_object_table, action_timing, action_statement)
            AS body
    FROM information_schema.triggers WHERE trigger_schema = database()
""")
_ROUTINES = text("""
    SELECT routine_name AS name,
        concat_ws('|', routine_type, dtd_identifier, routine_definition, security_type) AS body
    FROM information_schema.routines WHERE routine_schema = database()
""")
_VIEW = text("""
    SELECT concat_ws('|', view_definition, check_option, security_type, definer)
    FROM information_schema.views WHERE table_schema = database() AND table_name = :name
""")
_SERVER = text("""
    SELECT @@hostname AS host, @@port AS port, unix_timestamp() AS now
""")
_FUNCTIONS = text("""
    SELECT routine_name FROM information_schema.routines
    WHERE routine_schema = database() AND routine_type = 'FUNCTION'
        AND sql_data_access NOT IN ('READS SQL DATA', 'NO SQL')
""")
_LOOSE = text("""
    SELECT t.table_name FROM information_schema.tables t
        LEFT JOIN information_schema.engines e ON e.engine = t.engine
    WHERE t.table_schema = database() AND t.table_type = 'BASE TABLE'
        AND coalesce(e.transactions, 'NO') <> 'YES'
""")
_SESSION = text("""
    SELECT info AS info FROM information_schema.processlist
    WHERE id = :session AND id <> connection_id() AND command <> 'Sleep' AND info IS NOT NULL
""")


def _bare(statement: str) -> str:
    """The statement without the comments before its first word."""
    place = 0
    while match := _COMMENT.match(statement, place):
        place = match.end()
    return _EXECUTABLE.sub("", statement[place:], count=1).lstrip()


def kind_of(statement: str) -> Kind:
    """Say what a statement is to the transaction.

    Whatever is not known to lie in the transaction counts as ending it:
    https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/.
    """
    bare = _bare(statement)
    without = _STRING.sub("''", bare)
    if _BOUNDS.match(bare):
        return "bounds"
    if _UNDOES.match(bare):
        return "undoes"
    if _PASSING.match(bare):
        return "passing"
    if _VARIABLE.search(without) and not re.match(r"(?:CREATE|ALTER)\b", bare, re.I):
        return "passing"
    if _SETTING.match(bare):
        return "setting"
    if _READS.match(bare):
        return "reads"
    return "held" if _HELD.match(bare) else "commits"


def commits_each(connection: Connection) -> bool:
    """Whether the session commits every statement by itself."""
    driver: Any = connection.connection.driver_connection
    # PyMySQL and mysqlclient know it from each answer; MySQL's connector asks.
    known = getattr(driver, "get_autocommit", None)
    return bool(known() if known is not None else driver.autocommit)


def commit_together(connection: Connection) -> None:
    """Let the session's statements be committed when it is told to, and not before."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute("SET SESSION autocommit = 0")
    finally:
        cursor.close()


def takes_several(connection: Connection) -> bool:
    """Whether the driver sends several statements as one text; some have to be told to."""
    driver: Any = connection.connection
    cursor = driver.cursor()
    try:
        cursor.execute(f"{NOTHING}; {NOTHING}")
        while cursor.nextset():
            pass
    except (connection.dialect.loaded_dbapi.Error, AttributeError):
        return False
    finally:
        with suppress(connection.dialect.loaded_dbapi.Error):
            cursor.close()
    return True


def _names(statement: str) -> frozenset[str]:
    found = _NAME.findall(_STRING.sub("''", statement))
    return frozenset(
        (ticked.replace("``", "`") or double.replace('""', '"') or word).lower()
        for ticked, double, word in found
    )


def _elsewhere(connection: Connection, statement: str) -> bool:
    """Whether it names something of another database."""
    owners = {
        (a or b).lower() for a, b in _QUALIFIED.findall(_STRING.sub("''", statement)) if a or b
    }
    if not owners:
        return False
    ours = str(connection.scalar(text("SELECT database()"))).lower()
    every = connection.scalars(text("SELECT schema_name FROM information_schema.schemata"))
    return bool(owners & ({name.lower() for name in every} - {ours}))


def _picture(connection: Connection, statement: str) -> dict[str, str]:
    """A digest of everything that the statement names and that is there."""
    named = _names(statement)
    found: dict[str, str] = {}

    def add(kind: str, name: str, body: str) -> None:
        digest = hashlib.sha256(body.encode("utf-8", "surrogateescape")).hexdigest()
        found[f"{kind} {name}"] = digest[:32]

    for row in connection.execute(_TABLES).all():
        if row.name.lower() not in named:
            continue
        if row.kind == "VIEW":
            body = str(connection.scalar(_VIEW, {"name": row.name}))
        else:
            shown = connection.execute(plain(f"SHOW CREATE TABLE {quoted(row.name)}")).one()
            body = _COUNTER.sub("", str(shown[1]))
        add("table", row.name, body)
    for kind, query in (("trigger", _TRIGGERS), ("routine", _ROUTINES)):
        for row in connection.execute(query).all():
            if row.name.lower() in named:
                add(kind, row.name, str(row.body))
    return found


def before(connection: Connection, statement: str) -> str | None:
    """Return what :func:`happened` must know of the time before a statement that commits.

    :return: None where it could not be told afterwards.
    """
    bare = _bare(statement)
    if _HARMLESS.match(bare) or _TRUNCATE.match(bare):
        return "{}"
    if not _DECIDABLE.match(bare) or _UNSEEN.search(bare) or _elsewhere(connection, bare):
        return None
    return json.dumps(_picture(connection, bare))


def happened(connection: Connection, statement: str, picture: str | None) -> bool | None:
    """Whether a statement that was cut off has taken effect, by looking at what it names.

    The server does each statement whole or not at all, and nobody else changes the schema
    meanwhile; so what it names is as it was, or it has happened.

    :param picture: what :func:`before` returned.
    :return: None where that cannot be told. False where doing it again does no harm.
    """
    bare = _bare(statement)
    if picture is None:
        return None
    if _HARMLESS.match(bare):
        return False
    if _TRUNCATE.match(bare):
        # Rows in it may be those from before, or have come since.
        return True if _empty(connection, bare) else None
    then: Mapping[str, str] = json.loads(picture)
    now = _picture(connection, bare)
    if then == now:
        return False
    if _SEVERAL.match(bare) and (left := set(then) & set(now)):
        # DROP INDEX changes its table; DROP TABLE a, b may have come to a only.
        return None if len(left) < len(then) else True
    return True


def left_behind(
    connection: Connection, statement: str, picture: str | None, error: BaseException
) -> bool:
    """Whether a statement that ended with an error may have changed something for good.

    MariaDB's ``DROP TABLE a, b`` drops ``a`` and then says that there is no ``b``; a procedure
    may have committed before it failed; and an engine without transactions keeps the rows that
    an UPDATE had changed by then.

    :param picture: what :func:`before` returned.
    """
    bare, number = _bare(statement), error_number(error)
    if number in _NOT_UNDERSTOOD or _HARMLESS.match(bare) or _TRUNCATE.match(bare):
        return False
    if _CALL.match(bare):
        said = frozenset(_WORD.findall(str(error).lower()))
        return not (number == _NO_ROUTINE and said & _names(bare))
    if _HELD.match(bare):
        return number not in _NOT_THERE
    if picture is not None:
        return happened(connection, statement, picture) is not False
    return "," in _STRING.sub("''", bare) and number not in _NOT_THERE


def _empty(connection: Connection, statement: str) -> bool:
    named = _names(statement)
    tables = [row.name for row in connection.execute(_TABLES).all() if row.name.lower() in named]
    return all(
        connection.execute(plain(f"SELECT 1 FROM {quoted(name)} LIMIT 1")).first() is None
        for name in tables
    )


def loose_tables(connection: Connection) -> frozenset[str]:
    """Tables, in lower case, whose engine knows no transactions."""
    return frozenset(str(name).lower() for name in connection.scalars(_LOOSE))


def changing_functions(connection: Connection) -> frozenset[str]:
    """Functions, in lower case, that may change rows: a SELECT that calls one does, too."""
    return frozenset(str(name).lower() for name in connection.scalars(_FUNCTIONS))


def calls(statement: str, functions: frozenset[str]) -> bool:
    """Whether a statement names one of these functions."""
    return not functions.isdisjoint(_names(statement))


def touches(statement: str, tables: frozenset[str]) -> bool:
    """Whether a statement changes rows and names one of these tables."""
    changes = re.match(r"(?:INSERT|UPDATE|DELETE|REPLACE|LOAD|WITH)\b", _bare(statement), re.I)
    return changes is not None and not tables.isdisjoint(_names(statement))


def running(connection: Connection, session: int, statement: str) -> bool:
    """Whether a session of a process that is gone still works at its statement.

    The server notices only afterwards that nobody waits for the answer. Session numbers begin
    anew when it restarts, so only a session that is at this very statement counts.
    """
    try:
        info = connection.scalar(_SESSION, {"session": session})
    except SQLAlchemyError:
        return False
    return info is not None and str(info).lstrip().startswith(_beginning(statement))


def _beginning(statement: str) -> str:
    """What the driver sends unchanged: before parameters, and what a character set may lose."""
    found = _UNCHANGED.match(statement.lstrip())
    return found[0].rstrip() if found else ""


def server_of(connection: Connection) -> str:
    """Return what tells this server, and since when it runs, from others."""
    return json.dumps(_server(connection))


def _server(connection: Connection) -> dict[str, Any]:
    row = connection.execute(_SERVER).one()
    uptime = connection.execute(text("SHOW GLOBAL STATUS LIKE 'Uptime'")).one()
    # MariaDB has no such number: https://mariadb.com/kb/en/server-system-variables/
    uuid = connection.execute(text("SHOW VARIABLES LIKE 'server_uuid'")).first()
    name = f"{row.host}:{row.port}"
    return {
        "id": str(uuid[1]) if uuid is not None else name,
        "name": name,
        "since": int(row.now) - int(uptime[1]),
        "now": int(row.now),
    }


def whereabouts(connection: Connection, server: str) -> str:
    """Say whether the sessions of a server, as :func:`server_of` wrote it, can be seen.

    :return: ``here``, ``gone`` where it has been started anew since then, or else its name.
    """
    then, now = json.loads(server), _server(connection)
    if now["since"] > then["now"]:
        return "gone"
    if now["id"] == then["id"]:
        return "here" if abs(now["since"] - then["since"]) <= _CLOCK_SECONDS else "gone"
    # A Galera cluster does each DDL statement in its place on every node.
    return "gone" if in_cluster(connection) else str(then["name"])


def in_transactions(connection: Connection) -> Callable[[], None]:
    """Let a session that commits every statement use transactions.

    :return: undoes it.
    """
    if not connection.exec_driver_sql("SELECT @@session.autocommit").scalar():
        return lambda: None
    connection.exec_driver_sql("SET SESSION autocommit = 0")

    def restore() -> None:
        with suppress(SQLAlchemyError):
            connection.exec_driver_sql("SET SESSION autocommit = 1")

    return restore


__all__ = [
    "NOTHING",
    "before",
    "calls",
    "changing_functions",
    "commit_together",
    "commits_each",
    "happened",
    "in_transactions",
    "kind_of",
    "left_behind",
    "loose_tables",
    "running",
    "server_of",
    "session_of",
    "statements_of",
    "takes_several",
    "touches",
    "whereabouts",
]
