"""Filters of autogenerate, asked as Alembic asks them."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from flask_safemigrate.facts.comparison import Difference
from flask_safemigrate.reading.filtering import Filters

METADATA = sa.MetaData()
sa.Table(
    "Doc",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("shadow", sa.Integer, info={"skip": True}),
    sa.Index("ix_shadow", "shadow"),
)
sa.Table("seen", METADATA, sa.Column("id", sa.Integer), info={"is_view": True})


def differs(kind: str, table: str, name: str = "", *, models: bool) -> Difference:
    return Difference(kind, table, name or table, "x" if models else None, None if models else "x")


def no_views(item: Any, name: str, kind: str, reflected: bool, other: Any) -> bool:
    return not item.info.get("is_view")


def no_strangers(item: Any, name: str, kind: str, reflected: bool, other: Any) -> bool:
    """Ignores what only the database has, as Alembic's cookbook shows."""
    return not (reflected and other is None)


def no_skipped(item: Any, name: str, kind: str, reflected: bool, other: Any) -> bool:
    return not (kind == "column" and not reflected and item.info.get("skip", False))


def no_shadow(item: Any, name: str, kind: str, reflected: bool, other: Any) -> bool:
    return name not in ("shadow", "ix_shadow")


CASES = [
    (no_views, differs("table", "seen", models=True), True),
    (no_views, differs("column", "seen", "id", models=True), True),
    (no_views, differs("table", "doc", models=True), False),
    (no_views, differs("table", "celery", models=False), False),
    (no_strangers, differs("table", "celery", models=False), True),
    (no_strangers, differs("column", "doc", "extra", models=False), True),
    (no_strangers, differs("column", "doc", "id", models=True), False),
    (no_skipped, differs("column", "doc", "shadow", models=True), True),
    (no_skipped, differs("default", "doc", "shadow", models=True), True),
    (no_skipped, differs("column", "doc", "id", models=True), False),
    (no_shadow, differs("index", "doc", "ix_shadow", models=True), True),
    (no_shadow, differs("index", "doc", "ix_other", models=True), False),
]


@pytest.mark.parametrize(("include_object", "difference", "hidden"), CASES)
def test_include_object(include_object: Any, difference: Difference, hidden: bool) -> None:
    assert Filters(None, include_object, (METADATA,)).hides(difference) is hidden


def test_include_name() -> None:
    asked: list[tuple[Any, ...]] = []

    def include_name(name: str | None, kind: str, parents: Any) -> bool:
        asked.append((name, kind, dict(parents)))
        return name not in ("celery", "extra")

    filters = Filters(include_name, None, (METADATA,))
    assert filters.hides_table("other.celery")
    assert asked == [
        (
            "celery",
            "table",
            {"schema_name": "other", "schema_qualified_table_name": "other.celery"},
        )
    ]
    assert filters.hides(differs("table", "celery", models=False))
    assert filters.hides(differs("column", "doc", "extra", models=False))
    # It is about names of the database alone.
    assert not filters.hides(differs("column", "doc", "extra", models=True))
    assert not filters.hides(differs("table", "doc", models=True))


def test_without_filters_nothing_is_hidden() -> None:
    assert not Filters().hides_table("celery")
    assert not Filters().hides(differs("table", "celery", models=False))


def test_a_filter_that_needs_the_database_is_believed() -> None:
    def include_object(item: Any, *_: Any) -> bool:
        return bool(item.columns["owner"])

    assert Filters(None, include_object).hides_table("celery")
