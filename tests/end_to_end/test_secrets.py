"""No secret is shown or kept, whatever a command does and however it ends."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

from tests.support.projects import Project, ProjectFactory

PASSWORD, QUERY, CONNECT, HOOK, ARGUMENT, LITERAL, PARAMETER, INI, VARIABLE, KEY, RESULT = (
    f"Secret{number}Of/{number}%x" for number in range(11)
)
SECRETS = (
    PASSWORD, QUERY, CONNECT, HOOK, ARGUMENT, LITERAL, PARAMETER, INI, VARIABLE, KEY, RESULT
)  # fmt: skip

FIRST = (
    "a1",
    "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('name', sa.String(80)))",
    "op.drop_table('t')",
)
HOOKS = f"""
import os
import sqlalchemy as sa
app.config["SECRET_KEY"] = {KEY!r}

@migrate.on_deploy
def warm():
    how = os.environ.get("HOOK", "")
    if how == "raise":
        raise RuntimeError("redis://:{quote(HOOK)}@cache/0?password={quote(HOOK)} " + {KEY!r})
    if how == "sql":
        with db.engine.begin() as c:
            c.execute(sa.text("INSERT INTO nowhere VALUES (:id, :name)"),
                      {{"id": 1, "name": {PARAMETER!r}}})
    if how == "bug":
        app.extensions["safemigrate"].hooks = lambda kind: 1 / 0
    return "amqp://u:{quote(RESULT)}@mq/0?token={quote(RESULT)} " + app.config["SECRET_KEY"]
"""


def forms(secret: str) -> tuple[str, ...]:
    return secret, quote(secret), quote(secret, safe=""), repr(secret)[1:-1]


def leaks(text: str) -> list[str]:
    # The core of each has no character that anybody would write in another way.
    return [secret for secret in SECRETS if secret[:9] in text]


@contextmanager
def process_list() -> Iterator[list[str]]:
    """The command lines of every process that was seen during the block."""
    seen: dict[str, None] = {}
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.setdefault(
                        place.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                    )
                except OSError:
                    continue
            time.sleep(0.02)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    found: list[str] = []
    try:
        yield found
    finally:
        over.set()
        thread.join()
        found += seen


@pytest.fixture
def p(project: ProjectFactory, postgresql_url: str) -> Project:
    """A project on a server that lets everybody in, with a secret in every place."""
    url = make_url(postgresql_url).set(password=PASSWORD)
    driver = {"password": CONNECT}
    if url.get_driver_name() != "pg8000":  # it knows no word of libpq's
        url = url.update_query_dict({"sslpassword": QUERY})
        driver |= {"passfile": "/none", "sslkey": "/none"}
    address = url.render_as_string(hide_password=False)
    made = project(
        url=address,
        revisions=[FIRST],
        after=HOOKS,
        config={"SQLALCHEMY_ENGINE_OPTIONS": {"connect_args": driver}},
    )
    made.environment["DATABASE_URL"] = f"mysql://u:{quote(VARIABLE, safe='')}@h/x"
    ini, written = made.path / "migrations" / "alembic.ini", quote(INI, safe="")
    line = f"sqlalchemy.url = postgresql://me:{written}@h/x?password={written}&x={INI}"
    line = line.replace("%", "%%")
    ini.write_text(ini.read_text().replace("[alembic]", f"[alembic]\n{line}"))
    return made


def assert_silent(p: Project, *arguments: str, code: int | None = None, **env: str) -> str:
    done = p.db(*arguments, env=env)
    said = done.stdout + done.stderr
    assert leaks(said) == [], said
    assert code is None or done.returncode == code, said
    return said


def assert_nothing_kept(p: Project) -> None:
    rows = p.rows("SELECT * FROM safemigrate_journal")
    # The text of a revision is kept as it is, for it is to be written back one day.
    kept = [str([v for v in row if "def upgrade" not in str(v)]) for row in rows]
    assert leaks(" ".join(kept)) == []
    for path in p.path.rglob("*"):
        if path.is_file() and ".safemigrate" in str(path):
            data = path.read_bytes()
            text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
            assert leaks(text.decode("utf-8", "replace")) == [], path


def test_no_command_shows_a_secret(p: Project) -> None:
    for form in ("text", "json", "html", "sarif", "github"):
        assert_silent(p, "doctor", "--format", form)
    for form in ("text", "json"):
        assert_silent(p, "status", "--format", form, code=0)
    said = assert_silent(p, "safe-upgrade", "-x", f"token={ARGUMENT}", code=2)
    assert "flask db safe-upgrade --yes -x token=..." in " ".join(said.split())
    assert_silent(p, "deploy", code=1, HOOK="raise")
    assert_silent(p, "deploy", "--format", "json", code=1, HOOK="raise")
    assert_silent(p, "deploy", code=1, HOOK="sql")
    assert_silent(p, "deploy", "--format", "json", code=1, HOOK="sql")
    assert_silent(p, "deploy", "-x", f"token={ARGUMENT}", code=0)
    with process_list() as seen:
        assert_silent(p, "snapshot", code=0)
        assert_silent(p, "restore", "--yes", code=0)
    assert leaks(" ".join(seen)) == []
    assert any("pg_dump" in line for line in seen)
    assert_silent(p, "snapshots", "--format", "json", code=0)
    assert_silent(p, "reset", "--yes", code=3)
    assert_nothing_kept(p)


BROKEN = {
    "value": "op.get_bind().execute(sa.text('INSERT INTO t (id) VALUES (CAST(:id AS text))'),"
    f" {{'id': {PARAMETER!r}}})",
    "statement": "op.get_bind().execute(sa.text('INSERT INTO nowhere VALUES (:n)'),"
    f" {{'n': {PARAMETER!r}}})",
    "literal": f"op.execute(\"CREATE ROLE postgres LOGIN PASSWORD '{LITERAL.replace('%', '')}'\")",
    "raised": f"raise RuntimeError('cannot reach https://{quote(LITERAL, safe='')}@h/')",
}


@pytest.mark.parametrize("how", list(BROKEN))
def test_a_revision_that_fails_shows_none(p: Project, how: str) -> None:
    p.revision("a2", BROKEN[how])
    for form in ("text", "json"):
        assert_silent(p, "safe-upgrade", "--yes", "--format", form, code=1)
    assert_silent(p, "doctor", "--format", "json")
    assert_silent(p, "deploy", code=1)


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
@pytest.mark.parametrize(
    "command", ["status", "deploy", "doctor", "snapshot", "snapshots", "restore", "reset"]
)
def test_an_address_that_is_misread_leads_nowhere(
    project: ProjectFactory, command: str, dialect: str
) -> None:
    driver = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}[dialect]
    p = project(url="sqlite://", revisions=[FIRST])
    text = (p.path / "app.py").read_text()
    yes = ["--yes"] if command in ("reset", "restore") else []
    for written in ("One1One@Two2Two/Three3Three", "One1One@Two2Two?Three3Three"):
        url = f"{driver}://app:{written}@127.0.0.1/db"
        (p.path / "app.py").write_text(text.replace("'sqlite://'", repr(url)))
        done = p.flask("--debug", "db", command, *yes)
        said = done.stdout + done.stderr
        assert done.returncode in (2, 3), said
        assert "an @ that is not escaped" in " ".join(said.split())
        for part in ("One1One", "Two2Two", "Three3Three"):
            assert part not in said


@pytest.mark.parametrize("password", ["x", "data", "password", "role"])
def test_a_password_that_is_a_word_decides_nothing(
    project: ProjectFactory, postgresql_url: str, password: str
) -> None:
    url = make_url(postgresql_url)
    plain = url.set(password=password, username="safemigrate_nobody_here")
    p = project(url=plain.render_as_string(hide_password=False), revisions=[FIRST])
    done = p.db("status", "--format", "json")
    told = json.loads(done.stdout)["databases"][0]["unreachable"]
    assert told["kind"] == "wrong password", told
    assert 'does not let user "safemigrate_nobody_here" in' in told["message"]
    assert "does not exist" in told["message"]
    gone = url.set(password=password, database="safemigrate_nowhere")
    p = project(url=gone.render_as_string(hide_password=False), revisions=[FIRST])
    told = json.loads(p.db("status", "--format", "json").stdout)["databases"][0]["unreachable"]
    assert told["kind"] == "missing database", told
