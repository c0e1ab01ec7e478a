"""News in a log and on a terminal."""

from __future__ import annotations

import io
import time

import pytest
from rich.cells import cell_len

from flask_safemigrate.outcome import Progress
from flask_safemigrate.report.progress import line, telling
from flask_safemigrate.report.screen import Screen


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_a_log_gets_one_line_a_revision(stream: io.StringIO) -> None:
    with telling(Screen(stream, 80, False, False, True)) as told:
        for number in range(1, 4):
            told.say(Progress("revision", f"r{number}", "add it", done=number - 1, total=3))
            told.say(Progress("applied", f"r{number}", "add it", 0.01, done=number, total=3))
    assert stream.getvalue() == "".join(
        f"applied   {number}/3  r{number}  add it  10 ms\n" for number in (1, 2, 3)
    )


def test_a_log_hears_of_work_that_goes_on(stream: io.StringIO) -> None:
    with telling(Screen(stream, 80, False, False, True), quiet=0.05) as told:
        told.say(Progress("revision", "r1", "add it", done=0, total=1))
        deadline = time.monotonic() + 10
        while stream.getvalue().count("\n") < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        told.say(Progress("applied", "r1", "add it", 0.01, done=1, total=1))
        quiet = stream.getvalue()
        time.sleep(0.2)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("running   0/1  r1  add it  for ")
    assert lines[-1] == "applied   1/1  r1  add it  10 ms"
    assert stream.getvalue() == quiet
    # The pauses double, so a long wait does not fill the log.
    assert len(lines) <= 8


def test_a_log_hears_of_a_wait_now_and_then(stream: io.StringIO) -> None:
    with telling(Screen(stream, 80, False, False, True)) as told:
        for seconds in range(5):
            told.say(Progress("waiting", "app.db", "waiting for process 7", float(seconds)))
    assert stream.getvalue() == "waiting   app.db  for process 7\n"


def test_a_terminal_keeps_what_is_finished(stream: io.StringIO) -> None:
    with telling(Screen(stream, 80, False, True, True)) as told:
        told.say(Progress("revision", "r1", "add it", done=0, total=1))
        told.say(Progress("applied", "r1", "add it", 0.01, done=1, total=1))
        told.pause()
        told.say(Progress("committed", "/srv/app.db"))
    assert "applied   1/1  r1  add it  10 ms" in stream.getvalue()
    assert "committed /srv/app.db" in stream.getvalue()
    # The cursor, hidden while the line moves, is back.
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")


def test_the_cursor_comes_back_after_an_error(stream: io.StringIO) -> None:
    def failing() -> None:
        with telling(Screen(stream, 80, False, True, True)) as told:
            told.say(Progress("revision", "r1"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")


def test_a_line_names_the_bind() -> None:
    assert line(Progress("committed", "/srv/a.db", bind="audit")).plain == (
        "committed audit: /srv/a.db"
    )


@pytest.mark.parametrize("room", [60, 80])
def test_a_long_sentence_does_not_hide_the_time(room: int) -> None:
    news = Progress("applied", "a1b2c3d4", "add \u4e2d " * 40, 3.25, done=3, total=10)
    told = line(news, room).plain
    assert cell_len(told) == room
    assert told.startswith("applied    3/10  a1b2c3d4  add")
    assert told.endswith("  3.2 s")
