"""What the doctor asks of a real PostgreSQL database."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.pool import NullPool

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.postgresql import BACKEND, read
from flask_safemigrate.facts.examination import (
    Examination,
    LateSequence,
    OtherVersionTable,
    UnusedType,
)
from tests.support.servers import session_setting
from tests.support.sql import run


@pytest.fixture
def url(postgresql_url: str) -> URL:
    return make_url(postgresql_url)


@pytest.fixture
def role(url: URL) -> Iterator[URL]:
    """The database's address for a user without privileges."""
    name = f"sm_{secrets.token_hex(6)}"
    run(url, f"CREATE ROLE {name} LOGIN PASSWORD 'pw'")
    yield url.set(username=name, password="pw")
    run(url, f"DROP OWNED BY {name} CASCADE", f"DROP ROLE {name}")


def target_of(url: URL, settings: Mapping[str, str] | None = None, **more: str) -> Target:
    """:param settings: what each session of the target begins with."""
    arguments = {}
    for name, value in (settings or {}).items():
        arguments = session_setting(url, name, value)
    return Target("", create_engine(url, poolclass=NullPool, connect_args=arguments), **more)


def examine(
    url: URL, settings: Mapping[str, str] | None = None, *, thorough: bool = True
) -> Examination:
    return BACKEND.examine(target_of(url, settings), thorough=thorough)


TABLES = """
    CREATE TABLE users (id serial PRIMARY KEY, name text);
    CREATE TABLE "Odd one" ("Id x" integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
    CREATE TABLE alembic_version (version_num text);
    INSERT INTO alembic_version VALUES ('a1')
"""


def test_nothing_is_wrong(url: URL) -> None:
    run(url, TABLES)
    assert examine(url) == Examination(user="postgres")


def test_a_user_who_may_not(url: URL, role: URL) -> None:
    run(url, TABLES, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO public")
    found = examine(role)
    assert found.user == role.username
    told = {(one.what, one.table) for one in found.lacking}
    whose = 'which belongs to "postgres"'
    assert told == {
        ('create anything in schema "public"', ""),
        (f'change table "users", {whose}', "users"),
        (f'change table ""Odd one"", {whose}', "Odd one"),
        (f'change table "alembic_version", {whose}', "alembic_version"),
        ('write to "alembic_version"', ""),
    }
    # As an administrator, do what the hints say.
    run(url, *(one.hint for one in found.lacking))
    assert examine(role).lacking == ()


def test_a_search_path_without_schema(url: URL, role: URL) -> None:
    (lacking,) = examine(role, {"search_path": "nowhere"}).lacking
    assert lacking.what.startswith("create tables: no schema of the search path (nowhere)")


def test_types_that_no_column_uses(url: URL) -> None:
    run(
        url,
        "CREATE TYPE mood AS ENUM ('a')",
        "CREATE TYPE \"Odd type\" AS ENUM ('a')",
        "CREATE TYPE of_column AS ENUM ('a')",
        "CREATE TYPE of_array AS ENUM ('a')",
        "CREATE TYPE of_function AS ENUM ('a')",
        "CREATE TYPE of_domain AS ENUM ('a')",
        "CREATE TABLE t (a of_column, b of_array[])",
        "CREATE FUNCTION f(of_function) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE DOMAIN d AS of_domain",
    )
    assert examine(url).unused_types == (
        UnusedType('public."Odd type"', "Odd type"),
        UnusedType("public.mood", "mood"),
    )


def test_version_tables_elsewhere(url: URL) -> None:
    run(
        url,
        TABLES,
        "CREATE SCHEMA first",
        "CREATE TABLE first.alembic_version (version_num text)",
        "CREATE SCHEMA tenant",
        "CREATE TABLE tenant.alembic_version (version_num text)",
        "INSERT INTO tenant.alembic_version VALUES ('c'), ('b')",
        "CREATE VIEW tenant.other AS SELECT 1",
    )
    path = {"search_path": "first,public"}
    assert examine(url, path).version_tables == (
        OtherVersionTable("public", ("a1",), True),
        OtherVersionTable("tenant", ("b", "c"), False),
    )
    named = BACKEND.examine(target_of(url, path, version_schema="tenant"), thorough=False)
    others = [(other.schema, other.visible) for other in named.version_tables]
    assert others == [("first", False), ("public", False)]


def test_sessions_that_would_be_in_the_way(url: URL) -> None:
    run(url, TABLES)
    idle = create_engine(url, connect_args={"application_name": "a notebook"})
    with idle.connect() as connection:
        assert examine(url).idle == ()
        connection.execute(text("SELECT id,\n  name FROM users"))
        (session,) = examine(url).idle
        assert session.id == connection.execute(text("SELECT pg_backend_pid()")).scalar()
        assert session.who == 'user "postgres" ("a notebook") from 127.0.0.1'
        assert (session.query, session.tables) == ("SELECT id, name FROM users", ("users",))
        assert session.seconds is not None
    idle.dispose()


def test_sequences_behind_their_column(url: URL) -> None:
    run(
        url,
        TABLES,
        "INSERT INTO users (id, name) VALUES (500, 'imported')",
        'INSERT INTO "Odd one" OVERRIDING SYSTEM VALUE VALUES (1)',
        "CREATE TABLE fine (id serial PRIMARY KEY)",
        "INSERT INTO fine DEFAULT VALUES",
        "CREATE TABLE slow (id serial)",
        "INSERT INTO slow VALUES (9)",
        "CREATE TABLE down (id integer PRIMARY KEY)",
        "CREATE SEQUENCE less INCREMENT -1 OWNED BY down.id",
        "INSERT INTO down VALUES (9)",
    )
    assert examine(url).late_sequences == (
        LateSequence('"Odd one_Id x_seq"', "Odd one", '"Odd one"', "Id x", 1, 1),
        LateSequence("users_id_seq", "users", "users", "id", 1, 500),
    )
    assert examine(url, thorough=False).late_sequences == ()


@pytest.mark.parametrize(
    ("statement", "again"),
    [
        ("ALTER DATABASE {db} SET", "ALTER DATABASE"),
        ("ALTER ROLE {user} SET", "ALTER ROLE"),
        ("ALTER ROLE {user} IN DATABASE {db} SET", "ALTER ROLE"),
    ],
)
def test_who_made_it_read_only(url: URL, role: URL, statement: str, again: str) -> None:
    setting = statement.format(db=url.database, user=role.username)
    run(url, f"{setting} default_transaction_read_only = on")
    why = BACKEND.read(target_of(role)).refuses
    assert why is not None
    assert why.kind == "read-only"
    assert why.hint.startswith(again)
    # The hint helps.
    run(url.set(database="postgres"), why.hint)
    assert BACKEND.read(target_of(role)).refuses is None


def test_read_only_by_the_url(url: URL) -> None:
    only = target_of(url, {"default_transaction_read_only": "on"})
    why = BACKEND.read(only).refuses
    assert why is not None
    assert "out of the URL" in why.hint


def test_a_server_that_is_too_old(url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys.modules[read.__module__], "OLDEST", 99)
    why = BACKEND.read(target_of(url)).unreachable
    assert why is not None
    assert why.kind == "too old"
    assert "99 is the oldest that is served" in why.message


def test_a_limit_of_the_role(url: URL, role: URL) -> None:
    run(url, f"ALTER ROLE {role.username} CONNECTION LIMIT 1")
    one: Engine = create_engine(role)
    with one.connect():
        why = BACKEND.read(target_of(role)).unreachable
    one.dispose()
    assert why is not None
    assert why.kind == "too many connections"
    assert f'ALTER ROLE "{role.username}" CONNECTION LIMIT' in why.hint
