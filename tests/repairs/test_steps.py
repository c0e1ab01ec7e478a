from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa

from flask_safemigrate import checks
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.errors import HalfApplied, Refused, SafeMigrateError
from flask_safemigrate.findings import FROM_JOURNAL, Step
from flask_safemigrate.repairs.steps import VERBS, Means, Verb, take_steps
from flask_safemigrate.workflows.ports import Repaired
from flask_safemigrate.workflows.requests import Say

_CHECKS = sorted(Path(checks.__file__).parent.glob("*.py"))


def _calls(name: str) -> list[ast.Call]:
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in _CHECKS)
    calls = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == name]


def test_every_finding_with_a_repair_has_steps() -> None:
    given = [{keyword.arg for keyword in call.keywords} for call in _calls("Found")]
    assert len([names for names in given if "repair" in names]) > 20
    assert not [names for names in given if "repair" in names and "steps" not in names]


def test_the_table_has_every_verb_of_the_checks_and_no_other() -> None:
    given = [node for call in _calls("Step") for node in ast.walk(call.args[0])]
    verbs = {node.value for node in given if isinstance(node, ast.Constant)}
    # One place has either of two in a variable.
    assert verbs | {"restore", FROM_JOURNAL} == set(VERBS)


def _means(folder: Path, heard: list[str]) -> Means:
    def never(*arguments: object) -> NoReturn:
        raise AssertionError(arguments)

    def copy(bind: str, say: Say) -> None:
        heard.append(f"copy {bind}")

    return Means(folder, folder, never, never, never, copy, never, {})


def _verb(name: str, heard: list[str], error: BaseException | None = None, **more: Any) -> Verb:
    def do(means: Means, target: Target | None, names: object, say: Say) -> Repaired:
        heard.append(name)
        if error is not None:
            raise error
        return Repaired(f"{name}.", lambda: heard.append(f"no {name}"))

    return Verb(do, **more)


@pytest.mark.parametrize(
    ("error", "after"),
    [
        (Refused("no"), ["one", "two", "three", "no two", "no one"]),
        (KeyboardInterrupt(), ["one", "two", "three", "no two", "no one"]),
        (HalfApplied("half"), ["one", "two", "three"]),
    ],
    ids=["refused", "stopped", "half-applied"],
)
def test_a_step_that_fails_takes_those_before_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, after: list[str]
) -> None:
    heard: list[str] = []
    for name, failure in (("one", None), ("two", None), ("three", error)):
        monkeypatch.setitem(VERBS, name, _verb(name, heard, failure))  # type: ignore[arg-type]
    steps = [Step("one"), Step("two"), Step("three")]
    with pytest.raises(type(error)):
        take_steps(_means(tmp_path, heard), steps, None, lambda progress: None)
    assert heard == after


def test_a_database_is_copied_before_the_verbs_that_change_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    monkeypatch.setitem(VERBS, "look", _verb("look", heard))  # type: ignore[arg-type]
    monkeypatch.setitem(VERBS, "drop", _verb("drop", heard, copies=True))  # type: ignore[arg-type]
    target = Target("other", sa.create_engine("sqlite://"))
    done = take_steps(
        _means(tmp_path, heard), [Step("look"), Step("drop")], target, lambda progress: None
    )
    assert heard == ["look", "copy other", "drop"]
    assert done.said == "look. drop."
    assert done.take_back is not None
    done.take_back()
    assert heard[3:] == ["no drop", "no look"]


def test_files_are_as_they_were_after_a_step_that_fails(tmp_path: Path) -> None:
    for name, text in (("a.py", "1"), ("b.py", "1"), ("c.py", "2")):
        (tmp_path / name).write_text(text)
    a, b, c = (str(tmp_path / name) for name in ("a.py", "b.py", "c.py"))
    steps = [Step("delete", (a, b)), Step("delete", (b, c))]
    with pytest.raises(SafeMigrateError, match="not the same"):
        take_steps(_means(tmp_path, []), steps, None, lambda progress: None)
    assert sorted(path.name for path in tmp_path.glob("*.py")) == ["a.py", "b.py", "c.py"]


def test_what_cannot_be_taken_back_says_so(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE _alembic_tmp_pet (id INTEGER)")
    target = Target("", engine)
    heard: list[str] = []
    done = take_steps(
        _means(tmp_path, heard),
        [Step("drop table", ("_alembic_tmp_pet",))],
        target,
        lambda progress: None,
    )
    assert done == Repaired('Dropped the empty table "_alembic_tmp_pet".', None)
    assert heard == ["copy "]
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()
