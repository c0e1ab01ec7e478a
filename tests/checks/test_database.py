from __future__ import annotations

import pytest

from flask_safemigrate.checks.catalogue import CATALOGUE, run_checks
from flask_safemigrate.facts.database import Unreachable
from flask_safemigrate.facts.examination import Examination, Lacking
from flask_safemigrate.facts.history import History
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity
from tests.checks.states import (
    LINE,
    assert_finds,
    at,
    database,
    findings,
    history,
    revision,
    state,
)

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
    ("SM515", "tls"),
    ("SM102", "misconfigured"),
    ("SM103", "missing package"),
    ("SM525", "replica"),
    ("SM526", "too old"),
    ("SM542", "own table"),
    ("SM545", "half restored"),
    ("SM545", "half emptied"),
]

READ_ONLY = Unreachable("read-only", '"app.db" can be read, but not written.', "chown")
REPLICA = Unreachable("replica", '"shop" is on a standby server.', "name the primary")
LACKING = (
    Lacking('create anything in schema "public"', 'GRANT CREATE ON SCHEMA "public" TO "shop";'),
    Lacking('change table "users"', 'ALTER TABLE users OWNER TO "shop";', "users"),
)
BROKEN = ("Tree 3 page 7: btreeInitPage() returns error code 11",)
INDEX = ("row 3 missing from index ix_users_email",)


#: The revisions after the first change table "orders", and no other.
NAMED = history(
    revision("a1"),
    revision("b2", "a1", tables=("orders",)),
    revision("c3", "b2", tables=("orders",)),
)


@pytest.mark.parametrize(("code", "kind"), KINDS)
def test_unreachable(code: str, kind: str) -> None:
    why = Unreachable(kind, f'"db:5432/shop": {kind}.', "do this")
    away = at("gone", unreachable=why, exists=False, dialect="postgresql")
    (finding,) = run_checks(state(away))
    assert (finding.code, finding.message, finding.hint) == (code, why.message, why.hint)
    assert (finding.severity, finding.blocks, finding.bind) == (Severity.ERROR, True, "")
    others = [other for other, _ in KINDS if other != code]
    assert [c.code for c in CATALOGUE if c.code in others and list(c.find(state(away)))] == []


FINDS = [
    ("SM509", state(at("c3", refuses=READ_ONLY)), ["can be read, but not written.", "chown"]),
    (
        "SM505",
        state(
            at("c3", dialect="postgresql", examination=Examination(user="shop", lacking=LACKING))
        ),
        [
            'User "shop" may not create anything in schema "public"; nor change table "users"',
            'GRANT CREATE ON SCHEMA "public" TO "shop"; ALTER TABLE users OWNER TO "shop";',
        ],
    ),
    (
        "SM505",
        state(at("a1", examination=Examination(user="shop", lacking=LACKING[1:])), found=NAMED),
        ["which no pending revision names", "SAFEMIGRATE_EXCLUDE_TABLES", "--allow SM505"],
    ),
    (
        "SM505",
        state(
            database(
                unreachable=Unreachable("missing privilege", "May not.", "GRANT ALL"),
                exists=False,
                dialect="postgresql",
            ),
            env_role="owner",
        ),
        ["May not.", "listens_for", "role%3Downer"],
    ),
    (
        "SM513",
        state(at("c3", examination=Examination(BROKEN))),
        ["is damaged: Tree 3", "VACUUM INTO"],
    ),
    (
        "SM513",
        state(at("c3", examination=Examination(BROKEN, unreadable=("orders",)))),
        ["'orders' cannot be read to the end", ".recover"],
    ),
    ("SM513", state(at("c3", examination=Examination(INDEX))), ["row 3 missing", "--fix SM513"]),
    ("SM525", state(at("c3", refuses=REPLICA)), ["is on a standby server.", "name the primary"]),
    (
        "SM523",
        state(at("c3"), at("c3", bind="stats", location="/shop/app.db"), multidb=True),
        ["\"/shop/app.db\" is the database of 2 binds: 'default' and 'stats'", "of its own"],
    ),
]


@pytest.mark.parametrize(("code", "of", "parts"), FINDS)
def test_finds(code: str, of: State, parts: list[str]) -> None:
    assert_finds(code, of, *parts)


SILENT = [
    ("SM505", state(at("c3"))),
    ("SM505", state(at("c3", examination=Examination(lacking=LACKING[1:]), tables=()))),
    ("SM509", state(at("c3"))),
    ("SM509", state(at("c3", refuses=REPLICA))),
    ("SM513", state(at("c3"))),
    ("SM525", state(at("c3", refuses=READ_ONLY))),
    ("SM523", state(at("c3"), at("c3", bind="stats"), multidb=True)),
    ("SM523", state(at("c3", location=":memory:"), at("c3", bind="b", location=":memory:"))),
]


@pytest.mark.parametrize(("code", "of"), SILENT)
def test_silent(code: str, of: State) -> None:
    assert findings(code, of) == []


@pytest.mark.parametrize(
    ("damage", "unreadable", "repaired"),
    [(INDEX, (), True), (INDEX, ("users",), False), ((*INDEX, *BROKEN), (), False)],
)
def test_only_wrong_indexes_are_made_anew(
    damage: tuple[str, ...], unreadable: tuple[str, ...], repaired: bool
) -> None:
    of = state(at("c3", examination=Examination(damage, unreadable)))
    assert bool(assert_finds("SM513", of).repair) is repaired


@pytest.mark.parametrize(("rows", "severity"), [(("a1",), "error"), (("c3",), "warning")])
def test_a_user_who_only_serves_needs_no_privilege_at_head(
    rows: tuple[str, ...], severity: str
) -> None:
    finding = assert_finds("SM505", state(at(*rows, examination=Examination(lacking=LACKING))))
    assert finding.severity.word == severity
    assert finding.blocks is (severity == "error")


@pytest.mark.parametrize(
    ("found", "table", "severity"),
    [(NAMED, "users", "info"), (NAMED, "orders", "error"), (LINE, "users", "warning")],
)
def test_only_tables_that_pending_revisions_name_stop_an_upgrade(
    found: History, table: str, severity: str
) -> None:
    lacking = (LACKING[1]._replace(table=table),)
    of = state(at("a1", examination=Examination(lacking=lacking)), found=found)
    finding = assert_finds("SM505", of)
    assert finding.severity.word == severity
    assert finding.blocks is (severity == "error")
