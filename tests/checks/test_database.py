from __future__ import annotations

import pytest

from flask_safemigrate.checks.catalogue import CATALOGUE, run_checks
from flask_safemigrate.findings import Severity
from flask_safemigrate.state import InvalidIndex, State, Unreachable
from tests.checks.states import assert_finds, at, database, findings, state

KINDS = [
    ("SM501", "server down"),
    ("SM502", "host unknown"),
    ("SM503", "wrong password"),
    ("SM504", "missing database"),
    ("SM505", "missing privilege"),
    ("SM506", "missing folder"),
    ("SM507", "missing file"),
    ("SM508", "not a database"),
    ("SM509", "read-only"),
    ("SM510", "locked"),
    ("SM511", "too many connections"),
    ("SM512", "starting"),
    ("SM513", "damaged"),
    ("SM514", "unknown"),
]


@pytest.mark.parametrize(("code", "kind"), KINDS)
def test_unreachable(code: str, kind: str) -> None:
    why = Unreachable(kind, f'"db:5432/shop": {kind}.', "do this")
    away = at("gone", unreachable=why, exists=False, dialect="postgresql")
    (finding,) = run_checks(state(away))
    assert (finding.code, finding.message, finding.hint) == (code, why.message, why.hint)
    assert (finding.severity, finding.blocks, finding.bind) == (Severity.ERROR, True, "")
    others = [f"SM{number}" for number in range(501, 515) if f"SM{number}" != code]
    assert [c.code for c in CATALOGUE if c.code in others and list(c.find(state(away)))] == []


FINDS = [
    ("SM509", state(at("c3", read_only=True)), ['"app.db" can be read, but not written', "right"]),
    ("SM509", state(at("c3", read_only=True, dialect="postgresql")), ["primary server"]),
    (
        "SM520",
        state(at("c3", configured="app.db")),
        ['"app.db" is relative; it means "/shop/app.db"', "sqlite:////shop/app.db"],
    ),
    ("SM521", state(database(exists=False)), ['"app.db" does not exist yet', "safe-upgrade"]),
    ("SM522", state(at("c3", location=":memory:")), ["lives in the memory", "sqlite:///app.db"]),
    ("SM522", state(at("c3", location="file:x?mode=memory&uri=true")), ["lives in the memory"]),
    (
        "SM523",
        state(at("c3"), at("c3", bind="stats", location="/shop/app.db"), multidb=True),
        ["\"/shop/app.db\" is the database of 2 binds: 'default' and 'stats'", "of its own"],
    ),
    (
        "SM524",
        state(at("c3", invalid_indexes=(InvalidIndex("public.ix", "users", "CREATE INDEX"),))),
        ['Index public.ix of table "users" is invalid', "--fix SM524", "REINDEX"],
    ),
]


@pytest.mark.parametrize(("code", "of", "parts"), FINDS)
def test_finds(code: str, of: State, parts: list[str]) -> None:
    assert_finds(code, of, *parts)


SILENT = [
    ("SM509", state(at("c3"))),
    ("SM520", state(at("c3"))),
    ("SM521", state(at("c3"))),
    ("SM521", state(database(exists=False, location=":memory:"))),
    ("SM522", state(at("c3"))),
    ("SM522", state(at("c3", dialect="postgresql", location=""))),
    ("SM523", state(at("c3"), at("c3", bind="stats"), multidb=True)),
    ("SM524", state(at("c3", dialect="postgresql"))),
    ("SM523", state(at("c3", location=":memory:"), at("c3", bind="b", location=":memory:"))),
]


@pytest.mark.parametrize(("code", "of"), SILENT)
def test_silent(code: str, of: State) -> None:
    assert findings(code, of) == []


def test_what_is_only_told_blocks_nothing() -> None:
    of = state(database(exists=False, configured="app.db"))
    assert [(f.code, f.severity) for f in run_checks(of)] == [
        ("SM520", Severity.INFO),
        ("SM521", Severity.INFO),
    ]
    assert [f.code for f in run_checks(of, command="deploy") if f.blocks] == []
