"""``commit()`` of a revision on the run's connection, as a part of the run.

All revisions share one transaction, so that there is nothing to commit before its end. What a
revision may do only after ``commit()`` is served: ``begin()`` begins a savepoint, and an isolation
level is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection


def serve_commits(connection: Connection, running: Callable[[], str | None]) -> Callable[[], None]:
    """Let ``commit()`` of a revision leave the transaction open.

    :param running: the revision whose code runs.
    :return: undoes it.
    """
    committed: str | None = None
    stock = {name: getattr(connection, name) for name in ("commit", "begin", "execution_options")}

    def has_committed() -> bool:
        return committed is not None and committed == running()

    def commit() -> None:
        nonlocal committed
        committed = running()
        if committed is None:
            stock["commit"]()

    def begin() -> Any:
        return connection.begin_nested() if has_committed() else stock["begin"]()

    def execution_options(**options: Any) -> Any:
        if has_committed():
            options.pop("isolation_level", None)
        return stock["execution_options"](**options)

    vars(connection).update(commit=commit, begin=begin, execution_options=execution_options)

    def undo() -> None:
        for name in stock:
            vars(connection).pop(name, None)

    return undo
