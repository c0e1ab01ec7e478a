"""SQLite files and child processes for the tests of the backend."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.engine import URL

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.outcome import Progress

NOBODY = 65534


def target_of(path: Path, **options: object) -> Target:
    """The target of a file, as Flask-SQLAlchemy would connect to it."""
    return Target("", create_engine(URL.create("sqlite", database=str(path))), **options)


def make(path: Path, rows: int = 3, *, wal: bool = False, width: int = 10) -> Path:
    """Write a database with two tables, a version table and some rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    if wal:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(
        "CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT);"
        "CREATE TABLE book (id INTEGER PRIMARY KEY, author_id INTEGER REFERENCES author);"
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);"
        "INSERT INTO alembic_version VALUES ('a1');"
    )
    connection.executemany(
        "INSERT INTO author (name) VALUES (?)", (("x" * width,) for _ in range(rows))
    )
    connection.commit()
    connection.close()
    return path


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Rows of a query, by a connection of its own."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def names_in(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(os.listdir(folder))


class News(list[Progress]):
    """Collects what is said."""

    def __call__(self, progress: Progress) -> None:
        self.append(progress)

    def stages(self) -> set[str]:
        return {progress.stage for progress in self}


def python(code: str, *arguments: object, stdin: int | None = None) -> subprocess.Popen[str]:
    """Start Python code in a process of its own; its arguments are in sys.argv[1:]."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def as_nobody(work: Callable[[], str]) -> str:
    """Run a function in a child process that is not root; return its answer."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            answer = work()
        except BaseException:
            answer = traceback.format_exc()
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer
