"""Plans as files: what makes one another one, and what is no plan."""

from __future__ import annotations

import json

import pytest

from flask_safemigrate.errors import UsageError
from flask_safemigrate.planning.plan_file import (
    PlanFile,
    PlannedDatabase,
    PlannedRevision,
    differences,
    from_text,
    to_text,
)

A2 = PlannedRevision("a2", "c2", ("ALTER TABLE t ADD COLUMN a", "UPDATE t SET a = 1"))
A3 = PlannedRevision("a3", "c3", ())
HERE = PlannedDatabase(
    "", "shop", "postgresql", ("a1",), ("a3",), {'table "t"': "1", 'view "v"': "2"}, (A2, A3)
)
PLAN = PlanFile("2024-01-01T00:00:00+00:00", "heads", "all", (HERE,))


def _of(*databases: PlannedDatabase) -> PlanFile:
    return PLAN._replace(databases=databases)


def test_a_plan_comes_back_from_its_file() -> None:
    assert from_text(to_text(PLAN), "plan.json") == PLAN


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (PLAN, []),
        (_of(HERE._replace(name="shop on another server")), []),
        (PLAN._replace(made="later"), []),
        (_of(HERE._replace(start=("a0",))), ["is at a0; the plan begins at a1"]),
        (_of(HERE._replace(dialect="sqlite")), ["is one of sqlite; the plan is for postgresql"]),
        (
            _of(HERE, HERE._replace(bind="b")),
            ['the plan knows nothing of database "shop" (bind "b")'],
        ),
        (_of(), ['database "shop" is not there']),
        (_of(HERE._replace(revisions=(A2,))), ["revision 'a3' of the plan would not run"]),
        (
            _of(HERE._replace(revisions=(A2, A3, A3._replace(id="a4")))),
            ["revision 'a4' would run, which the plan does not have"],
        ),
        (_of(HERE._replace(revisions=(A3, A2))), ["the revisions would run in the order a3, a2"]),
        (
            _of(HERE._replace(revisions=(A2._replace(checksum="x"), A3))),
            ["the file of revision 'a2' was changed"],
        ),
        (
            _of(HERE._replace(revisions=(A2._replace(statements=A2.statements[:1]), A3))),
            ["revision 'a2' would say nothing where the plan has \"UPDATE t SET a = 1\""],
        ),
        (
            _of(HERE._replace(schema={'table "t"': "9", 'table "u"': "1"})),
            ['table "t" of database "shop" is another one', 'view "v" of database "shop" is gone',
             'table "u" of database "shop" is new'],
        ),
    ],
)  # fmt: skip
def test_in_what_it_differs(now: PlanFile, said: list[str]) -> None:
    found = differences(PLAN, now)
    assert len(found) == len(said), found
    assert all(words in sentence for words, sentence in zip(said, found, strict=True)), found


def test_many_objects_are_counted() -> None:
    many = {f'table "t{n}"': "1" for n in range(8)}
    found = differences(_of(HERE._replace(schema={})), _of(HERE._replace(schema=many)))
    assert len(found) == 6
    assert found[-1] == 'and 3 more objects of database "shop" differ'


@pytest.mark.parametrize(
    "text",
    ["", "[]", "nonsense", "{}", '{"plan": 1}', '{"plan": 1, "databases": [{}]}',
     json.dumps({**json.loads(to_text(PLAN)), "databases": [1]})],
)  # fmt: skip
def test_what_is_no_plan(text: str) -> None:
    with pytest.raises(UsageError, match="is no plan"):
        from_text(text, "plan.json")


def test_a_plan_of_another_format() -> None:
    with pytest.raises(UsageError, match="format 2"):
        from_text('{"plan": 2}', "plan.json")
