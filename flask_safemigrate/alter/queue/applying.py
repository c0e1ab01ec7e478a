"""Makes queued changes in the scratch database, each by its handler."""

from __future__ import annotations

from typing import Any

from flask_safemigrate.alter import changes
from flask_safemigrate.alter.changes import Origin
from flask_safemigrate.alter.queue.columns import (
    add_column,
    alter_column,
    drop_column,
)
from flask_safemigrate.alter.queue.constraints import (
    add_constraint,
    create_index,
    drop_constraint,
    drop_index,
    name_constraints,
)
from flask_safemigrate.alter.queue.queue import Queue, is_database_error, refused
from flask_safemigrate.alter.queue.tables import (
    create_table,
    drop_table,
    recreate,
    rename_table,
    reorder,
    set_options,
)
from flask_safemigrate.ddl.tokens import DDLError
from flask_safemigrate.errors import SafeMigrateError


def apply(queue: Queue, change: changes.Change, origin: Origin) -> None:
    """Make one change in the scratch database.

    :raises OperationRefused: it cannot be made; the message names revision and operation.
    """
    queue.begin()
    handler: Any = _HANDLERS[type(change)]
    try:
        handler(queue, change, origin)
    except DDLError as error:
        raise refused(origin, error.message, error.hint or _hint(error.message)) from error
    except SafeMigrateError as error:
        if error.message.startswith(("Revision ", origin.operation)):
            raise
        raise refused(origin, error.message, error.hint) from error
    except Exception as error:
        if not is_database_error(error):
            raise
        raise refused(origin, _sentence(str(error))) from error
    queue.close()


def _hint(message: str) -> str | None:
    if 'token: "::' in message:
        return '"::" is PostgreSQL\'s; write CAST(value AS TYPE), which every database knows'
    return None


def _sentence(message: str) -> str:
    return f"SQLite says: {message}"


_HANDLERS: dict[type, Any] = {
    changes.CreateTable: create_table,
    changes.DropTable: drop_table,
    changes.RenameTable: rename_table,
    changes.Recreate: recreate,
    changes.SetOptions: set_options,
    changes.Reorder: reorder,
    changes.AddColumn: add_column,
    changes.DropColumn: drop_column,
    changes.AlterColumn: alter_column,
    changes.AddConstraint: add_constraint,
    changes.DropConstraint: drop_constraint,
    changes.NameConstraints: name_constraints,
    changes.CreateIndex: create_index,
    changes.DropIndex: drop_index,
}
