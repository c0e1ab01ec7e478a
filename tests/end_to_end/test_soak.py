"""Up and down again under readers and a writer: nothing is lost, and nobody sees half of it.

SAFEMIGRATE_TEST_SOAK sets how many cycles (2 where it is not set).
"""

from __future__ import annotations

import logging
import os

import pytest

from tests.support import forked
from tests.support.ledger import MIDDLE, keep_ledger
from tests.support.projects import ProjectFactory
from tests.support.servers import Databases
from tests.support.traffic import expected, traffic, written

CYCLES = int(os.environ.get("SAFEMIGRATE_TEST_SOAK", "2"))

#: What docs/servers.rst says that readers may meet.
DOCUMENTED = {"sqlite": set(), "postgresql": {"cached plan must not change result type"}}


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_up_and_down_under_traffic(
    project: ProjectFactory, databases: Databases, dialect: str
) -> None:
    url = None if dialect == "sqlite" else databases.create(dialect)
    p = keep_ledger(project, url, config={"SAFEMIGRATE_LOCK_WAIT": 300})
    if dialect == "sqlite":
        p.execute("PRAGMA journal_mode=WAL")
    copy = forked.flask(p, "db", "safe-upgrade", MIDDLE, "--yes")
    assert copy.wait() == 0, copy.said
    steps = [
        ("db", "safe-upgrade", "--yes", "--no-snapshot"),
        ("db", "safe-downgrade", MIDDLE, "--yes", "--no-snapshot"),
    ]
    with traffic(p.url) as seen:
        for _ in range(CYCLES):
            for step in steps:
                copy = forked.flask(p, *step)
                assert copy.wait(600) == 0, copy.said
    writer, *readers = seen
    logging.getLogger(__name__).info("%d cycles: %s", CYCLES, seen)
    assert [reader.halves for reader in readers] == [[], []]
    assert all(reader.done for reader in readers)
    assert {e for reader in readers for e in reader.errors} <= DOCUMENTED[dialect]
    assert not writer.errors
    assert writer.done
    assert written(p.url) == expected(writer.done)
    assert p.heads() == {MIDDLE}
