"""The state of a database, kept to be put back many times."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from tests.support.servers import dialect_of


@dataclass
class Kept:
    """What a database was when this was made; `close` removes what the servers keep of it."""

    url: str
    folder: Path

    def __post_init__(self) -> None:
        self._url = make_url(self.url)
        self._name = str(self._url.database)
        self._dialect = dialect_of(self._url)
        # No connection may be open to a database that is a template.
        self._admin = create_engine(
            self._url.set(database="mysql" if self._dialect == "mysql" else "postgres"),
            isolation_level="AUTOCOMMIT",
        )
        if self._dialect == "sqlite":
            Path(self._name).touch()
            shutil.copyfile(self._name, self._file)
        elif self._dialect == "postgresql":
            self._run(f"CREATE DATABASE {self._name}_kept TEMPLATE {self._name}")
        else:
            with self._file.open("wb") as file:
                subprocess.run(["mariadb-dump", *self._options], stdout=file, check=True)

    def put_back(self) -> None:
        """Make the database what it was; whoever is still connected loses it."""
        if self._dialect == "sqlite":
            for ending in ("-journal", "-wal", "-shm"):
                Path(f"{self._name}{ending}").unlink(missing_ok=True)
            shutil.copyfile(self._file, self._name)
        elif self._dialect == "postgresql":
            self._run(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")
            self._run(f"CREATE DATABASE {self._name} TEMPLATE {self._name}_kept")
        else:
            self._end_sessions()
            self._run(f"DROP DATABASE {self._name}")
            self._run(f"CREATE DATABASE {self._name}")
            with self._file.open("rb") as file:
                subprocess.run(["mariadb", *self._options], stdin=file, check=True)

    def close(self) -> None:
        if self._dialect == "postgresql":
            self._run(f"DROP DATABASE IF EXISTS {self._name}_kept WITH (FORCE)")
        self._admin.dispose()

    @property
    def _file(self) -> Path:
        return self.folder / f"{Path(self._name).name}.kept"

    @property
    def _options(self) -> list[str]:
        url = self._url
        return [
            f"--host={url.host}",
            f"--port={url.port or 3306}",
            f"--user={url.username}",
            *([f"--password={url.password}"] if url.password else []),
            self._name,
        ]

    def _end_sessions(self) -> None:
        with self._admin.connect() as connection:
            found = connection.execute(
                text("SELECT id FROM information_schema.processlist WHERE db = :name"),
                {"name": self._name},
            )
            for (session,) in found.all():
                with contextlib.suppress(OperationalError):  # it has ended meanwhile
                    connection.execute(text(f"KILL {session}"))

    def _run(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(text(statement))
