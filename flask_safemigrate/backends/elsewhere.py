"""Another database than the application's, which a snapshot may go into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.errors import DatabaseUnavailable, UsageError
from flask_safemigrate.facts.database import UNFINISHED_KINDS


@contextmanager
def empty_database(
    target: Target, name: str, connect_args: Mapping[str, Any] | None
) -> Iterator[Target]:
    """Give a database beside the application's, by the same address and user.

    :param name: of the database on the same server, or the path of an SQLite file.
    :param connect_args: what the application hands to its driver.
    :raises UsageError: it is the application's own, or not empty.
    :raises DatabaseUnavailable: it cannot be reached.
    """
    quote = target.engine.dialect.identifier_preparer.quote
    sqlite = target.engine.dialect.name == "sqlite"
    url = target.engine.url.set(database=str(Path(name).absolute()) if sqlite else name, query={})
    if not sqlite:
        url = url.set(query=target.engine.url.query)
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=dict(connect_args or {}))
    other = target._replace(engine=engine, configured="")
    try:
        backend = backend_for(engine)
        state, own = backend.read(other), backend.read(target)
        if state.unreachable is not None:
            hint = state.unreachable.hint
            if state.unreachable.kind == "missing database":
                hint = f"CREATE DATABASE {quote(name)}"
            elif state.unreachable.kind in UNFINISHED_KINDS:
                hint = f"DROP DATABASE {quote(name)}; CREATE DATABASE {quote(name)};"
            raise DatabaseUnavailable(
                state.unreachable.message, kind=state.unreachable.kind, hint=hint
            )
        if state.location == own.location:
            raise UsageError(
                f"{state.location} is the application's own database.",
                hint="flask db restore ID, without --into",
            )
        found = backend.contents(other) if state.exists else ()
        if found:
            shown = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if found[5:] else "")
            raise UsageError(
                f"{state.location} is not empty. It has {shown}.",
                hint="name a database that is empty; restore --into never removes anything",
            )
        yield other
    finally:
        engine.dispose()
