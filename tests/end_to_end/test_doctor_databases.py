"""Broken databases as a user meets them: what the doctor says, what --fix does, and after it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases
from tests.support.sql import run

MODELS = """
class Users(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String(100), index=True, unique=True)
    name = db.Column(db.String({width}), index=True)

class Orders(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(
        db.Integer, db.ForeignKey("users.id", name="fk_user", ondelete="CASCADE")
    )
    note = db.Column(db.String(200))
"""

FIRST = """
op.create_table("users", sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("email", sa.String(100)), sa.Column("name", sa.String(100)))
op.create_index("ix_users_email", "users", ["email"], unique=True)
op.create_index("ix_users_name", "users", ["name"])
op.create_table("orders", sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("user_id", sa.Integer,
        sa.ForeignKey("users.id", name="fk_user", ondelete="CASCADE")),
    sa.Column("note", sa.String(200)))
"""

WIDER = """
with op.batch_alter_table("users") as batch:
    batch.alter_column("name", type_=sa.String(200))
"""

ROWS = 300


def doctor(project: Project, *arguments: str) -> dict[str, Any]:
    result = project.invoke("db", "doctor", "--format", "json", *arguments)
    document: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == document["exit_code"]
    return document


def told(project: Project, *arguments: str) -> dict[str, dict[str, Any]]:
    """The findings by code, without what every such small project has."""
    quiet = ("SM115", "SM116", "SM131", "SM520", "SM528")
    found = [f for f in doctor(project, *arguments)["findings"] if f["code"] not in quiet]
    assert len({f["code"] for f in found}) == len(found), [f["message"] for f in found]
    return {f["code"]: f for f in found}


def only(project: Project, code: str, *parts: str) -> dict[str, Any]:
    found = told(project)
    assert list(found) == [code], [f["message"] for f in found.values()]
    for part in parts:
        assert part in found[code]["message"] + found[code]["hint"], found[code]
    return found[code]


def fixed(project: Project) -> dict[str, Any]:
    """``--fix`` repairs; the doctor has nothing to say then, and all goes on to head."""
    document = doctor(project, "--fix", "--yes")
    assert document["repairs"], document
    assert told(project) == {}
    assert project.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    return document


@pytest.fixture
def filled(project: ProjectFactory) -> Callable[..., Project]:
    def make(url: str | None = None, width: int = 100) -> Project:
        made = project(
            url=url,
            models=MODELS.replace("{width}", str(width)),
            revisions=[("r1", FIRST, 'op.drop_table("orders")\nop.drop_table("users")')],
            foreign_keys=True,
        )
        assert made.invoke("db", "safe-upgrade", "--yes").exit_code == 0
        for table in ("users (id, email, name)", "orders (id, user_id, note)"):
            second = "'{0}@x'" if table.startswith("users") else "{0}"
            third = "'" + "n" * 90 + "'"
            values = ", ".join(f"({n}, {second.format(n)}, {third})" for n in range(1, ROWS + 1))
            made.execute(f"INSERT INTO {table} VALUES {values}")
        return made

    return make


@pytest.fixture
def lite(filled: Callable[..., Project]) -> Project:
    return filled()


def script(project: Project, *statements: str) -> None:
    """As another program would: without the application's pragmas, as SQLite 3.25 and later."""
    connection = sqlite3.connect(project.database, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


COPY = (
    "CREATE TABLE _alembic_tmp_users (id INTEGER NOT NULL, email VARCHAR(100), "
    "name VARCHAR({width}), PRIMARY KEY (id))",
    "INSERT INTO _alembic_tmp_users SELECT * FROM users",
)


def copied(width: int = 100) -> tuple[str, str]:
    return COPY[0].format(width=width), COPY[1]


def test_an_empty_leftover_is_dropped(lite: Project) -> None:
    script(lite, copied()[0])
    only(lite, "SM401", "'_alembic_tmp_users'", f"'users' is whole with {ROWS} rows")
    fixed(lite)
    assert lite.rows("SELECT count(*) FROM users") == [(ROWS,)]


def test_a_copy_is_left_alone(lite: Project) -> None:
    script(lite, *copied())
    finding = only(lite, "SM402", f"with {ROWS} rows", "EXCEPT", "DROP TABLE")
    assert finding["repair"] is None


LEFT = {
    "dropped": (*copied(), "DROP TABLE users"),
    "renamed": ("ALTER TABLE users RENAME TO _alembic_tmp_users",),
    "made again": (*copied(), "DELETE FROM users"),
    "view": (
        *copied(),
        "CREATE VIEW active AS SELECT id FROM users",
        "CREATE TRIGGER noted AFTER DELETE ON orders BEGIN "
        "UPDATE users SET name = '' WHERE id = old.user_id; END",
        "DROP TABLE users",
    ),
}


@pytest.mark.parametrize("statements", LEFT.values(), ids=LEFT.keys())
def test_a_leftover_that_is_the_data_gets_its_name_back(
    lite: Project, statements: tuple[str, ...]
) -> None:
    script(lite, *statements)
    only(lite, "SM403", f"its data ({ROWS} rows) is in '_alembic_tmp_users'", "do not drop it")
    document = fixed(lite)
    assert len(lite.rows("SELECT * FROM users JOIN orders ON user_id = users.id")) == ROWS
    assert lite.rows("PRAGMA foreign_key_check") == []
    lite.execute("DELETE FROM users WHERE id = 1")
    assert lite.rows("SELECT count(*) FROM orders") == [(ROWS - 1,)], "a cascade is one again"
    indexes = {row[1] for row in lite.rows("PRAGMA index_list(users)")}
    assert {"ix_users_email", "ix_users_name"} == indexes, document["repairs"]
    assert list((lite.path / ".safemigrate").glob("*.db")), "a snapshot goes before"


def test_a_leftover_of_the_pending_revision(filled: Callable[..., Project]) -> None:
    p = filled(width=200)
    script(p, *copied(200), "DROP TABLE users")
    p.revision("r2", WIDER)
    found = told(p)
    assert {"SM403", "SM306"} == set(found)
    fixed(p)
    assert p.heads() == {"r2"}
    assert p.rows("SELECT count(*) FROM users") == [(ROWS,)]


def test_a_page_in_the_middle_of_the_file(lite: Project) -> None:
    script(lite, "UPDATE orders SET note = printf('%0200d', id)")
    size = lite.database.stat().st_size
    with lite.database.open("r+b") as file:
        file.seek(size * 3 // 4 // 4096 * 4096)
        file.write(b"\xa5" * 4096)
    document = doctor(lite)
    assert [f["code"] for f in document["findings"] if f["severity"] == "error"] == ["SM513"]
    assert document["exit_code"] == 3
    assert doctor(lite, "--fast")["exit_code"] == 0, "reading the whole file takes time"


def test_wrong_indexes_are_made_anew(lite: Project) -> None:
    row = lite.rows("SELECT * FROM sqlite_master WHERE name = 'ix_users_name'")[0]
    script(
        lite, "PRAGMA writable_schema=ON", "DELETE FROM sqlite_master WHERE name = 'ix_users_name'"
    )
    script(lite, "INSERT INTO users VALUES (999, 'z', 'z')")
    values = ", ".join(repr(value) for value in row)
    script(lite, "PRAGMA writable_schema=ON", f"INSERT INTO sqlite_master VALUES ({values})")
    only(lite, "SM513", "missing from index ix_users_name", "--fix SM513")
    fixed(lite)
    assert lite.rows("PRAGMA integrity_check") == [("ok",)]


def test_orphans_are_left_to_a_person(lite: Project) -> None:
    script(lite, "DELETE FROM users WHERE id <= 7")
    finding = only(lite, "SM527", "7 rows of table 'orders' (rowid 1, 2, 3, 4, 5 and more)")
    assert finding["repair"] is None


def test_a_log_that_was_left(lite: Project) -> None:
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
        "c.execute('PRAGMA journal_mode=wal'); c.execute('INSERT INTO users (id) VALUES (999)'); "
        "c.commit(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(lite.database)], check=False)
    log = lite.database.with_name("app.db-wal")
    before = lite.database.read_bytes(), log.read_bytes()
    only(lite, "SM531", '"app.db-wal", which no process on this machine has open')
    assert (lite.database.read_bytes(), log.read_bytes()) == before
    fixed(lite)
    assert not log.exists()
    assert lite.rows("SELECT count(*) FROM users") == [(ROWS + 1,)]


def test_enforcement_is_off(project: ProjectFactory) -> None:
    p = project(models=MODELS.replace("{width}", "100"), revisions=[("r1", FIRST)])
    # Of the whole process: another test's listener would turn it on here too.
    found = json.loads(p.db("doctor", "--format", "json").stdout)["findings"]
    off = [f for f in found if f["code"] == "SM528"]
    assert off == [], "nothing is to be enforced in a file that is not there"
    p.db("upgrade")
    found = json.loads(p.db("doctor", "--format", "json").stdout)["findings"]
    (off,) = [f for f in found if f["code"] == "SM528"]
    assert off["severity"] == "info"
    assert "'orders.user_id'" in off["message"]


def test_the_doctor_changes_no_file(lite: Project) -> None:
    script(lite, *copied())
    before = lite.database.read_bytes(), lite.database.stat().st_mtime_ns
    listed = {path.name for path in lite.path.iterdir()}
    doctor(lite)
    assert (lite.database.read_bytes(), lite.database.stat().st_mtime_ns) == before
    assert {path.name for path in lite.path.iterdir()} - listed <= {".safemigrate"}


@pytest.fixture
def postgres(filled: Callable[..., Project], databases: Databases) -> Project:
    p = filled(databases.create("postgresql"))
    p.execute(f"SELECT setval('users_id_seq', {ROWS}), setval('orders_id_seq', {ROWS})")
    assert told(p) == {}
    return p


def test_a_sequence_that_stayed_behind(postgres: Project) -> None:
    postgres.execute("INSERT INTO users (id) VALUES (5000)")
    only(postgres, "SM536", "'users_id_seq'", "gives 301 next", "at 5,000 already")
    fixed(postgres)
    postgres.execute("INSERT INTO users (email) VALUES ('next')")
    assert postgres.rows("SELECT max(id) FROM users") == [(5001,)]


def test_a_type_that_a_downgrade_left(postgres: Project) -> None:
    body = 'op.add_column("users", sa.Column("mood", sa.Enum("sad", "glad", name="mood")))'
    create = 'sa.Enum("sad", "glad", name="mood").create(op.get_bind())\n'
    postgres.revision("r2", create + body, 'op.drop_column("users", "mood")')
    for command in ("upgrade", "downgrade"):
        assert postgres.invoke("db", command).exit_code == 0
    found = told(postgres)
    assert "revision 'r2', which is pending, makes it and will fail" in found["SM533"]["message"]
    assert not {"SM408", "SM410", "SM411"} & set(found), found
    document = doctor(postgres, "--fix", "--yes")
    assert document["repairs"] == ["Dropped the unused type public.mood."]
    assert postgres.invoke("db", "safe-upgrade", "--yes").exit_code == 0


def test_an_index_whose_building_failed(postgres: Project) -> None:
    postgres.revision(
        "r2",
        "with op.get_context().autocommit_block():\n"
        '    op.create_index("ix_note", "orders", ["note"], unique=True,'
        " postgresql_concurrently=True)",
    )
    # What `flask db upgrade` leaves, which reaches no block outside of a transaction on pg8000.
    engine = sa.create_engine(postgres.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError):
        connection.exec_driver_sql("CREATE UNIQUE INDEX CONCURRENTLY ix_note ON orders (note)")
    engine.dispose()
    found = told(postgres)
    assert found["SM524"]["repair"] == "DROP INDEX CONCURRENTLY public.ix_note"
    assert "SM410" not in found, "an index that is not used is not there"
    assert doctor(postgres, "--fix", "--yes")["repairs"][0].startswith("Dropped the invalid")


def test_an_index_of_the_history_that_is_invalid(postgres: Project) -> None:
    postgres.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_users_name'::regclass"
    )
    only(postgres, "SM524", "the history has it, so it is to be built")
    fixed(postgres)


def test_a_version_table_out_of_sight(postgres: Project) -> None:
    postgres.execute("CREATE SCHEMA app", "ALTER TABLE alembic_version SET SCHEMA app")
    finding = only(postgres, "SM534", "\"app.alembic_version\" ('r1')", "version_table_schema")
    assert finding["blocks"]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql"])
def test_tables_of_others_are_left_out(
    project: ProjectFactory, databases: Databases, dialect: str
) -> None:
    p = project(
        url=databases.create(dialect) if dialect != "sqlite" else None,
        models="class Users(db.Model):\n    id = db.Column(db.Integer, primary_key=True)",
        revisions=[
            ("r1", 'op.create_table("users", sa.Column("id", sa.Integer, primary_key=True))')
        ],
        config={"SAFEMIGRATE_EXCLUDE_TABLES": ["spatial_ref_sys", "celery_*"]},
    )
    assert p.invoke("db", "upgrade").exit_code == 0
    engine = " ENGINE=MyISAM" if dialect == "mysql" else ""
    p.execute(
        f"CREATE TABLE spatial_ref_sys (id INTEGER PRIMARY KEY){engine}",
        "CREATE TABLE celery_tasks (id INTEGER)",
    )
    assert told(p) == {}
    written = p.invoke("db", "migrate")
    assert "celery" not in written.output
    assert not list(p.versions.glob("*_.py"))


def test_mariadb_without_transactions_and_with_other_collations(
    filled: Callable[..., Project], databases: Databases
) -> None:
    p = filled(databases.create("mysql"))
    run(make_url(p.url), "CREATE TABLE old (id INTEGER) ENGINE=MyISAM CHARACTER SET latin1")
    found = told(p)
    assert "1 table ('old') is of the engine MyISAM" in found["SM537"]["message"]
    assert "'old' latin1_swedish_ci" in found["SM538"]["message"]
