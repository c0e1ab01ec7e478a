"""Python's audit events, for whoever listens to them while a run goes on.

Python calls a hook until the process ends, so there is one for all runs
(https://docs.python.org/3/library/sys.html#sys.addaudithook).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any

Hear = Callable[[str, tuple[Any, ...]], None]

_listeners: dict[str, list[Hear]] = {}


def listen(names: Iterable[str], hear: Hear) -> None:
    """Call ``hear`` with name and arguments of the events of these names, until :func:`leave`."""
    _install()
    for name in names:
        _listeners.setdefault(name, []).append(hear)


def leave(names: Iterable[str], hear: Hear) -> None:
    """Listen no more."""
    for name in names:
        _listeners[name].remove(hear)


@functools.cache
def _install() -> None:
    sys.addaudithook(_hook)


def _hook(name: str, arguments: tuple[Any, ...]) -> None:
    for hear in tuple(_listeners.get(name, ())):
        hear(name, arguments)
