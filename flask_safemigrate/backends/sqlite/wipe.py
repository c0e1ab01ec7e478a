"""Empty an SQLite database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.sqlite import errors, files
from flask_safemigrate.backends.sqlite.files import quoted
from flask_safemigrate.errors import DatabaseUnavailable, VerificationFailed

#: Seconds to wait for other connections.
WAIT_SECONDS = 30.0
# SQLite keeps these two for itself; the first can be emptied but not dropped.
_OWN = ("sqlite_sequence", "sqlite_stat1", "sqlite_stat2", "sqlite_stat3", "sqlite_stat4")


@contextlib.contextmanager
def _writing(target: Target) -> Iterator[Any]:
    """Yield a connection in autocommit mode that does not enforce foreign keys."""
    file = files.find(target)
    if file is not None:
        with contextlib.closing(files.connect(file, "rw", timeout=WAIT_SECONDS)) as connection:
            connection.execute("PRAGMA foreign_keys=OFF")
            yield connection
        return
    with files.in_memory(target) as connection:
        connection.rollback()
        level = connection.isolation_level
        enforced = connection.execute("PRAGMA foreign_keys").fetchone()[0]
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys=OFF")
        try:
            yield connection
        finally:
            connection.execute(f"PRAGMA foreign_keys={enforced}")
            connection.isolation_level = level


def drop_everything(target: Target) -> None:
    """Remove every table, view, trigger and index in one transaction.

    The file stays, and with it what is set for the file: journal mode, page size,
    ``user_version``, ``application_id``. Other connections see all of it or nothing.

    :raises DatabaseUnavailable: it is locked, read-only, damaged or not there; nothing was
        removed.
    """
    try:
        with _writing(target) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                _drop_all(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
    except files.driver_of(target.engine).Error as error:
        reason = errors.explain(error, target)
        raise DatabaseUnavailable(reason.message, kind=reason.kind, hint=reason.hint) from error


def _drop_all(connection: Any) -> None:
    for kind in ("trigger", "view"):
        for name, _ in _objects(connection, kind):
            connection.execute(f"DROP {kind} {quoted(name)}")
    # A virtual table takes the tables along in which it keeps its data.
    for name, sql in _objects(connection, "table"):
        if (sql or "").upper().startswith("CREATE VIRTUAL"):
            _drop_virtual(connection, name)
    for name, _ in _objects(connection, "table"):
        connection.execute(f"DROP TABLE {quoted(name)}")
    for (name,) in connection.execute(
        f"SELECT name FROM sqlite_master WHERE name IN ({', '.join('?' * len(_OWN))})", _OWN
    ).fetchall():
        if name == "sqlite_sequence":
            connection.execute("DELETE FROM sqlite_sequence")
        else:
            connection.execute(f"DROP TABLE {name}")
    left = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
    if left and left != ["sqlite_sequence"]:
        raise VerificationFailed(
            f"These could not be dropped, so nothing was: {', '.join(map(quoted, left))}.",
            hint="flask db doctor",
        )


def _objects(connection: Any, kind: str) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = ? "
        r"AND name NOT LIKE 'sqlite\_%' ESCAPE '\'",
        (kind,),
    ).fetchall()
    return found


def _drop_virtual(connection: Any, name: str) -> None:
    try:
        connection.execute(f"DROP TABLE {quoted(name)}")
    except connection.OperationalError as error:
        if "no such module" not in str(error):
            raise
        # Its extension is loaded by the application alone. The entry has no pages of its own, and
        # its data are in tables that are dropped like others.
        # https://www.sqlite.org/pragma.html#pragma_writable_schema
        version = connection.execute("PRAGMA schema_version").fetchone()[0]
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("DELETE FROM sqlite_master WHERE type = 'table' AND name = ?", (name,))
        connection.execute(f"PRAGMA schema_version={version + 1}")
        connection.execute("PRAGMA writable_schema=RESET")
