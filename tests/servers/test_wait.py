"""``deploy --wait``: a server that comes up is waited for, what waiting cannot mend is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from sqlalchemy.engine import make_url

from tests.support import forked
from tests.support.fake_servers import mysql_refusal, postgresql_refusal
from tests.support.gate import gate
from tests.support.projects import ProjectFactory
from tests.support.servers import Databases

FIRST = ("a1", "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))")
STARTING: dict[str, Callable[[], AbstractContextManager[int]]] = {
    "postgresql": lambda: postgresql_refusal("57P03", "the database system is starting up"),
    "mysql": lambda: mysql_refusal(1040, "Too many connections"),
}
WRONG_PASSWORD: dict[str, Callable[[], AbstractContextManager[int]]] = {
    "postgresql": lambda: postgresql_refusal("28P01", "password authentication failed"),
    "mysql": lambda: mysql_refusal(1045, "Access denied for user 'root'@'localhost'"),
}


def until(condition: Callable[[], object], copy: forked.Copy) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert copy.code is None, copy.said
        assert time.monotonic() < deadline, copy.said
        time.sleep(0.01)


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
def test_a_server_that_comes_up(
    project: ProjectFactory, databases: Databases, dialect: str
) -> None:
    real = make_url(databases.create(dialect))
    with gate() as front, STARTING[dialect]() as starting:
        url = real.set(port=front.port).render_as_string(hide_password=False)
        p = project(url=url, revisions=[FIRST])
        copy = forked.flask(p, "db", "deploy", "--wait", "120")
        until(lambda: "waiting" in copy.said, copy)
        front.lead_to(starting)
        # It comes again to a server that is starting.
        until(lambda: front.passed >= 3, copy)
        front.lead_to(real.port or 0)
        assert copy.wait(120) == 0, copy.said
        assert p.heads(real.render_as_string(hide_password=False)) == {"a1"}


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
def test_what_waiting_cannot_mend_fails_at_once(
    project: ProjectFactory, databases: Databases, dialect: str
) -> None:
    real = make_url(databases.create(dialect))
    missing = real.set(database=f"{real.database}_no")
    with WRONG_PASSWORD[dialect]() as port:
        for url, says in (
            (missing, f"{real.database}_no"),
            (real.set(port=port, password="secret-word"), "password"),
        ):
            p = project(url=url.render_as_string(hide_password=False), revisions=[FIRST])
            copy = forked.flask(p, "db", "deploy", "--wait", "600")
            assert copy.wait(60) == 4, copy.said
            assert "waiting" not in copy.said
            assert says in copy.said
            assert "secret-word" not in copy.said
            assert "Traceback" not in copy.said


def test_a_server_that_stays_away(project: ProjectFactory) -> None:
    with gate() as front:
        url = f"postgresql+psycopg://u@127.0.0.1:{front.port}/shop"
        p = project(url=url, revisions=[FIRST])
        copy = forked.flask(p, "db", "deploy", "--wait", "1")
        assert copy.wait(60) == 4, copy.said
    assert "waiting" in copy.said
    assert "Traceback" not in copy.said
