"""The commands on a real pseudo-terminal."""

from __future__ import annotations

import math
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

pty = pytest.importorskip("pty")
fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

ROOT = Path(__file__).parents[2]
QUESTIONS = (b"[y/N]:", b"to remove all of it:")
CTRL_C = "\x03"


def on_terminal(
    *arguments: str, answer: str = "", env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run `flask ARGUMENTS` on a terminal and type the answer at its first question."""
    ours, theirs = pty.openpty()
    environ = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", *arguments],
        cwd=ROOT,
        env={**environ, "TERM": "xterm-256color", "COLUMNS": "80", **(env or {})},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_sit_down,
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 60
    type_at = None if answer else math.inf
    try:
        while time.monotonic() < deadline:
            ready, _, _ = select.select([ours], [], [], 0.1)
            if ready:
                try:
                    piece = os.read(ours, 65536)
                except OSError:  # Linux says so when the other end is closed.
                    break
                if not piece:
                    break
                shown += piece
            if type_at is None and shown.rstrip().endswith(QUESTIONS):
                type_at = 0.0
            # A slow process that has heard the first Ctrl-C must not be hit by another at its end.
            heard = not shown.rstrip(b"^C \r\n").endswith(QUESTIONS)
            if type_at is not None and time.monotonic() >= type_at and not (type_at and heard):
                os.write(ours, answer.encode())
                # A signal that comes just before Python waits for input is seen at the next one
                # only; people press again.
                type_at = time.monotonic() + 3 if answer == CTRL_C else math.inf
        else:
            process.kill()
        return process.wait(10), shown.decode().replace("\r\n", "\n")
    finally:
        os.close(ours)


def _sit_down() -> None:
    """Make Ctrl-C a signal, whatever runs the tests made of it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


UPGRADE = ("--app", "tests.cli.fake:create_upgrade", "db", "safe-upgrade")
RESET = ("--app", "tests.cli.fake:create_reset", "db", "reset")


def test_the_plan_is_shown_and_yes_goes_on() -> None:
    code, shown = on_terminal(*UPGRADE, answer="y\n")
    assert code == 0, shown
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    place = plain.index("Database  SQLite 3.40.1 /srv/shop/instance/app.db")
    plan = plain.index("Upgrade from a1 to b2, 1 revision:")
    question = plain.index("Upgrade? [y/N]:")
    applied = plain.index("applied   1/1  b2  add column  20 ms")
    done = plain.index("upgraded from a1 to b2, 1 revision in 3.4 s")
    assert place < plan < question < applied < done
    assert "\x1b[1m" in shown


def test_no_goes_not() -> None:
    code, shown = on_terminal(*UPGRADE, answer="n\n")
    assert code == 1
    assert "Nothing was changed." in shown
    assert "applied" not in shown


def test_ctrl_c_at_the_question() -> None:
    code, shown = on_terminal(*UPGRADE, answer=CTRL_C, env={"NO_COLOR": "1"})
    assert code == 1
    assert shown.rstrip().endswith("Error: Nothing was changed.")
    assert "Traceback" not in shown


def test_no_color_leaves_no_styles() -> None:
    code, shown = on_terminal(*UPGRADE, "--yes", env={"NO_COLOR": "1"})
    assert code == 0
    assert not re.search(r"\x1b\[[0-9;]+m", shown)


@pytest.mark.parametrize(("answer", "expected"), [("app.db\n", 0), ("app\n", 1)])
def test_reset_wants_the_name(answer: str, expected: int) -> None:
    code, shown = on_terminal(*RESET, answer=answer, env={"NO_COLOR": "1"})
    assert code == expected, shown
    assert ("Nothing was changed." in shown) == (expected == 1)
