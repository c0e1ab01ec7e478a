"""Whatever stops an SQLite upgrade, the database is at one revision and the next run finishes it.

SAFEMIGRATE_TEST_KILLS sets how many random points are tried (30 where it is not set).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from tests.end_to_end.story import assert_told, tell
from tests.support.projects import Project, ProjectFactory

KILLS = int(os.environ.get("SAFEMIGRATE_TEST_KILLS", "30"))
START = "r04"


def content(database: Path) -> tuple[object, ...]:
    """Schema, rows and version, as the next reader sees them."""
    connection = sqlite3.connect(database)
    try:
        schema = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2"
        ).fetchall()
        rows = [
            connection.execute(f'SELECT rowid, * FROM "{name}" ORDER BY 1').fetchall()
            for kind, name, _, _ in schema
            if kind == "table"
        ]
        whole = connection.execute("PRAGMA integrity_check").fetchall()
        return (schema, rows, whole)
    finally:
        connection.close()


@pytest.fixture
def started(project: ProjectFactory) -> Project:
    p = tell(project(foreign_keys=True))
    assert p.db("safe-upgrade", START, "--yes").returncode == 0
    return p


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_at_any_moment_leaves_before_or_head(
    started: Project, number: signal.Signals
) -> None:
    p = started
    kept = p.path / "kept.db"
    shutil.copyfile(p.database, kept)
    before = content(kept)
    clock = time.perf_counter()
    assert p.db("safe-upgrade", "--yes", "--no-snapshot").returncode == 0
    whole_run = time.perf_counter() - clock
    assert_told(p)
    chance = random.Random(number)
    undone = finished = 0
    for _ in range(KILLS // 3):
        for ending in ("-journal", "-wal", "-shm"):
            Path(f"{p.database}{ending}").unlink(missing_ok=True)
        shutil.copyfile(kept, p.database)
        process = p.start("db", "safe-upgrade", "--yes", "--no-snapshot")
        # Most of a run is imports; aim at the part where the database is at work.
        time.sleep(whole_run * chance.uniform(0.4, 1.05))
        process.send_signal(number)
        process.communicate()
        now = content(p.database)
        if p.heads() == {START}:
            assert now == before
            undone += 1
        else:
            assert now[2] == [("ok",)]
            finished += 1
        again = p.db("safe-upgrade", "--yes", "--no-snapshot")
        assert again.returncode == 0, again.stdout + again.stderr
        assert_told(p)
    assert undone + finished == KILLS // 3
    assert undone > 0


def test_ctrl_c_is_told_in_a_line(started: Project) -> None:
    p = started
    p.revision(
        "r11", "import time\nop.drop_table('pet')\nprint('now', flush=True)\ntime.sleep(30)"
    )
    before = content(p.database)
    process = p.start("db", "safe-upgrade", "--yes", "--no-snapshot")
    assert process.stdout is not None
    while "now" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "is as it was" in " ".join((out + err).split())
    assert "Traceback" not in out + err
    assert content(p.database) == before
