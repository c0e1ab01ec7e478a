"""The table ``safemigrate_progress``: what a revision that is not finished has done so far."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.mysql import LONGTEXT

from flask_safemigrate.alembic_bridge.journal import now
from flask_safemigrate.ddl.secrets import without_secrets
from flask_safemigrate.names import PROGRESS_TABLE

_LONG = sa.Text().with_variant(LONGTEXT(), "mysql", "mariadb")

_TABLE = sa.Table(
    PROGRESS_TABLE,
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("revision", sa.String(255), nullable=False),
    sa.Column("direction", sa.String(16), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("checksum", sa.String(64), nullable=False),
    sa.Column("statement", _LONG, nullable=False),
    sa.Column("answer", _LONG, nullable=False),
    sa.Column("picture", _LONG),
    sa.Column("started", sa.String(40), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer),
    sa.Column("session", sa.BigInteger),
    sa.Column("server", sa.String(255)),
    # A row must come and go with the rows that the revision changes.
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
)


class Entry(NamedTuple):
    """One statement of a revision.

    :param position: its number in the revision, from 0.
    :param kind: what the database's catalogue says it is to the transaction.
    :param state: ``begun``, ``done``, or ``failed`` where the revision went on after an error.
    :param statement: as :func:`kept` returns it.
    :param checksum: SHA-256 of the text and the parameters, hexadecimal.
    :param answer: what the server answered; see :mod:`~flask_safemigrate.alembic_bridge.answers`.
    :param picture: what tells later whether a statement that was only begun has happened.
    :param session: number of the session that it was said in.
    :param server: which server that was, and since when it ran.
    """

    position: int
    kind: str
    state: str
    checksum: str
    statement: str
    answer: str = ""
    picture: str | None = None
    session: int | None = None
    server: str | None = None

    @property
    def changes(self) -> bool:
        """Whether it is one that may have changed something for good."""
        return self.kind in ("held", "commits", "beside") and self.state == "done"


@dataclass(frozen=True)
class Group:
    """A revision that was begun, and the direction in which.

    :param parents: what a way down leads to, where that is known.
    """

    revision: str
    direction: str
    parents: tuple[str, ...] = field(default=(), compare=False)


#: Characters of a statement that are kept: of one that is decided by what it names, and of others.
#: Even with every character escaped a row is smaller than the smallest usual packet, 1 MB.
_MOST_KEPT = {"commits": 400_000}
_KEPT = 10_000


def kept(statement: str, kind: str) -> str:
    """What is written down of a statement: no secret, and not more than a packet holds."""
    return without_secrets(statement[: _MOST_KEPT.get(kind, _KEPT)])


def checksum(statement: str, parameters: object) -> str:
    """Return what tells a statement and its parameters from another.

    A time of this very minute counts as "now": a revision that writes the present time is the
    same revision later.
    """
    total = hashlib.sha256(statement.encode("utf-8", "surrogateescape"))
    for part in _parts(parameters):
        total.update(b"\0" + part.encode("utf-8", "surrogateescape"))
    return total.hexdigest()


_MINUTE = dt.timedelta(minutes=1)


def _parts(parameters: object) -> Iterator[str]:
    if isinstance(parameters, dict):
        for key in sorted(parameters):
            yield f"{key}="
            yield from _parts(parameters[key])
    elif isinstance(parameters, (list, tuple)):
        yield f"{len(parameters)}["
        for item in parameters:
            yield from _parts(item)
    elif isinstance(parameters, dt.datetime) and _is_now(parameters):
        yield "now"
    else:
        yield repr(parameters)


def _is_now(value: dt.datetime) -> bool:
    if value.tzinfo is not None:
        return abs(dt.datetime.now(dt.timezone.utc) - value) < _MINUTE
    utc = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None)
    return any(abs(clock - value) < _MINUTE for clock in (utc, dt.datetime.now()))


def make(connection: Connection) -> None:
    """Make the table where it is missing. The server commits what is open."""
    _TABLE.create(connection, checkfirst=True)
    # One that an earlier release made lacks it.
    if all(
        column["name"] != "server" for column in sa.inspect(connection).get_columns(PROGRESS_TABLE)
    ):
        connection.execute(sa.text(f"ALTER TABLE {PROGRESS_TABLE} ADD COLUMN server VARCHAR(255)"))


def drop(connection: Connection) -> None:
    """Drop the table. The server commits what is open."""
    _TABLE.drop(connection, checkfirst=True)


_ALL = 2**62


def _of(group: Group) -> sa.ColumnElement[bool]:
    # Some servers take UPDATE and DELETE only with a condition on a key:
    # https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html#sysvar_sql_safe_updates
    return sa.and_(
        _TABLE.c.id > 0,
        _TABLE.c.revision == group.revision,
        _TABLE.c.direction == group.direction,
    )


def groups(connection: Connection) -> list[Group]:
    """The revisions that have rows, the oldest first."""
    query = sa.select(_TABLE.c.revision, _TABLE.c.direction).group_by(
        _TABLE.c.revision, _TABLE.c.direction
    )
    return [Group(*row) for row in connection.execute(query.order_by(sa.func.min(_TABLE.c.id)))]


def entries(connection: Connection, group: Group) -> list[Entry]:
    """The statements of a revision, in their order."""
    columns = [_TABLE.c[name] for name in Entry._fields]
    query = sa.select(*columns).where(_of(group)).order_by(_TABLE.c.position, _TABLE.c.id)
    # A session may have a limit of its own, sql_select_limit; this one goes before it.
    query = query.limit(_ALL)
    return [Entry(**row._mapping) for row in connection.execute(query)]


def write(connection: Connection, group: Group, news: Iterable[Entry]) -> None:
    """Append rows. Commits nothing."""
    about = {
        "revision": group.revision,
        "direction": group.direction,
        "started": now(),
        "host": socket.gethostname()[:255],
        "pid": os.getpid(),
    }
    rows: list[dict[str, Any]] = [{**about, **entry._asdict()} for entry in news]
    if rows:
        connection.execute(_TABLE.insert(), rows)


def mark(connection: Connection, group: Group, entry: Entry) -> None:
    """Write down what became of a statement that was begun. Commits nothing."""
    connection.execute(
        _TABLE.update()
        .where(_of(group), _TABLE.c.position == entry.position)
        .values(state=entry.state, answer=entry.answer)
    )


def forget(connection: Connection, group: Group, positions: Sequence[int] | None = None) -> None:
    """Delete the rows of a revision, or those of some of its statements. Commits nothing."""
    which = [] if positions is None else [_TABLE.c.position.in_(positions)]
    connection.execute(_TABLE.delete().where(_of(group), *which))


def commit(connection: Connection) -> None:
    """Commit by the driver itself, so that SQLAlchemy's transaction goes on."""
    with contextlib.suppress(AttributeError):
        connection.connection.commit()


def rollback(connection: Connection) -> None:
    """Go back by the driver itself, so that SQLAlchemy's transaction goes on."""
    with contextlib.suppress(AttributeError):
        connection.connection.rollback()
