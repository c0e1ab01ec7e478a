"""News while a command runs: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from flask_safemigrate.outcome import Progress
from flask_safemigrate.report.screen import Screen, show
from flask_safemigrate.report.wording import duration, one_line

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

#: Stages that begin something, and what it is called while it lasts.
_BEGINNINGS = {
    "dumping": "copying",
    "revision": "running",
    "verifying": "verifying",
    "hook": "hook",
    "waiting": "waiting",
    "restoring": "restoring",
}
#: Those whose end is told by a stage of its own, so that a log need not tell them.
_ENDED_LATER = {"dumping", "revision", "hook"}
_LABELS = {"table": "  table", "hooked": "hook", **_BEGINNINGS}
_LABEL = 10

#: Seconds after which a log hears that a long piece of work still runs; then twice as long.
_QUIET = 10.0


class Telling(NamedTuple):
    """How news is told.

    :param say: takes a piece of news.
    :param pause: clears the live line, so that a question can be asked.
    """

    say: Callable[[Progress], None]
    pause: Callable[[], None]


def line(news: Progress, room: int | None = None) -> Text:
    """Return one piece of news as one line.

    :param room: cells that it may take; the sentence is cut so that the time stays in sight.
    """
    label = f"{_LABELS.get(news.stage, news.stage):<{_LABEL}}"
    steps = f"{news.done:>{len(str(news.total))}}/{news.total}  " if news.total else ""
    subject = (f"{one_line(news.bind)}: " if news.bind else "") + one_line(news.subject)
    text = one_line(news.text).removeprefix("waiting ") if news.text != news.subject else ""
    waits = news.stage == "waiting"
    timed = news.seconds is not None and (news.seconds >= 1 or not waits)
    took = f"  {duration(news.seconds or 0)}" if timed else ""
    if room is not None:
        text = set_cell_size(
            text, min(cell_len(text), max(room - cell_len(label + steps + subject + took) - 2, 0))
        )
    return Text.assemble(
        (label, "green" if timed and not waits else "dim"),
        (steps, "dim"),
        (subject, "cyan"),
        f"  {text}" if text else "",
        (took, "dim"),
    )


@contextmanager
def telling(screen: Screen, *, quiet: float = _QUIET) -> Iterator[Telling]:
    """Tell news on a screen for the length of the block.

    :param quiet: seconds of silence in a log after which work that goes on is mentioned.
    """
    with _live(screen) if screen.terminal and screen.unicode else _log(screen, quiet) as told:
        yield told


@contextmanager
def _log(screen: Screen, quiet: float) -> Iterator[Telling]:
    finished = threading.Event()
    lock = threading.Lock()
    current: list[tuple[Progress, float]] = []
    waiting: list[float] = []
    threads: list[threading.Thread] = []

    def say(news: Progress) -> None:
        now = time.monotonic()
        with lock:
            current.clear()
            if news.stage == "waiting":
                # Who waits is heard every second, which is too often for a log.
                if waiting and now - waiting[-1] < quiet:
                    return
                waiting.append(now)
            elif news.stage in _BEGINNINGS:
                current.append((news, now))
            if news.stage not in _ENDED_LATER:
                show(screen, [line(news)])
        if not threads:
            thread = threading.Thread(target=remind, name="progress", daemon=True)
            thread.start()
            threads.append(thread)

    def remind() -> None:
        told: Progress | None = None
        pause = quiet
        while not finished.wait(quiet / 10):
            with lock:
                if not current:
                    continue
                news, since = current[0]
                if news is not told:
                    told, pause = news, quiet
                elapsed = time.monotonic() - since
                if elapsed >= pause:
                    pause = 2 * elapsed
                    lasting = Text(f"  for {duration(elapsed)}", style="dim")
                    show(screen, [Text.assemble(line(news), lasting)])

    try:
        yield Telling(say, lambda: None)
    finally:
        finished.set()
        for thread in threads:
            thread.join()


class _Elapsing:
    """News that ends with the time since it came, drawn anew each time."""

    def __init__(self, news: Progress) -> None:
        self.news = news
        self.since = time.monotonic()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        elapsed = f"  {time.monotonic() - self.since:.0f} s"
        whole = Text.assemble(line(self.news, options.max_width - len(elapsed)), (elapsed, "dim"))
        whole.no_wrap, whole.overflow = True, "crop"
        yield whole


@contextmanager
def _live(screen: Screen) -> Iterator[Telling]:
    # Only a terminal needs them.
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner

    console = Console(
        file=screen.stream,
        width=screen.width,
        force_terminal=True,
        color_system="auto" if screen.color else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    spinner = Spinner("dots", style="cyan")
    live: list[Live] = []

    def start() -> None:
        if not live:
            # What the application prints must land above the live line, unless it goes to a file.
            redirect = sys.stdout.isatty()
            live.append(Live(spinner, console=console, transient=True, redirect_stdout=redirect))
            live[0].start()

    def stop() -> None:
        while live:
            live.pop().stop()

    def say(news: Progress) -> None:
        if news.stage in _BEGINNINGS:
            # A wait tells its own time.
            waits = news.stage == "waiting"
            spinner.text = line(news, screen.width - 2) if waits else _Elapsing(news)
            start()
            return
        spinner.text = ""
        console.print(line(news, screen.width), no_wrap=True, overflow="crop")

    try:
        yield Telling(say, stop)
    finally:
        stop()
