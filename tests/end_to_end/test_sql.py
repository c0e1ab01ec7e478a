"""``safe-upgrade --sql`` prints what can be run elsewhere, to the same end."""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
import subprocess

import pytest
from sqlalchemy import create_engine, make_url

from tests.end_to_end.story import HEAD, tell
from tests.support.ledger import content
from tests.support.projects import ProjectFactory
from tests.support.servers import Databases


@pytest.mark.parametrize("start", ["base", "r05"])
def test_the_script_does_what_the_upgrade_does(project: ProjectFactory, start: str) -> None:
    p = tell(project(config={"SAFEMIGRATE_JOURNAL": False}))
    if start != "base":
        assert p.db("safe-upgrade", start, "--yes").returncode == 0
    existed = p.database.exists()
    printed = p.db("safe-upgrade", "--sql")
    assert printed.returncode == 0, printed.stderr
    assert p.database.exists() == existed
    by_script = p.path / "by_script.db"
    if existed:
        shutil.copyfile(p.database, by_script)
    by_shell = p.path / "by_shell.db"
    if existed:
        shutil.copyfile(p.database, by_shell)
    connection = sqlite3.connect(by_script, isolation_level=None)
    connection.executescript(printed.stdout)
    connection.close()
    said = re.search(r"^-- For the shell: (.*) DATABASE$", printed.stdout, re.MULTILINE)
    if shutil.which("sqlite3") and said:
        for defensive, fails in (("on", True), ("off", False)):
            command = shlex.split(said[1].replace("defensive off", f"defensive {defensive}"))
            done = subprocess.run(
                [*command, str(by_shell)], input=printed.stdout, capture_output=True, text=True
            )
            assert bool(done.returncode) == fails, done.stderr
        assert content(f"sqlite:///{by_shell}") == content(f"sqlite:///{by_script}")
    assert p.db("safe-upgrade", "--yes").returncode == 0
    assert p.heads() == {HEAD}
    assert content(f"sqlite:///{by_script}") == content(p.url)


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
def test_the_script_for_a_server_does_what_the_upgrade_does(
    project: ProjectFactory, databases: Databases, dialect: str
) -> None:
    outside = "with op.get_context().autocommit_block():\n    " * (dialect == "postgresql")
    p = project(
        url=databases.create(dialect),
        config={"SAFEMIGRATE_JOURNAL": False},
        revisions=[
            (
                "a1",
                "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True),"
                " sa.Column('n', sa.String(30), server_default='50%'))\n"
                "op.execute(\"INSERT INTO t (id, n) VALUES (1, '100% of it')\")\n"
                "op.bulk_insert(sa.table('t', sa.column('id', sa.Integer),"
                " sa.column('n', sa.String)),"
                " [{'id': 2, 'n': 'a%b:c'}])\n"
                "op.execute('INSERT INTO t (id) VALUES (3)')",
            ),
            ("a2", f"{outside}op.create_index('ix', 't', ['n'])"),
        ],
    )
    printed = p.db("safe-upgrade", "--sql")
    assert printed.returncode == 0, printed.stderr
    other = make_url(databases.create(dialect))
    engine = create_engine(other, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in re.sub(r"--.*", "", printed.stdout).split(";\n"):
            if statement.strip():
                driver = connection.connection.cursor()
                driver.execute(statement)
                driver.close()
    engine.dispose()
    assert p.db("safe-upgrade", "--yes").returncode == 0
    there = other.render_as_string(hide_password=False)
    rows = [(1, "100% of it"), (2, "a%b:c"), (3, "50%")]
    assert p.rows("SELECT id, n FROM t ORDER BY id") == rows
    assert p.rows("SELECT id, n FROM t ORDER BY id", url=there) == rows
    assert p.rows("SELECT version_num FROM alembic_version", url=there) == [("a2",)]


def test_what_stands_in_the_way_is_said_beside_the_script(
    project: ProjectFactory, databases: Databases
) -> None:
    for url in (None, databases.create("postgresql")):
        p = project(url=url, revisions=[("a1", "pass")])
        assert p.invoke("db", "deploy").exit_code == 0
        p.execute("UPDATE alembic_version SET version_num = 'zz'")
        done = p.db("safe-upgrade", "--sql")
        assert done.returncode == 3
        assert done.stdout == ""
        assert "SM301 error" in done.stderr
        assert "Error: safe-upgrade was not started because of SM301." in done.stderr
