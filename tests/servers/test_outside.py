"""Revisions that cut the transaction on PostgreSQL: autocommit_block()."""

from __future__ import annotations

import json
import time

import pytest
from sqlalchemy import Engine, create_engine, text

from tests.support.projects import Project, ProjectFactory

INDEX = """
with op.get_context().autocommit_block():
    op.create_index('ix_name', 'pet', ['name'], unique=True, postgresql_concurrently=True)
"""


@pytest.fixture
def shop(project: ProjectFactory, postgresql_url: str) -> Project:
    p = project(url=postgresql_url)
    p.revision(
        "r1",
        "op.create_table('pet', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('name', sa.String(20)))\n"
        "op.execute(\"CREATE TYPE mood AS ENUM ('sad')\")",
    )
    return p


def valid(p: Project) -> list[tuple[object, ...]]:
    return p.rows(
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index "
        "WHERE indrelid = 'pet'::regclass AND NOT indisprimary"
    )


def test_blocks_run_between_other_revisions(shop: Project) -> None:
    p = shop
    p.revision("r2", INDEX)
    p.revision(
        "r3",
        "with op.get_context().autocommit_block():\n"
        "    op.execute(\"ALTER TYPE mood ADD VALUE 'glad'\")\n"
        "op.add_column('pet', sa.Column('mood', sa.Enum('sad', 'glad', name='mood',"
        " create_type=False), server_default='glad'))",
    )
    p.revision("r4", "op.execute(\"INSERT INTO pet (id, mood) VALUES (1, 'glad')\")")
    done = p.db("deploy")
    assert done.returncode == 0, done.stderr
    assert p.heads() == {"r4"}
    assert valid(p) == [("ix_name", True)]
    assert p.rows("SELECT mood::text FROM pet") == [("glad",)]
    noted = p.rows("SELECT subject FROM safemigrate_journal WHERE kind = 'revision' ORDER BY id")
    assert noted == [("r1",), ("r2",), ("r3",), ("r4",)]


def test_a_failure_after_the_cut_leaves_a_revision_and_goes_on_from_there(shop: Project) -> None:
    p = shop
    p.revision("r2", INDEX)
    p.revision("r3", "op.execute('INSERT INTO pet (id) VALUES (1)')")
    broken = p.revision("r4", "op.execute('INSERT INTO nowhere VALUES (1)')")
    failed = p.db("safe-upgrade", "--yes")
    assert failed.returncode == 1
    assert "is at r2" in failed.stderr
    assert p.heads() == {"r2"}
    assert p.rows("SELECT count(*) FROM pet") == [(0,)]
    broken.write_text(broken.read_text().replace("INSERT INTO nowhere VALUES (1)", "SELECT 1"))
    assert p.db("safe-upgrade", "--yes").returncode == 0
    assert p.heads() == {"r4"}
    assert p.rows("SELECT count(*) FROM pet") == [(1,)]


@pytest.fixture
def duplicates(shop: Project) -> Project:
    """An index that cannot be built was left invalid."""
    p = shop
    assert p.db("safe-upgrade", "--yes").returncode == 0
    p.execute("INSERT INTO pet VALUES (1, 'a'), (2, 'a')")
    p.revision("r2", INDEX)
    failed = p.db("safe-upgrade", "--yes")
    assert failed.returncode == 1, failed.stderr
    assert "is as it was" in " ".join(failed.stderr.split())
    assert p.heads() == {"r1"}
    assert valid(p) == [("ix_name", False)]
    return p


def test_an_invalid_index_is_dropped_by_the_next_run(duplicates: Project) -> None:
    p = duplicates
    p.execute("DELETE FROM pet WHERE id = 2")
    done = p.db("safe-upgrade", "--yes")
    assert done.returncode == 0, done.stderr
    assert 'index "public"."ix_name", which an earlier build left invalid' in " ".join(
        done.stderr.split()
    )
    assert p.heads() == {"r2"}
    assert valid(p) == [("ix_name", True)]


def test_if_not_exists_does_not_take_the_invalid_index_for_the_index(duplicates: Project) -> None:
    p = duplicates
    p.execute("DELETE FROM pet WHERE id = 2")
    (file,) = p.versions.glob("r2_*.py")
    file.write_text(file.read_text().replace("unique=True", "unique=True, if_not_exists=True"))
    assert p.db("safe-upgrade", "--yes").returncode == 0
    assert valid(p) == [("ix_name", True)]


def test_doctor_finds_the_invalid_index_and_drops_it(duplicates: Project) -> None:
    p = duplicates
    told = json.loads(p.db("doctor", "--format", "json", "--fast").stdout)
    found = [f for f in told["findings"] if f["code"] == "SM524"]
    assert [f["subject"] for f in found] == ["public.ix_name"]
    fixed = p.db("doctor", "--fix", "SM524", "--yes", "--fast")
    assert "Dropped the invalid index public.ix_name" in " ".join(fixed.stdout.split())
    assert valid(p) == []


def test_what_stays_of_half_a_revision_is_listed(shop: Project) -> None:
    p = shop
    p.revision(
        "r2",
        "op.add_column('pet', sa.Column('age', sa.Integer))\n"
        f"{INDEX}\n"
        "op.execute('INSERT INTO nowhere VALUES (1)')",
    )
    failed = p.db("safe-upgrade", "--yes")
    said = " ".join(failed.stderr.split())
    assert failed.returncode == 5, said
    assert "is at r1" in said
    assert "ALTER TABLE pet ADD COLUMN age INTEGER" in said
    assert "CREATE UNIQUE INDEX CONCURRENTLY ix_name" in said
    assert "nowhere VALUES" in said.partition("so this of it is in")[0]
    assert "nowhere" not in said.partition("so this of it is in")[2]
    assert p.heads() == {"r1"}


#: What ends a transaction in the middle, and then fails.
CUTS = {
    "block": "with op.get_context().autocommit_block():\n    op.execute('SELECT 1')\n",
    "within": "with op.get_context().autocommit_block():\n    op.execute('SELECT 1 / 0')\n",
    "commit": "op.execute('COMMIT')\n",
    "connection": "op.get_bind().commit()\n",
}
FAILS = "op.execute('SELECT 1 / 0')"


@pytest.mark.parametrize("cut", CUTS)
def test_what_stays_is_not_done_twice(shop: Project, cut: str) -> None:
    p = shop
    assert p.db("safe-upgrade", "--yes").returncode == 0
    p.execute("INSERT INTO pet VALUES (10, 'a')")
    broken = p.revision("r2", f"op.execute('UPDATE pet SET id = id + 1')\n{CUTS[cut]}{FAILS}")
    failed = p.db("safe-upgrade", "--yes")
    assert failed.returncode == 5, failed.stderr
    said = " ".join(failed.stderr.split())
    assert "then run: flask db safe-upgrade --allow SM315" in said
    refused = p.db("safe-upgrade", "--yes")
    assert refused.returncode == 3, refused.stderr
    assert "this of it stays: UPDATE pet SET id = id + 1" in (
        " ".join((refused.stdout + refused.stderr).split())
    )
    found = {f["code"] for f in json.loads(p.db("status", "--format", "json").stdout)["findings"]}
    assert "SM315" in found
    assert "SM306" not in found
    assert p.rows("SELECT id FROM pet") == [(11,)]
    broken.write_text(
        broken.read_text()
        .replace("op.execute('UPDATE pet SET id = id + 1')", "pass")
        .replace("SELECT 1 / 0", "SELECT 1")
        .replace("op.get_bind().commit()", "pass")
    )
    done = p.db("safe-upgrade", "--yes", "--allow", "SM315")
    assert done.returncode == 0, done.stderr
    assert p.rows("SELECT id FROM pet") == [(11,)]
    assert "SM315" not in p.db("status").stdout


@pytest.mark.parametrize("cut", ["block", "commit", "connection"])
def test_what_a_killed_run_had_committed_is_not_done_twice(shop: Project, cut: str) -> None:
    p = shop
    assert p.db("safe-upgrade", "--yes").returncode == 0
    p.execute("INSERT INTO pet VALUES (10, 'a')")
    p.revision(
        "r2",
        "import os, signal\n"
        "op.execute('UPDATE pet SET id = id + 1')\n"
        f"{CUTS[cut]}"
        "os.kill(os.getpid(), signal.SIGKILL)\n",
    )
    assert p.db("safe-upgrade", "--yes").returncode == -9
    assert p.rows("SELECT id FROM pet") == [(11,)]
    refused = p.db("deploy")
    assert refused.returncode == 3
    assert "SM315" in refused.stdout + refused.stderr
    assert p.rows("SELECT id FROM pet") == [(11,)]


def test_what_a_killed_run_had_done_in_a_block_is_not_done_twice(shop: Project) -> None:
    """Each statement of a block is committed when it is done."""
    p = shop
    assert p.db("safe-upgrade", "--yes").returncode == 0
    p.execute("INSERT INTO pet VALUES (10, 'a')")
    broken = p.revision(
        "r2",
        "import os, signal\n"
        "with op.get_context().autocommit_block():\n"
        "    op.execute('UPDATE pet SET id = id + 1')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "    op.execute('UPDATE pet SET id = id + 10')",
    )
    assert p.db("safe-upgrade", "--yes").returncode == -9
    refused = p.db("deploy")
    assert refused.returncode == 3, refused.stderr
    said = " ".join((refused.stdout + refused.stderr).split())
    assert "SM315" in said
    assert "this of it stays: UPDATE pet SET id = id + 1." in said
    text_ = broken.read_text()
    text_ = text_.replace("op.execute('UPDATE pet SET id = id + 1')", "pass")
    broken.write_text(text_.replace("os.kill(os.getpid(), signal.SIGKILL)", "pass"))
    done = p.db("safe-upgrade", "--yes", "--allow", "SM315")
    assert done.returncode == 0, done.stderr
    assert p.rows("SELECT id FROM pet") == [(21,)]
    assert "SM315" not in p.db("status").stdout


def waits(engine: Engine) -> bool:
    """Whether the index is being built and waits for a lock."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND query LIKE 'CREATE UNIQUE INDEX CONCURRENTLY%' AND datname = current_database()"
    )
    with engine.connect() as connection:
        return bool(connection.execute(text(query)).scalar_one())


def test_concurrent_builds_may_wait_longer_than_the_lock_timeout(
    project: ProjectFactory, postgresql_url: str
) -> None:
    """They wait for older transactions, and nobody waits for them."""
    p = project(url=postgresql_url, config={"SAFEMIGRATE_LOCK_TIMEOUT": 0.3})
    p.revision("r1", "op.create_table('pet', sa.Column('name', sa.String(20)))")
    assert p.db("safe-upgrade", "--yes").returncode == 0
    p.revision("r2", INDEX)
    engine = create_engine(postgresql_url)
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO pet VALUES ('x')"))
        process = p.start("db", "safe-upgrade", "--yes")
        while not waits(engine):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        time.sleep(1)
        assert waits(engine)
        assert process.poll() is None
        connection.rollback()
    _, err = process.communicate(timeout=60)
    engine.dispose()
    assert process.returncode == 0, err
    assert valid(p) == [("ix_name", True)]
