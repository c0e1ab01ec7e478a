"""``flask db lint`` on real databases: what it says will fail fails, and it changes nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases

FIRST = (
    "a1",
    "op.create_table('person', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('name', sa.String(20)), sa.Column('mail', sa.String(40)))\n"
    'op.execute("INSERT INTO person (id, name, mail) '
    "VALUES (1, 'Ada', 'a@b'), (2, NULL, 'a@b')\")",
    "op.drop_table('person')",
)
DIALECTS = ("sqlite", "postgresql", "mysql")

#: What a revision does, the code that is found, the word that fails, and what passes instead.
FAILS = {
    "NULLs": (
        "with op.batch_alter_table('person') as b:\n"
        "    b.alter_column('name', existing_type=sa.String(20), nullable=False)",
        "SM621",
        "op.execute(\"UPDATE person SET name = '' WHERE name IS NULL\")\n"
        "with op.batch_alter_table('person') as b:\n"
        "    b.alter_column('name', existing_type=sa.String(20), nullable=False)",
    ),
    "duplicates": (
        "op.create_index('uq', 'person', ['mail'], unique=True)",
        "SM622",
        "op.create_index('uq', 'person', ['name'], unique=True)",
    ),
    "a missing column": (
        "op.drop_column('person', 'nosuch')",
        "SM604",
        "op.add_column('person', sa.Column('other', sa.Integer))",
    ),
}


@pytest.fixture(params=DIALECTS)
def started(
    request: pytest.FixtureRequest, project: ProjectFactory, databases: Databases
) -> Project:
    url = None if request.param == "sqlite" else databases.create(request.param)
    p = project(url=url, revisions=[FIRST])
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    return p


def lint(p: Project, *more: str) -> tuple[int, list[dict[str, Any]]]:
    done = p.invoke("db", "lint", "--format", "json", *more)
    return done.exit_code, json.loads(done.stdout)["findings"]


@pytest.mark.parametrize("case", FAILS)
def test_what_is_said_to_fail_fails_and_the_cure_passes(started: Project, case: str) -> None:
    bad, code, good = FAILS[case]
    p = started
    before = p.rows("SELECT * FROM person ORDER BY id")
    p.revision("a2", bad)
    exit_code, found = lint(p)
    assert exit_code == 3
    [hazard] = [each for each in found if each["code"] == code]
    assert hazard["severity"] == "error"
    assert "person" in hazard["message"]
    assert hazard["file"].endswith("a2.py")
    assert hazard["line"] is not None
    if "op.execute(" in hazard["hint"]:
        compile(hazard["hint"], "hint", "exec")
    assert p.rows("SELECT * FROM person ORDER BY id") == before
    assert p.heads() == {"a1"}
    failed = p.invoke("db", "safe-upgrade", "--yes")
    assert failed.exit_code != 0, failed.output
    p.revision("a2", good, down="a1")
    exit_code, found = lint(p)
    assert (exit_code, [each["code"] for each in found if each["severity"] == "error"]) == (0, [])
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output


def test_what_goes_is_counted(started: Project) -> None:
    p = started
    p.revision("a2", "op.drop_column('person', 'name')")
    exit_code, found = lint(p)
    [hazard] = [each for each in found if each["code"] == "SM630"]
    assert "loses 1 value" in hazard["message"]
    assert exit_code == 3


def test_loops_helpers_and_conditions_come_out_as_operations(started: Project) -> None:
    p = started
    p.revision(
        "a2",
        "def each(names):\n"
        "    for name in names:\n"
        "        op.drop_column('person', name)\n"
        "if op.get_bind().dialect.name != 'nosuch':\n"
        "    each(['name', 'mail'])",
    )
    _, found = lint(p)
    assert sorted(f["subject"] for f in found if f["code"] == "SM630") == [
        "person.mail",
        "person.name",
    ]


#: Bad input: what the revision does, and what is said of it.
ODD = {
    "raise ValueError('no')": "raised ValueError: no",
    "import nosuchmodule": "raised ModuleNotFoundError",
    "raise SystemExit(3)": "raised SystemExit: 3",
    "while True: op.execute('UPDATE person SET id = id')": "does not come to an end",
    "import sys; sys.stdout.write('noise')": "",
    "open('made.txt', 'w').write('x')": "write to the file",
    "import subprocess; subprocess.run(['true'])": "start a program",
    "import socket; socket.create_connection(('127.0.0.1', 9))": "use the network",
    "from flask import current_app\n"
    "db = current_app.extensions['migrate'].db\n"
    "db.session.execute(sa.text('SELECT 1'))": "op.get_bind()",
    # What a real run has.
    "op.get_context().opts['target_metadata'].naming_convention": "",
    "from alembic import context\nassert context.config.get_main_option('sqlalchemy.url')": "",
}


@pytest.mark.parametrize("body", ODD)
def test_odd_revisions_are_findings(project: ProjectFactory, body: str) -> None:
    p = project(revisions=[FIRST])
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    p.revision("a2", body)
    _, found = lint(p)
    said = " ".join(each["message"] for each in found)
    assert ODD[body] in said
    assert bool(found) is bool(ODD[body])


def test_a_way_back_that_reads_is_not_said_to_fail(project: ProjectFactory) -> None:
    down = "op.get_bind().execute(sa.text('SELECT name FROM person')).fetchall()[0][0].upper()"
    p = project(revisions=[FIRST, ("a2", "op.execute('UPDATE person SET mail = NULL')", down)])
    assert p.invoke("db", "safe-upgrade", "a1", "--yes").exit_code == 0
    _, found = lint(p)
    assert "SM650" not in [each["code"] for each in found]
    [unseen] = [each for each in found if each["code"] == "SM601"]
    assert "What the downgrade does was not seen to its end" in unseen["message"]


def test_nothing_pending(project: ProjectFactory) -> None:
    p = project(revisions=[FIRST])
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    assert lint(p) == (0, [])


def test_a_code_is_explained(project: ProjectFactory) -> None:
    p = project(revisions=[FIRST])
    done = p.invoke("db", "doctor", "--explain", "SM610")
    assert "postgresql_concurrently" in done.output


def codes(found: list[dict[str, Any]]) -> list[str]:
    return [each["code"] for each in found]


@pytest.fixture
def grown(started: Project) -> Project:
    """a1 and a2, which drops a column, are applied; a3, which drops another, is not."""
    p = started
    p.revision("a2", "op.drop_column('person', 'name')")
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    p.revision("a3", "op.drop_column('person', 'mail')")
    return p


def test_the_revisions_that_are_named(grown: Project) -> None:
    def subjects(*more: str) -> list[str]:
        _, found = lint(grown, *more)
        return sorted(each["subject"] for each in found if each["code"] == "SM630")

    assert subjects() == ["person.mail"]
    # What is applied is judged when it is named: the column is there before it, and not after.
    assert subjects("a2") == ["person.name"]
    assert subjects("a3") == ["person.mail"]
    assert subjects("a2:a3") == ["person.mail", "person.name"]
    assert subjects("--since", "a1") == ["person.mail", "person.name"]
    assert subjects("--since", "a2") == ["person.mail"]
    assert subjects("--since", "heads") == []
    # Its table is made in the same run.
    assert subjects("base:a2") == []
    assert grown.heads() == {"a2"}


def test_a_pending_revision_is_judged_after_those_before_it(started: Project) -> None:
    p = started
    p.revision("a2", "op.add_column('person', sa.Column('age', sa.Integer))\nop.drop_table('no')")
    p.revision("a3", "op.drop_column('person', 'age')\nop.drop_column('person', 'name')")
    assert "SM604" in codes(lint(p)[1])
    _, found = lint(p, "a3")
    assert [f["subject"] for f in found if f["severity"] == "error"] == ["person.name"]
    assert {f["file"][-5:] for f in found} == {"a3.py"}
    # Its rows are asked.
    assert "loses 1 value" in next(f["message"] for f in found if f["code"] == "SM630")


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["nosuch"], "no revision or branch 'nosuch'", "flask db history"),
        (["a1:nosuch"], "no revision or branch 'nosuch'", "flask db history"),
        (["heads:a1"], "does not come before", "flask db lint a1:heads"),
        (["--since", "nosuch"], "no revision or branch 'nosuch'", "flask db history"),
        (["a1", "--since", "a1"], "REVISION and --since say twice", ""),
    ],
)
def test_bad_names_are_refused(
    project: ProjectFactory, words: list[str], said: str, hint: str
) -> None:
    p = project(revisions=[FIRST, ("a2", "op.drop_column('person', 'name')")])
    done = p.invoke("db", "lint", *words)
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())
    assert hint in " ".join(done.output.split())
    assert not p.database.exists()


#: Nothing answers there: whoever connects fails.
NOWHERE = {
    "sqlite": "sqlite:////nowhere/app.db",
    "postgresql": "postgresql+psycopg://nobody@127.0.0.1:9/none",
    "mysql": "mysql+pymysql://nobody@127.0.0.1:9/none",
    "mariadb": "mariadb+pymysql://nobody@127.0.0.1:9/none",
}
UNKNOWN = (
    "a2",
    "op.drop_column('person', 'name')\nop.create_index('ix', 'person', ['mail'])",
)


@pytest.mark.parametrize("dialect", NOWHERE)
def test_without_a_database(project: ProjectFactory, dialect: str) -> None:
    p = project(url=NOWHERE[dialect], revisions=[FIRST, UNKNOWN])
    exit_code, found = lint(p, "--offline", "heads")
    # Nobody knows whether there are values to lose.
    [hazard] = [f for f in found if f["code"] == "SM630"]
    assert (exit_code, hazard["severity"], hazard["subject"]) == (0, "warning", "person.name")
    # Nothing is said of locks on SQLite.
    blocks = "SM610" in codes(found)
    assert blocks is (dialect == "postgresql")
    # The table is made before it and nothing is lost: a range from the first is one run.
    assert "SM630" not in codes(lint(p, "--offline", "base:heads")[1])
    done = p.invoke("db", "lint", "--offline", "--since", "a1", "--strict")
    assert (done.exit_code, "No database was looked at." in done.output) == (3, True)


def test_the_dialect_is_named(project: ProjectFactory) -> None:
    p = project(url=NOWHERE["sqlite"], revisions=[FIRST, UNKNOWN])
    assert "SM610" not in codes(lint(p, "--offline", "a2")[1])
    assert "SM610" in codes(lint(p, "--offline", "a2", "--dialect", "postgresql")[1])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--offline"], "nobody knows which revisions are pending"),
        (["--offline", "nosuch"], "no revision or branch 'nosuch'"),
        (["--dialect", "mysql"], "--dialect is for --offline"),
        (["--offline", "a1", "--dialect", "oracle"], "'oracle' is not one of"),
    ],
)
def test_bad_words_without_a_database(
    project: ProjectFactory, words: list[str], said: str
) -> None:
    p = project(url=NOWHERE["postgresql"], revisions=[FIRST])
    done = p.invoke("db", "lint", *words)
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


def test_a_history_that_is_broken_is_told_without_a_database(project: ProjectFactory) -> None:
    p = project(url=NOWHERE["postgresql"], revisions=[FIRST])
    (p.versions / "odd.py").write_text("revision = 'b1'\ndown_revision = 'a1'\ndef upgrade(:\n")
    done = p.invoke("db", "lint", "--offline", "heads")
    assert done.exit_code == 3
    assert "SM201" in done.output


def test_a_check_proves_not_null_on_a_server_of_unknown_version(project: ProjectFactory) -> None:
    check = ("a2", "op.create_check_constraint('full', 'person', 'name IS NOT NULL')")
    tighten = "op.alter_column('person', 'name', nullable=False)"
    p = project(url=NOWHERE["postgresql"], revisions=[FIRST, check, ("a3", tighten)])
    assert "SM613" not in codes(lint(p, "--offline", "a3")[1])
    p.revision("a4", "op.alter_column('person', 'mail', nullable=False)")
    assert "SM613" in codes(lint(p, "--offline", "a4")[1])


def commit(p: Project) -> None:
    """Put a project into a repository of its own, branch ``main``."""
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-b", "main"], ["add", "."], [*who, "commit", "-m", "one"]):
        subprocess.run(["git", *words], cwd=p.path, check=True, capture_output=True, timeout=30)


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@needs_git
def test_what_a_pull_request_adds(project: ProjectFactory) -> None:
    p = project(url=NOWHERE["postgresql"], revisions=[FIRST])
    commit(p)
    assert lint(p, "--offline", "--base", "main") == (0, [])
    p.revision("a2", "op.drop_column('person', 'name')")
    _, found = lint(p, "--offline", "--base", "main")
    assert [f["subject"] for f in found if f["code"] == "SM630"] == ["person.name"]
    done = p.invoke("db", "lint", "--offline", "--base", "nosuch")
    assert done.exit_code == 2
    told = " ".join(done.output.split())
    assert "git knows no branch 'nosuch'" in told
    assert "git fetch origin nosuch" in told
    assert p.invoke("db", "lint", "--base", "main", "--since", "a1").exit_code == 2


@needs_git
def test_the_hook_of_pre_commit_runs_what_there_is(project: ProjectFactory) -> None:
    text = (Path(__file__).parents[2] / ".pre-commit-hooks.yaml").read_text()
    [entry] = re.findall(r"^  entry: flask (.*)$", text, re.MULTILINE)
    [arguments] = re.findall(r"^  args: \[(.*)\]$", text, re.MULTILINE)
    p = project(url=NOWHERE["postgresql"], revisions=[FIRST])
    commit(p)
    words = [*entry.split(), *arguments.split(", ")]
    assert p.invoke(*words).exit_code == 0
    p.revision("a2", "op.drop_column('person', 'nosuch')")
    p.revision("a3", "op.drop_table('person')")
    done = p.invoke(*words, "--strict", "--format", "markdown")
    assert done.exit_code == 3
    assert "| SM631 |" in done.stdout


def diagnosed(p: Project, *more: str) -> list[str]:
    done = p.invoke("db", "doctor", "--format", "json", *more)
    return [code for code in codes(json.loads(done.stdout)["findings"]) if code.startswith("SM6")]


def test_doctor_judges_what_is_pending(started: Project) -> None:
    p = started
    assert diagnosed(p) == []
    p.revision("a2", "op.drop_column('person', 'name')")
    assert "SM630" in diagnosed(p)
    assert diagnosed(p, "--select", "SM630") == ["SM630"]
    assert diagnosed(p, "--fast") == []
    assert diagnosed(p, "--offline") == []
    assert diagnosed(p, "--select", "SM2") == []
    assert diagnosed(p, "--ignore", "SM6") == []
    assert p.heads() == {"a1"}
    # Nothing runs before that is mended, so nothing is said of what it would do.
    (p.versions / "odd.py").write_text("revision = 'b1'\ndown_revision = 'nosuch'\n")
    assert diagnosed(p) == []


def test_what_is_waived_is_said_with_its_reason(started: Project) -> None:
    p = started
    path = p.revision("a2", "with op.batch_alter_table('person') as b:\n    b.drop_column('name')")
    text = path.read_text()
    assert "SM630" in codes(lint(p)[1])
    for said, exit_code, found in (
        ("['SM630:person.name']", 3, {"SM630", "SM605"}),
        ("{'SM630:person.mail': 'not this one'}", 3, {"SM630", "SM606"}),
        ("{'SM630:person.name': 'copied to the archive'}", 0, set()),
    ):
        path.write_text(f"{text}\n\nsafemigrate_allow = {said}\n")
        done = p.invoke("db", "lint", "--format", "json")
        document = json.loads(done.stdout)
        assert done.exit_code == exit_code
        assert set(codes(document["findings"])) & {"SM630", "SM605", "SM606"} == found
    [waived] = document["state"]["waived"]
    assert waived["waiver"]["reason"] == "copied to the archive"
    assert waived["finding"]["subject"] == "person.name"
    words = " ".join(p.invoke("db", "lint").output.split())
    assert "SM630 of 'person.name': copied to the archive" in words
    path.write_text(text)
    assert lint(p, "--allow", "SM630:person.mail")[0] == 3
    assert lint(p, "--allow", "SM630:person.name,SM640")[0] == 0


def test_the_setting_waives_with_a_reason(project: ProjectFactory) -> None:
    for reason, exit_code in (("copied", 0), ("", 2)):
        allow = {"SM630:person": reason}
        p = project(revisions=[FIRST], config={"SAFEMIGRATE_ALLOW": allow})
        p.invoke("db", "upgrade")
        p.revision("a2", "with op.batch_alter_table('person') as b:\n    b.drop_column('name')")
        done = p.invoke("db", "lint")
        assert done.exit_code == exit_code, done.output
    assert "does not say why" in " ".join(done.output.split())


#: Statements that the server itself refuses to read, and what passes instead.
REFUSED = {
    "postgresql": [
        (
            "UPDATE `person` SET name = NULL WHERE id = 0",
            "UPDATE person SET name = NULL WHERE id = 0",
        ),
        ("DELETE FROM person WHERE mial = 'x'", "DELETE FROM person WHERE mail = 'x'"),
        (
            "UPDATE person SET name = 'a' WHERE name = 7",
            "UPDATE person SET name = 'a' WHERE id = 7",
        ),
        (
            "ALTER TABLE person ADD COLUMN at timestamp DEFAULT 'CURRENT_TIMESTAMP'",
            "ALTER TABLE person ADD COLUMN at timestamp DEFAULT CURRENT_TIMESTAMP",
        ),
        (
            "CREATE TABLE t (doc json DEFAULT '')",
            "CREATE TABLE t (doc json DEFAULT '{}')",
        ),
    ],
    "mysql": [
        (
            'UPDATE "person" SET name = NULL WHERE id = 0',
            "UPDATE person SET name = NULL WHERE id = 0",
        ),
        ("DELETE FROM person WHERE mial = 'x'", "DELETE FROM person WHERE mail = 'x'"),
        ("CREATE INDEX CONCURRENTLY ix ON person (name)", "CREATE INDEX ix ON person (name)"),
        (
            "ALTER TABLE person ALTER COLUMN name TYPE VARCHAR(40)",
            "ALTER TABLE person ALTER COLUMN name SET DEFAULT 'x'",
        ),
    ],
    "sqlite": [
        ("TRUNCATE TABLE person", "UPDATE person SET name = NULL WHERE id = 0"),
        ("DELETE FROM person WHERE mial = 'x'", "DELETE FROM person WHERE mail = 'x'"),
        ("UPDATE person SET name = now()", "UPDATE person SET name = trim(name)"),
        (
            "ALTER TABLE person ALTER COLUMN name SET NOT NULL",
            "ALTER TABLE person ADD COLUMN n INT",
        ),
        ("ALTER TABLE person ADD COLUMN n INT UNIQUE", "ALTER TABLE person ADD COLUMN n INT"),
    ],
}


def test_what_the_server_refuses_to_read_is_found_without_running_it(started: Project) -> None:
    p = started
    dialect = next(each for each in DIALECTS if p.url.startswith(each))
    before = p.rows("SELECT * FROM person ORDER BY id")
    path = p.revision("a2", "BODY")
    text = path.read_text()
    for bad, good in REFUSED[dialect]:
        for sql, fails in ((bad, True), (good, False)):
            path.write_text(text.replace("BODY", f"op.execute({sql!r})"))
            _, found = lint(p)
            refused = [each for each in found if each["code"] in ("SM603", "SM604")]
            assert bool(refused) is fails, (sql, found)
            assert p.rows("SELECT * FROM person ORDER BY id") == before
