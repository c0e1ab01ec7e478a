"""MySQL 8 and later answer information_schema with labels in upper case, unless a query says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from flask_safemigrate.backends import mysql

FILES = sorted(Path(mysql.__file__).parent.glob("*.py"))
SELECTS = re.compile(
    r"SELECT\s+(?:DISTINCT\s+)?((?:(?!\bFROM\b).)*?)\s+FROM\s+information_schema\.",
    re.DOTALL | re.IGNORECASE,
)
BARE = re.compile(r"(?:\w+\.)?\w+", re.ASCII)


def bare_columns(text: str) -> list[str]:
    """Columns without a label, where there is more than one: one alone is taken as it comes."""
    found = []
    for match in SELECTS.finditer(text):
        outer = match[1]
        while (fewer := re.sub(r"\([^()]*\)", "!", outer)) != outer:
            outer = fewer
        columns = [part.strip() for part in outer.split(",")]
        # What stands behind UNION has the labels of the first.
        if len(columns) > 1 and not text[: match.start()].rstrip().upper().endswith(
            ("UNION", "UNION ALL")
        ):
            found += [column for column in columns if BARE.fullmatch(column)]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_column_of_information_schema_has_a_label(file: Path) -> None:
    texts = [
        node.value
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert [column for text in texts for column in bare_columns(text)] == []


def test_a_column_without_a_label_is_seen() -> None:
    text = "SELECT table_name AS name, engine, count(a, b) FROM information_schema.tables"
    assert bare_columns(text) == ["engine"]
