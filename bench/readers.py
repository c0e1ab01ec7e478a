"""How long readers of PostgreSQL wait while an ALTER of theirs waits for somebody else."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from sqlalchemy import create_engine, text

from bench.harness import TOOLS, project, to_the_middle
from tests.support import forked

_QUEUED = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'account'::regclass"


@contextlib.contextmanager
def _reading(url: str) -> Iterator[list[float]]:
    """Read the table all the time; yields how long each read took, in seconds."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    took: list[float] = []
    done = threading.Event()

    def read() -> None:
        with engine.connect() as connection:
            while not done.wait(0.01):
                begun = time.perf_counter()
                connection.execute(text("SELECT count(*) FROM account"))
                took.append(time.perf_counter() - begun)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield took
    finally:
        done.set()
        thread.join()
        engine.dispose()


def _measured(tool: str, seconds: float, kill: bool) -> tuple[float, str]:
    """The longest read, and what became of the run."""
    with project(tool, "postgresql") as p:
        to_the_middle(p)
        engine = create_engine(p.url)
        with engine.connect() as blocker, _reading(p.url) as took:
            blocker.execute(text("SELECT count(*) FROM account"))
            copy = forked.flask(p, *TOOLS[tool])
            begun = time.monotonic()
            while p.rows(_QUEUED) == [(0,)] and time.monotonic() - begun < seconds:
                time.sleep(0.05)
            if kill:
                copy.process.kill()
                killed = time.monotonic()
                while p.rows(_QUEUED) != [(0,)] and time.monotonic() - killed < seconds:
                    time.sleep(0.05)
                ended = f"queued for {time.monotonic() - killed:.1f} s after SIGKILL"
            else:
                time.sleep(max(seconds - (time.monotonic() - begun), 0))
                ended = ""
            blocker.rollback()
            if not kill:
                ended = f"exit {copy.wait()}"
        engine.dispose()
    return max(took), ended


def show(seconds: float) -> None:
    """Print the longest read beside each tool.

    :param seconds: how long another session keeps its transaction open.
    """
    for kill in (False, True):
        what = "and the upgrade is killed" if kill else "while the upgrade waits"
        print(f"a session keeps the table for {seconds:g} s, {what}:")
        for tool in TOOLS:
            longest, ended = _measured(tool, seconds, kill)
            print(f"  {tool:20} longest read {longest:6.2f} s   {ended}", flush=True)
