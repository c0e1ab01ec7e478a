"""A block whose columns take over each other's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flask_safemigrate.errors import OperationRefused
from tests.alembic_bridge.sqlite_run import probe, seed, upgrade

TABLE = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT); INSERT INTO t VALUES (1, 'x', 'y');"
)
KIND = "sa.Enum('y', 'z', name='kind', create_constraint=True)"


def ask(path: Path, statement: str) -> Any:
    return probe(path, path.with_name("copy.db"), [statement])


def block(*lines: str) -> str:
    return "with op.batch_alter_table('t') as b:\n" + "".join(f"    b.{line}\n" for line in lines)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    seed(path, TABLE)
    return path


def test_the_check_of_a_new_type_goes_with_its_column_in_a_swap(path: Path) -> None:
    upgrade(
        path,
        block(
            "alter_column('a', new_column_name='b')",
            f"alter_column('b', new_column_name='a', type_={KIND})",
        ),
    )
    assert ask(path, "SELECT a, b FROM t") == [("y", "x")]
    assert ask(path, "INSERT INTO t (a, b) VALUES ('z', 'anything')") == []
    assert ask(path, "INSERT INTO t (a) VALUES ('odd')") == "IntegrityError"


@pytest.mark.parametrize(
    ("lines", "more", "says"),
    [
        (
            ("alter_column('a', new_column_name='b')", "drop_column('b')"),
            "CREATE VIEW v AS SELECT b FROM t",
            'drop_column\\(\'t\', \'b\'\\): view "v" uses column "t"."b"',
        ),
        (
            (
                "alter_column('a', new_column_name='b')",
                "alter_column('b', new_column_name='a', nullable=False)",
            ),
            "UPDATE t SET b = NULL",
            "alter_column\\('t', 'b', nullable=False, new_column_name='a'\\): 1 of 1 rows",
        ),
    ],
)
def test_a_refusal_names_columns_as_the_migration_does(
    path: Path, lines: tuple[str, ...], more: str, says: str
) -> None:
    seed(path, more)
    with pytest.raises(OperationRefused, match=says) as refusal:
        upgrade(path, block(*lines))
    assert "_safemigrate_" not in f"{refusal.value.message} {refusal.value.hint}"


def test_the_check_of_an_old_type_goes_after_its_column_was_renamed(path: Path) -> None:
    seed(path, "ALTER TABLE t ADD COLUMN s VARCHAR(1) CHECK (s IN ('y', 'z'))")
    old = "sa.Enum('y', 'z', create_constraint=True)"
    upgrade(
        path,
        "op.alter_column('t', 's', new_column_name='state')",
        f"op.alter_column('t', 'state', existing_type={old}, type_=sa.Text())",
    )
    assert ask(path, "INSERT INTO t (state) VALUES ('other')") == []
