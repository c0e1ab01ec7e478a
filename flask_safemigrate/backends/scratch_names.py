"""Names of scratch databases on servers, and which of them nobody can need any more."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable

PREFIX = "safemigrate_scratch_"
#: Seconds after which a scratch database that a killed process left is dropped.
STALE_SECONDS = 24 * 3600
_NAME = re.compile(PREFIX + r"([0-9a-f]{8})_[0-9a-f]{8}")


def new_name() -> str:
    """Return a name that no other run takes; it holds the time."""
    return f"{PREFIX}{int(time.time()):08x}_{secrets.token_hex(4)}"


def stale(names: Iterable[str]) -> list[str]:
    """Those of these databases that a killed run left long ago."""
    oldest = time.time() - STALE_SECONDS
    found = ((name, _NAME.fullmatch(name)) for name in names)
    return [name for name, match in found if match and int(match[1], 16) < oldest]
