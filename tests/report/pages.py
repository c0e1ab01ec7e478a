"""Outcomes for documents: histories with branches, merges and gaps, and what is wrong in them."""

from __future__ import annotations

import random

from flask_safemigrate.checks import catalogue
from flask_safemigrate.facts.database import DatabaseState, Table, Unreachable
from flask_safemigrate.facts.history import BrokenFile, History, Revision
from flask_safemigrate.facts.state import Ignored, State
from flask_safemigrate.outcome import Outcome, Status
from flask_safemigrate.settings import Settings
from tests.checks.states import PROJECT

HOSTILE = "</title><script>alert('x')</script><!-- \"quoted\" & 'quoted' ]]> \x1b[31m \u202e \x00"


def grown(number: int, seed: int = 1) -> tuple[Revision, ...]:
    """Revisions with branches and merges; each needs only earlier ones."""
    choose = random.Random(seed)
    made: list[Revision] = []
    heads: list[str] = []
    for n in range(number):
        roll = choose.random()
        if not made or roll < 0.02:
            parents: tuple[str, ...] = ()
        elif roll < 0.25 and len(heads) > 1:
            parents = tuple(choose.sample(heads, 2))
        elif roll < 0.4:
            parents = (choose.choice(made[-6:]).id,)
        else:
            parents = (choose.choice(heads),)
        depends_on = (made[n // 2].id,) if choose.random() < 0.04 and n > 4 else ()
        heads = [*(h for h in heads if h not in parents), f"id{n}"]
        path = f"/shop/migrations/versions/id{n}_change.py"
        message = f"change number {n}"
        made.append(
            Revision(
                f"id{n}", parents, depends_on, (), message, "2024-01-02 10:00", path, ("users",)
            )
        )
    return tuple(made)


def doctored(number: int, seed: int = 1) -> Outcome:
    """What the doctor finds in a project with three databases, one of them down."""
    revisions = grown(number, seed)
    lost = Revision("lost", ("gone",), message="a", path="/shop/migrations/versions/lost.py")
    odd = BrokenFile("/shop/migrations/versions/odd.py", "syntax", "'(' was never closed", 12)
    databases = (
        DatabaseState(
            "",
            "sqlite",
            "/shop/instance/app.db",
            "app.db",
            size=1_400_000,
            tables=(Table("users", 52_000),),
            version_rows=(revisions[-1].id,),
            configured="app.db",
        ),
        DatabaseState(
            "stats",
            "postgresql",
            "db:5432/stats",
            "stats",
            tables=(Table("visits"),),
            version_rows=(revisions[0].id,),
        ),
        DatabaseState(
            "audit",
            "mariadb",
            "db2:3306/audit",
            "audit",
            unreachable=Unreachable("server down", "No server answers at db2:3306.", "start it"),
        ),
    )
    found = State(PROJECT._replace(multidb=True), History((*revisions, lost), (odd,)), databases)
    ignore = (Ignored("SM520", "one folder in the image"), Ignored("SM116"))
    found, findings = catalogue.examine(found, settings=Settings(ignore=ignore))
    return Outcome("doctor", Status.REFUSED, databases, found, findings)


def hostile() -> Outcome:
    """An outcome every text of which is markup, control characters and quotes."""
    outcome = doctored(8)
    assert outcome.state is not None
    revisions = tuple(
        revision._replace(
            id=f"{revision.id} {HOSTILE}",
            parents=tuple(f"{parent} {HOSTILE}" for parent in revision.parents),
            depends_on=(),
            labels=(f"{HOSTILE}{revision.id}",),
            message=HOSTILE,
            created=HOSTILE,
            path=HOSTILE,
            tables=(HOSTILE,),
        )
        for revision in outcome.state.history.revisions
    )
    databases = tuple(
        database._replace(
            bind=HOSTILE,
            name=HOSTILE,
            location=HOSTILE,
            dialect=HOSTILE,
            server=HOSTILE,
            configured=HOSTILE,
            version_rows=(revisions[0].id, HOSTILE),
        )
        for database in outcome.databases
    )
    findings = tuple(
        f._replace(
            message=HOSTILE, where=HOSTILE, hint=f"`{HOSTILE}`", repair=HOSTILE, subject=HOSTILE
        )
        for f in outcome.findings
    )
    project = outcome.state.project._replace(app=HOSTILE, directory=f"/shop/{HOSTILE}")
    return outcome._replace(
        databases=databases,
        findings=findings,
        state=State(project, History(revisions), databases, ignored=(Ignored(HOSTILE, HOSTILE),)),
        error=HOSTILE,
        hint=HOSTILE,
        notes=(HOSTILE,),
        repairs=(HOSTILE,),
    )
