"""Sizes, times, redaction and the breaking of lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_safemigrate.report.redaction import without_passwords
from flask_safemigrate.report.wording import clean, count, duration, one_line, size, wrap


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (None, "size unknown"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (1_400_000, "1.4 MB"),
        (123_456_789, "123 MB"),
        (5_000_000_000, "5.0 GB"),
        (7 * 10**15, "7000 TB"),
    ],
)
def test_size(octets: int | None, text: str) -> None:
    assert size(octets) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.0042, "4 ms"), (0.9996, "1.0 s"), (99.9, "99.9 s"), (125.4, "2 min 5 s")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_count() -> None:
    assert [count(1, "row"), count(2000, "row"), count(2, "branch", "branches")] == [
        "1 row",
        "2,000 rows",
        "2 branches",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p@h/db", "postgresql://u:***@h/db"),
        (
            "x mysql+pymysql://u:p%40ss:w@h:3306/db?a=b y",
            "x mysql+pymysql://u:***@h:3306/db?a=b y",
        ),
        ("'postgresql://u:p@ss@h/db'", "'postgresql://u:***@h/db'"),
        ("postgresql://:pw@h/db", "postgresql://:***@h/db"),
        ("sqlite:////srv/app.db", "sqlite:////srv/app.db"),
        ("https://example.org:80/a@b", "https://example.org:80/a@b"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
    ],
)
def test_passwords(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


def test_control_characters_are_shown_and_not_sent() -> None:
    assert clean("a\x1b[31mb\x07\tc\u202e\nd") == "a\\x1b[31mb\\x07    c\\u202e\nd"
    assert one_line(" a\nb ") == "a b"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("one two three", ["one two", "three"]),
        ("averyveryverylongword x", ["averyveryverylongword", "x"]),
        ("a\n\nb", ["a", "", "b"]),
        ("see `a b c d e f g`.", ["see", "`a b c d e f g`."]),
        ("`a b c d e f g`", ["a b c d e f g"]),
        ("(flask db doctor --fix) x", ["(flask db doctor --fix)", "x"]),
        ("x flask db status shows", ["x", "flask db status", "shows"]),
        ("git checkout a -- b c d", ["git checkout a -- b c d"]),
        ("do:\n    a very long line of code", ["do:", "    a very long line of code"]),
        ("\u4e2d\u6587 \u4e2d\u6587 \u4e2d", ["\u4e2d\u6587 \u4e2d\u6587", "\u4e2d"]),
    ],
)
def test_wrap(text: str, lines: list[str]) -> None:
    assert wrap(text, 10) == lines


@pytest.mark.parametrize(
    "command",
    [
        "flask db restore 20261130T181247342697Z-logs-353cb4 --bind logs",
        "flask db safe-upgrade --allow SM315",
        "flask db safe-downgrade --allow SM315 -- -1",
        "flask db safe-downgrade a1b2",
        "flask db stamp a1 && flask db stamp 'b 2'",
        "flask db stamp base",
        "flask db stamp REVISION",
        'flask db migrate -m "add city"',
        "git log --all --oneline -- '*a1*'",
        "git checkout 9f3e1c2 -- migrations/versions/a1_x.py",
        "git checkout COMMIT -- PATH",
        'op.add_column("t", sa.Column("c", sa.String(20), nullable=False))',
        "op.execute('DROP VIEW \"recent\"')",
        "pip install 'psycopg[binary]'",
        "SELECT setval('log_id_seq', 1);",
        "createuser --login --pwprompt -h 127.0.0.1 -p 5432 nobody",
        "getent hosts no.such.host",
    ],
)
def test_a_command_in_a_sentence_is_not_broken(command: str) -> None:
    assert wrap(f"first look, then {command} and see", 12) == [
        "first look,",
        "then",
        command,
        "and see",
    ]
    assert command in wrap(f"as {command}", 12)
    assert wrap(f"run {command}.", 12)[-1] == f"{command}."


def test_wrap_leaves_room_on_the_first_line() -> None:
    assert wrap("ab cd ef", 8, first=4) == ["ab", "cd ef"]
    assert wrap("`a b c d e f`", 8, first=6) == ["", "a b c d e f"]
    assert wrap("  ab cd ef gh", 8) == ["ab cd ef", "gh"]


@given(st.lists(st.text("abc`", min_size=1, max_size=30)).map(" ".join))
def test_wrap_loses_no_word(text: str) -> None:
    # Backquotes around the whole of a line are the only thing that goes.
    shown = " ".join(wrap(text, 20))
    assert shown.replace("`", "").split() == text.replace("`", "").split()
