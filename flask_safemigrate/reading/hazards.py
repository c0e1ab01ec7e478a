"""Recording the pending revisions, judging them, and asking the rows."""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.config import Config

from flask_safemigrate.alembic_bridge.recording import Reader, Recorder, record
from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.findings import Finding
from flask_safemigrate.hazards.hazard import Context, Hazard, Probe
from flask_safemigrate.hazards.judging import judge
from flask_safemigrate.hazards.known import Known, known_from
from flask_safemigrate.hazards.operations import Operation, Place, Unseen
from flask_safemigrate.state import DatabaseState, Revision

_SECONDS = 5  # that a question to the rows may take
_WHOLE = 20_000_000  # rows up to which a table is read for a question


def hazards_of(
    target: Target | None,
    found: DatabaseState | None,
    steps: Sequence[Revision],
    before: Sequence[Revision],
    config: Config,
    *,
    dialect: str,
    many: int,
    each: bool,
    metadata: Any = None,
) -> list[Finding]:
    """Return the findings about revisions that have not run yet.

    :param target: None where no database is to be asked.
    :param before: what a database without one has behind it.
    :param many: from how many rows on a table is large.
    :param each: whether every revision has a transaction of its own.
    """
    reader, missing = _reader(dialect)
    if target is not None and found is not None and found.exists:
        schema = backend_for(target.engine).read_schema(target, ())
        known = known_from(schema, _rows(target, found))
        version = _version(found.server)
    else:
        known, version = Known(dialect), ()
        recorder = Recorder(dialect, reader, known)
        record(config, [r.id for r in before], recorder, metadata=metadata, way_down=False)
        known.complete = target is not None
        for table in known.tables.values():
            table.new = False
            table.rows = None if target is None else 0
            table.added, table.written = set(), False
        known.commit()
    recorder = Recorder(dialect, reader, copy.deepcopy(known))
    bind = found.bind if found is not None else ""
    recorded = record(
        config, [r.id for r in steps], recorder, bind=bind, metadata=metadata, version=version
    )
    context = Context(dialect, version or (0,), many, each, target is not None, "")
    if target is not None and dialect == "postgresql":
        context = context._replace(time_zone=_time_zone(target))
    hazards = judge(recorded, known, context)
    with _asking(target, dialect) as ask:
        findings = [f for each_ in hazards if (f := _finding(each_, ask, bind)) is not None]
    if missing and any(f.code == "SM601" for f in findings):
        findings = [f._replace(hint=missing) if f.code == "SM601" else f for f in findings]
    return findings


def _reader(dialect: str) -> tuple[Reader, str]:
    """What reads SQL of a dialect, and how to get it where it is missing."""
    name = {"postgresql": "pglast", "sqlite": ""}.get(dialect, "sqlglot")
    if not name:
        from flask_safemigrate.hazards.read_sqlite import read

        return read, ""
    try:
        __import__(name)
    except ImportError:

        def unseen(sql: str, place: Place) -> list[Operation]:
            return [Unseen(place, f"the package {name}, which reads SQL, is not installed")]

        return unseen, f"pip install {name}"
    if name == "pglast":
        from flask_safemigrate.hazards.read_postgresql import read as read_sql
    else:
        from flask_safemigrate.hazards.read_mysql import read as read_sql
    return read_sql, ""


def _version(text: str) -> tuple[int, ...]:
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in match.groups() if part) if match else ()


def _rows(target: Target, found: DatabaseState) -> Mapping[str, int | None]:
    """The numbers of rows; small tables are counted, for what the server knows may be old."""
    rows = {table.name: table.rows for table in found.tables}
    dialect = "sqlite" if target.engine.dialect.name == "sqlite" else found.dialect
    with _asking(target, dialect) as ask:
        for name, estimate in rows.items():
            if ask is None or (estimate is not None and estimate > 100_000):
                continue
            quoted = target.engine.dialect.identifier_preparer.quote(name)
            answer = ask(f"SELECT count(*) FROM (SELECT 1 AS one FROM {quoted} LIMIT 100000) AS t")
            if answer:
                rows[name] = int(answer[0][0])
    return rows


def _time_zone(target: Target) -> str:
    with _asking(target, "postgresql") as ask:
        answer = ask("SHOW TimeZone") if ask is not None else None
    return str(answer[0][0]) if answer else ""


@contextlib.contextmanager
def _asking(target: Target | None, dialect: str) -> Iterator[Any]:
    """A function that asks the database, which answers None where it cannot or takes too long.

    In a transaction that can write nothing, each question with a limit of time.
    """
    if target is None:
        yield None
        return
    with _connection(target, dialect) as connection:

        def ask(sql: str) -> list[Any] | None:
            try:
                return list(connection.exec_driver_sql(sql))
            except sa.exc.SQLAlchemyError:
                connection.rollback()
                _limit(connection, dialect)
                return None

        _limit(connection, dialect)
        yield ask


@contextlib.contextmanager
def _connection(target: Target, dialect: str) -> Iterator[sa.Connection]:
    from flask_safemigrate.backends.own_connection import own_connection

    if dialect == "sqlite":
        with target.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only = ON")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("PRAGMA query_only = OFF")
                connection.rollback()
        return
    if dialect == "postgresql":
        from flask_safemigrate.backends.postgresql import address as postgresql

        defaults = postgresql.connect_defaults(target.engine)
    else:
        from flask_safemigrate.backends.mysql import address as mysql

        defaults = mysql.connect_defaults(target.engine)
    with own_connection(target.engine, defaults) as connection:
        yield connection


def _limit(connection: sa.Connection, dialect: str) -> None:
    if dialect == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{_SECONDS}s'")
        connection.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
    elif dialect == "mariadb":
        connection.exec_driver_sql(f"SET SESSION max_statement_time = {_SECONDS}")
        connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
        connection.commit()
    elif dialect == "mysql":
        connection.exec_driver_sql(f"SET SESSION max_execution_time = {_SECONDS * 1000}")
        connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
        connection.commit()


def _finding(hazard: Hazard, ask: Any, bind: str) -> Finding | None:
    """A hazard with what the rows say of it; None where they say that it is none."""
    severity, message = hazard.severity, hazard.message
    if hazard.probe is not None:
        count = _count(hazard.probe, ask)
        if count == 0:
            return None
        if count is None:
            if hazard.unknown is None:
                return None
            severity = min(severity, hazard.unknown)
            message = message.replace("{count}", "an unknown number of")
        else:
            message = message.replace("{count}", f"{count:,}")
            shown = _keys(hazard.probe, ask)
            if shown:
                message += f" Some of them: {shown}."
    else:
        message = message.replace("{count}", "an unknown number of")
    place = hazard.place
    where = place.statement if len(place.statement) <= 200 else place.statement[:197] + "..."
    return Finding(
        hazard.code,
        severity,
        message,
        where,
        hazard.cure,
        bind=bind,
        subject=hazard.object,
        file=place.file,
        line=place.line,
    )


def _count(probe: Probe, ask: Any) -> int | None:
    answer = ask(probe.amount) if ask is not None else None
    return int(answer[0][0] or 0) if answer else None


def _keys(probe: Probe, ask: Any) -> str:
    answer = ask(probe.keys) if probe.keys else None
    rows = [", ".join(str(part) for part in row) for row in answer or ()]
    return "; ".join(row if len(row) <= 60 else row[:57] + "..." for row in rows)
