"""Signals that end a run: the first undoes what was begun, later ones let that finish."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Stopping:
    """What Ctrl-C and SIGTERM do to one command.

    A handler of the application's own, and a signal that the shell has us ignore, stay.
    """

    def __init__(self) -> None:
        self._told = False

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Let both raise :class:`KeyboardInterrupt` in the block, one time in all."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        usual = {
            signal.SIGINT: signal.default_int_handler,
            signal.SIGTERM: signal.SIG_DFL,
        }
        before = {number: signal.getsignal(number) for number in usual}
        ours = [number for number in usual if before[number] == usual[number]]
        for number in ours:
            signal.signal(number, self._stop)
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, before[number])

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._told:
            return
        self._told = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise KeyboardInterrupt(signal.Signals(number).name)
