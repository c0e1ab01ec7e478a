"""The doctor's settings and documents in a real project."""

from __future__ import annotations

import json

from tests.support.projects import ProjectFactory

TABLE = "op.create_table('item', sa.Column('id', sa.Integer, primary_key=True))"
MODELS = "class Item(db.Model):\n    id = db.Column(db.Integer, primary_key=True)\n"


def test_ignores_need_reasons_and_something_to_ignore(project: ProjectFactory) -> None:
    shop = project(
        models=MODELS,
        revisions=[("a1", TABLE, "op.drop_table('item')")],
        config={
            "SAFEMIGRATE_IGNORE": ["SM306", "SM209: one head a customer", "SM520: one image"],
            "SAFEMIGRATE_SEVERITY": {"SM118": "error"},
        },
    )
    assert shop.db("safe-upgrade", "--yes").returncode == 0
    shop.revision("b2", "pass", "pass")
    result = shop.db("doctor", "--format", "json")
    document = json.loads(result.stdout)
    assert [(f["code"], f["severity"], f["subject"]) for f in document["findings"]] == [
        ("SM118", "error", "SM209"),
        ("SM118", "error", "SM520"),
        ("SM117", "warning", "SM306"),
    ], result.stdout
    assert result.returncode == 3
    assert {(i["code"], i["findings"] > 0) for i in document["state"]["ignored"]} == {
        ("SM306", True),
        ("SM209", False),
        ("SM520", False),
    }


def test_an_unknown_code_in_a_setting_is_named(project: ProjectFactory) -> None:
    shop = project(models=MODELS, config={"SAFEMIGRATE_IGNORE": ["SM2099: slip"]})
    result = shop.db("doctor")
    assert result.returncode == 2
    assert "Setting SAFEMIGRATE_IGNORE: There is no check 'SM2099'." in result.stderr


def test_a_broken_file_is_annotated_at_its_line(project: ProjectFactory) -> None:
    shop = project(models=MODELS, revisions=[("a1", TABLE, "op.drop_table('item')")])
    (shop.versions / "b2_odd.py").write_text('revision = "b2"\ndown_revision = "a1"\ndef (\n')
    annotated = shop.db("doctor", "--format", "github").stdout
    assert "::error file=migrations/versions/b2_odd.py,line=3,title=SM201 " in annotated
    page = shop.db("doctor", "--output", "doctor.html")
    assert page.returncode == 3
    assert 'id="rev-a1"' in (shop.path / "doctor.html").read_text(encoding="utf-8")
    refused = shop.db("safe-upgrade", "--yes")
    assert refused.returncode == 3
    assert "Error: safe-upgrade was not started because of SM201." in refused.stderr
