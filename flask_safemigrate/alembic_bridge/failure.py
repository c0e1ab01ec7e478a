"""From an exception inside a revision to a message of a few lines."""

from __future__ import annotations

import functools
import os
import re
import sys
import traceback
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError, PendingRollbackError, StatementError

from flask_safemigrate.alembic_bridge.cures import cure_here, unnamed, without_addresses
from flask_safemigrate.checks.found import by_hand
from flask_safemigrate.ddl.secrets import without_citation, without_secrets
from flask_safemigrate.errors import (
    HalfApplied,
    Interrupted,
    LockLost,
    MigrationFailed,
    SafeMigrateError,
)
from flask_safemigrate.facts.database import ProgressRow
from flask_safemigrate.plan import Plan

_STATEMENT_WIDTH = 300
#: What drivers say where the storage takes no more: SQLite (where a limit of the file's size is an
#: I/O error), PostgreSQL, MariaDB.
_FULL = re.compile(
    "disk is full|disk I/O error|No space left on device|Disk (is )?full|The table '[^']*' is full"
)
_SHOWN = 200  # characters of a statement in a list
_LOOKED_AT = 2_000  # of one that may have megabytes


def short(statement: str) -> str:
    """A statement on one line of a message."""
    line = " ".join(without_secrets(statement[:_LOOKED_AT]).split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."


def place_now(directory: Path) -> str:
    """The innermost line of a migration file that is running."""
    for frame, line in traceback.walk_stack(None):
        path = Path(frame.f_code.co_filename)
        if path.name != "env.py" and path.resolve().is_relative_to(directory.resolve()):
            return f' in "{path.resolve().relative_to(directory.resolve().parent)}", line {line}'
    return ""


def line_now(path: str) -> int | None:
    """The innermost line of a file that is running, None where none is.

    :param path: as ``os.path.realpath`` gives it.
    """
    real = functools.cache(os.path.realpath)
    return next(
        (
            line
            for frame, line in traceback.walk_stack(sys._getframe(1))
            if real(frame.f_code.co_filename) == path
        ),
        None,
    )


def _place(error: BaseException, directory: Path) -> str:
    """The innermost line of a migration file that the error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [f for f in frames if Path(f.filename).resolve().is_relative_to(directory)]
    if not inside:
        return ""
    name = Path(inside[-1].filename).resolve().relative_to(directory.parent)
    return f' in "{name}", line {inside[-1].lineno}'


def _said(error: BaseException | None) -> str:
    """Return a driver's words as libpq puts them, which pg8000 leaves in a mapping.

    https://www.postgresql.org/docs/current/protocol-error-fields.html
    """
    fields = error.args[0] if error is not None and error.args else None
    if not isinstance(fields, dict) or "M" not in fields:
        return str(error)
    titles = (("D", "DETAIL"), ("H", "HINT"))
    more = (f"{title}:  {fields[key]}" for key, title in titles if key in fields)
    return "\n".join((str(fields["M"]), *more))


def cause_of(error: BaseException) -> str:
    """What an error says, with the statement that met it."""
    nameless = unnamed(error)
    if nameless is not None:
        return f"{nameless.call.format('None')} names no {nameless.what}"
    if isinstance(error, StatementError):
        # Its own text has the values of the parameters, which may be anybody's.
        statement = " ".join(without_secrets((error.statement or "")[:_LOOKED_AT]).split())
        if len(statement) > _STATEMENT_WIDTH:
            statement = statement[: _STATEMENT_WIDTH - 3] + "..."
        words = _said(error.orig)
        words = without_citation(words) if error.params else words
        said = without_secrets(words).strip() or type(error.orig).__name__
        if not isinstance(error, DBAPIError):
            said = f"{type(error.orig).__name__}: {said}"
        return f"{said}\nSQL: {statement}" if statement else said
    said = str(error).strip()
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code if error.code is not None else ''})"
    if isinstance(error, CommandError):
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _is_full(error: BaseException) -> bool:
    """Whether the storage of the database takes no more."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    # By the names of PEP 249, which every driver has; PyMySQL's "disk full" is no operational one.
    kinds = {base.__name__ for base in type(cause).__mro__}
    # What a rule or a value is at fault for quotes the value, which may say anything.
    of_values = kinds & {"IntegrityError", "DataError"}
    return "DatabaseError" in kinds and not of_values and _FULL.search(str(cause)) is not None


def lost_connection(error: BaseException) -> bool:
    """Whether the connection broke, which nobody's code is at fault for."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, DBAPIError) and current.connection_invalidated:
            return True
        # https://docs.sqlalchemy.org/en/20/errors.html#error-8s2b
        if isinstance(current, PendingRollbackError) and "reconnect" in str(current):
            return True
        current = current.__cause__ or current.__context__
    return False


def migration_failed(
    error: BaseException,
    *,
    revision: str | None,
    directory: Path,
    undone: str = "",
    again: str = "flask db safe-upgrade",
    remedy: str | None = None,
) -> MigrationFailed:
    """Describe an error that a revision, or ``env.py``, raised.

    :param revision: the revision that was running, None before the first.
    :param directory: the migrations folder.
    :param undone: a sentence about the state that the database is in now, where it is known.
    :param again: the command to run once it is mended.
    :param remedy: what is known to help, None for nothing particular.
    """
    who = f"Revision '{revision}'" if revision else "The migration environment"
    place = _place(error, directory.resolve())
    cure = cure_here(error) or f"mend {'the revision' if revision else 'it'}"
    hint = f"{remedy}\nthen run: {again}" if remedy else f"{cure}, then run: {again}"
    if "cannot add a STORED column" in str(error):
        column = 'sa.Column("...", sa.Text(), sa.Computed("...", persisted=True))'
        hint = f'op.add_column("...", {column})  # which can, instead of the statement'
    if _is_full(error):
        # Nobody's code is at fault, whichever statement met it.
        place = ""
        who = who if revision else "Writing to the database"
        hint = f"df -h; ulimit -f  # make room where the database is, then run: {again}"
    cause = without_addresses(cause_of(error))
    if lost_connection(error):
        place = "" if "env.py" in place else place
        # What is said afterwards speaks of SQLAlchemy's way to go on.
        said = "" if isinstance(error, PendingRollbackError) else f": {cause}"
        cause = f"the connection to the server broke{said}"
        cure = "see that the server answers; nothing of the revision is known to be wrong"
        hint = hint if remedy else f"{cure}\nthen run: {again}"
    return MigrationFailed(
        f"{who} failed{place}: {cause}\n{undone}".rstrip(),
        revision=revision,
        hint=hint,
        remedy=remedy or "",
    )


def _remark(row: ProgressRow) -> str:
    if row.kind == "beside":
        return "  (on another connection; perhaps)"
    return "" if row.state == "done" else "  (begun; the next run finds out)"


def half_applied(
    told: SafeMigrateError,
    plans: Sequence[Plan],
    places: Mapping[str, str],
    left: Mapping[str, Sequence[ProgressRow]],
    ways_back: Mapping[str, str],
    away: Collection[str] = (),
    *,
    again: str,
) -> HalfApplied:
    """Say what is in and what is not, where a failure leaves something behind.

    :param plans: those that are not empty.
    :param places: where each database is by its version table, in words, by bind key.
    :param left: the statements of a half applied revision that are in, by bind key.
    :param away: bind keys of databases that cannot be looked at now.
    :param again: the command that goes on.
    :param ways_back: snapshot from before that revision, "" where there is none, by bind key.
    """
    way = plans[0].direction
    parents = {step.id: step.parents for plan in plans for step in plan.steps}
    lines = [told.message]
    last: ProgressRow | None = None
    way_back = ""
    for plan in plans:
        rows = left.get(plan.bind, ())
        if plan.bind in away:
            lines.append(f"{places[plan.bind]}.")
            continue
        if not rows:
            lines.append(f"{places[plan.bind]}; no revision is half applied there.")
            continue
        last, way_back = rows[-1], ways_back.get(plan.bind, "")
        lines.append(
            f"{plan.location} commits every DDL statement, and revision '{last.revision}' is half "
            "applied. In:"
        )
        lines += [f"  {row.position + 1}. {short(row.statement)}" + _remark(row) for row in rows]
        lines.append(f"Not in: every statement of '{last.revision}' after these.")
    back = f" Or go back: flask db restore {way_back}" if way_back else ""
    if isinstance(told, (HalfApplied, LockLost)) or (last is None and away):
        hint = f"{told.hint}.{back}" if told.hint and back else told.hint
        return HalfApplied("\n".join(lines), hint=hint)
    mend = "" if isinstance(told, Interrupted) else "mend what failed, then "
    if isinstance(told, MigrationFailed) and told.remedy:
        mend = f"{told.remedy}\nthen "
    if last is None:
        return HalfApplied("\n".join(lines), hint=f"{mend}run {again} again")
    if any(row.kind == "beside" for rows in left.values() for row in rows):
        return HalfApplied(
            "\n".join(lines),
            hint="a run cannot go on over what was said on another connection. Look whether that "
            f"is in, then {by_hand(last.revision, way, parents.get(last.revision, ()))}. Use "
            f"op.get_bind() in place of db.session, an engine or its connection.{back}",
        )
    return HalfApplied(
        "\n".join(lines),
        hint=f"{mend}run {again} again: it goes on after statement "
        f"{last.position + 1}. What is in must stay as it is in the file." + back,
    )
