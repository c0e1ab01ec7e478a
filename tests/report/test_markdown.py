"""Tables in Markdown, read back by a parser of Markdown."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from markdown_it import MarkdownIt

from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.outcome import Outcome, Status
from flask_safemigrate.report.documents import markdown
from flask_safemigrate.report.wording import clean
from tests.report.outcomes import anything

ROOT = Path("/shop")
_TAGS = {"<br>", "<code>", "</code>"}


def outcome(*findings: Finding, **more: Any) -> Outcome:
    return Outcome("lint", Status.REFUSED, findings=findings, **more)


def finding(message: str, hint: str = "", file: str = "", line: int | None = None) -> Finding:
    return Finding("SM610", Severity.WARNING, message, "w", hint, file=file, line=line)


def read(text: str) -> tuple[list[str], list[list[str]]]:
    """The paragraphs and the rows of a document, which has nothing in it but text."""
    paragraphs, rows = [], []
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert sum(token.type == "table_open" for token in tokens) <= 1
    for before, token in pairwise(tokens):
        if token.type == "tr_open":
            rows.append([])
        if token.type != "inline":
            assert token.type != "html_block"
            continue
        assert token.children is not None
        kinds = {child.type for child in token.children}
        assert kinds <= {
            "text", "text_special", "html_inline",
            *(f"{tag}_{end}" for tag in ("strong", "em") for end in ("open", "close")),
        }  # fmt: skip
        tags = {child.content for child in token.children if child.type == "html_inline"}
        assert tags <= _TAGS
        shown = "".join(
            "\n" if child.content == "<br>" else child.content
            for child in token.children
            if child.content not in _TAGS - {"<br>"}
        )
        (rows[-1] if before.type in ("td_open", "th_open") else paragraphs).append(shown)
    return paragraphs, rows


def words(text: str) -> list[str]:
    return text.replace("\u200b", "").split()


def test_a_table() -> None:
    found = finding("Locks 'a'.", "op.x(\n    1)", "/shop/migrations/versions/a.py", 7)
    text = markdown.text(outcome(found), ROOT)
    assert text.startswith("<!-- flask-safemigrate -->\n")
    paragraphs, [head, row] = read(text)
    assert paragraphs[:2] == ["flask db lint", "1 warning."]
    assert head == ["Code", "Severity", "Where", "What", "Hint"]
    assert row == [
        "SM610",
        "warning",
        "migrations/versions/a.py:7",
        "Locks 'a'.",
        "op.x(\n\xa0\xa0\xa0\xa01)",
    ]


HOSTILE = (
    "a | b",
    "a \\| b",
    "`a | b`",
    "x\n\n# head\n| a |",
    "<img src=x>",
    "</td></table>",
    "<!-- x",
    "![a](http://b)",
    "[a]: b",
    "www.example.org",
    "https://example.org",
    "&lt;b&gt;",
    "*a* _b_ ~c~ $d$",
    "a\u2028b\x1b[31m",
    "```\ncode\n```",
)


@pytest.mark.parametrize("told", HOSTILE)
def test_text_of_others_stays_text(told: str) -> None:
    found = finding(told, told, f"/shop/{told}.py", 1)
    text = markdown.text(outcome(found, notes=(told,)), ROOT)
    paragraphs, [_, row] = read(text)
    assert words(row[3]) == words(clean(told))
    assert words(row[4]) == words(clean(told))
    assert words(row[2]) == words(clean(f"{told}.py:1").replace("//", "/"))
    assert words(paragraphs[2]) == words(f"Note: {clean(told)}")
    assert not re.search(r"www\.|://", text)


@given(anything, anything)
def test_any_text_stays_text(message: str, hint: str) -> None:
    _, rows = read(markdown.text(outcome(finding(message, hint)), ROOT))
    assert [len(row) for row in rows] == [5, 5]
    assert words(rows[1][3]) == words(clean(message))


@pytest.mark.parametrize("told", ["@octocat", "see #12", "a/b#12"])
def test_nobody_is_called(told: str) -> None:
    _, [_, row] = read(markdown.text(outcome(finding(told)), ROOT))
    assert row[3].replace("\u200b", "") == told
    assert not re.search(r"@\w|#\d", row[3])


def test_an_error_is_told() -> None:
    stopped = Outcome("lint", Status.USAGE, error="no | such", hint="flask db `x`")
    paragraphs, rows = read(markdown.text(stopped, ROOT))
    assert paragraphs[1] == "Error: no | such\nHint: flask db `x`"
    assert rows == []


def test_what_has_no_room_is_counted() -> None:
    many = [finding("|" * 1000, "`" * 1000)] * 100
    text = markdown.text(outcome(*many), ROOT)
    assert len(text) < 65_536
    paragraphs, rows = read(text)
    assert paragraphs[-1] == f"{100 - (len(rows) - 1)} more are not shown."
    assert len(rows) > 1
