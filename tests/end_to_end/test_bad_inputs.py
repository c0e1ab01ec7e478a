"""Everything that can be wrong with a project or its database: said once, changed nothing.

Each row builds a project with one fault and names what doctor, safe-upgrade and deploy must say
and exit with.
"""

from __future__ import annotations

import contextlib
import os
import socket
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases

SECRET = "s3cr3t-Pa55"
TABLE = "op.create_table('pet', sa.Column('id', sa.Integer, primary_key=True))"
GONE = "op.drop_table('pet')"
MODELS = "class Pet(db.Model):\n    id = db.Column(db.Integer, primary_key=True)\n"


@dataclass(frozen=True)
class World:
    """What a row may build with."""

    project: ProjectFactory
    databases: Databases

    def one(self, **arguments: object) -> Project:
        """A project with one revision, which is not applied."""
        arguments.setdefault("models", MODELS)
        arguments.setdefault("revisions", [("a1", TABLE, GONE)])
        return self.project(**arguments)  # type: ignore[arg-type]

    def upgraded(self, **arguments: object) -> Project:
        """The same, applied."""
        p = self.one(**arguments)
        done = p.invoke("db", "safe-upgrade", "--yes")
        assert done.exit_code == 0, done.output
        return p


Build = Callable[[World], Project]


@dataclass(frozen=True)
class Fault:
    """One row.

    :param say: what every one of the commands says.
    :param code: the finding, "" where the command ends before there are any.
    :param doctor: exit code of doctor; the others likewise, None where the command is not run.
    """

    name: str
    build: Build
    say: tuple[str, ...]
    code: str = ""
    doctor: int | None = 3
    upgrade: int | None = 3
    deploy: int | None = 3


ROWS: list[Fault] = []


def fault(
    *say: str,
    code: str = "",
    doctor: int | None = 3,
    upgrade: int | None = 3,
    deploy: int | None = 3,
) -> Callable[[Build], Build]:
    def add(build: Build) -> Build:
        ROWS.append(Fault(build.__name__, build, say, code, doctor, upgrade, deploy))
        return build

    return add


def files_of(p: Project) -> dict[str, tuple[int, bytes]]:
    """Every file and folder of a project, and what is in it; Python's cache is no matter."""
    return {
        str(path.relative_to(p.path)): (
            path.lstat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(p.path.rglob("*"))
        if "__pycache__" not in path.parts
    }


# ------------------------------------------------------------------ settings


@fault(
    "SAFEMIGRATE_KEEP_SNAPSHOT does",
    "Did you mean SAFEMIGRATE_KEEP_SNAPSHOTS",
    doctor=2,
    upgrade=2,
    deploy=2,
)
def unknown_setting(w: World) -> Project:
    return w.one(config={"SAFEMIGRATE_KEEP_SNAPSHOT": 3})


@fault("SAFEMIGRATE_LOCK_WAIT", "'soon'", doctor=2, upgrade=2, deploy=2)
def bad_value_of_a_setting(w: World) -> Project:
    return w.one(config={"SAFEMIGRATE_LOCK_WAIT": "soon"})


# ------------------------------------------------------------------ addresses and engines


@fault("'strange'", code="SM104")
def engine_that_is_not_served(w: World) -> Project:
    p = w.one()
    app = (p.path / "app.py").read_text()
    (p.path / "app.py").write_text(
        "from sqlalchemy.dialects import registry\n"
        "from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite\n"
        "class Strange(SQLiteDialect_pysqlite):\n    name = 'strange'\n"
        "    supports_statement_cache = True\n"
        "registry.impls['strange'] = lambda: Strange\n" + app.replace("sqlite:///", "strange:///")
    )
    return p


@fault("asynchronous", "'psycopg'", code="SM105")
def asynchronous_driver(w: World) -> Project:
    return w.one(url=f"postgresql+psycopg_async://me:{SECRET}@127.0.0.1:1/x")


@fault("asyncio", code="SM105")
def asynchronous_environment(w: World) -> Project:
    p = w.one()
    env = p.path / "migrations" / "env.py"
    env.write_text("import asyncio\n" + env.read_text() + "\nif False:\n    asyncio.run(None)\n")
    return p


@fault("SQLALCHEMY_DATABASE_URI is not set", code="SM101")
def only_binds_and_an_environment_for_one_database(w: World) -> Project:
    p = w.one(binds={"other": None}, multidb=False)
    app = (p.path / "app.py").read_text()
    (p.path / "app.py").write_text(app.replace("'SQLALCHEMY_DATABASE_URI'", "'NOTHING'"))
    return p


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@fault("127.0.0.1", code="SM501", doctor=4, upgrade=4, deploy=4)
def postgresql_is_down(w: World) -> Project:
    return w.one(url=f"postgresql+psycopg://me:{SECRET}@127.0.0.1:{_free_port()}/shop")


@fault("127.0.0.1", code="SM501", doctor=4, upgrade=4, deploy=4)
def mariadb_is_down(w: World) -> Project:
    return w.one(url=f"mysql+pymysql://me:{SECRET}@127.0.0.1:{_free_port()}/shop")


@fault('"ssl-mode"', "ssl_ca=", code="SM102", doctor=2, upgrade=2, deploy=2)
def parameter_of_another_client(w: World) -> Project:
    return w.one(
        url=f"mysql+pymysql://me:{SECRET}@127.0.0.1:{_free_port()}/shop?ssl-mode=REQUIRED"
    )


@fault('"pgbouncer"', code="SM102", doctor=2, upgrade=2, deploy=2)
def parameter_that_the_driver_does_not_know(w: World) -> Project:
    url = f"postgresql+psycopg://me:{SECRET}@127.0.0.1:{_free_port()}/shop?pgbouncer=true"
    return w.one(url=url)


@fault("latin-1", code="SM102", doctor=2, upgrade=2, deploy=2)
def password_that_the_driver_cannot_send(w: World) -> Project:
    return w.one(url=f"mysql+pymysql://me:{SECRET}%E2%9C%93@127.0.0.1:{_free_port()}/shop")


@fault("nowhere.invalid", code="SM502", doctor=4, upgrade=4, deploy=4)
def host_is_unknown(w: World) -> Project:
    return w.one(url=f"postgresql+psycopg://me:{SECRET}@nowhere.invalid/shop")


@fault("safemigrate_nobody", code="SM503", doctor=4, upgrade=4, deploy=4)
def wrong_password(w: World) -> Project:
    url = make_url(w.databases.create("mysql"))
    return w.one(
        url=url.set(username="safemigrate_nobody", password=SECRET).render_as_string(False)
    )


@fault("sm_not_there", code="SM504", doctor=4, upgrade=4, deploy=4)
def postgresql_database_is_missing(w: World) -> Project:
    url = make_url(w.databases.create("postgresql"))
    return w.one(url=url.set(database="sm_not_there").render_as_string(False))


@fault("sm_not_there", code="SM504", doctor=4, upgrade=4, deploy=4)
def mariadb_database_is_missing(w: World) -> Project:
    url = make_url(w.databases.create("mysql"))
    return w.one(url=url.set(database="sm_not_there").render_as_string(False))


@fault("nosuch", "mkdir -p", code="SM506", doctor=4, upgrade=4, deploy=4)
def folder_of_the_file_is_missing(w: World) -> Project:
    p = w.one()
    app = (p.path / "app.py").read_text()
    (p.path / "app.py").write_text(app.replace("/app.db", "/nosuch/app.db"))
    return p


@fault("app.db", "not an SQLite database", code="SM508", doctor=4, upgrade=4, deploy=4)
def file_is_no_database(w: World) -> Project:
    p = w.one()
    p.database.write_text("this is a text, and long enough to be one\n" * 100)
    return p


@fault("app.db", "a folder", code="SM508", doctor=4, upgrade=4, deploy=4)
def file_is_a_folder(w: World) -> Project:
    p = w.one()
    p.database.mkdir()
    return p


@fault("app.db", "damaged", code="SM513", doctor=4, upgrade=4, deploy=4)
def file_is_damaged(w: World) -> Project:
    p = w.upgraded()
    content = bytearray(p.database.read_bytes())
    content[100:4000] = b"\xff" * 3900
    p.database.write_bytes(content)
    return p


# ------------------------------------------------------------------ the migrations folder


@fault("migrations", "does not exist", code="SM106")
def folder_is_missing(w: World) -> Project:
    return w.one(init=False, revisions=[])


@fault("versions", "does not exist", code="SM107")
def versions_is_missing(w: World) -> Project:
    p = w.one(revisions=[])
    p.versions.rmdir()
    return p


@fault("versions", "holds no revision", code="SM108")
def versions_is_empty(w: World) -> Project:
    return w.one(revisions=[])


@fault("env.py", "does not exist", code="SM111")
def environment_is_missing(w: World) -> Project:
    p = w.one()
    (p.path / "migrations" / "env.py").unlink()
    return p


@fault("env.py", "compile", code="SM112")
def environment_does_not_compile(w: World) -> Project:
    p = w.one()
    (p.path / "migrations" / "env.py").write_text("def broken(:\n")
    return p


@fault("env.py", "merge conflict", code="SM112")
def environment_holds_a_conflict(w: World) -> Project:
    p = w.one()
    env = p.path / "migrations" / "env.py"
    env.write_text("<<<<<<< HEAD\n" + env.read_text())
    return p


@fault("env.py", "run_migrations", code="SM112")
def environment_is_empty(w: World) -> Project:
    p = w.one()
    (p.path / "migrations" / "env.py").write_text("")
    return p


@fault("alembic.ini", code="SM109")
def ini_is_missing(w: World) -> Project:
    p = w.one()
    (p.path / "migrations" / "alembic.ini").unlink()
    return p


# ------------------------------------------------------------------ the history


@fault("a2_", "line", code="SM201")
def revision_does_not_parse(w: World) -> Project:
    p = w.one()
    p.revision("a2", "pass").write_text("revision = 'a2'\ndown_revision = 'a1'\ndef upgrade(:\n")
    return p


@fault("a2_", code="SM201")
def pending_revision_has_a_fault_below_its_header(w: World) -> Project:
    p = w.upgraded()
    p.revision("a2", "return (")
    return p


@fault("a2_", "onflict", code="SM202")
def revision_holds_a_conflict(w: World) -> Project:
    p = w.one()
    file = p.revision("a2", "pass")
    file.write_text(
        file.read_text().replace("import sqlalchemy", "<<<<<<< HEAD\nimport sqlalchemy")
    )
    return p


@fault("'nowhere'", "'a2'", code="SM206")
def parent_is_missing(w: World) -> Project:
    p = w.one()
    p.revision("a2", "pass", down="nowhere")
    return p


@fault("a2", "a3", code="SM208")
def history_goes_round(w: World) -> Project:
    p = w.one()
    p.revision("a2", "pass", down="a3")
    p.revision("a3", "pass", down="a2")
    return p


@fault("'a1'", code="SM210")
def revision_is_there_twice(w: World) -> Project:
    p = w.one()
    p.revision("a1", "pass", down=None, message="the same once more")
    return p


@fault("'a2'", "'b2'", code="SM209")
def history_has_two_heads(w: World) -> Project:
    p = w.one()
    p.revision("a2", "pass", down="a1")
    p.revision("b2", "pass", down="a1")
    return p


# ------------------------------------------------------------------ what the database says


@fault("alembic_version", "has 1 table", code="SM302")
def tables_by_create_all(w: World) -> Project:
    p = w.one()
    p.execute("CREATE TABLE pet (id INTEGER NOT NULL, PRIMARY KEY (id))")
    return p


@fault("alembic_version", code="SM303")
def version_table_is_empty(w: World) -> Project:
    p = w.upgraded()
    p.execute("DELETE FROM alembic_version")
    return p


@fault("'a1'", "'a2'", code="SM305")
def version_rows_overlap(w: World) -> Project:
    p = w.one()
    p.revision("a2", "pass")
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    p.execute("INSERT INTO alembic_version VALUES ('a1')")
    return p


@fault("'gone'", code="SM301")
def revision_that_no_file_has(w: World) -> Project:
    p = w.upgraded()
    p.execute("CREATE TABLE of_the_revision_that_is_gone (n INTEGER)")
    p.execute("UPDATE alembic_version SET version_num = 'gone'")
    return p


@fault("'a2'", code="SM304")
def database_is_ahead_of_the_code(w: World) -> Project:
    p = w.one()
    newer = p.revision("a2", "pass")
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    newer.unlink()
    return p


@fault("_alembic_tmp_pet", code="SM403")
def leftover_is_the_table(w: World) -> Project:
    p = w.upgraded()
    p.execute(
        "ALTER TABLE pet RENAME TO _alembic_tmp_pet", "INSERT INTO _alembic_tmp_pet VALUES (1)"
    )
    p.revision("a2", "pass")
    return p


@fault("_alembic_tmp_pet", code="SM401", doctor=0, upgrade=0, deploy=0)
def leftover_is_empty(w: World) -> Project:
    p = w.upgraded()
    p.execute("CREATE TABLE _alembic_tmp_pet (id INTEGER)")
    return p


# ------------------------------------------------------------------ the tests


@pytest.fixture
def world(project: ProjectFactory, databases: Databases) -> World:
    return World(project, databases)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_is_told_and_changes_nothing(world: World, row: Fault) -> None:
    p = row.build(world)
    before = files_of(p)
    app = p.app()
    commands = {
        ("doctor",): row.doctor,
        ("safe-upgrade", "--yes", "--lock-wait", "0"): row.upgrade,
        ("deploy", "--lock-wait", "0"): row.deploy,
    }
    for command, code in commands.items():
        if code is None:
            continue
        done = p.invoke("db", *command, app=app)
        said = " ".join(done.output.split())
        assert done.exit_code == code, done.output
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert SECRET not in said
        assert "Traceback" not in said
        if code == 0 and command[0] != "doctor":
            continue
        for words in (*row.say, row.code):
            assert words in done.output or words in said, f"{words!r} is not in\n{done.output}"
        assert "Hint: " in said
    # The lock's folder is made where the lock is asked for; it holds nothing of the database.
    after = {name: what for name, what in files_of(p).items() if ".safemigrate" not in name}
    assert after == {name: what for name, what in before.items() if ".safemigrate" not in name}


def test_the_commands_of_snapshots_end_as_the_others_do(world: World) -> None:
    port = _free_port()
    for query, code in (("", 4), ("?ssl-mode=REQUIRED", 2)):
        url = f"mysql+pymysql://me:{SECRET}@127.0.0.1:{port}/shop{query}"
        done = world.one(url=url).invoke("db", "snapshot")
        assert done.exit_code == code, done.output
        assert "Hint: " in done.output
        assert SECRET not in done.output


def test_every_command_refuses_an_unknown_revision(world: World) -> None:
    p = world.upgraded()
    before = files_of(p)
    for command in ("safe-upgrade", "safe-downgrade"):
        done = p.invoke("db", command, "nosuch", "--yes")
        assert done.exit_code == 2, done.output
        assert "'nosuch'" in done.output
        assert "Hint: " in done.output
    assert files_of(p) == before


def test_the_application_cannot_be_loaded(project: ProjectFactory) -> None:
    """Plain ``flask db`` shows Flask's own traceback; ``flask safemigrate`` explains."""
    p = project(safe=False)
    source = (p.path / "app.py").read_text()
    rows = (
        (source.replace("'SQLALCHEMY_DATABASE_URI'", "'NOTHING'"), "SQLALCHEMY_DATABASE_URI"),
        (source.replace("sqlite:///", f"postgres://me:{SECRET}@host/"), "postgresql"),
        (source.replace("sqlite:///", f"postgresql://me:{SECRET}@host:port/"), "cannot|can read"),
        (source.replace("sqlite:///", f"oracle+oracledb://me:{SECRET}@host/"), "oracledb"),
        ("import nosuchmodule\n" + source, "nosuchmodule"),
        (source + "\nraise RuntimeError('no luck')\n", "no luck"),
    )
    for text_, words in rows:
        (p.path / "app.py").write_text(text_)
        done = p.flask("safemigrate", "doctor")
        said = done.stdout + done.stderr
        assert done.returncode == 2, said
        assert any(word in said for word in words.split("|")), said
        assert SECRET not in said
        assert "Traceback" not in said
    assert not p.database.exists()


@contextlib.contextmanager
def _as_nobody(p: Project) -> Iterator[None]:
    """Let a process of this test write nothing of the project, root or not."""
    modes = {path: path.stat().st_mode for path in (p.path, *p.path.rglob("*"))}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222 | (0o555 if path.is_dir() else 0o444))
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def test_a_database_that_this_user_may_not_write(world: World) -> None:
    p = world.upgraded()
    p.revision("a2", "pass")
    above = [p.path, *p.path.parents]
    if os.geteuid() == 0 and not all(path.stat().st_mode & 0o005 == 0o005 for path in above):
        # pytest's folder is its owner's alone; another user must be able to walk there.
        for path in above[: above.index(Path("/tmp")) if Path("/tmp") in above else 0]:
            path.chmod(path.stat().st_mode | 0o055)
    app = p.app()
    with _as_nobody(p):
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(read_end)
                if os.geteuid() == 0:
                    os.setgid(65534)
                    os.setuid(65534)
                said = [p.invoke("db", *c, app=app) for c in (("doctor",), ("safe-upgrade", "-y"))]
                os.write(write_end, "\0".join(f"{r.exit_code} {r.output}" for r in said).encode())
            except BaseException:
                os.write(write_end, traceback.format_exc().encode())
            finally:
                os._exit(0)
        os.close(write_end)
        with open(read_end, "rb") as answers:
            answered = answers.read().decode().split("\0")
        os.waitpid(child, 0)
    assert len(answered) == 2, answered
    for said in answered:
        assert said.startswith("3 "), said
        assert "SM509" in said
        assert "read-only" in said
        assert "Hint: " in said
    assert p.heads() == {"a1"}


def test_files_that_git_does_not_have_are_applied_and_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess

    p = world.one()
    for arguments in (["init", "-q"], ["add", "app.py"]):
        subprocess.run(["git", *arguments], cwd=p.path, check=True, capture_output=True)
    for rule, code in (("", "SM116"), ("migrations/\n", "SM115")):
        (p.path / ".gitignore").write_text(rule)
        assert code in p.invoke("db", "doctor").output
        done = p.invoke("db", "deploy")
        assert done.exit_code == 0, done.output
        assert p.heads() == {"a1"}


def test_a_password_is_in_no_output(world: World) -> None:
    """Nor in that of a run whose revision fails with the address in its hands."""
    url = make_url(world.databases.create("mysql"))
    user = f"sm_{os.getpid()}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE USER '{user}'@'%' IDENTIFIED BY '{SECRET}'"))
        connection.execute(text(f"CREATE USER '{user}'@'localhost' IDENTIFIED BY '{SECRET}'"))
        connection.execute(text(f"GRANT ALL ON `{url.database}`.* TO '{user}'@'%'"))
        connection.execute(text(f"GRANT ALL ON `{url.database}`.* TO '{user}'@'localhost'"))
    try:
        p = world.one(url=url.set(username=user, password=SECRET).render_as_string(False))
        p.revision("a2", "raise ValueError(str(op.get_bind().engine.url))")
        app = p.app()
        for command in ("doctor", "status", "safe-upgrade -y", "deploy", "snapshot"):
            for form in ("text", "json"):
                done = p.invoke("db", *command.split(), "--format", form, app=app)
                assert SECRET not in done.output, done.output
        right = p.url
        for wrong in (f"{SECRET}x", "%40%2F" + SECRET):
            q = replace(p, url=right)
            source = (p.path / "app.py").read_text()
            (p.path / "app.py").write_text(source.replace(f":{SECRET}@", f":{wrong}@"))
            done = q.invoke("db", "doctor")
            assert done.exit_code == 4, done.output
            assert SECRET not in done.output
            (p.path / "app.py").write_text(source)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP USER '{user}'@'%'"))
            connection.execute(text(f"DROP USER '{user}'@'localhost'"))
        engine.dispose()


def test_a_record_that_cannot_be_written_is_no_fault_of_the_revision(world: World) -> None:
    url = make_url(world.databases.create("mysql"))
    user = f"sm_{os.getpid()}i"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    hosts = ("%", "localhost")
    with engine.connect() as connection:
        for host in hosts:
            connection.execute(text(f"CREATE USER '{user}'@'{host}' IDENTIFIED BY '{SECRET}'"))
            granted = f"GRANT SELECT, CREATE, ALTER, DROP, INDEX ON `{url.database}`.*"
            connection.execute(text(f"{granted} TO '{user}'@'{host}'"))
    try:
        p = world.one(url=url.set(username=user, password=SECRET).render_as_string(False))
        done = p.invoke("db", "safe-upgrade", "--yes")
        assert done.exit_code == 4, done.output
        assert "safemigrate_progress" in done.output
        assert "GRANT" in done.output
        assert "mend the revision" not in done.output
    finally:
        with engine.connect() as connection:
            for host in hosts:
                connection.execute(text(f"DROP USER '{user}'@'{host}'"))
        engine.dispose()
