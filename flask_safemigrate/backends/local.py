"""What can be known of a server that runs on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path


def is_running_here(process: int, names: Collection[str]) -> bool:
    """Whether a process of this number is one of these programs.

    A server behind a tunnel, or in a container, has the address of this machine and not its
    processes.
    """
    try:
        found = Path(f"/proc/{process}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return False
    return found in names


def room_in(folder: str) -> int | None:
    """Return the bytes that are free where a folder is, None where it cannot be asked."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
