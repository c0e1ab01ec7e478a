"""Eight deploys at once: every revision runs once, everybody exits 0.

SAFEMIGRATE_TEST_CROWD sets how many processes start together (8 where it is not set).
"""

from __future__ import annotations

import os

from tests.end_to_end.story import assert_told, tell
from tests.support.projects import ProjectFactory

CROWD = int(os.environ.get("SAFEMIGRATE_TEST_CROWD", "8"))


def test_deploys_at_once_on_a_fresh_database(project: ProjectFactory, database_url: str) -> None:
    p = tell(project(url=database_url))
    crowd = [p.start("db", "deploy", "--lock-wait", "120") for _ in range(CROWD)]
    said = [process.communicate(timeout=240) for process in crowd]
    codes = [process.returncode for process in crowd]
    assert codes == [0] * CROWD, "\n".join(out + err for out, err in said)
    assert_told(p)


def test_deploys_at_once_in_the_middle_of_the_history(
    project: ProjectFactory, database_url: str
) -> None:
    p = project(
        url=database_url,
        after="""
        @migrate.on_deploy
        def count():
            with db.engine.begin() as connection:
                connection.execute(sa.text("INSERT INTO visits (n) VALUES (1)"))
        """,
    )
    tell(p)
    p.revision("r11", "op.create_table('visits', sa.Column('n', sa.Integer))")
    p.revisions.remove("r11")
    assert p.db("safe-upgrade", "r06", "--yes").returncode == 0
    crowd = [p.start("db", "deploy", "--lock-wait", "120") for _ in range(CROWD)]
    said = [process.communicate(timeout=240) for process in crowd]
    codes = [process.returncode for process in crowd]
    assert codes == [0] * CROWD, "\n".join(out + err for out, err in said)
    assert p.heads() == {"r11"}
    assert p.rows("SELECT count(*) FROM pet") == [(400,)]
    assert p.rows("SELECT count(*) FROM visits") == [(CROWD,)]
