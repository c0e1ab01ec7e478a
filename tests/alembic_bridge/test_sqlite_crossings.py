"""Every feature crossed with every operation, compared with SQLite's slow procedure.

The suite runs a sample; ``SAFEMIGRATE_TEST_CROSSINGS=all`` runs all of them, in a batch and not,
with schema edits and without.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.errors import OperationRefused, VerificationFailed
from tests.alembic_bridge.crossings import oracle
from tests.alembic_bridge.crossings.features import FEATURES
from tests.alembic_bridge.crossings.model import Feature, script, whole
from tests.alembic_bridge.crossings.operations import OPERATIONS, Operation
from tests.alembic_bridge.sqlite_run import dump, seed, upgrade

ALL = os.environ.get("SAFEMIGRATE_TEST_CROSSINGS") == "all"
#: One in so many runs in the suite.
SAMPLE = 331
# What the slow procedure does although it should not be done.
HARMLESS_REFUSALS = (
    "cannot hold exactly",
    "would no longer find",
    'recreate="never" forbids',
    "are no UTF-8 text",
)


def crossings() -> list[tuple[str, str, bool, bool]]:
    """Feature, operation, whether in a batch, whether with schema edits."""
    found = []
    for (name, feature), (label, operation) in itertools.product(
        FEATURES.items(), OPERATIONS.items()
    ):
        if operation.make(whole(feature), feature) is None:
            continue
        forms = [True] if operation.batch_only else [False, True]
        if operation.plain_only:
            forms = [False]
        found += [
            (name, label, batch, edits) for batch, edits in itertools.product(forms, (True, False))
        ]
    return found


def cross(folder: Path, feature: Feature, operation: Operation, batch: bool, edits: bool) -> str:
    """Run one crossing both ways and compare; how it ended."""
    ours, slow = folder / "ours.db", folder / "slow.db"
    for path in (ours, slow):
        path.unlink(missing_ok=True)
    seed(ours, script(feature))
    shutil.copyfile(ours, slow)
    before, model = dump(ours), whole(feature)
    outcome = operation.make(model, feature)
    assert outcome is not None
    reason = outcome.refuses
    if reason is None:
        try:
            oracle.apply(slow, model, outcome)
        except (sqlite3.IntegrityError, sqlite3.OperationalError) as error:
            reason = str(error)
    try:
        upgrade(
            ours,
            operation.body(batch),
            foreign_keys=feature.foreign_keys,
            options=sqlite.EngineOptions(schema_edits=edits),
        )
    except (OperationRefused, VerificationFailed) as error:
        assert dump(ours) == before, "not as before"
        text = str(error)
        assert reason is not None or any(each in text for each in HARMLESS_REFUSALS), text
        return f"refused: {text}"
    assert reason is None, f"should have been refused: {reason}"
    after = outcome.after
    assert dump(ours)["check"] == dump(slow)["check"]
    assert dump(ours)["settings"] == before["settings"]
    assert oracle.rows(ours) == oracle.rows(slow)
    assert oracle.described(ours, after.name) == oracle.described(slow, after.name)
    for mine, theirs in zip(
        oracle.behaviour(ours, feature, after),
        oracle.behaviour(slow, feature, after),
        strict=True,
    ):
        assert mine == theirs
    return "kept"


def _params() -> list[Any]:
    found = crossings()
    return [
        pytest.param(*each, id=" x ".join([*each[:2], "batch" if each[2] else "op", str(each[3])]))
        for each in (found if ALL else found[::SAMPLE])
    ]


@pytest.mark.parametrize(("feature", "operation", "batch", "edits"), _params())
def test_the_crossing_ends_where_the_slow_one_does(
    tmp_path: Path, feature: str, operation: str, batch: bool, edits: bool
) -> None:
    if FEATURES[feature].strict and sqlite3.sqlite_version_info < (3, 37):
        pytest.skip("no STRICT tables")
    cross(tmp_path, FEATURES[feature], OPERATIONS[operation], batch, edits)
