"""``op`` for one run: ``batch_alter_table`` hands all its options to the implementation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from alembic.operations import Operations
from alembic.operations.base import BatchOperations
from alembic.operations.batch import BatchOperationsImpl
from alembic.runtime.migration import MigrationContext


class _Batch(BatchOperationsImpl):
    """Collects the operations of a block, as Alembic's own does, and then passes them on."""

    def add_column(self, *arg: Any, **kw: Any) -> None:
        self.batch.append(("add_column", arg, kw))

    def create_column_comment(self, column: Any) -> None:
        """SQLite keeps no comments."""

    def drop_constraint(self, const: Any, **kw: Any) -> None:
        self.batch.append(("drop_constraint", (const,), kw))

    def flush(self) -> None:
        impl: Any = self.operations.impl
        impl.apply_batch(self)


def operations(context: MigrationContext) -> Operations:
    """The operations that a migration's ``op`` stands for during the run."""
    made = Operations(context)
    make: Any = _Batch

    @contextlib.contextmanager
    def batch_alter_table(
        table_name: str,
        schema: str | None = None,
        recreate: Any = "auto",
        partial_reordering: Any = None,
        copy_from: Any = None,
        table_args: tuple[Any, ...] = (),
        table_kwargs: Any = None,
        reflect_args: tuple[Any, ...] = (),
        reflect_kwargs: Any = None,
        naming_convention: dict[str, str] | None = None,
    ) -> Iterator[BatchOperations]:
        batch = make(
            made,
            table_name,
            schema,
            recreate,
            copy_from,
            table_args,
            table_kwargs or {},
            reflect_args,
            reflect_kwargs or {},
            naming_convention,
            partial_reordering,
        )
        yield BatchOperations(context, impl=batch)
        batch.flush()

    # An instance attribute, because Alembic finds the names of its ``op`` proxy by class.
    setattr(made, "batch_alter_table", batch_alter_table)  # noqa: B010
    return made
