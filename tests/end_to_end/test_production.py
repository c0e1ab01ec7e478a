"""Production stays production: reset refuses it, however it is known and spelt."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.support.projects import Project, ProjectFactory

FIRST = (
    "a1",
    "op.create_table('customer', sa.Column('id', sa.Integer, primary_key=True))\n"
    "op.execute('INSERT INTO customer VALUES (1)')",
    "op.drop_table('customer')",
)
ONE = [(1,)]

Make = Callable[..., Project]


@pytest.fixture
def make(project: ProjectFactory) -> Make:
    """A project that takes its settings from FLASK_... variables too."""

    def made(**options: object) -> Project:
        after = "app.config.from_prefixed_env()"
        return project(revisions=[FIRST], after=after, **options)  # type: ignore[arg-type]

    return made


def one_line(said: str) -> str:
    """The text without the line ends that the terminal's width brings."""
    return " ".join(said.split())


def environment(name: str) -> dict[str, str]:
    return {"FLASK_SAFEMIGRATE_ENVIRONMENT": name}


def reset(p: Project, env: dict[str, str] | None = None, *more: str) -> tuple[int, str]:
    done = p.flask("--debug", "db", "reset", "--yes", "--no-snapshot", *more, env=env)
    return done.returncode, one_line(done.stdout + done.stderr)


def customers(p: Project) -> list[tuple[int, ...]]:
    return p.rows("SELECT id FROM customer")


def insert(p: Project, id: int) -> None:
    p.execute(f"INSERT INTO customer VALUES ({id})")


@pytest.mark.parametrize("name", ["production", "Production", "PROD", " prod "])
def test_the_applications_own_environment_is_enough(make: Make, name: str) -> None:
    p = make()
    assert p.db("upgrade").returncode == 0
    code, said = reset(p, environment(name))
    assert (code, customers(p)) == (3, ONE), said
    assert f"SAFEMIGRATE_ENVIRONMENT says that this is '{name}'" in said


@pytest.mark.parametrize("command", ["safe-upgrade", "deploy"])
@pytest.mark.parametrize("name", ["production", "Production"])
def test_a_database_that_was_ever_changed_in_production_stays(
    make: Make, database_url: str, command: str, name: str
) -> None:
    p = make(url=database_url)
    yes = ["--yes"] if command == "safe-upgrade" else []
    assert p.db(command, *yes, env=environment(name)).returncode == 0
    assert p.db("deploy", env=environment("staging")).returncode == 0
    insert(p, 2)
    code, said = reset(p)
    assert code == 3, said
    assert f"was deployed as '{name}'; it is not reset" in said
    assert customers(p) == [(1,), (2,)]


@pytest.mark.parametrize("setting", ["", "staging"])
def test_no_setting_opens_production(make: Make, setting: str) -> None:
    p = make()
    assert p.db("deploy", env=environment("production")).returncode == 0
    env = {"FLASK_SAFEMIGRATE_PROTECTED_ENVIRONMENTS": setting}
    assert reset(p, env)[0] == 3
    assert reset(p, env | environment("production"))[0] == 3
    assert customers(p) == ONE


def test_a_setting_protects_more(make: Make) -> None:
    p = make()
    assert p.db("deploy", env=environment("Live")).returncode == 0
    insert(p, 2)
    env = {"FLASK_SAFEMIGRATE_PROTECTED_ENVIRONMENTS": "live"}
    assert reset(p, env)[0] == 3
    assert customers(p) == [(1,), (2,)]
    code, said = reset(p)
    assert (code, customers(p)) == (0, ONE), said


def test_one_bind_in_production_protects_all(make: Make) -> None:
    p = make(binds={"audit": None})
    for file in p.versions.glob("*.py"):
        file.unlink()
    p.revisions.clear()
    p.revision("a1", {"": FIRST[1], "audit": FIRST[1]}, {"": "pass", "audit": "pass"})
    assert p.db("deploy").returncode == 0
    p.execute(
        "INSERT INTO safemigrate_journal (kind, subject, direction, started, finished, checksum,"
        " environment, host, tool) VALUES ('deploy', 'deploy', '', '', '', '', 'prod', '', '')",
        url=p.binds["audit"],
    )
    assert reset(p)[0] == 3
    assert customers(p) == ONE


def test_plain_flask_migrate_keeps_the_environment(project: ProjectFactory) -> None:
    p = project(revisions=[FIRST], safe=False, after="app.config.from_prefixed_env()")
    done = p.flask("safemigrate", "deploy", env=environment("production"))
    assert done.returncode == 0, done.stdout + done.stderr
    again = p.flask("--debug", "safemigrate", "reset", "--yes", "--no-snapshot")
    assert again.returncode == 3, again.stdout + again.stderr
    assert customers(p) == ONE


def wait_for(p: Project, name: str) -> None:
    deadline = time.monotonic() + 60
    while not (p.path / name).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


#: Tells that the lock is held, and goes on once it may.
SLOW = """
from pathlib import Path
import time
Path("begun").touch()
while not Path("go").exists():
    time.sleep(0.05)
"""


@pytest.mark.parametrize("name", ["production", ""])
def test_what_was_deployed_while_reset_waited_is_seen(make: Make, name: str) -> None:
    p = make()
    p.revision("a2", SLOW)
    deploy = p.start("db", "deploy", env=environment(name))
    wait_for(p, "begun")
    waiting = p.start("--debug", "db", "reset", "--yes")
    assert waiting.stderr is not None
    told = ""
    while "aiting" not in told and (line := waiting.stderr.readline()):
        told += line
    (p.path / "go").touch()
    assert deploy.wait(60) == 0
    out, err = waiting.communicate(timeout=60)
    assert customers(p) == ONE
    if name:
        assert waiting.returncode == 3, out + err
        assert "was deployed as 'production'" in one_line(err)
        return
    assert waiting.returncode == 0, out + err
    assert "What is there has changed since it was shown." in one_line(out)
    assert "customer 1 row" in one_line(out)
    assert "Snapshot" in one_line(out)
    assert p.db("snapshots").stdout.count("reset") == 1


def test_the_variable_alone_protects(project: ProjectFactory) -> None:
    p = project(revisions=[FIRST], config={"SAFEMIGRATE_ALLOW_RESET": True})
    variable = {"SAFEMIGRATE_ENVIRONMENT": "Production"}
    assert p.db("deploy", env=variable).returncode == 0
    for env in (variable, {}):
        done = p.db("reset", "--yes", env=env)
        assert done.returncode == 3, done.stdout + done.stderr
        assert p.rows("SELECT * FROM customer") == ONE
