"""A lock that is a row with an expiry, for databases whose session locks do not reach far enough.

Each node of a Galera cluster grants ``GET_LOCK`` for itself, CockroachDB has no such lock, and
behind a pooler that hands out connections by transaction a session is anybody's.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from flask_safemigrate.backends.contract import Held, Say, Target
from flask_safemigrate.backends.own_connection import own_connection
from flask_safemigrate.backends.session_lock import Holder, lock_lost, wait
from flask_safemigrate.errors import DatabaseUnavailable
from flask_safemigrate.names import LOCK_TABLE
from flask_safemigrate.outcome import Progress

#: How long a process that died keeps the others waiting. The clocks of the nodes of a cluster
#: must not differ by as much as is left of it after a missed renewal or two.
LEASE_SECONDS = 20.0

_POLL_SECONDS = 0.3


class LeaseTerms(NamedTuple):
    """What a dialect says about its leases.

    :param clock: SQL for the seconds since 1970 by the server's clock.
    :param key: the row's name, the same in every process.
    :param passing: whether an error means no more than that another session was faster.
    :param unavailable: what a driver's error means.
    :param defaults: for :func:`own_connection`.
    :param seconds: how long the row is ours after each renewal.
    :param proof: where it is proven that the row is still ours: ``inside`` the migration's own
        transaction, ``beside`` it where that sees what there was when it began, so that the row
        is kept until it has been committed, or ``after`` it where nothing is left to commit.
    """

    clock: str
    key: Callable[[Connection, Target], str]
    passing: Callable[[BaseException], bool]
    unavailable: Callable[[BaseException, Target], DatabaseUnavailable]
    defaults: Mapping[str, Any]
    seconds: float = LEASE_SECONDS
    proof: Callable[[Connection], Literal["inside", "beside", "after"]] = lambda _: "inside"


def lock_table(schema: str | None) -> sa.Table:
    """Return the table; its times are seconds since 1970."""
    return sa.Table(
        LOCK_TABLE,
        sa.MetaData(),
        sa.Column("name", sa.String(190), primary_key=True),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("revision", sa.String(255), nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        schema=schema,
    )


@dataclass
class _Lease:
    """One process' claim to the row."""

    terms: LeaseTerms
    target: Target
    where: str
    name: str = ""
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    revision: str = ""
    lost: str = ""
    renewed: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)
    kept: ExitStack | None = None  # the connection that keeps the row locked

    def __post_init__(self) -> None:
        self.table = lock_table(self.target.version_schema)
        self.now: sa.ColumnElement[float] = sa.literal_column(self.terms.clock, sa.Double)
        self.until = self.now + sa.literal(self.terms.seconds, sa.Double)

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return sa.and_(self.table.c.name == self.name, self.table.c.token == self.token)

    def make_table(self, connection: Connection) -> None:
        """Create the table where it is missing; several processes may do so at once."""
        for attempt in range(5):
            try:
                self.table.create(connection, checkfirst=True)
            except SQLAlchemyError:
                if sa.inspect(connection).has_table(LOCK_TABLE, schema=self.table.schema):
                    return
                if attempt == 4:
                    raise
                time.sleep(_POLL_SECONDS)
            else:
                return

    def attempt(self, connection: Connection, at_most: float) -> bool:
        """Take the row where nobody has it, or where it has expired."""
        if self._taken(connection):
            self.renewed = time.monotonic()
            return True
        time.sleep(min(at_most, _POLL_SECONDS))
        return False

    def _taken(self, connection: Connection) -> bool:
        table = self.table
        expired = sa.select(table.c.expires < self.now).where(table.c.name == self.name)
        mine = {
            "token": self.token,
            "host": socket.gethostname()[:255],
            "pid": os.getpid(),
            "revision": "",
            "since": self.now,
            "expires": self.until,
        }
        asked = time.monotonic()
        try:
            free = connection.execute(expired).scalar()
            if free is None:
                connection.execute(table.insert().values(name=self.name, **mine))
            elif not free:
                return False
            else:
                claim = table.update().where(table.c.name == self.name, table.c.expires < self.now)
                if connection.execute(claim.values(**mine)).rowcount != 1:
                    return False
        except IntegrityError:
            return False
        except SQLAlchemyError as error:
            if not self.terms.passing(error):
                raise
            return False
        self.renewed = asked
        return True

    def holder(self, connection: Connection) -> Holder | None:
        """Who has the row, with the age of the claim by the server's clock."""
        table = self.table
        row = connection.execute(
            sa.select(
                table.c.host,
                table.c.pid,
                table.c.revision,
                (self.now - table.c.since).label("age"),
                (table.c.expires - self.now).label("left"),
            ).where(table.c.name == self.name)
        ).first()
        if row is None or row.left < 0:
            return None
        running = f", which runs revision '{row.revision}'" if row.revision else ""
        return Holder(
            f'the lock is held by process {row.pid} on host "{row.host}"{running}, '
            f"since {row.age:.0f} s",
            f"if that process is dead, its claim ends by itself within {row.left:.0f} s",
        )

    def renew(self, connection: Connection) -> None:
        """Put the expiry off. Nobody takes a row over without changing its token."""
        asked = time.monotonic()
        claim = self.table.update().where(self._mine)
        values = {"expires": self.until, "revision": self.revision[:255]}
        if connection.execute(claim.values(**values)).rowcount == 1:
            self.renewed = asked
        else:
            self.lost = "another process took it over after it had expired"

    def release(self, connection: Connection) -> bool:
        """Let the row expire at once."""
        claim = self.table.update().where(self._mine).values(expires=0)
        return connection.execute(claim).rowcount == 1

    def beat(self) -> None:
        """Renew until told to stop, through any number of broken connections."""
        pause = self.terms.seconds / 4
        while not self.done.is_set() and not self.lost:
            with suppress(SQLAlchemyError, OSError):
                own = own_connection(self.target.engine, self.terms.defaults, autocommit=True)
                with own as connection:
                    while not self.done.wait(pause) and not self.lost:
                        self.renew(connection)
            self.done.wait(pause / 4)

    def note(self, revision: str) -> None:
        self.revision = revision

    def check(self) -> None:
        if self.kept is not None:
            return
        silent = time.monotonic() - self.renewed
        if not self.lost and silent > self.terms.seconds:
            self.lost = f"it could not be renewed for {silent:.0f} s"
        if self.lost:
            raise lock_lost(self.where, self.lost)

    def prove(self, connection: Connection) -> None:
        where = self.terms.proof(connection)
        if where == "after":
            with self._beside(autocommit=True) as own:
                self.renew(own)
        elif where == "beside" and self.kept is None:
            self.kept = ExitStack()
            own = self.kept.enter_context(self._beside(autocommit=False))
            self.renew(own)
            self.kept.callback(self._commit, own)
        elif where == "inside":
            self._prove_inside(connection)
        if self.lost:
            raise lock_lost(self.where, self.lost)

    @contextmanager
    def _beside(self, *, autocommit: bool) -> Iterator[Connection]:
        try:
            own = own_connection(self.target.engine, self.terms.defaults, autocommit=autocommit)
            with own as connection:
                if not autocommit:
                    connection.execution_options(isolation_level="READ COMMITTED")
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise self.terms.unavailable(error, self.target) from error

    def _commit(self, own: Connection) -> None:
        # Those who wait for the row look at its expiry again, once it is free.
        with suppress(SQLAlchemyError, OSError):
            self.renew(own)
            own.commit()

    def let_go(self) -> None:
        kept, self.kept = self.kept, None
        if kept is not None:
            with suppress(DatabaseUnavailable):
                kept.close()

    def _prove_inside(self, connection: Connection) -> None:
        # The row stays locked until this transaction ends, so nobody takes it over before that.
        found = connection.execute(
            sa.select(self.table.c.name).where(self._mine).with_for_update()
        ).first()
        if found is None:
            self.lost = self.lost or "another process took it over after it had expired"


@contextmanager
def hold_lease(
    terms: LeaseTerms, target: Target, seconds: float, say: Say, *, where: str, why: str
) -> Iterator[Held]:
    """Hold the row for the length of the block; a thread renews it meanwhile.

    :param where: how messages name the database.
    :param why: why a row and not the lock of a session.
    :raises LockTimeout: another process held it for longer.
    :raises DatabaseUnavailable: the server cannot be reached.
    :raises LockLost: the row could not be renewed and is somebody else's now.
    """
    lease = _Lease(terms, target, where)

    def connected() -> Any:
        return own_connection(target.engine, terms.defaults, autocommit=True)

    try:
        with connected() as connection:
            lease.name = terms.key(connection, target)
            lease.make_table(connection)
            wait(
                lambda at_most: lease.attempt(connection, at_most),
                lambda: lease.holder(connection),
                seconds,
                say,
                where=where,
                bind=target.bind,
            )
    except SQLAlchemyError as error:
        raise terms.unavailable(error, target) from error
    say(Progress("locked", "lock", f'by a row of "{LOCK_TABLE}": {why}', bind=target.bind))
    thread = threading.Thread(target=lease.beat, name="safemigrate-lease", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        lease.let_go()
        lease.done.set()
        thread.join(terms.seconds)
        kept = False
        with suppress(SQLAlchemyError, OSError), connected() as connection:
            kept = lease.release(connection)
    if not kept:
        raise lock_lost(where, lease.lost or "it could not be given back", at_end=True)
