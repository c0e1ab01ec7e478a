"""Headers of revision files change, and nothing else."""

from __future__ import annotations

import pytest

from flask_safemigrate.errors import Refused
from flask_safemigrate.project.rewrite import with_id, with_parents

USUAL = '''"""add ü

Revision ID: b2
Revises: a1
Create Date: 2024-01-02 10:00:00

"""
from alembic import op  # Revises: nothing here

# revision identifiers, used by Alembic.
revision = 'b2'
down_revision = 'a1'
branch_labels = None


def upgrade():
    down_revision = 'a1'
'''


@pytest.mark.parametrize(
    ("parents", "line", "value"),
    [
        (("c3",), "Revises: c3", "'c3'"),
        ((), "Revises:", "None"),
        (("c3", "d4"), "Revises: c3, d4", "('c3', 'd4')"),
    ],
)
def test_parents(parents: tuple[str, ...], line: str, value: str) -> None:
    wanted = USUAL.replace("Revises: a1", line)
    wanted = wanted.replace("\ndown_revision = 'a1'", f"\ndown_revision = {value}")
    assert with_parents(USUAL, parents) == wanted


@pytest.mark.parametrize(
    "header",
    [
        'revision: str = "b2"\ndown_revision: Union[str, None] = "a1"\n',
        'revision = "b2"; down_revision = ("a1",)  # why\n',
        'ü = 1; revision = "b2"\ndown_revision = (\n    "a1",  # one\n    "a2",\n)\n',
        'revision = "b2"\r\ndown_revision = "a1"\r\n',
    ],
)
def test_other_ways_to_write_it(header: str) -> None:
    changed = with_parents(header + "x = 1\n", ("zz",))
    assert changed.endswith("x = 1\n")
    assert "'zz'" in changed
    assert "a1" not in changed
    assert ("\r\n" in changed) == ("\r\n" in header)


def test_an_id() -> None:
    changed = with_id(USUAL, "c3")
    assert changed == USUAL.replace("Revision ID: b2", "Revision ID: c3").replace(
        "revision = 'b2'", "revision = 'c3'"
    )


@pytest.mark.parametrize(
    "text",
    [
        "revision = 'b2'\n",
        "revision = 'b2'\ndown_revision = 'a1'\ndown_revision = 'a2'\n",
        "revision = 'b2'\ndown_revision = (\n",
        "revision = 'b2'\nif 1:\n    down_revision = 'a1'\n",
    ],
)
def test_what_is_not_clear_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        with_parents(text, ("c3",))
