"""What stops a revision on a server is told with what helps, and with what it has left behind."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from tests.support.projects import Project, ProjectFactory

TABLE = "op.create_table('n', sa.Column('id', sa.Integer))\nop.execute('INSERT INTO n VALUES (1)')"
CAUGHT = (
    "try:\n    op.execute('SELECT nosuch')\nexcept Exception:\n    pass\nop.execute('SELECT 1')"
)


def said_by(p: Project, *arguments: str) -> tuple[int, str]:
    result = p.invoke("db", *(arguments or ("safe-upgrade", "--yes")))
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture
def started(project: ProjectFactory, postgresql_url: str) -> Project:
    p = project(url=postgresql_url, revisions=[("r1", TABLE)])
    code, said = said_by(p)
    assert code == 0, said
    return p


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("op.execute('CREATE INDEX CONCURRENTLY ix ON n (id)')", "autocommit_block()"),
        (
            "op.execute('CREATE VIEW v AS SELECT id FROM n')\n"
            "op.alter_column('n', 'id', type_=sa.BigInteger())",
            "DROP VIEW",
        ),
        (
            "op.execute('CREATE VIEW v AS SELECT id FROM n')\nop.drop_column('n', 'id')",
            "DROP VIEW",
        ),
        (CAUGHT, "begin_nested()"),
    ],
)
def test_the_hint_fits_what_the_server_says(started: Project, body: str, hint: str) -> None:
    p = started
    p.revision("r2", body)
    code, said = said_by(p)
    assert code == 1, said
    assert "Everything was undone" in said
    assert hint in said.partition("Hint:")[2].partition("then run: flask db")[0]


def test_a_limit_is_named_with_its_source(started: Project) -> None:
    p = started
    name = make_url(p.url).database
    p.execute(f"ALTER DATABASE {name} SET statement_timeout = '300ms'")
    p.revision("r2", "op.execute('SELECT pg_sleep(2)')")
    code, said = said_by(p)
    assert code == 1, said
    assert "SAFEMIGRATE_STATEMENT_TIMEOUT" in said
    assert "the limit is statement_timeout, which comes from ALTER DATABASE ... SET" in said


def test_a_revision_may_compute_for_long_on_postgresql(started: Project) -> None:
    p = started
    name = make_url(p.url).database
    p.execute(f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '300ms'")
    p.revision("r2", "import time\nop.execute('SELECT 1')\ntime.sleep(1)\nop.execute('SELECT 1')")
    code, said = said_by(p)
    assert code == 0, said


def test_a_revision_may_compute_for_long_on_mysql(project: ProjectFactory, mysql_url: str) -> None:
    options = {"connect_args": {"init_command": "SET SESSION wait_timeout = 1"}}
    p = project(
        url=mysql_url,
        config={"SQLALCHEMY_ENGINE_OPTIONS": options, "SAFEMIGRATE_SNAPSHOT_SERVERS": False},
        revisions=[("r1", f"import time\ntime.sleep(2.5)\n{TABLE}")],
    )
    code, said = said_by(p)
    assert code == 0, said


@pytest.mark.parametrize(
    "commit",
    [
        "op.execute('COMMIT')",
        "op.execute('/* done */ END')",
        "op.get_bind().connection.commit()",
    ],
    ids=["statement", "comment", "driver"],
)
def test_what_a_revision_commits_by_itself_is_listed(started: Project, commit: str) -> None:
    p = started
    p.revision("r2", f"op.execute('UPDATE n SET id = 2')\n{commit}\nop.execute('SELECT nosuch')")
    code, said = said_by(p)
    assert code == 5, said
    assert "ended the transaction by itself, so this of it is in" in said
    assert "UPDATE n SET id = 2" in said.partition("is in, though")[2]
    assert "undone" not in said
    assert "snapshot" not in said
    assert "autocommit_block()" in said
    assert p.heads() == {"r1"}
    assert p.rows("SELECT id FROM n") == [(2,)]


def test_a_password_is_neither_recorded_nor_told(project: ProjectFactory, mysql_url: str) -> None:
    p = project(url=mysql_url, config={"SAFEMIGRATE_SNAPSHOT_SERVERS": False})
    p.revision("r1", TABLE)
    assert said_by(p)[0] == 0
    user = f"hush_{make_url(mysql_url).database}"[:30]
    p.revision(
        "r2",
        f"op.execute(\"CREATE USER {user} IDENTIFIED BY 'hush7'\")\n"
        f"op.execute(\"ALTER USER {user} IDENTIFIED BY 'hush8' NOSUCH\")",
    )
    try:
        code, said = said_by(p)
    finally:
        p.execute(f"DROP USER IF EXISTS {user}")
    assert code == 5, said
    assert f"1. CREATE USER {user} IDENTIFIED BY '***'" in said
    assert "hush7" not in said
    assert "hush8" not in said
    assert p.rows("SELECT count(*) FROM safemigrate_progress WHERE statement LIKE '%hush7%'") == [
        (0,)
    ]


def test_a_revision_file_larger_than_a_packet_runs(
    project: ProjectFactory, mysql_url: str
) -> None:
    p = project(url=mysql_url, config={"SAFEMIGRATE_SNAPSHOT_SERVERS": False})
    packet = p.rows("SELECT @@max_allowed_packet")[0][0]
    if packet > 20_000_000:
        pytest.skip("the server takes packets that no revision file fills")
    p.revision("r1", f"{TABLE}\n# {'x' * packet}")
    code, said = said_by(p)
    assert code == 0, said
    (row,) = p.rows("SELECT source, checksum FROM safemigrate_journal WHERE subject = 'r1'")
    assert row[0] is None
    assert len(row[1]) == 64
