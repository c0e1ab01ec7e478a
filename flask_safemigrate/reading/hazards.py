"""Recording the pending revisions, judging them, and asking the rows."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from alembic.config import Config
from sqlalchemy import MetaData

from flask_safemigrate.alembic_bridge.recording import Reader, Recorder, record
from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.history import Revision
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.hazards.hazard import Context, Hazard, Probe
from flask_safemigrate.hazards.judging import judge
from flask_safemigrate.hazards.known import Known, known_from
from flask_safemigrate.hazards.operations import Operation, Place, Raised, Unseen
from flask_safemigrate.reading.asking import asking, counted_rows, time_zone


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
    metadatas: Sequence[MetaData] = (),
    rows: Mapping[str, int | None] | None = None,
    small: bool = True,
    only: frozenset[str] | None = None,
) -> list[Finding]:
    """Return the findings about revisions that have not run yet.

    :param target: None where no database is to be asked.
    :param before: what a database without one has behind it.
    :param many: from how many rows on a table is large.
    :param each: whether every revision has a transaction of its own.
    :param rows: the numbers of rows, where they were counted already.
    :param small: whether what is said of tables with few rows may be worse than an information.
    :param only: the revisions to judge; the others have happened before them.
    """
    # As env.py hands them over.
    metadata = metadatas[0] if len(metadatas) == 1 else [*metadatas] or None
    reader, missing = reader_for(dialect)
    bind = found.bind if found is not None else ""
    if target is not None and found is not None and found.exists:
        schema = backend_for(target.engine).read_schema(target, ())
        known = known_from(schema, counted_rows(target, found) if rows is None else rows)
        version = version_of(found.server)
    else:
        known = Known(dialect)
        version = version_of(found.server) if target is None and found is not None else ()
        recorder = Recorder(dialect, reader, known)
        record(
            config,
            [r.id for r in before],
            recorder,
            bind=bind,
            metadata=metadata,
            version=version,
            way_down=False,
        )
        known.complete = target is not None
        for table in known.tables.values():
            table.new = False
            table.rows = None if target is None else 0
            table.added, table.written = set(), False
        known.commit()
    recorder = Recorder(dialect, reader, copy.deepcopy(known))
    recorded = record(
        config, [r.id for r in steps], recorder, bind=bind, metadata=metadata, version=version
    )
    context = Context(dialect, version or (0,), many, each)
    if target is not None and dialect == "postgresql":
        context = context._replace(time_zone=time_zone(target))
    hazards = judge(recorded, known, context)
    if only is not None:
        hazards = [hazard for hazard in hazards if hazard.place.revision in only]
    if not small:
        hazards = [_capped(hazard, many) for hazard in hazards]
    with asking(target, dialect) as ask:
        findings = [f for each_ in hazards if (f := _finding(each_, ask, bind)) is not None]
    if missing and any(f.code == "SM601" for f in findings):
        findings = [f._replace(hint=missing) if f.code == "SM601" else f for f in findings]
    return findings


#: What SQLAlchemy and Python raise whatever the database has.
_WITHOUT_DATABASE = (
    "CompileError",
    "UnsupportedCompilationError",
    "ObjectNotExecutableError",
    "NameError",
    "ImportError",
    "ModuleNotFoundError",
)


def failing(
    found: DatabaseState, steps: Sequence[Revision], config: Config, *, each: bool
) -> list[Finding]:
    """Return an error for each revision that fails whatever the database has.

    To be known before the first statement where the server commits each. No database is asked.
    """
    dialect, version = found.dialect, version_of(found.server)
    recorder = Recorder(dialect, lambda sql, place: [], Known(dialect, complete=False))
    recorded = record(
        config,
        [r.id for r in steps],
        recorder,
        bind=found.bind,
        version=version,
        way_down=False,
    )
    raised = {
        op.place.revision: op
        for one in recorded
        for op in one.upgrade
        if isinstance(op, Raised) and op.sure and op.error.startswith(_WITHOUT_DATABASE)
    }
    context = Context(dialect, version or (0,), 0, each)
    hazards = judge(recorded, Known(dialect, complete=False), context)
    return [
        finding._replace(
            severity=Severity.ERROR,
            message=f"{finding.message} What it does before that would stay, for the server "
            "commits every statement.",
            hint="mend the revision, then run the command again",
        )
        for hazard in hazards
        if hazard.code == "SM602" and hazard.place.revision in raised
        if (finding := _finding(hazard, None, found.bind)) is not None
    ]


def reader_for(dialect: str) -> tuple[Reader, str]:
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


def version_of(text: str) -> tuple[int, ...]:
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in match.groups() if part) if match else ()


def _capped(hazard: Hazard, many: int) -> Hazard:
    if hazard.rows is None or hazard.rows >= many:
        return hazard
    return hazard._replace(severity=Severity.INFO)


def _finding(hazard: Hazard, ask: Any, bind: str) -> Finding | None:
    """A hazard with what the rows say of it; None where they say that it is none."""
    severity, count, shown, error = hazard.severity, None, "", ""
    if hazard.trial:
        error = ask.refusal(hazard.trial) if ask is not None else ""
        if not error:
            return None
    if hazard.probe is not None:
        count = _count(hazard.probe, ask)
        if count == 0:
            return None
        if count is None:
            if hazard.unknown is None:
                return None
            severity = min(severity, hazard.unknown)
        else:
            shown = _keys(hazard.probe, ask)
    message = hazard.told(count, error)
    if shown:
        message += f" {'It is' if count == 1 else 'Some of them'}: {shown}."
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
