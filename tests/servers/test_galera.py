"""Eight deploys over the three nodes of a real Galera cluster, which the test starts itself."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.errors import LockTimeout
from flask_safemigrate.outcome import Progress
from tests.end_to_end.story import assert_told, tell
from tests.support import forked
from tests.support.galera import cluster, missing
from tests.support.ledger import audit, keep_ledger
from tests.support.projects import Project, ProjectFactory

# One cluster for all of them.
pytestmark = pytest.mark.xdist_group("galera")

CROWD = 8

HOOKS = """
@migrate.on_deploy
def count():
    with db.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO visits (n) VALUES (1)"))
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[str]]:
    if reason := missing():
        pytest.skip(reason)
    with cluster() as urls:
        yield urls


@pytest.fixture
def urls(nodes: list[str]) -> list[str]:
    return database(nodes)


def database(nodes: list[str]) -> list[str]:
    """One new database, by the address of each node."""
    name = f"sm_{secrets.token_hex(6)}"
    engine = create_engine(nodes[0])
    with engine.begin() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return [f"{url}/{name}" for url in nodes]


def deploy_everywhere(projects: list[Project]) -> None:
    crowd = [
        projects[number % len(projects)].start("db", "deploy", "--lock-wait", "120")
        for number in range(CROWD)
    ]
    said = [process.communicate(timeout=240) for process in crowd]
    assert [process.returncode for process in crowd] == [0] * CROWD, "\n".join(
        out + err for out, err in said
    )


def test_a_session_lock_reaches_one_node_and_a_row_all(urls: list[str]) -> None:
    engines = [create_engine(url) for url in urls]
    told: list[Progress] = []
    first, second, _ = (Target("", engine) for engine in engines)
    lock = backend_for(engines[0]).lock
    with lock(first, 0, told.append, "session"), lock(second, 0, told.append, "session"):
        pass
    assert told == []
    with lock(first, 0, told.append), pytest.raises(LockTimeout), lock(second, 1, told.append):
        pytest.fail("two held the lock")
    assert "one of 3 in a Galera cluster" in told[0].text
    for engine in engines:
        engine.dispose()


def test_a_session_lock_does_not_hold_a_crowd_together(
    project: ProjectFactory, nodes: list[str]
) -> None:
    """What the other tests prove can fail."""
    for _ in range(3):
        urls = database(nodes)
        projects = [
            keep_ledger(project, url, config={"SAFEMIGRATE_LOCK": "session"}) for url in urls
        ]
        together = forked.crowd_of(len(projects))
        crowd = [forked.flask(p, "db", "deploy", together=together) for p in projects]
        codes = [copy.wait() for copy in crowd]
        try:
            wrong = audit(urls[0], deploys=len(projects))
        except SQLAlchemyError as error:
            wrong = [str(error)]
        logging.getLogger(__name__).info("exit codes %s; %s", codes, wrong)
        if any(codes) or wrong:
            return
    pytest.fail("nothing broke")


def test_deploys_on_all_nodes_of_a_fresh_database(
    project: ProjectFactory, urls: list[str]
) -> None:
    projects = [tell(project(url=url)) for url in urls]
    deploy_everywhere(projects)
    for p in projects:
        assert_told(p)


def test_deploys_on_all_nodes_in_the_middle_of_the_history(
    project: ProjectFactory, urls: list[str]
) -> None:
    projects = [tell(project(url=url, after=HOOKS)) for url in urls]
    for p in projects:
        p.revision("r11", "op.create_table('visits', sa.Column('n', sa.Integer))")
    assert projects[0].db("safe-upgrade", "r06", "--yes").returncode == 0
    deploy_everywhere(projects)
    for p in projects:
        assert p.heads() == {"r11"}
        assert p.rows("SELECT count(*) FROM pet") == [(400,)]
        assert p.rows("SELECT count(*) FROM visits") == [(CROWD,)]
        noted = p.rows("SELECT subject FROM safemigrate_journal WHERE kind = 'revision'")
        assert sorted(noted) == [(f"r{number:02d}",) for number in range(1, 12)]
