"""Whatever stops an upgrade, another run finishes it: nothing is lost and nothing runs twice.

SAFEMIGRATE_TEST_KILLS sets how many random moments are tried a server (3 where it is not set).
``python -m bench.survival kills`` does the same beside plain Flask-Migrate.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from tests.support import forked
from tests.support.kept import Kept
from tests.support.ledger import MIDDLE, audit, content, keep_ledger
from tests.support.projects import Project, ProjectFactory

KILLS = int(os.environ.get("SAFEMIGRATE_TEST_KILLS", "3"))
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
UPGRADE = ("db", "safe-upgrade", "--yes", "--no-snapshot")


@dataclass
class Started:
    """A database in the middle of its history."""

    project: Project
    kept: Kept
    before: object

    @property
    def commits_ddl(self) -> bool:
        return self.project.url.startswith(("mysql", "mariadb"))


@pytest.fixture
def started(project: ProjectFactory, database_url: str) -> Iterator[Started]:
    p = keep_ledger(project, database_url, foreign_keys=True)
    copy = forked.flask(p, "db", "upgrade", MIDDLE)
    assert copy.wait() == 0, copy.said
    with closing(Kept(p.url, p.path.parent)) as kept:
        yield Started(p, kept, content(p.url))


def until(condition: Callable[[], object], copy: forked.Copy) -> None:
    """Wait until it is true or the process has ended."""
    deadline = time.monotonic() + 60
    while not condition() and copy.code is None:
        assert time.monotonic() < deadline, copy.said
        time.sleep(0.001)


def finish(s: Started) -> None:
    """Run the upgrade to its end, and see that every revision ran once."""
    again = forked.flask(s.project, *UPGRADE)
    assert again.wait() == 0, again.said
    assert audit(s.project.url) == []


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_a_revision_undoes_or_names_what_is_in(
    started: Started, number: signal.Signals
) -> None:
    s = started
    copy = forked.flask(s.project, *UPGRADE, env={"FAULT": "stay"})
    until(lambda: "staying" in copy.said, copy)
    copy.send(number)
    code, said = copy.wait(30), " ".join(copy.said.split())
    assert "Traceback" not in said
    if not s.commits_ddl:
        assert content(s.project.url) == s.before
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
    elif s.commits_ddl:
        assert code == 5, said
        assert "'r08' is half applied" in said
    else:
        assert code == 1, said
        assert "Everything was undone" in said
    finish(s)


def test_a_signal_at_any_moment(started: Started) -> None:
    s = started
    chance = random.Random(0)
    for number in itertools.islice(itertools.cycle(SIGNALS), KILLS):
        s.kept.put_back()
        copy = forked.flask(s.project, *UPGRADE)
        until(lambda copy=copy: "applied" in copy.said, copy)
        time.sleep(chance.uniform(0, 0.1))
        copy.send(number)
        copy.wait(30)
        assert "Traceback" not in copy.said
        if not s.commits_ddl and s.project.heads() == {MIDDLE}:
            assert content(s.project.url) == s.before
        finish(s)
