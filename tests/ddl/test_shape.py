"""What SQLite has in a table, also where it has very many columns."""

from __future__ import annotations

import pytest

from flask_safemigrate.ddl import shape, tokens
from flask_safemigrate.ddl.rebuild import Lineage, decide
from flask_safemigrate.ddl.shape import read_shape


def foldings(columns: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many names are folded while a change of one column's type is decided."""
    listed = [f"c{number} INTEGER" for number in range(columns)]
    old = read_shape(f"CREATE TABLE t ({', '.join(listed)})", ())
    listed[-1] = listed[-1].replace("INTEGER", "TEXT")
    new = read_shape(f"CREATE TABLE t ({', '.join(listed)})", ())
    count = 0

    def fold(name: str) -> str:
        nonlocal count
        count += 1
        return tokens.fold(name)

    with monkeypatch.context() as patched:
        patched.setattr(shape, "fold", fold)
        decide(old, new, tuple(Lineage(f"c{n}", f"c{n}") for n in range(columns)))
    return count


def test_names_of_columns_are_folded_in_proportion_to_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few, many = foldings(50, monkeypatch), foldings(500, monkeypatch)
    assert few
    assert many <= 10 * few


def test_columns_are_found_as_sqlite_compares_their_names() -> None:
    table = read_shape('CREATE TABLE t (Ab INTEGER, "\u00c4" TEXT)', ())
    found = table.column("aB")
    assert found is not None
    assert found.name == "Ab"
    assert table.column("\u00e4") is None
