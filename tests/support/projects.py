"""A real Flask project on disk: app.py, and migrations/ from Flask-Migrate's own template."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import secrets
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import flask_migrate
from click.testing import Result
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, create_engine, event, text

from tests.support import forked

#: Whether each command starts a Python of its own, as it does for a user.
FRESH = os.environ.get("SAFEMIGRATE_TEST_FRESH", "") not in ("", "0")

APP = """\
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
import sqlalchemy as sa
from {package} import {migrate} as Migrate

db = SQLAlchemy()
migrate = Migrate({arguments})

{models}

{foreign_keys}

def create_app():
    app = Flask(__name__)
    app.config.from_mapping({config})
    db.init_app(app)
    migrate.init_app(app, db)
{after}
    return app


app = create_app()
"""

FOREIGN_KEYS = """\
@sa.event.listens_for(sa.engine.Engine, "connect")
def enforce_foreign_keys(connection, record):
    if type(connection).__module__.startswith("sqlite3"):
        connection.execute("PRAGMA foreign_keys=ON")
"""

REVISION = '''\
"""{message}

Revision ID: {revision}
Revises: {revises}
Create Date: 2024-01-{day:02d} 10:00:00

"""
from alembic import op
import sqlalchemy as sa

revision = {revision!r}
down_revision = {down_revision!r}
branch_labels = {branch_labels!r}
depends_on = {depends_on!r}

'''


@dataclass
class Project:
    """One project in its own folder. `url` is the default bind's, `binds` the others'.

    fresh: its commands start Python, instead of copying a process that has imported the packages.
    """

    path: Path
    url: str
    directory: str
    binds: dict[str, str] = field(default_factory=dict)
    revisions: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    fresh: bool = FRESH
    _apps: list[tuple[Flask, ModuleType]] = field(default_factory=list)
    _processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def versions(self) -> Path:
        return self.path / self.directory / "versions"

    @property
    def database(self) -> Path:
        """The file of a default SQLite bind."""
        prefix = "sqlite:///"
        assert self.url.startswith(prefix), f"{self.url} is not an SQLite file"
        return Path(self.url[len(prefix) :])

    def revision(
        self,
        revision: str,
        upgrade: str | Mapping[str, str] = "pass",
        downgrade: str | Mapping[str, str] = "pass",
        *,
        down: str | tuple[str, ...] | None = "previous",
        message: str = "",
        header: str = "",
        branch_labels: Any = None,
        depends_on: Any = None,
    ) -> Path:
        """Write one revision file; `down` is the revision written last unless given.

        A mapping of bind name ('' is the default bind) to body writes the multi-database form.
        `header` is module-level text placed after the identifiers. Returns the file's path.
        """
        if down == "previous":
            down = self.revisions[-1] if self.revisions else None
        message = message or f"revision {revision}"
        revises = ", ".join(down) if isinstance(down, tuple) else (down or "")
        content = REVISION.format(
            message=message,
            revision=revision,
            revises=revises,
            down_revision=down,
            branch_labels=branch_labels,
            depends_on=depends_on,
            day=min(len(self.revisions) + 1, 28),
        )
        content += textwrap.dedent(header)
        content += _function("upgrade", upgrade) + _function("downgrade", downgrade)
        slug = "".join(c if c.isalnum() else "_" for c in message.lower())[:40]
        file = self.versions / f"{revision}_{slug}.py"
        file.write_text(content, encoding="utf-8")
        self.revisions.append(revision)
        return file

    def flask(
        self,
        *arguments: str,
        input: str | None = None,
        timeout: float = 120,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `flask ARGUMENTS` in a process of its own, in a clean environment."""
        environment = self._environment(env)
        if not self.fresh:
            return forked.run(
                self.path, *arguments, environment=environment, input=input or "", timeout=timeout
            )
        return subprocess.run(
            [sys.executable, "-m", "flask", *arguments],
            cwd=self.path,
            env=environment,
            # Without an answer prepared, a prompt must fail at once instead of waiting.
            input=input if input is not None else "",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def db(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `flask db ARGUMENTS` in a process of its own."""
        return self.flask("db", *arguments, **options)

    def start(
        self, *arguments: str, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start `flask ARGUMENTS` and return at once; the end of the test kills it."""
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", *arguments],
            cwd=self.path,
            env=self._environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def app(self) -> Flask:
        """Import app.py afresh into this process and return its app."""
        name = f"project_{secrets.token_hex(4)}"
        spec = importlib.util.spec_from_file_location(name, self.path / "app.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        self._apps.append((module.app, module))
        return module.app

    def invoke(self, *arguments: str, app: Flask | None = None, **options: Any) -> Result:
        """Run `flask ARGUMENTS` inside this process through click's runner.

        The current directory is the project's while it runs, as it is for a user.
        """
        app = app or self.app()
        before = os.getcwd()
        os.chdir(self.path)
        try:
            return app.test_cli_runner().invoke(args=list(arguments), **options)
        finally:
            os.chdir(before)

    def execute(self, *statements: str, url: str | None = None) -> None:
        """Run SQL in one transaction on the default bind (or `url`)."""
        engine = create_engine(url or self.url)
        try:
            with engine.begin() as connection:
                for statement in statements:
                    connection.exec_driver_sql(statement)
        finally:
            engine.dispose()

    def rows(self, query: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """All rows that `query` answers on the default bind (or `url`)."""
        engine = create_engine(url or self.url)
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(query))]
        finally:
            engine.dispose()

    def heads(self, url: str | None = None) -> set[str]:
        """What alembic_version holds."""
        return {row[0] for row in self.rows("SELECT version_num FROM alembic_version", url)}

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        for app, module in self._apps:
            with app.app_context():
                for engine in app.extensions["sqlalchemy"].engines.values():
                    engine.dispose()
            # What it has put on every engine would stay for those of later tests.
            for listener in filter(callable, vars(module).values()):
                if event.contains(Engine, "connect", listener):
                    event.remove(Engine, "connect", listener)
            sys.modules.pop(module.__name__, None)

    def _environment(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        keep = {"PATH", "HOME", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
        keep |= {"SSL_CERT_FILE", "SSL_CERT_DIR"}
        environment = {key: value for key, value in os.environ.items() if key in keep}
        environment |= {
            "FLASK_APP": "app.py",
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "100",
            "NO_COLOR": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return environment | self.environment | dict(extra or {})


@dataclass
class ProjectFactory:
    """Writes projects under one folder and closes all of them."""

    root: Path
    fresh: bool = FRESH
    _made: list[Project] = field(default_factory=list)

    def __call__(
        self,
        *,
        url: str | None = None,
        binds: Mapping[str, str | None] | None = None,
        multidb: bool | None = None,
        models: str = "",
        revisions: Sequence[tuple[str, str] | tuple[str, str, str]] = (),
        config: Mapping[str, Any] | None = None,
        arguments: str = "",
        safe: bool = True,
        foreign_keys: bool = False,
        directory: str = "migrations",
        after: str = "",
        init: bool = True,
    ) -> Project:
        """Write a project and return it.

        url: of the default bind; an SQLite file `app.db` in the project when not given.
        binds: bind name to URL, or None for an SQLite file `<name>.db`; implies `multidb`.
        models: text placed at module level of app.py, where `db` and `sa` are known.
        revisions: (id, upgrade body[, downgrade body]) in order; `Project.revision` for more.
        arguments: source text handed to `SafeMigrate(...)`.
        safe: False writes plain `flask_migrate.Migrate`.
        foreign_keys: PRAGMA foreign_keys=ON on every SQLite connection of the app.
        after: body text run at the end of `create_app()`, where `app` is known.
        init: False leaves the migrations folder out.
        """
        path = self.root / f"project{len(self._made)}"
        path.mkdir(parents=True)
        url = url or f"sqlite:///{path / 'app.db'}"
        bind_urls = {k: v or f"sqlite:///{path / f'{k}.db'}" for k, v in (binds or {}).items()}
        settings: dict[str, Any] = {"SQLALCHEMY_DATABASE_URI": url}
        if bind_urls:
            settings["SQLALCHEMY_BINDS"] = bind_urls
        project = Project(path, url, directory, bind_urls, fresh=self.fresh)
        self._made.append(project)
        source = APP.format(
            package="flask_safemigrate" if safe else "flask_migrate",
            migrate="SafeMigrate" if safe else "Migrate",
            arguments=arguments
            or (f"directory={directory!r}" if directory != "migrations" else ""),
            models=textwrap.dedent(models).strip(),
            foreign_keys=FOREIGN_KEYS if foreign_keys else "",
            config=repr(settings | dict(config or {})),
            after=textwrap.indent(textwrap.dedent(after).strip(), "    "),
        )
        (path / "app.py").write_text(source, encoding="utf-8")
        if init:
            multidb = bool(bind_urls) if multidb is None else multidb
            _init_migrations(path / directory, multidb=multidb)
        for revision in revisions:
            project.revision(*revision)
        return project

    def close(self) -> None:
        for project in self._made:
            project.close()


def _init_migrations(directory: Path, *, multidb: bool) -> None:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    flask_migrate.Migrate(app, SQLAlchemy(app))
    # Alembic lists every file it writes; a failing test's captured output is for the test.
    with app.app_context(), contextlib.redirect_stdout(io.StringIO()):
        flask_migrate.init(directory=str(directory), multidb=multidb)


def _function(name: str, body: str | Mapping[str, str]) -> str:
    if isinstance(body, str):
        return f"\n\ndef {name}():\n{_block(body)}\n"
    parts = [f"\n\ndef {name}(engine_name):\n    globals()[f'{name}_{{engine_name}}']()\n"]
    parts += [f"\n\ndef {name}_{bind}():\n{_block(text_)}\n" for bind, text_ in body.items()]
    return "".join(parts)


def _block(body: str) -> str:
    return textwrap.indent(textwrap.dedent(body).strip() or "pass", "    ")
