"""Processes that read and write a database while it migrates."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends.driver_errors import text_of
from tests.support.forked import CONTEXT

_FIRST_OWN = 1_000_000  # ids of rows that writers make begin here

# One statement sees one moment.
_LOOK = text(
    "SELECT (SELECT version_num FROM alembic_version), (SELECT count(*) FROM ledger),"
    " (SELECT count(*) FROM account WHERE id < :own)"
)
_NAMES = text("SELECT id, name, cents FROM account WHERE id < :own")


@dataclass
class Seen:
    """What one process did and met.

    :ivar done: reads, or rows that were committed.
    :ivar errors: of the driver, by its words.
    :ivar halves: states that are no revision's.
    """

    done: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    halves: list[str] = field(default_factory=list)


@contextlib.contextmanager
def traffic(url: str) -> Iterator[list[Seen]]:
    """Let two processes read and one write; at the end the list has what they saw, in the order
    writer, reader in transactions, reader that keeps its statements prepared.

    The database is one of `tests.support.ledger`.
    """
    stop, results = CONTEXT.Event(), CONTEXT.Queue()
    seen: list[Seen] = []
    works = [_write, _read, _read_prepared]
    processes = [CONTEXT.Process(target=w, args=(url, stop, results), daemon=True) for w in works]
    for process in processes:
        process.start()
    begun = [results.get(timeout=60) for _ in processes]
    assert begun == [None] * len(processes)
    try:
        yield seen
    finally:
        stop.set()
        found = dict(results.get(timeout=60) for _ in processes)
        for process in processes:
            process.join(60)
            seen.append(found[process.pid])


def written(url: str) -> list[tuple[int, str]]:
    """The rows that the writer made, which must be all that it committed."""
    engine = create_engine(url)
    with engine.connect() as connection:
        query = text("SELECT id, name FROM account WHERE id >= :own ORDER BY id")
        rows = [(row.id, row.name) for row in connection.execute(query, {"own": _FIRST_OWN})]
    engine.dispose()
    return rows


def expected(count: int) -> list[tuple[int, str]]:
    """The rows that so many commits make."""
    return [(_FIRST_OWN + n, f"w{n}") for n in range(count)]


def _engine(url: str) -> Engine:
    # A writer of SQLite waits for the whole upgrade.
    sqlite = make_url(url).get_backend_name() == "sqlite"
    return create_engine(url, connect_args={"timeout": 120} if sqlite else {})


def _read(url: str, stop: Event, results: Queue[object]) -> None:
    _read_by(_engine(url), stop, results)


def _read_prepared(url: str, stop: Event, results: Queue[object]) -> None:
    # psycopg forgets what it has prepared at every ROLLBACK, which a pool ends its uses with.
    _read_by(_engine(url).execution_options(isolation_level="AUTOCOMMIT"), stop, results)


def _read_by(engine: Engine, stop: Event, results: Queue[object]) -> None:
    seen = Seen()
    results.put(None)
    while not stop.wait(0.01):
        try:
            with engine.connect() as connection:
                version, entries, accounts = connection.execute(_LOOK, {"own": _FIRST_OWN}).one()
                rows = connection.execute(_NAMES, {"own": _FIRST_OWN}).all()
        except SQLAlchemyError as error:
            seen.errors[text_of(error)] += 1
            continue
        seen.done += 1
        if entries != int(version[1:]) or accounts != 200 or len(rows) != 200:
            seen.halves.append(f"{version}: {entries} entries, {accounts} accounts, {len(rows)}")
    results.put((os.getpid(), seen))


def _write(url: str, stop: Event, results: Queue[object]) -> None:
    seen, engine = Seen(), _engine(url)
    insert = text("INSERT INTO account (id, name, cents) VALUES (:id, :name, 100)")
    results.put(None)
    while not stop.wait(0.005):
        row = {"id": _FIRST_OWN + seen.done, "name": f"w{seen.done}"}
        try:
            with engine.begin() as connection:
                connection.execute(insert, row)
        except SQLAlchemyError as error:
            seen.errors[text_of(error)] += 1
            continue
        seen.done += 1
    results.put((os.getpid(), seen))
