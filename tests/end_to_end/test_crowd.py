"""Eight deploys at once: every revision and every hook's effect exactly once, everybody exits 0.

SAFEMIGRATE_TEST_CROWD sets how many processes start together (8 where it is not set).
``python -m bench.survival crowds`` does the same beside plain Flask-Migrate.
"""

from __future__ import annotations

import os

import pytest

from tests.support import forked
from tests.support.ledger import MIDDLE, audit, keep_ledger
from tests.support.projects import ProjectFactory

CROWD = int(os.environ.get("SAFEMIGRATE_TEST_CROWD", "8"))


@pytest.mark.parametrize("start", ["base", MIDDLE])
def test_deploys_at_once(project: ProjectFactory, database_url: str, start: str) -> None:
    p = keep_ledger(project, database_url)
    if start != "base":
        copy = forked.flask(p, "db", "upgrade", start)
        assert copy.wait() == 0, copy.said
    together = forked.crowd_of(CROWD)
    crowd = [
        forked.flask(p, "db", "deploy", "--lock-wait", "120", together=together)
        for _ in range(CROWD)
    ]
    codes = [copy.wait() for copy in crowd]
    assert codes == [0] * CROWD, "\n".join(copy.said for copy in crowd)
    assert audit(p.url, deploys=CROWD) == []
