"""Reading, locking, copying and checking databases, one folder a dialect."""

from __future__ import annotations

from importlib import import_module

from sqlalchemy import Engine

from flask_safemigrate.backends.contract import Backend
from flask_safemigrate.errors import Refused

#: Dialect name of SQLAlchemy -> folder.
_FOLDERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
}


def is_served(engine: Engine) -> bool:
    """Whether there are verbs for an engine's dialect."""
    return engine.dialect.name in _FOLDERS


def backend_for(engine: Engine) -> Backend:
    """Return the verbs for an engine's dialect; only that dialect's folder is imported.

    :raises Refused: a dialect or an asynchronous driver that we do not serve.
    """
    name = engine.dialect.name
    if not is_served(engine):
        raise Refused(
            f"Databases of kind '{name}' are not served, only SQLite, PostgreSQL, MySQL and "
            "MariaDB.",
            hint="flask db upgrade (Flask-Migrate's own command)",
        )
    if engine.dialect.is_async:
        raise Refused(
            f"The driver '{engine.dialect.driver}' is asynchronous, which is not served.",
            hint="use a synchronous driver for migrations, such as psycopg, pymysql or sqlite3",
        )
    backend: Backend = import_module(f"flask_safemigrate.backends.{_FOLDERS[name]}").BACKEND
    return backend
