"""``safe-upgrade --dry-run`` on servers: run in a scratch database, each statement traced."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url

from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases

ROWS = 300
FIRST = (
    "a1",
    "op.create_table('person', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('name', sa.String(20)), sa.Column('age', sa.Integer))\n"
    "op.create_table('pet', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('owner', sa.Integer))\n"
    f"op.bulk_insert(sa.table('person', sa.column('id'), sa.column('name')),"
    f" [{{'id': n, 'name': 'x%d' % n}} for n in range(1, {ROWS} + 1)])",
    "op.drop_table('pet')\nop.drop_table('person')",
)
SCRATCHES = {
    "postgresql": "SELECT count(*) FROM pg_database WHERE datname LIKE 'safemigrate_scratch%'",
    "mysql": "SELECT count(*) FROM information_schema.schemata"
    " WHERE schema_name LIKE 'safemigrate_scratch%'",
}


def _started(
    dialect: str, project: ProjectFactory, databases: Databases, **config: Any
) -> Project:
    p = project(url=databases.create(dialect), revisions=[FIRST], config=config)
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    return p


def _content(p: Project) -> list[Any]:
    """All that a rehearsal must leave as it is."""
    return [
        p.rows("SELECT * FROM person ORDER BY id"),
        p.rows(
            "SELECT table_name, column_name, data_type FROM information_schema.columns"
            f" WHERE table_schema = {'database()' if 'mysql' in p.url else 'current_schema()'}"
            " ORDER BY 1, 2"
        ),
        p.rows("SELECT kind, subject FROM safemigrate_journal ORDER BY 1, 2"),
        p.heads(),
    ]


def _rehearsed(p: Project, *more: str) -> dict[str, Any]:
    """What ``--dry-run`` says; the database and its server are as before."""
    before = _content(p)
    done = p.db("safe-upgrade", "--dry-run", "--format", "json", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert _content(p) == before
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["applied"], found["notes"]
    return found["applied"][0]  # type: ignore[no-any-return]


def _effects(applied: dict[str, Any]) -> list[dict[str, tuple[Any, ...]]]:
    return [
        {
            e["table"]: (e["lock"], e["waits"], e["held"], e["rewritten"], e["read"])
            for e in statement["effects"]
        }
        for statement in applied["traced"]
    ]


AEL = ("ACCESS EXCLUSIVE", "readers and writers")
SRE = ("SHARE ROW EXCLUSIVE", "writers")


@pytest.mark.parametrize("rows", [False, True])
def test_postgresql_tells_locks_rewrites_and_scans(
    project: ProjectFactory, databases: Databases, rows: bool
) -> None:
    p = _started("postgresql", project, databases)
    p.execute("ANALYZE")
    p.revision(
        "a2",
        "op.alter_column('person', 'id', type_=sa.BigInteger())\n"
        "op.add_column('person', sa.Column('note', sa.Text))\n"
        "op.alter_column('person', 'name', nullable=False)",
    )
    p.revision(
        "a3",
        "op.create_foreign_key('fk', 'pet', 'person', ['owner'], ['id'])\n"
        "op.execute('TRUNCATE pet')",
    )
    found = _rehearsed(p, *(["--with-rows"] if rows else []))
    assert found["rows"] is rows
    *effects, key, emptied = _effects(found)
    assert effects == [
        {"person": (*AEL, False, True, True)},
        {"person": (*AEL, True, False, False)},
        {"person": (*AEL, True, False, True)},
    ]
    assert emptied["pet"][:4] == (*AEL, False, False)
    assert key["pet"] == (*SRE, False, False, True)
    # How the keys are looked up is the planner's to choose.
    assert key["person"][:4] == (*AEL, True, False)
    assert [(s["revision"], s["line"]) for s in found["traced"]] == [
        ("a2", 19), ("a2", 20), ("a2", 21), ("a3", 19), ("a3", 20)
    ]  # fmt: skip
    effect = found["traced"][0]["effects"][0]
    assert effect["rows"] == ROWS
    assert found["disk"]["needed"] == effect["size"] > 8192


def test_postgresql_outside_of_the_transaction(
    project: ProjectFactory, databases: Databases
) -> None:
    p = _started("postgresql", project, databases)
    p.revision(
        "a2",
        "with op.get_context().autocommit_block():\n"
        "    op.create_index('ix', 'pet', ['owner'], postgresql_concurrently=True)\n"
        "    op.execute('ALTER TABLE pet ADD CONSTRAINT c CHECK (owner > 0) NOT VALID')\n"
        "    op.execute('ALTER TABLE pet VALIDATE CONSTRAINT c')",
    )
    weak = ("SHARE UPDATE EXCLUSIVE", "nobody", False, False, True)
    assert _effects(_rehearsed(p)) == [
        {"pet": weak},
        {"pet": (*AEL, False, False, False)},
        {"pet": weak},
    ]


def test_what_a_failure_left_in_the_copy_is_noted_nowhere(
    project: ProjectFactory, databases: Databases
) -> None:
    p = _started("postgresql", project, databases)
    p.revision(
        "a2",
        "op.execute('UPDATE person SET age = 1')\n"
        "with op.get_context().autocommit_block():\n"
        "    op.execute('ALTER TABLE pet ADD COLUMN b INTEGER')\n"
        "op.execute('SELECT nonsense')",
    )
    before = _content(p)
    done = p.db("safe-upgrade", "--dry-run")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "nonsense" in done.stderr
    assert "allow SM315" not in done.stderr
    assert _content(p) == before
    assert p.db("status").returncode == 0


def test_the_algorithm_of_each_alter(project: ProjectFactory, databases: Databases) -> None:
    p = _started("mysql", project, databases)
    p.revision(
        "a2",
        "op.add_column('person', sa.Column('note', sa.Text))\n"
        "op.create_index('ix', 'person', ['age'])\n"
        "op.drop_index('ix', 'person')\n"
        "op.alter_column('person', 'age', existing_type=sa.Integer(), type_=sa.BigInteger())\n"
        "op.execute(\"UPDATE person SET note = '100%' WHERE id < 10\")",
    )
    found = _rehearsed(p)
    statements = {s["statement"]: s for s in found["traced"]}
    assert [s["algorithm"] for s in found["traced"]] == [
        "INSTANT", *[found["traced"][1]["algorithm"]] * 2, "COPY", ""
    ]  # fmt: skip
    assert found["traced"][1]["algorithm"] in ("NOCOPY", "INPLACE")
    assert "UPDATE person SET note = '100%' WHERE id < 10" in statements
    effects = [s["effects"] for s in found["traced"]]
    assert [(e[0]["rewritten"], e[0]["read"]) for e in effects[:4]] == [
        (False, False), (False, True), (False, False), (True, True)
    ]  # fmt: skip
    assert effects[2][0]["waits"] == "nobody"
    assert found["disk"]["needed"] > 0
    # What was tried is what the run itself does.
    done = p.db("safe-upgrade", "--yes")
    assert done.returncode == 0, done.stderr
    assert p.rows("SELECT count(*) FROM person WHERE note = '100%'") == [(9,)]


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
def test_with_rows_the_rows_refuse(
    project: ProjectFactory, databases: Databases, dialect: str
) -> None:
    p = _started(dialect, project, databases, SAFEMIGRATE_GATE=False)
    p.revision("a2", "op.execute('UPDATE person SET age = 1')\n"
               "op.create_unique_constraint('uq', 'person', ['age'])")  # fmt: skip
    _rehearsed(p)
    before = _content(p)
    done = p.db("safe-upgrade", "--dry-run", "--with-rows")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "uq" in done.stderr
    assert "half applied" not in done.stderr
    assert _content(p) == before


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
def test_the_scratch_database_goes(
    project: ProjectFactory, databases: Databases, dialect: str
) -> None:
    p = _started(dialect, project, databases)
    name = make_url(p.url).database
    p.revision("a2", "import os\nos.write(1, op.get_bind().exec_driver_sql("
               f"'SELECT {'database' if dialect == 'mysql' else 'current_database'}()'"
               ").scalar().encode() + b'\\n')")  # fmt: skip
    done = p.db("safe-upgrade", "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    scratch = next(x for x in done.stdout.split() if x.startswith("safemigrate_scratch_"))
    assert scratch != name
    left = p.rows(SCRATCHES[dialect].replace("count(*)", "1").replace(
        "LIKE 'safemigrate_scratch%'", f"= '{scratch}'"))  # fmt: skip
    assert left == []


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
def test_what_reaches_outside_is_not_run(
    project: ProjectFactory, databases: Databases, dialect: str, tmp_path: Any
) -> None:
    p = _started(dialect, project, databases)
    p.revision("a2", f"open({str(tmp_path / 'made')!r}, 'w').close()")
    done = p.db("safe-upgrade", "--dry-run")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "write to the file" in " ".join(done.stderr.split())
    assert not (tmp_path / "made").exists()


def test_a_database_with_a_foreign_server_is_not_copied(
    project: ProjectFactory, databases: Databases
) -> None:
    p = _started("postgresql", project, databases)
    p.execute("CREATE FOREIGN DATA WRAPPER w", "CREATE SERVER far FOREIGN DATA WRAPPER w")
    p.revision("a2", "op.add_column('person', sa.Column('note', sa.Text))")
    done = p.db("safe-upgrade", "--dry-run", "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["applied"] == []
    assert 'foreign server "far"' in " ".join(found["notes"])


def test_a_trigger_that_names_another_database_is_not_copied(
    project: ProjectFactory, databases: Databases
) -> None:
    p = _started("mysql", project, databases)
    name = make_url(p.url).database
    p.execute(
        f"CREATE TRIGGER t AFTER INSERT ON pet FOR EACH ROW UPDATE {name}.person SET age = 9"
    )
    p.revision("a2", "op.execute('INSERT INTO pet (owner) VALUES (1)')")
    done = p.db("safe-upgrade", "--dry-run", "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["applied"] == []
    assert "the trigger t" in " ".join(found["notes"])
    assert p.rows("SELECT count(*) FROM person WHERE age = 9") == [(0,)]


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
def test_without_the_privilege_only_the_plan_is_shown(
    project: ProjectFactory, databases: Databases, dialect: str
) -> None:
    p = _started(dialect, project, databases)
    p.revision("a2", "op.add_column('person', sa.Column('note', sa.Text))")
    url = make_url(p.url)
    user = f"u_{url.database}"
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    make = (
        [f"CREATE ROLE {user} LOGIN PASSWORD 'x'", f"GRANT ALL ON SCHEMA public TO {user}",
         f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}"]
        if dialect == "postgresql"
        else [f"CREATE USER {user} IDENTIFIED BY 'x'", f"GRANT ALL ON {url.database}.* TO {user}"]
    )  # fmt: skip
    drop = [f"DROP OWNED BY {user}", f"DROP ROLE {user}"]
    try:
        with admin.connect() as connection:
            for statement in make:
                connection.exec_driver_sql(statement)
        app = (p.path / "app.py").read_text()
        theirs = url.set(username=user, password="x").render_as_string(hide_password=False)
        (p.path / "app.py").write_text(app.replace(p.url, theirs))
        done = p.db("safe-upgrade", "--dry-run")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "a2" in done.stdout
        assert "Only the plan is shown" in done.stdout
        assert ("CREATEDB" if dialect == "postgresql" else "GRANT ALL ON") in done.stdout
    finally:
        with admin.connect() as connection:
            for statement in drop if dialect == "postgresql" else [f"DROP USER {user}"]:
                connection.exec_driver_sql(statement)
        admin.dispose()


BROKEN = (
    "op.add_column('person', sa.Column('note', sa.Text))\n"
    "op.add_column('person', sa.Column('other', sa.String()))"
)


@pytest.mark.parametrize("command", [("safe-upgrade", "--yes"), ("deploy",)])
def test_what_cannot_be_compiled_is_known_before_the_first_statement(
    project: ProjectFactory, databases: Databases, command: tuple[str, ...]
) -> None:
    p = _started("mysql", project, databases)
    p.revision("a2", BROKEN)
    before = _content(p)
    done = p.db(*command)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "VARCHAR requires a length" in " ".join(done.stdout.split())
    assert _content(p) == before
    # Whoever wants it gets what the server does.
    assert p.db(*command, "--allow", "SM602").returncode == 5
