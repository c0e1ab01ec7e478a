"""Which findings waivers take away, and what is said of the waivers."""

from __future__ import annotations

import pytest

from flask_safemigrate.errors import UsageError
from flask_safemigrate.facts.history import Revision
from flask_safemigrate.findings import Finding, Severity, Waiver
from flask_safemigrate.planning.waivers import allowed, waive, waivers_of
from flask_safemigrate.project.headers import read_header

COLUMN = Finding(
    "SM630", Severity.ERROR, "m", "w", "h", subject="account.old", file="/v/a2.py", line=9
)
OTHER = COLUMN._replace(subject="accounts.old")
INDEX = COLUMN._replace(code="SM610", severity=Severity.WARNING)


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("SM630", [COLUMN, OTHER]),
        ("sm630:account.old", [COLUMN]),
        ("SM630:account", [COLUMN]),
        ("column-dropped:account", [COLUMN]),
        ("SM6:account.old", [COLUMN, INDEX]),
        ("SM630:account.new", []),
        ("SM631:account", []),
    ],
)
def test_what_a_waiver_covers(text: str, covered: list[Finding]) -> None:
    found = [COLUMN, OTHER, INDEX]
    judged = waive(found, allowed([text]))
    assert [each.finding for each in judged.waived] == covered
    assert list(judged.hazards) == [each for each in found if each not in covered]
    assert len(judged.notes) == len(covered)


def test_a_revision_waives_its_own_with_a_reason() -> None:
    mine = Revision("a2", (), path="/v/a2.py", waivers=(Waiver("SM630", "account", "archived"),))
    judged = waive([COLUMN], waivers_of([mine]))
    assert (judged.hazards, len(judged.waived)) == ((), 1)
    assert judged.notes == (
        "Waived by safemigrate_allow of revision 'a2': SM630 of 'account.old': archived",
    )
    judged = waive([COLUMN], waivers_of([mine._replace(path="/v/a3.py")]))
    assert [f.code for f in judged.hazards] == ["SM630", "SM606"]


@pytest.mark.parametrize(
    ("waiver", "codes", "said"),
    [
        (Waiver("SM630", "account"), ["SM630", "SM605"], "does not say why"),
        (Waiver("SM610", "", "quiet hour"), ["SM630", "SM606"], "nothing is found"),
        (Waiver("SM999", "", "no such"), ["SM630", "SM605"], "There is no check 'SM999'"),
    ],
)
def test_what_is_said_of_a_waiver(waiver: Waiver, codes: list[str], said: str) -> None:
    revision = Revision("a2", (), path="/v/a2.py", waivers=(waiver,))
    judged = waive([COLUMN], waivers_of([revision]))
    assert [f.code for f in judged.hazards] == codes
    assert said in judged.hazards[-1].message
    assert judged.waived == ()


def test_stale_settings_are_named_where_everything_was_judged() -> None:
    waiver = Waiver("SM610", "", "quiet hour", "SAFEMIGRATE_ALLOW")
    assert [f.code for f in waive([COLUMN], [waiver]).hazards] == ["SM630", "SM606"]
    assert [f.code for f in waive([COLUMN], [waiver], whole=False).hazards] == ["SM630"]
    with pytest.raises(UsageError, match="SM999"):
        waive([COLUMN], [waiver._replace(code="SM999")])


@pytest.mark.parametrize(
    ("text", "waivers"),
    [
        ("{'SM630:account.old': ' gone '}", (Waiver("SM630", "account.old", "gone"),)),
        ("{'SM630': ''}", (Waiver("SM630"),)),
        ("{'SM630': 7}", (Waiver("SM630"),)),
        ("['SM630:a.b', 'SM610']", (Waiver("SM630", "a.b"), Waiver("SM610"))),
        ("'SM630'", (Waiver("SM630"),)),
        ("{}", ()),
        ("WHY", (Waiver("WHY"),)),
    ],
)
def test_a_revision_file_says_what_it_waives(text: str, waivers: tuple[Waiver, ...]) -> None:
    source = f"revision = 'a2'\ndown_revision = None\nsafemigrate_allow = {text}\n"
    read = read_header(source, "a2.py").revision
    assert read is not None
    assert read.waivers == waivers
