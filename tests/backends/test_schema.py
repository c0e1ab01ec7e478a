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
from flask_safemigrate.evidence import Fact

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
