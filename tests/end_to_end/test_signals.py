"""A signal at any stage: what was begun is undone or finished, and the message says which.

Signals in revisions are in test_kill.py, those to who waits and to hooks in test_failures.py.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import forked
from tests.support.ledger import MIDDLE, content, keep_ledger
from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases
from tests.support.sql import script


def started(project: ProjectFactory, url: str | None = None) -> Project:
    p = keep_ledger(project, url)
    copy = forked.flask(p, "db", "upgrade", MIDDLE)
    assert copy.wait() == 0, copy.said
    return p


def until(condition: Callable[[], object], copy: forked.Copy) -> None:
    """Wait until it is true; the process must not end before."""
    deadline = time.monotonic() + 60
    while not condition():
        assert copy.code is None, copy.said
        assert time.monotonic() < deadline, copy.said
        time.sleep(0.005)


def stop(copy: forked.Copy, number: signal.Signals) -> str:
    """Send a signal, and once more at once, as the impatient do; return what it said."""
    copy.send(number)
    copy.send(number)
    assert copy.wait(60) == 1, copy.said
    assert "Traceback" not in copy.said
    return " ".join(copy.said.split())


def is_running(pid: int) -> bool:
    # A process that has ended and was not waited for is there, but has no command line.
    place = Path(f"/proc/{pid}/cmdline")
    return place.exists() and place.read_bytes() != b""


@pytest.mark.parametrize(
    ("command", "number"),
    [(("deploy", "--snapshot"), signal.SIGTERM), (("snapshot",), signal.SIGINT)],
)
def test_while_a_dump_is_written(
    project: ProjectFactory,
    databases: Databases,
    tmp_path: Path,
    command: tuple[str, ...],
    number: signal.Signals,
) -> None:
    p = started(project, databases.create("postgresql"))
    before = content(p.url)
    noted = tmp_path / "dumping"
    real = "case $1 in --version) PATH=$REAL exec pg_dump --version;; esac"
    script(tmp_path / "bin", "pg_dump", f"{real}\necho $$ > {noted}\nexec sleep 60")
    path = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "REAL": os.environ["PATH"]}
    copy = forked.flask(p, "db", *command, env=path)
    until(lambda: noted.exists() and noted.read_text().strip(), copy)
    said = stop(copy, number)
    assert "Stopped by" in said
    assert "was undone" in said or "is no snapshot" in said
    assert not is_running(int(noted.read_text()))
    left = [each.name for each in (p.path / "instance" / ".safemigrate").iterdir()]
    assert not [name for name in left if "dump" in name or name.endswith(".json")]
    assert content(p.url) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_a_snapshot_is_put_back(project: ProjectFactory, number: signal.Signals) -> None:
    p = started(project)
    copy = forked.flask(p, "db", "snapshot")
    assert copy.wait() == 0, copy.said
    (snapshot,) = (path.stem for path in (p.path / ".safemigrate").glob("*.db"))
    p.execute("DELETE FROM visit")
    before = content(p.url)
    with closing(sqlite3.connect(p.database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM account").fetchone()
        copy = forked.flask(p, "db", "restore", "--yes")
        until(lambda: "waiting" in copy.said, copy)
        said = stop(copy, number)
    assert "The database is as it was, or as the snapshot is." in said
    assert f"flask db restore {snapshot}" in said
    assert content(p.url) == before
    again = forked.flask(p, "db", "restore", snapshot, "--yes")
    assert again.wait() == 0, again.said
    assert p.rows("SELECT count(*) FROM visit") == [(200,)]
