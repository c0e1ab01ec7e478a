"""What revisions say to SQLite about transactions, foreign keys and the file itself.

Alembic commits SQLite's revisions statement by statement, so that these have an effect in plain
Flask-Migrate; in one transaction for all revisions most of them would have none, or fail.
"""

from __future__ import annotations

import json
import sqlite3

import pytest

from tests.support.projects import Project, ProjectFactory

TEAM = """
op.create_table("team", sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("name", sa.String(40)))
op.create_table("player", sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("team_id", sa.Integer(), sa.ForeignKey("team.id"{0})))
"""
CASCADE = TEAM.format(", ondelete='CASCADE'")
ROWS = ("INSERT INTO team VALUES (1, 'red'), (2, 'blue')", "INSERT INTO player VALUES (1, 1)")
REFERENCES = "SELECT \"table\" FROM pragma_foreign_key_list('player')"

LEGACY_OPERATIONS = """
conn = op.get_bind()
conn.execute(sa.text("PRAGMA legacy_alter_table=ON"))
op.rename_table("team", "team_tmp")
op.create_table("team", sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("name", sa.String(80)))
conn.execute(sa.text("INSERT INTO team SELECT id, name FROM team_tmp"))
op.drop_table("team_tmp")
"""
LEGACY_STATEMENTS = """
op.execute("PRAGMA foreign_keys=OFF")
op.execute("PRAGMA legacy_alter_table=ON")
op.execute("ALTER TABLE team RENAME TO team_old")
op.execute("CREATE TABLE team (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(80))")
op.execute("INSERT INTO team SELECT id, name FROM team_old")
op.execute("DROP TABLE team_old")
op.execute("PRAGMA legacy_alter_table=OFF")
op.execute("PRAGMA foreign_keys=ON")
"""
BY_HAND = """
op.execute("PRAGMA foreign_keys = 'off';")
op.execute("CREATE TABLE team_new (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(80))")
op.execute("INSERT INTO team_new SELECT id, name FROM team{0}")
op.execute("DROP TABLE team")
op.execute("ALTER TABLE team_new RENAME TO team")
op.execute("PRAGMA main.foreign_keys(1)")
"""
IN_A_BLOCK = (
    'with op.get_context().autocommit_block():\n    op.execute("PRAGMA foreign_keys=OFF")\n'
    + BY_HAND.format("").partition("\n")[2].partition("\n")[2]
)
BY_THE_ENGINE = """
with op.get_bind().engine.connect() as c:
    c.execute(sa.text("PRAGMA foreign_keys=OFF"))
    c.commit()
    c.execute(sa.text("CREATE TABLE team_new (id INTEGER NOT NULL PRIMARY KEY, name TEXT)"))
    c.execute(sa.text("INSERT INTO team_new SELECT id, name FROM team"))
    c.execute(sa.text("DROP TABLE team"))
    c.execute(sa.text("ALTER TABLE team_new RENAME TO team"))
    c.commit()
assert op.get_bind().execute(sa.text("PRAGMA foreign_keys")).scalar() == ENFORCED
"""
BY_THE_DRIVERS_ANSWER = (
    'before = op.get_bind().execute(sa.text("PRAGMA foreign_keys")).scalar()\n'
    "assert before == ENFORCED\n" + BY_HAND.format("")
)


def enforcing(on: bool) -> str:
    """Text of an application whose connections enforce foreign keys, or do not."""
    return (
        "with app.app_context():\n"
        "    sa.event.listen(db.engine, 'connect',\n"
        f"        lambda c, r: c.execute('PRAGMA foreign_keys={int(on)}').close())"
    )


def codes(p: Project) -> set[str]:
    found = json.loads(p.invoke("db", "doctor", "--format", "json").output)["findings"]
    return {each["code"] for each in found if each["code"].startswith(("SM3", "SM4"))}


@pytest.mark.parametrize("enforced", [False, True], ids=["not enforced", "enforced"])
@pytest.mark.parametrize("first", [TEAM.format(""), CASCADE], ids=["no action", "cascade"])
@pytest.mark.parametrize("rows", [ROWS, ()], ids=["rows", "empty"])
@pytest.mark.parametrize(
    "body",
    [
        LEGACY_STATEMENTS,
        BY_HAND.format(""),
        IN_A_BLOCK,
        BY_THE_DRIVERS_ANSWER,
        BY_THE_ENGINE,
        LEGACY_OPERATIONS,
    ],
    ids=["legacy", "by hand", "in a block", "asked", "by the engine", "legacy operations"],
)
def test_a_table_made_anew_by_hand_keeps_its_children(
    project: ProjectFactory, body: str, rows: tuple[str, ...], first: str, enforced: bool
) -> None:
    if body == LEGACY_OPERATIONS and enforced:
        # Without the other pragma SQLite lets the foreign key follow.
        body = 'op.execute("PRAGMA foreign_keys=OFF")' + body
    body = body.replace("ENFORCED", str(int(enforced)))
    p = project(revisions=[("a1", first), ("a2", body)], after=enforcing(enforced))
    if rows:
        assert p.invoke("db", "safe-upgrade", "a1", "--yes").exit_code == 0
        p.execute(*rows)
    app = p.app()
    done = p.invoke("db", "deploy", app=app)
    assert done.exit_code == 0, done.output
    assert p.rows("SELECT * FROM player") == ([(1, 1)] if rows else [])
    assert p.rows(REFERENCES) == [("team",)]
    assert codes(p) <= {"SM412"}
    # The application's own connections enforce as before.
    with app.app_context(), app.extensions["sqlalchemy"].engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == int(enforced)


@pytest.mark.parametrize("enforced", [False, True], ids=["not enforced", "enforced"])
def test_rows_that_lose_their_parent_meanwhile_stop_it(
    project: ProjectFactory, enforced: bool
) -> None:
    p = project(revisions=[("a1", CASCADE)], after=enforcing(enforced))
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    p.execute(*ROWS)
    p.revision("a2", BY_HAND.format(" WHERE id = 2"))
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 1, done.output
    said = " ".join(done.output.split())
    assert '1 row of table "player" lost the row that the foreign key leads to' in said
    assert p.rows("SELECT * FROM player") == [(1, 1)]


@pytest.mark.parametrize(
    "other", ["DELETE FROM team WHERE id = 1", "INSERT INTO player VALUES (9, 9)"]
)
def test_enforcement_is_what_it_was_for_the_other_revisions(
    project: ProjectFactory, other: str
) -> None:
    p = project(revisions=[("a1", CASCADE)], after=enforcing(True))
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    p.execute(*ROWS)
    p.revision("a2", f'op.execute("{other}")')
    p.revision("a3", BY_HAND.format(""))
    done = p.invoke("db", "safe-upgrade", "--yes")
    said = " ".join(done.output.split())
    if other.startswith("INSERT"):
        assert done.exit_code == 1, done.output
        assert p.rows("SELECT * FROM player") == [(1, 1)]
    elif hasattr(sqlite3.Connection, "setconfig"):
        assert done.exit_code == 0, done.output
        assert p.rows("SELECT * FROM player") == []
    else:
        assert done.exit_code == 1, done.output
        assert "Revision 'a2': \"DELETE FROM team WHERE id = 1\" leaves rows" in said
        assert p.rows("SELECT * FROM player") == [(1, 1)]
        assert "Hint: run it apart from that one: flask db safe-upgrade a2" in said
        assert p.invoke("db", "safe-upgrade", "a2", "--yes").exit_code == 0
        assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
        assert p.rows("SELECT * FROM player") == []


@pytest.mark.skipif(
    hasattr(sqlite3.Connection, "setconfig"), reason="this Python can switch in a transaction"
)
def test_a_switch_that_nobody_saw_coming_is_stopped(project: ProjectFactory) -> None:
    p = project(revisions=[("a1", CASCADE)], after=enforcing(True))
    p.revision(
        "a2", "try:\n    op.execute('PRAGMA foreign_' + 'keys=OFF')\nexcept Exception: pass"
    )
    done = p.invoke("db", "safe-upgrade", "--yes")
    said = " ".join(done.output.split())
    assert done.exit_code == 1, done.output
    assert "Revision 'a2' in \"migrations/versions/a2_revision_a2.py\", line 20, switches" in said
    assert not p.rows("SELECT name FROM sqlite_master")


def test_a_foreign_key_to_columns_that_are_no_key_is_said(project: ProjectFactory) -> None:
    columns = "sa.Column('id', sa.Integer, primary_key=True), sa.Column('code', sa.String(9))"
    body = (
        f"op.create_table('kind', {columns})\n"
        f"op.create_table('plan', {columns}, sa.ForeignKeyConstraint(['code'], ['kind.code']))"
    )
    done = project(revisions=[("a1", body)], after=enforcing(False)).invoke("db", "deploy")
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert 'lead nowhere: "plan" to "kind", which has no such key' in said


def test_a_foreign_key_of_a_new_table_that_leads_nowhere_is_said(project: ProjectFactory) -> None:
    bodies = [
        ("a1", TEAM.format("")),
        (
            "a2",
            'op.execute("PRAGMA legacy_alter_table=ON")\nop.rename_table("team", "club")',
        ),
    ]
    p = project(revisions=bodies, after=enforcing(False))
    done = p.invoke("db", "deploy")
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert 'these foreign keys lead nowhere: "player" to "team"' in said
    assert "foreign keys work as before" not in said
    bodies[1] = ("a2", 'op.execute("PRAGMA foreign_keys=OFF")\n' + bodies[1][1])
    bodies[1] = ("a2", bodies[1][1] + '\nop.execute("PRAGMA foreign_keys=ON")')
    p = project(revisions=bodies, after=enforcing(True))
    done = p.invoke("db", "deploy")
    assert done.exit_code == 1, done.output
    assert 'the foreign key of table "player" leads to "team"' in " ".join(done.output.split())


PERSON = 'op.create_table("person", sa.Column("id", sa.Integer(), primary_key=True))'
#: A revision, a query, and what it answers after plain Flask-Migrate.
OF_THE_FILE = {
    "WAL": ('op.execute("PRAGMA journal_mode=WAL")', "PRAGMA journal_mode", "wal"),
    "WAL after a write": (
        'op.execute("INSERT INTO person VALUES (1)")\n'
        "mode = op.get_bind().exec_driver_sql(\"PRAGMA journal_mode = 'wal'\").scalar()\n"
        'assert mode in ("wal", "memory")',
        "PRAGMA journal_mode",
        "wal",
    ),
    "WAL by the engine": (
        "with op.get_bind().engine.connect() as c:\n"
        '    c.exec_driver_sql("PRAGMA journal_mode=WAL")',
        "PRAGMA journal_mode",
        "wal",
    ),
    "vacuum": (
        'op.execute("PRAGMA auto_vacuum=INCREMENTAL")\nop.execute("VACUUM")',
        "PRAGMA auto_vacuum",
        2,
    ),
    "vacuum in a block": (
        'with op.get_context().autocommit_block():\n    op.execute("PRAGMA page_size=8192")\n'
        '    op.execute("VACUUM")',
        "PRAGMA page_size",
        8192,
    ),
}


@pytest.mark.parametrize("case", OF_THE_FILE)
def test_what_is_about_the_file_happens_after_commit(project: ProjectFactory, case: str) -> None:
    body, query, wanted = OF_THE_FILE[case]
    p = project(revisions=[("a1", PERSON), ("a2", body)])
    tried = p.invoke("db", "safe-upgrade", "--dry-run")
    assert tried.exit_code == 0, tried.output
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert "of revision 'a2', ran after COMMIT" in " ".join(done.output.split())
    assert p.rows(query) == [(wanted,)]
    assert codes(p) <= {"SM412"}


def test_what_is_about_the_file_does_not_happen_when_the_run_fails(
    project: ProjectFactory,
) -> None:
    p = project(revisions=[("a1", PERSON), ("a2", OF_THE_FILE["WAL"][0]), ("a3", "1 / 0")])
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 1
    assert p.rows("PRAGMA journal_mode") == [("delete",)]


@pytest.mark.parametrize(
    "statement", ["PRAGMA synchronous=OFF", "PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM"]
)
def test_what_is_kept_is_said(project: ProjectFactory, statement: str) -> None:
    p = project(revisions=[("a1", PERSON), ("a2", f'op.execute("{statement}")')])
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert f"{statement}, of revision 'a2', ran after COMMIT" in " ".join(done.output.split())


ITS_OWN = {
    "the context's": (
        "with op.get_context().begin_transaction():\n"
        '    op.execute("INSERT INTO person VALUES (1)")',
        [(1,)],
    ),
    "committed": (
        'op.execute("BEGIN")\nop.execute("INSERT INTO person VALUES (1)")\nop.execute("END")\n'
        'op.execute("BEGIN IMMEDIATE")\nop.execute("INSERT INTO person VALUES (2)")\n'
        'op.execute("COMMIT TRANSACTION")',
        [(1,), (2,)],
    ),
    "rolled back": (
        'op.execute("BEGIN")\nop.execute("INSERT INTO person VALUES (1)")\n'
        'op.execute("CREATE TABLE gone (x)")\nop.execute("ROLLBACK")\n'
        'op.execute("INSERT INTO person VALUES (2)")',
        [(2,)],
    ),
    "left open": ('op.execute("BEGIN")\nop.execute("INSERT INTO person VALUES (1)")', [(1,)]),
}


@pytest.mark.parametrize("case", ITS_OWN)
def test_a_transaction_of_its_own_is_part_of_the_run(project: ProjectFactory, case: str) -> None:
    body, rows = ITS_OWN[case]
    p = project(revisions=[("a1", PERSON), ("a2", body), ("a3", "op.execute('SELECT 1')")])
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert p.rows("SELECT id FROM person ORDER BY id") == rows
    assert p.rows("SELECT name FROM sqlite_master WHERE name = 'gone'") == []
    p.revision("a4", body.replace("(1)", "(11)").replace("(2)", "(12)") + "\n1 / 0")
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 1
    assert p.rows("SELECT id FROM person ORDER BY id") == rows


def test_what_was_attached_can_be_detached(project: ProjectFactory) -> None:
    p = project(
        revisions=[
            ("a1", PERSON),
            (
                "a2",
                "import sqlite3\n"
                "other = sqlite3.connect('other.db')\n"
                "other.executescript('CREATE TABLE old (id); INSERT INTO old VALUES (7)')\n"
                "op.execute(\"ATTACH 'other.db' AS other\")\n"
                "op.execute('INSERT INTO person SELECT id FROM other.old')\n"
                "op.execute('DETACH other')",
            ),
        ]
    )
    app = p.app()
    done = p.invoke("db", "safe-upgrade", "--yes", app=app)
    assert done.exit_code == 0, done.output
    assert p.rows("SELECT id FROM person") == [(7,)]
    with app.app_context(), app.extensions["sqlalchemy"].engine.connect() as connection:
        assert len(connection.exec_driver_sql("PRAGMA database_list").all()) == 1
