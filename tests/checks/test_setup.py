"""Checks of what the files and the configuration of the project show."""

from __future__ import annotations

from typing import Any

import pytest

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.history import History
from flask_safemigrate.facts.project import (
    DatabaseFile,
    Dotenv,
    EnvTemplate,
    Failure,
    IniFacts,
    LeftOut,
    ModelClass,
    ModelImport,
    Setup,
    Shadow,
    UnknownName,
)
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity
from tests.checks.states import assert_finds, at, database, findings, state

OLD = EnvTemplate("flask", "2.4.0", "4.1.0", outdated=True)
PATH = "/shop/migrations/versions/b2_make.py"


def shown(*databases: DatabaseState, **facts: Any) -> State:
    return state(*databases, setup=Setup(**facts))


def old(*faults: str, modified: bool = False, patch: str = "", **facts: Any) -> State:
    env = OLD._replace(faults=frozenset(faults), modified=modified, patch=patch)
    relative = at("c3", configured="app.db", location="/shop/instance/app.db")
    return shown(facts.pop("database", relative), env=env, **facts)


def binds(of: State) -> State:
    models = {"": ("users", "orders"), "stats": ("visits",)}
    return of._replace(project=of.project._replace(models=models, multidb=True))


MODEL = ModelClass("Invoice", "invoices", "", "shop.billing", "/shop/billing.py", 4)
FILLED = database("users:37", "orders:2", "invoices:9", version_rows=("c3",))

FINDS = [
    ("SM119", old(), ['"migrations/env.py"', "template of Flask-Migrate 2.4.0", "4.1.0"]),
    (
        "SM119",
        old("own engine", "config url"),
        ['opens "app.db" in the current folder', '"/shop/instance/app.db"', "engine options"],
    ),
    ("SM119", old("percent", url_has=frozenset({"percent"})), ["stops at the percent sign"]),
    (
        "SM119",
        old("own engine", "masked password", url_has=frozenset({"password"})),
        ["connects with *** in place of the password"],
    ),
    ("SM119", old("get_engine arguments"), ["arguments that Flask-SQLAlchemy 3 does not take"]),
    (
        "SM119",
        old("directives", arguments=frozenset({"process_revision_directives"})),
        ["process_revision_directives twice"],
    ),
    ("SM119", binds(old("one metadata")), ["models of bind 'stats'", "drop their tables"]),
    ("SM119", old("no arguments"), ["render_as_batch, does not reach Alembic"]),
    ("SM119", old("get_engine"), ["about to remove"]),
    ("SM120", old(modified=True, patch="--- a\n+++ b"), ["was changed since", "    --- a"]),
    ("SM120", old(modified=True), ["was changed since", "diff "]),
    (
        "SM120",
        shown(env=EnvTemplate(modified=True, faults=frozenset({"get_engine arguments"}))),
        ["from no template of Flask-Migrate. It calls get_engine()", "flask db init -d NEW"],
    ),
    (
        "SM121",
        shown(ini=IniFacts(missing_logger="flask_migrate")),
        ['"migrations/alembic.ini" does not name the logger flask_migrate', "--fix SM121"],
    ),
    (
        "SM121",
        shown(ini=IniFacts(silent="[logger_root] has the level CRITICAL")),
        ["[logger_root] has the level CRITICAL", "level = WARN"],
    ),
    (
        "SM122",
        shown(ini=IniFacts(problem="section [handler_x] is missing")),
        ["cannot be set up: section [handler_x] is missing", "flask db init -d NEW"],
    ),
    ("SM123", shown(ini=IniFacts(script_location="alembic")), ["'alembic'", "%(here)s"]),
    (
        "SM124",
        shown(ini=IniFacts(url="postgresql://h/old")),
        ['"postgresql://h/old"', "does not use it", "remove the line"],
    ),
    (
        "SM124",
        shown(ini=IniFacts(url="postgresql://me:***@h/old", url_replaced=False)),
        ["may well migrate that one", "holds a password", "db.engine"],
    ),
    ("SM124", shown(ini=IniFacts(url="?")), ["something that is no URL"]),
    (
        "SM125",
        shown(
            left_out=(
                LeftOut("/shop/.dockerignore", "the image", 3, "migrations", (PATH,), True, "!m"),
            )
        ),
        ['".dockerignore" leaves every revision out of the image', "line 3", "the line !m below"],
    ),
    (
        "SM125",
        shown(left_out=(LeftOut("/shop/.slugignore", "Heroku", 1, "b2*", (PATH,)),)),
        ["leaves 'b2_make.py' out of Heroku: line 1, 'b2*'", "remove the rule"],
    ),
    (
        "SM126",
        shown(shadows=(Shadow("alembic", "/shop/alembic.py"),)),
        ['"alembic.py" has the name of the module alembic', "another name"],
    ),
    (
        "SM126",
        shown(shadows=(Shadow("alembic", "/shop/alembic/__init__.py", True),)),
        ['"alembic/" has the name', "was imported in its place"],
    ),
    (
        "SM127",
        shown(dotenv=Dotenv(("/shop/.env",), ("DATABASE_URL",))),
        ['".env" is not read', "'DATABASE_URL'", "pip install python-dotenv"],
    ),
    (
        "SM128",
        shown(other_files={"": (DatabaseFile("/i/app.db", 0), DatabaseFile("/app.db", 12))}),
        ['"/i/app.db" with 0 tables', '"/app.db" with 12 tables', "likely to be meant", "mv "],
    ),
    (
        "SM128",
        shown(other_files={"": (DatabaseFile("/i/app.db", 2), DatabaseFile("/app.db", 0))}),
        ['"/i/app.db" with 2 tables', "delete the file that is not used"],
    ),
    (
        "SM129",
        shown(debug=True, hosts=(("", "db.prod.example.com"),)),
        ["debug mode", "it says 'prod'", "leave debug mode"],
    ),
    (
        "SM129",
        shown(database("users", "orders", name="shop_production"), debug=True),
        ["it says 'production'"],
    ),
    (
        "SM130",
        shown(FILLED, unimported=(MODEL,)),
        [
            "1 model is defined but not imported ('Invoice' in shop.billing)",
            "would drop 1 table with 9 rows",
            "`import shop.billing`",
        ],
    ),
    ("SM130", shown(unimported=(MODEL,)), ["does not see it: 'Invoice' in shop.billing"]),
    (
        "SM131",
        shown(unnamed={"": ("users", "orders")}),
        ["2 tables of the models have constraints without a name", "naming_convention"],
    ),
    (
        "SM132",
        shown(failure=Failure("It cannot be loaded.", "do", "/shop/app.py", 7)),
        ["It cannot be loaded.", "do"],
    ),
    ("SM132", shown(failure=Failure("It cannot be loaded.")), ["mend that line"]),
    ("SM133", shown(initialised=False), ['"shop" has neither', "SafeMigrate(app, db)"]),
    (
        "SM214",
        shown(stray=(f"{PATH}.bak", f"{PATH}~")),
        ["'b2_make.py.bak' and 'b2_make.py~' lie among", "delete"],
    ),
    ("SM215", shown(sourceless=("/v/a.pyc",)), ['"a.pyc" is a revision without its source']),
    (
        "SM216",
        shown(model_imports=(ModelImport(PATH, ("User",), 9),)),
        ["line 9, imports 'User'", "sa.table("],
    ),
    (
        "SM217",
        shown(unknown_names=(UnknownName(PATH, "geoalchemy2", 12, "upgrade"),)),
        ["line 12, uses 'geoalchemy2'", "import geoalchemy2 in b2_make.py"],
    ),
    ("SM217", shown(unknown_names=(UnknownName(PATH, "sa", 1),)), ["import sqlalchemy as sa"]),
    ("SM217", shown(unknown_names=(UnknownName(PATH, "op", 1),)), ["from alembic import op"]),
    (
        "SM217",
        shown(unknown_names=(UnknownName(PATH, "mysql", 1),)),
        ["from sqlalchemy.dialects import mysql"],
    ),
]


@pytest.mark.parametrize(("code", "of", "parts"), FINDS)
def test_finds(code: str, of: State, parts: list[str]) -> None:
    assert_finds(code, of, *parts)


SILENT = [
    ("SM119", shown(env=OLD._replace(outdated=False))),
    ("SM119", old(modified=True)),
    ("SM120", old()),
    ("SM120", shown(env=EnvTemplate())),
    ("SM120", shown(env=EnvTemplate(modified=True, faults=frozenset({"own engine"})))),
    ("SM120", shown(env=OLD._replace(outdated=False, modified=True))),
    ("SM121", shown(ini=IniFacts(problem="x"))),
    ("SM122", state(env_problem="x", setup=Setup(ini=IniFacts(problem="x")))),
    ("SM124", shown(ini=IniFacts(url_replaced=False))),
    (
        "SM125",
        state(
            database(exists=False),
            found=History(),
            models={},
            setup=Setup(left_out=(LeftOut("/s/.slugignore", "Heroku", 1, "*", (PATH,)),)),
        ),
    ),
    ("SM128", shown(other_files={"other": (DatabaseFile("/a", 0), DatabaseFile("/b", 1))})),
    ("SM129", shown(hosts=(("", "prod"),))),
    ("SM129", shown(debug=True, hosts=(("", "products.example.com"),))),
    ("SM129", shown(debug=True, hosts=(("", "delivery-olive"),))),
    ("SM131", shown(database(dialect="postgresql"), unnamed={"": ("users",)})),
]


@pytest.mark.parametrize(("code", "of"), SILENT)
def test_silent(code: str, of: State) -> None:
    assert findings(code, of) == []


@pytest.mark.parametrize(
    ("of", "severity"),
    [
        (old(), Severity.INFO),
        (old("no arguments"), Severity.WARNING),
        (old("own engine"), Severity.WARNING),
        (old("own engine", "config url"), Severity.ERROR),
        (old("own engine", "config url", database=at("c3")), Severity.WARNING),
        (old("percent"), Severity.INFO),
        (old("own engine", "masked password"), Severity.WARNING),
        (old("directives"), Severity.INFO),
        (old("one metadata"), Severity.INFO),
    ],
)
def test_an_old_env_is_as_bad_as_it_is_for_this_application(of: State, severity: Severity) -> None:
    found = assert_finds("SM119", of)
    assert found.severity is severity
    assert found.repair
    assert found.file == "/shop/migrations/env.py"


def test_models_that_nobody_imports_are_the_cause() -> None:
    """Neither that no model is registered nor that tables have none is told besides."""
    nothing = state(FILLED, models={"": ()}, setup=Setup(unimported=(MODEL,)))
    codes = [finding.code for finding in run_checks(nothing)]
    assert codes == ["SM130"]
    assert [f.code for f in run_checks(shown(FILLED, unimported=(MODEL,)))] == ["SM130"]


def test_without_an_application_little_is_known() -> None:
    of = state(
        directory_exists=False,
        config_problems=(("no url", "No URL is set."),),
        setup=Setup(failure=Failure("It cannot be loaded.")),
    )
    found = [finding.code for finding in run_checks(of._replace(databases=()))]
    assert found == ["SM132"]


def test_the_variable_of_the_url_is_named() -> None:
    of = state(config_problems=(("no url", "No URL is set."),), setup=Setup(variable="SHOP_DB"))
    assert_finds("SM101", of, "environment variable SHOP_DB", "export SHOP_DB=")


def test_a_name_that_only_a_downgrade_lacks_lets_the_upgrade_pass() -> None:
    of = shown(unknown_names=(UnknownName(PATH, "x", 3, "downgrade"),))
    assert assert_finds("SM217", of).severity is Severity.WARNING
    assert not any(f.blocks for f in run_checks(of, command="upgrade"))
    assert any(f.blocks for f in run_checks(of, command="downgrade"))
