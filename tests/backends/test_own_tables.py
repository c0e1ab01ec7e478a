"""What has the name of a table of ours and is not as we made it is neither read nor written."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

from tests.support.projects import Project, ProjectFactory

FIRST = ("a1", "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))", "pass")
JOURNAL = (
    "CREATE TABLE safemigrate_journal (id {serial} PRIMARY KEY, kind VARCHAR(16),"
    " subject VARCHAR(255), direction VARCHAR(16), started VARCHAR(40), finished VARCHAR(40),"
    " checksum VARCHAR(64), source TEXT, environment VARCHAR(64), host VARCHAR(255),"
    " pid INTEGER, tool VARCHAR(32), seconds FLOAT, result TEXT)"
)
SERIAL = {"sqlite": "INTEGER", "postgresql": "SERIAL", "mysql": "INTEGER AUTO_INCREMENT"}


def journal(dialect: str) -> str:
    return JOURNAL.format(serial=SERIAL[dialect])


def assert_refused(p: Project, what: str) -> None:
    for command in (["deploy"], ["safe-upgrade", "--yes"]):
        done = p.db(*command)
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == 3, said
        assert "SM542" in said
        assert what in said


@pytest.fixture
def low(postgresql_url: str, project: ProjectFactory) -> Iterator[Project]:
    """A project of a superuser, in a database in which a low role may make tables."""
    role = f"sm_low_{secrets.token_hex(4)}"
    p = project(url=postgresql_url, revisions=[FIRST])
    p.execute(f"CREATE ROLE {role} LOGIN", f"GRANT CREATE, USAGE ON SCHEMA public TO {role}")
    p.environment["LOW"] = role
    yield p
    p.execute(f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")


def as_low(p: Project, *statements: str) -> None:
    url = make_url(p.url).set(username=p.environment["LOW"])
    p.execute(*statements, url=url.render_as_string(hide_password=False))


def is_super(p: Project) -> bool:
    role = p.environment["LOW"]
    return bool(p.rows(f"SELECT rolsuper FROM pg_roles WHERE rolname = '{role}'")[0][0])


def escalate(p: Project) -> str:
    return (
        "CREATE FUNCTION up() RETURNS {} LANGUAGE plpgsql AS $$ BEGIN "
        f"ALTER ROLE {p.environment['LOW']} SUPERUSER; RETURN {{}}; END $$"
    )


def test_a_planted_journal_with_a_trigger(low: Project) -> None:
    as_low(
        low,
        journal("postgresql"),
        escalate(low).format("trigger", "NEW"),
        "CREATE TRIGGER x BEFORE INSERT ON safemigrate_journal FOR EACH ROW EXECUTE FUNCTION up()",
    )
    assert_refused(low, "belongs to role")
    # Given to us, it still has the trigger.
    low.execute("ALTER TABLE safemigrate_journal OWNER TO CURRENT_USER")
    assert_refused(low, 'has the trigger "x"')
    assert not is_super(low)


def test_a_planted_view_is_not_read(low: Project) -> None:
    as_low(
        low,
        escalate(low).format("text", "'x'"),
        "CREATE VIEW safemigrate_journal AS SELECT 1 AS id, up() AS kind, '' AS subject,"
        " '' AS direction, '' AS started, '' AS finished, '' AS checksum, '' AS environment,"
        " '' AS host, NULL::text AS source",
    )
    assert low.db("status").returncode == 3
    low.execute("ALTER VIEW safemigrate_journal OWNER TO CURRENT_USER")
    assert_refused(low, "is no plain table")
    assert not is_super(low)


@pytest.mark.parametrize("table", ["safemigrate_lock", "safemigrate_progress"])
def test_another_roles_table(low: Project, table: str) -> None:
    as_low(low, f"CREATE TABLE {table} (id INTEGER)")
    assert_refused(low, "belongs to role")


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("ALTER TABLE safemigrate_journal ENABLE ROW LEVEL SECURITY", "has row security"),
        (
            "CREATE RULE r AS ON INSERT TO safemigrate_journal DO ALSO SELECT 1",
            'has the rule "r"',
        ),
        (
            "ALTER TABLE safemigrate_journal ALTER host SET DEFAULT up()",
            "calls a function that is no part of the server",
        ),
        (
            "ALTER TABLE safemigrate_journal ADD CHECK (up() IS NOT NULL)",
            "calls a function that is no part of the server",
        ),
        ("CREATE TABLE child () INHERITS (safemigrate_journal)", "is no plain table"),
    ],
)
def test_what_else_runs_somebodys_code(low: Project, statement: str, what: str) -> None:
    as_low(low, escalate(low).format("text", "'x'"))
    low.execute(journal("postgresql"), statement)
    assert_refused(low, what)


@pytest.mark.parametrize("dialect", ["sqlite", "mysql"])
@pytest.mark.parametrize("how", ["trigger", "view"])
def test_on_other_servers(
    request: pytest.FixtureRequest, project: ProjectFactory, dialect: str, how: str
) -> None:
    url = request.getfixturevalue("mysql_url") if dialect == "mysql" else None
    p = project(url=url, revisions=[FIRST])
    act = "SET @x = 1" if dialect == "mysql" else "BEGIN SELECT 1; END"
    if how == "view":
        p.execute("CREATE VIEW safemigrate_journal AS SELECT 1 AS id")
    else:
        p.execute(
            journal(dialect),
            f"CREATE TRIGGER x BEFORE INSERT ON safemigrate_journal FOR EACH ROW {act}",
        )
    assert_refused(p, "is no plain table" if how == "view" else 'has the trigger "x"')


def test_what_we_made_is_ours(project: ProjectFactory, database_url: str) -> None:
    p = project(url=database_url, revisions=[FIRST], config={"SAFEMIGRATE_LOCK": "lease"})
    assert p.db("deploy").returncode == 0
    p.revision("a2", "op.create_table('t2', sa.Column('id', sa.Integer, primary_key=True))")
    assert p.db("deploy").returncode == 0
    assert p.db("status", "--check").returncode == 0
