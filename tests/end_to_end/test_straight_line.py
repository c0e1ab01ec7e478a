"""safe-upgrade, deploy, reset, snapshot and restore as a user runs them, on every database."""

from __future__ import annotations

import json

import pytest

from tests.end_to_end.story import HEAD, assert_told, tell
from tests.support.projects import ProjectFactory


@pytest.fixture(autouse=True)
def _start_python(project: ProjectFactory) -> None:
    """No command may need a module that only another one has imported."""
    project.fresh = True


def test_safe_upgrade_goes_to_head_and_then_has_nothing_to_do(
    project: ProjectFactory, database_url: str
) -> None:
    p = tell(project(url=database_url))
    first = p.db("safe-upgrade", "--yes")
    assert first.returncode == 0, first.stdout + first.stderr
    assert_told(p)
    assert HEAD in first.stdout
    second = p.db("safe-upgrade", "--yes")
    assert second.returncode == 0
    assert "othing to do" in second.stdout
    assert_told(p)


def test_safe_upgrade_stops_at_a_named_revision(
    project: ProjectFactory, database_url: str
) -> None:
    p = tell(project(url=database_url))
    done = p.db("safe-upgrade", "r05", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert p.heads() == {"r05"}
    rest = p.db("safe-upgrade", "+2", "--yes")
    assert rest.returncode == 0, rest.stdout + rest.stderr
    assert p.heads() == {"r07"}


def test_safe_downgrade_goes_back(project: ProjectFactory, database_url: str) -> None:
    p = tell(project(url=database_url))
    assert p.db("safe-upgrade", "--yes").returncode == 0
    down = p.db("safe-downgrade", "r08", "--yes")
    assert down.returncode == 0, down.stdout + down.stderr
    assert p.heads() == {"r08"}
    said = down.stdout + down.stderr
    assert 'Column "born" of table "pet" goes: a value in 400 rows.' in said
    assert p.rows("SELECT count(*) FROM pet") == [(400,)]
    again = p.db("safe-upgrade", "--yes")
    assert again.returncode == 0, again.stdout + again.stderr
    assert p.heads() == {HEAD}


def test_status_tells_pending_and_check_fails_while_behind(
    project: ProjectFactory, database_url: str
) -> None:
    p = tell(project(url=database_url))
    assert p.db("safe-upgrade", "r08", "--yes").returncode == 0
    said = p.db("status")
    assert said.returncode == 0, said.stdout + said.stderr
    assert "r09" in said.stdout
    assert "step r10" in said.stdout
    assert p.db("status", "--check").returncode == 1
    document = json.loads(p.db("status", "--format", "json").stdout)
    assert [step["id"] for step in document["plans"][0]["steps"]] == ["r09", "r10"]
    assert p.db("safe-upgrade", "--yes").returncode == 0
    assert p.db("status", "--check").returncode == 0


def test_deploy_twice_changes_the_schema_once_and_runs_hooks_each_time(
    project: ProjectFactory, database_url: str
) -> None:
    p = project(
        url=database_url,
        after="""
        @migrate.on_deploy
        def insert_roles():
            with db.engine.begin() as connection:
                connection.execute(sa.text("INSERT INTO owner (id, name) SELECT 900, 'role' FROM"
                    " (SELECT count(*) AS n FROM owner WHERE id = 900) AS x WHERE n = 0"))
        """,
        config={"SAFEMIGRATE_ENVIRONMENT": "staging"},
    )
    tell(p)
    first = p.db("deploy")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "insert_roles" in first.stdout
    second = p.db("deploy")
    assert second.returncode == 0, second.stdout + second.stderr
    assert p.rows("SELECT count(*) FROM owner") == [(201,)]
    revisions = p.rows("SELECT count(*) FROM safemigrate_journal WHERE kind = 'revision'")
    assert revisions == [(10,)]
    assert p.rows("SELECT DISTINCT environment FROM safemigrate_journal WHERE kind='deploy'") == [
        ("staging",)
    ]


def test_a_failing_hook_is_named_and_exits_1(project: ProjectFactory, database_url: str) -> None:
    p = project(
        url=database_url,
        after="""
        @migrate.on_deploy
        def insert_roles():
            raise ValueError("no roles today")
        """,
    )
    tell(p)
    done = p.db("deploy")
    assert done.returncode == 1
    assert "insert_roles" in done.stdout + done.stderr
    assert "no roles today" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert p.heads() == {HEAD}


def test_reset_drops_what_no_model_knows_and_rebuilds(
    project: ProjectFactory, database_url: str
) -> None:
    p = project(
        url=database_url,
        after="""
        @migrate.on_seed
        def seed():
            with db.engine.begin() as connection:
                connection.execute(sa.text("INSERT INTO owner (id, name) VALUES (999, 'seed')"))
        """,
    )
    tell(p)
    assert p.db("safe-upgrade", "--yes").returncode == 0
    p.execute("CREATE TABLE foreign_to_models (id INTEGER)", "DELETE FROM pet")
    p.execute("CREATE VIEW seen AS SELECT id FROM owner")
    refused = p.db("reset", "--yes")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "debug" in refused.stdout + refused.stderr
    done = p.flask("--debug", "db", "reset", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert p.rows("SELECT count(*) FROM pet") == [(400,)]
    assert p.rows("SELECT count(*) FROM owner") == [(201,)]
    tables = p.flask("--debug", "db", "status", "--format", "json").stdout
    names = {t["name"] for t in json.loads(tables)["databases"][0]["tables"]}
    assert names == {"owner", "pet"}


def test_reset_refuses_what_was_deployed_as_production(
    project: ProjectFactory, database_url: str
) -> None:
    p = tell(project(url=database_url, config={"SAFEMIGRATE_ENVIRONMENT": "production"}))
    assert p.db("deploy").returncode == 0
    done = p.flask("--debug", "db", "reset", "--yes")
    assert done.returncode == 3
    assert "production" in done.stdout + done.stderr
    assert_told(p)


def test_snapshot_and_restore_bring_rows_and_revision_back(
    project: ProjectFactory, database_url: str
) -> None:
    p = tell(project(url=database_url, config={"SAFEMIGRATE_ALLOW_RESET": "1"}))
    assert p.db("safe-upgrade", "r08", "--yes").returncode == 0
    taken = p.db("snapshot")
    assert taken.returncode == 0, taken.stdout + taken.stderr
    assert p.db("safe-upgrade", "--yes").returncode == 0
    p.execute("DELETE FROM pet")
    listed = json.loads(p.db("snapshots", "--format", "json").stdout)["snapshots"]
    by_hand = [s for s in listed if s["why"] == "by hand"]
    assert by_hand, listed
    back = p.db("restore", by_hand[0]["id"], "--yes")
    assert back.returncode == 0, back.stdout + back.stderr
    assert p.heads() == {"r08"}
    assert p.rows("SELECT count(*) FROM pet") == [(400,)]
    assert p.db("safe-upgrade", "--yes").returncode == 0
    assert p.heads() == {HEAD}


def test_a_failing_revision_leaves_everything_as_it_was(
    project: ProjectFactory, databases: object
) -> None:
    p = tell(project())
    p.revision("r11", "op.drop_table('pet')\nraise RuntimeError('stop here')")
    assert p.db("safe-upgrade", "r09", "--yes").returncode == 0
    before = p.rows("SELECT type, name, sql FROM sqlite_master ORDER BY name")
    done = p.db("safe-upgrade", "--yes")
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "'r11'" in said
    assert "stop here" in said
    assert "line" in said
    assert "Traceback" not in said
    assert p.heads() == {"r09"}
    assert p.rows("SELECT type, name, sql FROM sqlite_master ORDER BY name") == before
    assert p.rows("SELECT count(*) FROM pet") == [(400,)]


def test_a_migration_reads_the_revision_before_it(project: ProjectFactory) -> None:
    p = project()
    p.revision("a1", "op.create_table('seen', sa.Column('revision', sa.Text()))")
    for number in (2, 3, 4):
        p.revision(
            f"a{number}", "op.execute('INSERT INTO seen SELECT version_num FROM alembic_version')"
        )
    done = p.db("safe-upgrade", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert p.rows("SELECT revision FROM seen ORDER BY 1") == [("a1",), ("a2",), ("a3",)]
    assert p.heads() == {"a4"}


def test_a_migration_that_changes_the_version_table_is_refused(project: ProjectFactory) -> None:
    p = project()
    p.revision("a1", "op.create_table('t', sa.Column('id', sa.Integer))")
    assert p.db("safe-upgrade", "--yes").returncode == 0
    p.revision("a2", "op.execute('DELETE FROM alembic_version')")
    p.revision("a3", "op.create_table('u', sa.Column('id', sa.Integer))")
    done = p.db("safe-upgrade", "--yes")
    assert done.returncode == 1, done.stdout + done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert 'no row of "alembic_version" names a1 any more' in said
    assert "Traceback" not in said
    assert p.heads() == {"a1"}
    assert p.rows("SELECT count(*) FROM sqlite_master WHERE name = 'u'") == [(0,)]


def test_a_callback_of_the_environment_finds_the_row_of_its_revision(
    project: ProjectFactory,
) -> None:
    p = project(
        arguments="on_version_apply=lambda ctx, heads, **_: "
        "print('row', *ctx.get_current_heads(), 'for', *heads)"
    )
    for number in (1, 2):
        p.revision(f"a{number}", f"op.create_table('t{number}', sa.Column('id', sa.Integer))")
    done = p.db("safe-upgrade", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("row")] == [
        "row a1 for a1",
        "row a2 for a2",
    ]


@pytest.mark.parametrize("command", [("safe-upgrade", "--yes"), ("deploy",)])
def test_no_write_ahead_log_is_left(project: ProjectFactory, command: tuple[str, ...]) -> None:
    p = project(revisions=[("a1", "op.create_table('t', sa.Column('id', sa.Integer))")])
    p.execute("PRAGMA journal_mode=WAL")
    done = p.db(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [file.name for file in p.path.glob("*.db*")] == [p.database.name]


def test_a_trigger_on_the_version_table_sees_every_revision(project: ProjectFactory) -> None:
    p = project()
    watch = "AFTER {} ON alembic_version BEGIN INSERT INTO seen VALUES (new.version_num); END"
    p.revision(
        "a1",
        "op.create_table('seen', sa.Column('revision', sa.Text()))\n"
        f"op.execute('CREATE TRIGGER one {watch.format('INSERT')}')\n"
        f"op.execute('CREATE TRIGGER two {watch.format('UPDATE')}')",
    )
    for number in (2, 3, 4):
        p.revision(f"a{number}", f"op.create_table('t{number}', sa.Column('id', sa.Integer))")
    done = p.db("safe-upgrade", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert p.rows("SELECT revision FROM seen") == [("a1",), ("a2",), ("a3",), ("a4",)]
