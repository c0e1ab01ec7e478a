"""Reading schemas, and scratch databases, on all three dialects."""

from __future__ import annotations

import datetime
import time

import pytest
import sqlalchemy as sa

from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.scratch_names import PREFIX, new_name, stale
from flask_safemigrate.comparison.compare import differences
from flask_safemigrate.comparison.facts import facts_of
from flask_safemigrate.facts.comparison import Fact
from tests.support.servers import Databases, dialect_of, session_setting

META = sa.MetaData()
PARENT = sa.Table(
    "parent",
    META,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(40), nullable=False, server_default="nobody"),
    sa.Column("mood", sa.Enum("sad", "glad", name="mood")),
    sa.Column("price", sa.Numeric(10, 2), server_default="0"),
    sa.Column("made", sa.DateTime, server_default=sa.func.now()),
    sa.Column("ok", sa.Boolean, server_default=sa.true(), nullable=False),
    sa.Column("n", sa.Integer),
    sa.UniqueConstraint("name", "mood"),
    sa.CheckConstraint("price >= 0", name="positive"),
)
CHILD = sa.Table(
    "child",
    META,
    sa.Column("a", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("b", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("parent_id", sa.ForeignKey("parent.id", ondelete="CASCADE"), nullable=False),
    sa.Column("text", sa.String(90), index=True),
    sa.Index("ix_two", "b", "text"),
)


@pytest.fixture
def target(database_url: str) -> Target:
    return Target("", sa.create_engine(database_url, poolclass=sa.NullPool))


def test_the_same_models_make_the_same_facts_everywhere(target: Target) -> None:
    backend = backend_for(target.engine)
    META.create_all(target.engine)
    with target.engine.begin() as connection:
        connection.exec_driver_sql("CREATE VIEW v AS SELECT id FROM parent")
    read = facts_of(backend.read_schema(target))
    with target.engine.connect() as connection:
        assert facts_of(backend.schema_on(connection, {})).values == read.values
    keys = {(f.kind, f.table, f.name) for f in read.values if f.kind != "type"}
    columns = {("column", t.name, c.name) for t in META.tables.values() for c in t.columns}
    assert (
        columns
        | {
            ("table", "parent", ""),
            ("table", "child", ""),
            ("primary key", "parent", ""),
            ("primary key", "child", ""),
            ("unique", "parent", "mood, name"),
            ("foreign key", "child", "parent_id -> parent (id)"),
            ("actions", "child", "parent_id -> parent (id)"),
            ("index", "child", "text"),
            ("index", "child", "b, text"),
            ("view", "", "v"),
            ("default", "parent", "name"),
            ("default", "parent", "price"),
            ("default", "parent", "made"),
            ("default", "parent", "ok"),
        }
        <= keys
    )
    assert read.values[Fact("primary key", "child", "")] == "a, b"
    assert read.values[Fact("actions", "child", "parent_id -> parent (id)")] == "ON DELETE CASCADE"
    assert sum(f.kind == "check" and f.table == "parent" for f in read.values) == 1
    assert read.values[Fact("column", "parent", "name")].endswith("NOT NULL")
    assert read.names[Fact("index", "child", "b, text")] == "ix_two"


def test_every_change_is_seen(target: Target) -> None:
    backend = backend_for(target.engine)
    META.create_all(target.engine)
    before = facts_of(backend.read_schema(target))
    with target.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE child ADD COLUMN more INTEGER DEFAULT 3")
        connection.exec_driver_sql("CREATE UNIQUE INDEX ux ON child (a)")
    after = facts_of(backend.read_schema(target))
    found = differences(after.values, before.values, after.names)
    assert [(d.kind, d.table, d.name, d.there) for d in found] == [
        ("column", "child", "more", None),
        ("unique", "child", "ux", None),
    ]


def test_scratch_is_like_the_real_one_and_goes(target: Target) -> None:
    backend = backend_for(target.engine)
    META.create_all(target.engine)
    real = backend.read_schema(target)
    with backend.scratch(target) as connection:
        assert backend.schema_on(connection, {}).tables == ()
        assert not sa.inspect(connection).has_table("parent")
        META.create_all(connection)
        connection.execute(PARENT.insert(), {"id": 1, "name": "x"})
        connection.commit()
        assert facts_of(backend.schema_on(connection, {})) == facts_of(real)
    assert backend.read_schema(target) == real
    with target.engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(PARENT)).scalar() == 0


def test_scratch_goes_after_an_error(target: Target) -> None:
    backend = backend_for(target.engine)

    def fail() -> None:
        with backend.scratch(target) as connection:
            META.create_all(connection)
            connection.commit()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with backend.scratch(target) as connection:
        assert backend.schema_on(connection, {}).tables == ()


def test_names_of_scratch_databases_tell_their_age(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = new_name()
    day = datetime.timedelta(hours=25).total_seconds()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - day)
    old = new_name()
    monkeypatch.undo()
    names = [fresh, old, f"{PREFIX}mine", "shop", f"{old}_too"]
    assert stale(names) == [old]


CHANGES = {
    "sqlite": (
        "ALTER TABLE child ADD COLUMN more INTEGER",
        "ALTER TABLE child RENAME COLUMN text TO words",
        "DROP INDEX ix_two",
        "CREATE UNIQUE INDEX ix_more ON parent (price)",
        "CREATE INDEX ix_some ON parent (price) WHERE n > 3",
        "DROP INDEX ix_some",
        "ALTER TABLE parent DROP COLUMN n",
        "DROP TRIGGER noted",
        "ALTER TABLE child RENAME TO children",
        "DROP TABLE children",
        "DROP VIEW seen",
    ),
    "postgresql": (
        "ALTER TABLE parent ALTER n TYPE bigint",
        "ALTER TABLE parent ALTER n SET NOT NULL",
        "ALTER TABLE parent ALTER n SET DEFAULT 3",
        "ALTER TABLE parent ALTER name DROP DEFAULT",
        "ALTER TABLE parent ALTER name TYPE varchar(41)",
        "ALTER TABLE parent ALTER price TYPE numeric(11, 2)",
        "ALTER TABLE parent ALTER made TYPE timestamptz",
        "ALTER TABLE parent ADD COLUMN more integer",
        "ALTER TABLE parent DROP CONSTRAINT positive",
        "ALTER TABLE parent ADD CHECK (n > 1)",
        "ALTER TABLE parent DROP CONSTRAINT parent_name_mood_key",
        'ALTER TABLE parent ALTER name TYPE varchar(40) COLLATE "C"',
        "ALTER TABLE child DROP CONSTRAINT child_parent_id_fkey",
        "ALTER TABLE child DROP CONSTRAINT child_pkey",
        "ALTER TYPE mood ADD VALUE 'odd'",
        "DROP INDEX ix_two",
        "CREATE INDEX ix_more ON parent (lower(name))",
        "DROP TABLE child",
        "DROP VIEW seen",
    ),
    "mysql": (
        "ALTER TABLE parent MODIFY n BIGINT",
        "ALTER TABLE parent MODIFY n INTEGER NOT NULL",
        "ALTER TABLE parent ALTER n SET DEFAULT 3",
        "ALTER TABLE parent ALTER name DROP DEFAULT",
        "ALTER TABLE parent MODIFY name VARCHAR(41) NOT NULL DEFAULT 'nobody'",
        "ALTER TABLE parent MODIFY mood ENUM('sad', 'glad', 'odd')",
        "ALTER TABLE parent ADD COLUMN more INTEGER",
        "ALTER TABLE parent DROP CONSTRAINT positive",
        "ALTER TABLE parent ADD CHECK (n > 1)",
        "ALTER TABLE parent DROP INDEX name",
        "ALTER TABLE child DROP FOREIGN KEY child_ibfk_1",
        "ALTER TABLE child DROP PRIMARY KEY",
        "DROP INDEX ix_two ON child",
        "CREATE INDEX ix_more ON parent (n)",
        "DROP TABLE child",
        "DROP VIEW seen",
    ),
}


def test_every_real_change_is_seen(target: Target) -> None:
    backend = backend_for(target.engine)
    dialect = dialect_of(target.engine.url)
    META.create_all(target.engine)
    with target.engine.begin() as connection:
        connection.exec_driver_sql("CREATE VIEW seen AS SELECT id FROM parent")
        if dialect == "sqlite":
            connection.exec_driver_sql(
                "CREATE TRIGGER noted AFTER DELETE ON child BEGIN SELECT 1; END"
            )
    before = facts_of(backend.read_schema(target))
    for change in CHANGES[dialect]:
        with target.engine.begin() as connection:
            connection.exec_driver_sql(change)
        after = facts_of(backend.read_schema(target))
        assert differences(after.values, before.values, {}), change
        before = after


@pytest.mark.parametrize(
    ("dialect", "arguments"),
    [
        ("postgresql", {}),
        ("mysql", {"init_command": "SET SESSION sql_mode = 'ANSI_QUOTES'"}),
    ],
)
def test_settings_of_the_application_are_known(
    databases: Databases, dialect: str, arguments: dict[str, str]
) -> None:
    url = databases.create(dialect)
    if dialect == "postgresql":
        arguments = session_setting(sa.make_url(url), "quote_all_identifiers", "on")
    plain, other = sa.create_engine(url), sa.create_engine(url, connect_args=arguments)
    settings_of = backend_for(plain).settings_of
    assert settings_of(Target("", plain)) == settings_of(Target("", plain)) != ()
    assert settings_of(Target("", other)) != settings_of(Target("", plain))
    plain.dispose()
    other.dispose()
