"""The doctor proves which revision a schema equals, on real databases."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
import sqlalchemy as sa

from tests.end_to_end.story import tell
from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases

MODELS = """
class Owner(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(200), nullable=False)

class Pet(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    owner_id = db.Column(db.Integer, db.ForeignKey("owner.id"))
    name = db.Column(db.String(30), nullable=False, index=True)
    born = db.Column(db.Integer, server_default="0", nullable=False)
"""


def doctor(project: Project, *arguments: str) -> dict[str, Any]:
    result = project.invoke("db", "doctor", "--format", "json", *arguments)
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def findings(project: Project, *arguments: str) -> dict[str, dict[str, Any]]:
    """The findings by code, one of each, without those that every such small project has.

    What pending revisions would do (SM6) is judged elsewhere.
    """
    found = [
        f
        for f in doctor(project, *arguments)["findings"]
        if f["code"] not in ("SM115", "SM116", "SM131", "SM520", "SM528", "SM536")
        and not f["code"].startswith("SM6")
    ]
    by_code = {f["code"]: f for f in found}
    assert len(by_code) == len(found), [f["message"] for f in found]
    return by_code


def only(project: Project, code: str, *parts: str, beside: str = "") -> dict[str, Any]:
    found = findings(project)
    assert [each for each in found if each != beside] == [code], [
        f["message"] for f in found.values()
    ]
    for part in parts:
        assert part in found[code]["message"] + found[code]["hint"], found[code]
    return found[code]


def at_head(project: Project) -> Project:
    tell(project)
    done = project.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    return project


def fixed(project: Project, revision: str, *, adopted: bool = False) -> None:
    """``doctor --fix`` stamps the revision, then everything is well and goes to head.

    :param adopted: the repair goes to head itself, as there was no version at all.
    """
    document = doctor(project, "--fix", "--yes")
    assert any(revision in line for line in document["repairs"]), document
    there = "r10" if adopted else revision
    assert project.heads() == ({there} if there != "base" else set())
    rest = findings(project)
    assert set(rest) <= {"SM306"}, rest
    done = project.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert project.heads() == {"r10"}
    assert findings(project) == {}


def test_a_database_at_head_is_well(project: ProjectFactory, database_url: str) -> None:
    p = at_head(project(url=database_url, models=MODELS))
    assert findings(p) == {}
    assert findings(p, "--strict") == {}


def test_created_by_create_all_at_head(project: ProjectFactory, database_url: str) -> None:
    p = tell(project(url=database_url, models=MODELS))
    app = p.app()
    with app.app_context():
        app.extensions["sqlalchemy"].create_all()
    found = only(p, "SM302", "The schema equals revision 'r10' (step r10), the newest")
    assert found["repair"] == "stamps 'r10'"
    assert found["severity"] == "error"
    fixed(p, "r10")
    assert p.rows("SELECT count(*) FROM owner") == [(0,)]


def test_the_call_that_made_the_tables_is_named(project: ProjectFactory) -> None:
    p = tell(project(models=MODELS, after="with app.app_context():\n    db.create_all()"))
    lines = (p.path / "app.py").read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if "create_all" in text)
    p.app()
    only(p, "SM302", "equals revision 'r10'", f"create_all() is called in 'app.py:{line}'")


def test_tables_of_an_older_revision_without_version_table(
    project: ProjectFactory, database_url: str
) -> None:
    p = tell(project(url=database_url, models=MODELS, config={"SAFEMIGRATE_JOURNAL": False}))
    assert p.invoke("db", "safe-upgrade", "r09", "--yes").exit_code == 0
    p.execute("DROP TABLE alembic_version")
    only(p, "SM302", "The schema equals revision 'r09' (step r09)", "then flask db safe-upgrade")
    fixed(p, "r09", adopted=True)
    assert p.rows("SELECT count(*) FROM pet") == [(400,)]


def test_an_emptied_version_table(project: ProjectFactory, database_url: str) -> None:
    p = at_head(project(url=database_url, models=MODELS))
    p.execute("DELETE FROM alembic_version")
    only(p, "SM303", "is empty", "equals revision 'r10'")
    fixed(p, "r10")
    if p.url.startswith("sqlite"):
        taken = json.loads(p.invoke("db", "snapshots", "--format", "json").stdout)["snapshots"]
        assert "doctor --fix" in [snapshot["why"] for snapshot in taken]


def test_revisions_with_the_same_schema_are_named(project: ProjectFactory) -> None:
    p = tell(project(models=MODELS, config={"SAFEMIGRATE_JOURNAL": False}))
    assert p.invoke("db", "safe-upgrade", "r03", "--yes").exit_code == 0
    p.execute("DELETE FROM alembic_version")
    found = only(p, "SM303", "equals revision 'r04'", "'r03' and 'r02'", "rows at most")
    assert found["subject"] == "r04"


def test_the_journal_decides_between_revisions_with_the_same_schema(
    project: ProjectFactory,
) -> None:
    p = tell(project(models=MODELS))
    assert p.invoke("db", "safe-upgrade", "r03", "--yes").exit_code == 0
    p.execute("DELETE FROM alembic_version")
    assert only(p, "SM303", "equals revision 'r03'")["subject"] == "r03"
    fixed(p, "r03", adopted=True)
    assert p.rows("SELECT count(*) FROM owner") == [(200,)]


def test_no_revision_has_the_schema(project: ProjectFactory) -> None:
    p = at_head(project(models=MODELS))
    p.execute("DELETE FROM alembic_version", "DROP INDEX ix_pet_name", "DROP TABLE owner")
    found = only(
        p,
        "SM303",
        "No revision has this schema; the nearest is revision 'r10'",
        "table 'owner' and index 'ix_pet_name' of 'pet' missing",
        beside="SM529",
    )
    assert found["repair"] is None


def test_created_from_models_that_are_ahead(project: ProjectFactory) -> None:
    p = tell(project(models=MODELS + "    nick = db.Column(db.String(9))\n"))
    app = p.app()
    with app.app_context():
        app.extensions["sqlalchemy"].create_all()
    found = findings(p)
    assert set(found) == {"SM302", "SM412"}
    assert "nearest is revision 'r10'" in found["SM302"]["message"]
    assert "column 'pet.nick' added" in found["SM302"]["message"]
    assert "models, which are ahead of the history" in found["SM302"]["message"]
    assert "no revision makes column 'pet.nick'" in found["SM412"]["message"]


def test_stamped_at_head_without_upgrade(project: ProjectFactory, database_url: str) -> None:
    p = tell(project(url=database_url, models=MODELS, config={"SAFEMIGRATE_JOURNAL": False}))
    assert p.invoke("db", "safe-upgrade", "r05", "--yes").exit_code == 0
    assert p.invoke("db", "stamp", "head").exit_code == 0
    only(p, "SM406", "says that it is at 'r10'", "schema is that of revision 'r05'")
    fixed(p, "r05")
    assert p.rows("SELECT count(*) FROM pet") == [(400,)]


def test_stamped_at_head_while_empty(project: ProjectFactory, database_url: str) -> None:
    p = tell(project(url=database_url, models=MODELS))
    assert p.invoke("db", "stamp", "head").exit_code == 0
    only(p, "SM406", "has none of the history's tables", "flask db stamp base")
    fixed(p, "base")


def test_put_back_to_an_earlier_revision(project: ProjectFactory, database_url: str) -> None:
    p = at_head(project(url=database_url, models=MODELS, config={"SAFEMIGRATE_JOURNAL": False}))
    p.execute("UPDATE alembic_version SET version_num = 'r08'")
    only(p, "SM410", "says that it is at revision 'r08'", "already that of revision 'r10'")
    fixed(p, "r10")


def test_rewritten_ids(project: ProjectFactory, database_url: str) -> None:
    p = at_head(project(url=database_url, models=MODELS, config={"SAFEMIGRATE_JOURNAL": False}))
    p.execute("UPDATE alembic_version SET version_num = 'f00d'")
    only(p, "SM311", "'f00d', which no file", "equals revision 'r10'", "ids were rewritten")
    fixed(p, "r10")


BY_HAND = {
    "table dropped": (
        ["DROP TABLE pet"],
        "SM407",
        "table 'pet' is missing",
        "error",
    ),
    "index dropped": (
        ["DROP INDEX ix_pet_name"],
        "SM407",
        "index 'ix_pet_name' of 'pet' is missing",
        "error",
    ),
    "column dropped": (
        ["ALTER TABLE pet DROP COLUMN born"],
        "SM407",
        "column 'pet.born' is missing",
        "error",
    ),
    "column added": (
        ["ALTER TABLE owner ADD COLUMN phone VARCHAR(20)"],
        "SM408",
        "has column 'owner.phone', which the history up to revision 'r10'",
        "warning",
    ),
    "index added": (
        ["CREATE INDEX fast ON owner (name)"],
        "SM408",
        "has index 'fast' of 'owner'",
        "info",
    ),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_changed_by_hand(project: ProjectFactory, database_url: str, case: str) -> None:
    statements, code, message, severity = BY_HAND[case]
    if database_url.startswith(("mysql", "mariadb")):
        statements = [
            s.replace("DROP INDEX ix_pet_name", "DROP INDEX ix_pet_name ON pet")
            for s in statements
        ]
    # Without r10 the column dropped is not the last revision's whole change.
    p = at_head(project(url=database_url, models=MODELS, config={"SAFEMIGRATE_JOURNAL": False}))
    p.execute(*statements)
    found = only(p, code, message)
    assert found["severity"] == severity


def test_type_changed_by_hand(project: ProjectFactory, postgresql_url: str) -> None:
    p = at_head(project(url=postgresql_url, models=MODELS))
    p.execute("ALTER TABLE pet ALTER name TYPE text")
    only(p, "SM409", "column 'pet.name' is text NOT NULL and not character varying(30) NOT NULL")


def test_pending_change_is_already_there(project: ProjectFactory, database_url: str) -> None:
    p = tell(project(url=database_url, models=MODELS))
    assert p.invoke("db", "safe-upgrade", "r08", "--yes").exit_code == 0
    p.execute("ALTER TABLE pet ADD COLUMN born INTEGER DEFAULT 0 NOT NULL")
    only(p, "SM410", "is already that of revision 'r09'")
    fixed(p, "r09")


def test_pending_change_is_there_beside_another_one(project: ProjectFactory) -> None:
    p = tell(project(models=MODELS))
    assert p.invoke("db", "safe-upgrade", "r08", "--yes").exit_code == 0
    p.execute(
        "ALTER TABLE pet ADD COLUMN born INTEGER DEFAULT 0 NOT NULL",
        "ALTER TABLE owner ADD COLUMN phone VARCHAR(20)",
    )
    found = findings(p)
    assert set(found) == {"SM408", "SM410"}
    assert "'r09' (step r09) is pending" in found["SM410"]["message"]
    assert "in it already: column 'pet.born' is there" in found["SM410"]["message"]
    assert found["SM410"]["repair"] is None


def test_pending_change_is_half_there(project: ProjectFactory, database_url: str) -> None:
    p = at_head(project(url=database_url, models=MODELS))
    p.revision(
        "r11",
        "op.add_column('owner', sa.Column('phone', sa.String(20)))\n"
        "op.add_column('owner', sa.Column('fax', sa.String(20)))\n"
        "op.create_index('ix_fax', 'owner', ['fax'])",
    )
    p.execute("ALTER TABLE owner ADD COLUMN phone VARCHAR(20)")
    found = findings(p)
    assert set(found) == {"SM411", "SM412"}
    message, hint = found["SM411"]["message"], found["SM411"]["hint"]
    assert "'r11' (revision r11) is half applied" in message
    assert "column 'owner.phone' is there" in message
    assert "not done yet: column 'owner.fax' and index 'ix_fax' of 'owner'" in message
    undo = hint.partition(", then")[0]
    assert "DROP COLUMN" in undo
    p.execute(undo)
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0


def test_models_and_history_differ(project: ProjectFactory, database_url: str) -> None:
    models = MODELS.replace("db.String(200)", "db.String(100)").replace(", index=True", "")
    p = at_head(project(url=database_url, models=models + "    nick = db.Column(db.Text)\n"))
    message = only(p, "SM412", "flask db migrate")["message"]
    assert "no revision makes column 'pet.nick'" in message
    assert "no model has index 'ix_pet_name' of 'pet'" in message
    assert "column 'owner.name' is " in message.replace("VARCHAR", "varchar")


def test_what_autogenerate_does_not_see(project: ProjectFactory) -> None:
    models = MODELS.replace('server_default="0"', 'server_default="7"')
    p = at_head(project(models=models))
    found = only(p, "SM412", "flask db revision", "default of 'pet.born' is 7 in the models")
    assert found["severity"] == "info"


def test_spelling_is_no_drift(project: ProjectFactory) -> None:
    p = tell(project(models=MODELS))
    p.execute(
        "CREATE TABLE [owner] (ID INTEGER PRIMARY KEY, name varchar ( 200 ) not null)",
        "CREATE TABLE pet (id INTEGER NOT NULL PRIMARY KEY, name varchar(30) NOT NULL, "
        "born INT DEFAULT ('0') NOT NULL, owner_id INTEGER REFERENCES owner)",
        'CREATE INDEX other_name ON "pet" ("name")',
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('r10')",
    )
    assert findings(p) == {}


def test_tables_of_others_are_no_drift(project: ProjectFactory) -> None:
    p = tell(project(models=MODELS, config={"SAFEMIGRATE_EXCLUDE_TABLES": ["celery_*", "frame"]}))
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    p.execute("CREATE TABLE celery_tasks (id INTEGER)", "CREATE TABLE frame (x)")
    assert findings(p) == {}
    migrated = p.db("migrate")
    assert "No changes in schema detected" in migrated.stderr
    p.execute("CREATE TABLE strange (x)")
    p.db("migrate")
    written = [f.read_text() for f in p.versions.glob("*.py") if "step" not in f.name]
    assert len(written) == 1
    assert "strange" in written[0]
    assert "celery" not in written[0]
    for file in p.versions.glob("*.py"):
        if "step" not in file.name:
            file.unlink()
    only(p, "SM404", "1 table that no model defines ('strange')")


def test_fast_does_not_compare(project: ProjectFactory) -> None:
    p = at_head(project(models=MODELS))
    p.execute("DROP TABLE pet", "DELETE FROM alembic_version")
    assert "nearest" not in findings(p, "--fast")["SM303"]["message"]
    assert "nearest" in findings(p)["SM303"]["message"]
    state = doctor(p, "--fast")["state"]
    assert state["evidence"] == {}


def test_upgrade_does_not_replay(project: ProjectFactory) -> None:
    p = at_head(project(models=MODELS))
    assert not (p.path / ".safemigrate" / "replay").exists()
    p.invoke("db", "status")
    assert not (p.path / ".safemigrate" / "replay").exists()
    doctor(p)
    assert (p.path / ".safemigrate" / ".gitignore").read_text() == "*\n"
    assert len(list((p.path / ".safemigrate" / "replay").iterdir())) >= 1


def test_a_revision_that_needs_rows_stops_the_replay_there(
    project: ProjectFactory, database_url: str
) -> None:
    p = tell(project(url=database_url, models=MODELS))
    p.revision("r11", "op.get_bind().execute(sa.text('SELECT id FROM pet WHERE id=-1')).one()")
    p.revision("r12", "op.add_column('pet', sa.Column('late', sa.Integer))")
    assert p.invoke("db", "safe-upgrade", "r09", "--yes").exit_code == 0
    p.execute("DELETE FROM alembic_version")
    found = findings(p)
    assert set(found) == {"SM303", "SM413"}
    assert "equals revision 'r09'" in found["SM303"]["message"]
    assert "Revision 'r11' failed" in found["SM413"]["message"]
    assert found["SM413"]["where"].endswith("r11_revision_r11.py")


def test_the_replay_never_touches_the_real_database(project: ProjectFactory) -> None:
    p = tell(project(models=MODELS))
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    p.revision(
        "r11",
        "from flask import current_app\n"
        "db = current_app.extensions['sqlalchemy']\n"
        "db.session.execute(sa.text('DELETE FROM pet'))\n"
        "db.session.commit()",
    )
    before = p.database.read_bytes()
    found = findings(p)
    assert "SM414" not in found
    assert "SM413" not in found
    assert p.rows("SELECT count(*) FROM pet") == [(400,)]
    assert p.database.read_bytes() == before


def test_the_replay_is_silent_and_leaves_nothing(project: ProjectFactory) -> None:
    p = tell(project(models=MODELS))
    p.revision(
        "r11",
        "import sys, warnings, logging\nprint('LOUD')\nprint('LOUD', file=sys.stderr)\n"
        "warnings.warn('LOUD')\nlogging.getLogger('x').error('LOUD')",
    )
    done = p.db("doctor")
    assert "LOUD" not in done.stdout + done.stderr
    assert not p.database.exists()


def test_branches_are_told_apart(project: ProjectFactory) -> None:
    p = project()
    table = "op.create_table('{0}', sa.Column('id', sa.Integer, primary_key=True))"
    p.revision("a1", table.format("base"))
    p.revision("b1", table.format("left"), down="a1")
    p.revision("c1", table.format("right"), down="a1")
    p.revision("c2", "op.add_column('right', sa.Column('x', sa.Integer))", down="c1")
    p.revision("m1", "pass", down=("b1", "c2"))
    p.execute(
        "CREATE TABLE base (id INTEGER PRIMARY KEY)",
        'CREATE TABLE "right" (id INTEGER PRIMARY KEY)',
    )
    found = findings(p)
    assert "equals revision 'c1'" in found["SM302"]["message"]
    p.execute('CREATE TABLE "left" (id INTEGER PRIMARY KEY)', 'ALTER TABLE "right" ADD x INTEGER')
    assert "equals revision 'm1'" in findings(p)["SM302"]["message"]


def test_every_bind_has_its_own_verdict(project: ProjectFactory) -> None:
    p = project(binds={"stats": None})
    for id, upgrade in (
        ("a1", {"": "op.create_table('t', sa.Column('id', sa.Integer))", "stats": "pass"}),
        ("b1", {"": "pass", "stats": "op.create_table('s', sa.Column('id', sa.Integer))"}),
        ("c1", {"": "op.add_column('t', sa.Column('x', sa.Integer))", "stats": "pass"}),
    ):
        p.revision(id, upgrade, {"": "pass", "stats": "pass"})
    p.execute("CREATE TABLE t (id INTEGER, x INTEGER)")
    p.execute("CREATE TABLE s (id INTEGER)", url=p.binds["stats"])
    found = [f for f in doctor(p)["findings"] if f["code"] == "SM302"]
    assert {f["bind"]: f["subject"] for f in found} == {"": "c1", "stats": "c1"}
    doctor(p, "--fix", "--yes")
    assert p.heads() == p.heads(p.binds["stats"]) == {"c1"}


def test_one_bind_that_stops_leaves_the_other_its_verdict(project: ProjectFactory) -> None:
    p = project(binds={"stats": None})
    pass_ = {"": "pass", "stats": "pass"}
    p.revision("a1", {"": "raise ValueError('no')", "stats": "pass"}, pass_)
    p.revision(
        "b1", {"": "pass", "stats": "op.create_table('s', sa.Column('x', sa.Integer))"}, pass_
    )
    p.execute("CREATE TABLE s (x INTEGER)", url=p.binds["stats"])
    found = {(f["code"], f["bind"]): f for f in doctor(p)["findings"]}
    assert "ValueError: no" in found["SM413", ""]["message"]
    assert found["SM302", "stats"]["subject"] == "b1"


def _exists(url: str, name: str) -> bool:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        query = (
            "SELECT datname FROM pg_database"
            if url.startswith("postgresql")
            else "SELECT schema_name FROM information_schema.schemata"
        )
        names = set(connection.execute(sa.text(query)).scalars())
    engine.dispose()
    return name in names


def _tells_where_it_runs(p: Project, then: str) -> str:
    """Add a revision that makes a table of this name, by which its database can be found."""
    token = f"here_{id(p)}"
    p.revision("r11", f'import time\nop.execute("CREATE TABLE {token} (id int)")\n{then}')
    return token


def _where(url: str, token: str) -> str:
    """The database in which the table was made, by what the server tells of it; "" for none."""
    engine = sa.create_engine(url)
    query = (
        "SELECT datname FROM pg_stat_activity WHERE query LIKE :token "
        "AND datname LIKE 'safemigrate%'"
        if engine.dialect.name == "postgresql"
        else "SELECT table_schema FROM information_schema.tables WHERE table_name LIKE :token"
    )
    with engine.connect() as connection:
        found = connection.execute(sa.text(query), {"token": f"%{token}%"}).scalar()
    engine.dispose()
    return str(found or "")


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
def test_no_scratch_database_stays(
    project: ProjectFactory, databases: Databases, dialect: str
) -> None:
    url = databases.create(dialect)
    p = tell(project(url=url, models=MODELS))
    ask = "SELECT current_database()" if dialect == "postgresql" else "SELECT DATABASE()"
    p.revision(
        "r11",
        f"name = op.get_bind().execute(sa.text('{ask}')).scalar()\n"
        "raise ValueError(f'stop in {name}')",
    )
    said = findings(p)["SM413"]["message"]
    found = re.search(r"ValueError: stop in .*(safemigrate_scratch_\w+)", said)
    assert found is not None, said
    assert not _exists(url, found[1])


def test_without_the_privilege_it_says_so(project: ProjectFactory, postgresql_url: str) -> None:
    url = sa.make_url(postgresql_url)
    role = f"poor_{url.database}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE ROLE {role} LOGIN PASSWORD 'x' NOCREATEDB"))
        connection.execute(sa.text(f"GRANT ALL ON SCHEMA public TO {role}"))
    try:
        poor = url.set(username=role, password="x").render_as_string(hide_password=False)
        p = at_head(project(url=poor, models=MODELS))
        found = only(p, "SM414", "permission denied to create database", "--fast")
        assert found["severity"] == "info"
        p.close()
    finally:
        with admin.connect() as connection:
            connection.execute(sa.text(f"DROP OWNED BY {role} CASCADE"))
            connection.execute(sa.text(f"DROP ROLE {role}"))
        admin.dispose()


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
def test_a_signal_leaves_no_scratch_database(
    project: ProjectFactory, databases: Databases, dialect: str
) -> None:
    url = databases.create(dialect)
    p = tell(project(url=url, models=MODELS))
    token = _tells_where_it_runs(p, "time.sleep(60)")
    process = p.start("db", "doctor")
    deadline = time.monotonic() + 60
    while not (name := _where(url, token)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _exists(url, name)
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert not _exists(url, name)
