"""Emptying PostgreSQL: everything of ours, nothing of others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.postgresql import BACKEND
from flask_safemigrate.errors import DatabaseUnavailable, SafeMigrateError
from tests.backends.test_postgresql_snapshot import RICH
from tests.support.sql import run, value


@pytest.fixture
def engine(postgresql_url: str) -> Iterator[Engine]:
    engine = create_engine(postgresql_url)
    yield engine
    engine.dispose()


LEFT = """
SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    + (SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace)
    + (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)
    + (SELECT count(*) FROM pg_operator WHERE oprnamespace = 'public'::regnamespace)
    + (SELECT count(*) FROM pg_collation WHERE collnamespace = 'public'::regnamespace)
    + (SELECT count(*) FROM pg_statistic_ext WHERE stxnamespace = 'public'::regnamespace)
"""


def left(engine: Engine) -> int:
    return int(str(value(engine.url, LEFT)))


def test_what_another_role_owns_is_not_dropped(engine: Engine) -> None:
    name = f"{engine.url.database}_role"
    made = (f"CREATE ROLE {name} LOGIN PASSWORD 'x'", "CREATE TABLE t (id INT)")
    run(engine.url, *made, f"GRANT ALL ON SCHEMA public TO {name}")
    other = create_engine(engine.url.set(username=name, password="x"))
    try:
        with pytest.raises(DatabaseUnavailable, match="must be owner of table t") as refused:
            BACKEND.drop_everything(Target("", other))
        assert f'make "{name}" the owner' in (refused.value.hint or "")
        assert left(engine) > 0
    finally:
        other.dispose()
        run(engine.url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_every_kind_of_object_goes(engine: Engine) -> None:
    run(engine.url, RICH)
    run(engine.url, "DROP SCHEMA other CASCADE")
    assert left(engine) > 30
    BACKEND.drop_everything(Target("", engine))
    assert left(engine) == 0


def test_objects_of_other_schemas_are_not_taken_along(engine: Engine) -> None:
    """RICH has a table in another schema, with a foreign key and a type of ours."""
    run(engine.url, RICH)
    before = left(engine)
    with pytest.raises(SafeMigrateError) as caught:
        BACKEND.drop_everything(Target("", engine))
    assert "other.thing" in caught.value.message
    assert "Nothing was dropped" in caught.value.message
    assert left(engine) == before


def test_other_schemas_and_extensions_stay(engine: Engine) -> None:
    run(
        engine.url,
        "CREATE EXTENSION pg_trgm; CREATE SCHEMA other; CREATE TABLE other.t (id integer);"
        "CREATE TABLE t (a text); CREATE INDEX i ON t USING gin (a gin_trgm_ops)",
    )
    BACKEND.drop_everything(Target("", engine))
    assert BACKEND.read(Target("", engine)).tables == ()
    run(engine.url, "INSERT INTO other.t VALUES (1); SELECT similarity('a', 'b')")


def test_schema_of_the_version_table_is_emptied_too(engine: Engine) -> None:
    run(
        engine.url,
        'CREATE SCHEMA "Ver"; CREATE TABLE "Ver".alembic_version (version_num text);'
        'CREATE TABLE "Ver".other (id integer); CREATE TABLE t (id integer)',
    )
    target = Target("", engine, "alembic_version", "Ver")
    BACKEND.drop_everything(target)
    state = BACKEND.read(target)
    assert state.tables == ()
    assert state.version_rows is None
    run(engine.url, 'CREATE TABLE "Ver".other (id integer)')


def test_lock_of_another_session_ends_it_with_everything_there(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_safemigrate.backends.postgresql.wipe.LOCK_SECONDS", 1)
    run(engine.url, "CREATE TABLE a (id integer); CREATE TABLE b (id integer)")
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO b VALUES (1)"))
        with pytest.raises(DatabaseUnavailable) as caught:
            BACKEND.drop_everything(Target("", engine))
    assert caught.value.kind == "locked"
    assert [t.name for t in BACKEND.read(Target("", engine)).tables] == ["a", "b"]
