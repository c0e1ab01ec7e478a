"""Writing the revision that joins several heads."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from alembic import command
from alembic.config import Config


def merge_heads(config: Config) -> tuple[str, Path]:
    """Write a merge revision for all heads; says so, and returns its file."""
    # Alembic tells every file that it writes.
    with contextlib.redirect_stdout(io.StringIO()):
        script = command.merge(config, revisions="heads", message="merge heads")
    if isinstance(script, list):
        script = script[0]
    assert script is not None
    path = Path(script.path)
    return f"Wrote the merge revision '{script.revision}' to \"{path}\".", path
