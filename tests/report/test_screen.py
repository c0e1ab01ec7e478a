"""Which stream gets colours, and how wide it is."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.text import Text

from flask_safemigrate.report.screen import Screen, screen, show, write


class Stream(io.TextIOWrapper):
    """A stream that may be a terminal."""

    def __init__(self, *, terminal: bool = False, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    @property
    def written(self) -> bytes:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue()


@pytest.mark.parametrize(
    ("terminal", "environ", "color"),
    [
        (False, {}, False),
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": ""}, False),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colours(terminal: bool, environ: dict[str, str], color: bool) -> None:
    stream = Stream(terminal=terminal)
    seen = screen(stream, environ)
    assert seen.color is color
    show(seen, [Text("x", style="red")])
    assert (b"\x1b" in stream.written) is color
    assert b"x" in stream.written


@pytest.mark.parametrize(
    ("environ", "width"),
    [({}, 80), ({"COLUMNS": "120"}, 120), ({"COLUMNS": "3"}, 40), ({"COLUMNS": "wide"}, 80)],
)
def test_width(environ: dict[str, str], width: int) -> None:
    assert screen(Stream(), environ).width == width
    assert screen(Stream(terminal=True), environ).width == width


def test_what_a_stream_cannot_say_is_escaped() -> None:
    stream = Stream(encoding="ascii")
    seen = screen(stream, {})
    assert not seen.unicode
    write(seen, "naïve \u4e2d \udcff\n")
    assert stream.written == b"na\\xefve \\u4e2d \\udcff\n"


def test_a_stream_without_encoding_takes_everything() -> None:
    stream: Any = io.StringIO()
    write(Screen(stream, 80, False, False, True), "ü\n")
    assert stream.getvalue() == "ü\n"


@pytest.mark.parametrize("runner", ["GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION"])
@pytest.mark.parametrize("said", ["a ##vso[task.x]y", "##VSO[x]", "##teamcity[x]", "a ##[group]x"])
def test_text_is_no_command_to_a_runner(
    monkeypatch: pytest.MonkeyPatch, runner: str, said: str
) -> None:
    stream = Stream()
    monkeypatch.setenv(runner, "1")
    show(screen(stream, {}), [Text(said)])
    assert stream.written.decode() == said.replace("##", "## ") + "\n"
