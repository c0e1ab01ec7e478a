from __future__ import annotations

import pytest

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.facts.comparison import Comparison
from flask_safemigrate.facts.database import Unreachable
from flask_safemigrate.facts.history import BrokenFile, History
from flask_safemigrate.facts.project import GitFacts
from flask_safemigrate.facts.state import Ignored, State
from flask_safemigrate.findings import Severity
from tests.checks.states import LINE, assert_finds, at, database, findings, state

NOTHING = History()
FRESH = database(exists=False)
COMPARED = Comparison(compared=True)
AWAY = database(unreachable=Unreachable("server down", "It is down.", "start it"))
FILES = tuple(f"/shop/migrations/versions/{name}.py" for name in ("a1", "b2", "c3", "d4"))


def config(kind: str, message: str) -> State:
    return state(config_problems=((kind, message),))


FINDS = [
    ("SM101", config("no url", "No URL is set."), ["No URL", "SQLALCHEMY_DATABASE_URI"]),
    ("SM102", config("url", "The URL cannot be read."), ["cannot be read", "quote_plus"]),
    ("SM102", config("url", "'postgres://...' is unknown."), ["postgresql:// instead"]),
    (
        "SM103",
        config("driver", "No module 'psycopg2'."),
        ["'psycopg2'", "pip install", "psycopg["],
    ),
    ("SM103", config("driver", "No module 'MySQLdb'."), ["pip install pymysql"]),
    ("SM103", config("driver", "No module 'x'."), ["pip install the driver"]),
    ("SM104", config("dialect", "'oracle' is not served."), ["'oracle'", "flask db upgrade"]),
    ("SM104", config("dialect", "There is no 'postgres'."), ["postgresql:// instead"]),
    ("SM134", state(tenants=True), ["several schemas", "flask db upgrade"]),
    ("SM134", state(schema_by="SET search_path"), ["SET search_path sends", "flask db upgrade"]),
    ("SM105", state(is_async=True), ['"migrations/env.py"', "asyncio", "template"]),
    (
        "SM106",
        state(FRESH, directory_exists=False, versions_exists=False, found=NOTHING),
        ['"/shop/migrations" does not exist.', "flask db init"],
    ),
    (
        "SM106",
        state(at("c3"), directory_exists=False, versions_exists=False, found=NOTHING),
        ["\"app.db\" is at revision 'c3'", "not shipped", ".dockerignore"],
    ),
    (
        "SM107",
        state(FRESH, versions_exists=False, found=NOTHING),
        ['"migrations/versions" does not exist', "flask db doctor --fix"],
    ),
    (
        "SM107",
        state(at("c3"), versions_exists=False, found=NOTHING),
        ["'c3'", "not shipped", ".gitignore"],
    ),
    (
        "SM108",
        state(FRESH, found=NOTHING),
        ["the models define 2 tables", 'flask db migrate -m "first"'],
    ),
    (
        "SM108",
        state(database("t"), found=NOTHING, models={}),
        ['"app.db" has 1 table;', "flask db migrate"],
    ),
    ("SM108", state(at("c3"), found=NOTHING), ["'c3'", "not shipped"]),
    (
        "SM109",
        state(ini_exists=False),
        ['"migrations/alembic.ini" does not exist', "git checkout"],
    ),
    ("SM110", state(ini_problem="line 3 is odd."), ["line 3 is odd", "%%"]),
    ("SM111", state(env_exists=False), ['"migrations/env.py" does not exist', "git checkout"]),
    (
        "SM112",
        state(env_problem="it does not compile: invalid syntax", env_problem_line=7),
        ['"migrations/env.py"', "invalid syntax", "at line 7"],
    ),
    (
        "SM113",
        state(models={"": ()}),
        ["has 2 tables with 1,237 rows", "drops every one", "import the module"],
    ),
    ("SM113", state(FRESH, models={"": ()}), ["there are 3 revisions", "import the module"]),
    (
        "SM114",
        state(models={"": ("users",), "stats": ("visits", "pages")}),
        ["2 tables on bind 'stats' ('visits' and 'pages')", "flask db init --multidb"],
    ),
    (
        "SM115",
        state(git=GitFacts(True, ignored=FILES[:1], ignored_by=".gitignore:2: *.py")),
        ['"a1.py"', "by .gitignore:2: *.py", "--fix SM115, then git add migrations/versions"],
    ),
    (
        "SM116",
        state(git=GitFacts(True, untracked=FILES[:1])),
        ['does not track "a1.py"', "git add migrations/versions"],
    ),
    (
        "SM116",
        state(git=GitFacts(True, untracked=FILES)),
        ['any revision file: "a1.py", "b2.py", "c3.py" and 1 more'],
    ),
    (
        "SM117",
        state()._replace(ignored=(Ignored("SM113", "", 1), Ignored("SM5", "why", 1))),
        ["'SM113' and does not say why", '["SM113: the reason"]'],
    ),
    (
        "SM118",
        state()._replace(ignored=(Ignored("SM113", "why", 0), Ignored("SM5", "why", 1))),
        ["'SM113', which finds nothing here", "remove 'SM113'"],
    ),
    (
        "SM118",
        state()._replace(ignored=(Ignored("SM408", "why", 0),), comparisons={"": COMPARED}),
        ["'SM408', which finds nothing here"],
    ),
]


@pytest.mark.parametrize(("code", "of", "parts"), FINDS)
def test_finds(code: str, of: State, parts: list[str]) -> None:
    assert_finds(code, of, *parts)


SILENT = [
    ("SM107", state(directory_exists=False, versions_exists=False, found=NOTHING)),
    ("SM108", state(versions_exists=False, found=NOTHING)),
    ("SM108", state(found=History((), (BrokenFile("/v/x.py", "syntax", "bad"),)))),
    ("SM109", state(directory_exists=False, ini_exists=False)),
    ("SM110", state(ini_exists=False, ini_problem="gone")),
    ("SM111", state(directory_exists=False, env_exists=False)),
    ("SM112", state(env_exists=False, env_problem="gone")),
    ("SM113", state(models={})),
    ("SM113", state(models={"": (), "stats": ("visits",)})),
    ("SM113", state(FRESH, models={"": ()}, found=NOTHING)),
    ("SM114", state(models={"": ("users",), "stats": ("visits",)}, multidb=True)),
    ("SM114", state(models={"": ("users",), "stats": ()})),
    ("SM115", state(FRESH, models={}, git=GitFacts(True, ignored=FILES))),
    ("SM116", state(FRESH, models={}, git=GitFacts(True, untracked=FILES))),
    ("SM117", state()._replace(ignored=(Ignored("SM113", "why", 0),))),
    ("SM118", state()._replace(ignored=(Ignored("SM113", "", 1),))),
    ("SM118", state(models={})._replace(ignored=(Ignored("SM113", "why", 0),))),
    ("SM118", state()._replace(ignored=(Ignored("SM408", "why", 0),))),
    (
        "SM118",
        state()._replace(ignored=(Ignored("SM408", "why", 0),), comparisons={"": Comparison()}),
    ),
    ("SM118", state(AWAY)._replace(ignored=(Ignored("SM113", "why", 0),))),
]


@pytest.mark.parametrize(("code", "of"), SILENT)
def test_silent(code: str, of: State) -> None:
    assert findings(code, of) == []


def test_a_good_project_has_no_finding() -> None:
    assert run_checks(state(git=GitFacts(True))) == ()


def test_a_fresh_database_and_a_good_history_have_no_fault() -> None:
    found = run_checks(state(FRESH))
    assert [(f.code, f.severity) for f in found] == [("SM521", Severity.INFO)]
    assert run_checks(state(FRESH), command="deploy") == ()


def test_a_new_project_is_only_warned_but_not_deployed() -> None:
    new = state(FRESH, found=NOTHING, models={"": ()})
    assert [f.severity for f in findings("SM108", new)] == [Severity.WARNING]
    assert not any(f.blocks for f in run_checks(new, command="upgrade"))
    assert [f.code for f in run_checks(new, command="deploy") if f.blocks] == ["SM108"]


@pytest.mark.parametrize(
    ("of", "codes"),
    [
        (state(directory_exists=False, versions_exists=False, found=NOTHING), ["SM106"]),
        (
            state(
                directory_exists=False,
                versions_exists=False,
                ini_exists=False,
                env_exists=False,
                found=NOTHING,
            ),
            ["SM106"],
        ),
        (state(versions_exists=False, found=NOTHING), ["SM107"]),
        (state(found=NOTHING), ["SM108"]),
        (state(env_exists=False, env_problem="x"), ["SM111"]),
    ],
)
def test_one_cause_gives_one_finding(of: State, codes: list[str]) -> None:
    assert [f.code for f in run_checks(of)] == codes


def test_versions_folder_is_repaired_unless_files_are_missing() -> None:
    new = assert_finds("SM107", state(FRESH, versions_exists=False, found=NOTHING))
    assert new.repair
    assert new.subject == "/shop/migrations/versions"
    lost = assert_finds("SM107", state(at("c3"), versions_exists=False, found=NOTHING))
    assert lost.repair is None


def test_git_forbids_nothing() -> None:
    """Where a command runs, the files are there; whether git has them matters elsewhere."""
    for git in (GitFacts(True, ignored=FILES), GitFacts(True, untracked=FILES[:1])):
        for command in ("safe-upgrade", "deploy"):
            found = run_checks(state(git=git, found=LINE), command=command)
            assert found
            assert not any(f.blocks for f in found)


def test_one_new_revision_that_is_not_added_yet_is_a_warning() -> None:
    some = assert_finds("SM116", state(git=GitFacts(True, untracked=FILES[:1])))
    every = assert_finds("SM116", state(git=GitFacts(True, untracked=FILES[:3])))
    assert (some.severity, every.severity) == (Severity.WARNING, Severity.ERROR)


def test_findings_point_at_files_and_lines() -> None:
    env = assert_finds("SM112", state(env_problem="it is odd", env_problem_line=7))
    assert (env.file, env.line) == ("/shop/migrations/env.py", 7)
    ini = assert_finds("SM110", state(ini_problem="[line  3]: 'x' is odd."))
    assert (ini.file, ini.line) == ("/shop/migrations/alembic.ini", 3)
    gone = assert_finds("SM111", state(env_exists=False))
    assert (gone.file, gone.line) == ("", None)
    git = assert_finds("SM115", state(git=GitFacts(True, ignored=FILES[:1])))
    assert (git.file, git.line) == (FILES[0], None)


@pytest.mark.parametrize(
    ("code", "of"),
    [
        ("SM107", state(at("c3"), versions_exists=False, found=NOTHING)),
        ("SM108", state(at("c3"), found=NOTHING)),
    ],
)
def test_a_database_whose_files_are_not_there_has_no_place(code: str, of: State) -> None:
    for command in ("status", "upgrade", "downgrade", "deploy", "reset"):
        assert [finding.blocks for finding in findings(code, of, command)] == [True], command
