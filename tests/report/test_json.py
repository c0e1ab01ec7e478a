"""The document holds every field of an outcome, and nothing secret."""

from __future__ import annotations

import json as stdlib
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum, IntEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import HealthCheck, assume, given, settings

from flask_safemigrate.outcome import Outcome, Status, exit_code
from flask_safemigrate.report.documents import json
from flask_safemigrate.report.redaction import without_passwords
from tests.report.outcomes import anything, outcomes

EVERY = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


# What a record calls otherwise than the document.
NAMES = {
    "comparisons": "evidence",
    "examination": "condition",
    "past": "provenance",
    "setup": "checkout",
}


def rebuilt(kind: Any, value: Any) -> Any:
    """The object of a type that a piece of the document stands for."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return rebuilt(next(a for a in arguments if a is not type(None)), value)
    if origin is tuple:
        if arguments[-1] is ...:
            return tuple(rebuilt(arguments[0], item) for item in value)
        return tuple(rebuilt(a, item) for a, item in zip(arguments, value, strict=True))
    if origin is frozenset:
        return frozenset(rebuilt(arguments[0], item) for item in value)
    if origin is Mapping:
        return {key: rebuilt(arguments[1], item) for key, item in value.items()}
    if hasattr(kind, "_fields"):
        hints = get_type_hints(kind)
        return kind(**{n: rebuilt(hints[n], value[NAMES.get(n, n)]) for n in kind._fields})
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{f.name: rebuilt(hints[f.name], value[f.name]) for f in fields(kind)})
    if issubclass(kind, IntEnum):
        return kind[value.upper()]
    if issubclass(kind, Enum):
        return kind(value)
    assert isinstance(value, (kind, int) if kind is float else kind)
    return value


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def texts(value: Any) -> Iterator[str]:
    """Every text in plain data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from texts([*value.values()])
    elif is_dataclass(value):
        yield from texts([getattr(value, each.name) for each in fields(value)])
    elif isinstance(value, (tuple, list, frozenset)):
        for item in value:
            yield from texts(item)


@EVERY
@given(outcomes(anything))
def test_an_outcome_comes_back_from_its_document(outcome: Outcome) -> None:
    # What looks like a secret is blanked, which tests of its own look at.
    assume(all(without_passwords(text) == text for text in texts(outcome)))
    written = json.text(outcome)
    assert written.isascii()
    document = stdlib.loads(written, parse_constant=refuse)
    assert document.pop("schema") == 1
    assert document.pop("exit_code") == exit_code(outcome.status)
    assert list(document) == [NAMES.get(name, name) for name in Outcome._fields]
    assert rebuilt(Outcome, document) == outcome


def test_passwords_of_addresses_are_taken_out() -> None:
    said = "could not connect to postgresql+psycopg://app:s3cr3t@db:5432/shop"
    outcome = Outcome("status", Status.UNAVAILABLE, error=said, notes=(said,))
    written = json.text(outcome)
    assert "s3cr3t" not in written
    assert written.count("postgresql+psycopg://app:***@db:5432/shop") == 2


def test_sql_is_written_as_it_is() -> None:
    from flask_safemigrate.outcome import Applied, TableWork

    sql = "ALTER TABLE t ADD u TEXT DEFAULT 'http://a:b@c'"
    work = Applied("", "", (), (), (), 0.0, tables=(TableWork("t", "native", "", 0.0, 0, (sql,)),))
    document = json.document(Outcome("safe-upgrade", Status.DONE, applied=(work,)))
    assert document["applied"][0]["tables"][0]["statements"] == [sql]


def test_the_documentation_names_every_field() -> None:
    from pathlib import Path

    from flask_safemigrate import findings
    from flask_safemigrate.facts.database import DatabaseState, Unreachable
    from flask_safemigrate.facts.examination import Examination
    from flask_safemigrate.facts.state import State

    written = (Path(__file__).parents[2] / "docs/formats.rst").read_text("utf-8")
    for kind in (
        Outcome,
        findings.Finding,
        State,
        DatabaseState,
        Unreachable,
        Examination,
    ):
        names = getattr(kind, "_fields", None) or [each.name for each in fields(kind)]
        names = [NAMES.get(name, name) for name in names]
        assert [name for name in names if f"``{name}``" not in written] == [], kind
