"""What stops a process of `flask` at one of its SQLite statements, from inside."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Bytes from the start of any file that can be written still when the disk is full: what the
#: process says goes to a file too.
_SAID = 16 * 1024


def note_statements(folder: Path, log: Path) -> None:
    """Write every statement on a database file in the folder into a log, one a line."""
    _before_each(folder, log, lambda number: None)


def kill_before(folder: Path, log: Path, stop: int) -> None:
    """End the process by SIGKILL just before a statement, counted from 0."""

    def kill(number: int) -> None:
        if number == stop:
            os.kill(os.getpid(), signal.SIGKILL)

    _before_each(folder, log, kill)


def fill_before(folder: Path, log: Path, stop: int) -> None:
    """Let nothing be written from a statement on, by the system's limit of a file's size."""

    def fill(number: int) -> None:
        if number == stop:
            _limit(_SAID)

    _before_each(folder, log, fill)


def limit_files(size: int) -> None:
    """Let no file grow beyond so many bytes: a write that would fails."""
    _limit(size)


def kill_beyond(size: int) -> None:
    """End the process in the middle of the write that makes a file larger than so many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    _limit(size)


def _limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _before_each(folder: Path, log: Path, act: Callable[[int], None]) -> None:
    """Call for each statement that SQLite is about to begin, whoever has it run.

    SQLite itself tells of each (https://sqlite.org/c3ref/trace_v2.html), so BEGIN and COMMIT by
    methods of the driver count as well. It tells once more whenever a statement fires a trigger,
    which is a moment in the middle of that statement.
    """
    connect = sqlite3.connect
    seen = [0]
    note = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_WRONLY)

    def trace(sql: str) -> None:
        act(seen[0])
        seen[0] += 1
        os.write(note, (" ".join(sql.split())[:200] + "\n").encode())

    def traced(database: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(database, *arguments, **options)
        if str(folder) in str(database):
            connection.set_trace_callback(trace)
        return connection

    sqlite3.connect = sqlite3.dbapi2.connect = traced
