"""Copies of databases on which plans are tried."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

import sqlalchemy as sa
from sqlalchemy import Connection

from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Say, Target
from flask_safemigrate.backends.tools import private_folder
from flask_safemigrate.errors import SnapshotFailed


@contextlib.contextmanager
def copied_databases(
    targets: Mapping[str, Target], say: Say
) -> Iterator[Callable[[str], Connection]]:
    """Give a function that connects to the copy of a bind's database; all go at the end."""
    with (
        private_folder() as folder,
        contextlib.ExitStack() as stack,
    ):
        engines: dict[str, sa.Engine] = {}

        def connect(bind: str) -> Connection:
            target = targets[bind]
            copied = folder / f"{len(engines)}.db"
            if bind not in engines:
                backend = backend_for(target.engine)
                if backend.needs(target) is None:
                    raise SnapshotFailed(
                        "A database in memory is not rehearsed on: it is gone when its process"
                        " ends.",
                        hint="name a file in SQLALCHEMY_DATABASE_URI",
                    )
                if backend.read(target).exists:
                    backend.take(target, copied, say)
                url = target.engine.url.set(database=str(copied), query={})
                engines[bind] = sa.create_engine(url, poolclass=sa.NullPool)
                stack.callback(engines[bind].dispose)
            return stack.enter_context(engines[bind].connect())

        yield connect
